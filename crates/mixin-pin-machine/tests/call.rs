//! The steps of a call, by a driver that follows a script and writes down what it is asked for.

mod common;

use std::time::Duration;

use common::{Driver, Say, rules, rules_with, tip_key};
use mixin_pin_machine::core::uuid::Uuid;
use mixin_pin_machine::core::{CodeVerifier, Ed25519Key, Pin, UnixTime};
use mixin_pin_machine::protocol::Remedy;
use mixin_pin_machine::protocol::action::Action;
use mixin_pin_machine::protocol::call::LogQuery;
use mixin_pin_machine::protocol::oauth::CodeExchange;
use mixin_pin_machine::store::CallKind;
use mixin_pin_machine::{ClockOffset, Error, Limits, NextStep, Outcome, TipRole, exchange_code};

fn pin() -> Pin {
    Pin::new("314159").unwrap()
}

#[test]
fn a_call_takes_its_turn_leases_signs_and_is_sent_once() {
    let (rules, pin) = (rules(), pin());
    let (mut driver, result) = Driver::run(rules.verify_pin(&pin), &[]);
    assert!(matches!(result, Ok(Outcome::Done(_))));
    assert_eq!(driver.steps(), ["turn 40s", "lease 35s, wait 40s", "sign", "send 30s", "release"]);
    assert_eq!(
        driver.events,
        [
            "Leased id 0 after 0ns",
            "Sent id 0 POST /pin/verify, iterator 1700000000000000000, attempt 1",
            "Ended id 0 POST /pin/verify after 1s: Done",
        ]
    );
}

#[test]
fn the_journal_learns_what_the_request_is() {
    let (rules, pin) = (rules_with(Limits::default().token(Duration::from_millis(20_500))), pin());
    for (call, path, kind) in [
        (rules.verify_pin(&pin), "/pin/verify", CallKind::VerifyPin),
        (rules.create_pin(&pin), "/pin/update", CallKind::UpdatePin),
        (rules.change_pin(&pin, &pin), "/pin/update", CallKind::UpdatePin),
        (rules.register("key".into(), "Alice"), "/users", CallKind::Other),
        (rules.other("POST", "/transfers?memo=secret", None), "/transfers", CallKind::Other),
    ] {
        // The store's clock is a minute behind this one's.
        let (driver, result) = Driver::run(call, &[Say::Behind(Duration::from_secs(60))]);
        assert!(matches!(result, Ok(Outcome::Done(_))), "{path}: {result:?}");
        let (intent, request) = (&driver.intents[0], &driver.requests[0]);
        assert_eq!((intent.method.as_str(), intent.path.as_str(), intent.kind), ("POST", path, kind));
        assert_eq!(intent.request_id, request.id);
        assert_eq!(intent.token_lifetime, Duration::from_millis(20_500));
        let pending = driver.pending(0);
        // A part of a second does not lengthen a token, so the journal may name a later second, never an earlier one.
        assert_eq!(pending.sent_at.secs(), common::NOW - 60);
        assert_eq!((request.expires_at, pending.expires_at.secs()), (common::NOW - 40, common::NOW - 39));
    }
}

#[test]
fn an_action_is_in_the_journal_by_its_path() {
    let (rules, pin, key) = (rules(), pin(), tip_key(TipRole::Pin));
    let [address_id, request_id] = [3, 4].map(Uuid::from_u128);
    for (action, path, kind) in [
        (
            Action::RemoveAddress { address_id },
            "/addresses/00000000-0000-0000-0000-000000000003/delete",
            CallKind::Other,
        ),
        (Action::SignMultisig { request_id }, "/multisigs/00000000-0000-0000-0000-000000000004/sign", CallKind::Other),
        (Action::Verify { timestamp: 5 }, "/pin/verify", CallKind::VerifyPin),
    ] {
        let by_key = (rules.act::<serde_json::Value, _>(key.public_key(), &action), true);
        for (call, is_signed) in [by_key, (rules.act_with_pin(&pin, &action), false)] {
            let (mut driver, result) = Driver::run(call, &[]);
            assert!(matches!(result, Ok(Outcome::Done(_))), "{path}: {result:?}");
            let intent = &driver.intents[0];
            assert_eq!((intent.method.as_str(), intent.path.as_str(), intent.kind), ("POST", path, kind));
            assert_eq!(driver.steps().contains(&"sign by Pin".to_owned()), is_signed, "{path}");
        }
    }
}

