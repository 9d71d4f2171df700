//! One request on its way out: drafted, then signed over exactly its bytes, then sent by whoever can.

use std::borrow::Cow;
use std::fmt;

use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::token::{Claims, RequestHash, Token};
use mixin_pin_core::uuid::fmt::Hyphenated;
use mixin_pin_core::uuid::{Builder, Uuid};
use mixin_pin_core::{Error as CoreError, UnixTime};
use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use crate::Error;

/// A signed request, for any transport to send exactly as it is.
///
/// # Security
/// One-time, as the encrypted PIN in it: a transport must not send it twice, so it is not `Clone`. `Debug` shows
/// neither token nor body. The body is zeroized on drop, for that of an OAuth exchange holds secrets.
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
/// let request = Calls::new(&session).me(UnixTime::from_secs(1_700_000_000), &mut rng)?;
/// println!("{} https://api.mixin.one{}", request.method(), request.path());
/// for (name, value) in request.headers() {
///     println!("{name}: {value}");
/// }
/// assert!(request.is_read() && request.body().is_empty());
/// # Ok(()) }
/// ```
pub struct PreparedRequest {
    method: Method,
    path: Cow<'static, str>,
    body: Zeroizing<Vec<u8>>,
    request_id: Uuid,
    request_id_text: RequestIdText,
    signed: Option<(Token, UnixTime)>,
}

impl PreparedRequest {
    /// `GET`, `POST`, ….
    pub fn method(&self) -> &str {
        self.method.as_str()
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

    /// The headers that the protocol asks for, the signed token among them where there is one.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let always = [("Content-Type", "application/json"), ("X-Request-Id", self.request_id_text.as_str())];
        always.into_iter().chain(self.authorization().map(|text| ("Authorization", text)))
    }

    /// The header `Authorization`: `Bearer` and the token. None for the one request that needs no token, an OAuth
    /// exchange.
    pub fn authorization(&self) -> Option<&str> {
        self.signed.as_ref().map(|(token, _)| token.authorization())
    }

    /// When its token expires: afterwards nobody carries it out. None for a request without a token.
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.signed.as_ref().map(|(_, expires_at)| *expires_at)
    }

    /// Whether the request only reads, so that sending its like again changes nothing. Such a request has no body.
    pub fn is_read(&self) -> bool {
        self.method.is_read()
    }
}

impl fmt::Debug for PreparedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedRequest")
            .field("method", &self.method())
            .field("path", &self.path)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// A request that nothing speaks for yet.
pub(crate) struct Draft {
    method: Method,
    path: Cow<'static, str>,
    body: Zeroizing<Vec<u8>>,
}

impl Draft {
    pub(crate) fn get(path: impl Into<Cow<'static, str>>) -> Self {
        Self { method: Method::GET, path: path.into(), body: Zeroizing::default() }
    }

    pub(crate) fn post(path: impl Into<Cow<'static, str>>, body: Vec<u8>) -> Self {
        Self { method: Method::POST, path: path.into(), body: Zeroizing::new(body) }
    }

    /// Refuses a method or a path that cannot be sent as it is signed.
    pub(crate) fn to(method: &str, path: &str) -> Result<Self, Error> {
        let method = Method::new(method)?;
        if !is_path(path) {
            return Err(Error::Path);
        }
        Ok(Self { method, path: path.to_owned().into(), body: Zeroizing::default() })
    }

    /// Refuses a body where the method only reads: such a request is sent again when its answer is lost, and its token is
    /// good with the body moved into the path, too.
    pub(crate) fn with_body(self, body: Vec<u8>) -> Result<Self, Error> {
        let body = Zeroizing::new(body);
        if self.method.is_read() { Err(Error::BodyOfRead) } else { Ok(Self { body, ..self }) }
    }

    /// Refuses a body that is no JSON. None is no body.
    pub(crate) fn with_json(self, body: Option<&[u8]>) -> Result<Self, Error> {
        match body {
            None => Ok(self),
            Some(body) if serde_json::from_slice::<IgnoredAny>(body).is_err() => Err(Error::BodyNotJson),
            Some(body) => self.with_body(body.to_vec()),
        }
    }

    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The request as it is, with an id of its own.
    pub(crate) fn unsigned<R: CryptoRng + ?Sized>(self, rng: &mut R) -> PreparedRequest {
        self.prepared(random_uuid(rng), None)
    }

