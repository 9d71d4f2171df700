//! What may go wrong with a store that can be used.

use std::fmt;
use std::path::PathBuf;

/// Something that may go wrong with a store that can be used. `Display` says what it is and what to do about it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Risk {
    /// Other users can read the database: session ids and iterators, no secret.
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Other users can write the database's folder.
    WritableFolder {
        /// The folder.
        path: PathBuf,
        /// Whether they can only add files (the sticky bit), and not move or replace the database.
        is_sticky: bool,
    },
    /// Redis may drop records and leases when memory runs short. A dropped record does no harm while the clock is right; a
    /// dropped lease lets two callers have one session.
    Eviction {
        /// The server's `maxmemory-policy`.
        policy: String,
    },
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadableByOthers { path, mode } => {
                write!(f, "{0} can be read by others (mode {mode:03o}); run: chmod 600 {0}", path.display())
            }
            Self::WritableFolder { path, is_sticky: false } => write!(
                f,
                "others can write {0}, and so move or replace the database; run: chmod go-w {0}, or name a file in \
                 another folder",
                path.display()
            ),
            Self::WritableFolder { path, is_sticky: true } => write!(
                f,
                "others can make files in {}, beside the database or in its place before it is made; name a file in a \
                 folder of your own",
                path.display()
            ),
            Self::Eviction { policy } => write!(
                f,
                "Redis may drop what it holds when memory runs short (maxmemory-policy {policy}); set it to noeviction"
            ),
        }
    }
}
