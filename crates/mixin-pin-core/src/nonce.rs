//! The counter/timestamp pair that makes an encrypted PIN one-time, and the contract of what gives it out.

mod monotonic;

use crate::UnixTime;

pub use monotonic::MonotonicNonces;

/// A timestamp and an iterator, good for one block.
///
/// Neither `Clone` nor `Copy`: whoever encrypts a block spends its nonce, so that the compiler refuses to encrypt two
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
/// - **Rising.** Each iterator is greater than every one given before for the same session, whoever asked: another
///   thread, another process, another machine that shares the source. The first is above zero.
/// - **Durable before use.** A source that keeps its state somewhere has it kept before it returns: after a crash at any
///   instant, the next iterator is greater than every one that was returned before it.
/// - **Gaps are allowed.** A number may be skipped, and never comes back.
/// - **The clock leads where it can.** Where the clock's nanoseconds exceed the last iterator, they are the next one, so
///   that clients without a memory of their own, whose iterator is the clock, are not locked out. A clock that stands
///   still or goes back changes nothing: the next iterator is one more than the last.
/// - **An end is an error.** After `u64::MAX` every call fails; nothing wraps.
///
/// The feature `test-suite` of `mixin-pin-store` checks an implementation against this.
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
