//! A token's claims: written as JSON in one fixed order, and signed.

use core::fmt::{self, Write as _};
use core::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_core::CryptoRng;
use uuid::Uuid;

use super::{MAX_SIGNATURE_LEN, RequestHash, Signer};
use crate::{Error, UnixTime};

/// What a session's token says: who asks, in which session, when, and for exactly which request.
///
/// ```
/// use core::time::Duration;
/// use mixin_pin_core::{UnixTime, token::{Claims, RequestHash}, uuid::Uuid};
///
/// let hash = RequestHash::of("GET", "/me", b"");
/// let now = UnixTime::from_secs(1_700_000_000);
/// let (user, session, request) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
/// let claims = Claims::new(user, session, request, hash, now, Duration::from_secs(60))?;
/// assert_eq!(claims.expires_at(), 1_700_000_060);
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    user_id: Uuid,
    session_id: Uuid,
    request_id: Uuid,
    request_hash: RequestHash,
    issued_at: u64,
    expires_at: u64,
}

impl Claims {
    /// Claims good from `now` on for `lifetime`, of which whole seconds count.
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
        let issued_at = now.secs();
        let expires_at = issued_at
            .checked_add(lifetime.as_secs())
            .filter(|end| *end > issued_at && i64::try_from(*end).is_ok())
            .ok_or(Error::Expiry)?;
        Ok(Self { user_id, session_id, request_id, request_hash, issued_at, expires_at })
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
        let json_len = self.json().len;
        signer.algorithm().header().len() + 1 + encoded_len(json_len) + 1 + encoded_len(signer.signature_len())
    }

    /// Signs the claims and writes the token into the front of `out`, without a heap of its own.
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
        let json = self.json();
        let header = signer.algorithm().header().as_bytes();
        let signature_len = signer.signature_len();
        let mut signature = [0; MAX_SIGNATURE_LEN];
        let signature = signature.get_mut(..signature_len).ok_or(Error::Signer)?;

        let needed = header.len() + 1 + encoded_len(json.len) + 1 + encoded_len(signature_len);
        let out = out.get_mut(..needed).ok_or(Error::BufferTooSmall { needed })?;
        out[..header.len()].copy_from_slice(header);
        let mut at = header.len();
        out[at] = b'.';
        at += 1;
        at += encode(json.bytes(), &mut out[at..], needed)?;
        signer.sign(&out[..at], rng, signature)?;
        out[at] = b'.';
        at += 1;
        encode(signature, &mut out[at..], needed)?;
        core::str::from_utf8(out).map_err(|_| Error::TokenFormat)
    }

    /// Signs the claims.
    ///
    /// # Errors
    /// [`Error::Signer`] when the signer fails.
    #[cfg(feature = "alloc")]
    pub fn sign<S: Signer + ?Sized>(&self, signer: &S, rng: &mut dyn CryptoRng) -> Result<Token, Error> {
        let mut bytes = alloc::vec![0; self.token_len(signer)];
        self.sign_into(signer, rng, &mut bytes)?;
        alloc::string::String::from_utf8(bytes).map(Token).map_err(|_| Error::TokenFormat)
    }

    fn json(&self) -> Json {
        let mut json = Json::default();
        // Every value is hex digits, hyphens or a number: nothing to escape.
        let written = write!(
            json,
            r#"{{"uid":"{}","sid":"{}","iat":{},"exp":{},"jti":"{}","sig":"{}","scp":"FULL"}}"#,
            self.user_id, self.session_id, self.issued_at, self.expires_at, self.request_id, self.request_hash,
        );
        debug_assert!(written.is_ok(), "the longest claims fit");
        json
    }
}

/// The claims' JSON, inline.
struct Json {
    text: [u8; Self::MAX_LEN],
    len: usize,
}

impl Json {
    /// Names and punctuation, three UUIDs, the hash, two numbers of 20 digits at most.
    const MAX_LEN: usize =
        r#"{"uid":"","sid":"","iat":,"exp":,"jti":"","sig":"","scp":"FULL"}"#.len() + 3 * 36 + 64 + 2 * 20;

    fn bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }
}

impl Default for Json {
    fn default() -> Self {
        Self { text: [0; Self::MAX_LEN], len: 0 }
    }
}

impl fmt::Write for Json {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.text.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Characters of unpadded base64.
const fn encoded_len(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

fn encode(bytes: &[u8], out: &mut [u8], needed: usize) -> Result<usize, Error> {
    URL_SAFE_NO_PAD.encode_slice(bytes, out).map_err(|_| Error::BufferTooSmall { needed })
}

/// A signed token, ready for `Authorization: Bearer`.
///
/// # Security
/// Whoever holds it may make its one request until it expires. `Debug` is redacted and there is no `Display`; it is
/// not zeroized, for it travels in the clear inside TLS and soon expires.
#[cfg(feature = "alloc")]
#[derive(Clone)]
pub struct Token(alloc::string::String);

#[cfg(feature = "alloc")]
impl Token {
    /// The token's text.
    pub fn as_str(&self) -> &str {
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

    fn claims(now: u64, lifetime: u64) -> Result<Claims, Error> {
        Claims::new(
            Uuid::from_u128(1),
            Uuid::from_u128(2),
            Uuid::from_u128(3),
            RequestHash::of("GET", "/me", b""),
            UnixTime::from_secs(now),
            Duration::from_secs(lifetime),
        )
    }

    #[test]
    fn json_is_in_the_order_of_the_protocol() {
        let json = claims(1_700_000_000, 60).unwrap().json();
        assert_eq!(
            core::str::from_utf8(json.bytes()).unwrap(),
            r#"{"uid":"00000000-0000-0000-0000-000000000001","sid":"00000000-0000-0000-0000-000000000002","iat":1700000000,"exp":1700000060,"jti":"00000000-0000-0000-0000-000000000003","sig":"5e6b58ffa10b3bc51724ff0bbd2afb91c4771ee340f5d685340dfa4c854bafba","scp":"FULL"}"#
        );
    }

    #[test]
    fn the_latest_expiry_fits_and_the_next_second_does_not() {
        let last = i64::MAX as u64;
        assert!(claims(last - 1, 1).unwrap().json().bytes().ends_with(br#""scp":"FULL"}"#));
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
}
