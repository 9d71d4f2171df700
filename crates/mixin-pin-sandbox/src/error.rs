//! Errors of running a sandbox. A request that it refuses is an answer, not an error.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::{fmt, io};

use mixin_pin_core::uuid::Uuid;

/// Why a sandbox could not start, or failed.
///
/// The book says what each failure costs and what to do: `docs/errors.md`, under `sandbox`.
#[non_exhaustive]
#[derive(Debug)]
pub enum Error {
    /// The system refused to listen on the address.
    Listen(io::Error),
    /// The server's threads could not be started.
    Runtime(io::Error),
    /// The server's thread panicked.
    Panicked,
    /// The database file cannot be created or opened.
    DatabaseFile(io::Error),
    /// Other users of this machine can read or write the database, which holds private keys.
    DatabaseExposed {
        /// The database file, or a file that SQLite keeps beside it.
        path: PathBuf,
        /// The file's permissions.
        mode: u32,
    },
    /// SQLite failed. The type of the cause is not part of the API.
    Database(Box<dyn StdError + Send + Sync>),
    /// Another version of this crate made the database.
    DatabaseVersion {
        /// The version in the file.
        found: i64,
    },
    /// The database holds data that this crate never writes.
    DatabaseContent,
    /// The database has a different account with the same user id or session id.
    AccountExists {
        /// The id of the user to add.
        user_id: Uuid,
    },
    /// The account has an owner, and the database has it as a user, not as an app.
    AccountNoApp {
        /// The id of the account.
        user_id: Uuid,
    },
    /// The owner of an account is not a user of the database.
    AccountOwner {
        /// The id that was given.
        user_id: Uuid,
    },
    /// The database has its maximum number of users.
    UsersFull,
    /// The cryptography failed.
    Core(mixin_pin_core::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(error) => write!(f, "cannot listen on the address: {error}; port 0 takes any free port"),
            Self::Runtime(error) => write!(f, "cannot start the server's threads: {error}"),
            Self::Panicked => f.write_str("the server panicked; this is a bug in mixin-pin-sandbox"),
            Self::DatabaseFile(error) => write!(f, "cannot open the database file: {error}"),
            Self::DatabaseExposed { path, mode } => write!(
                f,
                "{0} holds private keys, and other users can read or write it (mode {mode:03o}); run: chmod 600 {0}",
                path.display()
            ),
            Self::Database(error) => write!(f, "the database failed: {error}"),
            Self::DatabaseVersion { found } => {
                write!(f, "this sandbox cannot use a database of version {found}; start with a new file")
            }
            Self::DatabaseContent => f.write_str("the database is damaged; start with a new file"),
            Self::AccountExists { user_id } => write!(
                f,
                "the database has another account with the user id or session id of {user_id}; start with a new file"
            ),
            Self::AccountNoApp { user_id } => {
                write!(
                    f,
                    "the database has {user_id} as a user, not as an app; start with a new file, or leave out its owner"
                )
            }
            Self::AccountOwner { user_id } => {
                write!(
                    f,
                    "the owner {user_id} of an app is not a user of the database; add that user first, or together with the app"
                )
            }
            Self::UsersFull => f.write_str("the database has 20000 users, which is the limit; start with a new file"),
            Self::Core(error) => error.fmt(f),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Listen(error) | Self::Runtime(error) | Self::DatabaseFile(error) => Some(error),
            Self::Database(error) => Some(&**error),
            Self::Core(error) => Some(error),
            Self::Panicked
            | Self::DatabaseExposed { .. }
            | Self::DatabaseVersion { .. }
            | Self::DatabaseContent
            | Self::AccountExists { .. }
            | Self::AccountNoApp { .. }
            | Self::AccountOwner { .. }
            | Self::UsersFull => None,
        }
    }
}

impl From<mixin_pin_core::Error> for Error {
    fn from(error: mixin_pin_core::Error) -> Self {
        Self::Core(error)
    }
}
