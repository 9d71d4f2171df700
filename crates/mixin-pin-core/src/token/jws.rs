//! Received tokens: split, decoded and verified.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{Algorithm, MAX_SIGNATURE_LEN};
use crate::Error;

/// The public key that verifies a token.
///
/// ```
/// # #[cfg(all(feature = "ed25519", feature = "alloc"))] {
/// use mixin_pin_core::token::{Algorithm, VerifyingKey};
///
/// // As OpenSSL writes it: `openssl pkey -pubout -outform DER | base64`.
/// let spki = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
/// let key = VerifyingKey::from_text(spki)?;
/// assert_eq!(key.algorithm(), Algorithm::EdDsa);
/// assert_eq!(key.to_session_secret()?, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
/// # }
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyingKey {
    /// Verifies RS512.
    #[cfg(feature = "rsa")]
    Rsa(crate::RsaPublicKey),
    /// Verifies EdDSA.
    #[cfg(feature = "ed25519")]
    Ed25519(crate::Ed25519PublicKey),
}

impl VerifyingKey {
    /// Reads a public key: base64 of an SPKI (a `session_secret`), PEM, or an Ed25519 key in base64url or hex.
    ///
    /// # Errors
    /// [`Error::PublicKey`] for anything else, [`Error::RsaKeySize`] for an RSA key outside 1024 to 4096 bits.
    #[cfg(any(feature = "rsa", feature = "ed25519"))]
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        // Without the blank, the line could be base64url of a key.
        if text.starts_with("-----BEGIN ") {
            let mut buffer = [0; 1024];
            return match pem_rfc7468::decode(text.as_bytes(), &mut buffer) {
                Ok(("PUBLIC KEY", der)) => Self::from_spki_der(der),
                _ => Err(Error::PublicKey),
            };
        }
        #[cfg(feature = "ed25519")]
        if let Ok(key) = crate::Ed25519PublicKey::from_text(text) {
            return Ok(Self::Ed25519(key));
        }
        #[cfg(feature = "rsa")]
        return crate::RsaPublicKey::from_base64(text).map(Self::Rsa);
        #[cfg(not(feature = "rsa"))]
        Err(Error::PublicKey)
    }

    /// Reads a `SubjectPublicKeyInfo` in DER.
    #[cfg(any(feature = "rsa", feature = "ed25519"))]
    fn from_spki_der(der: &[u8]) -> Result<Self, Error> {
        #[cfg(feature = "ed25519")]
        if let Ok(key) = crate::Ed25519PublicKey::from_spki_der(der) {
            return Ok(Self::Ed25519(key));
        }
        #[cfg(feature = "rsa")]
        return crate::RsaPublicKey::from_spki_der(der).map(Self::Rsa);
        #[cfg(not(feature = "rsa"))]
        Err(Error::PublicKey)
    }

    /// Writes the key as a registration's `session_secret`: padded base64 of an RSA key's SPKI, base64url of the 32
    /// bytes of an Ed25519 key.
    ///
    /// # Errors
    /// [`Error::PublicKey`] if the key cannot be encoded.
    #[cfg(feature = "alloc")]
    pub fn to_session_secret(&self) -> Result<alloc::string::String, Error> {
        match *self {
            #[cfg(feature = "rsa")]
            Self::Rsa(ref key) => Ok(base64::engine::general_purpose::STANDARD.encode(key.to_spki_der()?)),
            #[cfg(feature = "ed25519")]
            Self::Ed25519(ref key) => Ok(key.to_base64_url()),
        }
    }

    /// The only algorithm that a token under this key may name.
    pub const fn algorithm(&self) -> Algorithm {
        match *self {
            #[cfg(feature = "rsa")]
            Self::Rsa(_) => Algorithm::Rs512,
            #[cfg(feature = "ed25519")]
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Verifies a signature over a message.
    ///
    /// # Errors
    /// [`Error::Signature`] if the signature is not valid.
    // Without `rsa` and `ed25519` there is no key, so nothing uses the arguments.
    #[cfg_attr(not(any(feature = "rsa", feature = "ed25519")), allow(unused_variables))]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        match *self {
            #[cfg(feature = "rsa")]
            Self::Rsa(ref key) => key.verify(message, signature),
            #[cfg(feature = "ed25519")]
            Self::Ed25519(ref key) => key.verify(message, signature),
        }
    }
}

