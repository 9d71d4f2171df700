//! How Mixin says no: codes, and the object around them.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::object::read_from_objects_only;

/// A failure that Mixin's API reports.
///
/// ```
/// use mixin_pin_protocol::answer::{Answer, ErrorCode, User};
/// use mixin_pin_protocol::{Error, core::uuid::Uuid};
///
/// let id = Uuid::from_u128(7);
/// let body = br#"{"error":{"status":202,"code":429,"description":"Too Many Requests."}}"#;
/// let answer = Answer { status: 202, request_id: Some(&id.to_string()), integrity_token: None, body };
/// let Err(Error::Api(error)) = answer.read::<User>(id) else { panic!("a refusal") };
/// assert_eq!(error.code, ErrorCode::TooManyRequests);
/// assert_eq!(
///     error.to_string(),
///     "Mixin refused the call with code 429 (Too Many Requests.); wait; for a PIN call the day's tries are spent",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(remote = "Self")]
pub struct ApiError {
    /// The status inside the envelope, mostly 202.
    #[serde(default)]
    pub status: u16,
    /// What went wrong.
    pub code: ErrorCode,
    /// Mixin's own words.
    #[serde(default)]
    pub description: String,
    /// More of it: an object, a text, or absent.
    #[serde(default)]
    pub extra: Option<Value>,
}

impl ApiError {
    /// Whether the server says that it saw this request, or a later iterator, before.
    ///
    /// A client that sends each request once, and holds its session meanwhile, meets this when somebody on the way sent
    /// the request twice: the first copy may have been carried out, and this is the answer to the second.
    pub fn is_echo(&self) -> bool {
        matches!(self.reason(), Some("iterator" | "request_repeated"))
    }

    /// What to do about it, as half a sentence: by the reason in `extra` where there is one, as the sandbox gives, else by
    /// the code.
    ///
    /// ```
    /// use mixin_pin_protocol::answer::{ApiError, ErrorCode};
    ///
    /// let error: ApiError = serde_json::from_str(r#"{"code":20119,"extra":{"reason":"no_pin_set"}}"#).unwrap();
    /// assert_eq!(error.code, ErrorCode::PinIncorrect);
    /// assert_eq!(error.advice(), "no PIN is set yet: create one");
    /// assert!(!error.is_echo()); // seen for the first time
    /// ```
    pub fn advice(&self) -> &'static str {
        match (self.code, self.reason()) {
            (ErrorCode::PinIncorrect, Some("no_pin_set")) => "no PIN is set yet: create one",
            (ErrorCode::PinIncorrect, Some("old_pin_needed")) => "a PIN is set already: change it, with the old one",
            (ErrorCode::PinIncorrect, Some("timestamp")) => "set the clock right: the PIN was not looked at",
            (code, _) => code.advice(),
        }
    }

    fn reason(&self) -> Option<&str> {
        self.extra.as_ref()?.get("reason")?.as_str()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mixin refused the call with code {}", self.code.as_u32())?;
        if !self.description.is_empty() {
            write!(f, " ({})", self.description)?;
        }
        if let Some(extra) = &self.extra {
            write!(f, ", extra {extra}")?;
        }
        write!(f, "; {}", self.advice())
    }
}

read_from_objects_only!(ApiError);

/// The codes that a PIN client meets. What each cost and what to do about it is in the book, `docs/errors.md`; the command prints
/// the same: `mixin-pin explain 20119`.
///
/// ```
/// use mixin_pin_protocol::answer::ErrorCode;
///
/// assert_eq!(ErrorCode::from(20119), ErrorCode::PinIncorrect);
/// assert_eq!(ErrorCode::Server(7000).as_u32(), 7000);
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// 400: the body is no valid data.
    BadRequest,
    /// 401: token bad, expired, of another session, or for another request.
    Unauthorized,
    /// 403
    Forbidden,
    /// 404: no such endpoint.
    NotFound,
    /// 429: too many requests; for a PIN, the day's tries are spent.
    TooManyRequests,
    /// 10002: a field is invalid, see `extra`.
    InvalidField,
    /// 10006: the client is too old.
    ClientTooOld,
    /// 20113: the phone code is wrong.
    PhoneCodeInvalid,
    /// 20114: the phone code has expired.
    PhoneCodeExpired,
    /// 20118: not the format of a PIN.
    PinFormat,
    /// 20119: PIN wrong, or its encryption or iterator.
    PinIncorrect,
    /// 500, 7000 or 7001: server trouble; what was asked may have been done.
    Server(u32),
    /// Any other code.
    Other(u32),
}

impl ErrorCode {
    /// The number.
    pub const fn as_u32(self) -> u32 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::TooManyRequests => 429,
            Self::InvalidField => 10_002,
            Self::ClientTooOld => 10_006,
            Self::PhoneCodeInvalid => 20_113,
            Self::PhoneCodeExpired => 20_114,
            Self::PinFormat => 20_118,
            Self::PinIncorrect => 20_119,
            Self::Server(code) | Self::Other(code) => code,
        }
    }

    /// What to do about it, as half a sentence.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::BadRequest | Self::InvalidField => "correct the call",
            Self::Unauthorized => "check keystore and clock; trying the same again will not help",
            Self::Forbidden => "this session may not do that",
            Self::NotFound => "check method, path and API address",
            Self::TooManyRequests => "wait; for a PIN call the day's tries are spent",
            Self::ClientTooOld => "update this software",
            Self::PhoneCodeInvalid | Self::PhoneCodeExpired => "ask for a new code",
            Self::PinFormat => "check the form of the PIN",
            Self::PinIncorrect => "do not try again blindly: a wrong PIN costs one of the day's tries",
            Self::Server(_) => "the server failed; look before trying again, for the call may have been carried out",
            Self::Other(_) => "see Mixin's documentation for this code",
        }
    }
}

impl From<u32> for ErrorCode {
    fn from(code: u32) -> Self {
        match code {
            400 => Self::BadRequest,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            429 => Self::TooManyRequests,
            10_002 => Self::InvalidField,
            10_006 => Self::ClientTooOld,
            20_113 => Self::PhoneCodeInvalid,
            20_114 => Self::PhoneCodeExpired,
            20_118 => Self::PinFormat,
            20_119 => Self::PinIncorrect,
            500 | 7000 | 7001 => Self::Server(code),
            _ => Self::Other(code),
        }
    }
}

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_survive_the_way_through_the_enum() {
        for code in
            [0, 400, 401, 403, 404, 429, 500, 7000, 7001, 10_002, 10_006, 20_113, 20_114, 20_118, 20_119, 99_999]
        {
            assert_eq!(ErrorCode::from(code).as_u32(), code);
        }
    }
}
