//! RSA sessions: RS512 signatures, and the PIN key that travels wrapped by OAEP.
//!
//! OAEP uses SHA-256 for both hash and MGF1, and the text of the session id as its label.

mod crt;
mod oaep;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand_core::CryptoRng;
use rsa::pkcs1::{EncodeRsaPrivateKey, RsaPrivateKeyRef};
use rsa::pkcs8::der::{Decode, SecretDocument};
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey, LineEnding, PrivateKeyInfoRef};
use rsa::traits::PublicKeyParts;
use rsa::{Oaep, Pkcs1v15Sign, PrivateKey, PublicKey};
use sha2::{Digest, Sha256, Sha512};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::encoding::decode_public;
use crate::token::{Algorithm, MAX_SIGNATURE_LEN, Signer};
use crate::{Error, PinKey};
use crt::{PrivateOperation, private_operation};

const SIZES: core::ops::RangeInclusive<usize> = 1024..=4096;
/// SPKI of 4096 bits with a long exponent; the longest public key that is worth decoding.
const MAX_SPKI_LEN: usize = 600;
/// 4096 bits, and what base64 may round up.
const MAX_PIN_TOKEN_LEN: usize = 516;
const RSA_ENCRYPTION: rsa::pkcs8::ObjectIdentifier = rsa::pkcs1::ALGORITHM_OID;

/// The PIN key of an RSA session, wrapped for its holder: as long as the modulus, 128 to 512 bytes.
///
/// Public: only the session's private key unwraps it.
///
/// ```
/// use mixin_pin_core::{Error, PinToken};
///
/// let token = PinToken::from_bytes(&[7; 128]);
/// assert_eq!(PinToken::from_base64(&token.to_base64())?, token);
/// assert_eq!(PinToken::from_base64("no token"), Err(Error::PinToken));
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinToken(Vec<u8>);

impl PinToken {
    /// Takes the bytes as they came. Whether they unwrap is seen in [`RsaKey::unwrap_pin_key`].
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// Reads base64 of either alphabet, padded or not: the field `pin_token`.
    ///
    /// # Errors
    /// [`Error::PinToken`] for anything else, and for more than 512 bytes.
    pub fn from_base64(text: &str) -> Result<Self, Error> {
        let mut buffer = [0; MAX_PIN_TOKEN_LEN];
        decode_public(text, &mut buffer).map(Self::from_bytes).ok_or(Error::PinToken)
    }

    /// The wrapped key's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Padded base64 of the standard alphabet, as a server sends it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.0)
    }
}

/// An RSA private key of 1024 to 4096 bits.
///
/// # Security
/// Zeroized on drop, neither cloned nor printed. Every private operation is blinded with the caller's randomness: in
/// the way of OpenSSL, a pair of blinding factors is drawn and then squared for the next 31.
/// Keys of 1024 bits are what Mixin's oldest sessions have, and are within reach of a state; register new sessions
/// with Ed25519.
///
/// # Example
///
/// A server wraps a PIN key for a session, and the session's key unwraps it:
///
/// ```
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_core::{PinKey, RsaKey, uuid::Uuid};
///
/// # const PEM: &str = include_str!("../../testdata/rsa-2048-pkcs8.pem");
/// let mut rng = UnwrapErr(SysRng);
/// let key = RsaKey::from_pem(PEM)?;
/// let session_id = Uuid::from_u128(2);
/// let pin_key = PinKey::generate(&mut rng);
/// let pin_token = key.public_key().wrap_pin_key(&pin_key, session_id, &mut rng)?;
/// assert_eq!(key.unwrap_pin_key(&pin_token, session_id, &mut rng)?.expose(), pin_key.expose());
/// assert!(key.unwrap_pin_key(&pin_token, Uuid::from_u128(3), &mut rng).is_err());
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
pub struct RsaKey {
    public: PublicKey,
    /// PKCS#1, as it was read.
    der: Zeroizing<Vec<u8>>,
    /// What signs and decrypts.
    operation: Box<dyn PrivateOperation>,
}

