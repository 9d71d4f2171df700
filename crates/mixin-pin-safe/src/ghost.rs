//! Ghost keys: the one-time keys of an output, made from a receiver's address and the secret of the output's mask.

use core::fmt;

use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::{EdwardsPoint, Scalar};
use mixin_pin_core::uuid::Uuid;
use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use crate::XinAddress;
use crate::scalar::{self, ScalarError, wide};

/// The secret r of an output's mask r·G. The sender makes it. It proves whom the output pays.
///
/// # Security
/// Zeroized on drop, neither cloned nor printed. Anyone who knows it can check whom the output pays, but cannot spend
/// it.
///
/// # Example
///
/// ```
/// use mixin_pin_safe::{MaskSecret, XinAddress, mixin_pin_core::uuid::uuid};
///
/// let receiver: XinAddress =
///     "XINSwYaJPnKiwBWqXm4i3e3My9GKguReMRyB1sRSexeHcQ7V66RWsicAiR2dokcQ5kiJsfY5QbEjTcqRQRCxkEyENBaz4AeB".parse()?;
/// let secret = MaskSecret::from_trace(uuid!("9dc60d4c-f301-48ef-97f2-32e9195648cb"), 0, &[7; 32]);
/// let key = secret.ghost_key(&receiver, 0);
/// assert_ne!(key, secret.ghost_key(&receiver, 1), "each output has its own");
/// # Ok::<(), mixin_pin_safe::AddressError>(())
/// ```
pub struct MaskSecret(Scalar);

impl MaskSecret {
    /// A secret from a canonical scalar, little-endian.
    ///
    /// # Errors
    /// [`ScalarError`] for 0 and for what is not less than the order of the group.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, ScalarError> {
        scalar::from_bytes(bytes).map(Self)
    }

    /// The same from 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`ScalarError`] for anything else.
    pub fn from_hex(text: &str) -> Result<Self, ScalarError> {
        scalar::from_hex(text).map(Self)
    }

    /// The secret that the Go, Node and Rust clients derive from a payment's trace id and the spend key.
    ///
    /// `spend_key` is the key as the keystore has it: 32 bytes of a seed or a scalar. The Node client also takes 64 bytes,
    /// which give another secret.
    pub fn from_trace(trace: Uuid, output: u16, spend_key: &[u8]) -> Self {
        let mut buffer = Uuid::encode_buffer();
        let trace_hash = blake3::hash(trace.hyphenated().encode_lower(&mut buffer).as_bytes());
        let index = output.to_be_bytes();
        let index = &index[index.iter().take_while(|byte| **byte == 0).count()..];
        let output_hash = blake3::Hasher::new().update(trace_hash.as_bytes()).update(index).finalize();
        let mut hasher = blake3::Hasher::new();
        let mut key_hash: [u8; 32] = hasher.update(output_hash.as_bytes()).update(spend_key).finalize().into();
        hasher.zeroize();
        let secret = scalar::from_wide(wide(trace_hash.as_bytes(), &key_hash));
        key_hash.zeroize();
        Self(secret)
    }

    /// The scalar, little-endian, for a co-signer, who proves the receiver with it and needs no key of the sender.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The mask.
    pub fn mask(&self) -> [u8; 32] {
        EdwardsPoint::mul_base(&self.0).compress().0
    }

    /// The key of a receiver in the output at this index, counted among all outputs of the transaction.
    pub fn ghost_key(&self, receiver: &XinAddress, output: u16) -> [u8; 32] {
        let (spend, view) = receiver.points();
        let mut shared = view * self.0;
        let mut encoded = shared.compress();
        let mut factor = output_scalar(&encoded, output);
        let key = spend + EdwardsPoint::mul_base(&factor);
        shared.zeroize();
        encoded.zeroize();
        factor.zeroize();
        key.compress().0
    }
}

impl Drop for MaskSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for MaskSecret {}

impl fmt::Debug for MaskSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskSecret").finish_non_exhaustive()
    }
}

/// What is added to a receiver's spend key: the kernel's `HashScalar` of the shared point and the output's index.
fn output_scalar(shared: &CompressedEdwardsY, output: u16) -> Scalar {
    let mut hasher = blake3::Hasher::new();
    hasher.update(shared.as_bytes());
    // LEB128: seven bits a byte, the lowest first.
    let mut rest = output;
    while rest >= 0x80 {
        hasher.update(&[rest.to_le_bytes()[0] | 0x80]);
        rest >>= 7;
    }
    hasher.update(&rest.to_le_bytes()[..1]);
    let mut reduced = twice(&mut hasher);
    hasher.reset();
    let bytes = Zeroizing::new(reduced.to_bytes());
    reduced.zeroize();
    hasher.update(bytes.as_ref());
    let scalar = twice(&mut hasher);
    hasher.zeroize();
    scalar
}

/// A hash and the hash of that hash, reduced as one number.
fn twice(hasher: &mut blake3::Hasher) -> Scalar {
    let first = Zeroizing::new(<[u8; 32]>::from(hasher.finalize()));
    hasher.reset();
    let second = Zeroizing::new(<[u8; 32]>::from(hasher.update(first.as_ref()).finalize()));
    scalar::from_wide(wide(&first, &second))
}
