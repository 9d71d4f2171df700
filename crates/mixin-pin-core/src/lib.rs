//! The cryptography of Mixin PINs, and nothing else.
//!
//! **In scope:** six-digit PINs ([`Pin`]), TIP keys and their signatures (`tip`), blocks ([`PinBlock`]) and their
//! encryption ([`PinKey`], [`EncryptedPin`]), the nonces that make blocks one-time ([`Nonce`], [`NonceSource`]), RSA and
//! Ed25519 sessions ([`Session`]), OAuth sessions (`OAuthSession`), and the tokens that sign requests ([`token`]). The
//! crate has both sides: what a client does (encrypt, sign, unwrap), and what a server or an auditor does (decrypt,
//! verify, wrap).
//!
//! **Out of scope:** sockets, files, clocks, and Mixin's JSON. The caller passes the time as [`UnixTime`] and the
//! randomness as [`rand_core::CryptoRng`]. `mixin-pin-protocol` adds the JSON, and `mixin-pin-http` sends requests.
//!
//! # Example
//!
//! Encrypt a PIN, sign the request that carries it, and check both as the server does:
//!
#![cfg_attr(all(feature = "ed25519", feature = "alloc"), doc = "```")]
#![cfg_attr(not(all(feature = "ed25519", feature = "alloc")), doc = "```ignore")]
//! use core::time::Duration;
//! use getrandom::{SysRng, rand_core::UnwrapErr};
//! use mixin_pin_core::{
//!     Ed25519Key, MonotonicNonces, NonceSource, Pin, Session, UnixTime, uuid::Uuid,
//!     token::{Jws, RequestHash, VerifyingKey},
//! };
//!
//! # fn main() -> Result<(), mixin_pin_core::Error> {
//! let mut rng = UnwrapErr(SysRng);
//! let now = UnixTime::from_secs(1_700_000_000);
//!
//! // A keystore has our ids, our key and the server's key.
//! let server = Ed25519Key::generate(&mut rng);
//! let key = Ed25519Key::generate(&mut rng);
//! let ours = key.public_key();
//! let session = Session::ed25519(
//!     Uuid::from_u128(1), Uuid::from_u128(2), key, &server.public_key().to_x25519()?,
//! )?;
//!
//! let nonces = MonotonicNonces::new();
//! let encrypted = session.pin_key().encrypt(Pin::new("314159")?, nonces.next(now)?, &mut rng);
//! let body = format!(r#"{{"pin_base64":"{}"}}"#, encrypted.to_url_safe());
//! let hash = RequestHash::of("POST", "/pin/verify", body.as_bytes());
//! let claims = session.claims(hash, Uuid::from_u128(3), now, Duration::from_secs(60))?;
//! let token = session.sign(&claims, &mut rng)?;
//!
//! // The server's side.
//! Jws::parse(token.as_str())?.verify(&VerifyingKey::Ed25519(ours.clone()))?;
//! let block = server.agree(&ours.to_x25519()?)?.decrypt(&encrypted)?;
//! assert_eq!(block.timestamp(), now.secs());
//! # Ok(()) }
//! ```
//!
//! # Features
//!
//! | feature | gives | needs |
//! |---|---|---|
//! | `std` (default) | conversions from [`std::time`](https://doc.rust-lang.org/std/time/) | `alloc` |
//! | `rsa` (default) | RSA sessions, RS512 | `alloc` |
//! | `ed25519` (default) | Ed25519 sessions, EdDSA, TIP keys; with `alloc` OAuth | |
//! | `alloc` | functions that return a `String` or `Vec` | a heap |
//! | `getrandom` (default) | [`SystemRng`](https://docs.rs/mixin-pin-core), the system's randomness | an operating system |
//!
//! With `ed25519` alone, the crate encrypts PINs and signs tokens without a heap.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod block;
mod cipher;
mod encoding;
mod error;
pub mod hazmat;
mod nonce;
#[cfg(all(feature = "alloc", any(feature = "rsa", feature = "ed25519")))]
mod pem;
mod pin;
mod session;
#[cfg(feature = "getrandom")]
mod system_rng;
mod time;
#[cfg(feature = "ed25519")]
pub mod tip;
pub mod token;

pub use rand_core;
pub use uuid;

pub use block::{PinBlock, Secret, SecretKind};
pub use cipher::{EncodedPin, EncryptedPin, PinKey};
pub use error::{Error, SignerError};
pub use nonce::{MonotonicNonces, Nonce, NonceSource};
pub use pin::Pin;
#[cfg(feature = "ed25519")]
pub use session::ed25519::{Ed25519Key, Ed25519PublicKey, X25519PublicKey};
#[cfg(all(feature = "ed25519", feature = "alloc"))]
pub use session::oauth::{CodeVerifier, OAuthSession};
#[cfg(feature = "rsa")]
pub use session::rsa::{PinToken, RsaKey, RsaPublicKey};
pub use session::{Session, SessionKey};
#[cfg(feature = "getrandom")]
pub use system_rng::SystemRng;
pub use time::UnixTime;

/// Tests the README's examples.
#[cfg(all(doctest, feature = "alloc", feature = "ed25519", feature = "getrandom"))]
#[doc = include_str!("../README.md")]
struct Readme;
