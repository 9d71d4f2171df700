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
}

impl Reply {
    fn new(status: u16, body: &Value) -> Self {
        Self { status, body: body.to_string(), integrity_token: None }
    }

    /// A failure of the sandbox itself: the one kind that is a real HTTP 500.
    pub(crate) fn server_trouble() -> Self {
        let error = json!({ "status": 500, "code": 500, "description": "Internal Server Error" });
        Self::new(500, &json!({ "error": error }))
    }
}

impl From<Result<Value, Refusal>> for Reply {
    fn from(answer: Result<Value, Refusal>) -> Self {
        match answer {
            Ok(data) => Self::new(200, &json!({ "data": data })),
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
