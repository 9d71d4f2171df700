//! The tables: whether the database has them, and making them on request.

use std::collections::HashSet;
use std::sync::Arc;

use super::connections::Pool;
use super::failure::is_duplicate;
use super::patience::Patience;
use super::statements::{COLUMNS, SCHEMA, VERSION};
use crate::{Error, PostgresError};

/// The version of the tables.
const OURS: i32 = 1;

/// The columns that the statements use, with their types.
const NEEDED: [(&str, &str, &str); 19] = [
    ("sessions", "session_id", "uuid"),
    ("sessions", "last_iterator", "bigint"),
    ("sessions", "raised_to", "bigint"),
    ("sessions", "fence", "uuid"),
    ("sessions", "lease_ends", "timestamp with time zone"),
    ("sessions", "lease_duration", "interval"),
    ("sessions", "longest_lease", "interval"),
    ("calls", "session_id", "uuid"),
    ("calls", "request_id", "uuid"),
    ("calls", "fence", "uuid"),
    ("calls", "kind", "text"),
    ("calls", "method", "text"),
    ("calls", "path", "text"),
    ("calls", "first_iterator", "bigint"),
    ("calls", "last_iterator", "bigint"),
    ("calls", "sent_at", "bigint"),
    ("calls", "expires_at", "bigint"),
    ("servers", "server", "text"),
    ("servers", "first_seen", "timestamp with time zone"),
];

/// Checks that the database has tables that this version understands.
pub(super) async fn check(pool: &Arc<Pool>, patience: Patience) -> Result<(), Error> {
    let foreign = || Error::Postgres(PostgresError::OtherSchema);
    let rows = pool.query(patience, COLUMNS, &[]).await?;
    if rows.is_empty() {
        return Err(PostgresError::NoSchema.into());
    }
    let mut found = HashSet::new();
    for row in &rows {
        let text = |place| row.try_get::<_, String>(place).map_err(|_| foreign());
        found.insert((text(0)?, text(1)?, text(2)?));
    }
    let has = |(table, column, kind): (&str, &str, &str)| {
        found.contains(&(table.to_owned(), column.to_owned(), kind.to_owned()))
    };
    if !has(("schema_version", "version", "integer")) {
        return Err(foreign());
    }
    let rows = pool.query(patience, VERSION, &[]).await?;
    let version: Option<i32> = rows.first().and_then(|row| row.try_get(0).ok());
    match version {
        Some(version) if version > OURS => Err(PostgresError::NewerSchema { found: version }.into()),
        Some(OURS) if NEEDED.into_iter().all(has) => Ok(()),
        _ => Err(foreign()),
    }
}

/// Makes the tables unless they are there. Returns whether it made them.
pub(super) async fn create(pool: &Arc<Pool>, patience: Patience) -> Result<bool, Error> {
    match check(pool, patience).await {
        Err(Error::Postgres(PostgresError::NoSchema)) => {}
        result => return result.map(|()| false),
    }
    match pool.batch(patience, SCHEMA).await {
        Ok(()) => Ok(true),
        // Another process has just made them.
        Err(failure) if is_duplicate(&failure.error) => check(pool, patience).await.map(|()| false),
        Err(failure) => Err(failure.into()),
    }
}
