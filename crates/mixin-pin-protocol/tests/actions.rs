//! Each action and its request: what is sent, what is read, and what is signed.

#[path = "common/actions.rs"]
mod common;

use mixin_pin_protocol::action::{Action, EncryptedSalt, MasterProof, Opponent};
use mixin_pin_protocol::call::{Calls, Salts, UnsignedRequest};
use mixin_pin_protocol::core::tip::{AmountBuf, TipAction, TipKey, TipSigner, safe_message};
use mixin_pin_protocol::core::uuid::Uuid;
use mixin_pin_protocol::core::{
    EncryptedPin, Error as CoreError, MonotonicNonces, Pin, PinBlock, Secret, Session, UnixTime,
};
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_protocol::{ActionError, CallError};
use proptest::prelude::*;
use proptest::strategy::Union;
use serde_json::{Map, Value, json};

const NOW: UnixTime = UnixTime::from_secs(1_795_517_646);
const RSA_BOT: &str = include_str!("../testdata/keystore-rsa-bot.json");
const DASHBOARD: &str = include_str!("../testdata/keystore-dashboard.json");
const USER: Uuid = Uuid::from_u128(7);
const ID: &str = "4a2d4dcb-3f1b-4cfc-8b5c-f2b9a4a9e4a1";
const OTHER: &str = "e2c8dcc3-5b6b-4a79-8f5c-a0d1c7c3a0f7";

