//! The server for async callers: the same scripts over one connection that all tasks of a runtime share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mixin_pin_core::{NonceSource, UnixTime, uuid::Uuid};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult, Script, ScriptInvocation};
use tokio::runtime::{self, Handle};
use tokio::task::JoinHandle;

use super::attempt::{Attempt, LeaseRequest, Release};
use super::lease::Grant;
use super::{Inner, Patience, RedisStore, TIMEOUT, UNLIMITED, calls, invocation, is_broken, settled};
use crate::backoff::Backoff;
use crate::engine::Process;
use crate::journal::OwnEntry;
use crate::{AsyncLease, AsyncNonceStore, BoxFuture, CallIntent, Error, Lease, LeaseReply, LeaseTerms, PendingCall};

/// The connection that tasks share. A runtime's connection stops with it, and a forked child must not use its parent's.
#[derive(Default)]
pub(super) struct Shared(Mutex<Option<Open>>);

struct Open {
    connection: MultiplexedConnection,
    runtime: runtime::Id,
    process: Process,
}

impl Shared {
    fn get(&self, runtime: &Handle) -> Option<MultiplexedConnection> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = open.as_ref().filter(|open| open.runtime == runtime.id() && open.process.is_current())?;
        Some(open.connection.clone())
    }

    fn set(&self, connection: MultiplexedConnection, runtime: &Handle) {
        let open = Open { connection, runtime: runtime.id(), process: Process::current() };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(open);
    }
}

impl RedisStore {
    /// Opens a store as [`RedisStore::open`] does.
    pub(crate) async fn open_async(url: &str) -> Result<Self, Error> {
        let inner = Inner::new(url, UNLIMITED)?;
        let (runtime, patience) = (current()?, Patience::new(UNLIMITED));
        let mut connection = inner.connect_async(patience).await?;
        redis::cmd("PING").query_async::<String>(&mut connection).await.map_err(|error| patience.failed(error))?;
        inner.shared.set(connection, &runtime);
        Ok(Self(Arc::new(inner)))
    }
}

fn current() -> Result<Handle, Error> {
    Handle::try_current().map_err(|_| Error::NoRuntime)
}

impl Inner {
    async fn connect_async(&self, patience: Patience) -> Result<MultiplexedConnection, Error> {
        let limit = Some(patience.of_step());
        let config = AsyncConnectionConfig::new().set_connection_timeout(limit).set_response_timeout(limit);
        let connected = self.client.get_multiplexed_async_connection_with_config(&config).await;
        connected.map_err(|error| patience.failed(error))
    }

    /// Runs a script. After a broken connection it runs once more: every script may run twice.
    async fn run_async(&self, script: &Script, session_id: Uuid, arguments: &[&str]) -> Result<Vec<String>, Error> {
        let patience = Patience::new(self.limit);
        self.on_shared(&mut Vec::new(), patience, |_| invocation(script, session_id, arguments)).await
    }

    /// Runs a script, and once more after a broken connection. The argument says whether it runs for the second time.
    /// Connections on which no answer came are added to `silent`.
    async fn on_shared<'s>(
        &self,
        silent: &mut Vec<MultiplexedConnection>,
        patience: Patience,
        script: impl Fn(bool) -> ScriptInvocation<'s>,
    ) -> Result<Vec<String>, Error> {
        let runtime = current()?;
        if let Some(mut connection) = self.shared.get(&runtime) {
            connection.set_response_timeout(patience.of_step());
            let result: RedisResult<Vec<String>> = script(false).invoke_async(&mut connection).await;
            match result {
                Err(error) if is_broken(&error) => {
                    silent.push(connection);
                    if patience.is_over() {
                        return Err(patience.failed(error));
                    }
                }
                result => return result.map_err(|error| patience.failed(error)),
            }
        }
        // The server may have closed the shared connection.
        let mut connection = self.connect_async(patience).await?;
        connection.set_response_timeout(patience.of_step());
        let result: RedisResult<Vec<String>> = script(!silent.is_empty()).invoke_async(&mut connection).await;
        if result.as_ref().is_err_and(is_broken) {
            silent.push(connection);
        } else {
            self.shared.set(connection, &runtime);
        }
        result.map_err(|error| patience.failed(error))
    }

    /// Tries to lease the session.
    async fn try_lease_async(
        self: Arc<Self>,
        session_id: Uuid,
        terms: LeaseTerms<'static>,
        call: Option<Arc<CallIntent>>,
        limit: Duration,
    ) -> Result<LeaseReply<AsyncRedisLease>, Error> {
        let (runtime, patience) = (current()?, Patience::new(limit.min(self.limit)));
        let backoff = Backoff::new(terms.max_wait());
        let (request, entry) = {
            let terms = call.as_deref().map_or(terms, |call| terms.for_call(call));
            (LeaseRequest::new(session_id, (self.clock)()?, &terms)?, OwnEntry::new(&terms))
        };
        let mut silent = Vec::new();
        let answer = self.on_shared(&mut silent, patience, |is_second| request.invocation(&self, is_second)).await;
        let is_late = !silent.is_empty();
        let result = answer.and_then(|answer| request.read(&self, &answer, entry, is_late));
        if result.is_err() && is_late {
            // The caller does not wait for it.
            drop(runtime.spawn(self.take_back_async(request.release(), silent, backoff)));
        }
        Ok(match result? {
            Attempt::Granted(grant) => LeaseReply::Granted(AsyncRedisLease { grant: Some(Arc::new(grant)), runtime }),
            Attempt::Busy => LeaseReply::Busy,
            Attempt::ClockUnconfirmed { ahead } => LeaseReply::ClockUnconfirmed { ahead },
        })
    }

    /// Takes back the requests that had no answer.
    async fn take_back_async(
        self: Arc<Self>,
        release: Release,
        silent: Vec<MultiplexedConnection>,
        mut backoff: Backoff,
    ) {
        for mut connection in silent {
            // The server runs it after the request that had no answer, however late that is.
            if release.command(&self).query_async::<Vec<String>>(&mut connection).await.is_ok() {
                return;
            }
        }
        // The request may have reached the server before its connection broke. If this fails, too, the lease ends by itself,
        // and the entry stays.
        loop {
            if let Ok(mut connection) = self.connect_async(Patience::new(TIMEOUT)).await
                && release.invocation(&self).invoke_async::<Vec<String>>(&mut connection).await.is_ok()
            {
                return;
            }
            if !matches!(backoff.pause().await, Ok(true)) {
                return;
            }
        }
    }
}

