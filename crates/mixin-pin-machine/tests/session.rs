//! Changes of a session's key: what the journal learns, what an answer says, and how a lost change is settled.

mod common;

use std::time::Duration;

use common::{Driver, NOW, Say, rules, rules_with, tip_key};
use mixin_pin_machine::core::token::{Algorithm, Signer};
use mixin_pin_machine::core::uuid::Uuid;
use mixin_pin_machine::core::{
    Ed25519Key, Ed25519PublicKey, OAuthSession, Pin, PinKey, RsaPublicKey, Session, UnixTime,
};
use mixin_pin_machine::protocol::answer::{NewSession, User, UserSession};
use mixin_pin_machine::protocol::{AnswerError, Error as ProtocolError};
use mixin_pin_machine::store::{CallIntent, CallKind, PendingCall};
use mixin_pin_machine::{
    AskKey, Call, Error, KeyPlan, KeyResolution, KeyState, KeyStep, KeyVerdict, Limits, NextStep, OAuthRules, Outcome,
    Rules, SessionChange, TransportError, Which,
};
use serde::de::DeserializeOwned;

/// The public key of a keystore of 2018, as `session_secret_legacy`.
const RSA_KEY: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCeevFIpHTRx_beyTpA0QP--6Gi3aRZTemPFR5KoU-Qtei8kvUIgSsT9BnCB_scq7Fs59k7h1RyXgwAWgoC9LMa4wI7GzifirvkunZrVHXp102pvPvIi_KS6aps-Y4H8Fhdiui9nEOz1z_34vDDhNRHB6dlk4btrxbVz2UvIrBK2QIDAQAB";
const NEW_SESSION: &str =
    r#"{"data":{"server_public_key":"ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c"}}"#;
/// How long an upgrade may be carried out, in seconds.
const UPGRADE: u64 = 300;
/// How long tokens are valid, in seconds.
const TOKEN: u64 = 60;
/// How long a request may still be carried out after that, in seconds.
const AFTER: u64 = 5;

const USER: Uuid = Uuid::from_u128(1);
const OLD: Uuid = Uuid::from_u128(2);
const OWNER: Uuid = Uuid::from_u128(3);
const OTHER: Uuid = Uuid::from_u128(4);

fn rsa_key() -> RsaPublicKey {
    use mixin_pin_machine::core::token::VerifyingKey;
    match VerifyingKey::from_text(RSA_KEY).unwrap() {
        VerifyingKey::Rsa(key) => key,
        other => panic!("{other:?}"),
    }
}

fn new_key() -> Ed25519PublicKey {
    Ed25519Key::from_bytes(&[7; 32]).unwrap().public_key()
}

fn rsa_rules(limits: Limits) -> Rules {
    let pin_key = PinKey::from_bytes(&[7; 32]).unwrap();
    Rules::new(Session::from_parts(USER, OLD, Algorithm::Rs512, pin_key), limits, None)
}

fn made<T: DeserializeOwned>(
    call: Call<'_, T, Box<common::TestLease>>,
    script: &[Say],
) -> (Driver, Result<Outcome<T>, Error>) {
    Driver::run(call, script)
}

