//! The rules of Mixin's PIN calls, as a machine without I/O.
//!
//! **In scope:** everything about a call that can be decided without the outside world. [`Rules`] makes a [`Call`]; a
//! driver makes its steps: it leases the session, signs, sends and waits as the machine says. The machine counts
//! attempts, keeps deadlines, asks the server to confirm the clock, classifies every answer, and plans how to settle a
//! lost change ([`ResolutionPlan`], [`KeyPlan`]). What both clients share is here too: outcomes, errors, settings, events.
//!
//! **Out of scope, for good:** sockets, threads, tasks, databases and clocks. `mixin-pin-http` drives the machine on
//! blocking `ureq`, `mixin-pin-async` on `reqwest` and tokio.
//!
//! It is a crate of its own because it uses the types of both store and protocol. Neither of them needs it, and a
//! program that prepares requests without a client does not compile it.
//!
//! # Money
//! [`Flight`] is the point of no return: one transition, after which the request counts as sent. Before it every
//! failure means that nothing was sent. After it only a refusal that Mixin documents means that nothing changed;
//! everything else is [`Outcome::Unknown`], stays in the journal, and can be settled.
//!
//! # A driver
//!
//! ```
//! use std::time::Instant;
//! use mixin_pin_machine::core::rand_core::CryptoRng;
//! use mixin_pin_machine::core::token::Signer;
//! use mixin_pin_machine::core::{SignerError, UnixTime};
//! use mixin_pin_machine::store::{Lease, NonceStore};
//! use mixin_pin_machine::{Call, Error, Moment, Outcome, Reply, Step};
//! use serde::de::DeserializeOwned;
//!
//! /// What a driver has.
//! struct Driver<S> {
//!     store: Box<dyn NonceStore>,
//!     signer: S,
//!     send: fn(&mixin_pin_machine::protocol::call::PreparedRequest, std::time::Duration) -> Reply,
//! }
//!
//! impl<S: Signer> Driver<S> {
//!     fn make<T: DeserializeOwned>(
//!         &self,
//!         mut call: Call<'_, T, Box<dyn Lease>>,
//!         rng: &mut dyn CryptoRng,
//!     ) -> Result<Outcome<T>, Error> {
//!         let begun = Instant::now();
//!         loop {
//!             let (wall, step) = (UnixTime::try_from(std::time::SystemTime::now())?, Instant::now());
//!             call = match call.step(Moment { wall, elapsed: begun.elapsed() }, rng) {
//!                 Step::Turn(ask) => ask.taken(true), // only if no other thread uses the session
//!                 Step::Lease(mut ask) => {
//!                     drop(ask.take_former());
//!                     let reply = self.store.lease(ask.session_id(), &ask.terms());
//!                     ask.replied(reply)
//!                 }
//!                 Step::SignTip(ask) => ask.signed(Err(SignerError::new())), // this driver has no TIP key
//!                 Step::Sign(ask) => {
//!                     let mut signature = vec![0; self.signer.signature_len()];
//!                     let result = self.signer.sign(ask.message(), rng, &mut signature);
//!                     ask.signed(result.map(|()| signature))
//!                 }
//!                 Step::Ask(ask) => {
//!                     let limit = ask.limit(step.elapsed());
//!                     let reply = limit.map_or_else(|over| over, |limit| (self.send)(ask.request(), limit));
//!                     ask.answered(reply)
//!                 }
//!                 Step::Send(waiting, flight) => {
//!                     let limit = flight.limit(step.elapsed());
//!                     let reply = limit.map_or_else(|over| over, |limit| (self.send)(flight.request(), limit));
//!                     let (landed, _lease) = flight.land(reply, step.elapsed()); // dropping the lease releases it
//!                     waiting.landed(landed)
//!                 }
//!                 Step::Wait(pause) => {
//!                     std::thread::sleep(pause.pause());
//!                     pause.over()
//!                 }
//!                 Step::Done(ended) => return ended.result,
//!             };
//!         }
//!     }
//! }
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod call;
mod error;
mod flight;
mod limits;
mod oauth;
mod observe;
mod outcome;
mod pauses;
mod plan;
mod probe;
mod proxy;
mod reply;
mod resolve;
mod rules;
mod session;
mod settings;
mod tips;

pub use call::{AskLease, AskServer, AskSignature, AskTip, AskTurn, Call, Ended, InFlight, Moment, Pause, Step};
pub use error::{Error, SettingsError};
pub use flight::{Flight, Landed};
pub use limits::Limits;
pub use oauth::{OAuthRules, exchange_code};
#[cfg(feature = "tracing")]
pub use observe::TracingObserver;
pub use observe::{Event, Observer, OutcomeClass};
pub use outcome::{NextStep, Outcome, Unknown};
pub use probe::{ClockOffset, Probe};
pub use reply::{Received, Reply, TransportError};
pub use resolve::{
    AskUser, AskVerify, Credential, FromTipKey, LostChange, PublicCredential, Resolution, ResolutionPlan, ResolveStep,
    Verdict, Which,
};
pub use rules::Rules;
pub use session::{AskKey, AskSessions, KeyPlan, KeyResolution, KeyState, KeyStep, KeyVerdict, SessionChange};
pub use settings::{Api, ApiSettings, DEFAULT_API, ProxyUrl};
pub use tips::TipRole;

pub use mixin_pin_core as core;
pub use mixin_pin_protocol as protocol;
pub use mixin_pin_store as store;

/// Runs the README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
