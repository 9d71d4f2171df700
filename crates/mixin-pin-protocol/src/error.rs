//! The errors of this crate: one type per operation, and one that holds any of them.

mod answer;
mod call;
mod curl;
mod keystore;
mod remedy;
mod token;

use std::fmt;

use crate::answer::{ApiError, Reason};

pub use answer::{AnswerError, IntegrityFault, ShapeFault};
pub use call::{ActionError, CallError};
pub use curl::CurlError;
pub use keystore::KeystoreError;
pub use remedy::Remedy;
pub use token::{BlockError, TokenFault};

/// Any error of this crate, for callers that do not need the error of a single operation.
///
/// No variant carries secret data. Its text is the inner error's text. `docs/errors.md` in the repository explains each
/// failure, its cost and its remedy.
#[non_exhaustive]
#[derive(Debug)]
pub enum Error {
    /// The core failed: a key, a PIN or a time is invalid.
    Core(mixin_pin_core::Error),
    /// The keystore cannot be used.
    Keystore(KeystoreError),
    /// The request cannot be prepared. Nothing was sent.
    Call(CallError),
    /// The answer is a refusal, or cannot be trusted or read.
    Answer(AnswerError),
    /// The token of a received request is refused.
    Token(TokenFault),
    /// The PIN block of a received request is refused.
    Block(BlockError),
    /// The `curl` command cannot be read.
    Curl(CurlError),
}

impl Error {
    /// What to do about it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Call(error) => error.remedy(),
            Self::Answer(error) => error.remedy(),
            Self::Core(_) | Self::Keystore(_) | Self::Token(_) | Self::Block(_) | Self::Curl(_) => Remedy::Mend,
        }
    }

    /// The error that Mixin's API reported, if it reported one.
    pub const fn api_error(&self) -> Option<&ApiError> {
        match self {
            Self::Answer(error) => error.api_error(),
            _ => None,
        }
    }

    /// The reason of a refusal: see [`ApiError::reason`].
    pub fn reason(&self) -> Option<Reason> {
        self.api_error()?.reason()
    }

    /// The PIN attempts left today: see [`ApiError::tries_left`].
    pub fn tries_left(&self) -> Option<u32> {
        self.api_error()?.tries_left()
    }

    /// The time from which a new attempt makes sense: see [`ApiError::retry_at`].
    pub fn retry_at(&self) -> Option<mixin_pin_core::UnixTime> {
        self.api_error()?.retry_at()
    }

    /// How long to wait from the answer on: see [`AnswerError::retry_after`].
    pub const fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Self::Answer(error) => error.retry_after(),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(error) => error.fmt(f),
            Self::Keystore(error) => error.fmt(f),
            Self::Call(error) => error.fmt(f),
            Self::Answer(error) => error.fmt(f),
            Self::Token(fault) => fault.fmt(f),
            Self::Block(error) => error.fmt(f),
            Self::Curl(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    /// Skips the inner error, whose text this error shows as its own.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Core(error) => error.source(),
            Self::Keystore(error) => error.source(),
            Self::Call(error) => error.source(),
            Self::Answer(error) => error.source(),
            Self::Token(fault) => fault.source(),
            Self::Block(error) => error.source(),
            Self::Curl(error) => error.source(),
        }
    }
}

impl From<mixin_pin_core::Error> for Error {
    fn from(error: mixin_pin_core::Error) -> Self {
        Self::Core(error)
    }
}

impl From<KeystoreError> for Error {
    fn from(error: KeystoreError) -> Self {
        Self::Keystore(error)
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<ActionError> for Error {
    fn from(error: ActionError) -> Self {
        Self::Call(error.into())
    }
}

impl From<AnswerError> for Error {
    fn from(error: AnswerError) -> Self {
        Self::Answer(error)
    }
}

impl From<TokenFault> for Error {
    fn from(fault: TokenFault) -> Self {
        Self::Token(fault)
    }
}

impl From<BlockError> for Error {
    fn from(error: BlockError) -> Self {
        Self::Block(error)
    }
}

impl From<CurlError> for Error {
    fn from(error: CurlError) -> Self {
        Self::Curl(error)
    }
}
