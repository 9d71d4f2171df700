//! What was asked and what came of it, for tests that compare it with what a client believes.

use std::fmt;

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_protocol::check::{ReceivedRequest, ReceivedToken};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::reply::Reply;

/// How many bytes are told of what a client may send at any length; an ellipsis stands for the rest.
const MAX_BODY_LEN: usize = 64 << 10;
const MAX_PATH_LEN: usize = 4 << 10;
const MAX_USER_AGENT_LEN: usize = 512;
const MAX_CIPHERTEXT_LEN: usize = 512;
const MAX_METHOD_LEN: usize = 16;

/// A request and its verdict. Texts that a client may send at any length are cut, with an ellipsis for the rest.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use mixin_pin_sandbox::{Config, Observation, ObservedPin, Sandbox};
///
/// let seen: Arc<Mutex<Vec<Observation>>> = Arc::default();
/// let kept = Arc::clone(&seen);
/// let observer = Arc::new(move |observation: &Observation| kept.lock().unwrap().push(observation.clone()));
/// let sandbox = Sandbox::start(&Config { observer: Some(observer), ..Config::default() })?;
/// // … the client under test makes its calls …
/// sandbox.stop()?;
/// let sent: Vec<ObservedPin> = seen.lock().unwrap().iter().flat_map(|call| call.pins.clone()).collect();
/// assert!(sent.iter().enumerate().all(|(at, pin)| !sent[..at].contains(pin)), "a PIN was sent twice");
/// assert!(seen.lock().unwrap().iter().all(Observation::is_done));
/// # Ok::<(), mixin_pin_sandbox::Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// When it was judged, by the sandbox's clock.
    pub at: UnixTime,
    /// `GET`, `POST`, ….
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The header `X-Request-Id`, where it is an id.
    pub request_id: Option<Uuid>,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// The session that the token claims, whether it holds or not.
    pub session_id: Option<Uuid>,
    /// The body, which holds the encrypted PINs; 64 KiB of it at most. Where one of its PINs may be in the clear, all of its
    /// digits are blotted out.
    pub body: String,
    /// The encrypted PINs in the body, in the order in which they are judged.
    pub pins: Vec<ObservedPin>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The error's code; None where there is none.
    pub code: Option<u32>,
    /// The error's `extra.reason`.
    pub reason: Option<String>,
}

impl Observation {
    /// Whether the request was carried out.
    pub const fn is_done(&self) -> bool {
        self.code.is_none()
    }
}

/// An encrypted PIN as it arrived.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedPin {
    /// The field's text, whose digits are blotted out where it is no encrypted PIN.
    pub ciphertext: String,
    /// The iterator that was spent; None unless the call was carried out.
    pub iterator: Option<u64>,
}

/// The fields that carry encrypted PINs, in the order in which they are judged, without what the TIP era appended.
const PIN_FIELDS: [(&str, &str); 4] =
    [("old_pin", "old_pin"), ("old_pin_base64", "old_pin"), ("pin", "pin"), ("pin_base64", "pin")];
/// Stands for a digit of what may be a PIN in the clear.
const BLOT: char = '·';

impl Observation {
    /// Opens nothing: of what is encrypted it knows what the reply to a call that was carried out tells.
    pub(crate) fn of(request: &ReceivedRequest<'_>, user_agent: Option<&str>, reply: &Reply, at: UnixTime) -> Self {
        let token = request.token().and_then(ReceivedToken::parse);
        let fields: Map<String, Value> = serde_json::from_slice(request.body).unwrap_or_default();
        let body = String::from_utf8_lossy(request.body);
        let body = if hides_its_pins(request.body) { body } else { blotted(&body).into() };
        let mut pins = Vec::new();
        for (name, field) in PIN_FIELDS {
            let Some(text) = fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()) else { continue };
            let spent = reply.iterators.iter().find(|(spent, _)| *spent == field);
            pins.push(ObservedPin {
                ciphertext: if is_encrypted(text) {
                    shortened(text, MAX_CIPHERTEXT_LEN)
                } else {
                    shortened(&blotted(text), MAX_CIPHERTEXT_LEN)
                },
                iterator: spent.map(|(_, iterator)| *iterator),
            });
        }
        let answer: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        let error = &answer["error"];
        Self {
            at,
            method: shortened(request.method, MAX_METHOD_LEN),
            path: shortened(request.path, MAX_PATH_LEN),
            request_id: request.request_id.and_then(|id| id.parse().ok()),
            user_agent: user_agent.map(|text| shortened(text, MAX_USER_AGENT_LEN)),
            session_id: token.and_then(|token| token.claims()).ok().map(|claims| claims.sid),
            body: shortened(&body, MAX_BODY_LEN),
            pins,
            status: reply.status,
            code: error["code"].as_u64().and_then(|code| u32::try_from(code).ok()),
            reason: error["extra"]["reason"].as_str().map(str::to_owned),
        }
    }
}

/// The beginning of a text that may be long, with an ellipsis for the rest.
pub(crate) fn shortened(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

fn blotted(text: &str) -> String {
    text.chars().map(|letter| if letter.is_numeric() { BLOT } else { letter }).collect()
}

/// Whether a text is long enough for an encrypted PIN, and of no other letters than Base64's; the digits alone are none.
fn is_encrypted(text: &str) -> bool {
    const SHORTEST: usize = 64;
    text.len() >= SHORTEST
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte))
        && !text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a body is a JSON object whose fields for PINs, as often as there are any, are encrypted PINs or hold no digit.
