//! Iterators in one small SQLite database, for any number of processes on one machine.
//!
//! One transaction takes a lease: it reads and checks the session's row, then writes a new fence, the lease's end, the
//! iterators reserved with it, and the file that shows whether the process is alive. The same transaction records the call
//! that the lease is for. Callers that wait only read.

#[cfg(feature = "async")]
mod asynchronous;
mod calls;
mod connections;
mod file;
mod holders;
mod lease;
mod patience;
mod schema;
mod table;
#[cfg(feature = "async")]
mod threads;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use etcetera::BaseStrategy as _;
use mixin_pin_core::{UnixTime, uuid::Uuid};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use crate::backoff::Backoff;
use crate::engine::{Clock, Expiry, LeaseState, system_clock};
use crate::journal::OwnEntry;
use crate::rules::Grant;
use crate::{
    Error, LeaseReply, LeaseTerms, ManagedStore, NonceStore, PendingCall, Place, Risk, SessionRecord, iterators, rules,
};

use connections::Connections;
use lease::SqliteLease;
use patience::{LOCK_WAIT, Patience, SHORTEST_LOCK_WAIT};
use table::{COLUMNS, Row, is_needed, nanos, random_fence, read};

/// What a returned iterator survives, and the entry of its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The crash of any process. A power cut may lose the last iterators. That does harm only if the clock is then behind
    /// them: because it was set back, or because the iterators had run ahead of it. A power cut may also lose the entries of
    /// the last calls, so that the journal does not list a call whose outcome is unknown.
    Crash,
    /// A power cut too: iterator and entry are on disk before the iterator is returned.
    PowerCut,
}

/// Iterators in a SQLite database.
///
/// Clones are cheap and share their connections. Each call uses a separate connection. See the
/// [crate's example](crate).
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    connections: Arc<Connections>,
    durability: Durability,
    clock: Clock,
    #[cfg(feature = "async")]
    threads: Arc<threads::Threads>,
}

impl SqliteStore {
    /// Opens the user's database in the platform's data folder. Creates it if it does not exist.
    ///
    /// # Errors
    /// [`Error::NoDataFolder`] if the system names no such folder, otherwise as [`SqliteStore::open`].
    pub fn open_default() -> Result<Self, Error> {
        Self::open(&Self::default_path()?)
    }

    /// The path that [`SqliteStore::open_default`] opens: on Linux `~/.local/share/mixin-pin/iterators.db`.
    ///
    /// # Errors
    /// [`Error::NoDataFolder`] if the system names no folder for data.
    pub fn default_path() -> Result<PathBuf, Error> {
        let strategy = etcetera::base_strategy::choose_native_strategy().map_err(|_| Error::NoDataFolder)?;
        Ok(strategy.data_dir().join("mixin-pin").join("iterators.db"))
    }

