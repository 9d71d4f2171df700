//! What a checker can find wrong with a received token or PIN block.

use std::fmt;

/// What is wrong with a token, in the order in which a checker looks.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// No `Authorization: Bearer` header.
    Missing,
    /// Not a compact JWS.
    Format,
    /// The header is not a JSON object of distinct members with an `alg`, or its `typ` is not `JWT`.
    Header,
    /// The header asks for an extension of the format, by `crit` or by a `b64` that is not `true`.
    Extension,
    /// The claims are not a JSON object of distinct members, or a claim is absent or of another type.
    Claims,
    /// The header names another algorithm than the session's.
    Algorithm,
    /// The signature is not valid.
    Signature,
    /// `exp` has passed.
    Expired,
    /// `iat` lies in the future, or after `exp`.
    IssuedAt,
    /// `jti` is not the request's `X-Request-Id`, and the checker demands it.
    RequestId,
    /// `sig` is not the hash of this method, path and body.
    RequestHash,
}

impl TokenFault {
    pub(crate) const ALL: [Self; 11] = [
        Self::Missing,
        Self::Format,
        Self::Header,
        Self::Extension,
        Self::Claims,
        Self::Algorithm,
        Self::Signature,
        Self::Expired,
        Self::IssuedAt,
        Self::RequestId,
        Self::RequestHash,
    ];

    /// A short name, for a server's `extra.reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::Format => "token_format",
            Self::Header => "token_header",
            Self::Extension => "token_extension",
            Self::Claims => "token_claims",
            Self::Algorithm => "token_algorithm",
            Self::Signature => "token_signature",
            Self::Expired => "token_expired",
            Self::IssuedAt => "token_issued_at",
            Self::RequestId => "token_request_id",
            Self::RequestHash => "token_request_hash",
        }
    }
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the request has no Authorization: Bearer header",
            Self::Format => "the token is not three base64url parts separated by dots",
            Self::Header => "the token's header is not JSON with an alg",
            Self::Extension => {
                "the token's header asks for an extension (crit, or b64 other than true), which this checker does not \
                 know; leave it out"
            }
            Self::Claims => "the token's claims are incomplete, or have wrong types",
            Self::Algorithm => "the token names another algorithm than its key has",
            Self::Signature => "the token's signature is not valid under this key",
            Self::Expired => "the token has expired",
            Self::IssuedAt => "the token was issued in the future, or after its own expiry; check the clocks",
            Self::RequestId => {
                "the token's jti is not the request's X-Request-Id, which this server demands; send the same UUID in both"
            }
            Self::RequestHash => "the token's sig is the hash of another method, path or body",
        })
    }
}

impl std::error::Error for TokenFault {}

/// What is wrong with a decrypted PIN block.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockError {
    /// The block's timestamp is too far from the checker's clock.
    Time {
        /// The block's timestamp, in Unix seconds.
        timestamp: u64,
    },
    /// The block's iterator does not exceed the last one.
    Iterator {
        /// The last iterator that was used.
        last: u64,
    },
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time { timestamp } => write!(
                f,
                "the encrypted PIN's timestamp {timestamp} is too far from the clock; compare the clocks of both sides"
            ),
            Self::Iterator { last } => write!(
                f,
                "the encrypted PIN's iterator does not exceed the last one, {last}; use one nonce store for all clients"
            ),
        }
    }
}

impl std::error::Error for BlockError {}
