//! Everything that can go wrong between a call and its answer.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use mixin_pin_protocol::answer::Reason;
use mixin_pin_protocol::{AnswerError, CallError, Error as ProtocolError, Remedy};

use crate::ClockOffset;

/// Why a call failed. No variant carries secret data.
///
/// What a failure cost and what to do about it is in the book: `docs/errors.md`, by code and by word.
#[non_exhaustive]
#[derive(Debug)]
pub enum Error {
    /// The request could not be prepared, or the answer is a refusal or not to be understood.
    Protocol(ProtocolError),
    /// The API address is not an `http` or `https` URL of a host, and perhaps a port, alone.
    BaseUrl,
    /// Plain HTTP to another machine would show tokens to whoever is on the way.
    PlainHttp,
    /// A proxy's address cannot be used.
    Proxy {
        /// Where it comes from: the name of an environment variable, or "the proxy that was set".
        source: &'static str,
    },
    /// A header's value has characters that no header may have.
    Header,
    /// The store of iterators failed.
    Store(mixin_pin_store::Error),
    /// Somebody else used the session for longer than this call was to wait.
    SessionBusy {
        /// How long was waited.
        waited: Duration,
    },
    /// The hold on the session ended before the request could be sent.
    LeaseLost,
    /// The call's time was over before the request could be sent: waiting or signing took too long.
    TimeOver {
        /// The call's time.
        limit: Duration,
    },
    /// The server did not confirm that the clock is right, which the store of iterators wants to know.
    ClockUnconfirmed(Box<Self>),
    /// The answer does not name the server's time (`X-Server-Time`).
    NoServerTime,
    /// The clock is far from the server's.
    Clock {
        /// How far, and which way.
        offset: ClockOffset,
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
    /// Whether it is certain that the call changed nothing: it was never sent, or the API refused it for a reason that no
    /// copy of the request can have got round.
    ///
    /// A refusal that may be about a copy (a bare 401, 429 or 20119, see
    /// [`ApiError::may_answer_a_copy`](mixin_pin_protocol::answer::ApiError::may_answer_a_copy)) leaves open what became of
    /// the first copy, and so is not certain.
    ///
    /// ```
    /// use mixin_pin_http::Error;
    /// use mixin_pin_http::protocol::AnswerError;
    ///
    /// assert!(Error::LeaseLost.nothing_changed()); // it was not sent
    /// assert!(!Error::from(AnswerError::Server { status: 502 }).nothing_changed()); // not known
    /// ```
    pub fn nothing_changed(&self) -> bool {
        match self {
            Self::Protocol(ProtocolError::Answer(AnswerError::Refusal(refusal))) => !refusal.may_answer_a_copy(),
            Self::Protocol(ProtocolError::Answer(_))
            | Self::Interrupted(_)
            | Self::Timeout { .. }
            | Self::AnswerTooLong { .. }
            | Self::Redirect { .. } => false,
            // Any other protocol error arose before the request was sent.
            Self::Protocol(_)
            | Self::BaseUrl
            | Self::PlainHttp
            | Self::Proxy { .. }
            | Self::Header
            | Self::Store(_)
            | Self::SessionBusy { .. }
            | Self::LeaseLost
            | Self::TimeOver { .. }
            | Self::ClockUnconfirmed(_)
            | Self::NoServerTime
            | Self::Clock { .. }
            | Self::Connect(_) => true,
        }
    }
}

impl Error {
    /// What to do about it.
    ///
    /// Look up what became of a call before you make it again, unless [`Error::nothing_changed`].
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Protocol(error) => error.remedy(),
            Self::ClockUnconfirmed(error) => error.remedy(),
            Self::SessionBusy { .. } | Self::LeaseLost | Self::TimeOver { .. } | Self::Connect(_) => Remedy::TryAgain,
            Self::BaseUrl
            | Self::PlainHttp
            | Self::Proxy { .. }
            | Self::Header
            | Self::Store(_)
            | Self::NoServerTime
            | Self::Clock { .. } => Remedy::Mend,
            Self::Interrupted(_) | Self::Timeout { .. } | Self::AnswerTooLong { .. } | Self::Redirect { .. } => {
                Remedy::Alert
            }
        }
    }

    /// Whether the API refused a request, be it this one or a copy.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Protocol(ProtocolError::Answer(error)) if error.is_refusal())
    }

    /// Whether the API refused a request for a reason that this copy of it may have had.
    pub(crate) fn is_refusal_of_this_copy(&self) -> bool {
        matches!(self, Self::Protocol(ProtocolError::Answer(AnswerError::Refusal(refusal)))
            if !refusal.reason().is_some_and(Reason::is_of_a_copy))
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
            Self::Proxy { source } => write!(
                f,
                "the proxy cannot be used (see {source}), and nothing was sent: give a URL like http://proxy.example:3128, \
                 its scheme http, https, socks4, socks4a, socks5 or socks5h"
            ),
            Self::Header => f.write_str("the user agent and the device id must be printable ASCII"),
            Self::Store(error) => write!(f, "the store of iterators failed, nothing was sent: {error}"),
            Self::SessionBusy { waited } => write!(
                f,
                "the session was in use for {waited:.1?} by another call, perhaps of another process; nothing was sent, \
                 try again"
            ),
            Self::LeaseLost => f.write_str("the hold on the session ended before the request was sent; try again"),
            Self::TimeOver { limit } => write!(
                f,
                "the call's time of {limit:.1?} was over before the request was sent; give it more, or a faster signer"
            ),
            Self::ClockUnconfirmed(error) => {
                write!(f, "the server did not confirm that this clock is right, and no PIN was sent: {error}")
            }
            Self::NoServerTime => f.write_str(
                "the answer does not name the server's time; check the API address and any proxy on the way",
            ),
            Self::Clock { offset } => write!(
                f,
                "this machine's clock is {offset}; nothing was sent, because an iterator from a wrong clock can lock the \
                 session. Set the clock right"
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
            // Its text is this error's text.
            Self::Protocol(error) => error.source(),
            Self::Store(error) => Some(error),
            Self::ClockUnconfirmed(error) => Some(error.as_ref()),
            Self::Connect(error) | Self::Interrupted(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Nonce(cause) => match cause.downcast() {
                Ok(error) => Self::Store(*error),
                Err(cause) => Self::Protocol(CallError::Nonce(cause).into()),
            },
            error => Self::Protocol(error.into()),
        }
    }
}

impl From<AnswerError> for Error {
    fn from(error: AnswerError) -> Self {
        Self::Protocol(error.into())
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
/// assert!(!is_slow(&Error::LeaseLost));
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