#[test]
fn what_fails_before_the_flight_leaves_the_entry_to_be_removed() {
    let (rules, pin) = (rules(), pin());
    let cases: [(&[Say], &str, &[&str]); 6] = [
        (&[Say::NoTurn], "SessionBusy", &["turn 40s"]),
        (&[Say::Busy], "SessionBusy", &["turn 40s", "lease 35s, wait 40s"]),
        (&[Say::StoreFails], "Store", &["turn 40s", "lease 35s, wait 40s"]),
        (&[Say::SignerFails], "Signer", &["turn 40s", "lease 35s, wait 40s", "sign", "release"]),
        (&[Say::NoIterators], "Store", &["turn 40s", "lease 35s, wait 40s", "release"]),
        (&[Say::SignerTakes(30)], "TimeOver", &["turn 40s", "lease 35s, wait 40s", "sign", "release"]),
    ];
    for (script, expected, steps) in cases {
        let (mut driver, result) = Driver::run(rules.change_pin(&pin, &pin), script);
        let error = result.expect_err(expected);
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
        assert!(error.nothing_changed());
        assert_eq!(driver.steps(), steps, "{script:?}");
        assert!(driver.requests.is_empty(), "nothing was sent");
        assert_eq!(driver.kept(), [] as [bool; 0], "no entry is kept");
    }
}

#[test]
fn a_bad_path_is_refused_before_the_session_is_leased() {
    let rules = rules();
    let (mut driver, result) = Driver::run::<serde_json::Value>(rules.other("POST", "transfers", None), &[]);
    assert!(matches!(result, Err(Error::Protocol(_))));
    assert_eq!(driver.steps(), [] as [&str; 0]);
}

#[test]
fn after_the_flight_only_a_documented_refusal_removes_the_entry() {
    let (rules, pin) = (rules(), pin());
    let cases: [(Say, &str, bool); 12] = [
        (Say::Refuse(20_119, Some("pin")), "error", false),
        (Say::Refuse(20_119, Some("old_pin_needed")), "error", false),
        (Say::Refuse(10_002, None), "error", false),
        (Say::Refuse(20_119, None), "unknown", true),
        (Say::Refuse(20_119, Some("iterator")), "unknown", true),
        (Say::Refuse(401, Some("request_repeated")), "unknown", true),
        (Say::Refuse(401, Some("token_expired")), "unknown", true),
        (Say::Refuse(429, None), "unknown", true),
        (Say::Status(502), "unknown", true),
        (Say::Status(302), "unknown", true),
        (Say::Lost, "unknown", true),
        (Say::TimedOut, "unknown", true),
    ];
    for (say, expected, is_kept) in cases {
        let script = [say];
        let (mut driver, result) = Driver::run(rules.change_pin(&pin, &pin), &script);
        let found = match &result {
            Err(error) if error.nothing_changed() => "error",
            Ok(Outcome::Unknown(unknown)) => {
                assert_eq!(unknown.next, NextStep::ResolveUpdate);
                assert_eq!(unknown.request_id, driver.requests[0].id);
                assert_eq!(unknown.expires_at.map(UnixTime::secs), Some(common::NOW + 60));
                "unknown"
            }
            other => panic!("{script:?}: {other:?}"),
        };
        assert_eq!(found, expected, "{script:?}");
        assert_eq!(driver.requests.len(), 1, "{script:?} is never retried");
        assert_eq!(driver.kept(), if is_kept { vec![true] } else { vec![true, false] }, "{script:?}");
    }
}

#[test]
fn verifying_keeps_its_refusals_unless_they_are_about_a_copy() {
    let (rules, pin) = (rules(), pin());
    for (reason, is_error) in [(None, true), (Some("iterator"), true), (Some("request_repeated"), false)] {
        let code = if is_error { 20_119 } else { 401 };
        let (mut driver, result) = Driver::run(rules.verify_pin(&pin), &[Say::Refuse(code, reason)]);
        assert_eq!(result.is_err(), is_error, "{reason:?}");
        assert_eq!(driver.kept().last(), Some(&!is_error), "{reason:?}");
    }
}

#[test]
fn a_dropped_flight_keeps_its_entry() {
    let (rules, pin) = (rules(), pin());
    let (mut driver, _) = Driver::run(rules.verify_pin(&pin), &[Say::DropFlight]);
    assert_eq!(driver.kept(), [true]);
    assert_eq!(driver.steps().last().map(String::as_str), Some("release"));
}

