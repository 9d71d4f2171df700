//! Opening a store by its URL, for command lines and settings files.

use std::time::{Duration, Instant};

use crate::{Error, ManagedStore, MemoryStore};

/// Opens the store that a URL names:
///
/// - `memory:`
/// - feature `sqlite`: `sqlite:FILE`
/// - feature `redis`: `redis://…` or `rediss://…` (TLS)
/// - feature `redis-ha`: `redis+sentinel://HOST,HOST/NAME` or `redis-cluster://HOST,HOST`, or both with `rediss`
/// - feature `postgres`: `postgres://…` or `postgresql://…`
///
/// ```
/// let store = mixin_pin_store::open("memory:")?;
/// assert!(store.risks()?.is_empty());
/// # Ok::<(), mixin_pin_store::Error>(())
/// ```
///
/// # Errors
/// [`Error::Url`] for any other URL, [`Error::NotBuilt`] if this program lacks the feature, [`Error::SqliteUri`] or
/// [`Error::SqliteMemory`] for a name that SQLite would not read as a path, or the store's own error.
pub fn open(url: &str) -> Result<Box<dyn ManagedStore>, Error> {
    Ok(match Named::read(url)? {
        Named::Memory => Box::new(MemoryStore::shared()),
        #[cfg(feature = "sqlite")]
        Named::Sqlite(path) => Box::new(crate::SqliteStore::open(&path)?),
        #[cfg(feature = "redis")]
        Named::Redis => Box::new(crate::RedisStore::open(url)?),
        #[cfg(feature = "postgres")]
        Named::Postgres => Box::new(crate::PostgresStore::open(url)?),
    })
}

/// Opens a store as [`open`] does. Opening, and each later operation, waits no longer than `limit` for a database that
/// another process locks, or a server that does not answer, or a second if that is longer. If a server fails, as during a
/// failover, opening tries again until `limit` is over.
///
/// # Errors
/// As [`open`].
pub fn open_within(url: &str, limit: Duration) -> Result<Box<dyn ManagedStore>, Error> {
    let begun = Instant::now();
    loop {
        let result = open_once(url, limit);
        let may_pass = match &result {
            Err(Error::Redis(error)) => error.may_pass(),
            Err(Error::Postgres(error)) => error.may_pass(),
            _ => false,
        };
        let left = limit.saturating_sub(begun.elapsed());
        if !may_pass || left.is_zero() {
            return result;
        }
        std::thread::sleep(left.min(BETWEEN_TRIES));
    }
}

/// The pause before a server that failed is tried again.
const BETWEEN_TRIES: Duration = Duration::from_millis(100);

#[cfg_attr(
    not(any(feature = "postgres", feature = "redis", feature = "sqlite")),
    expect(unused_variables, reason = "memory needs no wait")
)]
fn open_once(url: &str, limit: Duration) -> Result<Box<dyn ManagedStore>, Error> {
    Ok(match Named::read(url)? {
        Named::Memory => Box::new(MemoryStore::shared()),
        #[cfg(feature = "sqlite")]
        Named::Sqlite(path) => Box::new(crate::SqliteStore::open_within(&path, limit)?),
        #[cfg(feature = "redis")]
        Named::Redis => Box::new(crate::RedisStore::open_within(url, limit)?),
        #[cfg(feature = "postgres")]
        Named::Postgres => Box::new(crate::PostgresStore::open_within(url, limit)?),
    })
}

/// Opens the store that a URL names, for async callers. Its sessions and calls are those of [`open`].
///
/// # Errors
/// As [`open`], and [`Error::NoRuntime`] for Redis without a tokio runtime.
#[cfg(feature = "async")]
pub async fn open_async(url: &str) -> Result<Box<dyn crate::AsyncNonceStore>, Error> {
    Ok(match Named::read(url)? {
        Named::Memory => Box::new(MemoryStore::shared()),
        #[cfg(feature = "sqlite")]
        Named::Sqlite(path) => Box::new(crate::SqliteStore::open_async(&path).await?),
        #[cfg(feature = "redis")]
        Named::Redis => Box::new(crate::RedisStore::open_async(url).await?),
        #[cfg(feature = "postgres")]
        Named::Postgres => Box::new(crate::PostgresStore::open_async(url).await?),
    })
}

/// Creates what the store that a URL names needs before it is opened for the first time: the tables of a PostgreSQL database.
/// The other stores need nothing. Returns whether anything was created.
///
/// # Errors
/// As [`open`].
pub fn create(url: &str) -> Result<bool, Error> {
    match Named::read(url)? {
        Named::Memory => Ok(false),
        #[cfg(feature = "sqlite")]
        Named::Sqlite(_) => Ok(false),
        #[cfg(feature = "redis")]
        Named::Redis => Ok(false),
        #[cfg(feature = "postgres")]
        Named::Postgres => crate::PostgresStore::create(url),
    }
}

/// The store that a URL names.
enum Named {
    Memory,
    #[cfg(feature = "sqlite")]
    Sqlite(std::path::PathBuf),
    #[cfg(feature = "redis")]
    Redis,
    #[cfg(feature = "postgres")]
    Postgres,
}

impl Named {
    fn read(url: &str) -> Result<Self, Error> {
        if url == MemoryStore::URL {
            return Ok(Self::Memory);
        }
        #[cfg(feature = "sqlite")]
        if let Some(path) = url.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            if path.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:")) {
                return Err(Error::SqliteUri);
            }
            if path.starts_with(":memory:") {
                return Err(Error::SqliteMemory);
            }
            return Ok(Self::Sqlite(path.into()));
        }
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        match scheme {
            #[cfg(feature = "redis")]
            "redis" | "rediss" => Ok(Self::Redis),
            #[cfg(not(feature = "redis"))]
            "redis" | "rediss" => Err(Error::NotBuilt { feature: "redis" }),
            #[cfg(feature = "redis-ha")]
            "redis+sentinel" | "rediss+sentinel" | "redis-cluster" | "rediss-cluster" => Ok(Self::Redis),
            #[cfg(not(feature = "redis-ha"))]
            "redis+sentinel" | "rediss+sentinel" | "redis-cluster" | "rediss-cluster" => {
                Err(Error::NotBuilt { feature: "redis-ha" })
            }
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Ok(Self::Postgres),
            #[cfg(not(feature = "postgres"))]
            "postgres" | "postgresql" => Err(Error::NotBuilt { feature: "postgres" }),
            _ => Err(Error::Url),
        }
    }
}
