//! A store in an application's own database, here SQLite by `rusqlite`: two tables beside those of the application.
//!
//! It follows every rule of `NonceStore`; `tests/own_store.rs` runs the conformance suite over it. In another database the
//! statements are nearly the same. No other transaction may change the session's row while a transaction uses it.
//!
//! ```sh
//! cargo run -p mixin-pin-store --example own_store
//! ```

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{NonceSource, UnixTime};
use mixin_pin_store::rules::{self, Grant};
use mixin_pin_store::{BoxError, CallIntent, CallKind, Error, Lease, LeaseReply, LeaseTerms, NonceStore, PendingCall};
use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior, params};

/// Times are nanoseconds since 1970. Rows of sessions are never deleted, so no fence repeats.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS mixin_sessions (
        session_id BLOB PRIMARY KEY, last_iterator INTEGER NOT NULL, fence INTEGER NOT NULL,
        leased_until INTEGER NOT NULL, lease INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS mixin_calls (
        session_id BLOB NOT NULL, request_id BLOB NOT NULL, fence INTEGER NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
        kind TEXT NOT NULL, first_iterator INTEGER NOT NULL, last_iterator INTEGER NOT NULL, sent_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL, PRIMARY KEY (session_id, request_id)
    );";

/// Clones share the connection. A process that forks opens the database after the fork.
#[derive(Clone)]
pub struct OwnStore {
    database: Arc<Mutex<Connection>>,
    clock: Arc<dyn Fn() -> Result<UnixTime, Error> + Send + Sync>,
}

impl OwnStore {
    /// Opens a database. Creates it and the tables if they do not exist.
    ///
    /// # Errors
    /// Any error of SQLite.
    pub fn open(path: &Path) -> Result<Self, BoxError> {
        let database = Connection::open(path)?;
        database.busy_timeout(Duration::from_secs(10))?;
        // One write to the disk for each commit.
        database.pragma_update(None, "journal_mode", "WAL")?;
        database.execute_batch(TABLES)?;
        let clock = Arc::new(|| Ok(UnixTime::try_from(SystemTime::now())?));
        Ok(Self { database: Arc::new(Mutex::new(database)), clock })
    }

    /// The same store with another clock, for tests.
    #[must_use]
    pub fn clock(self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        Self { clock: Arc::new(move || Ok(clock())), ..self }
    }

    /// Runs `work` in a transaction. Commits it on success, durably, as SQLite does by default.
    fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, BoxError>) -> Result<T, Error> {
        let mut database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let tx = database.transaction_with_behavior(TransactionBehavior::Immediate).map_err(Error::other)?;
        let result = work(&tx).map_err(|cause| cause.downcast().map_or_else(Error::Other, |error| *error))?;
        tx.commit().map_err(Error::other)?;
        Ok(result)
    }

    /// Leases the session if it is free. `seen` is the lease that this caller found before, and since when.
    fn try_lease(
        &self,
        session_id: Uuid,
        terms: &LeaseTerms<'_>,
        seen: &mut Option<(i64, Instant)>,
    ) -> Result<LeaseReply, Error> {
        // Read before the transaction, so this caller's lease ends no later than the one in the table.
        let (begun, now) = (Instant::now(), (self.clock)()?);
        let (fence, reserved) = match self.write(|tx| {
            let id = session_id.as_bytes();
            let sql = "SELECT last_iterator, fence, leased_until, lease FROM mixin_sessions WHERE session_id = ?1";
            let columns = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
            let row: Option<(i64, i64, i64, i64)> = tx.query_row(sql, [id], columns).optional()?;
            if let Some((_, fence, until, lease)) = row
                && until > nanos(now)?
            {
                let since = seen.filter(|(before, _)| *before == fence).map_or_else(Instant::now, |(_, since)| since);
                *seen = Some((fence, since));
                // If the clock was set back, the lease ends when its whole duration has passed.
                if since.elapsed() < Duration::from_nanos(lease.unsigned_abs()) {
                    return Ok(LeaseReply::Busy);
                }
            }
            let sql = "SELECT max(last_iterator) FROM mixin_calls WHERE session_id = ?1";
            let journal: Option<i64> = tx.query_row(sql, [id], |row| row.get(0))?;
            let last = row.map(|(last, ..)| last).max(journal).map(i64::unsigned_abs);
            let reserved = match rules::grant(last, None, now, terms)? {
                Grant::Reserved(reserved) => reserved,
                Grant::ClockUnconfirmed { ahead } => return Ok(LeaseReply::ClockUnconfirmed { ahead }),
            };
            let fence = row.map_or(0, |(_, fence, ..)| fence) + 1;
            let lease = i64::try_from(terms.duration().as_nanos()).unwrap_or(i64::MAX);
            let (last, until) = (i64::try_from(*reserved.end())?, nanos(now)?.saturating_add(lease));
            let sql = "INSERT OR REPLACE INTO mixin_sessions VALUES (?1, ?2, ?3, ?4, ?5)";
            tx.execute(sql, params![id, last, fence, until, lease])?;
            let sql = "DELETE FROM mixin_calls WHERE session_id = ?1 AND kind = ?2 AND expires_at < ?3";
            tx.execute(sql, params![id, CallKind::VerifyPin.name(), nanos(rules::oldest_verification(now))?])?;
            if let Some(call) = terms.call() {
                insert(tx, fence, &PendingCall::new(session_id, call, reserved.clone(), now))?;
            }
            Ok(LeaseReply::Granted((fence, reserved)))
        })? {
            LeaseReply::Granted(granted) => granted,
            LeaseReply::Busy => return Ok(LeaseReply::Busy),
            LeaseReply::ClockUnconfirmed { ahead } => return Ok(LeaseReply::ClockUnconfirmed { ahead }),
        };
        Ok(LeaseReply::Granted(Box::new(OwnLease {
            store: self.clone(),
            session_id,
            fence,
            begun,
            granted_at: now,
            duration: terms.duration(),
            reserved: Mutex::new(reserved),
            entry: terms.call().map(|call| call.request_id),
            keep_entry: AtomicBool::new(false),
        })))
    }
}

