//! What can go wrong while a request is prepared.

use std::error::Error as StdError;
use std::fmt;

use mixin_pin_core::SignerError;

use super::Remedy;

/// Why a request cannot be prepared. Nothing was sent.
#[non_exhaustive]
#[derive(Debug)]
pub enum CallError {
    /// The time or the token's lifetime is out of range.
    Core(mixin_pin_core::Error),
    /// The signer of the token or of a TIP action failed. Contains the signer's error.
    Signer(SignerError),
    /// The nonce source failed. Contains the source's error.
    Nonce(Box<dyn StdError + Send + Sync>),
    /// The nonce source gave the new PIN an iterator that is not greater than the old PIN's.
    NonceOrder,
    /// The method is not one to sixteen capital letters.
    Method,
    /// The path does not start with a slash, is too long, or has characters that a URL may not have.
    Path,
    /// The body is not JSON.
    BodyNotJson,
    /// A GET or HEAD request has a body.
    BodyOfRead,
    /// The body already has a PIN field.
    PinField,
    /// A request of an OAuth session has a PIN field.
    OAuthPin,
    /// The session to be upgraded is not an RSA session.
    NotRsa,
    /// The TIP key's counter has no successor.
    TipCounter,
    /// A page of the log must have 1 to 100 entries.
    LogLimit,
    /// The TIP action does not fit the request.
    Action(ActionError),
}

impl CallError {
    /// What to do about it.
    pub const fn remedy(&self) -> Remedy {
        match self {
            // What the source or the signer says is unknown here, and nothing was sent.
            Self::Nonce(_) | Self::Signer(_) => Remedy::TryAgain,
            _ => Remedy::Mend,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Core(error) => return error.fmt(f),
            Self::Signer(error) => return error.fmt(f),
            Self::Action(error) => return error.fmt(f),
            Self::Nonce(_) => "the nonce source failed, nothing was sent; see its own error",
            Self::NonceOrder => "the nonce source gave iterators that do not rise; repair it before the next call",
            Self::Method => "the method must be one to sixteen capital letters",
            Self::Path => {
                "the path must start with a slash and have only characters of a URL, 32 KiB at most, and no segment \
                 . or ..; percent-encode blanks, #, quotes, <, >, \\, ^, `, {, |, }, letters beyond ASCII, and a % that encodes nothing"
            }
            Self::BodyNotJson => "the body must be JSON",
            Self::BodyOfRead => "a GET or HEAD has no body; put its parameters into the path's query",
            Self::PinField => "the body has a pin or pin_base64 already; leave that field out",
            Self::OAuthPin => {
                "an OAuth session has no PIN: leave pin and pin_base64 out, or use a keystore of your own session"
            }
            Self::NotRsa => "the session has an Ed25519 key already, and only an RSA session can be upgraded; use it as it is",
            Self::TipCounter => "the TIP key's counter is at its maximum; no other key can follow",
            Self::LogLimit => "the limit of log entries must be 1 to 100",
        })
    }
}

impl StdError for CallError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Core(error) => error.source(),
            Self::Signer(error) => error.source(),
            Self::Action(error) => error.source(),
            Self::Nonce(cause) => Some(&**cause),
            _ => None,
        }
    }
}

impl From<mixin_pin_core::Error> for CallError {
    fn from(error: mixin_pin_core::Error) -> Self {
        Self::Core(error)
    }
}

impl From<SignerError> for CallError {
    fn from(error: SignerError) -> Self {
        Self::Signer(error)
    }
}

impl From<ActionError> for CallError {
    fn from(error: ActionError) -> Self {
        Self::Action(error)
    }
}

/// Why a request and its TIP action do not fit.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionError {
    /// The request lacks a field of its TIP action, or has it in another form.
    Field {
        /// The prefix of the action that its path asks for, for example `TIP:TRANSFER:CREATE:`.
        asked: &'static str,
        /// The field.
        field: &'static str,
    },
    /// The given TIP action is not the one that path and body ask for.
    Mismatch {
        /// The prefix of the action that they ask for, for example `TIP:TRANSFER:CREATE:`.
        asked: &'static str,
        /// The prefix of the given action.
        given: &'static str,
        /// The first parameter that differs. None for another action.
        field: Option<&'static str>,
    },
    /// The request has an id or an amount in another form than the one that is signed.
    Form {
        /// The prefix of the action that the path asks for.
        asked: &'static str,
        /// The field.
        field: &'static str,
    },
    /// An encrypted salt is not base64.
    Salt,
    /// The path may ask for a TIP action, but is not written as Mixin writes it.
    Path,
}

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field { asked, field } => {
                let asked = asked.trim_end_matches(':');
                write!(
                    f,
                    "the path asks for {asked}, and {field} is missing or has the wrong form; correct the request"
                )
            }
            Self::Mismatch { asked, given, field } => {
                let (asked, given) = (asked.trim_end_matches(':'), given.trim_end_matches(':'));
                write!(f, "path and body ask for {asked}")?;
                match field {
                    Some(field) => write!(f, " with another {field} than the TIP action has")?,
                    None if asked == given => f.write_str(", and the TIP action is another of that name")?,
                    None => write!(f, ", and the TIP action is {given}")?,
                }
                f.write_str(", so its signature would not permit the request; make them agree")
            }
            Self::Form { asked, field } => {
                let asked = asked.trim_end_matches(':');
                write!(
                    f,
                    "the request has {field} in another form than the signature of {asked} covers; write ids in lowercase \
                     with hyphens, and amounts without needless zeros"
                )
            }
            Self::Salt => f.write_str("an encrypted salt must be base64; take salt_base64 as the wallet made it"),
            Self::Path => f.write_str(
                "the path is not written as Mixin writes it, so its TIP action cannot be determined: use POST, \
                 lowercase letters and single slashes, without dots, percent signs or a slash at the end",
            ),
        }
    }
}

impl StdError for ActionError {}
