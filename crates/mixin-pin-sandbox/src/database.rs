//! The sandbox's data in SQLite, in memory or in a file: connection, transactions and capacity.
//!
//! Every decision about a PIN runs in one transaction, so no two calls can share a try or an iterator.

mod history;
mod oauth;
mod payments;
mod schema;
mod tries;
mod users;

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mixin_pin_core::Ed25519PublicKey;
use mixin_pin_core::uuid::Uuid;
use rusqlite::types::FromSql;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Params, Row, TransactionBehavior};

use crate::{Error, system};

pub(crate) use history::{LogRow, RequestId};
pub(crate) use oauth::AuthorizationRow;
pub(crate) use payments::PaymentRow;
pub(crate) use users::{NewSession, NewUser, UserRow};

/// How long to wait for another process that has the database locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// More than there are statements, so each is prepared once.
const CACHED_STATEMENTS: usize = 64;

/// How many rows each table may have. A full table drops its oldest rows, or accepts no more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    /// Users are never dropped.
    pub(crate) users: u32,
    /// Authorizations that wait for approval. The oldest is dropped.
    pub(crate) waiting: u32,
    /// Approved authorizations are never dropped.
    pub(crate) approved: u32,
    /// Request ids are dropped when their tokens expire.
    pub(crate) requests: u32,
    /// Keeps one session from filling the table for all others.
    pub(crate) requests_of_session: u32,
    /// Log entries. The oldest is dropped.
    pub(crate) logs: u32,
    pub(crate) logs_of_user: u32,
    /// Tries that wrong PINs cost. The oldest is dropped.
    pub(crate) tries_of_session: u32,
    /// Payments with a trace id are never dropped.
    pub(crate) payments: u32,
}

impl Default for Capacity {
    /// A full database has a few hundred megabytes.
    fn default() -> Self {
        Self {
            users: 20_000,
            waiting: 1_000,
            approved: 20_000,
            requests: 400_000,
            requests_of_session: 100_000,
            logs: 100_000,
            logs_of_user: 1_000,
            tries_of_session: 1_000,
            payments: 20_000,
        }
    }
}

pub(crate) struct Database {
    connection: Mutex<Connection>,
    capacity: Capacity,
}

impl Database {
    pub(crate) fn open(path: Option<&Path>, capacity: Capacity) -> Result<Self, Error> {
        let connection = match path {
            None => Connection::open_in_memory(),
            Some(path) => open_file(&private_file(path)?),
        };
        let connection = connection.map_err(sqlite_error)?;
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        let database = Self { connection: Mutex::new(connection), capacity };
        database.write(schema::migrate)?;
        Ok(database)
    }

    /// Runs `work`, which only reads. It does not wait for another process that writes.
    pub(crate) fn read<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        transact(&mut connection, TransactionBehavior::Deferred, self.capacity, work)
    }

    /// Runs `work` in a transaction: committed if it succeeds, rolled back if it fails.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>) -> Result<T, Error> {
        self.write_then(work, |result| result)
    }

    /// Like [`write`](Self::write), and calls `then` with the result before the next transaction begins.
    pub(crate) fn write_then<T, U>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>,
        then: impl FnOnce(Result<T, Error>) -> U,
    ) -> U {
        // A panic inside a transaction has rolled it back, so the connection is usable.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        then(transact(&mut connection, TransactionBehavior::Immediate, self.capacity, work))
    }
}

fn open_file(path: &Path) -> rusqlite::Result<Connection> {
    // Without URIs. SQLite gives no other meaning to an absolute path.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A counted try must survive a power failure.
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn transact<T>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    capacity: Capacity,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let inner = connection.transaction_with_behavior(behavior).map_err(sqlite_error)?;
    let transaction = Transaction { inner, capacity };
    let result = work(&transaction)?;
    transaction.inner.commit().map_err(sqlite_error)?;
    Ok(result)
}

/// Creates the database file if it is missing: SQLite would let others read it. Returns its absolute path.
fn private_file(path: &Path) -> Result<PathBuf, Error> {
    let path = std::path::absolute(path).map_err(Error::DatabaseFile)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    system::private(&mut options);
    let found = options.open(&path).and_then(|file| file.metadata()).map_err(Error::DatabaseFile)?;
    if !found.is_file() {
        return Err(Error::DatabaseFile(io::Error::other("it is not a regular file")));
    }
    refuse_exposed(&path)?;
    Ok(path)
}

/// Refuses a database that others can read or write, and files beside it that SQLite would apply to it.
fn refuse_exposed(path: &Path) -> Result<(), Error> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let path = PathBuf::from(name);
        match fs::metadata(&path) {
            Ok(found) => {
                if let Some(mode) = system::mode_for_others(&found) {
                    return Err(Error::DatabaseExposed { path, mode });
                }
            }
            // SQLite creates and removes the files beside the database.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::DatabaseFile(error)),
        }
    }
    Ok(())
}

/// An open transaction.
pub(crate) struct Transaction<'c> {
    inner: rusqlite::Transaction<'c>,
    capacity: Capacity,
}

impl Transaction<'_> {
    fn execute(&self, sql: &str, params: impl Params) -> Result<(), Error> {
        let executed = self.inner.prepare_cached(sql).and_then(|mut statement| statement.execute(params));
        executed.map(drop).map_err(sqlite_error)
    }

    /// The first row, if there is one.
    fn find<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let mut statement = self.inner.prepare_cached(sql).map_err(sqlite_error)?;
        statement.query_row(params, |row| Ok(read(row))).optional().map_err(sqlite_error)?.transpose()
    }

    fn list<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.inner.prepare_cached(sql).map_err(sqlite_error)?;
        let rows = statement.query_map(params, |row| Ok(read(row))).map_err(sqlite_error)?;
        rows.map(|row| row.map_err(sqlite_error)?).collect()
    }

    /// The number in the first column of the first row; 0 without rows.
    fn count(&self, sql: &str, params: impl Params) -> Result<u32, Error> {
        Ok(self.find(sql, params, |row| row.get(0).map_err(sqlite_error))?.unwrap_or(0))
    }
}

fn column<T: FromSql>(row: &Row<'_>, name: &str) -> Result<T, Error> {
    row.get(name).map_err(sqlite_error)
}

fn uuid_column(row: &Row<'_>, name: &str) -> Result<Uuid, Error> {
    parse_uuid(&column::<String>(row, name)?)
}

fn key_column(row: &Row<'_>, name: &str) -> Result<Option<Ed25519PublicKey>, Error> {
    let bytes: Option<Vec<u8>> = column(row, name)?;
    Ok(bytes.map(|bytes| Ed25519PublicKey::from_bytes(&bytes)).transpose()?)
}

fn parse_uuid(text: &str) -> Result<Uuid, Error> {
    text.parse().map_err(|_| Error::DatabaseContent)
}

/// Keeps SQLite's types out of the public API.
fn sqlite_error(error: rusqlite::Error) -> Error {
    Error::Database(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const CAPACITY: Capacity = Capacity {
        users: 2,
        waiting: 3,
        approved: 2,
        requests: 5,
        requests_of_session: 3,
        logs: 6,
        logs_of_user: 4,
        tries_of_session: 5,
        payments: 2,
    };

    pub(super) fn database() -> Database {
        Database::open(None, CAPACITY).unwrap()
    }
}