    /// Opens a database. Creates it if it does not exist, readable by its owner only and durable over power cuts.
    ///
    /// The argument is always a path, even `:memory:` or `file:…`. Next to the database there is a folder whose name ends
    /// in `-holders`, with one file for each process that has leases.
    ///
    /// ```
    /// use mixin_pin_store::{Durability, ManagedStore, SqliteStore};
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("iterators.db");
    /// let store = SqliteStore::open(&path)?.durability(Durability::Crash); // faster, if the clock is kept right
    /// assert!(store.sessions()?.is_empty());
    /// # Ok::<(), mixin_pin_store::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Sqlite`] if the file cannot be created or used, or if this process was forked from one that had a database
    /// open.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_within(path, LOCK_WAIT)
    }

    /// Opens a database as [`SqliteStore::open`] does. Opening, and each later operation, waits no longer than `limit` for a
    /// database that another process locks, or a second if that is longer. The default is ten seconds.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_within(path: &Path, limit: Duration) -> Result<Self, Error> {
        let path = std::path::absolute(path).map_err(file::failed(path))?;
        let connections = Connections::new(&path, limit.max(SHORTEST_LOCK_WAIT))?;
        connections.with(|_, _| Ok(()))?;
        Ok(Self(Arc::new(Inner {
            connections,
            durability: Durability::PowerCut,
            clock: system_clock(),
            #[cfg(feature = "async")]
            threads: Arc::default(),
        })))
    }

    /// The same store with another durability.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        self.with(|inner| inner.durability = durability)
    }

    /// The same store with another clock, for tests.
    #[must_use]
    pub fn clock(self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        self.with(|inner| inner.clock = Arc::new(move || Ok(clock())))
    }

    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Inner::clone(&self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// The absolute path of the database. Symbolic links are followed.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl ManagedStore for SqliteStore {
    fn sessions(&self) -> Result<Vec<SessionRecord>, Error> {
        let now = (self.0.clock)()?;
        let rows = self.0.connections.with(|connection, _| {
            let read_all = || -> rusqlite::Result<Vec<(Uuid, Row)>> {
                let mut query = connection.prepare_cached(&format!("SELECT {COLUMNS}, session_id FROM sessions"))?;
                query.query_map([], |row| Ok((Uuid::from_bytes(row.get(7)?), Row::try_from(row)?)))?.collect()
            };
            read_all().map_err(|cause| self.0.classify(cause))
        })?;
        Ok(rows.into_iter().map(|(session_id, row)| self.0.record(session_id, &row, now)).collect())
    }

    fn session(&self, session_id: Uuid) -> Result<Option<SessionRecord>, Error> {
        let now = (self.0.clock)()?;
        let row = self
            .0
            .connections
            .with(|connection, _| read(connection, session_id).map_err(|cause| self.0.classify(cause)))?;
        Ok(row.map(|row| self.0.record(session_id, &row, now)))
    }

    fn all_pending(&self) -> Result<Vec<PendingCall>, Error> {
        self.0.pending(None)
    }

    fn forget(&self, session_id: Uuid) -> Result<bool, Error> {
        let forgotten = self.0.change_unleased(session_id, |db, row| {
            if calls::any(db, session_id)? {
                return Ok(None);
            }
            db.execute("DELETE FROM sessions WHERE session_id = ?1", [session_id.as_bytes()])?;
            Ok(Some(row.is_some()))
        })?;
        forgotten.ok_or(Error::Unsettled)
    }

    fn raise(&self, session_id: Uuid, to: u64) -> Result<u64, Error> {
        iterators::check_room(to, u64::MAX)?;
        let (fence, now) = (random_fence()?, (self.0.clock)()?);
        let (has_no_effect, now) = (iterators::is_far_behind(to, now)?, now.as_nanos()?);
        self.0.change_unleased(session_id, |db, row| {
            let last = last_known(db, session_id, row.as_ref())?;
            if last.is_none() && has_no_effect {
                return Ok(now);
            }
            let last = last.map_or(to, |last| last.max(to));
            let raised_to = row.and_then(|row| row.raised_to).map_or(to, |before| before.max(to));
            db.execute(
                "INSERT INTO sessions (session_id, last_iterator, fence, lease, raised_to) VALUES (?1, ?2, ?3, 0, ?4)
                 ON CONFLICT (session_id) DO UPDATE SET last_iterator = ?2, fence = ?3, held_until = NULL, raised_to = ?4",
                params![session_id.as_bytes(), last.to_be_bytes(), fence, raised_to.to_be_bytes()],
            )?;
            Ok(last)
        })
    }

    fn risks(&self) -> Result<Vec<Risk>, Error> {
        let mut risks = file::risks(self.0.path());
        let behind = self
            .0
            .connections
            .with(|connection, _| calls::records_behind(connection).map_err(|cause| self.0.classify(cause)))?;
        risks.extend(behind.into_iter().map(|(session_id, by)| Risk::Behind { session_id, by }));
        Ok(risks)
    }

    fn place(&self) -> Place<'_> {
        Place::File(self.0.path())
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.0.path())
            .field("durability", &self.0.durability)
            .finish_non_exhaustive()
    }
}

/// The session's last iterator: that of its record, or a greater one of its journal.
fn last_known(db: &Connection, session_id: Uuid, row: Option<&Row>) -> rusqlite::Result<Option<u64>> {
    Ok(row.map(|row| row.last_iterator).max(calls::greatest(db, session_id)?))
}

/// Another caller's lease, and when this caller first saw it. Once its whole duration has passed since then, the lease is
/// over, whatever any wall clock says.
#[derive(Clone, Copy)]
struct Observed {
    fence: i64,
    since: Instant,
}

impl Observed {
    fn is_over(&self, row: &Row) -> bool {
        self.fence == row.fence && self.since.elapsed() >= Duration::from_nanos(row.lease.unsigned_abs())
    }
}

/// Notes the lease that an attempt found. The time of an earlier one is kept if it is the same lease.
fn observe(observed: &mut Option<Observed>, fence: i64) {
    if observed.is_none_or(|observed| observed.fence != fence) {
        *observed = Some(Observed { fence, since: Instant::now() });
    }
}

