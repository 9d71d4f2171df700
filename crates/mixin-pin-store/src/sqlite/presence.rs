//! Shows the others that a holder's process lives: by a file beside the database that it keeps locked.
//!
//! The system lets go of the lock when the process ends, however that comes about, and not before: not while the process
//! is stopped, and not while a child that it forked has a copy of the file. Nobody locks a file of this name again, so
//! that one without a lock is proof for good. A process's number and start time would be none: in another container the
//! same number is another process's. Users of one database share a kernel, as WAL wants it, and so see each other's locks.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mixin_pin_core::uuid::Uuid;

use super::file::{self, FileId};
use crate::origin::Origin;
use crate::random;

/// The files of those who hold sessions of one database, this process's among them.
pub(super) struct Holders {
    database: PathBuf,
    folder: PathBuf,
    own: Mutex<Option<Presence>>,
    origin: Origin,
}

/// This process's own file. The lock ends with it.
struct Presence {
    id: Uuid,
    locked: File,
}

impl Holders {
    pub(super) fn new(database: &Path) -> Self {
        let folder = file::beside(database, "-holders");
        Self { database: database.to_owned(), folder, own: Mutex::default(), origin: Origin::here() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The name of this process's file, which is made when it is first asked for; what the dead left is then cleared
    /// away, where no session needs it. None where it cannot be made: then the lease alone counts.
    pub(super) fn own(&self, is_needed: impl Fn(Uuid) -> bool) -> Option<Uuid> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        // A file that was put in its place, by a backup say, has no lock, and would prove this process dead.
        if !own.as_ref().is_some_and(|own| self.is_at(own.id, &own.locked)) {
            *own = self.appear();
            for id in self.others() {
                if !is_needed(id) {
                    self.clear(id);
                }
            }
        }
        own.as_ref().map(|own| own.id)
    }

    fn appear(&self) -> Option<Presence> {
        file::make_folder(&self.folder).ok()?;
        if !file::is_owners_alone(&self.folder, &self.database) {
            return None;
        }
        // More than one, for somebody who looks or clears away may come before the lock.
        for _ in 0..8 {
            let id = Uuid::from_bytes(random().ok()?);
            let path = self.path(id);
            let locked = file::private().read(true).create_new(true).open(&path).ok()?;
            // Who clears away locks, too: what is locked and there stays. Where locks are not kept, the dead could not be
            // told from the living.
            if locked.try_lock().is_ok() && path.exists() && !self.is_dead(id) {
                return Some(Presence { id, locked });
            }
            // An empty file that nobody names is cleared away later.
            let _ = fs::remove_file(&path);
        }
        None
    }

    /// Whether the name is this very file's.
    fn is_at(&self, id: Uuid, file: &File) -> bool {
        let (Ok(file), Ok(named)) = (file.metadata(), FileId::of(&self.path(id))) else { return false };
        FileId::from(&file) == named
    }

    /// Whether the process that made a file is gone for certain. A file that is missing, or that others could have put
    /// there, proves nothing.
    pub(super) fn is_dead(&self, id: Uuid) -> bool {
        if !file::is_owners_alone(&self.folder, &self.database) {
            return false;
        }
        let Ok(file) = File::open(self.path(id)) else { return false };
        // Shared, so that two who look at once do not take each other for the holder.
        match file.try_lock_shared() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
        }
    }

    /// Clears a process's file away if it is dead; its lock keeps one that comes from taking the file for its own.
    pub(super) fn clear(&self, id: Uuid) {
        if !file::is_owners_alone(&self.folder, &self.database) {
            return;
        }
        let Ok(file) = File::open(self.path(id)) else { return };
        if file.try_lock().is_ok() && self.is_at(id, &file) {
            // Another may have done it; else the next one that comes will.
            let _ = fs::remove_file(self.path(id));
        }
    }

    fn path(&self, id: Uuid) -> PathBuf {
        self.folder.join(id.simple().to_string())
    }

    fn others(&self) -> impl Iterator<Item = Uuid> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.parse().ok().filter(|id: &Uuid| id.simple().to_string() == name)
        })
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        let own = self.own.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // A forked child closes its copy of the file, and leaves it to its parent.
        if let Some(own) = own
            && self.origin.is_here()
        {
            // Else it is cleared away later, as a dead process's.
            let _ = fs::remove_file(self.path(own.id));
        }
    }
}
