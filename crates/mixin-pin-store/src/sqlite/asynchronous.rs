//! The database for async callers: each attempt and each release is one job of the store's threads.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mixin_pin_core::{NonceSource, UnixTime, uuid::Uuid};
use tokio::sync::oneshot;

use super::lease::SqliteLease;
use super::patience::{Patience, SHORTEST_LOCK_WAIT};
use super::{Attempt, Inner, Observed, SqliteStore, observe};
use crate::backoff::Backoff;
use crate::{
    AsyncLease, AsyncNonceStore, BoxFuture, CallIntent, Error, Lease, LeaseReply, LeaseTerms, PendingCall, SqliteError,
};

impl SqliteStore {
    /// Opens a database as [`SqliteStore::open`] does, on a thread of its own.
    pub(crate) async fn open_async(path: &Path) -> Result<Self, Error> {
        let (reply, opened) = oneshot::channel();
        let owned = path.to_owned();
        let open = move || {
            // The caller may have gone. Then the store is closed again.
            let _ = reply.send(Self::open(&owned));
        };
        std::thread::Builder::new().spawn(open).map_err(|error| failed(path, error))?;
        opened.await.map_err(|gone| failed(path, gone))?
    }
}

fn failed(path: &Path, cause: impl Into<crate::BoxError>) -> Error {
    Error::Sqlite(SqliteError::Other { path: path.to_owned(), cause: cause.into() })
}

impl Inner {
    /// Runs `work` on one of the store's threads. If the future is dropped before `work` begins, it does not run. If the
    /// future is dropped later, the result is dropped.
    async fn on_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Arc<Self>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        // A forked child has no such threads.
        self.connections.check_fork()?;
        let (reply, result) = oneshot::channel();
        let inner = self.clone();
        let job = move || {
            if !reply.is_closed() {
                // The caller may have gone meanwhile. Then a lease in the result is released.
                let _ = reply.send(work(&inner));
            }
        };
        self.threads.submit(Box::new(job)).map_err(|(_, error)| failed(self.path(), error))?;
        result.await.map_err(|gone| failed(self.path(), gone))?
    }
}

/// An [`Attempt`] whose lease is released in the background.
enum AsyncAttempt {
    Granted(AsyncSqliteLease),
    Busy { fence: i64 },
    ClockUnconfirmed { ahead: Option<Duration> },
}

impl From<Attempt> for AsyncAttempt {
    fn from(attempt: Attempt) -> Self {
        match attempt {
            Attempt::Granted(lease) => Self::Granted(AsyncSqliteLease(Some(lease))),
            Attempt::Busy { fence } => Self::Busy { fence },
            Attempt::ClockUnconfirmed { ahead } => Self::ClockUnconfirmed { ahead },
        }
    }
}

impl AsyncNonceStore for SqliteStore {
    fn lease<'s>(
        &'s self,
        session_id: Uuid,
        terms: LeaseTerms<'s>,
    ) -> BoxFuture<'s, Result<LeaseReply<Box<dyn AsyncLease>>, Error>> {
        Box::pin(async move {
            let mut backoff = Backoff::new(terms.max_wait());
            // Includes the wait for a thread.
            let locked = Backoff::new(terms.max_wait().max(SHORTEST_LOCK_WAIT));
            let mut observed: Option<Observed> = None;
            let call: Option<Arc<CallIntent>> = terms.call().map(|call| Arc::new(call.clone()));
            let terms = terms.without_call();
            loop {
                let call = call.clone();
                let until = locked.until();
                let attempt = self.0.on_thread(move |inner| {
                    let _patience = Patience::begin(until.saturating_duration_since(Instant::now()));
                    let terms = call.as_deref().map_or(terms, |call| terms.for_call(call));
                    inner.try_lease(session_id, &terms, observed.as_ref()).map(AsyncAttempt::from)
                });
                match attempt.await? {
                    AsyncAttempt::Granted(lease) => {
                        return Ok(LeaseReply::Granted(Box::new(lease) as Box<dyn AsyncLease>));
                    }
                    AsyncAttempt::ClockUnconfirmed { ahead } => return Ok(LeaseReply::ClockUnconfirmed { ahead }),
                    AsyncAttempt::Busy { fence } => observe(&mut observed, fence),
                }
                if !backoff.pause().await? {
                    return Ok(LeaseReply::Busy);
                }
            }
        })
    }

    fn pending(&self, session_id: Uuid) -> BoxFuture<'_, Result<Vec<PendingCall>, Error>> {
        Box::pin(self.0.on_thread(move |inner| inner.pending(Some(session_id))))
    }

    fn settle(&self, session_id: Uuid, request_id: Uuid) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(self.0.on_thread(move |inner| inner.settle(session_id, request_id)))
    }
}

/// A lease whose release runs on the store's threads. None once that has begun.
struct AsyncSqliteLease(Option<SqliteLease>);

impl AsyncSqliteLease {
    /// Begins the release. The receiver's wait ends when it is done.
    fn begin_release(&mut self) -> Option<oneshot::Receiver<()>> {
        // A forked child must not release its parent's lease, and has none of its threads.
        let lease = self.0.take().filter(|lease| lease.state.is_own())?;
        let store = lease.store.clone();
        let (done, wait) = oneshot::channel();
        let job = move || {
            drop(lease);
            // Nobody waits after a drop.
            let _ = done.send(());
        };
        if let Err((job, _)) = store.threads.submit(Box::new(job)) {
            // Without threads it runs here.
            job();
        }
        Some(wait)
    }
}

impl NonceSource for AsyncSqliteLease {
    type Error = Error;

    fn reserve(&self, _: UnixTime) -> Result<u64, Error> {
        let lease = self.0.as_ref().ok_or(Error::LeaseLost)?;
        let is_named = |_| Ok(lease.store.connections.is_named(lease.generation));
        lease.state.take((lease.store.clock)().ok(), is_named, || Err(Error::NoIteratorLeft))
    }
}

impl Lease for AsyncSqliteLease {
    fn remaining(&self) -> Duration {
        self.0.as_ref().map(Lease::remaining).unwrap_or_default()
    }

    fn granted_at(&self) -> UnixTime {
        self.0.as_ref().map_or(UnixTime::from_secs(0), Lease::granted_at)
    }

    fn keep_entry(&self, keep: bool) {
        if let Some(lease) = &self.0 {
            lease.keep_entry(keep);
        }
    }
}

impl AsyncLease for AsyncSqliteLease {
    fn release(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        let wait = self.begin_release();
        Box::pin(async move {
            if let Some(wait) = wait {
                // An error means that the job has ended, too.
                let _ = wait.await;
            }
        })
    }
}

impl Drop for AsyncSqliteLease {
    fn drop(&mut self) {
        self.begin_release();
    }
}
