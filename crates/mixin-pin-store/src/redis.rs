//! Iterators in Redis or Valkey, for bots that run on several machines with one session.
//!
//! A session has a record, which stays, and a lease, which Redis itself ends. Each step is one script, so that lease and
//! iterator change together or not at all. The lease holds its holder's fence, a random number: a holder that stalled
//! past its lease finds another's fence there, or none, and cannot go on.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mixin_pin_core::{Error as CoreError, NonceSource, UnixTime, uuid::Uuid};
use redis::{Client, Commands as _, Connection, ErrorKind, Script, ServerErrorKind};
use rustls::crypto::CryptoProvider;

use crate::grip::{Grip, Patience, Term};
use crate::next::{self, STOCK, Stock, TOO_FAR};
use crate::origin::Origin;
use crate::{
    Clock, Error, Lease, LeaseReply, LeaseTerms, MAX_LEAP, ManagedStore, NonceStore, Place, RedisError, Risk,
    SessionRecord, random, system_clock,
};

/// How long connecting, and each answer, may take.
const TIMEOUT: Duration = Duration::from_secs(5);
const PREFIX: &str = "mixin-pin:";
const LEASE_SUFFIX: &str = ":lease";

/// Lua's numbers are doubles, so that iterators are kept and compared as decimal text, and raised by Redis itself.
const COMMON: &str = r"
local record, lease = KEYS[1], KEYS[2]
local function exceeds(one, other)
  if #one ~= #other then return #one > #other end
  return one > other
end
-- What other software wrote under our names.
local function is_foreign(value)
  return value and value ~= '0' and not string.find(value, '^[1-9]%d*$')
end
local function raise(by)
  local result = redis.pcall('HINCRBY', record, 'iterator', by)
  return not (type(result) == 'table' and result.err)
end
-- Sets the record to the first iterator after the last, at the time now.
local function advance(now)
  local last = redis.call('HGET', record, 'iterator')
  if not last then
    last = '0'
    redis.call('HSET', record, 'iterator', last)
  end
  if exceeds(now, last) then
    redis.call('HSET', record, 'iterator', now)
    return now
  end
  if not raise(1) then return nil end
  return redis.call('HGET', record, 'iterator')
end
";

/// Arguments: fence, now, lease in milliseconds, the greatest leap of the clock in nanoseconds or nothing, how many
/// iterators more than one to take, and from where on a last iterator is too far ahead, in nanoseconds.
const HOLD: &str = r"
local fence, now, lease_ms, max_leap, too_far = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[6]
local holder = redis.call('GET', lease)
-- The fence is there already when the answer to the same call was lost.
if holder and holder ~= fence then return {'busy'} end
local last = redis.call('HGET', record, 'iterator')
local raised = redis.call('HGET', record, 'raised')
if is_foreign(last) or is_foreign(raised) then return {'foreign'} end
-- Differences are exact to a microsecond, which is all that a day needs.
if last then
  local ahead = tonumber(last) - tonumber(now)
  local is_raised = raised and tonumber(last) - tonumber(raised) < tonumber(too_far)
  if ahead >= tonumber(too_far) and not is_raised then return {'ahead', string.format('%.0f', ahead)} end
end
if max_leap ~= '' then
  if not last then return {'leap', ''} end
  local ahead = tonumber(now) - tonumber(last)
  if ahead > tonumber(max_leap) then return {'leap', string.format('%.0f', ahead)} end
end
local first = advance(now)
if not first then return {'exhausted'} end
raise(ARGV[5])
redis.call('SET', lease, fence, 'PX', lease_ms)
return {'held', first, redis.call('HGET', record, 'iterator')}
";

/// Arguments: fence, now.
const RESERVE: &str = r"
if redis.call('GET', lease) ~= ARGV[1] then return {'lost'} end
local first = advance(ARGV[2])
if not first then return {'exhausted'} end
return {'held', first}
";

/// Argument: fence.
const RELEASE: &str = r"
if redis.call('GET', lease) == ARGV[1] then redis.call('DEL', lease) end
return {}
";

/// Tells whether the session was known, and forgets it unless it is held.
const FORGET: &str = r"
if redis.call('EXISTS', lease) == 1 then return {'busy'} end
return {tostring(redis.call('DEL', record))}
";

