//! Files with a TIP key: a seed in hex.

use std::fs;
use std::path::{Path, PathBuf};

use base16ct::lower::encode_string;
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, SystemRng};
use mixin_pin_protocol::keystore::SpendKey;
use zeroize::Zeroizing;

use crate::error::{Error, FileProblem};
use crate::files::{self, MAX_KEYSTORE, SecretFile};
use crate::output::Output;
use crate::redact::ShownPath;
use crate::system;

/// The end of the name of a file whose key was replaced.
pub(crate) const REPLACED: &str = ".replaced";

/// A file with a TIP key.
pub(crate) struct KeyFile<'p> {
    pub(crate) path: &'p Path,
    /// The option that names it.
    pub(crate) option: &'static str,
}

impl KeyFile<'_> {
    /// Reads the key. `expected` tells a seed from a scalar.
    pub(crate) fn read(&self, expected: Option<&Ed25519PublicKey>) -> Result<TipKey, Error> {
        self.key_of(&self.text()?, expected)
    }

    /// Reads the text. What is not a regular file may give it once only.
    pub(crate) fn text(&self) -> Result<SpendKey, Error> {
        let bytes = files::read_secret(self.path, self.path, MAX_KEYSTORE)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| FileProblem::NotText.at(self.path))?;
        Ok(SpendKey::new(Zeroizing::new(text.to_owned())))
    }

    /// The key of the file's text.
    pub(crate) fn key_of(&self, text: &SpendKey, expected: Option<&Ed25519PublicKey>) -> Result<TipKey, Error> {
        let option = self.option;
        text.to_tip_key(expected).map_err(|cause| FileProblem::Key { option, cause }.at(self.path))
    }

    /// Reads the key. If the text is that of the installed key as a scalar, it is the scalar.
    pub(crate) fn read_matching(&self, installed: Option<&Ed25519PublicKey>) -> Result<TipKey, Error> {
        if installed.is_none() { self.read(None) } else { self.read(installed).or_else(|_| self.read(None)) }
    }

    /// Fails if there is a file without a usable key, or none and no key may be made.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if files::is_there(self.path) { self.read_own().map(drop) } else { self.refuse_replaced() }
    }

    /// Reads a key that is to be installed. Fails if another user may have put it there, who would know it.
    fn read_own(&self) -> Result<TipKey, Error> {
        if system::is_of_others(self.path) { Err(FileProblem::OfOthers.at(self.path)) } else { self.read(None) }
    }

    /// Fails if the file is one of the others, also under another name. `others` has the names for messages.
    pub(crate) fn refuse_shared(&self, others: &[(&'static str, &Path)]) -> Result<(), Error> {
        let ours = resolved(self.path);
        let is_same = |path: &Path| ours == path || system::is_same_file(&ours, path);
        match others.iter().find(|(_, path)| !files::is_stdin(path) && is_same(&resolved(path))) {
            Some(&(other, _)) => Err(FileProblem::Shared { option: self.option, other }.at(self.path)),
            None => Ok(()),
        }
    }

    /// Fails if the key of this name was replaced: another one in its place would be taken for it.
    fn refuse_replaced(&self) -> Result<(), Error> {
        let is_replaced = files::is_there(&files::with_suffix(self.path, REPLACED));
        if is_replaced { Err(FileProblem::KeyReplaced.at(self.path)) } else { Ok(()) }
    }

    /// Reads the key, or makes one if there is no file. Returns whether it made one.
    pub(crate) fn read_or_make(&self, output: &Output) -> Result<(TipKey, bool), Error> {
        if files::is_there(self.path) { Ok((self.read_own()?, false)) } else { Ok((self.make(output)?, true)) }
    }

    /// Makes a key, and says so.
    pub(crate) fn make(&self, output: &Output) -> Result<TipKey, Error> {
        let key = self.create()?;
        files::check_durable(self.path)?;
        output.progress(|| format!("made {}", ShownPath(self.path)))?;
        Ok(key)
    }

    /// Makes a key, writes it to a new file, and reads it back.
    pub(crate) fn create(&self) -> Result<TipKey, Error> {
        self.refuse_replaced()?;
        let file = SecretFile::create(self.path)?;
        let (key, seed) = TipKey::generate(&mut SystemRng::new()?);
        let mut text = Zeroizing::new(String::with_capacity(2 * seed.len() + 1));
        text.push_str(&Zeroizing::new(encode_string(seed.as_ref())));
        text.push('\n');
        file.finish(text.as_bytes())?;
        let read = self.read(None)?;
        if read.public_key() == key.public_key() { Ok(read) } else { Err(FileProblem::Differs.at(self.path)) }
    }
}

/// The path without links, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let folder = || match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) => {
            let folder = if folder == Path::new("") { Path::new(".") } else { folder };
            Some(fs::canonicalize(folder).ok()?.join(name))
        }
        _ => None,
    };
    fs::canonicalize(path).ok().or_else(folder).unwrap_or_else(|| path.to_owned())
}
