//! What came back: the envelope, the user in it, and error codes.
//!
//! API failures arrive with HTTP 202 or 200, so the body decides and not the status.

use std::fmt;

use mixin_pin_core::token::{RequestHash, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::error::Category;

use crate::call::PreparedRequest;
use crate::check::ReceivedToken;
use crate::object::read_from_objects_only;
use crate::{Error, IntegrityFault};

/// The largest body that is worth reading: 1 MiB.
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
    /// The whole body.
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// Reads the answer to the request with the id `sent`.
    ///
    /// ```
    /// use mixin_pin_protocol::answer::{Answer, User};
    /// use mixin_pin_protocol::core::uuid::Uuid;
    ///
    /// let id = Uuid::from_u128(7);
    /// let body = br#"{"data":{"type":"user","user_id":"06aed1e3-bd77-4a59-991a-5bb5ae6fbb09","has_pin":true}}"#;
    /// let answer = Answer { status: 200, request_id: Some(&id.to_string()), integrity_token: None, body };
    /// assert!(answer.read::<User>(id)?.has_pin);
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Api`] when the body is an error of Mixin's, and one of `RequestId…`, `Answer…` or `ServerTrouble` when
    /// the answer cannot be trusted or read. Only the first says for certain what became of the request: see
    /// [`Error::is_refusal`].
    pub fn read<T: DeserializeOwned>(&self, sent: Uuid) -> Result<T, Error> {
        let named = self.request_id.map(|text| text.trim().parse::<Uuid>());
        if named.as_ref().is_some_and(|id| id.as_ref() != Ok(&sent)) {
            return Err(Error::RequestIdMismatch);
        }
        let envelope = self.envelope()?;
        let error = envelope.error.map(|error| Error::Api(Box::new(error)));
        // A server in front of the API does not know the id; the API always repeats it. What has none can only say that
        // nobody knows.
        let is_trouble = self.status >= 500 && error.as_ref().is_some_and(|error| !error.is_refusal());
        if named.is_none() && !is_trouble {
            return Err(Error::RequestIdMissing);
        }
        if let Some(error) = error {
            return Err(error);
        }
        let data = envelope.data.ok_or(Error::AnswerShape { status: self.status })?;
        serde_json::from_value(data).map_err(|_| Error::AnswerShape { status: self.status })
    }

    /// Reads the answer to an OAuth session's request, once its `X-Integrity-Token` was found to hold under the
    /// session's [`server_key`]: request id, and hash of method, path and answer.
    ///
    /// The token's own times are not judged: the request id, new each time, ties it to this one exchange. A refusal
    /// with code 401 may come without a token, for a server that does not know the session cannot sign for it.
    ///
    /// [`server_key`]: mixin_pin_core::OAuthSession::server_key
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::answer::{Answer, User};
    /// use mixin_pin_protocol::core::UnixTime;
    /// use mixin_pin_protocol::{Error, IntegrityFault, keystore::Keystore, oauth::OAuthCalls};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-oauth.json");
    /// let session = Keystore::parse(KEYSTORE.as_bytes())?.into_oauth_session()?;
    /// let sent = OAuthCalls::new(&session).me(UnixTime::from_secs(1_700_000_000), &mut UnwrapErr(SysRng))?;
    /// let id = sent.request_id().to_string();
    /// // A transport passes the header `X-Integrity-Token` on.
    /// let answer = Answer { status: 200, request_id: Some(&id), integrity_token: None, body: br#"{"data":{}}"# };
    /// let read = answer.read_signed::<User>(&sent, session.server_key());
    /// assert_eq!(read, Err(Error::Integrity(IntegrityFault::Missing)));
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Integrity`] when the answer is not signed as it must be, else as [`Answer::read`].
    pub fn read_signed<T: DeserializeOwned>(&self, sent: &PreparedRequest, key: &VerifyingKey) -> Result<T, Error> {
        if self.integrity_token.is_some() {
            self.check_integrity(sent, key)?;
            return self.read(sent.request_id());
        }
        match self.read::<IgnoredAny>(sent.request_id()) {
            Err(Error::Api(error)) if error.code != ErrorCode::Unauthorized => {
                Err(Error::Integrity(IntegrityFault::Missing))
            }
            Err(error) => Err(error),
            Ok(_) => Err(Error::Integrity(IntegrityFault::Missing)),
        }
    }

    fn check_integrity(&self, sent: &PreparedRequest, key: &VerifyingKey) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Claims {
            jti: Uuid,
            sig: String,
        }
        let fault = |fault| Err(Error::Integrity(fault));
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

    fn envelope(&self) -> Result<Envelope, Error> {
        // As text first: the parser does not look into strings that nobody asks for.
        match std::str::from_utf8(self.body) {
            Ok(text) => serde_json::from_str(text).map_err(|error| self.unreadable(error.classify() == Category::Eof)),
            Err(error) => Err(self.unreadable(error.error_len().is_none())),
        }
    }

    /// Why the body is no envelope, as far as can be told.
    fn unreadable(&self, is_cut_off: bool) -> Error {
        let (status, body) = (self.status, self.body.trim_ascii());
        if status >= 500 {
            Error::ServerTrouble { status }
        } else if body.is_empty() {
            Error::AnswerEmpty { status }
        } else if body.starts_with(b"<") {
            Error::AnswerHtml { status }
        } else if is_cut_off {
            Error::AnswerCutOff { status }
        } else if std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok()) {
            Error::AnswerShape { status }
        } else {
            Error::AnswerNotJson { status }
        }
    }
}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct Envelope {
    #[serde(default)]
    data: Option<Value>,
    #[serde(default)]
    error: Option<ApiError>,
}

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

