//! What was asked and what came of it, for tests that compare it with what a client believes.

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{EncryptedPin, UnixTime};
use mixin_pin_protocol::check::{ReceivedRequest, ReceivedToken};
use serde_json::{Map, Value};

use crate::Error;
use crate::reply::Reply;
use crate::store::Db;

/// A request and its verdict.
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
    /// The session that the token claims.
    pub session_id: Option<Uuid>,
    /// The body, which holds the encrypted PINs.
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
    /// The iterator inside; None where it does not open.
    pub iterator: Option<u64>,
}

impl Observation {
    pub(crate) fn of(
        db: &Db<'_>,
        request: &ReceivedRequest<'_>,
        user_agent: Option<&str>,
        reply: &Reply,
        at: UnixTime,
    ) -> Result<Self, Error> {
        let token = request.token().and_then(ReceivedToken::parse);
        let session_id = token.and_then(|token| token.claims()).ok().map(|claims| claims.sid);
        let user = session_id.map(|id| db.user_of_session(id)).transpose()?.flatten();
        let fields: Map<String, Value> = serde_json::from_slice(request.body).unwrap_or_default();
        let pin = |field: &str| {
            let ciphertext = fields.get(field)?.as_str().filter(|text| !text.is_empty())?.to_owned();
            let sealed = EncryptedPin::from_base64(&ciphertext).ok();
            let iterator = sealed.and_then(|sealed| user.as_ref()?.pin_key.open(&sealed).ok());
            Some(ObservedPin { ciphertext, iterator: iterator.map(|block| block.iterator()) })
        };
        let answer: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        let error = &answer["error"];
        Ok(Self {
            at,
            method: request.method.to_owned(),
            path: request.path.to_owned(),
            request_id: request.request_id.and_then(|id| id.parse().ok()),
            user_agent: user_agent.map(str::to_owned),
            session_id,
            body: String::from_utf8_lossy(request.body).into_owned(),
            pins: ["old_pin", "old_pin_base64", "pin", "pin_base64"].into_iter().filter_map(pin).collect(),
            status: reply.status,
            code: error["code"].as_u64().and_then(|code| u32::try_from(code).ok()),
            reason: error["extra"]["reason"].as_str().map(str::to_owned),
        })
    }
}
