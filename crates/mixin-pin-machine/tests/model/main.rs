//! A model of the world around the call machine, explored by `stateright`.
//!
//! The clients run the **real** machine (`Call`, `LostChange`, `ResolutionPlan`). Around them there are a store with leases and
//! a journal, a network that delays, loses and copies, clocks that differ, processes that die, and a server with Mixin's
//! rules. The checker tries all orders of what may happen. A request or an answer that never arrives is lost.
//!
//! # Bounds
//! A tick is 4 seconds, a call may take two ticks, a lease lasts two and a half. Each scenario has one to three clients, up to
//! 5 ticks, and at most one process that dies (or one call that is dropped) and one copy of a request. These are 17 scenarios
//! with 2.3 million states, in about 25 seconds on two idle cores. `MIXIN_PIN_MODEL=deep` raises the bounds and adds two
//! scenarios of three clients: 19 scenarios with 22 million states, in about four minutes. The test prints the states of each.
//!
//! # What is left out
//! Clocks of different speed, a machine that sleeps, and lost answers to calls that only read. Iterators are of any size: the
//! store takes them from its clock.

mod client;
mod properties;
#[path = "../common/rng.rs"]
mod rng;
mod server;
mod world;

use std::time::{Duration, Instant};

use stateright::{Checker, HasDiscoveries, Model};

use client::{KEYS, Program, TICK};
use properties::reaches;
use world::{Fault, Scenario, StoreClock, World};

fn scenario(name: &'static str, clients: &[(Program, i64)]) -> Scenario {
    Scenario {
        name,
        clients: clients.to_vec(),
        changes: vec![(Some(0), 1)],
        pin: Some(0),
        tries: 0,
        clock: StoreClock::Own(1),
        token: Duration::from_secs(3 * TICK),
        end: 4,
        gives_reasons: true,
        knows_ids: true,
        is_new: false,
        spends_refused: true,
        stalls: false,
        crashes: 1,
        copies: 1,
        refusals: 0,
        failures: 0,
        fault: None,
        reaches: Vec::new(),
    }
}

/// The scenarios and their bounds. `deep` are those of `MIXIN_PIN_MODEL=deep`.
fn scenarios(deep: bool) -> Vec<Scenario> {
    let pick = |quick, long| if deep { long } else { quick };
    let lost = || vec![reaches::lost_but_applied(), reaches::left_by_a_crash()];
    let found = || vec![reaches::found_applied(), reaches::found_not_applied()];
    let (change, verify) = (Program::Change(0, 1), Program::Verify(0));
    let mut all = vec![
        Scenario {
            end: pick(5, 8),
            refusals: pick(1, 2),
            is_new: true,
            reaches: [lost(), vec![reaches::retried()]].concat(),
            ..scenario("one change, two retries", &[(change, 0)])
        },
        Scenario {
            clock: StoreClock::Callers,
            copies: pick(0, 1),
            end: pick(3, 4),
            reaches: lost(),
            ..scenario("a change and a verification", &[(change, 2), (verify, 2)])
        },
        Scenario {
            end: pick(3, 4),
            reaches: [lost(), vec![reaches::all_done()]].concat(),
            changes: vec![(Some(0), 1), (Some(1), 2)],
            ..scenario("two changes", &[(change, -3), (Program::Change(1, 2), 30)])
        },
        Scenario {
            copies: 0,
            crashes: pick(0, 1),
            end: pick(3, 4),
            reaches: found(),
            ..scenario("a change is resolved", &[(change, 0), (Program::Resolve(Some(0), 1), 100)])
        },
        Scenario {
            pin: None,
            changes: vec![(None, 1)],
            token: Duration::from_secs(TICK),
            copies: 0,
            end: pick(4, 5),
            crashes: pick(0, 1),
            reaches: found(),
            ..scenario("a first PIN is resolved", &[(Program::Create(1), 0), (Program::Resolve(None, 1), 100)])
        },
    ];
    if deep {
        let clients = [(Program::Create(1), 0), (Program::Create(1), 3), (Program::ResolveFirst(None, 1), 100)];
        all.insert(0, Scenario { end: 2, reaches: vec![reaches::found_applied()], ..first_pins(&clients) });
        all.insert(
            0,
            Scenario {
                copies: 0,
                crashes: 0,
                end: 1,
                reaches: vec![reaches::lost_but_applied()],
                changes: vec![(Some(0), 1), (Some(0), 2)],
                ..scenario("three clients", &[(change, 0), (Program::Change(0, 2), 3), (verify, -3)])
            },
        );
    }
    all
}

