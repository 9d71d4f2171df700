//! Signing one input of a transaction that passed a policy.

use core::fmt;

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::traits::IsIdentity as _;
use ed25519_dalek::VerifyingKey;
use mixin_pin_core::Ed25519PublicKey;

use crate::point::on_curve;
use crate::verify::verify;
use crate::{Approved, DetachedSignature, Hash, SpendKey, View};

/// An input is not signed.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignError {
    /// The transaction has no such input.
    NoInput,
    /// The policy was checked without the outputs that the transaction spends, so their keys are not known.
    SpentUnknown,
    /// The sum of view and spend key is not among the keys of the spent output.
    NotAmongKeys,
    /// The sum of view and spend key occurs twice among the keys of the spent output.
    KeyTwice,
    /// The spend key is not the one for which the input was prepared.
    OtherKey,
    /// The signature of a device is not valid under the sum of view and spend key.
    Invalid,
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoInput => "the transaction has no such input",
            Self::SpentUnknown => "the outputs that the transaction spends are not known; give them",
            Self::NotAmongKeys => {
                "the sum of view and spend key is not among the keys of the spent output; check the view, the spend key and the spent output"
            }
            Self::KeyTwice => "the spent output has the key twice",
            Self::OtherKey => "the spend key is not the one for which the input was prepared",
            Self::Invalid => {
                "the device's signature is not valid; the device must add the view to its key, and sign the hash of the transaction with the sum"
            }
        })
    }
}

impl core::error::Error for SignError {}

impl Approved<'_, '_> {
    /// Prepares an input for signing: finds the key of `owner`, a public spend key, among those of the spent output.
    ///
    /// # Errors
    /// [`SignError`] if the input does not exist, the spent output is not known, or it does not have the key exactly
    /// once.
    ///
    /// # Example
    ///
    /// The example `sign` signs a payment, and `signers` has several owners.
    pub fn input<'v>(&self, index: u16, view: &'v View, owner: &Ed25519PublicKey) -> Result<ToSign<'v>, SignError> {
        if usize::from(index) >= self.transaction().inputs().len() {
            return Err(SignError::NoInput);
        }
        let spent = self.spent().get(usize::from(index)).ok_or(SignError::SpentUnknown)?;
        let own = on_curve(owner.as_bytes()).map_err(|_| SignError::NotAmongKeys)?;
        let sum = EdwardsPoint::mul_base(view.scalar()) + own;
        if sum.is_identity() {
            return Err(SignError::NotAmongKeys);
        }
        let public_key = VerifyingKey::from(sum);
        let mut positions = (0..).zip(spent.keys()).filter(|(_, key)| *key == public_key.as_bytes());
        let (signer, _) = positions.next().ok_or(SignError::NotAmongKeys)?;
        if positions.next().is_some() {
            return Err(SignError::KeyTwice);
        }
        Ok(ToSign { input: index, signer, message: self.hash(), public_key, owner: owner.clone(), view })
    }
}

/// An input that is ready to be signed.
///
/// A [`SpendKey`] signs it at once. A device (an HSM, a KMS, another process) can sign it instead: it adds
/// [`view`](Self::view) to its own scalar, and signs [`message`](Self::message) with the sum.
/// [`accept`](Self::accept) verifies its answer. The device chooses its own secret nonce.
///
/// A device that signs only with its own key cannot sign transactions, because each spent output has a different key.
/// So a `TipSigner` cannot sign:
///
/// ```compile_fail,E0308
/// use mixin_pin_core::tip::TipSigner;
/// use mixin_pin_safe::ToSign;
///
/// fn sign(input: &ToSign<'_>, device: &dyn TipSigner) {
///     input.sign(device);
/// }
/// ```
#[derive(Debug)]
pub struct ToSign<'v> {
    input: u16,
    signer: u16,
    message: Hash,
    /// The sum of view and spend key.
    public_key: VerifyingKey,
    owner: Ed25519PublicKey,
    view: &'v View,
}

impl<'v> ToSign<'v> {
    /// The input.
    pub const fn input(&self) -> u16 {
        self.input
    }

    /// The position of the signer's key among the keys of the spent output.
    pub const fn signer(&self) -> u16 {
        self.signer
    }

    /// What is signed: the hash of the transaction.
    pub const fn message(&self) -> Hash {
        self.message
    }

    /// The public key under which the signature is valid: view·G plus the owner's public key.
    pub fn public_key(&self) -> &[u8; 32] {
        self.public_key.as_bytes()
    }

    /// The view, which a device adds to its scalar.
    pub const fn view(&self) -> &'v View {
        self.view
    }

    /// Signs, as the kernel does: the same signature each time.
    ///
    /// # Security
    /// The result is not verified here; [`merge`](crate::merge) does it. If hardware may fail during the computation, verify
    /// a signature before it goes out alone: one that is wrong can give the key away.
    ///
    /// # Errors
    /// [`SignError::OtherKey`] if it is not the owner's key.
    pub fn sign(&self, key: &SpendKey) -> Result<DetachedSignature, SignError> {
        if *key.public_key() != self.owner {
            return Err(SignError::OtherKey);
        }
        Ok(self.detached(key.sign(self.view, &self.public_key, self.message)))
    }

    /// Takes the signature of a device: R and s, 64 bytes.
    ///
    /// # Errors
    /// [`SignError::Invalid`] if it is not valid under [`public_key`](Self::public_key).
    pub fn accept(&self, signature: [u8; 64]) -> Result<DetachedSignature, SignError> {
        verify(&self.public_key, self.message, &signature).map_err(|_| SignError::Invalid)?;
        Ok(self.detached(signature))
    }

    const fn detached(&self, signature: [u8; 64]) -> DetachedSignature {
        DetachedSignature { input: self.input, signer: self.signer, signature }
    }
}
