//! The plaintext of an encrypted PIN: what it holds and how its bytes lie.
//!
//! `secret ‖ timestamp (u64 little-endian, Unix seconds) ‖ iterator (u64 little-endian)`, padded by PKCS#7 to 16
//! bytes. Encrypting it is the business of `cipher`.

use core::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::pin::are_digits;
use crate::{Error, Nonce, Pin};

/// What kind of secret a block carries. The length of the ciphertext alone tells it.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// Six ASCII digits.
    SixDigits,
    /// A TIP public key to be installed: 32 bytes of Ed25519, then a big-endian 64-bit counter.
    TipKey,
    /// A TIP signature: 64 bytes of Ed25519 over an action's body.
    TipSignature,
}

impl SecretKind {
    /// Every kind, shortest first.
    pub const ALL: [Self; 3] = [Self::SixDigits, Self::TipKey, Self::TipSignature];

    /// Length of the secret itself, in bytes.
    pub const fn secret_len(self) -> usize {
        match self {
            Self::SixDigits => Pin::LEN,
            Self::TipKey => 40,
            Self::TipSignature => 64,
        }
    }

    /// Length of secret, timestamp and iterator, padded: a multiple of 16 bytes.
    pub const fn padded_len(self) -> usize {
        (self.secret_len() + NONCE_LEN) / AES_BLOCK * AES_BLOCK + AES_BLOCK
    }

    /// Length of the encrypted PIN, its IV included: 48, 80 or 112 bytes.
    pub const fn encrypted_len(self) -> usize {
        AES_BLOCK + self.padded_len()
    }