/// The scenarios with servers that differ, owners who describe a change wrongly, TIP keys, stalls and failures of the store.
fn further_scenarios(deep: bool) -> Vec<Scenario> {
    let pick = |quick, long| if deep { long } else { quick };
    let found = || vec![reaches::found_applied(), reaches::found_not_applied()];
    let [one, two] = KEYS;
    let change = Program::Change(0, 1);
    let calm = |name, clients: &[_]| Scenario { copies: 0, crashes: pick(0, 1), ..scenario(name, clients) };
    vec![
        Scenario {
            gives_reasons: false,
            knows_ids: false,
            end: pick(3, 4),
            tries: 4,
            reaches: vec![reaches::lost_but_applied(), reaches::left_by_a_crash()],
            ..scenario("a server without reasons", &[(change, 0), (Program::Verify(2), 0)])
        },
        Scenario {
            spends_refused: false,
            end: pick(2, 3),
            reaches: found(),
            ..calm("a server whose refusals spend no iterator", &[(change, 0), (Program::Resolve(Some(0), 1), 0)])
        },
        Scenario {
            pin: None,
            changes: vec![(None, 1)],
            end: pick(3, 4),
            token: Duration::from_secs(TICK),
            reaches: vec![reaches::found_applied()],
            ..calm("a first PIN is resolved as a change", &[(Program::Create(1), 0), (Program::Resolve(Some(0), 1), 0)])
        },
        Scenario {
            end: pick(2, 3),
            reaches: vec![reaches::found_not_applied()],
            ..calm("a change is resolved with another's new PIN", &[(change, 0), (Program::Resolve(Some(0), 2), 0)])
        },
        Scenario {
            end: pick(2, 3),
            reaches: vec![reaches::found_not_applied()],
            ..calm("a change is resolved with the next one's PINs", &[(change, 0), (Program::Resolve(Some(1), 2), 0)])
        },
        Scenario {
            changes: vec![(Some(0), one)],
            end: pick(3, 4),
            token: Duration::from_secs(TICK),
            reaches: found(),
            ..calm("a first TIP key", &[(Program::Change(0, one), 0), (Program::Resolve(Some(0), one), 0)])
        },
        Scenario {
            pin: Some(one),
            changes: vec![(Some(one), two)],
            end: pick(3, 4),
            token: Duration::from_secs(TICK),
            reaches: found(),
            ..calm("another TIP key", &[(Program::Change(one, two), 0), (Program::Resolve(Some(one), two), 0)])
        },
        Scenario { end: pick(3, 4), crashes: pick(0, 1), reaches: vec![reaches::found_applied()], ..key_before() },
        Scenario { end: pick(3, 4), crashes: pick(0, 1), reaches: vec![reaches::all_done()], ..stalls() },
        Scenario {
            failures: 1,
            changes: vec![(Some(0), 1), (Some(1), 2)],
            end: pick(3, 4),
            reaches: vec![reaches::left_by_a_release()],
            ..calm("a release fails", &[(change, 0), (Program::Change(1, 2), 0)])
        },
        Scenario {
            crashes: 1,
            end: pick(3, 4),
            reaches: vec![reaches::all_done()],
            ..calm("a payment and a change", &[(Program::Pay(0), 0), (change, 0)])
        },
        Scenario {
            crashes: 0,
            end: pick(0, 1),
            reaches: vec![reaches::settled_beside_a_payment()],
            ..calm(
                "a change is resolved beside a payment",
                &[(Program::Pay(0), 0), (change, 0), (Program::Resolve(Some(0), 1), 0)],
            )
        },
    ]
}

/// The change is described as the one before it, which was applied.
fn key_before() -> Scenario {
    let [one, two] = KEYS;
    let clients = [(Program::Change(one, two), 0), (Program::Resolve(Some(0), one), 0)];
    Scenario {
        pin: Some(one),
        changes: vec![(Some(one), two)],
        token: Duration::from_secs(TICK),
        copies: 0,
        crashes: 0,
        end: 3,
        ..scenario("a TIP key is resolved as the one before", &clients)
    }
}

