//! Checks decrypted PIN blocks: time, iterator and TIP signature.

use mixin_pin_core::tip::{TipAction, TipInstallation};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, EncryptedPin, PinBlock, Secret, UnixTime};
use serde_json::{Map, Value};

use super::{CapturedRequest, DecryptedPin, Findings, Known, duration};
use crate::ActionError;
use crate::action::requested;
use crate::check::ReceivedToken;

/// How far a time may be off, in seconds. Mixin does not document its own limit.
const TOLERANCE: u64 = 300;
/// The year 2000 in Unix nanoseconds. A lower iterator is in another unit.
const NANOSECONDS_BEGIN: u64 = 946_684_800_000_000_000;

/// Checks the PINs of one request.
pub(super) struct BlockChecker<'r> {
    request: &'r CapturedRequest,
    fields: &'r Map<String, Value>,
    known: &'r Known<'r>,
    user_id: Uuid,
    /// When the request was made: its token's `iat`, or else the time of the inspection.
    made_at: u64,
}

impl<'r> BlockChecker<'r> {
    pub(super) fn new(
        request: &'r CapturedRequest,
        token: &ReceivedToken<'_>,
        fields: &'r Map<String, Value>,
        known: &'r Known<'r>,
        at: UnixTime,
    ) -> Self {
        let claim = |name| token.raw_claims().get(name);
        let user_id = claim("uid").and_then(Value::as_str).and_then(|id| id.parse().ok()).unwrap_or_default();
        let made_at = claim("iat").and_then(Value::as_u64).unwrap_or(at.secs());
        Self { request, fields, known, user_id, made_at }
    }

    /// Checks a PIN if its key is known.
    pub(super) fn check(&self, field: &str, pin: &EncryptedPin, findings: &mut Findings) -> Option<DecryptedPin> {
        let Ok(block) = self.known.pin_key?.decrypt(pin) else {
            findings.fail(format!("{field} does not decrypt: it was made for another session, or changed since"));
            return None;
        };
        let off = block.timestamp().abs_diff(self.made_at);
        if off > TOLERANCE {
            findings.fail(format!("{field} was encrypted {} away from the request's time", duration(off)));
        }
        match block.iterator() {
            0 => findings.fail(format!("{field} has the iterator 0; the first must be above it")),
            1..NANOSECONDS_BEGIN => findings.warn(format!(
                "{field} has the iterator {}, too low for nanoseconds: a session that another client used refuses it",
                block.iterator()
            )),
            _ => {}
        }
        let (mut signature_holds, mut counter) = (None, None);
        match block.secret() {
            Secret::TipSignature(signature) => {
                signature_holds = self.check_signature(field, signature, &block, findings);
            }
            Secret::TipKey(bytes) => match TipInstallation::from_bytes(bytes) {
                Ok(TipInstallation { counter: number, .. }) => {
                    counter = Some(number);
                    if number == 0 {
                        findings.fail(format!("{field} installs a TIP key with the counter 0; the first is 1"));
                    }
                }
                Err(_) => findings.fail(format!("{field} installs 32 bytes that are no Ed25519 public key")),
            },
            _ => {}
        }
        Some(DecryptedPin { timestamp: block.timestamp(), iterator: block.iterator(), signature_holds, counter })
    }

    fn check_signature(
        &self,
        field: &str,
        signature: &[u8; 64],
        block: &PinBlock,
        findings: &mut Findings,
    ) -> Option<bool> {
        let Some(key) = self.known.tip_key else {
            findings.info(format!("the TIP signature in {field} was not checked: no TIP key was given"));
            return None;
        };
        if field.starts_with("old_pin") {
            return self.check_old(signature, key, findings);
        }
        let CapturedRequest { method, path, .. } = self.request;
        let asked = match requested(method, path, self.fields, self.user_id) {
            Ok(Some(asked)) => asked,
            Ok(None) => {
                findings
                    .info(format!("the TIP signature in {field} was not checked: no action is known for this path"));
                return None;
            }
            Err(ActionError::Field { field: missing }) => {
                findings.fail(format!("{missing} is absent or has another form, and is signed in {field}"));
                return Some(false);
            }
            Err(error) => {
                findings.fail(error.to_string());
                return Some(false);
            }
        };
        let action = asked.action();
        let is_valid = asked.verify(signature, key).is_ok();
        if !is_valid {
            findings.fail(format!(
                "the TIP signature in {field} is not valid for {} with the parameters of this request: another key, \
                 another action, or the body was changed after signing",
                action.prefix()
            ));
        }
        if let TipAction::Verify { timestamp } = action {
            let off = UnixTime::from_nanos(timestamp).secs().abs_diff(block.timestamp());
            if off > TOLERANCE {
                findings.fail(format!("the timestamp beside {field} is {} away from the PIN's", duration(off)));
            }
        }
        Some(is_valid)
    }

    /// As the old PIN, the old key signs its own counter. The request does not name it; usually it is the counter before the
    /// new key's.
    fn check_old(&self, signature: &[u8; 64], key: &Ed25519PublicKey, findings: &mut Findings) -> Option<bool> {
        let new = ["pin", "pin_base64"].iter().find_map(|name| self.fields.get(*name)?.as_str())?;
        let block = self.known.pin_key?.decrypt(&EncryptedPin::from_base64(new).ok()?).ok()?;
        let Secret::TipKey(bytes) = block.secret() else { return None };
        let timestamp = TipInstallation::from_bytes(bytes).ok()?.counter.checked_sub(1)?;
        let signed = TipAction::Verify { timestamp };
        if signed.verify(signature, key).is_ok() {
            return Some(true);
        }
        findings.warn(format!(
            "the TIP signature in the old PIN's place is not that of the key over the counter {timestamp}: it is \
             valid only if the key's counter is another"
        ));
        None
    }
}