/// The result of one attempt to lease a session.
enum Attempt {
    Granted(SqliteLease),
    Busy { fence: i64 },
    ClockUnconfirmed { ahead: Option<Duration> },
}

impl NonceStore for SqliteStore {
    fn lease(&self, session_id: Uuid, terms: &LeaseTerms<'_>) -> Result<LeaseReply, Error> {
        let mut backoff = Backoff::new(terms.max_wait());
        let _patience = Patience::begin(terms.max_wait().max(SHORTEST_LOCK_WAIT));
        let mut observed: Option<Observed> = None;
        loop {
            match self.0.try_lease(session_id, terms, observed.as_ref())? {
                Attempt::Granted(lease) => return Ok(LeaseReply::Granted(Box::new(lease))),
                Attempt::ClockUnconfirmed { ahead } => return Ok(LeaseReply::ClockUnconfirmed { ahead }),
                Attempt::Busy { fence } => observe(&mut observed, fence),
            }
            if !backoff.sleep() {
                return Ok(LeaseReply::Busy);
            }
        }
    }

    fn pending(&self, session_id: Uuid) -> Result<Vec<PendingCall>, Error> {
        self.0.pending(Some(session_id))
    }

    fn settle(&self, session_id: Uuid, request_id: Uuid) -> Result<bool, Error> {
        self.0.settle(session_id, request_id)
    }
}

impl Inner {
    fn path(&self) -> &Path {
        self.connections.path()
    }

    /// Whether the session can be leased: it is not leased, the lease has ended, or the holder's process is dead.
    fn is_free(&self, row: &Row, now: UnixTime) -> bool {
        row.held_until.is_none_or(|until| until <= nanos(now))
            || row.holder.is_some_and(|holder| self.connections.holders().is_dead(holder))
    }

    fn record(&self, session_id: Uuid, row: &Row, now: UnixTime) -> SessionRecord {
        SessionRecord {
            session_id,
            last_iterator: row.last_iterator,
            leased_for: self.leased_for(row, now),
            raised_to: row.raised_to,
        }
    }

    /// How much longer the session is leased, as shown to its owner. None if its record can be changed.
    ///
    /// A lease with more than twice its duration left comes from a clock that was far ahead. By this clock it would last
    /// for years, so it does not count. The fence still keeps its caller from using the session.
    fn leased_for(&self, row: &Row, now: UnixTime) -> Option<Duration> {
        let left = u64::try_from(row.held_until?.checked_sub(nanos(now))?).ok()?;
        let lease = row.lease.unsigned_abs();
        let is_over = left == 0 || left > lease.saturating_mul(2) || self.is_free(row, now);
        (!is_over).then(|| Duration::from_nanos(left.min(lease)))
    }

    /// Leases the session if it is free.
    fn try_lease(
        self: &Arc<Self>,
        session_id: Uuid,
        terms: &LeaseTerms<'_>,
        observed: Option<&Observed>,
    ) -> Result<Attempt, Error> {
        let (begun, now) = (Instant::now(), (self.clock)()?);
        let failed = |cause| self.classify(cause);
        let is_free = |row: &Row| observed.is_some_and(|observed| observed.is_over(row)) || self.is_free(row, now);
        self.connections.with(|connection, generation| {
            // Reading takes no lock, so callers that wait do not slow down callers that work.
            if let Some(row) = read(connection, session_id).map_err(failed)?
                && !is_free(&row)
            {
                return Ok(Attempt::Busy { fence: row.fence });
            }
            let own = self.connections.holders().own(|id| is_needed(connection, id));
            let (attempt, previous) = self.in_transaction(connection, true, |db| {
                let row = read(db, session_id).map_err(failed)?;
                if let Some(row) = row.as_ref().filter(|row| !is_free(row)) {
                    return Ok((Attempt::Busy { fence: row.fence }, None));
                }
                let last = last_known(db, session_id, row.as_ref()).map_err(failed)?;
                let reserved = match rules::grant(last, row.as_ref().and_then(|row| row.raised_to), now, terms)? {
                    Grant::Reserved(reserved) => reserved,
                    Grant::ClockUnconfirmed { ahead } => return Ok((Attempt::ClockUnconfirmed { ahead }, None)),
                };
                let fence = random_fence()?;
                let duration = i64::try_from(terms.duration().as_nanos()).unwrap_or(i64::MAX);
                db.prepare_cached(
                    "INSERT INTO sessions (session_id, last_iterator, fence, held_until, lease, holder, holder_fence)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?3)
                     ON CONFLICT (session_id) DO UPDATE SET
                     last_iterator = ?2, fence = ?3, held_until = ?4, lease = ?5, holder = ?6, holder_fence = ?3",
                )
                .and_then(|mut insert| {
                    insert.execute(params![
                        session_id.as_bytes(),
                        reserved.end().to_be_bytes(),
                        fence,
                        nanos(now).saturating_add(duration),
                        duration,
                        own.as_ref().map(Uuid::as_bytes),
                    ])
                })
                .map_err(failed)?;
                calls::drop_verifications(db, session_id, now).map_err(failed)?;
                if let Some(call) = terms.call() {
                    calls::insert(db, session_id, fence, call, reserved.clone(), now).map_err(failed)?;
                }
                let state = LeaseState::new(Expiry::new(begun, now, terms.duration()), reserved);
                let entry = OwnEntry::new(terms);
                let lease = SqliteLease { store: self.clone(), generation, session_id, fence, state, entry };
                Ok((Attempt::Granted(lease), row.and_then(|row| row.holder.filter(|_| row.held_until.is_some()))))
            })?;
            // A dead process's file is removed with the last session that needed it.
            if let Some(dead) = previous.filter(|dead| Some(*dead) != own && !is_needed(connection, *dead)) {
                self.connections.holders().clear(dead);
            }
            Ok(attempt)
        })
    }

