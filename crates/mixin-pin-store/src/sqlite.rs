//! Iterators in one small SQLite database, for any number of processes on one machine.
//!
//! A hold is one transaction: the session's row is read, judged, and written with a new fence, the lease's end, the
//! iterators that the hold takes, and the file by which others see that its process lives. Callers that wait only read.

mod connections;
mod file;
mod presence;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, thread};

use etcetera::BaseStrategy as _;
use mixin_pin_core::{NonceSource, UnixTime, uuid::Uuid};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::grip::{Grip, Patience, Term};
use crate::next::{self, Clocks, STOCK};
use crate::{
    Clock, Error, Lease, LeaseReply, LeaseTerms, ManagedStore, NonceStore, Place, Risk, SessionRecord, SqliteError,
    random, system_clock,
};

use connections::{Connections, Generation};

/// What a returned iterator survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The crash of any process at any instant. After a power cut the last iterators may be forgotten, which matters only
    /// where the clock then stands behind them: it was set back, or the iterators had run ahead of it.
    Crash,
    /// The loss of power too: an iterator is on the disk before it is returned.
    PowerCut,
}

/// Iterators in a SQLite database.
///
/// Cheap to share; each caller works on a connection of its own. See the [crate's example](crate).
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    connections: Arc<Connections>,
    durability: Durability,
    clock: Clock,
}

impl SqliteStore {
    /// Opens this user's database in the platform's folder for data, and makes it where there is none.
    ///
    /// # Errors
    /// [`Error::NoDataFolder`] where the system names none, else as [`SqliteStore::open`].
    pub fn open_default() -> Result<Self, Error> {
        Self::open(&Self::default_path()?)
    }

    /// Where [`SqliteStore::open_default`] looks: on Linux `~/.local/share/mixin-pin/iterators.db`.
    ///
    /// ```
    /// use mixin_pin_store::SqliteStore;
    ///
    /// println!("iterators are kept in {}", SqliteStore::default_path()?.display());
    /// # Ok::<(), mixin_pin_store::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoDataFolder`] where the system names none.
    pub fn default_path() -> Result<PathBuf, Error> {
        let strategy = etcetera::base_strategy::choose_native_strategy().map_err(|_| Error::NoDataFolder)?;
        Ok(strategy.data_dir().join("mixin-pin").join("iterators.db"))
    }

