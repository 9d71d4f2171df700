//! Request ids that were seen, and the log of wrong PINs.

use mixin_pin_core::uuid::Uuid;
use rusqlite::params;

use super::{Transaction, column, uuid_column};
use crate::Error;

/// The result of recording a request id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RequestId {
    New,
    Repeated,
    /// The table is full.
    Full,
}

/// A log entry. Times are nanoseconds since 1970.
pub(crate) struct LogRow {
    pub(crate) log_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) code: String,
    pub(crate) ip_address: String,
    pub(crate) created_at: i64,
}

impl Transaction<'_> {
    /// Records a token's id if it is new, and drops the ids of expired tokens. Times are seconds since 1970. Reads fill half
    /// of the table at most, so that they leave room for changes.
    pub(crate) fn record_request(
        &self,
        session_id: Uuid,
        request_id: Uuid,
        expires_at: u64,
        now: u64,
        is_read: bool,
    ) -> Result<RequestId, Error> {
        self.execute("DELETE FROM requests WHERE expires_at <= ?1", [clamp(now)])?;
        let (session_id, request_id) = (session_id.to_string(), request_id.to_string());
        let seen = "SELECT 1 FROM requests WHERE session_id = ?1 AND request_id = ?2";
        if self.find(seen, [&session_id, &request_id], |_| Ok(()))?.is_some() {
            return Ok(RequestId::Repeated);
        }
        let count = |of: &str| self.count("SELECT requests FROM counts WHERE session_id = ?1", [of]);
        let room = |capacity: u32| if is_read { capacity / 2 } else { capacity };
        if count("")? >= room(self.capacity.requests) || count(&session_id)? >= room(self.capacity.requests_of_session)
        {
            return Ok(RequestId::Full);
        }
        self.execute(
            "INSERT INTO requests (session_id, request_id, expires_at) VALUES (?1, ?2, ?3)",
            params![session_id, request_id, clamp(expires_at)],
        )?;
        Ok(RequestId::New)
    }

    /// Adds an entry, and drops the oldest if there are too many.
    pub(crate) fn add_log(&self, log: &LogRow) -> Result<(), Error> {
        let user_id = log.user_id.to_string();
        self.execute(
            "INSERT INTO logs (log_id, user_id, code, ip_address, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![log.log_id.to_string(), user_id, log.code, log.ip_address, log.created_at],
        )?;
        self.execute("DELETE FROM logs WHERE number <= (SELECT MAX(number) FROM logs) - ?1", [self.capacity.logs])?;
        self.execute(
            "DELETE FROM logs WHERE user_id = ?1 AND number <= (
                 SELECT number FROM logs WHERE user_id = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
            params![user_id, self.capacity.logs_of_user],
        )
    }

    /// The user's entries before a time, newest first.
    pub(crate) fn logs(&self, user_id: Uuid, code: Option<&str>, before: i64, limit: u8) -> Result<Vec<LogRow>, Error> {
        self.list(
            "SELECT * FROM logs
             WHERE user_id = ?1 AND (?2 IS NULL OR code = ?2) AND created_at < ?3 ORDER BY number DESC LIMIT ?4",
            params![user_id.to_string(), code, before, limit],
            |row| {
                Ok(LogRow {
                    log_id: uuid_column(row, "log_id")?,
                    user_id,
                    code: column(row, "code")?,
                    ip_address: column(row, "ip_address")?,
                    created_at: column(row, "created_at")?,
                })
            },
        )
    }
}

