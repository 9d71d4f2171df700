//! The main job over HTTP: create, verify, change and refuse a PIN, in sessions of every kind.

mod common;

use common::{Kind, app, client, now, reason, refusal, register, rng, sandbox, send, signed, verdict};
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{Ed25519Key, MonotonicNonces, Pin};
use mixin_pin_http::Outcome;
use mixin_pin_protocol::call::{Calls, LogQuery};
use serde_json::{Value, json};

fn pin(digits: &str) -> Pin {
    Pin::new(digits).unwrap()
}

#[test]
fn a_pin_is_created_verified_changed_and_refused() {
    for kind in Kind::ALL {
        let sandbox = sandbox();
        let client = client(&sandbox, register(&sandbox, kind));
        assert!(!client.me().unwrap().has_pin, "{kind:?}");
        assert_eq!(reason(client.verify_pin(&pin("123456"))), (20_119, "no_pin_set".to_owned()));

        assert!(client.create_pin(&pin("123456")).unwrap().done().unwrap().has_pin);
        assert!(client.verify_pin(&pin("123456")).unwrap().done().unwrap().has_pin);
        assert_eq!(reason(client.create_pin(&pin("111111"))), (20_119, "old_pin_needed".to_owned()));

        let wrong = refusal(client.verify_pin(&pin("999999")));
        assert_eq!(wrong.code.as_u32(), 20_119);
        assert_eq!(wrong.extra, Some(json!({"reason": "pin", "tries_left": 4})));

        client.change_pin(&pin("123456"), &pin("654321")).unwrap().done().unwrap();
        assert_eq!(reason(client.verify_pin(&pin("123456"))), (20_119, "pin".to_owned()));
        assert_eq!(reason(client.change_pin(&pin("123456"), &pin("000000"))), (20_119, "pin".to_owned()));
        client.verify_pin(&pin("654321")).unwrap().done().unwrap();
    }
}

#[test]
fn wrong_pins_are_logged_newest_first_and_by_page() {
    let sandbox = sandbox();
    let client = client(&sandbox, register(&sandbox, Kind::Ed25519));
    client.create_pin(&pin("123456")).unwrap().done().unwrap();
    assert_eq!(client.pin_logs(&LogQuery::wrong_pins()).unwrap(), []);
    for wrong in ["000001", "000002", "000003"] {
        reason(client.verify_pin(&pin(wrong)));
    }
    let all = client.pin_logs(&LogQuery::wrong_pins()).unwrap();
    assert_eq!(all.len(), 3);
    assert!(all.iter().all(|entry| entry.code == "PIN_INCORRECT" && entry.ip_address == "127.0.0.1"));
    assert!(all.windows(2).all(|pair| pair[0].created_at >= pair[1].created_at));
    let page = LogQuery { limit: Some(2), ..LogQuery::wrong_pins() };
    assert_eq!(client.pin_logs(&page).unwrap(), all[..2]);
    let rest = LogQuery { offset: Some(all[1].created_at.clone()), ..LogQuery::wrong_pins() };
    assert_eq!(client.pin_logs(&rest).unwrap(), all[2..]);
    let other = LogQuery { category: Some("SOMETHING_ELSE".to_owned()), ..LogQuery::default() };
    assert_eq!(client.pin_logs(&other).unwrap(), []);
}

#[test]
fn a_replayed_request_is_refused() {
    for kind in Kind::ALL {
        let sandbox = sandbox();
        let session = register(&sandbox, kind);
        let nonces = MonotonicNonces::new();
        let create =
            signed(&session, Calls::new(&session, now(), &mut rng()).nonces(&nonces).create_pin(&pin("123456")));
        assert_eq!(verdict(&send(&sandbox, &create)), (0, ""));
        assert_eq!(verdict(&send(&sandbox, &create)), (401, "request_repeated"));
        let verify =
            signed(&session, Calls::new(&session, now(), &mut rng()).nonces(&nonces).verify_pin(&pin("123456")));
        assert_eq!(verdict(&send(&sandbox, &verify)), (0, ""));
        assert_eq!(verdict(&send(&sandbox, &verify)), (401, "request_repeated"));
        let me = signed(&session, Calls::new(&session, now(), &mut rng()).me());
        assert_eq!(verdict(&send(&sandbox, &me)), (0, ""));
        assert_eq!(verdict(&send(&sandbox, &me)), (401, "request_repeated"));
    }
}

#[test]
fn only_an_app_registers_users() {
    let sandbox = sandbox();
    let user = client(&sandbox, register(&sandbox, Kind::Ed25519));
    let key = VerifyingKey::Ed25519(Ed25519Key::generate(&mut rng()).public_key());
    assert_eq!(refusal(user.register(&key, "Another")).code.as_u32(), 403);
    let app = app(&sandbox);
    let call = |body: Value| reason(app.call::<Value>("POST", "/users", Some(&body)));
    let good_key = key.to_session_secret().unwrap();
    assert_eq!(call(json!({"full_name": "x"})).0, 10_002);
    assert_eq!(call(json!({"session_secret": good_key})).0, 10_002);
    assert_eq!(call(json!({"session_secret": "AAAA", "full_name": "x"})).0, 10_002);
    assert_eq!(call(json!([])), (400, "body".to_owned()));
}

#[test]
fn profiles_are_read_and_unknown_endpoints_refused() {
    let sandbox = sandbox();
    let session = register(&sandbox, Kind::Rsa2048);
    let user_id = session.user_id();
    let client = client(&sandbox, session);
    assert_eq!(client.me().unwrap().user_id, user_id);
    let Outcome::Done(user) = client.call::<Value>("GET", "/safe/me", None).unwrap() else {
        panic!("a read is never unknown")
    };
    assert_eq!(user["user_id"], user_id.to_string());
    assert_eq!(user["identity_number"], "7002");
    assert_eq!(reason(client.call::<Value>("GET", "/nowhere", None)), (404, "endpoint".to_owned()));
    assert_eq!(reason(client.call::<Value>("DELETE", "/me", None)), (404, "endpoint".to_owned()));
    assert_eq!(reason(client.call::<Value>("GET", "/logs?limit=101", None)).0, 10_002);
    assert_eq!(reason(client.call::<Value>("GET", "/logs?offset=yesterday", None)).0, 10_002);
}

#[test]
fn missing_or_invalid_pin_fields_are_named() {
    let sandbox = sandbox();
    let client = client(&sandbox, register(&sandbox, Kind::Ed25519));
    for body in [json!({}), json!({"pin": ""}), json!({"pin": null})] {
        let error = refusal(client.call::<Value>("POST", "/pin/verify", Some(&body)));
        assert_eq!((error.code.as_u32(), &error.extra.unwrap()["field"]), (10_002, &json!("pin")), "{body}");
    }
    assert_eq!(refusal(client.call::<Value>("POST", "/pin/verify", Some(&json!(["AAAA"])))).code.as_u32(), 400);
    assert_eq!(refusal(client.call::<Value>("POST", "/pin/verify", Some(&json!({"pin": 7})))).code.as_u32(), 400);
    assert_eq!(refusal(client.call::<Value>("POST", "/pin/verify", None)).code.as_u32(), 400);
}
