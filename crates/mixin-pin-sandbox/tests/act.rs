//! Every action, made from its value alone by either client. And what actions change in an account.

#[path = "clients/mod.rs"]
mod clients;
mod common;

use std::collections::BTreeSet;

use clients::{Async, Blocking, Bot, Key, Settings};
use common::{Kind, now, reason, register, rng, sandbox, send_parts, verdict};
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{CodeVerifier, Pin};
use mixin_pin_http::store::MemoryStore;
use mixin_pin_http::{Error, Outcome};
use mixin_pin_protocol::action::{Action, EncryptedSalt, MasterProof, Opponent};
use mixin_pin_protocol::call::Salts;
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_sandbox::Sandbox;
use serde_json::{Map, Value, json};

const ASSET: Uuid = Uuid::from_u128(0xa);
const OPPONENT: Uuid = Uuid::from_u128(0xb);
const OTHER: Uuid = Uuid::from_u128(0xc);

fn pin() -> Pin {
    Pin::new("123456").unwrap()
}

fn tip_key() -> TipKey {
    TipKey::from_seed(&[1; 32])
}

fn master() -> TipKey {
    TipKey::from_seed(&[2; 32])
}

fn bot<B: Bot>(sandbox: &Sandbox, session: mixin_pin_core::Session) -> B {
    B::new(session, MemoryStore::new(), &Settings::new(sandbox.url()))
}

/// A user, or the sandbox's app, with the credential set. Its id comes with it.
fn holder<B: Bot>(sandbox: &Sandbox, key: Key<'_>, is_app: bool) -> (B, Uuid) {
    let session = if is_app {
        Keystore::parse(sandbox.app_keystore().as_bytes()).unwrap().into_session(&mut rng()).unwrap()
    } else {
        register(sandbox, Kind::Ed25519)
    };
    let user_id = session.user_id();
    let bot: B = bot(sandbox, session);
    let set = match key {
        Key::Digits(pin) => bot.create_pin(pin),
        Key::Tip(key) => bot.install_tip(None, key),
    };
    set.unwrap().done().unwrap();
    (bot, user_id)
}

fn waiting_authorization(sandbox: &Sandbox, app_id: Uuid) -> Uuid {
    let verifier = CodeVerifier::generate(&mut rng());
    let body = json!({"client_id": app_id, "scope": "PROFILE:READ", "code_challenge": verifier.challenge()});
    let headers = [("Content-Type", "application/json")];
    let answer = send_parts(sandbox, "POST", "/sandbox/authorizations", &headers, body.to_string().as_bytes());
    answer["data"]["authorization_id"].as_str().unwrap().parse().unwrap()
}

/// Every action of a user, in an order in which the sandbox can carry all of them out.
fn actions_of_a_user(user_id: Uuid, session_id: Uuid, authorization_id: Uuid) -> Vec<Action> {
    let salt = || Some(EncryptedSalt::new("c2FsdA").unwrap());
    let amount = || "1.50".parse().unwrap();
    let (id, code) = (Uuid::from_u128(0x1d), || "1234".to_owned());
    let transaction = |opponent, trace_id| Action::Transaction {
        asset_id: ASSET,
        opponent,
        amount: amount(),
        trace_id: Uuid::from_u128(trace_id),
        memo: "memo".to_owned(),
    };
    let withdrawal = |fee, trace_id| Action::Withdraw {
        address_id: OTHER,
        amount: amount(),
        fee,
        trace_id: Uuid::from_u128(trace_id),
        memo: String::new(),
    };
    let Ok(Action::RegisterSafe { public_key, signature, .. }) = Action::register_safe(user_id, &tip_key()) else {
        panic!("not a registration")
    };
    vec![
        Action::Verify { timestamp: now().as_nanos().unwrap() },
        Action::AddAddress {
            asset_id: ASSET,
            chain_id: Some(OTHER),
            destination: "bc1q".to_owned(),
            tag: String::new(),
            label: "home".to_owned(),
        },
        Action::RemoveAddress { address_id: id },
        Action::CreateEmergencyContact { verification_id: id, code: code() },
        Action::ReadEmergencyContact,
        Action::RemoveEmergencyContact,
        Action::UpdatePhoneNumber { verification_id: id, code: code(), salt: salt() },
        Action::SignMultisig { request_id: id },
        Action::UnlockMultisig { request_id: id },
        Action::SignCollectible { request_id: id },
        Action::UnlockCollectible { request_id: id },
        Action::Transfer {
            asset_id: ASSET,
            opponent_id: OPPONENT,
            amount: amount(),
            trace_id: Uuid::from_u128(0xe0),
            memo: "memo".to_owned(),
        },
        withdrawal(None, 0xe1),
        withdrawal(Some("0.1".parse().unwrap()), 0xe2),
        transaction(Opponent::Key("XIN".to_owned()), 0xe3),
        transaction(Opponent::Users { receivers: vec![OTHER, OPPONENT], threshold: 2 }, 0xe4),
        Action::ApproveOAuth { authorization_id, scopes: vec!["PROFILE:READ".to_owned()] },
        Action::UpdateProvisioning { device_id: id, secret: "c2VjcmV0".to_owned() },
        Action::RegisterSafe {
            public_key,
            signature,
            salt: salt(),
            master: Some(Box::new(MasterProof::sign(user_id, &master()).unwrap())),
        },
        Action::ExportSalt { master: MasterProof::sign(user_id, &master()).unwrap() },
        Action::LogOutSession { session_id },
    ]
}

