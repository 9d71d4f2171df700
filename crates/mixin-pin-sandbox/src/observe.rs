//! Observations: each request and its result, for tests that compare them with what a client believes.

use std::fmt;

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_protocol::check::{ReceivedRequest, ReceivedToken};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::reply::Reply;

/// How many bytes are kept of text that a client may send at any length.
const MAX_BODY_LEN: usize = 64 << 10;
const MAX_PATH_LEN: usize = 4 << 10;
const MAX_USER_AGENT_LEN: usize = 512;
const MAX_CIPHERTEXT_LEN: usize = 512;
const MAX_METHOD_LEN: usize = 16;

/// A request and its result. Long text from clients is truncated and ends in an ellipsis.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use mixin_pin_sandbox::{Config, Observation, ObservedPin, Sandbox};
///
/// let seen: Arc<Mutex<Vec<Observation>>> = Arc::default();
/// let list = Arc::clone(&seen);
/// let observer = Arc::new(move |observation: &Observation| list.lock().unwrap().push(observation.clone()));
/// let sandbox = Sandbox::start(&Config { observer: Some(observer), ..Config::default() })?;
/// // The client under test makes its calls.
/// sandbox.stop()?;
/// let sent: Vec<ObservedPin> = seen.lock().unwrap().iter().flat_map(|call| call.pins.clone()).collect();
/// assert!(sent.iter().enumerate().all(|(at, pin)| !sent[..at].contains(pin)), "a PIN was sent twice");
/// assert!(seen.lock().unwrap().iter().all(Observation::is_done));
/// # Ok::<(), mixin_pin_sandbox::Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// When it arrived, by the sandbox's clock.
    pub at: UnixTime,
    /// `GET`, `POST`, ….
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The header `X-Request-Id`, if it is a UUID.
    pub request_id: Option<Uuid>,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// The session that the token claims, whether the token is valid or not.
    pub session_id: Option<Uuid>,
    /// The body, truncated to 64 KiB. If a PIN in it may be unencrypted, all digits are redacted.
    pub body: String,
    /// The encrypted PINs in the body, in the order in which they are checked.
    pub pins: Vec<ObservedPin>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The error's code. `None` if the call succeeded.
    pub code: Option<u32>,
    /// The error's `extra.reason`.
    pub reason: Option<String>,
}

impl Observation {
    /// Whether the call succeeded.
    pub const fn is_done(&self) -> bool {
        self.code.is_none()
    }
}

/// An encrypted PIN as it was received.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPin {
    /// The field's text. If it is not an encrypted PIN, its digits are redacted.
    pub ciphertext: String,
    /// The iterator that the call spent. `None` unless the call succeeded.
    pub iterator: Option<u64>,
}

/// The fields that hold encrypted PINs, in the order in which they are checked, and their names without the suffix that
/// TIP added.
const PIN_FIELDS: [(&str, &str); 4] =
    [("old_pin", "old_pin"), ("old_pin_base64", "old_pin"), ("pin", "pin"), ("pin_base64", "pin")];
/// Replaces a digit of what may be an unencrypted PIN.
const REDACTED_DIGIT: char = '·';

impl Observation {
    /// Decrypts nothing: the iterators come from the reply to a call that succeeded.
    pub(crate) fn of(request: &ReceivedRequest<'_>, user_agent: Option<&str>, reply: &Reply, at: UnixTime) -> Self {
        let token = request.token().and_then(ReceivedToken::parse);
        let fields: Map<String, Value> = serde_json::from_slice(request.body).unwrap_or_default();
        let body = String::from_utf8_lossy(request.body);
        let body = if has_no_plain_pin(request.body) { body } else { redacted(&body).into() };
        let mut pins = Vec::new();
        for (name, field) in PIN_FIELDS {
            // In any case: see `PinBody`.
            let value = fields.iter().find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value));
            let Some(text) = value.and_then(Value::as_str).filter(|text| !text.is_empty()) else { continue };
            let spent = reply.iterators.iter().find(|(spent, _)| *spent == field);
            pins.push(ObservedPin {
                ciphertext: if is_encrypted(text) {
                    truncated(text, MAX_CIPHERTEXT_LEN)
                } else {
                    truncated(&redacted(text), MAX_CIPHERTEXT_LEN)
                },
                iterator: spent.map(|(_, iterator)| *iterator),
            });
        }
        let answer: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        let error = &answer["error"];
        Self {
            at,
            method: truncated(request.method, MAX_METHOD_LEN),
            path: truncated(request.path, MAX_PATH_LEN),
            request_id: request.request_id.and_then(|id| id.parse().ok()),
            user_agent: user_agent.map(|text| truncated(text, MAX_USER_AGENT_LEN)),
            session_id: token.and_then(|token| token.claims()).ok().map(|claims| claims.sid),
            body: truncated(&body, MAX_BODY_LEN),
            pins,
            status: reply.status,
            code: error["code"].as_u64().and_then(|code| u32::try_from(code).ok()),
            reason: error["extra"]["reason"].as_str().map(str::to_owned),
        }
    }
}

