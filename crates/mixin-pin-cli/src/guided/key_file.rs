//! Files with a TIP key: a seed in hex.

use std::path::Path;

use base16ct::lower::encode_string;
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, SystemRng};
use mixin_pin_protocol::keystore::SpendKey;
use zeroize::Zeroizing;

use crate::error::{Error, FileProblem};
use crate::files::{self, MAX_KEYSTORE, SecretFile};
use crate::output::Output;
use crate::redact::ShownPath;

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
        let Self { path, option } = *self;
        let bytes = files::read_secret(path, path, MAX_KEYSTORE)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| FileProblem::NotText.at(path))?;
        let key = SpendKey::new(Zeroizing::new(text.to_owned()));
        key.to_tip_key(expected).map_err(|cause| FileProblem::Key { option, cause }.at(path))
    }

    /// Reads the key. If the text is that of the installed key as a scalar, it is the scalar.
    pub(crate) fn read_matching(&self, installed: Option<&Ed25519PublicKey>) -> Result<TipKey, Error> {
        if installed.is_none() { self.read(None) } else { self.read(installed).or_else(|_| self.read(None)) }
    }

    /// Fails if there is a file without a usable key, or none and no key may be made.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if files::is_there(self.path) { self.read(None).map(drop) } else { self.refuse_replaced() }
    }

    /// Fails if the key of this name was replaced: another one in its place would be taken for it.
    fn refuse_replaced(&self) -> Result<(), Error> {
        let is_replaced = files::is_there(&files::with_suffix(self.path, REPLACED));
        if is_replaced { Err(FileProblem::KeyReplaced.at(self.path)) } else { Ok(()) }
    }

    /// Reads the key, or makes one if there is no file. Returns whether it made one.
    pub(crate) fn read_or_make(&self, output: &Output) -> Result<(TipKey, bool), Error> {
        if files::is_there(self.path) { Ok((self.read(None)?, false)) } else { Ok((self.make(output)?, true)) }
    }

    /// Makes a key, and says so.
    pub(crate) fn make(&self, output: &Output) -> Result<TipKey, Error> {
        let key = self.create()?;
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
