//! Files with a TIP key: a seed in hex.

use std::path::Path;

use base16ct::lower::encode_string;
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, SystemRng};
use mixin_pin_protocol::keystore::SpendKey;
use zeroize::Zeroizing;

use crate::error::{Error, FileProblem};
use crate::files::{self, MAX_KEYSTORE, SecretFile};
use crate::pins;

/// A file with a TIP key.
pub(crate) struct KeyFile<'p> {
    pub(crate) path: &'p Path,
    /// The name of the key in messages.
    pub(crate) which: &'static str,
}

impl KeyFile<'_> {
    /// Reads the key. `expected` tells a seed from a scalar.
    pub(crate) fn read(&self, expected: Option<&Ed25519PublicKey>) -> Result<TipKey, Error> {
        let Self { path, which } = *self;
        let bytes = files::read_secret(path, path, MAX_KEYSTORE)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| FileProblem::NotText.at(path))?;
        pins::tip_key(&SpendKey::new(Zeroizing::new(text.to_owned())), expected, which)
    }

    /// Reads the key. If the text is that of the installed key as a scalar, it is the scalar.
    pub(crate) fn read_matching(&self, installed: Option<&Ed25519PublicKey>) -> Result<TipKey, Error> {
        if installed.is_none() { self.read(None) } else { self.read(installed).or_else(|_| self.read(None)) }
    }

    /// Reads the key, or makes one and writes it if there is no file.
    pub(crate) fn read_or_create(&self) -> Result<TipKey, Error> {
        if files::is_there(self.path) { self.read(None) } else { self.create() }
    }

    /// Makes a key, writes it to a new file, and reads it back.
    pub(crate) fn create(&self) -> Result<TipKey, Error> {
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