/// Arguments: the iterator to raise the last one to, now, and whether a session that is new is to stay so.
const RAISE: &str = r"
local to = ARGV[1]
if redis.call('EXISTS', lease) == 1 then return {'busy'} end
if ARGV[3] == '1' and redis.call('EXISTS', record) == 0 then return {'raised', ARGV[2]} end
for _, field in ipairs({'iterator', 'raised'}) do
  local before = redis.call('HGET', record, field)
  if is_foreign(before) then return {'foreign'} end
  if not before or exceeds(to, before) then redis.call('HSET', record, field, to) end
end
return {'raised', redis.call('HGET', record, 'iterator')}
";

/// Iterators in Redis or Valkey.
///
/// Iterators end at `i64::MAX` here, in the year 2262. After a failover that lost the last writes they rise all the same,
/// for they are never below the clock: what was lost was given out before, by clocks that agree to within the time that a
/// failover takes.
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
    clock: Clock,
    idle: Mutex<Idle>,
    scripts: Scripts,
}

/// Connections that no caller uses at the moment, and whose they are: a forked child must not talk on its parent's.
struct Idle {
    origin: Origin,
    connections: Vec<Connection>,
}

impl Idle {
    fn new() -> Mutex<Self> {
        Mutex::new(Self { origin: Origin::here(), connections: Vec::new() })
    }

    fn take(&mut self) -> Option<Connection> {
        if !self.origin.is_here() {
            // Closes the child's copies, which the parent does not notice.
            *self = Self { origin: Origin::here(), connections: Vec::new() };
        }
        self.connections.pop()
    }
}

#[derive(Clone)]
struct Scripts {
    hold: Script,
    reserve: Script,
    release: Script,
    forget: Script,
    raise: Script,
}

impl RedisStore {
    /// Opens a store by the URL of a Redis or Valkey server, and asks it whether it is there.
    ///
    /// For TLS (`rediss://`) the system's root certificates are trusted, or those that `SSL_CERT_FILE` names; the
    /// process's default provider of cryptography for `rustls` is used, and aws-lc-rs made it where there is none.
    ///
    /// # Errors
    /// [`Error::Url`] for a URL that is none, [`RedisError::Unreachable`] when nobody answers, and [`RedisError::Other`] when
    /// the server refuses.
    pub fn open(url: &str) -> Result<Self, Error> {
        if url.starts_with("rediss:") && CryptoProvider::get_default().is_none() {
            // Another thread may have chosen one meanwhile: any will do.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let client = Client::open(url).map_err(|_| Error::Url)?;
        let script = |body| Script::new(&format!("{COMMON}{body}"));
        let scripts = Scripts {
            hold: script(HOLD),
            reserve: script(RESERVE),
            release: script(RELEASE),
            forget: script(FORGET),
            raise: script(RAISE),
        };
        let inner = Inner { client, clock: system_clock(), idle: Idle::new(), scripts };
        inner.on_connection(|connection| redis::cmd("PING").query::<String>(connection))?;
        Ok(Self(Arc::new(inner)))
    }

    /// The same with another clock, for tests.
    ///
    /// ```no_run
    /// use mixin_pin_core::UnixTime;
    /// use mixin_pin_store::RedisStore;
    ///
    /// # fn open() -> Result<(), mixin_pin_store::Error> {
    /// let store = RedisStore::open("redis://127.0.0.1/")?.clock(|| UnixTime::from_secs(1_700_000_000));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn clock(self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        let (client, scripts) = (self.0.client.clone(), self.0.scripts.clone());
        Self(Arc::new(Inner { client, clock: Arc::new(move || Ok(clock())), idle: Idle::new(), scripts }))
    }

