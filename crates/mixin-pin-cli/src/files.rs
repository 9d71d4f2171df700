//! Files: reading them up to a limit, and writing secrets to new or existing ones.
//!
//! A file with a secret is readable by its owner only, and is either complete or absent. On Linux it gets its name once it is
//! complete. Elsewhere it is written under its final name, because a temporary file would outlive a killed process.

use std::fs::{self, File, Metadata};
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use mixin_pin_protocol::answer::MAX_BODY_LEN;
use zeroize::Zeroizing;

use crate::error::{Error, FileProblem};
use crate::output;
use crate::redact::ShownPath;
use crate::system::{self, uninterrupted};

/// The longest keystore, locked or not, and the longest file with a key or passphrase. A 4096-bit RSA key needs 5 KiB.
pub(crate) const MAX_KEYSTORE: usize = 64 * 1024;
/// The longest text with a captured request: a body and what a browser or log writes around it.
pub(crate) const MAX_CAPTURE: usize = 8 * MAX_BODY_LEN;

/// Whether a keystore was read from standard input, which has nothing else then.
static STDIN_IS_KEYSTORE: AtomicBool = AtomicBool::new(false);

/// Whether a path stands for standard input.
pub(crate) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Whether standard input was read as a keystore, so that it is no terminal and has no PIN.
pub(crate) fn stdin_is_keystore() -> bool {
    STDIN_IS_KEYSTORE.load(Ordering::Relaxed)
}

/// Reads a request's body, or standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    read_at_most(path, MAX_BODY_LEN)
}

/// Reads a text of at most `limit` bytes, or standard input for `-`.
pub(crate) fn read_text(path: &Path, limit: usize) -> Result<String, Error> {
    String::from_utf8(read_at_most(path, limit)?).map_err(|_| FileProblem::NotText.at(path))
}

fn read_at_most(path: &Path, limit: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    // One byte more shows that the file is longer.
    let more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = if is_stdin(path) {
        io::stdin().lock().take(more).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(more).read_to_end(&mut bytes))
    };
    read.map_err(|cause| FileProblem::Read(cause).at(path))?;
    if bytes.len() > limit { Err(FileProblem::TooLong { limit }.at(path)) } else { Ok(bytes) }
}

/// Reads a file with a secret, and warns if others can read it. Errors call the file `name`.
pub(crate) fn read_secret(path: &Path, name: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let bytes = read_secret_quietly(path, name, limit)?;
    warn_if_exposed(path);
    Ok(bytes)
}

/// Like [`read_secret`], without the warning.
pub(crate) fn read_secret_quietly(path: &Path, name: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    read_to_limit(File::open(path), name, limit)
}

fn read_to_limit(input: io::Result<impl Read>, name: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    match input.and_then(|input| read_in_place(input, limit)) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(FileProblem::TooLong { limit }.at(name)),
        Err(cause) => Err(FileProblem::Read(cause).at(name)),
    }
}

/// Reads a keystore: a file, or standard input for `-`.
pub(crate) fn read_keystore(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let bytes = read_keystore_quietly(path)?;
    warn_if_exposed(path);
    Ok(bytes)
}

/// Like [`read_keystore`], without the warning if others can read the file.
pub(crate) fn read_keystore_quietly(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    if !is_stdin(path) {
        return read_secret_quietly(path, path, MAX_KEYSTORE);
    }
    // It would be shown as it is typed or pasted.
    if io::stdin().is_terminal() {
        return Err(FileProblem::Terminal { what: "keystore" }.at(path));
    }
    STDIN_IS_KEYSTORE.store(true, Ordering::Relaxed);
    read_to_limit(system::stdin(), path, MAX_KEYSTORE)
}