impl AsyncNonceStore for RedisStore {
    fn lease<'s>(
        &'s self,
        session_id: Uuid,
        terms: LeaseTerms<'s>,
    ) -> BoxFuture<'s, Result<LeaseReply<Box<dyn AsyncLease>>, Error>> {
        Box::pin(async move {
            let mut backoff = Backoff::new(terms.max_wait());
            let runtime = current()?;
            let call: Option<Arc<CallIntent>> = terms.call().map(|call| Arc::new(call.clone()));
            let terms = terms.without_call();
            loop {
                // A task of its own goes on if this future is dropped. Then its lease is dropped, which releases it.
                let attempt = self.0.clone().try_lease_async(session_id, terms, call.clone(), backoff.left());
                match runtime.spawn(attempt).await.map_err(|_| Error::NoRuntime)?? {
                    LeaseReply::Granted(lease) => {
                        return Ok(LeaseReply::Granted(Box::new(lease) as Box<dyn AsyncLease>));
                    }
                    LeaseReply::ClockUnconfirmed { ahead } => return Ok(LeaseReply::ClockUnconfirmed { ahead }),
                    LeaseReply::Busy => {}
                }
                if !backoff.pause().await? {
                    return Ok(LeaseReply::Busy);
                }
            }
        })
    }

    fn pending(&self, session_id: Uuid) -> BoxFuture<'_, Result<Vec<PendingCall>, Error>> {
        Box::pin(
            async move { calls::parse(session_id, &self.0.run_async(&self.0.scripts.pending, session_id, &[]).await?) },
        )
    }

    fn settle(&self, session_id: Uuid, request_id: Uuid) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async move {
            let request_id = request_id.to_string();
            let answer = self.0.run_async(&self.0.scripts.settle, session_id, &[&request_id]).await?;
            settled(&answer)
        })
    }
}

/// A lease whose release is a task of the runtime.
struct AsyncRedisLease {
    /// None once the release has begun.
    grant: Option<Arc<Grant>>,
    runtime: Handle,
}

impl AsyncRedisLease {
    fn begin_release(&mut self) -> Option<JoinHandle<()>> {
        // A forked child must not release its parent's lease.
        let grant = self.grant.take().filter(|grant| grant.state.is_own())?;
        Some(self.runtime.spawn(async move {
            let (store, release) = (&grant.store, grant.release());
            // If this fails, the lease ends by itself, and the entry stays.
            let _ = store.on_shared(&mut Vec::new(), Patience::new(store.limit), |_| release.invocation(store)).await;
        }))
    }
}

impl NonceSource for AsyncRedisLease {
    type Error = Error;

    fn reserve(&self, _: UnixTime) -> Result<u64, Error> {
        let grant = self.grant.as_ref().ok_or(Error::LeaseLost)?;
        grant.state.take((grant.store.clock)().ok(), |_| Ok(true), || Err(Error::NoIteratorLeft))
    }
}

impl Lease for AsyncRedisLease {
    fn remaining(&self) -> Duration {
        self.grant.as_ref().map(|grant| grant.remaining()).unwrap_or_default()
    }

    fn granted_at(&self) -> UnixTime {
        self.grant.as_ref().map_or(UnixTime::from_secs(0), |grant| grant.state.granted_at())
    }

    fn keep_entry(&self, keep: bool) {
        if let Some(grant) = &self.grant {
            grant.entry.keep(keep);
        }
    }
}

impl AsyncLease for AsyncRedisLease {
    fn release(mut self: Box<Self>) -> BoxFuture<'static, ()> {
        let task = self.begin_release();
        Box::pin(async move {
            if let Some(task) = task {
                // An error means that the runtime is shutting down: the lease ends by itself.
                let _ = task.await;
            }
        })
    }
}

impl Drop for AsyncRedisLease {
    fn drop(&mut self) {
        // The task goes on without its handle.
        drop(self.begin_release());
    }
}
