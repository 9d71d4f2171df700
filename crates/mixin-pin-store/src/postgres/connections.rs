//! The thread that talks to the server, and its connections.
//!
//! The thread runs a tokio runtime, so each step has a time limit, for blocking callers too.

use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_postgres::config::SslMode as ClientMode;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Row};

use super::failure::{Failure, classify};
use super::patience::Patience;
use super::settings::{Settings, Target};
use super::tls::{MakeConnector, SslMode};
use crate::engine::Process;
use crate::{Error, PostgresError};

/// How many connections a store has at most.
const MOST: usize = 8;
/// How long the end of the thread, or a request to cancel a statement, may take.
const END_LIMIT: Duration = Duration::from_secs(1);

/// A parameter of a statement, with its type: so the server is not asked for it.
pub(super) type Parameter<'p> = (&'p (dyn ToSql + Sync), Type);

/// The thread, once a request needs it.
pub(super) struct Engine {
    settings: Arc<Settings>,
    running: Mutex<Option<Running>>,
}

struct Running {
    handle: Handle,
    pool: Arc<Pool>,
    process: Process,
    /// The thread ends when this is dropped.
    _stop: oneshot::Sender<()>,
}

impl Engine {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self { settings, running: Mutex::new(None) }
    }

    /// The thread's runtime and its connections. A forked child starts its own thread.
    pub(super) fn get(&self) -> Result<(Handle, Arc<Pool>), Error> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = running.as_ref().filter(|running| running.process.is_current()) {
            return Ok((running.handle.clone(), running.pool.clone()));
        }
        // The connections are the parent's.
        mem::forget(running.take());
        let started = self.start().map_err(|error| PostgresError::Other(error.into()))?;
        let found = (started.handle.clone(), started.pool.clone());
        *running = Some(started);
        Ok(found)
    }

    fn start(&self) -> std::io::Result<Running> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, mut all_closed) = mpsc::channel::<()>(1);
        let pool = Arc::new(Pool {
            settings: self.settings.clone(),
            permits: Arc::new(Semaphore::new(MOST)),
            idle: Mutex::new(Vec::new()),
            alive: Mutex::new(Some(alive)),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let own = pool.clone();
        thread::Builder::new().name("mixin-pin-postgres".to_owned()).spawn(move || {
            runtime.block_on(async {
                // An error means that the store is gone.
                let _ = stopped.await;
                own.close();
                // Each connection tells the server that it ends.
                let _ = timeout(END_LIMIT, all_closed.recv()).await;
            });
            // A look-up of a host's name may still block a thread.
            runtime.shutdown_background();
        })?;
        Ok(Running { handle, pool, process: Process::current(), _stop: stop })
    }
}

/// The connections of one process.
pub(super) struct Pool {
    settings: Arc<Settings>,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
    /// Each connection's task holds a clone.
    alive: Mutex<Option<mpsc::Sender<()>>>,
}

struct Connection {
    client: Client,
    task: AbortHandle,
    tls: Option<MakeConnector>,
    security: Security,
}

/// How a connection is protected.
#[derive(Clone, Copy)]
pub(super) struct Security {
    pub(super) is_local: bool,
    pub(super) is_encrypted: bool,
    pub(super) is_verified: bool,
}

/// A connection in use. Unless it is given back, it is closed.
struct Lent {
    connection: Option<Connection>,
    was_idle: bool,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Lent {
    fn give_back(mut self) {
        if let Some(connection) = self.connection.take() {
            self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }

    /// Closes the connection, and asks the server not to go on with its statement.
    fn cancel(mut self) {
        let Some(connection) = self.connection.take() else { return };
        let token = connection.client.cancel_token();
        drop(tokio::spawn(async move {
            // The statement runs on if this fails.
            let _ = match connection.tls.clone() {
                Some(tls) => timeout(END_LIMIT, token.cancel_query(tls)).await,
                None => timeout(END_LIMIT, token.cancel_query(NoTls)).await,
            };
            connection.task.abort();
        }));
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.task.abort();
        }
    }
}

impl Pool {
    fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Runs a statement in one round trip, and again on the next connection while idle ones turn out to be broken. So it must
    /// be one that may run several times.
    pub(super) async fn query(
        self: &Arc<Self>,
        patience: Patience,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failure> {
        loop {
            let lent = self.lend(patience).await.map_err(Failure::unsent)?;
            let was_idle = lent.was_idle;
            match Self::run(lent, patience, statement, parameters).await {
                Err(failure)
                    if failure.is_broken
                        && was_idle
                        && !matches!(failure.error, PostgresError::TimedOut { .. })
                        && !patience.is_over() => {}
                result => return result,
            }
        }
    }

    /// Runs a statement in one round trip, and never twice.
    pub(super) async fn query_once(
        self: &Arc<Self>,
        patience: Patience,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let lent = self.lend(patience).await.map_err(Failure::unsent)?;
        Self::run(lent, patience, statement, parameters).await
    }

    async fn run(
        lent: Lent,
        patience: Patience,
        statement: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Failure> {
        let Some(connection) = &lent.connection else { return Err(Failure::unsent(PostgresError::Refused)) };
        let limit = patience.of_step();
        match timeout(limit, connection.client.query_typed(statement, parameters)).await {
            Ok(Ok(rows)) => {
                lent.give_back();
                Ok(rows)
            }
            Ok(Err(error)) => {
                let failure = Failure::sent(error);
                if !failure.is_broken {
                    lent.give_back();
                }
                Err(failure)
            }
            Err(_) => {
                lent.cancel();
                let error = PostgresError::TimedOut { limit };
                Err(Failure { error, may_have_run: true, is_broken: true })
            }
        }
    }

    /// Runs several statements without parameters as one transaction.
    pub(super) async fn batch(self: &Arc<Self>, patience: Patience, statements: &str) -> Result<(), Failure> {
        let lent = self.lend(patience).await.map_err(Failure::unsent)?;
        let Some(connection) = &lent.connection else { return Err(Failure::unsent(PostgresError::Refused)) };
        let limit = patience.of_step();
        match timeout(limit, connection.client.batch_execute(statements)).await {
            Ok(Ok(())) => {
                lent.give_back();
                Ok(())
            }
            Ok(Err(error)) => Err(Failure::sent(error)),
            Err(_) => {
                lent.cancel();
                let error = PostgresError::TimedOut { limit };
                Err(Failure { error, may_have_run: true, is_broken: true })
            }
        }
    }

    /// How a connection is protected.
    pub(super) async fn security(self: &Arc<Self>, patience: Patience) -> Result<Option<Security>, PostgresError> {
        let lent = self.lend(patience).await?;
        let security = lent.connection.as_ref().map(|connection| connection.security);
        lent.give_back();
        Ok(security)
    }

    /// An idle connection, or a new one.
    async fn lend(self: &Arc<Self>, patience: Patience) -> Result<Lent, PostgresError> {
        let permit = timeout(patience.of_step(), self.permits.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(PostgresError::NoConnectionFree { limit: patience.limit() });
        };
        // Nothing is left for the server.
        if patience.is_over() {
            return Err(PostgresError::NoConnectionFree { limit: patience.limit() });
        }
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|connection| !connection.client.is_closed());
            idle.pop()
        };
        let was_idle = idle.is_some();
        let connection = match idle {
            Some(connection) => connection,
            None => self.connect(patience).await?,
        };
        Ok(Lent { connection: Some(connection), was_idle, pool: self.clone(), _permit: permit })
    }

