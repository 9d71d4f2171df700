//! Keystore files locked under a passphrase: age's format, which `age` and `rage` open too.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor, scrypt};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::environment::PASSPHRASE_FILE;
use crate::error::Error;
use crate::files::{self, MAX_KEYSTORE};
use crate::{output, pins};

const ARMORED: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const BINARY: &[u8] = b"age-encryption.org/";

/// The most work that a locked file may ask for, some 10 to 20 seconds and a gigabyte: a file from elsewhere might ask for
/// hours.
const MAX_WORK: u8 = 20;

/// What a file is locked under.
pub(crate) struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Asks for the passphrase of a file that is locked.
    pub(crate) fn ask() -> Result<Self, Error> {
        Self::from_file().unwrap_or_else(|| pins::prompt("passphrase", |answer| Ok(Self(answer))))
    }

    /// Asks for the passphrase that a file is to be locked under, twice at a prompt.
    pub(crate) fn ask_new() -> Result<Self, Error> {
        let passphrase = Self::from_file().unwrap_or_else(|| {
            let first = pins::prompt("new passphrase", |answer| {
                if answer.is_empty() { Err(Error::PassphraseEmpty) } else { Ok(answer) }
            })?;
            pins::prompt("new passphrase again", |again| {
                let is_same = first.as_bytes().ct_eq(again.as_bytes());
                if is_same.into() { Ok(Self(first)) } else { Err(Error::PassphrasesDiffer) }
            })
        })?;
        if passphrase.0.is_empty() { Err(Error::PassphraseEmpty) } else { Ok(passphrase) }
    }

    /// The first line of the file that the environment names, if it names one.
    fn from_file() -> Option<Result<Self, Error>> {
        let path = PathBuf::from(env::var_os(PASSPHRASE_FILE)?);
        // The variable's value is not shown: it may be the passphrase itself.
        let name = PathBuf::from(format!("the file that {PASSPHRASE_FILE} names"));
        if let Some(warning) = files::exposure(&path) {
            output::warn(&warning);
        }
        let text = files::read_secret_at_most(&path, &name, MAX_KEYSTORE).and_then(|bytes| {
            let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let text = std::str::from_utf8(line).map_err(|_| Error::NotText { path: name.clone() })?;
            Ok(Self(Zeroizing::new(text.to_owned())))
        });
        Some(text)
    }

    fn to_secret(&self) -> SecretString {
        // As long as it is, so that no longer copy is given back.
        SecretString::from(Box::from(self.0.as_str()))
    }
}

/// Whether a file is a locked one.
pub(crate) fn is_locked(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    start.starts_with(ARMORED) || start.starts_with(BINARY)
}

/// Locks a text: an armoured age file.
pub(crate) fn lock(text: &[u8], passphrase: &Passphrase) -> io::Result<String> {
    let _slow = output::Slow::new("locking");
    let mut locked = Vec::new();
    let armor = ArmoredWriter::wrap_output(&mut locked, Format::AsciiArmor)?;
    let mut writer = Encryptor::with_user_passphrase(passphrase.to_secret()).wrap_output(armor)?;
    writer.write_all(text)?;
    writer.finish()?.finish()?;
    String::from_utf8(locked).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Opens the locked file that was read from `path`.
pub(crate) fn open(path: &Path, locked: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, Error> {
    let _slow = output::Slow::new("unlocking");
    let failed = |cause| match cause {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
            Error::Passphrase { path: path.to_owned() }
        }
        cause => Error::Unlock { path: path.to_owned(), cause },
    };
    let mut identity = scrypt::Identity::new(passphrase.to_secret());
    identity.set_max_work_factor(MAX_WORK);
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(locked)).map_err(failed)?;
    let mut reader = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).map_err(failed)?;
    // A text is shorter than what it is locked into, so it is never moved as it is read.
    let mut text = Zeroizing::new(Vec::with_capacity(locked.len()));
    reader.read_to_end(&mut text).map_err(|cause| failed(cause.into()))?;
    Ok(text)
}
