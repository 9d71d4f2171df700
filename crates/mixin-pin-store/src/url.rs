//! Opening a store by its URL, for command lines and settings files.

use crate::{Error, ManagedStore, MemoryStore};

/// Opens the store that a URL names: `memory:`, `sqlite:FILE` with the feature `sqlite`, or with the feature `redis`
/// `redis://…` or `rediss://…` (TLS).
///
/// ```
/// let store = mixin_pin_store::open("memory:")?;
/// assert!(store.risks()?.is_empty());
/// # Ok::<(), mixin_pin_store::Error>(())
/// ```
///
/// # Errors
/// [`Error::Url`] for any other URL, [`Error::SqliteUri`] or [`Error::SqliteMemory`] for a name that SQLite would not read
/// as a path, or the store's own error.
pub fn open(url: &str) -> Result<Box<dyn ManagedStore>, Error> {
    if url == MemoryStore::URL {
        return Ok(Box::new(MemoryStore::shared()));
    }
    #[cfg(feature = "sqlite")]
    if let Some(path) = url.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
        if path.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:")) {
            return Err(Error::SqliteUri);
        }
        if path.starts_with(":memory:") {
            return Err(Error::SqliteMemory);
        }
        return Ok(Box::new(crate::SqliteStore::open(std::path::Path::new(path))?));
    }
    #[cfg(feature = "redis")]
    if url.starts_with("redis://") || url.starts_with("rediss://") {
        return Ok(Box::new(crate::RedisStore::open(url)?));
    }
    Err(Error::Url)
}
