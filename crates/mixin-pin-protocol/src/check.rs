//! The server's half of a call: checks a token against its request, and a PIN block against clock and iterator.
//!
//! The caller finds the session's key, and remembers iterators and request ids.

mod diagnosis;
mod token;

use std::time::Duration;

use mixin_pin_core::token::{RequestHash, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{PinBlock, UnixTime};

use crate::{BlockError, TokenFault};

pub use diagnosis::OpenedPin;
pub(crate) use diagnosis::THIS_CENTURY;
pub use token::{ReceivedClaims, ReceivedOAuthClaims, ReceivedToken};

/// A request as a server received it.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedRequest<'r> {
    /// `GET`, `POST`, ….
    pub method: &'r str,
    /// The path with its query, exactly as received.
    pub path: &'r str,
    /// The body's exact bytes.
    pub body: &'r [u8],
    /// The header `Authorization`.
    pub authorization: Option<&'r str>,
    /// The header `X-Request-Id`. The answer repeats it.
    pub request_id: Option<&'r str>,
}

impl<'r> ReceivedRequest<'r> {
    /// The hash that the token's `sig` must be.
    pub fn hash(&self) -> RequestHash {
        RequestHash::of(self.method, self.path, self.body)
    }

    /// The token in the `Authorization` header.
    ///
    /// # Errors
    /// [`TokenFault::Missing`] when the header is absent or has no token.
    pub fn token(&self) -> Result<&'r str, TokenFault> {
        let (scheme, token) = self.authorization.and_then(|text| text.split_once(' ')).ok_or(TokenFault::Missing)?;
        if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(TokenFault::Missing) }
    }

    /// Checks that `X-Request-Id` is the token's `jti`, for servers that demand it. [`check_token`] does not: the official Go
    /// client sends two different ids (bot-api-go-client: `request.go`, `auth.go`), and the API guide's own request has
    /// no `X-Request-Id` (developers.mixin.one: `api/guide.md`).
    ///
    /// # Errors
    /// [`TokenFault::RequestId`] if the header is absent or another id.
    pub fn check_request_id(&self, jti: Uuid) -> Result<(), TokenFault> {
        if self.request_id.and_then(|id| id.parse().ok()) == Some(jti) { Ok(()) } else { Err(TokenFault::RequestId) }
    }
}

/// Checks a user session's token: algorithm, signature, times and request hash. The request id is another check:
/// [`ReceivedRequest::check_request_id`].
///
/// `tolerance` is how far `iat` may lie after `now`.
///
/// ```
/// use std::time::Duration;
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_protocol::check::{ReceivedRequest, ReceivedToken, check_token};
/// use mixin_pin_protocol::core::UnixTime;
/// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
///
/// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
/// let mut rng = UnwrapErr(SysRng);
/// let keystore = Keystore::parse(KEYSTORE.as_bytes())?;
/// let key = keystore.public_key().expect("the keystore has a private key");
/// let now = UnixTime::from_secs(1_700_000_000);
/// let session = keystore.into_session(&mut rng)?;
/// let sent = Calls::new(&session, now, &mut rng).me()?.sign(session.signer(), &mut rng)?;
///
/// let request_id = sent.request_id().to_string();
/// let received = ReceivedRequest {
///     method: sent.method(),
///     path: sent.path(),
///     body: sent.body(),
///     authorization: sent.authorization(),
///     request_id: Some(&request_id),
/// };
/// let token = ReceivedToken::parse(received.token()?)?; // if `token.is_oauth()`, see `check_oauth_token`
/// let claims = check_token(&received, &token, &key, now, Duration::from_secs(300))?;
/// assert_eq!(claims.jti, sent.request_id());
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
///
/// # Errors
/// The first [`TokenFault`] found.
pub fn check_token(
    request: &ReceivedRequest<'_>,
    token: &ReceivedToken<'_>,
    key: &VerifyingKey,
    now: UnixTime,
    tolerance: Duration,
) -> Result<ReceivedClaims, TokenFault> {
    let claims = token.claims()?;
    token.verify(key)?;
    check_request(request, (claims.iat, claims.exp), &claims.sig, now, tolerance)?;
    Ok(claims)
}

