//! The other side's view of a call: its token judged against the request, its block against clock and iterator.
//!
//! Looking up the session's key, and remembering iterators and request ids, is the checker's own business.

use std::fmt;
use std::time::Duration;

use mixin_pin_core::token::{Jws, RequestHash, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{PinBlock, UnixTime};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::{BlockError, TokenFault};

/// A request as a server received it.
///
/// ```
/// use mixin_pin_protocol::check::ReceivedRequest;
///
/// let request = ReceivedRequest {
///     method: "GET",
///     path: "/me",
///     body: b"",
///     authorization: Some("Bearer e30.e30.AAAA"),
///     request_id: None,
/// };
/// assert_eq!(request.token(), Ok("e30.e30.AAAA"));
/// assert!(request.hash().to_string().starts_with("5e6b58ff"));
/// ```
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
    /// The header `X-Request-Id`.
    pub request_id: Option<&'r str>,
}

impl<'r> ReceivedRequest<'r> {
    /// The hash that the token's `sig` must be.
    pub fn hash(&self) -> RequestHash {
        RequestHash::of(self.method, self.path, self.body)
    }

    /// The token of the `Authorization` header.
    ///
    /// # Errors
    /// [`TokenFault::Missing`] when there is none.
    pub fn token(&self) -> Result<&'r str, TokenFault> {
        let (scheme, token) = self.authorization.and_then(|text| text.split_once(' ')).ok_or(TokenFault::Missing)?;
        if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(TokenFault::Missing) }
    }
}

/// What a user session's token claims.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReceivedClaims {
    /// Who asks.
    pub uid: Uuid,
    /// In which session.
    pub sid: Uuid,
    /// Issued at, in Unix seconds.
    pub iat: u64,
    /// Expires at, in Unix seconds.
    pub exp: u64,
    /// The request's id.
    pub jti: Uuid,
    /// Hex of the request's hash.
    pub sig: String,
    /// `FULL`; absent in tokens of 2018.
    #[serde(default)]
    pub scp: Option<String>,
}

/// What an OAuth session's token claims.
///
/// ```
/// use mixin_pin_protocol::check::ReceivedOAuthClaims;
///
/// /// Of claims that `check_oauth_token` returned.
/// fn may_read_phone(claims: &ReceivedOAuthClaims) -> bool {
///     claims.scp.split(' ').any(|scope| scope == "PHONE:READ")
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReceivedOAuthClaims {
    /// The app that asks.
    pub iss: Uuid,
    /// Under which authorization.
    pub aid: Uuid,
    /// The scopes that it says were granted, with blanks between.
    pub scp: String,
    /// Issued at, in Unix seconds.
    pub iat: u64,
    /// Expires at, in Unix seconds.
    pub exp: u64,
    /// The request's id.
    pub jti: Uuid,
    /// Hex of the request's hash.
    pub sig: String,
}

/// A token taken apart. Nothing it says is trusted before [`ReceivedToken::verify`].
///
/// ```
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_protocol::check::{ReceivedClaims, ReceivedToken};
/// use mixin_pin_protocol::core::UnixTime;
/// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
///
/// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
/// # let mut rng = UnwrapErr(SysRng);
/// # let keystore = Keystore::parse(KEYSTORE.as_bytes())?;
/// # let (key, user) = (keystore.public_key(), keystore.user_id());
/// # let sent = Calls::new(&keystore.into_session(&mut rng)?, UnixTime::from_secs(1_700_000_000), &mut rng).me()?;
/// # let text = sent.authorization().and_then(|header| header.strip_prefix("Bearer ")).unwrap();
/// let token = ReceivedToken::parse(text)?;
/// assert_eq!(token.algorithm(), "EdDSA"); // so it says
/// assert_eq!(token.raw_claims()["scp"], "FULL");
/// token.verify(&key)?; // now it is known
/// let claims: ReceivedClaims = token.claims()?;
/// assert_eq!(claims.uid, user);
/// assert!(token.oauth_claims().is_err()); // it is no OAuth session's
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
#[derive(Debug)]
pub struct ReceivedToken<'t> {
    jws: Jws<'t>,
    algorithm: String,
    claims: Map<String, Value>,
}

