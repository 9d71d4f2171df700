//! RSA sessions: RS512 signatures, and PIN keys that are encrypted with OAEP.
//!
//! OAEP uses SHA-256 for both hash and MGF1. Its label is the text of the session id.

mod oaep;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rand_core::CryptoRng;
use rsa::hazmat::rsa_decrypt_and_check;
use rsa::pkcs1::{EncodeRsaPrivateKey, RsaPrivateKeyRef};
use rsa::pkcs8::der::Decode;
use rsa::pkcs8::{DecodePublicKey, EncodePublicKey, LineEnding, PrivateKeyInfoRef};
use rsa::traits::{PrivateKeyParts, PublicKeyParts};
use rsa::{BoxedUint, Oaep, PrivateKey, PublicKey};
use sha2::{Sha256, Sha512};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::encoding::decode_public;
use crate::token::{Algorithm, Signer};
use crate::{Error, PinKey, SignerError};

const SIZES: core::ops::RangeInclusive<usize> = 1024..=4096;
/// SPKI of 4096 bits with a long exponent.
const MAX_SPKI_LEN: usize = 600;
/// 4096 bits, rounded up to what base64 may decode.
const MAX_PIN_TOKEN_LEN: usize = 516;
const RSA_ENCRYPTION: rsa::pkcs8::ObjectIdentifier = rsa::pkcs1::ALGORITHM_OID;

/// The PIN key of an RSA session, encrypted for the session's key: 128 to 512 bytes, as long as the modulus.
///
/// It is public. Only the session's private key unwraps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinToken(Vec<u8>);

impl PinToken {
    /// Reads base64 of either alphabet, padded or not: the field `pin_token`.
    ///
    /// # Errors
    /// [`Error::PinToken`] for anything else, and for more than 512 bytes.
    pub fn from_base64(text: &str) -> Result<Self, Error> {
        let mut buffer = [0; MAX_PIN_TOKEN_LEN];
        Self::from_bytes(decode_public(text, &mut buffer).ok_or(Error::PinToken)?)
    }

    /// Reads the ciphertext itself.
    ///
    /// # Errors
    /// [`Error::PinToken`] for more than 512 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > 512 { Err(Error::PinToken) } else { Ok(Self(bytes.to_vec())) }
    }

    /// Padded base64 of the standard alphabet, as a server sends it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.0)
    }

    /// The ciphertext.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// An RSA private key of 1024 to 4096 bits.
///
/// # Security
/// Zeroized on drop, neither cloned nor printed. But the `rsa` crate leaves copies of the primes in freed memory when it
/// reads a key, computes with it and drops it, and of an unwrapped PIN token in a form that gives the PIN key. Every private operation is blinded with the caller's randomness, and
/// its result is checked with the public key before it is returned.
/// Mixin's oldest sessions have keys of 1024 bits, which a state may be able to break. Register new sessions with
/// Ed25519.
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
    key: PrivateKey,
    /// PKCS#1, as it was read.
    der: Zeroizing<Vec<u8>>,
}

