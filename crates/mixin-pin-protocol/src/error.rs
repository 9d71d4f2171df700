//! Everything that can go wrong between bytes and Mixin's meaning.

use std::fmt;

use crate::Shown;
use crate::answer::ApiError;
use crate::keystore::KeystoreShape;

/// Why a call of this crate failed. No variant carries secret data.
///
/// What a failure cost and what to do about it is in the book: `docs/errors.md`, by code and by word.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// The cryptography failed.
    Core(mixin_pin_core::Error),

    /// The keystore is not UTF-8 text.
    KeystoreNotText,
    /// The keystore is not a JSON object.
    KeystoreNotJson {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault.
        column: usize,
    },
    /// The keystore has no private key under any name that keystores use.
    KeystoreNoKey,
    /// A field that this kind of keystore needs is absent or empty.
    KeystoreMissing {
        /// What kind of keystore it is.
        shape: KeystoreShape,
        /// The field, or the fields of which one is needed.
        field: &'static str,
    },
    /// A field is not text.
    KeystoreNotString {
        /// The field.
        field: &'static str,
    },
    /// A field is not a UUID.
    KeystoreNotUuid {
        /// The field.
        field: &'static str,
    },
    /// A field holds no usable key.
    KeystoreKey {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        cause: mixin_pin_core::Error,
    },
    /// Two fields that name the user differ.
    KeystoreConflict {
        /// One field.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// An OAuth keystore cannot be used where a user's own session is needed.
    KeystoreOAuth,
    /// A keystore of a user's own session cannot be used where an OAuth authorization is needed.
    KeystoreNotOAuth,

    /// A method is one to sixteen capital letters.
    Method,
    /// A path starts with a slash and has only characters that a URL may have.
    Path,
    /// A request's body is not JSON.
    BodyNotJson,
    /// The old PIN's iterator must be lower than the new PIN's.
    NonceOrder,
    /// The TIP key's counter has no successor.
    TipCounter,
    /// The body has a PIN field already.
    PinField,
    /// A request that only reads has no body.
    BodyOfRead,
    /// The body lacks a field that its TIP action is made of, or has it in another form.
    ActionField {
        /// The field.
        field: &'static str,
    },
    /// The TIP action that was to be signed is not the one that path and body ask for.
    ActionMismatch,
    /// The path may ask for a TIP action, but is not written as Mixin writes it.
    ActionPath,
    /// An OAuth session's request carries no PIN.
    OAuthPin,
    /// A page of the log has 1 to 100 entries.
    LogLimit,

    /// Mixin refused the call, with a code that it documents as a refusal.
    Api(Box<ApiError>),
    /// An error in Mixin's envelope that is no documented refusal: the call may have been carried out.
    ApiFailure(Box<ApiError>),
    /// The answer to an OAuth session is not signed as it must be.
    Integrity(IntegrityFault),
    /// A server, mostly one in front of the API, failed; the call may have reached the API.
    ServerTrouble {
        /// The HTTP status, 500 to 599.
        status: u16,
    },
    /// The answer does not name the request that it answers.
    RequestIdMissing,
    /// The answer belongs to another request.
    RequestIdMismatch,
    /// The answer has no body.
    AnswerEmpty {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is a web page, not JSON: something else than Mixin's API answered.
    AnswerHtml {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is not JSON.
    AnswerNotJson {
        /// The HTTP status.
        status: u16,
    },
    /// The answer's JSON ends in the middle.
    AnswerCutOff {
        /// The HTTP status.
        status: u16,
    },
    /// The answer is JSON, but neither `data` nor `error`, or `data` of another shape.
    AnswerShape {
        /// The HTTP status.
        status: u16,
    },

    /// A token, or the request that it came with, is refused.
    Token(TokenFault),
    /// The block's timestamp is too far from the checker's clock.
    BlockTime {
        /// The block's timestamp, in Unix seconds.
        timestamp: u64,
    },
    /// The block's iterator does not exceed the last one.
    BlockIterator {
        /// The last iterator that was used.
        last: u64,
    },

    /// No `curl` command in the text.
    CurlMissing,
    /// The quotes of the `curl` command do not close.
    CurlQuotes,
    /// The `curl` command uses an option that this reader does not know.
    CurlOption {
        /// The option, without its value.
        option: String,
    },
    /// The `curl` command takes its body from a file, or quotes it as `$'…'`: give the body by itself.
    CurlBody,
    /// The `curl` command has no URL.
    CurlUrl,
    /// The `curl` command has no `Authorization: Bearer` header.
    CurlToken,
}

/// What is wrong with a token, in the order in which a checker looks.
///
/// ```
/// use mixin_pin_protocol::{Error, TokenFault, check::ReceivedToken};
///
/// let fault = ReceivedToken::parse("no token").unwrap_err();
/// assert_eq!(fault, Error::Token(TokenFault::Format));
/// assert_eq!(TokenFault::Format.as_str(), "token_format");
/// ```
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
    /// The claims are not a JSON object of distinct members with `uid`, `sid`, `iat`, `exp`, `jti` and `sig` of the
    /// right kinds.
    Claims,
    /// The header names another algorithm than the session's.
    Algorithm,
    /// The signature does not hold.
    Signature,
    /// `exp` has passed.
    Expired,
    /// `iat` lies in the future, or after `exp`.
    IssuedAt,
    /// `jti` is not the request's `X-Request-Id`.
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
            Self::Format => "the token is not three base64url parts with dots between",
            Self::Header => "the token's header is not JSON with an alg",
            Self::Extension => {
                "the token's header asks for an extension (crit, or b64 other than true), which this checker does not \
                 know; leave it out"
            }
            Self::Claims => "the token's claims are incomplete, or of the wrong kinds",
            Self::Algorithm => "the token names another algorithm than its key has",
            Self::Signature => "the token's signature does not hold under this key",
            Self::Expired => "the token has expired",
            Self::IssuedAt => "the token was issued in the future, or after its own expiry; check the clocks",
            Self::RequestId => "the token's jti is not the request's X-Request-Id",
            Self::RequestHash => "the token's sig is the hash of another method, path or body",
        })
    }
}