/// Checks an OAuth session's token like [`check_token`]. The caller checks whether the scopes allow the call.
///
/// # Errors
/// The first [`TokenFault`] found.
pub fn check_oauth_token(
    request: &ReceivedRequest<'_>,
    token: &ReceivedToken<'_>,
    key: &VerifyingKey,
    now: UnixTime,
    tolerance: Duration,
) -> Result<ReceivedOAuthClaims, TokenFault> {
    let claims = token.oauth_claims()?;
    token.verify(key)?;
    check_request(request, (claims.iat, claims.exp), &claims.sig, now, tolerance)?;
    Ok(claims)
}

/// Checks the claims that every token has against the request.
fn check_request(
    request: &ReceivedRequest<'_>,
    (iat, exp): (u64, u64),
    sig: &str,
    now: UnixTime,
    tolerance: Duration,
) -> Result<(), TokenFault> {
    if exp <= now.secs() {
        return Err(TokenFault::Expired);
    }
    if iat > now.secs().saturating_add(tolerance.as_secs()) || iat >= exp {
        return Err(TokenFault::IssuedAt);
    }
    if RequestHash::from_hex(sig) != Some(request.hash()) {
        return Err(TokenFault::RequestHash);
    }
    Ok(())
}

/// Checks a block's timestamp against the clock, and its iterator against the last one used.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_protocol::check::check_block;
/// use mixin_pin_protocol::core::{MonotonicNonces, NonceSource, Pin, PinBlock, UnixTime};
/// use mixin_pin_protocol::{BlockError, Error};
///
/// let now = UnixTime::from_secs(1_700_000_000);
/// let block = PinBlock::new(Pin::new("314159")?, MonotonicNonces::new().next(now)?);
/// let tolerance = Duration::from_secs(300);
/// check_block(&block, 0, now, tolerance)?;
/// let last = block.iterator();
/// assert_eq!(check_block(&block, last, now, tolerance), Err(BlockError::Iterator { last })); // sent twice
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// [`BlockError::Time`] when the timestamp is more than `tolerance` away from `now`, [`BlockError::Iterator`] when the
/// iterator does not exceed `last_iterator`.
pub fn check_block(block: &PinBlock, last_iterator: u64, now: UnixTime, tolerance: Duration) -> Result<(), BlockError> {
    if block.timestamp().abs_diff(now.secs()) > tolerance.as_secs() {
        return Err(BlockError::Time { timestamp: block.timestamp() });
    }
    if block.iterator() <= last_iterator {
        return Err(BlockError::Iterator { last: last_iterator });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use mixin_pin_core::token::Claims;
    use mixin_pin_core::{Ed25519Key, Pin, hazmat};

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
    const TOLERANCE: Duration = Duration::from_secs(300);
    const JTI: Uuid = Uuid::from_u128(3);

    fn token(key: &Ed25519Key, now: UnixTime, lifetime: u64) -> String {
        let hash = RequestHash::of("POST", "/pin/verify", b"{}");
        let claims = Claims::new(Uuid::from_u128(1), Uuid::from_u128(2), JTI, hash, now, Duration::from_secs(lifetime));
        let mut rng = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
        claims.unwrap().sign(key, &mut rng).unwrap().as_str().to_owned()
    }

    fn check(
        token: &str,
        key: &Ed25519Key,
        change: impl FnOnce(&mut ReceivedRequest<'_>),
    ) -> Result<ReceivedClaims, TokenFault> {
        let id = JTI.to_string();
        let mut request = ReceivedRequest {
            method: "POST",
            path: "/pin/verify",
            body: b"{}",
            authorization: None,
            request_id: Some(&id),
        };
        change(&mut request);
        let key = VerifyingKey::Ed25519(key.public_key());
        check_token(&request, &ReceivedToken::parse(token)?, &key, NOW, TOLERANCE)
    }

    #[test]
    fn each_fault_of_a_token_is_named() {
        let key = Ed25519Key::from_bytes(&[5; 32]).unwrap();
        let good = token(&key, NOW, 60);
        assert_eq!(check(&good, &key, |_| ()).unwrap().jti, JTI);

        let fault = |result: Result<ReceivedClaims, TokenFault>| result.unwrap_err();
        let other_key = Ed25519Key::from_bytes(&[6; 32]).unwrap();
        assert_eq!(fault(check(&good, &other_key, |_| ())), TokenFault::Signature);
        assert_eq!(fault(check(&good, &key, |r| r.method = "GET")), TokenFault::RequestHash);
        assert_eq!(fault(check(&good, &key, |r| r.path = "/pin/verify?")), TokenFault::RequestHash);
        assert_eq!(fault(check(&good, &key, |r| r.body = b"{} ")), TokenFault::RequestHash);
        let early = UnixTime::from_secs(NOW.secs() - 60);
        assert_eq!(fault(check(&token(&key, early, 60), &key, |_| ())), TokenFault::Expired);
        let late = UnixTime::from_secs(NOW.secs() + 301);
        assert_eq!(fault(check(&token(&key, late, 60), &key, |_| ())), TokenFault::IssuedAt);
        let signature = good.rsplit_once('.').unwrap().1;
        for (header, expected) in [
            ("eyJhbGciOiJub25lIn0", TokenFault::Algorithm),
            ("eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9", TokenFault::Algorithm),
            ("eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9", TokenFault::Algorithm),
            ("eyJ0eXAiOiJKV1QifQ", TokenFault::Header),
            ("WyJSUzUxMiJd", TokenFault::Header), // ["RS512"]
        ] {
            let payload = good.split('.').nth(1).unwrap();
            assert_eq!(fault(check(&format!("{header}.{payload}.{signature}"), &key, |_| ())), expected, "{header}");
        }
        assert_eq!(fault(check("eyJhbGciOiJFZERTQSJ9.e30.AAAA", &key, |_| ())), TokenFault::Claims);
        assert_eq!(fault(check("no token", &key, |_| ())), TokenFault::Format);
    }

    #[test]
    fn the_request_id_is_checked_only_where_it_is_asked_for() {
        let key = Ed25519Key::from_bytes(&[5; 32]).unwrap();
        let good = token(&key, NOW, 60);
        let token = ReceivedToken::parse(&good).unwrap();
        let key = VerifyingKey::Ed25519(key.public_key());
        for (id, expected) in [
            (Some(JTI.to_string()), Ok(())),
            (Some(JTI.simple().to_string().to_uppercase()), Ok(())),
            (Some(Uuid::nil().to_string()), Err(TokenFault::RequestId)),
            (Some("x".to_owned()), Err(TokenFault::RequestId)),
            (None, Err(TokenFault::RequestId)),
        ] {
            let request = ReceivedRequest {
                method: "POST",
                path: "/pin/verify",
                body: b"{}",
                authorization: None,
                request_id: id.as_deref(),
            };
            let claims = check_token(&request, &token, &key, NOW, TOLERANCE).unwrap();
            assert_eq!(request.check_request_id(claims.jti), expected, "{id:?}");
        }
    }

    #[test]
    fn the_bearer_is_found_in_any_case() {
        let mut request = ReceivedRequest {
            method: "GET",
            path: "/me",
            body: b"",
            authorization: Some("bearer a.b.c"),
            request_id: None,
        };
        assert_eq!(request.token(), Ok("a.b.c"));
        for none in [None, Some(""), Some("Bearer"), Some("Basic a.b.c")] {
            request.authorization = none;
            assert_eq!(request.token(), Err(TokenFault::Missing));
        }
    }

    #[test]
    fn a_block_must_be_near_the_clock_and_above_the_last_iterator() {
        let block = |timestamp, iterator| hazmat::block(Pin::new("123456").unwrap(), timestamp, iterator);
        let now = NOW.secs();
        let check = |block: PinBlock| check_block(&block, 10, NOW, TOLERANCE);
        assert_eq!(check(block(now, 11)), Ok(()));
        assert_eq!(check(block(now + 300, 11)), Ok(()));
        assert_eq!(check(block(now - 300, 11)), Ok(()));
        assert_eq!(check(block(now + 301, 11)), Err(BlockError::Time { timestamp: now + 301 }));
        assert_eq!(check(block(now - 301, 11)), Err(BlockError::Time { timestamp: now - 301 }));
        assert_eq!(check(block(now, 10)), Err(BlockError::Iterator { last: 10 }));
        assert_eq!(check(block(0, 0)), Err(BlockError::Time { timestamp: 0 }));
    }
}
