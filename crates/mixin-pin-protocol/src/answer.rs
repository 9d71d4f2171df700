//! Reads answers: the envelope, its data, and error codes.
//!
//! Mixin's failures arrive with HTTP 200 or 202, so the body decides, not the status.

mod api_error;
mod data;
mod error_code;
mod form;
mod reason;
mod session;

use std::time::Duration;

use mixin_pin_core::token::{RequestHash, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use serde_json::{Map, Value};

use crate::call::PreparedRequest;
use crate::check::ReceivedToken;
use crate::object::read_from_objects_only;
use crate::{AnswerError, IntegrityFault, ShapeFault};

pub use api_error::ApiError;
pub(crate) use api_error::Pause;
pub use data::{LogEntry, User};
pub use error_code::ErrorCode;
pub use reason::Reason;
pub use session::{App, AppRegistration, NewSession, UserSession};

/// The largest body that a transport should read, in bytes.
pub const MAX_BODY_LEN: usize = 1 << 20;

/// An answer as a transport received it.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The header `X-Request-Id`.
    pub request_id: Option<&'a str>,
    /// The header `X-Integrity-Token`, which signs the answers to OAuth sessions.
    pub integrity_token: Option<&'a str>,
    /// The header `Retry-After`, as the time from the answer on.
    pub retry_after: Option<Duration>,
    /// The whole body.
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// Reads the answer to the request with the id `sent`.
    ///
    /// An empty object counts as one with `data` null: so Mixin answers calls that return nothing.
    ///
    /// ```
    /// use mixin_pin_protocol::answer::{Answer, User};
    /// use mixin_pin_protocol::core::uuid::Uuid;
    ///
    /// let id = Uuid::from_u128(7);
    /// let body = br#"{"data":{"type":"user","user_id":"06aed1e3-bd77-4a59-991a-5bb5ae6fbb09","has_pin":true}}"#;
    /// let id_text = id.to_string();
    /// let answer = Answer { status: 200, request_id: Some(&id_text), integrity_token: None, retry_after: None, body };
    /// assert!(answer.read::<User>(id)?.has_pin);
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`AnswerError::Refusal`] for a documented refusal that arrived with HTTP 20x: the request changed nothing.
    /// [`AnswerError::Failure`] for any other error in Mixin's envelope, and another [`AnswerError`] for an answer that cannot
    /// be trusted or read: the call may have been carried out.
    pub fn read<T: DeserializeOwned>(&self, sent: Uuid) -> Result<T, AnswerError> {
        let named = self.request_id.map(|text| text.trim().parse::<Uuid>());
        if named.as_ref().is_some_and(|id| id.as_ref() != Ok(&sent)) {
            return Err(AnswerError::RequestIdMismatch);
        }
        let status = self.status;
        let envelope = self.envelope()?;
        if envelope.data.is_none() && envelope.error.is_none() && (status >= 500 || self.is_limited()) {
            return Err(self.trouble());
        }
        // Mixin answers and refuses with HTTP 20x. With another status the envelope may be a gateway's.
        let is_mixins = (200..210).contains(&status);
        if envelope.error.is_some() && envelope.data.as_ref().is_some_and(|data| !data.is_null()) {
            return Err(AnswerError::Shape { status, fault: ShapeFault::DataAndError });
        }
        let error = envelope.error.map(|error| {
            let is_refusal = is_mixins && error.code.is_refusal();
            let error = Box::new(ApiError { request_id: Some(sent), retry_after: self.retry_after, ..error });
            (if is_refusal { AnswerError::Refusal } else { AnswerError::Failure })(error)
        });
        // The API always repeats the id. A server in front of it does not know the id, so an answer without one is accepted
        // only if it leaves the outcome unknown.
        let is_trouble = (status >= 500 || self.is_limited()) && error.is_some();
        if named.is_none() && !is_trouble {
            return Err(AnswerError::RequestIdMissing);
        }
        if let Some(error) = error {
            return Err(error);
        }
        let strange = |fault| AnswerError::Shape { status, fault };
        match envelope.data {
            Some(data) if is_mixins => form::read(&data, "data").map_err(strange),
            Some(_) if status >= 500 => Err(self.trouble()),
            Some(_) => Err(strange(ShapeFault::Status)),
            None if is_mixins && self.is_blank() => form::read(&Value::Null, "data").map_err(strange),
            None => Err(strange(ShapeFault::NoData)),
        }
    }

    /// Whether a server refused the request for now, by its HTTP status.
    const fn is_limited(&self) -> bool {
        self.status == 429
    }

    /// Whether the body is an object without fields, which [`Answer::read`] takes for `null`. Mixin's pages call it empty JSON
    /// (MixinNetwork/developers.mixin.one: `developers-docs/docs/api/messages/send.md`), and another server of Mixin's
    /// answers so (MixinNetwork/supergroup.mixin.one: `views/response.go`).
    pub fn is_blank(&self) -> bool {
        serde_json::from_slice::<Map<String, Value>>(self.body).is_ok_and(|fields| fields.is_empty())
    }

    /// A server in front of the API refused or failed.
    const fn trouble(&self) -> AnswerError {
        let Self { status, retry_after, .. } = *self;
        if self.is_limited() || retry_after.is_some() {
            AnswerError::TryLater { status, retry_after }
        } else {
            AnswerError::Server { status }
        }
    }

    /// Reads the answer to an OAuth session's request, after verifying its `X-Integrity-Token` under the session's
    /// [`server_key`]: signature, request id, and hash of method, path and answer.
    ///
    /// The token's times are not checked, because the unique request id ties it to this exchange. A refusal with code 401
    /// may come without a token: a server that does not know the session cannot sign for it.
    ///
    /// [`server_key`]: mixin_pin_core::OAuthSession::server_key
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::answer::{Answer, User};
    /// use mixin_pin_protocol::core::UnixTime;
    /// use mixin_pin_protocol::{AnswerError, Error, IntegrityFault, keystore::Keystore, oauth::OAuthCalls};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-oauth.json");
    /// let session = Keystore::parse(KEYSTORE.as_bytes())?.into_oauth_session()?;
    /// let mut rng = UnwrapErr(SysRng);
    /// let sent = OAuthCalls::new(&session, UnixTime::from_secs(1_700_000_000), &mut rng).me()?;
    /// let sent = sent.sign(session.signer(), &mut rng)?;
    /// let id = sent.request_id().to_string();
    /// // `integrity_token` is the header `X-Integrity-Token`.
    /// let body = br#"{"data":{}}"#;
    /// let answer = Answer { status: 200, request_id: Some(&id), integrity_token: None, retry_after: None, body };
    /// let read = answer.read_signed::<User>(&sent, session.server_key());
    /// assert_eq!(read, Err(AnswerError::Integrity(IntegrityFault::Missing)));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`AnswerError::Integrity`] when the answer is not signed as it must be, else as [`Answer::read`].
    pub fn read_signed<T: DeserializeOwned>(
        &self,
        sent: &PreparedRequest,
        key: &VerifyingKey,
    ) -> Result<T, AnswerError> {
        if self.integrity_token.is_some() {
            self.check_integrity(sent, key)?;
            return self.read(sent.request_id());
        }
        match self.read::<IgnoredAny>(sent.request_id()) {
            Err(AnswerError::Refusal(error)) if error.code != ErrorCode::Unauthorized => {
                Err(AnswerError::Integrity(IntegrityFault::Missing))
            }
            // The reason is unsigned. With it, a change would count as certainly refused.
            Err(AnswerError::Refusal(error)) if !sent.is_read() => {
                Err(AnswerError::Refusal(Box::new(ApiError { extra: None, ..*error })))
            }
            Err(error) => Err(error),
            Ok(_) => Err(AnswerError::Integrity(IntegrityFault::Missing)),
        }
    }

    fn check_integrity(&self, sent: &PreparedRequest, key: &VerifyingKey) -> Result<(), AnswerError> {
        #[derive(Deserialize)]
        struct Claims {
            jti: Uuid,
            sig: String,
        }
        let fault = |fault| Err(AnswerError::Integrity(fault));
        let token = ReceivedToken::parse(self.integrity_token.unwrap_or_default());
        let claims = token.as_ref().ok().and_then(|token| Claims::deserialize(token.raw_claims()).ok());
        let (Ok(token), Some(claims)) = (token, claims) else { return fault(IntegrityFault::Format) };
        if token.verify(key).is_err() {
            return fault(IntegrityFault::Signature);
        }
        if claims.jti != sent.request_id() {
            return fault(IntegrityFault::RequestId);
        }
        let hash = RequestHash::of(sent.method(), sent.path(), self.body);
        if RequestHash::from_hex(&claims.sig) != Some(hash) {
            return fault(IntegrityFault::AnswerHash);
        }
        Ok(())
    }

    fn envelope(&self) -> Result<Envelope, AnswerError> {
        // As text first, because the parser does not check the UTF-8 of strings that it skips.
        match std::str::from_utf8(self.body) {
            Ok(text) => serde_json::from_str(text).map_err(|error| self.unreadable(error.classify() == Category::Eof)),
            Err(error) => Err(self.unreadable(error.error_len().is_none())),
        }
    }

    /// Why the body is not an envelope.
    fn unreadable(&self, is_cut_off: bool) -> AnswerError {
        let (status, body) = (self.status, self.body.trim_ascii());
        if status >= 500 || self.is_limited() {
            self.trouble()
        } else if body.is_empty() {
            AnswerError::Empty { status }
        } else if body.starts_with(b"<") {
            AnswerError::Html { status }
        } else if is_cut_off {
            AnswerError::CutOff { status }
        } else if std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok()) {
            // A field that is there twice, or a number that is too large for a `Value`, has no place to be named.
            let fault = serde_json::from_slice(body).ok().and_then(|value| form::read::<Envelope>(&value, "").err());
            AnswerError::Shape { status, fault: fault.unwrap_or(ShapeFault::Value { field: String::new() }) }
        } else {
            AnswerError::NotJson { status }
        }
    }
}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct Envelope {
    /// None if it is absent. `null` is a complete answer to some calls.
    #[serde(default, deserialize_with = "present")]
    data: Option<Value>,
    #[serde(default)]
    error: Option<ApiError>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

read_from_objects_only!(Envelope);

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Uuid = Uuid::from_u128(0xdcc6_37dd);

    fn read(status: u16, request_id: Option<&str>, body: &str) -> Result<User, AnswerError> {
        Answer { status, request_id, integrity_token: None, retry_after: None, body: body.as_bytes() }.read(SENT)
    }

    fn read_ours(status: u16, body: &str) -> Result<User, AnswerError> {
        read(status, Some(&SENT.to_string()), body)
    }

    const USER: &str = r#"{"data":{"user_id":"06aed1e3-bd77-4a59-991a-5bb5ae6fbb09","session_id":"","new":[1]}}"#;

    #[test]
    fn the_user_is_read_and_unknown_fields_are_ignored() {
        let user = read_ours(200, USER).unwrap();
        assert_eq!((user.has_pin, user.session_id), (false, None));
    }

    #[test]
    fn extra_may_be_absent_a_text_or_an_object() {
        for (extra, expected) in [
            ("", None),
            (r#","extra":"once more""#, Some(Value::from("once more"))),
            (r#","extra":{"reason":"pin"}"#, Some(serde_json::json!({"reason": "pin"}))),
        ] {
            let body = format!(r#"{{"error":{{"status":202,"code":20119,"description":"PIN incorrect."{extra}}}}}"#);
            let AnswerError::Refusal(error) = read_ours(202, &body).unwrap_err() else { panic!("{body}") };
            assert_eq!((error.code, &error.extra), (ErrorCode::PinIncorrect, &expected));
            assert!(AnswerError::Refusal(error).is_refusal());
        }
    }

    #[test]
    fn each_invalid_answer_has_its_own_error() {
        let kind = |field: &str, found| ShapeFault::Kind { field: field.into(), found };
        let shape = |fault| AnswerError::Shape { status: 200, fault };
        let cases = [
            (200, "", AnswerError::Empty { status: 200 }),
            (200, "  \n", AnswerError::Empty { status: 200 }),
            (403, "<html><body>Forbidden</body></html>", AnswerError::Html { status: 403 }),
            (200, &USER[..40], AnswerError::CutOff { status: 200 }),
            (200, "nothing here", AnswerError::NotJson { status: 200 }),
            (200, "[]", shape(kind("", "a list"))),
            (200, "7", shape(kind("", "a number"))),
            (200, "{}", shape(kind("data", "null"))),
            (302, "{}", AnswerError::Shape { status: 302, fault: ShapeFault::NoData }),
            (200, r#"{"error":null}"#, shape(ShapeFault::NoData)),
            (200, r#"{"message":"hello"}"#, shape(ShapeFault::NoData)),
            (200, r#"{"data":null}"#, shape(kind("data", "null"))),
            (200, r#"{"data":[]}"#, shape(kind("data", "a list"))),
            (200, r#"{"data":{"ok":1},"error":{"code":10002}}"#, shape(ShapeFault::DataAndError)),
            (200, r#"{"data":{"user_id":"seven"}}"#, shape(ShapeFault::Value { field: "data.user_id".into() })),
            (200, r#"{"data":{"user_id":null}}"#, shape(kind("data.user_id", "null"))),
            (200, r#"{"data":{"has_pin":true}}"#, shape(ShapeFault::Missing { field: "data.user_id".into() })),
            (200, r#"{"error":"secret"}"#, shape(kind("error", "text"))),
            (200, r#"{"error":{"status":202}}"#, shape(ShapeFault::Missing { field: "error.code".into() })),
            (200, r#"{"error":{"code":"secret"}}"#, shape(kind("error.code", "text"))),
            (200, r#"{"error":{"code":1,"code":2}}"#, shape(ShapeFault::Value { field: String::new() })),
            (403, USER, AnswerError::Shape { status: 403, fault: ShapeFault::Status }),
            (502, "<html>", AnswerError::Server { status: 502 }),
            (502, "{}", AnswerError::Server { status: 502 }),
            (429, "<html>", AnswerError::TryLater { status: 429, retry_after: None }),
            (429, r#"{"message":"slow down"}"#, AnswerError::TryLater { status: 429, retry_after: None }),
        ];
        for (status, body, expected) in cases {
            let error = read_ours(status, body).unwrap_err();
            assert_eq!(error, expected, "{body}");
            assert!(!error.is_refusal() && !error.to_string().contains("secret"));
        }
    }

    #[test]
    fn an_answer_may_be_null() {
        let id = SENT.to_string();
        let read = |body: &str| {
            Answer {
                status: 200,
                request_id: Some(&id),
                integrity_token: None,
                retry_after: None,
                body: body.as_bytes(),
            }
            .read::<Value>(SENT)
        };
        for body in [r#"{"data":null}"#, "{}", " { }\n"] {
            assert_eq!(read(body), Ok(Value::Null), "{body}");
        }
        assert!(matches!(read(r#"{"data":null,"error":{"code":10002}}"#), Err(AnswerError::Refusal(_))));
        assert_eq!(read(r#"{"error":null}"#), Err(AnswerError::Shape { status: 200, fault: ShapeFault::NoData }));
    }

    #[test]
    fn a_body_that_is_no_text_is_not_json() {
        let body = |inside: &[u8]| [br#"{"error":{"code":20119,"unknown":""#, inside, br#""}}"#].concat();
        let answer = |status, body: &[u8]| {
            let id = SENT.to_string();
            Answer { status, request_id: Some(&id), integrity_token: None, retry_after: None, body }
                .read::<User>(SENT)
                .unwrap_err()
        };
        assert!(answer(202, &body(b"x")).is_refusal());
        assert_eq!(answer(202, &body(b"\xd7x")), AnswerError::NotJson { status: 202 });
        assert_eq!(answer(502, &body(b"\xd7x")), AnswerError::Server { status: 502 });
        assert_eq!(answer(202, b"{\"data\":\"\xc3"), AnswerError::CutOff { status: 202 });
        assert_eq!(answer(403, b"<p>\xe9</p>"), AnswerError::Html { status: 403 });
    }

    #[test]
    fn an_array_does_not_count_as_an_object() {
        let id = "06aed1e3-bd77-4a59-991a-5bb5ae6fbb09";
        for body in ["[8,[0,2]]", "[null,[202,20119]]", r#"{"error":[202,20119]}"#, &format!(r#"{{"data":["{id}"]}}"#)]
        {
            assert!(matches!(read_ours(202, body), Err(AnswerError::Shape { status: 202, .. })), "{body}");
        }
        let named = Some(SENT.to_string());
        let logs = |body: &[u8]| {
            Answer { status: 200, request_id: named.as_deref(), integrity_token: None, retry_after: None, body }
                .read::<Vec<LogEntry>>(SENT)
        };
        let fault = ShapeFault::Kind { field: "data[0]".into(), found: "a list" };
        assert_eq!(logs(br#"{"data":[["seven"]]}"#), Err(AnswerError::Shape { status: 200, fault }));
        for body in [r#"{"data":[{"log_id":"seven","code":null}]}"#, r#"{"data":{"log_id":"seven"},"error":null}"#] {
            assert_eq!(logs(body.as_bytes()).unwrap()[0].log_id, "seven");
        }
        assert_eq!(logs(br#"{"data":null}"#), Ok(vec![]));
        let fault = ShapeFault::Missing { field: "data[0].log_id".into() };
        assert_eq!(logs(br#"{"data":{"code":"secret"}}"#), Err(AnswerError::Shape { status: 200, fault }));
    }

    #[test]
    fn an_answer_may_say_how_long_to_wait() {
        let wait = Some(Duration::from_secs(30));
        let read = |status, request_id: Option<&str>, body: &str| {
            Answer { status, request_id, integrity_token: None, retry_after: wait, body: body.as_bytes() }
                .read::<User>(SENT)
                .unwrap_err()
        };
        for status in [429, 500, 503, 504] {
            for body in ["<html>", "", "slow", "{}", r#"{"message":"slow"}"#] {
                assert_eq!(read(status, None, body), AnswerError::TryLater { status, retry_after: wait }, "{body}");
            }
        }
        assert_eq!(read(403, None, "<html>"), AnswerError::Html { status: 403 });
        // Even if the first line is Mixin's, the HTTP status is not that of a refusal.
        for (status, id) in [(429, None), (503, None), (429, Some(SENT))] {
            let id = id.map(|id| id.to_string());
            let error = read(status, id.as_deref(), r#"{"error":{"code":429}}"#);
            assert!(matches!(error, AnswerError::Failure(_)) && error.retry_after() == wait, "{error:?}");
        }
        let refused = read(202, Some(&SENT.to_string()), r#"{"error":{"code":429}}"#);
        assert!(refused.is_refusal() && refused.retry_after() == wait);
        assert!(refused.to_string().ends_with("; wait 30 seconds, as the server asks"), "{refused}");
    }

    #[test]
    fn an_error_has_the_id_of_its_request() {
        for code in [20_119, 504] {
            let error = read_ours(202, &format!(r#"{{"error":{{"code":{code},"request_id":"x"}}}}"#)).unwrap_err();
            assert_eq!(error.api_error().unwrap().request_id, Some(SENT), "{code}");
        }
    }

    #[test]
    fn an_answer_with_another_request_id_or_none_is_refused() {
        assert_eq!(read(200, Some(&Uuid::nil().to_string()), USER), Err(AnswerError::RequestIdMismatch));
        assert_eq!(read(200, Some("no id"), USER), Err(AnswerError::RequestIdMismatch));
        assert_eq!(read(200, None, USER), Err(AnswerError::RequestIdMissing));
        assert_eq!(read(503, None, "down"), Err(AnswerError::Server { status: 503 }));
        // Success and refusal must be certain, whatever the status.
        let refusal = r#"{"error":{"status":202,"code":20118,"description":"PIN format"}}"#;
        assert!(!read(503, None, refusal).unwrap_err().is_refusal());
        assert_eq!(read(202, None, refusal), Err(AnswerError::RequestIdMissing));
        assert_eq!(read(503, None, USER), Err(AnswerError::RequestIdMissing));
        assert!(matches!(read(503, None, r#"{"error":{"code":504}}"#), Err(AnswerError::Failure(_))));
    }

    #[test]
    fn only_a_documented_code_with_http_20x_is_a_refusal() {
        let error = |http: u16, code: u32| {
            read_ours(http, &format!(r#"{{"error":{{"status":202,"code":{code},"description":"d"}}}}"#)).unwrap_err()
        };
        for http in [200, 202] {
            for code in [400, 401, 403, 404, 429, 10_002, 10_006, 20_117, 20_118, 20_119] {
                assert!(matches!(error(http, code), AnswerError::Refusal(_)), "{http} {code}");
            }
            for code in [0, 408, 409, 500, 502, 503, 504, 7000, 7001, 7002, 10_001, 10_106, 20_125, 99_999] {
                let error = error(http, code);
                assert!(matches!(error, AnswerError::Failure(_)) && !error.is_refusal(), "{http} {code}");
            }
        }
        for http in [100, 199, 210, 301, 400, 401, 403, 408, 409, 429, 500, 502, 503, 504] {
            assert!(!read_ours(http, USER).unwrap_err().is_refusal(), "{http}");
            for code in [401, 10_001, 20_119, 99_999] {
                assert!(!error(http, code).is_refusal(), "{http} {code}");
            }
        }
    }
}