impl RsaKey {
    /// Reads unencrypted PEM, PKCS#1 (`RSA PRIVATE KEY`) or PKCS#8 (`PRIVATE KEY`), as OpenSSL does: lines of any length,
    /// with blanks at their ends, a blank line after the header, and text or other blocks around the key.
    ///
    /// # Errors
    /// [`Error::RsaPem`] for anything else, [`Error::RsaKeySize`] outside 1024 to 4096 bits, [`Error::RsaKey`] if the
    /// numbers do not belong together.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        Self::from_der(&crate::pem::private_key(pem).ok_or(Error::RsaPem)?)
    }

    /// Reads DER of PKCS#1 or PKCS#8.
    ///
    /// # Errors
    /// As [`RsaKey::from_pem`].
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        match PrivateKeyInfoRef::from_der(der) {
            Ok(info) if info.algorithm.oid == RSA_ENCRYPTION => Self::from_pkcs1_der(info.private_key.as_bytes()),
            Ok(_) => Err(Error::RsaPem),
            Err(_) => Self::from_pkcs1_der(der),
        }
    }

    fn from_pkcs1_der(der: &[u8]) -> Result<Self, Error> {
        let parts = RsaPrivateKeyRef::from_der(der).map_err(|_| Error::RsaPem)?;
        // The `rsa` crate refuses other sizes without naming the size.
        check_size(bit_len(parts.modulus.as_bytes()))?;
        let key = PrivateKey::try_from(parts.clone()).map_err(|_| Error::RsaKey)?;
        if !has_crt_values(&key, &parts) {
            return Err(Error::RsaKey);
        }
        Ok(Self { key, der: Zeroizing::new(der.to_vec()) })
    }

    /// Generates a key. This takes from a tenth of a second to many seconds.
    ///
    /// # Errors
    /// [`Error::RsaKeySize`] outside 1024 to 4096 bits.
    ///
    /// # Security
    /// The search for primes does not erase all its intermediate values.
    pub fn generate(rng: &mut dyn CryptoRng, bits: usize) -> Result<Self, Error> {
        check_size(bits)?;
        let document = PrivateKey::new(rng, bits).map_err(|_| Error::RsaKey)?.to_pkcs1_der();
        Self::from_pkcs1_der(document.map_err(|_| Error::RsaKey)?.as_bytes())
    }

    /// PKCS#1 PEM, the form of keystores.
    ///
    /// # Errors
    /// [`Error::RsaKey`] if the key cannot be encoded.
    pub fn to_pkcs1_pem(&self) -> Result<Zeroizing<String>, Error> {
        let pem = pem_rfc7468::encode_string("RSA PRIVATE KEY", LineEnding::LF, &self.der);
        pem.map(Zeroizing::new).map_err(|_| Error::RsaKey)
    }

    /// PKCS#1 DER, for another library that signs with the key.
    pub fn to_pkcs1_der(&self) -> Zeroizing<Vec<u8>> {
        self.der.clone()
    }

    /// The public half.
    pub fn public_key(&self) -> RsaPublicKey {
        RsaPublicKey(self.key.to_public_key())
    }

    /// Unwraps a PIN token: OAEP with SHA-256 and the session id's text as label.
    ///
    /// # Errors
    /// [`Error::PinToken`] for every cause.
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
        let bytes = self.decrypt_oaep(label(session_id, &mut text), &pin_token.0, rng)?;
        PinKey::from_bytes(&bytes).map_err(|_| Error::PinToken)
    }

    pub(crate) fn decrypt_oaep(
        &self,
        label: &[u8],
        ciphertext: &[u8],
        rng: &mut dyn CryptoRng,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        if ciphertext.len() != self.key.size() {
            return Err(Error::PinToken);
        }
        let number = BoxedUint::from_be_slice(ciphertext, self.key.n_bits_precision()).map_err(|_| Error::PinToken)?;
        let message = rsa_decrypt_and_check(&self.key, Some(rng), &number).map_err(|_| Error::PinToken)?;
        let mut bytes = Zeroizing::new(Zeroizing::new(message).to_be_bytes());
        // The number has whole machine words, so it may have more bytes than the modulus.
        let start = bytes.len().saturating_sub(ciphertext.len());
        oaep::decode(&mut bytes[start..], label)
    }
}

impl Signer for RsaKey {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Rs512
    }

    fn signature_len(&self) -> usize {
        self.key.size()
    }

    fn sign(&self, message: &[u8], rng: &mut dyn CryptoRng, signature: &mut [u8]) -> Result<(), SignerError> {
        if signature.len() != self.signature_len() {
            return Err(SignerError::new());
        }
        // Blinded, and verified with the public key before it is returned.
        let made = self.key.pkcs1v15_sign_with_rng::<Sha512, _>(rng, message).map_err(|_| SignerError::new())?;
        signature.copy_from_slice(&made);
        Ok(())
    }
}

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaKey").field("bits", &bits(&self.key)).finish_non_exhaustive()
    }
}

/// An RSA public key of 1024 to 4096 bits, as registered with `POST /users`.
#[derive(Clone, PartialEq, Eq)]
pub struct RsaPublicKey(PublicKey);

impl RsaPublicKey {
    /// Reads a `SubjectPublicKeyInfo` in DER.
    pub(crate) fn from_spki_der(der: &[u8]) -> Result<Self, Error> {
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

    /// Reads base64 of the SPKI: a `session_secret`.
    pub(crate) fn from_base64(text: &str) -> Result<Self, Error> {
        let mut buffer = [0; MAX_SPKI_LEN];
        Self::from_spki_der(decode_public(text, &mut buffer).ok_or(Error::PublicKey)?)
    }

    /// The SPKI in DER.
    pub(crate) fn to_spki_der(&self) -> Result<Vec<u8>, Error> {
        let document = self.0.to_public_key_der().map_err(|_| Error::PublicKey)?;
        Ok(document.into_vec())
    }

    /// Unpadded base64url of the SPKI: a `session_secret_legacy`.
    ///
    /// # Errors
    /// [`Error::PublicKey`] if the key cannot be encoded.
    pub fn to_base64_url(&self) -> Result<String, Error> {
        Ok(URL_SAFE_NO_PAD.encode(self.to_spki_der()?))
    }

    /// Length of the modulus, in bits.
    pub fn bits(&self) -> usize {
        bits(&self.0)
    }

    /// Wraps a PIN key for a session, as the server does.
    ///
    /// # Errors
    /// [`Error::PublicKey`] if the key refuses to encrypt.
    pub fn wrap_pin_key(&self, pin_key: &PinKey, session_id: Uuid, rng: &mut dyn CryptoRng) -> Result<PinToken, Error> {
        let mut text = Uuid::encode_buffer();
        let padding = Oaep::<Sha256>::new_with_label(label(session_id, &mut text));
        self.0.encrypt(rng, padding, pin_key.expose()).map(PinToken).map_err(|_| Error::PublicKey)
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        self.0.pkcs1v15_verify::<Sha512>(message, signature).map_err(|_| Error::Signature)
    }
}

impl fmt::Debug for RsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaPublicKey").field("bits", &self.bits()).finish_non_exhaustive()
    }
}

