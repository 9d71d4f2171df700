//! Checks decrypted PIN blocks: time, iterator and TIP signature.

use mixin_pin_core::tip::{TipAction, TipInstallation};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, EncryptedPin, PinBlock, Secret, UnixTime};
use serde_json::{Map, Value};

use super::{CapturedRequest, DecryptedPin, Findings, Known, duration};
use crate::ActionError;
use crate::action::Action;
use crate::check::{ReceivedToken, THIS_CENTURY};

/// How far a time may be off, in seconds. Mixin does not document its own limit.
const TOLERANCE: u64 = 300;
const NANOS_A_SECOND: u64 = 1_000_000_000;
/// The year 2000 in Unix nanoseconds. A lower iterator is in another unit.
const NANOSECONDS_BEGIN: u64 = 946_684_800 * NANOS_A_SECOND;

/// The unit in which an iterator is a time of the years 2000 to 2099, if that is not nanoseconds.
fn unit_of(iterator: u64) -> Option<&'static str> {
    [("seconds", 1), ("milliseconds", 1_000), ("microseconds", 1_000_000)]
        .into_iter()
        .find_map(|(name, a_second)| THIS_CENTURY.contains(&(iterator / a_second)).then_some(name))
}

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

    /// Checks a decrypted PIN.
    pub(super) fn check(&self, field: &str, block: &PinBlock, findings: &mut Findings) -> DecryptedPin {
        let off = block.timestamp().abs_diff(self.made_at);
        if off > TOLERANCE {
            findings.fail(format!("{field} was encrypted {} away from the request's time", duration(off)));
        }
        self.check_iterator(field, block.iterator(), findings);
        let (mut signature_holds, mut counter) = (None, None);
        match block.secret() {
            Secret::TipSignature(signature) => {
                signature_holds = self.check_signature(field, signature, block, findings);
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
        DecryptedPin { timestamp: block.timestamp(), iterator: block.iterator(), signature_holds, counter }
    }

    /// Compares an iterator with the request's time in nanoseconds, which most clients use. A session accepts only greater
    /// ones than before, so clients with different units lock each other out.
    fn check_iterator(&self, field: &str, iterator: u64, findings: &mut Findings) {
        let made_at = self.made_at.saturating_mul(NANOS_A_SECOND);
        let off = duration(iterator.abs_diff(made_at) / NANOS_A_SECOND);
        if iterator == 0 {
            findings.fail(format!("{field} has the iterator 0; the first must be above it"));
        } else if let Some(unit) = unit_of(iterator) {
            findings.warn(format!(
                "{field} has the iterator {iterator}, which looks like {unit} and is too low for nanoseconds: a session \
                 that another client used refuses it"
            ));
        } else if iterator < NANOSECONDS_BEGIN {
            findings.warn(format!(
                "{field} has the iterator {iterator}, which is too low for a time in nanoseconds: a session that another \
                 client used refuses it"
            ));
        } else if iterator > made_at.saturating_add(TOLERANCE * NANOS_A_SECOND) {
            findings.warn(format!(
                "{field} has the iterator {iterator}, which is too high for nanoseconds: {off} after the request's time; \
                 from then on the session refuses clients that take the clock's nanoseconds, until their clock is past it"
            ));
        } else if iterator.saturating_add(TOLERANCE * NANOS_A_SECOND) < made_at {
            findings.warn(format!(
                "{field} has the iterator {iterator}, which looks like nanoseconds {off} before the request's time: a \
                 session that was used since refuses it"
            ));
        }
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
        let asked = match Action::read(method, path, self.fields) {
            Ok(Some(asked)) => asked,
            Ok(None) => {
                findings
                    .info(format!("the TIP signature in {field} was not checked: no action is known for this path"));
                return None;
            }
            Err(ActionError::Field { field: missing, .. }) => {
                findings.fail(format!(
                    "{missing} is absent or has another form than the TIP action needs, so the TIP signature in {field} \
                     was not checked"
                ));
                return None;
            }
            Err(error) => {
                findings.fail(error.to_string());
                return None;
            }
        };
        let action = asked.tip(self.user_id);
        let is_valid = asked.verify(self.user_id, signature, key).is_ok();
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
