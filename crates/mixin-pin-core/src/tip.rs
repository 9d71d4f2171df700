//! TIP keys: the Ed25519 keys that replace six-digit PINs.
//!
//! A TIP PIN is a key pair. A call carries a signature over a body that names the action and its parameters, instead of
//! six digits. [`PinKey::encrypt`](crate::PinKey::encrypt) encrypts the signature as it encrypts digits.

mod action;
mod amount;

use core::fmt;

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use sha2::{Digest, Sha512};
use sha3::Sha3_256;
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

pub use action::{TipAction, TipBody, TipParameter};
pub use amount::Amount;
#[cfg(feature = "alloc")]
pub use amount::AmountBuf;

use crate::encoding::decode_secret;
use crate::{Ed25519PublicKey, Error, Secret, SignerError};

/// Length of a TIP signature, in bytes.
pub const TIP_SIGNATURE_LEN: usize = 64;

/// Domain separator of the nonces of raw scalars.
const RAW_SCALAR_DOMAIN: &[u8] = b"mixin-pin TIP raw scalar nonce prefix v1";

/// A TIP key, which signs actions.
///
/// There are three forms: a 32-byte seed (RFC 8032), a 64-byte key (the seed and its public key), and a raw scalar, for
/// keys that are sums of shares. A seed and a scalar look alike. If the public key is known, for example from
/// `tip_key_base64` in the answer to `GET /safe/me`, use [`TipKey::matching`].
///
/// # Security
/// Zeroized on drop, neither cloned nor printed. Signing is deterministic and in constant time. For a raw scalar, a
/// prefix derived from the scalar gives each message its own nonce.
///
/// # Example
///
/// ```
/// use mixin_pin_core::tip::{TipAction, TipKey};
///
/// let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"; // RFC 8032, 7.1, test 1
/// let key = TipKey::from_text(seed)?;
/// let action = TipAction::Verify { timestamp: 1_700_000_000_000_000_000 };
/// let signature = key.sign(&action);
/// action.verify(&signature, key.public_key())?;
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
pub struct TipKey {
    secret: ExpandedSecretKey,
    public: Ed25519PublicKey,
}