fn each_action_is_accepted<B: Bot>() {
    let mut prefixes = BTreeSet::new();
    for key in [Key::Digits(&pin()), Key::Tip(&tip_key())] {
        let sandbox = sandbox();
        let (app, app_id) = holder::<B>(&sandbox, key, true);
        let (user, user_id) = holder::<B>(&sandbox, key, false);
        let authorization_id = waiting_authorization(&sandbox, app_id);
        let mut calls: Vec<(&B, Uuid, Action)> = vec![(&app, app_id, Action::TransferAppOwnership { user_id })];
        let deactivated = holder::<B>(&sandbox, key, false);
        let verified = holder::<B>(&sandbox, key, false);
        for ((user, id), verification_id) in [(&deactivated, None), (&verified, Some(OTHER))] {
            calls.push((user, *id, Action::DeactivateUser { verification_id }));
        }
        let actions = actions_of_a_user(user_id, user.session_id(), authorization_id);
        calls.extend(actions.into_iter().map(|action| (&user, user_id, action)));
        for (bot, id, action) in calls {
            let answer = bot.act(key, &action).unwrap_or_else(|error| panic!("{} {action:?}: {error}", B::NAME));
            assert!(matches!(answer, Outcome::Done(_)), "{} {action:?}: {answer:?}", B::NAME);
            prefixes.insert(action.tip(id).prefix());
        }
    }
    let all = [
        "SEQUENCER:REGISTER:",
        "TIP:ADDRESS:ADD:",
        "TIP:ADDRESS:REMOVE:",
        "TIP:APP:OWNERSHIP:TRANSFER:",
        "TIP:COLLECTIBLE:REQUEST:SIGN:",
        "TIP:COLLECTIBLE:REQUEST:UNLOCK:",
        "TIP:EMERGENCY:CONTACT:CREATE:",
        "TIP:EMERGENCY:CONTACT:READ:",
        "TIP:EMERGENCY:CONTACT:REMOVE:",
        "TIP:MULTISIG:REQUEST:SIGN:",
        "TIP:MULTISIG:REQUEST:UNLOCK:",
        "TIP:OAUTH:APPROVE:",
        "TIP:PHONE:NUMBER:UPDATE:",
        "TIP:PROVISIONING:UPDATE:",
        "TIP:SESSION:LOGOUT:",
        "TIP:TRANSACTION:CREATE:",
        "TIP:TRANSFER:CREATE:",
        "TIP:USER:DEACTIVATE:",
        "TIP:USER:EXPORT:PRIVATE:",
        "TIP:VERIFY:",
        "TIP:WITHDRAWAL:CREATE:",
    ];
    assert_eq!(prefixes.into_iter().collect::<Vec<_>>(), all);
}

#[test]
fn each_action_of_the_blocking_client_is_accepted() {
    each_action_is_accepted::<Blocking>();
}

#[test]
fn each_action_of_the_async_client_is_accepted() {
    each_action_is_accepted::<Async>();
}

fn tip_user(sandbox: &Sandbox) -> (Blocking, Uuid) {
    holder(sandbox, Key::Tip(&tip_key()), false)
}

fn act(user: &Blocking, action: &Action) -> Result<Outcome<Value>, Error> {
    user.act(Key::Tip(&tip_key()), action)
}

fn done(user: &Blocking, action: &Action) -> Value {
    act(user, action).unwrap().done().unwrap()
}

