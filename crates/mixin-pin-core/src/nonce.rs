//! The counter/timestamp pair that makes an encrypted PIN one-time.

use crate::UnixTime;

/// A timestamp and an iterator, good for one block.
///
/// Neither `Clone` nor `Copy`: whoever seals a block spends its nonce, so that the compiler refuses to seal two
/// blocks with one. Only a [`NonceSource`] makes them.
///
/// ```compile_fail,E0382
/// # use mixin_pin_core::*;
/// # let (one, two) = (Pin::new("123456")?, Pin::new("654321")?);
/// let nonce = MonotonicNonces::new().next(UnixTime::from_secs(1_700_000_000))?;
/// let first = PinBlock::new(one, nonce);
/// let second = PinBlock::new(two, nonce); // use of moved value
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
#[must_use = "an iterator that is not used leaves a gap"]
pub struct Nonce {
    timestamp: u64,
    iterator: u64,
}

impl Nonce {
    pub(crate) const fn new(timestamp: u64, iterator: u64) -> Self {
        Self { timestamp, iterator }
    }

    pub(crate) const fn spend(self) -> (u64, u64) {
        (self.timestamp, self.iterator)
    }

    /// Unix seconds, for the block's timestamp.
    pub const fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// The iterator: greater than every one that its source gave before.
    pub const fn iterator(&self) -> u64 {
        self.iterator
    }
}

/// Gives out the iterators of one session.
///
/// # Contract
/// - Each iterator is greater than every one given before for the same session, whoever asked, and above zero.
/// - A source that keeps its state somewhere has it kept before it returns: a crash may skip numbers and never
///   repeats one.
/// - Gaps are allowed. Running out of 64 bits is an error, never a wrap.
///
/// Implement [`NonceSource::reserve`]; [`NonceSource::next`] makes a [`Nonce`] of what it gives.
///
/// ```
/// use core::cell::Cell;
/// use mixin_pin_core::{Error, NonceSource, UnixTime};
///
/// /// For one thread: a counter that knows no clock.
/// struct Counter(Cell<u64>);
///
/// impl NonceSource for Counter {
///     type Error = Error;
///
///     fn reserve(&self, _: UnixTime) -> Result<u64, Error> {
///         let next = self.0.get().checked_add(1).ok_or(Error::IteratorExhausted)?;
///         self.0.set(next);
///         Ok(next)
///     }
/// }
///
/// let nonce = Counter(Cell::new(41)).next(UnixTime::from_secs(1_700_000_000))?;
/// assert_eq!((nonce.timestamp(), nonce.iterator()), (1_700_000_000, 42));
/// # Ok::<(), Error>(())
/// ```
pub trait NonceSource {
    /// What a source can fail with.
    type Error;

    /// Takes the next iterator, at the time `now`.
    ///
    /// # Errors
    /// Whatever keeps the source from promising that the iterator is new and the greatest.
    fn reserve(&self, now: UnixTime) -> Result<u64, Self::Error>;

    /// Takes the next iterator and joins it with the timestamp of `now`.
    ///
    /// # Errors
    /// Those of [`NonceSource::reserve`].
    fn next(&self, now: UnixTime) -> Result<Nonce, Self::Error> {
        Ok(Nonce::new(now.secs(), self.reserve(now)?))
    }
}

impl<S: NonceSource + ?Sized> NonceSource for &S {
    type Error = S::Error;

    fn reserve(&self, now: UnixTime) -> Result<u64, Self::Error> {
        (**self).reserve(now)
    }
}

#[cfg(target_has_atomic = "64")]
pub use monotonic::MonotonicNonces;

#[cfg(target_has_atomic = "64")]
mod monotonic {
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
}

#[cfg(all(test, target_has_atomic = "64"))]
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
