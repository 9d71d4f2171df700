//! Files: keystores read and written, bodies and texts read.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use mixin_pin_core::{Session, SystemRng};
use mixin_pin_protocol::keystore::{Keystore, SpendKey};
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::output;

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

/// Reads a keystore, and warns when others may read it too.
pub(crate) fn keystore(path: &Path) -> Result<Keystore, Error> {
    let bytes = Zeroizing::new(fs::read(path).map_err(|cause| Error::Read { path: path.to_owned(), cause })?);
    if let Some(warning) = exposure(path) {
        output::warn(&warning);
    }
    Keystore::parse(&bytes).map_err(|cause| Error::Keystore { path: path.to_owned(), cause })
}

/// Reads a keystore and makes its session.
pub(crate) fn session(path: &Path) -> Result<Session, Error> {
    session_and_spend_key(path).map(|(session, _)| session)
}

/// Reads a keystore, and makes its session and finds its spend key.
pub(crate) fn session_and_spend_key(path: &Path) -> Result<(Session, Option<SpendKey>), Error> {
    let mut keystore = keystore(path)?;
    let spend_key = keystore.take_spend_key();
    Ok((open(path, keystore)?, spend_key))
}

/// Makes the session of a keystore that was read from `path`.
pub(crate) fn open(path: &Path, keystore: Keystore) -> Result<Session, Error> {
    let session = keystore.into_session(&mut SystemRng::new()?);
    session.map_err(|cause| Error::Keystore { path: path.to_owned(), cause })
}

/// Says who else may read a file.
#[cfg(unix)]
pub(crate) fn exposure(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| {
        format!("{0} can be read or changed by others (mode {1:03o}); run: chmod 600 {0}", path.display(), mode & 0o777)
    })
}

#[cfg(not(unix))]
pub(crate) fn exposure(_: &Path) -> Option<String> {
    None
}

/// A file for secrets that is being made: only its owner may read it, and it takes its name when it is complete.
pub(crate) struct SecretFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl SecretFile {
    /// Begins the file beside its later place, so that all that could fail later fails now.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(Error::Exists { path: path.to_owned() });
        }
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        // A temporary file has mode 0600 from its first moment.
        let file = NamedTempFile::new_in(folder).map_err(|cause| Error::Write { path: path.to_owned(), cause })?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Writes the text and gives the file its name, never over another.
    pub(crate) fn finish(mut self, text: &str) -> Result<(), Error> {
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.as_file().sync_all());
        written.map_err(|cause| Error::Write { path: self.path.clone(), cause })?;
        match self.file.persist_noclobber(&self.path) {
            Ok(_) => Ok(()),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(Error::Exists { path: self.path }),
            Err(error) => Err(Error::Write { path: self.path, cause: error.error }),
        }
    }
}
