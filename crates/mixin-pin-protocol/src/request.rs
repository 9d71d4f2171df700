//! A request: prepared, signed over exactly its bytes, then sent by any transport.

use std::borrow::Cow;
use std::fmt;

use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::token::{Algorithm, Claims, RequestHash, Signer, Token, UnsignedToken};
use mixin_pin_core::uuid::{Builder, Uuid};
use mixin_pin_core::{SignerError, UnixTime};
use serde::de::IgnoredAny;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::CallError;
use crate::call::has_pin_field;

/// The longest path that is accepted. Every HTTP library can send it, and Mixin's paths are far shorter.
const MAX_PATH_LEN: usize = 32 << 10;

/// A request whose token lacks its signature. Sign it to send it.
///
/// ```
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_protocol::call::Calls;
/// use mixin_pin_protocol::core::token::Algorithm;
/// use mixin_pin_protocol::core::{PinKey, Session, UnixTime, uuid::Uuid};
///
/// # fn main() -> Result<(), mixin_pin_protocol::Error> {
/// # let remote_sign = |_: &[u8]| [0; 64];
/// let mut rng = UnwrapErr(SysRng);
/// // The private key is elsewhere. The signer's place holds the algorithm.
/// let pin_key = PinKey::from_bytes(&[7; 32])?;
/// let session = Session::from_parts(Uuid::from_u128(1), Uuid::from_u128(2), Algorithm::EdDsa, pin_key);
/// let now = UnixTime::from_secs(1_700_000_000);
/// let unsigned = Calls::for_algorithm(&session, Algorithm::EdDsa, now, &mut rng).me()?;
/// let signature = remote_sign(unsigned.message()); // may be awaited
/// let request = unsigned.with_signature(&signature)?;
/// assert!(request.authorization().is_some());
/// # Ok(()) }
/// ```
///
/// # Security
/// It becomes one signed request only, because the encrypted PIN in it is one-time. So it is not `Clone`. `Debug` shows
/// neither body nor message. The body is zeroized on drop.
pub struct UnsignedRequest {
    draft: Draft,
    request_id: Uuid,
    token: UnsignedToken,
    expires_at: UnixTime,
}

impl UnsignedRequest {
    /// `GET`, `POST`, ….
    pub fn method(&self) -> &str {
        &self.draft.method
    }

    /// The part of the URL after the host, query included.
    pub fn path(&self) -> &str {
        &self.draft.path
    }

    /// The request's id, which the answer must repeat.
    pub const fn request_id(&self) -> Uuid {
        self.request_id
    }

    /// When the token expires. Mixin does not carry the request out afterwards.
    pub const fn expires_at(&self) -> UnixTime {
        self.expires_at
    }

    /// The algorithm of the signature to make.
    pub const fn algorithm(&self) -> Algorithm {
        self.token.algorithm()
    }

    /// The bytes to sign.
    pub fn message(&self) -> &[u8] {
        self.token.message()
    }

    /// Signs the request with the session's key.
    ///
    /// # Errors
    /// [`CallError::Signer`] if the signer fails, or if it has another algorithm.
    ///
    /// # Security
    /// `rng` blinds RSA.
    pub fn sign<S: Signer + ?Sized>(self, signer: &S, rng: &mut dyn CryptoRng) -> Result<PreparedRequest, CallError> {
        let Self { draft, request_id, token, expires_at } = self;
        Ok(draft.prepared(request_id, Some((token.sign(signer, rng)?, expires_at))))
    }

    /// Adds a signature of [`UnsignedRequest::message`] that was made elsewhere. It is not verified.
    ///
    /// # Errors
    /// [`CallError::Signer`] if the signature has a length that the algorithm does not have.
    pub fn with_signature(self, signature: &[u8]) -> Result<PreparedRequest, CallError> {
        let Self { draft, request_id, token, expires_at } = self;
        let wrong_length = "the signature has a length that its algorithm does not have";
        let token = token.with_signature(signature).map_err(|_| SignerError::with_cause(wrong_length))?;
        Ok(draft.prepared(request_id, Some((token, expires_at))))
    }
}

