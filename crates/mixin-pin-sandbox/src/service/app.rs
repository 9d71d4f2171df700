//! Calls with which an owner manages an app: read it, replace its session, register it with the safe.
//!
//! The dashboard makes them under an authorization with the scopes `APPS:READ` and `APPS:WRITE` (developers.mixin.one:
//! `developers/src/api/config.js`). The sandbox also accepts the owner's own session. No source says whether the app's session
//! may make them: here it may not.

use base16ct::lower::encode_string;
use mixin_pin_core::tip::verify_safe_signature;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, SystemRng};
use mixin_pin_protocol::answer::ErrorCode;
use mixin_pin_protocol::call::random_uuid;
use serde_json::{Map, Value, json};

use super::action::decode_signature;
use super::json_body;
use super::session::{new_session_json, replace_session};
use crate::Error;
use crate::database::{Transaction, UserRow};
use crate::reply::{Answer, Refusal};
use crate::time::rfc3339;

/// A call of an app's owner, with the id in its path.
pub(super) enum AppCall<'p> {
    /// `GET /apps/:id`
    Read(&'p str),
    /// `POST /safe/apps/:id/session`
    ReplaceSession(&'p str),
    /// `POST /safe/apps/:id/register`
    Register(&'p str),
}

impl<'p> AppCall<'p> {
    /// The call of a path without its query.
    pub(super) fn of(method: &str, path: &'p str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let segments = [(); 5].map(|()| segments.next());
        match (method, segments) {
            ("GET", [Some("apps"), Some(id), None, ..]) => Some(Self::Read(id)),
            ("POST", [Some("safe"), Some("apps"), Some(id), Some("session"), None]) => Some(Self::ReplaceSession(id)),
            ("POST", [Some("safe"), Some("apps"), Some(id), Some("register"), None]) => Some(Self::Register(id)),
            _ => None,
        }
    }

    /// The scope that an OAuth session needs.
    pub(super) const fn scope(&self) -> &'static str {
        match self {
            Self::Read(_) => "APPS:READ",
            Self::ReplaceSession(_) | Self::Register(_) => "APPS:WRITE",
        }
    }

    /// Answers the call of a user.
    pub(super) fn answer(&self, tx: &Transaction<'_>, user_id: Uuid, body: &[u8]) -> Answer {
        let (Self::Read(id) | Self::ReplaceSession(id) | Self::Register(id)) = self;
        let app = id.parse().ok().map(|id| tx.user(id)).transpose()?.flatten();
        // An unknown app is refused in the same way.
        let app = app
            .filter(|app| app.is_app && app.owner_id == Some(user_id) && !app.is_deactivated())
            .ok_or_else(|| Refusal::new(ErrorCode::Forbidden, "not an app of this user"))?;
        match self {
            Self::Read(_) => Ok(app_json(&app)?.into()),
            Self::ReplaceSession(_) => {
                let key = hex_key(&json_body(body)?, "session_public_key")?;
                let rng = &mut SystemRng::new()?;
                let app = replace_session(tx, &app, random_uuid(rng), &key, rng)?;
                Ok(new_session_json(&app)?.into())
            }
            Self::Register(_) => register(tx, &app, &json_body(body)?),
        }
    }
}

/// Makes the spend key the app's safe key, and its TIP key (bot-api-nodejs-client: `src/client/app.ts`). It "can never change"
/// (bot-api-go-client: `safe.go`).
fn register(tx: &Transaction<'_>, app: &UserRow, body: &Map<String, Value>) -> Answer {
    let key = hex_key(body, "spend_public_key")?;
    let signature = body.get("signature_base64").and_then(Value::as_str).and_then(decode_signature);
    if signature.is_none_or(|signature| verify_safe_signature(app.user_id, &signature, &key).is_err()) {
        return Err(Refusal::field("signature_base64", "not this app's id signed with this key").into());
    }
    let is_other = |known: &Option<Ed25519PublicKey>| known.as_ref().is_some_and(|known| *known != key);
    if is_other(&app.safe_key) {
        return Err(Refusal::new(ErrorCode::Forbidden, "has_safe").into());
    }
    if is_other(&app.tip_key) {
        return Err(Refusal::new(ErrorCode::Forbidden, "has_tip").into());
    }
    if app.tip_key.is_none() {
        tx.set_tip_key(app.session_id, &key, 1)?;
    }
    tx.set_safe_key(app.session_id, &key)?;
    Ok(json!({ "spend_public_key": encode_string(key.as_bytes()) }).into())
}

/// As in bot-api-nodejs-client: `src/client/types/app.ts`.
fn app_json(app: &UserRow) -> Result<Value, Error> {
    let hex = |key: Option<&Ed25519PublicKey>| key.map_or_else(String::new, |key| encode_string(key.as_bytes()));
    let session_key = match VerifyingKey::from_text(&app.session_secret)? {
        VerifyingKey::Ed25519(key) => Some(key),
        _ => None,
    };
    Ok(json!({
        "type": "app",
        "app_id": app.user_id.to_string(),
        "name": app.full_name,
        "creator_id": app.owner_id.map(|id| id.to_string()),
        "session_secret": app.session_secret,
        "session_public_key": hex(session_key.as_ref()),
        "has_safe": app.safe_key.is_some(),
        "spend_public_key": hex(app.safe_key.as_ref()),
        "created_at": rfc3339(app.created_at),
    }))
}

/// A key in hex.
fn hex_key(body: &Map<String, Value>, field: &'static str) -> Result<Ed25519PublicKey, Refusal> {
    const LEN: usize = 64;
    let text = body.get(field).and_then(Value::as_str).filter(|text| text.len() == LEN);
    let key = text.and_then(|text| Ed25519PublicKey::from_text(text).ok()).filter(Ed25519PublicKey::has_prime_order);
    key.ok_or_else(|| Refusal::field(field, "not an Ed25519 key in hex"))
}