/// The first `max` bytes at most, with an ellipsis if there is more.
pub(crate) fn truncated(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

fn redacted(text: &str) -> String {
    text.chars().map(|letter| if letter.is_numeric() { REDACTED_DIGIT } else { letter }).collect()
}

/// Whether a text is long enough for an encrypted PIN and is Base64, but not only digits.
fn is_encrypted(text: &str) -> bool {
    const SHORTEST: usize = 64;
    text.len() >= SHORTEST
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte))
        && !text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a body is a JSON object whose PIN fields hold encrypted PINs or no digits. An empty body is, too.
fn has_no_plain_pin(body: &[u8]) -> bool {
    let is_object = body.trim_ascii_start().starts_with(b"{");
    body.is_empty() || is_object && serde_json::from_slice(body).is_ok_and(|NoPlainPin(is_safe)| is_safe)
}

/// Whether no field whose name contains "pin", at any depth, holds an unencrypted PIN. Unlike a map, this sees every field
/// of a repeated name.
struct NoPlainPin(bool);

impl<'de> Deserialize<'de> for NoPlainPin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NoPlainPinVisitor)
    }
}

struct NoPlainPinVisitor;

impl<'de> Visitor<'de> for NoPlainPinVisitor {
    type Value = NoPlainPin;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<NoPlainPin, A::Error> {
        let mut is_safe = true;
        while let Some(name) = fields.next_key::<String>()? {
            is_safe &= if name.to_ascii_lowercase().contains("pin") {
                match fields.next_value()? {
                    Value::Null | Value::Bool(_) => true,
                    Value::String(text) => is_encrypted(&text) || !text.contains(char::is_numeric),
                    Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
                }
            } else {
                fields.next_value::<NoPlainPin>()?.0
            };
        }
        Ok(NoPlainPin(is_safe))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<NoPlainPin, A::Error> {
        let mut is_safe = true;
        while let Some(NoPlainPin(element)) = elements.next_element()? {
            is_safe &= element;
        }
        Ok(NoPlainPin(is_safe))
    }

    fn visit_str<E>(self, _: &str) -> Result<NoPlainPin, E> {
        Ok(NoPlainPin(true))
    }

    fn visit_bool<E>(self, _: bool) -> Result<NoPlainPin, E> {
        Ok(NoPlainPin(true))
    }

    fn visit_u64<E>(self, _: u64) -> Result<NoPlainPin, E> {
        Ok(NoPlainPin(true))
    }

    fn visit_i64<E>(self, _: i64) -> Result<NoPlainPin, E> {
        Ok(NoPlainPin(true))
    }

    fn visit_f64<E>(self, _: f64) -> Result<NoPlainPin, E> {
        Ok(NoPlainPin(true))
    }

    fn visit_unit<E>(self) -> Result<NoPlainPin, E> {
        Ok(NoPlainPin(true))
    }
}

#[cfg(test)]
mod tests {
    use mixin_pin_protocol::answer::ErrorCode;
    use serde_json::json;

    use super::*;
    use crate::reply::{Refusal, Success};

    fn observed(path: &str, body: &str, reply: &Reply) -> Observation {
        let request =
            ReceivedRequest { method: "POST", path, body: body.as_bytes(), authorization: None, request_id: None };
        Observation::of(&request, Some(path), reply, UnixTime::from_secs(0))
    }