impl NonceStore for OwnStore {
    fn lease(&self, session_id: Uuid, terms: &LeaseTerms<'_>) -> Result<LeaseReply, Error> {
        let (begun, mut seen) = (Instant::now(), None);
        loop {
            let reply = self.try_lease(session_id, terms, &mut seen)?;
            let left = terms.max_wait().saturating_sub(begun.elapsed());
            if !matches!(reply, LeaseReply::Busy) || left.is_zero() {
                return Ok(reply);
            }
            // Outside the transaction, so callers that wait hold up no other session.
            thread::sleep(left.min(Duration::from_millis(5)));
        }
    }

    fn pending(&self, session_id: Uuid) -> Result<Vec<PendingCall>, Error> {
        let now = (self.clock)()?;
        self.write(|tx| {
            let sql = "SELECT request_id, method, path, kind, first_iterator, calls.last_iterator, sent_at, expires_at,
                       CASE WHEN sessions.fence = calls.fence THEN leased_until ELSE 0 END
                       FROM mixin_calls AS calls JOIN mixin_sessions AS sessions USING (session_id)
                       WHERE session_id = ?1 ORDER BY first_iterator";
            let (mut query, mut calls) = (tx.prepare_cached(sql)?, Vec::new());
            let mut rows = query.query([session_id.as_bytes()])?;
            while let Some(row) = rows.next()? {
                let mut call = read(session_id, row)?;
                call.under_way_for = left(row.get(8)?, now)?;
                calls.push(call);
            }
            Ok(calls)
        })
    }

    fn settle(&self, session_id: Uuid, request_id: Uuid) -> Result<bool, Error> {
        let now = (self.clock)()?;
        self.write(|tx| {
            let sql = "SELECT leased_until FROM mixin_calls JOIN mixin_sessions USING (session_id, fence)
                       WHERE session_id = ?1 AND request_id = ?2";
            let ids = [session_id.as_bytes(), request_id.as_bytes()];
            let until: Option<i64> = tx.query_row(sql, ids, |row| row.get(0)).optional()?;
            if left(until.unwrap_or(0), now)?.is_some() {
                return Err(Error::InUse.into());
            }
            remove(tx, session_id, request_id)
        })
    }
}

struct OwnLease {
    store: OwnStore,
    session_id: Uuid,
    fence: i64,
    begun: Instant,
    granted_at: UnixTime,
    duration: Duration,
    /// Reserved, and not yet given out.
    reserved: Mutex<RangeInclusive<u64>>,
    entry: Option<Uuid>,
    keep_entry: AtomicBool,
}

impl NonceSource for OwnLease {
    type Error = Error;

    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        // Locked until the iterator is saved, so each thread sees rising iterators.
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        if self.remaining().is_zero() {
            return Err(Error::LeaseLost);
        }
        self.store.write(|tx| {
            let (id, fence) = (self.session_id.as_bytes(), self.fence);
            // Another fence: the session was leased again.
            let sql = "SELECT last_iterator FROM mixin_sessions WHERE session_id = ?1 AND fence = ?2";
            let last: Option<i64> = tx.query_row(sql, params![id, fence], |row| row.get(0)).optional()?;
            let last = last.ok_or(Error::LeaseLost)?;
            if let Some(next) = reserved.next() {
                return Ok(next);
            }
            let next = rules::next(last.unsigned_abs(), now)?;
            let sql = "UPDATE mixin_sessions SET last_iterator = ?2 WHERE session_id = ?1";
            tx.execute(sql, params![id, i64::try_from(next)?])?;
            Ok(next)
        })
    }
}

