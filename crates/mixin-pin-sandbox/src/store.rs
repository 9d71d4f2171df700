//! What the sandbox remembers: users and their sessions, iterators, tries, seen request ids and logs.
//!
//! In SQLite, in memory or in a file. Every decision about a PIN runs in one transaction, so that no two calls can
//! share a try or an iterator. No table grows beyond its [`Room`].

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, PinKey};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use crate::Error;
use crate::pin_hash::PinHash;

/// Raised when the tables change.
const VERSION: i64 = 6;

/// How long another that has the file open is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes version 5 of version 4.
const AUTHORIZATIONS_IN_ORDER: &str = "
    ALTER TABLE authorizations ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX waiting_authorizations ON authorizations (asked) WHERE user_id IS NULL;
";

/// Makes version 6 of version 5: counts the rows of `requests`, which is asked at every call, by session and under '' all
/// of them. In the file, for all that have it open.
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
        -- An app's owner; of everybody else none.
        owner_id TEXT,
        -- Eight bytes, big-endian: SQLite's integers have a sign.
        last_iterator BLOB NOT NULL,
        tries_day INTEGER NOT NULL DEFAULT 0,
        tries_used INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE authorizations (
        authorization_id TEXT PRIMARY KEY,
        app_id TEXT NOT NULL,
        code_challenge TEXT NOT NULL,
        -- What is asked for, then what is granted.
        scope TEXT NOT NULL,
        -- Set when the user approves.
        user_id TEXT,
        code TEXT UNIQUE,
        -- Set when the code is exchanged, and then the code is spent.
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

/// How many rows each table may have. A table that is full forgets its oldest, where that may be forgotten, or takes no more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Users, who are never forgotten.
    pub(crate) users: u32,
    /// Authorizations that wait for a user: the oldest goes.
    pub(crate) waiting: u32,
    /// Authorizations that a user approved, which stay.
    pub(crate) approved: u32,
    /// Request ids, which stay until their tokens expire; and those of one session, so that none fills it for others.
    pub(crate) requests: u32,
    pub(crate) requests_of_session: u32,
    /// Entries of the log, and those of one user: the oldest goes.
    pub(crate) logs: u32,
    pub(crate) logs_of_user: u32,
}

impl Default for Room {
    /// A few hundred megabytes when all of it is taken.
    fn default() -> Self {
        Self {
            users: 20_000,
            waiting: 1_000,
            approved: 20_000,
            requests: 400_000,
            requests_of_session: 100_000,
            logs: 100_000,
            logs_of_user: 1_000,
        }
    }
}

/// What became of a request id.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    New,
    /// It was seen before.
    Repeated,
    /// There is no room to remember it.
    Full,
}

/// A user with its one session.
pub(crate) struct UserRow {
    pub(crate) number: i64,
    pub(crate) user_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) is_app: bool,
    pub(crate) full_name: String,
    pub(crate) session_secret: String,
    pub(crate) pin_key: PinKey,
    pub(crate) pin_hash: Option<PinHash>,
    /// Takes the digits' place for good.
    pub(crate) tip_key: Option<Ed25519PublicKey>,
    pub(crate) tip_counter: i64,
    /// Set when the user has registered with the safe.
    pub(crate) safe_key: Option<Ed25519PublicKey>,
    pub(crate) last_iterator: u64,
    pub(crate) tries_day: i64,
    pub(crate) tries_used: u32,
    pub(crate) created_at: i64,
}

/// A user about to be registered.
pub(crate) struct NewUser<'a> {
    pub(crate) user_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) is_app: bool,
    pub(crate) full_name: &'a str,
    pub(crate) session_secret: &'a str,
    pub(crate) pin_key: &'a PinKey,
    pub(crate) created_at: i64,
}

/// An authorization, as far as it got.
pub(crate) struct AuthorizationRow {
    pub(crate) authorization_id: Uuid,
    pub(crate) app_id: Uuid,
    pub(crate) code_challenge: String,
    pub(crate) scope: String,
    pub(crate) user_id: Option<Uuid>,
    pub(crate) app_key: Option<Ed25519PublicKey>,
    pub(crate) server_key: Option<Ed25519Key>,
}

