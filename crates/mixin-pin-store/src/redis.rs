//! Iterators in Redis or Valkey, for bots that run on several machines with one session.
//!
//! A session has a record, which stays, and a lease, which Redis itself ends. Each step is one script, so lease and iterator
//! change together or not at all. The lease's value is its fence, a random number. A caller that stalled past the end of its
//! lease finds another fence there, or none, and gets no further iterator. A third key has the calls that are under way or
//! whose outcome is unknown.
//!
//! If a request to lease has no answer, the server may run it at any later time. A key of its own then marks the fence for an
//! hour, and a request with a marked fence writes nothing. While connections work, no fence is marked.

#[cfg(feature = "async")]
mod asynchronous;
mod attempt;
mod calls;
mod lease;
mod scripts;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mixin_pin_core::{UnixTime, uuid::Uuid};
use redis::{Client, Commands as _, Connection, ErrorKind, IntoConnectionInfo as _, Script, ScriptInvocation};
use rustls::crypto::CryptoProvider;

use crate::backoff::Backoff;
use crate::engine::{Clock, Process, system_clock};
use crate::iterators;
use crate::{
    Error, LeaseReply, LeaseTerms, ManagedStore, NonceStore, PendingCall, Place, RedisError, Risk, SessionRecord,
};

use attempt::Attempt;
use lease::RedisLease;
use scripts::Scripts;

/// Time limit for connecting, and for each answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The shortest time limit: a connection needs several round trips.
const SHORTEST: Duration = Duration::from_secs(1);
/// No limit for the whole request: each of its steps has its own.
const UNLIMITED: Duration = Duration::MAX;
const PREFIX: &str = "mixin-pin:";
const LEASE_SUFFIX: &str = ":lease";
const CALLS_SUFFIX: &str = ":calls";
/// A fence follows.
const MARK_SUFFIX: &str = ":over:";

/// Iterators in Redis or Valkey.
///
/// Clones are cheap and share their connections. Iterators end at `i64::MAX`, in the year 2262.
///
/// A failover may lose the last writes. Iterators still rise, because they are never below the clock. This requires that
/// the machines' clocks differ by less than a failover takes. The journal may lose the entries of the last calls, so it does
/// not list each call whose outcome is unknown.
///
/// If a request to lease has no answer, the server may run it later. So the store sends another one that takes it back. If
/// that does not reach the server either, the lease lasts until it ends by itself, and the journal lists a call that was
/// never sent.
///
/// ```no_run
/// use mixin_pin_store::{ManagedStore, RedisStore};
///
/// let store = RedisStore::open("rediss://:password@redis.example:6379/0")?;
/// for risk in store.risks()? {
///     eprintln!("warning: {risk}");
/// }
/// # Ok::<(), mixin_pin_store::Error>(())
/// ```
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    client: Client,
    /// How many answers a new connection awaits one by one, each with the limit for connecting.
    setup: u32,
    clock: Clock,
    /// Time limit for a request with all its tries.
    limit: Duration,
    idle: Mutex<Idle>,
    scripts: Scripts,
    #[cfg(feature = "async")]
    shared: asynchronous::Shared,
}

/// Connections that are not in use. A forked child must not use its parent's.
struct Idle {
    process: Process,
    connections: Vec<Connection>,
}

impl Idle {
    fn new() -> Mutex<Self> {
        Mutex::new(Self { process: Process::current(), connections: Vec::new() })
    }

    fn take(&mut self) -> Option<Connection> {
        if !self.process.is_current() {
            // Closes the child's copies. The parent's connections stay open.
            *self = Self { process: Process::current(), connections: Vec::new() };
        }
        self.connections.pop()
    }
}

impl RedisStore {
    /// Opens a store by the URL of a Redis or Valkey server, and checks that the server answers.
    ///
    /// TLS (`rediss://`) trusts the system's root certificates, or those that `SSL_CERT_FILE` names. It uses the process's
    /// default `rustls` crypto provider. If no default is set, aws-lc-rs becomes the default.
    ///
    /// # Errors
    /// [`Error::Url`] for an invalid URL, or the [`RedisError`] that says what is wrong with the server.
    pub fn open(url: &str) -> Result<Self, Error> {
        Self::open_within(url, UNLIMITED)
    }

