//! A token's claims: written as JSON in one fixed order, and signed.

use core::fmt;
use core::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::CryptoRng;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::{MAX_SIGNATURE_LEN, RequestHash, Signer};
use crate::{Error, UnixTime};

/// What a token says: who asks, when, and for exactly which request.
///
/// ```
/// use core::time::Duration;
/// use mixin_pin_core::{UnixTime, token::{Claims, RequestHash}, uuid::Uuid};
///
/// let hash = RequestHash::of("GET", "/me", b"");
/// let now = UnixTime::from_secs(1_700_000_000);
/// let (user, session, request) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
/// let claims = Claims::new(user, session, request, hash, now, Duration::from_secs(60))?;
/// assert_eq!((claims.issued_at(), claims.expires_at()), (1_700_000_000, 1_700_000_060));
/// assert_eq!((claims.request_id(), claims.request_hash()), (request, hash));
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims<'s> {
    issuer: Issuer<'s>,
    request_id: Uuid,
    request_hash: RequestHash,
    issued_at: u64,
    expires_at: u64,
}

/// Who says it, and so which claims come first and last.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Issuer<'s> {
    Session { user_id: Uuid, session_id: Uuid },
    OAuth { app_id: Uuid, authorization_id: Uuid, scope: &'s str },
    Server,
}

