//! A lease on the server: further iterators, and the release.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use mixin_pin_core::{Error as CoreError, NonceSource, UnixTime, uuid::Uuid};
use tokio::runtime::Handle;
#[cfg(feature = "async")]
use tokio::sync::oneshot;
use tokio_postgres::types::Type;

use super::attempt::{Release, repeat};
use super::connections::{Parameter, Pool};
use super::failure::is_conflict;
use super::patience::Patience;
use super::statements::{HAS_FENCE, RESERVE};
use super::{Inner, bigint, lock_limit};
use crate::engine::LeaseState;
use crate::journal::OwnEntry;
use crate::{Error, Lease, iterators};

/// What both kinds of lease know.
pub(super) struct Grant {
    pub(super) store: Arc<Inner>,
    pub(super) session_id: Uuid,
    pub(super) fence: Uuid,
    pub(super) state: LeaseState,
    pub(super) entry: OwnEntry,
    /// The last iterator of the record. Only this lease changes it.
    pub(super) last: Mutex<u64>,
}

impl Grant {
    pub(super) fn remaining(&self) -> Duration {
        self.state.remaining((self.store.clock)().ok())
    }

    /// Reserves an iterator on the server.
    fn further(&self, now: UnixTime) -> Result<u64, Error> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let next = iterators::next(*last, now)?;
        let number = i64::try_from(bigint(next)?).map_err(|_| CoreError::IteratorExhausted)?;
        let (session_id, fence, store) = (self.session_id, self.fence, self.store.clone());
        let is_reserved = self.store.run(async move |pool| {
            let patience = Patience::new(store.limit);
            let parameters: [Parameter<'_>; 4] = [
                (&lock_limit(patience), Type::TEXT),
                (&session_id, Type::UUID),
                (&fence, Type::UUID),
                (&number, Type::INT8),
            ];
            Ok(!store.query(&pool, patience, RESERVE, &parameters).await?.is_empty())
        })?;
        if !is_reserved {
            return Err(Error::LeaseLost);
        }
        *last = next;
        Ok(next)
    }

    /// Whether the server still has the lease.
    fn has_fence(&self) -> Result<bool, Error> {
        let (session_id, fence, store) = (self.session_id, self.fence, self.store.clone());
        self.store.run(async move |pool| {
            let parameters: [Parameter<'_>; 2] = [(&session_id, Type::UUID), (&fence, Type::UUID)];
            Ok(!store.query(&pool, Patience::new(store.limit), HAS_FENCE, &parameters).await?.is_empty())
        })
    }
}

/// A lease whose release is a task of the store's thread.
pub(super) struct Held {
    /// None once the release has begun.
    grant: Option<Arc<Grant>>,
}

impl Held {
    pub(super) fn new(grant: Grant) -> Self {
        Self { grant: Some(Arc::new(grant)) }
    }

    pub(super) fn grant(&self) -> Result<&Grant, Error> {
        self.grant.as_deref().ok_or(Error::LeaseLost)
    }

    /// Begins the release. `done` is sent when it has succeeded or failed. If it failed, the task goes on.
    pub(super) fn begin_release(&mut self, done: impl FnOnce() + Send + 'static) {
        // A forked child must not release its parent's lease.
        let Some(grant) = self.grant.take().filter(|grant| grant.state.is_own()) else { return };
        // Without the thread, the lease ends by itself, and the entry stays.
        let Ok((handle, pool)) = grant.store.engine.get() else { return };
        spawn_release(&handle, pool, grant, done);
    }
}

fn spawn_release(handle: &Handle, pool: Arc<Pool>, grant: Arc<Grant>, done: impl FnOnce() + Send + 'static) {
    drop(handle.spawn(async move {
        let (fence, request_id) = (grant.fence, grant.entry.to_remove());
        let release = Release { session_id: grant.session_id, found: fence, fence, request_id };
        let result = release.run(&pool, Patience::new(grant.store.limit)).await;
        done();
        if let Err(failure) = result
            && (failure.error.may_pass() || is_conflict(&failure.error))
        {
            repeat(grant.store.clone(), pool, release, false, grant.remaining()).await;
        }
    }));
}

impl Drop for Held {
    fn drop(&mut self) {
        self.begin_release(|| {});
    }
}

/// A lease of a blocking caller, who waits for the release.
pub(super) struct PostgresLease(pub(super) Held);

impl NonceSource for PostgresLease {
    type Error = Error;

    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        let grant = self.0.grant()?;
        // Only the server ends leases, and it has just granted this one: the first iterator needs no further request.
        let has_fence = |is_first| if is_first { Ok(true) } else { grant.has_fence() };
        grant.state.take((grant.store.clock)().ok(), has_fence, || grant.further(now))
    }
}

impl Lease for PostgresLease {
    fn remaining(&self) -> Duration {
        self.0.grant().map(Grant::remaining).unwrap_or_default()
    }

    fn granted_at(&self) -> UnixTime {
        self.0.grant().map_or(UnixTime::from_secs(0), |grant| grant.state.granted_at())
    }

    fn keep_entry(&self, keep: bool) {
        if let Ok(grant) = self.0.grant() {
            grant.entry.keep(keep);
        }
    }
}

impl Drop for PostgresLease {
    fn drop(&mut self) {
        let (reply, done) = mpsc::sync_channel(1);
        self.0.begin_release(move || {
            // The caller waits.
            let _ = reply.send(());
        });
        // An error means that there is nothing to wait for.
        let _ = done.recv();
    }
}

impl fmt::Debug for PostgresLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session_id = self.0.grant().ok().map(|grant| grant.session_id);
        f.debug_struct("PostgresLease").field("session_id", &session_id).finish_non_exhaustive()
    }
}

/// The end of a release, for a caller who awaits it.
#[cfg(feature = "async")]
pub(super) fn release_async(held: &mut Held) -> oneshot::Receiver<()> {
    let (reply, done) = oneshot::channel();
    held.begin_release(move || {
        // Nobody waits after a drop.
        let _ = reply.send(());
    });
    done
}
