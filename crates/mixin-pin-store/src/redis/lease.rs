//! A lease on the server: further iterators, and the release.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mixin_pin_core::{Error as CoreError, NonceSource, UnixTime, uuid::Uuid};
use redis::Commands as _;

use super::attempt::Release;
use super::{Inner, invocation, lease_key, number};
use crate::engine::LeaseState;
use crate::journal::OwnEntry;
use crate::{Error, Lease, RedisError};

/// What both kinds of lease know.
pub(super) struct Grant {
    pub(super) store: Arc<Inner>,
    pub(super) session_id: Uuid,
    pub(super) fence: String,
    pub(super) state: LeaseState,
    /// The greatest iterator that this lease got. The record may have been lost since.
    pub(super) last: Mutex<u64>,
    pub(super) entry: OwnEntry,
    /// Whether the first try to lease may still arrive.
    pub(super) is_late: bool,
}

impl Grant {
    pub(super) fn remaining(&self) -> Duration {
        self.state.remaining((self.store.clock)().ok())
    }

    pub(super) fn release(&self) -> Release {
        let Self { session_id, fence, entry, is_late, .. } = self;
        Release { session_id: *session_id, fence: fence.clone(), request_id: entry.to_remove(), is_late: *is_late }
    }

    /// An iterator after the reserved ones.
    fn further(&self, now: UnixTime) -> Result<u64, Error> {
        let store = &self.store;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let arguments = [self.fence.as_str(), &now.as_nanos()?.to_string(), &last.to_string()];
        let (script, patience) =
            (invocation(&store.scripts.reserve, self.session_id, &arguments), store.patience(store.limit));
        let answer = store.on_connection(Some(self.session_id), |connection| {
            let answer: Vec<String> = script.invoke(connection)?;
            // If too few have the iterator, nobody uses it.
            Ok(if store.replicas_have(connection, &answer, patience)? { answer } else { vec!["few".to_owned()] })
        })?;
        match (answer.first().map(String::as_str), answer.get(1)) {
            (Some("reserved"), Some(iterator)) => {
                *last = number(iterator)?;
                Ok(*last)
            }
            (Some("lost"), _) => Err(Error::LeaseLost),
            (Some("exhausted"), _) => Err(CoreError::IteratorExhausted.into()),
            (Some("few"), _) => Err(Error::Redis(RedisError::FewReplicas)),
            _ => Err(Error::Redis(RedisError::Content)),
        }
    }
}

pub(super) struct RedisLease(pub(super) Grant);

impl NonceSource for RedisLease {
    type Error = Error;

    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        let Grant { store, session_id, fence, state, .. } = &self.0;
        // Only the server ends leases, and it has just granted this one: the first iterator needs no second request.
        let has_fence = |is_first| {
            if is_first {
                return Ok(true);
            }
            let lease = lease_key(*session_id);
            let found =
                store.on_connection(Some(*session_id), |connection| connection.get::<_, Option<String>>(&lease))?;
            Ok(found.as_ref() == Some(fence))
        };
        state.take((store.clock)().ok(), has_fence, || self.0.further(now))
    }
}

impl Lease for RedisLease {
    fn remaining(&self) -> Duration {
        self.0.remaining()
    }

    fn granted_at(&self) -> UnixTime {
        self.0.state.granted_at()
    }

    fn keep_entry(&self, keep: bool) {
        self.0.entry.keep(keep);
    }
}

impl Drop for RedisLease {
    fn drop(&mut self) {
        let Grant { store, state, .. } = &self.0;
        // A forked child must not release its parent's lease.
        if !state.is_own() {
            return;
        }
        let (release, session_id) = (self.0.release(), self.0.session_id);
        // If this fails, the lease ends by itself, and the entry stays.
        let _ = store
            .on_connection(Some(session_id), |connection| release.invocation(store).invoke::<Vec<String>>(connection));
    }
}

impl fmt::Debug for RedisLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLease").field("session_id", &self.0.session_id).finish_non_exhaustive()
    }
}