/// Reads to the end. Returns None if that is beyond the limit. The buffer has its full length from the start: a growing one
/// would leave copies in freed memory.
fn read_in_place(mut input: impl Read, limit: usize) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut bytes = Zeroizing::new(vec![0; limit + 1]);
    let mut len = 0;
    while len <= limit {
        match input.read(&mut bytes[len..]) {
            Ok(0) => {
                bytes.truncate(len);
                return Ok(Some(bytes));
            }
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Reads a file with secrets other than a keystore, or standard input for `-`. Does not warn if others can read the file.
pub(crate) fn read_secret_input(path: &Path, what: &'static str, limit: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    if !is_stdin(path) {
        return read_secret_quietly(path, path, limit);
    }
    if io::stdin().is_terminal() {
        return Err(FileProblem::Terminal { what }.at(path));
    }
    read_to_limit(system::stdin(), path, limit)
}

/// Warns if others can read or change a file.
pub(crate) fn warn_if_exposed(path: &Path) {
    if let Some(warning) = exposure(path) {
        output::warn(&warning);
    }
}

/// A warning if others can read or change a file. Standard input has no owner.
pub(crate) fn exposure(path: &Path) -> Option<String> {
    if is_stdin(path) {
        return None;
    }
    let mode = system::exposed_mode(path)?;
    let shown = ShownPath(path);
    let step = match shown.as_word() {
        Some(word) => format!("run: chmod 600 {word}"),
        None => "take their permissions away (mode 600)".to_owned(),
    };
    Some(format!("{shown} can be read or changed by others (mode {mode:03o}); {step}"))
}

/// A warning if a file has another name. The file stays as it is under that name when it is replaced under this one.
pub(crate) fn other_names(path: &Path) -> Option<String> {
    let inode = system::hard_linked(path)?;
    Some(format!(
        "{} has another name (a hard link), under which the file stays as it was; find it with: find / -xdev -inum {inode}",
        ShownPath(path)
    ))
}

/// Opens a file to append to, and makes it if it does not exist. Only its owner can read it.
pub(crate) fn append(path: &Path) -> Result<File, Error> {
    let mut options = File::options();
    options.append(true).create(true);
    system::owner_only(&mut options);
    options.open(path).map_err(|cause| FileProblem::Write(cause).at(path))
}

/// A new file with a secret. It never replaces another file.
pub(crate) struct SecretFile {
    file: Option<Unnamed>,
    path: PathBuf,
}

impl SecretFile {
    /// Creates the file in its folder early, so that errors occur now and not later.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let failed = |cause| FileProblem::Write(cause).at(path);
        if ShownPath(path).is_hidden() {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        if is_stdin(path) {
            return Err(FileProblem::Dash.at(path));
        }
        if fs::symlink_metadata(path).is_ok() {
            return Err(FileProblem::Exists.at(path));
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
        let written = uninterrupted(|| write(file, &path, text, None).map(|()| system::sync_folder(folder(&path))));
        report(written, &path, FileProblem::Exists.at(&path))
    }
}

/// A file that replaces another. Its owner stays the same where the system allows that.
pub(crate) struct Replacement {
    file: Option<Unnamed>,
    path: PathBuf,
    old: Metadata,
}

impl Replacement {
    /// Begins the new file. If the path is a link, the file behind it is replaced.
    pub(crate) fn of(path: &Path) -> Result<Self, Error> {
        let begin = || {
            let path = fs::canonicalize(path)?;
            Ok(Self { file: Unnamed::create(folder(&path))?, old: fs::metadata(&path)?, path })
        };
        begin().map_err(|cause| FileProblem::Write(cause).at(path))
    }

    /// Replaces a secret by a text without secrets, with the old file's mode. At every moment one of the two exists.
    pub(crate) fn finish_locked(self, text: &[u8]) -> Result<(), Error> {
        let Self { file, path, old } = self;
        let aside = with_suffix(&path, ".locking");
        let replaced = uninterrupted(|| {
            write(file, &aside, text, Some(&old))?;
            fs::set_permissions(&aside, old.permissions())
                .and_then(|()| fs::rename(&aside, &path))
                // The new file is useless. The first error is reported.
                .inspect_err(|_| drop(fs::remove_file(&aside)))?;
            Ok(system::sync_folder(folder(&path)))
        });
        report(replaced, &path, FileProblem::LockingLeft.at(&aside))
    }

    /// Replaces a text without secrets by a secret. No system can do that in one step without a second name for the secret. So
    /// the old file moves to another name, and is removed once the new one exists.
    pub(crate) fn finish_secret(self, text: &[u8]) -> Result<(), Error> {
        let Self { file, path, old } = self;
        let aside = with_suffix(&path, ".before-unlock");
        let replaced = uninterrupted(|| {
            if fs::symlink_metadata(&aside).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(&path, &aside)?;
            if let Err(error) = write(file, &path, text, Some(&old)) {
                fs::rename(&aside, &path)?;
                return Err(error);
            }
            let synced = system::sync_folder(folder(&path));
            fs::remove_file(&aside)?;
            Ok(synced.and_then(|()| system::sync_folder(folder(&path))))
        });
        report(replaced, &path, FileProblem::UnlockLeft.at(&aside))
    }
}

/// Whether a complete file survives a power cut under its name. Some file systems cannot sync a folder, and some folders do
/// not allow it. The file exists in any case.
type Synced = io::Result<()>;

/// Reports how the file at `path` was written; `taken` says that a name was taken. Signals wait while files are
/// written, so the warning is printed here, after that: output may be stopped.
fn report(written: io::Result<Synced>, path: &Path, taken: Error) -> Result<(), Error> {
    match written {
        Ok(Ok(())) => {}
        Ok(Err(cause)) => output::warn(&format!(
            "{} is complete, but its name may not survive a power cut now: the folder: {cause}",
            ShownPath(path)
        )),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(taken),
        Err(cause) => return Err(FileProblem::Write(cause).at(path)),
    }
    Ok(())
}

/// Gives a file another name, which no file has. If an earlier call was interrupted, completes it.
pub(crate) fn rename_new(path: &Path, to: &Path) -> Result<(), Error> {
    let failed = |cause| FileProblem::Write(cause).at(path);
    let renamed = uninterrupted(|| {
        // Unlike a rename, a link never replaces a file.
        match fs::hard_link(path, to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && !system::is_same_file(path, to) => Err(error),
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                // Some file systems have no links.
                if fs::symlink_metadata(to).is_ok() { Err(error) } else { fs::rename(path, to) }
            }
            _ => fs::remove_file(path),
        }
        .map(|()| system::sync_folder(folder(path)))
    });
    report(renamed, to, FileProblem::Exists.at(to)).map_err(|error| match error {
        Error::File { problem: FileProblem::Write(cause), .. } => failed(cause),
        error => error,
    })
}

/// Fails if the name of a file that was just written may not survive a power cut.
pub(crate) fn check_durable(path: &Path) -> Result<(), Error> {
    system::sync_folder(folder(path)).map_err(|cause| FileProblem::NotDurable(cause).at(path))
}

/// Removes a file that is not needed any more. It need not exist.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match uninterrupted(|| fs::remove_file(path)) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(FileProblem::Remove(cause).at(path)),
        _ => Ok(()),
    }
}

