//! Connections to the database files that the path names now. Files that were moved away or deleted are no longer used.

use std::mem;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::file::{self, FileId, Identity};
use super::holders::Holders;
use super::patience::{Patience, wait_for_lock};
use super::schema;
use super::table::classify;
use crate::backoff::Backoff;
use crate::engine::Process;
use crate::{Error, SqliteError};

/// The process that first opened a database. A forked child cannot use SQLite's connections, and SQLite's own records of
/// open files are wrong there.
static OPENED_BY: OnceLock<Process> = OnceLock::new();

fn is_forked() -> bool {
    OPENED_BY.get().is_some_and(|process| !process.is_current())
}

/// The connections of all stores of this process. All connections of a process to one file share its `-shm`. So a
/// connection to new files must not be opened while another still works on files that lost their names.
static ALL: Mutex<Vec<Weak<Connections>>> = Mutex::new(Vec::new());

/// Identifies the files behind the path: by their inodes, and by a count, because an inode may be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation {
    identity: Identity,
    count: u64,
}

#[derive(Default)]
struct Pool {
    identity: Option<Identity>,
    count: u64,
    /// An open connection keeps its file's inode from being used again.
    idle: Vec<Connection>,
    /// The files of the connections in use.
    in_use: Vec<Identity>,
}

impl Pool {
    fn is(&self, generation: Generation) -> bool {
        (self.identity, self.count) == (Some(generation.identity), generation.count)
    }

    /// Gives up the files because they lost their names.
    fn abandon(&mut self) -> Vec<Connection> {
        self.identity = None;
        self.count += 1;
        mem::take(&mut self.idle)
    }
}

/// The connections of a store.
pub(super) struct Connections {
    holders: Holders,
    /// As given by the caller: it may be a link.
    name: Box<Path>,
    path: Box<Path>,
    /// How long each operation waits for another process's transaction.
    lock_wait: Duration,
    pool: Mutex<Pool>,
}

/// A connection in use. The field is declared first, so the connection is closed before its entry is removed.
struct Lent<'a> {
    connection: Connection,
    entry: Entry<'a>,
}

/// The entry of a connection in [`Pool::in_use`].
struct Entry<'a> {
    home: &'a Connections,
    generation: Generation,
}

impl Lent<'_> {
    fn give_back(self) {
        let Self { connection, entry } = self;
        let mut pool = entry.home.lock();
        if pool.is(entry.generation) {
            pool.idle.push(connection);
        } else {
            drop(connection);
        }
        drop(pool);
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut pool = self.home.lock();
        if let Some(at) = pool.in_use.iter().position(|identity| *identity == self.generation.identity) {
            pool.in_use.swap_remove(at);
        }
    }
}

impl Connections {
    const TRIES: usize = 5;

