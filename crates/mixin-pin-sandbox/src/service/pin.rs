//! PIN calls: blocks decrypted, iterators spent, tries counted, PINs compared and TIP signatures checked.
//!
//! What makes it safe is that all of it is one transaction, which no other runs beside: the day's tries are looked at
//! first, and a wrong PIN is counted before anybody else's is compared.

use mixin_pin_core::tip::{TipAction, TipInstallation};
use mixin_pin_core::{Ed25519PublicKey, EncryptedPin, Error as CoreError, Pin, PinBlock, Secret, SystemRng, UnixTime};
use mixin_pin_protocol::BlockError;
use mixin_pin_protocol::answer::{ErrorCode, Reason};
use mixin_pin_protocol::call::random_uuid;
use mixin_pin_protocol::check::check_block;
use serde::Deserialize;

use super::users::user_json;
use super::{Answer, Authenticated, Service};
use crate::Error;
use crate::calendar::nanos;
use crate::pin_hash::PinHash;
use crate::reply::{Done, Refusal};
use crate::store::{Db, LogRow};

const SECONDS_A_DAY: u64 = 86_400;
const WRONG_PIN: &str = "PIN_INCORRECT";

#[derive(Deserialize)]
pub(super) struct PinBody {
    #[serde(alias = "pin_base64")]
    pub(super) pin: Option<String>,
    #[serde(alias = "old_pin_base64")]
    old_pin: Option<String>,
    /// Nanoseconds, beside a TIP signature.
    timestamp: Option<u64>,
}

/// What a user may prove themselves with, once it is known to be of the right form.
pub(super) enum Proof {
    Digits(Pin),
    /// A signature, and whether it holds over what was asked for.
    Tip {
        holds: bool,
    },
}

/// What a user asks to be set.
enum NewPin {
    Digits(Pin),
    Tip { key: Ed25519PublicKey, counter: i64 },
}

impl Service {
    pub(super) fn verify_pin(&self, db: &Db<'_>, call: &Authenticated<'_>) -> Answer {
        let judged = self.tries_are_left(call).and_then(|()| {
            let body: PinBody = call.json()?;
            let block = self.decrypt(call, "pin", body.pin, call.user.last_iterator)?;
            let iterator = block.iterator();
            let proof = Self::proof(call, "pin", &block, |signature, key| {
                let timestamp = self.fresh_timestamp(call, body.timestamp)?;
                Ok(TipAction::Verify { timestamp }.verify(signature, key).is_ok())
            })?;
            Ok((proof, iterator))
        });
        let (proof, iterator) = match judged {
            Ok(judged) => judged,
            Err(refusal) => return Ok(Err(refusal)),
        };
        db.spend_iterator(call.user.session_id, iterator)?;
        let user = |()| Done::from(user_json(&call.user)).with_iterator("pin", iterator);
        Ok(self.try_proof(db, call, &proof)?.map(user))
    }

