//! Files for secrets, being made: their owner's alone, complete or not there, and in no other place on the way.
//!
//! A temporary file would outlive a process that is killed. Where the system can, a file has no name until it is complete;
//! elsewhere it is written at its end, under its name.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::interrupt::uninterrupted;
use crate::output;
use crate::quoted::ShownPath;

/// A new file that only its owner may read. It takes its name when it is complete, and never another file's.
pub(crate) struct SecretFile {
    file: Option<Unnamed>,
    path: PathBuf,
}

impl SecretFile {
    /// Begins the file in its later folder, so that all that could fail later fails now.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let failed = |cause| Error::Write { path: path.to_owned(), cause };
        if ShownPath(path).is_hidden() {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        if fs::symlink_metadata(path).is_ok() {
            return Err(Error::Exists { path: path.to_owned() });
        }
        let file = Unnamed::create(folder(path)).map_err(failed)?;
        if file.is_none() {
            uninterrupted(|| write_new(path, b"").and_then(|_| fs::remove_file(path))).map_err(failed)?;
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// Writes the text and gives the file its name.
    pub(crate) fn finish(self, text: &[u8]) -> Result<(), Error> {
        let Self { file, path } = self;
        match uninterrupted(|| put(file, &path, text, None).map(|()| sync_folder(&path))) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Exists { path }),
            written => written.map(|synced| warn_of(&path, synced)).map_err(|cause| Error::Write { path, cause }),
        }
    }
}

/// A file that takes another's place, or leaves it as it is. The file's owner stays the same where the system lets it.
pub(crate) struct Replacement {
    file: Option<Unnamed>,
    path: PathBuf,
    old: fs::Metadata,
}

impl Replacement {
    /// Begins a file for the place of another. Where the name is a link, it is the file behind it that is replaced.
    pub(crate) fn of(path: &Path) -> Result<Self, Error> {
        let begin = || {
            let path = fs::canonicalize(path)?;
            Ok(Self { file: Unnamed::create(folder(&path))?, old: fs::metadata(&path)?, path })
        };
        begin().map_err(|cause| Error::Write { path: path.to_owned(), cause })
    }

    /// Puts what is no secret in the place of what was one, with the old file's mode: at every moment one of the two is there.
    pub(crate) fn finish_locked(self, text: &[u8]) -> Result<(), Error> {
        let Self { file, path, old } = self;
        let aside = with_end(&path, ".locking");
        let replaced = uninterrupted(|| {
            put(file, &aside, text, Some(&old))?;
            fs::set_permissions(&aside, old.permissions())
                .and_then(|()| fs::rename(&aside, &path))
                // What is there is of no use, and the first error is the one to tell.
                .inspect_err(|_| drop(fs::remove_file(&aside)))?;
            Ok(sync_folder(&path))
        });
        told(replaced, path, aside)
    }

    /// Puts a secret in the place of what was none. No system can do that at once without a second name for the secret: so the
    /// old file steps aside under another name, and goes when the new one is there.
    pub(crate) fn finish_secret(self, text: &[u8]) -> Result<(), Error> {
        let Self { file, path, old } = self;
        let aside = with_end(&path, ".before-unlock");
        let replaced = uninterrupted(|| {
            if fs::symlink_metadata(&aside).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(&path, &aside)?;
            if let Err(error) = put(file, &path, text, Some(&old)) {
                fs::rename(&aside, &path)?;
                return Err(error);
            }
            let synced = sync_folder(&path);
            fs::remove_file(&aside)?;
            Ok(synced.and_then(|()| sync_folder(&path)))
        });
        told(replaced, path, aside)
    }
}

/// What became of a file whose place was to be taken by way of another name.
fn told(replaced: io::Result<Synced>, path: PathBuf, aside: PathBuf) -> Result<(), Error> {
    match replaced {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Exists { path: aside }),
        replaced => replaced.map(|synced| warn_of(&path, synced)).map_err(|cause| Error::Write { path, cause }),
    }
}

/// Whether a file that is complete under its name outlasts a power cut. Not every file system can see to that, and not every
/// folder lets it be asked for: then the file is there all the same.
type Synced = io::Result<()>;

