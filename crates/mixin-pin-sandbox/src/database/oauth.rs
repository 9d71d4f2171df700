//! OAuth authorizations: requested by an app, approved by a user, exchanged by the app.

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey};
use rusqlite::{Row, params};

use super::{Transaction, column, key_column, parse_uuid, uuid_column};
use crate::Error;

/// An authorization in any of its states.
pub(crate) struct AuthorizationRow {
    pub(crate) authorization_id: Uuid,
    pub(crate) app_id: Uuid,
    pub(crate) code_challenge: String,
    pub(crate) scope: String,
    /// Set when the user approves.
    pub(crate) user_id: Option<Uuid>,
    /// Both keys are set when the app exchanges its code.
    pub(crate) app_key: Option<Ed25519PublicKey>,
    pub(crate) server_key: Option<Ed25519Key>,
}

impl Transaction<'_> {
    /// Adds an authorization that waits for approval, and drops the oldest if there are too many.
    pub(crate) fn add_authorization(
        &self,
        authorization_id: Uuid,
        app_id: Uuid,
        scope: &str,
        code_challenge: &str,
    ) -> Result<(), Error> {
        self.execute(
            "DELETE FROM authorizations WHERE user_id IS NULL AND asked <= (
                 SELECT asked FROM authorizations WHERE user_id IS NULL ORDER BY asked DESC LIMIT 1 OFFSET ?1 - 1)",
            [self.capacity.waiting],
        )?;
        self.execute(
            "INSERT INTO authorizations (authorization_id, app_id, scope, code_challenge, asked) VALUES (?1, ?2, ?3, ?4,
                 (SELECT COALESCE(MAX(asked), 0) + 1 FROM authorizations WHERE user_id IS NULL))",
            params![authorization_id.to_string(), app_id.to_string(), scope, code_challenge],
        )
    }

    pub(crate) fn authorization(&self, authorization_id: Uuid) -> Result<Option<AuthorizationRow>, Error> {
        let sql = "SELECT * FROM authorizations WHERE authorization_id = ?1";
        self.find(sql, [authorization_id.to_string()], read_authorization)
    }

    pub(crate) fn authorization_of_code(&self, code: &str) -> Result<Option<AuthorizationRow>, Error> {
        self.find("SELECT * FROM authorizations WHERE code = ?1", [code], read_authorization)
    }

    /// Whether one more authorization can be approved.
    pub(crate) fn can_approve(&self) -> Result<bool, Error> {
        let approved = self.count("SELECT COUNT(*) FROM authorizations WHERE user_id IS NOT NULL", [])?;
        Ok(approved < self.capacity.approved)
    }

    pub(crate) fn approve(&self, authorization_id: Uuid, user_id: Uuid, scope: &str, code: &str) -> Result<(), Error> {
        self.execute(
            "UPDATE authorizations SET user_id = ?2, scope = ?3, code = ?4 WHERE authorization_id = ?1",
            params![authorization_id.to_string(), user_id.to_string(), scope, code],
        )
    }

    /// Stores the keys of both sides, and clears the code so it cannot be used again.
    pub(crate) fn exchange(
        &self,
        authorization_id: Uuid,
        app_key: &Ed25519PublicKey,
        server_key: &Ed25519Key,
    ) -> Result<(), Error> {
        self.execute(
            "UPDATE authorizations SET code = NULL, app_key = ?2, server_seed = ?3 WHERE authorization_id = ?1",
            params![authorization_id.to_string(), app_key.as_bytes().as_slice(), server_key.expose_seed().as_slice()],
        )
    }
}

fn read_authorization(row: &Row<'_>) -> Result<AuthorizationRow, Error> {
    let user_id: Option<String> = column(row, "user_id")?;
    let server_seed: Option<Vec<u8>> = column(row, "server_seed")?;
    Ok(AuthorizationRow {
        authorization_id: uuid_column(row, "authorization_id")?,
        app_id: uuid_column(row, "app_id")?,
        code_challenge: column(row, "code_challenge")?,
        scope: column(row, "scope")?,
        user_id: user_id.as_deref().map(parse_uuid).transpose()?,
        app_key: key_column(row, "app_key")?,
        server_key: server_seed.map(|seed| Ed25519Key::from_bytes(&seed)).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::database;
    use super::*;

    fn can_approve(tx: &Transaction<'_>) -> Result<bool, Error> {
        tx.can_approve()
    }

    #[test]
    fn the_oldest_waiting_authorization_is_dropped_but_never_an_approved_one() {
        let database = database();
        let exists = |id| database.write(|tx| tx.authorization(Uuid::from_u128(id))).unwrap().is_some();
        let add = |id| database.write(|tx| tx.add_authorization(Uuid::from_u128(id), Uuid::nil(), "x", "x")).unwrap();
        let approve = |id| {
            database.write(|tx| tx.approve(Uuid::from_u128(id), Uuid::nil(), "x", &format!("{id}"))).unwrap();
        };
        let can_approve = || database.write(can_approve).unwrap();
        // The order in which they were added, not the order of their ids.
        [9, 8, 7].into_iter().for_each(add);
        approve(9);
        [6, 5, 4].into_iter().for_each(add);
        assert_eq!([9, 8, 7, 6, 5, 4].map(exists), [true, false, false, true, true, true]);
        assert!(can_approve());
        approve(6);
        assert!(!can_approve());
    }
}
