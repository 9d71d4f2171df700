//! The server: Mixin's rules for tokens, iterators and PINs.

use mixin_pin_machine::core::uuid::Uuid;
use mixin_pin_machine::protocol::TokenFault;
use mixin_pin_machine::protocol::answer::Reason;

use crate::client::{Answer, PinName, Request};
use crate::world::{Fault, Scenario};

/// The wrong PINs that a day allows.
const TRIES: u8 = 5;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Server {
    pub pin: Option<PinName>,
    pub tries: u8,
    pub last: u64,
    seen: Vec<Uuid>,
    /// Changes that were made, and verifications of the right PIN.
    pub carried_out: Vec<Uuid>,
}

impl Server {
    pub fn new(pin: Option<PinName>, tries: u8) -> Self {
        Self { pin, tries, last: 0, seen: Vec::new(), carried_out: Vec::new() }
    }

    /// Carries a request out or refuses it. Also returns whether the iterator is the reason.
    pub fn receive(&mut self, request: &Request, now: u64, scenario: &Scenario) -> (Answer, bool) {
        let Some(reason) = self.refusal(request, now, scenario) else {
            self.carried_out.push(request.id);
            if request.is_update {
                self.pin = Some(request.pin.0);
            }
            return (Answer::Done, false);
        };
        let code = match reason {
            Reason::Token(_) | Reason::RequestRepeated => 401,
            Reason::TriesSpent => 429,
            _ => 20_119,
        };
        let given = scenario.gives_reasons.then(|| reason.as_str());
        (Answer::Refused(code, given), reason == Reason::Iterator)
    }

    fn refusal(&mut self, request: &Request, now: u64, scenario: &Scenario) -> Option<Reason> {
        if request.expires_at <= now {
            return Some(Reason::Token(TokenFault::Expired));
        }
        if scenario.knows_ids {
            if self.seen.contains(&request.id) {
                return Some(Reason::RequestRepeated);
            }
            self.seen.push(request.id);
        }
        if self.tries >= TRIES {
            return Some(Reason::TriesSpent);
        }
        let first = request.old.unwrap_or(request.pin).1;
        let is_rising = first > self.last && request.old.is_none_or(|(_, old)| old < request.pin.1);
        if !is_rising {
            return Some(Reason::Iterator);
        }
        let before = std::mem::replace(&mut self.last, request.pin.1);
        let refusal = self.refusal_of_pin(request);
        // As the sandbox does, a refusal of a PIN spends the iterators, too.
        if refusal.is_some() && scenario.fault == Some(Fault::NothingSpent) {
            self.last = before;
        }
        refusal
    }

    fn refusal_of_pin(&mut self, request: &Request) -> Option<Reason> {
        let Some(pin) = self.pin else {
            return (request.old.is_some() || !request.is_update).then_some(Reason::NoPinSet);
        };
        let shown = match (request.is_update, request.old) {
            (true, None) => return Some(Reason::OldPinNeeded),
            (true, Some((old, _))) => old,
            (false, _) => request.pin.0,
        };
        if shown == pin {
            return None;
        }
        self.tries += 1;
        Some(Reason::Pin)
    }
}
