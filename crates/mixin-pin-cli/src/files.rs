//! Files: read, and written so that only their owner can read them.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::quoted::ShownPath;

/// Reads a whole file, or standard input for `-`.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let result = if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    result.map_err(|cause| Error::Read { path: path.to_owned(), cause })
}

/// Reads a whole text.
pub(crate) fn read_text(path: &Path) -> Result<String, Error> {
    String::from_utf8(read(path)?).map_err(|_| Error::NotText { path: path.to_owned() })
}

/// Reads a whole file that nobody else should read.
pub(crate) fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    read_secret_as(path, path)
}

/// The same, and calls it `name` where that fails.
pub(crate) fn read_secret_as(path: &Path, name: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    fs::read(path).map(Zeroizing::new).map_err(|cause| Error::Read { path: name.to_owned(), cause })
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
