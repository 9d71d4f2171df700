//! The server: Mixin's rules for tokens, iterators and PINs.

use mixin_pin_machine::core::uuid::Uuid;
use mixin_pin_machine::protocol::TokenFault;
use mixin_pin_machine::protocol::answer::Reason;

use crate::client::{Answer, Kind, PinName, Request, is_key};
use crate::world::Scenario;

/// The wrong PINs that a day allows.
const TRIES: u8 = 5;

/// Why a request is refused.
enum Refusal {
    For(Reason),
    /// Digits are shown although a TIP key is installed, or the other way round. This costs no try.
    OtherKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    pub pin: Option<PinName>,
    pub tries: u8,
    pub last: u64,
    seen: Vec<Uuid>,
    /// What was carried out, and the PIN that was valid then.
    log: Vec<(Uuid, PinName)>,
    first: Option<PinName>,
}

impl Server {
    pub fn new(pin: Option<PinName>, tries: u8) -> Self {
        Self { pin, tries, last: 0, seen: Vec::new(), log: Vec::new(), first: pin }
    }

    pub fn has_carried_out(&self, id: &Uuid) -> bool {
        self.log.iter().any(|(done, _)| done == id)
    }

    /// Whether this PIN was valid at some time after the last of these changes.
    pub fn was_valid_after(&self, pin: Option<PinName>, changes: &[Uuid]) -> bool {
        let last = self.log.iter().rposition(|(done, _)| changes.contains(done));
        let mut later = self.log[last.unwrap_or_default()..].iter();
        later.any(|(_, valid)| Some(*valid) == pin) || (last.is_none() && self.first == pin)
    }

    /// Carries a request out or refuses it. Also returns whether the iterator is the reason.
    pub fn receive(&mut self, request: &Request, now: u64, scenario: &Scenario) -> (Answer, bool) {
        let Some(refusal) = self.refusal(request, now, scenario) else {
            if request.kind == Kind::Change {
                self.pin = Some(request.pin.0);
            }
            self.log.push((request.id, self.pin.unwrap_or(request.pin.0)));
            return (Answer::Done, false);
        };
        let Refusal::For(reason) = refusal else { return (Answer::Refused(20_118, None), false) };
        let code = match reason {
            Reason::Token(_) | Reason::RequestRepeated => 401,
            Reason::TriesSpent => 429,
            _ => 20_119,
        };
        let given = scenario.gives_reasons.then(|| reason.as_str());
        (Answer::Refused(code, given), reason == Reason::Iterator)
    }

    fn refusal(&mut self, request: &Request, now: u64, scenario: &Scenario) -> Option<Refusal> {
        if request.expires_at <= now {
            return Some(Refusal::For(Reason::Token(TokenFault::Expired)));
        }
        if scenario.knows_ids {
            if self.seen.contains(&request.id) {
                return Some(Refusal::For(Reason::RequestRepeated));
            }
            self.seen.push(request.id);
        }
        if self.tries >= TRIES {
            return Some(Refusal::For(Reason::TriesSpent));
        }
        let first = request.old.unwrap_or(request.pin).1;
        let is_rising = first > self.last && request.old.is_none_or(|(_, old)| old < request.pin.1);
        if !is_rising {
            return Some(Refusal::For(Reason::Iterator));
        }
        let before = std::mem::replace(&mut self.last, request.pin.1);
        let refusal = self.refusal_of_pin(request);
        if refusal.is_some() && !scenario.spends_refused {
            self.last = before;
        }
        refusal
    }

    fn refusal_of_pin(&mut self, request: &Request) -> Option<Refusal> {
        let is_update = request.kind == Kind::Change;
        let Some(pin) = self.pin else {
            return (request.old.is_some() || !is_update).then_some(Refusal::For(Reason::NoPinSet));
        };
        let shown = match (is_update, request.old) {
            (true, None) => return Some(Refusal::For(Reason::OldPinNeeded)),
            (true, Some((old, _))) => old,
            (false, _) => request.pin.0,
        };
        if is_key(shown) != is_key(pin) {
            return Some(Refusal::OtherKind);
        }
        if shown == pin {
            return None;
        }
        self.tries += 1;
        Some(Refusal::For(Reason::Pin))
    }
}
