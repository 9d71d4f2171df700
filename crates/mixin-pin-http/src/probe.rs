//! What one harmless call tells about a session and the clock.

use std::fmt;
use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_protocol::answer::User;

use crate::Error;

/// What [`Client::probe`](crate::Client::probe) found: the server was there.
#[non_exhaustive]
#[derive(Debug)]
pub struct Probe {
    /// Whom the session speaks for, or why Mixin refuses it.
    pub user: Result<User, Error>,
    /// How far this machine's clock is from the server's, where the server names its time.
    pub clock: Option<ClockOffset>,
}

/// How far a clock is from the server's, beyond what the call itself took.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_http::ClockOffset;
///
/// let offset = ClockOffset::Behind(Duration::from_millis(2_500));
/// assert_eq!(offset.to_string(), "2.5s behind the server's");
/// assert!(offset.distance() < Duration::from_secs(300));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockOffset {
    /// The clock is right, as nearly as one call can tell.
    None,
    /// The clock is ahead of the server's.
    Ahead(Duration),
    /// The clock is behind the server's.
    Behind(Duration),
}

impl ClockOffset {
    /// Where the server's time lies beside the times at which it was asked and at which it had answered.
    pub(crate) fn new(server: UnixTime, asked: UnixTime, answered: UnixTime) -> Result<Self, mixin_pin_core::Error> {
        let between = |early: UnixTime, late: UnixTime| {
            Ok(Duration::from_nanos(late.as_nanos()?.saturating_sub(early.as_nanos()?)))
        };
        Ok(if server < asked {
            Self::Ahead(between(server, asked)?)
        } else if server > answered {
            Self::Behind(between(answered, server)?)
        } else {
            Self::None
        })
    }

    /// How far, whichever way.
    pub const fn distance(self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Ahead(distance) | Self::Behind(distance) => distance,
        }
    }
}

impl fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("as the server's"),
            Self::Ahead(distance) => write!(f, "{distance:.1?} ahead of the server's"),
            Self::Behind(distance) => write!(f, "{distance:.1?} behind the server's"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_within_the_call_is_no_offset() {
        let offset = |server| {
            let secs = UnixTime::from_secs;
            ClockOffset::new(secs(server), secs(100), secs(102)).unwrap()
        };
        assert_eq!([offset(100), offset(101), offset(102)], [ClockOffset::None; 3]);
        assert_eq!(offset(97), ClockOffset::Ahead(Duration::from_secs(3)));
        assert_eq!(offset(106), ClockOffset::Behind(Duration::from_secs(4)));
        assert_eq!((offset(97).distance(), offset(101).distance()), (Duration::from_secs(3), Duration::ZERO));
        assert_eq!(offset(97).to_string(), "3.0s ahead of the server's");
        assert_eq!(offset(101).to_string(), "as the server's");
    }
}