impl<'t> ReceivedToken<'t> {
    /// Takes a compact JWS apart and reads the JSON of its header and its claims.
    ///
    /// No member may be there twice in either. The header's `typ`, where there is one, must be `JWT`. A header with
    /// `crit`, or with a `b64` that is not `true`, is refused: no extension of the format is known here. What else the
    /// header holds is ignored, so that it can name no key.
    ///
    /// # Errors
    /// [`TokenFault::Format`], [`TokenFault::Header`], [`TokenFault::Extension`] or [`TokenFault::Claims`] when it cannot
    /// be read.
    pub fn parse(token: &'t str) -> Result<Self, TokenFault> {
        let jws = Jws::parse(token).map_err(|_| TokenFault::Format)?;
        let members = |json: Result<Vec<u8>, _>| serde_json::from_slice::<Members>(&json.ok()?).ok();
        let Members(mut header) = members(jws.header()).ok_or(TokenFault::Header)?;
        let Some(Value::String(algorithm)) = header.remove("alg") else { return Err(TokenFault::Header) };
        if !header.get("typ").is_none_or(is_jwt_type) {
            return Err(TokenFault::Header);
        }
        // RFC 7515, section 4.1.11, and RFC 7797, section 3.
        if header.contains_key("crit") || header.get("b64").is_some_and(|b64| *b64 != true) {
            return Err(TokenFault::Extension);
        }
        let Members(claims) = members(jws.payload()).ok_or(TokenFault::Claims)?;
        Ok(Self { jws, algorithm, claims })
    }

    /// The header's `alg`, whatever it says.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The claims' JSON, whatever it says.
    pub const fn raw_claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The claims of a user session's token.
    ///
    /// # Errors
    /// [`TokenFault::Claims`] when one is missing or of the wrong kind.
    pub fn claims(&self) -> Result<ReceivedClaims, TokenFault> {
        ReceivedClaims::deserialize(&self.claims).map_err(|_| TokenFault::Claims)
    }

    /// Whether the claims are those of an OAuth session.
    pub fn is_oauth(&self) -> bool {
        self.claims.contains_key("aid")
    }

    /// The claims of an OAuth session's token.
    ///
    /// # Errors
    /// [`TokenFault::Claims`] when one is missing or of the wrong kind.
    pub fn oauth_claims(&self) -> Result<ReceivedOAuthClaims, TokenFault> {
        ReceivedOAuthClaims::deserialize(&self.claims).map_err(|_| TokenFault::Claims)
    }

    /// Checks that the header names the key's algorithm and no other, then the signature.
    ///
    /// # Errors
    /// [`TokenFault::Algorithm`] or [`TokenFault::Signature`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), TokenFault> {
        if self.algorithm != key.algorithm().as_str() {
            return Err(TokenFault::Algorithm);
        }
        self.jws.verify(key).map_err(|_| TokenFault::Signature)
    }
}

/// A JSON object whose names are distinct.
///
/// RFC 7515, section 4, and RFC 7519, section 4, let a reader refuse an object that has a name twice, or take the last.
/// Readers that choose differently would see two different tokens, so it is refused.
struct Members(Map<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Distinct;

        impl<'de> Visitor<'de> for Distinct {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of distinct members")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Members, A::Error> {
                let mut members = Map::new();
                while let Some((name, value)) = source.next_entry()? {
                    if members.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name is there twice"));
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Distinct)
    }
}

/// Whether a header's `typ` is that of RFC 7519, section 5.1: a media type, whose case does not matter and whose
/// `application/` may be left out.
fn is_jwt_type(typ: &Value) -> bool {
    typ.as_str().is_some_and(|typ| ["JWT", "application/jwt"].iter().any(|jwt| typ.eq_ignore_ascii_case(jwt)))
}

