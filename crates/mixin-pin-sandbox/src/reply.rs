//! Answers in Mixin's envelope: `data`, or an `error` with HTTP status 202.

use serde_json::{Value, json};

use mixin_pin_protocol::answer::ErrorCode;

/// An answer, before it is HTTP.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Signs the answers to OAuth sessions.
    pub(crate) integrity_token: Option<String>,
    /// The iterators that the call spent, each with its field. A refusal has none.
    pub(crate) iterators: Vec<(&'static str, u64)>,
}

/// What a call that was carried out is answered with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Done {
    data: Value,
    iterators: Vec<(&'static str, u64)>,
}

impl Done {
    /// Tells of an iterator that the call spent, in the field `pin` or `old_pin`.
    pub(crate) fn with_iterator(mut self, field: &'static str, iterator: u64) -> Self {
        self.iterators.push((field, iterator));
        self
    }
}

impl From<Value> for Done {
    fn from(data: Value) -> Self {
        Self { data, iterators: Vec::new() }
    }
}

impl Reply {
    fn new(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string(), integrity_token: None, iterators: Vec::new() }
    }

    /// A failure of the sandbox itself: the one kind that is a real HTTP 500.
    pub(crate) fn server_trouble() -> Self {
        let error = json!({ "status": 500, "code": 500, "description": "Internal Server Error" });
        Self::new(500, &json!({ "error": error }))
    }
}

impl From<Result<Done, Refusal>> for Reply {
    fn from(answer: Result<Done, Refusal>) -> Self {
        match answer {
            Ok(Done { data, iterators }) => Self { iterators, ..Self::new(200, &json!({ "data": data })) },
            Err(refusal) => refusal.into(),
        }
    }
}

/// A refusal: the code, and in `extra` why.
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

    /// A field of the body that is absent or of no use.
    pub(crate) fn field(field: &str, reason: &str) -> Self {
        Self::new(ErrorCode::InvalidField, reason).with("field", field)
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let description = match refusal.code {
            ErrorCode::BadRequest => "The request body can't be parsed as valid data.",
            ErrorCode::Unauthorized => "Unauthorized, maybe invalid token.",
            ErrorCode::Forbidden => "Forbidden.",
            ErrorCode::NotFound => "The endpoint is not found.",
            ErrorCode::TooManyRequests => "Too Many Requests.",
            ErrorCode::InvalidField => "Invalid field.",
            ErrorCode::PinFormat => "Invalid PIN format.",
            ErrorCode::PinIncorrect => "PIN incorrect.",
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
