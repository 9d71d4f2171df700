//! PIN calls: blocks opened, iterators spent, tries counted, PINs compared.
//!
//! The order is what makes it safe, all of it in one transaction: the day's tries are looked at first, a try is
//! counted before the PIN is compared, and given back when it was right.

use mixin_pin_core::{EncryptedPin, Error as CoreError, Pin, PinBlock};
use mixin_pin_protocol::Error as ProtocolError;
use mixin_pin_protocol::answer::ErrorCode;
use mixin_pin_protocol::check::check_block;
use serde::Deserialize;

use super::{Answer, Authenticated, Service, log_id, nanos, user_json};
use crate::Error;
use crate::reply::Refusal;
use crate::store::{Db, LogRow};

const SECONDS_A_DAY: u64 = 86_400;
const WRONG_PIN: &str = "PIN_INCORRECT";

#[derive(Deserialize)]
struct PinBody {
    #[serde(alias = "pin_base64")]
    pin: Option<String>,
    #[serde(alias = "old_pin_base64")]
    old_pin: Option<String>,
}

/// A PIN taken out of a block that holds.
struct Opened {
    pin: Pin,
    iterator: u64,
}

impl Service {
    pub(super) fn verify_pin(&self, db: &Db<'_>, call: &Authenticated<'_>) -> Answer {
        let opened = self.tries_are_left(call).and_then(|()| {
            let body: PinBody = call.json()?;
            self.open(call, "pin", body.pin, call.user.last_iterator)
        });
        let opened = match opened {
            Ok(opened) => opened,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if call.user.pin.is_none() {
            return Ok(Err(Refusal::new(ErrorCode::PinIncorrect, "no_pin_set")));
        }
        db.spend_iterator(call.user.session_id, opened.iterator)?;
        match self.compare(db, call, &opened.pin)? {
            Ok(()) => Ok(Ok(user_json(&call.user))),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    pub(super) fn update_pin(&self, db: &Db<'_>, call: &Authenticated<'_>) -> Answer {
        let opened = self.tries_are_left(call).and_then(|()| {
            let body: PinBody = call.json()?;
            let old_text = body.old_pin.filter(|text| !text.is_empty());
            if call.user.pin.is_some() && old_text.is_none() {
                return Err(Refusal::new(ErrorCode::PinIncorrect, "old_pin_needed"));
            }
            if call.user.pin.is_none() && old_text.is_some() {
                return Err(Refusal::new(ErrorCode::PinIncorrect, "no_pin_set"));
            }
            let mut last = call.user.last_iterator;
            let mut old = None;
            if old_text.is_some() {
                let opened = self.open(call, "old_pin", old_text, last)?;
                last = opened.iterator;
                old = Some(opened.pin);
            }
            // Both are opened before either counts: what cannot be read costs no try.
            Ok((old, self.open(call, "pin", body.pin, last)?))
        });
        let (old, new) = match opened {
            Ok(opened) => opened,
            Err(refusal) => return Ok(Err(refusal)),
        };
        db.spend_iterator(call.user.session_id, new.iterator)?;
        if let Some(old) = old
            && let Err(refusal) = self.compare(db, call, &old)?
        {
            return Ok(Err(refusal));
        }
        db.set_pin(call.user.session_id, &new.pin)?;
        let user = db.user_of_session(call.user.session_id)?.ok_or(Error::DatabaseContent)?;
        Ok(Ok(user_json(&user)))
    }

    fn tries_used(call: &Authenticated<'_>) -> u32 {
        if call.user.tries_day == day(call) { call.user.tries_used } else { 0 }
    }

    fn tries_are_left(&self, call: &Authenticated<'_>) -> Result<(), Refusal> {
        if Self::tries_used(call) < self.tries_a_day {
            return Ok(());
        }
        let until = (call.now.secs() / SECONDS_A_DAY + 1) * SECONDS_A_DAY;
        Err(Refusal::new(ErrorCode::TooManyRequests, "tries_spent").with("retry_at", until))
    }

    /// Opens one field's block. Nothing that goes wrong here costs a try.
    fn open(&self, call: &Authenticated<'_>, field: &str, text: Option<String>, last: u64) -> Result<Opened, Refusal> {
        let text = text.filter(|text| !text.is_empty()).ok_or_else(|| Refusal::field(field, "absent"))?;
        let incorrect = |reason: &str| Refusal::new(ErrorCode::PinIncorrect, reason).with("field", field);
        let block: PinBlock = EncryptedPin::from_base64(&text)
            .and_then(|sealed| call.user.pin_key.open(&sealed))
            .map_err(|_: CoreError| incorrect("ciphertext"))?;
        check_block(&block, last, call.now, self.clock_tolerance).map_err(|error| match error {
            ProtocolError::BlockTime { .. } => incorrect("timestamp"),
            _ => incorrect("iterator"),
        })?;
        match Pin::from_bytes(block.secret().expose()) {
            Ok(pin) => Ok(Opened { pin, iterator: block.iterator() }),
            Err(_) => {
                Err(Refusal::new(ErrorCode::PinFormat, "kind").with("field", field).with("kind", block.kind().as_str()))
            }
        }
    }

    /// Counts a try, then compares, then gives the try back if the PIN was right.
    fn compare(&self, db: &Db<'_>, call: &Authenticated<'_>, pin: &Pin) -> Result<Result<(), Refusal>, Error> {
        let session_id = call.user.session_id;
        let used = Self::tries_used(call);
        db.set_tries(session_id, day(call), used + 1)?;
        if call.user.pin.as_ref() == Some(pin) {
            db.set_tries(session_id, day(call), used)?;
            return Ok(Ok(()));
        }
        db.add_log(&LogRow {
            log_id: log_id()?,
            user_id: call.user.user_id,
            code: WRONG_PIN.to_owned(),
            ip_address: call.ip.to_string(),
            created_at: nanos(call.now),
        })?;
        let left = self.tries_a_day.saturating_sub(used + 1);
        Ok(Err(Refusal::new(ErrorCode::PinIncorrect, "pin").with("tries_left", left)))
    }
}

/// Days since 1970, in UTC.
fn day(call: &Authenticated<'_>) -> i64 {
    i64::try_from(call.now.secs() / SECONDS_A_DAY).unwrap_or(i64::MAX)
}