#[test]
fn an_observer_that_panics_does_not_lose_the_outcome() {
    let rules = common::rules_with_panics();
    let pin = pin();
    let (mut driver, panicked) = Driver::run_caught(rules.verify_pin(&pin));
    assert!(panicked);
    assert_eq!(driver.kept(), [true], "the caller has not heard the outcome");
}

#[test]
fn without_a_connection_a_call_is_made_again_with_a_new_lease_and_a_new_id() {
    let (rules, pin) = (rules(), pin());
    let (mut driver, result) = Driver::run(rules.verify_pin(&pin), &[Say::NotSent, Say::NotSent]);
    assert!(matches!(result, Ok(Outcome::Done(_))));
    let attempt = ["sign", "send", "release", "wait", "lease"];
    let steps: Vec<_> = driver.steps().iter().map(|step| step.split(' ').next().unwrap().to_owned()).collect();
    let expected: Vec<_> = ["turn", "lease"].iter().chain(&attempt).chain(&attempt).chain(&attempt[..3]).collect();
    assert_eq!(steps.iter().collect::<Vec<_>>(), expected);
    let ids: std::collections::HashSet<_> = driver.requests.iter().map(|request| request.id).collect();
    assert_eq!(ids.len(), 3);
    assert!(driver.requests.iter().zip(&driver.intents).all(|(request, intent)| request.id == intent.request_id));
    assert_eq!(driver.kept(), [true, false, true, false, true, false]);
    let events = &driver.events;
    assert_eq!(events[2], "Ended id 0 POST /pin/verify after 1s: NotSent");
    assert!(events[4].ends_with("attempt 2") && events[7].ends_with("attempt 3"), "{events:?}");
}

#[test]
fn three_attempts_without_a_connection_are_enough() {
    let (rules, pin) = (rules(), pin());
    let (mut driver, result) = Driver::run(rules.verify_pin(&pin), &[Say::NotSent, Say::NotSent, Say::NotSent]);
    assert!(matches!(result, Err(Error::Connect(_))));
    assert_eq!((driver.requests.len(), driver.kept().last()), (3, Some(&false)));
}

#[test]
fn a_lost_lease_is_replaced_three_times() {
    let (rules, pin) = (rules(), pin());
    let (mut driver, result) = Driver::run(rules.verify_pin(&pin), &[Say::LeaseEnds, Say::LeaseEnds, Say::LeaseEnds]);
    assert!(matches!(result, Ok(Outcome::Done(_))));
    assert_eq!((driver.intents.len(), driver.requests.len(), driver.kept()), (4, 1, vec![true, false]));
    let (mut driver, result) = Driver::run(rules.verify_pin(&pin), &[Say::LeaseEnds; 4]);
    assert!(matches!(result, Err(Error::LeaseLost)));
    assert_eq!((driver.intents.len(), driver.requests.len(), driver.kept()), (4, 0, vec![]));
}

#[test]
fn a_lost_lease_is_released_before_the_next_is_asked_for() {
    let (rules, pin) = (rules(), pin());
    let (mut driver, result) = Driver::run(rules.verify_pin(&pin), &[Say::LeaseEnds]);
    assert!(matches!(result, Ok(Outcome::Done(_))));
    let lease = "lease 35s, wait 40s";
    assert_eq!(driver.steps(), ["turn 40s", lease, "sign", "release", lease, "sign", "send 30s", "release"]);
}

#[test]
fn a_lease_that_is_lost_is_replaced_even_if_its_token_has_expired() {
    let (rules, pin) = (rules_with(Limits::default().token(Duration::from_secs(10))), pin());
    let (driver, result) = Driver::run(rules.verify_pin(&pin), &[Say::LeaseEnds, Say::SignerTakes(10)]);
    assert!(matches!(result, Ok(Outcome::Done(_))), "{result:?}");
    assert_eq!((driver.intents.len(), driver.requests.len()), (2, 1));
}

