//! Users with their sessions, PINs and tries, and the app's keystore.

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, PinKey};
use rusqlite::{Row, params};

use super::{Transaction, column, key_column, parse_uuid, uuid_column};
use crate::Error;
use crate::pin_hash::{HashKey, PinHash};

/// A user with its one session.
pub(crate) struct UserRow {
    pub(crate) number: i64,
    pub(crate) user_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) is_app: bool,
    pub(crate) full_name: String,
    pub(crate) session_secret: String,
    pub(crate) pin_key: PinKey,
    /// What the server gave the client for its PIN key, as answers show it.
    pub(crate) pin_token: Option<String>,
    /// The key of `pin_hash`.
    pub(crate) hash_key: HashKey,
    pub(crate) pin_hash: Option<PinHash>,
    /// Replaces the PIN's digits for good.
    pub(crate) tip_key: Option<Ed25519PublicKey>,
    pub(crate) tip_counter: i64,
    /// Set when the user registers with the safe.
    pub(crate) safe_key: Option<Ed25519PublicKey>,
    pub(crate) last_iterator: u64,
    /// The owner of an app.
    pub(crate) owner_id: Option<Uuid>,
    /// The server's key for the PIN key, of a session that got a new key.
    pub(crate) server_key: Option<Ed25519PublicKey>,
    logged_out: bool,
    deactivated: bool,
    /// As the user's wallet sent it.
    pub(crate) salt: Option<String>,
    /// In nanoseconds.
    pub(crate) salt_exported_at: Option<i64>,
    /// JSON.
    pub(crate) emergency_contact: Option<String>,
    pub(crate) created_at: i64,
}

impl UserRow {
    /// Whether the session may make calls: it is not logged out, and its user is not deactivated.
    pub(crate) const fn is_active(&self) -> bool {
        !self.logged_out && !self.deactivated
    }

    pub(crate) const fn is_deactivated(&self) -> bool {
        self.deactivated
    }

    pub(crate) const fn has_pin(&self) -> bool {
        self.pin_hash.is_some() || self.tip_key.is_some()
    }
}

/// A user to add.
pub(crate) struct NewUser<'a> {
    pub(crate) user_id: Uuid,
    pub(crate) session_id: Uuid,
    pub(crate) is_app: bool,
    pub(crate) full_name: &'a str,
    pub(crate) session_secret: &'a str,
    pub(crate) pin_key: &'a PinKey,
    pub(crate) pin_token: Option<&'a str>,
    pub(crate) hash_key: &'a HashKey,
    pub(crate) owner_id: Option<Uuid>,
    pub(crate) created_at: i64,
}

/// The session with which a user began, if it has changed since.
pub(crate) struct OriginRow {
    pub(crate) user_id: Uuid,
    pub(crate) session_secret: String,
    pub(crate) pin_key: PinKey,
}

/// What takes the place of a user's session.
pub(crate) struct NewSession<'a> {
    pub(crate) session_id: Uuid,
    pub(crate) session_secret: &'a str,
    pub(crate) pin_key: &'a PinKey,
    pub(crate) pin_token: &'a str,
    pub(crate) server_key: &'a Ed25519PublicKey,
}