/// The codes that a PIN client meets.
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

impl Error {
    /// Whether the API itself refused the call, so that nothing was changed by it.
    ///
    /// Of every other failure after a request was sent, nobody here can tell.
    ///
    /// ```
    /// use mixin_pin_protocol::answer::{Answer, User};
    /// use mixin_pin_protocol::core::uuid::Uuid;
    ///
    /// let sent = Uuid::from_u128(7);
    /// let read = |status, body: &str| {
    ///     let (id, body) = (sent.to_string(), body.as_bytes());
    ///     Answer { status, request_id: Some(&id), integrity_token: None, body }.read::<User>(sent).unwrap_err()
    /// };
    /// let refused = read(202, r#"{"error":{"code":20119}}"#);
    /// assert!(refused.is_refusal() && !refused.is_bad_answer());
    /// let lost = read(502, "<html>Bad Gateway</html>"); // the call may have been carried out
    /// assert!(!lost.is_refusal() && lost.is_bad_answer());
    /// ```
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Api(error) if !matches!(error.code, ErrorCode::Server(_)) && !error.is_echo())
    }

    /// Whether the fault is the answer's: none that can be read or trusted came back.
    pub const fn is_bad_answer(&self) -> bool {
        matches!(
            self,
            Self::ServerTrouble { .. }
                | Self::Integrity(_)
                | Self::RequestIdMissing
                | Self::RequestIdMismatch
                | Self::AnswerEmpty { .. }
                | Self::AnswerHtml { .. }
                | Self::AnswerNotJson { .. }
                | Self::AnswerCutOff { .. }
                | Self::AnswerShape { .. }
        )
    }
}

/// A user, as far as PINs are concerned. Other fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct User {
    /// The user's id.
    pub user_id: Uuid,
    /// The session that the answer is for.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient_uuid")]
    pub session_id: Option<Uuid>,
    /// The number that people know the user by.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub identity_number: String,
    /// The user's name.
    #[serde(default)]
    pub full_name: String,
    /// Whether a PIN of either kind is set.
    #[serde(default)]
    pub has_pin: bool,
    /// The TIP public key, empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tip_key_base64: String,
    /// How often the TIP key was set.
    #[serde(default)]
    pub tip_counter: u64,
    /// RSA: the wrapped PIN key, right after registration.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pin_token: String,
    /// Ed25519: the server's X25519 key, right after registration.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pin_token_base64: String,
    /// Ed25519: the server's Ed25519 key, right after registration.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server_public_key: String,
    /// When the user was registered, in RFC 3339.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub created_at: String,
}

/// Some answers carry an empty text where there is no id.
fn lenient_uuid<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// An entry of `GET /logs`.
///
/// ```
/// use mixin_pin_protocol::answer::{Answer, LogEntry};
/// use mixin_pin_protocol::core::uuid::Uuid;
///
/// let id = Uuid::from_u128(7);
/// let body = br#"{"data":[{"log_id":"1","code":"PIN_INCORRECT","ip_address":"192.0.2.1"}]}"#;
/// let answer = Answer { status: 200, request_id: Some(&id.to_string()), integrity_token: None, body };
/// let entries: Vec<LogEntry> = answer.read(id)?;
/// assert_eq!(entries[0].code, "PIN_INCORRECT");
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct LogEntry {
    /// The entry's id.
    pub log_id: String,
    /// What happened, such as `PIN_INCORRECT`.
    #[serde(default)]
    pub code: String,
    /// Where the request came from.
    #[serde(default)]
    pub ip_address: String,
    /// When, in RFC 3339.
    #[serde(default)]
    pub created_at: String,
}

read_from_objects_only!(Envelope, ApiError, User, LogEntry);

// The attribute that keeps arrays out makes what is derived for writing a plain function, too.
impl Serialize for User {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl Serialize for LogEntry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Uuid = Uuid::from_u128(0xdcc6_37dd);

    fn read(status: u16, request_id: Option<&str>, body: &str) -> Result<User, Error> {
        Answer { status, request_id, integrity_token: None, body: body.as_bytes() }.read(SENT)
    }

    fn read_ours(status: u16, body: &str) -> Result<User, Error> {
        read(status, Some(&SENT.to_string()), body)
    }

