//! The server for async callers: the tasks run on the store's thread, so they go on if a future is dropped.

use std::sync::Arc;
use std::time::Duration;

use mixin_pin_core::{NonceSource, UnixTime, uuid::Uuid};
use tokio::sync::oneshot;

use super::connections::Pool;
use super::lease::{Held, release_async};
use super::{Inner, PostgresStore, stopped};
use crate::{AsyncLease, AsyncNonceStore, BoxFuture, Error, Lease, LeaseReply, LeaseTerms, PendingCall};

impl PostgresStore {
    /// Opens a store as [`PostgresStore::open`] does.
    pub(crate) async fn open_async(url: &str) -> Result<Self, Error> {
        let inner = Arc::new(Inner::new(url, super::patience::UNLIMITED)?);
        let store = inner.clone();
        inner.run_async(async move |pool| store.check(&pool).await).await?;
        Ok(Self(inner))
    }
}

impl Inner {
    /// Runs `work` on the store's thread. It goes on if this future is dropped.
    async fn run_async<T, F>(&self, work: impl FnOnce(Arc<Pool>) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let (handle, pool) = self.engine.get()?;
        handle.spawn(work(pool)).await.map_err(|_| stopped())?
    }
}

impl AsyncNonceStore for PostgresStore {
    fn lease<'s>(
        &'s self,
        session_id: Uuid,
        terms: LeaseTerms<'s>,
    ) -> BoxFuture<'s, Result<LeaseReply<Box<dyn AsyncLease>>, Error>> {
        Box::pin(async move {
            let (handle, pool) = self.0.engine.get()?;
            let (call, terms) = (terms.call().cloned(), terms.without_call());
            let (reply, result) = oneshot::channel();
            let inner = self.0.clone();
            drop(handle.spawn(async move {
                let is_wanted = || !reply.is_closed();
                let result = inner.lease(pool, session_id, terms, call, is_wanted).await;
                // The caller may have gone meanwhile. Then a lease in the result is released.
                let _ = reply.send(result);
            }));
            Ok(match result.await.map_err(|_| stopped())?? {
                LeaseReply::Granted(held) => {
                    LeaseReply::Granted(Box::new(AsyncPostgresLease(held)) as Box<dyn AsyncLease>)
                }
                LeaseReply::Busy => LeaseReply::Busy,
                LeaseReply::ClockUnconfirmed { ahead } => LeaseReply::ClockUnconfirmed { ahead },
            })
        })
    }

    fn pending(&self, session_id: Uuid) -> BoxFuture<'_, Result<Vec<PendingCall>, Error>> {
        let inner = self.0.clone();
        Box::pin(self.0.run_async(async move |pool| inner.pending(&pool, Some(session_id)).await))
    }

    fn settle(&self, session_id: Uuid, request_id: Uuid) -> BoxFuture<'_, Result<bool, Error>> {
        let inner = self.0.clone();
        Box::pin(self.0.run_async(async move |pool| inner.settle(&pool, session_id, request_id).await))
    }
}

/// A lease that is released in the background.
struct AsyncPostgresLease(Held);

impl NonceSource for AsyncPostgresLease {
    type Error = Error;

    fn reserve(&self, _: UnixTime) -> Result<u64, Error> {
        let grant = self.0.grant()?;
        grant.state.take((grant.store.clock)().ok(), |_| Ok(true), || Err(Error::NoIteratorLeft))
    }
}

impl Lease for AsyncPostgresLease {
    fn remaining(&self) -> Duration {
        self.0.grant().map(super::lease::Grant::remaining).unwrap_or_default()
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

impl AsyncLease for AsyncPostgresLease {
    fn release(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        let done = release_async(&mut self.0);
        Box::pin(async move {
            // An error means that there is nothing to wait for.
            let _ = done.await;
        })
    }
}
