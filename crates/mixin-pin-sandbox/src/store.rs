//! What the sandbox remembers: users and their sessions, iterators, tries, seen request ids and logs.
//!
//! In SQLite, in memory or in a file. Every decision about a PIN runs in one transaction, so that no two calls can
//! share a try or an iterator.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, PinKey};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use crate::Error;
use crate::pin_hash::PinHash;

/// Raised when the tables change.
const VERSION: i64 = 4;

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

pub(crate) struct Store(Mutex<Connection>);

impl Store {
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Error> {
        let connection = match path {
            None => Connection::open_in_memory()?,
            Some(path) => {
                create_for_owner(path)?;
                let connection = Connection::open(path)?;
                connection.pragma_update(None, "journal_mode", "WAL")?;
                // A try that was counted must survive the power cord.
                connection.pragma_update(None, "synchronous", "FULL")?;
                connection
            }
        };
        // More than there are statements, so that each is prepared once.
        connection.set_prepared_statement_cache_capacity(64);
        connection.busy_timeout(std::time::Duration::from_secs(10))?;
        let store = Self(Mutex::new(connection));
        store.write(|db| {
            let found: i64 = db.0.pragma_query_value(None, "user_version", |row| row.get(0))?;
            match found {
                VERSION => Ok(()),
                0 => {
                    db.0.execute_batch(TABLES)?;
                    Ok(db.0.pragma_update(None, "user_version", VERSION)?)
                }
                _ => Err(Error::DatabaseVersion { found }),
            }
        })?;
        Ok(store)
    }

    /// Runs `work` in a transaction that is kept when it succeeds and undone when it fails.
    pub(crate) fn write<T>(&self, work: impl FnOnce(&Db<'_>) -> Result<T, Error>) -> Result<T, Error> {
        // A panic inside a transaction has undone it: the connection is good.
        let mut connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let db = Db(connection.transaction_with_behavior(TransactionBehavior::Immediate)?);
        let result = work(&db)?;
        db.0.commit()?;
        Ok(result)
    }
}

/// SQLite itself would make the file readable by others.
fn create_for_owner(path: &Path) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(Error::DatabaseFile)
}

/// An open transaction.
pub(crate) struct Db<'c>(Transaction<'c>);

impl Db<'_> {
    pub(crate) fn app_keystore(&self) -> Result<Option<String>, Error> {
        Ok(self.0.query_row("SELECT keystore FROM app", [], |row| row.get(0)).optional()?)
    }

    pub(crate) fn set_app_keystore(&self, keystore: &str) -> Result<(), Error> {
        self.0.execute("INSERT INTO app (one, keystore) VALUES (1, ?1)", [keystore])?;
        Ok(())
    }

    pub(crate) fn add_user(&self, user: &NewUser<'_>) -> Result<UserRow, Error> {
        self.0.execute(
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
        self.user_of_session(user.session_id)?.ok_or(Error::DatabaseContent)
    }

    pub(crate) fn user_of_session(&self, session_id: Uuid) -> Result<Option<UserRow>, Error> {
        let mut query = self.0.prepare_cached("SELECT * FROM users WHERE session_id = ?1")?;
        query.query_row([session_id.to_string()], |row| Ok(read_user(row))).optional()?.transpose()
    }

    /// Notes a request id, and tells whether it is new. Ids of expired tokens are forgotten.
    pub(crate) fn note_request(
        &self,
        session_id: Uuid,
        request_id: Uuid,
        expires_at: u64,
        now: u64,
    ) -> Result<bool, Error> {
        self.0.prepare_cached("DELETE FROM requests WHERE expires_at <= ?1")?.execute([clamp(now)])?;
        let added = self
            .0
            .prepare_cached("INSERT OR IGNORE INTO requests (session_id, request_id, expires_at) VALUES (?1, ?2, ?3)")?
            .execute(params![session_id.to_string(), request_id.to_string(), clamp(expires_at)])?;
        Ok(added == 1)
    }

    pub(crate) fn spend_iterator(&self, session_id: Uuid, iterator: u64) -> Result<(), Error> {
        self.0
            .prepare_cached("UPDATE users SET last_iterator = ?2 WHERE session_id = ?1")?
            .execute(params![session_id.to_string(), iterator.to_be_bytes().as_slice()])?;
        Ok(())
    }

    pub(crate) fn set_tries(&self, session_id: Uuid, day: i64, used: u32) -> Result<(), Error> {
        self.0
            .prepare_cached("UPDATE users SET tries_day = ?2, tries_used = ?3 WHERE session_id = ?1")?
            .execute(params![session_id.to_string(), day, used])?;
        Ok(())
    }

    pub(crate) fn set_pin(&self, session_id: Uuid, pin_hash: &PinHash) -> Result<(), Error> {
        self.0
            .prepare_cached("UPDATE users SET pin_hash = ?2 WHERE session_id = ?1")?
            .execute(params![session_id.to_string(), pin_hash.as_bytes().as_slice()])?;
        Ok(())
    }

    pub(crate) fn set_tip_key(&self, session_id: Uuid, key: &Ed25519PublicKey, counter: i64) -> Result<(), Error> {
        self.0
            .prepare_cached("UPDATE users SET pin_hash = NULL, tip_key = ?2, tip_counter = ?3 WHERE session_id = ?1")?
            .execute(params![session_id.to_string(), key.as_bytes().as_slice(), counter])?;
        Ok(())
    }

    pub(crate) fn user(&self, user_id: Uuid) -> Result<Option<UserRow>, Error> {
        let mut query = self.0.prepare_cached("SELECT * FROM users WHERE user_id = ?1")?;
        query.query_row([user_id.to_string()], |row| Ok(read_user(row))).optional()?.transpose()
    }

    /// So many users, newest first.
    pub(crate) fn newest_users(&self, limit: u32) -> Result<Vec<UserRow>, Error> {
        let mut query = self.0.prepare_cached("SELECT * FROM users ORDER BY number DESC LIMIT ?1")?;
        query.query_map([limit], |row| Ok(read_user(row)))?.map(|user| user?).collect()
    }

    pub(crate) fn set_safe_key(&self, session_id: Uuid, key: &Ed25519PublicKey) -> Result<(), Error> {
        self.0
            .prepare_cached("UPDATE users SET safe_key = ?2 WHERE session_id = ?1")?
            .execute(params![session_id.to_string(), key.as_bytes().as_slice()])?;
        Ok(())
    }

    pub(crate) fn set_owner(&self, app_id: Uuid, owner_id: Uuid) -> Result<(), Error> {
        self.0
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
        self.0
            .prepare_cached(
                "INSERT INTO authorizations (authorization_id, app_id, scope, code_challenge) VALUES (?1, ?2, ?3, ?4)",
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
        let mut query = self.0.prepare_cached(&format!("SELECT * FROM authorizations WHERE {column} = ?1"))?;
        query.query_row([value], |row| Ok(read_authorization(row))).optional()?.transpose()
    }

    pub(crate) fn approve(&self, authorization_id: Uuid, user_id: Uuid, scope: &str, code: &str) -> Result<(), Error> {
        self.0
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
        self.0
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
        self.0
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
        Ok(())
    }

    /// Entries before a time, newest first.
    pub(crate) fn logs(&self, user_id: Uuid, code: Option<&str>, before: i64, limit: u8) -> Result<Vec<LogRow>, Error> {
        let mut query = self.0.prepare_cached(
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
