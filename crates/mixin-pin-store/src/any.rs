//! A store by its URL, for whoever takes it from a command line or a settings file.

use std::path::Path;
use std::time::Duration;

use mixin_pin_core::{HeldSession, Hold, HoldTerms, NonceSource, NonceStore, UnixTime, uuid::Uuid};

use crate::{Error, SessionRecord, SqliteHeld, SqliteStore};
#[cfg(feature = "redis")]
use crate::{RedisHeld, RedisStore};

/// A store of either kind.
#[non_exhaustive]
#[derive(Debug)]
pub enum AnyStore {
    /// In a file.
    Sqlite(SqliteStore),
    /// In Redis or Valkey.
    #[cfg(feature = "redis")]
    Redis(Box<RedisStore>),
}

impl AnyStore {
    /// Opens the store that a URL names: `sqlite:FILE`, or with the feature `redis` a URL of Redis's, `redis://…` or
    /// `rediss://…` for TLS.
    ///
    /// ```
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let file = folder.path().join("iterators.db");
    /// let url = format!("sqlite:{}", file.display());
    /// assert!(mixin_pin_store::AnyStore::open(&url)?.sessions()?.is_empty());
    /// # Ok::<(), mixin_pin_store::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Url`] for anything else, [`Error::SqliteUri`] or [`Error::SqliteMemory`] for a name that SQLite reads
    /// otherwise than as a path, or whatever keeps the store from being used.
    pub fn open(url: &str) -> Result<Self, Error> {
        if let Some(path) = url.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            if path.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:")) {
                return Err(Error::SqliteUri);
            }
            if path.starts_with(":memory:") {
                return Err(Error::SqliteMemory);
            }
            return Ok(Self::Sqlite(SqliteStore::open(Path::new(path))?));
        }
        #[cfg(feature = "redis")]
        if url.starts_with("redis://") || url.starts_with("rediss://") {
            return Ok(Self::Redis(Box::new(RedisStore::open(url)?)));
        }
        Err(Error::Url)
    }

    /// The sessions that the store knows, in no order.
    ///
    /// # Errors
    /// Whatever keeps the store from being read.
    pub fn sessions(&self) -> Result<Vec<SessionRecord>, Error> {
        match self {
            Self::Sqlite(store) => store.sessions(),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.sessions(),
        }
    }

    /// Forgets a session, so that its next iterator comes from the clock alone; tells whether it was known.
    ///
    /// ```
    /// use mixin_pin_core::uuid::Uuid;
    /// use mixin_pin_store::AnyStore;
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let url = format!("sqlite:{}", folder.path().join("iterators.db").display());
    /// let was_known = AnyStore::open(&url)?.forget(Uuid::from_u128(1))?;
    /// assert!(!was_known);
    /// # Ok::<(), mixin_pin_store::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Held`] while somebody holds it, or whatever keeps the store from being written.
    pub fn forget(&self, session_id: Uuid) -> Result<bool, Error> {
        match self {
            Self::Sqlite(store) => store.forget(session_id),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.forget(session_id),
        }
    }

    /// Raises a session's last iterator; tells what it is then. See [`SqliteStore::raise`] for what that means.
    ///
    /// ```
    /// use mixin_pin_core::uuid::Uuid;
    /// use mixin_pin_store::AnyStore;
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let url = format!("sqlite:{}", folder.path().join("iterators.db").display());
    /// let store = AnyStore::open(&url)?;
    /// store.raise(Uuid::from_u128(1), 9_000_000_000_000_000_000)?;
    /// assert_eq!(store.sessions()?[0].raised_to, Some(9_000_000_000_000_000_000));
    /// # Ok::<(), mixin_pin_store::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Held`] while somebody holds it, [`Error::NoRoomAbove`] near the end of the numbers, or whatever keeps the
    /// store from being written.
    pub fn raise(&self, session_id: Uuid, to: u64) -> Result<u64, Error> {
        match self {
            Self::Sqlite(store) => store.raise(session_id, to),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.raise(session_id, to),
        }
    }
}

impl NonceStore for AnyStore {
    type Error = Error;
    type Held = AnyHeld;

    fn hold(&self, session_id: Uuid, terms: &HoldTerms) -> Result<Hold<AnyHeld>, Error> {
        match self {
            Self::Sqlite(store) => store.hold(session_id, terms).map(|hold| map(hold, AnyHeld::Sqlite)),
            #[cfg(feature = "redis")]
            Self::Redis(store) => store.hold(session_id, terms).map(|hold| map(hold, AnyHeld::Redis)),
        }
    }
}

fn map<H, T>(hold: Hold<H>, wrap: impl FnOnce(H) -> T) -> Hold<T> {
    match hold {
        Hold::Held(session) => Hold::Held(wrap(session)),
        Hold::Busy => Hold::Busy,
        Hold::ClockUnconfirmed { ahead } => Hold::ClockUnconfirmed { ahead },
    }
}

/// A session held in a store of either kind.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_core::{HeldSession, Hold, HoldTerms, NonceStore, uuid::Uuid};
/// use mixin_pin_store::{AnyHeld, AnyStore};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let url = format!("sqlite:{}", folder.path().join("iterators.db").display());
/// let terms = HoldTerms::new(Duration::from_secs(35)).with_confirmed_clock();
/// let Hold::Held(held) = AnyStore::open(&url)?.hold(Uuid::from_u128(1), &terms)? else { panic!("nobody holds it") };
/// assert!(matches!(held, AnyHeld::Sqlite(_)) && held.remaining() > Duration::from_secs(5));
/// # Ok::<(), mixin_pin_store::Error>(())
/// ```
#[non_exhaustive]
#[derive(Debug)]
pub enum AnyHeld {
    /// In a file.
    Sqlite(SqliteHeld),
    /// In Redis or Valkey.
    #[cfg(feature = "redis")]
    Redis(RedisHeld),
}

impl NonceSource for AnyHeld {
    type Error = Error;

    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        match self {
            Self::Sqlite(held) => held.reserve(now),
            #[cfg(feature = "redis")]
            Self::Redis(held) => held.reserve(now),
        }
    }
}

impl HeldSession for AnyHeld {
    fn remaining(&self) -> Duration {
        match self {
            Self::Sqlite(held) => held.remaining(),
            #[cfg(feature = "redis")]
            Self::Redis(held) => held.remaining(),
        }
    }
}
