//! Calls that carry a PIN and ask for an action, such as a transfer. A TIP signature must be over the action that path and
//! body ask for.
//!
//! An action that the sandbox does not implement is answered with a receipt of what was received.

use axum::http::Uri;
use base16ct::lower::encode_string;
use mixin_pin_core::tip::verify_safe_signature;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, PinBlock, SecretKind};
use mixin_pin_protocol::ActionError;
use mixin_pin_protocol::action::{Action, EncryptedSalt, MasterProof};
use mixin_pin_protocol::answer::ErrorCode;
use serde_json::{Map, Value, json};

use super::oauth::Approval;
use super::payment::Payment;
use super::pin::{PinBody, check_salt_len, read_credential};
use super::users::user_json;
use super::{Call, Service};
use crate::Error;
use crate::database::Transaction;
use crate::reply::{Answer, HandlerError, Refusal, Success};
use crate::time::nanos;

/// What a call does once its credential is verified.
enum Effect {
    Receipt,
    Pay(Payment),
    RegisterSafe(Ed25519PublicKey, Option<EncryptedSalt>),
    /// A receipt, and a salt to store.
    SetSalt(EncryptedSalt),
    ExportSalt,
    LogOut,
    Deactivate,
    SetContact(Value),
    ReadContact(Value),
    RemoveContact,
    TransferApp(Uuid),
    Approve(Approval),
}

impl Service {
    /// Whether calls of a path ask for an action. The fields of the body are checked later.
    pub(super) fn has_action(path: &str) -> bool {
        !matches!(Action::read(Action::METHOD, path, &Map::new()), Ok(None))
    }

    pub(super) fn call_with_action(&self, tx: &Transaction<'_>, call: &Call<'_>) -> Answer {
        let body: Map<String, Value> = call.json()?;
        let pin = PinBody::read(&body)?;
        let read = Action::read(call.method, call.path, &body).map_err(action_refusal);
        if let (None, Ok(Some(Action::LogOutSession { session_id }))) = (pin.pin, &read) {
            // The desktop app sends no PIN (flutter-app: `lib/account/account_server.dart`).
            check_own_session(call, *session_id)?;
            tx.log_out(*session_id)?;
            return Ok(json!({}).into());
        }
        self.check_tries(tx, call)?;
        let block = self.decrypt(call, "pin", pin.pin, call.user.last_iterator)?;
        let user_id = call.user.user_id;
        let requested = match &read {
            Ok(requested) => requested.as_ref(),
            // Six digits permit any action, so the body may lack its fields.
            Err(_) if block.kind() == SecretKind::SixDigits => None,
            Err(refusal) => return Err(refusal.clone().into()),
        };
        let mut action = requested.map(|requested| requested.tip(user_id));
        let credential = read_credential(call, "pin", &block, |signature, key| {
            let signed = requested.and_then(|requested| requested.verify(user_id, signature, key).ok());
            action = signed.or(action);
            Ok(signed.is_some())
        })?;
        let action =
            action.map(|action| json!({ "name": action.prefix(), "body": encode_string(action.body().as_bytes()) }));
        // Checked after the iterator: a copy of a call is refused for its iterator, not for the changes that the call made.
        let effect = effect(tx, call, &body, &read)?;
        self.check_credential(tx, call, &credential, Some(block.iterator())).map_err(|error| match error {
            // Shows the client's author what must be signed.
            HandlerError::Refused(refusal) => refusal.with("action", action.clone()).into(),
            failed @ HandlerError::Failed(_) => failed,
        })?;
        let account = || tx.existing_user(call.user.session_id).map(|user| user_json(&user));
        let data = match effect {
            Effect::RegisterSafe(key, salt) => {
                tx.set_safe_key(call.user.session_id, &key)?;
                if let Some(salt) = salt {
                    tx.set_salt(user_id, salt.as_str())?;
                }
                account()?
            }
            Effect::SetSalt(salt) => {
                tx.set_salt(user_id, salt.as_str())?;
                receipt(call, &block, action.as_ref(), body).into()
            }
            Effect::ExportSalt => {
                tx.set_salt_exported(user_id, nanos(call.now))?;
                account()?
            }
            Effect::LogOut => {
                tx.log_out(call.user.session_id)?;
                json!({})
            }
            Effect::Deactivate => {
                tx.deactivate(user_id)?;
                account()?
            }
            Effect::SetContact(contact) => {
                tx.set_emergency_contact(user_id, Some(&contact.to_string()))?;
                account()?
            }
            Effect::ReadContact(contact) => contact,
            Effect::RemoveContact => {
                tx.set_emergency_contact(user_id, None)?;
                account()?
            }
            Effect::TransferApp(owner_id) => {
                tx.set_owner(call.user.user_id, owner_id)?;
                json!({
                    "type": "app",
                    "app_id": call.user.user_id.to_string(),
                    "name": call.user.full_name,
                    "creator_id": owner_id.to_string(),
                })
            }
            Effect::Approve(approval) => approval.approve(tx, call.user.user_id)?,
            Effect::Pay(payment) => payment.pay(tx, call, receipt(call, &block, action.as_ref(), body))?,
            Effect::Receipt => receipt(call, &block, action.as_ref(), body).into(),
        };
        Ok(Success::from(data).with_iterator("pin", block.iterator()))
    }
}

