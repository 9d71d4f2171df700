//! The server for async callers: the same scripts over one connection that all tasks of a runtime share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mixin_pin_core::{NonceSource, UnixTime, uuid::Uuid};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ConnectionAddr, FromRedisValue, RedisResult, Script, ScriptInvocation};
use tokio::runtime::{self, Handle};
use tokio::task::JoinHandle;

#[cfg(feature = "redis-ha")]
use super::attempt::ELSEWHERE;
use super::attempt::{ATTEMPTS, Attempt, LeaseRequest, Release};
use super::connections::{Patience, Silent, TIMEOUT, is_broken, may_pass};
use super::lease::Grant;
#[cfg(feature = "redis-ha")]
use super::servers::Inquiry;
use super::servers::{Server, Servers, address};
use super::{Inner, RedisStore, UNLIMITED, calls, invocation, settled};
use crate::backoff::Backoff;
use crate::engine::Process;
use crate::journal::OwnEntry;
use crate::{
    AsyncLease, AsyncNonceStore, BoxFuture, CallIntent, Error, Lease, LeaseReply, LeaseTerms, PendingCall, RedisError,
};

/// The connections that tasks share, one to each server. A runtime's connection stops with it, and a forked child must not
/// use its parent's.
#[derive(Default)]
pub(super) struct Shared(Mutex<Vec<Open>>);

struct Open {
    server: ConnectionAddr,
    connection: MultiplexedConnection,
    runtime: runtime::Id,
    process: Process,
}

impl Shared {
    fn get(&self, server: &Server, runtime: &Handle) -> Option<MultiplexedConnection> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all.iter().find(|open| open.server == *address(server))?;
        (open.runtime == runtime.id() && open.process.is_current()).then(|| open.connection.clone())
    }

    fn set(&self, server: &Server, connection: MultiplexedConnection, runtime: &Handle) {
        let server = address(server).clone();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|open| open.server != server);
        all.push(Open { server, connection, runtime: runtime.id(), process: Process::current() });
    }
}

impl RedisStore {
    /// Opens a store as [`RedisStore::open`] does.
    pub(crate) async fn open_async(url: &str) -> Result<Self, Error> {
        let inner = Inner::new(url, UNLIMITED)?;
        let (patience, ping) = (inner.patience(UNLIMITED), |_| Request::Command(redis::cmd("PING")));
        inner.on_shared::<String>(None, &mut Vec::new(), patience, ping).await?;
        Ok(Self(Arc::new(inner)))
    }
}

/// What is sent to a server.
enum Request<'s> {
    Script(ScriptInvocation<'s>),
    Command(Cmd),
}

impl Request<'_> {
    async fn send<T: FromRedisValue>(&self, connection: &mut MultiplexedConnection) -> RedisResult<T> {
        match self {
            Self::Script(invocation) => invocation.invoke_async(connection).await,
            Self::Command(command) => command.query_async(connection).await,
        }
    }
}

/// An answer, and where it came from.
type Answered<T> = (T, (Server, MultiplexedConnection));

fn current() -> Result<Handle, Error> {
    Handle::try_current().map_err(|_| Error::NoRuntime)
}

impl Inner {
    /// Runs a script. After a broken connection it runs once more: every script may run twice. If another server may have the
    /// session after a failure, it runs there.
    async fn run_async(&self, script: &Script, session_id: Uuid, arguments: &[&str]) -> Result<Vec<String>, Error> {
        self.on_shared_again(session_id, || invocation(script, session_id, arguments)).await
    }

