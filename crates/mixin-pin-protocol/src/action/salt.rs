//! What the apps' wallets send beside some actions. No TIP signature covers it.

use std::fmt;

use mixin_pin_core::tip::{TIP_SIGNATURE_LEN, TipSigner};
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, Error, SignerError};

use crate::ActionError;

/// An encrypted salt, `salt_base64`: with the TIP key, an app derives the user's key for the safe from it (android-app:
/// `Tip.kt`; ios-app: `TIP.swift`).
///
/// # Security
/// Only a wallet can make it. It is checked for being base64, and not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptedSalt(String);

impl EncryptedSalt {
    /// Takes base64 of either alphabet, padded or not. The text is sent as it is.
    ///
    /// # Errors
    /// [`ActionError::Salt`] for other text.
    pub fn new(text: impl Into<String>) -> Result<Self, ActionError> {
        let text = text.into();
        let digits = text.trim_end_matches('=');
        let (standard, url) = (digits.contains(['+', '/']), digits.contains(['-', '_']));
        let is_digit = |c: u8| c.is_ascii_alphanumeric() || b"+/-_".contains(&c);
        let padding = text.len() - digits.len();
        let is_padded = padding == 0 || (padding <= 2 && text.len().is_multiple_of(4));
        let is_base64 = !digits.is_empty() && digits.len() % 4 != 1 && digits.bytes().all(is_digit);
        if is_base64 && is_padded && !(standard && url) { Ok(Self(text)) } else { Err(ActionError::Salt) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EncryptedSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptedSalt").finish_non_exhaustive()
    }
}

/// The user's mnemonic key, `master_public_hex`, and its signature of the text of the user's id, `master_signature_hex`
/// (android-app: `RegisterRequest.kt`, `ExportRequest.kt`; ios-app: `SafeAPI.swift`, `ExportSaltRequest.swift`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterProof {
    /// The key.
    pub public_key: Ed25519PublicKey,
    /// The signature.
    pub signature: [u8; TIP_SIGNATURE_LEN],
}

impl MasterProof {
    /// Signs the user's id with the mnemonic key. The text itself is signed, not a hash.
    ///
    /// # Errors
    /// [`SignerError`] if the key cannot sign.
    pub fn sign(user_id: Uuid, master_key: &dyn TipSigner) -> Result<Self, SignerError> {
        let signature = master_key.sign(user_id.to_string().as_bytes())?;
        Ok(Self { public_key: master_key.public_key().clone(), signature })
    }

    /// Verifies the signature, as a server does.
    ///
    /// # Errors
    /// [`Error::Signature`] if it is not valid.
    pub fn verify(&self, user_id: Uuid) -> Result<(), Error> {
        let key = VerifyingKey::Ed25519(self.public_key.clone());
        key.verify(user_id.to_string().as_bytes(), &self.signature)
    }
}
