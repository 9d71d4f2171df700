//! A store in memory, for a session that only one process uses.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{NonceSource, UnixTime};

use crate::journal::{OwnEntry, oldest_verification};
use crate::{
    CallKind, Error, Lease, LeaseReply, LeaseTerms, ManagedStore, NonceStore, PendingCall, Place, SessionRecord,
    iterators,
};

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
    /// By their request ids.
    calls: BTreeMap<Uuid, Entry>,
}

/// An entry of the journal.
#[derive(Debug)]
struct Entry {
    /// The fence of its lease.
    fence: u64,
    call: PendingCall,
}

impl State {
    fn leased_for(&self) -> Option<Duration> {
        self.leased_until?.checked_duration_since(Instant::now())
    }

    /// The calls of the session, in the order of their iterators.
    fn pending(&self) -> Vec<PendingCall> {
        let under_way_for = self.leased_for();
        let call = |entry: &Entry| PendingCall {
            under_way_for: under_way_for.filter(|_| entry.fence == self.fence),
            ..entry.call.clone()
        };
        let mut calls: Vec<PendingCall> = self.calls.values().map(call).collect();
        calls.sort_by_key(|call| *call.iterators.start());
        calls
    }
}

impl Session {
    /// None if the session was forgotten, or was never leased.
    fn record(&self, session_id: Uuid) -> Option<SessionRecord> {
        let state = self.lock();
        Some(SessionRecord {
            session_id,
            last_iterator: state.last_iterator?,
            leased_for: state.leased_for(),
            raised_to: state.raised_to,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the state unless the session is leased.
    fn lock_unleased(&self) -> Result<MutexGuard<'_, State>, Error> {
        let state = self.lock();
        if state.leased_for().is_some() { Err(Error::InUse) } else { Ok(state) }
    }

    /// Leases the session, which is not leased.
    fn grant(
        self: &Arc<Self>,
        state: &mut State,
        session_id: Uuid,
        terms: &LeaseTerms<'_>,
        is_async: bool,
    ) -> Result<MemoryLease, Error> {
        let (begun, granted_at) = (Instant::now(), UnixTime::try_from(SystemTime::now())?);
        let is_needed = is_async || terms.call().is_some();
        let reserved = is_needed.then(|| iterators::reserve(state.last_iterator, granted_at)).transpose()?;
        if let Some(reserved) = &reserved {
            state.last_iterator = Some(*reserved.end());
        }
        state.fence = state.fence.wrapping_add(1);
        let fence = state.fence;
        // `Instant` cannot express the end: use a year.
        let until = begun.checked_add(terms.duration());
        let until = until.unwrap_or_else(|| begun + Duration::from_secs(86_400 * 365));
        state.leased_until = Some(until);
        let oldest = oldest_verification(granted_at);
        state
            .calls
            .retain(|_, Entry { call, .. }| call.kind != CallKind::VerifyPin || call.expires_at.secs() >= oldest);
        if let (Some(call), Some(reserved)) = (terms.call(), reserved.clone()) {
            let call = PendingCall::new(session_id, call, reserved, granted_at);
            state.calls.insert(call.request_id, Entry { fence, call });
        }
        let entry = OwnEntry::new(terms);
        Ok(MemoryLease {
            session: self.clone(),
            fence,
            granted_at,
            until,
            reserved: Mutex::new(reserved),
            is_async,
            entry,
        })
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

    fn known_or_new(&self, session_id: Uuid) -> Arc<Session> {
        Self::sessions(self).entry(session_id).or_default().clone()
    }
}

impl NonceStore for MemoryStore {
    fn lease(&self, session_id: Uuid, terms: &LeaseTerms<'_>) -> Result<LeaseReply, Error> {
        let session = self.known_or_new(session_id);
        let begun = Instant::now();
        let mut state = session.lock();
        while let Some(left) = state.leased_for() {
            let Some(wait) = terms.max_wait().checked_sub(begun.elapsed()).filter(|wait| !wait.is_zero()) else {
                return Ok(LeaseReply::Busy);
            };
            let waited = session.freed.wait_timeout(state, wait.min(left));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(LeaseReply::Granted(Box::new(session.grant(&mut state, session_id, terms, false)?)))
    }

    fn pending(&self, session_id: Uuid) -> Result<Vec<PendingCall>, Error> {
        let session = Self::sessions(self).get(&session_id).cloned();
        Ok(session.map(|session| session.lock().pending()).unwrap_or_default())
    }

    fn settle(&self, session_id: Uuid, request_id: Uuid) -> Result<bool, Error> {
        let Some(session) = Self::sessions(self).get(&session_id).cloned() else { return Ok(false) };
        let mut state = session.lock();
        let is_under_way = |entry: &Entry| entry.fence == state.fence && state.leased_for().is_some();
        if state.calls.get(&request_id).is_some_and(is_under_way) {
            return Err(Error::InUse);
        }
        Ok(state.calls.remove(&request_id).is_some())
    }
}

#[cfg(feature = "async")]
impl crate::AsyncNonceStore for MemoryStore {
    fn lease<'s>(
        &'s self,
        session_id: Uuid,
        terms: LeaseTerms<'s>,
    ) -> crate::BoxFuture<'s, Result<LeaseReply<Box<dyn crate::AsyncLease>>, Error>> {
        Box::pin(async move {
            let session = self.known_or_new(session_id);
            let attempt = || match session.lock_unleased() {
                Ok(mut state) => session.grant(&mut state, session_id, &terms, true).map(Some),
                Err(Error::InUse) => Ok(None),
                Err(error) => Err(error),
            };
            let mut backoff = crate::backoff::Backoff::new(terms.max_wait());
            loop {
                if let Some(lease) = attempt()? {
                    return Ok(LeaseReply::Granted(Box::new(lease) as Box<dyn crate::AsyncLease>));
                }
                if !backoff.pause().await? {
                    return Ok(LeaseReply::Busy);
                }
            }
        })
    }

    fn pending(&self, session_id: Uuid) -> crate::BoxFuture<'_, Result<Vec<PendingCall>, Error>> {
        Box::pin(async move { NonceStore::pending(self, session_id) })
    }

    fn settle(&self, session_id: Uuid, request_id: Uuid) -> crate::BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async move { NonceStore::settle(self, session_id, request_id) })
    }
}