impl Claims<'static> {
    /// A session's claims (`uid`, `sid`), good from `now` on for `lifetime`, of which whole seconds count.
    ///
    /// # Errors
    /// [`Error::Expiry`] when the lifetime is below a second, or ends beyond `i64::MAX` seconds, where readers of
    /// JSON wrap around.
    pub fn new(
        user_id: Uuid,
        session_id: Uuid,
        request_id: Uuid,
        request_hash: RequestHash,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Self, Error> {
        Self::spoken(Issuer::Session { user_id, session_id }, request_id, request_hash, now, lifetime)
    }

    /// A server's claims about its answer to an OAuth session, as `X-Integrity-Token` carries them: `answer_hash` is
    /// that of the request's method and path and of the answer's body.
    ///
    /// ```
    /// use core::time::Duration;
    /// use mixin_pin_core::{UnixTime, token::{Claims, RequestHash}, uuid::Uuid};
    ///
    /// let hash = RequestHash::of("GET", "/me", br#"{"data":{}}"#); // the answer's body
    /// let (now, minute) = (UnixTime::from_secs(1_700_000_000), Duration::from_secs(60));
    /// let claims = Claims::answer(Uuid::from_u128(3), hash, now, minute)?;
    /// assert_eq!(claims.request_hash(), hash);
    /// # Ok::<(), mixin_pin_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Claims::new`].
    pub fn answer(
        request_id: Uuid,
        answer_hash: RequestHash,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Self, Error> {
        Self::spoken(Issuer::Server, request_id, answer_hash, now, lifetime)
    }
}

impl<'s> Claims<'s> {
    /// The claims of an OAuth session: `iss`, `aid` and the granted scopes, with blanks between.
    ///
    /// ```
    /// use core::time::Duration;
    /// use mixin_pin_core::{Error, UnixTime, token::{Claims, RequestHash}, uuid::Uuid};
    ///
    /// let (app, authorization, request) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    /// let hash = RequestHash::of("GET", "/me", b"");
    /// let (now, lifetime) = (UnixTime::from_secs(1_700_000_000), Duration::from_secs(60));
    /// let claims = |scope| Claims::oauth(app, authorization, scope, request, hash, now, lifetime);
    /// assert_eq!(claims("PROFILE:READ PHONE:READ")?.expires_at(), 1_700_000_060);
    /// assert_eq!(claims("\"").unwrap_err(), Error::Scope);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Claims::new`]; [`Error::Scope`] when `scope` has other characters than RFC 6749, section 3.3, allows.
    pub fn oauth(
        app_id: Uuid,
        authorization_id: Uuid,
        scope: &'s str,
        request_id: Uuid,
        request_hash: RequestHash,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Self, Error> {
        check_scope(scope)?;
        let issuer = Issuer::OAuth { app_id, authorization_id, scope };
        Self::spoken(issuer, request_id, request_hash, now, lifetime)
    }

    fn spoken(
        issuer: Issuer<'s>,
        request_id: Uuid,
        request_hash: RequestHash,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Self, Error> {
        let issued_at = now.secs();
        let expires_at = issued_at
            .checked_add(lifetime.as_secs())
            .filter(|end| *end > issued_at && i64::try_from(*end).is_ok())
            .ok_or(Error::Expiry)?;
        Ok(Self { issuer, request_id, request_hash, issued_at, expires_at })
    }

    /// `jti`, to be sent as `X-Request-Id` too.
    pub const fn request_id(&self) -> Uuid {
        self.request_id
    }

    /// `iat`, in Unix seconds.
    pub const fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// `exp`, in Unix seconds.
    pub const fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// `sig`.
    pub const fn request_hash(&self) -> RequestHash {
        self.request_hash
    }

    /// Length of the token that [`Claims::sign_into`] writes with this signer, in characters.
    pub fn token_len<S: Signer + ?Sized>(&self, signer: &S) -> usize {
        let mut json = Counter(0);
        // Counting does not fail.
        let _ = self.write_json(&mut json);
        signer.algorithm().header().len() + 1 + encoded_len(json.0) + 1 + encoded_len(signer.signature_len())
    }

    /// Signs the claims and writes the token into the front of `out`, without a heap of its own.
    ///
    /// ```
    /// # #[cfg(feature = "ed25519")] {
    /// use core::time::Duration;
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_core::{Ed25519Key, UnixTime, token::{Claims, RequestHash}, uuid::Uuid};
    ///
    /// # let (key, hash) = (Ed25519Key::from_bytes(&[7; 32])?, RequestHash::of("GET", "/me", b""));
    /// # let (now, minute) = (UnixTime::from_secs(1_700_000_000), Duration::from_secs(60));
    /// # let claims = Claims::new(Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3), hash, now, minute)?;
    /// let mut buffer = [0; 512];
    /// let token = claims.sign_into(&key, &mut UnwrapErr(SysRng), &mut buffer)?;
    /// assert_eq!(token.len(), claims.token_len(&key));
    /// # }
    /// # Ok::<(), mixin_pin_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] when `out` is shorter than [`Claims::token_len`], [`Error::Signer`] when the signer
    /// fails.
    pub fn sign_into<'o, S: Signer + ?Sized>(
        &self,
        signer: &S,
        rng: &mut dyn CryptoRng,
        out: &'o mut [u8],
    ) -> Result<&'o str, Error> {
        let header = signer.algorithm().header().as_bytes();
        let mut signature = [0; MAX_SIGNATURE_LEN];
        let signature = signature.get_mut(..signer.signature_len()).ok_or(Error::Signer)?;
        // Only a buffer that is too small is worth counting for.
        let short = || Error::BufferTooSmall { needed: self.token_len(signer) };

        let mut end = header.len() + 1;
        let (head, rest) = out.split_at_mut_checked(end).ok_or_else(short)?;
        head[..header.len()].copy_from_slice(header);
        head[header.len()] = b'.';
        let mut claims = Base64Writer::new(rest);
        self.write_json(&mut claims).map_err(|_| short())?;
        end += claims.finish().map_err(|_| short())?;

        let needed = end + 1 + encoded_len(signature.len());
        let out = out.get_mut(..needed).ok_or(Error::BufferTooSmall { needed })?;
        signer.sign(&out[..end], rng, signature)?;
        out[end] = b'.';
        URL_SAFE_NO_PAD.encode_slice(signature, &mut out[end + 1..]).map_err(|_| short())?;
        core::str::from_utf8(out).map_err(|_| Error::TokenFormat)
    }

    /// Signs the claims.
    ///
    /// # Errors
    /// [`Error::Signer`] when the signer fails.
    #[cfg(feature = "alloc")]
    pub fn sign<S: Signer + ?Sized>(&self, signer: &S, rng: &mut dyn CryptoRng) -> Result<Token, Error> {
        let mut bytes = alloc::vec![0; Token::SCHEME.len() + self.max_token_len(signer)];
        let (scheme, token) = bytes.split_at_mut(Token::SCHEME.len());
        scheme.copy_from_slice(Token::SCHEME.as_bytes());
        let len = scheme.len() + self.sign_into(signer, rng, token)?.len();
        bytes.truncate(len);
        alloc::string::String::from_utf8(bytes).map(Token).map_err(|_| Error::TokenFormat)
    }

    /// A bound of [`Claims::token_len`] that costs nothing to find.
    #[cfg(feature = "alloc")]
    fn max_token_len<S: Signer + ?Sized>(&self, signer: &S) -> usize {
        // Names and punctuation, three UUIDs, the hash, two times up to `i64::MAX`.
        const MAX_JSON_LEN: usize =
            r#"{"iss":"","aid":"","iat":,"exp":,"jti":"","sig":"","scp":"FULL"}"#.len() + 3 * 36 + 64 + 2 * 19;
        let scope_len = if let Issuer::OAuth { scope, .. } = self.issuer { scope.len() } else { 0 };
        let json_len = MAX_JSON_LEN + scope_len;
        signer.algorithm().header().len() + 1 + encoded_len(json_len) + 1 + encoded_len(signer.signature_len())
    }

    /// Every value is hex digits, hyphens, a number or a checked scope: nothing to escape.
    // Piece by piece, for the machinery of `write!` takes longer than all the rest but the signature.
    fn write_json(&self, out: &mut impl fmt::Write) -> fmt::Result {
        match self.issuer {
            Issuer::Session { user_id, session_id } => {
                write_id(out, r#"{"uid":""#, user_id)?;
                write_id(out, r#"","sid":""#, session_id)?;
                out.write_str(r#"",""#)?;
            }
            Issuer::OAuth { app_id, authorization_id, .. } => {
                write_id(out, r#"{"iss":""#, app_id)?;
                write_id(out, r#"","aid":""#, authorization_id)?;
                out.write_str(r#"",""#)?;
            }
            Issuer::Server => out.write_str(r#"{""#)?,
        }
        write_number(out, r#"iat":"#, self.issued_at)?;
        write_number(out, r#","exp":"#, self.expires_at)?;
        write_id(out, r#","jti":""#, self.request_id)?;
        out.write_str(r#"","sig":""#)?;
        self.request_hash.with_hex(|hex| out.write_str(hex))?;
        match self.issuer {
            Issuer::Session { .. } => out.write_str(r#"","scp":"FULL"}"#),
            Issuer::OAuth { scope, .. } => {
                out.write_str(r#"","scp":""#)?;
                out.write_str(scope)?;
                out.write_str(r#""}"#)
            }
            Issuer::Server => out.write_str(r#""}"#),
        }
    }
}

fn write_id(out: &mut impl fmt::Write, name: &str, id: Uuid) -> fmt::Result {
    out.write_str(name)?;
    out.write_str(id.hyphenated().encode_lower(&mut [0; Hyphenated::LENGTH]))
}

fn write_number(out: &mut impl fmt::Write, name: &str, mut number: u64) -> fmt::Result {
    out.write_str(name)?;
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        // A remainder of ten fits.
        digits[start] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.write_str(str::from_utf8(&digits[start..]).map_err(|_| fmt::Error)?)
}

/// RFC 6749, section 3.3: printable ASCII but quotes and backslashes, and not blank.
pub(crate) fn check_scope(scope: &str) -> Result<(), Error> {
    let allowed = |byte| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
    if !scope.trim().is_empty() && scope.bytes().all(allowed) { Ok(()) } else { Err(Error::Scope) }
}

/// Counts what is written.
struct Counter(usize);

impl fmt::Write for Counter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Bytes encoded at a time: a whole number of groups of three, so that only the last piece may end within one.
const PIECE: usize = 96;

/// Writes text as unpadded base64url into a buffer.
struct Base64Writer<'o> {
    out: &'o mut [u8],
    written: usize,
    piece: [u8; PIECE],
    filled: usize,
}

impl<'o> Base64Writer<'o> {
    const fn new(out: &'o mut [u8]) -> Self {
        Self { out, written: 0, piece: [0; PIECE], filled: 0 }
    }

    fn flush(&mut self) -> fmt::Result {
        let out = self.out.get_mut(self.written..).ok_or(fmt::Error)?;
        self.written += URL_SAFE_NO_PAD.encode_slice(&self.piece[..self.filled], out).map_err(|_| fmt::Error)?;
        self.filled = 0;
        Ok(())
    }

    /// How many characters were written in all.
    fn finish(mut self) -> Result<usize, fmt::Error> {
        self.flush()?;
        Ok(self.written)
    }
}

impl fmt::Write for Base64Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let count = rest.len().min(self.piece.len() - self.filled);
            let (now, later) = rest.split_at(count);
            self.piece[self.filled..self.filled + count].copy_from_slice(now);
            self.filled += count;
            rest = later;
            if self.filled == self.piece.len() {
                self.flush()?;
            }
        }
        Ok(())
    }
}

/// Characters of unpadded base64.
const fn encoded_len(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// A signed token, ready for `Authorization: Bearer`.
///
/// ```
/// # #[cfg(feature = "ed25519")] {
/// use core::time::Duration;
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_core::{Ed25519Key, UnixTime, token::{Claims, RequestHash}, uuid::Uuid};
///
/// let (key, hash) = (Ed25519Key::from_bytes(&[7; 32])?, RequestHash::of("GET", "/me", b""));
/// let (now, minute) = (UnixTime::from_secs(1_700_000_000), Duration::from_secs(60));
/// let claims = Claims::new(Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3), hash, now, minute)?;
/// let token = claims.sign(&key, &mut UnwrapErr(SysRng))?;
/// assert_eq!(token.authorization().strip_prefix("Bearer "), Some(token.as_str()));
/// # }
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
///
/// # Security
/// Whoever holds it may make its one request until it expires. `Debug` is redacted and there is no `Display`; it is
/// not zeroized, for it travels in the clear inside TLS and soon expires.
#[cfg(feature = "alloc")]
#[derive(Clone)]
// The scheme is in it, so that the header is ready without another copy.
pub struct Token(alloc::string::String);

#[cfg(feature = "alloc")]
impl Token {
    const SCHEME: &'static str = "Bearer ";

    /// The token's text.
    pub fn as_str(&self) -> &str {
        &self.0[Self::SCHEME.len()..]
    }

    /// The value of the header `Authorization`: `Bearer` and the token.
    pub fn authorization(&self) -> &str {
        &self.0
    }
}

#[cfg(feature = "alloc")]
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Token").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(now: u64, lifetime: u64) -> Result<Claims<'static>, Error> {
        Claims::new(
            Uuid::from_u128(1),
            Uuid::from_u128(2),
            Uuid::from_u128(3),
            RequestHash::of("GET", "/me", b""),
            UnixTime::from_secs(now),
            Duration::from_secs(lifetime),
        )
    }

    /// Room for whatever these tests write.
    struct Text([u8; 512], usize);

    impl fmt::Write for Text {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let end = self.1 + text.len();
            self.0[self.1..end].copy_from_slice(text.as_bytes());
            self.1 = end;
            Ok(())
        }
    }

    fn assert_json(claims: &Claims<'_>, expected: &str) {
        let mut text = Text([0; 512], 0);
        claims.write_json(&mut text).unwrap();
        #[cfg(all(feature = "alloc", feature = "ed25519"))]
        {
            let key = crate::Ed25519Key::from_bytes(&[7; 32]).unwrap();
            assert!(claims.token_len(&key) <= claims.max_token_len(&key));
        }
        assert_eq!(core::str::from_utf8(&text.0[..text.1]).unwrap(), expected);

        let (mut out, mut decoded) = ([0; 700], [0; 512]);
        let mut base64 = Base64Writer::new(&mut out);
        claims.write_json(&mut base64).unwrap();
        let len = base64.finish().unwrap();
        let len = URL_SAFE_NO_PAD.decode_slice(&out[..len], &mut decoded).unwrap();
        assert_eq!(core::str::from_utf8(&decoded[..len]).unwrap(), expected);
    }

    #[test]
    fn json_is_in_the_order_of_the_protocol() {
        let expected = r#"{"uid":"00000000-0000-0000-0000-000000000001","sid":"00000000-0000-0000-0000-000000000002","iat":1700000000,"exp":1700000060,"jti":"00000000-0000-0000-0000-000000000003","sig":"5e6b58ffa10b3bc51724ff0bbd2afb91c4771ee340f5d685340dfa4c854bafba","scp":"FULL"}"#;
        assert_json(&claims(1_700_000_000, 60).unwrap(), expected);
    }

    #[test]
    fn oauth_and_answers_have_claims_of_their_own() {
        let (now, minute) = (UnixTime::from_secs(1_700_000_000), Duration::from_secs(60));
        let (app, authorization, request) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let hash = RequestHash::of("GET", "/me", b"");
        let oauth = |scope| Claims::oauth(app, authorization, scope, request, hash, now, minute);
        let expected = r#"{"iss":"00000000-0000-0000-0000-000000000001","aid":"00000000-0000-0000-0000-000000000002","iat":1700000000,"exp":1700000060,"jti":"00000000-0000-0000-0000-000000000003","sig":"5e6b58ffa10b3bc51724ff0bbd2afb91c4771ee340f5d685340dfa4c854bafba","scp":"PROFILE:READ PHONE:READ"}"#;
        assert_json(&oauth("PROFILE:READ PHONE:READ").unwrap(), expected);
        for scope in ["", " ", "a\"b", "a\\b", "a\nb", "\u{e9}"] {
            assert_eq!(oauth(scope), Err(Error::Scope), "{scope:?}");
        }
        let expected = r#"{"iat":1700000000,"exp":1700000060,"jti":"00000000-0000-0000-0000-000000000003","sig":"5e6b58ffa10b3bc51724ff0bbd2afb91c4771ee340f5d685340dfa4c854bafba"}"#;
        assert_json(&Claims::answer(request, hash, now, minute).unwrap(), expected);
    }

    #[test]
    fn the_latest_expiry_fits_and_the_next_second_does_not() {
        let last = i64::MAX as u64;
        assert_eq!(claims(last - 1, 1).unwrap().expires_at(), last);
        for (now, lifetime) in [(last, 1), (u64::MAX, 1), (1, u64::MAX), (5, 0)] {
            assert_eq!(claims(now, lifetime), Err(Error::Expiry), "{now} + {lifetime}");
        }
    }

    #[cfg(feature = "ed25519")]
    #[test]
    fn a_short_buffer_is_told_what_it_lacks() {
        struct NoRandomness;
        impl rand_core::TryRng for NoRandomness {
            type Error = core::convert::Infallible;
            fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
                Ok(0)
            }
            fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
                Ok(0)
            }
            fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
                out.fill(0);
                Ok(())
            }
        }
        impl rand_core::TryCryptoRng for NoRandomness {}

        let key = crate::Ed25519Key::from_bytes(&[7; 32]).unwrap();
        let claims = claims(1_700_000_000, 60).unwrap();
        let needed = claims.token_len(&key);
        let mut buffer = [0; 600];
        let short = claims.sign_into(&key, &mut NoRandomness, &mut buffer[..needed - 1]);
        assert_eq!(short, Err(Error::BufferTooSmall { needed }));
        let token = claims.sign_into(&key, &mut NoRandomness, &mut buffer).unwrap();
        assert_eq!(token.len(), needed);
        let jws = super::super::Jws::parse(token).unwrap();
        jws.verify(&super::super::VerifyingKey::Ed25519(key.public_key())).unwrap();
    }

    #[cfg(all(feature = "alloc", feature = "ed25519"))]
    #[test]
    fn the_bound_is_what_the_longest_claims_need() {
        let key = crate::Ed25519Key::from_bytes(&[7; 32]).unwrap();
        let claims = claims(i64::MAX as u64 - 60, 60).unwrap();
        assert_eq!(claims.max_token_len(&key), claims.token_len(&key));
    }
}
