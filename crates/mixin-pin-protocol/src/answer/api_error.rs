//! The error object in Mixin's envelope, and its codes.

use std::fmt;

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use serde::Deserialize;
use serde_json::Value;

use super::Reason;
use crate::object::read_from_objects_only;
use crate::{Remedy, Shown};

/// A failure that Mixin's API reports.
///
/// ```
/// use mixin_pin_protocol::answer::{Answer, ErrorCode, User};
/// use mixin_pin_protocol::{AnswerError, core::uuid::Uuid};
///
/// let id = Uuid::from_u128(7);
/// let body = br#"{"error":{"status":202,"code":429,"description":"Too Many Requests."}}"#;
/// let answer = Answer { status: 202, request_id: Some(&id.to_string()), integrity_token: None, body };
/// let Err(AnswerError::Refusal(error)) = answer.read::<User>(id) else { panic!("a refusal") };
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
    /// Mixin's description.
    #[serde(default)]
    pub description: String,
    /// Details: an object, a text, or absent.
    #[serde(default)]
    pub extra: Option<Value>,
    /// The id of the request that was answered so. [`Answer::read`](super::Answer::read) sets it.
    #[serde(skip)]
    pub request_id: Option<Uuid>,
}

impl ApiError {
    /// The reason in `extra.reason`, if it is a known word.
    pub fn reason(&self) -> Option<Reason> {
        Reason::from_word(self.extra("reason")?.as_str()?)
    }

    /// The PIN attempts left today, if `extra.tries_left` says so.
    pub fn tries_left(&self) -> Option<u32> {
        self.extra("tries_left")?.as_u64()?.try_into().ok()
    }

    /// The time from which a new attempt makes sense, if `extra.retry_at` says so.
    pub fn retry_at(&self) -> Option<UnixTime> {
        self.extra("retry_at")?.as_u64().map(UnixTime::from_secs)
    }

    /// What to do about it: by the [`Reason`] if there is one, else by the code.
    pub fn remedy(&self) -> Remedy {
        match self.reason() {
            // The first copy of the request may have been carried out.
            Some(reason) if reason.is_of_a_copy() => Remedy::Alert,
            Some(Reason::Pin | Reason::Signature | Reason::NoPinSet | Reason::OldPinNeeded) => Remedy::AskOwner,
            Some(Reason::TriesSpent) => Remedy::WaitUntil,
            Some(_) => Remedy::Mend,
            None => self.code.remedy(),
        }
    }

    fn extra(&self, name: &str) -> Option<&Value> {
        self.extra.as_ref()?.get(name)
    }

    /// Whether this refusal may be about a second copy of the request, while the first copy was carried out.
    ///
    /// A proxy may send a request twice, and the answer may be the one to the second copy. Mixin refuses a copy because of
    /// its token (401), its iterator (20119) or too many requests (429). So this is true for these codes, unless a known
    /// [`Reason`] excludes a copy.
    ///
    /// ```
    /// use mixin_pin_protocol::answer::ApiError;
    ///
    /// let may_be = |json: &str| serde_json::from_str::<ApiError>(json).unwrap().may_answer_a_copy();
    /// assert!(may_be(r#"{"code":20119}"#)); // a wrong PIN, or the iterator of a copy
    /// assert!(!may_be(r#"{"code":20119,"extra":{"reason":"pin"}}"#));
    /// assert!(!may_be(r#"{"code":10002}"#)); // the first copy had the same field
    /// ```
    pub fn may_answer_a_copy(&self) -> bool {
        let may_be =
            matches!(self.code, ErrorCode::Unauthorized | ErrorCode::PinIncorrect | ErrorCode::TooManyRequests);
        self.reason().map_or(may_be, Reason::may_be_of_a_copy)
    }

    /// What to do about it, as part of a sentence for people: by the [`Reason`] if there is one, else by the code.
    pub fn advice(&self) -> &'static str {
        match self.reason() {
            Some(Reason::NoPinSet) => "no PIN is set yet: create one",
            Some(Reason::OldPinNeeded) => "a PIN is set already: change it with the old PIN",
            Some(Reason::Timestamp) => "set the clock right: the PIN was not checked",
            Some(Reason::Iterator) => {
                "the server has seen this iterator or a greater one: another client used the session, or the request was \
                 sent twice on the way; use one nonce store for all clients, or raise its iterator above the other client's"
            }
            Some(Reason::RequestRepeated) => {
                "the server has seen this request: a proxy may have sent it twice, and the first copy may have been carried \
                 out"
            }
            Some(Reason::Pin | Reason::Signature) => "a wrong PIN costs one of the day's tries",
            _ => self.code.advice(),
        }
    }

    /// Code, description and `extra`, as part of a sentence.
    pub(crate) const fn facts(&self) -> Facts<'_> {
        Facts(self)
    }
}

pub(crate) struct Facts<'e>(&'e ApiError);

impl fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ApiError { code, description, extra, .. } = self.0;
        write!(f, "code {}", code.as_u32())?;
        if !description.is_empty() {
            write!(f, " ({})", Shown(description))?;
        }
        extra.as_ref().map_or(Ok(()), |extra| write!(f, ", extra {}", Shown(&extra.to_string())))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mixin refused the call with {}; {}", self.facts(), self.advice())
    }
}

read_from_objects_only!(ApiError);

