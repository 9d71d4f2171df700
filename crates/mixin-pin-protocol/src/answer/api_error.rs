//! The error object in Mixin's envelope.

use std::fmt;
use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use serde::Deserialize;
use serde_json::Value;

use super::{ErrorCode, Reason};
use crate::object::{or_default, read_from_objects_only};
use crate::{Remedy, Shown, TokenFault};

/// A failure that Mixin's API reports.
///
/// ```
/// use mixin_pin_protocol::answer::{Answer, ErrorCode, User};
/// use mixin_pin_protocol::{AnswerError, core::uuid::Uuid};
///
/// let id = Uuid::from_u128(7);
/// let body = br#"{"error":{"status":202,"code":429,"description":"Too Many Requests."}}"#;
/// let id_text = id.to_string();
/// let answer = Answer { status: 202, request_id: Some(&id_text), integrity_token: None, retry_after: None, body };
/// let Err(AnswerError::Refusal(error)) = answer.read::<User>(id) else { panic!("a refusal") };
/// assert_eq!(error.code, ErrorCode::TooManyRequests);
/// assert_eq!(
///     error.to_string(),
///     "Mixin refused the call with code 429 (Too Many Requests.); wait; after wrong PINs wait 24 hours, because another \
///      try can lengthen the lock",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(remote = "Self")]
pub struct ApiError {
    /// The status inside the envelope, mostly 202. It is 0 if the envelope has no status.
    #[serde(default, deserialize_with = "or_default")]
    pub status: u16,
    /// What went wrong.
    pub code: ErrorCode,
    /// Mixin's description.
    #[serde(default, deserialize_with = "or_default")]
    pub description: String,
    /// Details: an object, a text, or absent.
    #[serde(default)]
    pub extra: Option<Value>,
    /// The id of the request that was answered so. [`Answer::read`](super::Answer::read) sets it.
    #[serde(skip)]
    pub request_id: Option<Uuid>,
    /// How long to wait, by the answer's header `Retry-After`. [`Answer::read`](super::Answer::read) sets it.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
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
    /// its token (401), its iterator (20119) or too many requests (429), or because the first copy still locks what it needs
    /// (10105). So this is true for these codes, unless a known [`Reason`] excludes a copy.
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
        let may_be = matches!(
            self.code,
            ErrorCode::Unauthorized | ErrorCode::PinIncorrect | ErrorCode::TooManyRequests | ErrorCode::Other(10_105)
        );
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
            Some(Reason::Session | Reason::Token(TokenFault::Algorithm | TokenFault::Signature)) => {
                "another key may have replaced the keystore's: look for the newer keystore; the same call will fail again"
            }
            None if self.code == ErrorCode::PinIncorrect => {
                "the PIN, its iterator or its encryption was refused, and the answer does not say which; do not try again \
                 blindly: a wrong PIN costs one of the day's tries"
            }
            _ => self.code.advice(),
        }
    }

    /// Code, description (or else the cause) and `extra`, as part of a sentence.
    pub(crate) const fn facts(&self) -> Facts<'_> {
        Facts(self)
    }
}

pub(crate) struct Facts<'e>(&'e ApiError);

impl fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ApiError { code, description, extra, .. } = self.0;
        write!(f, "code {}", code.as_u32())?;
        match code.cause() {
            _ if !description.is_empty() => write!(f, " ({})", Shown(description))?,
            Some(cause) => write!(f, " ({cause})")?,
            None => {}
        }
        extra.as_ref().map_or(Ok(()), |extra| write!(f, ", extra {}", Shown(&extra.to_string())))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mixin refused the call with {}; ", self.facts())?;
        match self.retry_after {
            Some(pause) => write!(f, "wait {}, as the server asks", Pause(pause)),
            None => f.write_str(self.advice()),
        }
    }
}

read_from_objects_only!(ApiError);

/// The time that a server asks to wait, rounded up to a unit that suits it.
pub(crate) struct Pause(pub(crate) Duration);

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs().saturating_add(u64::from(self.0.subsec_nanos() > 0));
        let (count, unit) = match seconds {
            0..120 => (seconds, "second"),
            120..7_200 => (seconds.div_ceil(60), "minute"),
            _ => (seconds.div_ceil(3_600), "hour"),
        };
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
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
        assert!(error(r#"{"code":10105}"#).may_answer_a_copy());
        for code in [400, 403, 404, 10_002, 10_104, 20_117, 20_118] {
            assert!(!error(&format!(r#"{{"code":{code}}}"#)).may_answer_a_copy(), "{code}");
        }
    }

    #[test]
    fn a_servers_text_stays_on_its_line() {
        let error = error(r#"{"code":20117,"description":"a\n\u001b[2J\u202eb","extra":{"\u009b":"\u2028"}}"#);
        let text = error.to_string();
        assert!(!text.contains(Shown::escapes) && text.contains(r"a\n\u{1b}[2J\u{202e}b"), "{text}");
    }

    #[test]
    fn null_is_as_good_as_absent() {
        let null = error(r#"{"status":null,"code":20119,"description":null,"extra":null,"new":null}"#);
        assert_eq!(null, error(r#"{"code":20119}"#));
        assert!(serde_json::from_str::<ApiError>(r#"{"code":null}"#).is_err());
    }

    #[test]
    fn a_refusal_without_a_description_is_explained() {
        let text = error(r#"{"code":20117,"description":""}"#).to_string();
        assert_eq!(text, "Mixin refused the call with code 20117 (the balance is too small); top it up, or send less");
    }

    #[test]
    fn a_refusal_that_a_replaced_key_gets_tells_to_look_for_the_newer_keystore() {
        for reason in ["session", "token_algorithm", "token_signature"] {
            let advice = error(&format!(r#"{{"code":401,"extra":{{"reason":"{reason}"}}}}"#)).advice();
            assert!(advice.contains("newer keystore"), "{reason}: {advice}");
        }
    }

    #[test]
    fn a_pause_is_shown_in_a_suitable_unit() {
        let text = |millis| Pause(Duration::from_millis(millis)).to_string();
        assert_eq!([text(0), text(1), text(30_000)], ["0 seconds", "1 second", "30 seconds"]);
        assert_eq!([text(119_001), text(7_199_000), text(86_400_000)], ["2 minutes", "120 minutes", "24 hours"]);
    }
}