#[test]
fn a_busy_session_does_not_hide_why_the_attempt_before_was_not_sent() {
    let (rules, pin) = (rules(), pin());
    let (driver, result) = Driver::run(rules.verify_pin(&pin), &[Say::NotSent, Say::BusyAgain]);
    assert!(matches!(result, Err(Error::Connect(_))), "{result:?}");
    assert_eq!(driver.requests.len(), 1);
    let (driver, result) = Driver::run(rules.verify_pin(&pin), &[Say::LeaseEnds, Say::BusyAgain]);
    assert!(matches!(result, Err(Error::SessionBusy { .. })), "no attempt came before: {result:?}");
    assert!(driver.requests.is_empty());
}

#[test]
fn a_stall_before_the_first_byte_shortens_the_limit() {
    let (rules, pin) = (rules(), pin());
    let (mut driver, result) = Driver::run(rules.change_pin(&pin, &pin), &[Say::Stalls(29)]);
    assert!(matches!(result, Ok(Outcome::Done(_))));
    assert_eq!(driver.steps()[3], "send 1s");
    let (mut driver, result) = Driver::run(rules.me(), &[Say::Stalls(29)]);
    assert!(matches!(result, Ok(Outcome::Done(_))));
    assert_eq!(driver.steps(), ["sign", "ask GET /me 1s"]);
}

#[test]
fn a_stall_until_the_time_is_over_sends_nothing_and_removes_the_entry() {
    let (rules, pin) = (rules(), pin());
    let (mut driver, result) = Driver::run(rules.change_pin(&pin, &pin), &[Say::Stalls(30)]);
    let error = result.expect_err("the time is over");
    assert!(matches!(error, Error::TimeOver { limit } if limit.as_secs() == 30), "{error:?}");
    assert!(error.nothing_changed());
    assert!(driver.requests.is_empty());
    assert_eq!(driver.steps(), ["turn 40s", "lease 35s, wait 40s", "sign", "release"]);
    assert_eq!(driver.kept(), [true, false]);
    assert_eq!(driver.events[2], "Ended id 0 POST /pin/update after 31s: NotSent");
    let (mut driver, result) = Driver::run(rules.me(), &[Say::Stalls(30)]);
    assert!(matches!(result, Err(Error::TimeOver { .. })));
    assert_eq!(driver.steps(), ["sign"]);
}

#[test]
fn a_token_is_judged_by_the_time_since_its_lease() {
    let (rules, pin) = (rules_with(Limits::default().token(Duration::from_secs(10))), pin());
    // The store's clock may be far from this one, in either direction.
    for offset in [Say::Behind(Duration::from_secs(200)), Say::Ahead(Duration::from_secs(200))] {
        let (driver, result) = Driver::run(rules.verify_pin(&pin), &[offset, Say::SignerTakes(9)]);
        assert!(matches!(result, Ok(Outcome::Done(_))), "{offset:?}: {result:?}");
        assert_eq!(driver.requests.len(), 1);
        let (driver, result) = Driver::run(rules.verify_pin(&pin), &[offset, Say::SignerTakes(10)]);
        assert!(matches!(result, Err(Error::TimeOver { limit }) if limit == Duration::from_secs(10)), "{offset:?}");
        assert!(driver.requests.is_empty());
    }
}

#[test]
fn the_time_limit_shrinks_while_a_signer_works() {
    let (rules, pin) = (rules(), pin());
    let (mut driver, result) = Driver::run(rules.verify_pin(&pin), &[Say::SignerTakes(12)]);
    assert!(matches!(result, Ok(Outcome::Done(_))));
    assert_eq!(driver.steps()[3], "send 18s");
}

#[test]
fn tip_signatures_come_before_the_tokens() {
    let (rules, key, safe) = (rules(), tip_key(TipRole::Pin), tip_key(TipRole::Safe));
    let (mut driver, result) = Driver::run(rules.verify_tip(key.public_key()), &[]);
    assert!(matches!(result, Ok(Outcome::Done(_))));
    assert_eq!(driver.steps()[2..5], ["sign by Pin", "sign", "send 30s"]);
    let (mut driver, result) = Driver::run(rules.register_safe(key.public_key(), safe.public_key()), &[]);
    assert!(matches!(result, Ok(Outcome::Done(_))));
    assert_eq!(driver.steps()[2..6], ["sign by Safe", "sign by Pin", "sign", "send 30s"]);
    for say in [Say::TipFails, Say::TipIsWrong] {
        let (mut driver, result) = Driver::run(rules.verify_tip(key.public_key()), &[say]);
        assert!(matches!(result, Err(Error::Signer(_))), "{say:?}");
        assert_eq!((driver.steps().last().map(String::as_str), driver.drawn), (Some("release"), 0), "{say:?}");
        assert_eq!(driver.kept(), [] as [bool; 0]);
    }
}