impl RsaKey {
    /// Reads unencrypted PEM, PKCS#1 (`RSA PRIVATE KEY`) or PKCS#8 (`PRIVATE KEY`).
    ///
    /// # Errors
    /// [`Error::RsaPem`] when it is no such PEM, [`Error::RsaKeySize`] outside 1024 to 4096 bits, [`Error::RsaKey`]
    /// when the numbers do not make a key.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let (label, document) = SecretDocument::from_pem(pem.trim()).map_err(|_| Error::RsaPem)?;
        let pkcs1 = match label {
            "RSA PRIVATE KEY" => document.as_bytes(),
            "PRIVATE KEY" => {
                let info = PrivateKeyInfoRef::from_der(document.as_bytes()).map_err(|_| Error::RsaPem)?;
                if info.algorithm.oid != RSA_ENCRYPTION {
                    return Err(Error::RsaPem);
                }
                info.private_key.as_bytes()
            }
            _ => return Err(Error::RsaPem),
        };
        Self::from_pkcs1_der(pkcs1)
    }

    fn from_pkcs1_der(der: &[u8]) -> Result<Self, Error> {
        let parts = RsaPrivateKeyRef::from_der(der).map_err(|_| Error::RsaPem)?;
        // Asked first, because the arithmetic below refuses small keys without saying why.
        check_size(bit_len(parts.modulus.as_bytes()))?;
        let public = PublicKey::try_from(parts.public_key()).map_err(|_| Error::RsaKey)?;
        let operation = private_operation(&parts).ok_or(Error::RsaKey)?;
        Ok(Self { public, der: Zeroizing::new(der.to_vec()), operation })
    }

    /// Makes a new key. This takes from a tenth of a second to many seconds.
    ///
    /// # Errors
    /// [`Error::RsaKeySize`] outside 1024 to 4096 bits.
    ///
    /// # Security
    /// The arithmetic that looks for primes does not erase all that it leaves in memory.
    pub fn generate(rng: &mut dyn CryptoRng, bits: usize) -> Result<Self, Error> {
        check_size(bits)?;
        let document = PrivateKey::new(rng, bits).map_err(|_| Error::RsaKey)?.to_pkcs1_der();
        Self::from_pkcs1_der(document.map_err(|_| Error::RsaKey)?.as_bytes())
    }

    /// PKCS#1 PEM, as keystores hold it.
    ///
    /// ```
    /// use mixin_pin_core::RsaKey;
    ///
    /// # const PEM: &str = include_str!("../../testdata/rsa-2048-pkcs8.pem");
    /// let key = RsaKey::from_pem(PEM)?; // PKCS#8
    /// assert!(key.to_pkcs1_pem()?.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    /// assert!(key.to_pkcs1_der().len() > key.bits() / 8 * 4); // modulus, exponent, primes, and what makes it fast
    /// # Ok::<(), mixin_pin_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::RsaKey`] if the key cannot be encoded.
    pub fn to_pkcs1_pem(&self) -> Result<Zeroizing<String>, Error> {
        let pem = pem_rfc7468::encode_string("RSA PRIVATE KEY", LineEnding::LF, &self.der);
        pem.map(Zeroizing::new).map_err(|_| Error::RsaKey)
    }

    /// PKCS#1 DER, for another library that is to sign with the key.
    pub fn to_pkcs1_der(&self) -> Zeroizing<Vec<u8>> {
        self.der.clone()
    }

    /// The public half.
    pub fn public_key(&self) -> RsaPublicKey {
        RsaPublicKey(self.public.clone())
    }

    /// Length of the modulus, in bits.
    pub fn bits(&self) -> usize {
        self.public.n().bit_width_vartime() as usize
    }

    /// Unwraps a PIN token: OAEP with SHA-256, labelled with the session id's text.
    ///
    /// # Errors
    /// [`Error::PinToken`], whatever was wrong.
    ///
    /// # Security
    /// `rng` blinds the operation.
    pub fn unwrap_pin_key(
        &self,
        pin_token: &PinToken,
        session_id: Uuid,
        rng: &mut dyn CryptoRng,
    ) -> Result<PinKey, Error> {
        let mut text = Uuid::encode_buffer();
        let bytes = self.decrypt_oaep(label(session_id, &mut text), pin_token.as_bytes(), rng)?;
        PinKey::from_bytes(&bytes).map_err(|_| Error::PinToken)
    }

    pub(crate) fn decrypt_oaep(
        &self,
        label: &[u8],
        ciphertext: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        if ciphertext.len() != self.public.size() {
            return Err(Error::PinToken);
        }
        let mut encoded = Zeroizing::new(alloc::vec![0; ciphertext.len()]);
        self.operation.apply(ciphertext, rng, &mut encoded).map_err(|_| Error::PinToken)?;
        oaep::decode(&mut encoded, label)
    }
}

