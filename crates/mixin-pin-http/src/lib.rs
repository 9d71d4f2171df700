//! A blocking client for Mixin's PIN calls.
//!
//! **In scope:** sending the requests that [`mixin_pin_protocol`] prepares over HTTP, one PIN call of a session at a time;
//! telling whether a call was carried out, was refused, or has an unknown outcome; and settling unknown changes of PINs and of
//! session keys.
//!
//! **Out of scope, for good:** cryptography and JSON (core and protocol), files and terminals (the command).
//!
//! # Money
//! An encrypted PIN is never sent twice, and a PIN call is never repeated once a byte of it may have been sent. If its answer
//! is lost, the call returns [`Outcome::Unknown`]: it may have been carried out. After a PIN change,
//! [`Client::resolve_update`] finds out. A PIN call leases its session from a [`NonceStore`](store::NonceStore), so iterators
//! arrive in order.
//!
//! # Speed
//! With the feature `accel`, on by default, `mixin-pin-accel` signs with the core's keys. Its signatures are the same, and
//! faster. A signer of your own is used as it is.
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

mod builder;
mod client;
mod driver;
pub mod hazmat;
mod lane;
mod oauth;
mod resolve;
mod session;
mod signer;
mod sync;
mod transport;

pub use builder::ClientBuilder;
pub use client::Client;
pub use oauth::OAuthClient;
pub use resolve::{Credential, ResolutionPlan};
pub use transport::Transport;

#[cfg(feature = "tracing")]
pub use mixin_pin_machine::TracingObserver;
pub use mixin_pin_machine::{
    ApiSettings, ClockOffset, DEFAULT_API, Error, Event, KeyResolution, KeyState, KeyVerdict, NextStep, Observer,
    Outcome, OutcomeClass, Probe, Resolution, SessionChange, SettingsError, TransportError, Unknown, Verdict,
};

pub use mixin_pin_core as core;
pub use mixin_pin_protocol as protocol;
pub use mixin_pin_store as store;

/// Runs the README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