    /// Opens a database, and makes it where there is none: readable by its owner alone, surviving a loss of power.
    ///
    /// A path is a path here, `:memory:` and `file:…` too. Beside the database, a folder whose name ends in `-holders` has
    /// a file for each process that holds sessions.
    ///
    /// ```
    /// use mixin_pin_store::{Durability, ManagedStore, SqliteStore};
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("iterators.db");
    /// let store = SqliteStore::open(&path)?.durability(Durability::Crash); // faster, and for a clock that is kept right
    /// assert!(store.sessions()?.is_empty());
    /// # Ok::<(), mixin_pin_store::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`SqliteError::File`], [`SqliteError::NewerSchema`], [`SqliteError::OtherDatabase`], [`SqliteError::Altered`], [`SqliteError::Exposed`],
    /// [`SqliteError::OtherOwner`], [`SqliteError::HardLinked`], [`SqliteError::Corrupt`], [`SqliteError::ReadOnly`] or [`SqliteError::DiskFull`] when
    /// it cannot be used;
    /// [`SqliteError::Forked`] where a process that had one open was forked.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let path = std::path::absolute(path).map_err(file::failed(path))?;
        let connections = Connections::new(&path)?;
        connections.with(|_, _| Ok(()))?;
        Ok(Self(Arc::new(Inner { connections, durability: Durability::PowerCut, clock: system_clock() })))
    }

    /// The same with another durability.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        self.with(|inner| inner.durability = durability)
    }

    /// The same with another clock, for tests.
    ///
    /// ```
    /// use mixin_pin_core::UnixTime;
    /// use mixin_pin_store::SqliteStore;
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("iterators.db");
    /// let store = SqliteStore::open(&path)?.clock(|| UnixTime::from_secs(1_700_000_000));
    /// assert!(store.path().ends_with("iterators.db"));
    /// # Ok::<(), mixin_pin_store::Error>(())
    /// ```
    #[must_use]
    pub fn clock(self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        self.with(|inner| inner.clock = Arc::new(move || Ok(clock())))
    }

    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Inner::clone(&self.0);
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// The database's file, by its absolute path: what a link leads to.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl ManagedStore for SqliteStore {
    fn sessions(&self) -> Result<Vec<SessionRecord>, Error> {
        let now = (self.0.clock)()?;
        let rows: Vec<(Uuid, Row)> = self.0.on_connection(|connection| {
            let mut query = connection.prepare_cached(&format!("SELECT {COLUMNS}, session_id FROM sessions"))?;
            query.query_map([], |row| Ok((Uuid::from_bytes(row.get(7)?), Row::try_from(row)?)))?.collect()
        })?;
        let record = |(session_id, row): (Uuid, Row)| SessionRecord {
            session_id,
            leased_for: self.0.leased_for(&row, now),
            last_iterator: row.last_iterator,
            raised_to: row.raised_to,
        };
        Ok(rows.into_iter().map(record).collect())
    }

    fn forget(&self, session_id: Uuid) -> Result<bool, Error> {
        self.0.on_free(session_id, |db, row| {
            db.execute("DELETE FROM sessions WHERE session_id = ?1", [session_id.as_bytes()])?;
            Ok(row.is_some())
        })
    }

    fn raise(&self, session_id: Uuid, to: u64) -> Result<u64, Error> {
        next::check_room(to, u64::MAX)?;
        let (fence, now) = (random_fence()?, (self.0.clock)()?);
        let (is_pointless, now) = (next::is_far_behind(to, now)?, now.as_nanos()?);
        self.0.on_free(session_id, |db, row| {
            if row.is_none() && is_pointless {
                return Ok(now);
            }
            let last = row.as_ref().map_or(to, |row| row.last_iterator.max(to));
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
        Ok(file::risks(self.0.path()))
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

/// A row of the table.
struct Row {
    last_iterator: u64,
    fence: i64,
    held_until: Option<i64>,
    lease: i64,
    /// The file of the process that made the hold with this fence.
    holder: Option<Uuid>,
    raised_to: Option<u64>,
}

/// A hold that somebody else has, and since when it has been looked at: after its whole lease it is over, whatever any
/// clock says.
struct Watched {
    fence: i64,
    since: Instant,
}

impl Watched {
    fn has_seen_the_end_of(&self, row: &Row) -> bool {
        self.fence == row.fence && self.since.elapsed() >= Duration::from_nanos(row.lease.unsigned_abs())
    }
}

/// One look at a session.
enum Look {
    Granted(SqliteLease),
    Other { fence: i64 },
    ClockUnconfirmed { ahead: Option<Duration> },
}

impl NonceStore for SqliteStore {
    fn lease(&self, session_id: Uuid, terms: &LeaseTerms) -> Result<LeaseReply, Error> {
        let mut patience = Patience::new(terms.max_wait());
        let mut watched: Option<Watched> = None;
        loop {
            match self.0.look(session_id, terms, watched.as_ref())? {
                Look::Granted(lease) => return Ok(LeaseReply::Granted(Box::new(lease))),
                Look::ClockUnconfirmed { ahead } => return Ok(LeaseReply::ClockUnconfirmed { ahead }),
                Look::Other { fence } if watched.as_ref().is_some_and(|watched| watched.fence == fence) => {}
                Look::Other { fence } => watched = Some(Watched { fence, since: Instant::now() }),
            }
            if !patience.sleep() {
                return Ok(LeaseReply::Busy);
            }
        }
    }
}

impl Inner {
    fn path(&self) -> &Path {
        self.connections.path()
    }

    /// Whether nobody holds the session any more: the lease has ended, or its holder's process.
    fn is_free(&self, row: &Row, now: UnixTime) -> bool {
        row.held_until.is_none_or(|until| until <= nanos(now))
            || row.holder.is_some_and(|holder| self.connections.holders().is_dead(holder))
    }

    /// For how much longer a session is in use, as its owner is told, and None where its record can be changed. A lease
    /// that by the clock has more than twice its length left is of a clock that was far ahead: who has it now cannot say so,
    /// and by this clock it would last for years. The fence keeps out who holds it all the same.
    fn leased_for(&self, row: &Row, now: UnixTime) -> Option<Duration> {
        let left = u64::try_from(row.held_until?.checked_sub(nanos(now))?).ok()?;
        let lease = row.lease.unsigned_abs();
        let is_over = left == 0 || left > lease.saturating_mul(2) || self.is_free(row, now);
        (!is_over).then(|| Duration::from_nanos(left.min(lease)))
    }

    /// Holds the session if nobody else does.
    fn look(self: &Arc<Self>, session_id: Uuid, terms: &LeaseTerms, watched: Option<&Watched>) -> Result<Look, Error> {
        let (begun, now) = (Instant::now(), (self.clock)()?);
        let failed = |cause| self.classify(cause);
        let is_free =
            |row: &Row| watched.is_some_and(|watched| watched.has_seen_the_end_of(row)) || self.is_free(row, now);
        self.connections.with(|connection, generation| {
            // A look takes no lock, so that those who wait do not slow down those who work.
            if let Some(row) = read(connection, session_id).map_err(failed)?
                && !is_free(&row)
            {
                return Ok(Look::Other { fence: row.fence });
            }
            let own = self.connections.holders().own(|id| is_needed(connection, id));
            let (look, before) = self.in_transaction(connection, true, |db| {
                let row = read(db, session_id).map_err(failed)?;
                if let Some(row) = &row
                    && !is_free(row)
                {
                    return Ok((Look::Other { fence: row.fence }, None));
                }
                let last = row.as_ref().map(|row| row.last_iterator);
                if let Some(row) = &row {
                    next::check_lead(row.last_iterator, row.raised_to, now)?;
                }
                if let Clocks::Leap(ahead) = next::compare(last, now, terms)? {
                    return Ok((Look::ClockUnconfirmed { ahead }, None));
                }
                let stock = next::after(last.unwrap_or(0), now, STOCK)?;
                let fence = random_fence()?;
                let lease = i64::try_from(terms.duration().as_nanos()).unwrap_or(i64::MAX);
                db.prepare_cached(
                    "INSERT INTO sessions (session_id, last_iterator, fence, held_until, lease, holder, holder_fence)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?3)
                     ON CONFLICT (session_id) DO UPDATE SET
                     last_iterator = ?2, fence = ?3, held_until = ?4, lease = ?5, holder = ?6, holder_fence = ?3",
                )
                .and_then(|mut hold| {
                    hold.execute(params![
                        session_id.as_bytes(),
                        stock.last().to_be_bytes(),
                        fence,
                        nanos(now).saturating_add(lease),
                        lease,
                        own.as_ref().map(Uuid::as_bytes),
                    ])
                })
                .map_err(failed)?;
                let grip = Grip::new(Term::new(begun, now, terms.duration()), stock);
                let held = SqliteLease { store: self.clone(), generation, session_id, fence, grip };
                Ok((Look::Granted(held), row.and_then(|row| row.holder.filter(|_| row.held_until.is_some()))))
            })?;
            // Of the last session that it held, the file of a process that died goes.
            if let Some(dead) = before.filter(|dead| Some(*dead) != own && !is_needed(connection, *dead)) {
                self.connections.holders().clear(dead);
            }
            Ok(look)
        })
    }

    /// Changes a session that nobody holds.
    fn on_free<T>(
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

    /// Runs work in a transaction, which is kept when it succeeds; when it must not be lost, until the disk has it.
    fn in_transaction<T>(
        &self,
        connection: &mut Connection,
        is_precious: bool,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let synchronous = if is_precious && self.durability == Durability::PowerCut { "FULL" } else { "NORMAL" };
        let sort = |cause| self.classify(cause);
        connection.pragma_update(None, "synchronous", synchronous).map_err(sort)?;
        let db = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sort)?;
        let result = work(&db)?;
        db.commit().map_err(sort)?;
        Ok(result)
    }

    fn on_connection<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        self.connections.with(|connection, _| work(connection).map_err(|cause| self.classify(cause)))
    }

    fn classify(&self, cause: rusqlite::Error) -> Error {
        classify(self.path(), cause)
    }
}

fn classify(path: &Path, cause: rusqlite::Error) -> Error {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};

    let path = path.to_owned();
    let error = match cause.sqlite_error_code() {
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            SqliteError::ReadOnly { path }
        }
        Some(ErrorCode::DiskFull) => SqliteError::DiskFull { path },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => SqliteError::Corrupt { path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => SqliteError::Locked { path },
        _ => match cause {
            // A value of another kind or length than we write.
            FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) => {
                SqliteError::Corrupt { path }
            }
            cause => SqliteError::Other { path, cause: cause.into() },
        },
    };
    error.into()
}

