//! The plaintext of an encrypted PIN.
//!
//! `secret ‖ timestamp (u64 little-endian, Unix seconds) ‖ iterator (u64 little-endian)`, padded with PKCS#7 to a
//! multiple of 16 bytes. The module `cipher` encrypts it.

use core::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::pin::are_digits;
use crate::{Error, Nonce, Pin};

pub(crate) const AES_BLOCK: usize = 16;
const NONCE_LEN: usize = 16;
/// The largest block: a TIP signature, its nonce and a whole block of padding.
pub(crate) const MAX_PADDED_LEN: usize = SecretKind::TipSignature.padded_len();

/// The kind of secret in a block. The length of the ciphertext alone tells it.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// Six ASCII digits.
    SixDigits,
    /// A TIP public key to install: 32 bytes of Ed25519, then a big-endian 64-bit counter.
    TipKey,
    /// A TIP signature: 64 bytes of Ed25519 over an action's body.
    TipSignature,
}

impl SecretKind {
    /// Every kind, shortest first.
    pub const ALL: [Self; 3] = [Self::SixDigits, Self::TipKey, Self::TipSignature];

    const fn secret_len(self) -> usize {
        match self {
            Self::SixDigits => Pin::LEN,
            Self::TipKey => 40,
            Self::TipSignature => 64,
        }
    }

    /// Length of secret, timestamp, iterator and padding.
    pub(crate) const fn padded_len(self) -> usize {
        // PKCS#7 adds 1 to 16 bytes.
        ((self.secret_len() + NONCE_LEN) / AES_BLOCK + 1) * AES_BLOCK
    }

    /// Length of the encrypted PIN with its IV: 48, 80 or 112 bytes.
    pub(crate) const fn encrypted_len(self) -> usize {
        AES_BLOCK + self.padded_len()
    }

    /// The value of each byte of padding, which is their number.
    const fn padding_byte(self) -> u8 {
        match self {
            Self::SixDigits => 10,
            Self::TipKey => 8,
            Self::TipSignature => 16,
        }
    }

    /// The kind whose encrypted PIN has this length.
    pub(crate) fn from_encrypted_len(len: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.encrypted_len() == len)
    }

    /// `six-digit`, `tip-key` or `tip-signature`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SixDigits => "six-digit",
            Self::TipKey => "tip-key",
            Self::TipSignature => "tip-signature",
        }
    }
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The secret in a block.
///
/// ```
/// use mixin_pin_core::{Pin, Secret, SecretKind};
///
/// let pin = Pin::new("314159")?;
/// let secret = Secret::from(&pin); // a copy; `from(pin)` takes the PIN
/// assert_eq!(secret.kind(), SecretKind::SixDigits);
/// assert_eq!(secret.expose(), b"314159");
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
///
/// # Security
/// Zeroized on drop. `Debug` shows the kind and nothing else.
#[non_exhaustive]
#[derive(Zeroize, ZeroizeOnDrop)]
pub enum Secret {
    /// A six-digit PIN.
    Digits(Pin),
    /// An Ed25519 public key, then a big-endian 64-bit counter.
    TipKey([u8; 40]),
    /// An Ed25519 signature over an action's body.
    TipSignature([u8; 64]),
}

impl Secret {
    /// The kind of the secret.
    pub const fn kind(&self) -> SecretKind {
        match self {
            Self::Digits(_) => SecretKind::SixDigits,
            Self::TipKey(_) => SecretKind::TipKey,
            Self::TipSignature(_) => SecretKind::TipSignature,
        }
    }

    /// The secret's bytes, to compare or show them.
    pub const fn expose(&self) -> &[u8] {
        match self {
            Self::Digits(pin) => pin.expose(),
            Self::TipKey(bytes) => bytes,
            Self::TipSignature(bytes) => bytes,
        }
    }
}

impl From<Pin> for Secret {
    fn from(pin: Pin) -> Self {
        Self::Digits(pin)
    }
}

/// Copies the digits, for callers that keep their PIN.
impl From<&Pin> for Secret {
    fn from(pin: &Pin) -> Self {
        Self::Digits(pin.duplicate())
    }
}

/// Copies the secret, for a call that must be encrypted again.
impl From<&Self> for Secret {
    fn from(secret: &Self) -> Self {
        match secret {
            Self::Digits(pin) => Self::Digits(pin.duplicate()),
            Self::TipKey(bytes) => Self::TipKey(*bytes),
            Self::TipSignature(bytes) => Self::TipSignature(*bytes),
        }
    }
}

impl ConstantTimeEq for Secret {
    fn ct_eq(&self, other: &Self) -> Choice {
        // Slices of different lengths differ at once. That shows the kind, which is public.
        self.expose().ct_eq(other.expose())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Secret").field(&self.kind().as_str()).finish_non_exhaustive()
    }
}

/// A secret with the timestamp and the iterator that make it one-time.
///
/// A server gets one from [`PinKey::decrypt`](crate::PinKey::decrypt).
///
/// ```
/// use mixin_pin_core::{MonotonicNonces, NonceSource, Pin, PinBlock, UnixTime};
///
/// let nonce = MonotonicNonces::new().next(UnixTime::from_secs(1_700_000_000))?;
/// let block = PinBlock::new(Pin::new("314159")?, nonce);
/// assert_eq!(block.timestamp(), 1_700_000_000);
/// assert!(*block.secret() == Pin::new("314159")?.into()); // in constant time
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct PinBlock {
    secret: Secret,
    timestamp: u64,
    iterator: u64,
}

