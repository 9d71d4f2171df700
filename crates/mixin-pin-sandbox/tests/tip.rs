//! TIP keys over HTTP: install, verify, change and refuse.

mod common;

use common::{Kind, client, now, reason, refusal, register, rng, sandbox, send, signed, verdict};
use mixin_pin_core::tip::{TipAction, TipKey};
use mixin_pin_core::{MonotonicNonces, NonceSource, Pin, Secret};
use mixin_pin_protocol::answer::User;
use mixin_pin_protocol::call::{Calls, LogQuery};
use serde_json::{Map, Value, json};

fn pin(digits: &str) -> Pin {
    Pin::new(digits).unwrap()
}

fn key(seed: u8) -> TipKey {
    TipKey::from_seed(&[seed; 32])
}

fn assert_installed(user: &User, key: &TipKey, counter: u64) {
    assert!(user.has_pin);
    assert_eq!((user.tip_key_base64.as_str(), user.tip_counter), (&*key.public_key().to_base64_url(), counter));
}

#[test]
fn a_tip_key_is_installed_verified_changed_and_refused() {
    for kind in Kind::ALL {
        let sandbox = sandbox();
        let client = client(&sandbox, register(&sandbox, kind));
        let (first, second) = (key(1), key(2));
        assert_eq!(reason(client.verify_tip(&first)), (20_119, "no_pin_set".to_owned()));
        let user = client.install_tip(None, &first).unwrap().done().unwrap();
        assert_installed(&user, &first, 1);
        client.verify_tip(&first).unwrap().done().unwrap();

        let wrong = refusal(client.verify_tip(&second));
        assert_eq!(wrong.extra, Some(json!({"reason": "signature", "tries_left": 4})));
        assert_eq!(client.pin_logs(&LogQuery::wrong_pins()).unwrap().len(), 1);

        // A TIP key can only be replaced by another TIP key.
        assert_eq!(reason(client.verify_pin(&pin("123456"))), (20_118, "kind".to_owned()));
        assert_eq!(reason(client.change_pin(&pin("123456"), &pin("111111"))), (20_118, "kind".to_owned()));
        assert_eq!(reason(client.install_tip(None, &second)), (20_119, "old_pin_needed".to_owned()));

        let user = client.change_tip(&first, 1, &second).unwrap().done().unwrap();
        assert_installed(&user, &second, 2);
        assert_eq!(reason(client.verify_tip(&first)), (20_119, "signature".to_owned()));
        client.verify_tip(&second).unwrap().done().unwrap();
    }
}

#[test]
fn a_tip_key_replaces_digits_permanently() {
    for kind in Kind::ALL {
        let sandbox = sandbox();
        let client = client(&sandbox, register(&sandbox, kind));
        client.create_pin(&pin("123456")).unwrap().done().unwrap();
        assert_eq!(reason(client.verify_tip(&key(1))), (20_118, "kind".to_owned()));
        assert_eq!(reason(client.install_tip(Some(&pin("999999")), &key(1))), (20_119, "pin".to_owned()));
        let user = client.install_tip(Some(&pin("123456")), &key(1)).unwrap().done().unwrap();
        assert_installed(&user, &key(1), 1);
        client.verify_tip(&key(1)).unwrap().done().unwrap();
        assert_eq!(reason(client.verify_pin(&pin("123456"))), (20_118, "kind".to_owned()));
    }
}

#[test]
fn a_raw_scalar_is_a_tip_key_too() {
    let sandbox = sandbox();
    let client = client(&sandbox, register(&sandbox, Kind::Ed25519));
    let scalar = TipKey::from_scalar(&[7; 32]).unwrap();
    client.install_tip(None, &scalar).unwrap().done().unwrap();
    // A client recognizes it by the public key that the server names.
    let named = client.me().unwrap().tip_key_base64;
    let named = mixin_pin_core::Ed25519PublicKey::from_text(&named).unwrap();
    client.verify_tip(&TipKey::matching(&"07".repeat(32), &named).unwrap()).unwrap().done().unwrap();
    assert_eq!(reason(client.verify_tip(&key(7))), (20_119, "signature".to_owned()));
}

#[test]
fn counters_that_do_not_grow_and_invalid_keys_are_refused() {
    let sandbox = sandbox();
    let session = register(&sandbox, Kind::Ed25519);
    let nonces = MonotonicNonces::new();
    let encrypt = |secret: Secret| {
        let encrypted = session.pin_key().encrypt(secret, nonces.next(now()).unwrap(), &mut rng());
        encrypted.to_url_safe().as_str().to_owned()
    };
    let update = |old: Option<Secret>, new: Secret| {
        let old = old.map_or_else(String::new, encrypt);
        let body = json!({ "old_pin_base64": old, "pin_base64": encrypt(new) }).to_string();
        let request = signed(
            &session,
            Calls::new(&session, now(), &mut rng()).other("POST", "/pin/update", Some(body.as_bytes())),
        );
        let answer = send(&sandbox, &request);
        (verdict(&answer).0, verdict(&answer).1.to_owned())
    };
    let refused = |reason: &str| (20_118, reason.to_owned());
    assert_eq!(update(None, key(1).installation(0)), refused("tip_counter"));
    assert_eq!(update(None, key(1).installation(u64::MAX)), refused("tip_counter"));
    assert_eq!(update(None, Secret::TipKey([0; 40])), refused("tip_key"));
    assert_eq!(update(None, Secret::TipSignature([1; 64])), refused("kind"));
    assert_eq!(update(None, key(1).installation(1)).0, 0);

    let credential = || Some(key(1).secret(&TipAction::Verify { timestamp: 1 }));
    assert_eq!(update(credential(), key(2).installation(1)), refused("tip_counter"));
    assert_eq!(update(credential(), Secret::from(pin("123456"))), refused("kind"));
    let of_another_counter = Some(key(1).secret(&TipAction::Verify { timestamp: 2 }));
    assert_eq!(update(of_another_counter, key(2).installation(2)), (20_119, "signature".to_owned()));
    let of_another_action = Some(key(1).secret(&TipAction::ReadEmergencyContact));
    assert_eq!(update(of_another_action, key(2).installation(2)), (20_119, "signature".to_owned()));
    assert_eq!(update(credential(), key(2).installation(9)).0, 0, "gaps are allowed");
}

#[test]
fn a_stale_timestamp_or_a_changed_body_is_refused() {
    let sandbox = sandbox();
    let client = client(&sandbox, register(&sandbox, Kind::Ed25519));
    client.install_tip(None, &key(1)).unwrap().done().unwrap();
    let verify = |signed: u64, sent: Option<u64>| {
        let mut body = Map::new();
        if let Some(sent) = sent {
            body.insert("timestamp".to_owned(), sent.into());
        }
        let credential = key(1).secret(&TipAction::Verify { timestamp: signed });
        client.call_with_pin::<Value>("POST", "/pin/verify", &body, credential)
    };
    let nanos = now().as_nanos().unwrap();
    verify(nanos, Some(nanos)).unwrap().done().unwrap();
    assert_eq!(reason(verify(nanos, Some(nanos + 1))), (20_119, "signature".to_owned()));
    let stale = nanos - 600_000_000_000;
    assert_eq!(reason(verify(stale, Some(stale))), (20_119, "timestamp".to_owned()));
    assert_eq!(reason(verify(nanos, None)).0, 10_002);
    // Only the wrong signature cost a try.
    assert_eq!(client.pin_logs(&LogQuery::wrong_pins()).unwrap().len(), 1);
}
