//! The tables, and the migration of databases that older versions made.

use super::{Transaction, sqlite_error};
use crate::Error;

/// Grows with every change of the tables.
const VERSION: i64 = 9;

const TABLES: &str = "
    CREATE TABLE app (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        keystore TEXT NOT NULL
    ) STRICT;
    CREATE TABLE users (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id TEXT NOT NULL UNIQUE,
        session_id TEXT NOT NULL UNIQUE,
        is_app INTEGER NOT NULL,
        full_name TEXT NOT NULL,
        session_secret TEXT NOT NULL,
        pin_key BLOB NOT NULL,
        pin_hash BLOB,
        tip_key BLOB,
        tip_counter INTEGER NOT NULL DEFAULT 0,
        safe_key BLOB,
        -- The owner of an app.
        owner_id TEXT,
        -- Eight bytes, big-endian: SQLite's integers are signed.
        last_iterator BLOB NOT NULL,
        tries_day INTEGER NOT NULL DEFAULT 0,
        tries_used INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE authorizations (
        authorization_id TEXT PRIMARY KEY,
        app_id TEXT NOT NULL,
        code_challenge TEXT NOT NULL,
        -- What the app requests, then what the user grants.
        scope TEXT NOT NULL,
        -- Set when the user approves.
        user_id TEXT,
        code TEXT UNIQUE,
        -- Set when the code is exchanged, which clears the code.
        app_key BLOB,
        server_seed BLOB
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE requests (
        session_id TEXT NOT NULL,
        request_id TEXT NOT NULL,
        expires_at INTEGER NOT NULL,
        PRIMARY KEY (session_id, request_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX requests_by_expiry ON requests (expires_at);
    CREATE TABLE logs (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        log_id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        code TEXT NOT NULL,
        ip_address TEXT NOT NULL,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX logs_by_user ON logs (user_id);
";

/// From version 4 to 5.
const ORDER_AUTHORIZATIONS: &str = "
    ALTER TABLE authorizations ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX waiting_authorizations ON authorizations (asked) WHERE user_id IS NULL;
";

/// From version 5 to 6: keeps the number of rows of `requests`, because every call reads it. One row per session, and
/// one with an empty id for all of them.
const COUNT_REQUESTS: &str = "
    CREATE TABLE counts (
        session_id TEXT PRIMARY KEY,
        requests INTEGER NOT NULL CHECK (requests >= 0)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO counts SELECT session_id, COUNT(*) FROM requests GROUP BY session_id;
    INSERT INTO counts SELECT '', COUNT(*) FROM requests;
    CREATE TRIGGER request_noted AFTER INSERT ON requests BEGIN
        INSERT INTO counts VALUES ('', 1), (new.session_id, 1)
            ON CONFLICT DO UPDATE SET requests = requests + 1;
    END;
    CREATE TRIGGER request_forgotten AFTER DELETE ON requests BEGIN
        UPDATE counts SET requests = requests - 1 WHERE session_id IN ('', old.session_id);
        DELETE FROM counts WHERE requests = 0 AND session_id = old.session_id;
    END;
";

/// From version 6 to 7.
const KEEP_PIN_TOKENS: &str = "
    -- What the server gave for the PIN key, as answers show it. Unknown of sessions from older versions.
    ALTER TABLE users ADD COLUMN pin_token TEXT;
";

/// From version 7 to 8: a row for each try, in place of a count for the UTC day. The log has the times of the older ones.
/// Payments are remembered.
const TRIES_AND_PAYMENTS: &str = "
    CREATE TABLE tries (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        session_id TEXT NOT NULL,
        at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX tries_by_session ON tries (session_id, at);
    INSERT INTO tries (session_id, at)
        SELECT users.session_id, logs.created_at FROM logs JOIN users USING (user_id)
            WHERE logs.code = 'PIN_INCORRECT' ORDER BY logs.number;
    ALTER TABLE users DROP COLUMN tries_day;
    ALTER TABLE users DROP COLUMN tries_used;
    CREATE TABLE payments (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        trace_id TEXT NOT NULL UNIQUE,
        user_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        -- What makes two payments the same.
        fields TEXT NOT NULL,
        receipt TEXT NOT NULL
    ) STRICT;
";

/// From version 8 to 9: sessions get new keys and end.
const SESSIONS_CHANGE: &str = "
    -- The key of the PIN's hash: it was the PIN key, which changes with the session's key.
    ALTER TABLE users ADD COLUMN hash_key BLOB NOT NULL DEFAULT x'';
    UPDATE users SET hash_key = pin_key;
    -- The server's key for the PIN key, of a session that got a new key.
    ALTER TABLE users ADD COLUMN server_key BLOB;
    ALTER TABLE users ADD COLUMN logged_out INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE users ADD COLUMN deactivated INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE users ADD COLUMN salt TEXT;
    ALTER TABLE users ADD COLUMN salt_exported_at INTEGER;
    ALTER TABLE users ADD COLUMN emergency_contact TEXT;
    -- The first session of each user whose session has changed.
    CREATE TABLE origins (
        user_id TEXT PRIMARY KEY,
        session_id TEXT NOT NULL UNIQUE,
        session_secret TEXT NOT NULL,
        pin_key BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
";

/// The first step makes version 4, each later one the next version.
const STEPS: [&str; 6] =
    [TABLES, ORDER_AUTHORIZATIONS, COUNT_REQUESTS, KEEP_PIN_TOKENS, TRIES_AND_PAYMENTS, SESSIONS_CHANGE];

/// Brings a new or older database to this version.
pub(super) fn migrate(transaction: &Transaction<'_>) -> Result<(), Error> {
    let sqlite = &transaction.inner;
    let found = sqlite.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite_error)?;
    let done = match found {
        0 => 0,
        4..=VERSION => usize::try_from(found - 3).map_err(|_| Error::DatabaseVersion { found })?,
        _ => return Err(Error::DatabaseVersion { found }),
    };
    STEPS[done..].iter().try_for_each(|step| sqlite.execute_batch(step)).map_err(sqlite_error)?;
    sqlite.pragma_update(None, "user_version", VERSION).map_err(sqlite_error)
}

#[cfg(test)]
mod tests {
    use mixin_pin_core::uuid::Uuid;
    use rusqlite::Connection;

    use super::super::tests::CAPACITY;
    use super::super::{Database, RequestId, private_file};
    use super::*;

    /// From here on the database has the tries beside the log.
    const TRIES_SINCE: i64 = 8;
    /// From here on a user has a hash key.
    const HASH_KEYS_SINCE: i64 = 9;

    #[test]
    fn older_databases_are_migrated() {
        assert_eq!(usize::try_from(VERSION), Ok(STEPS.len() + 3));
        for version in 4..=VERSION {
            let steps = &STEPS[..usize::try_from(version - 3).unwrap()];
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("sandbox.db");
            let old = Connection::open(private_file(&path).unwrap()).unwrap();
            for step in steps {
                old.execute_batch(step).unwrap();
            }
            old.execute_batch(&format!(
                "INSERT INTO authorizations (authorization_id, app_id, scope, code_challenge)
                     VALUES ('00000000-0000-0000-0000-000000000009', '00000000-0000-0000-0000-000000000001', 'x', 'x');
                 INSERT INTO requests VALUES ('00000000-0000-0000-0000-000000000001', 'x', 9),
                     ('00000000-0000-0000-0000-000000000001', 'y', 9), ('00000000-0000-0000-0000-000000000001', 'z', 9);
                 INSERT INTO users (user_id, session_id, is_app, full_name, session_secret, pin_key, last_iterator,
                         created_at)
                     VALUES ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000003', 0, 'x', 'x',
                         zeroblob(32), zeroblob(8), 0);
                 INSERT INTO logs (log_id, user_id, code, ip_address, created_at)
                     VALUES ('00000000-0000-0000-0000-000000000004', '00000000-0000-0000-0000-000000000002',
                         'PIN_INCORRECT', '', 77);
                 PRAGMA user_version = {version}",
            ))
            .unwrap();
            if version >= HASH_KEYS_SINCE {
                old.execute_batch("UPDATE users SET hash_key = pin_key").unwrap();
            }
            drop(old);
            for _ in 0..2 {
                let database = Database::open(Some(&path), CAPACITY).unwrap();
                assert!(database.write(|tx| tx.authorization(Uuid::from_u128(9))).unwrap().is_some());
                let recorded =
                    database.write(|tx| tx.record_request(Uuid::from_u128(1), Uuid::nil(), 100, 8, false)).unwrap();
                assert_eq!(recorded, RequestId::Full, "older rows are counted");
                let tries = database.read(|tx| tx.tries(Uuid::from_u128(3), 76)).unwrap();
                assert_eq!(tries, u32::from(version < TRIES_SINCE), "wrong PINs of version {version} are known");
                let user = database.read(|tx| tx.user(Uuid::from_u128(2))).unwrap().unwrap();
                assert_eq!(user.hash_key.expose(), user.pin_key.expose(), "the PIN's hash is under the old PIN key");
                assert!(user.is_active() && database.read(|tx| tx.origin(Uuid::from_u128(3))).unwrap().is_none());
                assert_eq!((user.pin_token, user.last_iterator), (None, 0));
            }
        }
    }
}
