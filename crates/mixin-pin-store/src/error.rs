//! Everything that can go wrong in keeping iterators.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::time::Duration;
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
    /// The session is held, so that its record cannot be changed.
    Held,
    /// The session's last iterator is more than [`MAX_LEAP`](crate::MAX_LEAP) ahead of the clock, and its owner did not
    /// raise it there.
    IteratorAhead {
        /// How far.
        ahead: Duration,
    },
    /// A session that is raised so far has no iterators left.
    NoRoomAbove {
        /// How far it can be raised.
        greatest: u64,
    },
    /// SQLite would read the store's name as a URI.
    SqliteUri,
    /// SQLite's `:memory:` is another store for each that opens it.
    SqliteMemory,

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
    /// The database is ours, and holds other tables, views, triggers or columns than ours.
    Altered {
        /// The file.
        path: PathBuf,
    },
    /// Others can write the database, or what SQLite keeps beside it.
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// What lies beside the database is not its owner's, or others can write the folder for its holders.
    OtherOwner {
        /// The file.
        path: PathBuf,
    },
    /// The database has more than one name.
    HardLinked {
        /// The file, by one of them.
        path: PathBuf,
    },
    /// The database, or what SQLite keeps beside it, was moved away again and again while it was opened, or the link that
    /// named it leads elsewhere now.
    Moving {
        /// The file.
        path: PathBuf,
    },
    /// This process was forked from one that had a database open.
    Forked {
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
            Self::IteratorAhead { ahead } => write!(
                f,
                "the session's last iterator is {} ahead of the clock; set the clock right, or if it is right, forget the \
                 session (mixin-pin store reset), or where Mixin's server has seen such iterators of it, raise it \
                 (mixin-pin store raise)",
                span(*ahead)
            ),
            Self::NoRoomAbove { greatest } => write!(
                f,
                "above that iterator the session would have none left; raise it to {greatest} at the most, or register a \
                 new session"
            ),
            Self::SqliteUri => f.write_str(
                "a store of SQLite's is named by its path, not by a URI: write sqlite:FILE without file:, or \
                 sqlite:./file:… for a file of such a name",
            ),
            Self::SqliteMemory => f.write_str(
                "sqlite::memory: would be another store for each that opens it; name a file, or memory: for a session \
                 that nothing else uses",
            ),
            Self::File { path, cause } => write!(f, "{} cannot be made: {cause}", path.display()),
            Self::NewerSchema { path, found } => write!(
                f,
                "{} was made by a newer version of this software (schema {found}); update this one",
                path.display()
            ),
            Self::OtherDatabase { path } => {
                write!(f, "{} is a database of something else; name another file", path.display())
            }
            Self::Altered { path } => write!(
                f,
                "{} holds other tables, views, triggers or columns than this software makes; move it away and begin anew: \
                 a clock that is right keeps the iterators rising",
                path.display()
            ),
            Self::Exposed { path, mode } => {
                write!(f, "{0} can be written by others (mode {mode:03o}); run: chmod 600 {0}", path.display())
            }
            Self::OtherOwner { path } => write!(
                f,
                "{} is not the database owner's alone; remove it, and keep the database in a folder that nobody else can \
                 write",
                path.display()
            ),
            Self::HardLinked { path } => write!(
                f,
                "{} has more than one name (hard links), and would be another database by each; remove the others",
                path.display()
            ),
            Self::Moving { path } => write!(
                f,
                "{} is moved away again and again, or no longer what the link to it names; see which program does it, \
                 or start this one anew",
                path.display()
            ),
            Self::Forked { path } => write!(
                f,
                "{} cannot be used here: this process was forked from one that had a database open; open it after the \
                 fork alone, or start another program",
                path.display()
            ),
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

/// A time of more than a day, as people say it.
fn span(time: Duration) -> String {
    let count = |number: u64, one: &str| format!("{number} {one}{}", if number == 1 { "" } else { "s" });
    let hours = time.as_secs() / 3_600;
    match (hours / 24, hours % 24) {
        (days, 0) => count(days, "day"),
        (days, hours) => format!("{} and {}", count(days, "day"), count(hours, "hour")),
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
