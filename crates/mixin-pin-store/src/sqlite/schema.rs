//! The database's two tables: creating, recognizing and migrating them. Anything else in the file is refused.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};

use super::file;
use super::patience::Patience;
use super::table::classify;
use crate::backoff::Backoff;
use crate::{Error, SqliteError};

/// Increased when the tables change.
const VERSION: i64 = 3;
/// "MPIN": identifies our databases.
const APPLICATION_ID: i64 = 0x4d50_494e;
/// Compared literally with the text that SQLite keeps.
const SESSIONS: &str = include_str!("schema-2.sql");
const SESSIONS_1: &str = include_str!("schema-1.sql");
const CALLS: &str = include_str!("schema-3.sql");

/// What a database contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Empty,
    /// `sessions` in its first version.
    Version1,
    /// `sessions` alone.
    Version2,
    Current,
}

/// Keeps SQLite from running anything that the file itself contains.
pub(super) fn harden(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    for config in [
        DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA,
        DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER,
        DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW,
    ] {
        connection.set_db_config(config, false)?;
    }
    Ok(())
}

/// Checks what the database contains. Creates our tables in a new one, and migrates earlier versions.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let failed = |cause| classify(path, cause);
    // Checked before anything is written. Switching to WAL writes.
    read(connection, path)?;
    file::check(path)?;
    switch_to_wal(connection, path)?;
    // Our own database is only read here. If it is read-only, its first use fails.
    if read(connection, path)? == Found::Current {
        return check(connection, path, SESSIONS, Some(CALLS));
    }
    let db = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Another process may have changed it meanwhile.
    match find(&db, path)? {
        Found::Current => {}
        Found::Empty => {
            db.execute_batch(SESSIONS).map_err(failed)?;
            db.execute_batch(CALLS).map_err(failed)?;
            db.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        }
        Found::Version2 => {
            check(&db, path, SESSIONS, None)?;
            db.execute_batch(CALLS).map_err(failed)?;
        }
        Found::Version1 => {
            check(&db, path, SESSIONS_1, None)?;
            db.execute_batch("ALTER TABLE sessions RENAME TO sessions_1").map_err(failed)?;
            db.execute_batch(SESSIONS).map_err(failed)?;
            db.execute_batch(
                "INSERT INTO sessions (session_id, last_iterator, fence, held_until, lease)
                     SELECT session_id, last_iterator, fence, held_until, lease FROM sessions_1;
                 DROP TABLE sessions_1;",
            )
            .map_err(failed)?;
            db.execute_batch(CALLS).map_err(failed)?;
        }
    }
    db.pragma_update(None, "user_version", VERSION).map_err(failed)?;
    check(&db, path, SESSIONS, Some(CALLS))?;
    db.commit().map_err(failed)
}

/// Reads within a transaction, because another process may be creating the tables.
fn read(connection: &mut Connection, path: &Path) -> Result<Found, Error> {
    let failed = |cause| classify(path, cause);
    let db = connection.transaction_with_behavior(TransactionBehavior::Deferred).map_err(failed)?;
    let found = find(&db, path)?;
    db.finish().map_err(failed)?;
    Ok(found)
}

fn find(connection: &Connection, path: &Path) -> Result<Found, Error> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|cause| classify(path, cause));
    let path = || path.to_owned();
    match (number("PRAGMA application_id")?, number("PRAGMA user_version")?) {
        (APPLICATION_ID, VERSION) => Ok(Found::Current),
        (APPLICATION_ID, 1) => Ok(Found::Version1),
        (APPLICATION_ID, 2) => Ok(Found::Version2),
        (APPLICATION_ID, found) if found > VERSION => {
            Err(Error::Sqlite(SqliteError::NewerSchema { path: path(), found }))
        }
        (APPLICATION_ID, _) => Err(Error::Sqlite(SqliteError::Altered { path: path() })),
        (0, 0) if number("SELECT count(*) FROM sqlite_schema")? == 0 => Ok(Found::Empty),
        _ => Err(Error::Sqlite(SqliteError::OtherDatabase { path: path() })),
    }
}

/// Refuses a database unless it has exactly these tables and nothing else.
fn check(connection: &Connection, path: &Path, sessions: &str, calls: Option<&str>) -> Result<(), Error> {
    let is_ours = connection
        .query_row(
            "SELECT count(*) = 1 + (?2 IS NOT NULL)
             AND total(type = 'table' AND name = 'sessions' AND sql = ?1) = 1
             AND total(type = 'table' AND name = 'calls' AND sql = ?2) = (?2 IS NOT NULL) FROM sqlite_schema",
            (sessions, calls),
            |row| row.get::<_, bool>(0),
        )
        .map_err(|cause| classify(path, cause))?;
    if is_ours { Ok(()) } else { Err(Error::Sqlite(SqliteError::Altered { path: path.to_owned() })) }
}

/// Tries repeatedly, because SQLite does not call the busy handler when two processes switch at once.
fn switch_to_wal(connection: &Connection, path: &Path) -> Result<(), Error> {
    let mut backoff = Backoff::new(Patience::left());
    loop {
        let mode = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0));
        match mode.map(|_| ()).map_err(|cause| classify(path, cause)) {
            Err(Error::Sqlite(SqliteError::Locked { .. })) if backoff.sleep() => {}
            result => return result,
        }
    }
}
