//! Files: read, as much of them as can be meant, and what others may do with them.

mod secret_file;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use mixin_pin_protocol::answer::MAX_BODY_LEN;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::quoted::ShownPath;

pub(crate) use secret_file::{Replacement, SecretFile};

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
    let shown = ShownPath(path);
    let step = shown
        .as_word()
        .map_or_else(|| "take their permissions away (mode 600)".to_owned(), |word| format!("run: chmod 600 {word}"));
    (mode & 0o077 != 0).then(|| format!("{shown} can be read or changed by others (mode {:03o}); {step}", mode & 0o777))
}

#[cfg(not(unix))]
pub(crate) fn exposure(_: &Path) -> Option<String> {
    None
}

/// Says that a file has other names, under which it stays as it is when another takes this one's.
#[cfg(unix)]
pub(crate) fn other_names(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;

    let file = fs::metadata(path).ok()?;
    (file.nlink() > 1).then(|| {
        format!(
            "{} has another name, a hard link, under which the file stays as it was; look for it with: find / -xdev -inum {}",
            ShownPath(path),
            file.ino()
        )
    })
}

#[cfg(not(unix))]
pub(crate) fn other_names(_: &Path) -> Option<String> {
    None
}
