//! The token that signs a request: a compact JWS whose `sig` claim hashes method, path and body.
//!
//! This module writes and signs claims and verifies signatures. `mixin-pin-protocol` reads claims from JSON.

mod claims;
mod hash;
mod jws;

use core::fmt;
use core::ops::RangeInclusive;

use rand_core::CryptoRng;

use crate::SignerError;

pub use claims::Claims;
#[cfg(all(feature = "ed25519", feature = "alloc"))]
pub(crate) use claims::{Issuer, check_scope};
#[cfg(feature = "alloc")]
pub use claims::{Token, UnsignedToken};
pub use hash::RequestHash;
pub use jws::{Jws, VerifyingKey};

/// Length of the longest signature, RSA of 4096 bits, in bytes.
pub const MAX_SIGNATURE_LEN: usize = 512;

/// The signature algorithm of a token.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-512 (RFC 7518, section 3.3).
    Rs512,
    /// Ed25519 (RFC 8037, section 3.1).
    EdDsa,
}

impl Algorithm {
    /// `RS512` or `EdDSA`: the `alg` of a token's header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs512 => "RS512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Base64url of `{"alg":…,"typ":"JWT"}`.
    const fn header(self) -> &'static str {
        match self {
            Self::Rs512 => "eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9",
            Self::EdDsa => "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9",
        }
    }

    /// The lengths of its signatures, in bytes: for RS512 those of keys of 1024 to 4096 bits.
    const fn signature_lens(self) -> RangeInclusive<usize> {
        match self {
            Self::Rs512 => 128..=MAX_SIGNATURE_LEN,
            Self::EdDsa => 64..=64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Signs messages. The keys of this crate implement it, and so may a key in a device or another library.
///
/// `rng` is for blinding. An implementation that needs no randomness ignores it.
///
/// A key that signs asynchronously needs no `Signer`: see `UnsignedToken`.
///
/// ```
/// use mixin_pin_core::rand_core::CryptoRng;
/// use mixin_pin_core::token::{Algorithm, Signer};
/// use mixin_pin_core::SignerError;
///
/// /// A key in hardware, behind its driver's signing call.
/// struct Device<D>(D);
///
/// impl<D: Fn(&[u8]) -> Option<[u8; 64]>> Signer for Device<D> {
///     fn algorithm(&self) -> Algorithm {
///         Algorithm::EdDsa
///     }
///
///     fn signature_len(&self) -> usize {
///         64
///     }
///
///     fn sign(&self, message: &[u8], _: &mut dyn CryptoRng, signature: &mut [u8]) -> Result<(), SignerError> {
///         let made = (self.0)(message).filter(|made| made.len() == signature.len()).ok_or(SignerError::new())?;
///         signature.copy_from_slice(&made);
///         Ok(())
///     }
/// }
///
/// let broken = Device(|_: &[u8]| None);
/// let mut rng = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
/// assert!(broken.sign(b"message", &mut rng, &mut [0; 64]).is_err());
/// ```
pub trait Signer {
    /// The algorithm of its signatures.
    fn algorithm(&self) -> Algorithm;

    /// Length of its signatures, in bytes: [`MAX_SIGNATURE_LEN`] at most.
    fn signature_len(&self) -> usize;

    /// Signs `message` into `signature`, a buffer of exactly [`Signer::signature_len`] bytes.
    ///
    /// # Errors
    /// [`SignerError`] if the key or its device fails, or if the buffer has another length.
    fn sign(&self, message: &[u8], rng: &mut dyn CryptoRng, signature: &mut [u8]) -> Result<(), SignerError>;
}

impl<S: Signer + ?Sized> Signer for &S {
    fn algorithm(&self) -> Algorithm {
        (**self).algorithm()
    }

    fn signature_len(&self) -> usize {
        (**self).signature_len()
    }

    fn sign(&self, message: &[u8], rng: &mut dyn CryptoRng, signature: &mut [u8]) -> Result<(), SignerError> {
        (**self).sign(message, rng, signature)
    }
}

#[cfg(feature = "alloc")]
impl<S: Signer + ?Sized> Signer for alloc::boxed::Box<S> {
    fn algorithm(&self) -> Algorithm {
        (**self).algorithm()
    }

    fn signature_len(&self) -> usize {
        (**self).signature_len()
    }

    fn sign(&self, message: &[u8], rng: &mut dyn CryptoRng, signature: &mut [u8]) -> Result<(), SignerError> {
        (**self).sign(message, rng, signature)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn encoded_headers_decode_to_their_json() {
        for algorithm in [Algorithm::Rs512, Algorithm::EdDsa] {
            let mut buffer = [0; 64];
            let len = URL_SAFE_NO_PAD.decode_slice(algorithm.header(), &mut buffer).unwrap();
            let text = core::str::from_utf8(&buffer[..len]).unwrap();
            let rest = text.strip_prefix(r#"{"alg":""#).and_then(|t| t.strip_prefix(algorithm.as_str())).unwrap();
            assert_eq!(rest, r#"","typ":"JWT"}"#);
        }
    }
}