    /// Opens a store as [`RedisStore::open`] does. Opening, and each later request, waits for the server no longer than
    /// `limit`, or a second if that is longer. By default each of a request's two tries may take five seconds for connecting
    /// and five for the answer.
    ///
    /// # Errors
    /// As [`RedisStore::open`].
    pub fn open_within(url: &str, limit: Duration) -> Result<Self, Error> {
        let inner = Inner::new(url, limit)?;
        inner.on_connection(|connection| redis::cmd("PING").query::<String>(connection))?;
        Ok(Self(Arc::new(inner)))
    }

    /// The same store with another clock, for tests.
    #[must_use]
    pub fn clock(self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            client: self.0.client.clone(),
            setup: self.0.setup,
            clock: Arc::new(move || Ok(clock())),
            limit: self.0.limit,
            idle: Idle::new(),
            scripts: self.0.scripts.clone(),
            #[cfg(feature = "async")]
            shared: asynchronous::Shared::default(),
        }))
    }

    /// The server's eviction policy, if it may drop records or leases when memory runs short.
    fn eviction_policy(&self) -> Result<Option<String>, Error> {
        let info: String = self.0.on_connection(|connection| redis::cmd("INFO").arg("memory").query(connection))?;
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let is_limited = field("maxmemory").is_some_and(|limit| limit.trim() != "0");
        let policy = field("maxmemory_policy").map_or("noeviction", str::trim);
        Ok((is_limited && policy != "noeviction").then(|| policy.to_owned()))
    }
}

impl ManagedStore for RedisStore {
    fn sessions(&self) -> Result<Vec<SessionRecord>, Error> {
        let found = self.0.on_connection(|connection| {
            let keys: Vec<String> =
                connection.scan_match(format!("{PREFIX}{{*}}"))?.collect::<redis::RedisResult<_>>()?;
            let mut found = Vec::new();
            for key in keys {
                let record: (Option<String>, Option<String>) = connection.hmget(&key, &["iterator", "raised"])?;
                let left: i64 = connection.pttl(format!("{key}{LEASE_SUFFIX}"))?;
                found.push((key, record, left));
            }
            Ok(found)
        })?;
        let mut sessions = Vec::new();
        for (key, (last, raised_to), left) in found {
            // The session was forgotten meanwhile.
            let Some(last) = last else { continue };
            sessions.push(SessionRecord {
                session_id: session_of(&key)?,
                last_iterator: number(&last)?,
                leased_for: u64::try_from(left).ok().map(Duration::from_millis),
                raised_to: raised_to.as_deref().map(number).transpose()?,
            });
        }
        Ok(sessions)
    }

    fn all_pending(&self) -> Result<Vec<PendingCall>, Error> {
        let keys: Vec<String> = self
            .0
            .on_connection(|connection| connection.scan_match(format!("{PREFIX}{{*}}{CALLS_SUFFIX}"))?.collect())?;
        let mut calls = Vec::new();
        let mut sessions = keys.iter().map(|key| session_of(key)).collect::<Result<Vec<Uuid>, Error>>()?;
        // A scan may return a key twice.
        sessions.sort_unstable();
        sessions.dedup();
        for session_id in sessions {
            calls.append(&mut self.pending(session_id)?);
        }
        Ok(calls)
    }

    fn forget(&self, session_id: Uuid) -> Result<bool, Error> {
        let answer = self.0.run(&self.0.scripts.forget, session_id, &[])?;
        match answer.first().map(String::as_str) {
            Some("busy") => Err(Error::InUse),
            Some("pending") => Err(Error::Unsettled),
            Some(count) => Ok(count == "1"),
            None => Err(Error::Redis(RedisError::Content)),
        }
    }

