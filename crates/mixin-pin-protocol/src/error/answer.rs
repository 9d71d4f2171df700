//! What can go wrong with an answer.

use std::fmt;
use std::time::Duration;

use super::Remedy;
use crate::answer::{ApiError, ErrorCode, Pause, Reason};

/// Why an answer is not a success.
///
/// Only [`AnswerError::Refusal`] means that this copy of the request changed nothing. After any other variant a call that
/// changes something may have been carried out. The text does not say so, because it cannot know whether the call does.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub enum AnswerError {
    /// Mixin refused the call with a code that it documents as a refusal.
    Refusal(Box<ApiError>),
    /// An error in Mixin's envelope that is not a documented refusal.
    Failure(Box<ApiError>),
    /// The answer to an OAuth session is not signed as it must be.
    Integrity(IntegrityFault),
    /// A server refuses requests for now: it limits their number, or asks to come back later. It is usually one in front of
    /// the API. The call may have reached the API.
    TryLater {
        /// The HTTP status: 429, or 500 to 599 with a header `Retry-After`.
        status: u16,
        /// How long to wait, if the header `Retry-After` says so.
        retry_after: Option<Duration>,
    },
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
    /// The answer is JSON of an unexpected form.
    Shape {
        /// The HTTP status.
        status: u16,
        /// What was unexpected.
        fault: ShapeFault,
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
    ///     Answer { status, request_id: Some(&id), integrity_token: None, retry_after: None, body }
    ///         .read::<User>(sent)
    ///         .unwrap_err()
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

    /// What to do about it. A failure that is not a refusal leaves the outcome of a change unknown: [`Remedy::Alert`], even
    /// if the server asks to come back later.
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

    /// How long to wait from the answer on, if its header `Retry-After` says so.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refusal(error) | Self::Failure(error) => error.retry_after,
            Self::TryLater { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refusal(error) => error.fmt(f),
            Self::Failure(error) => failure(error, f),
            Self::Integrity(fault) => fault.fmt(f),
            Self::TryLater { status, retry_after } => {
                let what = if *status == 429 { "limits requests" } else { "is out of service" };
                write!(f, "the API, or a server in front of it, {what} (HTTP {status}); wait ")?;
                match retry_after {
                    Some(pause) => write!(f, "{}, as it asks", Pause(*pause)),
                    None => f.write_str("a while"),
                }
            }
            Self::Server { status } => {
                write!(f, "the API, or a server in front of it, failed (HTTP {status})")
            }
            Self::RequestIdMissing => {
                f.write_str("the answer does not say which request it answers; look for a proxy on the way")
            }
            Self::RequestIdMismatch => {
                f.write_str("the answer belongs to another request; look for a cache on the way")
            }
            Self::Empty { status } => {
                write!(f, "the answer (HTTP {status}) is empty; check the API address and any proxy on the way")
            }
            Self::Html { status } => {
                write!(f, "the answer (HTTP {status}) is a web page; check the API address and any proxy on the way")
            }
            Self::NotJson { status } => {
                write!(f, "the answer (HTTP {status}) is not JSON; check the API address and any proxy on the way")
            }
            Self::CutOff { status } => {
                write!(f, "the answer (HTTP {status}) ends in the middle; check the network and any proxy on the way")
            }
            Self::Shape { status, fault } => {
                let step = if fault.is_in_data() {
                    "look for a newer version of this software"
                } else {
                    "check the API address and any proxy on the way"
                };
                write!(f, "the answer (HTTP {status}) is JSON of an unexpected form: {fault}; {step}")
            }
        }
    }
}

/// Describes an error that is not a refusal. If the call changes something, its outcome is unknown.
fn failure(error: &ApiError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let facts = error.facts();
    match (error.code, error.code.cause()) {
        (ErrorCode::Server(_), _) => write!(f, "Mixin's server failed with {facts}")?,
        (code, _) if code.is_refusal() => write!(
            f,
            "the answer reports {facts}, but not with the HTTP status of Mixin's refusals; look for a proxy on the way"
        )?,
        (code, Some(cause)) => write!(f, "the answer reports {facts}: {cause}; {}", code.advice())?,
        (_, None) => write!(f, "the answer reports {facts}, which none of Mixin's lists explains")?,
    }
    error.retry_after.map_or(Ok(()), |pause| write!(f, "; wait {}, as the server asks", Pause(pause)))
}

// The text includes the inner error's text, so `source` does not repeat it.
impl std::error::Error for AnswerError {}

/// What was unexpected in an answer's JSON. It names fields, but no value.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShapeFault {
    /// It has neither `data` nor `error`.
    NoData,
    /// It has both `data` and `error`.
    DataAndError,
    /// It has `data`, but the HTTP status is not that of a success.
    Status,
    /// A field is absent.
    Missing {
        /// The field, such as `data.user_id`.
        field: String,
    },
    /// A field is of another kind.
    Kind {
        /// The field. Empty for the whole answer.
        field: String,
        /// What it is: `null`, `text`, `a list`, ….
        found: &'static str,
    },
    /// A field's value cannot be used.
    Value {
        /// The field. Empty if it is not known.
        field: String,
    },
}

impl ShapeFault {
    /// Whether the rest of the answer is as Mixin's are.
    fn is_in_data(&self) -> bool {
        match self {
            Self::Missing { field } | Self::Kind { field, .. } | Self::Value { field } => field.starts_with("data"),
            Self::NoData | Self::DataAndError | Self::Status => false,
        }
    }
}

impl fmt::Display for ShapeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoData => f.write_str("it has neither data nor error"),
            Self::DataAndError => f.write_str("it has both data and error"),
            Self::Status => f.write_str("it has data, but not with the HTTP status of a success"),
            Self::Missing { field } => write!(f, "it lacks {field}"),
            Self::Kind { field, found } if field.is_empty() => write!(f, "it is {found}"),
            Self::Kind { field, found } => write!(f, "its {field} is {found}"),
            Self::Value { field } if field.is_empty() => f.write_str("a field is there twice or cannot be read"),
            Self::Value { field } => write!(f, "its {field} has an unexpected value"),
        }
    }
}

impl std::error::Error for ShapeFault {}

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