#[test]
fn a_store_that_asks_has_its_clock_confirmed() {
    let (rules, pin) = (rules(), pin());
    let (mut driver, result) = Driver::run(rules.verify_pin(&pin), &[Say::Unconfirmed, Say::ServerTime(3)]);
    assert!(matches!(result, Ok(Outcome::Done(_))));
    assert_eq!(
        driver.steps(),
        [
            "turn 40s",
            "lease 35s, wait 40s",
            "sign",
            "ask GET /me 30s",
            "lease 35s, wait 39s, confirmed",
            "sign",
            "send 30s",
            "release"
        ]
    );
    assert_eq!(driver.events[0], "ClockConfirmed Behind(2s)");
    // A refusal by Mixin confirms the clock, too.
    let (_, result) = Driver::run(rules.verify_pin(&pin), &[Say::Unconfirmed, Say::RefusedAt(403, 0)]);
    assert!(matches!(result, Ok(Outcome::Done(_))));
}

#[test]
fn a_clock_that_is_not_confirmed_sends_no_pin() {
    let (rules, pin) = (rules(), pin());
    let far = ClockOffset::Behind(Duration::from_secs(301));
    let run = |say| {
        let (driver, result) = Driver::run(rules.verify_pin(&pin), &[Say::Unconfirmed, say]);
        assert!(driver.requests.is_empty(), "{say:?}");
        let error = result.expect_err("not confirmed");
        assert!(error.nothing_changed());
        error
    };
    assert!(matches!(run(Say::ServerTime(302)), Error::Clock { offset } if offset == far));
    assert!(matches!(run(Say::NoTime), Error::ClockUnconfirmed(error) if matches!(*error, Error::NoServerTime)));
    assert!(matches!(run(Say::Status(502)), Error::ClockUnconfirmed(error) if matches!(*error, Error::Protocol(_))));
    assert!(matches!(run(Say::Lost), Error::ClockUnconfirmed(error) if matches!(*error, Error::Interrupted(_))));
    assert!(matches!(run(Say::SignerFails), Error::ClockUnconfirmed(error) if matches!(*error, Error::Signer(_))));
}

#[test]
fn a_store_that_asks_again_and_again_is_not_answered_for_ever() {
    let (rules, pin) = (rules(), pin());
    let (driver, result) =
        Driver::run(rules.verify_pin(&pin), &[Say::Unconfirmed, Say::ServerTime(0), Say::Unconfirmed]);
    let error = result.expect_err("the store never grants a lease");
    assert_eq!(
        error.to_string(),
        "the nonce store failed, nothing was sent: it asks for a confirmation of the clock that it was just given"
    );
    assert!(driver.requests.is_empty());
}

#[test]
fn a_second_attempt_waits_for_its_lease_within_the_time_of_the_call() {
    let (rules, pin) = (rules(), pin());
    let (mut driver, result) = Driver::run(rules.verify_pin(&pin), &[Say::SignerTakes(25), Say::NotSent]);
    assert!(matches!(result, Ok(Outcome::Done(_))));
    let steps = driver.steps();
    let wait = steps.iter().rfind(|step| step.starts_with("lease")).unwrap();
    assert!(wait.starts_with("lease 35s, wait 3."), "30 seconds less 25, 1 and a pause: {wait}");
    let (_, result) = Driver::run(rules.verify_pin(&pin), &[Say::SignerTakes(29), Say::NotSent]);
    assert!(matches!(result, Err(Error::Connect(_))), "the time for a pause is over");
}

#[test]
fn an_exchange_of_a_code_has_no_token_so_no_refusal_is_certain() {
    let key = Ed25519Key::from_bytes(&[3; 32]).unwrap().public_key();
    let verifier = CodeVerifier::generate(&mut common::Fixed(1));
    let exchange = CodeExchange {
        app_id: Uuid::from_u128(3),
        code: "code",
        verifier: &verifier,
        client_secret: None,
        public_key: &key,
    };
    let run = |say| Driver::run(exchange_code(&exchange, Limits::default()), &[say]);
    let (mut driver, result) = run(Say::Refuse(10_002, None));
    let Ok(Outcome::Unknown(unknown)) = result else { panic!("a copy may have been carried out") };
    assert_eq!((unknown.expires_at, unknown.next), (None, NextStep::CheckFirst));
    assert_eq!(driver.steps(), ["send 30s"], "neither lease nor signature");
    let (driver, result) = run(Say::NotSent);
    assert!(matches!(result, Err(Error::Connect(_))));
    assert_eq!(driver.requests.len(), 1);
}