    #[test]
    fn each_iterator_belongs_to_its_field() {
        let success = Success::from(json!({})).with_iterator("pin", 7);
        let seen = observed("/x", r#"{"old_pin_base64":"A","pin":"B","x":1}"#, &Reply::of(Ok(success)).unwrap());
        let pins: Vec<_> = seen.pins.iter().map(|pin| (pin.ciphertext.as_str(), pin.iterator)).collect();
        assert_eq!(pins, [("A", None), ("B", Some(7))]);
    }

    #[test]
    fn an_unencrypted_pin_is_redacted() {
        let encrypted = format!("{}739146{}", "A".repeat(61), "_".repeat(61));
        let long = "x".repeat(2 * MAX_BODY_LEN);
        let bodies = [
            r#"{"pin":"739146","memo":"739146"}"#,
            r#"{"pin":739146}"#,
            r#"{"pin":739146.0}"#,
            r#"{"pin":"739146 "}"#,
            r#"{"pin":"0739146"}"#,
            r#"{"pin":"7\u00339146"}"#,
            r#"{"pin":"\u0037\u0033\u0039\u0031\u0034\u0036"}"#,
            r#"{"p\u0069n":"739146"}"#,
            r#"{"pin":{"v":"739146"}}"#,
            r#"{"pin":["739146"]}"#,
            r#"{"x":{"pin":"739146"}}"#,
            r#"{"x":[{"PIN":"739146"}]}"#,
            r#"{"old_pin":"739146"}"#,
            r#"{"pin_code":"739146"}"#,
            &format!(r#"{{"pin":"{}"}}"#, "739146".repeat(20)),
            &format!(r#"{{"pin":"739146","pin":"{}"}}"#, "A".repeat(64)),
            &format!(r#"{{"pin":"{}","pin":"739146"}}"#, "A".repeat(64)),
            &format!(r#"{{"pin":"{}","old_pin":"739146"}}"#, "A".repeat(64)),
            &format!(r#"{{"memo":"739146{long}","pin":"739146"}}"#),
            &format!(r#"{{"memo":"{}739146","pin":"739146"}}"#, &long[..MAX_BODY_LEN - 12]),
            &format!(r#"[{{"pin":"{encrypted}"}}]"#),
            &format!(r#"{{"pin":"{encrypted}"}} 739146"#),
            r#"{"pin":"739146""#,
            r#""739146""#,
            "739146",
            "pin=739146",
            "pin=%37%33%39%31%34%36",
        ];
        let refused = Refusal::new(ErrorCode::PinIncorrect, "ciphertext").into();
        for body in bodies {
            let seen = observed("/pin/verify", body, &refused);
            let shown = format!("{} {:?}", seen.body, seen.pins);
            assert!(!shown.contains(|letter: char| letter.is_ascii_digit()), "{shown:.200}");
            assert!(seen.body.len() <= MAX_BODY_LEN + "…".len());
        }
    }

    #[test]
    fn a_body_without_an_unencrypted_pin_is_unchanged() {
        let success = Reply::of(Ok(json!({}).into())).unwrap();
        let encrypted = format!("{}739146{}", "A".repeat(61), "_-+/==");
        let bodies = [
            format!(r#"{{"pin":"{encrypted}","amount":"123456"}}"#),
            format!(r#"{{"old_pin":"","pin_base64":"{encrypted}","x":[1,null,{{"amount":654321}}]}}"#),
            format!(r#" {{"old_pin":null,"pin":"{encrypted}"}} "#),
            r#"{"amount":"123456","shipping":true}"#.to_owned(),
        ];
        for body in bodies {
            assert_eq!(observed("/x", &body, &success).body, body);
        }
    }

    #[test]
    fn long_text_is_truncated_between_characters() {
        let refused: Reply = Refusal::new(ErrorCode::NotFound, "endpoint").into();
        let long = "ä".repeat(1 << 18);
        let seen = observed(&long, &json!({ "pin": long }).to_string(), &refused);
        let lengths = [seen.path.len(), seen.user_agent.unwrap().len(), seen.pins[0].ciphertext.len(), seen.body.len()];
        let most = [MAX_PATH_LEN, MAX_USER_AGENT_LEN, MAX_CIPHERTEXT_LEN, MAX_BODY_LEN];
        assert!(lengths.iter().zip(most).all(|(len, most)| *len <= most + "…".len()), "{lengths:?}");
        assert!(seen.path.ends_with("ä…") && !seen.body.contains(char::REPLACEMENT_CHARACTER));
        assert_eq!(truncated("äx", 3), "äx");
        assert_eq!(truncated("xä", 2), "x…");
        assert_eq!(truncated("ä", 0), "…");
    }
}