    /// The kind whose encrypted PIN has this length.
    pub fn from_encrypted_len(len: usize) -> Option<Self> {
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

pub(crate) const AES_BLOCK: usize = 16;
const NONCE_LEN: usize = 16;
/// The largest block: a TIP signature with its nonce and a whole block of padding.
pub(crate) const MAX_PADDED_LEN: usize = SecretKind::TipSignature.padded_len();

/// The secret inside a block.
///
/// # Security
/// Zeroized on drop; `Debug` tells the kind and nothing else.
#[non_exhaustive]
#[derive(Zeroize, ZeroizeOnDrop)]
pub enum Secret {
    /// A six-digit PIN.
    Digits(Pin),
    /// An Ed25519 public key followed by a big-endian 64-bit counter.
    TipKey([u8; 40]),
    /// An Ed25519 signature over an action's body.
    TipSignature([u8; 64]),
}

impl Secret {
    /// Which kind it is.
    pub const fn kind(&self) -> SecretKind {
        match self {
            Self::Digits(_) => SecretKind::SixDigits,
            Self::TipKey(_) => SecretKind::TipKey,
            Self::TipSignature(_) => SecretKind::TipSignature,
        }
    }

    /// Its bytes, for whoever must compare or show them.
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
/// For a call that is sealed afresh, because no connection was made for it.
impl From<&Self> for Secret {
    fn from(secret: &Self) -> Self {
        match secret {
            Self::Digits(pin) => Self::Digits(pin.duplicate()),
            Self::TipKey(bytes) => Self::TipKey(*bytes),
            Self::TipSignature(bytes) => Self::TipSignature(*bytes),
        }
    }
}

impl From<&Pin> for Secret {
    fn from(pin: &Pin) -> Self {
        Self::Digits(pin.duplicate())
    }
}

impl ConstantTimeEq for Secret {
    fn ct_eq(&self, other: &Self) -> Choice {
        // Slices of different lengths are unequal at once; a kind is no secret.
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
/// A client makes one from a [`Secret`] and a spent [`Nonce`]; a checker gets one from
/// [`PinKey::open`](crate::PinKey::open).
///
/// ```
/// use mixin_pin_core::{MonotonicNonces, NonceSource, Pin, PinBlock, SecretKind, UnixTime};
///
/// let nonce = MonotonicNonces::new().next(UnixTime::from_secs(1_700_000_000))?;
/// let block = PinBlock::new(Pin::new("314159")?, nonce);
/// assert_eq!((block.kind(), block.timestamp()), (SecretKind::SixDigits, 1_700_000_000));
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct PinBlock {
    secret: Secret,
    timestamp: u64,
    iterator: u64,
}

impl PinBlock {
    /// Joins a secret with the nonce that it spends.
    pub fn new(secret: impl Into<Secret>, nonce: Nonce) -> Self {
        let (timestamp, iterator) = nonce.spend();
        Self { secret: secret.into(), timestamp, iterator }
    }

    /// The secret.
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// The secret, taken out.
    pub fn into_secret(self) -> Secret {
        self.secret
    }

    /// What kind of secret it holds.
    pub const fn kind(&self) -> SecretKind {
        self.secret.kind()
    }

    /// The client's clock, in Unix seconds.
    pub const fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// The iterator: must exceed all that came before it in the session.
    pub const fn iterator(&self) -> u64 {
        self.iterator
    }

    /// Writes the padded block into `out`, which has [`SecretKind::padded_len`] bytes.
    pub(crate) fn write_padded(&self, out: &mut [u8]) {
        let secret = self.secret.expose();
        let (head, rest) = out.split_at_mut(secret.len());
        head.copy_from_slice(secret);
        let (timestamp, rest) = rest.split_at_mut(8);
        timestamp.copy_from_slice(&self.timestamp.to_le_bytes());
        let (iterator, padding) = rest.split_at_mut(8);
        iterator.copy_from_slice(&self.iterator.to_le_bytes());
        padding.fill(padding_byte(self.kind()));
    }

    /// Reads a padded block, in time that depends on its length only.
    ///
    /// The length settles the kind, the kind the padding: for each length just one padding is right.
    pub(crate) fn read_padded(kind: SecretKind, block: &[u8]) -> Result<Self, Error> {
        let mut parts = Parts::default();
        let mut good = Choice::from(u8::from(block.len() == kind.padded_len()));
        let secret_len = kind.secret_len();
        for (at, byte) in block.iter().enumerate() {
            if at < secret_len {
                parts.secret[at] = *byte;
            } else if at < secret_len + 8 {
                parts.timestamp[at - secret_len] = *byte;
            } else if at < secret_len + 16 {
                parts.iterator[at - secret_len - 8] = *byte;
            } else {
                good &= byte.ct_eq(&padding_byte(kind));
            }
        }
        if kind == SecretKind::SixDigits {
            good &= are_digits(parts.head());
        }
        if !bool::from(good) {
            return Err(Error::Open);
        }
        let secret = match kind {
            SecretKind::SixDigits => Secret::Digits(Pin::from_bytes(parts.head::<{ Pin::LEN }>())?),
            SecretKind::TipKey => Secret::TipKey(*parts.head()),
            SecretKind::TipSignature => Secret::TipSignature(*parts.head()),
        };
        Ok(Self {
            secret,
            timestamp: u64::from_le_bytes(parts.timestamp),
            iterator: u64::from_le_bytes(parts.iterator),
        })
    }
}

/// What is read off a block before it is known to be one.
#[derive(Zeroize, ZeroizeOnDrop)]
struct Parts {
    secret: [u8; SecretKind::TipSignature.secret_len()],
    timestamp: [u8; 8],
    iterator: [u8; 8],
}

impl Default for Parts {
    fn default() -> Self {
        Self { secret: [0; 64], timestamp: [0; 8], iterator: [0; 8] }
    }
}

impl Parts {
    /// The first `N` bytes of the secret, `N` being 64 at most.
    fn head<const N: usize>(&self) -> &[u8; N] {
        const { assert!(N <= SecretKind::TipSignature.secret_len()) };
        self.secret.first_chunk().expect("checked when compiled")
    }
}

/// PKCS#7 fills with the number of bytes it adds.
// Never more than 16, so that the cast keeps it whole.
#[allow(clippy::cast_possible_truncation)]
const fn padding_byte(kind: SecretKind) -> u8 {
    (kind.padded_len() - kind.secret_len() - NONCE_LEN) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_protocol() {
        let lens = SecretKind::ALL.map(|k| (k.secret_len(), k.padded_len(), k.encrypted_len(), padding_byte(k)));
        assert_eq!(lens, [(6, 32, 48, 10), (40, 64, 80, 8), (64, 96, 112, 16)]);
        assert_eq!(SecretKind::from_encrypted_len(80), Some(SecretKind::TipKey));
        assert_eq!(SecretKind::from_encrypted_len(64), None);
    }

    #[test]
    fn bytes_lie_as_the_protocol_says() {
        let block = PinBlock { secret: Pin::new("123456").unwrap().into(), timestamp: 0x0102_0304, iterator: 0x0506 };
        let mut bytes = [0xff; 32];
        block.write_padded(&mut bytes);
        assert_eq!(&bytes[..6], b"123456");
        assert_eq!(bytes[6..14], [4, 3, 2, 1, 0, 0, 0, 0]);
        assert_eq!(bytes[14..22], [6, 5, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[22..], [10; 10]);
        assert_eq!(PinBlock::read_padded(SecretKind::SixDigits, &bytes), Ok(block));
    }

    #[test]
    fn one_wrong_byte_of_padding_or_digit_refuses_the_block() {
        let block = PinBlock { secret: Pin::new("123456").unwrap().into(), timestamp: 1, iterator: 2 };
        let mut good = [0; 32];
        block.write_padded(&mut good);
        for at in (0..6).chain(22..32) {
            let mut bad = good;
            bad[at] ^= 0x40;
            assert_eq!(PinBlock::read_padded(SecretKind::SixDigits, &bad), Err(Error::Open), "byte {at}");
        }
        assert_eq!(PinBlock::read_padded(SecretKind::SixDigits, &good[..31]), Err(Error::Open));
    }
}
