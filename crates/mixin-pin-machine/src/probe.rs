//! A check of the session and the clock by one harmless call.

use std::fmt;
use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_protocol::Error as ProtocolError;
use mixin_pin_protocol::answer::User;

use crate::{Ended, Error, Outcome};

/// The result of a client's `probe`, if the server answered.
#[non_exhaustive]
#[derive(Debug)]
pub struct Probe {
    /// The user of the session, or why Mixin refuses the session.
    pub user: Result<User, Error>,
    /// The distance of this machine's clock from the server's, if Mixin's answer names the server's time. A refusal
    /// counts; an answer from a gateway or a captive portal does not.
    pub clock: Option<ClockOffset>,
}

impl Probe {
    /// What the end of [`Rules::probe`](crate::Rules::probe) says about the session and the clock.
    ///
    /// # Errors
    /// The error of the call, if there was no answer.
    pub fn new<L>(ended: Ended<User, L>) -> Result<Self, Error> {
        let user = match ended.result {
            Ok(Outcome::Done(user)) => Ok(user),
            Ok(Outcome::Unknown(unknown)) => return Err(*unknown.cause),
            Err(error @ Error::Protocol(ProtocolError::Answer(_))) => Err(error),
            Err(error) => return Err(error),
        };
        Ok(Self { user, clock: ended.clock })
    }
}

/// The distance of a clock from the server's, beyond the duration of the call itself.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_machine::ClockOffset;
///
/// let offset = ClockOffset::Behind(Duration::from_millis(2_500));
/// assert_eq!(offset.to_string(), "2 seconds behind the server's");
/// assert!(offset.distance() < Duration::from_secs(300));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockOffset {
    /// The clock is right, as far as one call can tell.
    None,
    /// The clock is ahead of the server's.
    Ahead(Duration),
    /// The clock is behind the server's.
    Behind(Duration),
}

impl ClockOffset {
    /// Compares the server's time with the times just before the request and just after the answer.
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

    /// The distance in either direction.
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
            Self::Ahead(distance) => write!(f, "{} ahead of the server's", Rough(*distance)),
            Self::Behind(distance) => write!(f, "{} behind the server's", Rough(*distance)),
        }
    }
}

/// A time in the largest unit of which there are at least two.
struct Rough(Duration);

impl fmt::Display for Rough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(86_400, "days"), (3_600, "hours"), (60, "minutes"), (1, "seconds")];
        let seconds = self.0.as_secs();
        match UNITS.iter().find(|(unit, _)| seconds / unit >= 2) {
            Some((unit, name)) => write!(f, "{} {name}", seconds / unit),
            None => write!(f, "{:.1} seconds", self.0.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_time_during_the_call_is_no_offset() {
        let offset = |server| {
            let secs = UnixTime::from_secs;
            ClockOffset::new(secs(server), secs(100), secs(102)).unwrap()
        };
        assert_eq!([offset(100), offset(101), offset(102)], [ClockOffset::None; 3]);
        assert_eq!(offset(97), ClockOffset::Ahead(Duration::from_secs(3)));
        assert_eq!(offset(106), ClockOffset::Behind(Duration::from_secs(4)));
        assert_eq!((offset(97).distance(), offset(101).distance()), (Duration::from_secs(3), Duration::ZERO));
        assert_eq!(offset(97).to_string(), "3 seconds ahead of the server's");
        assert_eq!(offset(101).to_string(), "as the server's");
    }

    #[test]
    fn a_distance_is_shown_in_a_suitable_unit() {
        let text = |millis| Rough(Duration::from_millis(millis)).to_string();
        assert_eq!([text(40), text(1_900), text(2_000)], ["0.0 seconds", "1.9 seconds", "2 seconds"]);
        assert_eq!([text(119_000), text(120_000), text(7_199_000)], ["119 seconds", "2 minutes", "119 minutes"]);
        assert_eq!([text(7_200_000), text(172_800_000), text(u64::MAX)], ["2 hours", "2 days", "213503982334 days"]);
    }
}
