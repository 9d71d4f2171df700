//! Connections to the server that has a session: their time limits, and what a failure means.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mixin_pin_core::uuid::Uuid;
use redis::{Connection, ConnectionAddr, ErrorKind};

use super::servers::{Server, Servers, address};
use super::{CALLS_SUFFIX, Inner, scan, session_of};
use crate::engine::Process;
use crate::{Error, RedisError};

/// Time limit for connecting, and for each answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(5);
/// The same where another server may take the place of one that hangs.
const TIMEOUT_OF_SEVERAL: Duration = Duration::from_secs(2);
/// The shortest time limit: a connection needs several round trips.
const SHORTEST: Duration = Duration::from_secs(1);
/// Connections that are not in use. A forked child must not use its parent's.
pub(super) struct Idle {
    process: Process,
    connections: Vec<(ConnectionAddr, Connection)>,
}

impl Idle {
    pub(super) fn new() -> Mutex<Self> {
        Mutex::new(Self { process: Process::current(), connections: Vec::new() })
    }

    fn take(&mut self, server: &Server) -> Option<Connection> {
        if !self.process.is_current() {
            // Closes the child's copies. The parent's connections stay open.
            *self = Self { process: Process::current(), connections: Vec::new() };
        }
        let place = self.connections.iter().rposition(|(to, _)| to == address(server))?;
        Some(self.connections.remove(place).1)
    }
}

/// Connections on which no answer came, each with its server. The last was tried last.
pub(super) type Silent<C> = Vec<(Server, C)>;

impl Inner {
    /// Runs `work` on the server that has the session. If another server may have it after a failure, runs it there.
    pub(super) fn on_connection<T>(
        &self,
        session_id: Option<Uuid>,
        work: impl Fn(&mut Connection) -> redis::RedisResult<T>,
    ) -> Result<T, Error> {
        let patience = self.patience(self.limit);
        let run = || {
            let result = self.on_connections(session_id, &mut Vec::new(), patience, |connection, _| work(connection));
            result.map(|(result, _)| result)
        };
        match run() {
            Err(error) if self.servers.may_change() && may_pass(&error) && !patience.is_over() => run(),
            result => result,
        }
    }

    /// Runs `work` on the server that has the session, and once more there after a broken connection. Its argument says
    /// whether it runs for the second time. Returns the server, too. Connections on which no answer came are added to `silent`.
    pub(super) fn on_connections<T>(
        &self,
        session_id: Option<Uuid>,
        silent: &mut Silent<Connection>,
        patience: Patience,
        work: impl Fn(&mut Connection, bool) -> redis::RedisResult<T>,
    ) -> Result<(T, Server), Error> {
        let mut server = self.find(session_id, patience)?;
        for _ in 0..Servers::HOPS {
            let error = match self.on_server(&server, silent, patience, &work) {
                Ok(result) => return Ok((result, server)),
                Err(error) => error,
            };
            // In both cases this server has run nothing.
            if let Some(next) = self.servers.redirected(session_id, &server, &error) {
                server = next?;
                continue;
            }
            let error = self.servers.failed(&server, patience, error);
            let may_go_on = silent.is_empty() && self.servers.may_change() && may_pass(&error) && !patience.is_over();
            match may_go_on.then(|| self.find(session_id, patience)) {
                Some(Ok(next)) if address(&next) != address(&server) => server = next,
                _ => return Err(error),
            }
        }
        match self.on_server(&server, silent, patience, &work) {
            Ok(result) => Ok((result, server)),
            Err(error) => Err(self.servers.failed(&server, patience, error)),
        }
    }

    pub(super) fn patience(&self, limit: Duration) -> Patience {
        Patience::new(limit, if self.servers.may_change() { TIMEOUT_OF_SEVERAL } else { TIMEOUT })
    }