/// An entry of the log. Times are nanoseconds since 1970.
pub(crate) struct LogRow {
    pub(crate) log_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) code: String,
    pub(crate) ip_address: String,
    pub(crate) created_at: i64,
}

pub(crate) struct Store {
    connection: Mutex<Connection>,
    room: Room,
}

impl Store {
    pub(crate) fn open(path: Option<&Path>, room: Room) -> Result<Self, Error> {
        let connection = match path {
            None => Connection::open_in_memory()?,
            Some(path) => {
                let path = for_owner_alone(path)?;
                // Without URIs; that a path is absolute keeps SQLite from reading anything else into it.
                let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let connection = Connection::open_with_flags(path, flags)?;
                connection.busy_timeout(PATIENCE)?;
                connection.pragma_update(None, "journal_mode", "WAL")?;
                // A try that was counted must survive the power cord.
                connection.pragma_update(None, "synchronous", "FULL")?;
                connection
            }
        };
        // More than there are statements, so that each is prepared once.
        connection.set_prepared_statement_cache_capacity(64);
        let store = Self { connection: Mutex::new(connection), room };
        store.write(|db| {
            let found: i64 = db.transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
            let missing: &[&str] = match found {
                VERSION => &[],
                5 => &[COUNT_REQUESTS],
                4 => &[AUTHORIZATIONS_IN_ORDER, COUNT_REQUESTS],
                0 => &[TABLES, AUTHORIZATIONS_IN_ORDER, COUNT_REQUESTS],
                _ => return Err(Error::DatabaseVersion { found }),
            };
            missing.iter().try_for_each(|step| db.transaction.execute_batch(step))?;
            Ok(db.transaction.pragma_update(None, "user_version", VERSION)?)
        })?;
        Ok(store)
    }

    /// Runs `work` in a transaction that is kept when it succeeds and undone when it fails.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Db<'_>) -> Result<T, Error>) -> Result<T, Error> {
        self.write_then(work, |result| result)
    }

    /// The same, and `then` what is to follow once the transaction is kept or undone, before the next begins.
    pub(crate) fn write_then<T, U>(
        &self,
        work: impl FnOnce(&Db<'_>) -> Result<T, Error>,
        then: impl FnOnce(Result<T, Error>) -> U,
    ) -> U {
        // A panic inside a transaction has undone it: the connection is good.
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        then(transact(&mut connection, self.room, work))
    }
}

fn transact<T>(
    connection: &mut Connection,
    room: Room,
    work: impl FnOnce(&Db<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let db = Db { transaction, room };
    let result = work(&db)?;
    db.transaction.commit()?;
    Ok(result)
}

/// Makes the database's file if it is missing, because SQLite would make it readable by others. Returns its whole path.
fn for_owner_alone(path: &Path) -> Result<PathBuf, Error> {
    let path = std::path::absolute(path).map_err(Error::DatabaseFile)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let found = options.open(&path).and_then(|file| file.metadata()).map_err(Error::DatabaseFile)?;
    if !found.is_file() {
        return Err(Error::DatabaseFile(io::Error::other("it is no regular file")));
    }
    #[cfg(unix)]
    refuse_exposed(&path)?;
    Ok(path)
}

/// Refuses a database that others can read or write, or what lies beside it: SQLite would play that back onto it.
#[cfg(unix)]
fn refuse_exposed(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt as _;

    const OTHERS: u32 = 0o066;
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        let path = PathBuf::from(name);
        let mode = match fs::metadata(&path) {
            Ok(found) => found.permissions().mode() & 0o777,
            // Those beside it come and go.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(Error::DatabaseFile(error)),
        };
        if mode & OTHERS != 0 {
            return Err(Error::DatabaseExposed { path, mode });
        }
    }
    Ok(())
}

/// An open transaction.
pub(crate) struct Db<'c> {
    transaction: Transaction<'c>,
    room: Room,
}

