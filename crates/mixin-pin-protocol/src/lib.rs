//! Mixin's words around [`mixin_pin_core`], without any I/O.
//!
//! **In scope:** keystore files ([`keystore`]), calls made ready to send ([`call`]), also for an app that acts for a
//! user ([`oauth`]), the server's answers ([`answer`]), the server's view of a call ([`check`]) and of what it asks for
//! ([`action`]), and a report on a captured request ([`inspect`]).
//!
//! **Out of scope, for good:** sockets, files, clocks and randomness of its own. A [`call::PreparedRequest`] can be
//! sent by any transport, blocking or not; `mixin-pin-http` is one.
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
//! let now = UnixTime::from_secs(1_700_000_000);
//! let nonces = MonotonicNonces::new();
//! let request = Calls::new(&session, now, &mut rng).nonces(&nonces).verify_pin(&Pin::new("314159")?)?;
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
    TokenFault,
};
pub use mixin_pin_core as core;
pub use shown::Shown;

/// The README's examples run, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