impl TipKey {
    /// A key from its seed (RFC 8032, section 5.1.5).
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let secret = ExpandedSecretKey::from(seed);
        let public = Ed25519PublicKey::from_key(VerifyingKey::from(&secret));
        Self { secret, public }
    }

    /// Reads a 32-byte seed, or a 64-byte key (seed and public key), in hex or in base64 of either alphabet, padded or not.
    ///
    /// # Errors
    /// [`Error::Ed25519Key`] for anything else, [`Error::Ed25519KeyMismatch`] if the public half of a 64-byte key is not
    /// that of its seed.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        decode(text, |bytes| {
            if let Ok(seed) = bytes.try_into() {
                return Ok(Self::from_seed(seed));
            }
            let pair: &[u8; 64] = bytes.try_into().map_err(|_| Error::Ed25519Key)?;
            let key = SigningKey::from_keypair_bytes(pair).map_err(|_| Error::Ed25519KeyMismatch)?;
            Ok(Self::from_seed(key.as_bytes()))
        })
    }

    /// A key from a raw scalar, little-endian, which is reduced modulo the order of the group.
    ///
    /// # Errors
    /// [`Error::Ed25519Key`] for a multiple of that order, which has no public key.
    pub fn from_scalar(scalar: &[u8; 32]) -> Result<Self, Error> {
        let mut hash = Sha512::new_with_prefix(RAW_SCALAR_DOMAIN).chain_update(scalar).finalize();
        let mut hash_prefix = [0; 32];
        hash_prefix.copy_from_slice(&hash[..32]);
        hash.as_mut_slice().zeroize();
        let secret = ExpandedSecretKey { scalar: curve25519_dalek::Scalar::from_bytes_mod_order(*scalar), hash_prefix };
        hash_prefix.zeroize();
        let public = VerifyingKey::from(&secret);
        if public.is_weak() {
            return Err(Error::Ed25519Key);
        }
        Ok(Self { secret, public: Ed25519PublicKey::from_key(public) })
    }

    /// Reads a raw scalar as [`TipKey::from_scalar`] does, from hex or base64 of 32 bytes, or of 64 bytes whose first half
    /// is the scalar.
    ///
    /// # Errors
    /// [`Error::Ed25519Key`] for anything else.
    pub fn scalar_from_text(text: &str) -> Result<Self, Error> {
        decode(text, |bytes| Self::from_scalar(first_half(bytes)?))
    }

    /// Reads hex or base64 of 32 or 64 bytes as a seed or as a raw scalar, whichever gives the expected public key.
    ///
    /// ```
    /// use mixin_pin_core::{Error, tip::TipKey};
    ///
    /// let text = "42".repeat(32); // a seed, or a scalar?
    /// let (seed, scalar) = (TipKey::from_text(&text)?, TipKey::scalar_from_text(&text)?);
    /// assert_eq!(TipKey::matching(&text, scalar.public_key())?.public_key(), scalar.public_key());
    /// assert_eq!(TipKey::matching(&text, seed.public_key())?.public_key(), seed.public_key());
    /// let other = TipKey::from_seed(&[7; 32]);
    /// assert_eq!(TipKey::matching(&text, other.public_key()).unwrap_err(), Error::TipKeyMismatch);
    /// # Ok::<(), mixin_pin_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Ed25519Key`] for other text, [`Error::TipKeyMismatch`] if neither reading gives that public key.
    pub fn matching(text: &str, expected: &Ed25519PublicKey) -> Result<Self, Error> {
        decode(text, |bytes| {
            let first = first_half(bytes)?;
            [Ok(Self::from_seed(first)), Self::from_scalar(first)]
                .into_iter()
                .flatten()
                .find(|key| key.public == *expected)
                .ok_or(Error::TipKeyMismatch)
        })
    }

    /// Generates a key. The caller stores the seed, which is returned with it.
    pub fn generate(rng: &mut dyn CryptoRng) -> (Self, Zeroizing<[u8; 32]>) {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        (Self::from_seed(&seed), seed)
    }

    /// The public key, Mixin's `tip_key_base64`.
    pub const fn public_key(&self) -> &Ed25519PublicKey {
        &self.public
    }

    /// Signs an action, without a heap.
    pub fn sign(&self, action: &TipAction<'_>) -> [u8; TIP_SIGNATURE_LEN] {
        self.sign_message(action.body().as_bytes())
    }

    pub(crate) fn scalar(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.scalar.to_bytes())
    }

    fn sign_message(&self, message: &[u8]) -> [u8; TIP_SIGNATURE_LEN] {
        raw_sign::<Sha512>(&self.secret, message, self.public.as_key()).to_bytes()
    }

    /// Signs an action, and makes the signature the secret of a PIN block.
    pub fn secret(&self, action: &TipAction<'_>) -> Secret {
        Secret::TipSignature(self.sign(action))
    }

    /// Signs a user's id for the field `signature` of `POST /safe/users`.
    ///
    /// The signature shows the server that the user owns the key for the safe. [`verify_safe_signature`] checks it.
    pub fn sign_for_safe(&self, user_id: Uuid) -> [u8; TIP_SIGNATURE_LEN] {
        self.sign_message(&safe_message(user_id))
    }

    /// The secret that installs this key: the public key and a counter, which is 1 for the first key and grows with each.
    pub fn installation(&self, counter: u64) -> Secret {
        TipInstallation { public_key: self.public.clone(), counter }.into()
    }
}