/// Checks everything about a token that needs no memory: algorithm, signature, times, request id and request hash.
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
/// let key = keystore.public_key();
/// let now = UnixTime::from_secs(1_700_000_000);
/// let sent = Calls::new(&keystore.into_session(&mut rng)?, now, &mut rng).me()?;
///
/// let request_id = sent.request_id().to_string();
/// let received = ReceivedRequest {
///     method: sent.method(),
///     path: sent.path(),
///     body: sent.body(),
///     authorization: sent.authorization(),
///     request_id: Some(&request_id),
/// };
/// let token = ReceivedToken::parse(received.token()?)?;
/// let claims = check_token(&received, &token, &key, now, Duration::from_secs(300))?;
/// assert_eq!(claims.jti, sent.request_id());
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
///
/// `tolerance` is how far `iat` may lie ahead of `now`.
///
/// # Errors
/// The first [`TokenFault`] found, in the order of its variants.
pub fn check_token(
    request: &ReceivedRequest<'_>,
    token: &ReceivedToken<'_>,
    key: &VerifyingKey,
    now: UnixTime,
    tolerance: Duration,
) -> Result<ReceivedClaims, TokenFault> {
    let claims = token.claims()?;
    token.verify(key)?;
    check_request(request, (claims.iat, claims.exp), claims.jti, &claims.sig, now, tolerance)?;
    Ok(claims)
}

/// The same for an OAuth session's token. Whether the scopes allow the call is the checker's own business.
///
/// ```
/// use std::time::Duration;
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_protocol::check::{ReceivedRequest, ReceivedToken, check_oauth_token};
/// use mixin_pin_protocol::core::UnixTime;
/// use mixin_pin_protocol::{keystore::Keystore, oauth::OAuthCalls};
///
/// # const KEYSTORE: &str = include_str!("../testdata/keystore-oauth.json");
/// let keystore = Keystore::parse(KEYSTORE.as_bytes())?;
/// let key = keystore.public_key();
/// let now = UnixTime::from_secs(1_700_000_000);
/// let sent = OAuthCalls::new(&keystore.into_oauth_session()?, now, &mut UnwrapErr(SysRng)).me()?;
///
/// let request_id = sent.request_id().to_string();
/// let (method, path, body) = (sent.method(), sent.path(), sent.body());
/// let authorization = sent.authorization();
/// let received = ReceivedRequest { method, path, body, authorization, request_id: Some(&request_id) };
/// let token = ReceivedToken::parse(received.token()?)?;
/// assert!(token.is_oauth());
/// let claims = check_oauth_token(&received, &token, &key, now, Duration::from_secs(300))?;
/// assert_eq!(claims.scp, "PROFILE:READ");
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
///
/// # Errors
/// The first [`TokenFault`] found, in the order of its variants.
pub fn check_oauth_token(
    request: &ReceivedRequest<'_>,
    token: &ReceivedToken<'_>,
    key: &VerifyingKey,
    now: UnixTime,
    tolerance: Duration,
) -> Result<ReceivedOAuthClaims, TokenFault> {
    let claims = token.oauth_claims()?;
    token.verify(key)?;
    check_request(request, (claims.iat, claims.exp), claims.jti, &claims.sig, now, tolerance)?;
    Ok(claims)
}