fn rng() -> getrandom::rand_core::UnwrapErr<getrandom::SysRng> {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

fn session(text: &str) -> Session {
    Keystore::parse(text.as_bytes()).unwrap().into_session(&mut rng()).unwrap()
}

fn id(text: &str) -> Uuid {
    text.parse().unwrap()
}

fn amount(text: &str) -> AmountBuf {
    text.parse().unwrap()
}

fn read(path: &str, body: &Value) -> Result<Option<Action>, ActionError> {
    Action::read("POST", path, body.as_object().unwrap())
}

/// The body that is sent, and the PIN that is in one of its fields.
fn sent(session: &Session, request: UnsignedRequest, field: &str) -> (Map<String, Value>, PinBlock) {
    let request = request.sign(session.signer(), &mut rng()).unwrap();
    let mut body: Map<String, Value> = serde_json::from_slice(request.body()).unwrap();
    let pin = body.remove(field).unwrap_or_else(|| panic!("no {field} in {body:?}"));
    let pin = EncryptedPin::from_base64(pin.as_str().unwrap()).unwrap();
    (body, session.pin_key().decrypt(&pin).unwrap())
}

/// An action, its path, its body, and the text that is signed: the prefix and the parameters.
type Case = (Action, String, Value, String);

fn case(action: Action, path: impl Into<String>, body: Value, signed: impl Into<String>) -> Case {
    (action, path.into(), body, signed.into())
}

/// Actions with an id alone.
fn by_id() -> Vec<Case> {
    let id = id(ID);
    let none = || json!({});
    let signed = |prefix: &str| format!("{prefix}{ID}");
    vec![
        case(
            Action::RemoveAddress { address_id: id },
            format!("/addresses/{ID}/delete"),
            none(),
            signed("TIP:ADDRESS:REMOVE:"),
        ),
        case(
            Action::DeactivateUser { verification_id: Some(id) },
            "/me/deactivate",
            json!({"verification_id": ID}),
            signed("TIP:USER:DEACTIVATE:"),
        ),
        case(
            Action::DeactivateUser { verification_id: None },
            "/me/deactivate",
            none(),
            format!("TIP:USER:DEACTIVATE:{USER}"),
        ),
        case(
            Action::SignMultisig { request_id: id },
            format!("/multisigs/{ID}/sign"),
            none(),
            signed("TIP:MULTISIG:REQUEST:SIGN:"),
        ),
        case(
            Action::UnlockMultisig { request_id: id },
            format!("/multisigs/{ID}/unlock"),
            none(),
            signed("TIP:MULTISIG:REQUEST:UNLOCK:"),
        ),
        case(
            Action::SignCollectible { request_id: id },
            format!("/collectibles/requests/{ID}/sign"),
            none(),
            signed("TIP:COLLECTIBLE:REQUEST:SIGN:"),
        ),
        case(
            Action::UnlockCollectible { request_id: id },
            format!("/collectibles/requests/{ID}/unlock"),
            none(),
            signed("TIP:COLLECTIBLE:REQUEST:UNLOCK:"),
        ),
        case(
            Action::TransferAppOwnership { user_id: id },
            format!("/apps/{USER}/transfer"),
            json!({"user_id": ID}),
            signed("TIP:APP:OWNERSHIP:TRANSFER:"),
        ),
        case(
            Action::LogOutSession { session_id: id },
            "/logout",
            json!({"session_id": ID}),
            signed("TIP:SESSION:LOGOUT:"),
        ),
    ]
}

/// Actions of the user's account, and of others that the user lets in.
fn account() -> Vec<Case> {
    let (verification_id, code) = (id(ID), "1".to_owned());
    let salt = EncryptedSalt::new("c2FsdA").ok();
    vec![
        case(Action::Verify { timestamp: 9 }, "/pin/verify", json!({"timestamp": 9}), "TIP:VERIFY:9"),
        case(
            Action::CreateEmergencyContact { verification_id, code: code.clone() },
            format!("/emergency_verifications/{ID}"),
            json!({"purpose": "CONTACT", "code": "1"}),
            format!("TIP:EMERGENCY:CONTACT:CREATE:{ID}1"),
        ),
        // No parameter stands for the text 0 that is signed.
        case(Action::ReadEmergencyContact, "/emergency_contact", json!({}), "TIP:EMERGENCY:CONTACT:READ:"),
        case(Action::RemoveEmergencyContact, "/emergency_contact/delete", json!({}), "TIP:EMERGENCY:CONTACT:REMOVE:"),
        case(
            Action::UpdatePhoneNumber { verification_id, code, salt },
            format!("/verifications/{ID}"),
            json!({"purpose": "PHONE", "code": "1", "salt_base64": "c2FsdA"}),
            format!("TIP:PHONE:NUMBER:UPDATE:{ID}1"),
        ),
        case(
            Action::ApproveOAuth { authorization_id: id(ID), scopes: vec!["PROFILE:READ".to_owned()] },
            "/oauth/authorize",
            json!({"authorization_id": ID, "scopes": ["PROFILE:READ"]}),
            format!("TIP:OAUTH:APPROVE:{ID}"),
        ),
        case(
            Action::UpdateProvisioning { device_id: id(ID), secret: "s".to_owned() },
            format!("/provisionings/{ID}"),
            json!({"secret": "s"}),
            format!("TIP:PROVISIONING:UPDATE:{ID}s"),
        ),
    ]
}

/// Actions of the user's key for the safe.
fn safe() -> Vec<Case> {
    let hex = |bytes: &[u8]| base16ct::lower::encode_string(bytes);
    let (key, master_key) = (TipKey::from_seed(&[1; 32]), TipKey::from_seed(&[2; 32]));
    let master = MasterProof::sign(USER, &master_key).unwrap();
    let (master_key, master_signature) = (hex(master_key.public_key().as_bytes()), hex(&master.signature));
    let public_key = hex(key.public_key().as_bytes());
    vec![
        case(
            Action::RegisterSafe {
                public_key: key.public_key().clone(),
                signature: [0xfb; 64],
                salt: EncryptedSalt::new("c2FsdA").ok(),
                master: Some(Box::new(master.clone())),
            },
            "/safe/users",
            json!({"public_key": public_key, "signature": "-_v7".repeat(21) + "-w", "salt_base64": "c2FsdA",
                "master_public_hex": master_key, "master_signature_hex": master_signature}),
            format!("SEQUENCER:REGISTER:{USER}{public_key}"),
        ),
        case(
            Action::ExportSalt { master },
            "/me/salt_export",
            json!({"master_public_hex": master_key, "master_signature_hex": master_signature}),
            format!("TIP:USER:EXPORT:PRIVATE:{USER}"),
        ),
    ]
}

/// Actions that move money, and the address where it goes.
fn payments() -> Vec<Case> {
    let (asset_id, trace_id, memo) = (id(ID), id(OTHER), || "m".to_owned());
    let amount = || AmountBuf::new("1.50").unwrap();
    let withdraw = |fee| Action::Withdraw { address_id: id(ID), amount: amount(), fee, trace_id, memo: memo() };
    let transaction = |opponent| Action::Transaction { asset_id, opponent, amount: amount(), trace_id, memo: memo() };
    let users = Opponent::Users { receivers: vec![id(OTHER), id(ID)], threshold: 2 };
    vec![
        case(
            Action::AddAddress {
                asset_id,
                chain_id: Some(id(OTHER)),
                destination: "d".to_owned(),
                tag: String::new(),
                label: "l".to_owned(),
            },
            "/addresses",
            json!({"asset_id": ID, "chain_id": OTHER, "destination": "d", "tag": "", "label": "l"}),
            format!("TIP:ADDRESS:ADD:{ID}dl"),
        ),
        case(
            Action::Transfer { asset_id, opponent_id: id(OTHER), amount: amount(), trace_id, memo: memo() },
            "/transfers",
            json!({"asset_id": ID, "opponent_id": OTHER, "amount": "1.5", "trace_id": OTHER, "memo": "m"}),
            format!("TIP:TRANSFER:CREATE:{ID}{OTHER}1.5{OTHER}m"),
        ),
        case(
            withdraw(None),
            "/withdrawals",
            json!({"address_id": ID, "amount": "1.5", "trace_id": OTHER, "memo": "m"}),
            format!("TIP:WITHDRAWAL:CREATE:{ID}1.5{OTHER}m"),
        ),
        case(
            withdraw(AmountBuf::new("0.10").ok()),
            "/withdrawals",
            json!({"address_id": ID, "amount": "1.5", "fee": "0.1", "trace_id": OTHER, "memo": "m"}),
            format!("TIP:WITHDRAWAL:CREATE:{ID}1.50.1{OTHER}m"),
        ),
        case(
            transaction(Opponent::Key("XIN".to_owned())),
            "/transactions",
            json!({"asset_id": ID, "opponent_key": "XIN", "amount": "1.5", "trace_id": OTHER, "memo": "m"}),
            format!("TIP:TRANSACTION:CREATE:{ID}XIN01.5{OTHER}m"),
        ),
        case(
            transaction(users),
            "/transactions",
            json!({"asset_id": ID, "opponent_multisig": {"receivers": [OTHER, ID], "threshold": 2}, "amount": "1.5",
                "trace_id": OTHER, "memo": "m"}),
            format!("TIP:TRANSACTION:CREATE:{ID}{OTHER}{ID}21.5{OTHER}m"),
        ),
    ]
}

/// Every action with its request, literally.
fn requests() -> Vec<Case> {
    [by_id(), account(), safe(), payments()].concat()
}

#[test]
fn each_action_has_its_request() {
    for (action, path, body, signed) in requests() {
        assert_eq!((action.path(USER), Value::Object(action.body())), (path.clone(), body.clone()));
        let tip = action.tip(USER);
        let parameters: String = tip.parameters().map(|(_, value)| value.to_string()).collect();
        assert_eq!(format!("{}{parameters}", tip.prefix()), signed, "{path}");
        assert_eq!(read(&path, &body), Ok(Some(action.clone())), "{path}");
        assert_eq!(read(&format!("{path}?x=1"), &body), Ok(Some(action.clone())), "{path}");
        for method in ["GET", "PUT", "post"] {
            assert_eq!(Action::read(method, &path, body.as_object().unwrap()), Ok(None), "{method} {path}");
        }
    }
}

#[test]
fn a_field_that_is_missing_or_of_another_form_is_named() {
    // Fields that a request may lack. The others are needed.
    let optional = |name: &str, path: &str| {
        matches!(name, "chain_id" | "tag" | "memo" | "fee" | "purpose" | "salt_base64" | "scopes")
            || (name == "verification_id" && path.ends_with("deactivate"))
            || (name.starts_with("master_") && path == "/safe/users")
    };
    for (action, path, body, _) in requests() {
        for name in body.as_object().unwrap().keys() {
            let mut without = body.clone();
            without.as_object_mut().unwrap().remove(name);
            let mut null = body.clone();
            null[name] = Value::Null;
            assert_eq!(read(&path, &without), read(&path, &null), "{path} {name}: null is as absent");
            let mut number = body.clone();
            number[name] = json!(-1.5);
            let Err(ActionError::Field { asked, field }) = read(&path, &number) else {
                panic!("{path} {name} is a number")
            };
            assert_eq!((asked, field), (action.tip(USER).prefix(), &**name), "{path}");
            match read(&path, &without) {
                // Both of the pair, or none.
                Err(ActionError::Field { field, .. }) if name.starts_with("master_") => {
                    assert_eq!(field, name, "{path}");
                }
                Ok(read) => assert!(optional(name, &path) && read.is_some(), "{path} {name}: {action:?}"),
                Err(error) => {
                    let named = if name == "opponent_key" { "opponent_multisig" } else { name };
                    assert!(!optional(name, &path), "{path} {name}");
                    assert!(
                        matches!(error, ActionError::Field { field, .. } if field == named),
                        "{path} {name}: {error:?}"
                    );
                }
            }
        }
    }
    let missing = |asked, field| Err(ActionError::Field { asked, field });
    assert_eq!(read("/addresses/7/delete", &json!({})), missing("TIP:ADDRESS:REMOVE:", "id in the path"));
    assert_eq!(
        read("/emergency_verifications/7", &json!({"code": "1"})),
        missing("TIP:EMERGENCY:CONTACT:CREATE:", "id in the path")
    );
    assert_eq!(read("/safe/users", &json!({"public_key": "00"})), missing("SEQUENCER:REGISTER:", "public_key"));
    for (action, path, body, _) in requests() {
        let wrong = path.replace(ID, "7");
        if wrong != path {
            assert_eq!(read(&wrong, &body), missing(action.tip(USER).prefix(), "id in the path"), "{path}");
        }
    }
    // The same paths carry no PIN for these purposes.
    assert_eq!(
        read(&format!("/verifications/{ID}"), &json!({"purpose": "SESSION", "code": "1"})),
        missing("TIP:PHONE:NUMBER:UPDATE:", "purpose")
    );
    let login = json!({"purpose": "SESSION", "code": "1"});
    assert_eq!(
        read(&format!("/emergency_verifications/{ID}"), &login),
        missing("TIP:EMERGENCY:CONTACT:CREATE:", "purpose")
    );
    for path in ["/pin/update", "/", "", "/multisigs/requests/1/sign/more", "/transfers/1", "/me", "/session/secret"] {
        assert_eq!(read(path, &json!({})), Ok(None), "{path}");
    }
}

#[test]
fn requests_of_other_clients_are_read() {
    for (path, other) in [
        (format!("/multisigs/requests/{ID}/sign"), format!("/multisigs/{ID}/sign")),
        (format!("/multisigs/requests/{ID}/unlock"), format!("/multisigs/{ID}/unlock")),
        ("/account/deactivate".to_owned(), "/me/deactivate".to_owned()),
    ] {
        let asked = read(&path, &json!({})).unwrap();
        assert!(asked.is_some() && asked == read(&other, &json!({})).unwrap(), "{path}");
    }
    // iOS changes no number with this purpose.
    for purpose in ["NONE", "SESSION", "phone"] {
        let asked = read(&format!("/verifications/{ID}"), &json!({"purpose": purpose, "code": "1"}));
        let refused = ActionError::Field { asked: "TIP:PHONE:NUMBER:UPDATE:", field: "purpose" };
        assert_eq!(asked, Err(refused), "{purpose}");
    }
    // fox-one's client sends an empty list of users beside a key.
    let mut body = json!({"asset_id": ID, "amount": "1.500", "trace_id": ID, "opponent_key": "XIN"});
    let key = read("/transactions", &body).unwrap().unwrap();
    body["opponent_multisig"] = json!({});
    assert_eq!(read("/transactions", &body), Ok(Some(key)));
    for users in [json!({"receivers": [ID], "threshold": 1}), json!([]), json!("x")] {
        body["opponent_multisig"] = users;
        let refused = Err(ActionError::Field { asked: "TIP:TRANSACTION:CREATE:", field: "opponent_multisig" });
        assert_eq!(read("/transactions", &body), refused, "both a key and users");
    }
    body["opponent_key"] = json!("");
    for users in [
        json!({"receivers": ["x"], "threshold": 1}),
        json!({"receivers": [ID]}),
        json!({"threshold": 1}),
        json!({"receivers": [ID], "threshold": u64::from(u32::MAX) + 1}),
        json!({}),
    ] {
        body["opponent_multisig"] = users;
        assert_eq!(
            read("/transactions", &body),
            Err(ActionError::Field { asked: "TIP:TRANSACTION:CREATE:", field: "opponent_multisig" })
        );
    }
}

#[test]
fn a_signature_may_cover_what_some_clients_sign_instead() {
    let key = TipKey::from_seed(&[3; 32]);
    for (action, path, ..) in requests() {
        let signed: Vec<TipAction<'_>> = action.signed(USER).collect();
        assert_eq!(signed[0], action.tip(USER));
        for signed in &signed {
            assert_eq!(action.verify(USER, &key.sign(signed), key.public_key()), Ok(*signed), "{path}");
        }
        let other = TipAction::RemoveAddress { address_id: id(OTHER) };
        assert_eq!(action.verify(USER, &key.sign(&other), key.public_key()), Err(CoreError::Signature), "{path}");
        match (&action, &signed[1..]) {
            (Action::Withdraw { fee: None, .. }, [TipAction::Withdraw { fee: Some(fee), .. }]) => {
                assert_eq!(fee.as_str(), "0");
            }
            (
                Action::Transaction { opponent: Opponent::Key(_), .. },
                [TipAction::Transaction { opponent_key: "XIN", receivers: [], threshold: None, .. }],
            ) => {}
            (Action::Withdraw { fee: None, .. } | Action::Transaction { opponent: Opponent::Key(_), .. }, others) => {
                panic!("{action:?}: {others:?}")
            }
            (_, others) => assert!(others.is_empty(), "{action:?}: {others:?}"),
        }
    }
}

#[test]
fn a_mismatch_names_the_action_and_the_field() {
    let session = session(DASHBOARD);
    let (nonces, mut rng, key) = (MonotonicNonces::new(), rng(), TipKey::from_seed(&[3; 32]));
    let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
    let mut mismatch = |action: &Action, given: &Action| {
        let (path, body) = (action.path(session.user_id()), action.body());
        match calls.with_tip("POST", &path, &body, &key, &given.tip(session.user_id())) {
            Err(CallError::Action(ActionError::Mismatch { asked, field, .. })) => (asked, field),
            other => panic!("{given:?}: {other:?}"),
        }
    };
    let transfer = |opponent: &str, text: &str, memo: &str| Action::Transfer {
        asset_id: id(ID),
        opponent_id: id(opponent),
        amount: amount(text),
        trace_id: id(ID),
        memo: memo.to_owned(),
    };
    let asked = transfer(ID, "1", "");
    let prefix = "TIP:TRANSFER:CREATE:";
    assert_eq!(mismatch(&asked, &transfer(OTHER, "2", "")), (prefix, Some("opponent_id")), "the first that differs");
    assert_eq!(mismatch(&asked, &transfer(ID, "2", "")), (prefix, Some("amount")));
    assert_eq!(mismatch(&asked, &transfer(ID, "1", "x")), (prefix, Some("memo")));
    assert_eq!(mismatch(&asked, &Action::ReadEmergencyContact), (prefix, None));
    let (with, without) =
        (Action::DeactivateUser { verification_id: Some(id(ID)) }, Action::DeactivateUser { verification_id: None });
    assert_eq!(mismatch(&with, &without), ("TIP:USER:DEACTIVATE:", Some("phone_verification_id")));
    assert_eq!(mismatch(&without, &with), ("TIP:USER:DEACTIVATE:", Some("user_id")));
}

#[test]
fn a_signed_request_has_ids_and_amounts_as_they_are_signed() {
    let session = session(DASHBOARD);
    let (nonces, mut rng, key) = (MonotonicNonces::new(), rng(), TipKey::from_seed(&[3; 32]));
    let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
    let mut sign = |path: &str, body: &Value| {
        // A server reads them in any form.
        let asked = read(path, body).unwrap().unwrap();
        calls.with_tip("POST", path, body.as_object().unwrap(), &key, &asked.tip(session.user_id())).map(|_| ())
    };
    let mut refuses = |path: &str, body: &Value, name: &str| {
        let refused = sign(path, body);
        assert!(
            matches!(refused, Err(CallError::Action(ActionError::Form { field, .. })) if field == name),
            "{path} {body}: {refused:?}"
        );
    };
    let (upper, bare) = (ID.to_ascii_uppercase(), ID.replace('-', ""));
    let transfer = json!({"asset_id": ID, "opponent_id": ID, "amount": "1.5", "trace_id": ID});
    let withdrawal = json!({"address_id": ID, "amount": "1", "fee": "0.1", "trace_id": ID});
    for (path, good, field, other) in [
        ("/transfers", &transfer, "amount", "1.50"),
        ("/transfers", &transfer, "asset_id", &upper),
        ("/transfers", &transfer, "opponent_id", &bare),
        ("/transfers", &transfer, "trace_id", &upper),
        ("/withdrawals", &withdrawal, "fee", "0.10"),
        ("/logout", &json!({"session_id": ID}), "session_id", &upper),
        ("/me/deactivate", &json!({"verification_id": ID}), "verification_id", &upper),
    ] {
        let mut body = good.clone();
        body[field] = other.into();
        refuses(path, &body, field);
    }
    for id in [&upper, &bare] {
        refuses(&format!("/addresses/{id}/delete"), &json!({}), "id in the path");
        let users = json!({"receivers": [ID, id], "threshold": 1});
        let body = json!({"asset_id": ID, "amount": "1", "trace_id": ID, "opponent_multisig": users});
        refuses("/transactions", &body, "receivers");
    }
    let users = json!({"receivers": [ID], "threshold": 1});
    for (path, body) in [
        ("/transfers", transfer),
        ("/withdrawals", withdrawal),
        ("/withdrawals", json!({"address_id": ID, "amount": "1", "fee": "", "trace_id": ID})),
        ("/transactions", json!({"asset_id": ID, "amount": "1", "trace_id": ID, "opponent_multisig": users})),
    ] {
        assert!(sign(path, &body).is_ok(), "{path} {body}");
    }
}

#[test]
fn codes_are_not_shown() {
    let verification_id = id(ID);
    let contact = Action::CreateEmergencyContact { verification_id, code: "857142".to_owned() };
    let phone = Action::UpdatePhoneNumber { verification_id, code: "857142".to_owned(), salt: None };
    for action in [contact, phone] {
        let shown = format!("{action:?}");
        assert!(shown.contains(ID) && !shown.contains("857142"), "{shown}");
    }
}

#[test]
fn digits_permit_an_action_too() {
    for (keystore, field) in [(RSA_BOT, "pin"), (DASHBOARD, "pin_base64")] {
        let session = session(keystore);
        let (nonces, mut rng, pin) = (MonotonicNonces::new(), rng(), Pin::new("314159").unwrap());
        for (action, path, body, _) in requests() {
            let request = Calls::new(&session, NOW, &mut rng).nonces(&nonces).act_with_pin(&pin, &action).unwrap();
            let expected = path.replace(&USER.to_string(), &session.user_id().to_string());
            assert_eq!((request.method(), request.path()), ("POST", expected.as_str()));
            let field = if path.starts_with("/verifications/") { "pin" } else { field };
            let (sent, block) = sent(&session, request, field);
            assert_eq!((Value::Object(sent), block.secret().expose()), (body, &b"314159"[..]));
        }
    }
}

#[test]
fn an_action_that_no_request_expresses_is_refused() {
    let session = session(DASHBOARD);
    let (nonces, mut rng, key) = (MonotonicNonces::new(), rng(), TipKey::from_seed(&[3; 32]));
    let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
    let action = Action::Transaction {
        asset_id: id(ID),
        opponent: Opponent::Key(String::new()),
        amount: amount("1"),
        trace_id: id(ID),
        memo: String::new(),
    };
    let pin = Pin::new("314159").unwrap();
    for refused in [calls.act(&key, &action), calls.act_with_pin(&pin, &action)] {
        let field = "opponent_multisig";
        assert!(
            matches!(refused, Err(CallError::Action(ActionError::Field { field: f, .. })) if f == field),
            "{refused:?}"
        );
    }
}

#[test]
fn registration_with_the_safe_is_signed_by_the_safe_key() {
    let (key, master) = (TipKey::from_seed(&[1; 32]), TipKey::from_seed(&[2; 32]));
    let Action::RegisterSafe { public_key, signature, salt: None, master: None } =
        Action::register_safe(USER, &key).unwrap()
    else {
        panic!("another action")
    };
    assert_eq!(&public_key, key.public_key());
    assert_eq!(signature, TipSigner::sign(&key, &safe_message(USER)).unwrap());

    let proof = MasterProof::sign(USER, &master).unwrap();
    assert_eq!(proof.signature, TipSigner::sign(&master, USER.to_string().as_bytes()).unwrap(), "the text, not a hash");
    assert_eq!(proof.verify(USER), Ok(()));
    assert_eq!(proof.verify(id(ID)), Err(CoreError::Signature));
}

#[test]
fn a_salt_is_base64_and_is_not_shown() {
    for text in ["c2FsdA", "c2FsdA==", "c2E=", "-_8", "+/8=", "AAAA"] {
        let salt = EncryptedSalt::new(text).unwrap();
        assert_eq!(salt.as_str(), text, "sent as it is");
        assert!(!format!("{salt:?}").contains(text));
    }
    for text in ["", "=", "A", "AAAAA", "c2FsdA=", "c2E==", "AAAA====", "AAA=A", "+_8A", "AA AA", "AAAA\n", "é"] {
        assert_eq!(EncryptedSalt::new(text), Err(ActionError::Salt), "{text:?}");
    }
}

#[test]
fn salts_are_sent_with_the_next_key_change_only() {
    let session = session(DASHBOARD);
    let (nonces, mut rng) = (MonotonicNonces::new(), rng());
    let [old, new] = ["b2xk", "bmV3"].map(|text| EncryptedSalt::new(text).unwrap());
    let mut calls = Calls::new(&session, NOW, &mut rng).salts(Salts { old, new }).nonces(&nonces);
    let (one, two) = (TipKey::from_seed(&[1; 32]), TipKey::from_seed(&[2; 32]));
    let request = calls.change_tip(&one, 1, &two).unwrap();
    let (body, _) = sent(&session, request, "pin_base64");
    assert_eq!((&body["old_salt_base64"], &body["salt_base64"]), (&json!("b2xk"), &json!("bmV3")));
    let request = calls.change_tip(&one, 1, &two).unwrap();
    let (body, _) = sent(&session, request, "pin_base64");
    assert_eq!(body.keys().collect::<Vec<_>>(), ["old_pin_base64"]);
}

proptest! {
    #[test]
    fn the_request_of_an_action_asks_for_it(action in Union::new(common::kinds()), user: u128) {
        let user = Uuid::from_u128(user);
        let read = Action::read("POST", &action.path(user), &action.body());
        prop_assert_eq!(read, Ok(Some(action)));
    }

    #[test]
    fn the_signature_that_is_sent_covers_the_request(action in Union::new(common::kinds())) {
        let session = session(DASHBOARD);
        let (nonces, mut rng, key) = (MonotonicNonces::new(), rng(), TipKey::from_seed(&[3; 32]));
        let request = Calls::new(&session, NOW, &mut rng).nonces(&nonces).act(&key, &action).unwrap();
        let path = request.path().to_owned();
        let field = if path.starts_with("/verifications/") { "pin" } else { "pin_base64" };
        let (body, block) = sent(&session, request, field);
        let asked = Action::read("POST", &path, &body).unwrap().unwrap();
        let Secret::TipSignature(signature) = block.secret() else { panic!("another secret") };
        prop_assert_eq!(asked.verify(session.user_id(), signature, key.public_key()), Ok(action.tip(session.user_id())));
    }
}
