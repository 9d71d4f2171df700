//! The in-memory source: the clock where it moves on, one more than the last where it does not.

use core::sync::atomic::{AtomicU64, Ordering};

use super::NonceSource;
use crate::{Error, UnixTime};

/// An in-memory source: the clock's nanoseconds, or the last iterator plus one where the clock stands still or
/// has jumped back.
///
/// Lock-free, to be shared by threads. It knows nothing of other processes, nor of what was used before a
/// restart except by the clock: a session used from two places needs a source that both share.
///
/// ```
/// use mixin_pin_core::{MonotonicNonces, NonceSource, UnixTime};
///
/// let nonces = MonotonicNonces::new();
/// let now = UnixTime::from_secs(1_700_000_000);
/// let first = nonces.next(now)?;
/// let second = nonces.next(now)?; // the clock stands still
/// assert!(second.iterator() > first.iterator());
/// // After a clock that ran ahead:
/// let third = MonotonicNonces::starting_after(second.iterator() + 1_000).next(now)?;
/// assert_eq!(third.iterator(), second.iterator() + 1_001);
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct MonotonicNonces {
    last: AtomicU64,
}

impl MonotonicNonces {
    /// A source for a session of which no greater iterator than the clock's nanoseconds was used.
    pub const fn new() -> Self {
        Self::starting_after(0)
    }

    /// A source whose iterators all exceed `last`.
    pub const fn starting_after(last: u64) -> Self {
        Self { last: AtomicU64::new(last) }
    }
}

impl NonceSource for MonotonicNonces {
    type Error = Error;

    /// # Errors
    /// [`Error::Time`] when `now` does not fit 64 bits of nanoseconds, [`Error::IteratorExhausted`] after
    /// `u64::MAX`.
    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        let clock = now.as_nanos()?;
        // Relaxed is enough: the one atomic is all the state, and its own modification order is total.
        let mut last = self.last.load(Ordering::Relaxed);
        loop {
            let next = last.checked_add(1).ok_or(Error::IteratorExhausted)?.max(clock);
            match self.last.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(next),
                Err(newer) => last = newer,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    #[test]
    fn the_clock_leads_while_it_goes_forward() {
        let nonces = MonotonicNonces::new();
        assert_eq!(nonces.reserve(UnixTime::from_nanos(10)), Ok(10));
        assert_eq!(nonces.reserve(UnixTime::from_nanos(10)), Ok(11));
        assert_eq!(nonces.reserve(UnixTime::from_nanos(3)), Ok(12));
        assert_eq!(nonces.reserve(UnixTime::from_nanos(20)), Ok(20));
    }

    #[test]
    fn the_first_iterator_exceeds_zero() {
        assert_eq!(MonotonicNonces::new().reserve(UnixTime::from_secs(0)), Ok(1));
    }

    #[test]
    fn the_end_of_64_bits_is_an_error_and_stays_one() {
        let nonces = MonotonicNonces::starting_after(u64::MAX - 1);
        let now = UnixTime::from_secs(1);
        assert_eq!(nonces.reserve(now), Ok(u64::MAX));
        assert_eq!(nonces.reserve(now), Err(Error::IteratorExhausted));
        assert_eq!(nonces.reserve(now), Err(Error::IteratorExhausted));
    }

    #[test]
    fn a_nonce_carries_seconds_and_iterator() {
        let nonce = MonotonicNonces::new().next(UnixTime::from_nanos(1_500_000_007)).unwrap();
        assert_eq!((nonce.timestamp(), nonce.iterator()), (1, 1_500_000_007));
    }
}
