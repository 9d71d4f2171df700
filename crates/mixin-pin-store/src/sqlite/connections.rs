//! Connections to the file that has the database's name now: one that was moved away or deleted gets no other work.

use std::mem;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use rusqlite::{Connection, OpenFlags};

use super::file::{self, Identity};
use super::presence::Holders;
use super::{schema, sort, wait_for_lock};
use crate::Error;
use crate::origin::Origin;

/// The process that first opened a database. SQLite's connections cannot be taken into a forked child, and what SQLite
/// itself notes of the files that are open is wrong there.
static OPENED_BY: OnceLock<Origin> = OnceLock::new();

fn is_forked() -> bool {
    OPENED_BY.get().is_some_and(|origin| !origin.is_here())
}

/// Which of the files that had the name: by its place on the disk, and by a count, for a place may be taken again.
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

/// The connections of a store that no caller uses at the moment.
pub(super) struct Connections {
    holders: Holders,
    path: Box<Path>,
    place: Mutex<Place>,
}

impl Connections {
    const TRIES: usize = 5;

    pub(super) fn new(path: &Path) -> Self {
        Self { holders: Holders::new(path), path: path.into(), place: Mutex::default() }
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
        self.lend(lent, work)
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
        self.lend(lent, |connection, found| if found == generation { work(connection).map(Some) } else { Ok(None) })
    }

    fn lend<T>(
        &self,
        (mut connection, generation): (Connection, Generation),
        work: impl FnOnce(&mut Connection, Generation) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let result = work(&mut connection, generation);
        let mut place = self.lock();
        if place.is(generation) {
            place.idle.push(connection);
        }
        result
    }

    /// Whether this file still has the name.
    pub(super) fn is_named(&self, generation: Generation) -> bool {
        !is_forked()
            && Identity::of(&self.path).is_ok_and(|found| found == generation.identity)
            && self.lock().is(generation)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An idle connection to the file that has the name now; those to another are closed.
    fn take(&self) -> Result<Option<(Connection, Generation)>, Error> {
        if is_forked() {
            return Err(Error::Forked { path: self.path.to_path_buf() });
        }
        let found = Identity::of(&self.path).ok();
        let mut place = self.lock();
        let Some(identity) = place.identity else { return Ok(None) };
        if found != Some(identity) {
            drop(place.leave());
            return Ok(None);
        }
        let count = place.count;
        Ok(place.idle.pop().map(|connection| (connection, Generation { identity, count })))
    }

    fn connect(&self) -> Result<(Connection, Generation), Error> {
        let (connection, identity) = self.open()?;
        let mut place = self.lock();
        if place.identity.is_some_and(|known| known != identity) {
            drop(place.leave());
        }
        place.identity = Some(identity);
        Ok((connection, Generation { identity, count: place.count }))
    }

    fn open(&self) -> Result<(Connection, Identity), Error> {
        let failed = |cause| sort(&self.path, cause);
        OPENED_BY.get_or_init(Origin::here);
        // Without URIs; that a path is absolute keeps SQLite from reading anything else into it.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        for _ in 0..Self::TRIES {
            file::create(&self.path, self.holders.folder())?;
            let Ok(before) = Identity::of(&self.path) else { continue };
            file::check_sidecars(&self.path)?;
            let mut connection = Connection::open_with_flags(&self.path, flags).map_err(failed)?;
            schema::harden(&connection).map_err(failed)?;
            connection.busy_handler(Some(wait_for_lock)).map_err(failed)?;
            let prepared = schema::prepare(&mut connection, &self.path);
            // Else it was moved in between, and whatever came of it is of no matter.
            if Identity::of(&self.path).is_ok_and(|after| after == before) {
                return prepared.map(|()| (connection, before));
            }
        }
        Err(Error::Moving { path: self.path.to_path_buf() })
    }
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
