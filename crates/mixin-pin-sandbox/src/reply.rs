//! Answers in Mixin's envelope: `data`, or an `error` with HTTP status 202.

use serde_json::{Value, json};

use mixin_pin_protocol::answer::ErrorCode;

/// An answer, before it is HTTP.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) fn data(data: &Value) -> Self {
        Self { status: 200, body: json!({ "data": data }) }
    }

    /// A failure of the sandbox itself: the one kind that is a real HTTP 500.
    pub(crate) fn server_trouble() -> Self {
        Self {
            status: 500,
            body: json!({ "error": { "status": 500, "code": 500, "description": "Internal Server Error" } }),
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
        Self {
            status: 202,
            body: json!({
                "error": {
                    "status": 202,
                    "code": refusal.code.as_u32(),
                    "description": description,
                    "extra": refusal.extra,
                }
            }),
        }
    }
}