/// Times beyond SQLite's integers never come.
fn clamp(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::Database;
    use super::super::tests::{CAPACITY, database};
    use super::*;

    #[test]
    fn request_ids_stay_until_they_expire_and_no_session_fills_the_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.db");
        let mut database = Database::open(Some(&path), CAPACITY).unwrap();
        let record = |database: &Database, session, id: u32, now| {
            database
                .write(|tx| {
                    tx.record_request(
                        Uuid::from_u128(session),
                        Uuid::from_u128(id.into()),
                        100 + u64::from(id),
                        now,
                        false,
                    )
                })
                .unwrap()
        };
        assert_eq!(
            [1, 2, 3, 4].map(|id| record(&database, 1, id, 0)),
            [RequestId::New, RequestId::New, RequestId::New, RequestId::Full]
        );
        assert_eq!(record(&database, 1, 2, 0), RequestId::Repeated, "a known id is refused as such, full or not");
        assert_eq!(
            [1, 2, 3].map(|id| record(&database, 2, id, 0)),
            [RequestId::New, RequestId::New, RequestId::Full],
            "the whole table is full"
        );
        // After a restart, too.
        drop(database);
        database = Database::open(Some(&path), CAPACITY).unwrap();
        assert_eq!(record(&database, 2, 3, 0), RequestId::Full);
        assert_eq!(record(&database, 1, 4, 101), RequestId::New, "the first id of each session has expired");
        assert_eq!(record(&database, 1, 5, 101), RequestId::Full);
        assert_eq!(record(&database, 2, 3, 101), RequestId::New);
        assert_eq!(record(&database, 3, 1, 101), RequestId::Full);
        assert_eq!(record(&database, 3, 1, 1000), RequestId::New);
    }

    #[test]
    fn reads_leave_room_for_changes() {
        let database = database();
        let record = |id, is_read| {
            database.write(|tx| tx.record_request(Uuid::nil(), Uuid::from_u128(id), 100, 0, is_read)).unwrap()
        };
        assert_eq!([1, 2].map(|id| record(id, true)), [RequestId::New, RequestId::Full]);
        assert_eq!([3, 4].map(|id| record(id, false)), [RequestId::New, RequestId::New]);
        assert_eq!(record(5, false), RequestId::Full);
    }

    #[test]
    fn sandboxes_that_share_a_file_share_request_ids() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.db");
        let [first, second] = [(); 2].map(|()| Database::open(Some(&path), CAPACITY).unwrap());
        let record = |database: &Database, id, now| {
            database.write(|tx| tx.record_request(Uuid::nil(), Uuid::from_u128(id), 100, now, false)).unwrap()
        };
        assert_eq!([1, 2, 3].map(|id| record(&first, id, 0)), [RequestId::New, RequestId::New, RequestId::New]);
        assert_eq!(record(&second, 3, 0), RequestId::Repeated);
        assert_eq!(record(&second, 4, 0), RequestId::Full);
        // Each drops what the other recorded.
        assert_eq!(record(&second, 5, 100), RequestId::New);
        assert_eq!(record(&first, 6, 100), RequestId::New);
    }

    #[test]
    fn a_failed_call_leaves_the_counts_unchanged() {
        let database = database();
        for id in 1..9 {
            let failed: Result<(), Error> = database.write(|tx| {
                assert_eq!(tx.record_request(Uuid::nil(), Uuid::from_u128(id), 100, 0, false)?, RequestId::New);
                Err(Error::DatabaseContent)
            });
            assert!(failed.is_err());
        }
    }

    #[test]
    fn the_oldest_log_entries_are_dropped_starting_with_the_users_own() {
        let database = database();
        let log = |user| {
            let log_id = Uuid::from_u128(7);
            let (code, ip_address) = ("x".to_owned(), "x".to_owned());
            let row = LogRow { log_id, user_id: Uuid::from_u128(user), code, ip_address, created_at: 0 };
            database.write(|tx| tx.add_log(&row)).unwrap();
        };
        let count = |user| database.write(|tx| tx.logs(Uuid::from_u128(user), None, 1, 100)).unwrap().len();
        [1, 1].into_iter().for_each(log);
        (0..4).for_each(|_| log(2));
        assert_eq!((count(1), count(2)), (2, 4));
        log(2);
        assert_eq!((count(1), count(2)), (1, 4), "the whole table is full");
        (0..40).for_each(|_| log(2));
        assert_eq!((count(1), count(2)), (0, 4));
    }
}