fn hides_its_pins(body: &[u8]) -> bool {
    let is_object = body.trim_ascii_start().starts_with(b"{");
    body.is_empty() || is_object && serde_json::from_slice(body).is_ok_and(|HidesPins(hides)| hides)
}

/// Whether no field for a PIN, at any depth and under any name that says so, holds one in the clear. Unlike a map, it sees
/// each of the fields that have one name.
struct HidesPins(bool);

impl<'de> Deserialize<'de> for HidesPins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HidesPinsVisitor)
    }
}

struct HidesPinsVisitor;

impl<'de> Visitor<'de> for HidesPinsVisitor {
    type Value = HidesPins;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<HidesPins, A::Error> {
        let mut hides = true;
        while let Some(name) = fields.next_key::<String>()? {
            hides &= if name.to_ascii_lowercase().contains("pin") {
                match fields.next_value()? {
                    Value::Null | Value::Bool(_) => true,
                    Value::String(text) => is_encrypted(&text) || !text.contains(char::is_numeric),
                    Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
                }
            } else {
                fields.next_value::<HidesPins>()?.0
            };
        }
        Ok(HidesPins(hides))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<HidesPins, A::Error> {
        let mut hides = true;
        while let Some(HidesPins(element)) = elements.next_element()? {
            hides &= element;
        }
        Ok(HidesPins(hides))
    }

    fn visit_str<E>(self, _: &str) -> Result<HidesPins, E> {
        Ok(HidesPins(true))
    }

    fn visit_bool<E>(self, _: bool) -> Result<HidesPins, E> {
        Ok(HidesPins(true))
    }

    fn visit_u64<E>(self, _: u64) -> Result<HidesPins, E> {
        Ok(HidesPins(true))
    }

    fn visit_i64<E>(self, _: i64) -> Result<HidesPins, E> {
        Ok(HidesPins(true))
    }

    fn visit_f64<E>(self, _: f64) -> Result<HidesPins, E> {
        Ok(HidesPins(true))
    }

    fn visit_unit<E>(self) -> Result<HidesPins, E> {
        Ok(HidesPins(true))
    }
}

#[cfg(test)]
mod tests {
    use mixin_pin_protocol::answer::ErrorCode;
    use serde_json::json;

    use super::*;
    use crate::reply::{Done, Refusal};

    fn observed(path: &str, body: &str, reply: &Reply) -> Observation {
        let request =
            ReceivedRequest { method: "POST", path, body: body.as_bytes(), authorization: None, request_id: None };
        Observation::of(&request, Some(path), reply, UnixTime::from_secs(0))
    }

    #[test]
    fn iterators_stand_beside_their_own_fields() {
        let done = Done::from(json!({})).with_iterator("pin", 7);
        let seen = observed("/x", r#"{"old_pin_base64":"A","pin":"B","x":1}"#, &Ok(done).into());
        let told: Vec<_> = seen.pins.iter().map(|pin| (pin.ciphertext.as_str(), pin.iterator)).collect();
        assert_eq!(told, [("A", None), ("B", Some(7))]);
    }

    #[test]
    fn a_pin_in_the_clear_is_not_told() {
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
            let told = format!("{} {:?}", seen.body, seen.pins);
            assert!(!told.contains(|letter: char| letter.is_ascii_digit()), "{told:.200}");
            assert!(seen.body.len() <= MAX_BODY_LEN + "…".len());
        }
    }

    #[test]
    fn what_holds_no_pin_in_the_clear_is_told_as_it_was_sent() {
        let done = Reply::from(Ok(Done::from(json!({}))));
        let encrypted = format!("{}739146{}", "A".repeat(61), "_-+/==");
        let bodies = [
            format!(r#"{{"pin":"{encrypted}","amount":"123456"}}"#),
            format!(r#"{{"old_pin":"","pin_base64":"{encrypted}","x":[1,null,{{"amount":654321}}]}}"#),
            format!(r#" {{"old_pin":null,"pin":"{encrypted}"}} "#),
            r#"{"amount":"123456","shipping":true}"#.to_owned(),
        ];
        for body in bodies {
            assert_eq!(observed("/x", &body, &done).body, body);
        }
    }

    #[test]
    fn what_is_long_is_cut_between_letters() {
        let refused: Reply = Refusal::new(ErrorCode::NotFound, "endpoint").into();
        let long = "ä".repeat(1 << 18);
        let seen = observed(&long, &json!({ "pin": long }).to_string(), &refused);
        let lengths = [seen.path.len(), seen.user_agent.unwrap().len(), seen.pins[0].ciphertext.len(), seen.body.len()];
        let most = [MAX_PATH_LEN, MAX_USER_AGENT_LEN, MAX_CIPHERTEXT_LEN, MAX_BODY_LEN];
        assert!(lengths.iter().zip(most).all(|(len, most)| *len <= most + "…".len()), "{lengths:?}");
        assert!(seen.path.ends_with("ä…") && !seen.body.contains(char::REPLACEMENT_CHARACTER));
        assert_eq!(shortened("äx", 3), "äx");
        assert_eq!(shortened("xä", 2), "x…");
        assert_eq!(shortened("ä", 0), "…");
    }
}
