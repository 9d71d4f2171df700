//! A blocking client for Mixin's PIN calls.
//!
//! **In scope:** carrying the requests that [`mixin_pin_protocol`] prepares over HTTP, one PIN call of a session at a
//! time, telling apart what was done, what was refused, and what nobody knows, and finding out about the last.
//!
//! **Out of scope, for good:** cryptography and JSON, which are the core's and the protocol's; files and terminals,
//! which are the command's.
//!
//! # Money
//! An encrypted PIN is never sent twice, and a PIN call never made again once a byte of it may have been sent. When its
//! answer is lost, the call returns [`Outcome::Unknown`]: it may have been carried out. For a change of the PIN
//! [`Client::resolve_update`] finds out. While a PIN call is under way its session is held in a
//! [`NonceStore`](store::NonceStore), so that iterators arrive in order.
//!
//! # Speed
//! With the feature `accel`, on by default, the core's own keys are handed to `mixin-pin-accel`, which makes the same
//! signatures faster. A signer of your own is taken as it is.
//!
//! # Example
//!
//! ```no_run
//! use mixin_pin_http::{Client, Outcome};
//! use mixin_pin_http::core::{Pin, SystemRng};
//! use mixin_pin_http::protocol::keystore::Keystore;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let keystore = Keystore::parse(&std::fs::read("keystore.json")?)?;
//! let client = Client::new(keystore.into_session(&mut SystemRng::new()?)?)?;
//! match client.verify_pin(&Pin::new("314159")?)? {
//!     Outcome::Done(user) => println!("the PIN of {} is right", user.full_name),
//!     Outcome::Unknown(lost) => println!("no answer ({}): {}", lost.cause, lost.next),
//! }
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod address;
mod builder;
mod client;
mod error;
pub mod hazmat;
mod lane;
mod oauth;
mod outcome;
mod probe;
mod proxy;
mod resolve;
mod retry;
mod signer;
mod transport;

pub use builder::{ClientBuilder, DEFAULT_API, UserSession};
pub use client::Client;
pub use error::{Error, TransportError};
pub use oauth::{NoSession, OAuthClient};
pub use outcome::{NextStep, Outcome, Unknown};
pub use probe::{ClockOffset, Probe};
pub use resolve::{Credential, Resolution, ResolutionPlan, Verdict};

pub use mixin_pin_core as core;
pub use mixin_pin_protocol as protocol;
pub use mixin_pin_store as store;

/// The README's examples run, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
