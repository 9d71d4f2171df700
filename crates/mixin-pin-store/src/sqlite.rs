//! Iterators in one small SQLite database, for any number of processes on one machine.
//!
//! A hold is one transaction: the session's row is read, judged, and written with a new fence, the lease's end and the
//! iterators that the hold takes. Whoever waits only reads.

use std::fs::{DirBuilder, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, thread};

use etcetera::BaseStrategy as _;
use mixin_pin_core::{HeldSession, Hold, HoldTerms, NonceSource, NonceStore, UnixTime, uuid::Uuid};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::lease::{Grip, Lease, Patience};
use crate::next::{self, Clocks, STOCK};
use crate::{Clock, Error, SessionRecord, system_clock};

/// Raised when the tables change.
const VERSION: i64 = 1;
/// "MPIN", so that nobody's other database is taken for ours.
const APPLICATION_ID: i64 = 0x4d50_494e;
const TABLES: &str = "
    CREATE TABLE sessions (
        session_id BLOB PRIMARY KEY,
        -- Eight bytes, big-endian: SQLite's integers have a sign.
        last_iterator BLOB NOT NULL,
        -- Raised with each hold: a holder whose fence is not this one has lost the session.
        fence INTEGER NOT NULL,
        -- Nanoseconds since 1970; NULL where nobody holds the session.
        held_until INTEGER,
        -- Nanoseconds.
        lease INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
";

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
pub struct SqliteStore(Arc<Inner>);

struct Inner {
    path: PathBuf,
    durability: Durability,
    clock: Clock,
    idle: Mutex<Vec<Connection>>,
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
    /// ```
    /// use mixin_pin_store::{Durability, SqliteStore};
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("iterators.db");
    /// let store = SqliteStore::open(&path)?.durability(Durability::Crash); // faster, and for a clock that is kept right
    /// assert!(store.sessions()?.is_empty());
    /// # Ok::<(), mixin_pin_store::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::File`], [`Error::NewerSchema`], [`Error::OtherDatabase`], [`Error::Corrupt`], [`Error::ReadOnly`] or
    /// [`Error::DiskFull`] when it cannot be used.
    pub fn open(path: &Path) -> Result<Self, Error> {
        create_for_owner(path)?;
        let inner = Inner {
            path: path.to_owned(),
            durability: Durability::PowerCut,
            clock: system_clock(),
            idle: Mutex::default(),
        };
        let mut connection = inner.connect()?;
        inner.prepare(&mut connection)?;
        inner.give_back(connection);
        Ok(Self(Arc::new(inner)))
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
    /// assert_eq!(store.path(), path);
    /// # Ok::<(), mixin_pin_store::Error>(())
    /// ```
    #[must_use]
    pub fn clock(self, clock: impl Fn() -> UnixTime + Send + Sync + 'static) -> Self {
        self.with(|inner| inner.clock = Arc::new(move || Ok(clock())))
    }

    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        let Inner { path, durability, clock, idle } = &*self.0;
        let idle = std::mem::take(&mut *idle.lock().unwrap_or_else(PoisonError::into_inner));
        let mut inner =
            Inner { path: path.clone(), durability: *durability, clock: clock.clone(), idle: Mutex::new(idle) };
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The sessions that the database knows.
    ///
    /// # Errors
    /// Whatever keeps the database from being read.
    pub fn sessions(&self) -> Result<Vec<SessionRecord>, Error> {
        let now = nanos((self.0.clock)()?);
        self.0.on_connection(|connection| {
            let mut query = connection.prepare_cached("SELECT session_id, last_iterator, held_until FROM sessions")?;
            let rows = query.query_map([], |row| {
                let held_until: Option<i64> = row.get(2)?;
                let left = held_until.and_then(|until| u64::try_from(until.checked_sub(now)?).ok());
                Ok(SessionRecord {
                    session_id: Uuid::from_bytes(row.get(0)?),
                    last_iterator: u64::from_be_bytes(row.get(1)?),
                    held_for: left.filter(|left| *left > 0).map(Duration::from_nanos),
                })
            })?;
            rows.collect()
        })
    }

    /// Forgets a session, so that its next iterator comes from the clock alone; tells whether it was known.
    ///
    /// ```
    /// use mixin_pin_core::uuid::Uuid;
    /// use mixin_pin_store::SqliteStore;
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("iterators.db");
    /// assert!(!SqliteStore::open(&path)?.forget(Uuid::from_u128(1))?); // it was not known
    /// # Ok::<(), mixin_pin_store::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Held`] while somebody holds it, or whatever keeps the database from being written.
    pub fn forget(&self, session_id: Uuid) -> Result<bool, Error> {
        let now = nanos((self.0.clock)()?);
        let (found, forgotten) = self.0.on_connection(|connection| {
            let db = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let found = read(&db, session_id)?.is_some();
            let free = "DELETE FROM sessions WHERE session_id = ?1 AND (held_until IS NULL OR held_until <= ?2)";
            let forgotten = db.execute(free, params![session_id.as_bytes(), now])?;
            db.commit()?;
            Ok((found, forgotten == 1))
        })?;
        if found && !forgotten { Err(Error::Held) } else { Ok(forgotten) }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.0.path)
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
    Held(SqliteHeld),
    Other { fence: i64 },
    ClockUnconfirmed { ahead: Option<Duration> },
}

impl NonceStore for SqliteStore {
    type Error = Error;
    type Held = SqliteHeld;

    fn hold(&self, session_id: Uuid, terms: &HoldTerms) -> Result<Hold<SqliteHeld>, Error> {
        let mut patience = Patience::new(terms.max_wait());
        let mut watched: Option<Watched> = None;
        loop {
            match self.0.look(session_id, terms, watched.as_ref())? {
                Look::Held(held) => return Ok(Hold::Held(held)),
                Look::ClockUnconfirmed { ahead } => return Ok(Hold::ClockUnconfirmed { ahead }),
                Look::Other { fence } if watched.as_ref().is_some_and(|watched| watched.fence == fence) => {}
                Look::Other { fence } => watched = Some(Watched { fence, since: Instant::now() }),
            }
            if !patience.sleep() {
                return Ok(Hold::Busy);
            }
        }
    }
}

impl Inner {
    /// Holds the session if nobody else does.
    fn look(self: &Arc<Self>, session_id: Uuid, terms: &HoldTerms, watched: Option<&Watched>) -> Result<Look, Error> {
        let (begun, now) = (Instant::now(), (self.clock)()?);
        let is_free = |row: &Row| {
            row.held_until.is_none_or(|until| until <= nanos(now))
                || watched.is_some_and(|watched| watched.has_seen_the_end_of(row))
        };
        // A look takes no lock, so that those who wait do not slow down those who work.
        if let Some(row) = self.on_connection(|connection| read(connection, session_id))?
            && !is_free(&row)
        {
            return Ok(Look::Other { fence: row.fence });
        }
        let mut connection = self.connection()?;
        let look = self.in_transaction(&mut connection, true, |db| {
            let row = read(db, session_id).map_err(|cause| self.sort(cause))?;
            if let Some(row) = &row
                && !is_free(row)
            {
                return Ok(Look::Other { fence: row.fence });
            }
            let last = row.as_ref().map(|row| row.last_iterator);
            if let Clocks::Leap(ahead) = next::compare(last, now, terms)? {
                return Ok(Look::ClockUnconfirmed { ahead });
            }
            let stock = next::after(last.unwrap_or(0), now, STOCK)?;
            let fence = row.map_or(0, |row| row.fence).wrapping_add(1);
            let lease = i64::try_from(terms.lease().as_nanos()).unwrap_or(i64::MAX);
            db.prepare_cached(
                "INSERT INTO sessions (session_id, last_iterator, fence, held_until, lease) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (session_id) DO UPDATE SET last_iterator = ?2, fence = ?3, held_until = ?4, lease = ?5",
            )
            .and_then(|mut hold| {
                hold.execute(params![
                    session_id.as_bytes(),
                    stock.last().to_be_bytes(),
                    fence,
                    nanos(now).saturating_add(lease),
                    lease
                ])
            })
            .map_err(|cause| self.sort(cause))?;
            Ok(Look::Held(SqliteHeld {
                store: self.clone(),
                session_id,
                fence,
                grip: Grip::new(Lease::new(begun, now, terms.lease()), stock),
            }))
        });
        self.give_back(connection);
        look
    }

    /// Runs work in a transaction, which is kept when it succeeds; when it must not be lost, until the disk has it.
    fn in_transaction<T>(
        &self,
        connection: &mut Connection,
        is_precious: bool,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let synchronous = if is_precious && self.durability == Durability::PowerCut { "FULL" } else { "NORMAL" };
        let sort = |cause| self.sort(cause);
        connection.pragma_update(None, "synchronous", synchronous).map_err(sort)?;
        let db = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sort)?;
        let result = work(&db)?;
        db.commit().map_err(sort)?;
        Ok(result)
    }

    fn connection(&self) -> Result<Connection, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| self.connect(), Ok)
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    fn on_connection<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let mut connection = self.connection()?;
        let result = work(&mut connection).map_err(|cause| self.sort(cause));
        self.give_back(connection);
        result
    }

    fn connect(&self) -> Result<Connection, Error> {
        let mut connection = Connection::open(&self.path).map_err(|cause| self.sort(cause))?;
        connection.busy_handler(Some(wait_for_lock)).map_err(|cause| self.sort(cause))?;
        Ok(connection)
    }

    /// Checks whose database it is, and makes its table where it is new.
    fn prepare(&self, connection: &mut Connection) -> Result<(), Error> {
        let sort = |cause| self.sort(cause);
        self.switch_to_wal(connection)?;
        // A database of ours is only read: one that cannot be written says so when it is used.
        if self.is_ours(connection)? {
            return Ok(());
        }
        let db = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sort)?;
        // Another process may have been here in between.
        if !self.is_ours(&db)? {
            db.execute_batch(TABLES).map_err(sort)?;
            db.pragma_update(None, "application_id", APPLICATION_ID).map_err(sort)?;
            db.pragma_update(None, "user_version", VERSION).map_err(sort)?;
        }
        db.commit().map_err(sort)
    }

    /// Whether the database has our table; false for an empty one.
    fn is_ours(&self, connection: &Connection) -> Result<bool, Error> {
        let pragma = |name| {
            let value = connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
            value.map_err(|cause| self.sort(cause))
        };
        match (pragma("application_id")?, pragma("user_version")?) {
            (APPLICATION_ID, VERSION) => Ok(true),
            (APPLICATION_ID, found) => Err(Error::NewerSchema { path: self.path.clone(), found }),
            (0, 0) => {
                let count = "SELECT count(*) FROM sqlite_schema";
                match connection.query_row(count, [], |row| row.get(0)).map_err(|cause| self.sort(cause))? {
                    0_i64 => Ok(false),
                    _ => Err(Error::OtherDatabase { path: self.path.clone() }),
                }
            }
            _ => Err(Error::OtherDatabase { path: self.path.clone() }),
        }
    }

    /// SQLite does not ask the busy handler when two processes switch at once.
    fn switch_to_wal(&self, connection: &Connection) -> Result<(), Error> {
        let mut patience = Patience::new(LOCK_WAIT);
        loop {
            let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
            match mode.map(|_| ()).map_err(|cause| self.sort(cause)) {
                Err(Error::Locked { .. }) if patience.sleep() => {}
                result => return result,
            }
        }
    }

    fn sort(&self, cause: rusqlite::Error) -> Error {
        use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType};

        let path = self.path.clone();
        match cause.sqlite_error_code() {
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => Error::ReadOnly { path },
            Some(ErrorCode::DiskFull) => Error::DiskFull { path },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Corrupt { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Locked { path },
            _ => match cause {
                // A value of another kind or length than we write.
                FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) => {
                    Error::Corrupt { path }
                }
                cause => Error::Sqlite { path, cause },
            },
        }
    }
}

