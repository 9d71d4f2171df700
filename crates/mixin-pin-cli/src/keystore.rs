//! Keystore files: reading, unlocking and locking them.
//!
//! A locked keystore is a file in age's format under a passphrase; `age` and `rage` can decrypt it too.

use std::env;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor, scrypt};
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{Session, SystemRng};
use mixin_pin_protocol::keystore::{Keystore, KeystoreShape, SpendKey};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::error::{Error, FileProblem, KeystoreProblem};
use crate::files::{self, MAX_KEYSTORE, SecretFile};
use crate::output::{self, Progress};
use crate::pins;
use crate::redact::{PASSPHRASE_VARIABLE, ShownInput};

const ARMORED: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const BINARY: &[u8] = b"age-encryption.org/";

/// The highest scrypt work factor that a locked file may ask for: 10 to 20 seconds and a gigabyte. A file from elsewhere
/// could ask for hours.
const MAX_WORK: u8 = 20;

/// Reads a keystore, locked or not. Warns if others can read the file, and if it may mean something else.
pub(crate) fn read(path: &Path) -> Result<Keystore, Error> {
    let keystore = read_with_notes(path)?;
    warn_of_notes(path, &keystore);
    Ok(keystore)
}

/// Warns if a keystore may mean something else.
pub(crate) fn warn_of_notes(path: &Path, keystore: &Keystore) {
    for note in keystore.notes().iter().filter(|note| note.is_doubtful()) {
        output::warn(&format!("{}: {note}; mixin-pin doctor asks the server", ShownInput(path)));
    }
}

/// Like [`read`]; the caller shows the notes.
pub(crate) fn read_with_notes(path: &Path) -> Result<Keystore, Error> {
    parse(path, &unlocked(path, files::read_keystore(path)?)?)
}

/// Like [`read`], without a warning.
pub(crate) fn read_quietly(path: &Path) -> Result<Keystore, Error> {
    parse(path, &read_text_quietly(path)?)
}

/// Reads the text of a keystore, locked or not, without a warning.
pub(crate) fn read_text_quietly(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    unlocked(path, files::read_keystore_quietly(path)?)
}

fn unlocked(path: &Path, bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, Error> {
    Ok(unlocked_with(path, bytes, None)?.0)
}

/// Unlocks a text with this passphrase, or asks for one. Returns the passphrase of a locked text that was asked for.
fn unlocked_with(
    path: &Path,
    bytes: Zeroizing<Vec<u8>>,
    known: Option<&Passphrase>,
) -> Result<(Zeroizing<Vec<u8>>, Option<Passphrase>), Error> {
    if !is_locked(&bytes) {
        return Ok((bytes, None));
    }
    if let Some(known) = known {
        return Ok((unlock(path, &bytes, known)?, None));
    }
    let passphrase = Passphrase::ask()?;
    Ok((unlock(path, &bytes, &passphrase)?, Some(passphrase)))
}

/// The text of a keystore, and its passphrase if it is locked. Warns if others can read the file.
pub(crate) fn read_text(path: &Path) -> Result<(Zeroizing<Vec<u8>>, Option<Passphrase>), Error> {
    read_text_with(path, None)
}

/// Like [`read_text`]. If this passphrase is known, none is asked for.
pub(crate) fn read_text_with(
    path: &Path,
    known: Option<&Passphrase>,
) -> Result<(Zeroizing<Vec<u8>>, Option<Passphrase>), Error> {
    unlocked_with(path, files::read_keystore(path)?, known)
}

/// Writes a new keystore, locked with this passphrase if there is one, and reads it back.
pub(crate) fn write_new(path: &Path, text: &str, passphrase: Option<&Passphrase>) -> Result<(), Error> {
    let file = SecretFile::create(path)?;
    match passphrase {
        Some(passphrase) => file.finish(lock(path, text.as_bytes(), passphrase)?.as_bytes())?,
        None => file.finish(text.as_bytes())?,
    }
    let is_same = read_text_with(path, passphrase)?.0.ct_eq(text.as_bytes());
    if is_same.into() { Ok(()) } else { Err(FileProblem::Differs.at(path)) }
}

/// Why the keystore's spend key cannot be used. Takes the key, which no other check reads.
pub(crate) fn unusable_spend_key(keystore: &mut Keystore) -> Option<String> {
    let cause = keystore.take_spend_key()?.to_tip_key(None).err()?;
    Some(format!("the spend key cannot be used: {cause}"))
}

/// Parses the content of an unlocked keystore. `path` is named in the error.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Keystore, Error> {
    Keystore::parse(bytes).map_err(|cause| KeystoreProblem::Content(cause).at(path))
}

/// Reads a keystore and makes its session.
pub(crate) fn session(path: &Path) -> Result<Session, Error> {
    into_session(path, read(path)?)
}

