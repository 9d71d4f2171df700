//! Everything that can go wrong between a call and its answer.

use std::error::Error as StdError;
use std::fmt;

/// Why a call failed. No variant carries secret data.
#[non_exhaustive]
#[derive(Debug)]
pub enum Error {
    /// The request could not be prepared, or the answer is a refusal or not to be understood.
    Protocol(mixin_pin_protocol::Error),
    /// The API address is not an `http` or `https` URL of a host alone.
    BaseUrl,
    /// Plain HTTP to another machine would show tokens to whoever is on the way.
    PlainHttp,
    /// The proxy's URL cannot be used.
    Proxy,
    /// A header's value has characters that no header may have.
    Header,
    /// No iterator could be had.
    Nonce(Box<dyn StdError + Send + Sync>),
    /// No connection was made: nothing was sent.
    Connect(TransportError),
    /// The connection failed after it was made: the request may have arrived.
    Interrupted(TransportError),
    /// The answer is longer than the limit, and was not read.
    AnswerTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The server answered with a redirection, which is not followed.
    Redirect {
        /// The HTTP status.
        status: u16,
    },
}

impl Error {
    /// Whether it is certain that the call changed nothing: it was refused by the API, or never sent.
    pub fn nothing_changed(&self) -> bool {
        match self {
            Self::Protocol(error) => error.is_refusal(),
            Self::Interrupted(_) | Self::AnswerTooLong { .. } | Self::Redirect { .. } => false,
            Self::BaseUrl | Self::PlainHttp | Self::Proxy | Self::Header | Self::Nonce(_) | Self::Connect(_) => true,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(error) => error.fmt(f),
            Self::BaseUrl => f.write_str("the API address must be a URL like https://api.mixin.one, without a path"),
            Self::PlainHttp => f.write_str(
                "plain HTTP to another machine would show every token on the way; use https, or allow it expressly",
            ),
            Self::Proxy => f.write_str("the proxy must be a URL like http://proxy.example:3128"),
            Self::Header => f.write_str("the user agent and the device id must be printable ASCII"),
            Self::Nonce(error) => write!(f, "no iterator could be had: {error}"),
            Self::Connect(error) => write!(f, "no connection to the API, nothing was sent: {error}"),
            Self::Interrupted(error) => write!(f, "the connection to the API failed before the answer came: {error}"),
            Self::AnswerTooLong { limit } => write!(f, "the answer is longer than {limit} bytes and was not read"),
            Self::Redirect { status } => {
                write!(f, "the server redirects (HTTP {status}); check the API address, for no call is sent on")
            }
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Protocol(error) => Some(error),
            Self::Nonce(error) => Some(error.as_ref()),
            Self::Connect(error) | Self::Interrupted(error) => Some(error),
            _ => None,
        }
    }
}

impl From<mixin_pin_protocol::Error> for Error {
    fn from(error: mixin_pin_protocol::Error) -> Self {
        Self::Protocol(error)
    }
}

impl From<mixin_pin_core::Error> for Error {
    fn from(error: mixin_pin_core::Error) -> Self {
        Self::Protocol(error.into())
    }
}

/// What the network said. Its kind is private, so that the HTTP library can change.
#[derive(Debug)]
pub struct TransportError(ureq::Error);

impl TransportError {
    pub(crate) const fn new(error: ureq::Error) -> Self {
        Self(error)
    }

    /// Whether a time limit was reached.
    pub const fn is_timeout(&self) -> bool {
        matches!(self.0, ureq::Error::Timeout(_))
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}
