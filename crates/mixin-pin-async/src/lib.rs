//! An async client for Mixin's PIN calls, on tokio.
//!
//! **In scope:** what `mixin-pin-http` does, for callers that await. Both clients make the steps of one machine
//! (`mixin-pin-machine`), so their outcomes, errors and events are the same.
//!
//! **Out of scope, for good:** the rules of a call (the machine), cryptography and JSON (core and protocol), runtimes
//! other than tokio. The runtime needs its timers and I/O turned on (`enable_all`).
//!
//! # Money
//! An encrypted PIN is never sent twice, and a PIN call is never repeated once a byte of it may have been sent. If its
//! answer is lost, the call returns [`Outcome::Unknown`]: it may have been carried out. After a PIN change,
//! [`Client::resolve_update`] finds out. A PIN call leases its session from an
//! [`AsyncNonceStore`](store::AsyncNonceStore), so iterators arrive in order.
//!
//! # Dropping a future
//! A future can be dropped at any moment, for example by `tokio::select!` or a timeout of your own.
//! - Before its request is sent: the call ends. Nothing was sent, the session is released, and the journal forgets the
//!   call.
//! - Afterwards: a task of the runtime owns the call and makes it to the end. The [`Observer`] hears the outcome. If it
//!   is unknown, [`Client::pending`] lists the call. Only the observer hears a known outcome, so await a change to its
//!   end, or read the user afterwards.
//!
//! If the runtime or the process ends meanwhile, the call stays in the journal. A bot settles its pending calls
//! when it starts.
//!
//! # Waiting
//! The PIN calls of one session take turns in the order in which they asked, among all clients of a process. A waiting
//! call is a future in a queue: it holds no thread, and other sessions do not wait for it.
//!
//! # HTTP
//! The client speaks HTTP/1.1. `reqwest` is set to repeat no request, follow no redirection and decompress no answer.
//! Its connection pool may send a request over another connection if the first one took nothing of it. A request with a
//! body counts as not sent if, and only if, no connection took its body.
//!
//! # Speed
//! With the feature `accel`, on by default, `mixin-pin-accel` signs with the core's keys. Keys in memory sign on the
//! caller's thread. With `accel` that takes well below a millisecond for Ed25519 and for RSA of 2048 bits. A KMS or an
//! HSM signs as an [`AsyncSigner`].
//!
//! # Example
//!
//! ```no_run
//! use mixin_pin_async::{Client, Outcome};
//! use mixin_pin_async::core::{Pin, SystemRng};
//! use mixin_pin_async::protocol::keystore::Keystore;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let keystore = Keystore::parse(&std::fs::read("keystore.json")?)?;
//! let client = Client::new(keystore.into_session(&mut SystemRng::new()?)?)?;
//! match client.verify_pin(&Pin::new("314159")?).await? {
//!     Outcome::Done(user) => println!("the PIN of {} is right", user.full_name),
//!     Outcome::Unknown(lost) => println!("no answer ({}): {}", lost.cause, lost.next),
//! }
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod body;
mod builder;
mod client;
mod driver;
mod flight;
mod lane;
mod oauth;
mod resolve;
mod session;
mod signer;
mod transport;

pub use builder::ClientBuilder;
pub use client::Client;
pub use oauth::OAuthClient;
pub use resolve::{Credential, ResolutionPlan};
pub use signer::{AsyncSigner, AsyncTipSigner};
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
