//! Where the iterators of encrypted PINs are kept, so that they never repeat and never overtake.
//!
//! **In scope:** [`NonceStore`]s on engines that others keep well: SQLite for any number of processes on one machine
//! ([`SqliteStore`]), Redis or Valkey for several machines (`RedisStore`, with the feature `redis`), and either by its URL
//! ([`AnyStore`]). An iterator is kept before it is returned; while a call is under way its session is held, under a
//! lease. With SQLite a holder that died is replaced at once; with Redis when its lease ends.
//!
//! **Out of scope, for good:** files of our own making, cryptography, and calls: `mixin-pin-http` makes them and takes any
//! [`NonceStore`].
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use mixin_pin_core::{UnixTime, uuid::Uuid};
//! use mixin_pin_store::{LeaseReply, LeaseTerms, NonceStore, SqliteStore};
//!
//! # fn main() -> Result<(), mixin_pin_store::Error> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let file = folder.path().join("iterators.db");
//! let store = SqliteStore::open(&file)?; // or SqliteStore::open_default()
//! let terms = LeaseTerms::new(Duration::from_secs(35)).wait(Duration::from_secs(10)).with_confirmed_clock();
//! let session_id = Uuid::from_u128(1);
//! match store.lease(session_id, &terms)? {
//!     LeaseReply::Granted(session) => {
//!         let nonce = session.next(UnixTime::try_from(std::time::SystemTime::now())?)?;
//!         // Encrypt a PIN with the nonce, send it, wait for the answer, and then let the session go.
//! #       assert!(nonce.iterator() > 0);
//!         drop(session);
//!     }
//!     LeaseReply::Busy => println!("another process uses the session"),
//!     LeaseReply::ClockUnconfirmed { .. } => unreachable!("the terms confirm the clock"),
//! }
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod grip;
mod lease;
mod memory;
mod next;
mod origin;
#[cfg(feature = "redis")]
mod redis;
mod risk;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "test-suite")]
pub mod test_suite;
mod url;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mixin_pin_core::{Error as CoreError, UnixTime, uuid::Uuid};

pub use error::{BoxError, Error, RedisError, SqliteError};
pub use lease::{Lease, LeaseReply, LeaseTerms, ManagedStore, NonceStore, Place};
pub use memory::MemoryStore;
#[cfg(feature = "redis")]
pub use redis::RedisStore;
pub use risk::Risk;
#[cfg(feature = "sqlite")]
pub use sqlite::{Durability, SqliteStore};
pub use url::open;

/// How far the clock may be ahead of a session's last iterator before it is asked to be confirmed, and a last iterator
/// ahead of the clock before it is refused.
pub const MAX_LEAP: Duration = Duration::from_secs(86_400);

/// What a store knows of a session.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_core::{UnixTime, uuid::Uuid};
/// use mixin_pin_store::{LeaseReply, LeaseTerms, ManagedStore, NonceStore, SessionRecord, SqliteStore};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("iterators.db");
/// let (store, now) = (SqliteStore::open(&path)?, UnixTime::from_secs(1_700_000_000));
/// let terms = LeaseTerms::new(Duration::from_secs(35)).with_confirmed_clock();
/// let LeaseReply::Granted(held) = store.lease(Uuid::from_u128(1), &terms)? else { panic!("nobody holds it") };
/// let used = held.next(now)?.iterator();
/// let record: &SessionRecord = &store.sessions()?[0];
/// assert!(record.last_iterator >= used && record.leased_for.is_some());
/// # Ok::<(), mixin_pin_store::Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The session.
    pub session_id: Uuid,
    /// The last iterator that was given out, or may have been.
    pub last_iterator: u64,
    /// For how much longer somebody holds it; None where nobody does.
    pub leased_for: Option<Duration>,
    /// How far its owner raised the last iterator; None where nobody did.
    pub raised_to: Option<u64>,
}

impl SessionRecord {
    /// Whether the store refuses to go on from the last iterator at this time: it is more than [`MAX_LEAP`] ahead, and its
    /// owner did not raise it there.
    ///
    /// ```
    /// use mixin_pin_core::{UnixTime, uuid::Uuid};
    /// use mixin_pin_store::{ManagedStore, SqliteStore};
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("iterators.db");
    /// let store = SqliteStore::open(&path)?;
    /// store.raise(Uuid::from_u128(1), 9_000_000_000_000_000_000)?;
    /// let early = UnixTime::from_secs(1_700_000_000);
    /// assert!(!store.sessions()?[0].is_refused(early)); // its owner raised it
    /// # Ok::<(), mixin_pin_store::Error>(())
    /// ```
    pub fn is_refused(&self, now: UnixTime) -> bool {
        next::check_lead(self.last_iterator, self.raised_to, now).is_err()
    }
}

type Clock = Arc<dyn Fn() -> Result<UnixTime, Error> + Send + Sync>;

fn system_clock() -> Clock {
    Arc::new(|| Ok(UnixTime::try_from(SystemTime::now())?))
}

/// Bytes from the system, which draws no two processes the same, forked ones neither.
fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| CoreError::Randomness)?;
    Ok(bytes)
}

/// The README's examples run, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
