//! A lease on the server: further iterators, and the release.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_core::{Error as CoreError, NonceSource, UnixTime, uuid::Uuid};
use redis::Commands as _;

use super::attempt::Release;
use super::{Inner, lease_key, number};
use crate::engine::LeaseState;
use crate::journal::OwnEntry;
use crate::{Error, Lease, RedisError};

/// What both kinds of lease know.
pub(super) struct Grant {
    pub(super) store: Arc<Inner>,
    pub(super) session_id: Uuid,
    pub(super) fence: String,
    pub(super) state: LeaseState,
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
        state.take((store.clock)().ok(), has_fence, || {
            let arguments = [fence.as_str(), &now.as_nanos()?.to_string()];
            let answer = store.run(&store.scripts.reserve, *session_id, &arguments)?;
            match (answer.first().map(String::as_str), answer.get(1)) {
                (Some("reserved"), Some(iterator)) => number(iterator),
                (Some("lost"), _) => Err(Error::LeaseLost),
                (Some("exhausted"), _) => Err(CoreError::IteratorExhausted.into()),
                _ => Err(Error::Redis(RedisError::Content)),
            }
        })
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