/// Makes the present the time at which the file was changed.
pub(crate) fn touch(path: &Path) -> Result<(), Error> {
    let touched = File::options().append(true).open(path).and_then(|file| {
        file.set_modified(SystemTime::now())?;
        file.sync_all()
    });
    touched.map_err(|cause| FileProblem::Write(cause).at(path))
}

/// How long ago the file was changed. None if that is in the future.
pub(crate) fn age(path: &Path) -> Result<Option<Duration>, Error> {
    let changed = fs::metadata(path).and_then(|metadata| metadata.modified());
    Ok(changed.map_err(|cause| FileProblem::Read(cause).at(path))?.elapsed().ok())
}

/// Locks a file until the result is dropped. Fails with `WouldBlock` while another process has locked it.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    system::try_lock(&file)?;
    Ok(file)
}

/// Whether there is anything at this path.
pub(crate) fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// The path with this at its end.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Writes a new file, with the owner of the old one.
fn write(file: Option<Unnamed>, path: &Path, text: &[u8], old: Option<&Metadata>) -> io::Result<()> {
    match file.map(|file| file.complete(path, text, old)) {
        Some(Ok(())) => return Ok(()),
        Some(Err(error)) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        // Some systems make files without names and then cannot name them.
        Some(Err(_)) | None => {}
    }
    let written = write_new(path, text).and_then(|file| copy_owner_and_sync(&file, old));
    written.inspect_err(|error| {
        if error.kind() != io::ErrorKind::AlreadyExists {
            // A part of a file is useless. The first error is reported.
            let _ = fs::remove_file(path);
        }
    })
}