    /// The server's eviction policy, where it may drop a record or lease when memory runs short.
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
            // Forgotten in between.
            let Some(last) = last else { continue };
            let id = key.strip_prefix(PREFIX).map(|id| id.trim_start_matches('{').trim_end_matches('}'));
            sessions.push(SessionRecord {
                session_id: id.and_then(|id| id.parse().ok()).ok_or(Error::Redis(RedisError::Content))?,
                last_iterator: number(&last)?,
                leased_for: u64::try_from(left).ok().map(Duration::from_millis),
                raised_to: raised_to.as_deref().map(number).transpose()?,
            });
        }
        Ok(sessions)
    }

    fn forget(&self, session_id: Uuid) -> Result<bool, Error> {
        let answer = self.0.run(&self.0.scripts.forget, session_id, &[])?;
        match answer.first().map(String::as_str) {
            Some("busy") => Err(Error::InUse),
            Some(count) => Ok(count == "1"),
            None => Err(Error::Redis(RedisError::Content)),
        }
    }

    fn raise(&self, session_id: Uuid, to: u64) -> Result<u64, Error> {
        next::check_room(to, i64::MAX.unsigned_abs())?;
        let now = (self.0.clock)()?;
        let is_pointless = if next::is_far_behind(to, now)? { "1" } else { "0" };
        let arguments = [&to.to_string(), &now.as_nanos()?.to_string(), is_pointless];
        let answer = self.0.run(&self.0.scripts.raise, session_id, &arguments)?;
        match (answer.first().map(String::as_str), answer.get(1)) {
            (Some("busy"), _) => Err(Error::InUse),
            (Some("raised"), Some(last)) => number(last),
            _ => Err(Error::Redis(RedisError::Content)),
        }
    }

    fn risks(&self) -> Result<Vec<Risk>, Error> {
        let policy = match self.eviction_policy() {
            // A user who may not send INFO can use the server all the same; its policy is then unknown.
            Err(Error::Redis(RedisError::Other(_))) => None,
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
        // The URL may hold a password.
        f.debug_struct("RedisStore").finish_non_exhaustive()
    }
}

impl NonceStore for RedisStore {
    fn lease(&self, session_id: Uuid, terms: &LeaseTerms) -> Result<LeaseReply, Error> {
        let mut patience = Patience::new(terms.max_wait());
        // The system's own, so that a forked process does not draw what its parent draws.
        let fence = format!("{:032x}", u128::from_ne_bytes(random()?));
        loop {
            let (begun, now) = (Instant::now(), (self.0.clock)()?);
            let lease_ms = terms.duration().as_millis().max(1).to_string();
            let max_leap = if terms.clock_is_confirmed() { String::new() } else { MAX_LEAP.as_nanos().to_string() };
            let (more, too_far) = ((STOCK - 1).to_string(), TOO_FAR.as_nanos().to_string());
            let arguments = [fence.as_str(), &now.as_nanos()?.to_string(), &lease_ms, &max_leap, &more, &too_far];
            let answer = self.0.run(&self.0.scripts.hold, session_id, &arguments)?;
            let text = |place| answer.get(place).map(String::as_str).ok_or(Error::Redis(RedisError::Content));
            match text(0)? {
                "held" => {
                    let stock = Stock::new(number(text(1)?)?, number(text(2)?)?);
                    let grip = Grip::new(Term::new(begun, now, terms.duration()), stock);
                    let lease = RedisLease { store: self.0.clone(), session_id, fence, grip };
                    return Ok(LeaseReply::Granted(Box::new(lease)));
                }
                "leap" => {
                    let ahead = text(1)?;
                    let ahead = if ahead.is_empty() { None } else { Some(Duration::from_nanos(number(ahead)?)) };
                    return Ok(LeaseReply::ClockUnconfirmed { ahead });
                }
                "ahead" => return Err(Error::IteratorAhead { ahead: Duration::from_nanos(number(text(1)?)?) }),
                "exhausted" => return Err(CoreError::IteratorExhausted.into()),
                "busy" => {}
                _ => return Err(Error::Redis(RedisError::Content)),
            }
            if !patience.sleep() {
                return Ok(LeaseReply::Busy);
            }
        }
    }
}

impl Inner {
    /// Runs one of our scripts; a connection that broke is tried once more, for each script may be run twice.
    fn run(&self, script: &Script, session_id: Uuid, arguments: &[&str]) -> Result<Vec<String>, Error> {
        let (record, lease) = keys(session_id);
        self.on_connection(|connection| {
            let mut invocation = script.prepare_invoke();
            invocation.key(&record).key(&lease);
            for argument in arguments {
                invocation.arg(*argument);
            }
            invocation.invoke(connection)
        })
    }