impl fmt::Debug for UnsignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsignedRequest")
            .field("method", &self.method())
            .field("path", &self.path())
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// A signed request, to be sent exactly as it is by any transport.
///
/// # Security
/// It must be sent once only, because the token and the encrypted PIN in it are one-time. So it is not `Clone`. `Debug`
/// shows neither token nor body. The body is zeroized on drop, because an OAuth exchange has secrets in it.
///
/// # Example
///
/// ```
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_protocol::{call::Calls, core::UnixTime, keystore::Keystore};
///
/// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
/// # fn main() -> Result<(), mixin_pin_protocol::Error> {
/// let mut rng = UnwrapErr(SysRng);
/// let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?; // the text of keystore.json
/// let unsigned = Calls::new(&session, UnixTime::from_secs(1_700_000_000), &mut rng).me()?;
/// let request = unsigned.sign(session.signer(), &mut rng)?;
/// println!("{} https://api.mixin.one{}", request.method(), request.path());
/// for (name, value) in request.headers() {
///     println!("{name}: {value}");
/// }
/// assert!(request.is_read() && request.body().is_empty());
/// # Ok(()) }
/// ```
pub struct PreparedRequest {
    draft: Draft,
    request_id: Uuid,
    request_id_text: String,
    signed: Option<(Token, UnixTime)>,
}

impl PreparedRequest {
    /// `GET`, `POST`, ….
    pub fn method(&self) -> &str {
        &self.draft.method
    }

    /// The part of the URL after the host, query included.
    pub fn path(&self) -> &str {
        &self.draft.path
    }

    /// The body's exact bytes; empty for a request without a body.
    pub fn body(&self) -> &[u8] {
        &self.draft.body
    }

    /// The request's id, which the answer must repeat.
    pub const fn request_id(&self) -> Uuid {
        self.request_id
    }

    /// The headers that the protocol requires, including the token if there is one.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let always = [("Content-Type", "application/json"), ("X-Request-Id", self.request_id_text.as_str())];
        always.into_iter().chain(self.authorization().map(|text| ("Authorization", text)))
    }

    /// The header `Authorization`: `Bearer` and the token. None for an OAuth exchange and for the
    /// upgrade of an RSA session, which have no token.
    pub fn authorization(&self) -> Option<&str> {
        self.signed.as_ref().map(|(token, _)| token.authorization())
    }

    /// When the token expires. Mixin does not carry the request out afterwards. None for a request without a token.
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.signed.as_ref().map(|(_, expires_at)| *expires_at)
    }

    /// Whether the request only reads (`GET`, `HEAD`). It then has no body, and a new request like it does no harm.
    pub fn is_read(&self) -> bool {
        self.draft.is_read()
    }

    /// Whether the body has a field for a PIN.
    pub fn has_pin(&self) -> bool {
        self.draft.has_pin()
    }
}

impl fmt::Debug for PreparedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedRequest")
            .field("method", &self.method())
            .field("path", &self.path())
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// Checks whether a request can be prepared, without preparing it. It refuses what
/// [`Calls::other`](crate::call::Calls::other) refuses. Use it where requests are signed or sent by other means.
///
/// ```
/// use mixin_pin_protocol::{CallError, call::check_request};
///
/// check_request("POST", "/transfers?dry=%20", Some(br#"{"amount":"1.5"}"#))?;
/// assert!(matches!(check_request("GET", "/search?q={x}", None), Err(CallError::Path)));
/// # Ok::<(), CallError>(())
/// ```
///
/// # Errors
/// [`CallError::Method`], [`CallError::Path`], [`CallError::BodyNotJson`] or [`CallError::BodyOfRead`].
pub fn check_request(method: &str, path: &str, body: Option<&[u8]>) -> Result<(), CallError> {
    Draft::new(method, path)?.with_json(body).map(drop)
}

