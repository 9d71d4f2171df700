//! A token's claims: written as JSON in one fixed order, and signed.

use core::fmt;
use core::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::CryptoRng;
use uuid::Uuid;

use super::{Algorithm, MAX_SIGNATURE_LEN, RequestHash, Signer};
#[cfg(feature = "alloc")]
use crate::SignerError;
use crate::{Error, UnixTime};

/// What a token states: the issuer, the period of validity, and the one request that it permits.
///
/// ```
/// # #[cfg(all(feature = "ed25519", feature = "alloc"))] {
/// use core::time::Duration;
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_core::{Ed25519Key, UnixTime, token::{Claims, RequestHash}, uuid::Uuid};
///
/// let (user, session, request) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
/// let (hash, now) = (RequestHash::of("GET", "/me", b""), UnixTime::from_secs(1_700_000_000));
/// let claims = Claims::new(user, session, request, hash, now, Duration::from_secs(60))?;
/// assert_eq!(claims.expires_at(), 1_700_000_060);
///
/// let (key, mut rng) = (Ed25519Key::from_bytes(&[7; 32])?, UnwrapErr(SysRng));
/// let token = claims.sign(&key, &mut rng)?;
/// assert_eq!(token.authorization().strip_prefix("Bearer "), Some(token.as_str()));
/// // Without a heap:
/// let mut buffer = [0; 512];
/// assert_eq!(claims.sign_into(&key, &mut rng, &mut buffer)?, token.as_str());
/// # }
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

/// Who issues a token. This determines the first and the last claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Issuer<'s> {
    Session {
        user_id: Uuid,
        session_id: Uuid,
    },
    #[cfg_attr(
        not(all(feature = "alloc", feature = "ed25519")),
        allow(dead_code, reason = "only OAuth sessions have it")
    )]
    OAuth {
        app_id: Uuid,
        authorization_id: Uuid,
        scope: &'s str,
    },
    Server,
}

