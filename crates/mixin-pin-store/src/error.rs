//! Errors of the stores.

mod postgres;

use std::error::Error as StdError;
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

pub use postgres::PostgresError;

/// The cause of an error. Its type may change in any version.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a store failed. The call that failed gave out no iterator.
///
/// The book says what each failure costs and what to do: `docs/errors.md`, under `store`.
#[non_exhaustive]
#[derive(Debug)]
pub enum Error {
    /// The clock or the system's generator cannot be used, or no iterators are left.
    Core(mixin_pin_core::Error),
    /// The lease has ended. Another caller may have the session.
    LeaseLost,
    /// The session is leased, so its record cannot be changed.
    InUse,
    /// The journal lists calls of the session, so it cannot be forgotten. Settle them first, with
    /// [`NonceStore::settle`](crate::NonceStore::settle).
    Unsettled,
    /// The session's last iterator is more than [`MAX_LEAP`](crate::MAX_LEAP) ahead of the clock, and its owner did not
    /// raise it there.
    IteratorAhead {
        /// How far ahead.
        ahead: Duration,
    },
    /// Above this iterator the session would have too few iterators left.
    NoRoomAbove {
        /// The greatest iterator that is allowed.
        greatest: u64,
    },
    /// The lease of an async store has given out all its reserved iterators.
    NoIteratorLeft,
    /// An async store was used without a running tokio runtime.
    NoRuntime,
    /// The system names no folder for the user's data.
    NoDataFolder,
    /// The store's URL is of no known kind.
    Url,
    /// The store's URL needs a feature that this program was built without.
    NotBuilt {
        /// The feature of this crate.
        feature: &'static str,
    },
    /// Without TLS others on the way to another machine could read the password and change iterators.
    Plaintext,
    /// SQLite would read the store's name as a URI.
    SqliteUri,
    /// SQLite's `:memory:` would be a new store at every opening.
    SqliteMemory,
    /// SQLite or its database file.
    Sqlite(SqliteError),
    /// Redis or the connection to it.
    Redis(RedisError),
    /// PostgreSQL or the connection to it.
    Postgres(PostgresError),
    /// Another kind of store, by [`Error::other`].
    Other(BoxError),
}

/// What is wrong with a SQLite database or its file.
#[non_exhaustive]
#[derive(Debug)]
pub enum SqliteError {
    /// The database's folder or file cannot be created.
    File {
        /// The folder or file.
        path: PathBuf,
        /// Why not.
        cause: io::Error,
    },
    /// A newer version of this crate created the database.
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The schema's version in the file.
        found: i64,
    },
    /// The database belongs to other software.
    OtherDatabase {
        /// The file.
        path: PathBuf,
    },
    /// The database is ours, but its tables, views, triggers or columns were changed.
    Altered {
        /// The file.
        path: PathBuf,
    },
    /// Other users can write the database or a file that SQLite keeps next to it.
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file next to the database belongs to another user, or other users can write its `-holders` folder.
    OtherOwner {
        /// The file.
        path: PathBuf,
    },
    /// The path is that of a folder.
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The database has more than one name.
    HardLinked {
        /// The file, by one of its names.
        path: PathBuf,
    },
    /// The database or a file next to it was moved while it was opened, or the link to it now leads elsewhere.
    Moving {
        /// The file.
        path: PathBuf,
    },
    /// This process was forked from one that had a database open.
    Forked {
        /// The file.
        path: PathBuf,
    },
    /// The file is not a database, or is damaged.
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
    /// Another process locked the database for too long.
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Another failure of SQLite.
    Other {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        cause: BoxError,
    },
}

