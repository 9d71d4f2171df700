//! Faster signers for sessions. The signatures are the same, byte for byte.
//!
//! **In scope:** [`FastKey`], a [`Signer`] for a session's key. aws-lc-rs signs with Ed25519 and with RSA from 2048 bits.
//! With the feature `openssl`, OpenSSL signs with smaller RSA keys. Otherwise the core's own key signs.
//!
//! **Out of scope:** PIN keys, blocks and tokens, which the core computes fast enough.
//!
//! RS512 and Ed25519 are deterministic, so all libraries make the same signature.
//!
//! # Example
//!
//! ```
//! use getrandom::{SysRng, rand_core::UnwrapErr};
//! use mixin_pin_accel::{Backend, FastKey};
//! use mixin_pin_core::{Ed25519Key, Session, uuid::Uuid};
//!
//! # fn main() -> Result<(), mixin_pin_core::Error> {
//! # let server = Ed25519Key::generate(&mut UnwrapErr(SysRng)).public_key().to_x25519()?;
//! let key = Ed25519Key::generate(&mut UnwrapErr(SysRng));
//! let session = Session::ed25519(Uuid::from_u128(1), Uuid::from_u128(2), key, &server)?;
//! let session = session.map_signer(FastKey::from);
//! assert_eq!(session.signer().backend(), Backend::AwsLc);
//! # Ok(()) }
//! ```
//!
//! # Security
//! The library has a copy of the key. aws-lc and OpenSSL erase private keys that they free; this crate does not check their
//! intermediate copies. Both blind RSA with their own randomness.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA512, RsaKeyPair};
use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::token::{Algorithm, Signer};
use mixin_pin_core::{Ed25519Key, RsaKey, SessionKey, SignerError};
#[cfg(feature = "openssl")]
use openssl::{hash::MessageDigest, pkey::PKey, pkey::Private, rsa::Rsa, sign};

/// A session's key in the fastest library that accepts it.
///
/// `Debug` shows only the backend.
pub struct FastKey(Key);

enum Key {
    AwsEd25519(Box<Ed25519KeyPair>),
    AwsRsa(RsaKeyPair),
    #[cfg(feature = "openssl")]
    OpenSslRsa(PKey<Private>),
    Pure(Box<SessionKey>),
}

/// The library that signs.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// aws-lc-rs.
    AwsLc,
    /// OpenSSL.
    OpenSsl,
    /// The core's own key: RustCrypto or dalek.
    Pure,
}

impl FastKey {
    /// The library that signs.
    pub const fn backend(&self) -> Backend {
        match &self.0 {
            Key::AwsEd25519(_) | Key::AwsRsa(_) => Backend::AwsLc,
            #[cfg(feature = "openssl")]
            Key::OpenSslRsa(_) => Backend::OpenSsl,
            Key::Pure(_) => Backend::Pure,
        }
    }
}

/// A key that no library accepts signs by itself, so the conversion never fails.
impl From<SessionKey> for FastKey {
    fn from(key: SessionKey) -> Self {
        let fast = match &key {
            SessionKey::Ed25519(key) => ed25519(key),
            SessionKey::Rsa(key) => rsa(key),
            _ => None,
        };
        Self(fast.unwrap_or_else(|| Key::Pure(Box::new(key))))
    }
}

fn ed25519(key: &Ed25519Key) -> Option<Key> {
    let pair = Ed25519KeyPair::from_seed_unchecked(key.expose_seed()).ok()?;
    let agrees = pair.public_key().as_ref() == key.public_key().as_bytes();
    agrees.then(|| Key::AwsEd25519(Box::new(pair)))
}

fn rsa(key: &RsaKey) -> Option<Key> {
    let der = key.to_pkcs1_der();
    if let Ok(pair) = RsaKeyPair::from_der(&der) {
        return Some(Key::AwsRsa(pair));
    }
    #[cfg(feature = "openssl")]
    return Rsa::private_key_from_der(&der).and_then(PKey::from_rsa).ok().map(Key::OpenSslRsa);
    #[cfg(not(feature = "openssl"))]
    None
}

impl Signer for FastKey {
    fn algorithm(&self) -> Algorithm {
        match &self.0 {
            Key::AwsEd25519(_) => Algorithm::EdDsa,
            Key::AwsRsa(_) => Algorithm::Rs512,
            #[cfg(feature = "openssl")]
            Key::OpenSslRsa(_) => Algorithm::Rs512,
            Key::Pure(key) => key.algorithm(),
        }
    }

    fn signature_len(&self) -> usize {
        match &self.0 {
            Key::AwsEd25519(_) => 64,
            Key::AwsRsa(pair) => pair.public_modulus_len(),
            #[cfg(feature = "openssl")]
            Key::OpenSslRsa(key) => key.size(),
            Key::Pure(key) => key.signature_len(),
        }
    }

    fn sign(&self, message: &[u8], rng: &mut dyn CryptoRng, signature: &mut [u8]) -> Result<(), SignerError> {
        match &self.0 {
            Key::AwsEd25519(pair) => {
                let made = pair.sign(message);
                let made = made.as_ref();
                if signature.len() != made.len() {
                    return Err(SignerError::new());
                }
                signature.copy_from_slice(made);
                Ok(())
            }
            Key::AwsRsa(pair) => {
                if signature.len() != pair.public_modulus_len() {
                    return Err(SignerError::new());
                }
                pair.sign(&RSA_PKCS1_SHA512, &SystemRandom::new(), message, signature).map_err(SignerError::with_cause)
            }
            #[cfg(feature = "openssl")]
            Key::OpenSslRsa(key) => {
                let mut signer = sign::Signer::new(MessageDigest::sha512(), key).map_err(SignerError::with_cause)?;
                match signer.sign_oneshot(signature, message) {
                    Ok(len) if len == signature.len() => Ok(()),
                    Ok(_) => Err(SignerError::new()),
                    Err(cause) => Err(SignerError::with_cause(cause)),
                }
            }
            Key::Pure(key) => key.sign(message, rng, signature),
        }
    }
}

impl fmt::Debug for FastKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FastKey").field(&self.backend()).finish()
    }
}

/// Tests the README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
