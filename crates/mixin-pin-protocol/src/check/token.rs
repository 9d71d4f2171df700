//! Received tokens: parsed, then verified.

use std::fmt;

use mixin_pin_core::token::{Jws, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::TokenFault;

/// The claims of a user session's token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReceivedClaims {
    /// The user.
    pub uid: Uuid,
    /// The session.
    pub sid: Uuid,
    /// Issued at, in Unix seconds.
    pub iat: u64,
    /// Expires at, in Unix seconds.
    pub exp: u64,
    /// The request's id.
    pub jti: Uuid,
    /// The request's hash, in hex.
    pub sig: String,
    /// `FULL`; absent in tokens of 2018.
    #[serde(default)]
    pub scp: Option<String>,
}

/// The claims of an OAuth session's token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReceivedOAuthClaims {
    /// The app.
    pub iss: Uuid,
    /// The authorization.
    pub aid: Uuid,
    /// The scopes that the token claims, separated by blanks.
    pub scp: String,
    /// Issued at, in Unix seconds.
    pub iat: u64,
    /// Expires at, in Unix seconds.
    pub exp: u64,
    /// The request's id.
    pub jti: Uuid,
    /// The request's hash, in hex.
    pub sig: String,
}

/// A parsed token. Do not trust its content before [`ReceivedToken::verify`].
#[derive(Debug)]
pub struct ReceivedToken<'t> {
    jws: Jws<'t>,
    algorithm: String,
    claims: Map<String, Value>,
}

impl<'t> ReceivedToken<'t> {
    /// Parses a compact JWS and the JSON of its header and claims.
    ///
    /// A repeated member in either is refused. If the header has a `typ`, it must be `JWT`. A header with `crit`, or with a
    /// `b64` that is not `true`, is refused, because no extension of the format is supported. All other header members
    /// are ignored, so the header cannot choose the key.
    ///
    /// # Errors
    /// [`TokenFault::Format`], [`TokenFault::Header`], [`TokenFault::Extension`] or [`TokenFault::Claims`].
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

    /// The header's `alg`, unverified.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The claims as JSON, unverified.
    pub const fn raw_claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// The claims of a user session's token.
    ///
    /// # Errors
    /// [`TokenFault::Claims`] when a claim is absent or of another type.
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
    /// [`TokenFault::Claims`] when a claim is absent or of another type.
    pub fn oauth_claims(&self) -> Result<ReceivedOAuthClaims, TokenFault> {
        ReceivedOAuthClaims::deserialize(&self.claims).map_err(|_| TokenFault::Claims)
    }

    /// Checks that the header names the key's algorithm, then verifies the signature.
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

/// A JSON object with distinct names.
///
/// RFC 7515 and RFC 7519, section 4 of each, let a reader either refuse a repeated name or use the last one. Readers that
/// differ in this see two different tokens, so repeated names are refused here.
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
                        return Err(A::Error::custom("a name is repeated"));
                    }
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Distinct)
    }
}

/// Whether a header's `typ` is `JWT`. RFC 7519, section 5.1: it is a media type, so case does not matter and `application/`
/// may be omitted.
fn is_jwt_type(typ: &Value) -> bool {
    typ.as_str().is_some_and(|typ| ["JWT", "application/jwt"].iter().any(|jwt| typ.eq_ignore_ascii_case(jwt)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A token with this header and these claims. Its signature is well-formed and invalid.
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
    fn a_repeated_claim_is_refused() {
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
}