    /// Connects to the first server that can be used. As with libpq, a server that refuses the user ends the search.
    async fn connect(&self, patience: Patience) -> Result<Connection, PostgresError> {
        let mut targets: Vec<&Target> = self.settings.targets.iter().collect();
        if self.settings.is_random {
            fastrand::shuffle(&mut targets);
        }
        let count = targets.len();
        let mut last = PostgresError::Refused;
        for (place, target) in targets.into_iter().enumerate() {
            let limit = patience.of_server(count - place);
            let connected = timeout(limit, self.connect_to(target, count > 1)).await;
            match connected.unwrap_or(Err(PostgresError::TimedOut { limit })) {
                Err(error) if error.may_pass() => last = error,
                result => return result,
            }
        }
        Err(last)
    }

    /// Connects as the mode says. If there are other servers, this one must accept writes.
    async fn connect_to(&self, target: &Target, must_write: bool) -> Result<Connection, PostgresError> {
        let mode = if target.is_socket { SslMode::Disable } else { self.settings.mode };
        let connection = match mode {
            SslMode::Disable => self.attempt(target, ClientMode::Disable).await.map_err(|(error, _)| error)?,
            SslMode::Allow => match self.attempt(target, ClientMode::Disable).await {
                Err((first @ PostgresError::NotAdmitted, _)) => {
                    self.attempt(target, ClientMode::Require).await.map_err(|(second, _)| match second {
                        PostgresError::NoTls => first,
                        second => second,
                    })?
                }
                result => result.map_err(|(error, _)| error)?,
            },
            SslMode::Prefer => match self.attempt(target, ClientMode::Prefer).await {
                Err((first @ (PostgresError::NotAdmitted | PostgresError::Tls(_)), true)) => {
                    self.attempt(target, ClientMode::Disable).await.map_err(|(second, _)| match second {
                        PostgresError::NotAdmitted => first,
                        second => second,
                    })?
                }
                result => result.map_err(|(error, _)| error)?,
            },
            SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                self.attempt(target, ClientMode::Require).await.map_err(|(error, _)| error)?
            }
        };
        if must_write {
            const QUESTION: &str = "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on'";
            let rows = connection.client.query_typed(QUESTION, &[]).await.map_err(classify)?;
            if rows.first().is_none_or(|row| row.try_get(0).unwrap_or(true)) {
                return Err(PostgresError::ReadOnly);
            }
        }
        Ok(connection)
    }

    /// One attempt to connect. An error tells whether TLS was used.
    async fn attempt(&self, target: &Target, mode: ClientMode) -> Result<Connection, (PostgresError, bool)> {
        let mut config = target.config.clone();
        let Some(tls) = self.settings.tls.as_ref().filter(|_| mode != ClientMode::Disable) else {
            config.ssl_mode(ClientMode::Disable);
            let (client, connection) = config.connect(NoTls).await.map_err(|error| (classify(error), false))?;
            return Ok(self.begin(target, client, connection, None, false));
        };
        config.ssl_mode(mode);
        let (make, is_used) = tls.connector();
        let connected = config.connect(make.clone()).await;
        let is_used = is_used.load(Ordering::SeqCst);
        let (client, connection) = connected.map_err(|error| (classify(error), is_used))?;
        Ok(self.begin(target, client, connection, Some(make), is_used))
    }

    /// Runs the connection's task.
    fn begin<S, T>(
        &self,
        target: &Target,
        client: Client,
        connection: tokio_postgres::Connection<S, T>,
        tls: Option<MakeConnector>,
        is_encrypted: bool,
    ) -> Connection
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let alive = self.alive.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let task = tokio::spawn(async move {
            // The client learns of an error by its next statement.
            let _ = connection.await;
            drop(alive);
        });
        let is_verified = is_encrypted && self.settings.tls.as_ref().is_some_and(|tls| tls.is_verified);
        let security = Security { is_local: target.is_local, is_encrypted, is_verified };
        Connection { client, task: task.abort_handle(), tls, security }
    }
}
