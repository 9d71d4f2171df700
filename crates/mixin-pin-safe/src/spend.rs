//! Spend keys: TIP keys in the role in which they sign transactions.

use core::fmt;

use curve25519_dalek::Scalar;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, hazmat};
use sha2::{Digest as _, Sha512};
use zeroize::{Zeroize as _, ZeroizeOnDrop};

use crate::{Hash, View};

/// A spend key: the scalar of a TIP key. It signs what [`Approved::input`](crate::Approved::input) prepares.
///
/// The TIP key may be a seed, or a scalar that is a sum of shares.
///
/// # Security
/// Zeroized on drop, neither cloned nor printed.
pub struct SpendKey {
    scalar: Scalar,
    public: Ed25519PublicKey,
}

impl SpendKey {
    /// The spend key of a TIP key.
    pub fn new(key: &TipKey) -> Self {
        let bytes = hazmat::tip_scalar(key);
        Self { scalar: Scalar::from_bytes_mod_order(*bytes), public: key.public_key().clone() }
    }

    /// The public key, Mixin's `spend_public_key`.
    pub const fn public_key(&self) -> &Ed25519PublicKey {
        &self.public
    }

    /// Signs with the sum of spend key and view as the kernel does: the nonce is made from the second half of the sum's
    /// SHA-512.
    ///
    /// `public` must be the sum's public key. With another one the same nonce would sign two challenges, and that
    /// reveals the sum.
    pub(crate) fn sign(&self, view: &View, public: &VerifyingKey, message: Hash) -> [u8; 64] {
        let mut scalar = self.scalar + view.scalar();
        let mut digest = Sha512::digest(scalar.as_bytes());
        let mut hash_prefix = [0; 32];
        hash_prefix.copy_from_slice(&digest[32..]);
        let secret = ExpandedSecretKey { scalar, hash_prefix };
        let signature = raw_sign::<Sha512>(&secret, &message.0, public).to_bytes();
        scalar.zeroize();
        digest.as_mut_slice().zeroize();
        hash_prefix.zeroize();
        signature
    }
}

impl From<&TipKey> for SpendKey {
    fn from(key: &TipKey) -> Self {
        Self::new(key)
    }
}

impl Drop for SpendKey {
    fn drop(&mut self) {
        self.scalar.zeroize();
    }
}

impl ZeroizeOnDrop for SpendKey {}

impl fmt::Debug for SpendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpendKey").field("public", &self.public).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[derive(serde::Deserialize)]
    struct Vectors {
        kernel_signatures: alloc::vec::Vec<Signed>,
    }

    #[derive(serde::Deserialize)]
    struct Signed {
        private_scalar: String,
        public: String,
        message_hash: String,
        signature: String,
    }

    fn decode<const N: usize>(hex: &str) -> [u8; N] {
        let mut bytes = [0; N];
        base16ct::lower::decode(hex, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_kernels_signatures_come_out_for_a_key_cut_into_view_and_spend_key() {
        let vectors: Vectors = serde_json::from_str(include_str!("../testdata/safe-v5.json")).unwrap();
        assert_eq!(vectors.kernel_signatures.len(), 3);
        for Signed { private_scalar, public, message_hash, signature } in vectors.kernel_signatures {
            let whole = Scalar::from_canonical_bytes(decode(&private_scalar)).unwrap();
            let view = Scalar::from(77_u8);
            let key = SpendKey::new(&TipKey::from_scalar((whole - view).as_bytes()).unwrap());
            let public = VerifyingKey::from_bytes(&decode(&public)).unwrap();
            let view = View::from_bytes(view.as_bytes()).unwrap();
            assert_eq!(key.sign(&view, &public, Hash(decode(&message_hash))), decode(&signature));
        }
    }
}
