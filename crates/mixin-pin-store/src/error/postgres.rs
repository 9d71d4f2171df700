//! Errors of the PostgreSQL store.

use std::error::Error as StdError;
use std::fmt;

use super::BoxError;

/// What is wrong with a PostgreSQL server, its database or the connection to it.
#[non_exhaustive]
#[derive(Debug)]
pub enum PostgresError {
    /// Another failure of the server.
    Other(BoxError),
}

impl fmt::Display for PostgresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(cause) => write!(f, "PostgreSQL: {cause}"),
        }
    }
}

impl StdError for PostgresError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Other(cause) => Some(&**cause),
        }
    }
}
