//! PIN calls: decryption, iterators, tries, and the check of PINs and TIP signatures.
//!
//! # Security
//! Each call is one transaction, and transactions run one after another. A call first checks that tries are left. A wrong
//! PIN is counted before the next call's PIN is compared.

use mixin_pin_core::tip::{TipAction, TipInstallation};
use mixin_pin_core::{Ed25519PublicKey, EncryptedPin, Pin, PinBlock, Secret, SystemRng, UnixTime};
use mixin_pin_protocol::BlockError;
use mixin_pin_protocol::action::EncryptedSalt;
use mixin_pin_protocol::answer::{ErrorCode, Reason};
use mixin_pin_protocol::call::random_uuid;
use mixin_pin_protocol::check::{OpenedPin, check_block};
use serde_json::{Map, Value};

use super::users::user_json;
use super::{Call, Service, invalid_body};
use crate::TryWindow;
use crate::database::{LogRow, Transaction};
use crate::pin_hash::PinHash;
use crate::reply::{Answer, HandlerError, Refusal, Success};
use crate::time::{SECONDS_A_DAY, a_day_after, a_day_before, nanos, start_of_day};

const WRONG_PIN: &str = "PIN_INCORRECT";

/// The PINs of a body and what belongs to them.
///
/// Each PIN has two names: Android's app puts TIP secrets into `pin`, iOS's into `pin_base64`. Case does not matter, because
/// fox-one's client sends `Pin` with transfers (mixin-sdk-go: `legacy_transfer.go`).
#[derive(Default)]
pub(super) struct PinBody<'b> {
    /// The name that the body has, and the text.
    pub(super) pin: Option<(&'b str, &'b str)>,
    old_pin: Option<(&'b str, &'b str)>,
    /// Nanoseconds, beside a TIP signature.
    timestamp: Option<u64>,
}

impl<'b> PinBody<'b> {
    /// Whether a field has the PIN.
    pub(super) const fn is_pin(name: &str) -> bool {
        name.eq_ignore_ascii_case("pin") || name.eq_ignore_ascii_case("pin_base64")
    }

    pub(super) fn read(body: &'b Map<String, Value>) -> Result<Self, Refusal> {
        let mut read = Self::default();
        for (name, value) in body {
            let (field, place) = match name.to_ascii_lowercase().as_str() {
                "pin" | "pin_base64" => ("pin", &mut read.pin),
                "old_pin" | "old_pin_base64" => ("old_pin", &mut read.old_pin),
                "timestamp" if !value.is_null() => {
                    read.timestamp = Some(value.as_u64().ok_or_else(invalid_body)?);
                    continue;
                }
                _ => continue,
            };
            match value {
                // Empty text counts as absent.
                Value::Null => {}
                Value::String(text) if text.is_empty() => {}
                Value::String(text) if place.is_none() => *place = Some((name, text)),
                Value::String(_) => return Err(Refusal::field(field, "given twice")),
                _ => return Err(invalid_body()),
            }
        }
        Ok(read)
    }
}

/// The decrypted PIN or TIP signature, of the kind that the user has set.
pub(super) enum Credential {
    Digits(Pin),
    Tip { is_valid: bool },
}

/// What the user wants to set.
enum NewPin {
    Digits(Pin),
    Tip { key: Ed25519PublicKey, counter: i64 },
}

impl Service {
    pub(super) fn verify_pin(&self, tx: &Transaction<'_>, call: &Call<'_>) -> Answer {
        self.check_tries(tx, call)?;
        let body: Map<String, Value> = call.json()?;
        let body = PinBody::read(&body)?;
        let block = self.decrypt(call, "pin", body.pin, call.user.last_iterator)?;
        let credential = read_credential(call, "pin", &block, |signature, key| {
            let timestamp = self.check_timestamp(call, body.timestamp)?;
            Ok(TipAction::Verify { timestamp }.verify(signature, key).is_ok())
        })?;
        self.check_credential(tx, call, &credential, Some(block.iterator()))?;
        Ok(Success::from(user_json(&call.user)).with_iterator("pin", block.iterator()))
    }

