//! Rows of the `sessions` table, and what SQLite's errors mean.

use std::path::Path;

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _};

use crate::engine::random;
use crate::{Error, SqliteError};

pub(super) const COLUMNS: &str = "last_iterator, fence, held_until, lease, holder, holder_fence, raised_to";

/// A row of the table.
pub(super) struct Row {
    pub(super) last_iterator: u64,
    pub(super) fence: i64,
    pub(super) held_until: Option<i64>,
    pub(super) lease: i64,
    /// The file of the process that took the lease with this fence.
    pub(super) holder: Option<Uuid>,
    pub(super) raised_to: Option<u64>,
}

impl TryFrom<&rusqlite::Row<'_>> for Row {
    type Error = rusqlite::Error;

    fn try_from(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let (fence, holder_fence): (i64, Option<i64>) = (row.get(1)?, row.get(5)?);
        let holder: Option<[u8; 16]> = row.get(4)?;
        Ok(Self {
            last_iterator: u64::from_be_bytes(row.get(0)?),
            fence,
            held_until: row.get(2)?,
            lease: row.get(3)?,
            holder: holder.filter(|_| holder_fence == Some(fence)).map(Uuid::from_bytes),
            raised_to: row.get::<_, Option<_>>(6)?.map(u64::from_be_bytes),
        })
    }
}

pub(super) fn read(connection: &Connection, session_id: Uuid) -> rusqlite::Result<Option<Row>> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM sessions WHERE session_id = ?1"))?
        .query_row([session_id.as_bytes()], |row| Row::try_from(row))
        .optional()
}

/// Whether the file of this process may still tell whether a lease can be taken over.
pub(super) fn is_needed(connection: &Connection, holder: Uuid) -> bool {
    let query = "SELECT EXISTS (SELECT 1 FROM sessions
                 WHERE holder = ?1 AND holder_fence = fence AND held_until IS NOT NULL)";
    connection.query_row(query, [holder.as_bytes()], |row| row.get(0)).unwrap_or(true)
}

/// A number that no other lease has had, even if the session was forgotten in between.
pub(super) fn random_fence() -> Result<i64, Error> {
    random().map(i64::from_ne_bytes)
}

/// Nanoseconds since 1970 as a SQLite integer.
pub(super) fn nanos(time: UnixTime) -> i64 {
    time.as_nanos().ok().and_then(|nanos| i64::try_from(nanos).ok()).unwrap_or(i64::MAX)
}

pub(super) fn classify(path: &Path, cause: rusqlite::Error) -> Error {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};

    let path = path.to_owned();
    let error = match cause.sqlite_error_code() {
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            SqliteError::ReadOnly { path }
        }
        Some(ErrorCode::DiskFull) => SqliteError::DiskFull { path },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => SqliteError::Corrupt { path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => SqliteError::Locked { path },
        _ => match cause {
            // A value of a type or length that this crate never writes.
            FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..) => {
                SqliteError::Corrupt { path }
            }
            cause => SqliteError::Other { path, cause: cause.into() },
        },
    };
    error.into()
}