impl Claims<'static> {
    /// A session's claims (`uid`, `sid`), valid from `now` for `lifetime` in whole seconds.
    ///
    /// # Errors
    /// [`Error::Expiry`] if the lifetime is below a second or ends beyond `i64::MAX` seconds, where readers of JSON
    /// overflow.
    pub fn new(
        user_id: Uuid,
        session_id: Uuid,
        request_id: Uuid,
        request_hash: RequestHash,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Self, Error> {
        Self::issue(Issuer::Session { user_id, session_id }, request_id, request_hash, now, lifetime)
    }

    /// A server's claims about its answer to an OAuth session, which the header `X-Integrity-Token` carries.
    ///
    /// `answer_hash` covers the request's method and path and the answer's body.
    ///
    /// # Errors
    /// As [`Claims::new`].
    pub fn answer(
        request_id: Uuid,
        answer_hash: RequestHash,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Self, Error> {
        Self::issue(Issuer::Server, request_id, answer_hash, now, lifetime)
    }
}

impl<'s> Claims<'s> {
    /// Claims of any issuer. The caller has checked an OAuth session's scope.
    pub(crate) fn issue(
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

    /// `exp`, in Unix seconds.
    pub const fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// Signs the claims and writes the token into the front of `out`, without a heap.
    ///
    /// # Errors
    /// [`Error::BufferTooSmall`] if `out` is shorter than the token, [`Error::Signer`] if the signer fails.
    pub fn sign_into<'o, S: Signer + ?Sized>(
        &self,
        signer: &S,
        rng: &mut dyn CryptoRng,
        out: &'o mut [u8],
    ) -> Result<&'o str, Error> {
        let (algorithm, len) = (signer.algorithm(), signer.signature_len());
        let mut signature = [0; MAX_SIGNATURE_LEN];
        let signature = signature.get_mut(..len).filter(|_| algorithm.signature_lens().contains(&len));
        let signature = signature.ok_or(Error::Signer)?;
        let end = self.message_len(algorithm);
        let needed = end + 1 + encoded_len(len);
        let out = out.get_mut(..needed).ok_or(Error::BufferTooSmall { needed })?;
        // The buffer has room for all that follows.
        let short = |_| Error::BufferTooSmall { needed };

        self.write_message(algorithm, &mut out[..end]).map_err(short)?;
        signer.sign(&out[..end], rng, signature).map_err(|_| Error::Signer)?;
        out[end] = b'.';
        URL_SAFE_NO_PAD.encode_slice(signature, &mut out[end + 1..]).map_err(|_| short(fmt::Error))?;
        core::str::from_utf8(out).map_err(|_| Error::TokenFormat)
    }

    /// Signs the claims.
    ///
    /// # Errors
    /// [`Error::Signer`] if the signer fails. [`UnsignedToken::sign`] keeps the cause.
    #[cfg(feature = "alloc")]
    pub fn sign<S: Signer + ?Sized>(&self, signer: &S, rng: &mut dyn CryptoRng) -> Result<Token, Error> {
        self.unsigned(signer.algorithm()).sign(signer, rng).map_err(|_| Error::Signer)
    }

    /// The token without its signature, to be signed elsewhere or later.
    #[cfg(feature = "alloc")]
    pub fn unsigned(&self, algorithm: Algorithm) -> UnsignedToken {
        let end = Token::SCHEME.len() + self.message_len(algorithm);
        // Room for the signature, so that adding it does not allocate.
        let mut bytes = alloc::vec::Vec::with_capacity(end + 1 + encoded_len(*algorithm.signature_lens().end()));
        bytes.extend_from_slice(Token::SCHEME.as_bytes());
        bytes.resize(end, 0);
        // Does not fail: the buffer has the counted length.
        let _ = self.write_message(algorithm, &mut bytes[Token::SCHEME.len()..]);
        UnsignedToken { algorithm, bytes }
    }

    /// Length of header and claims with the dot between them, in characters.
    fn message_len(&self, algorithm: Algorithm) -> usize {
        let mut json = Counter(0);
        // Counting does not fail.
        let _ = self.write_json(&mut json);
        algorithm.header().len() + 1 + encoded_len(json.0)
    }

    /// Writes header and claims, the bytes to sign. `out` has their length.
    fn write_message(&self, algorithm: Algorithm, out: &mut [u8]) -> fmt::Result {
        let header = algorithm.header().as_bytes();
        let (head, claims) = out.split_at_mut_checked(header.len() + 1).ok_or(fmt::Error)?;
        head[..header.len()].copy_from_slice(header);
        head[header.len()] = b'.';
        let mut claims = Base64Writer::new(claims);
        self.write_json(&mut claims)?;
        claims.flush()
    }

    /// Every value is hex digits, hyphens, a number or a checked scope: nothing to escape.
    fn write_json(&self, out: &mut impl fmt::Write) -> fmt::Result {
        match self.issuer {
            Issuer::Session { user_id, session_id } => write!(out, r#"{{"uid":"{user_id}","sid":"{session_id}","#)?,
            Issuer::OAuth { app_id, authorization_id, .. } => {
                write!(out, r#"{{"iss":"{app_id}","aid":"{authorization_id}","#)?;
            }
            Issuer::Server => out.write_char('{')?,
        }
        let Self { request_id, request_hash, issued_at, expires_at, .. } = self;
        write!(out, r#""iat":{issued_at},"exp":{expires_at},"jti":"{request_id}","sig":"{request_hash}""#)?;
        match self.issuer {
            Issuer::Session { .. } => out.write_str(r#","scp":"FULL"}"#),
            Issuer::OAuth { scope, .. } => write!(out, r#","scp":"{scope}"}}"#),
            Issuer::Server => out.write_char('}'),
        }
    }
}

/// Checks a scope by RFC 6749, section 3.3: printable ASCII without quotes and backslashes, and not blank.
#[cfg(all(feature = "alloc", feature = "ed25519"))]
pub(crate) fn check_scope(scope: &str) -> Result<(), Error> {
    let allowed = |byte| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~');
    if !scope.trim().is_empty() && scope.bytes().all(allowed) { Ok(()) } else { Err(Error::Scope) }
}

/// Counts the bytes that are written.
struct Counter(usize);

impl fmt::Write for Counter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

/// Writes text as unpadded base64url into a buffer, one group of three bytes at a time.
struct Base64Writer<'o> {
    out: &'o mut [u8],
    written: usize,
    group: [u8; 3],
    filled: usize,
}

impl<'o> Base64Writer<'o> {
    const fn new(out: &'o mut [u8]) -> Self {
        Self { out, written: 0, group: [0; 3], filled: 0 }
    }

    fn flush(&mut self) -> fmt::Result {
        let out = self.out.get_mut(self.written..).ok_or(fmt::Error)?;
        self.written += URL_SAFE_NO_PAD.encode_slice(&self.group[..self.filled], out).map_err(|_| fmt::Error)?;
        self.filled = 0;
        Ok(())
    }
}

impl fmt::Write for Base64Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.group[self.filled] = byte;
            self.filled += 1;
            if self.filled == self.group.len() {
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

/// A token that lacks its signature. The private key may be in a device, in another process or at a service.
///
/// ```
/// # #[cfg(feature = "ed25519")] {
/// use core::time::Duration;
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_core::token::{Algorithm, Jws, RequestHash, Signer, VerifyingKey};
/// use mixin_pin_core::{Ed25519Key, PinKey, Session, UnixTime, uuid::Uuid};
///
/// # let mut rng = UnwrapErr(SysRng);
/// # let key = Ed25519Key::generate(&mut rng);
/// # let public_key = key.public_key();
/// # let mut remote_sign = |message: &[u8]| {
/// #     let mut signature = [0; 64];
/// #     key.sign(message, &mut rng, &mut signature).map(|()| signature)
/// # };
/// // This process has the PIN key. The signer's place holds the algorithm.
/// let pin_key = PinKey::from_bytes(&[7; 32])?;
/// let session = Session::from_parts(Uuid::from_u128(1), Uuid::from_u128(2), Algorithm::EdDsa, pin_key);
/// let (hash, now) = (RequestHash::of("GET", "/me", b""), UnixTime::from_secs(1_700_000_000));
/// let claims = session.claims(hash, Uuid::from_u128(3), now, Duration::from_secs(60))?;
///
/// let unsigned = claims.unsigned(*session.signer());
/// let signature = remote_sign(unsigned.message())?; // may be awaited
/// let token = unsigned.with_signature(&signature)?;
/// Jws::parse(token.as_str())?.verify(&VerifyingKey::Ed25519(public_key))?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Security
/// A signature made of it permits the one request of its claims. `Debug` shows only the algorithm.
#[cfg(feature = "alloc")]
pub struct UnsignedToken {
    algorithm: Algorithm,
    /// [`Token::SCHEME`] and the message, with room for the signature.
    bytes: alloc::vec::Vec<u8>,
}

#[cfg(feature = "alloc")]
impl UnsignedToken {
    /// The algorithm of the signature to make.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bytes to sign: header and claims as base64url, with a dot between them.
    pub fn message(&self) -> &[u8] {
        &self.bytes[Token::SCHEME.len()..]
    }

    /// Signs the token.
    ///
    /// # Errors
    /// [`SignerError`] if the signer fails, or if it has another algorithm.
    pub fn sign<S: Signer + ?Sized>(self, signer: &S, rng: &mut dyn CryptoRng) -> Result<Token, SignerError> {
        if signer.algorithm() != self.algorithm {
            return Err(SignerError::with_cause("the signer has another algorithm than the token"));
        }
        let mut signature = [0; MAX_SIGNATURE_LEN];
        let signature = signature.get_mut(..signer.signature_len()).ok_or_else(wrong_length)?;
        signer.sign(self.message(), rng, signature)?;
        self.with_signature(signature).map_err(|_| wrong_length())
    }

    /// Adds the signature: 64 bytes for [`Algorithm::EdDsa`], 128 to 512 bytes for [`Algorithm::Rs512`].
    ///
    /// The signature is not verified.
    ///
    /// # Errors
    /// [`Error::Signer`] for another length.
    pub fn with_signature(self, signature: &[u8]) -> Result<Token, Error> {
        let Self { algorithm, mut bytes } = self;
        if !algorithm.signature_lens().contains(&signature.len()) {
            return Err(Error::Signer);
        }
        bytes.push(b'.');
        let start = bytes.len();
        bytes.resize(start + encoded_len(signature.len()), 0);
        URL_SAFE_NO_PAD.encode_slice(signature, &mut bytes[start..]).map_err(|_| Error::Signer)?;
        alloc::string::String::from_utf8(bytes).map(Token).map_err(|_| Error::TokenFormat)
    }
}

#[cfg(feature = "alloc")]
fn wrong_length() -> SignerError {
    SignerError::with_cause("the signature has a length that its algorithm does not have")
}

#[cfg(feature = "alloc")]
impl fmt::Debug for UnsignedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsignedToken").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// A signed token, ready for `Authorization: Bearer`.
///
/// # Security
/// Anyone who has it can make its one request until it expires. `Debug` is redacted and there is no `Display`. It is
/// not zeroized, because it is sent in the clear inside TLS and expires soon.
#[cfg(feature = "alloc")]
#[derive(Clone)]
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

    /// Room for all that these tests write.
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
        assert_eq!(core::str::from_utf8(&text.0[..text.1]).unwrap(), expected);

        let (mut out, mut decoded) = ([0; 700], [0; 512]);
        let mut base64 = Base64Writer::new(&mut out);
        claims.write_json(&mut base64).unwrap();
        base64.flush().unwrap();
        let len = base64.written;
        let len = URL_SAFE_NO_PAD.decode_slice(&out[..len], &mut decoded).unwrap();
        assert_eq!(core::str::from_utf8(&decoded[..len]).unwrap(), expected);
    }

    #[test]
    fn json_is_in_the_order_of_the_protocol() {
        let expected = r#"{"uid":"00000000-0000-0000-0000-000000000001","sid":"00000000-0000-0000-0000-000000000002","iat":1700000000,"exp":1700000060,"jti":"00000000-0000-0000-0000-000000000003","sig":"5e6b58ffa10b3bc51724ff0bbd2afb91c4771ee340f5d685340dfa4c854bafba","scp":"FULL"}"#;
        assert_json(&claims(1_700_000_000, 60).unwrap(), expected);
    }

    #[test]
    fn oauth_and_answers_have_their_own_claims() {
        let (now, minute) = (UnixTime::from_secs(1_700_000_000), Duration::from_secs(60));
        let (app, authorization, request) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let hash = RequestHash::of("GET", "/me", b"");
        let scope = "PROFILE:READ PHONE:READ";
        let issuer = Issuer::OAuth { app_id: app, authorization_id: authorization, scope };
        let oauth = Claims::issue(issuer, request, hash, now, minute).unwrap();
        let expected = r#"{"iss":"00000000-0000-0000-0000-000000000001","aid":"00000000-0000-0000-0000-000000000002","iat":1700000000,"exp":1700000060,"jti":"00000000-0000-0000-0000-000000000003","sig":"5e6b58ffa10b3bc51724ff0bbd2afb91c4771ee340f5d685340dfa4c854bafba","scp":"PROFILE:READ PHONE:READ"}"#;
        assert_json(&oauth, expected);
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
    fn the_error_of_a_short_buffer_names_the_needed_length() {
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
        let needed = claims.message_len(Algorithm::EdDsa) + 1 + encoded_len(64);
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
    fn scopes_have_no_character_to_escape() {
        assert_eq!(check_scope("PROFILE:READ PHONE:READ"), Ok(()));
        for scope in ["", " ", "a\"b", "a\\b", "a\nb", "\u{e9}"] {
            assert_eq!(check_scope(scope), Err(Error::Scope), "{scope:?}");
        }
    }
}
