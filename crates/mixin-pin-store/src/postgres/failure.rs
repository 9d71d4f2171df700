//! What a failure of the client means, and whether its statement may have run.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use tokio_postgres::error::Severity;

use crate::{Error, PostgresError};

/// A statement that failed.
pub(super) struct Failure {
    pub(super) error: PostgresError,
    /// Whether it may have run, or may run later.
    pub(super) may_have_run: bool,
    /// Whether the connection can no longer be used.
    pub(super) is_broken: bool,
}

impl Failure {
    /// A failure before the statement was sent.
    pub(super) const fn unsent(error: PostgresError) -> Self {
        Self { error, may_have_run: false, is_broken: true }
    }

    /// A failure of a statement that was sent.
    pub(super) fn sent(error: tokio_postgres::Error) -> Self {
        // The server undoes a statement that ends with an ERROR. After any other failure its commit may have been written.
        let severity = error.as_db_error().and_then(tokio_postgres::error::DbError::parsed_severity);
        let is_undone = severity == Some(Severity::Error);
        Self { error: classify(error), may_have_run: !is_undone, is_broken: !is_undone }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Postgres(failure.error)
    }
}

/// A failure of the server by its code. Its text stays unknown, because it may repeat names and values.
#[derive(Debug)]
struct SqlState(String);

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SQLSTATE {}", self.0)
    }
}

impl StdError for SqlState {}

/// A code that means that another transaction came first. The statement has changed nothing.
pub(super) fn is_conflict(error: &PostgresError) -> bool {
    let PostgresError::Other(cause) = error else { return false };
    cause.downcast_ref::<SqlState>().is_some_and(|state| matches!(&*state.0, "40001" | "40P01" | "23505"))
}

/// Whether the error says that the schema, or something in it, exists already.
pub(super) fn is_duplicate(error: &PostgresError) -> bool {
    let PostgresError::Other(cause) = error else { return false };
    cause.downcast_ref::<SqlState>().is_some_and(|state| matches!(&*state.0, "42P06" | "42P07" | "23505"))
}

/// The error of the client without its text, or with a text of this machine.
pub(super) fn classify(error: tokio_postgres::Error) -> PostgresError {
    if let Some(code) = error.code() {
        return by_code(code.code());
    }
    // The kinds have no names in the client's API, but texts of their own.
    match &*error.to_string() {
        "invalid configuration" => PostgresError::PasswordMissing,
        "authentication error" => PostgresError::Authentication,
        "error performing TLS handshake" => match error.into_source() {
            Some(cause) if cause.is::<io::Error>() => PostgresError::Tls(cause),
            _ => PostgresError::NoTls,
        },
        "connection closed" | "error parsing response from server" | "unexpected message from server" => {
            PostgresError::NoAnswer
        }
        text => {
            let is_connecting = text == "error connecting to server";
            match error.into_source().map(<dyn StdError + Send + Sync>::downcast::<io::Error>) {
                Some(Ok(cause)) => match cause.kind() {
                    io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => PostgresError::Refused,
                    // Only the client's own reading has no number of the system.
                    _ if !is_connecting && cause.raw_os_error().is_none() => PostgresError::NoAnswer,
                    _ => PostgresError::Unreachable(cause),
                },
                Some(Err(_)) => PostgresError::OtherSchema,
                None => PostgresError::Other(text.into()),
            }
        }
    }
}

fn by_code(code: &str) -> PostgresError {
    match code {
        "28P01" => PostgresError::PasswordWrong,
        "28000" => PostgresError::NotAdmitted,
        "3D000" => PostgresError::NoDatabase,
        "42501" => PostgresError::Forbidden,
        "3F000" => PostgresError::NoSchema,
        "42P01" | "42703" | "42804" | "42883" => PostgresError::OtherSchema,
        "53300" => PostgresError::TooManyConnections,
        "53100" => PostgresError::DiskFull,
        "25006" => PostgresError::ReadOnly,
        "57P01" | "57P02" | "57P03" => PostgresError::Unavailable,
        "55P03" => PostgresError::Locked,
        "57014" => PostgresError::Cancelled,
        "08P01" => PostgresError::Pooler,
        code if code.starts_with("08") || code == "57P05" => {
            PostgresError::Unreachable(SqlState(code.to_owned()).into())
        }
        code => PostgresError::Other(SqlState(code.to_owned()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_own_errors_and_others_are_shown_without_a_text() {
        assert!(matches!(by_code("28P01"), PostgresError::PasswordWrong));
        assert!(matches!(by_code("57P03"), PostgresError::Unavailable));
        assert!(is_conflict(&by_code("40001")) && !is_conflict(&by_code("42P06")) && is_duplicate(&by_code("42P06")));
        assert_eq!(by_code("XX001").to_string(), "PostgreSQL: SQLSTATE XX001");
        assert!(by_code("08006").may_pass() && !by_code("XX001").may_pass());
    }
}