impl Transaction<'_> {
    pub(crate) fn app_keystore(&self) -> Result<Option<String>, Error> {
        self.find("SELECT keystore FROM app", [], |row| column(row, "keystore"))
    }

    pub(crate) fn set_app_keystore(&self, keystore: &str) -> Result<(), Error> {
        self.execute("INSERT OR REPLACE INTO app (one, keystore) VALUES (1, ?1)", [keystore])
    }

    /// Adds a user. Returns `None` if the table is full.
    pub(crate) fn add_user(&self, user: &NewUser<'_>) -> Result<Option<UserRow>, Error> {
        // The highest number is the number of users: none is ever removed.
        if self.count("SELECT COALESCE(MAX(number), 0) FROM users", [])? >= self.capacity.users {
            return Ok(None);
        }
        self.execute(
            "INSERT INTO users (user_id, session_id, is_app, full_name, session_secret, pin_key, pin_token,
                 last_iterator, created_at, hash_key, owner_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                user.user_id.to_string(),
                user.session_id.to_string(),
                user.is_app,
                user.full_name,
                user.session_secret,
                user.pin_key.expose().as_slice(),
                user.pin_token,
                0_u64.to_be_bytes().as_slice(),
                user.created_at,
                user.hash_key.expose().as_slice(),
                user.owner_id.map(|id| id.to_string()),
            ],
        )?;
        self.user_of_session(user.session_id)
    }

    pub(crate) fn user(&self, user_id: Uuid) -> Result<Option<UserRow>, Error> {
        self.find("SELECT * FROM users WHERE user_id = ?1", [user_id.to_string()], read_user)
    }

    pub(crate) fn user_of_session(&self, session_id: Uuid) -> Result<Option<UserRow>, Error> {
        self.find("SELECT * FROM users WHERE session_id = ?1", [session_id.to_string()], read_user)
    }

    /// The user of a session that is known to exist.
    pub(crate) fn existing_user(&self, session_id: Uuid) -> Result<UserRow, Error> {
        self.user_of_session(session_id)?.ok_or(Error::DatabaseContent)
    }

    pub(crate) fn newest_users(&self, limit: u32) -> Result<Vec<UserRow>, Error> {
        self.list("SELECT * FROM users ORDER BY number DESC LIMIT ?1", [limit], read_user)
    }

    pub(crate) fn set_last_iterator(&self, session_id: Uuid, iterator: u64) -> Result<(), Error> {
        self.execute(
            "UPDATE users SET last_iterator = ?2 WHERE session_id = ?1",
            params![session_id.to_string(), iterator.to_be_bytes().as_slice()],
        )
    }

    pub(crate) fn set_pin(&self, session_id: Uuid, pin_hash: &PinHash) -> Result<(), Error> {
        self.execute(
            "UPDATE users SET pin_hash = ?2 WHERE session_id = ?1",
            params![session_id.to_string(), pin_hash.as_bytes().as_slice()],
        )
    }

    pub(crate) fn set_tip_key(&self, session_id: Uuid, key: &Ed25519PublicKey, counter: i64) -> Result<(), Error> {
        self.execute(
            "UPDATE users SET pin_hash = NULL, tip_key = ?2, tip_counter = ?3 WHERE session_id = ?1",
            params![session_id.to_string(), key.as_bytes().as_slice(), counter],
        )
    }

    pub(crate) fn set_safe_key(&self, session_id: Uuid, key: &Ed25519PublicKey) -> Result<(), Error> {
        self.execute(
            "UPDATE users SET safe_key = ?2 WHERE session_id = ?1",
            params![session_id.to_string(), key.as_bytes().as_slice()],
        )
    }

    /// The first session of a user whose session has changed, by the id of that first session.
    pub(crate) fn origin(&self, session_id: Uuid) -> Result<Option<OriginRow>, Error> {
        self.find("SELECT * FROM origins WHERE session_id = ?1", [session_id.to_string()], |row| {
            Ok(OriginRow {
                user_id: uuid_column(row, "user_id")?,
                session_secret: column(row, "session_secret")?,
                pin_key: PinKey::from_bytes(&column::<Vec<u8>>(row, "pin_key")?)?,
            })
        })
    }

    /// Replaces a user's session. A new session's iterators begin at 0, and the tries of the old one still count.
    pub(crate) fn set_session(&self, user: &UserRow, new: &NewSession<'_>) -> Result<(), Error> {
        let (user_id, session_id) = (user.user_id.to_string(), new.session_id.to_string());
        self.execute(
            "INSERT INTO origins SELECT user_id, session_id, session_secret, pin_key FROM users WHERE user_id = ?1
                 ON CONFLICT (user_id) DO NOTHING",
            [&user_id],
        )?;
        self.execute(
            "UPDATE tries SET session_id = ?2 WHERE session_id = ?1",
            params![user.session_id.to_string(), session_id],
        )?;
        let last_iterator = if new.session_id == user.session_id { user.last_iterator } else { 0 };
        self.execute(
            "UPDATE users SET session_id = ?2, session_secret = ?3, pin_key = ?4, pin_token = ?5, server_key = ?6,
                 last_iterator = ?7, logged_out = 0
             WHERE user_id = ?1",
            params![
                user_id,
                session_id,
                new.session_secret,
                new.pin_key.expose().as_slice(),
                new.pin_token,
                new.server_key.as_bytes().as_slice(),
                last_iterator.to_be_bytes().as_slice(),
            ],
        )
    }

    /// Ends a session: its tokens are refused from now on.
    pub(crate) fn log_out(&self, session_id: Uuid) -> Result<(), Error> {
        self.execute("UPDATE users SET logged_out = 1 WHERE session_id = ?1", [session_id.to_string()])
    }

    /// Every token of the user is refused from now on.
    pub(crate) fn deactivate(&self, user_id: Uuid) -> Result<(), Error> {
        self.execute("UPDATE users SET deactivated = 1 WHERE user_id = ?1", [user_id.to_string()])
    }

    pub(crate) fn set_salt(&self, user_id: Uuid, salt: &str) -> Result<(), Error> {
        self.execute("UPDATE users SET salt = ?2 WHERE user_id = ?1", params![user_id.to_string(), salt])
    }

    pub(crate) fn set_salt_exported(&self, user_id: Uuid, at: i64) -> Result<(), Error> {
        self.execute("UPDATE users SET salt_exported_at = ?2 WHERE user_id = ?1", params![user_id.to_string(), at])
    }

    pub(crate) fn set_emergency_contact(&self, user_id: Uuid, contact: Option<&str>) -> Result<(), Error> {
        self.execute(
            "UPDATE users SET emergency_contact = ?2 WHERE user_id = ?1",
            params![user_id.to_string(), contact],
        )
    }

    pub(crate) fn set_owner(&self, app_id: Uuid, owner_id: Uuid) -> Result<(), Error> {
        self.execute(
            "UPDATE users SET owner_id = ?2 WHERE user_id = ?1",
            params![app_id.to_string(), owner_id.to_string()],
        )
    }
}

