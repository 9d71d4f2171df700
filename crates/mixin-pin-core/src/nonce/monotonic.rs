//! The in-memory source: the clock's time, or one more than the last iterator if the clock does not advance.

use super::NonceSource;
use crate::{Error, UnixTime};

/// An in-memory source of iterators: the clock's nanoseconds, or the last iterator plus one if the clock stands still
/// or goes back.
///
/// Threads can share it, without a lock. On targets that have no 64-bit atomics, such as most microcontrollers, it works
/// the same in one thread and is not `Sync`.
///
/// It does not know what other processes use, and after a restart it knows only the clock. If two processes use a
/// session, use a source that both share, such as a store of `mixin-pin-store`.
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
    last: last::Last,
}

impl MonotonicNonces {
    /// A source for a session whose iterators were never above the clock's nanoseconds.
    pub const fn new() -> Self {
        Self::starting_after(0)
    }

    /// A source whose iterators are all greater than `last`.
    pub const fn starting_after(last: u64) -> Self {
        Self { last: last::Last::new(last) }
    }
}

impl NonceSource for MonotonicNonces {
    type Error = Error;

    /// # Errors
    /// [`Error::Time`] if `now` does not fit 64 bits of nanoseconds, [`Error::IteratorExhausted`] after `u64::MAX`.
    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        let clock = now.as_nanos()?;
        self.last.advance(|last| Some(last.checked_add(1)?.max(clock))).ok_or(Error::IteratorExhausted)
    }
}

#[cfg(target_has_atomic = "64")]
mod last {
    use core::sync::atomic::{AtomicU64, Ordering};

    /// The last iterator.
    #[derive(Debug, Default)]
    pub(super) struct Last(AtomicU64);

    impl Last {
        pub(super) const fn new(last: u64) -> Self {
            Self(AtomicU64::new(last))
        }

        pub(super) fn advance(&self, next: impl Fn(u64) -> Option<u64>) -> Option<u64> {
            // Relaxed is enough: this atomic is all the state, and its own modification order is total.
            let mut last = self.0.load(Ordering::Relaxed);
            loop {
                let next = next(last)?;
                match self.0.compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return Some(next),
                    Err(newer) => last = newer,
                }
            }
        }
    }
}

#[cfg(not(target_has_atomic = "64"))]
mod last {
    use core::cell::Cell;

    /// The last iterator, for one thread.
    #[derive(Debug, Default)]
    pub(super) struct Last(Cell<u64>);

    impl Last {
        pub(super) const fn new(last: u64) -> Self {
            Self(Cell::new(last))
        }

        pub(super) fn advance(&self, next: impl Fn(u64) -> Option<u64>) -> Option<u64> {
            let next = next(self.0.get())?;
            self.0.set(next);
            Some(next)
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
    fn after_64_bits_every_call_is_an_error() {
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
