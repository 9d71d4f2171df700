//! Which changes a resolution settles: only those that can certainly not be carried out any more.

use std::time::Duration;

use mixin_pin_machine::core::uuid::Uuid;
use mixin_pin_machine::core::{Ed25519Key, Ed25519PublicKey, UnixTime};
use mixin_pin_machine::protocol::answer::User;
use mixin_pin_machine::store::{CallIntent, CallKind, PendingCall};
use mixin_pin_machine::{
    Error, LostChange, NextStep, Outcome, PublicCredential, Resolution, ResolutionPlan, ResolveStep, TransportError,
    Unknown, Verdict, Which,
};

use PublicCredential::{Digits, Tip};

/// When the first change was sent.
const NOW: u64 = 1_700_000_000;
/// How long tokens are valid, in seconds.
const TOKEN: u64 = 60;
/// How long a request may still be carried out after that, in seconds.
const AFTER: u64 = 5;

fn entry(id: u128, kind: CallKind, sent_at: u64) -> PendingCall {
    let intent = CallIntent {
        request_id: Uuid::from_u128(id),
        method: "POST".into(),
        path: "/pin/update".into(),
        kind,
        token_lifetime: Duration::from_secs(TOKEN),
    };
    PendingCall::new(Uuid::nil(), &intent, 1..=2, UnixTime::from_secs(sent_at))
}

fn change(id: u128, sent_at: u64) -> PendingCall {
    entry(id, CallKind::UpdatePin, sent_at)
}

fn key(number: u8) -> Ed25519PublicKey {
    Ed25519Key::from_bytes(&[number; 32]).unwrap().public_key()
}

fn user(has_pin: bool, installed: Option<u8>) -> User {
    let installed = installed.map(|number| key(number).to_base64_url()).unwrap_or_default();
    let user = serde_json::json!({ "user_id": Uuid::nil(), "has_pin": has_pin, "tip_key_base64": installed });
    serde_json::from_value(user).unwrap()
}

fn plan(
    (old, new): (Option<PublicCredential>, PublicCredential),
    pending: &[PendingCall],
    user: User,
    seconds: Option<u64>,
) -> Result<ResolutionPlan, Error> {
    let time = seconds.map(|seconds| UnixTime::from_secs(NOW + seconds));
    LostChange::new(old, new, None, pending, UnixTime::from_secs(0)).plan(user, time)
}

/// What reading the user says alone.
fn read(plan: ResolutionPlan) -> Resolution {
    assert_eq!(plan.may_cost(), 0);
    let ResolveStep::Done(resolution) = plan.next() else { panic!("nothing is left to do") };
    assert_eq!(resolution.tries_spent, 0);
    resolution
}

/// What one verification says.
fn verified(plan: ResolutionPlan, expected: Which, result: Result<Outcome<User>, Error>) -> Resolution {
    let ResolveStep::Verify(which, asked) = plan.next() else { panic!("a PIN is verified") };
    assert_eq!(which, expected);
    let ResolveStep::Done(resolution) = asked.verified(result).unwrap().next() else { panic!("it is known now") };
    resolution
}

fn ids(resolution: &Resolution, listed: &[PendingCall]) -> Vec<u128> {
    resolution.settled(listed).map(|call| call.request_id.as_u128()).collect()
}

#[test]
fn an_applied_change_does_not_settle_a_later_one_that_may_still_be_carried_out() {
    // The first installed key 1. The second replaces it by key 2, and is on its way.
    let pending = [change(1, NOW), change(2, NOW + 10)];
    for (seconds, expected) in [
        (Some(5), vec![]),
        (Some(TOKEN + AFTER - 1), vec![]),
        (Some(TOKEN + AFTER), vec![1]),
        (Some(TOKEN + AFTER + 9), vec![1]),
        (Some(TOKEN + AFTER + 10), vec![1, 2]),
        (None, vec![]),
    ] {
        let plan = plan((Some(Digits), Tip(key(1))), &pending, user(true, Some(1)), seconds).unwrap();
        let resolution = read(plan);
        assert!(matches!(resolution.verdict, Verdict::Applied(_)));
        assert_eq!(ids(&resolution, &pending), expected, "{seconds:?}");
    }
}