/// A random UUID, version 4, for a request or a user.
pub fn random_uuid(rng: &mut dyn CryptoRng) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid()
}

/// Method, path and body of a request.
pub(crate) struct Draft {
    method: Cow<'static, str>,
    path: Cow<'static, str>,
    body: Zeroizing<Vec<u8>>,
}

impl Draft {
    pub(crate) fn get(path: impl Into<Cow<'static, str>>) -> Self {
        Self { method: "GET".into(), path: path.into(), body: Zeroizing::default() }
    }

    pub(crate) fn post(path: impl Into<Cow<'static, str>>, body: impl Into<Vec<u8>>) -> Self {
        Self { method: "POST".into(), path: path.into(), body: Zeroizing::new(body.into()) }
    }

    /// Refuses a method or a path that cannot be sent as it is signed.
    pub(crate) fn new(method: &str, path: &str) -> Result<Self, CallError> {
        if !is_method(method) {
            return Err(CallError::Method);
        }
        if !is_path(path) {
            return Err(CallError::Path);
        }
        Ok(Self { method: method.to_owned().into(), path: path.to_owned().into(), body: Zeroizing::default() })
    }

    /// Refuses a body where the method only reads. Such a request may be sent again after a lost answer, and its token
    /// would also be valid with the body moved into the path.
    pub(crate) fn with_body(self, body: Vec<u8>) -> Result<Self, CallError> {
        let body = Zeroizing::new(body);
        if self.is_read() { Err(CallError::BodyOfRead) } else { Ok(Self { body, ..self }) }
    }

    /// Refuses a body that is not JSON.
    pub(crate) fn with_json(self, body: Option<&[u8]>) -> Result<Self, CallError> {
        match body {
            None => Ok(self),
            Some(body) if serde_json::from_slice::<IgnoredAny>(body).is_err() => Err(CallError::BodyNotJson),
            Some(body) => self.with_body(body.to_vec()),
        }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether the body has a field for a PIN.
    pub(crate) fn has_pin(&self) -> bool {
        serde_json::from_slice::<Map<String, Value>>(self.body()).is_ok_and(|fields| has_pin_field(&fields))
    }

    pub(crate) fn is_read(&self) -> bool {
        matches!(&*self.method, "GET" | "HEAD")
    }

    /// What a token must sign.
    pub(crate) fn hash(&self) -> RequestHash {
        RequestHash::of(&self.method, &self.path, &self.body)
    }

    /// The request that these claims permit.
    pub(crate) fn claimed(self, request_id: Uuid, claims: &Claims<'_>, algorithm: Algorithm) -> UnsignedRequest {
        let expires_at = UnixTime::from_secs(claims.expires_at());
        UnsignedRequest { draft: self, request_id, token: claims.unsigned(algorithm), expires_at }
    }

    /// A request without a token.
    pub(crate) fn tokenless(self, request_id: Uuid) -> PreparedRequest {
        self.prepared(request_id, None)
    }

    fn prepared(self, request_id: Uuid, signed: Option<(Token, UnixTime)>) -> PreparedRequest {
        PreparedRequest { draft: self, request_id, request_id_text: request_id.to_string(), signed }
    }
}

fn is_method(method: &str) -> bool {
    (1..=16).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Whether a path with its query can be sent unchanged by every HTTP library: it starts with a slash, has only the
/// characters that a URL may have, percent signs only before two hex digits, no segment that is a dot or two, and no
/// apostrophe in its query.
fn is_path(path: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_graphic() && !br##""#<>\^`{|}"##.contains(&c);
    let mut escapes = path.split('%').skip(1).map(str::as_bytes);
    let (bare, query) = path.split_once('?').unwrap_or((path, ""));
    // An encoded dot counts as a dot.
    let is_dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    path.starts_with('/')
        && !bare.split('/').any(is_dots)
        && !query.contains('\'')
        && path.len() <= MAX_PATH_LEN
        && path.bytes().all(allowed)
        && escapes.all(|rest| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit))
}
