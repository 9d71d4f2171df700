//! A lease on the server: further iterators, and the release.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_core::{Error as CoreError, NonceSource, UnixTime, uuid::Uuid};
use redis::Commands as _;

use super::{Inner, lease_key, number};
use crate::engine::LeaseState;
use crate::journal::OwnEntry;
use crate::{Error, Lease, RedisError};

pub(super) struct RedisLease {
    pub(super) store: Arc<Inner>,
    pub(super) session_id: Uuid,
    pub(super) fence: String,
    pub(super) state: LeaseState,
    pub(super) entry: OwnEntry,
}

impl NonceSource for RedisLease {
    type Error = Error;

    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        // Only the server ends leases, and it has just granted this one: the first iterator needs no second request.
        let has_fence = |is_first| {
            if is_first {
                return Ok(true);
            }
            let lease = lease_key(self.session_id);
            let fence = self.store.on_connection(|connection| connection.get::<_, Option<String>>(&lease))?;
            Ok(fence.as_ref() == Some(&self.fence))
        };
        self.state.take((self.store.clock)().ok(), has_fence, || {
            let arguments = [self.fence.as_str(), &now.as_nanos()?.to_string()];
            let answer = self.store.run(&self.store.scripts.reserve, self.session_id, &arguments)?;
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
        self.state.remaining((self.store.clock)().ok())
    }

    fn granted_at(&self) -> UnixTime {
        self.state.granted_at()
    }

    fn keep_entry(&self, keep: bool) {
        self.entry.keep(keep);
    }
}

impl Drop for RedisLease {
    fn drop(&mut self) {
        // A forked child must not release its parent's lease.
        if !self.state.is_own() {
            return;
        }
        let request_id = self.entry.to_remove().map(|id| id.to_string());
        let arguments: Vec<&str> = std::iter::once(self.fence.as_str()).chain(request_id.as_deref()).collect();
        // If this fails, the lease ends by itself, and the entry stays.
        let _ = self.store.run(&self.store.scripts.release, self.session_id, &arguments);
    }
}

impl fmt::Debug for RedisLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLease").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}
