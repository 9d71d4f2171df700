//! Calls that carry a PIN and name an action: the proof is judged over the action that path and body ask for.
//!
//! What the sandbox has no use for, such as a transfer, is answered with a receipt that tells what was received.

use axum::http::Uri;
use base16ct::lower::encode_string;
use mixin_pin_core::tip::verify_safe_signature;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, SecretKind};
use mixin_pin_protocol::ActionError;
use mixin_pin_protocol::action::{RequestedAction, requested};
use mixin_pin_protocol::answer::ErrorCode;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use super::oauth::Approval;
use super::pin::PinBody;
use super::users::user_json;
use super::{Answer, Authenticated, Service, bad_body};
use crate::Error;
use crate::reply::{Done, Refusal};
use crate::store::Db;

const PIN_FIELDS: [&str; 2] = ["pin", "pin_base64"];

/// What a call does once its proof holds.
enum Effect {
    /// Nothing here: a receipt tells what was received.
    Receipt,
    RegisterSafe(Ed25519PublicKey),
    TransferApp(Uuid),
    Approve(Approval),
}

impl Service {
    /// Whether a path is one whose body asks for an action. Which fields it needs is told when it is carried out.
    pub(super) fn takes_an_action(path: &str) -> bool {
        !matches!(requested("POST", path, &Map::new(), Uuid::nil()), Ok(None))
    }

    pub(super) fn carry_out(&self, db: &Db<'_>, call: &Authenticated<'_>) -> Answer {
        let mut body: Map<String, Value> = match call.json() {
            Ok(body) => body,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // All is decrypted before anything counts: what cannot be read costs no try.
        let judged = self.tries_are_left(call).and_then(|()| {
            let pin = PinBody::deserialize(&body).map_err(|_| bad_body())?;
            let block = self.decrypt(call, "pin", pin.pin, call.user.last_iterator)?;
            let requested = match requested(call.method, call.path, &body, call.user.user_id) {
                Ok(requested) => requested,
                // Digits do not depend on the action.
                Err(_) if block.kind() == SecretKind::SixDigits => None,
                Err(error) => return Err(action_refusal(error)),
            };
            let action = requested.as_ref().map(RequestedAction::action);
            let proof = Self::proof(call, "pin", &block, |signature, key| {
                Ok(action.is_some_and(|action| action.verify(signature, key).is_ok()))
            })?;
            let action = action
                .map(|action| json!({ "name": action.prefix(), "body": encode_string(action.body().as_bytes()) }));
            Ok((proof, block, action))
        });
        let (proof, block, action) = match judged {
            Ok(judged) => judged,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // After the iterator: the copy of a call that was carried out is told so, and not what the call has changed.
        let effect = match Self::effect(db, call, &body)? {
            Ok(effect) => effect,
            Err(refusal) => return Ok(Err(refusal)),
        };
        db.spend_iterator(call.user.session_id, block.iterator())?;
        if let Err(refusal) = self.try_proof(db, call, &proof)? {
            // Whoever writes a client wants to know what should have been signed.
            return Ok(Err(refusal.with("action", action)));
        }
        let done = |data: Value| Ok(Ok(Done::from(data).with_iterator("pin", block.iterator())));
        match effect {
            Effect::RegisterSafe(key) => db.set_safe_key(call.user.session_id, &key)?,
            Effect::TransferApp(owner_id) => {
                db.set_owner(call.user.user_id, owner_id)?;
                return done(json!({
                    "type": "app",
                    "app_id": call.user.user_id.to_string(),
                    "name": call.user.full_name,
                    "creator_id": owner_id.to_string(),
                }));
            }
            Effect::Approve(approval) => return done(approval.approve(db, call.user.user_id)?),
            Effect::Receipt => {
                let field = PIN_FIELDS.into_iter().find(|field| body.remove(*field).is_some());
                return done(json!({
                    "type": "sandbox_receipt",
                    "holds": true,
                    "method": call.method,
                    "path": call.path,
                    "pin": {
                        "field": field,
                        "kind": block.kind().as_str(),
                        "timestamp": block.timestamp(),
                        // As text: JSON's numbers are doubles to many readers.
                        "iterator": block.iterator().to_string(),
                    },
                    "action": action,
                    "received": body,
                }));
            }
        }
        let user = db.user_of_session(call.user.session_id)?.ok_or(Error::DatabaseContent)?;
        done(user_json(&user))
    }

    /// What the call would do, unless something beside the PIN stands against it.
    fn effect(
        db: &Db<'_>,
        call: &Authenticated<'_>,
        body: &Map<String, Value>,
    ) -> Result<Result<Effect, Refusal>, Error> {
        let text = |field| body.get(field).and_then(Value::as_str);
        let uri = call.path.parse::<Uri>().unwrap_or_default();
        let segments: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
        Ok(match segments[..] {
            ["safe", "users"] => {
                let key = text("public_key").and_then(|key| Ed25519PublicKey::from_text(key).ok());
                let Some(key) = key else { return Ok(Err(Refusal::field("public_key", "no Ed25519 key"))) };
                if call.user.safe_key.is_some() {
                    return Ok(Err(Refusal::new(ErrorCode::Forbidden, "has_safe")));
                }
                let signature = text("signature").and_then(decode_signature);
                match signature.map(|signature| verify_safe_signature(call.user.user_id, &signature, &key)) {
                    Some(Ok(())) => Ok(Effect::RegisterSafe(key)),
                    _ => Err(Refusal::field("signature", "not of this user by this key")),
                }
            }
            ["apps", id, "transfer"] => {
                if !call.user.is_app || id.parse() != Ok(call.user.user_id) {
                    return Ok(Err(Refusal::new(ErrorCode::Forbidden, "only an app gives itself away")));
                }
                let owner = text("user_id").and_then(|id| id.parse().ok()).map(|id| db.user(id)).transpose()?.flatten();
                match owner {
                    Some(owner) if !owner.is_app => Ok(Effect::TransferApp(owner.user_id)),
                    _ => Err(Refusal::field("user_id", "no user")),
                }
            }
            ["oauth", "authorize"] => Approval::read(db, body)?.map(Effect::Approve),
            _ => Ok(Effect::Receipt),
        })
    }
}

fn action_refusal(error: ActionError) -> Refusal {
    match error {
        ActionError::Field { field } => Refusal::field(field, "absent, or of another form"),
        _ => Refusal::new(ErrorCode::BadRequest, "action"),
    }
}

fn decode_signature(text: &str) -> Option<[u8; 64]> {
    use base64::Engine as _;

    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
    bytes.try_into().ok()
}