    /// Has the request signed, under a fresh id.
    pub(crate) fn sign<'s, R: CryptoRng>(
        self,
        rng: &mut R,
        claims: impl FnOnce(RequestHash, Uuid) -> Result<Claims<'s>, CoreError>,
        sign: impl FnOnce(&Claims<'s>, &mut R) -> Result<Token, CoreError>,
    ) -> Result<PreparedRequest, Error> {
        let request_id = random_uuid(rng);
        let claims = claims(RequestHash::of(self.method.as_str(), &self.path, &self.body), request_id)?;
        let token = sign(&claims, rng)?;
        Ok(self.prepared(request_id, Some((token, UnixTime::from_secs(claims.expires_at())))))
    }

    fn prepared(self, request_id: Uuid, signed: Option<(Token, UnixTime)>) -> PreparedRequest {
        let Self { method, path, body } = self;
        PreparedRequest { method, path, body, request_id, request_id_text: RequestIdText::of(request_id), signed }
    }
}

/// Whether a request can be made at all, without making it: what [`Calls::other`](crate::call::Calls::other) refuses is
/// refused here, for those who sign or send by other means.
///
/// ```
/// use mixin_pin_protocol::{Error, call::check_request};
///
/// check_request("POST", "/transfers?dry=%20", Some(br#"{"amount":"1.5"}"#))?;
/// assert_eq!(check_request("post", "/transfers", None), Err(Error::Method));
/// assert_eq!(check_request("GET", "/search?q={x}", None), Err(Error::Path));
/// assert_eq!(check_request("POST", "/transfers", Some(b"{")), Err(Error::BodyNotJson));
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// As [`Calls::other`](crate::call::Calls::other), but for those of signing.
pub fn check_request(method: &str, path: &str, body: Option<&[u8]>) -> Result<(), Error> {
    Draft::to(method, path)?.with_json(body).map(drop)
}

/// No path of Mixin's comes near, and no HTTP library has to be asked how much it takes.
const MAX_PATH_LEN: usize = 32 << 10;

/// Whether a path, with its query, starts with a slash, is no longer than 32 KiB and holds nothing that a URL may not: no blank, no fragment, no
/// quote, no brace and no like of them, and a percent sign only before two hex digits.
fn is_path(path: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_graphic() && !br##""#<>\^`{|}"##.contains(&c);
    let mut escapes = path.split('%').skip(1).map(str::as_bytes);
    path.starts_with('/')
        && path.len() <= MAX_PATH_LEN
        && path.bytes().all(allowed)
        && escapes.all(|rest| rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit))
}

/// A method that was checked: 1 to 16 capitals, kept without a heap.
#[derive(Clone, Copy)]
struct Method {
    text: [u8; Self::MAX_LEN],
    len: usize,
}

impl Method {
    const MAX_LEN: usize = 16;
    const GET: Self = Self::known("GET");
    const POST: Self = Self::known("POST");

    const fn known(name: &'static str) -> Self {
        let mut text = [0; Self::MAX_LEN];
        text.split_at_mut(name.len()).0.copy_from_slice(name.as_bytes());
        Self { text, len: name.len() }
    }

    fn new(name: &str) -> Result<Self, Error> {
        let mut text = [0; Self::MAX_LEN];
        let capitals = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase());
        let place = text.get_mut(..name.len()).filter(|_| capitals).ok_or(Error::Method)?;
        place.copy_from_slice(name.as_bytes());
        Ok(Self { text, len: name.len() })
    }

    fn is_read(&self) -> bool {
        matches!(self.as_str(), "GET" | "HEAD")
    }

    fn as_str(&self) -> &str {
        // Capitals are ASCII, so that the default is never taken.
        std::str::from_utf8(&self.text[..self.len]).unwrap_or_default()
    }
}

/// A request id as a header carries it, without a heap.
struct RequestIdText([u8; Self::LEN]);

impl RequestIdText {
    const LEN: usize = Hyphenated::LENGTH;

    fn of(request_id: Uuid) -> Self {
        let mut text = [0; Self::LEN];
        request_id.hyphenated().encode_lower(&mut text);
        Self(text)
    }

    fn as_str(&self) -> &str {
        // Hex digits and hyphens, so that the default is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// A random UUID, version 4, for a request or a user.
///
/// ```
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_protocol::call::random_uuid;
///
/// let trace_id = random_uuid(&mut UnwrapErr(SysRng));
/// assert_eq!(trace_id.get_version_num(), 4);
/// ```
pub fn random_uuid<R: CryptoRng + ?Sized>(rng: &mut R) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid()
}