/// A number that no other hold has had, not even of a session that was forgotten since.
fn random_fence() -> Result<i64, Error> {
    random().map(i64::from_ne_bytes)
}

const COLUMNS: &str = "last_iterator, fence, held_until, lease, holder, holder_fence, raised_to";

impl TryFrom<&rusqlite::Row<'_>> for Row {
    type Error = rusqlite::Error;

    fn try_from(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let (fence, holder_fence): (i64, Option<i64>) = (row.get(1)?, row.get(5)?);
        let holder: Option<[u8; 16]> = row.get(4)?;
        Ok(Self {
            last_iterator: u64::from_be_bytes(row.get(0)?),
            fence,
            held_until: row.get(2)?,
            lease: row.get(3)?,
            holder: holder.filter(|_| holder_fence == Some(fence)).map(Uuid::from_bytes),
            raised_to: row.get::<_, Option<_>>(6)?.map(u64::from_be_bytes),
        })
    }
}

fn read(connection: &Connection, session_id: Uuid) -> rusqlite::Result<Option<Row>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM sessions WHERE session_id = ?1"))?
        .query_row([session_id.as_bytes()], |row| Row::try_from(row))
        .optional()
}

/// Whether a session waits for the end of its hold by the process with this file, or may do so.
fn is_needed(connection: &Connection, holder: Uuid) -> bool {
    let query = "SELECT EXISTS (SELECT 1 FROM sessions
                 WHERE holder = ?1 AND holder_fence = fence AND held_until IS NOT NULL)";
    connection.query_row(query, [holder.as_bytes()], |row| row.get(0)).unwrap_or(true)
}