impl Signer for RsaKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Rs512
    }

    fn signature_len(&self) -> usize {
        self.public.size()
    }

    fn sign(&self, message: &[u8], rng: &mut dyn CryptoRng, signature: &mut [u8]) -> Result<(), Error> {
        let digest = Sha512::digest(message);
        if signature.len() != self.signature_len() {
            return Err(Error::Signer);
        }
        let mut encoded = [0xff; MAX_SIGNATURE_LEN];
        let encoded = encoded.get_mut(..signature.len()).ok_or(Error::Signer)?;
        encode(&digest.into(), encoded);
        self.operation.apply(encoded, rng, signature)
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaKey").field("bits", &self.bits()).finish_non_exhaustive()
    }
}

/// An RSA public key of 1024 to 4096 bits, as registered with `POST /users`.
///
/// ```
/// use mixin_pin_core::{RsaKey, RsaPublicKey};
///
/// # const PEM: &str = include_str!("../../testdata/rsa-2048-pkcs8.pem");
/// let key = RsaKey::from_pem(PEM)?.public_key();
/// assert_eq!(key.bits(), 2048);
/// assert_eq!(RsaPublicKey::from_spki_der(&key.to_spki_der()?)?, key);
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RsaPublicKey(PublicKey);

impl RsaPublicKey {
    /// Reads a `SubjectPublicKeyInfo` in DER.
    ///
    /// # Errors
    /// [`Error::PublicKey`] for anything else, [`Error::RsaKeySize`] outside 1024 to 4096 bits.
    pub fn from_spki_der(der: &[u8]) -> Result<Self, Error> {
        let info = rsa::pkcs8::SubjectPublicKeyInfoRef::from_der(der).map_err(|_| Error::PublicKey)?;
        let bits = info
            .subject_public_key
            .as_bytes()
            .and_then(|der| rsa::pkcs1::RsaPublicKeyRef::from_der(der).ok())
            .map(|parts| bit_len(parts.modulus.as_bytes()))
            .ok_or(Error::PublicKey)?;
        check_size(bits)?;
        PublicKey::from_public_key_der(der).map(Self).map_err(|_| Error::PublicKey)
    }

    /// Reads base64 of the SPKI, as a `session_secret` has it.
    ///
    /// # Errors
    /// As [`RsaPublicKey::from_spki_der`].
    pub fn from_base64(text: &str) -> Result<Self, Error> {
        let mut buffer = [0; MAX_SPKI_LEN];
        Self::from_spki_der(decode_public(text, &mut buffer).ok_or(Error::PublicKey)?)
    }

    /// The SPKI in DER.
    ///
    /// # Errors
    /// [`Error::PublicKey`] if the key cannot be encoded.
    pub fn to_spki_der(&self) -> Result<Vec<u8>, Error> {
        let document = self.0.to_public_key_der().map_err(|_| Error::PublicKey)?;
        Ok(document.into_vec())
    }

    /// Length of the modulus, in bits.
    pub fn bits(&self) -> usize {
        self.0.n().bit_width_vartime() as usize
    }

    /// Wraps a PIN key for a session, as the server does.
    ///
    /// # Errors
    /// [`Error::PublicKey`] if the key refuses to encrypt.
    pub fn wrap_pin_key(
        &self,
        pin_key: &PinKey,
        session_id: Uuid,
        rng: &mut dyn CryptoRng,
    ) -> Result<PinToken, Error> {
        let mut text = Uuid::encode_buffer();
        let padding = Oaep::<Sha256>::new_with_label(label(session_id, &mut text));
        self.0.encrypt(rng, padding, pin_key.expose()).map(PinToken).map_err(|_| Error::PublicKey)
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        self.0.verify(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(message), signature).map_err(|_| Error::Signature)
    }
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaPublicKey").field("bits", &self.bits()).finish_non_exhaustive()
    }
}