    /// Connections to the database that `name` leads to.
    pub(super) fn new(name: &Path, lock_wait: Duration) -> Result<Arc<Self>, Error> {
        if is_forked() {
            return Err(Error::Sqlite(SqliteError::Forked { path: name.to_owned() }));
        }
        let path = file::resolve(name)?;
        let holders = Holders::new(&path);
        let new = Arc::new(Self { holders, name: name.into(), path: path.into(), lock_wait, pool: Mutex::default() });
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&new));
        Ok(new)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses a forked child.
    pub(super) fn check_fork(&self) -> Result<(), Error> {
        if is_forked() { Err(Error::Sqlite(SqliteError::Forked { path: self.path.to_path_buf() })) } else { Ok(()) }
    }

    pub(super) const fn holders(&self) -> &Holders {
        &self.holders
    }

    /// Runs `work` on a connection to the file that the path names now. Creates the file if it does not exist.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection, Generation) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let _patience = Patience::begin(self.lock_wait);
        let lent = match self.take()? {
            Some(lent) => lent,
            None => self.connect()?,
        };
        lend(lent, work)
    }

    /// Runs `work` on a connection to the files of this generation. Returns None if the path no longer names them.
    pub(super) fn with_same<T>(
        &self,
        generation: Generation,
        work: impl FnOnce(&mut Connection) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        self.with_same_within(self.lock_wait, generation, work)
    }

    /// Likewise, with a limit of its own for the wait for another process's transaction.
    pub(super) fn with_same_within<T>(
        &self,
        limit: Duration,
        generation: Generation,
        work: impl FnOnce(&mut Connection) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let _patience = Patience::begin(limit);
        let lent = match self.take()? {
            Some(lent) => lent,
            // Either all connections are in use, and another is opened, or the file is gone.
            None if self.is_named(generation) => self.connect()?,
            None => return Ok(None),
        };
        lend(lent, |connection, found| if found == generation { work(connection).map(Some) } else { Ok(None) })
    }

    /// Whether the path still names the files of this generation.
    pub(super) fn is_named(&self, generation: Generation) -> bool {
        if is_forked() {
            return false;
        }
        let pool = self.lock();
        pool.is(generation) && self.found() == Some(generation.identity)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files that the path names now. Call it with the pool locked, or another thread may open them meanwhile.
    fn found(&self) -> Option<Identity> {
        let found = Identity::of(&self.path).ok()?;
        // A link may lead elsewhere now.
        let is_same = self.name == self.path || FileId::of(&self.name).is_ok_and(|named| named == found.database);
        is_same.then_some(found)
    }

    /// An idle connection to the files that the path names now. Idle connections to other files are closed.
    fn take(&self) -> Result<Option<Lent<'_>>, Error> {
        self.check_fork()?;
        let mut pool = self.lock();
        let Some(identity) = pool.identity else { return Ok(None) };
        if self.found() != Some(identity) {
            drop(pool.abandon());
            return Ok(None);
        }
        let generation = Generation { identity, count: pool.count };
        Ok(pool.idle.pop().map(|connection| {
            pool.in_use.push(identity);
            Lent { connection, entry: Entry { home: self, generation } }
        }))
    }

    fn connect(&self) -> Result<Lent<'_>, Error> {
        OPENED_BY.get_or_init(Process::current);
        let mut backoff = Backoff::new(Patience::left());
        loop {
            if are_all_named() {
                let (connection, identity) = self.open()?;
                let lent = self.enter(connection, identity);
                // Otherwise the new connection may share an old `-shm`.
                if are_all_named() {
                    return Ok(lent);
                }
            }
            if !backoff.sleep() {
                return Err(Error::Sqlite(SqliteError::Moving { path: self.path.to_path_buf() }));
            }
        }
    }

    fn enter(&self, connection: Connection, identity: Identity) -> Lent<'_> {
        let mut pool = self.lock();
        if pool.identity.is_some_and(|known| known != identity) {
            drop(pool.abandon());
        }
        pool.identity = Some(identity);
        pool.in_use.push(identity);
        let generation = Generation { identity, count: pool.count };
        Lent { connection, entry: Entry { home: self, generation } }
    }

    /// Closes idle connections whose files lost their names. Returns whether there were none, idle or in use.
    fn close_unnamed(&self) -> bool {
        let mut pool = self.lock();
        let found = self.found();
        let is_lost = |identity: &Identity| Some(*identity) != found;
        let mut was_named = !pool.in_use.iter().any(is_lost);
        if pool.identity.as_ref().is_some_and(is_lost) {
            was_named &= pool.idle.is_empty();
            drop(pool.abandon());
        }
        was_named
    }

    fn open(&self) -> Result<(Connection, Identity), Error> {
        let failed = |cause| classify(&self.path, cause);
        // URIs are off, and SQLite reads an absolute path as nothing but a path.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        for _ in 0..Self::TRIES {
            file::create(&self.path, self.holders.folder())?;
            let Ok(before) = FileId::of(&self.path) else { continue };
            file::check_links(&self.path)?;
            file::check_sidecars(&self.path)?;
            let mut connection = Connection::open_with_flags(&self.path, flags).map_err(failed)?;
            schema::harden(&connection).map_err(failed)?;
            connection.busy_handler(Some(wait_for_lock)).map_err(failed)?;
            let prepared = schema::prepare(&mut connection, &self.path);
            // Otherwise the file was moved meanwhile, and the result is ignored.
            if FileId::of(&self.path).is_ok_and(|after| after == before) {
                prepared?;
                // The connection has read, so `-wal` and `-shm` exist.
                if let Some(identity) = self.found() {
                    return Ok((connection, identity));
                }
            }
        }
        Err(Error::Sqlite(SqliteError::Moving { path: self.path.to_path_buf() }))
    }
}

fn lend<T>(mut lent: Lent<'_>, work: impl FnOnce(&mut Connection, Generation) -> Result<T, Error>) -> Result<T, Error> {
    let result = work(&mut lent.connection, lent.entry.generation);
    lent.give_back();
    result
}

/// Whether the files of all connections of this process still have their names. Closes idle connections to other files.
fn are_all_named() -> bool {
    let all: Vec<_> = ALL.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    // Counts all, because every store must close its idle connections.
    all.iter().filter(|one| !one.close_unnamed()).count() == 0
}

impl Drop for Connections {
    fn drop(&mut self) {
        if is_forked() {
            // A forked child must not even close them.
            let pool = self.pool.get_mut().unwrap_or_else(PoisonError::into_inner);
            pool.abandon().into_iter().for_each(mem::forget);
        }
    }
}