/// Signs with a TIP key. [`TipKey`] implements it, and so may a key in a device or at a service.
///
/// ```
/// use mixin_pin_core::tip::{TIP_SIGNATURE_LEN, TipAction, TipKey, TipSigner};
/// use mixin_pin_core::{Ed25519PublicKey, SignerError};
///
/// /// A key in hardware, behind its driver's signing call.
/// struct Device<D>(Ed25519PublicKey, D);
///
/// impl<D: Fn(&[u8]) -> Option<[u8; TIP_SIGNATURE_LEN]>> TipSigner for Device<D> {
///     fn public_key(&self) -> &Ed25519PublicKey {
///         &self.0
///     }
///
///     fn sign(&self, message: &[u8]) -> Result<[u8; TIP_SIGNATURE_LEN], SignerError> {
///         (self.1)(message).ok_or(SignerError::new())
///     }
/// }
///
/// # let key = TipKey::from_seed(&[7; 32]);
/// # let public_key = key.public_key().clone();
/// let device = Device(public_key, |message: &[u8]| TipSigner::sign(&key, message).ok());
/// let action = TipAction::Verify { timestamp: 1_700_000_000_000_000_000 };
/// let signature = device.sign(action.body().as_bytes())?;
/// action.verify(&signature, device.public_key())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait TipSigner {
    /// The public key, Mixin's `tip_key_base64`.
    fn public_key(&self) -> &Ed25519PublicKey;

    /// Signs a message: an action's [`TipBody`], or the [`safe_message`] of a user. Ed25519 without a prehash.
    ///
    /// # Errors
    /// [`SignerError`] if the key or its device fails.
    fn sign(&self, message: &[u8]) -> Result<[u8; TIP_SIGNATURE_LEN], SignerError>;
}

#[cfg(feature = "alloc")]
impl<S: TipSigner + ?Sized> TipSigner for alloc::boxed::Box<S> {
    fn public_key(&self) -> &Ed25519PublicKey {
        (**self).public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; TIP_SIGNATURE_LEN], SignerError> {
        (**self).sign(message)
    }
}

impl TipSigner for TipKey {
    fn public_key(&self) -> &Ed25519PublicKey {
        &self.public
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; TIP_SIGNATURE_LEN], SignerError> {
        Ok(self.sign_message(message))
    }
}

impl<S: TipSigner + ?Sized> TipSigner for &S {
    fn public_key(&self) -> &Ed25519PublicKey {
        (**self).public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; TIP_SIGNATURE_LEN], SignerError> {
        (**self).sign(message)
    }
}

/// Verifies a signature of [`TipKey::sign_for_safe`], as a server does.
///
/// # Errors
/// [`Error::Signature`] if it is not valid.
pub fn verify_safe_signature(
    user_id: Uuid,
    signature: &[u8; TIP_SIGNATURE_LEN],
    key: &Ed25519PublicKey,
) -> Result<(), Error> {
    key.verify(&safe_message(user_id), signature)
}

/// What a key for the safe signs: SHA3-256 of the text of the user's id.
pub fn safe_message(user_id: Uuid) -> [u8; 32] {
    let mut buffer = Uuid::encode_buffer();
    Sha3_256::digest(user_id.hyphenated().encode_lower(&mut buffer)).into()
}

/// The first half of 64 bytes. Sums of shares may come with a second half without meaning.
fn first_half(bytes: &[u8]) -> Result<&[u8; 32], Error> {
    match bytes.len() {
        32 | 64 => bytes.first_chunk().ok_or(Error::Ed25519Key),
        _ => Err(Error::Ed25519Key),
    }
}

fn decode(text: &str, read: impl FnOnce(&[u8]) -> Result<TipKey, Error>) -> Result<TipKey, Error> {
    let mut buffer = Zeroizing::new([0; 64]);
    // 64 or 128 characters of base64 are 48 or 96 bytes, which no key has, so such text is hex.
    read(decode_secret(text, &[64, 128], buffer.as_mut()).ok_or(Error::Ed25519Key)?)
}

impl fmt::Debug for TipKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TipKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// A TIP key to install: the public key and a counter, written as 32 bytes and a big-endian u64.
///
/// ```
/// use mixin_pin_core::Secret;
/// use mixin_pin_core::tip::{TipInstallation, TipKey};
///
/// let key = TipKey::from_seed(&[7; 32]);
/// let Secret::TipKey(bytes) = key.installation(1) else { panic!("another kind") };
/// let read = TipInstallation::from_bytes(&bytes)?;
/// assert_eq!((&read.public_key, read.counter), (key.public_key(), 1));
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TipInstallation {
    /// The key to install.
    pub public_key: Ed25519PublicKey,
    /// Greater than that of the previous key; the first is 1.
    pub counter: u64,
}