/// Whether a key has the exponents and the coefficient that its encoding states.
///
/// The `rsa` crate computes these from the other numbers and does not compare them.
fn has_crt_values(key: &PrivateKey, parts: &RsaPrivateKeyRef<'_>) -> bool {
    let equal = |number: Option<&BoxedUint>, stated: &[u8]| {
        let Some(number) = number else { return false };
        let Ok(stated) = BoxedUint::from_be_slice(stated, number.bits_precision()) else { return false };
        // `BoxedUint` compares in constant time.
        *number == *Zeroizing::new(stated)
    };
    let coefficient = key.crt_coefficient().map(Zeroizing::new);
    equal(key.dp(), parts.exponent1.as_bytes())
        && equal(key.dq(), parts.exponent2.as_bytes())
        && equal(coefficient.as_deref(), parts.coefficient.as_bytes())
}

/// The OAEP label of a session's PIN key.
fn label(session_id: Uuid, text: &mut [u8]) -> &[u8] {
    session_id.hyphenated().encode_lower(text).as_bytes()
}

fn check_size(bits: usize) -> Result<(), Error> {
    if SIZES.contains(&bits) { Ok(()) } else { Err(Error::RsaKeySize { bits }) }
}

/// Length of a key's modulus, in bits.
fn bits(key: &impl PublicKeyParts) -> usize {
    key.n().bit_width_vartime() as usize
}

