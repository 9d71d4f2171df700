//! Iterators in Redis or Valkey, for bots that run on several machines with one session.
//!
//! A session has a record, which stays, and a lease, which Redis itself ends. Each step is one script, so lease and iterator
//! change together or not at all. The lease's value is its fence, a random number. A caller that stalled past the end of its
//! lease finds another fence there, or none, and gets no further iterator. A third key has the calls that are under way or
//! whose outcome is unknown.
//!
//! If a request to lease has no answer, the server may run it at any later time. A key of its own then marks the fence for an
//! hour, and a request with a marked fence writes nothing. While connections work, no fence is marked.
//!
//! A server that was promoted or restarted may have lost a lease. Then a fourth key marks the session's pause: the session
//! counts as in use until such a lease has ended. `servers` finds the server that has a session, by Sentinels or on a cluster.

#[cfg(feature = "async")]
mod asynchronous;
mod attempt;
mod calls;
mod connections;
mod lease;
mod risks;
mod scripts;
mod servers;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mixin_pin_core::{UnixTime, uuid::Uuid};
use redis::{Commands as _, Connection, Script, ScriptInvocation};
use rustls::crypto::CryptoProvider;

use crate::backoff::Backoff;
use crate::engine::{Clock, system_clock};
use crate::iterators;
use crate::{
    Error, LeaseReply, LeaseTerms, ManagedStore, NonceStore, PendingCall, Place, RedisError, Risk, SessionRecord,
};

use attempt::Attempt;
use connections::{Idle, may_pass};
use lease::RedisLease;
use scripts::Scripts;
use servers::Servers;
use settings::Settings;

/// No limit for the whole request: each of its steps has its own.
const UNLIMITED: Duration = Duration::MAX;
const PREFIX: &str = "mixin-pin:";
const LEASE_SUFFIX: &str = ":lease";
const CALLS_SUFFIX: &str = ":calls";
const PAUSE_SUFFIX: &str = ":pause";
/// A fence follows.
const MARK_SUFFIX: &str = ":over:";

/// Iterators in Redis or Valkey.
///
/// Clones are cheap and share their connections. Iterators end at `i64::MAX`, in the year 2262.
///
/// # Failovers and restarts
/// A server that was promoted or restarted may have lost its last writes, and with them a lease that its holder still
/// believes in. So each lease records the ids of the server's start and of its replication. If they have changed, the session
/// pauses: it counts as in use for as long as its longest known lease or the wanted one, whichever is longer, and for a day
/// at most. A restart is counted from the restart. A promotion is counted from the next request for a lease, and two seconds are
/// added. Callers wait for the end of a pause as for the end of a lease. A new session pauses once, too, on a server that was
/// ever promoted or has just been started: a new server looks like one that lost everything. The user needs the right to send
/// `INFO`; without it there are no pauses.
///
/// Iterators still rise, because they are never below the clock. This requires that the machines' clocks differ by less than
/// a failover takes. The journal may lose the entries of the last calls, so it does not list each call whose outcome is
/// unknown.
///
/// A failure that may pass, such as a failover, is retried for as long as the terms of a lease allow to wait.
///
/// # Several servers
/// With the feature `redis-ha`, `redis+sentinel://[USER:PASSWORD@]HOST[:PORT],…/NAME[/DB]` asks Sentinels for the primary. An
/// answer counts for a second. More than half of the URL's Sentinels must name the same primary, so name them all. No session
/// is leased while fewer do.
///
/// `redis-cluster://[USER:PASSWORD@]HOST[:PORT],…` finds the node of a cluster that has a session. A lease counts only after
/// another node has confirmed which one has the session, because a node that hung may not know that its replica was promoted.
/// A cluster of one node needs no confirmation. Both work with `rediss`, too.
///
/// # Options of the URL
/// - `plaintext=allow`: other machines may be reached without TLS.
/// - `replicas=N`: a lease, and each iterator after its first two, counts only when N replicas have it, within a second. Then
///   a promotion needs no pause, provided that N is the number of replicas that may be promoted and every client has the
///   option.
/// - `new=ID,…`: the `run_id`s of servers that had no data yet when they were started. Sessions do not pause after these
///   starts.
/// - `sentinel_user` and `sentinel_password`: for the Sentinels.
/// - `protocol=resp3`: the protocol RESP3 in place of RESP2.
///
/// # Requests without an answer
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
    servers: Servers,
    clock: Clock,
    /// Time limit for a request with all its tries.
    limit: Duration,
    idle: Mutex<Idle>,
    scripts: Scripts,
    #[cfg(feature = "async")]
    shared: asynchronous::Shared,
}

impl RedisStore {
    /// Opens a store by the URL of a Redis or Valkey server, of Sentinels or of a cluster, and checks that a server answers.
    ///
    /// TLS (`rediss://`) trusts the system's root certificates, or those that `SSL_CERT_FILE` names. It uses the process's
    /// default `rustls` crypto provider. If no default is set, aws-lc-rs becomes the default.
    ///
    /// # Errors
    /// [`Error::Url`] for an invalid URL or an unknown option, [`Error::Plaintext`] for another machine without TLS, or the
    /// [`RedisError`] that says what is wrong with the server.
    pub fn open(url: &str) -> Result<Self, Error> {
        Self::open_within(url, UNLIMITED)
    }