impl Db<'_> {
    pub(crate) fn app_keystore(&self) -> Result<Option<String>, Error> {
        Ok(self.transaction.query_row("SELECT keystore FROM app", [], |row| row.get(0)).optional()?)
    }

    pub(crate) fn set_app_keystore(&self, keystore: &str) -> Result<(), Error> {
        self.transaction.execute("INSERT INTO app (one, keystore) VALUES (1, ?1)", [keystore])?;
        Ok(())
    }

    /// Adds a user, unless there is no room for one more.
    pub(crate) fn add_user(&self, user: &NewUser<'_>) -> Result<Option<UserRow>, Error> {
        // Users are numbered in their order, and none ever goes.
        let users: i64 =
            self.transaction.query_row("SELECT COALESCE(MAX(number), 0) FROM users", [], |row| row.get(0))?;
        if users >= i64::from(self.room.users) {
            return Ok(None);
        }
        self.transaction.execute(
            "INSERT INTO users (user_id, session_id, is_app, full_name, session_secret, pin_key, last_iterator, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                user.user_id.to_string(),
                user.session_id.to_string(),
                user.is_app,
                user.full_name,
                user.session_secret,
                user.pin_key.expose().as_slice(),
                0_u64.to_be_bytes().as_slice(),
                user.created_at,
            ],
        )?;
        self.user_of_session(user.session_id)?.ok_or(Error::DatabaseContent).map(Some)
    }

    pub(crate) fn user_of_session(&self, session_id: Uuid) -> Result<Option<UserRow>, Error> {
        let mut query = self.transaction.prepare_cached("SELECT * FROM users WHERE session_id = ?1")?;
        query.query_row([session_id.to_string()], |row| Ok(read_user(row))).optional()?.transpose()
    }

    /// Notes a request id, if it is new. Ids of expired tokens are forgotten.
    pub(crate) fn note_request(
        &self,
        session_id: Uuid,
        request_id: Uuid,
        expires_at: u64,
        now: u64,
    ) -> Result<Noted, Error> {
        self.transaction.prepare_cached("DELETE FROM requests WHERE expires_at <= ?1")?.execute([clamp(now)])?;
        let session_id = session_id.to_string();
        let id = params![session_id, request_id.to_string()];
        let mut seen =
            self.transaction.prepare_cached("SELECT 1 FROM requests WHERE session_id = ?1 AND request_id = ?2")?;
        if seen.exists(id)? {
            return Ok(Noted::Repeated);
        }
        let mut count = self.transaction.prepare_cached("SELECT requests FROM counts WHERE session_id = ?1")?;
        let mut count = |of: &str| Ok::<_, Error>(count.query_row([of], |row| row.get(0)).optional()?.unwrap_or(0_u32));
        if count("")? >= self.room.requests || count(&session_id)? >= self.room.requests_of_session {
            return Ok(Noted::Full);
        }
        self.transaction
            .prepare_cached("INSERT INTO requests (session_id, request_id, expires_at) VALUES (?1, ?2, ?3)")?
            .execute(params![session_id, request_id.to_string(), clamp(expires_at)])?;
        Ok(Noted::New)
    }

    pub(crate) fn spend_iterator(&self, session_id: Uuid, iterator: u64) -> Result<(), Error> {
        self.transaction
            .prepare_cached("UPDATE users SET last_iterator = ?2 WHERE session_id = ?1")?
            .execute(params![session_id.to_string(), iterator.to_be_bytes().as_slice()])?;
        Ok(())
    }

    pub(crate) fn set_tries(&self, session_id: Uuid, day: i64, used: u32) -> Result<(), Error> {
        self.transaction
            .prepare_cached("UPDATE users SET tries_day = ?2, tries_used = ?3 WHERE session_id = ?1")?
            .execute(params![session_id.to_string(), day, used])?;
        Ok(())
    }

    pub(crate) fn set_pin(&self, session_id: Uuid, pin_hash: &PinHash) -> Result<(), Error> {
        self.transaction
            .prepare_cached("UPDATE users SET pin_hash = ?2 WHERE session_id = ?1")?
            .execute(params![session_id.to_string(), pin_hash.as_bytes().as_slice()])?;
        Ok(())
    }

    pub(crate) fn set_tip_key(&self, session_id: Uuid, key: &Ed25519PublicKey, counter: i64) -> Result<(), Error> {
        self.transaction
            .prepare_cached("UPDATE users SET pin_hash = NULL, tip_key = ?2, tip_counter = ?3 WHERE session_id = ?1")?
            .execute(params![session_id.to_string(), key.as_bytes().as_slice(), counter])?;
        Ok(())
    }

    pub(crate) fn user(&self, user_id: Uuid) -> Result<Option<UserRow>, Error> {
        let mut query = self.transaction.prepare_cached("SELECT * FROM users WHERE user_id = ?1")?;
        query.query_row([user_id.to_string()], |row| Ok(read_user(row))).optional()?.transpose()
    }

    /// So many users, newest first.
    pub(crate) fn newest_users(&self, limit: u32) -> Result<Vec<UserRow>, Error> {
        let mut query = self.transaction.prepare_cached("SELECT * FROM users ORDER BY number DESC LIMIT ?1")?;
        query.query_map([limit], |row| Ok(read_user(row)))?.map(|user| user?).collect()
    }

    pub(crate) fn set_safe_key(&self, session_id: Uuid, key: &Ed25519PublicKey) -> Result<(), Error> {
        self.transaction
            .prepare_cached("UPDATE users SET safe_key = ?2 WHERE session_id = ?1")?
            .execute(params![session_id.to_string(), key.as_bytes().as_slice()])?;
        Ok(())
    }

    pub(crate) fn set_owner(&self, app_id: Uuid, owner_id: Uuid) -> Result<(), Error> {
        self.transaction
            .prepare_cached("UPDATE users SET owner_id = ?2 WHERE user_id = ?1")?
            .execute(params![app_id.to_string(), owner_id.to_string()])?;
        Ok(())
    }

    pub(crate) fn add_authorization(
        &self,
        authorization_id: Uuid,
        app_id: Uuid,
        scope: &str,
        code_challenge: &str,
    ) -> Result<(), Error> {
        self.transaction
            .prepare_cached(
                "DELETE FROM authorizations WHERE user_id IS NULL AND asked <= (
                     SELECT asked FROM authorizations WHERE user_id IS NULL ORDER BY asked DESC LIMIT 1 OFFSET ?1 - 1)",
            )?
            .execute([self.room.waiting])?;
        self.transaction
            .prepare_cached(
                "INSERT INTO authorizations (authorization_id, app_id, scope, code_challenge, asked) VALUES (?1, ?2, ?3, ?4,
                     (SELECT COALESCE(MAX(asked), 0) + 1 FROM authorizations WHERE user_id IS NULL))",
            )?
            .execute(params![authorization_id.to_string(), app_id.to_string(), scope, code_challenge])?;
        Ok(())
    }

    pub(crate) fn authorization(&self, authorization_id: Uuid) -> Result<Option<AuthorizationRow>, Error> {
        self.find_authorization("authorization_id", &authorization_id.to_string())
    }

    pub(crate) fn authorization_of_code(&self, code: &str) -> Result<Option<AuthorizationRow>, Error> {
        self.find_authorization("code", code)
    }

    fn find_authorization(&self, column: &str, value: &str) -> Result<Option<AuthorizationRow>, Error> {
        let mut query =
            self.transaction.prepare_cached(&format!("SELECT * FROM authorizations WHERE {column} = ?1"))?;
        query.query_row([value], |row| Ok(read_authorization(row))).optional()?.transpose()
    }

    /// Whether one more authorization can be approved.
    pub(crate) fn has_room_to_approve(&self) -> Result<bool, Error> {
        let mut count =
            self.transaction.prepare_cached("SELECT COUNT(*) FROM authorizations WHERE user_id IS NOT NULL")?;
        Ok(count.query_row([], |row| row.get::<_, u32>(0))? < self.room.approved)
    }

    pub(crate) fn approve(&self, authorization_id: Uuid, user_id: Uuid, scope: &str, code: &str) -> Result<(), Error> {
        self.transaction
            .prepare_cached(
                "UPDATE authorizations SET user_id = ?2, scope = ?3, code = ?4 WHERE authorization_id = ?1",
            )?
            .execute(params![authorization_id.to_string(), user_id.to_string(), scope, code])?;
        Ok(())
    }

    /// Notes the keys of both sides, and forgets the code.
    pub(crate) fn open_authorization(
        &self,
        authorization_id: Uuid,
        app_key: &Ed25519PublicKey,
        server_key: &Ed25519Key,
    ) -> Result<(), Error> {
        self.transaction
            .prepare_cached(
                "UPDATE authorizations SET code = NULL, app_key = ?2, server_seed = ?3 WHERE authorization_id = ?1",
            )?
            .execute(params![
                authorization_id.to_string(),
                app_key.as_bytes().as_slice(),
                server_key.expose_seed().as_slice()
            ])?;
        Ok(())
    }

    pub(crate) fn add_log(&self, log: &LogRow) -> Result<(), Error> {
        self.transaction
            .prepare_cached(
                "INSERT INTO logs (log_id, user_id, code, ip_address, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                log.log_id.to_string(),
                log.user_id.to_string(),
                log.code,
                log.ip_address,
                log.created_at
            ])?;
        self.transaction
            .prepare_cached("DELETE FROM logs WHERE number <= (SELECT MAX(number) FROM logs) - ?1")?
            .execute([self.room.logs])?;
        self.transaction
            .prepare_cached(
                "DELETE FROM logs WHERE user_id = ?1 AND number <= (
                     SELECT number FROM logs WHERE user_id = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
            )?
            .execute(params![log.user_id.to_string(), self.room.logs_of_user])?;
        Ok(())
    }

    /// Entries before a time, newest first.
    pub(crate) fn logs(&self, user_id: Uuid, code: Option<&str>, before: i64, limit: u8) -> Result<Vec<LogRow>, Error> {
        let mut query = self.transaction.prepare_cached(
            "SELECT log_id, code, ip_address, created_at FROM logs
             WHERE user_id = ?1 AND (?2 IS NULL OR code = ?2) AND created_at < ?3 ORDER BY number DESC LIMIT ?4",
        )?;
        let rows = query.query_map(params![user_id.to_string(), code, before, limit], |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?;
        rows.map(|row| {
            let (log_id, code, ip_address, created_at) = row?;
            Ok(LogRow { log_id: parse_uuid(&log_id)?, user_id, code, ip_address, created_at })
        })
        .collect()
    }
}

