//! Encryption and decryption of blocks: AES-256-CBC with the key that a session shares with the server.
//!
//! The module `block` defines what the blocks contain, and `session` where the key comes from.

use core::fmt;

use aes::Aes256;
use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD, URL_SAFE_NO_PAD};
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::block::{AES_BLOCK, MAX_PADDED_LEN, write_padded};
use crate::encoding::decode_public;
#[cfg(feature = "ed25519")]
use crate::encoding::decode_secret;
use crate::{Error, Nonce, Pin, PinBlock, Secret, SecretKind, UnixTime};

/// The 256-bit AES key that a session shares with Mixin's server, with its key schedule.
///
/// # Security
/// Zeroized on drop; never printed or cloned.
pub struct PinKey {
    bytes: Zeroizing<[u8; Self::LEN]>,
    cipher: Aes256,
}

impl PinKey {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Reads a key.
    ///
    /// # Errors
    /// [`Error::PinKeyLength`] unless there are 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().map_err(|_| Error::PinKeyLength)?;
        Ok(Self { bytes: Zeroizing::new(*bytes), cipher: Aes256::new(bytes.into()) })
    }

    /// Reads a key in hex, or in base64 of either alphabet, padded or not.
    ///
    /// ```
    /// use mixin_pin_core::{Error, PinKey};
    ///
    /// let key = PinKey::from_text("0707070707070707070707070707070707070707070707070707070707070707")?;
    /// assert_eq!(key.expose(), &[7; 32]);
    /// assert_eq!(PinKey::from_text("0707").unwrap_err(), Error::PinKeyLength);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::PinKeyLength`] for anything but text of 32 bytes.
    #[cfg(feature = "ed25519")]
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let mut buffer = Zeroizing::new([0; Self::LEN]);
        // 64 characters of base64 are 48 bytes, so such text is hex.
        Self::from_bytes(decode_secret(text, &[64], buffer.as_mut()).ok_or(Error::PinKeyLength)?)
    }

    /// Generates a key, as a server does for a new RSA session.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; Self::LEN]);
        rng.fill_bytes(bytes.as_mut());
        let cipher = Aes256::new((&*bytes).into());
        Self { bytes, cipher }
    }

    /// Whether both are the same key, compared in constant time.
    pub fn is_same(&self, other: &Self) -> bool {
        self.bytes.as_ref().ct_eq(other.bytes.as_ref()).into()
    }

    /// The key's bytes, to store them.
    pub fn expose(&self) -> &[u8; Self::LEN] {
        &self.bytes
    }

    /// Encrypts a secret and its nonce under a random IV.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_core::{MonotonicNonces, NonceSource, Pin, PinKey, UnixTime};
    ///
    /// let mut rng = UnwrapErr(SysRng);
    /// let key = PinKey::generate(&mut rng);
    /// let nonce = MonotonicNonces::new().next(UnixTime::from_secs(1_700_000_000))?;
    /// let encrypted = key.encrypt(Pin::new("314159")?, nonce, &mut rng);
    /// assert_eq!(key.decrypt(&encrypted)?.timestamp(), 1_700_000_000);
    /// # Ok::<(), mixin_pin_core::Error>(())
    /// ```
    ///
    /// # Security
    /// An encrypted PIN is one-time: send it once, and encrypt again for another try.
    pub fn encrypt(&self, secret: impl Into<Secret>, nonce: Nonce, rng: &mut dyn CryptoRng) -> EncryptedPin {
        // Converted first: a secret that is kept during the next calls and moved then leaves a copy on the stack.
        let secret = secret.into();
        let mut iv = [0; AES_BLOCK];
        rng.fill_bytes(&mut iv);
        let (timestamp, iterator) = nonce.spend();
        self.encrypt_parts(&secret, timestamp, iterator, &iv)
    }

    /// Encrypts six digits for the upgrade of an RSA session to an Ed25519 one (`POST /legacy/users`), under a random IV.
    ///
    /// Its block has the time `now` and the iterator 0 (MixinNetwork/bot-api-go-client: `legacy_user.go`). No other call
    /// has this iterator, so no nonce is needed. There are no such blocks with TIP secrets.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_core::{Pin, PinKey, UnixTime};
    ///
    /// let mut rng = UnwrapErr(SysRng);
    /// let key = PinKey::generate(&mut rng);
    /// let encrypted = key.encrypt_for_upgrade(&Pin::new("314159")?, UnixTime::from_secs(1_700_000_000), &mut rng);
    /// let block = key.decrypt(&encrypted)?;
    /// assert_eq!((block.timestamp(), block.iterator()), (1_700_000_000, 0));
    /// # Ok::<(), mixin_pin_core::Error>(())
    /// ```
    ///
    /// # Security
    /// As for [`PinKey::encrypt`], send it once only.
    pub fn encrypt_for_upgrade(&self, pin: &Pin, now: UnixTime, rng: &mut dyn CryptoRng) -> EncryptedPin {
        self.encrypt(pin, Nonce::new(now.secs(), 0), rng)
    }

    pub(crate) fn encrypt_block(&self, block: &PinBlock, iv: &[u8; AES_BLOCK]) -> EncryptedPin {
        self.encrypt_parts(block.secret(), block.timestamp(), block.iterator(), iv)
    }

    fn encrypt_parts(&self, secret: &Secret, timestamp: u64, iterator: u64, iv: &[u8; AES_BLOCK]) -> EncryptedPin {
        let kind = secret.kind();
        let mut bytes = [0; EncryptedPin::MAX_LEN];
        bytes[..AES_BLOCK].copy_from_slice(iv);
        // The block is written where it is encrypted, so there is no other copy to erase.
        let body = &mut bytes[AES_BLOCK..kind.encrypted_len()];
        write_padded(secret, timestamp, iterator, body);
        let (blocks, _) = Array::slice_as_chunks_mut(body);
        cbc::Encryptor::inner_iv_init(&self.cipher, iv.into()).encrypt_blocks(blocks);
        EncryptedPin { bytes, kind }
    }

    /// Decrypts an encrypted PIN, as the server does.
    ///
    /// # Errors
    /// [`Error::Decrypt`] if key, padding or content is wrong. The time is the same for each.
    ///
    /// # Security
    /// CBC has no authentication: a changed ciphertext may decrypt to another block. Only the request's signature
    /// protects it, so verify that first.
    pub fn decrypt(&self, encrypted: &EncryptedPin) -> Result<PinBlock, Error> {
        let (iv, body) = encrypted.as_bytes().split_first_chunk().ok_or(Error::Decrypt)?;
        let mut plain = Zeroizing::new([0; MAX_PADDED_LEN]);
        let plain = &mut plain[..body.len()];
        plain.copy_from_slice(body);
        self.decrypt_blocks(iv, plain)?;
        PinBlock::read_padded(encrypted.kind, plain)
    }

    #[cfg(test)]
    pub(crate) fn encrypt_blocks(&self, iv: &[u8; AES_BLOCK], blocks: &mut [u8]) {
        let (blocks, _) = Array::slice_as_chunks_mut(blocks);
        cbc::Encryptor::inner_iv_init(&self.cipher, iv.into()).encrypt_blocks(blocks);
    }

    pub(crate) fn decrypt_blocks(&self, iv: &[u8; AES_BLOCK], blocks: &mut [u8]) -> Result<(), Error> {
        let (blocks, rest) = Array::slice_as_chunks_mut(blocks);
        if !rest.is_empty() {
            return Err(Error::Decrypt);
        }
        cbc::Decryptor::inner_iv_init(&self.cipher, iv.into()).decrypt_blocks(blocks);
        Ok(())
    }
}

