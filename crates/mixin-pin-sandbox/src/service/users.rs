//! Users: the app, those that it registers, and added accounts.

use axum::extract::Query;
use axum::http::Uri;
use base16ct::lower::encode_string;
use jiff::Timestamp;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, PinKey, SystemRng};
use mixin_pin_protocol::answer::ErrorCode;
use mixin_pin_protocol::call::random_uuid;
use mixin_pin_protocol::keystore::{ServerKey, write_app};
use serde::Deserialize;
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::{Call, Service};
use crate::database::{NewUser, Transaction, UserRow};
use crate::pin_hash::{HashKey, PinHash};
use crate::reply::{Answer, Refusal};
use crate::time::{nanos, rfc3339};
use crate::{Account, Error};

/// Added to a user's number in the database. Mixin's documentation uses 7000 itself.
const IDENTITY_NUMBER_BASE: i64 = 7000;
/// The longest name of a user, in bytes.
const MAX_NAME_LEN: usize = 256;
/// The longest text of a public key, in bytes. A 4096-bit RSA key has 736.
pub(super) const MAX_SECRET_LEN: usize = 1024;

impl Service {
    /// Registers the app in a new database, or a new one if the stored keystore has no live session.
    pub(super) fn create_app(&self, tx: &Transaction<'_>) -> Result<(), Error> {
        let mut rng = SystemRng::new()?;
        let key = Ed25519Key::generate(&mut rng);
        let server = Ed25519Key::generate(&mut rng);
        let public_key = VerifyingKey::Ed25519(key.public_key());
        let (user_id, session_id) = (random_uuid(&mut rng), random_uuid(&mut rng));
        let app = tx.add_user(&NewUser {
            user_id,
            session_id,
            is_app: true,
            full_name: "Sandbox App",
            session_secret: &public_key.to_session_secret()?,
            pin_key: &server.agree(&key.public_key().to_x25519()?)?,
            pin_token: Some(&server.public_key().to_x25519()?.to_base64_url()),
            hash_key: &HashKey::generate(&mut rng),
            owner_id: None,
            created_at: nanos(self.now()),
        })?;
        app.ok_or(Error::UsersFull)?;
        tx.set_app_keystore(&write_app(user_id, session_id, &key, &ServerKey::Ed25519(server.public_key())))
    }

    pub(crate) fn add_accounts<'a>(&self, accounts: impl IntoIterator<Item = &'a Account>) -> Result<(), Error> {
        let now = nanos(self.now());
        self.database.write(|tx| {
            let accounts: Vec<&Account> = accounts.into_iter().collect();
            accounts.iter().try_for_each(|account| add_account(tx, account, now))?;
            // After all of them: an owner may come after its app.
            accounts.iter().filter_map(|account| account.owner).try_for_each(|user_id| match tx.user(user_id)? {
                Some(owner) if !owner.is_app => Ok(()),
                _ => Err(Error::AccountOwner { user_id }),
            })
        })
    }

    /// `POST /users`
    pub(super) fn register(tx: &Transaction<'_>, call: &Call<'_>) -> Answer {
        #[derive(Deserialize)]
        struct Registration {
            session_secret: Option<String>,
            full_name: Option<String>,
        }
        if !call.user.is_app {
            return Err(Refusal::new(ErrorCode::Forbidden, "only an app can register users").into());
        }
        let registration: Registration = call.json()?;
        let full_name = registration
            .full_name
            .filter(|name| !name.trim().is_empty())
            .ok_or_else(|| Refusal::field("full_name", "absent"))?;
        if full_name.len() > MAX_NAME_LEN {
            return Err(Refusal::field("full_name", "too_long").into());
        }
        let session_secret = registration.session_secret.ok_or_else(|| Refusal::field("session_secret", "absent"))?;
        if session_secret.len() > MAX_SECRET_LEN {
            return Err(Refusal::field("session_secret", "too_long").into());
        }
        let invalid_key = || Refusal::field("session_secret", "not a public key of RSA or Ed25519");
        let key = VerifyingKey::from_text(&session_secret).map_err(|_| invalid_key())?;

        let mut rng = SystemRng::new()?;
        let (user_id, session_id) = (random_uuid(&mut rng), random_uuid(&mut rng));
        let (pin_key, pin_token, tokens) = match &key {
            VerifyingKey::Rsa(key) => {
                let pin_key = PinKey::generate(&mut rng);
                let pin_token = key.wrap_pin_key(&pin_key, session_id, &mut rng)?.to_base64();
                (pin_key, pin_token, json!({}))
            }
            VerifyingKey::Ed25519(key) => {
                let server = Ed25519Key::generate(&mut rng);
                let pin_token = server.public_key().to_x25519()?.to_base64_url();
                let tokens = json!({
                    "pin_token_base64": pin_token,
                    "server_public_key": encode_string(server.public_key().as_bytes()),
                });
                (server.agree(&key.to_x25519()?)?, pin_token, tokens)
            }
            _ => return Err(invalid_key().into()),
        };
        let user = tx.add_user(&NewUser {
            user_id,
            session_id,
            is_app: false,
            full_name: &full_name,
            session_secret: &key.to_session_secret()?,
            pin_key: &pin_key,
            pin_token: Some(&pin_token),
            hash_key: &HashKey::generate(&mut rng),
            owner_id: None,
            created_at: nanos(call.now),
        })?;
        let user = user.ok_or_else(|| Refusal::new(ErrorCode::Forbidden, "users_full"))?;
        let mut data = user_json(&user);
        if let (Some(data), Value::Object(tokens)) = (data.as_object_mut(), tokens) {
            data.extend(tokens);
        }
        Ok(data.into())
    }

    /// `GET /logs`
    pub(super) fn logs(tx: &Transaction<'_>, call: &Call<'_>) -> Answer {
        #[derive(Deserialize)]
        struct Page {
            category: Option<String>,
            limit: Option<u8>,
            offset: Option<Timestamp>,
        }
        let page = call.path.parse::<Uri>().ok().and_then(|uri| Query::<Page>::try_from_uri(&uri).ok());
        let Query(page) = page.ok_or_else(|| Refusal::field("limit or offset", "invalid"))?;
        let limit = page.limit.unwrap_or(100);
        if !(1..=100).contains(&limit) {
            return Err(Refusal::field("limit", "not 1 to 100").into());
        }
        let before = page.offset.map_or(i64::MAX, |time| i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX));
        let rows = tx.logs(call.user.user_id, page.category.as_deref(), before, limit)?;
        let entries: Value = rows
            .into_iter()
            .map(|row| {
                json!({
                    "type": "log",
                    "log_id": row.log_id.to_string(),
                    "code": row.code,
                    "ip_address": row.ip_address,
                    "created_at": rfc3339(row.created_at),
                })
            })
            .collect();
        Ok(entries.into())
    }
}

