//! Calls made ready to send: method, path, headers, body and the token that signs exactly these.
//!
//! Sending them is a transport's business; reading what comes back, that of [`crate::answer`].

use std::fmt;
use std::time::Duration;

use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::token::{Algorithm, RequestHash, Signer};
use mixin_pin_core::uuid::{Builder, Uuid};
use mixin_pin_core::{EncodedPin, EncryptedPin, Nonce, Pin, Session, SessionKey, UnixTime};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::IgnoredAny;

use crate::Error;

/// Everything but the unreserved characters of RFC 3986.
const QUERY: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A signed request, for any transport to send exactly as it is.
///
/// # Security
/// One-time, as the encrypted PIN in it: a transport must not send it twice, so it is not `Clone`. `Debug` shows
/// neither token nor body.
pub struct PreparedRequest {
    method: String,
    path: String,
    body: Vec<u8>,
    request_id: Uuid,
    request_id_text: String,
    authorization: String,
}

impl PreparedRequest {
    /// `GET`, `POST`, ….
    pub fn method(&self) -> &str {
        &self.method
    }

    /// What follows the host, query included.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The body's exact bytes; empty where there is none.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The request's id, which the answer must repeat.
    pub const fn request_id(&self) -> Uuid {
        self.request_id
    }

    /// The headers that the protocol asks for, the signed token among them.
    pub fn headers(&self) -> [(&'static str, &str); 3] {
        [
            ("Content-Type", "application/json"),
            ("Authorization", &self.authorization),
            ("X-Request-Id", &self.request_id_text),
        ]
    }

    /// Whether the request only reads, so that sending its like again changes nothing.
    pub fn is_read(&self) -> bool {
        matches!(self.method(), "GET" | "HEAD")
    }
}

impl fmt::Debug for PreparedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// Which page of the log to read.
///
/// ```
/// use mixin_pin_protocol::call::LogQuery;
///
/// let query = LogQuery { limit: Some(10), ..LogQuery::wrong_pins() };
/// assert_eq!(query.category.as_deref(), Some("PIN_INCORRECT"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Only this category, such as `PIN_INCORRECT`.
    pub category: Option<String>,
    /// 1 to 100 entries.
    pub limit: Option<u8>,
    /// Where to begin: a time of RFC 3339.
    pub offset: Option<String>,
}

impl LogQuery {
    /// The failed attempts at the PIN.
    pub fn wrong_pins() -> Self {
        Self { category: Some("PIN_INCORRECT".to_owned()), ..Self::default() }
    }

    fn path(&self) -> Result<String, Error> {
        if self.limit.is_some_and(|limit| !(1..=100).contains(&limit)) {
            return Err(Error::LogLimit);
        }
        let limit = self.limit.map(|limit| limit.to_string());
        let pairs =
            [("category", self.category.as_deref()), ("limit", limit.as_deref()), ("offset", self.offset.as_deref())];
        let mut path = "/logs".to_owned();
        for (name, value) in pairs {
            if let Some(value) = value {
                path.push(if path.contains('?') { '&' } else { '?' });
                path.push_str(name);
                path.push('=');
                path.extend(utf8_percent_encode(value, &QUERY));
            }
        }
        Ok(path)
    }
}

/// Prepares the calls of one session.
///
/// Each takes the time and randomness from its caller. The request id is drawn from the randomness too.
///
/// ```
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_protocol::core::UnixTime;
/// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
///
/// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
/// let mut rng = UnwrapErr(SysRng);
/// let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
/// let body = br#"{"amount":"1.5"}"#;
/// let now = UnixTime::from_secs(1_700_000_000);
/// let request = Calls::new(&session).other("POST", "/transfers", Some(body), now, &mut rng)?;
/// assert_eq!(request.body(), body); // exactly these bytes are signed
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
pub struct Calls<'s, S = SessionKey> {
    session: &'s Session<S>,
    lifetime: Duration,
}

impl<S> Clone for Calls<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Calls<'_, S> {}

impl<S: Signer> fmt::Debug for Calls<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("session", &self.session).field("lifetime", &self.lifetime).finish()
    }
}

