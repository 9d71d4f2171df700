//! The database's file: its creation for one owner, its identity, and the permissions of other users.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::patience::Patience;
use crate::backoff::Backoff;
use crate::{Error, Risk, SqliteError};

/// Suffixes of the files that SQLite keeps next to a database.
const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The path with a suffix.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    move |cause| Error::Sqlite(SqliteError::File { path: path.to_owned(), cause })
}

/// Options for a file that only its owner can read.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

pub(super) fn make_folder(path: &Path) -> Result<(), Error> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(failed(path))
}

/// The path that a name leads to. If there is no such file yet, only the links to its folder are followed.
pub(super) fn resolve(name: &Path) -> Result<PathBuf, Error> {
    if cfg!(not(unix)) {
        return Ok(name.to_owned());
    }
    match (fs::canonicalize(name), name.parent(), name.file_name()) {
        (Ok(path), ..) => Ok(path),
        // Missing, or unusable: then creating it fails with the reason.
        (Err(_), Some(folder), Some(last)) => {
            make_folder(folder)?;
            Ok(fs::canonicalize(folder).map_err(failed(folder))?.join(last))
        }
        (Err(error), ..) => Err(failed(name)(error)),
    }
}

/// Creates the file if it does not exist. SQLite itself would make it readable by others.
///
/// Files left next to it belong to an earlier database that was moved away or deleted, possibly while in use. SQLite would
/// take them for files of the new one, so they are removed. A lock in the `-holders` folder, which must belong to this user,
/// keeps two processes from doing this at once.
pub(super) fn create(path: &Path, holders: &Path) -> Result<(), Error> {
    let exists = || path.try_exists().unwrap_or(false);
    if exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    make_folder(holders)?;
    if !permissions::is_private(holders) {
        return Err(Error::Sqlite(SqliteError::OtherOwner { path: holders.to_owned() }));
    }
    let lock = holders.join("lock");
    let mut options = private();
    #[cfg(unix)]
    {
        // Does not follow a link, and does not wait for the reader of a FIFO.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits().cast_signed());
    }
    let lock = options.create(true).truncate(false).open(&lock).map_err(failed(&lock))?;
    let mut backoff = Backoff::new(Patience::left());
    while let Err(TryLockError::WouldBlock) = lock.try_lock() {
        if !backoff.sleep() {
            return Err(Error::Sqlite(SqliteError::Locked { path: path.to_owned() }));
        }
    }
    if exists() {
        return Ok(());
    }
    for sidecar in SIDECARS.map(|suffix| beside(path, suffix)) {
        match fs::remove_file(&sidecar) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&sidecar)(error)),
            _ => {}
        }
    }
    match private().create_new(true).open(path) {
        // A link to nowhere. SQLite then fails to open it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop).map_err(failed(path)),
    }
}

/// A file's device and inode, which stay with the file when it is renamed. On systems without inodes an open file cannot
/// be renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId(u64, u64);

impl FileId {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|found| Self::from(&found))
    }
}

#[cfg(unix)]
impl From<&Metadata> for FileId {
    fn from(found: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;

        Self(found.dev(), found.ino())
    }
}

#[cfg(not(unix))]
impl From<&Metadata> for FileId {
    fn from(_: &Metadata) -> Self {
        Self(0, 0)
    }
}

/// The files that all users of a database must share. They exist while the database is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) database: FileId,
    wal: FileId,
    shm: FileId,
}

impl Identity {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let [wal, shm] = ["-wal", "-shm"].map(|suffix| FileId::of(&beside(path, suffix)));
        Ok(Self { database: FileId::of(path)?, wal: wal?, shm: shm? })
    }
}

#[cfg(unix)]
mod permissions {
    use std::os::unix::fs::MetadataExt as _;

    use super::{Error, Metadata, Path, Risk, SIDECARS, SqliteError, beside, failed, fs};

    const OTHERS_WRITE: u32 = 0o022;
    const OTHERS_READ: u32 = 0o044;
    const STICKY: u32 = 0o1000;

    fn mode(found: &Metadata) -> u32 {
        found.mode() & 0o777
    }

