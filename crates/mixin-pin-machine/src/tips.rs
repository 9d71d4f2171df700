//! TIP signatures that are made outside of the machine: it learns which message to sign, and is given the signature.

use std::sync::{Mutex, PoisonError};

use mixin_pin_core::tip::{TIP_SIGNATURE_LEN, TipSigner};
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{Ed25519PublicKey, SignerError};

/// Which TIP key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TipRole {
    /// The installed key, which approves the call.
    Pin,
    /// The key under which the user is registered with the safe.
    Safe,
}

/// A message to be signed by a TIP key.
pub(crate) struct TipMessage {
    pub(crate) role: TipRole,
    pub(crate) message: Vec<u8>,
    key: Box<VerifyingKey>,
}

impl TipMessage {
    /// Checks a signature of this message. Mixin refuses an invalid one, which costs a try.
    pub(crate) fn check(&self, signature: &[u8; TIP_SIGNATURE_LEN]) -> Result<(), SignerError> {
        self.key
            .verify(&self.message, signature)
            .map_err(|_| SignerError::with_cause("the signature is not valid under the signer's own public key"))
    }
}

/// The signatures that were made for a call, and the message that still lacks one.
///
/// A request is prepared anew after each signature. Its messages stay the same, because its time does not change.
#[derive(Default)]
pub(crate) struct Tips {
    made: Vec<(TipMessage, [u8; TIP_SIGNATURE_LEN])>,
    wanted: Mutex<Option<TipMessage>>,
}

impl Tips {
    pub(crate) fn add(&mut self, message: TipMessage, signature: [u8; TIP_SIGNATURE_LEN]) {
        self.made.push((message, signature));
    }

    /// The message that a stand-in could not sign.
    pub(crate) fn take_wanted(&self) -> Option<TipMessage> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A stand-in for the signer of this key.
    pub(crate) const fn signer<'s>(&'s self, role: TipRole, public_key: &'s Ed25519PublicKey) -> StandIn<'s> {
        StandIn { tips: self, role, public_key }
    }
}

/// Signs with a signature that was made before, or remembers the message that needs one.
pub(crate) struct StandIn<'s> {
    tips: &'s Tips,
    role: TipRole,
    public_key: &'s Ed25519PublicKey,
}

impl TipSigner for StandIn<'_> {
    fn public_key(&self) -> &Ed25519PublicKey {
        self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; TIP_SIGNATURE_LEN], SignerError> {
        let is_this = |one: &TipMessage| one.role == self.role && one.message == message;
        if let Some((_, signature)) = self.tips.made.iter().find(|(one, _)| is_this(one)) {
            return Ok(*signature);
        }
        let key = Box::new(VerifyingKey::Ed25519(self.public_key.clone()));
        let wanted = TipMessage { role: self.role, message: message.to_vec(), key };
        self.tips.wanted.lock().unwrap_or_else(PoisonError::into_inner).replace(wanted);
        Err(SignerError::new())
    }
}
