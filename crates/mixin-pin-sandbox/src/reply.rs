//! Answers in Mixin's envelope: `data`, or an `error` with HTTP status 202.

use serde_json::{Value, json};

use mixin_pin_protocol::answer::ErrorCode;

use crate::Error;

/// How a call ends: done, or early. A handler's `?` returns either kind of early end.
pub(crate) type Answer = Result<Success, HandlerError>;

/// Why a call ended early.
#[derive(Debug)]
pub(crate) enum HandlerError {
    /// The call is answered with an error. Its transaction is committed.
    Refused(Refusal),
    /// The sandbox failed. The transaction is rolled back.
    Failed(Error),
}

impl From<Refusal> for HandlerError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for HandlerError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<mixin_pin_core::Error> for HandlerError {
    fn from(error: mixin_pin_core::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// An answer before it becomes HTTP.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Signs answers to OAuth sessions.
    pub(crate) integrity_token: Option<String>,
    /// The iterators that the call spent, each with its field. Empty for refusals.
    pub(crate) iterators: Vec<(&'static str, u64)>,
}

impl Reply {
    /// # Errors
    /// The sandbox's own failure, if the call ended with one.
    pub(crate) fn of(answer: Answer) -> Result<Self, Error> {
        match answer {
            Ok(Success { data, iterators }) => Ok(Self { iterators, ..Self::new(200, &json!({ "data": data })) }),
            Err(HandlerError::Refused(refusal)) => Ok(refusal.into()),
            Err(HandlerError::Failed(error)) => Err(error),
        }
    }

    fn new(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string(), integrity_token: None, iterators: Vec::new() }
    }

    /// A failure of the sandbox itself: the only answer with HTTP status 500.
    pub(crate) fn internal_error() -> Self {
        let error = json!({ "status": 500, "code": 500, "description": "Internal Server Error" });
        Self::new(500, &json!({ "error": error }))
    }
}

/// The result of a call that succeeded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Success {
    data: Value,
    iterators: Vec<(&'static str, u64)>,
}

impl Success {
    /// Adds an iterator that the call spent, for the observer. `field` is `pin` or `old_pin`.
    pub(crate) fn with_iterator(mut self, field: &'static str, iterator: u64) -> Self {
        self.iterators.push((field, iterator));
        self
    }
}

impl From<Value> for Success {
    fn from(data: Value) -> Self {
        Self { data, iterators: Vec::new() }
    }
}

/// A refusal: its code, and the reason in `extra`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    code: ErrorCode,
    extra: Value,
}

impl Refusal {
    pub(crate) fn new(code: ErrorCode, reason: &str) -> Self {
        Self { code, extra: json!({ "reason": reason }) }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra[name] = value.into();
        self
    }

    /// A field of the body is missing or invalid.
    pub(crate) fn field(field: &str, reason: &str) -> Self {
        Self::new(ErrorCode::InvalidField, reason).with("field", field)
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        // In the words of Mixin's list (developers.mixin.one: `api/error-codes.md`, `api/_docs/a-beginning/errors.md`).
        let description = match refusal.code.as_u32() {
            400 => "The request body can't be parsed as valid data.",
            401 => "Unauthorized, maybe invalid token.",
            403 => "Forbidden.",
            404 => "The endpoint is not found.",
            429 => "Too Many Requests.",
            10_002 => "The request data has invalid field.",
            20_118 => "Invalid PIN format.",
            20_119 => "PIN incorrect.",
            20_120 => "Transfer amount too small.",
            20_125 => "Transfer has been paid by someone else.",
            20_127 => "Withdraw amount too small.",
            20_150 => "Receivers contain duplicate or invalid data.",
            _ => "Error.",
        };
        let error = json!({
            "status": 202,
            "code": refusal.code.as_u32(),
            "description": description,
            "extra": refusal.extra,
        });
        Self::new(202, &json!({ "error": error }))
    }
}
