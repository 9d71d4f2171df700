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
///
/// ```
/// use mixin_pin_core::SecretKind;
///
/// assert_eq!(SecretKind::from_encrypted_len(48), Some(SecretKind::SixDigits));
/// for kind in SecretKind::ALL {
///     assert!(kind.padded_len() > kind.secret_len() + 16); // timestamp, iterator and padding
///     assert_eq!(kind.encrypted_len(), kind.padded_len() + 16); // the IV
/// }
/// ```
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
        self.secret_len() + NONCE_LEN + padding_len(self.secret_len())
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
/// ```
/// use mixin_pin_core::{Pin, Secret, SecretKind};
///
/// let pin = Pin::new("314159")?;
/// let secret = Secret::from(&pin); // a copy; `from(pin)` takes it
/// assert_eq!(secret.kind(), SecretKind::SixDigits);
/// assert_eq!(secret.expose(), b"314159");
/// assert_eq!(format!("{secret:?}"), r#"Secret("six-digit", ..)"#);
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
///
/// # Security
/// Zeroized on drop; `Debug` tells the kind and nothing else.
#[non_exhaustive]
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

impl Zeroize for Secret {
    fn zeroize(&mut self) {
        match self {
            Self::Digits(pin) => pin.zeroize(),
            // As slices, which are erased in bulk; arrays are erased byte by byte.
            Self::TipKey(bytes) => bytes.as_mut_slice().zeroize(),
            Self::TipSignature(bytes) => bytes.as_mut_slice().zeroize(),
        }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl ZeroizeOnDrop for Secret {}

impl From<Pin> for Secret {
    fn from(pin: Pin) -> Self {
        Self::Digits(pin)
    }
}

/// For a call that is encrypted afresh, because no connection was made for it.
impl From<&Self> for Secret {
    fn from(secret: &Self) -> Self {
        match secret {
            Self::Digits(pin) => Self::Digits(pin.duplicate()),
            Self::TipKey(bytes) => Self::TipKey(*bytes),
            Self::TipSignature(bytes) => Self::TipSignature(*bytes),
        }
    }
}

/// Copies the digits, for callers that keep their PIN.
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
/// [`PinKey::decrypt`](crate::PinKey::decrypt).
///
/// ```
/// use mixin_pin_core::{MonotonicNonces, NonceSource, Pin, PinBlock, SecretKind, UnixTime};
///
/// let nonce = MonotonicNonces::new().next(UnixTime::from_secs(1_700_000_000))?;
/// let block = PinBlock::new(Pin::new("314159")?, nonce);
/// assert_eq!((block.kind(), block.timestamp()), (SecretKind::SixDigits, 1_700_000_000));
/// assert!(*block.secret() == Pin::new("314159")?.into()); // in constant time
/// let secret = block.into_secret(); // which outlives its nonce
/// assert_eq!(secret.expose(), b"314159");
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

    /// Reads a padded block, in time that depends on its length only.
    ///
    /// The length settles the kind, the kind the padding: for each length just one padding is right.
    pub(crate) fn read_padded(kind: SecretKind, block: &[u8]) -> Result<Self, Error> {
        if block.len() != kind.padded_len() {
            return Err(Error::Decrypt);
        }
        let (secret, rest) = block.split_at(kind.secret_len());
        let (timestamp, rest) = rest.split_first_chunk().ok_or(Error::Decrypt)?;
        let (iterator, padding) = rest.split_first_chunk().ok_or(Error::Decrypt)?;

        let wrong = padding.iter().fold(0, |wrong, byte| wrong | (byte ^ padding_byte(kind.secret_len())));
        let mut good = wrong.ct_eq(&0);
        if kind == SecretKind::SixDigits {
            good &= are_digits(secret);
        }
        if !bool::from(good) {
            return Err(Error::Decrypt);
        }
        Ok(Self {
            secret: match kind {
                SecretKind::SixDigits => Secret::Digits(Pin::from_bytes(secret)?),
                SecretKind::TipKey => Secret::TipKey(secret.try_into().map_err(|_| Error::Decrypt)?),
                SecretKind::TipSignature => Secret::TipSignature(secret.try_into().map_err(|_| Error::Decrypt)?),
            },
            timestamp: u64::from_le_bytes(*timestamp),
            iterator: u64::from_le_bytes(*iterator),
        })
    }
}

/// Writes a padded block into `out`, which has [`SecretKind::padded_len`] bytes.
pub(crate) fn write_padded(secret: &Secret, timestamp: u64, iterator: u64, out: &mut [u8]) {
    // Each kind has lengths of its own, so that all of them are known where the bytes are moved.
    match secret {
        Secret::Digits(pin) => write(pin.expose(), timestamp, iterator, out),
        Secret::TipKey(bytes) => write(bytes, timestamp, iterator, out),
        Secret::TipSignature(bytes) => write(bytes, timestamp, iterator, out),
    }
}

#[inline]
fn write<const N: usize>(secret: &[u8; N], timestamp: u64, iterator: u64, out: &mut [u8]) {
    let out = &mut out[..const { N + NONCE_LEN + padding_len(N) }];
    out[..N].copy_from_slice(secret);
    out[N..N + 8].copy_from_slice(&timestamp.to_le_bytes());
    out[N + 8..N + NONCE_LEN].copy_from_slice(&iterator.to_le_bytes());
    out[N + NONCE_LEN..].fill(const { padding_byte(N) });
}

/// How many bytes PKCS#7 adds to a secret and its nonce: 1 to 16.
const fn padding_len(secret_len: usize) -> usize {
    AES_BLOCK - (secret_len + NONCE_LEN) % AES_BLOCK
}

/// PKCS#7 fills with the number of bytes it adds.
// Never more than 16, so that the cast keeps it whole.
#[allow(clippy::cast_possible_truncation)]
const fn padding_byte(secret_len: usize) -> u8 {
    padding_len(secret_len) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_protocol() {
        let lens =
            SecretKind::ALL.map(|k| (k.secret_len(), k.padded_len(), k.encrypted_len(), padding_byte(k.secret_len())));
        assert_eq!(lens, [(6, 32, 48, 10), (40, 64, 80, 8), (64, 96, 112, 16)]);
        assert_eq!(SecretKind::from_encrypted_len(80), Some(SecretKind::TipKey));
        assert_eq!(SecretKind::from_encrypted_len(64), None);
    }

    #[test]
    fn bytes_lie_as_the_protocol_says() {
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
    fn one_wrong_byte_of_padding_or_digit_refuses_the_block() {
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