    fn raise(&self, session_id: Uuid, to: u64) -> Result<u64, Error> {
        iterators::check_room(to, i64::MAX.unsigned_abs())?;
        let now = (self.0.clock)()?;
        let has_no_effect = if iterators::is_far_behind(to, now)? { "1" } else { "0" };
        let arguments = [&to.to_string(), &now.as_nanos()?.to_string(), has_no_effect];
        let answer = self.0.run(&self.0.scripts.raise, session_id, &arguments)?;
        match (answer.first().map(String::as_str), answer.get(1)) {
            (Some("busy"), _) => Err(Error::InUse),
            (Some("raised"), Some(last)) => number(last),
            _ => Err(Error::Redis(RedisError::Content)),
        }
    }

    fn risks(&self) -> Result<Vec<Risk>, Error> {
        let policy = match self.eviction_policy() {
            // A user without the right to send INFO can still use the store. The policy is then unknown.
            Err(Error::Redis(RedisError::Forbidden | RedisError::Other(_))) => None,
            policy => policy?,
        };
        Ok(policy.into_iter().map(|policy| Risk::Eviction { policy }).collect())
    }

    fn place(&self) -> Place<'_> {
        Place::Redis
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may contain a password.
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}

impl NonceStore for RedisStore {
    fn lease(&self, session_id: Uuid, terms: &LeaseTerms<'_>) -> Result<LeaseReply, Error> {
        let mut backoff = Backoff::new(terms.max_wait());
        loop {
            match self.0.try_lease(session_id, terms, backoff.left())? {
                Attempt::Granted(grant) => return Ok(LeaseReply::Granted(Box::new(RedisLease(grant)))),
                Attempt::ClockUnconfirmed { ahead } => return Ok(LeaseReply::ClockUnconfirmed { ahead }),
                Attempt::Busy => {}
            }
            if !backoff.sleep() {
                return Ok(LeaseReply::Busy);
            }
        }
    }

    fn pending(&self, session_id: Uuid) -> Result<Vec<PendingCall>, Error> {
        calls::parse(session_id, &self.0.run(&self.0.scripts.pending, session_id, &[])?)
    }

    fn settle(&self, session_id: Uuid, request_id: Uuid) -> Result<bool, Error> {
        let answer = self.0.run(&self.0.scripts.settle, session_id, &[&request_id.to_string()])?;
        settled(&answer)
    }
}

/// The answer of the script `SETTLE`.
fn settled(answer: &[String]) -> Result<bool, Error> {
    match answer.first().map(String::as_str) {
        Some("busy") => Err(Error::InUse),
        Some(count) => Ok(number(count)? > 0),
        None => Err(Error::Redis(RedisError::Content)),
    }
}

impl Inner {
    fn new(url: &str, limit: Duration) -> Result<Self, Error> {
        if url.starts_with("rediss:") && CryptoProvider::get_default().is_none() {
            // Fails if another thread has just installed one, which is as good.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let to = url.into_connection_info().map_err(|_| Error::Url)?;
        let settings = to.redis_settings().clone().set_skip_set_lib_name();
        let setup = u32::from(settings.password().is_some()) + u32::from(settings.db() != 0);
        Ok(Self {
            client: Client::open(to.set_redis_settings(settings)).map_err(|_| Error::Url)?,
            setup: setup.max(1),
            clock: system_clock(),
            limit,
            idle: Idle::new(),
            scripts: Scripts::new(),
            #[cfg(feature = "async")]
            shared: asynchronous::Shared::default(),
        })
    }

    /// Runs a script. After a broken connection it runs once more: every script may run twice.
    fn run(&self, script: &Script, session_id: Uuid, arguments: &[&str]) -> Result<Vec<String>, Error> {
        let invocation = invocation(script, session_id, arguments);
        self.on_connection(|connection| invocation.invoke(connection))
    }

    fn on_connection<T>(&self, work: impl Fn(&mut Connection) -> redis::RedisResult<T>) -> Result<T, Error> {
        self.on_connections(&mut Vec::new(), Patience::new(self.limit), |connection, _| work(connection))
    }

    /// Runs `work`, and once more after a broken connection. Its argument says whether it runs for the second time.
    /// Connections on which no answer came are added to `silent`.
    fn on_connections<T>(
        &self,
        silent: &mut Vec<Connection>,
        patience: Patience,
        work: impl Fn(&mut Connection, bool) -> redis::RedisResult<T>,
    ) -> Result<T, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut connection) = idle {
            patience.apply_to(&connection).map_err(|error| patience.failed(error))?;
            match work(&mut connection, false) {
                Err(error) if is_broken(&error) => {
                    let is_over = patience.is_over();
                    silent.push(connection);
                    if is_over {
                        return Err(patience.failed(error));
                    }
                }
                result => return self.finish(connection, result),
            }
        }
        // The server may have closed the idle connection.
        let mut connection = self.connect(patience).map_err(|error| patience.failed(error))?;
        match work(&mut connection, !silent.is_empty()) {
            Err(error) if is_broken(&error) => {
                silent.push(connection);
                Err(patience.failed(error))
            }
            result => self.finish(connection, result),
        }
    }

    fn connect(&self, patience: Patience) -> redis::RedisResult<Connection> {
        let limit = (patience.left() / self.setup).min(patience.of_step()).max(Patience::STEP);
        let connection = self.client.get_connection_with_timeout(limit)?;
        patience.apply_to(&connection)?;
        Ok(connection)
    }

    /// Keeps a connection that works for the next request.
    fn finish<T>(&self, connection: Connection, result: redis::RedisResult<T>) -> Result<T, Error> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).connections.push(connection);
        Ok(result.map_err(classify)?)
    }
}