/// Length of a big-endian number, in bits.
fn bit_len(bytes: &[u8]) -> usize {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    bytes[start..].first().map_or(0, |first| (bytes.len() - start) * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use rand_core::Rng as _;
    use rsa::pkcs1::UintRef;
    use rsa::pkcs8::der::Encode as _;

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
    fn other_pem_is_refused() {
        let junk = ["", "private key", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"];
        for pem in junk {
            assert_eq!(RsaKey::from_pem(pem).unwrap_err(), Error::RsaPem, "{pem:?}");
        }
        assert_eq!(RsaPublicKey::from_base64("AAAA").unwrap_err(), Error::PublicKey);
    }

    #[test]
    fn der_of_both_kinds_is_read() {
        let pem = include_str!("../../testdata/rsa-2048-pkcs8.pem");
        let (pkcs1, pkcs8) = (RsaKey::from_pem(pem).unwrap().to_pkcs1_der(), crate::pem::private_key(pem).unwrap());
        assert_ne!(pkcs1, pkcs8);
        for der in [&pkcs1, &pkcs8] {
            assert_eq!(RsaKey::from_der(der).unwrap().to_pkcs1_der(), pkcs1);
            assert_eq!(RsaKey::from_der(&der[..der.len() - 1]).unwrap_err(), Error::RsaPem);
        }
    }

    #[cfg(feature = "ed25519")]
    #[test]
    fn a_session_unwraps_what_its_server_shows() {
        let (key, session_id) = (RsaKey::generate(&mut rng(), 1024).unwrap(), Uuid::from_u128(2));
        let pin_key = PinKey::generate(&mut rng());
        let wrap = |session_id| key.public_key().wrap_pin_key(&pin_key, session_id, &mut rng()).unwrap();
        let (token, other) = (wrap(session_id), wrap(Uuid::from_u128(3)));
        let shown = token.to_base64();
        let session = crate::Session::rsa(Uuid::from_u128(1), session_id, key, &token, &mut rng()).unwrap();
        assert!(session.unwrap_pin_token(&shown, &mut rng()).unwrap().is_same(session.pin_key()));
        for refused in [other.to_base64(), "AAAA".into(), "%".into()] {
            assert_eq!(session.unwrap_pin_token(&refused, &mut rng()).unwrap_err(), Error::PinToken);
        }
    }

    fn rng() -> impl CryptoRng {
        getrandom::rand_core::UnwrapErr(getrandom::SysRng)
    }

    fn sign(key: &RsaKey, message: &[u8]) -> Vec<u8> {
        let mut signature = alloc::vec![0; key.signature_len()];
        key.sign(message, &mut rng(), &mut signature).unwrap();
        signature
    }

    #[test]
    fn keys_of_any_size_sign_and_unwrap() {
        let pin_key = PinKey::from_bytes(&[7; 32]).unwrap();
        for bits in [1024, 1025, 1031, 1040, 1536, 2047, 2048] {
            let key = RsaKey::generate(&mut rng(), bits).unwrap();
            assert_eq!(key.public_key().bits(), bits);
            for message in [&b""[..], b"message", &[0xff; 1000]] {
                key.public_key().verify(message, &sign(&key, message)).unwrap();
            }
            let token = key.public_key().wrap_pin_key(&pin_key, Uuid::nil(), &mut rng()).unwrap();
            let unwrapped = key.unwrap_pin_key(&token, Uuid::nil(), &mut rng()).unwrap();
            assert_eq!(unwrapped.expose(), pin_key.expose(), "{bits}");
        }
    }

    /// Counts the bytes that are drawn.
    struct Counted(usize);

    impl rand_core::TryRng for Counted {
        type Error = core::convert::Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            self.0 += 4;
            Ok(rng().next_u32())
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            self.0 += 8;
            Ok(rng().next_u64())
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
            self.0 += bytes.len();
            rng().fill_bytes(bytes);
            Ok(())
        }
    }

    impl rand_core::TryCryptoRng for Counted {}

    #[test]
    fn every_private_operation_is_blinded_with_the_callers_generator() {
        let key = RsaKey::generate(&mut rng(), 1024).unwrap();
        for _ in 0..2 {
            let mut drawn = Counted(0);
            key.sign(b"message", &mut drawn, &mut [0; 128]).unwrap();
            assert!(drawn.0 >= 128, "signing drew {} bytes", drawn.0);
            let mut drawn = Counted(0);
            assert_eq!(key.decrypt_oaep(b"", &[1; 128], &mut drawn).unwrap_err(), Error::PinToken);
            assert!(drawn.0 >= 128, "decrypting drew {} bytes", drawn.0);
        }
    }

    #[test]
    fn inconsistent_rsa_numbers_are_refused() {
        let [key, other] = [(); 2].map(|()| RsaKey::generate(&mut rng(), 1024).unwrap().to_pkcs1_der());
        let read = |der| RsaPrivateKeyRef::from_der(der).unwrap();
        let exchanges: [for<'a> fn(&mut RsaPrivateKeyRef<'a>, RsaPrivateKeyRef<'a>); 9] = [
            |key, other| key.modulus = other.modulus,
            |key, other| key.public_exponent = other.prime1,
            |key, _| key.public_exponent = UintRef::new(&[4]).unwrap(),
            |key, other| key.private_exponent = other.private_exponent,
            |key, other| key.prime1 = other.prime1,
            |key, other| key.prime2 = other.prime2,
            |key, other| key.exponent1 = other.exponent1,
            |key, other| key.exponent2 = other.exponent2,
            |key, other| key.coefficient = other.coefficient,
        ];
        for (at, exchange) in exchanges.into_iter().enumerate() {
            let mut changed = read(&key);
            assert!(RsaKey::from_pkcs1_der(&changed.to_der().unwrap()).is_ok());
            exchange(&mut changed, read(&other));
            let der = changed.to_der().unwrap();
            assert_eq!(RsaKey::from_pkcs1_der(&der).unwrap_err(), Error::RsaKey, "field {at}");
        }
    }

    #[test]
    fn a_ciphertext_that_is_not_below_the_modulus_is_refused() {
        let key = RsaKey::generate(&mut rng(), 1024).unwrap();
        let modulus = key.key.n().to_be_bytes();
        for ciphertext in [&modulus[..], &[0xff; 128], &modulus[1..], &[0; 0]] {
            assert_eq!(key.decrypt_oaep(b"", ciphertext, &mut rng()).unwrap_err(), Error::PinToken);
        }
    }

    #[test]
    fn a_buffer_of_another_length_is_refused() {
        let key = RsaKey::generate(&mut rng(), 1024).unwrap();
        for len in [0, 127, 129] {
            let refused = key.sign(b"", &mut rng(), &mut alloc::vec![0; len]);
            assert_eq!(refused.unwrap_err().to_string(), Error::Signer.to_string(), "{len}");
        }
    }
}