    fn check_mode(path: &Path, found: &Metadata) -> Result<(), Error> {
        if found.mode() & OTHERS_WRITE == 0 {
            return Ok(());
        }
        Err(Error::Sqlite(SqliteError::Exposed { path: path.to_owned(), mode: mode(found) }))
    }

    /// Refuses a database that others can write.
    pub(in super::super) fn check(path: &Path) -> Result<(), Error> {
        check_mode(path, &fs::metadata(path).map_err(failed(path))?)
    }

    /// Refuses a database with several names: SQLite would keep another `-wal` for each of them.
    pub(in super::super) fn check_links(path: &Path) -> Result<(), Error> {
        let found = fs::metadata(path).map_err(failed(path))?;
        if found.is_dir() {
            return Err(Error::Sqlite(SqliteError::Folder { path: path.to_owned() }));
        }
        if found.nlink() > 1 {
            return Err(Error::Sqlite(SqliteError::HardLinked { path: path.to_owned() }));
        }
        Ok(())
    }

    /// Refuses files next to a database that others put there or can write: SQLite would replay them into the database.
    pub(in super::super) fn check_sidecars(path: &Path) -> Result<(), Error> {
        let owner = fs::metadata(path).map_err(failed(path))?.uid();
        for sidecar in SIDECARS.map(|suffix| beside(path, suffix)) {
            // These files come and go while the database is used.
            let Ok(found) = fs::symlink_metadata(&sidecar) else { continue };
            if found.uid() != owner || !found.is_file() {
                return Err(Error::Sqlite(SqliteError::OtherOwner { path: sidecar }));
            }
            check_mode(&sidecar, &found)?;
        }
        Ok(())
    }

    /// Whether only the database's owner and root can put files into a folder.
    pub(in super::super) fn is_owners_alone(folder: &Path, database: &Path) -> bool {
        let (Ok(folder), Ok(database)) = (fs::symlink_metadata(folder), fs::metadata(database)) else { return false };
        let is_owned = [0, database.uid()].contains(&folder.uid());
        folder.is_dir() && is_owned && folder.mode() & OTHERS_WRITE == 0
    }

    /// Whether a folder belongs to this user, and no other user can put files into it.
    pub(in super::super) fn is_private(folder: &Path) -> bool {
        let own = rustix::process::geteuid().as_raw();
        fs::symlink_metadata(folder)
            .is_ok_and(|folder| folder.is_dir() && folder.uid() == own && folder.mode() & OTHERS_WRITE == 0)
    }

    pub(in super::super) fn risks(path: &Path) -> Vec<Risk> {
        let mut found = Vec::new();
        if let Ok(file) = fs::metadata(path)
            && file.mode() & OTHERS_READ != 0
        {
            found.push(Risk::ReadableByOthers { path: path.to_owned(), mode: mode(&file) });
        }
        if let Some(folder) = path.parent()
            && let Ok(metadata) = fs::metadata(folder)
            && metadata.mode() & OTHERS_WRITE != 0
        {
            let is_sticky = metadata.mode() & STICKY != 0;
            found.push(Risk::WritableFolder { path: folder.to_owned(), is_sticky });
        }
        found
    }
}

#[cfg(not(unix))]
mod permissions {
    use super::{Error, Path, Risk};

    #[expect(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
    pub(in super::super) const fn check(_: &Path) -> Result<(), Error> {
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
    pub(in super::super) const fn check_links(_: &Path) -> Result<(), Error> {
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the same signature as on Unix")]
    pub(in super::super) const fn check_sidecars(_: &Path) -> Result<(), Error> {
        Ok(())
    }

    pub(in super::super) fn is_owners_alone(folder: &Path, _: &Path) -> bool {
        folder.is_dir()
    }

    pub(in super::super) fn is_private(folder: &Path) -> bool {
        folder.is_dir()
    }

    pub(in super::super) const fn risks(_: &Path) -> Vec<Risk> {
        Vec::new()
    }
}

pub(super) use permissions::{check, check_links, check_sidecars, is_owners_alone, risks};
