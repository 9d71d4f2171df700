//! What must always hold, and what must happen in some run.

use stateright::Property;

use crate::client::{Found, Kind, Report};
use crate::world::{State, World};

pub const SENT_ONCE: &str = "no request and no encrypted PIN is sent twice";
pub const IN_ORDER: &str = "no request that arrives in time is refused for its iterator";
pub const ONE_SENDER: &str = "one client may send at a time";
pub const ERROR_MEANS_UNCHANGED: &str = "what was reported as an error is not carried out";
pub const DONE_MEANS_DONE: &str = "what was reported as done was carried out";
pub const NEVER_LOST: &str = "what was carried out is reported or in the journal";
pub const SETTLED_FOR_GOOD: &str = "what was settled stays as it was found";
pub const ONLY_CHANGES: &str = "a resolver settles nothing but changes of the PIN";
pub const CAN_BE_SETTLED: &str = "everything in the journal can be settled";

pub fn invariants() -> Vec<Property<World>> {
    vec![
        Property::always(SENT_ONCE, sent_once),
        Property::always(IN_ORDER, |_, state: &State| !state.sent.iter().any(|sent| sent.was_overtaken)),
        Property::always(ONE_SENDER, |world: &World, state: &State| {
            state.sent.iter().filter(|sent| world.may_send(state, sent)).count() < 2
        }),
        Property::always(ERROR_MEANS_UNCHANGED, error_means_unchanged),
        Property::always(DONE_MEANS_DONE, done_means_done),
        Property::always(NEVER_LOST, never_lost),
        Property::always(SETTLED_FOR_GOOD, settled_for_good),
        Property::always(ONLY_CHANGES, only_changes),
        Property::always(CAN_BE_SETTLED, can_be_settled),
    ]
}

fn sent_once(world: &World, state: &State) -> bool {
    let requests: Vec<_> = state.sent.iter().map(|sent| world.request_of(sent)).collect();
    let mut pairs = requests
        .iter()
        .enumerate()
        .flat_map(|(number, one)| requests[number + 1..].iter().map(move |other| (one, other)));
    pairs.all(|(one, other)| {
        one.id != other.id && !one.ciphertexts.iter().any(|ciphertext| other.ciphertexts.contains(ciphertext))
    })
}

fn error_means_unchanged(world: &World, state: &State) -> bool {
    state.sent.iter().all(|sent| {
        let report = world.report(&state.clients[usize::from(sent.client)]);
        let request = world.request_of(sent);
        let is_changed = request.kind != Kind::Verification && state.server.has_carried_out(&request.id);
        !is_changed || !matches!(report, Some(Report::Failed(_)))
    })
}

fn done_means_done(world: &World, state: &State) -> bool {
    (0..).zip(&state.clients).all(|(number, client)| {
        let last = state.sent.iter().rfind(|sent| sent.client == number);
        let is_done = last.is_some_and(|sent| state.server.has_carried_out(&world.request_of(sent).id));
        world.report(client) != Some(Report::Done) || is_done
    })
}

fn never_lost(world: &World, state: &State) -> bool {
    state.sent.iter().all(|sent| {
        let request = world.request_of(sent);
        let client = &state.clients[usize::from(sent.client)];
        request.kind == Kind::Verification
            || !state.server.has_carried_out(&request.id)
            || world.report(client) == Some(Report::Done)
            || state.store.journal.iter().any(|entry| entry.id == request.id && entry.is_written)
            || state.settled.iter().any(|settled| settled.id == request.id)
    })
}

fn settled_for_good(_: &World, state: &State) -> bool {
    let was_applied = |id| state.server.has_carried_out(id);
    state.settled.iter().all(|settled| settled.is_true && was_applied(&settled.id) == settled.was_applied)
}

fn only_changes(world: &World, state: &State) -> bool {
    let is_settled = |id| state.settled.iter().any(|settled| settled.id == id);
    let requests = state.sent.iter().map(|sent| world.request_of(sent));
    requests.filter(|request| is_settled(request.id)).all(|request| request.kind == Kind::Change)
}

/// If all clients die now, someone can still settle what the journal has, and finds the truth.
fn can_be_settled(world: &World, state: &State) -> bool {
    let Some((reports, is_right)) = world.settle_when_calm(state) else { return true };
    let pin = state.server.pin;
    let is_true = |(report, (old, new)): (&Report, &(Option<u8>, u8))| match report {
        Report::Resolved(Found::Applied, _) => pin == Some(*new),
        Report::Resolved(Found::NotApplied, _) => pin == *old,
        Report::Resolved(Found::Neither, _) => pin != *old && pin != Some(*new),
        // Without reasons a refused PIN may be right.
        Report::Resolved(Found::Other, _) => !world.scenario.gives_reasons && pin != *old && pin != Some(*new),
        _ => false,
    };
    is_right && reports.iter().zip(&world.scenario.changes).all(is_true)
}

fn is(report: &'static str, holds: fn(&World, &State) -> bool) -> Property<World> {
    Property::sometimes(report, holds)
}

/// Runs that show that the model is not empty.
pub mod reaches {
    use super::{Found, Kind, Property, Report, State, World, is};

    fn reports(world: &World, state: &State, holds: impl Fn(&Report) -> bool) -> bool {
        state.clients.iter().any(|client| world.report(client).is_some_and(|report| holds(&report)))
    }

    pub fn all_done() -> Property<World> {
        is("all calls are done", |world, state| {
            (0..).zip(&state.clients).all(|(number, client): (usize, _)| {
                world.scenario.clients[number].0.resolves() || world.report(client) == Some(Report::Done)
            })
        })
    }

    pub fn lost_but_applied() -> Property<World> {
        is("a change is carried out although its answer is lost", |world, state| {
            reports(world, state, |report| match report {
                Report::Unknown(id) => state.server.has_carried_out(id),
                _ => false,
            })
        })
    }

    pub fn found_applied() -> Property<World> {
        is("a lost change is found to be applied", |world, state| {
            reports(world, state, |report| matches!(report, Report::Resolved(Found::Applied, ids) if !ids.is_empty()))
        })
    }

    pub fn found_not_applied() -> Property<World> {
        is("a lost change is found not to be applied", |world, state| {
            reports(
                world,
                state,
                |report| matches!(report, Report::Resolved(Found::NotApplied, ids) if !ids.is_empty()),
            )
        })
    }

    pub fn left_by_a_crash() -> Property<World> {
        is("a crash leaves a change that is carried out later", |world, state| {
            state.sent.iter().any(|sent| {
                let id = world.request_of(sent).id;
                state.clients[usize::from(sent.client)].is_gone
                    && state.server.has_carried_out(&id)
                    && state.store.journal.iter().any(|entry| entry.id == id)
            })
        })
    }

    pub fn settled_beside_a_payment() -> Property<World> {
        is("a change is settled while a payment is in the journal", |_, state| {
            !state.settled.is_empty() && state.store.journal.iter().any(|entry| entry.kind == Kind::Other)
        })
    }

    pub fn left_by_a_release() -> Property<World> {
        is("a call is done although its entry stays", |world, state| {
            state.sent.iter().any(|sent| {
                let id = world.request_of(sent).id;
                world.report(&state.clients[usize::from(sent.client)]) == Some(Report::Done)
                    && state.store.journal.iter().any(|entry| entry.id == id)
            })
        })
    }

    pub fn retried() -> Property<World> {
        is("a call is done in its second attempt", |world, state| {
            (0..).zip(&state.clients).any(|(number, client)| {
                state.sent.iter().filter(|sent| sent.client == number).count() == 2
                    && world.report(client) == Some(Report::Done)
            })
        })
    }
}