/// Writes a file under its name, readable by its owner only from the first moment.
fn write_new(path: &Path, text: &[u8]) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    system::owner_only(&mut options);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    Ok(file)
}

fn copy_owner_and_sync(file: &File, old: Option<&Metadata>) -> io::Result<()> {
    if let Some(old) = old {
        system::copy_owner(file, old);
    }
    file.sync_all()
}

/// A file without a name, which disappears with its process.
struct Unnamed(File);

impl Unnamed {
    /// None if the system or the folder's file system has no such files.
    fn create(folder: &Path) -> io::Result<Option<Self>> {
        Ok(system::create_unnamed(folder)?.map(Self))
    }

    fn complete(mut self, path: &Path, text: &[u8], old: Option<&Metadata>) -> io::Result<()> {
        self.0.write_all(text)?;
        copy_owner_and_sync(&self.0, old)?;
        system::name_file(&self.0, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<PathBuf> {
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    }

    /// Tries file systems without unnamed files, with them, and with unnamed files that cannot be named in this folder.
    #[test]
    fn files_are_complete_or_absent_and_replace_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        for unnamed_in in [None, Some(folder.path()), Some(Path::new("/dev/shm")).filter(|other| other.is_dir())] {
            let unnamed = || unnamed_in.and_then(|folder| Unnamed::create(folder).unwrap());
            SecretFile { file: unnamed(), path: path.clone() }.finish(b"new").unwrap();
            let taken = SecretFile { file: unnamed(), path: path.clone() }.finish(b"other");
            assert!(matches!(taken, Err(Error::File { problem: FileProblem::Exists, .. })), "{taken:?}");
            assert_eq!(fs::read(&path).unwrap(), b"new");

            let replacement = || Replacement { file: unnamed(), ..Replacement::of(&path).unwrap() };
            replacement().finish_locked(b"locked").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"locked");
            replacement().finish_secret(b"secret").unwrap();
            assert_eq!((fs::read(&path).unwrap(), names(folder.path())), (b"secret".to_vec(), vec![path.clone()]));

            // If another file has the name that the old file would get, both stay unchanged.
            let aside = with_suffix(&path, ".before-unlock");
            fs::write(&aside, "mine").unwrap();
            assert!(
                matches!(replacement().finish_secret(b"x"), Err(Error::File { path, problem: FileProblem::UnlockLeft }) if path == aside)
            );
            assert_eq!((fs::read(&path).unwrap(), fs::read(&aside).unwrap()), (b"secret".to_vec(), b"mine".to_vec()));
            fs::remove_file(&aside).unwrap();
            fs::remove_file(&path).unwrap();
            let gone = folder.path().join("gone/a");
            let failed = SecretFile { file: unnamed(), path: gone }.finish(b"new");
            assert!(matches!(failed, Err(Error::File { problem: FileProblem::Write(_), .. })), "{failed:?}");
            assert_eq!(names(folder.path()), Vec::<PathBuf>::new());
        }
        assert!(matches!(
            SecretFile::create(&folder.path().join("gone/a")),
            Err(Error::File { problem: FileProblem::Write(_), .. })
        ));
    }
}