fn stalls() -> Scenario {
    let changes = vec![(Some(0), 1), (Some(1), 2)];
    Scenario { name: "drivers stall", stalls: true, changes, copies: 0, crashes: 0, ..two_changes() }
}

#[test]
fn all_orders_keep_the_rules() {
    check(scenarios);
}

#[test]
fn all_orders_of_further_scenarios_keep_the_rules() {
    check(further_scenarios);
}

fn check(scenarios: fn(bool) -> Vec<Scenario>) {
    let deep = std::env::var_os("MIXIN_PIN_MODEL").is_some_and(|bound| bound == "deep");
    let (mut states, mut scenarios_met) = (0, 0);
    for scenario in scenarios(deep) {
        let (name, begun) = (scenario.name, Instant::now());
        let threads = if deep { 2 } else { 1 };
        let checker = World::new(scenario).checker().threads(threads).spawn_bfs().join();
        let (unique, depth) = (checker.unique_state_count(), checker.max_depth());
        println!("{name}: {unique} states, {depth} steps deep, {:.1?}", begun.elapsed());
        checker.assert_properties();
        states += unique;
        scenarios_met += 1;
    }
    println!("{scenarios_met} scenarios, {states} states");
}

/// Plants a fault, and expects the checker to find that this property does not hold.
#[track_caller]
fn finds(fault: Fault, property: &'static str, scenario: Scenario) {
    let until = HasDiscoveries::AnyOf([property].into());
    let world = World::new(Scenario { fault: Some(fault), ..scenario });
    let checker = world.checker().finish_when(until).spawn_bfs().join();
    let path = checker.assert_any_discovery(property);
    println!("{fault:?}: {} steps", path.into_actions().len());
}

fn two_changes() -> Scenario {
    scenario("two changes", &[(Program::Change(0, 1), 0), (Program::Change(1, 2), 0)])
}

#[test]
fn a_lease_shorter_than_the_call_is_found() {
    finds(Fault::ShortLease, properties::ONE_SENDER, two_changes());
}

#[test]
fn iterators_out_of_order_without_a_lease_are_found() {
    finds(Fault::SharedLease, properties::IN_ORDER, two_changes());
}

#[test]
fn expiry_by_the_wrong_clock_is_found() {
    let clients = [(Program::Create(1), 0), (Program::Resolve(None, 1), 100)];
    let scenario = Scenario { pin: None, changes: vec![(None, 1)], ..scenario("a first PIN is resolved", &clients) };
    finds(Fault::WrongClock, properties::SETTLED_FOR_GOOD, scenario);
}

#[test]
fn a_retry_after_the_request_may_have_been_sent_is_found() {
    let scenario = scenario("one change", &[(Program::Change(0, 1), 0)]);
    finds(Fault::RetriedAfterSend, properties::ERROR_MEANS_UNCHANGED, scenario.clone());
    finds(Fault::RetriedAfterSend, properties::NEVER_LOST, scenario);
}

#[test]
fn a_request_sent_again_is_found() {
    finds(Fault::Resent, properties::SENT_ONCE, scenario("one change", &[(Program::Change(0, 1), 0)]));
}

#[test]
fn an_entry_kept_or_written_too_late_is_found() {
    for fault in [Fault::KeptTooLate, Fault::EntryAfterSend] {
        finds(fault, properties::NEVER_LOST, scenario("one change", &[(Program::Change(0, 1), 0)]));
    }
}

#[test]
fn settling_a_change_that_may_still_be_carried_out_is_found() {
    let clients = [(Program::Create(1), 0), (Program::Create(1), 0), (Program::ResolveFirst(None, 1), 0)];
    finds(Fault::LaterSettled, properties::SETTLED_FOR_GOOD, first_pins(&clients));
}

#[test]
fn settling_by_reading_alone_is_found() {
    finds(Fault::SettledByReading, properties::SETTLED_FOR_GOOD, key_before());
}

#[test]
fn a_driver_that_ignores_a_stall_is_found() {
    finds(Fault::StallIgnored, properties::ONE_SENDER, stalls());
}

fn first_pins(clients: &[(Program, i64)]) -> Scenario {
    Scenario {
        pin: None,
        changes: vec![(None, 1)],
        token: Duration::from_secs(TICK),
        copies: 0,
        crashes: 0,
        end: 3,
        ..scenario("first PINs are resolved", clients)
    }
}
