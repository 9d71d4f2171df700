//! Everything that can go wrong in keeping iterators.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

/// The cause of an error, of a type that this crate does not promise.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a store failed. The call that failed gave out no iterator.
///
/// The book says what each failure costs and what to do: `docs/errors.md`, under `store`.
#[non_exhaustive]
#[derive(Debug)]
pub enum Error {
    /// The clock cannot be used, or the last iterator has been given out.
    Core(mixin_pin_core::Error),
    /// The lease has ended. Another caller may have the session.
    LeaseLost,
    /// The session is leased, so its record cannot be changed.
    InUse,
    /// The session's last iterator is more than [`MAX_LEAP`](crate::MAX_LEAP) ahead of the clock, and its owner did not
    /// raise it there.
    IteratorAhead {
        /// How far.
        ahead: Duration,
    },
    /// A session raised that far would have no iterators left.
    NoRoomAbove {
        /// The greatest iterator to raise it to.
        greatest: u64,
    },
    /// The system names no folder for a user's data.
    NoDataFolder,
    /// The store's URL is of no known kind.
    Url,
    /// SQLite would read the store's name as a URI.
    SqliteUri,
    /// SQLite's `:memory:` is another store for each that opens it.
    SqliteMemory,
    /// SQLite, or the file of its database.
    Sqlite(SqliteError),
    /// Redis, or the way to it.
    Redis(RedisError),
    /// A store of another kind, by [`Error::other`].
    Other(BoxError),
}

/// What is wrong with a SQLite database or its file.
#[non_exhaustive]
#[derive(Debug)]
pub enum SqliteError {
    /// The database's folder or file cannot be made.
    File {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// A newer version of this software made the database.
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The schema's version in the file.
        found: i64,
    },
    /// The file is a database of other software.
    OtherDatabase {
        /// The file.
        path: PathBuf,
    },
    /// The database is ours, but has other tables, views, triggers or columns.
    Altered {
        /// The file.
        path: PathBuf,
    },
    /// Other users can write the database, or what SQLite keeps beside it.
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file beside the database is not its owner's, or other users can write the folder for its holders.
    OtherOwner {
        /// The file.
        path: PathBuf,
    },
    /// The database has more than one name.
    HardLinked {
        /// The file, by one of them.
        path: PathBuf,
    },
    /// The database or a file beside it kept moving while it was opened, or the link that named it now leads elsewhere.
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
    /// Another process has locked the database for longer than this software ever does.
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// SQLite failed in another way.
    Other {
        /// The file.
        path: PathBuf,
        /// What it said.
        cause: BoxError,
    },
}

/// What is wrong with a Redis server or the way to it.
#[non_exhaustive]
#[derive(Debug)]
pub enum RedisError {
    /// The server cannot be reached, or went away.
    Unreachable(BoxError),
    /// The server has no memory left and refuses to write.
    Full,
    /// The server takes no writes: a replica, or one that cannot save.
    ReadOnly(BoxError),
    /// The server holds under our names what this software never writes.
    Content,
    /// The server failed in another way.
    Other(BoxError),
}

impl Error {
    /// The failure of a store of your own.
    pub fn other(cause: impl Into<BoxError>) -> Self {
        Self::Other(cause.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(error) => error.fmt(f),
            Self::LeaseLost => f.write_str(
                "the lease of the session ended before it was used; nothing was sent, so the call can be made again",
            ),
            Self::InUse => f.write_str("the session is in use; try again when its call has ended"),
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
            Self::NoDataFolder => {
                f.write_str("the system names no folder for this user's data; name a store, such as sqlite:FILE")
            }
            Self::Url => f.write_str("a store is memory:, sqlite:FILE, redis://HOST or rediss://HOST"),
            Self::SqliteUri => f.write_str(
                "a SQLite store is named by its path, not by a URI: write sqlite:FILE without file:, or sqlite:./file:… \
                 for a file of such a name",
            ),
            Self::SqliteMemory => f.write_str(
                "sqlite::memory: would be another store for each that opens it; name a file, or memory: for a session \
                 that nothing else uses",
            ),
            Self::Sqlite(error) => error.fmt(f),
            Self::Redis(error) => error.fmt(f),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for SqliteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
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
                "{} cannot be used here: this process was forked from one that had a database open; open it only after \
                 the fork, or start another program",
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
            Self::Other { path, cause } => write!(f, "{}: {cause}", path.display()),
        }
    }
}

impl fmt::Display for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(cause) => write!(f, "Redis cannot be reached: {cause}; nothing was sent to Mixin"),
            Self::Full => f.write_str("Redis is out of memory and takes no writes; raise its maxmemory"),
            Self::ReadOnly(cause) => write!(f, "Redis takes no writes: {cause}; name the primary"),
            Self::Content => {
                f.write_str("Redis holds something else under mixin-pin's names; name another database of it")
            }
            Self::Other(cause) => write!(f, "Redis: {cause}"),
        }
    }
}

/// A time of more than a day, in words.
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
            // These print as their own text, so their causes are next.
            Self::Sqlite(error) => error.source(),
            Self::Redis(error) => error.source(),
            Self::Other(error) => error.source(),
            _ => None,
        }
    }
}

impl StdError for SqliteError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::File { cause, .. } => Some(cause),
            Self::Other { cause, .. } => Some(&**cause),
            _ => None,
        }
    }
}

impl StdError for RedisError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Unreachable(cause) | Self::ReadOnly(cause) | Self::Other(cause) => Some(&**cause),
            Self::Full | Self::Content => None,
        }
    }
}

impl From<mixin_pin_core::Error> for Error {
    fn from(error: mixin_pin_core::Error) -> Self {
        Self::Core(error)
    }
}

impl From<SqliteError> for Error {
    fn from(error: SqliteError) -> Self {
        Self::Sqlite(error)
    }
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        Self::Redis(error)
    }
}
