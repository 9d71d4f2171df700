//! What can go wrong with an answer.

use std::fmt;

use super::Remedy;
use crate::answer::{ApiError, Reason};

/// Why an answer is not a success.
///
/// Only [`AnswerError::Refusal`] means that this copy of the request changed nothing. After any other variant the call
/// may have been carried out.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerError {
    /// Mixin refused the call with a code that it documents as a refusal.
    Refusal(Box<ApiError>),
    /// An error in Mixin's envelope that is not a documented refusal. The call may have been carried out.
    Failure(Box<ApiError>),
    /// The answer to an OAuth session is not signed as it must be.
    Integrity(IntegrityFault),
    /// A server failed, usually one in front of the API. The call may have reached the API.
    Server {
        /// The HTTP status, 500 to 599.
        status: u16,
    },
    /// The answer does not name the request that it answers.
    RequestIdMissing,
    /// The answer belongs to another request.
    RequestIdMismatch,
    /// The answer has no body.
    Empty {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is a web page: something other than Mixin's API answered.
    Html {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is not JSON.
    NotJson {
        /// The HTTP status.
        status: u16,
    },
    /// The answer's JSON ends in the middle.
    CutOff {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is JSON with neither `data` nor `error`, or its `data` has an unexpected form.
    Shape {
        /// The HTTP status.
        status: u16,
    },
}

impl AnswerError {
    /// Whether Mixin refused this copy of the request, which then changed nothing.
    ///
    /// If a proxy sent the request twice, the refusal may be about the second copy: see
    /// [`ApiError::may_answer_a_copy`].
    ///
    /// ```
    /// use mixin_pin_protocol::answer::{Answer, User};
    /// use mixin_pin_protocol::core::uuid::Uuid;
    ///
    /// let sent = Uuid::from_u128(7);
    /// let read = |status, body: &str| {
    ///     let (id, body) = (sent.to_string(), body.as_bytes());
    ///     Answer { status, request_id: Some(&id), integrity_token: None, body }.read::<User>(sent).unwrap_err()
    /// };
    /// assert!(read(202, r#"{"error":{"code":20119}}"#).is_refusal());
    /// assert!(!read(502, "<html>Bad Gateway</html>").is_refusal()); // the call may have been carried out
    /// ```
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refusal(_))
    }

    /// The error in the answer's envelope, if any.
    pub const fn api_error(&self) -> Option<&ApiError> {
        match self {
            Self::Refusal(error) | Self::Failure(error) => Some(error),
            _ => None,
        }
    }

    /// What to do about it. A failure that is not a refusal leaves the outcome unknown: [`Remedy::Alert`].
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Refusal(error) => error.remedy(),
            _ => Remedy::Alert,
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
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refusal(error) => error.fmt(f),
            Self::Failure(error) => write!(
                f,
                "the answer reports {}, which Mixin does not document as a refusal; the call may have been carried \
                 out, so look before you make it again",
                error.facts()
            ),
            Self::Integrity(fault) => fault.fmt(f),
            Self::Server { status } => {
                write!(f, "a server failed with HTTP {status}; whether the call reached the API is not known")
            }
            Self::RequestIdMissing => {
                f.write_str("the answer does not say which request it answers; look for a proxy on the way")
            }
            Self::RequestIdMismatch => {
                f.write_str("the answer belongs to another request; look for a cache on the way")
            }
            Self::Empty { status } => write!(f, "the answer (HTTP {status}) is empty; look for a proxy on the way"),
            Self::Html { status } => {
                write!(f, "the answer (HTTP {status}) is a web page; check the API address and any proxy on the way")
            }
            Self::NotJson { status } => {
                write!(f, "the answer (HTTP {status}) is not JSON; check the API address and any proxy on the way")
            }
            Self::CutOff { status } => {
                write!(f, "the answer (HTTP {status}) ends in the middle; the connection may have been cut")
            }
            Self::Shape { status } => {
                write!(f, "the answer (HTTP {status}) is JSON of an unexpected shape; check the API address")
            }
        }
    }
}

// The text includes the inner error's text, so `source` does not repeat it.
impl std::error::Error for AnswerError {}

impl From<IntegrityFault> for AnswerError {
    fn from(fault: IntegrityFault) -> Self {
        Self::Integrity(fault)
    }
}

/// What is wrong with an answer's `X-Integrity-Token`.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegrityFault {
    /// The header is absent.
    Missing,
    /// It cannot be read.
    Format,
    /// The server's key did not sign it.
    Signature,
    /// Its `jti` is not the request's id.
    RequestId,
    /// Its `sig` is not the hash of this method, path and answer.
    AnswerHash,
}

impl fmt::Display for IntegrityFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the answer has no X-Integrity-Token, so it is not signed; do not trust it",
            Self::Format => "the answer's X-Integrity-Token cannot be read; do not trust the answer",
            Self::Signature => {
                "the answer's X-Integrity-Token is not signed by the key in the OAuth keystore; do not trust the answer"
            }
            Self::RequestId => "the answer's X-Integrity-Token belongs to another request; do not trust the answer",
            Self::AnswerHash => "the answer was changed after it was signed; do not trust it",
        })
    }
}

impl std::error::Error for IntegrityFault {}
