//! The Mixin protocol around [`mixin_pin_core`], without I/O.
//!
//! **In scope:** keystore files ([`keystore`]), prepared calls ([`call`]) and OAuth ([`oauth`]), answers ([`answer`]), a
//! server's checks of a call ([`check`]) and its TIP action ([`action`]), and reports on captured requests ([`inspect`]).
//!
//! **Out of scope, permanently:** sockets, files, clocks and sources of randomness. Any transport, blocking or async, can
//! send a [`call::PreparedRequest`]; `mixin-pin-http` is one.
//!
//! # Example
//!
//! ```
//! use getrandom::{SysRng, rand_core::UnwrapErr};
//! use mixin_pin_protocol::core::{MonotonicNonces, Pin, UnixTime};
//! use mixin_pin_protocol::{Error, call::Calls, keystore::Keystore};
//!
//! # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
//! # fn main() -> Result<(), Error> {
//! let mut rng = UnwrapErr(SysRng);
//! let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
//! let (now, nonces) = (UnixTime::from_secs(1_700_000_000), MonotonicNonces::new());
//! let request = Calls::new(&session, now, &mut rng).nonces(&nonces).verify_pin(&Pin::new("314159")?)?;
//! let request = request.sign(session.signer(), &mut rng)?;
//! assert_eq!((request.method(), request.path()), ("POST", "/pin/verify"));
//! // send(request.method(), request.path(), request.headers(), request.body())
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

pub mod action;
pub mod answer;
pub mod call;
pub mod check;
mod error;
pub mod inspect;
pub mod keystore;
pub mod oauth;
mod object;
mod request;
mod shown;

pub use error::{
    ActionError, AnswerError, BlockError, CallError, CurlError, Error, IntegrityFault, KeystoreError, Remedy,
    ShapeFault, TokenFault,
};
pub use mixin_pin_core as core;
pub use shown::Shown;

/// Runs the README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