    /// The server to ask for a session.
    #[cfg_attr(not(feature = "redis-ha"), expect(unused_variables, reason = "the only server is known"))]
    fn find(&self, session_id: Option<Uuid>, patience: Patience) -> Result<Server, Error> {
        #[cfg(feature = "redis-ha")]
        if let Some(mut poll) = self.servers.poll() {
            while let Some(sentinel) = poll.next().filter(|_| !patience.is_over()) {
                let (question, limit) =
                    (poll.question(), Patience::new(super::servers::Poll::LIMIT, super::servers::Poll::LIMIT));
                let answer =
                    self.on_server(&sentinel, &mut Vec::new(), limit, |connection, _| question.query(connection));
                poll.answered(sentinel, answer.map_err(|error| limit.classify(error)));
            }
            self.servers.learn(&poll)?;
        }
        self.servers.of(session_id)
    }

    /// Runs `work` on this server.
    pub(super) fn on_one<T>(
        &self,
        server: &Server,
        work: impl Fn(&mut Connection) -> redis::RedisResult<T>,
    ) -> Result<T, Error> {
        let patience = self.patience(self.limit);
        self.on_server(server, &mut Vec::new(), patience, |connection, _| work(connection))
            .map_err(|error| self.servers.failed(server, patience, error))
    }

    /// The servers that have sessions.
    pub(super) fn all_servers(&self) -> Result<Vec<Server>, Error> {
        let server = self.find(None, self.patience(self.limit))?;
        #[cfg(feature = "redis-ha")]
        if self.servers.is_cluster() {
            let mut node = server;
            for _ in 1..Servers::HOPS {
                match self.primaries_by(&node) {
                    // Any other node knows them, too.
                    Err(error) if may_pass(&error) => node = self.servers.of(None)?,
                    result => return result,
                }
            }
            return self.primaries_by(&node);
        }
        Ok(vec![server])
    }

    /// The nodes that have sessions, as this one knows.
    #[cfg(feature = "redis-ha")]
    fn primaries_by(&self, node: &Server) -> Result<Vec<Server>, Error> {
        let answer = self.on_one(node, |connection| redis::cmd("CLUSTER").arg("SLOTS").query(connection))?;
        super::servers::primaries(&self.servers, node, &answer)
    }

    /// The sessions of which the journal lists calls.
    pub(super) fn sessions_with_calls(&self) -> Result<Vec<Uuid>, Error> {
        let mut sessions = Vec::new();
        for server in self.all_servers()? {
            for key in self.on_one(&server, |connection| scan(connection, CALLS_SUFFIX))? {
                sessions.push(session_of(&key)?);
            }
        }
        // A cluster may move a session meanwhile.
        sessions.sort_unstable();
        sessions.dedup();
        Ok(sessions)
    }

    /// Runs `work` on this server, and once more after a broken connection, unless it ran before without an answer.
    pub(super) fn on_server<T>(
        &self,
        server: &Server,
        silent: &mut Silent<Connection>,
        patience: Patience,
        work: impl Fn(&mut Connection, bool) -> redis::RedisResult<T>,
    ) -> redis::RedisResult<T> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner).take(server);
        if silent.is_empty()
            && let Some(mut connection) = idle()
        {
            patience.apply_to(&connection)?;
            match work(&mut connection, false) {
                Err(error) if is_broken(&error) => {
                    silent.push((server.clone(), connection));
                    if patience.is_over() {
                        return Err(error);
                    }
                }
                result => return self.finish(server, connection, result),
            }
        }
        // The server may have closed the idle connection.
        let mut connection = connect(server, patience)?;
        match work(&mut connection, !silent.is_empty()) {
            Err(error) if is_broken(&error) => {
                silent.push((server.clone(), connection));
                Err(error)
            }
            result => self.finish(server, connection, result),
        }
    }

    /// Keeps a connection that works for the next request.
    fn finish<T>(
        &self,
        server: &Server,
        connection: Connection,
        result: redis::RedisResult<T>,
    ) -> redis::RedisResult<T> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.connections.push((address(server).clone(), connection));
        result
    }
}