#[test]
fn reads_are_repeated_as_the_server_asks() {
    let rules = rules();
    let (mut driver, result) = Driver::run(rules.me(), &[Say::RetryAfter(7), Say::Status(502), Say::NotSent]);
    assert!(matches!(result, Ok(Outcome::Done(_))));
    let steps = driver.steps();
    assert_eq!(steps[..4], ["sign", "ask GET /me 30s", "wait 7s", "sign"]);
    assert_eq!(steps.iter().filter(|step| step.starts_with("ask")).count(), 4);
    assert!(!steps.iter().any(|step| step.starts_with("lease") || step.starts_with("turn")));
    let classes: Vec<_> = driver.events.iter().filter(|event| event.starts_with("Ended")).cloned().collect();
    let class = |event: &String| event.rsplit(' ').next().unwrap().to_owned();
    assert_eq!(classes.iter().map(class).collect::<Vec<_>>(), ["Refused", "Failed", "NotSent", "Done"]);
}

#[test]
fn reads_end_by_number_by_time_and_by_certain_refusals() {
    let rules = rules();
    let asks = |script: &[Say]| {
        let (mut driver, result) = Driver::run(rules.me(), script);
        let asks = driver.steps().iter().filter(|step| step.starts_with("ask")).count();
        (asks, result.is_err())
    };
    assert_eq!(asks(&[Say::Status(503); 4]), (4, true));
    assert_eq!(asks(&[Say::RetryAfter(29)]), (1, true), "the pause would not end in time");
    assert_eq!(asks(&[Say::Refuse(403, None)]), (1, true));
    assert_eq!(asks(&[Say::TimedOut]), (1, true));
    let (mut driver, result) = Driver::run(rules.probe(), &[Say::Status(502)]);
    assert!(result.is_err());
    assert_eq!(driver.steps(), ["sign", "ask GET /me 30s"]);
    let query = LogQuery::wrong_pins();
    let (_, result) = Driver::run(rules.logs(&query), &[Say::Lost]);
    assert!(result.is_err(), "the second answer is a user, not a log");
}

#[test]
fn reads_are_repeated_unless_the_request_is_at_fault() {
    let rules = rules();
    // The driver checks that the script was followed to its end.
    let fails_after = |say, attempts| {
        let (mut driver, result) = Driver::run(rules.me(), &vec![say; attempts]);
        let asked = driver.steps().iter().filter(|step| step.starts_with("ask")).count();
        assert!(result.is_err() && asked == attempts, "{say:?}");
    };
    // A page of a gateway, of a portal, of a proxy.
    for status in [200, 202, 408, 429, 500, 502, 503, 504, 599] {
        fails_after(Say::Status(status), 4);
    }
    for status in [400, 401, 403, 404, 407, 302] {
        fails_after(Say::Status(status), 1);
    }
    for code in [429, 500, 504, 7000, 7001, 10_001, 10_104, 10_105, 10_106, 30_100] {
        fails_after(Say::Refuse(code, None), 4);
    }
    for code in [400, 401, 403, 404, 911, 10_002, 20_117, 20_125, 99_999] {
        fails_after(Say::Refuse(code, None), 1);
    }
    // Something on the way sent the request twice, and the answer is about the copy.
    fails_after(Say::Refuse(401, Some("request_repeated")), 4);
    fails_after(Say::Refuse(401, Some("session")), 1);
}

