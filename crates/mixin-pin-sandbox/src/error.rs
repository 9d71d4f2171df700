//! Everything that can go wrong in running a sandbox. What it finds wrong in a request is a reply, not an error.

use std::path::PathBuf;
use std::{fmt, io};

use mixin_pin_core::uuid::Uuid;

/// Why a sandbox could not start, or failed.
///
/// What a failure cost and what to do about it is in the book: `docs/errors.md`, under `sandbox`.
#[non_exhaustive]
#[derive(Debug)]
pub enum Error {
    /// The address cannot be listened on.
    Listen(io::Error),
    /// No threads to run on.
    Runtime(io::Error),
    /// The server failed while it ran.
    Serve(io::Error),
    /// The server's thread panicked.
    Panicked,
    /// The database file cannot be created for its owner alone, or opened.
    DatabaseFile(io::Error),
    /// Others on this machine can read or write the database, which holds private keys.
    DatabaseExposed {
        /// The file: the database, or what SQLite keeps beside it.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// SQLite refused.
    Database(rusqlite::Error),
    /// The database was made by another version of this crate.
    DatabaseVersion {
        /// The version in the file.
        found: i64,
    },
    /// The database holds what this crate never writes.
    DatabaseContent,
    /// An account that was to be added has the id or the session of another.
    AccountExists {
        /// The user's id.
        user_id: Uuid,
    },
    /// There is no room for one more user.
    UsersFull,
    /// The cryptography failed.
    Core(mixin_pin_core::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(error) => {
                write!(f, "the address cannot be listened on: {error}; port 0 takes any that is free")
            }
            Self::Runtime(error) => write!(f, "no thread to run the server on: {error}"),
            Self::Serve(error) => write!(f, "the server failed: {error}"),
            Self::Panicked => f.write_str("the server panicked; this is a defect of mixin-pin-sandbox"),
            Self::DatabaseFile(error) => write!(f, "the database file cannot be opened: {error}"),
            Self::DatabaseExposed { path, mode } => write!(
                f,
                "{0} holds private keys, and others can read or write it (mode {mode:03o}); run: chmod 600 {0}",
                path.display()
            ),
            Self::Database(error) => write!(f, "the database failed: {error}"),
            Self::DatabaseVersion { found } => {
                write!(f, "the database is of version {found}, which this sandbox cannot use; start with a new file")
            }
            Self::DatabaseContent => f.write_str("the database is damaged; start with a new file"),
            Self::AccountExists { user_id } => write!(
                f,
                "the sandbox knows another user or session by an id of {user_id}'s; start with a new database"
            ),
            Self::UsersFull => f.write_str("the sandbox has 20000 users and takes no more; start with a new database"),
            Self::Core(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Listen(error) | Self::Runtime(error) | Self::Serve(error) | Self::DatabaseFile(error) => Some(error),
            Self::Database(error) => Some(error),
            Self::Core(error) => Some(error),
            Self::Panicked
            | Self::DatabaseExposed { .. }
            | Self::DatabaseVersion { .. }
            | Self::DatabaseContent
            | Self::AccountExists { .. }
            | Self::UsersFull => None,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

impl From<mixin_pin_core::Error> for Error {
    fn from(error: mixin_pin_core::Error) -> Self {
        Self::Core(error)
    }
}