pub(super) fn connect(server: &Server, patience: Patience) -> redis::RedisResult<Connection> {
    // A new connection awaits its answers one by one, each with the limit for connecting.
    let settings = server.get_connection_info().redis_settings();
    let answers = u32::from(settings.password().is_some()) + u32::from(settings.db() != 0);
    let limit = (patience.left() / answers.max(1)).min(patience.of_step()).max(Patience::STEP);
    let connection = server.get_connection_with_timeout(limit)?;
    patience.apply_to(&connection)?;
    Ok(connection)
}

/// How long a request may wait for the server.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    limit: Duration,
    /// For each step.
    step: Duration,
    until: Option<Instant>,
}

impl Patience {
    /// The shortest limit of a step.
    const STEP: Duration = Duration::from_millis(1);

    pub(super) fn new(limit: Duration, step: Duration) -> Self {
        let limit = limit.max(SHORTEST);
        Self { limit, step, until: Instant::now().checked_add(limit) }
    }

    fn left(self) -> Duration {
        self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()))
    }

    pub(super) fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// The limit for connecting, or for one answer. Never zero, which no socket accepts.
    pub(super) fn of_step(self) -> Duration {
        self.left().clamp(Self::STEP, self.step)
    }

    fn apply_to(self, connection: &Connection) -> redis::RedisResult<()> {
        let limit = Some(self.of_step());
        connection.set_read_timeout(limit)?;
        connection.set_write_timeout(limit)
    }

    /// What a failure means.
    pub(super) fn classify(self, error: redis::RedisError) -> RedisError {
        if error.is_timeout() { RedisError::TimedOut { limit: self.limit.min(self.step) } } else { classify(error) }
    }
}

/// Whether another attempt may succeed although nobody changes anything. Nothing of a failed attempt is used.
pub(super) fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Redis(error) if error.may_pass())
}

pub(super) fn is_broken(error: &redis::RedisError) -> bool {
    error.is_io_error() || error.is_timeout() || error.is_connection_dropped()
}

pub(super) fn classify(error: redis::RedisError) -> RedisError {
    match code(&error) {
        "OOM" => RedisError::Full,
        "MISCONF" => RedisError::CannotSave,
        "READONLY" | "MASTERDOWN" | "UNBLOCKED" => RedisError::Replica,
        "NOREPLICAS" => RedisError::FewReplicas,
        "LOADING" => RedisError::Loading,
        "BUSY" | "TRYAGAIN" => RedisError::Busy,
        "CLUSTERDOWN" => RedisError::ClusterDown,
        "MOVED" | "ASK" => RedisError::OtherNode,
        "NOAUTH" => RedisError::PasswordMissing,
        "WRONGPASS" => RedisError::PasswordWrong,
        "NOPERM" => RedisError::Forbidden,
        "WRONGTYPE" => RedisError::Content,
        _ => match error.kind() {
            ErrorKind::UnexpectedReturnType => RedisError::Content,
            ErrorKind::AuthenticationFailed => RedisError::PasswordWrong,
            // The answer to `SELECT` has no word of its own (redis/redis: src/db.c, selectCommand).
            _ if error.to_string().contains("DB index is out of range") => RedisError::NoDatabase,
            // Nor has that of a replica to `WAIT` (src/replication.c, waitCommand).
            _ if error.to_string().contains("WAIT cannot be used with replica") => RedisError::Replica,
            _ if error.is_connection_refusal() => RedisError::Refused,
            _ if is_broken(&error) => RedisError::Unreachable(error.into()),
            _ => RedisError::Other(error.into()),
        },
    }
}

/// The server's word for an error. Before version 7, Redis wraps an error within a script: `ERR Error running script (call
/// to f_…): @user_script:1: -MISCONF …`.
fn code(error: &redis::RedisError) -> &str {
    let code = error.code().unwrap_or_default();
    let detail = error.detail().unwrap_or_default();
    let is_word = |word: &str| word.len() > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase());
    let within = detail.split([' ', ':']).find_map(|word| word.strip_prefix('-').filter(|word| is_word(word)));
    match code {
        "" | "ERR" => within.or_else(|| detail.split(' ').next().filter(|word| is_word(word))).unwrap_or(code),
        code => code,
    }
}
