//! Errors of calls and of client settings.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use mixin_pin_core::SignerError;
use mixin_pin_protocol::answer::{ErrorCode, Reason};
use mixin_pin_protocol::{AnswerError, CallError, Error as ProtocolError, Remedy, TokenFault};
use mixin_pin_store::{Error as StoreError, SqliteError};

use crate::{ClockOffset, TransportError};

/// Why a call failed. No variant contains secret data.
///
/// The book lists every error with its cost and its remedy: `docs/errors.md`.
#[non_exhaustive]
#[derive(Debug)]
pub enum Error {
    /// The client cannot be built.
    Settings(SettingsError),
    /// The request could not be prepared, the API refused it, or the answer is not valid.
    Protocol(ProtocolError),
    /// The nonce store failed.
    Store(StoreError),
    /// A signer failed: the session's, or a TIP key's. Nothing was sent.
    Signer(SignerError),
    /// Another caller used the session for the whole wait.
    SessionBusy {
        /// How long this call waited.
        waited: Duration,
    },
    /// The session's lease ended before the request could be sent.
    LeaseLost,
    /// The call's time limit passed before the request could be sent, because waiting or signing took too long.
    TimeOver {
        /// The limit.
        limit: Duration,
    },
    /// The nonce store asked for a confirmation of the clock, and the server gave none.
    ClockUnconfirmed(Box<Self>),
    /// The answer does not name the server's time (`X-Server-Time`).
    NoServerTime,
    /// The clock is far from the server's.
    Clock {
        /// How far, and in which direction.
        offset: ClockOffset,
    },
    /// No connection was made: nothing was sent.
    Connect(TransportError),
    /// The connection broke after it was made: the request may have arrived.
    Interrupted(TransportError),
    /// No answer came within the call's time limit: the request may have arrived.
    Timeout {
        /// The limit.
        limit: Duration,
    },
    /// The answer is too long and was not read.
    AnswerTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The server answered with a redirection, which the client does not follow.
    Redirect {
        /// The HTTP status.
        status: u16,
    },
}

/// Why a client cannot be built with its settings. Nothing was sent.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsError {
    /// The API address is not an `http` or `https` URL of only a host and an optional port.
    BaseUrl,
    /// Plain HTTP to another machine would expose tokens on the network.
    PlainHttp,
    /// A proxy's address is not valid.
    Proxy {
        /// Its origin: the name of an environment variable, or "the proxy that was set".
        origin: &'static str,
    },
    /// The user agent or the device id contains characters other than printable ASCII.
    Header,
}

impl Error {
    /// Whether the call certainly changed nothing: it was never sent, or the API refused it in a way that excludes that
    /// another copy of the request was accepted.
    ///
    /// Some refusals may be about a copy that a machine on the network made (401, 429 or 20119 without a reason, see
    /// [`ApiError::may_answer_a_copy`](mixin_pin_protocol::answer::ApiError::may_answer_a_copy)). They leave open what
    /// became of the first copy, so they are not certain.
    ///
    /// ```
    /// use mixin_pin_machine::Error;
    /// use mixin_pin_machine::protocol::AnswerError;
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
            // All other errors arise before the request is sent.
            Self::Protocol(_)
            | Self::Settings(_)
            | Self::Signer(_)
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