impl Lease for OwnLease {
    fn remaining(&self) -> Duration {
        // By two clocks: one stands still while the machine sleeps, the other can be set back.
        let wall = (self.store.clock)().and_then(|now| Ok(now.as_nanos()?)).ok();
        let passed = wall.zip(self.granted_at.as_nanos().ok()).map_or(0, |(now, then)| now.saturating_sub(then));
        self.duration.saturating_sub(self.begun.elapsed().max(Duration::from_nanos(passed)))
    }

    fn granted_at(&self) -> UnixTime {
        self.granted_at
    }

    fn keep_entry(&self, keep: bool) {
        self.keep_entry.store(keep, Ordering::SeqCst);
    }
}

impl Drop for OwnLease {
    fn drop(&mut self) {
        // If this fails, the lease ends by itself, and the entry stays.
        let _ = self.store.write(|tx| {
            let sql = "UPDATE mixin_sessions SET leased_until = 0 WHERE session_id = ?1 AND fence = ?2";
            tx.execute(sql, params![self.session_id.as_bytes(), self.fence])?;
            match self.entry.filter(|_| !self.keep_entry.load(Ordering::SeqCst)) {
                Some(request_id) => remove(tx, self.session_id, request_id),
                None => Ok(false),
            }
        });
    }
}

fn insert(tx: &Transaction<'_>, fence: i64, call: &PendingCall) -> Result<(), BoxError> {
    let sql = "INSERT OR REPLACE INTO mixin_calls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let (session_id, request_id, kind) = (call.session_id.as_bytes(), call.request_id.as_bytes(), call.kind.name());
    let (first, last) = (i64::try_from(*call.iterators.start())?, i64::try_from(*call.iterators.end())?);
    let (sent_at, expires_at) = (nanos(call.sent_at)?, nanos(call.expires_at).unwrap_or(i64::MAX));
    tx.execute(
        sql,
        params![session_id, request_id, fence, call.method, call.path, kind, first, last, sent_at, expires_at],
    )?;
    Ok(())
}

/// A call that is not under way.
fn read(session_id: Uuid, row: &Row<'_>) -> Result<PendingCall, BoxError> {
    let number = |column| row.get(column).map(i64::unsigned_abs);
    let (sent_at, expires_at) = (UnixTime::from_nanos(number(6)?), UnixTime::from_nanos(number(7)?));
    let call = CallIntent {
        request_id: Uuid::from_bytes(row.get(0)?),
        method: row.get(1)?,
        path: row.get(2)?,
        kind: CallKind::from_name(&row.get::<_, String>(3)?).ok_or("a call of an unknown kind")?,
        token_lifetime: Duration::from_secs(expires_at.secs().saturating_sub(sent_at.secs())),
    };
    Ok(PendingCall::new(session_id, &call, number(4)?..=number(5)?, sent_at))
}

fn remove(tx: &Transaction<'_>, session_id: Uuid, request_id: Uuid) -> Result<bool, BoxError> {
    let sql = "DELETE FROM mixin_calls WHERE session_id = ?1 AND request_id = ?2";
    Ok(tx.execute(sql, [session_id.as_bytes(), request_id.as_bytes()])? > 0)
}

fn left(until: i64, now: UnixTime) -> Result<Option<Duration>, BoxError> {
    let left = u64::try_from(until.saturating_sub(nanos(now)?)).unwrap_or(0);
    Ok((left > 0).then(|| Duration::from_nanos(left)))
}

fn nanos(time: UnixTime) -> Result<i64, BoxError> {
    Ok(i64::try_from(time.as_nanos()?)?)
}

#[cfg(not(test))]
fn main() -> Result<(), BoxError> {
    let folder = tempfile::tempdir()?;
    let store = OwnStore::open(&folder.path().join("shop.db"))?;
    let (session_id, terms) = (Uuid::from_u128(1), LeaseTerms::new(Duration::from_secs(35)).with_confirmed_clock());
    for _ in 0..2 {
        let LeaseReply::Granted(lease) = store.lease(session_id, &terms)? else { return Err("busy".into()) };
        println!("iterator {}", lease.next(UnixTime::try_from(SystemTime::now())?)?.iterator());
    }
    Ok(())
}