fn is_dead(user: &Blocking) -> bool {
    match reason(user.call("GET", "/me", None)) {
        (401, word) => word == "session",
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_session_logs_itself_out_with_or_without_its_pin() {
    let sandbox = sandbox();
    let (other, _) = tip_user(&sandbox);
    for with_pin in [true, false] {
        let (user, _) = tip_user(&sandbox);
        let log_out = |session_id: Uuid| {
            let body = json!({ "session_id": session_id });
            if with_pin {
                act(&user, &Action::LogOutSession { session_id })
            } else {
                user.call("POST", "/logout", Some(&body))
            }
        };
        for id in [other.session_id(), Uuid::nil()] {
            assert_eq!(reason(log_out(id)), (404, "session_id".to_owned()));
        }
        log_out(user.session_id()).unwrap().done().unwrap();
        assert!(is_dead(&user));
        assert_eq!(reason(log_out(user.session_id())).0, 401);
    }
    // A wrong signature ends nothing.
    let wrong = other.act(Key::Tip(&master()), &Action::LogOutSession { session_id: other.session_id() });
    assert_eq!(reason(wrong), (20_119, "signature".to_owned()));
    for body in [json!({}), json!({ "session_id": "x" })] {
        assert_eq!(reason(other.call("POST", "/logout", Some(&body))).0, 10_002);
    }
    other.me().unwrap();
}

#[test]
fn every_token_of_a_deactivated_user_is_refused() {
    let sandbox = sandbox();
    let (bystander, _) = tip_user(&sandbox);
    for verification_id in [None, Some(OTHER)] {
        let (user, user_id) = tip_user(&sandbox);
        // The signature of the other form is wrong.
        let other_form = Action::DeactivateUser { verification_id: Some(Uuid::nil()) };
        let signed = tip_key().secret(&other_form.tip(user_id));
        let body = Action::DeactivateUser { verification_id }.body();
        let refused = user.call_with_pin("POST", "/me/deactivate", &body, signed);
        assert_eq!(reason(refused), (20_119, "signature".to_owned()));
        let deactivated = done(&user, &Action::DeactivateUser { verification_id });
        assert_eq!(deactivated["user_id"], json!(user_id));
        assert!(is_dead(&user));
        let fetched = bystander.sessions(&[user_id]).unwrap();
        assert_eq!(fetched, []);
    }
    // The older path, which no client shows.
    let (user, user_id) = tip_user(&sandbox);
    let action = Action::DeactivateUser { verification_id: None };
    let secret = tip_key().secret(&action.tip(user_id));
    user.call_with_pin("POST", "/account/deactivate", &Map::new(), secret).unwrap().done().unwrap();
    assert!(is_dead(&user));
}

#[test]
fn an_emergency_contact_is_stored_read_and_removed() {
    let sandbox = sandbox();
    let (user, user_id) = tip_user(&sandbox);
    let absent = (404, "emergency_contact".to_owned());
    assert_eq!(reason(act(&user, &Action::ReadEmergencyContact)), absent);
    assert_eq!(reason(act(&user, &Action::RemoveEmergencyContact)), absent);
    let create = Action::CreateEmergencyContact { verification_id: OTHER, code: "1234".to_owned() };
    // As Android's app sends it.
    let mut body = create.body();
    body.extend([("identity_number".to_owned(), json!("7001")), ("phone".to_owned(), json!("+1"))]);
    let secret = || tip_key().secret(&create.tip(user_id));
    let created = user.call_with_pin("POST", &create.path(user_id), &body, secret()).unwrap().done().unwrap();
    assert_eq!(created["has_emergency_contact"], true);
    let read = done(&user, &Action::ReadEmergencyContact);
    assert_eq!((&read["identity_number"], &read["phone"]), (&json!("7001"), &json!("+1")));
    body.insert("phone".to_owned(), "1".repeat(257).into());
    let refused = user.call_with_pin("POST", &create.path(user_id), &body, secret());
    assert_eq!(reason(refused), (10_002, "too_long".to_owned()));
    // Another purpose has no PIN.
    body.insert("purpose".to_owned(), "SESSION".into());
    let refused = user.call_with_pin("POST", &create.path(user_id), &body, secret());
    assert_eq!(reason(refused).0, 10_002);
    let removed = done(&user, &Action::RemoveEmergencyContact);
    assert_eq!(removed["has_emergency_contact"], false);
    assert_eq!(reason(act(&user, &Action::ReadEmergencyContact)), absent);
    let (other, _) = tip_user(&sandbox);
    assert_eq!(reason(act(&other, &Action::ReadEmergencyContact)), absent);
}

#[test]
fn digits_need_the_fields_of_what_changes_an_account() {
    let sandbox = sandbox();
    let (user, _) = holder::<Blocking>(&sandbox, Key::Digits(&pin()), false);
    for path in ["/logout", "/me/salt_export", "/emergency_verifications/x", "/safe/users"] {
        let refused = user.call_with_pin("POST", path, &Map::new(), pin().into());
        assert_eq!(reason(refused).0, 10_002, "{path}");
    }
    user.me().unwrap();
}

#[test]
fn a_salt_is_stored_shown_and_exported() {
    let sandbox = sandbox();
    let (user, user_id) = tip_user(&sandbox);
    let me = || user.call("GET", "/safe/me", None).unwrap().done().unwrap();
    assert_eq!((&me()["salt_base64"], &me()["salt_exported_at"]), (&Value::Null, &Value::Null));
    let salt = |text: &str| Some(EncryptedSalt::new(text).unwrap());
    let phone = |salt| Action::UpdatePhoneNumber { verification_id: OTHER, code: "1".to_owned(), salt };
    done(&user, &phone(salt("c2FsdA")));
    assert_eq!(me()["salt_base64"], "c2FsdA");
    assert_eq!(reason(act(&user, &phone(salt(&"A".repeat(400))))), (10_002, "too_long".to_owned()));
    let Ok(Action::RegisterSafe { public_key, signature, .. }) = Action::register_safe(user_id, &tip_key()) else {
        panic!("not a registration")
    };
    let registration = |text: &str, master_of| Action::RegisterSafe {
        public_key: public_key.clone(),
        signature,
        salt: salt(text),
        master: Some(Box::new(MasterProof::sign(master_of, &master()).unwrap())),
    };
    let not_signed = (10_002, "not this user's id signed with this key".to_owned());
    assert_eq!(reason(act(&user, &registration("b3RoZXI", OTHER))), not_signed);
    assert_eq!(done(&user, &registration("b3RoZXI", user_id))["salt_base64"], "b3RoZXI");
    let export = |master_of| Action::ExportSalt { master: MasterProof::sign(master_of, &master()).unwrap() };
    assert_eq!(reason(act(&user, &export(OTHER))), not_signed);
    let exported = done(&user, &export(user_id));
    assert_eq!(exported["salt_base64"], "b3RoZXI");
    assert!(exported["salt_exported_at"].as_str().unwrap().starts_with("20"), "{exported}");
}

#[test]
fn an_update_of_the_pin_carries_salts() {
    let sandbox = sandbox();
    let session = register(&sandbox, Kind::Ed25519);
    let nonces = mixin_pin_core::MonotonicNonces::new();
    let install = |salt: &str| {
        let key = tip_key();
        let secret = key.installation(1);
        let mut body = Map::new();
        body.insert("salt_base64".to_owned(), salt.into());
        let call = mixin_pin_protocol::call::Calls::new(&session, now(), &mut rng()).nonces(&nonces).with_pin(
            "POST",
            "/pin/update",
            &body,
            secret,
        );
        common::send(&sandbox, &common::signed(&session, call))
    };
    assert_eq!(verdict(&install("?")), (10_002, "not base64"));
    assert_eq!(verdict(&install(&"A".repeat(400))), (10_002, "too_long"));
    let installed = install("c2FsdA");
    assert_eq!((verdict(&installed), &installed["data"]["salt_base64"]), ((0, ""), &json!("c2FsdA")));
}

fn a_wallet_changes_its_key<B: Bot>() {
    let sandbox = sandbox();
    let (old, new) = (tip_key(), TipKey::from_seed(&[3; 32]));
    let (user, _) = holder::<B>(&sandbox, Key::Tip(&old), false);
    let salt = |text: &str| EncryptedSalt::new(text).unwrap();
    let salts = Salts { old: salt("b2xk"), new: salt("bmV3") };
    assert_eq!(user.change_tip_with_salts(&old, 1, &new, &salts).unwrap().done().unwrap().tip_counter, 2);
    let shown = user.call("GET", "/me", None).unwrap().done().unwrap();
    assert_eq!((&shown["salt_base64"], &shown["tip_counter"]), (&json!("bmV3"), &json!(2)));
    assert_eq!(user.change_tip(&new, 2, &old).unwrap().done().unwrap().tip_counter, 3);
    let shown = user.call("GET", "/me", None).unwrap().done().unwrap();
    assert_eq!(shown["salt_base64"], "bmV3", "a change without salts keeps it");
}

#[test]
fn a_change_of_the_key_carries_the_salts_of_a_wallet() {
    a_wallet_changes_its_key::<Blocking>();
    a_wallet_changes_its_key::<Async>();
}
