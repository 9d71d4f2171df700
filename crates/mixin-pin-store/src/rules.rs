//! The rules for iterators and the journal as pure functions, for a store of your own. The crate's stores follow the same
//! rules.
//!
//! **Left to the store:** to read and write the session in one transaction, and to end leases. The example `own_store` is a
//! complete store.

use std::ops::RangeInclusive;
use std::time::Duration;

use mixin_pin_core::UnixTime;

use crate::{Error, LeaseTerms, iterators, journal};

/// What a lease of a free session gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// These iterators. They are recorded with the lease's call, and the last of them is the session's new last iterator.
    Reserved(RangeInclusive<u64>),
    /// Nothing before the clock is compared with the server's, as [`LeaseReply`](crate::LeaseReply) says.
    ClockUnconfirmed {
        /// How far the clock is ahead. None for a session without a last iterator.
        ahead: Option<Duration>,
    },
}

/// Decides what a lease of a free session gets at the time `now`.
///
/// `last` is the greater of the session's last iterator and the greatest iterator in its journal: a record that was restored
/// from a backup may be behind its journal. None for a session that the store does not know. `raised_to` is the iterator to
/// which the owner raised the session, if the store offers that.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_core::UnixTime;
/// use mixin_pin_store::LeaseTerms;
/// use mixin_pin_store::rules::{Grant, grant};
///
/// let (now, terms) = (UnixTime::from_nanos(1_700_000_000_000_000_000), LeaseTerms::new(Duration::from_secs(35)));
/// let granted = grant(Some(1_699_999_999_000_000_000), None, now, &terms)?;
/// assert_eq!(granted, Grant::Reserved(1_700_000_000_000_000_000..=1_700_000_000_000_000_001));
/// // A new session: the clock must be confirmed.
/// assert_eq!(grant(None, None, now, &terms)?, Grant::ClockUnconfirmed { ahead: None });
/// # Ok::<(), mixin_pin_store::Error>(())
/// ```
///
/// # Errors
/// [`Error::IteratorAhead`] if `last` is far ahead of the clock and the owner did not raise it there. [`Error::Core`] after
/// the last number, or if `now` does not fit into one.
pub fn grant(last: Option<u64>, raised_to: Option<u64>, now: UnixTime, terms: &LeaseTerms<'_>) -> Result<Grant, Error> {
    if let Some(last) = last {
        iterators::check_last(last, raised_to, now)?;
    }
    if !terms.clock_is_confirmed() {
        let Some(last) = last else { return Ok(Grant::ClockUnconfirmed { ahead: None }) };
        if iterators::is_far_behind(last, now)? {
            let ahead = Duration::from_nanos(now.as_nanos()?.saturating_sub(last));
            return Ok(Grant::ClockUnconfirmed { ahead: Some(ahead) });
        }
    }
    Ok(Grant::Reserved(iterators::reserve(last, now)?))
}

/// The iterator after `last` at the time `now`, for a lease whose reserved iterators are used up.
///
/// # Errors
/// [`Error::Core`] after the last number, or if `now` does not fit into one.
pub fn next(last: u64, now: UnixTime) -> Result<u64, Error> {
    iterators::next(last, now)
}

/// The next lease of a session drops entries of the kind [`VerifyPin`](crate::CallKind::VerifyPin) whose token expired before
/// this time. All other entries stay until they are settled.
pub const fn oldest_verification(now: UnixTime) -> UnixTime {
    UnixTime::from_secs(journal::oldest_verification(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000_000_000;
    const DAY: u64 = 86_400_000_000_000;

    /// The first iterator of a lease at `NOW`, or how far the clock is ahead.
    fn at_now(last: u64, raised_to: Option<u64>, terms: &LeaseTerms<'_>) -> Result<Result<u64, Duration>, Error> {
        Ok(match grant(Some(last), raised_to, UnixTime::from_nanos(NOW), terms)? {
            Grant::Reserved(reserved) => {
                assert_eq!(reserved.clone().count(), 2);
                Ok(*reserved.start())
            }
            Grant::ClockUnconfirmed { ahead } => Err(ahead.unwrap()),
        })
    }

    #[test]
    fn a_lease_follows_clock_and_last_iterator_within_their_limits() {
        let terms = LeaseTerms::new(Duration::from_secs(1));
        let confirmed = terms.with_confirmed_clock();
        assert_eq!(at_now(NOW - 5, None, &terms).unwrap(), Ok(NOW));
        assert_eq!(at_now(NOW + 5, None, &terms).unwrap(), Ok(NOW + 6));
        assert_eq!(at_now(NOW - 2 * DAY, None, &terms).unwrap(), Err(Duration::from_nanos(2 * DAY)));
        assert_eq!(at_now(NOW - 2 * DAY, None, &confirmed).unwrap(), Ok(NOW));
        for terms in [terms, confirmed] {
            let refused = at_now(NOW + 2 * DAY, None, &terms);
            assert!(matches!(refused, Err(Error::IteratorAhead { ahead }) if ahead == Duration::from_nanos(2 * DAY)));
            assert_eq!(at_now(NOW + 2 * DAY, Some(NOW + 2 * DAY), &terms).unwrap(), Ok(NOW + 2 * DAY + 1));
        }
    }

    #[test]
    fn only_a_leap_of_more_than_a_day_or_a_new_session_needs_confirmation() {
        let terms = LeaseTerms::new(Duration::from_secs(1));
        let grant = |last, now, terms: &LeaseTerms| grant(last, None, UnixTime::from_nanos(now), terms).unwrap();
        let leap = |ahead| Grant::ClockUnconfirmed { ahead };
        assert_eq!(grant(None, 50, &terms), leap(None));
        assert_eq!(grant(Some(7), 7 + DAY, &terms), Grant::Reserved(7 + DAY..=8 + DAY));
        assert_eq!(grant(Some(7), 8 + DAY, &terms), leap(Some(Duration::from_nanos(DAY + 1))));
        assert_eq!(
            grant(Some(DAY), 7, &terms),
            Grant::Reserved(DAY + 1..=DAY + 2),
            "a clock that goes back does no harm"
        );
        let confirmed = terms.with_confirmed_clock();
        assert_eq!(grant(None, 50, &confirmed), Grant::Reserved(50..=51));
        assert_eq!(grant(Some(7), 9 * DAY, &confirmed), Grant::Reserved(9 * DAY..=9 * DAY + 1));
    }

    #[test]
    fn a_verification_is_kept_for_a_day() {
        let kept = oldest_verification(UnixTime::from_secs(1_700_000_000));
        assert_eq!(kept, UnixTime::from_secs(1_700_000_000 - 86_400));
    }
}
