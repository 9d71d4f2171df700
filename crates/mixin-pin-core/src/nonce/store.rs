//! What keeps the iterators of many sessions, and lets one caller at a time use a session.

use core::time::Duration;

use uuid::Uuid;

use super::NonceSource;

/// Keeps the iterators of sessions, for callers that share them: threads, processes or machines.
///
/// Rising iterators are not enough where several callers use one session: a request with a higher iterator may overtake
/// one with a lower, and the late one is refused. So a caller holds the session from the first iterator to the answer.
///
/// ```
/// use std::rc::Rc;
/// use std::time::{Duration, Instant};
/// use mixin_pin_core::{Error, HeldSession, Hold, HoldTerms, MonotonicNonces, NonceSource, NonceStore, UnixTime};
/// use mixin_pin_core::uuid::Uuid;
///
/// /// For a program of one thread and one session.
/// struct OneSession(Rc<MonotonicNonces>);
///
/// struct Held {
///     nonces: Rc<MonotonicNonces>,
///     until: Instant,
/// }
///
/// impl NonceSource for Held {
///     type Error = Error;
///
///     fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
///         self.nonces.reserve(now)
///     }
/// }
///
/// impl HeldSession for Held {
///     fn remaining(&self) -> Duration {
///         self.until.saturating_duration_since(Instant::now())
///     }
/// }
///
/// impl NonceStore for OneSession {
///     type Error = Error;
///     type Held = Held;
///
///     fn hold(&self, _: Uuid, terms: &HoldTerms) -> Result<Hold<Held>, Error> {
///         // Nobody else could release it while the only thread waits here.
///         if Rc::strong_count(&self.0) > 1 {
///             return Ok(Hold::Busy);
///         }
///         Ok(Hold::Held(Held { nonces: Rc::clone(&self.0), until: Instant::now() + terms.lease() }))
///     }
/// }
///
/// let store = OneSession(Rc::new(MonotonicNonces::new()));
/// let terms = HoldTerms::new(Duration::from_secs(60));
/// let Hold::Held(held) = store.hold(Uuid::from_u128(2), &terms)? else { panic!("nobody holds it") };
/// assert!(held.remaining() > Duration::from_secs(50));
/// let nonce = held.next(UnixTime::from_secs(1_700_000_000))?;
/// assert!(matches!(store.hold(Uuid::from_u128(2), &terms)?, Hold::Busy)); // until `held` is dropped
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
///
/// # Contract
/// - The iterators of a session, whoever holds it, follow the contract of [`NonceSource`].
/// - At any moment at most one caller holds a session, except that a hold whose lease has ended, or whose holder's process
///   is proven dead, may be taken over. The caller that lost it gets no further iterator; nor does a child that was forked
///   from its process.
/// - Sessions do not wait for each other.
/// - A store that outlives its process does not follow a clock that leaps far ahead of the session's last iterator,
///   unasked: an iterator from a year ahead would lock out, for a year, every client that goes by the clock. Nor does it
///   go on from a last iterator far ahead of the clock, unless the session's owner raised it there.
///
/// Implementations wait and read the clock by themselves; nothing in this crate does.
pub trait NonceStore {
    /// What a store can fail with.
    type Error;

    /// A session that is held.
    type Held: HeldSession<Error = Self::Error>;

    /// Waits until the session is free, at most as long as the terms say, and holds it.
    ///
    /// # Errors
    /// Whatever keeps the store from promising what its contract says.
    fn hold(&self, session_id: Uuid, terms: &HoldTerms) -> Result<Hold<Self::Held>, Self::Error>;
}

impl<S: NonceStore + ?Sized> NonceStore for &S {
    type Error = S::Error;
    type Held = S::Held;

    fn hold(&self, session_id: Uuid, terms: &HoldTerms) -> Result<Hold<Self::Held>, Self::Error> {
        (**self).hold(session_id, terms)
    }
}

/// A session that is held until this is dropped, or until its lease ends.
///
/// A release that does not reach the store is no danger: the lease ends by itself.
pub trait HeldSession: NonceSource {
    /// For how much longer the session is held for certain. A request that may take longer must not be sent any more.
    fn remaining(&self) -> Duration;
}

/// How a session is to be held.
///
/// ```
/// use core::time::Duration;
/// use mixin_pin_core::HoldTerms;
///
/// let terms = HoldTerms::new(Duration::from_secs(35)).wait(Duration::from_secs(10));
/// assert_eq!((terms.lease().as_secs(), terms.max_wait().as_secs()), (35, 10));
/// // Once the server's own clock was asked:
/// assert!(!terms.clock_is_confirmed() && terms.with_confirmed_clock().clock_is_confirmed());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldTerms {
    lease: Duration,
    wait: Duration,
    clock_is_confirmed: bool,
}

impl HoldTerms {
    /// A hold that ends by itself after `lease`, for a caller that waits for nothing.
    pub const fn new(lease: Duration) -> Self {
        Self { lease, wait: Duration::ZERO, clock_is_confirmed: false }
    }

    /// The same, waiting this long for a session that somebody else holds.
    #[must_use]
    pub const fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// The same for a caller that knows the clock to be right, say from the server's own: a leap of it is followed.
    #[must_use]
    pub const fn with_confirmed_clock(self) -> Self {
        Self { clock_is_confirmed: true, ..self }
    }

    /// How long after it began the hold ends by itself.
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// How long to wait for the session.
    pub const fn max_wait(&self) -> Duration {
        self.wait
    }

    /// Whether a leap of the clock is to be followed.
    pub const fn clock_is_confirmed(&self) -> bool {
        self.clock_is_confirmed
    }
}

/// What came of asking for a session.
#[must_use]
#[derive(Debug)]
pub enum Hold<H> {
    /// It is held.
    Held(H),
    /// Somebody else held it all the while.
    Busy,
    /// The clock is this far ahead of the session's last iterator, or the session is new here (None): whether the clock
    /// is right should be asked elsewhere first, and the hold then asked for with
    /// [`HoldTerms::with_confirmed_clock`].
    ClockUnconfirmed {
        /// How far; None for a session without a last iterator.
        ahead: Option<Duration>,
    },
}
