//! Nonce stores and leases: who may use a session now, and which iterators are theirs.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_core::NonceSource;
use mixin_pin_core::uuid::Uuid;

use crate::{Error, Risk, SessionRecord};

/// Leases sessions, for callers that share them: threads, processes or machines.
///
/// Rising iterators are not enough where several callers use one session: a request with a higher iterator may overtake
/// one with a lower iterator, and the server then refuses the late one. So a caller leases the session from the first
/// iterator to the answer.
///
/// The trait is object-safe; `&S`, `Box<S>` and `Arc<S>` are stores where `S` is one. A store of your own reports its
/// failures by [`Error::other`].
///
/// # Contract
/// - The iterators of a session follow the contract of [`NonceSource`] across all its leases.
/// - At most one caller has a session's lease at any moment. Another may take the session over once the lease has ended or
///   the holder's process is proven dead. The former holder, or a child forked from it, then gets no further iterator.
/// - Sessions do not wait for each other.
/// - A store that outlives its process does not follow a clock that leaps far ahead of the session's last iterator unless
///   the terms confirm the clock: an iterator from a year ahead would lock out every client that goes by the clock for a
///   year. Nor does it go on from a last iterator far ahead of the clock unless the session's owner raised it there.
///
/// The feature `test-suite` checks an implementation against this.
pub trait NonceStore: Send + Sync {
    /// Leases a session. Waits for another caller's lease to end, at most as long as the terms say.
    ///
    /// # Errors
    /// Whatever keeps the store from its contract.
    fn lease(&self, session_id: Uuid, terms: &LeaseTerms) -> Result<LeaseReply, Error>;
}

/// A leased session: the source of its nonces. Dropping it releases the session.
///
/// A release that does not reach the store does no harm: the lease ends by itself.
pub trait Lease: NonceSource<Error = Error> + Send + Sync {
    /// How much longer the lease surely lasts. Do not send a request that may take longer.
    fn remaining(&self) -> Duration;
}

/// A store whose records can be listed and changed.
pub trait ManagedStore: NonceStore {
    /// The sessions that the store knows, in no order.
    ///
    /// # Errors
    /// Whatever keeps the store from being read.
    fn sessions(&self) -> Result<Vec<SessionRecord>, Error>;

    /// Forgets a session, so that its next iterator comes from the clock alone; returns whether it was known.
    ///
    /// # Errors
    /// [`Error::InUse`] while it is leased, or whatever keeps the store from being written.
    fn forget(&self, session_id: Uuid) -> Result<bool, Error>;

    /// Raises a session's last iterator, for a session whose other clients have used greater ones, and returns the last
    /// iterator. It is never lowered. Iterators up to [`MAX_LEAP`](crate::MAX_LEAP) beyond `to` are then followed, however
    /// far ahead of the clock. A session that the store does not know, with `to` more than that behind the clock, gains
    /// nothing: it stays unknown, and the clock's time is returned.
    ///
    /// # Warning
    /// From then on every other client of the session must be above `to`. If `to` is ahead of the clock, a client that goes
    /// by the clock is not.
    ///
    /// # Errors
    /// [`Error::InUse`] while it is leased, [`Error::NoRoomAbove`] near the end of the numbers, or whatever keeps the store
    /// from being written.
    fn raise(&self, session_id: Uuid, to: u64) -> Result<u64, Error>;

    /// Where the store keeps its records.
    fn place(&self) -> Place<'_>;

    /// What may go wrong with this store although it can be used.
    ///
    /// # Errors
    /// Whatever keeps the store from being asked.
    fn risks(&self) -> Result<Vec<Risk>, Error> {
        Ok(Vec::new())
    }
}

/// Where a store keeps its records.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'s> {
    /// In the memory of this process.
    Memory,
    /// In a file of this machine.
    File(&'s Path),
    /// On a Redis or Valkey server. Its URL may hold a password, so it is not told.
    Redis,
}

/// Each pointer passes the call on to the store behind it.
macro_rules! by_pointer {
    ($($pointer:ty),*) => {$(
        impl<S: NonceStore + ?Sized> NonceStore for $pointer {
            fn lease(&self, session_id: Uuid, terms: &LeaseTerms) -> Result<LeaseReply, Error> {
                (**self).lease(session_id, terms)
            }
        }
    )*};
}
by_pointer!(&S, Box<S>, Arc<S>);

/// The terms of a lease.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_store::LeaseTerms;
///
/// let terms = LeaseTerms::new(Duration::from_secs(35)).wait(Duration::from_secs(10));
/// assert_eq!((terms.duration().as_secs(), terms.max_wait().as_secs()), (35, 10));
/// // After the server's clock was asked:
/// assert!(!terms.clock_is_confirmed() && terms.with_confirmed_clock().clock_is_confirmed());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms {
    duration: Duration,
    wait: Duration,
    clock_is_confirmed: bool,
}

impl LeaseTerms {
    /// A lease that ends by itself after `duration`. The caller does not wait for a session in use.
    pub const fn new(duration: Duration) -> Self {
        Self { duration, wait: Duration::ZERO, clock_is_confirmed: false }
    }

    /// The same terms, waiting at most `wait` for a session in use.
    #[must_use]
    pub const fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// The same terms with a clock known to be right, for example from the server's own: the store follows a leap of it.
    #[must_use]
    pub const fn with_confirmed_clock(self) -> Self {
        Self { clock_is_confirmed: true, ..self }
    }

    /// How long after its start the lease ends by itself.
    pub const fn duration(&self) -> Duration {
        self.duration
    }

    /// How long to wait for a session in use.
    pub const fn max_wait(&self) -> Duration {
        self.wait
    }

    /// Whether the store follows a leap of the clock.
    pub const fn clock_is_confirmed(&self) -> bool {
        self.clock_is_confirmed
    }
}

/// A store's answer to [`NonceStore::lease`].
#[must_use]
pub enum LeaseReply {
    /// The caller has the session.
    Granted(Box<dyn Lease>),
    /// Another caller still had it when the wait ended.
    Busy,
    /// The clock is this far ahead of the session's last iterator. Confirm the clock elsewhere, then ask again with
    /// [`LeaseTerms::with_confirmed_clock`].
    ClockUnconfirmed {
        /// How far; None for a session without a last iterator.
        ahead: Option<Duration>,
    },
}

impl fmt::Debug for LeaseReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted(_) => f.write_str("Granted(..)"),
            Self::Busy => f.write_str("Busy"),
            Self::ClockUnconfirmed { ahead } => f.debug_struct("ClockUnconfirmed").field("ahead", ahead).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_keep_what_was_set_before() {
        let (duration, wait) = (Duration::from_secs(35), Duration::from_secs(10));
        let terms = LeaseTerms::new(duration).with_confirmed_clock().wait(wait);
        assert_eq!((terms.duration(), terms.max_wait(), terms.clock_is_confirmed()), (duration, wait, true));
        let terms = LeaseTerms::new(duration).wait(wait).with_confirmed_clock();
        assert_eq!((terms.duration(), terms.max_wait(), terms.clock_is_confirmed()), (duration, wait, true));
        assert!(!LeaseTerms::new(duration).clock_is_confirmed());
    }
}
