//! Sessions that get new keys: `POST /legacy/users`, `POST /session/secret`. And `POST /sessions/fetch`.

use base16ct::lower::encode_string;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, EncryptedPin, Pin, PinBlock, Secret, SystemRng};
use mixin_pin_protocol::answer::{ErrorCode, Reason};
use mixin_pin_protocol::call::random_uuid;
use mixin_pin_protocol::keystore::Keystore;
use serde_json::{Map, Value, json};

use super::pin::{Credential, PinBody, incorrect};
use super::users::MAX_SECRET_LEN;
use super::{Call, Service, UnsignedCall, invalid_body, json_body, unauthorized};
use crate::Error;
use crate::database::{NewSession, RequestId, Transaction, UserRow};
use crate::reply::{Answer, HandlerError, Refusal};

/// How many users `POST /sessions/fetch` may ask for. No source has a limit.
const MAX_FETCHED: usize = 1000;

impl Service {
    /// `POST /legacy/users`: an RSA session gets an Ed25519 key (bot-api-go-client: `legacy_user.go`, the only client that
    /// has it).
    pub(super) fn upgrade_session(&self, tx: &Transaction<'_>, call: &UnsignedCall<'_>) -> Answer {
        let body: Map<String, Value> = json_body(call.body)?;
        let session_id =
            text_field(&body, "session_id")?.parse().map_err(|_| Refusal::field("session_id", "not a UUID"))?;
        let old_key = rsa_field(&body, "session_secret_legacy")?;
        let new_key = ed25519_field(&body, "session_secret")?;
        let (user, is_done) = self.find_upgrade(tx, session_id, &old_key, &new_key)?;
        let UnsignedCall { method, path, body: bytes, now, ip } = *call;
        let call = Call { method, path, body: bytes, user, now, ip };
        self.check_tries(tx, &call)?;
        let credential = self.read_upgrade_pin(tx, &call, &body)?;
        self.check_credential(tx, &call, &credential, None)?;
        let user = if is_done {
            tx.user(call.user.user_id)?.ok_or(Error::DatabaseContent)?
        } else {
            let rng = &mut SystemRng::new()?;
            let session_id = if self.config.upgrade_changes_session { random_uuid(rng) } else { call.user.session_id };
            replace_session(tx, &call.user, session_id, &new_key, rng)?
        };
        Ok(new_session_json(&user)?.into())
    }

    /// The user of an RSA session, and whether the session has the new key already. The user has the RSA session's PIN key in
    /// either case. An unknown session and one with another key are refused alike.
    fn find_upgrade(
        &self,
        tx: &Transaction<'_>,
        session_id: Uuid,
        old_key: &VerifyingKey,
        new_key: &Ed25519PublicKey,
    ) -> Result<(UserRow, bool), HandlerError> {
        let old_secret = old_key.to_session_secret()?;
        let user = tx.user_of_session(session_id)?;
        if let Some(user) = user.filter(|user| user.is_active() && user.session_secret == old_secret) {
            return Ok((user, false));
        }
        let origin = tx.origin(session_id)?.filter(|origin| origin.session_secret == old_secret);
        if let Some(origin) = origin.filter(|_| self.config.answer_repeated_upgrades) {
            let new_secret = VerifyingKey::Ed25519(new_key.clone()).to_session_secret()?;
            let mut user = tx.user(origin.user_id)?.ok_or(Error::DatabaseContent)?;
            if user.is_active() && user.session_secret == new_secret {
                user.pin_key = origin.pin_key;
                return Ok((user, true));
            }
        }
        Err(unauthorized(Reason::Session.as_str()).into())
    }

