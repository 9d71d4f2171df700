//! Ed25519 sessions: EdDSA signatures, and the PIN key agreed by X25519 with the same key.
//!
//! The PIN key is the shared secret itself, without further derivation:
//! `X25519(clamp(SHA-512(seed)[..32]), server's X25519 public key)`.

use core::fmt;

use curve25519_dalek::MontgomeryPoint;
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use rand_core::CryptoRng;
use sha2::Sha512;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::encoding::{decode_public, decode_secret};
use crate::token::{Algorithm, Signer};
use crate::{Error, PinKey, SignerError};

/// DER before the 32 bytes of the key (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// DER of a private key between its version and the 32 bytes of the seed (RFC 8410, section 7).
const PKCS8_MIDDLE: [u8; 11] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// DER between the seed and the public key that may follow it: as in RFC 8410, and with the explicit tag of older writers.
const PKCS8_PUBLIC: [&[u8]; 2] = [&[0x81, 0x21, 0x00], &[0xa1, 0x23, 0x03, 0x21, 0x00]];

/// An Ed25519 private key.
///
/// # Security
/// Zeroized on drop, neither cloned nor printed.
pub struct Ed25519Key {
    key: SigningKey,
    /// The hash of the seed. Signing with the seed would hash it again and leave traces on the stack.
    expanded: ExpandedSecretKey,
}

impl Ed25519Key {
    fn new(key: SigningKey) -> Self {
        Self { expanded: ExpandedSecretKey::from(key.as_bytes()), key }
    }

    /// Reads a 32-byte seed, or a 64-byte key: the seed and its public key.
    ///
    /// # Errors
    /// [`Error::Ed25519Key`] for another length, [`Error::Ed25519KeyMismatch`] if the public half of a 64-byte key is not
    /// that of its seed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if let Ok(seed) = bytes.try_into() {
            return Ok(Self::new(SigningKey::from_bytes(seed)));
        }
        let pair: &[u8; 64] = bytes.try_into().map_err(|_| Error::Ed25519Key)?;
        SigningKey::from_keypair_bytes(pair).map(Self::new).map_err(|_| Error::Ed25519KeyMismatch)
    }

    /// Reads a 32- or 64-byte key in hex, or in base64 of either alphabet, padded or not.
    ///
    /// # Errors
    /// As [`Ed25519Key::from_bytes`].
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let mut buffer = Zeroizing::new([0; 64]);
        // 64 or 128 characters of base64 are 48 or 96 bytes, which no key has, so such text is hex.
        let bytes = decode_secret(text, &[64, 128], buffer.as_mut()).ok_or(Error::Ed25519Key)?;
        Self::from_bytes(bytes)
    }

    /// Reads DER of PKCS#8, with the public key or without (RFC 8410, section 7).
    ///
    /// # Errors
    /// [`Error::Ed25519Key`] for anything else, [`Error::Ed25519KeyMismatch`] if the public key is not that of the seed.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, Error> {
        let read = || {
            let (len, rest) = der.strip_prefix(&[0x30])?.split_first()?;
            let rest = rest.strip_prefix(&[0x02, 0x01]).filter(|rest| rest.len() + 2 == usize::from(*len))?;
            let rest = rest.strip_prefix(&[0x00]).or_else(|| rest.strip_prefix(&[0x01]))?;
            rest.strip_prefix(&PKCS8_MIDDLE)?.split_first_chunk::<32>()
        };
        let (seed, rest) = read().ok_or(Error::Ed25519Key)?;
        let key = Self::new(SigningKey::from_bytes(seed));
        if rest.is_empty() {
            return Ok(key);
        }
        let public = PKCS8_PUBLIC.into_iter().find_map(|prefix| rest.strip_prefix(prefix)).ok_or(Error::Ed25519Key)?;
        if public == key.public_key().as_bytes() { Ok(key) } else { Err(Error::Ed25519KeyMismatch) }
    }

    /// Reads unencrypted PEM of PKCS#8 (`PRIVATE KEY`), as `RsaKey::from_pem` does.
    ///
    /// # Errors
    /// As [`Ed25519Key::from_pkcs8_der`].
    #[cfg(feature = "alloc")]
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        Self::from_pkcs8_der(&crate::pem::private_key(pem).ok_or(Error::Ed25519Key)?)
    }

    /// Generates a key.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        Self::new(SigningKey::from_bytes(&seed))
    }

    /// The key as 64 bytes, seed and public key, in unpadded base64url: the form of Go clients' keystores.
    #[cfg(feature = "alloc")]
    pub fn to_base64_url(&self) -> Zeroizing<alloc::string::String> {
        use base64ct::Encoding as _;

        let mut bytes = Zeroizing::new([0; 64]);
        bytes[..32].copy_from_slice(self.expose_seed());
        bytes[32..].copy_from_slice(self.public_key().as_bytes());
        Zeroizing::new(base64ct::Base64UrlUnpadded::encode_string(bytes.as_ref()))
    }

    /// The seed's 32 bytes, to store them.
    pub fn expose_seed(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The public half.
    pub fn public_key(&self) -> Ed25519PublicKey {
        Ed25519PublicKey(self.key.verifying_key())
    }

    /// Agrees on the PIN key with the peer's X25519 key. Client and server do the same, each with its own key.
    ///
    /// # Errors
    /// [`Error::KeyAgreement`] for a key of low order, whose sender would know the result.
    pub fn agree(&self, peer: &X25519PublicKey) -> Result<PinKey, Error> {
        peer.agree(&Zeroizing::new(self.key.to_scalar_bytes()))
    }
}