    pub(super) fn update_pin(&self, tx: &Transaction<'_>, call: &Call<'_>) -> Answer {
        self.check_tries(tx, call)?;
        // Both PINs are decrypted before a try is counted: one that cannot be decrypted costs none.
        let fields: Map<String, Value> = call.json()?;
        let body = PinBody::read(&fields)?;
        let last = call.user.last_iterator;
        let old = match body.old_pin {
            Some(text) => {
                let block = self.decrypt(call, "old_pin", Some(text), last)?;
                // To change a TIP key, the old key signs its counter in place of a timestamp.
                let timestamp = u64::try_from(call.user.tip_counter).unwrap_or_default();
                let credential = read_credential(call, "old_pin", &block, |signature, key| {
                    Ok(TipAction::Verify { timestamp }.verify(signature, key).is_ok())
                })?;
                Some((credential, block.iterator()))
            }
            None => None,
        };
        let old_iterator = old.as_ref().map_or(last, |(_, iterator)| *iterator);
        let above = if self.config.old_pin_first { old_iterator } else { last };
        let block = self.decrypt(call, "pin", body.pin, above)?;
        let last = block.iterator().max(old_iterator);
        // Checked after the iterator: a copy of the call that set the PIN is refused for its iterator.
        if old.is_none() && call.user.has_pin() {
            return Err(Refusal::new(ErrorCode::PinIncorrect, Reason::OldPinNeeded.as_str()).into());
        }
        let new = new_pin(call, &block)?;
        read_salt("old_salt_base64", &fields)?;
        let salt = read_salt("salt_base64", &fields)?;
        let session_id = call.user.session_id;
        match &old {
            Some((credential, _)) => self.check_credential(tx, call, credential, Some(last))?,
            None => tx.set_last_iterator(session_id, last)?,
        }
        match &new {
            NewPin::Digits(pin) => tx.set_pin(session_id, &PinHash::of(pin, &call.user.hash_key)?)?,
            NewPin::Tip { key, counter } => tx.set_tip_key(session_id, key, *counter)?,
        }
        if let Some(salt) = salt {
            tx.set_salt(call.user.user_id, salt.as_str())?;
        }
        let success = Success::from(user_json(&tx.existing_user(session_id)?)).with_iterator("pin", block.iterator());
        Ok(match old {
            Some((_, iterator)) => success.with_iterator("old_pin", iterator),
            None => success,
        })
    }

    /// Only tries after this time count, in nanoseconds since 1970.
    pub(super) fn tries_begin(&self, now: UnixTime) -> i64 {
        match self.config.try_window {
            TryWindow::Growing | TryWindow::Rolling => a_day_before(now),
            TryWindow::UtcDay => nanos(start_of_day(now)).saturating_sub(1),
        }
    }

    /// Refuses the call if the day's tries are spent.
    pub(super) fn check_tries(&self, tx: &Transaction<'_>, call: &Call<'_>) -> Result<(), HandlerError> {
        let (session_id, limit) = (call.user.session_id, self.config.tries_a_day);
        if tx.tries(session_id, self.tries_begin(call.now))? < limit {
            return Ok(());
        }
        if self.config.try_window == TryWindow::Growing {
            tx.add_try(session_id, nanos(call.now), a_day_before(call.now))?;
        }
        let retry_at = match self.config.try_window {
            // One try is free again a day after the oldest one that counts.
            TryWindow::Growing | TryWindow::Rolling => match limit.checked_sub(1) {
                Some(newer) => tx.try_before(session_id, newer)?.map(a_day_after),
                None => None,
            },
            TryWindow::UtcDay => Some(start_of_day(call.now).secs() + SECONDS_A_DAY),
        };
        let refusal = Refusal::new(ErrorCode::TooManyRequests, Reason::TriesSpent.as_str());
        Err(retry_at.map_or(refusal.clone(), |time| refusal.with("retry_at", time)).into())
    }

    /// Decrypts the PIN in a field, and checks its iterator and timestamp. A refusal costs no try.
    pub(super) fn decrypt(
        &self,
        call: &Call<'_>,
        field: &str,
        text: Option<(&str, &str)>,
        last_iterator: u64,
    ) -> Result<PinBlock, Refusal> {
        let (_, text) = text.ok_or_else(|| Refusal::field(field, "absent"))?;
        let key = &call.user.pin_key;
        let block = EncryptedPin::from_base64(text).and_then(|encrypted| key.decrypt(&encrypted)).map_err(|_| {
            // The request's signature is valid, so this tells the session's owner what the client does wrong.
            match OpenedPin::read(key, text) {
                Some(opened) => incorrect(field, Reason::SecretLength)
                    .with("secret_bytes", opened.secret_len())
                    .with("hint", format!("{field} {opened}")),
                None => incorrect(field, Reason::Ciphertext),
            }
        })?;
        check_block(&block, last_iterator, call.now, self.config.clock_tolerance).map_err(|error| match error {
            BlockError::Time { .. } => incorrect(field, Reason::Timestamp),
            _ => incorrect(field, Reason::Iterator),
        })?;
        Ok(block)
    }

    /// The `timestamp` beside a TIP signature, which must be as near to the clock as the block's own.
    fn check_timestamp(&self, call: &Call<'_>, timestamp: Option<u64>) -> Result<u64, Refusal> {
        let timestamp = timestamp.ok_or_else(|| Refusal::field("timestamp", "absent"))?;
        let seconds = UnixTime::from_nanos(timestamp).secs();
        if seconds.abs_diff(call.now.secs()) > self.config.clock_tolerance.as_secs() {
            return Err(incorrect("timestamp", Reason::Timestamp));
        }
        Ok(timestamp)
    }