impl PinBlock {
    /// Joins a secret with its nonce.
    pub fn new(secret: impl Into<Secret>, nonce: Nonce) -> Self {
        let (timestamp, iterator) = nonce.spend();
        Self { secret: secret.into(), timestamp, iterator }
    }

    /// The secret.
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The kind of the secret.
    pub const fn kind(&self) -> SecretKind {
        self.secret.kind()
    }

    /// The client's clock, in Unix seconds.
    pub const fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// The iterator, which must be greater than all earlier ones of the session.
    pub const fn iterator(&self) -> u64 {
        self.iterator
    }

    /// Reads a padded block, in time that depends on its length only.
    ///
    /// The length determines the kind, and the kind the padding: one padding is right for each length.
    pub(crate) fn read_padded(kind: SecretKind, block: &[u8]) -> Result<Self, Error> {
        if block.len() != kind.padded_len() {
            return Err(Error::Decrypt);
        }
        let (secret, rest) = block.split_at(kind.secret_len());
        let (timestamp, rest) = rest.split_first_chunk().ok_or(Error::Decrypt)?;
        let (iterator, padding) = rest.split_first_chunk().ok_or(Error::Decrypt)?;

        let wrong = padding.iter().fold(0, |wrong, byte| wrong | (byte ^ kind.padding_byte()));
        let mut good = wrong.ct_eq(&0);
        if kind == SecretKind::SixDigits {
            good &= are_digits(secret);
        }
        if !bool::from(good) {
            return Err(Error::Decrypt);
        }
        Ok(Self {
            secret: match kind {
                SecretKind::SixDigits => Secret::Digits(Pin::new(secret)?),
                SecretKind::TipKey => Secret::TipKey(secret.try_into().map_err(|_| Error::Decrypt)?),
                SecretKind::TipSignature => Secret::TipSignature(secret.try_into().map_err(|_| Error::Decrypt)?),
            },
            timestamp: u64::from_le_bytes(*timestamp),
            iterator: u64::from_le_bytes(*iterator),
        })
    }
}

/// Writes a padded block into `out`, whose length is [`SecretKind::padded_len`].
pub(crate) fn write_padded(secret: &Secret, timestamp: u64, iterator: u64, out: &mut [u8]) {
    let len = secret.kind().secret_len();
    out[..len].copy_from_slice(secret.expose());
    out[len..len + 8].copy_from_slice(&timestamp.to_le_bytes());
    out[len + 8..len + NONCE_LEN].copy_from_slice(&iterator.to_le_bytes());
    out[len + NONCE_LEN..].fill(secret.kind().padding_byte());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_match_the_protocol() {
        let lens = SecretKind::ALL.map(|k| (k.secret_len(), k.padded_len(), k.encrypted_len(), k.padding_byte()));
        assert_eq!(lens, [(6, 32, 48, 10), (40, 64, 80, 8), (64, 96, 112, 16)]);
        assert_eq!(SecretKind::from_encrypted_len(80), Some(SecretKind::TipKey));
        assert_eq!(SecretKind::from_encrypted_len(64), None);
    }

    #[test]
    fn the_layout_matches_the_protocol() {
        let block = PinBlock { secret: Pin::new("123456").unwrap().into(), timestamp: 0x0102_0304, iterator: 0x0506 };
        let mut bytes = [0xff; 32];
        write_padded(&block.secret, block.timestamp, block.iterator, &mut bytes);
        assert_eq!(&bytes[..6], b"123456");
        assert_eq!(bytes[6..14], [4, 3, 2, 1, 0, 0, 0, 0]);
        assert_eq!(bytes[14..22], [6, 5, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[22..], [10; 10]);
        assert_eq!(PinBlock::read_padded(SecretKind::SixDigits, &bytes), Ok(block));
    }

    #[test]
    fn a_wrong_padding_byte_or_digit_is_refused() {
        let block = PinBlock { secret: Pin::new("123456").unwrap().into(), timestamp: 1, iterator: 2 };
        let mut good = [0; 32];
        write_padded(&block.secret, block.timestamp, block.iterator, &mut good);
        for at in (0..6).chain(22..32) {
            let mut bad = good;
            bad[at] ^= 0x40;
            assert_eq!(PinBlock::read_padded(SecretKind::SixDigits, &bad), Err(Error::Decrypt), "byte {at}");
        }
        assert_eq!(PinBlock::read_padded(SecretKind::SixDigits, &good[..31]), Err(Error::Decrypt));
    }

    #[test]
    fn faults_of_the_padding_do_not_cancel_out() {
        let mut padded = [0; 32];
        write_padded(&Secret::Digits(Pin::new("314159").unwrap()), 1, 2, &mut padded);
        assert!(PinBlock::read_padded(SecretKind::SixDigits, &padded).is_ok());
        padded[30] ^= 1;
        padded[31] ^= 1;
        assert_eq!(PinBlock::read_padded(SecretKind::SixDigits, &padded), Err(Error::Decrypt));
    }
}
