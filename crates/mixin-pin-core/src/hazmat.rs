//! Sharp tools: what only tests and checkers may do.
//!
//! A client has no use for this module. An iterator chosen by hand is refused by the server or burns the session;
//! an IV used twice tells a reader which blocks begin alike.

use crate::{EncryptedPin, Nonce, PinBlock, PinKey, Secret};

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
