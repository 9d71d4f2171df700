//! Connections to the files that have the database's names now: what was moved away or deleted gets no other work.

use std::mem;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use rusqlite::{Connection, OpenFlags};

use super::file::{self, FileId, Identity};
use super::presence::Holders;
use super::{LOCK_WAIT, classify, schema, wait_for_lock};
use crate::grip::Patience;
use crate::origin::Origin;
use crate::{Error, SqliteError};

/// The process that first opened a database. SQLite's connections cannot be taken into a forked child, and what SQLite
/// itself notes of the files that are open is wrong there.
static OPENED_BY: OnceLock<Origin> = OnceLock::new();

fn is_forked() -> bool {
    OPENED_BY.get().is_some_and(|origin| !origin.is_here())
}

/// The connections of all stores of this process. SQLite lets all that are open to one file share its `-shm`: beside one
/// that works in files that have lost their names, none to the new ones can be opened.
static ALL: Mutex<Vec<Weak<Connections>>> = Mutex::new(Vec::new());

/// Which of the files that had the names: by their places on the disk, and by a count, for a place may be taken again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation {
    identity: Identity,
    count: u64,
}

#[derive(Default)]
struct Place {
    identity: Option<Identity>,
    count: u64,
    /// As long as one is open, its file's place on the disk is not taken again.
    idle: Vec<Connection>,
    /// What those work on that are in use.
    lent: Vec<Identity>,
}

impl Place {
    fn is(&self, generation: Generation) -> bool {
        (self.identity, self.count) == (Some(generation.identity), generation.count)
    }

    /// Another file has the name, or none.
    fn leave(&mut self) -> Vec<Connection> {
        self.identity = None;
        self.count += 1;
        mem::take(&mut self.idle)
    }
}

/// The connections of a store.
pub(super) struct Connections {
    holders: Holders,
    /// As it was given: it may be a link.
    name: Box<Path>,
    path: Box<Path>,
    place: Mutex<Place>,
}

/// A connection in use, which is closed before its entry goes.
struct Lent<'a> {
    connection: Connection,
    entry: Entry<'a>,
}

/// Says that a connection is in use.
struct Entry<'a> {
    home: &'a Connections,
    generation: Generation,
}

impl Lent<'_> {
    fn give_back(self) {
        let Self { connection, entry } = self;
        let mut place = entry.home.lock();
        if place.is(entry.generation) {
            place.idle.push(connection);
        } else {
            drop(connection);
        }
        drop(place);
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut place = self.home.lock();
        if let Some(at) = place.lent.iter().position(|lent| *lent == self.generation.identity) {
            place.lent.swap_remove(at);
        }
    }
}

impl Connections {
    const TRIES: usize = 5;

    /// To the database that a name leads to.
    pub(super) fn new(name: &Path) -> Result<Arc<Self>, Error> {
        if is_forked() {
            return Err(Error::Sqlite(SqliteError::Forked { path: name.to_owned() }));
        }
        let path = file::resolve(name)?;
        let holders = Holders::new(&path);
        let new = Arc::new(Self { holders, name: name.into(), path: path.into(), place: Mutex::default() });
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&new));
        Ok(new)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn holders(&self) -> &Holders {
        &self.holders
    }

    /// Works on a connection to the file that has the name now, which is made where there is none.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&mut Connection, Generation) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let lent = match self.take()? {
            Some(lent) => lent,
            None => self.connect()?,
        };
        lend(lent, work)
    }

    /// The same on this very file; None where the name is no longer its.
    pub(super) fn with_same<T>(
        &self,
        generation: Generation,
        work: impl FnOnce(&mut Connection) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let lent = match self.take()? {
            Some(lent) => lent,
            // Others use all connections, or the file is gone: only the former is made good.
            None if self.is_named(generation) => self.connect()?,
            None => return Ok(None),
        };
        lend(lent, |connection, found| if found == generation { work(connection).map(Some) } else { Ok(None) })
    }

    /// Whether this file still has the name.
    pub(super) fn is_named(&self, generation: Generation) -> bool {
        if is_forked() {
            return false;
        }
        let place = self.lock();
        place.is(generation) && self.found() == Some(generation.identity)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has the names now. Asked while the place is locked, or another thread may have opened it since.
    fn found(&self) -> Option<Identity> {
        let found = Identity::of(&self.path).ok()?;
        // A link may lead elsewhere since.
        let is_same = self.name == self.path || FileId::of(&self.name).is_ok_and(|named| named == found.database);
        is_same.then_some(found)
    }

    /// An idle connection to the file that has the name now; those to another are closed.
    fn take(&self) -> Result<Option<Lent<'_>>, Error> {
        if is_forked() {
            return Err(Error::Sqlite(SqliteError::Forked { path: self.path.to_path_buf() }));
        }
        let mut place = self.lock();
        let Some(identity) = place.identity else { return Ok(None) };
        if self.found() != Some(identity) {
            drop(place.leave());
            return Ok(None);
        }
        let generation = Generation { identity, count: place.count };
        Ok(place.idle.pop().map(|connection| {
            place.lent.push(identity);
            Lent { connection, entry: Entry { home: self, generation } }
        }))
    }

    fn connect(&self) -> Result<Lent<'_>, Error> {
        OPENED_BY.get_or_init(Origin::here);
        let mut patience = Patience::new(LOCK_WAIT);
        loop {
            if are_all_named() {
                let (connection, identity) = self.open()?;
                let lent = self.enter(connection, identity);
                // Else it may share what another has open.
                if are_all_named() {
                    return Ok(lent);
                }
            }
            if !patience.sleep() {
                return Err(Error::Sqlite(SqliteError::Moving { path: self.path.to_path_buf() }));
            }
        }
    }

    fn enter(&self, connection: Connection, identity: Identity) -> Lent<'_> {
        let mut place = self.lock();
        if place.identity.is_some_and(|known| known != identity) {
            drop(place.leave());
        }
        place.identity = Some(identity);
        place.lent.push(identity);
        let generation = Generation { identity, count: place.count };
        Lent { connection, entry: Entry { home: self, generation } }
    }

    /// Closes what lies idle and has lost its names; tells whether there was nothing of the kind, in use neither.
    fn leave_lost(&self) -> bool {
        let mut place = self.lock();
        let found = self.found();
        let is_lost = |identity: &Identity| Some(*identity) != found;
        let mut was_named = !place.lent.iter().any(is_lost);
        if place.identity.as_ref().is_some_and(is_lost) {
            was_named &= place.idle.is_empty();
            drop(place.leave());
        }
        was_named
    }

    fn open(&self) -> Result<(Connection, Identity), Error> {
        let failed = |cause| classify(&self.path, cause);
        // Without URIs; that a path is absolute keeps SQLite from reading anything else into it.
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
            // Else it was moved in between, and whatever came of it is of no matter.
            if FileId::of(&self.path).is_ok_and(|after| after == before) {
                prepared?;
                // It has read, so that what lies beside it is there.
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

/// Whether every connection of this process works in files that have their names; idle ones that do not are closed.
fn are_all_named() -> bool {
    let all: Vec<_> = ALL.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    // All of them, and not only up to the first.
    all.iter().filter(|one| !one.leave_lost()).count() == 0
}

impl Drop for Connections {
    fn drop(&mut self) {
        if is_forked() {
            // A child must not even close them.
            let place = self.place.get_mut().unwrap_or_else(PoisonError::into_inner);
            place.leave().into_iter().for_each(mem::forget);
        }
    }
}
