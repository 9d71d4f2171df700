//! Sharp tools: what only tests and checkers may do.
//!
//! A client has no use for this module. An iterator chosen by hand is refused by the server or burns the session;
//! an IV used twice tells a reader which blocks begin alike.

use crate::{EncryptedPin, Error, Nonce, PinBlock, PinKey, Secret};

/// A block with a timestamp (Unix seconds) and an iterator of the caller's choice.
pub fn block(secret: impl Into<Secret>, timestamp: u64, iterator: u64) -> PinBlock {
    PinBlock::new(secret, Nonce::new(timestamp, iterator))
}

/// Seals a block under an IV of the caller's choice: AES-256-CBC, as [`PinKey::seal`] does under a random one.
///
/// ```
/// use mixin_pin_core::{Pin, PinKey, hazmat};
///
/// let key = PinKey::from_bytes(&[7; 32])?;
/// let block = hazmat::block(Pin::new("123456")?, 1_658_399_540, 1);
/// let sealed = hazmat::seal_with_iv(&key, &block, &[0; 16]);
/// assert_eq!(sealed.as_bytes()[..16], [0; 16]);
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
pub fn seal_with_iv(key: &PinKey, block: &PinBlock, iv: &[u8; 16]) -> EncryptedPin {
    key.seal_block(block, iv)
}

/// Decrypts whole blocks in place: AES-256-CBC without a look at padding or content. [`PinKey::open`] is this and a check.
///
/// # Errors
/// [`Error::Open`] when the length is no multiple of 16 bytes.
///
/// # Security
/// Whoever tells others which blocks decrypt to something sensible is a padding oracle.
pub fn decrypt_blocks(key: &PinKey, iv: &[u8; 16], blocks: &mut [u8]) -> Result<(), Error> {
    key.decrypt_blocks(iv, blocks)
}

/// Agrees on a PIN key with a raw scalar of X25519, which is clamped: what [`Ed25519Key::agree`](crate::Ed25519Key::agree)
/// does with the scalar of its seed.
///
/// # Errors
/// [`Error::KeyAgreement`] for a key of low order.
#[cfg(feature = "ed25519")]
pub fn agree(scalar: &[u8; 32], peer: &crate::X25519PublicKey) -> Result<PinKey, Error> {
    peer.agree(scalar)
}

/// Decrypts OAEP with SHA-256 under any label: what [`RsaKey::unwrap_pin_key`](crate::RsaKey::unwrap_pin_key) does under a
/// session's.
///
/// # Errors
/// [`Error::PinToken`], whatever was wrong.
#[cfg(feature = "rsa")]
pub fn decrypt_oaep<R: rand_core::CryptoRng + ?Sized>(
    key: &crate::RsaKey,
    label: &[u8],
    ciphertext: &[u8],
    rng: &mut R,
) -> Result<zeroize::Zeroizing<alloc::vec::Vec<u8>>, Error> {
    key.decrypt_oaep(label, ciphertext, rng)
}
