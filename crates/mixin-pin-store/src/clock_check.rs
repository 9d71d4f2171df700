//! Whether the clock must be confirmed before a new lease. SQLite and PostgreSQL use it. On Redis the script `LEASE` has
//! the same rule.

use std::time::Duration;

use mixin_pin_core::UnixTime;

use crate::iterators::is_far_behind;
use crate::{Error, LeaseTerms};

/// Whether the next iterator may follow the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClockCheck {
    /// The clock is near the last iterator, or it is confirmed.
    Accepted,
    /// The clock must be confirmed. It is this far ahead of the last iterator, if there is one.
    Leap(Option<Duration>),
}

/// Checks the clock against the session's last iterator.
pub(crate) fn check_clock(last: Option<u64>, now: UnixTime, terms: &LeaseTerms<'_>) -> Result<ClockCheck, Error> {
    if terms.clock_is_confirmed() {
        return Ok(ClockCheck::Accepted);
    }
    let Some(last) = last else { return Ok(ClockCheck::Leap(None)) };
    let ahead = Duration::from_nanos(now.as_nanos()?.saturating_sub(last));
    Ok(if is_far_behind(last, now)? { ClockCheck::Leap(Some(ahead)) } else { ClockCheck::Accepted })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MAX_LEAP;

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