    /// Compares the credential with what the user has set, and uses the iterator up, if it has one. A wrong credential costs
    /// a try and adds a log entry.
    pub(super) fn check_credential(
        &self,
        tx: &Transaction<'_>,
        call: &Call<'_>,
        credential: &Credential,
        iterator: Option<u64>,
    ) -> Result<(), HandlerError> {
        let (is_right, reason) = match (credential, &call.user.pin_hash) {
            (Credential::Digits(pin), Some(hash)) => (hash.matches(pin, &call.user.hash_key)?, Reason::Pin),
            (Credential::Digits(_), None) => (false, Reason::Pin),
            (Credential::Tip { is_valid }, _) => (*is_valid, Reason::Signature),
        };
        if let Some(iterator) = iterator
            && (is_right || self.config.wrong_pin_spends_iterator)
        {
            tx.set_last_iterator(call.user.session_id, iterator)?;
        }
        if is_right {
            return Ok(());
        }
        tx.add_try(call.user.session_id, nanos(call.now), a_day_before(call.now))?;
        let used = tx.tries(call.user.session_id, self.tries_begin(call.now))?;
        tx.add_log(&LogRow {
            log_id: random_uuid(&mut SystemRng::new()?),
            user_id: call.user.user_id,
            code: WRONG_PIN.to_owned(),
            ip_address: call.ip.to_string(),
            created_at: nanos(call.now),
        })?;
        let left = self.config.tries_a_day.saturating_sub(used);
        Err(Refusal::new(ErrorCode::PinIncorrect, reason.as_str()).with("tries_left", left).into())
    }
}

/// Takes the credential from a block if it is of the kind that the user has set. `verify` checks a TIP signature.
pub(super) fn read_credential(
    call: &Call<'_>,
    field: &str,
    block: &PinBlock,
    verify: impl FnOnce(&[u8; 64], &Ed25519PublicKey) -> Result<bool, Refusal>,
) -> Result<Credential, Refusal> {
    match (block.secret(), &call.user.pin_hash, &call.user.tip_key) {
        (_, None, None) => Err(Refusal::new(ErrorCode::PinIncorrect, Reason::NoPinSet.as_str())),
        (Secret::Digits(digits), Some(_), _) => {
            Pin::new(digits.expose()).map(Credential::Digits).map_err(|_| wrong_kind(field, block))
        }
        (Secret::TipSignature(signature), _, Some(key)) => Ok(Credential::Tip { is_valid: verify(signature, key)? }),
        _ => Err(wrong_kind(field, block)),
    }
}

/// Takes the new PIN from a block. A TIP key can only be replaced by another one with a greater counter.
fn new_pin(call: &Call<'_>, block: &PinBlock) -> Result<NewPin, Refusal> {
    match block.secret() {
        Secret::Digits(digits) if call.user.tip_key.is_none() => {
            Pin::new(digits.expose()).map(NewPin::Digits).map_err(|_| wrong_kind("pin", block))
        }
        Secret::TipKey(bytes) => {
            let invalid = |reason| Refusal::new(ErrorCode::PinFormat, reason).with("field", "pin");
            let installation = TipInstallation::from_bytes(bytes).map_err(|_| invalid("tip_key"))?;
            match i64::try_from(installation.counter) {
                Ok(counter) if counter > call.user.tip_counter => {
                    Ok(NewPin::Tip { key: installation.public_key, counter })
                }
                _ => Err(invalid("tip_counter").with("tip_counter", call.user.tip_counter)),
            }
        }
        _ => Err(wrong_kind("pin", block)),
    }
}

/// The salt in a field. The apps' wallets send it with a change of the TIP key, and its old one (android-app: `Tip.kt`).
fn read_salt(field: &'static str, body: &Map<String, Value>) -> Result<Option<EncryptedSalt>, Refusal> {
    let text = match body.get(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_str().ok_or_else(invalid_body)?,
    };
    if text.is_empty() {
        return Ok(None);
    }
    let salt = EncryptedSalt::new(text).map_err(|_| Refusal::field(field, "not base64"))?;
    check_salt_len(&salt).map(|()| Some(salt))
}

/// A salt is stored.
pub(super) fn check_salt_len(salt: &EncryptedSalt) -> Result<(), Refusal> {
    /// In bytes. The apps' salts have 107: two IVs and blocks around 16 bytes.
    const MAX_LEN: usize = 256;
    if salt.as_str().len() > MAX_LEN { Err(Refusal::field("salt_base64", "too_long")) } else { Ok(()) }
}

pub(super) fn incorrect(field: &str, reason: Reason) -> Refusal {
    Refusal::new(ErrorCode::PinIncorrect, reason.as_str()).with("field", field)
}

/// The block decrypts, but the call does not accept its kind of secret.
fn wrong_kind(field: &str, block: &PinBlock) -> Refusal {
    Refusal::new(ErrorCode::PinFormat, "kind").with("field", field).with("kind", block.kind().as_str())
}