fn read(connection: &Connection, session_id: Uuid) -> rusqlite::Result<Option<Row>> {
    let query = "SELECT last_iterator, fence, held_until, lease FROM sessions WHERE session_id = ?1";
    connection
        .prepare_cached(query)?
        .query_row([session_id.as_bytes()], |row| {
            Ok(Row {
                last_iterator: u64::from_be_bytes(row.get(0)?),
                fence: row.get(1)?,
                held_until: row.get(2)?,
                lease: row.get(3)?,
            })
        })
        .optional()
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

/// SQLite itself would make the file readable by others.
fn create_for_owner(path: &Path) -> Result<(), Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |cause| Error::File { path, cause }
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder).map_err(failed(folder))?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map(drop).map_err(failed(path)),
    }
}

/// A session held in a SQLite database.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_core::{HeldSession, Hold, HoldTerms, NonceStore, uuid::Uuid};
/// use mixin_pin_store::{SqliteHeld, SqliteStore};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("iterators.db");
/// let terms = HoldTerms::new(Duration::from_secs(35)).with_confirmed_clock();
/// let hold: Hold<SqliteHeld> = SqliteStore::open(&path)?.hold(Uuid::from_u128(1), &terms)?;
/// let Hold::Held(held) = hold else { panic!("nobody holds it") };
/// assert!(held.remaining() > Duration::from_secs(5)); // enough for a call?
/// # Ok::<(), mixin_pin_store::Error>(())
/// ```
pub struct SqliteHeld {
    store: Arc<Inner>,
    session_id: Uuid,
    fence: i64,
    grip: Grip,
}