fn read_user(row: &Row<'_>) -> Result<UserRow, Error> {
    let pin_hash: Option<Vec<u8>> = row.get("pin_hash")?;
    let last_iterator: Vec<u8> = row.get("last_iterator")?;
    Ok(UserRow {
        number: row.get("number")?,
        user_id: parse_uuid(&row.get::<_, String>("user_id")?)?,
        session_id: parse_uuid(&row.get::<_, String>("session_id")?)?,
        is_app: row.get("is_app")?,
        full_name: row.get("full_name")?,
        session_secret: row.get("session_secret")?,
        pin_key: PinKey::from_bytes(&row.get::<_, Vec<u8>>("pin_key")?)?,
        pin_hash: pin_hash.map(|hash| PinHash::from_bytes(&hash)).transpose()?,
        tip_key: read_key(row, "tip_key")?,
        tip_counter: row.get("tip_counter")?,
        safe_key: read_key(row, "safe_key")?,
        last_iterator: u64::from_be_bytes(last_iterator.try_into().map_err(|_| Error::DatabaseContent)?),
        tries_day: row.get("tries_day")?,
        tries_used: row.get("tries_used")?,
        created_at: row.get("created_at")?,
    })
}

fn read_authorization(row: &Row<'_>) -> Result<AuthorizationRow, Error> {
    let user_id: Option<String> = row.get("user_id")?;
    let server_seed: Option<Vec<u8>> = row.get("server_seed")?;
    Ok(AuthorizationRow {
        authorization_id: parse_uuid(&row.get::<_, String>("authorization_id")?)?,
        app_id: parse_uuid(&row.get::<_, String>("app_id")?)?,
        code_challenge: row.get("code_challenge")?,
        scope: row.get("scope")?,
        user_id: user_id.as_deref().map(parse_uuid).transpose()?,
        app_key: read_key(row, "app_key")?,
        server_key: server_seed.map(|seed| Ed25519Key::from_bytes(&seed)).transpose()?,
    })
}

