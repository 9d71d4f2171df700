//! Sharp tools for tests and checkers.
//!
//! Clients do not need this module. The server refuses an iterator that was chosen badly, or the session can no longer
//! be used. An IV that is used twice shows which blocks begin alike.

use crate::{EncryptedPin, Error, Nonce, PinBlock, PinKey, Secret};

/// A block with a timestamp (Unix seconds) and an iterator of the caller's choice.
pub fn block(secret: impl Into<Secret>, timestamp: u64, iterator: u64) -> PinBlock {
    PinBlock::new(secret, Nonce::new(timestamp, iterator))
}

/// Encrypts a block under an IV of the caller's choice, as [`PinKey::encrypt`] does under a random one.
///
/// ```
/// use mixin_pin_core::{Pin, PinKey, hazmat};
///
/// let key = PinKey::from_bytes(&[7; 32])?;
/// let block = hazmat::block(Pin::new("123456")?, 1_658_399_540, 1);
/// let encrypted = hazmat::encrypt_with_iv(&key, &block, &[0; 16]);
/// assert_eq!(encrypted.as_bytes()[..16], [0; 16]);
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
pub fn encrypt_with_iv(key: &PinKey, block: &PinBlock, iv: &[u8; 16]) -> EncryptedPin {
    key.encrypt_block(block, iv)
}

/// Decrypts whole blocks in place with AES-256-CBC, and checks neither padding nor content.
///
/// # Errors
/// [`Error::Decrypt`] if the length is not a multiple of 16 bytes.
///
/// # Security
/// A caller that tells others which blocks decrypt to valid padding is a padding oracle.
pub fn decrypt_blocks(key: &PinKey, iv: &[u8; 16], blocks: &mut [u8]) -> Result<(), Error> {
    key.decrypt_blocks(iv, blocks)
}

/// The form of a block, which may hold a secret of any length. See [`block_form`].
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockForm {
    /// The length of the secret, in bytes.
    pub secret_len: usize,
    /// The client's clock, in Unix seconds.
    pub timestamp: u64,
    /// The iterator.
    pub iterator: u64,
    /// Whether the secret has three bytes whose hex is six decimal digits. They may be a PIN that was decoded as hex.
    pub is_hex_of_digits: bool,
}

/// Reads the form of a block of any length, to tell its author what [`PinKey::decrypt`] refuses. Takes the IV and the
/// ciphertext.
///
/// A block under another key has valid padding with a probability of about 1/256. Check that the timestamp is plausible
/// before you call the block opened: among random 64-bit numbers, one in billions is a second of this century.
///
/// ```
/// use mixin_pin_core::{Pin, PinKey, hazmat};
///
/// let key = PinKey::from_bytes(&[7; 32])?;
/// let encrypted = hazmat::encrypt_with_iv(&key, &hazmat::block(Pin::new("123456")?, 1_700_000_000, 9), &[0; 16]);
/// let form = hazmat::block_form(&key, encrypted.as_bytes())?;
/// assert_eq!((form.secret_len, form.timestamp, form.iterator), (6, 1_700_000_000, 9));
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Decrypt`] if the length is not that of an IV and at least two blocks, or the padding is invalid.
///
/// # Security
/// This is a padding oracle, and its time depends on the content. Use it only for those who have the session's key, or after
/// the request's signature was verified.
pub fn block_form(key: &PinKey, encrypted: &[u8]) -> Result<BlockForm, Error> {
    crate::block::form(key, encrypted)
}

/// Agrees on a PIN key with a raw X25519 scalar, which is clamped.
///
/// [`Ed25519Key::agree`](crate::Ed25519Key::agree) does the same with the scalar of its seed.
///
/// # Errors
/// [`Error::KeyAgreement`] for a key of low order.
#[cfg(feature = "ed25519")]
pub fn agree(scalar: &[u8; 32], peer: &crate::X25519PublicKey) -> Result<PinKey, Error> {
    peer.agree(scalar)
}

/// Decrypts OAEP with SHA-256 under any label.
///
/// [`RsaKey::unwrap_pin_key`](crate::RsaKey::unwrap_pin_key) does the same under a session's label.
///
/// # Errors
/// [`Error::PinToken`] for every cause.
#[cfg(feature = "rsa")]
pub fn decrypt_oaep(
    key: &crate::RsaKey,
    label: &[u8],
    ciphertext: &[u8],
    rng: &mut dyn rand_core::CryptoRng,
) -> Result<zeroize::Zeroizing<alloc::vec::Vec<u8>>, Error> {
    key.decrypt_oaep(label, ciphertext, rng)
}

/// The scalar of a TIP key, little-endian and less than the order of the group, for signing schemes that add to it.
///
/// # Security
/// It is the whole secret.
#[cfg(feature = "ed25519")]
pub fn tip_scalar(key: &crate::tip::TipKey) -> zeroize::Zeroizing<[u8; 32]> {
    key.scalar()
}