#[test]
fn a_change_whose_pins_are_described_wrongly_is_not_settled() {
    // Key 1 is to be replaced by key 2, but its owner names other PINs.
    let pending = [change(1, NOW)];
    for seconds in [5, 10 * TOKEN] {
        for pins in [(Some(Digits), Digits), (None, Digits), (None, Tip(key(3))), (Some(Tip(key(3))), Tip(key(4)))] {
            let resolution = read(plan(pins.clone(), &pending, user(true, Some(1)), Some(seconds)).unwrap());
            assert!(matches!(resolution.verdict, Verdict::Neither), "{resolution:?}");
            assert_eq!(ids(&resolution, &pending), [], "{pins:?} after {seconds} seconds");
        }
    }
    // A first PIN that is resolved as a change.
    let resolution = read(plan((Some(Digits), Digits), &pending, user(false, None), Some(10 * TOKEN)).unwrap());
    assert!(matches!(resolution.verdict, Verdict::Neither), "{resolution:?}");
    assert_eq!(ids(&resolution, &pending), []);
}

#[test]
fn a_first_pin_is_settled_by_reading_when_the_last_token_has_expired() {
    let pending = [change(1, NOW), change(2, NOW + 10)];
    let resolve = |seconds| plan((None, Digits), &pending, user(false, None), seconds);
    let resolution = read(resolve(Some(TOKEN + AFTER + 9)).unwrap());
    let Verdict::NotYet { expires_at, remaining } = resolution.verdict else { panic!("{resolution:?}") };
    assert_eq!((expires_at.secs(), remaining), (NOW + TOKEN + 10, Duration::from_secs(1)));
    assert_eq!(ids(&resolution, &pending), []);
    let resolution = read(resolve(Some(TOKEN + AFTER + 10)).unwrap());
    assert!(matches!(resolution.verdict, Verdict::NotApplied(_)));
    assert_eq!(ids(&resolution, &pending), [1, 2]);
    assert!(matches!(resolve(None), Err(Error::NoServerTime)));
}

#[test]
fn a_verification_settles_all_changes_before_it_and_nothing_else() {
    let pending = [
        change(1, NOW),
        change(2, NOW + 10),
        change(3, NOW),
        entry(4, CallKind::VerifyPin, NOW),
        entry(5, CallKind::Other, NOW),
    ];
    let mut listed = pending.to_vec();
    listed[2].under_way_for = Some(Duration::from_secs(1));
    listed.push(change(6, NOW + 20)); // made during the resolution
    for seconds in [Some(5), None] {
        let resolution = plan((None, Digits), &pending, user(true, None), seconds).unwrap();
        assert_eq!(resolution.may_cost(), 1);
        let resolution = verified(resolution, Which::New, Ok(Outcome::Done(user(true, None))));
        assert!(matches!(resolution.verdict, Verdict::Applied(_)));
        assert_eq!(ids(&resolution, &listed), [1, 2]);
        let resolution = plan((Some(Digits), Tip(key(1))), &pending, user(true, None), seconds).unwrap();
        assert_eq!(resolution.may_cost(), 1);
        let resolution = verified(resolution, Which::Old, Ok(Outcome::Done(user(true, None))));
        assert!(matches!(resolution.verdict, Verdict::NotApplied(_)));
        assert_eq!((resolution.tries_spent, ids(&resolution, &listed)), (0, vec![1, 2]));
    }
}

#[test]
fn a_verification_whose_answer_is_lost_settles_nothing() {
    let pending = [change(1, NOW)];
    let plan = plan((Some(Digits), Digits), &pending, user(true, None), Some(10 * TOKEN)).unwrap();
    assert_eq!(plan.may_cost(), 2);
    let lost = Unknown {
        request_id: Uuid::from_u128(7),
        cause: Box::new(Error::Interrupted(TransportError::new("broken", false))),
        expires_at: None,
        next: NextStep::VerifyAgain,
    };
    let resolution = verified(plan, Which::New, Ok(Outcome::Unknown(lost)));
    assert!(matches!(resolution.verdict, Verdict::Lost(_)));
    assert_eq!(ids(&resolution, &pending), []);
}

#[test]
fn a_verification_without_data_leaves_what_was_read_of_the_user() {
    // What the machine makes of `{"data": {}}`.
    let blank = || serde_json::from_value(serde_json::json!({ "user_id": Uuid::nil(), "has_pin": true })).unwrap();
    let me = User { tip_counter: 7, full_name: "Alice".into(), ..user(true, Some(1)) };
    let resolve = |answer| {
        let plan = plan((Some(Tip(key(1))), Tip(key(2))), &[], me.clone(), Some(5)).unwrap();
        let resolution = verified(plan, Which::Old, Ok(Outcome::Done(answer)));
        let Verdict::NotApplied(user) = resolution.verdict else { panic!("{resolution:?}") };
        user
    };
    // The next change of the key signs this counter. A wrong counter costs a try.
    assert_eq!(resolve(blank()), me);
    let newer = User { tip_counter: 8, ..me.clone() };
    assert_eq!(resolve(newer.clone()), newer);
}
