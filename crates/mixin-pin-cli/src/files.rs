//! Files: read, as much of them as can be meant, and written so that only their owner can read them.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use mixin_pin_protocol::answer::MAX_BODY_LEN;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::quoted::ShownPath;

/// The longest keystore, locked or not, and the longest file with a key or a passphrase. An RSA key of 4096 bits needs 5 KiB.
pub(crate) const MAX_KEYSTORE: usize = 64 * 1024;
/// The longest text with a captured request: a body and all that a browser or a log writes around it.
pub(crate) const MAX_CAPTURE: usize = 8 * MAX_BODY_LEN;
/// The longest list of accounts: ten thousand and their names.
const MAX_SECRET: usize = 4 * MAX_BODY_LEN;

/// Reads a request's body, or standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    read_at_most(path, MAX_BODY_LEN)
}

/// Reads a text of at most this length, or standard input for `-`.
pub(crate) fn read_text(path: &Path, limit: usize) -> Result<String, Error> {
    String::from_utf8(read_at_most(path, limit)?).map_err(|_| Error::NotText { path: path.to_owned() })
}

fn read_at_most(path: &Path, limit: usize) -> Result<Vec<u8>, Error> {
    let failed = |cause| Error::Read { path: path.to_owned(), cause };
    let mut bytes = Vec::new();
    // One more, to see that there is more.
    let more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    if path == Path::new("-") {
        io::stdin().lock().take(more).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        File::open(path).and_then(|file| file.take(more).read_to_end(&mut bytes)).map_err(failed)?;
    }
    if bytes.len() > limit { Err(Error::TooLong { path: path.to_owned(), limit }) } else { Ok(bytes) }
}

/// Reads a whole file that nobody else should read.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    read_secret_at_most(path, path, MAX_SECRET)
}

/// Reads a keystore, a key or a passphrase.
pub(crate) fn read_keystore(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    read_secret_at_most(path, path, MAX_KEYSTORE)
}

/// Reads a file that nobody else should read, and calls it `name` where that fails.
pub(crate) fn read_secret_at_most(path: &Path, name: &Path, limit: usize) -> Result<Zeroizing<Vec<u8>>, Error> {
    let bytes = File::open(path).and_then(|file| read_in_place(file, limit));
    match bytes {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(Error::TooLong { path: name.to_owned(), limit }),
        Err(cause) => Err(Error::Read { path: name.to_owned(), cause }),
    }
}

/// Reads to the end, or None where that is beyond the limit. The buffer has its full length from the start: one that grew
/// would leave what it held in memory that is given back.
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

/// A limit in words.
pub(crate) fn size(limit: usize) -> String {
    const KIB: usize = 1024;
    const MIB: usize = 1024 * KIB;
    if limit.is_multiple_of(MIB) { format!("{} MiB", limit / MIB) } else { format!("{} KiB", limit / KIB) }
}

/// Says who else may read a file.
#[cfg(unix)]
pub(crate) fn exposure(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = fs::metadata(path).ok()?.permissions().mode();
    let path = ShownPath(path);
    (mode & 0o077 != 0)
        .then(|| format!("{path} can be read or changed by others (mode {:03o}); run: chmod 600 {path}", mode & 0o777))
}

#[cfg(not(unix))]
pub(crate) fn exposure(_: &Path) -> Option<String> {
    None
}

/// A file for secrets that is being made: only its owner may read it, and it takes its name when it is complete.
pub(crate) struct SecretFile {
    file: NamedTempFile,
    path: PathBuf,
    replaces: bool,
}

impl SecretFile {
    /// Begins the file beside its later place, so that all that could fail later fails now.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        if ShownPath(path).has_hidden_name() {
            return Err(Error::Write { path: path.to_owned(), cause: io::ErrorKind::InvalidInput.into() });
        }
        if fs::symlink_metadata(path).is_ok() {
            return Err(Error::Exists { path: path.to_owned() });
        }
        Self::begin(path.to_owned(), false)
    }

    /// Begins a file that takes another's place at once, or leaves it as it is.
    pub(crate) fn replace(path: &Path) -> Result<Self, Error> {
        // Where the name is a link, it is the file behind it that is replaced.
        let path = fs::canonicalize(path).map_err(|cause| Error::Write { path: path.to_owned(), cause })?;
        Self::begin(path, true)
    }

    fn begin(path: PathBuf, replaces: bool) -> Result<Self, Error> {
        // A temporary file has mode 0600 from its first moment.
        match NamedTempFile::new_in(folder(&path)) {
            Ok(file) => Ok(Self { file, path, replaces }),
            Err(cause) => Err(Error::Write { path, cause }),
        }
    }

    /// Writes the text and gives the file its name, never over another but the one that it replaces.
    pub(crate) fn finish(mut self, text: &[u8]) -> Result<(), Error> {
        let written = self.file.write_all(text).and_then(|()| self.file.as_file().sync_all());
        written.map_err(|cause| Error::Write { path: self.path.clone(), cause })?;
        let named = if self.replaces { self.file.persist(&self.path) } else { self.file.persist_noclobber(&self.path) };
        match named {
            Ok(_) => sync_folder(&self.path),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Exists { path: self.path }),
            Err(error) => Err(Error::Write { path: self.path, cause: error.error }),
        }
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
fn sync_folder(path: &Path) -> Result<(), Error> {
    let synced = fs::File::open(folder(path)).and_then(|folder| folder.sync_all());
    synced.map_err(|cause| Error::Write { path: path.to_owned(), cause })
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> Result<(), Error> {
    Ok(())
}