#[test]
fn a_page_that_names_a_pause_is_waited_for_by_reads_and_reported_by_changes() {
    let (rules, pin) = (rules(), pin());
    for status in [429, 503] {
        let (mut driver, result) = Driver::run(rules.me(), &[Say::PageAndRetryAfter(status, 7)]);
        assert!(matches!(result, Ok(Outcome::Done(_))), "{status}");
        assert_eq!(driver.steps(), ["sign", "ask GET /me 30s", "wait 7s", "sign", "ask GET /me 22s"]);

        let (_, result) = Driver::run(rules.me(), &[Say::PageAndRetryAfter(status, 60)]);
        let error = result.unwrap_err();
        assert_eq!((error.retry_after(), error.remedy()), (Some(Duration::from_secs(60)), Remedy::Alert));
        let before_a_change = Error::ClockUnconfirmed(Box::new(error));
        assert_eq!(before_a_change.remedy(), Remedy::WaitUntil, "nothing was sent");
        let Error::ClockUnconfirmed(error) = before_a_change else { unreachable!() };
        assert!(error.to_string().ends_with("wait 60 seconds, as it asks"), "{error}");

        // Whether it reached the API is not known.
        let script = [Say::PageAndRetryAfter(status, 7)];
        let (mut driver, result) = Driver::run(rules.change_pin(&pin, &pin), &script);
        let Ok(Outcome::Unknown(unknown)) = result else { panic!("{result:?}") };
        assert_eq!(
            (unknown.cause.retry_after(), unknown.cause.remedy(), unknown.next),
            (Some(Duration::from_secs(7)), Remedy::Alert, NextStep::ResolveUpdate)
        );
        assert_eq!((driver.requests.len(), driver.kept()), (1, vec![true]));
    }
}

#[test]
fn no_failure_of_a_read_says_that_it_may_have_been_carried_out() {
    let rules = rules();
    let cases =
        [(Say::Status(200), 4), (Say::Status(502), 4), (Say::Refuse(500, None), 4), (Say::Refuse(99_999, None), 1)];
    for (say, attempts) in cases {
        let (_, result) = Driver::run(rules.me(), &vec![say; attempts]);
        let text = result.unwrap_err().to_string();
        assert!(!text.contains("carried out"), "{text}");
    }
}

#[test]
fn a_verification_may_be_answered_by_nothing_and_a_change_of_the_pin_may_not() {
    let (rules, pin) = (rules(), pin());
    for body in ["{}", r#"{"data":null}"#, r#"{"data":{}}"#, r#"{"data":{},"error":null}"#] {
        let (mut driver, result) = Driver::run(rules.verify_pin(&pin), &[Say::Body(body)]);
        let Ok(Outcome::Done(user)) = result else { panic!("{body}: {result:?}") };
        assert_eq!((user.user_id, user.has_pin), (rules.session().user_id(), true));
        assert_eq!(driver.kept(), [true, false]);
        let (_, result) = Driver::run(rules.change_pin(&pin, &pin), &[Say::Body(body)]);
        assert!(matches!(result, Ok(Outcome::Unknown(_))), "{body}: {result:?}");
    }
    for body in ["", "[]", r#"{"data":[]}"#, r#"{"ok":true}"#, r#"{"data":{"ok":true}}"#, r#"{"error":null}"#] {
        let (_, result) = Driver::run(rules.verify_pin(&pin), &[Say::Body(body)]);
        assert!(matches!(result, Ok(Outcome::Unknown(_))), "{body}: {result:?}");
    }
    // What returns nothing is answered by nothing.
    let call = rules.other("POST", "/messages", Some(b"[]".to_vec()));
    let (_, result) = Driver::run::<serde_json::Value>(call, &[Say::Body("{}")]);
    assert!(matches!(result, Ok(Outcome::Done(serde_json::Value::Null))), "{result:?}");
    // A payment is not: it may have been made or not.
    let body = serde_json::Map::new();
    let call = rules.with_pin("POST", "/transfers", &body, self::pin().into());
    let (_, result) = Driver::run::<serde_json::Value>(call, &[Say::Body("{}")]);
    assert!(matches!(result, Ok(Outcome::Unknown(_))), "{result:?}");
    let call = rules.other("POST", "/transfers", Some(br#"{"pin":"AAAA"}"#.to_vec()));
    let (_, result) = Driver::run::<serde_json::Value>(call, &[Say::Body("{}")]);
    assert!(matches!(result, Ok(Outcome::Unknown(_))), "{result:?}");
}

#[test]
fn a_pause_that_ends_early_goes_on() {
    let rules = rules();
    let (mut driver, result) = Driver::run(rules.me(), &[Say::RetryAfter(7), Say::WaitsOnly(3)]);
    assert!(matches!(result, Ok(Outcome::Done(_))));
    assert_eq!(driver.steps()[2..4], ["wait 7s", "wait 4s"]);
}