impl Signer for Ed25519Key {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDsa
    }

    fn signature_len(&self) -> usize {
        Signature::BYTE_SIZE
    }

    fn sign(&self, message: &[u8], _: &mut dyn CryptoRng, signature: &mut [u8]) -> Result<(), SignerError> {
        let out: &mut [u8; Signature::BYTE_SIZE] = signature.try_into().map_err(|_| SignerError::new())?;
        *out = raw_sign::<Sha512>(&self.expanded, message, self.key.as_ref()).to_bytes();
        Ok(())
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ed25519Key").finish_non_exhaustive()
    }
}

/// An Ed25519 public key: a session's, as registered with `POST /users`, or a server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ed25519PublicKey(VerifyingKey);

impl Ed25519PublicKey {
    /// Reads the 32 bytes of RFC 8032.
    ///
    /// # Errors
    /// [`Error::PublicKey`] for bytes that are not a point of the curve, and for a point of low order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let bytes = bytes.try_into().map_err(|_| Error::PublicKey)?;
        match VerifyingKey::from_bytes(bytes) {
            Ok(key) if !key.is_weak() => Ok(Self(key)),
            _ => Err(Error::PublicKey),
        }
    }

    /// Reads hex of the 32 bytes, or base64 of them or of a `SubjectPublicKeyInfo`, in either alphabet, padded or not.
    ///
    /// # Errors
    /// As [`Ed25519PublicKey::from_bytes`].
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let mut buffer = [0; 48];
        let bytes = if text.len() == 64 {
            base16ct::mixed::decode(text, &mut buffer).map_err(|_| Error::PublicKey)?
        } else {
            decode_public(text, &mut buffer).ok_or(Error::PublicKey)?
        };
        match Self::from_spki_der(bytes) {
            Ok(key) => Ok(key),
            Err(_) => Self::from_bytes(bytes),
        }
    }

    /// Reads a `SubjectPublicKeyInfo` in DER (RFC 8410).
    pub(crate) fn from_spki_der(der: &[u8]) -> Result<Self, Error> {
        Self::from_bytes(der.strip_prefix(&SPKI_PREFIX).ok_or(Error::PublicKey)?)
    }

    /// Unpadded base64url: a `session_secret` or a `tip_key_base64`.
    #[cfg(feature = "alloc")]
    pub fn to_base64_url(&self) -> alloc::string::String {
        use base64::Engine as _;

        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(self.as_bytes())
    }

    /// The 32 bytes of RFC 8032.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Converts the key from Edwards to Montgomery form, for [`Ed25519Key::agree`].
    ///
    /// # Errors
    /// [`Error::KeyAgreement`] for a key of low order.
    pub fn to_x25519(&self) -> Result<X25519PublicKey, Error> {
        X25519PublicKey::from_bytes(self.0.to_montgomery().as_bytes())
    }

    /// Whether the key is a multiple of the base point, as every key is that was made from a private key.
    ///
    /// One in sixteen values of 32 random bytes is. So this tells a key from bytes that mean something else.
    pub fn has_prime_order(&self) -> bool {
        self.0.to_edwards().is_torsion_free()
    }

    pub(crate) const fn from_key(key: VerifyingKey) -> Self {
        Self(key)
    }

    pub(crate) const fn as_key(&self) -> &VerifyingKey {
        &self.0
    }

    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let signature = Signature::from_slice(signature).map_err(|_| Error::Signature)?;
        // Strict verification refuses signatures that only some implementations accept, so each token has one signature.
        self.0.verify_strict(message, &signature).map_err(|_| Error::Signature)
    }
}

