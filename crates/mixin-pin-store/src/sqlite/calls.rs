//! Rows of the `calls` table: the journal.

use std::ops::RangeInclusive;
use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::journal::oldest_verification;
use crate::{CallIntent, CallKind, PendingCall};

/// A row, and the fence of its lease.
pub(super) struct Entry {
    pub(super) fence: i64,
    pub(super) call: PendingCall,
}

impl TryFrom<&Row<'_>> for Entry {
    type Error = rusqlite::Error;

    fn try_from(row: &Row<'_>) -> rusqlite::Result<Self> {
        let foreign = |column| rusqlite::Error::FromSqlConversionFailure(column, Type::Null, "unknown".into());
        let number = |column| row.get(column).map(u64::from_be_bytes);
        let iterators = number(6)?..=number(7)?;
        if iterators.is_empty() {
            return Err(foreign(7));
        }
        let expires_at: i64 = row.get(9)?;
        let call = PendingCall {
            session_id: Uuid::from_bytes(row.get(0)?),
            request_id: Uuid::from_bytes(row.get(1)?),
            method: row.get(3)?,
            path: row.get(4)?,
            kind: CallKind::from_name(row.get_ref(5)?.as_str()?).ok_or_else(|| foreign(5))?,
            iterators,
            sent_at: UnixTime::from_nanos(number(8)?),
            expires_at: UnixTime::from_secs(u64::try_from(expires_at).map_err(|_| foreign(9))?),
            under_way_for: None,
        };
        Ok(Self { fence: row.get(2)?, call })
    }
}

/// The entries of one session, or of all. By session, and in the order of their iterators.
pub(super) fn read(connection: &Connection, session_id: Option<Uuid>) -> rusqlite::Result<Vec<Entry>> {
    let condition = if session_id.is_some() { "session_id = ?1" } else { "?1 IS NULL" };
    let query = format!(
        "SELECT session_id, request_id, fence, method, path, kind, first_iterator, last_iterator, sent_at, expires_at
         FROM calls WHERE {condition} ORDER BY session_id, first_iterator"
    );
    let id = session_id.as_ref().map(Uuid::as_bytes);
    connection.prepare_cached(&query)?.query_map([id], |row| Entry::try_from(row))?.collect()
}

/// Records the call of a lease. An attempt whose result was lost may have recorded it before.
pub(super) fn insert(
    connection: &Connection,
    session_id: Uuid,
    fence: i64,
    call: &CallIntent,
    iterators: RangeInclusive<u64>,
    sent_at: UnixTime,
) -> rusqlite::Result<()> {
    let call = PendingCall::new(session_id, call, iterators, sent_at);
    connection
        .prepare_cached("INSERT OR REPLACE INTO calls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?
        .execute(params![
            session_id.as_bytes(),
            call.request_id.as_bytes(),
            fence,
            call.method,
            call.path,
            call.kind.name(),
            call.iterators.start().to_be_bytes(),
            call.iterators.end().to_be_bytes(),
            sent_at.as_nanos().unwrap_or(u64::MAX).to_be_bytes(),
            seconds(call.expires_at.secs()),
        ])?;
    Ok(())
}

/// The fence of an entry's lease.
pub(super) fn fence(connection: &Connection, session_id: Uuid, request_id: Uuid) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT fence FROM calls WHERE session_id = ?1 AND request_id = ?2")?
        .query_row([session_id.as_bytes(), request_id.as_bytes()], |row| row.get(0))
        .optional()
}

/// Removes an entry. Returns whether there was one.
pub(super) fn remove(connection: &Connection, session_id: Uuid, request_id: Uuid) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("DELETE FROM calls WHERE session_id = ?1 AND request_id = ?2")?
        .execute([session_id.as_bytes(), request_id.as_bytes()])
        .map(|removed| removed > 0)
}

/// Drops verifications that expired long ago.
pub(super) fn drop_verifications(connection: &Connection, session_id: Uuid, now: UnixTime) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM calls WHERE session_id = ?1 AND kind = ?2 AND expires_at < ?3")?
        .execute(params![session_id.as_bytes(), CallKind::VerifyPin.name(), seconds(oldest_verification(now))])?;
    Ok(())
}

/// Whether the session has entries.
pub(super) fn any(connection: &Connection, session_id: Uuid) -> rusqlite::Result<bool> {
    let query = "SELECT EXISTS (SELECT 1 FROM calls WHERE session_id = ?1)";
    connection.query_row(query, [session_id.as_bytes()], |row| row.get(0))
}

/// The greatest iterator of the session's entries.
pub(super) fn greatest(connection: &Connection, session_id: Uuid) -> rusqlite::Result<Option<u64>> {
    connection
        .prepare_cached("SELECT max(last_iterator) FROM calls WHERE session_id = ?1")?
        .query_row([session_id.as_bytes()], |row| row.get::<_, Option<_>>(0))
        .map(|greatest| greatest.map(u64::from_be_bytes))
}

/// The sessions whose record is behind their entries or missing, and how far it is behind.
pub(super) fn records_behind(connection: &Connection) -> rusqlite::Result<Vec<(Uuid, Duration)>> {
    let query = "SELECT session_id, max(calls.last_iterator), sessions.last_iterator
                 FROM calls LEFT JOIN sessions USING (session_id) GROUP BY session_id";
    let behind = |row: &Row<'_>| {
        let (greatest, last) =
            (u64::from_be_bytes(row.get(1)?), row.get::<_, Option<_>>(2)?.map_or(0, u64::from_be_bytes));
        Ok((Uuid::from_bytes(row.get(0)?), Duration::from_nanos(greatest.saturating_sub(last))))
    };
    let mut found = connection.prepare_cached(query)?.query_map([], behind)?.collect::<rusqlite::Result<Vec<_>>>()?;
    found.retain(|(_, by)| !by.is_zero());
    Ok(found)
}

/// Seconds since 1970 as a SQLite integer.
fn seconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}