    const USER: &str = r#"{"data":{"user_id":"06aed1e3-bd77-4a59-991a-5bb5ae6fbb09","session_id":"","new":[1]}}"#;

    #[test]
    fn the_user_is_read_and_what_is_unknown_ignored() {
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
            let Error::Api(error) = read_ours(202, &body).unwrap_err() else { panic!("{body}") };
            assert_eq!((error.code, &error.extra), (ErrorCode::PinIncorrect, &expected));
            assert!(Error::Api(error).is_refusal());
        }
    }

    #[test]
    fn codes_survive_the_way_through_the_enum() {
        for code in
            [0, 400, 401, 403, 404, 429, 500, 7000, 7001, 10_002, 10_006, 20_113, 20_114, 20_118, 20_119, 99_999]
        {
            assert_eq!(ErrorCode::from(code).as_u32(), code);
        }
    }

    #[test]
    fn what_is_no_answer_says_so_in_its_own_way() {
        let cases = [
            (200, "", Error::AnswerEmpty { status: 200 }),
            (200, "  \n", Error::AnswerEmpty { status: 200 }),
            (403, "<html><body>Forbidden</body></html>", Error::AnswerHtml { status: 403 }),
            (200, &USER[..40], Error::AnswerCutOff { status: 200 }),
            (200, "nothing here", Error::AnswerNotJson { status: 200 }),
            (200, "[]", Error::AnswerShape { status: 200 }),
            (200, "{}", Error::AnswerShape { status: 200 }),
            (200, r#"{"data":{"user_id":"seven"}}"#, Error::AnswerShape { status: 200 }),
            (502, "<html>", Error::ServerTrouble { status: 502 }),
        ];
        for (status, body, expected) in cases {
            assert_eq!(read_ours(status, body).unwrap_err(), expected, "{body}");
            assert!(!expected.is_refusal());
        }
    }

    #[test]
    fn a_body_that_is_no_text_says_nothing() {
        let body = |inside: &[u8]| [br#"{"error":{"code":20119,"unknown":""#, inside, br#""}}"#].concat();
        let answer = |status, body: &[u8]| {
            let id = SENT.to_string();
            Answer { status, request_id: Some(&id), integrity_token: None, body }.read::<User>(SENT).unwrap_err()
        };
        assert!(answer(202, &body(b"x")).is_refusal());
        assert_eq!(answer(202, &body(b"\xd7x")), Error::AnswerNotJson { status: 202 });
        assert_eq!(answer(502, &body(b"\xd7x")), Error::ServerTrouble { status: 502 });
        assert_eq!(answer(202, b"{\"data\":\"\xc3"), Error::AnswerCutOff { status: 202 });
        assert_eq!(answer(403, b"<p>\xe9</p>"), Error::AnswerHtml { status: 403 });
    }

    #[test]
    fn an_array_is_no_object() {
        let id = "06aed1e3-bd77-4a59-991a-5bb5ae6fbb09";
        for body in ["[8,[0,2]]", "[null,[202,20119]]", r#"{"error":[202,20119]}"#, &format!(r#"{{"data":["{id}"]}}"#)]
        {
            assert_eq!(read_ours(202, body), Err(Error::AnswerShape { status: 202 }), "{body}");
        }
        let named = Some(SENT.to_string());
        let logs = |body: &[u8]| {
            Answer { status: 200, request_id: named.as_deref(), integrity_token: None, body }
                .read::<Vec<LogEntry>>(SENT)
        };
        assert_eq!(logs(br#"{"data":[["seven"]]}"#), Err(Error::AnswerShape { status: 200 }));
        assert_eq!(logs(br#"{"data":[{"log_id":"seven"}]}"#).unwrap()[0].log_id, "seven");
    }

    #[test]
    fn an_answer_to_another_request_or_to_none_is_refused() {
        assert_eq!(read(200, Some(&Uuid::nil().to_string()), USER), Err(Error::RequestIdMismatch));
        assert_eq!(read(200, Some("no id"), USER), Err(Error::RequestIdMismatch));
        assert_eq!(read(200, None, USER), Err(Error::RequestIdMissing));
        assert_eq!(read(503, None, "down"), Err(Error::ServerTrouble { status: 503 }));
        // What is done, or refused, must be certain, whatever the status.
        let refusal = r#"{"error":{"status":202,"code":20118,"description":"PIN format"}}"#;
        assert_eq!(read(503, None, refusal), Err(Error::RequestIdMissing));
        assert_eq!(read(503, None, USER), Err(Error::RequestIdMissing));
        assert!(read_ours(503, refusal).unwrap_err().is_refusal());
    }

    #[test]
    fn server_trouble_is_no_refusal() {
        for code in [500, 7000, 7001] {
            let body = format!(r#"{{"error":{{"status":500,"code":{code},"description":"Internal"}}}}"#);
            assert!(!read_ours(500, &body).unwrap_err().is_refusal());
        }
    }
}
