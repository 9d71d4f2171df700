//! Leases of Mixin sessions, and their iterators: the numbers in the nonces of encrypted PINs, which must never repeat and
//! must reach the server in order.
//!
//! **In scope:** [`NonceStore`]s: memory for one process ([`MemoryStore`]), SQLite for the processes of one machine
//! ([`SqliteStore`], feature `sqlite`, on by default), Redis or Valkey for several machines (`RedisStore`, feature `redis`),
//! also with Sentinels and on a cluster (feature `redis-ha`), PostgreSQL for several machines (`PostgresStore`, feature
//! `postgres`).
//! [`open`] opens any of them by its URL. With the feature `async` each is an `AsyncNonceStore`, too (`open_async`). A store
//! saves an iterator before it returns it. During a call the caller leases the session. If a process dies, SQLite passes its
//! leases on at once; Redis and PostgreSQL do so when they end. The journal lists calls that are under way or whose outcome is unknown,
//! also after a crash.
//!
//! **Out of scope, for good:** file formats of our own, cryptography, and calls. `mixin-pin-http` makes calls with any
//! [`NonceStore`], `mixin-pin-async` with any `AsyncNonceStore`.
//!
//! # Example
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use mixin_pin_core::{UnixTime, uuid::Uuid};
//! use mixin_pin_store::{LeaseReply, LeaseTerms, NonceStore};
//!
//! # fn main() -> Result<(), mixin_pin_store::Error> {
//! let store = mixin_pin_store::open("memory:")?; // or "sqlite:FILE", "redis://HOST"
//! let terms = LeaseTerms::new(Duration::from_secs(35)).wait(Duration::from_secs(10)).with_confirmed_clock();
//! match store.lease(Uuid::from_u128(1), &terms)? {
//!     LeaseReply::Granted(lease) => {
//!         let nonce = lease.next(UnixTime::try_from(SystemTime::now())?)?;
//!         // Encrypt a PIN with the nonce, send it, and wait for the answer. Then release the session.
//! #       assert!(nonce.iterator() > 0);
//!         drop(lease);
//!     }
//!     LeaseReply::Busy => println!("another caller uses the session"),
//!     LeaseReply::ClockUnconfirmed { .. } => println!("compare the clock with the server's"),
//! }
//! # Ok(()) }
//! ```
//!
//! # Other databases
//! The feature `sqlite` links SQLite (`rusqlite`). A program that uses SQLite through sqlx, diesel or another version of
//! rusqlite may not link it twice. It turns the default features off and takes Redis, memory, or its own store:
//!
//! ```
//! use std::sync::atomic::{AtomicBool, Ordering};
//! use std::time::{Duration, SystemTime};
//! use mixin_pin_core::uuid::Uuid;
//! use mixin_pin_core::{NonceSource, UnixTime};
//! use mixin_pin_store::{CallIntent, Error, Lease, LeaseReply, LeaseTerms, NonceStore, PendingCall};
//!
//! /// Your database.
//! # #[derive(Clone, Default)]
//! struct Database { /* … */ }
//!
//! # impl Database {
//! #   fn lease(&self, _: Uuid, _: Duration, _: Option<&CallIntent>, _: UnixTime) -> std::io::Result<Option<u64>> { Ok(Some(1)) }
//! #   fn next_iterator(&self, _: Uuid, _: u64, now: u64) -> std::io::Result<Option<u64>> { Ok(Some(now)) }
//! #   fn release(&self, _: Uuid, _: u64, _: Option<Uuid>) {}
//! #   fn calls(&self, _: Uuid) -> std::io::Result<Vec<PendingCall>> { Ok(Vec::new()) }
//! #   fn remove_call(&self, _: Uuid, _: Uuid) -> std::io::Result<bool> { Ok(false) }
//! # }
//! struct MyStore(Database);
//!
//! struct MyLease {
//!     database: Database,
//!     session_id: Uuid,
//!     fence: u64,
//!     granted_at: UnixTime,
//!     ends: std::time::Instant,
//!     request_id: Option<Uuid>,
//!     keeps_entry: AtomicBool,
//! }
//!
//! impl NonceStore for MyStore {
//!     fn lease(&self, session_id: Uuid, terms: &LeaseTerms<'_>) -> Result<LeaseReply, Error> {
//!         let granted_at = UnixTime::try_from(SystemTime::now())?;
//!         let ends = std::time::Instant::now() + terms.duration();
//!         // One transaction: if no other lease lasts, write a new fence, the lease's end, and the call with two reserved
//!         // iterators. Repeat for `terms.max_wait()`.
//!         let fence = self.0.lease(session_id, terms.duration(), terms.call(), granted_at).map_err(Error::other)?;
//!         Ok(match fence {
//!             Some(fence) => LeaseReply::Granted(Box::new(MyLease {
//!                 database: self.0.clone(),
//!                 session_id,
//!                 fence,
//!                 granted_at,
//!                 ends,
//!                 request_id: terms.call().map(|call| call.request_id),
//!                 keeps_entry: AtomicBool::new(false),
//!             })),
//!             None => LeaseReply::Busy,
//!         })
//!     }
//!
//!     fn pending(&self, session_id: Uuid) -> Result<Vec<PendingCall>, Error> {
//!         // Each made by `PendingCall::new`. Set `under_way_for` while the fence is the session's and its lease lasts.
//!         self.0.calls(session_id).map_err(Error::other)
//!     }
//!
//!     fn settle(&self, session_id: Uuid, request_id: Uuid) -> Result<bool, Error> {
//!         self.0.remove_call(session_id, request_id).map_err(Error::other)
//!     }
//! }
//!
//! impl NonceSource for MyLease {
//!     type Error = Error;
//!
//!     fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
//!         // One transaction: if the fence is still this one, save and return max(last + 1, now).
//!         let next = self.database.next_iterator(self.session_id, self.fence, now.as_nanos()?).map_err(Error::other)?;
//!         next.ok_or(Error::LeaseLost)
//!     }
//! }
//!
//! impl Lease for MyLease {
//!     fn remaining(&self) -> Duration {
//!         self.ends.saturating_duration_since(std::time::Instant::now())
//!     }
//!
//!     fn granted_at(&self) -> UnixTime {
//!         self.granted_at
//!     }
//!
//!     fn keep_entry(&self, keep: bool) {
//!         self.keeps_entry.store(keep, Ordering::SeqCst);
//!     }
//! }
//!
//! impl Drop for MyLease {
//!     fn drop(&mut self) {
//!         // One transaction: end the lease if the fence is still this one, and remove the call in any case.
//!         let done = self.request_id.filter(|_| !self.keeps_entry.load(Ordering::SeqCst));
//!         self.database.release(self.session_id, self.fence, done);
//!     }
//! }
//! # let _: Box<dyn NonceStore> = Box::new(MyStore(Database::default()));
//! ```
//!
//! [`NonceStore`] states the whole contract, and the feature `test-suite` checks it.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "async")]
mod asynchronous;
#[cfg(any(feature = "async", feature = "postgres", feature = "redis", feature = "sqlite"))]
mod backoff;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
mod engine;
mod error;
mod iterators;
mod journal;
mod lease;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod record;
#[cfg(feature = "redis")]
mod redis;
mod risk;
pub mod rules;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "test-suite")]
pub mod test_suite;
mod url;

use std::time::Duration;

#[cfg(feature = "async")]
pub use asynchronous::{AsyncLease, AsyncNonceStore, BoxFuture};
pub use error::{BoxError, Error, PostgresError, RedisError, SqliteError};
pub use journal::{CallIntent, CallKind, PendingCall};
pub use lease::{Lease, LeaseReply, LeaseTerms, ManagedStore, NonceStore, Place};
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
pub use record::SessionRecord;
#[cfg(feature = "redis")]
pub use redis::RedisStore;
pub use risk::Risk;
#[cfg(feature = "sqlite")]
pub use sqlite::{Durability, SqliteStore};
#[cfg(feature = "async")]
pub use url::open_async;
pub use url::{create, open, open_within};

/// Limit for differences between the clock and a session's last iterator. If the clock is further ahead, it must be
/// confirmed. If the last iterator is further ahead, it is refused.
pub const MAX_LEAP: Duration = Duration::from_secs(86_400);

/// Runs the README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
