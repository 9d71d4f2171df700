//! A store in memory, for a session that only one process uses.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{NonceSource, UnixTime};

use crate::{Error, Lease, LeaseReply, LeaseTerms, ManagedStore, NonceStore, Place, SessionRecord, iterators};

/// Iterators and leases in memory, shared by the threads of this process. Clones share their sessions.
///
/// The store does not see other machines, earlier runs or other processes, forked children included. Only the clock keeps its
/// iterators above theirs.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_core::uuid::Uuid;
/// use mixin_pin_store::{LeaseReply, LeaseTerms, MemoryStore, NonceStore};
///
/// let store = MemoryStore::new();
/// let (session_id, terms) = (Uuid::from_u128(1), LeaseTerms::new(Duration::from_secs(35)));
/// let first = store.lease(session_id, &terms)?;
/// assert!(matches!(store.lease(session_id, &terms)?, LeaseReply::Busy));
/// drop(first);
/// assert!(matches!(store.lease(session_id, &terms)?, LeaseReply::Granted(_)));
/// # Ok::<(), mixin_pin_store::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<HashMap<Uuid, Arc<Session>>>>);

#[derive(Debug, Default)]
struct Session {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// None for a session that is new or was forgotten.
    last_iterator: Option<u64>,
    raised_to: Option<u64>,
    fence: u64,
    leased_until: Option<Instant>,
}

impl State {
    fn leased_for(&self) -> Option<Duration> {
        self.leased_until?.checked_duration_since(Instant::now())
    }
}

impl Session {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the state unless the session is leased.
    fn lock_unleased(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.lock();
        if state.leased_for().is_some() { Err(Error::InUse) } else { Ok(state) }
    }
}

impl MemoryStore {
    pub(crate) const URL: &str = "memory:";

    /// A new store, separate from all others.
    pub fn new() -> Self {
        Self::default()
    }

    /// The default store of this process: all calls return the same.
    pub fn shared() -> Self {
        static SHARED: LazyLock<MemoryStore> = LazyLock::new(MemoryStore::new);
        SHARED.clone()
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self, session_id: Uuid) -> Arc<Session> {
        Self::sessions(self).entry(session_id).or_default().clone()
    }
}

impl NonceStore for MemoryStore {
    fn lease(&self, session_id: Uuid, terms: &LeaseTerms) -> Result<LeaseReply, Error> {
        let session = self.session(session_id);
        let begun = Instant::now();
        let mut state = session.lock();
        while let Some(left) = state.leased_for() {
            let Some(wait) = terms.max_wait().checked_sub(begun.elapsed()).filter(|wait| !wait.is_zero()) else {
                return Ok(LeaseReply::Busy);
            };
            let waited = session.freed.wait_timeout(state, wait.min(left));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.fence = state.fence.wrapping_add(1);
        // `Instant` cannot express the end: use a year.
        let until = Instant::now().checked_add(terms.duration());
        let until = until.unwrap_or_else(|| begun + Duration::from_secs(86_400 * 365));
        state.leased_until = Some(until);
        let fence = state.fence;
        drop(state);
        Ok(LeaseReply::Granted(Box::new(MemoryLease { session, fence, until })))
    }
}

impl ManagedStore for MemoryStore {
    fn sessions(&self) -> Result<Vec<SessionRecord>, Error> {
        let sessions = Self::sessions(self);
        let record = |(&session_id, session): (&Uuid, &Arc<Session>)| {
            let state = session.lock();
            Some(SessionRecord {
                session_id,
                last_iterator: state.last_iterator?,
                leased_for: state.leased_for(),
                raised_to: state.raised_to,
            })
        };
        Ok(sessions.iter().filter_map(record).collect())
    }

    fn forget(&self, session_id: Uuid) -> Result<bool, Error> {
        // The session stays in the map: callers may be waiting for it.
        let Some(session) = Self::sessions(self).get(&session_id).cloned() else { return Ok(false) };
        let mut state = session.lock_unleased()?;
        state.raised_to = None;
        Ok(state.last_iterator.take().is_some())
    }

    fn raise(&self, session_id: Uuid, to: u64) -> Result<u64, Error> {
        iterators::check_room(to, u64::MAX)?;
        let now = UnixTime::try_from(SystemTime::now())?;
        let session = self.session(session_id);
        let mut state = session.lock_unleased()?;
        if state.last_iterator.is_none() && iterators::is_far_behind(to, now)? {
            return Ok(now.as_nanos()?);
        }
        state.raised_to = state.raised_to.max(Some(to));
        let last = state.last_iterator.map_or(to, |last| last.max(to));
        state.last_iterator = Some(last);
        Ok(last)
    }

    fn place(&self) -> Place<'_> {
        Place::Memory
    }
}

/// A lease of this store.
struct MemoryLease {
    session: Arc<Session>,
    fence: u64,
    until: Instant,
}

impl NonceSource for MemoryLease {
    type Error = Error;

    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        // Locked until the iterator is saved, so no other caller leases the session meanwhile.
        let mut state = self.session.lock();
        if state.fence != self.fence || self.remaining().is_zero() {
            return Err(Error::LeaseLost);
        }
        let taken = iterators::next(state.last_iterator.unwrap_or(0), now)?;
        state.last_iterator = Some(taken);
        Ok(taken)
    }
}

impl Lease for MemoryLease {
    fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl Drop for MemoryLease {
    fn drop(&mut self) {
        let mut state = self.session.lock();
        if state.fence == self.fence {
            state.leased_until = None;
            drop(state);
            self.session.freed.notify_one();
        }
    }
}