    /// The six digits of an upgrade. Their block has iterator 0, as the only client sends it. No source says whether another
    /// one is accepted: here it is refused.
    ///
    /// # Security
    /// Whoever sends the call has shown no private key. So the answer does not tell in which way a block is unreadable.
    fn read_upgrade_pin(
        &self,
        tx: &Transaction<'_>,
        call: &Call<'_>,
        body: &Map<String, Value>,
    ) -> Result<Credential, HandlerError> {
        let (_, text) = PinBody::read(body)?.pin.ok_or_else(|| Refusal::field("pin", "absent"))?;
        let unreadable = || incorrect("pin", Reason::Ciphertext);
        let encrypted = EncryptedPin::from_base64(text).map_err(|_| unreadable())?;
        let block = call.user.pin_key.decrypt(&encrypted).map_err(|_| unreadable())?;
        let pin = digits(&block).ok_or_else(unreadable)?;
        if block.timestamp().abs_diff(call.now.secs()) > self.config.clock_tolerance.as_secs() {
            return Err(incorrect("pin", Reason::Timestamp).into());
        }
        if block.iterator() != 0 {
            return Err(incorrect("pin", Reason::Iterator).into());
        }
        self.use_up_block(tx, call, &encrypted, &block)?;
        match (&call.user.pin_hash, &call.user.tip_key) {
            (Some(_), _) => Ok(Credential::Digits(pin)),
            (None, None) => Err(Refusal::new(ErrorCode::PinIncorrect, Reason::NoPinSet.as_str()).into()),
            (None, Some(_)) => Err(Refusal::new(ErrorCode::PinFormat, "kind").with("field", "pin").into()),
        }
    }

    /// Refuses a block that was used before. Its iterator is always 0, and the call has no token, so nothing else tells a
    /// replay, which would cost a try each time.
    ///
    /// # Security
    /// The last 16 bytes stand for the block. Whoever changes the bytes before them garbles it, and with another IV, which
    /// changes the digits, they stay the same.
    fn use_up_block(
        &self,
        tx: &Transaction<'_>,
        call: &Call<'_>,
        encrypted: &EncryptedPin,
        block: &PinBlock,
    ) -> Result<(), HandlerError> {
        let last = encrypted.as_bytes().last_chunk().ok_or_else(|| incorrect("pin", Reason::Ciphertext))?;
        let expires_at = block.timestamp().saturating_add(self.config.clock_tolerance.as_secs() + 1);
        // The session's id may change in between.
        let user_id = call.user.user_id;
        match tx.record_request(user_id, Uuid::from_bytes(*last), expires_at, call.now.secs(), false)? {
            RequestId::New => Ok(()),
            RequestId::Repeated => Err(unauthorized(Reason::RequestRepeated.as_str()).into()),
            RequestId::Full => Err(Refusal::new(ErrorCode::TooManyRequests, "request_ids_full").into()),
        }
    }

    /// `POST /session/secret`: a session replaces its own key, and keeps its id and its iterators (android-app:
    /// `LoadingFragment.kt`, `Session.kt`).
    ///
    /// The clients replace RSA keys only. No source shows an Ed25519 key replaced; here it is.
    pub(super) fn replace_session_key(tx: &Transaction<'_>, call: &Call<'_>) -> Answer {
        let key = ed25519_field(&call.json()?, "session_secret")?;
        let user = replace_session(tx, &call.user, call.user.session_id, &key, &mut SystemRng::new()?)?;
        let server_key = user.server_key.ok_or(Error::DatabaseContent)?;
        Ok(json!({ "pin_token": STANDARD.encode(server_key.to_x25519()?.as_bytes()) }).into())
    }

    /// `POST /sessions/fetch`: the sessions of users (developers.mixin.one: `developers-docs/docs/api/users/sessions.md`).
    /// An unknown id is ignored.
    pub(super) fn fetch_sessions(tx: &Transaction<'_>, call: &Call<'_>) -> Answer {
        let ids: Vec<Uuid> = serde_json::from_slice::<Vec<String>>(call.body)
            .ok()
            .and_then(|ids| ids.iter().map(|id| id.parse().ok()).collect())
            .ok_or_else(invalid_body)?;
        if ids.len() > MAX_FETCHED {
            return Err(Refusal::new(ErrorCode::InvalidField, "more than 1000 ids").into());
        }
        let mut sessions = Vec::new();
        for user_id in ids {
            let Some(user) = tx.user(user_id)?.filter(UserRow::is_active) else { continue };
            // Messages are encrypted with this key. An RSA session has none (mixin-sdk-go: `session.go`).
            let public_key = match VerifyingKey::from_text(&user.session_secret)? {
                VerifyingKey::Ed25519(key) => key.to_x25519()?.to_base64_url(),
                _ => String::new(),
            };
            sessions.push(json!({
                "user_id": user.user_id.to_string(),
                "session_id": user.session_id.to_string(),
                "public_key": public_key,
                "platform": "",
            }));
        }
        Ok(Value::from(sessions).into())
    }
}