impl TipInstallation {
    /// Reads the secret of a block, as a server does.
    ///
    /// # Errors
    /// [`Error::PublicKey`] if the first 32 bytes are no public key.
    pub fn from_bytes(bytes: &[u8; 40]) -> Result<Self, Error> {
        let (key, counter) = bytes.split_at(32);
        Ok(Self {
            public_key: Ed25519PublicKey::from_bytes(key)?,
            counter: u64::from_be_bytes(counter.try_into().map_err(|_| Error::PublicKey)?),
        })
    }
}

impl From<TipInstallation> for Secret {
    fn from(installation: TipInstallation) -> Self {
        let mut bytes = [0; 40];
        bytes[..32].copy_from_slice(installation.public_key.as_bytes());
        bytes[32..].copy_from_slice(&installation.counter.to_be_bytes());
        Self::TipKey(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; 32] = [0x42; 32];

    #[test]
    fn a_seed_signs_as_in_rfc_8032() {
        use ed25519_dalek::Signer as _;

        let action = TipAction::Verify { timestamp: 7 };
        let expected = SigningKey::from_bytes(&SEED).sign(action.body().as_bytes()).to_bytes();
        assert_eq!(TipKey::from_seed(&SEED).sign(&action), expected);
    }

    #[test]
    fn a_scalar_signs_for_its_own_public_key_with_a_nonce_for_each_message() {
        let key = TipKey::from_scalar(&SEED).unwrap();
        assert_ne!(key.public_key(), TipKey::from_seed(&SEED).public_key());
        let (one, two) = (TipAction::Verify { timestamp: 1 }, TipAction::Verify { timestamp: 2 });
        let (first, second) = (key.sign(&one), key.sign(&two));
        one.verify(&first, key.public_key()).unwrap();
        two.verify(&second, key.public_key()).unwrap();
        assert_ne!(first[..32], second[..32], "the nonce's point");
        assert_eq!(key.sign(&one), first);
    }

    #[test]
    fn the_scalar_of_a_seed_is_the_same_key() {
        let seed = TipKey::from_seed(&SEED);
        let scalar = SigningKey::from_bytes(&SEED).to_scalar().to_bytes();
        let raw = TipKey::from_scalar(&scalar).unwrap();
        assert_eq!(raw.public_key(), seed.public_key());
    }

    #[test]
    fn the_expected_public_key_selects_seed_or_scalar() {
        let seed = TipKey::from_seed(&SEED);
        let scalar = TipKey::from_scalar(&SEED).unwrap();
        let (hex, long) = ("42".repeat(32), ["42".repeat(32), "00".repeat(32)].concat());
        for expected in [seed.public_key(), scalar.public_key()] {
            assert_eq!(TipKey::matching(&hex, expected).unwrap().public_key(), expected);
            assert_eq!(TipKey::matching(&long, expected).unwrap().public_key(), expected);
        }
        let other = TipKey::from_seed(&[1; 32]);
        assert_eq!(TipKey::matching(&hex, other.public_key()).unwrap_err(), Error::TipKeyMismatch);
        assert_eq!(TipKey::matching(&hex[2..], seed.public_key()).unwrap_err(), Error::Ed25519Key);
    }

    #[test]
    fn a_scalar_without_a_key_is_refused() {
        // Zero, and the order of the group (RFC 8032, 5.1): little-endian.
        let mut order = [0; 32];
        order[..16].copy_from_slice(&0x14de_f9de_a2f7_9cd6_5812_631a_5cf5_d3ed_u128.to_le_bytes());
        order[31] = 0x10;
        for scalar in [[0; 32], order] {
            assert_eq!(TipKey::from_scalar(&scalar).unwrap_err(), Error::Ed25519Key);
        }
    }

    #[test]
    fn an_installation_is_the_key_and_a_big_endian_counter() {
        let key = TipKey::from_seed(&SEED);
        let Secret::TipKey(bytes) = &key.installation(0x0102) else { panic!("another kind") };
        assert_eq!(&bytes[..32], key.public_key().as_bytes());
        assert_eq!(bytes[32..], [0, 0, 0, 0, 0, 0, 1, 2]);
        let read = TipInstallation::from_bytes(bytes).unwrap();
        assert_eq!((&read.public_key, read.counter), (key.public_key(), 0x0102));
        assert_eq!(TipInstallation::from_bytes(&[0; 40]), Err(Error::PublicKey));
    }
}