/// Shows what was received.
fn receipt(
    call: &Call<'_>,
    block: &PinBlock,
    action: Option<&Value>,
    mut body: Map<String, Value>,
) -> Map<String, Value> {
    let field = PinBody::read(&body).ok().and_then(|read| read.pin).map(|(name, _)| name.to_owned());
    body.retain(|name, _| !PinBody::is_pin(name));
    let pin = json!({
        "field": field,
        "kind": block.kind().as_str(),
        "timestamp": block.timestamp(),
        // As text: many readers take JSON's numbers for doubles.
        "iterator": block.iterator().to_string(),
    });
    [
        ("type", "sandbox_receipt".into()),
        ("holds", true.into()),
        ("method", call.method.into()),
        ("path", call.path.into()),
        ("pin", pin),
        ("action", action.cloned().into()),
        ("received", body.into()),
    ]
    .map(|(name, value): (&str, Value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}

/// What the call would do, or why not, apart from its PIN.
fn effect(
    tx: &Transaction<'_>,
    call: &Call<'_>,
    body: &Map<String, Value>,
    read: &Result<Option<Action>, Refusal>,
) -> Result<Effect, HandlerError> {
    let text = |field| body.get(field).and_then(Value::as_str);
    let uri = call.path.parse::<Uri>().unwrap_or_default();
    let segments: Vec<&str> = uri.path().trim_start_matches('/').split('/').collect();
    match segments[..] {
        ["safe", "users"] => {
            let key = text("public_key")
                .and_then(|key| Ed25519PublicKey::from_text(key).ok())
                .ok_or_else(|| Refusal::field("public_key", "not an Ed25519 key"))?;
            // The apps send these, bots do not.
            let (salt, master) = match read {
                Ok(Some(Action::RegisterSafe { salt, master, .. })) => (salt.clone(), master.as_ref()),
                Ok(_) => (None, None),
                Err(refusal) => return Err(refusal.clone().into()),
            };
            if let Some(master) = master {
                check_master(call, master)?;
            }
            if let Some(salt) = &salt {
                check_salt_len(salt)?;
            }
            if call.user.safe_key.is_some() {
                return Err(Refusal::new(ErrorCode::Forbidden, "has_safe").into());
            }
            let signature = text("signature").and_then(decode_signature);
            match signature.map(|signature| verify_safe_signature(call.user.user_id, &signature, &key)) {
                Some(Ok(())) => Ok(Effect::RegisterSafe(key, salt)),
                _ => Err(Refusal::field("signature", "not this user's id signed with this key").into()),
            }
        }
        ["apps", id, "transfer"] => {
            if !call.user.is_app || id.parse() != Ok(call.user.user_id) {
                return Err(Refusal::new(ErrorCode::Forbidden, "an app can only transfer itself").into());
            }
            let owner = text("user_id").and_then(|id| id.parse().ok()).map(|id| tx.user(id)).transpose()?.flatten();
            match owner {
                Some(owner) if !owner.is_app && !owner.is_deactivated() => Ok(Effect::TransferApp(owner.user_id)),
                _ => Err(Refusal::field("user_id", "not a user").into()),
            }
        }
        [path @ ("transfers" | "withdrawals" | "transactions")] => Ok(Effect::Pay(Payment::read(path, call, body)?)),
        ["logout"] | ["me" | "account", "deactivate"] | ["me", "salt_export"] => account_effect(call, read),
        ["emergency_verifications" | "emergency_contact", ..] => contact_effect(call, body, read),
        ["verifications", _] => match read {
            Ok(Some(Action::UpdatePhoneNumber { salt: Some(salt), .. })) => {
                check_salt_len(salt)?;
                Ok(Effect::SetSalt(salt.clone()))
            }
            _ => Ok(Effect::Receipt),
        },
        ["oauth", "authorize"] => Approval::read(tx, body).map(Effect::Approve),
        _ => Ok(Effect::Receipt),
    }
}

/// What ends a session or an account, or shows its salt. Digits permit these only with the fields that they need.
fn account_effect(call: &Call<'_>, read: &Result<Option<Action>, Refusal>) -> Result<Effect, HandlerError> {
    match read.as_ref().map_err(Refusal::clone)? {
        Some(Action::LogOutSession { session_id }) => {
            check_own_session(call, *session_id)?;
            Ok(Effect::LogOut)
        }
        // Each verification counts as done: the sandbox has no phone numbers.
        Some(Action::DeactivateUser { .. }) => Ok(Effect::Deactivate),
        Some(Action::ExportSalt { master }) => {
            check_master(call, master)?;
            Ok(Effect::ExportSalt)
        }
        _ => Ok(Effect::Receipt),
    }
}

/// The emergency contact: each verification and each code is accepted. A contact that is not there is 404; no source says.
fn contact_effect(
    call: &Call<'_>,
    body: &Map<String, Value>,
    read: &Result<Option<Action>, Refusal>,
) -> Result<Effect, HandlerError> {
    /// In bytes, because the contact is stored.
    const MAX_LEN: usize = 256;
    let contact = call.user.emergency_contact.as_deref();
    let absent = || Refusal::new(ErrorCode::NotFound, "emergency_contact");
    match read.as_ref().map_err(Refusal::clone)? {
        Some(Action::CreateEmergencyContact { verification_id, code: _ }) => {
            let mut contact = json!({ "type": "user", "verification_id": verification_id.to_string() });
            // Android's app sends these, iOS's does not.
            for field in ["identity_number", "phone"] {
                match body.get(field).and_then(Value::as_str) {
                    Some(text) if text.len() > MAX_LEN => return Err(Refusal::field(field, "too_long").into()),
                    Some(text) => contact[field] = text.into(),
                    None => {}
                }
            }
            Ok(Effect::SetContact(contact))
        }
        Some(Action::ReadEmergencyContact) => {
            let contact = contact.ok_or_else(absent)?;
            Ok(Effect::ReadContact(serde_json::from_str(contact).map_err(|_| Error::DatabaseContent)?))
        }
        Some(Action::RemoveEmergencyContact) => contact.map(|_| Effect::RemoveContact).ok_or_else(|| absent().into()),
        _ => Ok(Effect::Receipt),
    }
}

/// A user has one session here, so every other id is unknown.
fn check_own_session(call: &Call<'_>, session_id: Uuid) -> Result<(), Refusal> {
    if session_id == call.user.session_id { Ok(()) } else { Err(Refusal::new(ErrorCode::NotFound, "session_id")) }
}

fn check_master(call: &Call<'_>, master: &MasterProof) -> Result<(), Refusal> {
    let verified = master.verify(call.user.user_id);
    verified.map_err(|_| Refusal::field("master_signature_hex", "not this user's id signed with this key"))
}

fn action_refusal(error: ActionError) -> Refusal {
    match error {
        ActionError::Field { field, .. } => Refusal::field(field, "missing or invalid"),
        _ => Refusal::new(ErrorCode::BadRequest, "action"),
    }
}

pub(super) fn decode_signature(text: &str) -> Option<[u8; 64]> {
    use base64::Engine as _;

    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
    bytes.try_into().ok()
}