/// What is wrong with a Redis server or the connection to it.
#[non_exhaustive]
#[derive(Debug)]
pub enum RedisError {
    /// Nothing listens at the address.
    Refused,
    /// The server cannot be reached, or the connection broke.
    Unreachable(BoxError),
    /// No answer came in time.
    TimedOut {
        /// The time that was allowed.
        limit: Duration,
    },
    /// The server wants a password, and the URL has none (`NOAUTH`).
    PasswordMissing,
    /// The server refuses the user name or the password (`WRONGPASS`).
    PasswordWrong,
    /// The user may not run a command or use a key (`NOPERM`).
    Forbidden,
    /// The server has no memory left and refuses writes (`OOM`).
    Full,
    /// The server cannot save to its disk and refuses writes (`MISCONF`).
    CannotSave,
    /// The server is a replica and refuses writes, it became one while a lease waited, or it lost its primary (`READONLY`,
    /// `UNBLOCKED`, `MASTERDOWN`).
    Replica,
    /// The server has too few replicas and refuses writes (`NOREPLICAS`), or fewer than the URL's `replicas` had a lease or
    /// a further iterator in time. That lease is taken back, and that iterator is not used.
    FewReplicas,
    /// The server is loading its data (`LOADING`).
    Loading,
    /// The server is busy with a script of another client, or moves keys (`BUSY`, `TRYAGAIN`).
    Busy,
    /// The cluster does not work (`CLUSTERDOWN`), or no other node confirms that the one that granted a lease has the session.
    /// That lease is taken back.
    ClusterDown,
    /// The cluster's nodes send a request from one to another, and none runs it (`MOVED`).
    Redirects,
    /// Another node of the cluster has the session's keys (`MOVED`, `ASK`).
    OtherNode,
    /// Too few of the URL's Sentinels answer and name the same primary.
    NoPrimary,
    /// The Sentinels know no primary of the URL's name.
    UnknownPrimary,
    /// A Sentinel refuses the URL's user or password for Sentinels, or does not let it ask for the primary.
    SentinelRefused,
    /// The server has no database with the URL's number.
    NoDatabase,
    /// Other software has written values under our keys.
    Content,
    /// Another failure of the server.
    Other(BoxError),
}

impl RedisError {
    /// Whether the same call may succeed later, although nobody changes anything.
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Refused
                | Self::Unreachable(_)
                | Self::TimedOut { .. }
                | Self::Replica
                | Self::FewReplicas
                | Self::Loading
                | Self::Busy
                | Self::ClusterDown
                | Self::Redirects
                | Self::NoPrimary
        )
    }
}

impl SqliteError {
    /// Whether the same call may succeed later, although nobody changes anything. An unknown failure may.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Locked { .. } | Self::Moving { .. } | Self::Other { .. })
    }
}

