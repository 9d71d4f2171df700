//! Keystores: read, locked or not, what they are, and the sessions made of them.

use std::path::Path;

use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Session, SystemRng};
use mixin_pin_protocol::keystore::{Keystore, KeystoreShape, SpendKey};

use crate::error::Error;
use crate::lock::{self, Passphrase};
use crate::{files, output};

/// Reads a keystore, locked or not, and warns when others may read it too.
pub(crate) fn read(path: &Path) -> Result<Keystore, Error> {
    let keystore = read_unwarned(path);
    if let Some(warning) = files::exposure(path) {
        output::warn(&warning);
    }
    keystore
}

/// Reads a keystore, locked or not.
pub(crate) fn read_unwarned(path: &Path) -> Result<Keystore, Error> {
    let mut bytes = files::read_keystore(path)?;
    if lock::is_locked(&bytes) {
        bytes = lock::open(path, &bytes, &Passphrase::ask()?)?;
    }
    parse(path, &bytes)
}

/// Reads the keystore that stood in `path`.
pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Keystore, Error> {
    Keystore::parse(bytes).map_err(|cause| Error::Keystore { path: path.to_owned(), cause })
}

/// Reads a keystore and makes its session.
pub(crate) fn session(path: &Path) -> Result<Session, Error> {
    session_and_spend_key(path).map(|(session, _)| session)
}

/// Reads a keystore, and makes its session and finds its spend key.
pub(crate) fn session_and_spend_key(path: &Path) -> Result<(Session, Option<SpendKey>), Error> {
    let mut keystore = read(path)?;
    let spend_key = keystore.take_spend_key();
    Ok((open(path, keystore)?, spend_key))
}

/// Makes the session of a keystore that was read from `path`.
pub(crate) fn open(path: &Path, keystore: Keystore) -> Result<Session, Error> {
    let session = keystore.into_session(&mut SystemRng::new()?);
    session.map_err(|cause| Error::Keystore { path: path.to_owned(), cause })
}

/// What a keystore is, for a report on it, before its session is made of it.
pub(crate) struct Facts {
    pub(crate) shape: KeystoreShape,
    pub(crate) user_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) public_key: VerifyingKey,
    pub(crate) also_holds: Vec<&'static str>,
}

impl Facts {
    pub(crate) fn of(keystore: &Keystore) -> Self {
        Self {
            shape: keystore.shape(),
            user_id: keystore.user_id(),
            session_id: keystore.session_id(),
            public_key: keystore.public_key(),
            also_holds: keystore.further_secrets().to_vec(),
        }
    }

    /// An OAuth authorization has no PIN of its own.
    pub(crate) fn is_oauth(&self) -> bool {
        self.shape == KeystoreShape::OAuth
    }

    /// Whether the file holds the PIN beside the key.
    pub(crate) fn holds_pin(&self) -> bool {
        self.also_holds.contains(&"pin")
    }

    /// The length of an RSA key.
    pub(crate) fn rsa_bits(&self) -> Option<usize> {
        match &self.public_key {
            VerifyingKey::Rsa(key) => Some(key.bits()),
            _ => None,
        }
    }
}
