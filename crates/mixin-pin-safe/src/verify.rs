//! Verifying others' signatures, as the kernel does.

use core::fmt;

use ed25519_dalek::{Signature, VerifyingKey};

use crate::point::point;
use crate::{DetachedSignature, Hash, SpentOutput};

/// A signature is not one of the spent output's keys.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyError {
    /// The spent output has no key at the signer's position.
    NoKey,
    /// That key is not a point of prime order.
    Key,
    /// The signature is not valid under that key.
    Invalid,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoKey => "the spent output has no key at the signer's position",
            Self::Key => "the signer's key is not a point of prime order",
            Self::Invalid => "the signature is not valid under the signer's key",
        })
    }
}

impl core::error::Error for VerifyError {}

impl DetachedSignature {
    /// Verifies the signature of a transaction with this hash, whose input spends this output.
    ///
    /// # Errors
    /// [`VerifyError`] if it is not valid.
    pub fn verify(&self, hash: Hash, spent: &SpentOutput<'_>) -> Result<(), VerifyError> {
        let key = spent.keys().get(usize::from(self.signer)).ok_or(VerifyError::NoKey)?;
        let key = point(key).map_err(|_| VerifyError::Key)?;
        verify(&VerifyingKey::from(key), hash, &self.signature)
    }
}

/// Verifies under a key of prime order. The kernel accepts no R of another order.
pub(crate) fn verify(key: &VerifyingKey, hash: Hash, signature: &[u8; 64]) -> Result<(), VerifyError> {
    let signature = Signature::from_bytes(signature);
    point(signature.r_bytes()).map_err(|_| VerifyError::Invalid)?;
    key.verify_strict(&hash.0, &signature).map_err(|_| VerifyError::Invalid)
}
