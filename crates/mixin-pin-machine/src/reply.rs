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
    /// The header `Retry-After`: a number of seconds, or a date. A date counts from the header `Date` or `X-Server-Time`.
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
        let server_time = header("X-Server-Time").and_then(|text| text.trim().parse().ok()).map(UnixTime::from_nanos);
        let retry_after = header("Retry-After").and_then(|text| {
            let now = || header("Date").and_then(|date| http_date(&date)).or(server_time);
            pause(&text, now)
        });
        Self {
            status,
            retry_after,
            server_time,
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
            retry_after: self.retry_after,
            body: &self.body,
        }
    }
}

/// Reads `Retry-After` (RFC 9110, section 10.2.3).
fn pause(text: &str, now: impl FnOnce() -> Option<UnixTime>) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    Some(Duration::from_secs(http_date(text)?.secs().saturating_sub(now()?.secs())))
}

/// Reads a date like `Sun, 06 Nov 1994 08:49:37 GMT`, the only form that servers may write (RFC 9110, section 5.6.7).
fn http_date(text: &str) -> Option<UnixTime> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (_, date) = text.trim().split_once(", ")?;
    let mut parts = date.strip_suffix(" GMT")?.split([' ', ':']);
    let day: u64 = parts.next()?.parse().ok()?;
    let month = parts.next().filter(|name| name.len() == 3)?;
    let month = u64::try_from(MONTHS.find(month).filter(|at| at % 3 == 0)? / 3).ok()?;
    let mut number = || parts.next()?.parse::<u64>().ok();
    let (year, hour, minute, second) = (number()?, number()?, number()?, number()?);
    let is_valid = (1..=31).contains(&day) && (1970..=9999).contains(&year) && hour < 24 && minute < 60 && second <= 60;
    if !is_valid || number().is_some() {
        return None;
    }
    // Years begin in March here, so that the leap day is the last one.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    // From 0000-03-01 to 1970-01-01.
    let days = days.checked_sub(719_468)?;
    Some(UnixTime::from_secs(days * 86_400 + hour * 3_600 + minute * 60 + second))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_servers_write_them() {
        let secs = |text: &str| http_date(text).map(UnixTime::secs);
        for (text, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 23:59:60 GMT", 951_868_800),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            (" Thu, 26 Nov 2026 10:07:05 GMT ", 1_795_687_625),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
        ] {
            assert_eq!(secs(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "?",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 anF 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37:01 GMT",
            "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
        ] {
            assert_eq!(secs(text), None, "{text}");
        }
    }

    #[test]
    fn a_pause_is_a_number_of_seconds_or_ends_at_a_date() {
        const AT: &str = "Sun, 06 Nov 1994 08:50:07 GMT";
        let pause = |headers: &[(&str, &str)]| {
            let header =
                |name: &str| headers.iter().find(|(one, _)| *one == name).map(|(_, value)| (*value).to_owned());
            Received::new(429, header, Vec::new()).retry_after.map(|pause| pause.as_secs())
        };
        assert_eq!(pause(&[("Retry-After", " 30 ")]), Some(30));
        assert_eq!(pause(&[("Retry-After", AT), ("Date", "Sun, 06 Nov 1994 08:49:37 GMT")]), Some(30));
        assert_eq!(pause(&[("Retry-After", AT), ("X-Server-Time", "784111777500000000")]), Some(30));
        assert_eq!(pause(&[("Retry-After", AT), ("Date", "Sun, 06 Nov 1994 09:00:00 GMT")]), Some(0), "it is over");
        for headers in [&[("Retry-After", AT)][..], &[("Retry-After", "soon")], &[("Retry-After", "-1")], &[]] {
            assert_eq!(pause(headers), None, "{headers:?}");
        }
    }
}