/// Reads a keystore. Returns its session and its spend key.
pub(crate) fn session_and_spend_key(path: &Path) -> Result<(Session, Option<SpendKey>), Error> {
    let mut keystore = read(path)?;
    let spend_key = keystore.take_spend_key();
    Ok((into_session(path, keystore)?, spend_key))
}

/// Makes the session of a keystore. `path` is named in the error.
pub(crate) fn into_session(path: &Path, keystore: Keystore) -> Result<Session, Error> {
    let session = keystore.into_session(&mut SystemRng::new()?);
    session.map_err(|cause| KeystoreProblem::Content(cause).at(path))
}

/// Makes the session of a keystore for the use of its PIN key alone. A keystore for a remote signer has that key, too.
pub(crate) fn into_unsigned_session(path: &Path, keystore: Keystore) -> Result<Session<()>, Error> {
    if keystore.shape() != KeystoreShape::RemoteSigner {
        return Ok(into_session(path, keystore)?.map_signer(drop));
    }
    let session = keystore.into_remote_session().map_err(|cause| KeystoreProblem::Content(cause).at(path))?;
    Ok(session.replace_signer(()).0)
}

/// The length of an RSA key.
pub(crate) fn rsa_bits(key: &VerifyingKey) -> Option<usize> {
    match key {
        VerifyingKey::Rsa(key) => Some(key.bits()),
        _ => None,
    }
}

/// The passphrase of a locked keystore.
pub(crate) struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Reads the passphrase of a locked file: from the file that the environment names, or at a prompt.
    pub(crate) fn ask() -> Result<Self, Error> {
        Self::from_file().unwrap_or_else(|| pins::prompt("passphrase", |answer| Ok(Self(answer))))
    }

    /// Reads a new passphrase, twice at a prompt.
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

    /// The first line of the file that the environment names.
    fn from_file() -> Option<Result<Self, Error>> {
        let path = PathBuf::from(env::var_os(PASSPHRASE_VARIABLE)?);
        // The variable's value is not shown: it may be the passphrase itself.
        let name = PathBuf::from(format!("the file that {PASSPHRASE_VARIABLE} names"));
        let text = files::read_secret(&path, &name, MAX_KEYSTORE).and_then(|bytes| {
            let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let text = std::str::from_utf8(line).map_err(|_| FileProblem::NotText.at(&name))?;
            Ok(Self(Zeroizing::new(text.to_owned())))
        });
        Some(text)
    }

    fn to_secret(&self) -> SecretString {
        // Allocated at its exact length, so no longer copy is freed.
        SecretString::from(Box::from(self.0.as_str()))
    }
}

/// Whether these are the bytes of a locked keystore.
pub(crate) fn is_locked(bytes: &[u8]) -> bool {
    let start = bytes.trim_ascii_start();
    start.starts_with(ARMORED) || start.starts_with(BINARY)
}

/// Locks a keystore, and checks that the result unlocks again.
pub(crate) fn lock(path: &Path, text: &[u8], passphrase: &Passphrase) -> Result<String, Error> {
    let locked = encrypt(text, passphrase).map_err(|cause| FileProblem::Write(cause).at(path))?;
    if locked.len() > MAX_KEYSTORE {
        return Err(FileProblem::TooLong { limit: MAX_KEYSTORE }.at(path));
    }
    let unlocks = unlock(path, locked.as_bytes(), passphrase)?.ct_eq(text);
    if unlocks.into() { Ok(locked) } else { Err(KeystoreProblem::Passphrase.at(path)) }
}

fn encrypt(text: &[u8], passphrase: &Passphrase) -> io::Result<String> {
    let _progress = Progress::new("locking");
    let mut locked = Vec::new();
    let armor = ArmoredWriter::wrap_output(&mut locked, Format::AsciiArmor)?;
    let mut writer = Encryptor::with_user_passphrase(passphrase.to_secret()).wrap_output(armor)?;
    writer.write_all(text)?;
    writer.finish()?.finish()?;
    String::from_utf8(locked).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Unlocks a keystore. `path` is named in the error.
pub(crate) fn unlock(path: &Path, locked: &[u8], passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, Error> {
    let _progress = Progress::new("unlocking");
    let failed = |cause| {
        let problem = match cause {
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => KeystoreProblem::Passphrase,
            cause => KeystoreProblem::Unlock(cause),
        };
        problem.at(path)
    };
    let mut identity = scrypt::Identity::new(passphrase.to_secret());
    identity.set_max_work_factor(MAX_WORK);
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(locked)).map_err(failed)?;
    let mut reader = decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)).map_err(failed)?;
    // The plaintext is shorter than the locked file, so the buffer never grows and leaves no copy.
    let mut text = Zeroizing::new(Vec::with_capacity(locked.len()));
    reader.read_to_end(&mut text).map_err(|cause| failed(cause.into()))?;
    Ok(text)
}
