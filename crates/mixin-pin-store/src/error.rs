//! Everything that can go wrong in keeping iterators.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::{fmt, io};

/// Why a store failed. Whatever it was, no iterator was given out by the call that failed.
///
/// What a failure cost and what to do about it is in the book: `docs/errors.md`, under `store`.
#[non_exhaustive]
#[derive(Debug)]
pub enum Error {
    /// The clock cannot be used, or the last iterator has been given out.
    Core(mixin_pin_core::Error),
    /// The hold's lease has ended, and somebody else may hold the session.
    HoldLost,
    /// The system names no folder for a user's data.
    NoDataFolder,
    /// The store's URL is of no kind that is known here.
    Url,
    /// The session is held, so that its record cannot be taken away.
    Held,

    /// The database's folder or file cannot be made.
    File {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// The database was made by a newer version of this software.
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The schema's version in the file.
        found: i64,
    },
    /// The file is a database of something else.
    OtherDatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is no database, or a damaged one.
    Corrupt {
        /// The file.
        path: PathBuf,
    },
    /// The database cannot be written.
    ReadOnly {
        /// The file.
        path: PathBuf,
    },
    /// The disk is full.
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// Another process has locked the database for longer than any of ours would.
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// SQLite failed in another way.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What it said.
        cause: rusqlite::Error,
    },

    /// Redis cannot be reached, or went away.
    #[cfg(feature = "redis")]
    RedisUnreachable(redis::RedisError),
    /// Redis has no memory left and refuses to write.
    #[cfg(feature = "redis")]
    RedisFull,
    /// Redis does not take writes: a replica, or one that cannot save.
    #[cfg(feature = "redis")]
    RedisReadOnly(redis::RedisError),
    /// Redis failed in another way.
    #[cfg(feature = "redis")]
    Redis(redis::RedisError),
    /// Redis holds under our names what this software never writes.
    #[cfg(feature = "redis")]
    RedisContent,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(error) => error.fmt(f),
            Self::HoldLost => f.write_str(
                "the hold on the session ended before it was used; nothing was sent, so the call can be made again",
            ),
            Self::NoDataFolder => {
                f.write_str("the system names no folder for this user's data; name a store, such as sqlite:FILE")
            }
            Self::Url => f.write_str("a store is sqlite:FILE, redis://HOST or rediss://HOST"),
            Self::Held => f.write_str("the session is in use; try again when its call has ended"),
            Self::File { path, cause } => write!(f, "{} cannot be made: {cause}", path.display()),
            Self::NewerSchema { path, found } => write!(
                f,
                "{} was made by a newer version of this software (schema {found}); update this one",
                path.display()
            ),
            Self::OtherDatabase { path } => {
                write!(f, "{} is a database of something else; name another file", path.display())
            }
            Self::Corrupt { path } => write!(
                f,
                "{} is damaged, or no database; move it away and begin anew: a clock that is right keeps the \
                 iterators rising",
                path.display()
            ),
            Self::ReadOnly { path } => {
                write!(f, "{} cannot be written; check its permissions and its folder's", path.display())
            }
            Self::DiskFull { path } => write!(f, "the disk with {} is full; make room", path.display()),
            Self::Locked { path } => {
                write!(f, "{} is locked by another process for too long; see which one has it open", path.display())
            }
            Self::Sqlite { path, cause } => write!(f, "{}: {cause}", path.display()),
            #[cfg(feature = "redis")]
            Self::RedisUnreachable(cause) => write!(f, "Redis cannot be reached: {cause}; nothing was sent to Mixin"),
            #[cfg(feature = "redis")]
            Self::RedisFull => f.write_str("Redis is out of memory and takes no writes; raise its maxmemory"),
            #[cfg(feature = "redis")]
            Self::RedisReadOnly(cause) => write!(f, "Redis takes no writes: {cause}; name the primary"),
            #[cfg(feature = "redis")]
            Self::Redis(cause) => write!(f, "Redis: {cause}"),
            #[cfg(feature = "redis")]
            Self::RedisContent => {
                f.write_str("Redis holds something else under mixin-pin's names; name another database of it")
            }
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Core(error) => Some(error),
            Self::File { cause, .. } => Some(cause),
            Self::Sqlite { cause, .. } => Some(cause),
            #[cfg(feature = "redis")]
            Self::RedisUnreachable(cause) | Self::RedisReadOnly(cause) | Self::Redis(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<mixin_pin_core::Error> for Error {
    fn from(error: mixin_pin_core::Error) -> Self {
        Self::Core(error)
    }
}
