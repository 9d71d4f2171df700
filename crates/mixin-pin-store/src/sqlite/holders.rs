//! Shows whether the process with a lease is alive: it keeps a file next to the database locked.
//!
//! The system releases the lock when the process ends, however it ends. A stopped process keeps the lock, and a child that
//! it forked does not release it. A file name is never locked a second time, so a file without a lock means that its
//! process is dead. Process ids would not do: another container may use the same number. All users of a database
//! share a kernel, as SQLite's WAL mode requires, so they see each other's locks.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use mixin_pin_core::uuid::Uuid;

use super::file::{self, FileId};
use crate::engine::{Process, random};

/// The lock files of all processes that use one database, including this one.
pub(super) struct Holders {
    database: PathBuf,
    folder: PathBuf,
    own: Mutex<Option<OwnFile>>,
    process: Process,
}

/// This process's file. Dropping it releases the lock.
struct OwnFile {
    id: Uuid,
    locked: File,
}

impl Holders {
    pub(super) fn new(database: &Path) -> Self {
        let folder = file::beside(database, "-holders");
        Self { database: database.to_owned(), folder, own: Mutex::default(), process: Process::current() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The name of this process's file. The first call creates it, and removes files of dead processes that no session
    /// needs. None if it cannot be created: then only the end of the lease counts.
    pub(super) fn own(&self, is_needed: impl Fn(Uuid) -> bool) -> Option<Uuid> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        // A backup may have replaced the file. The copy has no lock, so this process would look dead.
        if !own.as_ref().is_some_and(|own| self.is_at(own.id, &own.locked)) {
            *own = self.create();
            for id in self.others() {
                if !is_needed(id) {
                    self.clear(id);
                }
            }
        }
        own.as_ref().map(|own| own.id)
    }

    fn create(&self) -> Option<OwnFile> {
        file::make_folder(&self.folder).ok()?;
        if !file::is_owners_alone(&self.folder, &self.database) {
            return None;
        }
        // Several attempts, because another process may check or remove the file before it is locked.
        for _ in 0..8 {
            let id = Uuid::from_bytes(random().ok()?);
            let path = self.path(id);
            let locked = file::private().read(true).create_new(true).open(&path).ok()?;
            // Removal takes the lock too, so a file that is locked and still there stays. On a file system without
            // locks, dead and living processes look the same.
            if locked.try_lock().is_ok() && path.exists() && !self.is_dead(id) {
                return Some(OwnFile { id, locked });
            }
            // If this fails, a later process removes the file.
            let _ = fs::remove_file(&path);
        }
        None
    }

    /// Whether the name still belongs to this file.
    fn is_at(&self, id: Uuid, file: &File) -> bool {
        let (Ok(file), Ok(named)) = (file.metadata(), FileId::of(&self.path(id))) else { return false };
        FileId::from(&file) == named
    }

    /// Whether the process that created a file is certainly dead. A file does not count if it is missing, or if other users
    /// could have put it there.
    pub(super) fn is_dead(&self, id: Uuid) -> bool {
        if !file::is_owners_alone(&self.folder, &self.database) {
            return false;
        }
        let Ok(file) = File::open(self.path(id)) else { return false };
        // A shared lock, so two processes that check at once do not mistake each other for the holder.
        match file.try_lock_shared() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
        }
    }

    /// Removes a process's file if the process is dead. The lock keeps a new process from using the file meanwhile.
    pub(super) fn clear(&self, id: Uuid) {
        if !file::is_owners_alone(&self.folder, &self.database) {
            return;
        }
        let Ok(file) = File::open(self.path(id)) else { return };
        if file.try_lock().is_ok() && self.is_at(id, &file) {
            // If this fails, another process has removed it, or a later one does.
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
        // A forked child only closes its copy. The file is its parent's.
        if let Some(own) = own
            && self.process.is_current()
        {
            // If this fails, a later process removes the file.
            let _ = fs::remove_file(self.path(own.id));
        }
    }
}