    /// The calls of one session, or of all, at one moment.
    fn pending(&self, session_id: Option<Uuid>) -> Result<Vec<PendingCall>, Error> {
        let now = (self.clock)()?;
        let (entries, rows) = self.connections.with(|connection, _| {
            let mut read_all = || -> rusqlite::Result<(Vec<calls::Entry>, HashMap<Uuid, Row>)> {
                let db = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
                let (entries, mut rows) = (calls::read(&db, session_id)?, HashMap::new());
                for session_id in entries.iter().map(|entry| entry.call.session_id) {
                    if !rows.contains_key(&session_id)
                        && let Some(row) = read(&db, session_id)?
                    {
                        rows.insert(session_id, row);
                    }
                }
                db.finish()?;
                Ok((entries, rows))
            };
            read_all().map_err(|cause| self.classify(cause))
        })?;
        let call = |calls::Entry { fence, call }: calls::Entry| {
            let row = rows.get(&call.session_id).filter(|row| row.fence == fence);
            PendingCall { under_way_for: row.and_then(|row| self.leased_for(row, now)), ..call }
        };
        Ok(entries.into_iter().map(call).collect())
    }

    fn settle(&self, session_id: Uuid, request_id: Uuid) -> Result<bool, Error> {
        let (now, failed) = ((self.clock)()?, |cause| self.classify(cause));
        self.connections.with(|connection, _| {
            self.in_transaction(connection, false, |db| {
                let fence = calls::fence(db, session_id, request_id).map_err(failed)?;
                let row = read(db, session_id).map_err(failed)?;
                let is_under_way = |row: Row| fence == Some(row.fence) && self.leased_for(&row, now).is_some();
                if row.is_some_and(is_under_way) {
                    return Err(Error::InUse);
                }
                calls::remove(db, session_id, request_id).map_err(failed)
            })
        })
    }

    /// Changes a session that is not leased.
    fn change_unleased<T>(
        &self,
        session_id: Uuid,
        change: impl FnOnce(&Transaction<'_>, Option<Row>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let now = (self.clock)()?;
        self.connections.with(|connection, _| {
            self.in_transaction(connection, true, |db| {
                let row = read(db, session_id).map_err(|cause| self.classify(cause))?;
                if row.as_ref().is_some_and(|row| self.leased_for(row, now).is_some()) {
                    return Err(Error::InUse);
                }
                change(db, row).map_err(|cause| self.classify(cause))
            })
        })
    }

    /// Runs `work` in a transaction and commits it on success. If `is_durable`, the commit has the store's durability.
    fn in_transaction<T>(
        &self,
        connection: &mut Connection,
        is_durable: bool,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let synchronous = if is_durable && self.durability == Durability::PowerCut { "FULL" } else { "NORMAL" };
        let failed = |cause| self.classify(cause);
        connection.pragma_update(None, "synchronous", synchronous).map_err(failed)?;
        let db = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        let result = work(&db)?;
        // If a disk fails in the middle of a commit, a recovery after a crash may find the transaction complete. So a lease
        // whose commit failed is released: dropping the result does that.
        db.commit().map_err(failed)?;
        Ok(result)
    }

    fn classify(&self, cause: rusqlite::Error) -> Error {
        table::classify(self.path(), cause)
    }
}