    async fn on_shared_again<'s>(
        &self,
        session_id: Uuid,
        script: impl Fn() -> ScriptInvocation<'s>,
    ) -> Result<Vec<String>, Error> {
        let patience = self.patience(self.limit);
        let mut silent = Vec::new();
        match self.on_shared(Some(session_id), &mut silent, patience, |_| Request::Script(script())).await {
            Err(error) if self.servers.may_change() && may_pass(&error) && !patience.is_over() => {}
            result => return result.map(|(answer, _)| answer),
        }
        silent.clear();
        let result = self.on_shared(Some(session_id), &mut silent, patience, |_| Request::Script(script())).await;
        result.map(|(answer, _)| answer)
    }

    /// Sends a request to the server that has the session, and once more there after a broken connection. The argument says
    /// whether it is sent for the second time. Connections on which no answer came are added to `silent`.
    async fn on_shared<'s, T: FromRedisValue>(
        &self,
        session_id: Option<Uuid>,
        silent: &mut Silent<MultiplexedConnection>,
        patience: Patience,
        request: impl Fn(bool) -> Request<'s>,
    ) -> Result<Answered<T>, Error> {
        let runtime = current()?;
        let mut server = self.find_async(session_id, &runtime, patience).await?;
        for _ in 0..Servers::HOPS {
            let error = match self.on_server_async(&server, &runtime, silent, patience, &request).await {
                Ok(answered) => return Ok(answered),
                Err(error) => error,
            };
            // In both cases this server has run nothing.
            if let Some(next) = self.servers.redirected(session_id, &server, &error) {
                server = next?;
                continue;
            }
            let error = self.servers.failed(&server, patience, error);
            if !silent.is_empty() || !self.servers.may_change() || !may_pass(&error) || patience.is_over() {
                return Err(error);
            }
            match self.find_async(session_id, &runtime, patience).await {
                Ok(next) if address(&next) != address(&server) => server = next,
                _ => return Err(error),
            }
        }
        let result = self.on_server_async(&server, &runtime, silent, patience, &request).await;
        result.map_err(|error| self.servers.failed(&server, patience, error))
    }

    /// The server to ask for a session.
    #[cfg_attr(
        not(feature = "redis-ha"),
        expect(unused_variables, clippy::unused_async, reason = "the only server is known")
    )]
    async fn find_async(
        &self,
        session_id: Option<Uuid>,
        runtime: &Handle,
        patience: Patience,
    ) -> Result<Server, Error> {
        #[cfg(feature = "redis-ha")]
        if let Some(mut poll) = self.servers.poll() {
            while let Some(sentinel) = poll.next().filter(|_| !patience.is_over()) {
                let limit = Patience::new(super::servers::Poll::LIMIT, super::servers::Poll::LIMIT);
                let question = |_| Request::Command(poll.question());
                let answer = self.on_server_async(&sentinel, runtime, &mut Vec::new(), limit, &question).await;
                poll.answered(sentinel, answer.map(|(named, _)| named).map_err(|error| limit.classify(error)));
            }
            self.servers.learn(&poll)?;
        }
        self.servers.of(session_id)
    }

    /// Sends a request to this server, and once more after a broken connection, unless it was sent before without an answer.
    async fn on_server_async<'s, T: FromRedisValue>(
        &self,
        server: &Server,
        runtime: &Handle,
        silent: &mut Silent<MultiplexedConnection>,
        patience: Patience,
        request: &impl Fn(bool) -> Request<'s>,
    ) -> RedisResult<Answered<T>> {
        if silent.is_empty()
            && let Some(mut connection) = self.shared.get(server, runtime)
        {
            connection.set_response_timeout(patience.of_step());
            match request(false).send(&mut connection).await {
                Err(error) if is_broken(&error) => {
                    silent.push((server.clone(), connection));
                    if patience.is_over() {
                        return Err(error);
                    }
                }
                result => return result.map(|answer| (answer, (server.clone(), connection))),
            }
        }
        // The server may have closed the shared connection.
        let mut connection = connect_async(server, patience).await?;
        connection.set_response_timeout(patience.of_step());
        let result: RedisResult<T> = request(!silent.is_empty()).send(&mut connection).await;
        if result.as_ref().is_err_and(is_broken) {
            silent.push((server.clone(), connection.clone()));
        } else {
            self.shared.set(server, connection.clone(), runtime);
        }
        result.map(|answer| (answer, (server.clone(), connection)))
    }

    /// Tries to lease the session.
    async fn try_lease_async(
        self: Arc<Self>,
        session_id: Uuid,
        terms: LeaseTerms<'static>,
        call: Option<Arc<CallIntent>>,
        limit: Duration,
    ) -> Result<LeaseReply<AsyncRedisLease>, Error> {
        let (runtime, patience) = (current()?, self.patience(limit.min(self.limit)));
        let backoff = Backoff::new(terms.max_wait());
        for _ in 0..ATTEMPTS {
            let (request, entry) = {
                let terms = call.as_deref().map_or(terms, |call| terms.for_call(call));
                (LeaseRequest::new(session_id, (self.clock)()?, &terms)?, OwnEntry::new(&terms))
            };
            let mut silent = Vec::new();
            let script = |is_second| Request::Script(request.invocation(&self, is_second));
            let answer = match self.on_shared(Some(session_id), &mut silent, patience, script).await {
                Ok((answer, from)) => self.confirm_async(&request, answer, from, &mut silent, patience).await,
                Err(error) => Err(error),
            };
            let is_late = !silent.is_empty();
            let result = answer.and_then(|answer| request.read(&self, &answer, entry, is_late));
            if is_late && !matches!(result, Ok(Some(_))) {
                // The caller does not wait for it.
                drop(runtime.spawn(self.clone().take_back_async(request.release(), silent, backoff.clone())));
            }
            return Ok(match result? {
                Some(Attempt::Granted(grant)) => {
                    LeaseReply::Granted(AsyncRedisLease { grant: Some(Arc::new(grant)), runtime })
                }
                Some(Attempt::Busy) => LeaseReply::Busy,
                Some(Attempt::ClockUnconfirmed { ahead }) => LeaseReply::ClockUnconfirmed { ahead },
                None => continue,
            });
        }
        Err(Error::Redis(RedisError::ClusterDown))
    }

    /// Waits until the replicas have a lease, and asks other nodes of a cluster whether this one has the session. If it fails,
    /// the connection is added to `silent`, so the lease is taken back.
    #[cfg_attr(not(feature = "redis-ha"), expect(unused_variables, reason = "the only server has it"))]
    async fn confirm_async(
        &self,
        request: &LeaseRequest,
        answer: Vec<String>,
        (server, mut connection): (Server, MultiplexedConnection),
        silent: &mut Silent<MultiplexedConnection>,
        patience: Patience,
    ) -> Result<Vec<String>, Error> {
        if let Some(wait) = self.wait_for_replicas(&answer, patience) {
            let error = match wait.query_async::<u32>(&mut connection).await {
                Ok(count) if count >= self.servers.settings().options.replicas => None,
                Ok(_) => Some(Error::Redis(RedisError::FewReplicas)),
                Err(error) => Some(self.servers.failed(&server, patience, error)),
            };
            if let Some(error) = error {
                silent.push((server, connection));
                return Err(error);
            }
        }
        #[cfg(feature = "redis-ha")]
        if let Some(mut inquiry) = request.inquiry(self, &answer, &server) {
            let runtime = current()?;
            while let Some((node, question)) = inquiry.next().filter(|_| !patience.is_over()) {
                let limit = Patience::new(Inquiry::LIMIT, Inquiry::LIMIT);
                let ask = |_| Request::Command(question.clone());
                let found = self.on_server_async(&node, &runtime, &mut Vec::new(), limit, &ask).await;
                inquiry.answered(&self.servers, limit, &node, found.map(|(found, _)| found));
            }
            let result = inquiry.result();
            if !matches!(result, Ok(true)) {
                silent.push((server, connection));
                return result.map(|_| vec![ELSEWHERE.to_owned()]);
            }
        }
        Ok(answer)
    }

    /// Takes back the requests that had no answer.
    async fn take_back_async(
        self: Arc<Self>,
        release: Release,
        silent: Silent<MultiplexedConnection>,
        mut backoff: Backoff,
    ) {
        let Some((last, _)) = silent.last().cloned() else { return };
        for (_, mut connection) in silent {
            // The server runs it after the request that had no answer, however late that is.
            if release.command(&self).query_async::<Vec<String>>(&mut connection).await.is_ok() {
                return;
            }
        }
        // The request may have reached the server before its connection broke. If this fails, too, the lease ends by itself,
        // and the entry stays.
        loop {
            if let Ok(mut connection) = connect_async(&last, Patience::new(TIMEOUT, TIMEOUT)).await
                && release.invocation(&self).invoke_async::<Vec<String>>(&mut connection).await.is_ok()
            {
                return;
            }
            if !matches!(backoff.after_failure().pause().await, Ok(true)) {
                return;
            }
        }
    }
}

async fn connect_async(server: &Server, patience: Patience) -> RedisResult<MultiplexedConnection> {
    let limit = Some(patience.of_step());
    let config = AsyncConnectionConfig::new().set_connection_timeout(limit).set_response_timeout(limit);
    server.get_multiplexed_async_connection_with_config(&config).await
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
                match runtime.spawn(attempt).await.map_err(|_| Error::NoRuntime)? {
                    Ok(LeaseReply::Granted(lease)) => {
                        return Ok(LeaseReply::Granted(Box::new(lease) as Box<dyn AsyncLease>));
                    }
                    Ok(LeaseReply::ClockUnconfirmed { ahead }) => return Ok(LeaseReply::ClockUnconfirmed { ahead }),
                    Ok(LeaseReply::Busy) if !backoff.pause().await? => return Ok(LeaseReply::Busy),
                    Err(error) if !may_pass(&error) || !backoff.after_failure().pause().await? => return Err(error),
                    Ok(LeaseReply::Busy) | Err(_) => {}
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
            let _ = store.on_shared_again(grant.session_id, || release.invocation(store)).await;
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