#[test]
fn the_journal_names_each_change_of_a_key() {
    let limits = Limits::default().token(Duration::from_secs(20));
    let (rules, rsa, pin, old_key, new_key) =
        (rules_with(limits), rsa_rules(limits), Pin::new("314159").unwrap(), rsa_key(), new_key());
    for (call, path, lifetime) in [
        (rsa.upgrade_session(&old_key, &pin, &new_key), "/legacy/users", UPGRADE),
        (rules.replace_session_key(&new_key), "/session/secret", 20),
        (rules.replace_app_session(OTHER, &new_key), "/safe/apps/00000000-0000-0000-0000-000000000004/session", 20),
    ] {
        let (mut driver, result) = made(call, &[Say::Body(NEW_SESSION)]);
        let Ok(Outcome::Done(NewSession { session_id: None, .. })) = result else { panic!("{path}: {result:?}") };
        let intent = &driver.intents[0];
        assert_eq!((intent.path.as_str(), intent.kind), (path, CallKind::ChangeSession));
        assert_eq!((intent.request_id, driver.pending(0).expires_at.secs()), (driver.requests[0].id, NOW + lifetime));
        assert_eq!(driver.kept(), [true, false], "{path}");
        assert_eq!(driver.drawn, 0, "{path} takes no iterator");
    }
    let key = tip_key(mixin_pin_machine::TipRole::Safe);
    let (driver, result) = made(rules.register_app(OTHER, key.public_key()), &[Say::Body(r#"{"data":{}}"#)]);
    assert!(matches!(result, Ok(Outcome::Done(_))), "{result:?}");
    assert_eq!(driver.intents[0].kind, CallKind::Other);
    assert_eq!(driver.intents[0].path, "/safe/apps/00000000-0000-0000-0000-000000000004/register");
}

#[test]
fn an_upgrade_is_sent_without_a_signature_and_with_the_time_of_its_lease() {
    let (rules, pin, old_key, new_key) =
        (rsa_rules(Limits::default()), Pin::new("314159").unwrap(), rsa_key(), new_key());
    let (mut driver, result) = made(rules.upgrade_session(&old_key, &pin, &new_key), &[Say::Body(NEW_SESSION)]);
    assert!(matches!(result, Ok(Outcome::Done(_))), "{result:?}");
    assert_eq!(driver.steps(), ["turn 40s", "lease 35s, wait 40s", "send 30s", "release"]);
}

#[test]
fn an_upgrade_of_an_ed25519_session_is_not_sent() {
    let (rules, pin, old_key, new_key) = (rules(), Pin::new("314159").unwrap(), rsa_key(), new_key());
    let (driver, result) = made(rules.upgrade_session(&old_key, &pin, &new_key), &[]);
    assert!(result.is_err_and(|error| error.nothing_changed()));
    assert!(driver.requests.is_empty());
}

/// A refusal of the token may be about a copy: the first one may have made the old key wrong.
#[test]
fn what_may_have_changed_the_key_is_unknown() {
    let (rules, rsa, pin, old_key, new_key) =
        (rules(), rsa_rules(Limits::default()), Pin::new("314159").unwrap(), rsa_key(), new_key());
    let cases = [
        (Say::Lost, true, true),
        (Say::TimedOut, true, true),
        (Say::Status(502), true, true),
        (Say::Body(r#"{"data":{}}"#), true, true),
        (
            Say::Body(r#"{"data":{"session_id":"seven","pin_token":"PgZHafXZXPBtJA4dKFf0kO4IHPOZouJJFSkr3zkn8Ws"}}"#),
            true,
            true,
        ),
        (Say::Refuse(401, None), true, true),
        (Say::Refuse(401, Some("token_signature")), true, true),
        (Say::Refuse(401, Some("token_algorithm")), true, true),
        (Say::Refuse(401, Some("session")), true, true),
        (Say::Refuse(401, Some("token_request_hash")), false, true),
        (Say::Refuse(401, Some("request_repeated")), true, true),
        (Say::Refuse(429, None), true, true),
        // Without a token, any refusal may be about a copy.
        (Say::Refuse(10_002, None), false, true),
        (Say::Refuse(403, None), false, true),
        (Say::Refuse(20_119, Some("pin")), false, true),
        (Say::Refuse(404, None), false, true),
    ];
    for (say, of_signed, of_upgrade) in cases {
        let calls = [
            (rules.replace_session_key(&new_key), of_signed),
            (rules.replace_app_session(OTHER, &new_key), of_signed),
            (rsa.upgrade_session(&old_key, &pin, &new_key), of_upgrade),
        ];
        for (call, is_unknown) in calls {
            let (mut driver, result) = made(call, &[say]);
            let path = &driver.intents[0].path.clone();
            match result {
                Ok(Outcome::Unknown(lost)) if is_unknown => assert_eq!(lost.next, NextStep::AskBothKeys),
                Err(error) if !is_unknown => assert!(error.nothing_changed(), "{say:?} {path}"),
                other => panic!("{say:?} {path}: {other:?}"),
            }
            assert_eq!(driver.kept().last(), Some(&is_unknown), "{say:?} {path}");
            assert_eq!(driver.requests.len(), 1, "{say:?} {path} is never retried");
        }
    }
}

#[test]
fn an_oauth_owner_rotates_and_registers_without_a_lease() {
    let key = Ed25519Key::from_bytes(&[4; 32]).unwrap();
    let algorithm = key.algorithm();
    let server = Ed25519Key::from_bytes(&[3; 32]).unwrap().public_key();
    let session = OAuthSession::without_server_key(OTHER, OWNER, "APPS:WRITE", key).unwrap().with_server_key(server);
    let rules = OAuthRules::new(session.map_signer(|_| algorithm), Limits::default(), None);
    let new_key = new_key();
    let (mut driver, result) = made(rules.replace_app_session(OTHER, &new_key), &[Say::Lost]);
    let Ok(Outcome::Unknown(lost)) = result else { panic!("{result:?}") };
    assert_eq!(lost.next, NextStep::AskBothKeys);
    assert_eq!(driver.steps(), ["sign", "send 30s"]);
    let spend = tip_key(mixin_pin_machine::TipRole::Safe);
    let (mut driver, result) = made(rules.register_app(OTHER, spend.public_key()), &[Say::Lost]);
    let Ok(Outcome::Unknown(lost)) = result else { panic!("{result:?}") };
    assert_eq!(lost.next, NextStep::CheckFirst);
    assert_eq!(driver.steps(), ["sign by Safe", "sign", "send 30s"]);
    for (mut driver, result) in [
        {
            let (driver, result) = made(rules.app(OTHER), &[Say::Lost]);
            (driver, result.map(drop))
        },
        {
            let (driver, result) = made(rules.sessions(&[OTHER]), &[Say::Lost]);
            (driver, result.map(drop))
        },
    ] {
        assert!(matches!(result, Err(Error::Interrupted(_))), "{result:?}");
        assert!(driver.steps()[1].starts_with("ask "), "{:?}", driver.steps());
    }
}

#[test]
fn reads_are_repeated_and_take_no_lease() {
    let rules = rules();
    let list = r#"{"data":[{"user_id":"00000000-0000-0000-0000-000000000001","session_id":"00000000-0000-0000-0000-000000000002"}]}"#;
    let (mut driver, result) = made(rules.sessions(&[USER]), &[Say::Lost, Say::Body(list)]);
    let Ok(Outcome::Done(sessions)) = result else { panic!("{result:?}") };
    assert_eq!(sessions[0].session_id, OLD);
    assert!(driver.steps().iter().filter(|step| step.starts_with("ask POST /sessions/fetch")).count() == 2);
    let app = r#"{"data":{"app_id":"00000000-0000-0000-0000-000000000004","has_safe":true}}"#;
    let (_, result) = made(rules.app(OTHER), &[Say::Status(502), Say::Body(app)]);
    assert!(matches!(result, Ok(Outcome::Done(app)) if app.has_safe));
}

/// What the server's answer to a key says.
fn asked(script: &[Say]) -> Result<KeyState, Error> {
    let rules = rules();
    let (mut driver, result) = made(rules.ask_with(USER, OTHER, Algorithm::EdDsa), script);
    assert!(driver.steps().iter().all(|step| !step.contains("lease")), "{:?}", driver.steps());
    KeyState::of(result.map(|outcome| outcome.done().expect("a read is never unknown")))
}

#[test]
fn only_an_answer_and_a_refused_token_tell_of_a_key() {
    assert!(matches!(asked(&[]), Ok(KeyState::Accepted(_))));
    assert!(matches!(asked(&[Say::Lost]), Ok(KeyState::Accepted(_))), "it is asked again");
    for reason in [None, Some("token_signature"), Some("token_algorithm"), Some("session"), Some("a new word")] {
        assert!(matches!(asked(&[Say::Refuse(401, reason)]), Ok(KeyState::Refused)), "{reason:?}");
    }
    for code in [403, 404, 10_002] {
        let failed = asked(&[Say::Refuse(code, None)]);
        let Err(Error::Protocol(ProtocolError::Answer(AnswerError::Refusal(_)))) = failed else { panic!("{failed:?}") };
    }
    // About a copy of the question, each time that it is asked.
    for reason in ["request_repeated", "token_expired"] {
        assert!(asked(&[Say::Refuse(401, Some(reason)); 4]).is_err(), "{reason}");
    }
    for reason in ["token_issued_at", "token_request_hash", "token_missing"] {
        assert!(asked(&[Say::Refuse(401, Some(reason))]).is_err(), "{reason} is not about the key");
    }
    assert!(asked(&[Say::Status(401)]).is_err(), "a gateway's page is not Mixin's answer");
    assert!(asked(&[Say::Lost; 4]).is_err());
}

fn entry(id: u128, session_id: Uuid, path: &str, kind: CallKind, sent_at: u64) -> PendingCall {
    let intent = CallIntent {
        request_id: Uuid::from_u128(id),
        method: "POST".into(),
        path: path.into(),
        kind,
        token_lifetime: Duration::from_secs(TOKEN),
    };
    PendingCall::new(session_id, &intent, 1..=2, UnixTime::from_secs(sent_at))
}

fn change(id: u128, path: &str, sent_at: u64) -> PendingCall {
    entry(id, OLD, path, CallKind::ChangeSession, sent_at)
}

fn user() -> User {
    serde_json::from_value(serde_json::json!({ "user_id": USER })).unwrap()
}

fn lost() -> SessionChange {
    SessionChange::new(USER, OLD, new_key())
}

fn plan(pending: &[PendingCall]) -> KeyPlan {
    lost().plan(pending, UnixTime::from_secs(NOW + TOKEN))
}

fn ask(plan: KeyPlan, key: Which, session_id: Uuid) -> AskKey {
    let KeyStep::Ask(ask) = plan.next() else { panic!("a key is asked") };
    assert_eq!((ask.key(), ask.user_id(), ask.session_id()), (key, USER, session_id));
    ask
}

fn refused(plan: KeyPlan, key: Which, session_id: Uuid) -> KeyPlan {
    ask(plan, key, session_id).answered(KeyState::Refused, None).unwrap()
}

/// The key is accepted, at this time of the server.
fn accepted(plan: KeyPlan, key: Which, session_id: Uuid, seconds: u64) -> KeyPlan {
    let time = Some(UnixTime::from_secs(NOW + seconds));
    ask(plan, key, session_id).answered(KeyState::Accepted(user()), time).unwrap()
}

fn listed(plan: KeyPlan, sessions: Result<Vec<UserSession>, Error>) -> KeyPlan {
    let KeyStep::List(asked) = plan.next() else { panic!("the sessions are listed") };
    assert_eq!(asked.user_id(), USER);
    asked.listed(sessions).unwrap()
}

fn session(user_id: Uuid, session_id: Uuid, key: &Ed25519PublicKey) -> UserSession {
    UserSession { user_id, session_id, public_key: key.to_x25519().unwrap().to_base64_url(), platform: String::new() }
}

fn done(plan: KeyPlan) -> KeyResolution {
    let KeyStep::Done(resolution) = plan.next() else { panic!("it is known now") };
    resolution
}

fn ids(resolution: &KeyResolution, listed: &[PendingCall]) -> Vec<u128> {
    resolution.settled(listed).map(|call| call.request_id.as_u128()).collect()
}

fn unauthorized() -> Error {
    asked_error(&[Say::Refuse(401, None)])
}

fn asked_error(script: &[Say]) -> Error {
    let rules = rules();
    made(rules.me(), script).1.expect_err("a read that fails")
}

#[test]
fn the_new_key_settles_every_change_that_the_old_one_made() {
    let pending = [
        change(1, "/session/secret", NOW),
        change(2, "/legacy/users", NOW + 10),
        change(3, "/session/secret", NOW),
        change(4, "/safe/apps/00000000-0000-0000-0000-000000000004/session", NOW),
        entry(5, OLD, "/pin/update", CallKind::UpdatePin, NOW),
        entry(6, OLD, "/session/secret", CallKind::Other, NOW),
        entry(7, OTHER, "/session/secret", CallKind::ChangeSession, NOW),
    ];
    let mut now = pending.to_vec();
    now[2].under_way_for = Some(Duration::from_secs(1));
    now.push(change(8, "/session/secret", NOW + 20)); // made during the resolution
    let resolution = done(accepted(plan(&pending), Which::New, OLD, 1));
    assert!(matches!(resolution.verdict, KeyVerdict::New(_)));
    assert_eq!(ids(&resolution, &now), [1, 2]);
}

#[test]
fn the_old_key_settles_what_has_expired_by_the_servers_clock() {
    let pending = [change(1, "/session/secret", NOW), change(2, "/session/secret", NOW + 10)];
    let resolve = |seconds| {
        let plan = refused(plan(&pending), Which::New, OLD);
        done(listed(accepted(plan, Which::Old, OLD, seconds), Ok(Vec::new())))
    };
    let resolution = resolve(TOKEN + AFTER + 9);
    let KeyVerdict::NotYet { expires_at, remaining, .. } = &resolution.verdict else { panic!("{resolution:?}") };
    assert_eq!((expires_at.secs(), *remaining), (NOW + TOKEN + 10, Duration::from_secs(1)));
    assert_eq!(ids(&resolution, &pending), [1]);
    let resolution = resolve(TOKEN + AFTER + 10);
    assert!(matches!(resolution.verdict, KeyVerdict::Old(_)));
    assert_eq!(ids(&resolution, &pending), [1, 2]);
    // Without the server's time nobody knows.
    let old = ask(refused(plan(&pending), Which::New, OLD), Which::Old, OLD);
    assert!(matches!(old.answered(KeyState::Accepted(user()), None), Err(Error::NoServerTime)));
}

#[test]
fn without_a_journal_the_call_or_the_present_tells_when_the_change_expires() {
    let not_yet = |change: SessionChange, seconds| {
        let plan = refused(change.plan(&[], UnixTime::from_secs(NOW + UPGRADE)), Which::New, OLD);
        match done(listed(accepted(plan, Which::Old, OLD, seconds), Ok(Vec::new()))).verdict {
            KeyVerdict::NotYet { expires_at, .. } => Some(expires_at.secs() - NOW),
            KeyVerdict::Old(_) => None,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(not_yet(lost(), TOKEN + AFTER), Some(UPGRADE));
    assert_eq!(not_yet(lost().expires_at(Some(UnixTime::from_secs(NOW + TOKEN))), TOKEN), Some(TOKEN));
    assert_eq!(not_yet(lost().expires_at(Some(UnixTime::from_secs(NOW + TOKEN))), TOKEN + AFTER), None);
    let rules = rules_with(Limits::default().token(Duration::from_secs(20)));
    assert_eq!(rules.latest_change(UnixTime::from_secs(NOW)).secs(), NOW + UPGRADE);
    let rules = rules_with(Limits::default().token(Duration::from_secs(900)));
    assert_eq!(rules.latest_change(UnixTime::from_secs(NOW)).secs(), NOW + 900);
}

#[test]
fn the_new_key_is_asked_for_under_every_id_that_the_session_may_have() {
    let plan = lost().or_session_ids([OLD, OTHER]).plan(&[], UnixTime::from_secs(NOW));
    let plan = refused(plan, Which::New, OLD);
    let plan = accepted(plan, Which::New, OTHER, 1);
    let resolution = done(refused(plan, Which::Old, OLD));
    assert!(matches!(resolution.verdict, KeyVerdict::New(_)));
    assert_eq!(resolution.new_session_id(), Some(OTHER));
}

/// The caller may have named another session of the user. Its key says nothing about the changes of this session.
#[test]
fn the_key_of_another_session_settles_nothing_while_the_old_key_is_accepted() {
    let pending = [change(1, "/session/secret", NOW), change(2, "/legacy/users", NOW + 10)];
    let latest = UnixTime::from_secs(NOW);
    let plan = || refused(lost().or_session_ids([OTHER]).plan(&pending, latest), Which::New, OLD);
    let resolution = done(accepted(accepted(plan(), Which::New, OTHER, 1), Which::Old, OLD, 1));
    assert!(matches!(resolution.verdict, KeyVerdict::New(_)));
    assert_eq!(ids(&resolution, &pending), [] as [u128; 0]);
    let resolution = done(accepted(accepted(plan(), Which::New, OTHER, 1), Which::Old, OLD, TOKEN + AFTER));
    assert_eq!(ids(&resolution, &pending), [1], "it has expired");
    let resolution = done(refused(accepted(plan(), Which::New, OTHER, 1), Which::Old, OLD));
    assert_eq!(ids(&resolution, &pending), [1, 2]);
    // The old key is accepted before the list has the session.
    let plan = accepted(refused(self::plan(&pending), Which::New, OLD), Which::Old, OLD, 1);
    let resolution = done(accepted(listed(plan, Ok(vec![session(USER, OTHER, &new_key())])), Which::New, OTHER, 1));
    assert_eq!((ids(&resolution, &pending), resolution.new_session_id()), (vec![], Some(OTHER)));
}

/// An app's session gets a new id, which only the lost answer names, and the old session may go on.
#[test]
fn the_list_of_sessions_has_the_id_that_the_lost_answer_named() {
    let other_key = Ed25519Key::from_bytes(&[8; 32]).unwrap().public_key();
    let sessions = || {
        Ok(vec![
            session(USER, OLD, &other_key),
            session(OWNER, Uuid::from_u128(8), &new_key()),
            session(USER, OTHER, &new_key()),
        ])
    };
    // The old key still works.
    let plan_ = accepted(refused(plan(&[]), Which::New, OLD), Which::Old, OLD, 1);
    let resolution = done(accepted(listed(plan_, sessions()), Which::New, OTHER, 1));
    assert!(matches!(resolution.verdict, KeyVerdict::New(_)));
    // The new key is refused under this id: the old one is the session's.
    let plan_ = accepted(refused(plan(&[]), Which::New, OLD), Which::Old, OLD, TOKEN + AFTER);
    let resolution = done(refused(listed(plan_, sessions()), Which::New, OTHER));
    assert!(matches!(resolution.verdict, KeyVerdict::Old(_)));
    // It does not work any more. The owner lists the sessions.
    let plan_ = refused(refused(plan(&[]), Which::New, OLD), Which::Old, OLD);
    let plan_ = refused(listed(plan_, sessions()), Which::New, OLD);
    let resolution = done(accepted(plan_, Which::New, OTHER, 1));
    assert!(matches!(resolution.verdict, KeyVerdict::New(_)));
}

#[test]
fn a_change_that_arrives_between_the_two_questions_is_found() {
    let pending = [change(1, "/session/secret", NOW)];
    let plan = refused(refused(plan(&pending), Which::New, OLD), Which::Old, OLD);
    // The session that would list them is over.
    let resolution = done(accepted(listed(plan, Err(unauthorized())), Which::New, OLD, 1));
    assert!(matches!(resolution.verdict, KeyVerdict::New(_)));
    assert_eq!(ids(&resolution, &pending), [1]);
}

#[test]
fn if_both_keys_are_refused_nothing_is_settled() {
    let pending = [change(1, "/session/secret", NOW - 86_400)];
    let plan = refused(refused(plan(&pending), Which::New, OLD), Which::Old, OLD);
    let plan = listed(plan, Err(unauthorized()));
    let time = Some(UnixTime::from_secs(NOW));
    let resolution = done(ask(plan, Which::New, OLD).answered(KeyState::Refused, time).unwrap());
    assert!(matches!(resolution.verdict, KeyVerdict::Neither));
    assert_eq!(ids(&resolution, &pending), []);
}

#[test]
fn a_list_that_may_not_be_read_has_nothing_and_another_failure_ends_the_plan() {
    let plan = || accepted(refused(plan(&[]), Which::New, OLD), Which::Old, OLD, TOKEN + AFTER);
    for code in [401, 403, 404] {
        let resolution = done(listed(plan(), Err(asked_error(&[Say::Refuse(code, None)]))));
        assert!(matches!(resolution.verdict, KeyVerdict::Old(_)), "{code}");
    }
    let broken = Error::Interrupted(TransportError::new("broken", false));
    for error in [broken, asked_error(&[Say::Refuse(10_002, None)]), asked_error(&[Say::Status(404)])] {
        let KeyStep::List(asked) = plan().next() else { panic!("the sessions are listed") };
        assert!(asked.listed(Err(error)).is_err());
    }
}

/// The owner's key stays, so a second change by the owner may still arrive after the first.
#[test]
fn of_several_changes_by_the_owner_those_that_may_still_arrive_stay() {
    let path = format!("/safe/apps/{USER}/session");
    let by_owner = |id, sent_at| entry(id, OWNER, &path, CallKind::ChangeSession, sent_at);
    let other_app = entry(3, OWNER, &format!("/safe/apps/{OTHER}/session"), CallKind::ChangeSession, NOW);
    let resolve =
        |pending: &[PendingCall], seconds| ids(&done(accepted(plan(pending), Which::New, OLD, seconds)), pending);
    assert_eq!(resolve(&[by_owner(1, NOW), other_app.clone()], 1), [1]);
    let both = [by_owner(1, NOW), by_owner(2, NOW + 10), other_app];
    assert_eq!(resolve(&both, 20), [] as [u128; 0]);
    // If the first left the journal, the second would be taken for the one that made the session.
    assert_eq!(resolve(&both, TOKEN + AFTER), [] as [u128; 0]);
    assert_eq!(resolve(&both, TOKEN + AFTER + 10), [1, 2]);
}

#[test]
fn after_an_answer_a_change_by_the_owner_stays_until_it_has_expired() {
    let path = format!("/safe/apps/{USER}/session");
    let pending = [entry(1, OWNER, &path, CallKind::ChangeSession, NOW)];
    let resolve = |seconds| {
        let plan = lost().after_answer().plan(&pending, UnixTime::from_secs(NOW));
        done(accepted(plan, Which::New, OLD, seconds))
    };
    let resolution = resolve(TOKEN + AFTER - 1);
    assert_eq!(ids(&resolution, &pending), [] as [u128; 0]);
    assert_eq!(resolution.may_arrive(&pending), Some(Duration::from_secs(1)));
    let resolution = resolve(TOKEN + AFTER);
    assert_eq!((ids(&resolution, &pending), resolution.may_arrive(&pending)), (vec![1], None));
}

/// It is what an owner's next change has to wait for.
#[test]
fn a_change_that_is_not_settled_may_arrive_until_it_expires() {
    let path = format!("/safe/apps/{USER}/session");
    let other_path = format!("/safe/apps/{OTHER}/session");
    let by_owner = |id, sent_at| entry(id, OWNER, &path, CallKind::ChangeSession, sent_at);
    let pending = [by_owner(1, NOW), entry(2, OWNER, &other_path, CallKind::ChangeSession, NOW + 50)];
    let neither = |time: Option<u64>| {
        let plan = refused(refused(plan(&pending), Which::New, OLD), Which::Old, OLD);
        let asked = ask(listed(plan, Err(unauthorized())), Which::New, OLD);
        done(asked.answered(KeyState::Refused, time.map(|seconds| UnixTime::from_secs(NOW + seconds))).unwrap())
    };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert!(neither(None).is_listed() && neither(None).is_old_refused());
    assert_eq!(neither(Some(10)).may_arrive(&pending), seconds(TOKEN + AFTER - 10));
    assert_eq!(neither(Some(TOKEN + AFTER)).may_arrive(&pending), None);
    // Without the server's time, and for a change that was made since.
    assert_eq!(neither(None).may_arrive(&pending), seconds(TOKEN + AFTER));
    let now = [by_owner(1, NOW), by_owner(3, NOW + 20)];
    assert_eq!(neither(Some(10)).may_arrive(&now), seconds(TOKEN + AFTER + 10));
    // The new key settles it, if it is the only one.
    let new = done(accepted(plan(&pending[..1]), Which::New, OLD, 1));
    assert_eq!((new.may_arrive(&pending[..1]), new.may_arrive(&now)), (None, seconds(TOKEN + AFTER + 19)));
    assert!(!done(accepted(plan(&[]), Which::New, OLD, 1)).is_listed());
}