fn read_key(row: &Row<'_>, column: &str) -> Result<Option<Ed25519PublicKey>, Error> {
    let bytes: Option<Vec<u8>> = row.get(column)?;
    Ok(bytes.map(|bytes| Ed25519PublicKey::from_bytes(&bytes)).transpose()?)
}

fn parse_uuid(text: &str) -> Result<Uuid, Error> {
    text.parse().map_err(|_| Error::DatabaseContent)
}

/// Seconds that no clock reaches are as good as forever.
fn clamp(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room =
        Room { users: 2, waiting: 3, approved: 2, requests: 5, requests_of_session: 3, logs: 6, logs_of_user: 4 };

    fn store() -> Store {
        Store::open(None, ROOM).unwrap()
    }

    fn has_room(db: &Db<'_>) -> Result<bool, Error> {
        db.has_room_to_approve()
    }

    fn add_user(store: &Store, id: u128) -> bool {
        let user = NewUser {
            user_id: Uuid::from_u128(id),
            session_id: Uuid::from_u128(id),
            is_app: false,
            full_name: "x",
            session_secret: "x",
            pin_key: &PinKey::from_bytes(&[1; 32]).unwrap(),
            created_at: 0,
        };
        store.write(|db| db.add_user(&user)).unwrap().is_some()
    }

    #[test]
    fn users_stay_and_no_more_are_taken_than_there_is_room_for() {
        let store = store();
        assert_eq!([1, 2, 3, 4].map(|id| add_user(&store, id)), [true, true, false, false]);
        assert_eq!(store.write(|db| db.newest_users(9)).unwrap().len(), 2);
    }

    #[test]
    fn request_ids_stay_until_they_expire_and_no_session_fills_the_table_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.db");
        let mut store = Store::open(Some(&path), ROOM).unwrap();
        let note = |store: &Store, session, id: u32, now| {
            store
                .write(|db| {
                    db.note_request(Uuid::from_u128(session), Uuid::from_u128(id.into()), 100 + u64::from(id), now)
                })
                .unwrap()
        };
        assert_eq!([1, 2, 3, 4].map(|id| note(&store, 1, id, 0)), [Noted::New, Noted::New, Noted::New, Noted::Full]);
        assert_eq!(note(&store, 1, 2, 0), Noted::Repeated, "what is noted is known, full or not");
        assert_eq!([1, 2, 3].map(|id| note(&store, 2, id, 0)), [Noted::New, Noted::New, Noted::Full], "of all");
        // A restart counts again.
        drop(store);
        store = Store::open(Some(&path), ROOM).unwrap();
        assert_eq!(note(&store, 2, 3, 0), Noted::Full);
        assert_eq!(note(&store, 1, 4, 101), Noted::New, "the first has expired, of both");
        assert_eq!(note(&store, 1, 5, 101), Noted::Full);
        assert_eq!(note(&store, 2, 3, 101), Noted::New);
        assert_eq!(note(&store, 3, 1, 101), Noted::Full);
        assert_eq!(note(&store, 3, 1, 1000), Noted::New);
    }

    #[test]
    fn two_that_share_a_file_count_the_same_request_ids() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sandbox.db");
        let [first, second] = [(); 2].map(|()| Store::open(Some(&path), ROOM).unwrap());
        let note = |store: &Store, id, now| {
            store.write(|db| db.note_request(Uuid::nil(), Uuid::from_u128(id), 100, now)).unwrap()
        };
        assert_eq!([1, 2, 3].map(|id| note(&first, id, 0)), [Noted::New, Noted::New, Noted::New]);
        assert_eq!(note(&second, 3, 0), Noted::Repeated);
        assert_eq!(note(&second, 4, 0), Noted::Full);
        // One forgets what the other noted.
        assert_eq!(note(&second, 5, 100), Noted::New);
        assert_eq!(note(&first, 6, 100), Noted::New);
    }

    #[test]
    fn a_call_that_fails_leaves_the_counts_as_they_were() {
        let store = store();
        for id in 1..9 {
            let failed: Result<(), Error> = store.write(|db| {
                assert_eq!(db.note_request(Uuid::nil(), Uuid::from_u128(id), 100, 0)?, Noted::New);
                Err(Error::DatabaseContent)
            });
            assert!(failed.is_err());
        }
    }

    #[test]
    fn the_oldest_authorization_that_waits_is_forgotten_and_no_approved_one() {
        let store = store();
        let is_there = |id| store.write(|db| db.authorization(Uuid::from_u128(id))).unwrap().is_some();
        let ask = |id| store.write(|db| db.add_authorization(Uuid::from_u128(id), Uuid::nil(), "x", "x")).unwrap();
        let approve = |id| {
            store.write(|db| db.approve(Uuid::from_u128(id), Uuid::nil(), "x", &format!("{id}"))).unwrap();
        };
        // Their order is that of asking, not of their ids.
        [9, 8, 7].into_iter().for_each(ask);
        approve(9);
        [6, 5, 4].into_iter().for_each(ask);
        assert_eq!([9, 8, 7, 6, 5, 4].map(is_there), [true, false, false, true, true, true]);
        assert!(store.write(has_room).unwrap());
        approve(6);
        assert!(!store.write(has_room).unwrap());
    }

    #[test]
    fn the_oldest_entries_of_the_log_are_forgotten_each_users_own_first() {
        let store = store();
        let log = |user| {
            let log_id = Uuid::from_u128(7);
            let (code, ip_address) = ("x".to_owned(), "x".to_owned());
            let row = LogRow { log_id, user_id: Uuid::from_u128(user), code, ip_address, created_at: 0 };
            store.write(|db| db.add_log(&row)).unwrap();
        };
        let count = |user| store.write(|db| db.logs(Uuid::from_u128(user), None, 1, 100)).unwrap().len();
        [1, 1].into_iter().for_each(log);
        (0..4).for_each(|_| log(2));
        assert_eq!((count(1), count(2)), (2, 4));
        log(2);
        assert_eq!((count(1), count(2)), (1, 4), "of all");
        (0..40).for_each(|_| log(2));
        assert_eq!((count(1), count(2)), (0, 4));
    }

    #[test]
    fn databases_of_the_versions_before_are_taken_over() {
        for (version, steps) in [(4, &[TABLES][..]), (5, &[TABLES, AUTHORIZATIONS_IN_ORDER])] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("sandbox.db");
            let old = Connection::open(for_owner_alone(&path).unwrap()).unwrap();
            for step in steps {
                old.execute_batch(step).unwrap();
            }
            old.execute_batch(&format!(
                "INSERT INTO authorizations (authorization_id, app_id, scope, code_challenge)
                     VALUES ('00000000-0000-0000-0000-000000000009', '00000000-0000-0000-0000-000000000001', 'x', 'x');
                 INSERT INTO requests VALUES ('00000000-0000-0000-0000-000000000001', 'x', 9),
                     ('00000000-0000-0000-0000-000000000001', 'y', 9), ('00000000-0000-0000-0000-000000000001', 'z', 9);
                 PRAGMA user_version = {version}",
            ))
            .unwrap();
            drop(old);
            for _ in 0..2 {
                let store = Store::open(Some(&path), ROOM).unwrap();
                assert!(store.write(|db| db.authorization(Uuid::from_u128(9))).unwrap().is_some());
                let noted = store.write(|db| db.note_request(Uuid::from_u128(1), Uuid::nil(), 100, 8)).unwrap();
                assert_eq!(noted, Noted::Full, "what was noted before is counted");
            }
        }
    }
}
