//! What a transport tells the machine about a request: not sent, perhaps sent, or answered.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_protocol::answer::{Answer, MAX_BODY_LEN};

use crate::Error;

/// What became of one request, as its transport knows it.
///
/// # Security
/// [`Reply::NotSent`] permits another attempt with the same PIN. A transport reports it only if it never wrote a byte
/// of the request.
#[derive(Debug)]
pub enum Reply {
    /// No connection was made: nothing was sent.
    NotSent(TransportError),
    /// The time was over before the request was given to the transport: nothing was sent.
    TooLate,
    /// The connection broke after it was made: the request may have arrived.
    Lost(TransportError),
    /// No answer came in time: the request may have arrived.
    TimedOut,
    /// The answer is longer than [`MAX_BODY_LEN`](mixin_pin_protocol::answer::MAX_BODY_LEN) and was not read.
    TooLong,
    /// The answer.
    Answer(Received),
}

impl Reply {
    /// The answer. `limit` is the time that it was allowed to take.
    ///
    /// # Errors
    /// What became of the request instead, redirections included.
    pub fn received(self, limit: Duration) -> Result<Received, Error> {
        match self {
            Self::NotSent(error) => Err(Error::Connect(error)),
            Self::TooLate => Err(Error::TimeOver { limit }),
            Self::Lost(error) => Err(Error::Interrupted(error)),
            Self::TimedOut => Err(Error::Timeout { limit }),
            Self::TooLong => Err(Error::AnswerTooLong { limit: MAX_BODY_LEN }),
            Self::Answer(Received { status, .. }) if (300..400).contains(&status) => Err(Error::Redirect { status }),
            Self::Answer(received) => Ok(received),
        }
    }
}

/// An answer before it is read.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After`, if it is a number of seconds.
    pub retry_after: Option<Duration>,
    /// The header `X-Server-Time`, in nanoseconds, if it is a number.
    pub server_time: Option<UnixTime>,
    /// The header `X-Request-Id`.
    pub request_id: Option<String>,
    /// The header `X-Integrity-Token`.
    pub integrity_token: Option<String>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Received {
    /// An answer with the headers that the machine needs. `header` returns a header's value, and "?" for a value that
    /// is not text: it counts as present, but matches nothing.
    pub fn new(status: u16, header: impl Fn(&'static str) -> Option<String>, body: Vec<u8>) -> Self {
        let number = |name| header(name).and_then(|text| text.trim().parse().ok());
        Self {
            status,
            retry_after: number("Retry-After").map(Duration::from_secs),
            server_time: number("X-Server-Time").map(UnixTime::from_nanos),
            request_id: header("X-Request-Id"),
            integrity_token: header("X-Integrity-Token"),
            body,
        }
    }

    /// The answer, for the protocol to read.
    pub fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            request_id: self.request_id.as_deref(),
            integrity_token: self.integrity_token.as_deref(),
            body: &self.body,
        }
    }
}

/// A network error. Its cause is opaque, so the HTTP library can change.
#[derive(Debug)]
pub struct TransportError {
    cause: Box<dyn StdError + Send + Sync>,
    is_timeout: bool,
}

impl TransportError {
    /// Wraps the error of an HTTP library.
    pub fn new(cause: impl Into<Box<dyn StdError + Send + Sync>>, is_timeout: bool) -> Self {
        Self { cause: cause.into(), is_timeout }
    }

    /// Whether a time limit was reached.
    pub const fn is_timeout(&self) -> bool {
        self.is_timeout
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.cause)
    }
}
