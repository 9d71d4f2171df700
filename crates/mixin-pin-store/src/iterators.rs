//! The rules for iterators, as arithmetic on a session's last iterator and the clock. The same for every engine.

use std::ops::RangeInclusive;
use std::time::Duration;

use mixin_pin_core::{Error as CoreError, UnixTime};

use crate::{Error, MAX_LEAP};

/// The iterator after `last` at the time `now`.
pub(crate) fn next(last: u64, now: UnixTime) -> Result<u64, Error> {
    Ok(last.checked_add(1).ok_or(CoreError::IteratorExhausted)?.max(now.as_nanos()?))
}

/// How many iterators a lease reserves: as many as the call with the most PINs needs. Gaps between iterators are allowed.
pub(crate) const PER_LEASE: u64 = 2;

/// Reserves the iterators after `last` at the time `now`. Reserves fewer at the end of the numbers.
pub(crate) fn reserve(last: Option<u64>, now: UnixTime) -> Result<RangeInclusive<u64>, Error> {
    let first = next(last.unwrap_or(0), now)?;
    Ok(first..=first.saturating_add(PER_LEASE - 1))
}

/// A last iterator this far ahead of the clock is refused. One second beyond the limit, because calls also count iterators
/// up by a few nanoseconds.
pub(crate) const TOO_FAR: Duration = Duration::from_secs(MAX_LEAP.as_secs() + 1);

/// Refuses a last iterator far ahead of the clock, unless the owner raised it there.
pub(crate) fn check_last(last: u64, raised_to: Option<u64>, now: UnixTime) -> Result<(), Error> {
    let beyond = |from: u64| Duration::from_nanos(last.saturating_sub(from));
    let ahead = beyond(now.as_nanos()?);
    if ahead < TOO_FAR || raised_to.is_some_and(|raised_to| beyond(raised_to) < TOO_FAR) {
        return Ok(());
    }
    Err(Error::IteratorAhead { ahead })
}

/// Whether an iterator is so far behind the clock that the clock must be confirmed first. Raising a new session to such an
/// iterator has no effect.
pub(crate) fn is_far_behind(iterator: u64, now: UnixTime) -> Result<bool, Error> {
    Ok(Duration::from_nanos(now.as_nanos()?.saturating_sub(iterator)) > MAX_LEAP)
}

/// Refuses to raise a session so far that no iterators are left. `last` is the greatest iterator of the engine.
pub(crate) fn check_room(to: u64, last: u64) -> Result<(), Error> {
    let room = u64::try_from(TOO_FAR.as_nanos()).unwrap_or(u64::MAX);
    let greatest = last.saturating_sub(room);
    if to > greatest { Err(Error::NoRoomAbove { greatest }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_iterator_follows_the_clock_and_exceeds_the_last() {
        let next = |last, now| next(last, UnixTime::from_nanos(now));
        assert_eq!(next(10, 50).unwrap(), 50);
        assert_eq!(next(50, 50).unwrap(), 51);
        assert_eq!(next(90, 50).unwrap(), 91);
        assert_eq!(next(0, 0).unwrap(), 1);
        assert!(matches!(next(u64::MAX, 50), Err(Error::Core(CoreError::IteratorExhausted))));
    }

    #[test]
    fn iterators_follow_the_clock_and_exceed_the_last() {
        let after = |last, now| reserve(Some(last), UnixTime::from_nanos(now)).unwrap().collect::<Vec<_>>();
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
    fn a_last_iterator_far_ahead_is_followed_only_if_its_owner_raised_it() {
        let day = u64::try_from(MAX_LEAP.as_nanos()).unwrap();
        let second = 1_000_000_000;
        let ahead = |last, raised_to, now| match check_last(last, raised_to, UnixTime::from_nanos(now)) {
            Ok(()) => None,
            Err(Error::IteratorAhead { ahead }) => Some(ahead),
            other => panic!("{other:?}"),
        };
        assert_eq!(ahead(5, None, 7 * day), None);
        assert_eq!(ahead(8 * day + 20, None, 7 * day), None, "calls count up a little");
        assert_eq!(ahead(8 * day + second, None, 7 * day), Some(TOO_FAR));
        assert_eq!(ahead(u64::MAX, None, 0), Some(Duration::from_nanos(u64::MAX)));
        assert_eq!(ahead(30 * day, Some(29 * day), 0), None);
        assert_eq!(ahead(30 * day + second, Some(29 * day), 0), Some(30 * MAX_LEAP + Duration::from_secs(1)));
        assert_eq!(ahead(30 * day, Some(50 * day), 0), None);
        assert_eq!(ahead(u64::MAX, Some(u64::MAX - day), 0), None);
        let refused = |to, last| matches!(check_room(to, last), Err(Error::NoRoomAbove { greatest }) if greatest < to);
        assert!(refused(u64::MAX, u64::MAX) && refused(u64::MAX - day, u64::MAX));
        assert!(!refused(u64::MAX - day - second, u64::MAX) && !refused(0, u64::MAX));
        assert!(refused(u64::MAX - day - second, i64::MAX.unsigned_abs()));
    }
}