fn read_user(row: &Row<'_>) -> Result<UserRow, Error> {
    let pin_hash: Option<Vec<u8>> = column(row, "pin_hash")?;
    let last_iterator: Vec<u8> = column(row, "last_iterator")?;
    let owner_id: Option<String> = column(row, "owner_id")?;
    Ok(UserRow {
        number: column(row, "number")?,
        user_id: uuid_column(row, "user_id")?,
        session_id: uuid_column(row, "session_id")?,
        is_app: column(row, "is_app")?,
        full_name: column(row, "full_name")?,
        session_secret: column(row, "session_secret")?,
        pin_key: PinKey::from_bytes(&column::<Vec<u8>>(row, "pin_key")?)?,
        pin_token: column(row, "pin_token")?,
        hash_key: HashKey::from_bytes(&column::<Vec<u8>>(row, "hash_key")?)?,
        pin_hash: pin_hash.map(|hash| PinHash::from_bytes(&hash)).transpose()?,
        tip_key: key_column(row, "tip_key")?,
        tip_counter: column(row, "tip_counter")?,
        safe_key: key_column(row, "safe_key")?,
        last_iterator: u64::from_be_bytes(last_iterator.try_into().map_err(|_| Error::DatabaseContent)?),
        owner_id: owner_id.as_deref().map(parse_uuid).transpose()?,
        server_key: key_column(row, "server_key")?,
        logged_out: column(row, "logged_out")?,
        deactivated: column(row, "deactivated")?,
        salt: column(row, "salt")?,
        salt_exported_at: column(row, "salt_exported_at")?,
        emergency_contact: column(row, "emergency_contact")?,
        created_at: column(row, "created_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::database;
    use super::*;

    #[test]
    fn a_full_table_accepts_no_more_users_and_drops_none() {
        let database = database();
        let add = |id| {
            let user = NewUser {
                user_id: Uuid::from_u128(id),
                session_id: Uuid::from_u128(id),
                is_app: false,
                full_name: "x",
                session_secret: "x",
                pin_key: &PinKey::from_bytes(&[1; 32]).unwrap(),
                pin_token: None,
                hash_key: &HashKey::from_bytes(&[1; 32]).unwrap(),
                owner_id: None,
                created_at: 0,
            };
            database.write(|tx| tx.add_user(&user)).unwrap().is_some()
        };
        assert_eq!([1, 2, 3, 4].map(add), [true, true, false, false]);
        assert_eq!(database.write(|tx| tx.newest_users(9)).unwrap().len(), 2);
    }
}
