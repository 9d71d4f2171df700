//! Leases of Mixin sessions, and their iterators: the numbers in the nonces of encrypted PINs, which must never repeat and
//! must reach the server in order.
//!
//! **In scope:** [`NonceStore`]s:
//! - [`MemoryStore`], for one process;
//! - [`SqliteStore`] (feature `sqlite`, on by default), for the processes of one machine;
//! - `RedisStore` (feature `redis`), in Redis or Valkey, for several machines, also with Sentinels or on a cluster (feature
//!   `redis-ha`);
//! - `PostgresStore` (feature `postgres`), for several machines.
//!
//! [`open`] opens any of them by its URL. With the feature `async` each is an `AsyncNonceStore`, too (`open_async`). A store
//! saves an iterator before it returns it. During a call the caller leases the session. If a process dies, SQLite passes its
//! leases on at once; with Redis and PostgreSQL they end by themselves. The journal lists calls that are under way or whose
//! outcome is unknown, also after a crash.
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
//! rusqlite may not link it twice. It turns the default features off and takes another store, or its own.
//!
//! The example `own_store` is a complete store in two tables of an application's database. [`NonceStore`] states the
//! contract, the module [`rules`] has its arithmetic, and the feature `test-suite` checks an implementation.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "async")]
mod asynchronous;
#[cfg(any(feature = "async", feature = "postgres", feature = "redis", feature = "sqlite"))]
mod backoff;
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