    pub(super) fn update_pin(&self, db: &Db<'_>, call: &Authenticated<'_>) -> Answer {
        // All is decrypted before anything counts: what cannot be read costs no try.
        let judged = self.tries_are_left(call).and_then(|()| {
            let body: PinBody = call.json()?;
            let has_pin = call.user.pin_hash.is_some() || call.user.tip_key.is_some();
            let old_text = body.old_pin.filter(|text| !text.is_empty());
            let mut last = call.user.last_iterator;
            let old = match old_text {
                None if has_pin => {
                    // The iterator first: the copy of a call that made the PIN is told so.
                    self.decrypt(call, "pin", body.pin, last)?;
                    return Err(Refusal::new(ErrorCode::PinIncorrect, Reason::OldPinNeeded.as_str()));
                }
                None => None,
                text => {
                    let block = self.decrypt(call, "old_pin", text, last)?;
                    last = block.iterator();
                    // A TIP key is changed by signing its counter where a timestamp would stand.
                    let timestamp = u64::try_from(call.user.tip_counter).unwrap_or_default();
                    let proof = Self::proof(call, "old_pin", &block, |signature, key| {
                        Ok(TipAction::Verify { timestamp }.verify(signature, key).is_ok())
                    })?;
                    Some((proof, last))
                }
            };
            let block = self.decrypt(call, "pin", body.pin, last)?;
            let new = Self::new_pin(call, &block)?;
            Ok((old, new, block.iterator()))
        });
        let (old, new, iterator) = match judged {
            Ok(judged) => judged,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let session_id = call.user.session_id;
        db.spend_iterator(session_id, iterator)?;
        if let Some((old, _)) = &old
            && let Err(refusal) = self.try_proof(db, call, old)?
        {
            return Ok(Err(refusal));
        }
        match &new {
            NewPin::Digits(pin) => db.set_pin(session_id, &PinHash::of(pin, &call.user.pin_key)?)?,
            NewPin::Tip { key, counter } => db.set_tip_key(session_id, key, *counter)?,
        }
        let user = db.user_of_session(session_id)?.ok_or(Error::DatabaseContent)?;
        let done = Done::from(user_json(&user)).with_iterator("pin", iterator);
        Ok(Ok(match old {
            Some((_, iterator)) => done.with_iterator("old_pin", iterator),
            None => done,
        }))
    }

    fn tries_used(call: &Authenticated<'_>) -> u32 {
        if call.user.tries_day == day(call.now) { call.user.tries_used } else { 0 }
    }

    pub(super) fn tries_are_left(&self, call: &Authenticated<'_>) -> Result<(), Refusal> {
        if Self::tries_used(call) < self.tries_a_day {
            return Ok(());
        }
        let until = (call.now.secs() / SECONDS_A_DAY + 1) * SECONDS_A_DAY;
        Err(Refusal::new(ErrorCode::TooManyRequests, Reason::TriesSpent.as_str()).with("retry_at", until))
    }

    /// Decrypts one field's block. Nothing that goes wrong here costs a try.
    pub(super) fn decrypt(
        &self,
        call: &Authenticated<'_>,
        field: &str,
        text: Option<String>,
        last: u64,
    ) -> Result<PinBlock, Refusal> {
        let text = text.filter(|text| !text.is_empty()).ok_or_else(|| Refusal::field(field, "absent"))?;
        let block = EncryptedPin::from_base64(&text)
            .and_then(|encrypted| call.user.pin_key.decrypt(&encrypted))
            .map_err(|_: CoreError| incorrect(field, Reason::Ciphertext))?;
        check_block(&block, last, call.now, self.clock_tolerance).map_err(|error| match error {
            BlockError::Time { .. } => incorrect(field, Reason::Timestamp),
            _ => incorrect(field, Reason::Iterator),
        })?;
        Ok(block)
    }

    /// The proof in a block, of the kind that the user has set; `holds` judges a TIP signature.
    pub(super) fn proof(
        call: &Authenticated<'_>,
        field: &str,
        block: &PinBlock,
        holds: impl FnOnce(&[u8; 64], &Ed25519PublicKey) -> Result<bool, Refusal>,
    ) -> Result<Proof, Refusal> {
        match (block.secret(), &call.user.pin_hash, &call.user.tip_key) {
            (_, None, None) => Err(Refusal::new(ErrorCode::PinIncorrect, Reason::NoPinSet.as_str())),
            (Secret::Digits(digits), Some(_), _) => {
                Pin::new(digits.expose()).map(Proof::Digits).map_err(|_| wrong_kind(field, block))
            }
            (Secret::TipSignature(signature), _, Some(key)) => Ok(Proof::Tip { holds: holds(signature, key)? }),
            _ => Err(wrong_kind(field, block)),
        }
    }

    /// The `timestamp` beside a TIP signature, which must be as near to the clock as the block's own.
    fn fresh_timestamp(&self, call: &Authenticated<'_>, timestamp: Option<u64>) -> Result<u64, Refusal> {
        let timestamp = timestamp.ok_or_else(|| Refusal::field("timestamp", "absent"))?;
        let seconds = UnixTime::from_nanos(timestamp).secs();
        if seconds.abs_diff(call.now.secs()) > self.clock_tolerance.as_secs() {
            return Err(incorrect("timestamp", Reason::Timestamp));
        }
        Ok(timestamp)
    }

    /// What is to be set. Who has a TIP key keeps to TIP, and its counter grows.
    fn new_pin(call: &Authenticated<'_>, block: &PinBlock) -> Result<NewPin, Refusal> {
        match block.secret() {
            Secret::Digits(digits) if call.user.tip_key.is_none() => {
                Pin::new(digits.expose()).map(NewPin::Digits).map_err(|_| wrong_kind("pin", block))
            }
            Secret::TipKey(bytes) => {
                let installation = TipInstallation::from_bytes(bytes)
                    .map_err(|_| Refusal::new(ErrorCode::PinFormat, "tip_key").with("field", "pin"))?;
                match i64::try_from(installation.counter) {
                    Ok(counter) if counter > call.user.tip_counter => {
                        Ok(NewPin::Tip { key: installation.public_key, counter })
                    }
                    _ => Err(Refusal::new(ErrorCode::PinFormat, "tip_counter")
                        .with("field", "pin")
                        .with("tip_counter", call.user.tip_counter)),
                }
            }
            _ => Err(wrong_kind("pin", block)),
        }
    }

    /// Judges the proof, and counts a try if it was wrong.
    pub(super) fn try_proof(
        &self,
        db: &Db<'_>,
        call: &Authenticated<'_>,
        proof: &Proof,
    ) -> Result<Result<(), Refusal>, Error> {
        let used = Self::tries_used(call);
        let (right, reason) = match proof {
            Proof::Digits(pin) => match &call.user.pin_hash {
                Some(hash) => (hash.matches(pin, &call.user.pin_key)?, Reason::Pin),
                None => (false, Reason::Pin),
            },
            Proof::Tip { holds } => (*holds, Reason::Signature),
        };
        if right {
            return Ok(Ok(()));
        }
        db.set_tries(call.user.session_id, day(call.now), used + 1)?;
        db.add_log(&LogRow {
            log_id: random_uuid(&mut SystemRng::new()?),
            user_id: call.user.user_id,
            code: WRONG_PIN.to_owned(),
            ip_address: call.ip.to_string(),
            created_at: nanos(call.now),
        })?;
        let left = self.tries_a_day.saturating_sub(used + 1);
        Ok(Err(Refusal::new(ErrorCode::PinIncorrect, reason.as_str()).with("tries_left", left)))
    }
}

fn incorrect(field: &str, reason: Reason) -> Refusal {
    Refusal::new(ErrorCode::PinIncorrect, reason.as_str()).with("field", field)
}

/// A block that opens, with something else inside than this call takes.
fn wrong_kind(field: &str, block: &PinBlock) -> Refusal {
    Refusal::new(ErrorCode::PinFormat, "kind").with("field", field).with("kind", block.kind().as_str())
}

/// Days since 1970, in UTC.
pub(super) fn day(now: UnixTime) -> i64 {
    i64::try_from(now.secs() / SECONDS_A_DAY).unwrap_or(i64::MAX)
}