impl fmt::Debug for PinKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinKey").finish_non_exhaustive()
    }
}

// Both fields zeroize themselves: `Zeroizing`, and `aes` by its feature.
impl ZeroizeOnDrop for PinKey {}

/// An encrypted PIN: the IV and the encrypted block.
///
/// It is not secret, but one-time: see [`PinKey::encrypt`].
///
/// ```
/// use mixin_pin_core::{EncryptedPin, SecretKind};
///
/// let pin = EncryptedPin::from_base64("+mRm5rm9bkQztvpsaTyz1Rib0BEM0S1FKl/oYaMfbUJM3ZmrxJhafj/tjHi+3kwQ")?;
/// assert_eq!(pin.kind(), SecretKind::SixDigits);
/// assert!(pin.to_standard().as_str().starts_with("+mRm5rm9")); // for `pin`
/// assert!(pin.to_url_safe().as_str().starts_with("-mRm5rm9")); // for `pin_base64`
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptedPin {
    bytes: [u8; Self::MAX_LEN],
    kind: SecretKind,
}

impl EncryptedPin {
    /// The longest one, of a TIP signature: 112 bytes.
    pub const MAX_LEN: usize = SecretKind::TipSignature.encrypted_len();

    /// Reads the IV and the ciphertext.
    ///
    /// # Errors
    /// [`Error::EncryptedPinFormat`] unless there are 48, 80 or 112 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let kind = SecretKind::from_encrypted_len(bytes.len()).ok_or(Error::EncryptedPinFormat)?;
        let mut inline = [0; Self::MAX_LEN];
        inline[..bytes.len()].copy_from_slice(bytes);
        Ok(Self { bytes: inline, kind })
    }

    /// Reads base64 in the standard or the URL-safe alphabet, padded or not.
    ///
    /// # Errors
    /// [`Error::EncryptedPinFormat`] for anything but base64 of 48, 80 or 112 bytes, for a mixture of both alphabets,
    /// and for stray bits in the last character.
    pub fn from_base64(text: &str) -> Result<Self, Error> {
        let mut buffer = [0; Self::MAX_LEN];
        let bytes = decode_public(text, &mut buffer).ok_or(Error::EncryptedPinFormat)?;
        Self::from_bytes(bytes)
    }

    /// The kind of secret inside, which the length tells.
    pub const fn kind(&self) -> SecretKind {
        self.kind
    }

    /// IV and ciphertext: 48, 80 or 112 bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.kind.encrypted_len()]
    }

    /// Base64 in the standard alphabet, padded: for the fields `pin` and `old_pin`.
    pub fn to_standard(&self) -> EncodedPin {
        self.encode(&STANDARD)
    }

    /// Base64 in the URL-safe alphabet, unpadded: for the fields `pin_base64` and `old_pin_base64`.
    pub fn to_url_safe(&self) -> EncodedPin {
        self.encode(&URL_SAFE_NO_PAD)
    }

    fn encode(&self, engine: &GeneralPurpose) -> EncodedPin {
        let mut text = [0; EncodedPin::MAX_LEN];
        let len = engine.encode_slice(self.as_bytes(), &mut text).expect("152 characters hold 112 bytes");
        EncodedPin { text, len }
    }
}

