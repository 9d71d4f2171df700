//! Which iterators come next: pure arithmetic on the last one and the clock, the same for every engine.

use std::time::Duration;

use mixin_pin_core::{Error as CoreError, UnixTime};

use crate::{Error, LeaseTerms, MAX_LEAP};

/// How many iterators a hold takes at once: as many as the call with the most PINs needs. Gaps are allowed.
pub(crate) const STOCK: u64 = 2;

/// Iterators that are taken and not yet given out: a range that ends inclusively, empty when its begin exceeds its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stock {
    next: Option<u64>,
    last: u64,
}

impl Stock {
    /// From `first` to `last`, which is not below it.
    pub(crate) const fn new(first: u64, last: u64) -> Self {
        Self { next: Some(first), last }
    }

    pub(crate) const fn last(self) -> u64 {
        self.last
    }

    pub(crate) fn take(&mut self) -> Option<u64> {
        let taken = self.next?;
        self.next = taken.checked_add(1).filter(|next| *next <= self.last);
        Some(taken)
    }
}

/// The `count` iterators after `last`, at the time `now`; fewer where the numbers end.
pub(crate) fn after(last: u64, now: UnixTime, count: u64) -> Result<Stock, Error> {
    let first = last.checked_add(1).ok_or(CoreError::IteratorExhausted)?.max(now.as_nanos()?);
    Ok(Stock::new(first, first.saturating_add(count - 1)))
}

/// From here on a last iterator is too far ahead of the clock: by more than a day, in whole seconds, so that what calls
/// count up does not matter.
pub(crate) const TOO_FAR: Duration = Duration::from_secs(MAX_LEAP.as_secs() + 1);

/// Refuses a last iterator that is far ahead of the clock, unless the owner raised it there.
pub(crate) fn check_lead(last: u64, raised_to: Option<u64>, now: UnixTime) -> Result<(), Error> {
    let beyond = |from: u64| Duration::from_nanos(last.saturating_sub(from));
    let ahead = beyond(now.as_nanos()?);
    if ahead < TOO_FAR || raised_to.is_some_and(|raised_to| beyond(raised_to) < TOO_FAR) {
        return Ok(());
    }
    Err(Error::IteratorAhead { ahead })
}

/// Whether a session that is new gains nothing from being raised so far: its clock leads by so much that it would have to
/// be confirmed all the same.
pub(crate) fn is_far_behind(to: u64, now: UnixTime) -> Result<bool, Error> {
    Ok(Duration::from_nanos(now.as_nanos()?.saturating_sub(to)) > MAX_LEAP)
}

/// Refuses to raise a session so far that no iterators are left to it, where they end at `last`.
pub(crate) fn check_room(to: u64, last: u64) -> Result<(), Error> {
    let room = u64::try_from(TOO_FAR.as_nanos()).unwrap_or(u64::MAX);
    let greatest = last.saturating_sub(room);
    if to > greatest { Err(Error::NoRoomAbove { greatest }) } else { Ok(()) }
}

/// Whether the clock may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clocks {
    /// It is near the last iterator, or confirmed.
    Agree,
    /// Somebody has to confirm it: it is this far ahead of the last iterator, if there is one.
    Leap(Option<Duration>),
}

/// Judges the clock by the session's last iterator.
pub(crate) fn compare(last: Option<u64>, now: UnixTime, terms: &LeaseTerms) -> Result<Clocks, Error> {
    if terms.clock_is_confirmed() {
        return Ok(Clocks::Agree);
    }
    let Some(last) = last else { return Ok(Clocks::Leap(None)) };
    let ahead = Duration::from_nanos(now.as_nanos()?.saturating_sub(last));
    Ok(if is_far_behind(last, now)? { Clocks::Leap(Some(ahead)) } else { Clocks::Agree })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(mut stock: Stock) -> Vec<u64> {
        std::iter::from_fn(|| stock.take()).collect()
    }

    #[test]
    fn the_clock_leads_and_the_last_is_exceeded() {
        let after = |last, now| taken(after(last, UnixTime::from_nanos(now), STOCK).unwrap());
        assert_eq!(after(10, 50), [50, 51]);
        assert_eq!(after(50, 50), [51, 52]);
        assert_eq!(after(90, 50), [91, 92]);
        assert_eq!(after(0, 0), [1, 2]);
        assert_eq!(after(u64::MAX - 1, 50), [u64::MAX]);
    }

    #[test]
    fn after_the_last_number_comes_none() {
        let ended = after(u64::MAX, UnixTime::from_nanos(50), STOCK);
        assert!(matches!(ended, Err(Error::Core(CoreError::IteratorExhausted))));
    }

    #[test]
    fn a_last_iterator_far_ahead_is_followed_only_where_its_owner_raised_it() {
        let day = u64::try_from(MAX_LEAP.as_nanos()).unwrap();
        let second = 1_000_000_000;
        let ahead = |last, raised_to, now| match check_lead(last, raised_to, UnixTime::from_nanos(now)) {
            Ok(()) => None,
            Err(Error::IteratorAhead { ahead }) => Some(ahead),
            other => panic!("{other:?}"),
        };
        assert_eq!(ahead(5, None, 7 * day), None);
        assert_eq!(ahead(8 * day + 20, None, 7 * day), None, "what calls count up is no lead");
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

    #[test]
    fn only_a_leap_of_more_than_a_day_or_a_new_session_wants_a_confirmation() {
        let terms = LeaseTerms::new(Duration::from_secs(1));
        let day = u64::try_from(MAX_LEAP.as_nanos()).unwrap();
        let compare = |last, now, terms: &LeaseTerms| compare(last, UnixTime::from_nanos(now), terms).unwrap();
        assert_eq!(compare(None, 50, &terms), Clocks::Leap(None));
        assert_eq!(compare(Some(7), 7 + day, &terms), Clocks::Agree);
        assert_eq!(compare(Some(7), 8 + day, &terms), Clocks::Leap(Some(MAX_LEAP + Duration::from_nanos(1))));
        assert_eq!(compare(Some(day), 7, &terms), Clocks::Agree, "a clock that goes back is no danger");
        let confirmed = terms.with_confirmed_clock();
        assert_eq!(compare(None, 50, &confirmed), Clocks::Agree);
        assert_eq!(compare(Some(7), 9 * day, &confirmed), Clocks::Agree);
    }
}