/// What the claims of every token say of its request.
fn check_request(
    request: &ReceivedRequest<'_>,
    (iat, exp): (u64, u64),
    jti: Uuid,
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
    if request.request_id.and_then(|id| id.parse().ok()) != Some(jti) {
        return Err(TokenFault::RequestId);
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
/// assert_eq!(check_block(&block, last, now, tolerance), Err(BlockError::Iterator { last })); // once more
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// [`BlockError::Time`] when the timestamp lies further than `tolerance` from `now`, [`BlockError::Iterator`] when the
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
        assert_eq!(fault(check(&good, &key, |r| r.request_id = None)), TokenFault::RequestId);
        assert_eq!(fault(check(&good, &key, |r| r.request_id = Some("x"))), TokenFault::RequestId);
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

    /// A token with a header and claims of the test's choice. Its signature has the right form and does not hold.
    fn parse(header: &str, claims: &str) -> Result<(), TokenFault> {
        use base64::Engine as _;

        let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        ReceivedToken::parse(&format!("{}.{}.AAAA", encode(header), encode(claims))).map(drop)
    }

    #[test]
    fn a_header_that_asks_for_an_extension_is_refused() {
        for member in [
            r#""crit":["exp"]"#,
            r#""crit":["b64"],"b64":false"#,
            r#""crit":["b64"],"b64":true"#,
            r#""crit":[]"#,
            r#""crit":null"#,
            r#""crit":"b64""#,
            r#""b64":false"#,
            r#""b64":null"#,
            r#""b64":0"#,
            r#""b64":"true""#,
        ] {
            let header = format!(r#"{{"alg":"EdDSA",{member}}}"#);
            assert_eq!(parse(&header, "{}"), Err(TokenFault::Extension), "{header}");
        }
    }

    #[test]
    fn a_header_is_an_object_of_distinct_members_with_an_alg_and_no_type_but_jwt() {
        for header in [
            r#"{"alg":"EdDSA","alg":"EdDSA"}"#,
            r#"{"alg":"none","alg":"EdDSA"}"#,
            r#"{"alg":"EdDSA","\u0061lg":"none"}"#,
            r#"{"alg":"EdDSA","kid":"1","kid":"2"}"#,
            r#"{"alg":"EdDSA","x":{"y":1},"x":{"y":1}}"#,
            r#"{"alg":["EdDSA"]}"#,
            r#"{"alg":null}"#,
            r#"{"alg":512}"#,
            r#"{"ALG":"EdDSA"}"#,
            r#"{"alg":"EdDSA","typ":"JOSE"}"#,
            r#"{"alg":"EdDSA","typ":"at+jwt"}"#,
            r#"{"alg":"EdDSA","typ":""}"#,
            r#"{"alg":"EdDSA","typ":null}"#,
            r#"{"alg":"EdDSA","typ":["JWT"]}"#,
            r#"{"alg":"EdDSA"} {}"#,
            r#"["EdDSA"]"#,
            "null",
        ] {
            assert_eq!(parse(header, "{}"), Err(TokenFault::Header), "{header}");
        }
        for header in [
            r#"{"alg":"EdDSA"}"#,
            r#"{"typ":"JWT","alg":"RS512"}"#,
            r#"{"alg":"EdDSA","typ":"jwt","kid":"1"}"#,
            r#"{"alg":"EdDSA","typ":"application/jwt"}"#,
            r#"{"alg":"EdDSA","b64":true}"#,
            r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"}}"#,
        ] {
            assert_eq!(parse(header, "{}"), Ok(()), "{header}");
        }
    }

    #[test]
    fn a_claim_that_is_there_twice_is_refused() {
        for claims in [
            r#"{"sid":1,"sid":1}"#,
            r#"{"exp":1,"exp":2}"#,
            r#"{"exp":1,"\u0065xp":2}"#,
            r#"{"other":1,"other":2}"#,
            "[]",
            "null",
            "7",
            "",
        ] {
            assert_eq!(parse(r#"{"alg":"EdDSA"}"#, claims), Err(TokenFault::Claims), "{claims}");
        }
        assert_eq!(parse(r#"{"alg":"EdDSA"}"#, r#"{"exp":1,"Exp":2,"x":{"exp":1}}"#), Ok(()));
    }

    #[test]
    fn the_bearer_is_found_whatever_its_case() {
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