impl NonceSource for SqliteHeld {
    type Error = Error;

    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        self.grip.take((self.store.clock)().ok(), || {
            let mut connection = self.store.connection()?;
            let taken = self.store.in_transaction(&mut connection, true, |db| {
                let row = read(db, self.session_id).map_err(|cause| self.store.sort(cause))?;
                let last = row.filter(|row| row.fence == self.fence).ok_or(Error::HoldLost)?.last_iterator;
                let taken = next::after(last, now, 1)?;
                db.prepare_cached("UPDATE sessions SET last_iterator = ?2 WHERE session_id = ?1")
                    .and_then(|mut take| take.execute(params![self.session_id.as_bytes(), taken.last().to_be_bytes()]))
                    .map_err(|cause| self.store.sort(cause))?;
                Ok(taken.last())
            });
            self.store.give_back(connection);
            taken
        })
    }
}

impl HeldSession for SqliteHeld {
    fn remaining(&self) -> Duration {
        self.grip.remaining((self.store.clock)().ok())
    }
}

impl Drop for SqliteHeld {
    fn drop(&mut self) {
        // Where this does not reach the database, the lease ends by itself.
        let Ok(mut connection) = self.store.connection() else { return };
        let _ = self.store.in_transaction(&mut connection, false, |db| {
            db.prepare_cached("UPDATE sessions SET held_until = NULL WHERE session_id = ?1 AND fence = ?2")
                .and_then(|mut release| release.execute(params![self.session_id.as_bytes(), self.fence]))
                .map_err(|cause| self.store.sort(cause))
        });
        self.store.give_back(connection);
    }
}

impl fmt::Debug for SqliteHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteHeld").field("session_id", &self.session_id).finish_non_exhaustive()
    }
}