/// What is wrong with an answer's `X-Integrity-Token`.
///
/// ```
/// use mixin_pin_protocol::{Error, IntegrityFault};
///
/// /// Whether an answer may come from somebody else than the server.
/// fn is_suspicious(error: &Error) -> bool {
///     matches!(error, Error::Integrity(fault) if *fault != IntegrityFault::Missing)
/// }
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegrityFault {
    /// There is none.
    Missing,
    /// It cannot be read.
    Format,
    /// It is not signed by the server's key.
    Signature,
    /// Its `jti` is not the request's id.
    RequestId,
    /// Its `sig` is not the hash of this method, path and answer.
    AnswerHash,
}

impl fmt::Display for IntegrityFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the answer has no X-Integrity-Token, so nobody vouches for it; do not trust it",
            Self::Format => "the answer's X-Integrity-Token cannot be read; do not trust the answer",
            Self::Signature => {
                "the answer's X-Integrity-Token is not signed by the key in the OAuth keystore; do not trust the answer"
            }
            Self::RequestId => "the answer's X-Integrity-Token belongs to another request; do not trust the answer",
            Self::AnswerHash => "the answer was changed after it was signed; do not trust it",
        })
    }
}

impl fmt::Display for Error {
    #[allow(clippy::too_many_lines, reason = "one text a variant")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(error) => error.fmt(f),
            Self::KeystoreNotText => f.write_str("the keystore is not UTF-8 text; is it the right file?"),
            Self::KeystoreNoKey => {
                f.write_str("the keystore has no private key: expected session_private_key or private_key")
            }
            Self::KeystoreOAuth => f.write_str(
                "an OAuth keystore acts for somebody else and has no PIN; use a keystore of your own session",
            ),
            Self::KeystoreNotOAuth => f.write_str(
                "this is the keystore of a session of its own, not of an OAuth authorization; use the one that the \
                     exchange of the code gave",
            ),
            Self::Method => f.write_str("the method must be one to sixteen capital letters"),
            Self::Path => f.write_str(
                "the path must start with a slash and have only characters of a URL, 32 KiB at most; percent-encode blanks, #, quotes, <, >, \\, \
                 ^, `, {, |, }, letters beyond ASCII, and a % that encodes nothing",
            ),
            Self::BodyNotJson => f.write_str("the body must be JSON"),
            Self::NonceOrder => f.write_str("the old PIN must be encrypted with the lower iterator; draw its nonce first"),
            Self::TipCounter => f.write_str("the TIP key's counter is the last there is; no other key can follow"),
            Self::PinField => f.write_str("the body has a pin or pin_base64 already; leave that field out"),
            Self::ActionMismatch => f.write_str(
                "the TIP action is not the one that path and body ask for, so that its signature would not hold; make \
                 them agree",
            ),
            Self::OAuthPin => f.write_str(
                "an OAuth session has no PIN: leave pin and pin_base64 out, or use a keystore of your own session",
            ),
            Self::LogLimit => f.write_str("the limit must be 1 to 100"),
            Self::BodyOfRead => f.write_str("a GET or HEAD has no body; put what it asks for into the path's query"),
            Self::ActionPath => f.write_str(
                "the path is not written as Mixin writes it, so that nobody can tell which TIP action it asks for: use \
                 POST, small letters, single slashes, and no dots, percent signs or slash at the end",
            ),
            Self::RequestIdMissing => {
                f.write_str("the answer does not say which request it answers; look for a proxy on the way")
            }
            Self::RequestIdMismatch => {
                f.write_str("the answer belongs to another request; look for a cache on the way")
            }
            Self::CurlMissing => {
                f.write_str("there is no curl command in the text; give one as a browser or a log has it")
            }
            Self::CurlQuotes => f.write_str("the curl command's quotes do not close; copy it whole"),
            Self::CurlBody => {
                f.write_str("the curl command's body is in a file or in $'…'; use --token, --method, --path and --body")
            }
            Self::CurlUrl => f.write_str("the curl command has no http or https URL; copy it whole"),
            Self::CurlToken => f.write_str("the curl command has no Authorization: Bearer header; copy it whole"),
            Self::KeystoreNotJson { line, column } => {
                write!(f, "the keystore is not a JSON object: see line {line}, column {column}")
            }
            Self::KeystoreMissing { shape, field } => {
                write!(f, "the keystore is {shape} and lacks {field}; take the whole file as it was made")
            }
            Self::KeystoreNotString { field } => {
                write!(f, "the keystore's {field} must be text, in quotes")
            }
            Self::KeystoreNotUuid { field } => {
                write!(f, "the keystore's {field} must be a UUID; copy it whole")
            }
            Self::KeystoreKey { field, cause } => write!(f, "the keystore's {field} cannot be used: {cause}"),
            Self::KeystoreConflict { first, second } => {
                write!(f, "the keystore names two users: {first} and {second} differ; take the file as it was made")
            }
            Self::ActionField { field } => {
                write!(f, "the body lacks {field}, or has it in another form than its TIP action is signed with")
            }
            Self::Api(error) => error.fmt(f),
            Self::ApiFailure(error) => write!(
                f,
                "the answer reports {}, which is no refusal that Mixin documents; the call may have been carried out, so \
                 look before it is made anew",
                error.facts()
            ),
            Self::Integrity(fault) => fault.fmt(f),
            Self::ServerTrouble { status } => {
                write!(f, "a server failed with HTTP {status}; whether the call reached the API is not known")
            }
            Self::AnswerEmpty { status } => {
                write!(f, "the answer (HTTP {status}) is empty; look for a proxy on the way")
            }
            Self::AnswerHtml { status } => {
                write!(f, "the answer (HTTP {status}) is a web page; check the API address and any proxy on the way")
            }
            Self::AnswerNotJson { status } => {
                write!(f, "the answer (HTTP {status}) is not JSON; check the API address and any proxy on the way")
            }
            Self::AnswerCutOff { status } => {
                write!(f, "the answer (HTTP {status}) ends in the middle; the connection may have been cut")
            }
            Self::AnswerShape { status } => {
                write!(f, "the answer (HTTP {status}) is JSON of an unexpected shape; check the API address")
            }
            Self::Token(fault) => fault.fmt(f),
            Self::BlockTime { timestamp } => {
                write!(
                    f,
                    "the encrypted PIN's timestamp {timestamp} is too far from the clock; compare the clocks of both sides"
                )
            }
            Self::BlockIterator { last } => {
                write!(
                    f,
                    "the encrypted PIN's iterator does not exceed the last one, {last}; use one store of iterators"
                )
            }
            Self::CurlOption { option } => {
                write!(f, "the curl option {} is not understood; remove it", Shown(option))
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Core(error) | Self::KeystoreKey { cause: error, .. } => Some(error),
            _ => None,
        }
    }
}

impl From<mixin_pin_core::Error> for Error {
    fn from(error: mixin_pin_core::Error) -> Self {
        Self::Core(error)
    }
}

impl From<TokenFault> for Error {
    fn from(fault: TokenFault) -> Self {
        Self::Token(fault)
    }
}