/// A compact JWS, split at its dots.
///
/// Trust nothing in it before [`Jws::verify`]. The key determines the algorithm, and the header's `alg` is never read.
/// The reader of the header's JSON checks that it names the key's algorithm.
///
/// ```
/// use mixin_pin_core::token::Jws;
///
/// # #[cfg(feature = "alloc")] {
/// let jws = Jws::parse("eyJhbGciOiJFZERTQSJ9.e30.AAAA")?;
/// assert_eq!((jws.header()?, jws.payload()?), (br#"{"alg":"EdDSA"}"#.to_vec(), b"{}".to_vec()));
/// # }
/// assert!(Jws::parse("e30.e30.AAAA=").is_err()); // padded
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Jws<'t> {
    /// Header and payload.
    signing_input: &'t str,
    signature: &'t str,
}

impl<'t> Jws<'t> {
    /// Splits a token into header, payload and signature.
    ///
    /// # Errors
    /// [`Error::TokenFormat`] unless there are three parts of unpadded base64url, with a header and with a signature of
    /// 1 to 512 bytes.
    pub fn parse(token: &'t str) -> Result<Self, Error> {
        let (signing_input, signature) = token.rsplit_once('.').ok_or(Error::TokenFormat)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Error::TokenFormat)?;
        if header.is_empty() || signature.is_empty() || payload.contains('.') {
            return Err(Error::TokenFormat);
        }
        let jws = Self { signing_input, signature };
        if !is_base64url(header) || !is_base64url(payload) {
            return Err(Error::TokenFormat);
        }
        jws.decode_signature(&mut [0; MAX_SIGNATURE_LEN])?;
        Ok(jws)
    }

    /// Verifies the signature under a key, by that key's algorithm.
    ///
    /// # Errors
    /// [`Error::Signature`] if the signature is not valid.
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), Error> {
        let mut buffer = [0; MAX_SIGNATURE_LEN];
        let signature = self.decode_signature(&mut buffer)?;
        key.verify(self.signing_input.as_bytes(), signature)
    }

    /// The header's JSON, unchecked.
    ///
    /// # Errors
    /// [`Error::TokenFormat`] if it is not canonical base64url.
    #[cfg(feature = "alloc")]
    pub fn header(&self) -> Result<alloc::vec::Vec<u8>, Error> {
        decode(self.signing_input.split('.').next())
    }

    /// The payload's JSON, unchecked.
    ///
    /// # Errors
    /// [`Error::TokenFormat`] if it is not canonical base64url.
    #[cfg(feature = "alloc")]
    pub fn payload(&self) -> Result<alloc::vec::Vec<u8>, Error> {
        decode(self.signing_input.split('.').nth(1))
    }

    fn decode_signature<'o>(&self, out: &'o mut [u8; MAX_SIGNATURE_LEN]) -> Result<&'o [u8], Error> {
        let len = URL_SAFE_NO_PAD.decode_slice(self.signature, out).map_err(|_| Error::TokenFormat)?;
        Ok(&out[..len])
    }
}

#[cfg(feature = "alloc")]
fn decode(part: Option<&str>) -> Result<alloc::vec::Vec<u8>, Error> {
    part.and_then(|part| URL_SAFE_NO_PAD.decode(part).ok()).ok_or(Error::TokenFormat)
}

fn is_base64url(text: &str) -> bool {
    text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
}

impl fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jws").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_tokens_are_refused() {
        for text in
            ["", ".", "..", "a.b", "a.b.c.d", ".e30.AAAA", "e30.e30.", "e30.e3 0.AAAA", "e30.e30.AA=", "e30.e30.AB"]
        {
            assert_eq!(Jws::parse(text).unwrap_err(), Error::TokenFormat, "{text:?}");
        }
        assert!(Jws::parse("e30.e30.AAAA").is_ok());
    }

    #[cfg(all(feature = "alloc", feature = "ed25519"))]
    #[test]
    fn base64url_that_looks_like_pem_is_still_read() {
        let text = "-----BEGINCKCCCEAEEEEEEEEEEEEEEEEEEEEEEEEEE";
        assert_eq!(VerifyingKey::from_text(text).unwrap().to_session_secret().unwrap(), text);
    }
}