/// The codes that a PIN client meets. `docs/errors.md` in the repository explains each, and so does the command
/// `mixin-pin explain 20119`.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// 400: the body is not valid data.
    BadRequest,
    /// 401: the token is invalid, expired, of another session, or for another request.
    Unauthorized,
    /// 403: this session may not do that.
    Forbidden,
    /// 404: no such endpoint.
    NotFound,
    /// 429: too many requests; for a PIN call, the day's tries are spent.
    TooManyRequests,
    /// 10002: a field is invalid, see `extra`.
    InvalidField,
    /// 10006: the client is too old.
    ClientTooOld,
    /// 20113: the phone code is wrong.
    PhoneCodeInvalid,
    /// 20114: the phone code has expired.
    PhoneCodeExpired,
    /// 20118: the PIN has the wrong format.
    PinFormat,
    /// 20119: the PIN, its encryption or its iterator is wrong.
    PinIncorrect,
    /// 500, 7000 or 7001: the server failed. The call may have been carried out.
    Server(u32),
    /// Any other code.
    Other(u32),
}

/// The codes that Mixin documents as refusals with status 202, in its error pages of 2018 and today. Two of them are left
/// out because the call may have been carried out: 10003 (an SMS was not delivered) and 20125 (the transfer is paid).
const REFUSALS: &[u32] = &[
    400, 401, 403, 404, 429, 10_002, 10_004, 10_005, 10_006, 10_404, 20_110, 20_111, 20_112, 20_113, 20_114, 20_115,
    20_116, 20_117, 20_118, 20_119, 20_120, 20_121, 20_122, 20_123, 20_124, 20_126, 20_127, 20_128, 20_129, 20_130,
    20_131, 30_100, 30_101, 30_102, 30_103,
];

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

    /// Whether Mixin documents this code as a refusal: the request changed nothing. With any other code, such as a gateway's
    /// 504 in Mixin's envelope, the outcome is unknown.
    pub fn is_refusal(self) -> bool {
        REFUSALS.contains(&self.as_u32())
    }

    /// What to do about it.
    pub fn remedy(self) -> Remedy {
        match self {
            Self::TooManyRequests => Remedy::WaitUntil,
            // Most often the PIN is wrong. Only the owner may spend another try.
            Self::PinIncorrect | Self::PhoneCodeInvalid | Self::PhoneCodeExpired => Remedy::AskOwner,
            code if code.is_refusal() => Remedy::Mend,
            _ => Remedy::Alert,
        }
    }

    /// What to do about it, as part of a sentence for people.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::BadRequest | Self::InvalidField => "correct the call",
            Self::Unauthorized => "check keystore and clock; the same call will fail again",
            Self::Forbidden => "this session may not do that",
            Self::NotFound => "check method, path and API address",
            Self::TooManyRequests => "wait; for a PIN call the day's tries are spent",
            Self::ClientTooOld => "update this software",
            Self::PhoneCodeInvalid | Self::PhoneCodeExpired => "ask for a new code",
            Self::PinFormat => "check the form of the PIN",
            Self::PinIncorrect => {
                "the PIN, its iterator or its encryption was refused, and the answer does not say which; do not try again \
                 blindly: a wrong PIN costs one of the day's tries"
            }
            Self::Server(_) => {
                "the server failed; look before trying again, because the call may have been carried out"
            }
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

    fn error(json: &str) -> ApiError {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_refusal_without_a_known_reason_may_be_about_a_copy() {
        for code in [401, 429, 20_119] {
            for extra in
                ["", r#","extra":"once more""#, r#","extra":{"reason":"iterator too small"}"#, r#","extra":{"left":4}"#]
            {
                assert!(error(&format!(r#"{{"code":{code}{extra}}}"#)).may_answer_a_copy(), "{code} {extra}");
            }
        }
        for (code, reason) in [
            (20_119, "iterator"),
            (20_119, "timestamp"),
            (401, "request_repeated"),
            (401, "token_expired"),
            (401, "session"),
            (429, "tries_spent"),
        ] {
            assert!(error(&format!(r#"{{"code":{code},"extra":{{"reason":"{reason}"}}}}"#)).may_answer_a_copy());
        }
        for (code, reason) in [(20_119, "pin"), (20_119, "signature"), (20_119, "ciphertext"), (401, "token_signature")]
        {
            assert!(!error(&format!(r#"{{"code":{code},"extra":{{"reason":"{reason}"}}}}"#)).may_answer_a_copy());
        }
        for code in [400, 403, 404, 10_002, 20_117, 20_118] {
            assert!(!error(&format!(r#"{{"code":{code}}}"#)).may_answer_a_copy(), "{code}");
        }
    }

    #[test]
    fn undocumented_codes_are_no_refusals() {
        for code in
            [0, 200, 202, 408, 409, 500, 502, 503, 504, 7000, 7001, 7002, 10_001, 10_003, 20_125, 99_999, u32::MAX]
        {
            assert!(!ErrorCode::from(code).is_refusal(), "{code}");
        }
        assert!(REFUSALS.is_sorted() && REFUSALS.iter().all(|code| ErrorCode::from(*code).is_refusal()));
    }

    #[test]
    fn a_servers_text_stays_on_its_line() {
        let error = error(r#"{"code":20117,"description":"a\n\u001b[2J\u202eb","extra":{"\u009b":"\u2028"}}"#);
        let text = error.to_string();
        assert!(!text.contains(Shown::escapes) && text.contains(r"a\n\u{1b}[2J\u{202e}b"), "{text}");
    }

    #[test]
    fn codes_convert_to_the_enum_and_back() {
        for code in
            [0, 400, 401, 403, 404, 429, 500, 7000, 7001, 10_002, 10_006, 20_113, 20_114, 20_118, 20_119, 99_999]
        {
            assert_eq!(ErrorCode::from(code).as_u32(), code);
        }
    }
}