/// EMSA-PKCS1-v1_5 (RFC 8017, section 9.2) of a SHA-512 digest, into a buffer of ones as long as the modulus.
fn encode(digest: &[u8; 64], out: &mut [u8]) {
    /// DER of everything before the digest: its algorithm, no parameters, its length.
    const PREFIX: [u8; 19] =
        [0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0, 0x04, 0x40];
    let (ones, rest) = out.split_at_mut(out.len() - digest.len() - PREFIX.len());
    // 00 01 ff … ff 00
    ones[0] = 0;
    ones[1] = 1;
    ones[ones.len() - 1] = 0;
    let (prefix, end) = rest.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(&PREFIX);
    end.copy_from_slice(digest);
}

/// The label that a session's PIN key is wrapped under.
fn label(session_id: Uuid, text: &mut [u8]) -> &[u8] {
    session_id.hyphenated().encode_lower(text).as_bytes()
}

fn check_size(bits: usize) -> Result<(), Error> {
    if SIZES.contains(&bits) { Ok(()) } else { Err(Error::RsaKeySize { bits }) }
}

/// Bits of a big-endian number.
fn bit_len(bytes: &[u8]) -> usize {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    bytes[start..].first().map_or(0, |first| (bytes.len() - start) * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsa::pkcs1::DecodeRsaPrivateKey as _;

    #[test]
    fn bits_are_counted_from_the_first_one() {
        assert_eq!(bit_len(&[]), 0);
        assert_eq!(bit_len(&[0, 0]), 0);
        assert_eq!(bit_len(&[0, 1, 0]), 9);
        assert_eq!(bit_len(&[0x80; 128]), 1024);
    }

    #[test]
    fn sizes_outside_the_range_are_named() {
        assert_eq!(check_size(1023), Err(Error::RsaKeySize { bits: 1023 }));
        assert_eq!(check_size(4097), Err(Error::RsaKeySize { bits: 4097 }));
        assert_eq!(check_size(1024).and(check_size(4096)), Ok(()));
    }

    #[test]
    fn what_is_no_pem_of_an_rsa_key_is_refused() {
        let junk = ["", "private key", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"];
        for pem in junk {
            assert_eq!(RsaKey::from_pem(pem).unwrap_err(), Error::RsaPem, "{pem:?}");
        }
        assert_eq!(RsaPublicKey::from_base64("AAAA").unwrap_err(), Error::PublicKey);
    }

    /// For tests: keys need not be good ones.
    fn rng() -> impl CryptoRng {
        getrandom::rand_core::UnwrapErr(getrandom::SysRng)
    }

    fn sign(key: &RsaKey, message: &[u8]) -> Vec<u8> {
        let mut signature = alloc::vec![0; key.signature_len()];
        key.sign(message, &mut rng(), &mut signature).unwrap();
        signature
    }

    #[test]
    fn signatures_are_those_of_the_rsa_crate() {
        for bits in [1024, 1025, 1031, 1040, 1536, 2047, 2048] {
            let key = RsaKey::generate(&mut rng(), bits).unwrap();
            let rsa = PrivateKey::from_pkcs1_der(&key.der).unwrap();
            for message in [&b""[..], b"message", &[0xff; 1000]] {
                let expected = rsa.sign(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(message)).unwrap();
                assert_eq!(sign(&key, message), expected, "{bits}");
            }
        }
    }

    #[cfg(feature = "std")]
    #[test]
    fn blinding_outlasts_its_pair_and_is_shared_by_threads() {
        let key = RsaKey::generate(&mut rng(), 1024).unwrap();
        let expected = sign(&key, b"message");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| assert_eq!(sign(&key, b"message"), expected)));
            }
        });
    }

    #[test]
    fn a_buffer_of_another_length_is_refused() {
        let key = RsaKey::generate(&mut rng(), 1024).unwrap();
        for len in [0, 127, 129] {
            assert_eq!(key.sign(b"", &mut rng(), &mut alloc::vec![0; len]), Err(Error::Signer));
        }
    }
}
