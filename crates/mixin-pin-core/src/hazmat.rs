//! Sharp tools: what only tests and checkers may do.
//!
//! A client has no use for this module. An iterator chosen by hand is refused by the server or burns the session;
//! an IV used twice tells a reader which blocks begin alike.

use crate::{EncryptedPin, Error, Nonce, PinBlock, PinKey, Secret};

/// A block with a timestamp (Unix seconds) and an iterator of the caller's choice.
pub fn block(secret: impl Into<Secret>, timestamp: u64, iterator: u64) -> PinBlock {
    PinBlock::new(secret, Nonce::new(timestamp, iterator))
}

/// Encrypts a block under an IV of the caller's choice: AES-256-CBC, as [`PinKey::encrypt`] does under a random one.
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

/// Decrypts whole blocks in place: AES-256-CBC without a look at padding or content. [`PinKey::decrypt`] is this and a check.
///
/// ```
/// use mixin_pin_core::{Pin, PinKey, hazmat};
///
/// let key = PinKey::from_bytes(&[7; 32])?;
/// let encrypted = hazmat::encrypt_with_iv(&key, &hazmat::block(Pin::new("123456")?, 5, 9), &[1; 16]);
/// let mut blocks = encrypted.as_bytes()[16..].to_vec();
/// hazmat::decrypt_blocks(&key, &[1; 16], &mut blocks)?;
/// assert!(blocks.starts_with(b"123456") && blocks.ends_with(&[10; 10])); // ten bytes of padding
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::Decrypt`] when the length is no multiple of 16 bytes.
///
/// # Security
/// Whoever tells others which blocks decrypt to something sensible is a padding oracle.
pub fn decrypt_blocks(key: &PinKey, iv: &[u8; 16], blocks: &mut [u8]) -> Result<(), Error> {
    key.decrypt_blocks(iv, blocks)
}

/// Agrees on a PIN key with a raw scalar of X25519, which is clamped: what [`Ed25519Key::agree`](crate::Ed25519Key::agree)
/// does with the scalar of its seed.
///
/// ```
/// use mixin_pin_core::{Ed25519Key, hazmat};
///
/// let server = Ed25519Key::from_bytes(&[7; 32])?.public_key().to_x25519()?;
/// let key = hazmat::agree(&[0x42; 32], &server)?;
/// assert_ne!(key.expose(), hazmat::agree(&[0x43; 32], &server)?.expose());
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
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
/// ```
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_core::{PinKey, RsaKey, hazmat, uuid::Uuid};
///
/// # const PEM: &str = include_str!("../testdata/rsa-2048-pkcs8.pem");
/// let (mut rng, id) = (UnwrapErr(SysRng), Uuid::from_u128(2));
/// let (key, pin_key) = (RsaKey::from_pem(PEM)?, PinKey::from_bytes(&[7; 32])?);
/// let token = key.public_key().wrap_pin_key(&pin_key, id, &mut rng)?;
/// let bytes = hazmat::decrypt_oaep(&key, id.to_string().as_bytes(), token.as_bytes(), &mut rng)?;
/// assert_eq!(bytes[..], pin_key.expose()[..]);
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::PinToken`], whatever was wrong.
#[cfg(feature = "rsa")]
pub fn decrypt_oaep(
    key: &crate::RsaKey,
    label: &[u8],
    ciphertext: &[u8],
    rng: &mut dyn rand_core::CryptoRng,
) -> Result<zeroize::Zeroizing<alloc::vec::Vec<u8>>, Error> {
    key.decrypt_oaep(label, ciphertext, rng)
}
