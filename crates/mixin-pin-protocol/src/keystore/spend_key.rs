//! Spend keys: the private key of a TIP PIN, as text.

use std::fmt;

use base16ct::lower::encode_string;
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, Error};
use zeroize::Zeroizing;

use super::key::decode_secret;
use super::text::clean;

/// A spend key as text. Its 32 bytes may be a seed or a raw scalar.
///
/// # Security
/// Zeroized on drop, never printed.
pub struct SpendKey {
    /// The field of the keystore.
    field: &'static str,
    text: Zeroizing<String>,
    is_scalar: bool,
}

impl SpendKey {
    /// A key in hex or base64. [`SpendKey::to_tip_key`] reads it.
    pub const fn new(text: Zeroizing<String>) -> Self {
        Self { field: "spend_key", text, is_scalar: false }
    }

    /// A key from a keystore, which says whether it is a scalar.
    pub(super) const fn of_keystore(field: &'static str, text: Zeroizing<String>, is_scalar: bool) -> Self {
        Self { field, text, is_scalar }
    }

    pub(super) const fn field(&self) -> &'static str {
        self.field
    }

    pub(super) const fn is_scalar(&self) -> bool {
        self.is_scalar
    }

    /// The seed or the scalar in hex, and None for a text that is no key.
    pub(super) fn to_hex(&self) -> Option<Zeroizing<String>> {
        self.to_tip_key(None).ok()?;
        let bytes = decode_secret(&clean(&self.text))?;
        Some(Zeroizing::new(encode_string(bytes.get(..32)?)))
    }

    /// The bytes of the key as they are written: 32, or 64 with the public key at the end.
    ///
    /// ```
    /// use mixin_pin_protocol::keystore::SpendKey;
    ///
    /// assert_eq!(*SpendKey::new("42".repeat(32).into()).to_bytes()?, [0x42; 32]);
    /// assert!(SpendKey::new("42".repeat(33).into()).to_bytes().is_err());
    /// # Ok::<(), mixin_pin_protocol::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error`] when the text is no key.
    ///
    /// # Security
    /// The bytes are the secret. They derive the mask secrets of Safe transactions; to sign, use
    /// [`to_tip_key`](Self::to_tip_key).
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.to_tip_key(None)?;
        decode_secret(&clean(&self.text)).ok_or(Error::Ed25519Key)
    }

    /// Reads the key.
    ///
    /// `expected` is the public key, the `tip_key_base64` of `GET /me`. It decides between seed and scalar. Without it the
    /// keystore decides, and a seed is the default.
    ///
    /// ```
    /// use mixin_pin_protocol::{core::tip::TipKey, keystore::SpendKey};
    ///
    /// let scalar = TipKey::from_scalar(&[0x42; 32])?;
    /// let key = SpendKey::new("42".repeat(32).into());
    /// assert_eq!(key.to_tip_key(Some(scalar.public_key()))?.public_key(), scalar.public_key());
    /// assert_ne!(key.to_tip_key(None)?.public_key(), scalar.public_key());
    /// # Ok::<(), mixin_pin_protocol::core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error`] when the text is no key, or not the expected key.
    pub fn to_tip_key(&self, expected: Option<&Ed25519PublicKey>) -> Result<TipKey, Error> {
        let text = clean(&self.text);
        match expected {
            Some(expected) => TipKey::matching(&text, expected),
            None if self.is_scalar => TipKey::scalar_from_text(&text),
            None => TipKey::from_text(&text),
        }
    }
}

impl fmt::Debug for SpendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpendKey").finish_non_exhaustive()
    }
}