impl Error {
    /// Whether the same call may succeed later, although nobody changes anything. An unknown failure may.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::LeaseLost | Self::InUse | Self::Other(_) => true,
            Self::Sqlite(error) => error.may_pass(),
            Self::Redis(error) => error.may_pass() || matches!(error, RedisError::Other(_)),
            Self::Postgres(error) => error.may_pass() || matches!(error, PostgresError::Other(_)),
            Self::Core(_)
            | Self::Unsettled
            | Self::IteratorAhead { .. }
            | Self::NoRoomAbove { .. }
            | Self::NoIteratorLeft
            | Self::NoRuntime
            | Self::NoDataFolder
            | Self::Url
            | Self::NotBuilt { .. }
            | Self::Plaintext
            | Self::SqliteUri
            | Self::SqliteMemory => false,
        }
    }

    /// An error of a store of your own.
    pub fn other(cause: impl Into<BoxError>) -> Self {
        Self::Other(cause.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(error) => error.fmt(f),
            Self::LeaseLost => f.write_str(
                "the lease ended before the request was sent; make the call again",
            ),
            Self::InUse => f.write_str("the session is in use; try again later"),
            Self::Unsettled => f.write_str(
                "the journal lists calls of this session; find out whether Mixin has applied each, settle it, then forget \
                 the session",
            ),
            Self::IteratorAhead { ahead } => write!(
                f,
                "the session's last iterator is {} ahead of the clock; set the clock right; if it is right, forget the \
                 session (mixin-pin store reset), or if Mixin's server has seen such iterators, raise it (mixin-pin store \
                 raise)",
                span(*ahead)
            ),
            Self::NoRoomAbove { greatest } => write!(
                f,
                "above that iterator the session would have too few left; raise it to {greatest} at most, or register a new \
                 session"
            ),
            Self::NoIteratorLeft => {
                f.write_str("the lease has no iterator left; release it, and make the next call with a new one")
            }
            Self::NoRuntime => f.write_str("an async store needs a running tokio runtime; await it within one"),
            Self::NoDataFolder => {
                f.write_str("the system names no data folder for this user; name a store, such as sqlite:FILE")
            }
            Self::Url => f.write_str(
                "a store is memory:, sqlite:FILE, redis://HOST, rediss://HOST, redis+sentinel://HOST,HOST/NAME, \
                 rediss+sentinel://HOST,HOST/NAME, redis-cluster://HOST,HOST, rediss-cluster://HOST,HOST or \
                 postgres://USER@HOST/DATABASE",
            ),
            Self::NotBuilt { feature } => {
                write!(f, "this program was built without the feature {feature}; build it with that, or name another store")
            }
            Self::Plaintext => f.write_str(
                "Redis without TLS on another machine would expose its password and every record; use rediss://, or if the network \
                 is safe, add ?plaintext=allow to the URL",
            ),
            Self::SqliteUri => f.write_str(
                "a SQLite store is named by its path, not by a URI; write sqlite:FILE without file:, or sqlite:./file:… for \
                 a file of that name",
            ),
            Self::SqliteMemory => f.write_str(
                "sqlite::memory: would be a new store at every opening; name a file, or memory: for a session that nothing \
                 else uses",
            ),
            Self::Sqlite(error) => error.fmt(f),
            Self::Redis(error) => error.fmt(f),
            Self::Postgres(error) => error.fmt(f),
            Self::Other(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for SqliteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, cause } => {
                write!(f, "{} cannot be created: {cause}; check the path, or name another", path.display())
            }
            Self::NewerSchema { path, found } => write!(
                f,
                "{} was created by a newer version of this software (schema {found}); update this one",
                path.display()
            ),
            Self::OtherDatabase { path } => {
                write!(f, "{} is a database of other software; name another file", path.display())
            }
            Self::Altered { path } => write!(
                f,
                "{} has unknown tables, views, triggers or columns; move it away and start again: a correct clock keeps the \
                 iterators rising, but calls that were pending are not listed then",
                path.display()
            ),
            Self::Exposed { path, mode } => {
                write!(f, "others can write {0} (mode {mode:03o}); run: chmod 600 {0}", path.display())
            }
            Self::OtherOwner { path } => write!(
                f,
                "{} belongs to another user, or others can write it; remove it, and keep the database in a folder that only \
                 you can write",
                path.display()
            ),
            Self::Folder { path } => write!(f, "{} is a folder; name a file in it", path.display()),
            Self::HardLinked { path } => write!(
                f,
                "{} has more than one name (hard links), each of which would be another database; remove the others",
                path.display()
            ),
            Self::Moving { path } => write!(
                f,
                "{} keeps being moved, or the link to it leads elsewhere now; find the program that does this, or restart \
                 this one",
                path.display()
            ),
            Self::Forked { path } => write!(
                f,
                "{} cannot be used: this process was forked from one that had a database open; open it only after the \
                 fork, or start another program",
                path.display()
            ),
            Self::Corrupt { path } => write!(
                f,
                "{} is damaged or not a database; move it away and start again: a correct clock keeps the iterators rising, but \
                 calls that were pending are not listed then",
                path.display()
            ),
            Self::ReadOnly { path } => {
                write!(f, "{} cannot be written; check its permissions and those of its folder", path.display())
            }
            Self::DiskFull { path } => write!(f, "the disk with {} is full; make room", path.display()),
            Self::Locked { path } => {
                write!(
                    f,
                    "{} was locked by another process for too long; find the process that has it open, or wait longer",
                    path.display()
                )
            }
            Self::Other { path, cause } => write!(f, "{}: {cause}", path.display()),
        }
    }
}