/// How long a request may wait for the server.
#[derive(Clone, Copy)]
struct Patience {
    limit: Duration,
    until: Option<Instant>,
}

impl Patience {
    /// The shortest limit of a step.
    const STEP: Duration = Duration::from_millis(1);

    fn new(limit: Duration) -> Self {
        let limit = limit.max(SHORTEST);
        Self { limit, until: Instant::now().checked_add(limit) }
    }

    fn left(self) -> Duration {
        self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()))
    }

    fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// The limit for connecting, or for one answer. Never zero, which no socket accepts.
    fn of_step(self) -> Duration {
        self.left().clamp(Self::STEP, TIMEOUT)
    }

    fn apply_to(self, connection: &Connection) -> redis::RedisResult<()> {
        let limit = Some(self.of_step());
        connection.set_read_timeout(limit)?;
        connection.set_write_timeout(limit)
    }

    /// What a failure on the way to the server means.
    fn failed(self, error: redis::RedisError) -> Error {
        Error::Redis(if error.is_timeout() {
            RedisError::TimedOut { limit: self.limit.min(TIMEOUT) }
        } else {
            classify(error)
        })
    }
}

/// The key of a session's record.
fn record_key(session_id: Uuid) -> String {
    format!("{PREFIX}{{{session_id}}}")
}

fn lease_key(session_id: Uuid) -> String {
    record_key(session_id) + LEASE_SUFFIX
}

/// The key that marks a fence.
fn mark_key(session_id: Uuid, fence: &str) -> String {
    record_key(session_id) + MARK_SUFFIX + fence
}

/// The session of a key. The braces keep all keys of a session in one slot of a cluster.
fn session_of(key: &str) -> Result<Uuid, Error> {
    let id = key.strip_prefix(PREFIX).and_then(|id| id.strip_prefix('{')?.split_once('}'));
    id.and_then(|(id, _)| id.parse().ok()).ok_or(Error::Redis(RedisError::Content))
}

/// The keys of every script.
fn keys(session_id: Uuid) -> [String; 3] {
    [record_key(session_id), lease_key(session_id), record_key(session_id) + CALLS_SUFFIX]
}

/// A script with its keys and arguments.
fn invocation<'s>(script: &'s Script, session_id: Uuid, arguments: &[impl redis::ToRedisArgs]) -> ScriptInvocation<'s> {
    let mut invocation = script.prepare_invoke();
    invocation.key(&keys(session_id)).arg(arguments);
    invocation
}

fn is_broken(error: &redis::RedisError) -> bool {
    error.is_io_error() || error.is_timeout() || error.is_connection_dropped()
}

fn classify(error: redis::RedisError) -> RedisError {
    match code(&error) {
        "OOM" => RedisError::Full,
        "MISCONF" => RedisError::CannotSave,
        "READONLY" | "MASTERDOWN" => RedisError::Replica,
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

fn number(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| Error::Redis(RedisError::Content))
}