    fn on_connection<T>(&self, work: impl Fn(&mut Connection) -> redis::RedisResult<T>) -> Result<T, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut connection) = idle {
            match work(&mut connection) {
                Err(error) if is_broken(&error) => {}
                result => return self.finish(connection, result),
            }
        }
        // The server may have closed what lay idle.
        let mut connection = self.connect().map_err(|cause| Error::Redis(RedisError::Unreachable(cause.into())))?;
        let result = work(&mut connection);
        self.finish(connection, result)
    }

    fn connect(&self) -> redis::RedisResult<Connection> {
        let connection = self.client.get_connection_with_timeout(TIMEOUT)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        connection.set_write_timeout(Some(TIMEOUT))?;
        Ok(connection)
    }

    fn finish<T>(&self, connection: Connection, result: redis::RedisResult<T>) -> Result<T, Error> {
        match result {
            Err(error) if is_broken(&error) => Err(Error::Redis(RedisError::Unreachable(error.into()))),
            result => {
                self.idle.lock().unwrap_or_else(PoisonError::into_inner).connections.push(connection);
                Ok(result.map_err(classify)?)
            }
        }
    }
}

/// Of a session's record and its lease. The braces keep both in one slot of a cluster.
fn keys(session_id: Uuid) -> (String, String) {
    let record = format!("{PREFIX}{{{session_id}}}");
    let lease = format!("{record}{LEASE_SUFFIX}");
    (record, lease)
}

fn is_broken(error: &redis::RedisError) -> bool {
    error.is_io_error() || error.is_timeout() || error.is_connection_dropped()
}

fn classify(error: redis::RedisError) -> RedisError {
    match (error.kind(), error.code()) {
        (_, Some("OOM")) => RedisError::Full,
        (_, Some("READONLY" | "MISCONF" | "NOREPLICAS")) => RedisError::ReadOnly(error.into()),
        (_, Some("WRONGTYPE")) | (ErrorKind::UnexpectedReturnType, _) => RedisError::Content,
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => RedisError::ReadOnly(error.into()),
        _ => RedisError::Other(error.into()),
    }
}

fn number(text: &str) -> Result<u64, Error> {
    text.parse().map_err(|_| Error::Redis(RedisError::Content))
}

/// A lease of this store.
struct RedisLease {
    store: Arc<Inner>,
    session_id: Uuid,
    fence: String,
    grip: Grip,
}

impl NonceSource for RedisLease {
    type Error = Error;

    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        // The first is worth no second way to the server, which alone ends leases.
        let has_fence = |is_first| {
            if is_first {
                return Ok(true);
            }
            let (_, lease) = keys(self.session_id);
            let fence = self.store.on_connection(|connection| connection.get::<_, Option<String>>(&lease))?;
            Ok(fence.as_ref() == Some(&self.fence))
        };
        self.grip.take((self.store.clock)().ok(), has_fence, || {
            let arguments = [self.fence.as_str(), &now.as_nanos()?.to_string()];
            let answer = self.store.run(&self.store.scripts.reserve, self.session_id, &arguments)?;
            match (answer.first().map(String::as_str), answer.get(1)) {
                (Some("held"), Some(iterator)) => number(iterator),
                (Some("lost"), _) => Err(Error::LeaseLost),
                (Some("exhausted"), _) => Err(CoreError::IteratorExhausted.into()),
                _ => Err(Error::Redis(RedisError::Content)),
            }
        })
    }
}

impl Lease for RedisLease {
    fn remaining(&self) -> Duration {
        self.grip.remaining((self.store.clock)().ok())
    }
}

impl Drop for RedisLease {
    fn drop(&mut self) {
        // The hold of a process is not its forked child's to release.
        if !self.grip.is_here() {
            return;
        }
        // Where this does not reach Redis, the lease ends by itself.
        let _ = self.store.run(&self.store.scripts.release, self.session_id, &[&self.fence]);
    }
}

impl fmt::Debug for RedisLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLease").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}
