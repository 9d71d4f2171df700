//! Nonce stores and leases: which caller may use a session now, and with which iterators.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{NonceSource, UnixTime};

use crate::{CallIntent, Error, PendingCall, Risk, SessionRecord};

/// Leases sessions, for callers that share them: threads, processes or machines.
///
/// If several callers use one session, rising iterators are not enough. A request with a higher iterator may overtake
/// one with a lower iterator, and the server then refuses the late one. So a caller keeps the session leased from the
/// first iterator to the answer.
///
/// The trait is object-safe. If `S` is a store, so are `&S`, `Box<S>` and `Arc<S>`. A store of your own reports its
/// failures by [`Error::other`].
///
/// # Contract
/// - The iterators of a session follow the contract of [`NonceSource`] across all its leases.
/// - At most one caller has a session's lease at any moment. Another may take the session over once the lease has ended
///   or the former caller's process is certainly dead. That caller, or a child forked from it, then gets no further
///   iterator.
/// - Sessions do not wait for each other.
/// - A store that outlives its process does not follow a clock that leaps far ahead of the session's last iterator
///   unless the terms confirm the clock: an iterator from a year ahead would lock out every client that goes by the
///   clock for a year. It also refuses a last iterator far ahead of the clock unless the session's owner raised it
///   there.
/// - Such a store also goes on above the greatest iterator of the session's journal. The record may be behind the journal if
///   only a part of the store was restored.
///
/// # Journal
/// If the terms of a lease name a call, the store writes an entry for it together with the lease. So an entry exists
/// before the first byte of the call is sent.
/// - Releasing the lease removes the entry, unless [`Lease::keep_entry`] keeps it. This holds for a lease that has
///   ended, too: entries are removed by their request ids.
/// - The entry stays after a crash, or if its removal does not reach the store. So a call that the journal lists may
///   never have been sent, or its outcome may be known. A call that it does not list has a known outcome, unless the
///   store has lost its last writes.
/// - An entry stays until it is settled, with one exception: the session's next lease drops a
///   [`VerifyPin`](crate::CallKind::VerifyPin) whose token expired more than a day ago. Such a call changed nothing.
///
/// The feature `test-suite` checks an implementation against this contract. The module [`rules`](crate::rules) has the parts
/// of it that are arithmetic.
pub trait NonceStore: Send + Sync {
    /// Leases a session. Waits for another caller's lease to end, at most as long as the terms say.
    ///
    /// # Errors
    /// Any failure of the store.
    fn lease(&self, session_id: Uuid, terms: &LeaseTerms<'_>) -> Result<LeaseReply, Error>;

    /// The calls of a session that are under way or whose outcome is unknown, in the order of their iterators.
    ///
    /// # Errors
    /// Any failure of the store.
    fn pending(&self, session_id: Uuid) -> Result<Vec<PendingCall>, Error>;

    /// Removes the entry of a call whose outcome is known now. Returns whether there was one.
    ///
    /// A power cut or a failover may undo it. Then the call is listed again.
    ///
    /// # Errors
    /// [`Error::InUse`] while the call is under way: its caller settles it. Also any failure of the store.
    fn settle(&self, session_id: Uuid, request_id: Uuid) -> Result<bool, Error>;
}

/// A lease of a session, and the source of its nonces. Dropping it releases the session.
///
/// If a release does not reach the store, the lease ends by itself, and the entry of its call stays.
pub trait Lease: NonceSource<Error = Error> + Send + Sync {
    /// The least time for which the lease still lasts. Do not send a request that may take longer.
    fn remaining(&self) -> Duration;

    /// When the lease was granted, by the store's clock. The entry of its call has the same time as
    /// [`sent_at`](PendingCall::sent_at).
    fn granted_at(&self) -> UnixTime;

    /// Sets whether dropping the lease keeps the entry of its call. At first it does not. Set it before the first byte
    /// is sent, and clear it when the outcome is known.
    fn keep_entry(&self, keep: bool);
}

/// A store whose records can be listed and changed.
pub trait ManagedStore: NonceStore {
    /// The sessions that the store knows, in any order.
    ///
    /// # Errors
    /// Any failure of the store.
    fn sessions(&self) -> Result<Vec<SessionRecord>, Error>;

    /// What the store knows about one session: its record in [`sessions`](ManagedStore::sessions). By default this reads all.
    ///
    /// # Errors
    /// Any failure of the store.
    fn session(&self, session_id: Uuid) -> Result<Option<SessionRecord>, Error> {
        Ok(self.sessions()?.into_iter().find(|record| record.session_id == session_id))
    }

    /// Calls of all sessions that are under way or whose outcome is unknown, by session and then in the order of their
    /// iterators.
    ///
    /// # Errors
    /// Any failure of the store.
    fn all_pending(&self) -> Result<Vec<PendingCall>, Error>;

    /// Forgets a session. Its next iterator then comes from the clock alone. Returns whether the session was known.
    ///
    /// # Errors
    /// [`Error::InUse`] while it is leased, [`Error::Unsettled`] while the journal lists calls of it, or any failure of
    /// the store.
    fn forget(&self, session_id: Uuid) -> Result<bool, Error>;

