//! The rules of a new lease: which iterators it reserves, and whether the clock must be confirmed. On Redis the script
//! `LEASE` has the same rules.

use std::time::Duration;

use mixin_pin_core::UnixTime;

use crate::engine::{PER_LEASE, Reserved};
use crate::iterators::{self, is_far_behind};
use crate::{Error, LeaseTerms};

/// Reserves the iterators after `last` at the time `now`, and returns them with the greatest of them. Reserves fewer at the
/// end of the numbers.
pub(super) fn reserve(last: Option<u64>, now: UnixTime) -> Result<(Reserved, u64), Error> {
    let first = iterators::next(last.unwrap_or(0), now)?;
    let last = first.saturating_add(PER_LEASE - 1);
    Ok((Reserved::new(first, last), last))
}

/// Whether the next iterator may follow the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClockCheck {
    /// The clock is near the last iterator, or it is confirmed.
    Accepted,
    /// The clock must be confirmed. It is this far ahead of the last iterator, if there is one.
    Leap(Option<Duration>),
}

/// Checks the clock against the session's last iterator.
pub(super) fn check_clock(last: Option<u64>, now: UnixTime, terms: &LeaseTerms) -> Result<ClockCheck, Error> {
    if terms.clock_is_confirmed() {
        return Ok(ClockCheck::Accepted);
    }
    let Some(last) = last else { return Ok(ClockCheck::Leap(None)) };
    let ahead = Duration::from_nanos(now.as_nanos()?.saturating_sub(last));
    Ok(if is_far_behind(last, now)? { ClockCheck::Leap(Some(ahead)) } else { ClockCheck::Accepted })
}

#[cfg(test)]
mod tests {
    use mixin_pin_core::Error as CoreError;

    use super::*;
    use crate::MAX_LEAP;

    fn taken(mut reserved: Reserved) -> Vec<u64> {
        std::iter::from_fn(|| reserved.take()).collect()
    }

    #[test]
    fn iterators_follow_the_clock_and_exceed_the_last() {
        let after = |last, now| taken(reserve(Some(last), UnixTime::from_nanos(now)).unwrap().0);
        assert_eq!(after(10, 50), [50, 51]);
        assert_eq!(after(50, 50), [51, 52]);
        assert_eq!(after(90, 50), [91, 92]);
        assert_eq!(after(0, 0), [1, 2]);
        assert_eq!(after(u64::MAX - 1, 50), [u64::MAX]);
    }

    #[test]
    fn after_the_last_number_there_are_no_iterators() {
        let ended = reserve(Some(u64::MAX), UnixTime::from_nanos(50));
        assert!(matches!(ended, Err(Error::Core(CoreError::IteratorExhausted))));
    }

    #[test]
    fn only_a_leap_of_more_than_a_day_or_a_new_session_needs_confirmation() {
        let terms = LeaseTerms::new(Duration::from_secs(1));
        let day = u64::try_from(MAX_LEAP.as_nanos()).unwrap();
        let check = |last, now, terms: &LeaseTerms| check_clock(last, UnixTime::from_nanos(now), terms).unwrap();
        assert_eq!(check(None, 50, &terms), ClockCheck::Leap(None));
        assert_eq!(check(Some(7), 7 + day, &terms), ClockCheck::Accepted);
        assert_eq!(check(Some(7), 8 + day, &terms), ClockCheck::Leap(Some(MAX_LEAP + Duration::from_nanos(1))));
        assert_eq!(check(Some(day), 7, &terms), ClockCheck::Accepted, "a clock that goes back does no harm");
        let confirmed = terms.with_confirmed_clock();
        assert_eq!(check(None, 50, &confirmed), ClockCheck::Accepted);
        assert_eq!(check(Some(7), 9 * day, &confirmed), ClockCheck::Accepted);
    }
}