    /// Opens a store as [`RedisStore::open`] does. Opening, and each later request, waits for the server no longer than
    /// `limit`, or a second if that is longer. By default each of a request's two tries may take five seconds for connecting
    /// and five for the answer, or two and two with Sentinels or on a cluster.
    ///
    /// # Errors
    /// As [`RedisStore::open`].
    pub fn open_within(url: &str, limit: Duration) -> Result<Self, Error> {
        let inner = Inner::new(url, limit)?;
        inner.on_connection(None, |connection| redis::cmd("PING").query::<String>(connection))?;
        Ok(Self(Arc::new(inner)))
    }

    /// The same store with another clock, for tests.
    #[must_use]
    pub fn clock(self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner {
            servers: self.0.servers.clone(),
            clock: Arc::new(move || Ok(clock())),
            limit: self.0.limit,
            idle: Idle::new(),
            scripts: self.0.scripts.clone(),
            #[cfg(feature = "async")]
            shared: asynchronous::Shared::default(),
        }))
    }
}

impl ManagedStore for RedisStore {
    fn sessions(&self) -> Result<Vec<SessionRecord>, Error> {
        let mut sessions = Vec::new();
        for server in self.0.all_servers()? {
            let found = self.0.on_one(&server, |connection| {
                let keys = scan(connection, "")?;
                keys.into_iter()
                    .map(|key| Ok((Found::read(connection, &key)?, key)))
                    .collect::<redis::RedisResult<Vec<_>>>()
            })?;
            for (found, key) in found {
                sessions.extend(found.record(session_of(&key)?)?);
            }
        }
        Ok(sessions)
    }

    fn session(&self, session_id: Uuid) -> Result<Option<SessionRecord>, Error> {
        let key = record_key(session_id);
        self.0.on_connection(Some(session_id), |connection| Found::read(connection, &key))?.record(session_id)
    }

    fn all_pending(&self) -> Result<Vec<PendingCall>, Error> {
        let mut calls = Vec::new();
        for session_id in self.0.sessions_with_calls()? {
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
        self.0.risks()
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
            match self.0.try_lease(session_id, terms, backoff.left()) {
                Ok(Attempt::Granted(grant)) => return Ok(LeaseReply::Granted(Box::new(RedisLease(grant)))),
                Ok(Attempt::ClockUnconfirmed { ahead }) => return Ok(LeaseReply::ClockUnconfirmed { ahead }),
                Ok(Attempt::Busy) if !backoff.sleep() => return Ok(LeaseReply::Busy),
                Err(error) if !may_pass(&error) || !backoff.after_failure().sleep() => return Err(error),
                Ok(Attempt::Busy) | Err(_) => {}
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

/// A session's record, as it is on the server.
struct Found {
    last_iterator: Option<String>,
    raised_to: Option<String>,
    /// Milliseconds; negative without a lease.
    left: i64,
}

impl Found {
    fn read(connection: &mut Connection, key: &str) -> redis::RedisResult<Self> {
        let (last_iterator, raised_to) = connection.hmget(key, &["iterator", "raised"])?;
        let lease: i64 = connection.pttl(format!("{key}{LEASE_SUFFIX}"))?;
        let pause: i64 = connection.pttl(format!("{key}{PAUSE_SUFFIX}"))?;
        Ok(Self { last_iterator, raised_to, left: lease.max(pause) })
    }

    /// None if the session was forgotten, or was never leased.
    fn record(self, session_id: Uuid) -> Result<Option<SessionRecord>, Error> {
        let Some(last_iterator) = self.last_iterator else { return Ok(None) };
        Ok(Some(SessionRecord {
            session_id,
            last_iterator: number(&last_iterator)?,
            leased_for: u64::try_from(self.left).ok().map(Duration::from_millis),
            raised_to: self.raised_to.as_deref().map(number).transpose()?,
        }))
    }
}

/// Keys of ours with this ending.
fn scan(connection: &mut Connection, suffix: &str) -> redis::RedisResult<Vec<String>> {
    let options = redis::ScanOptions::default().with_pattern(format!("{PREFIX}{{*}}{suffix}")).with_count(1_000);
    let mut keys = connection.scan_options(options)?.collect::<redis::RedisResult<Vec<String>>>()?;
    // A scan may return a key twice.
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
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
        if url.starts_with("rediss") && CryptoProvider::get_default().is_none() {
            // Fails if another thread has just installed one, which is as good.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        Ok(Self {
            servers: Servers::new(Settings::read(url)?)?,
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
        self.on_connection(Some(session_id), |connection| invocation.invoke(connection))
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
fn keys(session_id: Uuid) -> [String; 4] {
    let key = |suffix: &str| record_key(session_id) + suffix;
    [record_key(session_id), lease_key(session_id), key(CALLS_SUFFIX), key(PAUSE_SUFFIX)]
}

/// A script with its keys and arguments.
fn invocation<'s>(script: &'s Script, session_id: Uuid, arguments: &[impl redis::ToRedisArgs]) -> ScriptInvocation<'s> {
    let mut invocation = script.prepare_invoke();
    invocation.key(&keys(session_id)).arg(arguments);
    invocation
}

fn number(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| Error::Redis(RedisError::Content))
}