    /// Raises a session's last iterator to `to`, because other clients of the session have used greater ones. Returns
    /// the last iterator, which is never lowered.
    ///
    /// The store then accepts iterators up to [`MAX_LEAP`](crate::MAX_LEAP) beyond `to`, however far ahead of the
    /// clock. If the session is new and `to` is more than `MAX_LEAP` behind the clock, raising has no effect: the
    /// session stays unknown, and the result is the clock's time.
    ///
    /// # Warning
    /// From then on every other client of the session must use iterators above `to`. If `to` is ahead of the clock, a
    /// client that derives its iterators from the clock is locked out.
    ///
    /// # Errors
    /// [`Error::InUse`] while it is leased, [`Error::NoRoomAbove`] near the end of the numbers, or any failure of the
    /// store.
    fn raise(&self, session_id: Uuid, to: u64) -> Result<u64, Error>;

    /// Where the store keeps its records.
    fn place(&self) -> Place<'_>;

    /// Problems that do not keep the store from being used.
    ///
    /// # Errors
    /// Any failure of the store.
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
    /// On a Redis or Valkey server. The URL is left out because it may contain a password.
    Redis,
    /// In a PostgreSQL database.
    Postgres,
}

macro_rules! by_pointer {
    ($($pointer:ty),*) => {$(
        impl<S: NonceStore + ?Sized> NonceStore for $pointer {
            fn lease(&self, session_id: Uuid, terms: &LeaseTerms<'_>) -> Result<LeaseReply, Error> {
                (**self).lease(session_id, terms)
            }

            fn pending(&self, session_id: Uuid) -> Result<Vec<PendingCall>, Error> {
                (**self).pending(session_id)
            }

            fn settle(&self, session_id: Uuid, request_id: Uuid) -> Result<bool, Error> {
                (**self).settle(session_id, request_id)
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
/// // After a comparison with the server's clock:
/// assert!(!terms.clock_is_confirmed() && terms.with_confirmed_clock().clock_is_confirmed());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTerms<'c> {
    duration: Duration,
    wait: Duration,
    clock_is_confirmed: bool,
    call: Option<&'c CallIntent>,
}

impl<'c> LeaseTerms<'c> {
    /// A lease that ends by itself after `duration`. By default the caller does not wait for a session in use.
    pub const fn new(duration: Duration) -> Self {
        Self { duration, wait: Duration::ZERO, clock_is_confirmed: false, call: None }
    }

    /// The same terms, waiting at most `wait` for a session in use. A store that another process locks, or that does not
    /// answer, is waited for as long, or for a second if that is longer.
    #[must_use]
    pub const fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// The same terms with a clock known to be right, for example after a comparison with the server's. The store then
    /// accepts a leap of the clock.
    #[must_use]
    pub const fn with_confirmed_clock(self) -> Self {
        Self { clock_is_confirmed: true, ..self }
    }

    /// The same terms for a lease that makes this call. The store records it in its journal.
    #[must_use]
    pub const fn for_call(self, call: &CallIntent) -> LeaseTerms<'_> {
        let Self { duration, wait, clock_is_confirmed, call: _ } = self;
        LeaseTerms { duration, wait, clock_is_confirmed, call: Some(call) }
    }

    /// The same terms for a task that has a copy of the call.
    #[cfg(any(feature = "postgres", all(feature = "async", any(feature = "redis", feature = "sqlite"))))]
    pub(crate) const fn without_call(self) -> LeaseTerms<'static> {
        let Self { duration, wait, clock_is_confirmed, call: _ } = self;
        LeaseTerms { duration, wait, clock_is_confirmed, call: None }
    }

    /// The time after which the lease ends by itself.
    pub const fn duration(&self) -> Duration {
        self.duration
    }

    /// The longest wait for a session in use.
    pub const fn max_wait(&self) -> Duration {
        self.wait
    }

    /// Whether the store accepts a leap of the clock.
    pub const fn clock_is_confirmed(&self) -> bool {
        self.clock_is_confirmed
    }

    /// The call that the lease is for.
    pub const fn call(&self) -> Option<&'c CallIntent> {
        self.call
    }
}

/// A store's answer to [`NonceStore::lease`].
#[must_use]
pub enum LeaseReply<L = Box<dyn Lease>> {
    /// The caller leases the session.
    Granted(L),
    /// Another caller still leased it when the wait ended.
    Busy,
    /// The clock is far ahead of the session's last iterator, or the session is new. Compare the clock with the
    /// server's, then ask again with [`LeaseTerms::with_confirmed_clock`].
    ClockUnconfirmed {
        /// How far. None for a session without a last iterator.
        ahead: Option<Duration>,
    },
}

impl<L> fmt::Debug for LeaseReply<L> {
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
    fn setting_a_term_keeps_the_others() {
        let (duration, wait) = (Duration::from_secs(35), Duration::from_secs(10));
        let terms = LeaseTerms::new(duration).with_confirmed_clock().wait(wait);
        assert_eq!((terms.duration(), terms.max_wait(), terms.clock_is_confirmed()), (duration, wait, true));
        let terms = LeaseTerms::new(duration).wait(wait).with_confirmed_clock();
        assert_eq!((terms.duration(), terms.max_wait(), terms.clock_is_confirmed()), (duration, wait, true));
        assert!(!LeaseTerms::new(duration).clock_is_confirmed());
        let call = CallIntent {
            request_id: Uuid::nil(),
            method: "POST".into(),
            path: "/pin/verify".into(),
            kind: crate::CallKind::VerifyPin,
            token_lifetime: duration,
        };
        let for_call = terms.for_call(&call);
        assert_eq!((for_call.duration(), for_call.max_wait(), for_call.clock_is_confirmed()), (duration, wait, true));
        assert_eq!((for_call.wait(wait).with_confirmed_clock().call(), terms.call()), (Some(&call), None));
    }
}
