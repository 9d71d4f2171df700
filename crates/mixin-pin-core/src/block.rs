//! The plaintext of an encrypted PIN.
//!
//! `secret ‖ timestamp (u64 little-endian, Unix seconds) ‖ iterator (u64 little-endian)`, padded with PKCS#7 to a
//! multiple of 16 bytes. The module `cipher` encrypts it.

use core::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::hazmat::BlockForm;
use crate::pin::are_digits;
use crate::{Error, Nonce, Pin, PinKey};

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

/// The form of an encrypted block of any length: see [`crate::hazmat::block_form`].
pub(crate) fn form(key: &PinKey, encrypted: &[u8]) -> Result<BlockForm, Error> {
    /// Nonce and padding lie in the last two blocks. The block before them serves as their IV.
    const END: usize = 2 * AES_BLOCK;
    let len = encrypted.len().checked_sub(AES_BLOCK).filter(|len| *len >= END && len.is_multiple_of(AES_BLOCK));
    let len = len.ok_or(Error::Decrypt)?;
    let (iv, body) = encrypted[len - END..].split_first_chunk().ok_or(Error::Decrypt)?;
    let mut end = Zeroizing::new([0; END]);
    end.copy_from_slice(body);
    key.decrypt_blocks(iv, end.as_mut())?;

    let padding = usize::from(end[END - 1]);
    let is_padded = (1..=AES_BLOCK).contains(&padding) && end[END - padding..].iter().all(|byte| *byte == end[END - 1]);
    let secret_end = (END - NONCE_LEN).checked_sub(padding).filter(|_| is_padded).ok_or(Error::Decrypt)?;
    let (timestamp, rest) = end[secret_end..].split_first_chunk().ok_or(Error::Decrypt)?;
    let (iterator, _) = rest.split_first_chunk().ok_or(Error::Decrypt)?;
    let secret_len = len - END + secret_end;
    let is_digit_pair = |byte: &u8| byte >> 4 < 10 && byte & 15 < 10;
    Ok(BlockForm {
        secret_len,
        timestamp: u64::from_le_bytes(*timestamp),
        iterator: u64::from_le_bytes(*iterator),
        is_hex_of_digits: secret_len == Pin::LEN / 2 && end[..secret_len].iter().all(is_digit_pair),
    })
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

    /// Encrypts a secret of any length. Returns the length of the result.
    fn encrypt(secret: &[u8], out: &mut [u8; 256]) -> usize {
        let end = AES_BLOCK + secret.len() + NONCE_LEN;
        let padding = AES_BLOCK - end % AES_BLOCK;
        out[AES_BLOCK..end - NONCE_LEN].copy_from_slice(secret);
        out[end - NONCE_LEN..end - 8].copy_from_slice(&1_700_000_000_u64.to_le_bytes());
        out[end - 8..end].copy_from_slice(&9_u64.to_le_bytes());
        out[end..end + padding].fill(u8::try_from(padding).unwrap());
        let (iv, body) = out[..end + padding].split_first_chunk_mut().unwrap();
        PinKey::from_bytes(&[7; 32]).unwrap().encrypt_blocks(iv, body);
        end + padding
    }

    fn form_of(key: u8, encrypted: &[u8]) -> Result<BlockForm, Error> {
        form(&PinKey::from_bytes(&[key; 32]).unwrap(), encrypted)
    }

    #[test]
    fn the_form_of_a_block_of_any_length_is_read() {
        let mut out = [5; 256];
        for secret_len in 0..200 {
            let len = encrypt(&[0xab; 200][..secret_len], &mut out);
            let (timestamp, iterator) = (1_700_000_000, 9);
            let expected = BlockForm { secret_len, timestamp, iterator, is_hex_of_digits: false };
            assert_eq!(form_of(7, &out[..len]), Ok(expected));
        }
        for (secret, is_hex_of_digits) in [
            (&[0x12, 0x34, 0x56][..], true),
            (&[0x99, 0x00, 0x09], true),
            (&[0x12, 0x3a, 0x56], false),
            (&[0xa2, 0x34, 0x56], false),
            (&[0x12, 0x34], false),
            (&[0x12, 0x34, 0x56, 0x78], false),
        ] {
            let len = encrypt(secret, &mut out);
            assert_eq!(form_of(7, &out[..len]).unwrap().is_hex_of_digits, is_hex_of_digits, "{secret:x?}");
        }
    }

    #[test]
    fn a_block_with_wrong_padding_has_no_form() {
        for len in (0..48).chain(49..64) {
            assert_eq!(form_of(7, &[1; 64][..len]), Err(Error::Decrypt), "{len}");
        }
        let mut good = [5; 256];
        let len = encrypt(b"123", &mut good);
        assert_eq!(form_of(8, &good[..len]), Err(Error::Decrypt), "another key");
        for bit in 0..8 * AES_BLOCK {
            // This bit also changes in the last block, of which 13 bytes are padding.
            let mut bad = good;
            bad[AES_BLOCK + bit / 8] ^= 1 << (bit % 8);
            assert_eq!(form_of(7, &bad[..len]).is_err(), bit / 8 >= AES_BLOCK - 13, "bit {bit}");
        }
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