impl fmt::Debug for EncryptedPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EncryptedPin").field(&self.to_standard().as_str()).finish()
    }
}

/// An encrypted PIN as base64 text, without a heap.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedPin {
    text: [u8; Self::MAX_LEN],
    len: usize,
}

impl EncodedPin {
    /// Base64 of 112 bytes, padded: 152 characters.
    pub const MAX_LEN: usize = EncryptedPin::MAX_LEN.div_ceil(3) * 4;

    /// The text.
    pub fn as_str(&self) -> &str {
        // Base64 is ASCII, so the default is never used.
        core::str::from_utf8(&self.text[..self.len]).unwrap_or_default()
    }
}

impl fmt::Display for EncodedPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for EncodedPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EncodedPin").field(&self.as_str()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pin, hazmat};

    fn key() -> PinKey {
        PinKey::from_bytes(&[7; 32]).unwrap()
    }

    fn encrypted() -> EncryptedPin {
        hazmat::encrypt_with_iv(&key(), &hazmat::block(Pin::new("123456").unwrap(), 5, 9), &[0xfb; 16])
    }

    #[test]
    fn an_encrypted_pin_decrypts() {
        let block = key().decrypt(&encrypted()).unwrap();
        assert_eq!((block.timestamp(), block.iterator()), (5, 9));
        assert_eq!(block.secret().expose(), b"123456");
    }

    #[test]
    fn every_kind_of_secret_decrypts() {
        for secret in [Secret::TipKey([0xa5; 40]), Secret::TipSignature([0x5a; 64])] {
            let kind = secret.kind();
            let encrypted = hazmat::encrypt_with_iv(&key(), &hazmat::block(secret, 1, 2), &[1; 16]);
            assert_eq!(encrypted.as_bytes().len(), kind.encrypted_len());
            assert_eq!(key().decrypt(&encrypted).unwrap().kind(), kind);
        }
    }

    #[test]
    fn another_key_decrypts_nothing() {
        let other = PinKey::from_bytes(&[8; 32]).unwrap();
        assert_eq!(other.decrypt(&encrypted()), Err(Error::Decrypt));
    }

    #[test]
    fn both_alphabets_padded_or_not_are_read() {
        let encrypted = hazmat::encrypt_with_iv(&key(), &hazmat::block(Secret::TipKey([9; 40]), 1, 2), &[0xfb; 16]);
        let standard = encrypted.to_standard();
        let url_safe = encrypted.to_url_safe();
        assert!(standard.as_str().starts_with("+/v7") && standard.as_str().ends_with('='));
        assert!(url_safe.as_str().starts_with("-_v7") && !url_safe.as_str().ends_with('='));
        for text in [standard.as_str(), standard.as_str().trim_end_matches('='), url_safe.as_str()] {
            assert_eq!(EncryptedPin::from_base64(text).unwrap(), encrypted, "{text}");
        }
    }

    #[test]
    fn malformed_encrypted_pins_are_refused() {
        for text in
            ["", "====", "AAAA", "not base64!", "+_v7+_v7+_v7+_v7+_v7+_v7+_v7+_v7+_v7+_v7+_v7+_v7+_v7+_v7+_v7+_v7"]
        {
            assert_eq!(EncryptedPin::from_base64(text), Err(Error::EncryptedPinFormat), "{text}");
        }
        for len in [0, 16, 47, 49, 64, 79, 81, 111, 113] {
            assert_eq!(EncryptedPin::from_bytes(&[0; 128][..len]), Err(Error::EncryptedPinFormat), "{len}");
        }
        assert_eq!(PinKey::from_bytes(&[0; 31]).unwrap_err(), Error::PinKeyLength);
    }
}