impl<'s, S: Signer> Calls<'s, S> {
    /// How long a token is good unless told otherwise: a minute, as careful clients have it.
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);

    /// Calls of this session, with tokens of [`Self::DEFAULT_LIFETIME`].
    pub const fn new(session: &'s Session<S>) -> Self {
        Self { session, lifetime: Self::DEFAULT_LIFETIME }
    }

    /// The same with tokens that live this long, of which whole seconds count.
    #[must_use]
    pub const fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// `POST /pin/update` for a user that has no PIN yet.
    ///
    /// # Errors
    /// [`Error::Core`] when the token cannot be signed.
    pub fn create_pin<R: CryptoRng>(
        &self,
        pin: &Pin,
        nonce: Nonce,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        let pin = self.session.pin_key().seal(pin, nonce, rng);
        self.update(None, &pin, now, rng)
    }

    /// `POST /pin/update` from an old PIN to a new one. The nonces are the old PIN's and the new PIN's, in this order.
    ///
    /// # Errors
    /// [`Error::NonceOrder`] when the first iterator is not the lower one, [`Error::Core`] when the token cannot be
    /// signed.
    pub fn change_pin<R: CryptoRng>(
        &self,
        old: &Pin,
        new: &Pin,
        [old_nonce, new_nonce]: [Nonce; 2],
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        if old_nonce.iterator() >= new_nonce.iterator() {
            return Err(Error::NonceOrder);
        }
        let old = self.session.pin_key().seal(old, old_nonce, rng);
        let new = self.session.pin_key().seal(new, new_nonce, rng);
        self.update(Some(&old), &new, now, rng)
    }

    fn update<R: CryptoRng>(
        &self,
        old: Option<&EncryptedPin>,
        new: &EncryptedPin,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        let field = self.pin_field();
        let old = old.map(|pin| self.encode(pin));
        let body = format!(
            r#"{{"old_{field}":"{}","{field}":"{}"}}"#,
            old.as_ref().map_or("", EncodedPin::as_str),
            self.encode(new),
        );
        self.prepare("POST", "/pin/update".to_owned(), body.into_bytes(), now, rng)
    }

    /// `POST /pin/verify`.
    ///
    /// # Errors
    /// [`Error::Core`] when the token cannot be signed.
    pub fn verify_pin<R: CryptoRng>(
        &self,
        pin: &Pin,
        nonce: Nonce,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        let pin = self.encode(&self.session.pin_key().seal(pin, nonce, rng));
        let body = format!(r#"{{"{}":"{pin}"}}"#, self.pin_field());
        self.prepare("POST", "/pin/verify".to_owned(), body.into_bytes(), now, rng)
    }

    /// `GET /me`.
    ///
    /// # Errors
    /// [`Error::Core`] when the token cannot be signed.
    pub fn me<R: CryptoRng>(&self, now: UnixTime, rng: &mut R) -> Result<PreparedRequest, Error> {
        self.prepare("GET", "/me".to_owned(), Vec::new(), now, rng)
    }

    /// `GET /logs`.
    ///
    /// # Errors
    /// [`Error::LogLimit`] for a limit outside 1 to 100, [`Error::Core`] when the token cannot be signed.
    pub fn logs<R: CryptoRng>(&self, query: &LogQuery, now: UnixTime, rng: &mut R) -> Result<PreparedRequest, Error> {
        self.prepare("GET", query.path()?, Vec::new(), now, rng)
    }

    /// `POST /users`: registers a user and its session under this app's session. `session_secret` is the new
    /// session's public key as [`VerifyingKey::to_session_secret`] writes it.
    ///
    /// [`VerifyingKey::to_session_secret`]: mixin_pin_core::token::VerifyingKey::to_session_secret
    ///
    /// # Errors
    /// [`Error::Core`] when the token cannot be signed.
    pub fn register<R: CryptoRng>(
        &self,
        session_secret: &str,
        full_name: &str,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        let body = serde_json::json!({ "session_secret": session_secret, "full_name": full_name }).to_string();
        self.prepare("POST", "/users".to_owned(), body.into_bytes(), now, rng)
    }

    /// Any other call: signs the method, the path with its query, and a body of JSON, or none.
    ///
    /// # Errors
    /// [`Error::Method`], [`Error::Path`] or [`Error::BodyNotJson`] for what cannot be sent, [`Error::Core`] when the
    /// token cannot be signed.
    pub fn other<R: CryptoRng>(
        &self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        if method.is_empty() || method.len() > 16 || !method.bytes().all(|c| c.is_ascii_uppercase()) {
            return Err(Error::Method);
        }
        if !path.starts_with('/') || !path.bytes().all(|c| c.is_ascii_graphic() && c != b'#') {
            return Err(Error::Path);
        }
        if body.is_some_and(|body| serde_json::from_slice::<IgnoredAny>(body).is_err()) {
            return Err(Error::BodyNotJson);
        }
        let body = body.unwrap_or_default().to_vec();
        self.prepare(method, path.to_owned(), body, now, rng)
    }

    fn prepare<R: CryptoRng>(
        &self,
        method: &str,
        path: String,
        body: Vec<u8>,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        let request_id = random_uuid(rng);
        let hash = RequestHash::of(method, &path, &body);
        let claims = self.session.claims(hash, request_id, now, self.lifetime)?;
        let token = self.session.sign(&claims, rng)?;
        Ok(PreparedRequest {
            method: method.to_owned(),
            path,
            body,
            request_id,
            request_id_text: request_id.to_string(),
            authorization: format!("Bearer {}", token.as_str()),
        })
    }

    /// RSA sessions use the field of their time, Ed25519 sessions the later one.
    fn pin_field(&self) -> &'static str {
        match self.session.signer().algorithm() {
            Algorithm::Rs512 => "pin",
            _ => "pin_base64",
        }
    }

    fn encode(&self, pin: &EncryptedPin) -> EncodedPin {
        match self.session.signer().algorithm() {
            Algorithm::Rs512 => pin.to_standard(),
            _ => pin.to_url_safe(),
        }
    }
}

/// A random UUID, version 4, for a request or a user.
pub fn random_uuid<R: CryptoRng + ?Sized>(rng: &mut R) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid()
}