#[cfg(feature = "async")]
impl crate::AsyncLease for MemoryLease {
    fn release(self: Box<Self>) -> crate::BoxFuture<'static, ()> {
        drop(self);
        Box::pin(async {})
    }
}

impl ManagedStore for MemoryStore {
    fn sessions(&self) -> Result<Vec<SessionRecord>, Error> {
        let sessions = Self::sessions(self);
        Ok(sessions.iter().filter_map(|(&session_id, session)| session.record(session_id)).collect())
    }

    fn session(&self, session_id: Uuid) -> Result<Option<SessionRecord>, Error> {
        let session = Self::sessions(self).get(&session_id).cloned();
        Ok(session.and_then(|session| session.record(session_id)))
    }

    fn all_pending(&self) -> Result<Vec<PendingCall>, Error> {
        let sessions = Self::sessions(self);
        let mut calls: Vec<PendingCall> = sessions.values().flat_map(|session| session.lock().pending()).collect();
        // The order within a session stays.
        calls.sort_by_key(|call| call.session_id);
        Ok(calls)
    }

    fn forget(&self, session_id: Uuid) -> Result<bool, Error> {
        // The session stays in the map: callers may be waiting for it.
        let Some(session) = Self::sessions(self).get(&session_id).cloned() else { return Ok(false) };
        let mut state = session.lock_unleased()?;
        if !state.calls.is_empty() {
            return Err(Error::Unsettled);
        }
        state.raised_to = None;
        Ok(state.last_iterator.take().is_some())
    }

    fn raise(&self, session_id: Uuid, to: u64) -> Result<u64, Error> {
        iterators::check_room(to, u64::MAX)?;
        let now = UnixTime::try_from(SystemTime::now())?;
        let session = self.known_or_new(session_id);
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
    granted_at: UnixTime,
    until: Instant,
    /// For the lease's call, or for an async caller.
    reserved: Mutex<Option<RangeInclusive<u64>>>,
    /// Whether only reserved iterators are given out, as by every async store.
    is_async: bool,
    entry: OwnEntry,
}

impl NonceSource for MemoryLease {
    type Error = Error;

    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        // Locked until the iterator is saved, so no other caller leases the session meanwhile.
        let mut state = self.session.lock();
        if state.fence != self.fence || self.remaining().is_zero() {
            return Err(Error::LeaseLost);
        }
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = reserved.as_mut().and_then(Iterator::next) {
            return Ok(taken);
        }
        if self.is_async {
            return Err(Error::NoIteratorLeft);
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

    fn granted_at(&self) -> UnixTime {
        self.granted_at
    }

    fn keep_entry(&self, keep: bool) {
        self.entry.keep(keep);
    }
}

impl Drop for MemoryLease {
    fn drop(&mut self) {
        let mut state = self.session.lock();
        if let Some(request_id) = self.entry.to_remove() {
            state.calls.remove(&request_id);
        }
        if state.fence == self.fence {
            state.leased_until = None;
            drop(state);
            self.session.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallIntent;

    #[test]
    fn only_a_verification_whose_token_expired_more_than_a_day_ago_is_dropped() {
        let (store, session_id, terms) = (MemoryStore::new(), Uuid::nil(), LeaseTerms::new(Duration::from_secs(60)));
        let now = UnixTime::try_from(SystemTime::now()).unwrap();
        let [verify, update, other] = [CallKind::VerifyPin, CallKind::UpdatePin, CallKind::Other];
        let kinds = [verify, verify, update, other, CallKind::ChangeSession];
        for (number, (kind, seconds)) in (0..).zip(kinds.into_iter().zip([86_000, 86_500, 86_500, 86_500, 86_500])) {
            let token_lifetime = Duration::ZERO;
            let request_id = Uuid::from_u128(number);
            let intent = CallIntent { request_id, method: "POST".into(), path: "/x".into(), kind, token_lifetime };
            let sent_at = UnixTime::from_secs(now.secs() - seconds);
            let call = PendingCall::new(session_id, &intent, 1..=2, sent_at);
            store.known_or_new(session_id).lock().calls.insert(request_id, Entry { fence: 0, call });
        }
        assert_eq!(store.pending(session_id).unwrap().len(), 5);
        drop(store.lease(session_id, &terms).unwrap());
        let left: Vec<u128> = store.pending(session_id).unwrap().iter().map(|call| call.request_id.as_u128()).collect();
        assert_eq!(left, [0, 2, 3, 4]);
    }
}
