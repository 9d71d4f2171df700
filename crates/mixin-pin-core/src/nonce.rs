//! Nonces, which make encrypted PINs one-time, and their sources.

mod monotonic;

use crate::UnixTime;

pub use monotonic::MonotonicNonces;

/// A timestamp and an iterator, for one block.
///
/// A nonce is neither `Clone` nor `Copy`. Encryption consumes it, so the compiler rejects a second block with the same
/// nonce. Only a [`NonceSource`] makes nonces.
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
#[must_use = "an unused iterator leaves a gap"]
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

    /// The iterator, greater than all earlier ones of its source.
    pub const fn iterator(&self) -> u64 {
        self.iterator
    }
}

/// A source of the iterators of one session.
///
/// # Contract
/// - **Rising.** Each iterator is greater than all earlier ones of the session, also those that another thread, process
///   or machine got from the same source. The first is greater than zero.
/// - **Durable before use.** A source with stored state stores it before it returns. After a crash at any instant, the
///   next iterator is greater than every returned one.
/// - **Gaps are allowed.** A source may skip a number, and then never returns it.
/// - **The clock leads.** If the clock's nanoseconds exceed the last iterator, they are the next one. Clients that have no
///   state and use the clock as the iterator stay usable this way. If the clock stands still or goes back, the next
///   iterator is the last one plus one.
/// - **The end is an error.** After `u64::MAX` every call fails. No number wraps.
///
/// The feature `test-suite` of `mixin-pin-store` checks an implementation against this contract.
///
/// Implement [`NonceSource::reserve`]. [`NonceSource::next`] makes a [`Nonce`] of its result.
///
/// ```
/// use core::cell::Cell;
/// use mixin_pin_core::{Error, NonceSource, UnixTime};
///
/// /// A counter for one thread, without a clock.
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
    /// The error of the source.
    type Error;

    /// Takes the next iterator at the time `now`.
    ///
    /// # Errors
    /// The source cannot guarantee that the iterator is new and the greatest.
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