fn add_account(tx: &Transaction<'_>, account: &Account, created_at: i64) -> Result<(), Error> {
    let session_secret = account.public_key.to_session_secret()?;
    let is_same = |user_id, secret: &str, pin_key: &PinKey| {
        user_id == account.user_id
            && secret == session_secret
            && bool::from(pin_key.expose().ct_eq(account.pin_key.expose()))
    };
    let user = tx.user_of_session(account.session_id)?;
    let origin = tx.origin(account.session_id)?;
    if user.is_some() || origin.is_some() || tx.user(account.user_id)?.is_some() {
        // The user is one already. An app may have another owner since.
        if account.owner.is_some() && tx.user(account.user_id)?.is_some_and(|user| !user.is_app) {
            return Err(Error::AccountNoApp { user_id: account.user_id });
        }
        // The same account may be added again after a restart, also if its session has changed since.
        let is_same = user.is_some_and(|user| is_same(user.user_id, &user.session_secret, &user.pin_key))
            || origin.is_some_and(|origin| is_same(origin.user_id, &origin.session_secret, &origin.pin_key));
        return if is_same { Ok(()) } else { Err(Error::AccountExists { user_id: account.user_id }) };
    }
    let hash_key = HashKey::generate(&mut SystemRng::new()?);
    let user = tx.add_user(&NewUser {
        user_id: account.user_id,
        session_id: account.session_id,
        is_app: account.owner.is_some(),
        full_name: &account.full_name,
        session_secret: &session_secret,
        pin_key: &account.pin_key,
        pin_token: account.pin_token.as_deref(),
        hash_key: &hash_key,
        owner_id: account.owner,
        created_at,
    })?;
    user.ok_or(Error::UsersFull)?;
    match (&account.tip_key, &account.pin) {
        (Some(key), _) => tx.set_tip_key(account.session_id, key, 1),
        (None, Some(pin)) => tx.set_pin(account.session_id, &PinHash::of(pin, &hash_key)?),
        (None, None) => Ok(()),
    }
}

/// A user as answers to its own session show it.
pub(super) fn user_json(user: &UserRow) -> Value {
    let mut shown = profile_json(user);
    // As in Android's account (android-app: `vo/Account.kt`) and in the documentation of 2018.
    if let Some(pin_token) = &user.pin_token {
        shown["pin_token"] = pin_token.as_str().into();
    }
    shown["has_emergency_contact"] = user.emergency_contact.is_some().into();
    if let Some(salt) = &user.salt {
        shown["salt_base64"] = salt.as_str().into();
    }
    if let Some(time) = user.salt_exported_at {
        shown["salt_exported_at"] = rfc3339(time).into();
    }
    shown
}

/// A user as answers to an app show it: an OAuth session has no PIN key.
pub(super) fn profile_json(user: &UserRow) -> Value {
    json!({
        "type": "user",
        "user_id": user.user_id.to_string(),
        "identity_number": (IDENTITY_NUMBER_BASE + user.number).to_string(),
        "full_name": user.full_name,
        "avatar_url": "",
        "session_id": user.session_id.to_string(),
        "created_at": rfc3339(user.created_at),
        "has_pin": user.has_pin(),
        "tip_key_base64": user.tip_key.as_ref().map_or_else(String::new, Ed25519PublicKey::to_base64_url),
        "tip_counter": user.tip_counter,
        "has_safe": user.safe_key.is_some(),
    })
}