/// An X25519 public key: the `pin_token` of an Ed25519 session.
///
/// ```
/// use mixin_pin_core::{Error, X25519PublicKey};
///
/// let server = X25519PublicKey::from_base64("PgZHafXZXPBtJA4dKFf0kO4IHPOZouJJFSkr3zkn8Ws")?;
/// assert_eq!(server, X25519PublicKey::from_bytes(server.as_bytes())?);
/// assert_eq!(X25519PublicKey::from_bytes(&[0; 32]), Err(Error::KeyAgreement));
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X25519PublicKey(MontgomeryPoint);

impl X25519PublicKey {
    /// Reads the 32 bytes of RFC 7748.
    ///
    /// # Errors
    /// [`Error::PublicKey`] for another length, [`Error::KeyAgreement`] for zero. [`Ed25519Key::agree`] refuses the other
    /// keys of low order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| Error::PublicKey)?;
        if bytes == [0; 32] {
            return Err(Error::KeyAgreement);
        }
        Ok(Self(MontgomeryPoint(bytes)))
    }

    /// Reads base64 of either alphabet, padded or not: a `pin_token` or `pin_token_base64`.
    ///
    /// # Errors
    /// As [`X25519PublicKey::from_bytes`].
    pub fn from_base64(text: &str) -> Result<Self, Error> {
        let mut buffer = [0; 48];
        Self::from_bytes(decode_public(text, &mut buffer).ok_or(Error::PublicKey)?)
    }

    /// Reads what a server names as its key: hex is an Ed25519 key, which is converted, and base64 an X25519 key
    /// (`baizhiheizi/mixin_bot`: `lib/mixin_bot/configuration.rb`).
    ///
    /// # Errors
    /// As [`X25519PublicKey::from_bytes`] and [`Ed25519PublicKey::from_bytes`].
    pub fn from_text(text: &str) -> Result<Self, Error> {
        // 64 characters of base64 are 48 bytes, which no key has.
        if text.len() == 64 { Ed25519PublicKey::from_text(text)?.to_x25519() } else { Self::from_base64(text) }
    }

    /// Converts the key from Montgomery to Edwards form: the inverse of [`Ed25519PublicKey::to_x25519`], except that the
    /// sign is lost. The result agrees on the same PIN keys, but may not verify the owner's signatures.
    ///
    /// # Errors
    /// [`Error::PublicKey`] for bytes that are not a point of the curve in its shortest form. Most values are not, but every
    /// key that was made from a private key is.
    pub fn to_ed25519(&self) -> Result<Ed25519PublicKey, Error> {
        let point = self.0.to_edwards(0).ok_or(Error::PublicKey)?;
        // X25519 ignores the highest bit and reduces the number. Such a key would not come back.
        if point.to_montgomery().as_bytes() != self.as_bytes() {
            return Err(Error::PublicKey);
        }
        Ed25519PublicKey::from_bytes(point.compress().as_bytes())
    }

    /// Unpadded base64url: a `pin_token_base64`.
    #[cfg(feature = "alloc")]
    pub fn to_base64_url(&self) -> alloc::string::String {
        use base64::Engine as _;

        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(self.as_bytes())
    }

    /// The 32 bytes of RFC 7748.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// X25519 of RFC 7748.
    pub(crate) fn agree(&self, scalar: &[u8; 32]) -> Result<PinKey, Error> {
        let shared = Zeroizing::new(self.0.mul_clamped(*scalar).to_bytes());
        if bool::from(shared.ct_eq(&[0; 32])) {
            return Err(Error::KeyAgreement);
        }
        PinKey::from_bytes(shared.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    const PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    #[test]
    fn a_seed_and_its_key_pair_are_the_same_key() {
        let seed = Ed25519Key::from_text(SEED).unwrap();
        let mut pair = [0; 64];
        pair[..32].copy_from_slice(seed.expose_seed());
        pair[32..].copy_from_slice(seed.public_key().as_bytes());
        assert_eq!(Ed25519Key::from_bytes(&pair).unwrap().public_key(), seed.public_key());
        pair[63] ^= 1;
        assert_eq!(Ed25519Key::from_bytes(&pair).unwrap_err(), Error::Ed25519KeyMismatch);
    }

    #[test]
    fn signatures_match_rfc_8032() {
        // Section 7.1, tests 1 and 3.
        let vectors = [
            (
                SEED,
                &[][..],
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                &[0xaf, 0x82],
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ];
        let mut rng = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
        for (seed, message, expected) in vectors {
            let key = Ed25519Key::from_text(seed).unwrap();
            let (mut signature, mut bytes) = ([0; 64], [0; 64]);
            key.sign(message, &mut rng, &mut signature).unwrap();
            base16ct::lower::decode(expected, &mut bytes).unwrap();
            assert_eq!(signature, bytes);
        }
    }

    #[test]
    fn keys_of_low_order_are_refused() {
        let key = Ed25519Key::from_text(SEED).unwrap();
        // The orders 2, 4 and 8 of the curve, and those of the twist; RFC 7748, section 6.1, asks for the check.
        let orders = [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ];
        for text in orders {
            let mut bytes = [0; 32];
            base16ct::lower::decode(text, &mut bytes).unwrap();
            let peer = X25519PublicKey::from_bytes(&bytes).unwrap();
            assert_eq!(key.agree(&peer).unwrap_err(), Error::KeyAgreement, "{text}");
        }
        assert_eq!(X25519PublicKey::from_bytes(&[0; 32]).unwrap_err(), Error::KeyAgreement);
    }

    #[test]
    fn upper_case_hex_and_both_base64_alphabets_are_read() {
        let key = Ed25519PublicKey::from_text(PUBLIC).unwrap();
        for text in [
            "D75A980182B10AB7D54BFED3C964073A0EE172F3DAA62325AF021A68F707511A",
            "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        ] {
            assert_eq!(Ed25519PublicKey::from_text(text).unwrap(), key, "{text}");
        }
        assert_eq!(Ed25519Key::from_text("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=").unwrap().public_key(), key);
    }

    #[test]
    fn malformed_keys_are_refused() {
        for text in ["", "00", &SEED[..63], &SEED[1..], "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A==", "\u{e9}"] {
            assert_eq!(Ed25519Key::from_text(text).unwrap_err(), Error::Ed25519Key, "{text:?}");
        }
        for text in ["", "AAAA", &PUBLIC[..62]] {
            assert_eq!(Ed25519PublicKey::from_text(text).unwrap_err(), Error::PublicKey, "{text:?}");
        }
    }

    #[test]
    fn the_neutral_element_of_the_edwards_curve_is_refused() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(Ed25519PublicKey::from_bytes(&neutral).unwrap_err(), Error::PublicKey);
    }

    #[test]
    fn pkcs8_is_read_with_the_public_key_and_without() {
        // RFC 8410, sections 10.3: the second has an attribute, which no session's key has.
        let mut der = [0; 48];
        base16ct::lower::decode(
            "302e020100300506032b657004220420d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842",
            &mut der,
        )
        .unwrap();
        let key = Ed25519Key::from_pkcs8_der(&der).unwrap();
        assert_eq!(key.expose_seed(), &der[16..]);
        let public = key.public_key();
        for prefix in PKCS8_PUBLIC {
            let mut whole = [0; 85];
            let len = 48 + prefix.len() + 32;
            whole[..48].copy_from_slice(&der);
            whole[48..48 + prefix.len()].copy_from_slice(prefix);
            whole[len - 32..len].copy_from_slice(public.as_bytes());
            (whole[1], whole[4]) = (u8::try_from(len - 2).unwrap(), 1);
            assert_eq!(Ed25519Key::from_pkcs8_der(&whole[..len]).unwrap().public_key(), public);
            whole[len - 1] ^= 1;
            assert_eq!(Ed25519Key::from_pkcs8_der(&whole[..len]).unwrap_err(), Error::Ed25519KeyMismatch);
        }
        for at in 0..16 {
            let mut other = der;
            other[at] ^= if at == 4 { 2 } else { 1 };
            assert_eq!(Ed25519Key::from_pkcs8_der(&other).unwrap_err(), Error::Ed25519Key, "byte {at}");
        }
        for len in 0..48 {
            assert_eq!(Ed25519Key::from_pkcs8_der(&der[..len]).unwrap_err(), Error::Ed25519Key, "{len}");
        }
    }

    #[test]
    fn keys_convert_between_the_curves() {
        for at in 0..64 {
            let key = Ed25519Key::from_bytes(&[at; 32]).unwrap().public_key();
            let x25519 = key.to_x25519().unwrap();
            let again = x25519.to_ed25519().unwrap();
            assert_eq!(again.as_bytes()[..31], key.as_bytes()[..31]);
            assert_eq!(again.to_x25519().unwrap(), x25519);
            assert!(key.has_prime_order() && again.has_prime_order());
            // X25519 takes this for the same key, but these are other bytes.
            let mut marked = *x25519.as_bytes();
            marked[31] |= 0x80;
            assert_eq!(X25519PublicKey::from_bytes(&marked).unwrap().to_ed25519().unwrap_err(), Error::PublicKey);
        }
        let points =
            (0..64).filter(|at| X25519PublicKey::from_bytes(&[at + 2; 32]).unwrap().to_ed25519().is_ok()).count();
        assert!((16..48).contains(&points), "{points} of 64 values are points of the curve");
        let of_other_order = (0..64).filter_map(|at| Ed25519PublicKey::from_bytes(&[at; 32]).ok());
        assert!(of_other_order.into_iter().any(|key| !key.has_prime_order()));
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn a_servers_key_in_hex_is_converted() {
        let key = Ed25519PublicKey::from_text(PUBLIC).unwrap();
        let x25519 = key.to_x25519().unwrap();
        assert_eq!(X25519PublicKey::from_text(PUBLIC).unwrap(), x25519);
        assert_eq!(X25519PublicKey::from_text(&x25519.to_base64_url()).unwrap(), x25519);
        assert_eq!(X25519PublicKey::from_text("AAAA").unwrap_err(), Error::PublicKey);
    }

    #[test]
    fn both_sides_agree() {
        let ours = Ed25519Key::from_bytes(&[1; 32]).unwrap();
        let theirs = Ed25519Key::from_bytes(&[2; 32]).unwrap();
        let here = ours.agree(&theirs.public_key().to_x25519().unwrap()).unwrap();
        let there = theirs.agree(&ours.public_key().to_x25519().unwrap()).unwrap();
        assert_eq!(here.expose(), there.expose());
    }
}