/// Not while signals wait, since output may be stopped.
fn warn_of(path: &Path, synced: Synced) {
    if let Err(cause) = synced {
        let path = ShownPath(path);
        output::warn(&format!("{path} is complete, but its name may not outlast a power cut now: the folder: {cause}"));
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(end);
    path.into()
}

/// Writes all of a file that is not there yet, for the owner of the old one.
fn put(file: Option<Unnamed>, path: &Path, text: &[u8], old: Option<&fs::Metadata>) -> io::Result<()> {
    match file.map(|file| file.complete(path, text, old)) {
        Some(Ok(())) => return Ok(()),
        Some(Err(error)) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Some systems make such files and give them no names.
        Some(Err(_)) | None => {}
    }
    let written = write_new(path, text).and_then(|file| {
        give(&file, old);
        file.sync_all()
    });
    written.inspect_err(|error| {
        if error.kind() != io::ErrorKind::AlreadyExists {
            // A part is of no use, and the first error is the one to tell.
            let _ = fs::remove_file(path);
        }
    })
}

/// Writes a file under its name, its owner's alone from its first moment.
fn write_new(path: &Path, text: &[u8]) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    Ok(file)
}

/// Gives a file to the owner of another.
#[cfg(unix)]
fn give(file: &File, old: Option<&fs::Metadata>) {
    use std::os::unix::fs::{MetadataExt as _, fchown};

    if let Some(old) = old {
        // Only the system's administrator may give to others; to everybody else the file belongs already, or stays theirs.
        let _ = fchown(file, Some(old.uid()), Some(old.gid()));
    }
}

#[cfg(not(unix))]
fn give(_: &File, _: Option<&fs::Metadata>) {}

/// A file without a name, which is gone with its process.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there are none elsewhere"))]
struct Unnamed(File);

#[cfg(target_os = "linux")]
impl Unnamed {
    /// None where the system or the folder's file system has no such files.
    fn create(folder: &Path) -> io::Result<Option<Self>> {
        use rustix::fs::{Mode, OFlags, open};
        use rustix::io::Errno;

        // By this name, and no other, a file without one gets one.
        if !Path::new("/proc/self/fd").is_dir() {
            return Ok(None);
        }
        match open(folder, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR) {
            Ok(file) => Ok(Some(Self(file.into()))),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn name(&self, path: &Path) -> io::Result<()> {
        use std::os::fd::AsRawFd as _;

        use rustix::fs::{AtFlags, CWD, linkat};

        let file = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        Ok(linkat(CWD, file, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
    }
}

#[cfg(not(target_os = "linux"))]
impl Unnamed {
    fn create(_: &Path) -> io::Result<Option<Self>> {
        Ok(None)
    }

    fn name(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Unnamed {
    fn complete(mut self, path: &Path, text: &[u8], old: Option<&fs::Metadata>) -> io::Result<()> {
        self.0.write_all(text)?;
        give(&self.0, old);
        self.0.sync_all()?;
        self.name(path)
    }
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Sees to it that a new name outlasts a power cut.
#[cfg(unix)]
fn sync_folder(path: &Path) -> Synced {
    File::open(folder(path)).and_then(|folder| folder.sync_all())
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<PathBuf> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }

    /// As on a file system without unnamed files, on one with them, and on one where they get no name in this folder.
    #[test]
    fn files_are_complete_or_not_there_and_never_take_a_place_that_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for unnamed_in in [None, Some(folder.path()), Some(Path::new("/dev/shm")).filter(|other| other.is_dir())] {
            let unnamed = || unnamed_in.and_then(|folder| Unnamed::create(folder).unwrap());
            SecretFile { file: unnamed(), path: path.clone() }.finish(b"new").unwrap();
            let taken = SecretFile { file: unnamed(), path: path.clone() }.finish(b"other");
            assert!(matches!(taken, Err(Error::Exists { .. })), "{taken:?}");
            assert_eq!(fs::read(&path).unwrap(), b"new");

            let replacement = || Replacement { file: unnamed(), ..Replacement::of(&path).unwrap() };
            replacement().finish_locked(b"locked").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"locked");
            replacement().finish_secret(b"secret").unwrap();
            assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"secret".to_vec(), vec![path.clone()]));

            // What stands where the old file would step to is left alone, and so is the old file.
            let aside = with_end(&path, ".before-unlock");
            fs::write(&aside, "mine").unwrap();
            assert!(matches!(replacement().finish_secret(b"x"), Err(Error::Exists { path }) if path == aside));
            assert_eq!((fs::read(&path).unwrap(), fs::read(&aside).unwrap()), (b"secret".to_vec(), b"mine".to_vec()));
            fs::remove_file(&aside).unwrap();
            fs::remove_file(&path).unwrap();
            let gone = folder.path().join("gone/a");
            let failed = SecretFile { file: unnamed(), path: gone }.finish(b"new");
            assert!(matches!(failed, Err(Error::Write { .. })), "{failed:?}");
            assert_eq!(names(folder.path()), Vec::<PathBuf>::new());
        }
        assert!(matches!(SecretFile::create(&folder.path().join("gone/a")), Err(Error::Write { .. })));
    }
}
