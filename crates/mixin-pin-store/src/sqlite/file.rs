//! The database's file: made for its owner alone, told from another of the same name, and who else can get at it.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::LOCK_WAIT;
use crate::grip::Patience;
use crate::{Error, Risk, SqliteError};

/// What SQLite keeps beside a database.
const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The path with something at its end.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

pub(super) fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    move |cause| Error::Sqlite(SqliteError::File { path: path.to_owned(), cause })
}

/// Options for a file that its owner alone can read.
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

/// The file that a name leads to, beside which SQLite keeps its own; where there is none yet, its place in its folder.
pub(super) fn resolve(name: &Path) -> Result<PathBuf, Error> {
    if cfg!(not(unix)) {
        return Ok(name.to_owned());
    }
    match (fs::canonicalize(name), name.parent(), name.file_name()) {
        (Ok(path), ..) => Ok(path),
        // None there, or none that can be had, which making it then tells.
        (Err(_), Some(folder), Some(last)) => {
            make_folder(folder)?;
            Ok(fs::canonicalize(folder).map_err(failed(folder))?.join(last))
        }
        (Err(error), ..) => Err(failed(name)(error)),
    }
}

/// Makes the file where there is none; SQLite itself would make it readable by others.
///
/// Who makes it holds a lock in the holders' folder, which has to be its own: what lies beside it is of a database that was moved away or deleted,
/// perhaps by one that is in use still, and would be taken for the new one's.
pub(super) fn create(path: &Path, holders: &Path) -> Result<(), Error> {
    let exists = || path.try_exists().unwrap_or(false);
    if exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    make_folder(holders)?;
    if !permissions::is_ones_own(holders) {
        return Err(Error::Sqlite(SqliteError::OtherOwner { path: holders.to_owned() }));
    }
    let lock = holders.join("lock");
    let mut options = private();
    #[cfg(unix)]
    {
        // Neither elsewhere, nor waiting for a reader.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits().cast_signed());
    }
    let lock = options.create(true).truncate(false).open(&lock).map_err(failed(&lock))?;
    let mut patience = Patience::new(LOCK_WAIT);
    while let Err(TryLockError::WouldBlock) = lock.try_lock() {
        if !patience.sleep() {
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
        // A link to nowhere, which SQLite then does not open.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop).map_err(failed(path)),
    }
}

/// A file's place on the disk, which a name that is moved takes along. Where files have none, their names cannot be moved
/// while they are open.
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

/// All files that those who have a database open must have in common. They are there, and stay, while one has it open.
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

    /// Refuses a database of several names: beside each of them SQLite would keep another `-wal`.
    pub(in super::super) fn check_links(path: &Path) -> Result<(), Error> {
        if fs::metadata(path).map_err(failed(path))?.nlink() > 1 {
            return Err(Error::Sqlite(SqliteError::HardLinked { path: path.to_owned() }));
        }
        Ok(())
    }

    /// Refuses what others put beside a database, or can write there: SQLite would play it back onto the database.
    pub(in super::super) fn check_sidecars(path: &Path) -> Result<(), Error> {
        let owner = fs::metadata(path).map_err(failed(path))?.uid();
        for sidecar in SIDECARS.map(|suffix| beside(path, suffix)) {
            // It comes and goes with those who have the database open.
            let Ok(found) = fs::symlink_metadata(&sidecar) else { continue };
            if found.uid() != owner || !found.is_file() {
                return Err(Error::Sqlite(SqliteError::OtherOwner { path: sidecar }));
            }
            check_mode(&sidecar, &found)?;
        }
        Ok(())
    }

    /// Whether nobody but the database's owner (and root) can put files into a folder.
    pub(in super::super) fn is_owners_alone(folder: &Path, database: &Path) -> bool {
        let (Ok(folder), Ok(database)) = (fs::symlink_metadata(folder), fs::metadata(database)) else { return false };
        let is_owned = [0, database.uid()].contains(&folder.uid());
        folder.is_dir() && is_owned && folder.mode() & OTHERS_WRITE == 0
    }

    /// Whether a folder is this user's, and nobody else can put files into it.
    pub(in super::super) fn is_ones_own(folder: &Path) -> bool {
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
    use super::{Error, Path, Risk, SqliteError};

    #[expect(clippy::unnecessary_wraps, reason = "as where files have permissions")]
    pub(in super::super) const fn check(_: &Path) -> Result<(), Error> {
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "as where files have permissions")]
    pub(in super::super) const fn check_links(_: &Path) -> Result<(), Error> {
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "as where files have permissions")]
    pub(in super::super) const fn check_sidecars(_: &Path) -> Result<(), Error> {
        Ok(())
    }

    pub(in super::super) fn is_owners_alone(folder: &Path, _: &Path) -> bool {
        folder.is_dir()
    }

    pub(in super::super) fn is_ones_own(folder: &Path) -> bool {
        folder.is_dir()
    }

    pub(in super::super) const fn risks(_: &Path) -> Vec<Risk> {
        Vec::new()
    }
}

pub(super) use permissions::{check, check_links, check_sidecars, is_owners_alone, risks};
