//! What was asked and what came of it, for tests that compare it with what a client believes.

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Pin, UnixTime};
use mixin_pin_protocol::check::{ReceivedRequest, ReceivedToken};
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
    /// The body, which holds the encrypted PINs; 64 KiB of it at most. A PIN in the clear is blotted out.
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
    /// The field's text.
    pub ciphertext: String,
    /// The iterator that was spent; None unless the call was carried out.
    pub iterator: Option<u64>,
}

/// The fields that carry encrypted PINs, in the order in which they are judged, without what the TIP era appended.
const PIN_FIELDS: [(&str, &str); 4] =
    [("old_pin", "old_pin"), ("old_pin_base64", "old_pin"), ("pin", "pin"), ("pin_base64", "pin")];
/// Stands where a client sent a PIN in the clear.
const HIDDEN: &str = "······";

impl Observation {
    /// Opens nothing: of what is sealed it knows what the reply to a call that was carried out tells.
    pub(crate) fn of(request: &ReceivedRequest<'_>, user_agent: Option<&str>, reply: &Reply, at: UnixTime) -> Self {
        let token = request.token().and_then(ReceivedToken::parse);
        let fields: Map<String, Value> = serde_json::from_slice(request.body).unwrap_or_default();
        let mut body = shortened(request.body, MAX_BODY_LEN);
        let mut pins = Vec::new();
        for (name, field) in PIN_FIELDS {
            let Some(text) = fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()) else { continue };
            let is_clear = Pin::new(text).is_ok();
            if is_clear {
                body = body.replace(text, HIDDEN);
            }
            let spent = reply.iterators.iter().find(|(spent, _)| *spent == field);
            pins.push(ObservedPin {
                ciphertext: if is_clear { HIDDEN.to_owned() } else { shortened(text.as_bytes(), MAX_CIPHERTEXT_LEN) },
                iterator: spent.map(|(_, iterator)| *iterator),
            });
        }
        let answer: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        let error = &answer["error"];
        Self {
            at,
            method: shortened(request.method.as_bytes(), MAX_METHOD_LEN),
            path: shortened(request.path.as_bytes(), MAX_PATH_LEN),
            request_id: request.request_id.and_then(|id| id.parse().ok()),
            user_agent: user_agent.map(|text| shortened(text.as_bytes(), MAX_USER_AGENT_LEN)),
            session_id: token.and_then(|token| token.claims()).ok().map(|claims| claims.sid),
            body,
            pins,
            status: reply.status,
            code: error["code"].as_u64().and_then(|code| u32::try_from(code).ok()),
            reason: error["extra"]["reason"].as_str().map(str::to_owned),
        }
    }
}

/// The beginning of a text that may be long.
fn shortened(text: &[u8], max: usize) -> String {
    let Some(beginning) = text.get(..max).filter(|_| text.len() > max) else {
        return String::from_utf8_lossy(text).into_owned();
    };
    // The last letter may be cut.
    String::from_utf8_lossy(beginning).trim_end_matches(char::REPLACEMENT_CHARACTER).to_owned() + "…"
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
        let refused = Refusal::new(ErrorCode::PinIncorrect, "ciphertext").into();
        let seen = observed("/pin/verify", r#"{"pin":"739146","memo":"739146","other":"123456"}"#, &refused);
        assert!(!format!("{seen:?}").contains("739146"), "{seen:?}");
        assert_eq!((seen.pins.len(), seen.body.contains("123456")), (1, true));
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
        assert_eq!(shortened("äx".as_bytes(), 3), "äx");
        assert_eq!(shortened("xä".as_bytes(), 2), "x…");
    }
}