/// Our own transactions take microseconds, or a disk's synchronisation.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// Waits for another process's transaction: shorter and more evenly than SQLite's own handler, up to ten seconds.
fn wait_for_lock(tries: i32) -> bool {
    const PAUSE: Duration = Duration::from_micros(500);
    thread::sleep(PAUSE.mul_f64(0.5 + fastrand::f64()));
    PAUSE * tries.unsigned_abs() < LOCK_WAIT
}

/// Nanoseconds since 1970, as SQLite holds them.
fn nanos(time: UnixTime) -> i64 {
    time.as_nanos().ok().and_then(|nanos| i64::try_from(nanos).ok()).unwrap_or(i64::MAX)
}

/// A lease of this store.
struct SqliteLease {
    store: Arc<Inner>,
    generation: Generation,
    session_id: Uuid,
    fence: i64,
    grip: Grip,
}

impl SqliteLease {
    /// Works in a transaction of the database that gave the hold; None where it no longer has its name.
    fn in_transaction<T>(
        &self,
        is_precious: bool,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let store = &self.store;
        store.connections.with_same(self.generation, |connection| store.in_transaction(connection, is_precious, work))
    }
}

impl NonceSource for SqliteLease {
    type Error = Error;

    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        let has_fence = |_| {
            let found = self.store.connections.with_same(self.generation, |connection| {
                read(connection, self.session_id).map_err(|cause| self.store.classify(cause))
            })?;
            Ok(found.flatten().is_some_and(|row| row.fence == self.fence))
        };
        self.grip.take((self.store.clock)().ok(), has_fence, || {
            let taken = self.in_transaction(true, |db| {
                let row = read(db, self.session_id).map_err(|cause| self.store.classify(cause))?;
                let last = row.filter(|row| row.fence == self.fence).ok_or(Error::LeaseLost)?.last_iterator;
                let taken = next::after(last, now, 1)?;
                db.prepare_cached("UPDATE sessions SET last_iterator = ?2 WHERE session_id = ?1")
                    .and_then(|mut take| take.execute(params![self.session_id.as_bytes(), taken.last().to_be_bytes()]))
                    .map_err(|cause| self.store.classify(cause))?;
                Ok(taken.last())
            })?;
            taken.ok_or(Error::LeaseLost)
        })
    }
}

impl Lease for SqliteLease {
    fn remaining(&self) -> Duration {
        if self.store.connections.is_named(self.generation) {
            self.grip.remaining((self.store.clock)().ok())
        } else {
            Duration::ZERO
        }
    }
}

impl Drop for SqliteLease {
    fn drop(&mut self) {
        // Where this does not reach the database, the lease ends by itself.
        let _ = self.in_transaction(false, |db| {
            db.prepare_cached("UPDATE sessions SET held_until = NULL WHERE session_id = ?1 AND fence = ?2")
                .and_then(|mut release| release.execute(params![self.session_id.as_bytes(), self.fence]))
                .map_err(|cause| self.store.classify(cause))
        });
    }
}

impl fmt::Debug for SqliteLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteLease").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}
