//! Spend keys: the private half of a TIP PIN, as keystores and people hold it.

use std::fmt;

use mixin_pin_core::Ed25519PublicKey;
use mixin_pin_core::tip::TipKey;
use zeroize::Zeroizing;

use crate::Error;

/// A spend key as people hold it: text whose 32 bytes may be a seed or a raw scalar.
///
/// # Security
/// Zeroized on drop, never printed.
pub struct SpendKey {
    text: Zeroizing<String>,
    is_scalar: bool,
}

impl SpendKey {
    /// Takes a key in hex or base64, to be read in [`SpendKey::to_tip_key`].
    pub const fn new(text: Zeroizing<String>) -> Self {
        Self { text, is_scalar: false }
    }

    /// One that a keystore holds, and says whether it is a scalar.
    pub(super) const fn of_keystore(text: Zeroizing<String>, is_scalar: bool) -> Self {
        Self { text, is_scalar }
    }

    /// Reads the key: in whichever way gives the expected public key, the `tip_key_base64` of `GET /me`, or without one
    /// as the keystore says, a seed by default.
    ///
    /// ```
    /// use mixin_pin_protocol::{Error, core::tip::TipKey, keystore::SpendKey};
    ///
    /// let scalar = TipKey::from_scalar(&[0x42; 32])?;
    /// let key = SpendKey::new("42".repeat(32).into());
    /// assert_eq!(key.to_tip_key(Some(scalar.public_key()))?.public_key(), scalar.public_key());
    /// assert_ne!(key.to_tip_key(None)?.public_key(), scalar.public_key());
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Core`] when it is no key, or not that of the expected public key.
    pub fn to_tip_key(&self, expected: Option<&Ed25519PublicKey>) -> Result<TipKey, Error> {
        let text = self.text.trim();
        Ok(match expected {
            Some(expected) => TipKey::text_matching(text, expected)?,
            None if self.is_scalar => TipKey::scalar_from_text(text)?,
            None => TipKey::from_text(text)?,
        })
    }
}

impl fmt::Debug for SpendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpendKey").finish_non_exhaustive()
    }
}