impl fmt::Display for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str(
                "nothing listens at the address of Redis (connection refused); start Redis, or correct host and port",
            ),
            Self::Unreachable(cause) => {
                write!(f, "Redis cannot be reached: {cause}; check host and port, the network, and redis:// or rediss://")
            }
            Self::TimedOut { limit } => write!(
                f,
                "Redis did not answer within {limit:.1?}; check whether it hangs, whether a firewall drops packets, and redis:// or rediss://"
            ),
            Self::PasswordMissing => f.write_str(
                "Redis wants a password (NOAUTH); name the store as redis://USER:PASSWORD@HOST, or redis://:PASSWORD@HOST \
                 without a user",
            ),
            Self::PasswordWrong => f.write_str("Redis refuses the user name or the password of the URL; correct them"),
            Self::Forbidden => f.write_str(
                "the user of Redis lacks a permission (NOPERM); allow it the keys mixin-pin:* and the commands EVAL, EVALSHA, \
                 SCRIPT|LOAD, GET, SET, HGET, HSET, HMGET, HINCRBY, HDEL, HGETALL, DEL, EXISTS, PTTL, SCAN, SELECT, INFO, PING, \
                 WAIT and CLUSTER|SLOTS",
            ),
            Self::Full => f.write_str("Redis is out of memory and refuses writes (OOM); raise its maxmemory, or free some"),
            Self::CannotSave => f.write_str(
                "Redis cannot save to its disk and refuses writes (MISCONF); its log says why: make room, or correct the \
                 permissions of its folder",
            ),
            Self::Replica => f.write_str(
                "this Redis server is a replica and refuses writes (READONLY); try again after a failover, or name the primary or \
                 its Sentinels",
            ),
            Self::FewReplicas => f.write_str(
                "Redis has too few replicas (NOREPLICAS, or fewer than the URL's replicas had the lease in time); bring them back, or \
                 lower min-replicas-to-write or the URL's replicas",
            ),
            Self::NoPrimary => f.write_str(
                "too few of the URL's Sentinels answer and name the same primary: more than half must; start them, or correct their \
                 addresses",
            ),
            Self::UnknownPrimary => f.write_str(
                "the Sentinels know no primary of the URL's name; correct NAME in redis+sentinel://HOST,HOST/NAME",
            ),
            Self::SentinelRefused => f.write_str(
                "a Sentinel refuses the user, the password or the question (NOAUTH, WRONGPASS, NOPERM); correct sentinel_user and \
                 sentinel_password in the URL, and allow that user SENTINEL GET-MASTER-ADDR-BY-NAME",
            ),
            Self::Loading => f.write_str("Redis is loading its data (LOADING); try again when it has done so"),
            Self::Busy => f.write_str("Redis is busy with a script of another client or moves keys (BUSY); try again"),
            Self::ClusterDown => {
                f.write_str(
                    "the Redis cluster does not work (CLUSTERDOWN, or no other node confirms which one has the session); bring its \
                     missing nodes back, then try again",
                )
            }
            Self::Redirects => f.write_str(
                "the nodes of the Redis cluster send a request from one to another, and none runs it (MOVED); try again, or if that \
                 stays, correct cluster-announce-ip and cluster-announce-port of each node",
            ),
            Self::OtherNode => f.write_str(
                "this Redis server is one node of a cluster, and another node has the session (MOVED); name it as \
                 redis-cluster://HOST, or name a server without cluster mode",
            ),
            Self::NoDatabase => {
                f.write_str("Redis has no database with the number at the URL's end; name one that it has, such as 0")
            }
            Self::Content => {
                f.write_str("Redis has other values under mixin-pin's keys; name another database of that server")
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
            // `Display` prints these errors themselves, so the source is their cause.
            Self::Sqlite(error) => error.source(),
            Self::Redis(error) => error.source(),
            Self::Postgres(error) => error.source(),
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
            Self::Unreachable(cause) | Self::Other(cause) => Some(&**cause),
            _ => None,
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

impl From<PostgresError> for Error {
    fn from(error: PostgresError) -> Self {
        Self::Postgres(error)
    }
}
