//! Everything that can go wrong between a call and its answer.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// Why a call failed. No variant carries secret data.
///
/// What a failure cost and what to do about it is in the book: `docs/errors.md`, by code and by word.
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
    /// The store of iterators failed.
    Nonce(Box<dyn StdError + Send + Sync>),
    /// Somebody else used the session for longer than this call was to wait.
    SessionBusy {
        /// How long was waited.
        waited: Duration,
    },
    /// The hold on the session ended before the request could be sent.
    HoldLost,
    /// The server could not be asked whether the clock is right, which the store of iterators wants to know.
    ClockUnconfirmed(Box<Self>),
    /// The clock is far from the server's, or far ahead of the session's last iterator and the server names no time.
    Clock {
        /// How far.
        off: Duration,
    },
    /// No connection was made: nothing was sent.
    Connect(TransportError),
    /// The connection failed after it was made: the request may have arrived.
    Interrupted(TransportError),
    /// No answer came within the call's time: the request may have arrived.
    Timeout {
        /// The call's time.
        limit: Duration,
    },
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
    ///
    /// ```
    /// use mixin_pin_http::Error;
    /// use mixin_pin_http::protocol::Error as ProtocolError;
    ///
    /// assert!(Error::HoldLost.nothing_changed()); // it was not sent
    /// assert!(!Error::Protocol(ProtocolError::ServerTrouble { status: 502 }).nothing_changed()); // who knows
    /// ```
    pub fn nothing_changed(&self) -> bool {
        match self {
            Self::Protocol(error) => error.is_refusal(),
            Self::Interrupted(_) | Self::Timeout { .. } | Self::AnswerTooLong { .. } | Self::Redirect { .. } => false,
            Self::BaseUrl
            | Self::PlainHttp
            | Self::Proxy
            | Self::Header
            | Self::Nonce(_)
            | Self::SessionBusy { .. }
            | Self::HoldLost
            | Self::ClockUnconfirmed(_)
            | Self::Clock { .. }
            | Self::Connect(_) => true,
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
            Self::Nonce(error) => write!(f, "the store of iterators failed, nothing was sent: {error}"),
            Self::SessionBusy { waited } => write!(
                f,
                "the session was in use for {waited:.1?} by another call, perhaps of another process; nothing was sent, \
                 try again"
            ),
            Self::HoldLost => f.write_str("the hold on the session ended before the request was sent; try again"),
            Self::ClockUnconfirmed(error) => {
                write!(f, "the server could not be asked whether this clock is right, and no PIN was sent: {error}")
            }
            Self::Clock { off } => write!(
                f,
                "this machine's clock is {} hours off; nothing was sent, for an iterator from there would lock the \
                 session. Set the clock right",
                off.as_secs() / 3600
            ),
            Self::Connect(error) => write!(f, "no connection to the API, nothing was sent: {error}"),
            Self::Interrupted(error) => write!(f, "the connection to the API failed before the answer came: {error}"),
            Self::Timeout { limit } => write!(f, "no answer came within {limit:.1?}"),
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
            Self::ClockUnconfirmed(error) => Some(error.as_ref()),
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
///
/// ```
/// use mixin_pin_http::{Error, TransportError};
///
/// fn is_slow(error: &Error) -> bool {
///     match error {
///         Error::Connect(cause) | Error::Interrupted(cause) => TransportError::is_timeout(cause),
///         Error::Timeout { .. } => true,
///         _ => false,
///     }
/// }
/// assert!(!is_slow(&Error::HoldLost));
/// ```
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