    /// What to do about it.
    ///
    /// Unless [`Error::nothing_changed`], find out what became of the call before you make it again. After a call that
    /// only reads, [`Remedy::Alert`] means that you can try again.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Protocol(error) => error.remedy(),
            // Asking for the time failed. That changes nothing, and no PIN was sent.
            Self::ClockUnconfirmed(error) => match error.remedy() {
                Remedy::Alert if error.retry_after().is_some() => Remedy::WaitUntil,
                Remedy::Alert => Remedy::TryAgain,
                remedy => remedy,
            },
            Self::Store(
                StoreError::LeaseLost
                | StoreError::InUse
                | StoreError::Sqlite(SqliteError::Locked { .. }),
            )
            // The signer's own errors are opaque here.
            | Self::Signer(_)
            | Self::SessionBusy { .. }
            | Self::LeaseLost
            | Self::TimeOver { .. }
            | Self::Connect(_) => Remedy::TryAgain,
            Self::Store(StoreError::Redis(error)) if error.may_pass() => Remedy::TryAgain,
            Self::Settings(_) | Self::Store(_) | Self::NoServerTime | Self::Clock { .. } => Remedy::Mend,
            Self::Interrupted(_) | Self::Timeout { .. } | Self::AnswerTooLong { .. } | Self::Redirect { .. } => {
                Remedy::Alert
            }
        }
    }

    /// How long to wait from the answer on, if a server said so (`Retry-After`). The outcome of a change may be unknown all
    /// the same.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Protocol(error) => error.retry_after(),
            Self::ClockUnconfirmed(error) => error.retry_after(),
            _ => None,
        }
    }

    /// Whether the API refused a request, this one or a copy.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Protocol(ProtocolError::Answer(error)) if error.is_refusal())
    }

    /// Whether the API refused the key that signed. A known reason may be another one, such as the clock.
    pub(crate) fn refuses_the_key(&self) -> bool {
        let Self::Protocol(ProtocolError::Answer(AnswerError::Refusal(refusal))) = self else { return false };
        let is_of_the_key = |reason| {
            let faults = [TokenFault::Algorithm, TokenFault::Signature];
            matches!(reason, Reason::Session) || matches!(reason, Reason::Token(fault) if faults.contains(&fault))
        };
        refusal.code == ErrorCode::Unauthorized && refusal.reason().is_none_or(is_of_the_key)
    }

    /// Whether the API refused a request for a reason that applies to this copy of it.
    pub(crate) fn is_refusal_of_this_copy(&self) -> bool {
        matches!(self, Self::Protocol(ProtocolError::Answer(AnswerError::Refusal(refusal)))
            if !refusal.reason().is_some_and(Reason::is_of_a_copy))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => error.fmt(f),
            Self::Protocol(error) => error.fmt(f),
            Self::Store(error) => write!(f, "the nonce store failed, nothing was sent: {error}"),
            Self::Signer(_) => f.write_str("a signer failed, nothing was sent; see its own error, and try again"),
            Self::SessionBusy { waited } => write!(
                f,
                "another call, possibly in another process, used the session for {waited:.1?}; nothing was sent; try again, or wait \
                 longer"
            ),
            Self::LeaseLost => f.write_str("the session's lease ended before the request was sent; try again"),
            Self::TimeOver { limit } => write!(
                f,
                "the call's time limit of {:.1}s passed before the request was sent; set a longer one, or use a faster \
                 signer",
                limit.as_secs_f64()
            ),
            Self::ClockUnconfirmed(error) => {
                write!(f, "the server did not confirm that this clock is right, and no PIN was sent: {error}")
            }
            Self::NoServerTime => {
                f.write_str("the answer does not name the server's time; check the API address and any proxy")
            }
            Self::Clock { offset } => write!(
                f,
                "this machine's clock is {offset}; set the clock right. Nothing was sent, because an iterator from a \
                 wrong clock can lock the session"
            ),
            Self::Connect(error) => write!(
                f,
                "no connection to the API, nothing was sent: {error}; check the API address, the network and any proxy"
            ),
            Self::Interrupted(error) => {
                write!(
                    f,
                    "the connection to the API broke before the answer came: {error}; look for a proxy on the way"
                )
            }
            Self::Timeout { limit } => {
                write!(
                    f,
                    "no answer came within {:.1}s; check the network and any proxy, or set a longer time limit",
                    limit.as_secs_f64()
                )
            }
            Self::AnswerTooLong { limit } => write!(
                f,
                "the answer is longer than {limit} bytes and was not read; check the API address, or ask for less at once"
            ),
            Self::Redirect { status } => {
                write!(f, "the server redirects (HTTP {status}), which is never followed; check the API address")
            }
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BaseUrl => f.write_str("the API address must be a URL like https://api.mixin.one, without a path"),
            Self::PlainHttp => {
                f.write_str("plain HTTP to another machine would expose every token; use https, or allow it explicitly")
            }
            Self::Proxy { origin } => write!(
                f,
                "the proxy cannot be used (see {origin}), and nothing was sent; give a URL like http://proxy.example:3128 \
                 with the scheme http, https, socks4, socks4a, socks5 or socks5h"
            ),
            Self::Header => f.write_str("the user agent and the device id must be printable ASCII"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            // `Display` prints this error itself, so the source is its cause.
            Self::Protocol(error) => error.source(),
            Self::Store(error) => Some(error),
            Self::Signer(error) => Some(error),
            Self::ClockUnconfirmed(error) => Some(error.as_ref()),
            Self::Connect(error) | Self::Interrupted(error) => Some(error),
            _ => None,
        }
    }
}

impl StdError for SettingsError {}

impl From<SettingsError> for Error {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
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
            CallError::Signer(error) => Self::Signer(error),
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