/// Gives a user a session with this key and a new server key.
pub(super) fn replace_session(
    tx: &Transaction<'_>,
    user: &UserRow,
    session_id: Uuid,
    key: &Ed25519PublicKey,
    rng: &mut dyn CryptoRng,
) -> Result<UserRow, Error> {
    let server = Ed25519Key::generate(rng);
    let server_key = server.public_key();
    tx.set_session(
        user,
        &NewSession {
            session_id,
            session_secret: &VerifyingKey::Ed25519(key.clone()).to_session_secret()?,
            pin_key: &server.agree(&key.to_x25519()?)?,
            pin_token: &server_key.to_x25519()?.to_base64_url(),
            server_key: &server_key,
        },
    )?;
    tx.existing_user(session_id)
}

/// The answer to an upgrade, and to a new session of an app.
pub(super) fn new_session_json(user: &UserRow) -> Result<Value, Error> {
    let server_key = user.server_key.as_ref().ok_or(Error::DatabaseContent)?;
    Ok(json!({
        "user_id": user.user_id.to_string(),
        "session_id": user.session_id.to_string(),
        "server_public_key": encode_string(server_key.as_bytes()),
    }))
}

/// Whether the session of a keystore still has the keystore's key.
pub(super) fn is_live(tx: &Transaction<'_>, keystore: &str) -> Result<bool, Error> {
    let keystore = Keystore::parse(keystore.as_bytes()).map_err(|_| Error::DatabaseContent)?;
    let key = keystore.public_key().ok_or(Error::DatabaseContent)?.to_session_secret()?;
    let user = tx.user_of_session(keystore.session_id())?;
    Ok(user.is_some_and(|user| user.is_active() && user.session_secret == key))
}

fn digits(block: &PinBlock) -> Option<Pin> {
    match block.secret() {
        Secret::Digits(digits) => Pin::new(digits.expose()).ok(),
        _ => None,
    }
}

fn text_field<'b>(body: &'b Map<String, Value>, field: &'static str) -> Result<&'b str, Refusal> {
    let text = body.get(field).and_then(Value::as_str).ok_or_else(|| Refusal::field(field, "absent"))?;
    if text.len() > MAX_SECRET_LEN { Err(Refusal::field(field, "too_long")) } else { Ok(text) }
}

fn rsa_field(body: &Map<String, Value>, field: &'static str) -> Result<VerifyingKey, Refusal> {
    let text = text_field(body, field)?;
    match VerifyingKey::from_text(text) {
        // PEM has blanks.
        Ok(key @ VerifyingKey::Rsa(_)) if !text.contains(char::is_whitespace) => Ok(key),
        _ => Err(Refusal::field(field, "not an RSA public key")),
    }
}

/// An Ed25519 key that may become a session's: base64 of its 32 bytes, in either alphabet. There is no way back to RSA (developers.mixin.one:
/// `developers-docs/docs/api/session-secret-migration.md` of 2025).
fn ed25519_field(body: &Map<String, Value>, field: &'static str) -> Result<Ed25519PublicKey, Refusal> {
    // With padding. Hex and DER are longer.
    const MAX_LEN: usize = 44;
    let text = Some(text_field(body, field)?).filter(|text| text.len() <= MAX_LEN);
    let key = text.and_then(|text| Ed25519PublicKey::from_text(text).ok()).filter(Ed25519PublicKey::has_prime_order);
    key.ok_or_else(|| Refusal::field(field, "not an Ed25519 key in base64"))
}
