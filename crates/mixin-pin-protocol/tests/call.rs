//! Prepared requests, judged by the checking half.

use std::time::Duration;

use mixin_pin_protocol::Error;
use mixin_pin_protocol::call::{Calls, LogQuery, PreparedRequest, check_request};
use mixin_pin_protocol::check::{ReceivedRequest, ReceivedToken, check_token};
use mixin_pin_protocol::core::tip::{TipAction, TipKey};
use mixin_pin_protocol::core::token::VerifyingKey;
use mixin_pin_protocol::core::{EncryptedPin, MonotonicNonces, NonceSource, Pin, Session, UnixTime};
use mixin_pin_protocol::keystore::Keystore;
use serde_json::Value;

const NOW: UnixTime = UnixTime::from_secs(1_795_517_646);
const RSA_BOT: &str = include_str!("../testdata/keystore-rsa-bot.json");
const DASHBOARD: &str = include_str!("../testdata/keystore-dashboard.json");

fn rng() -> getrandom::rand_core::UnwrapErr<getrandom::SysRng> {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

fn session(text: &str) -> (Session, VerifyingKey) {
    let keystore = Keystore::parse(text.as_bytes()).unwrap();
    let key = keystore.public_key();
    (keystore.into_session(&mut rng()).unwrap(), key)
}

fn assert_holds(request: &PreparedRequest, key: &VerifyingKey) {
    let header = |wanted| request.headers().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    let received = ReceivedRequest {
        method: request.method(),
        path: request.path(),
        body: request.body(),
        authorization: header("Authorization"),
        request_id: header("X-Request-Id"),
    };
    let token = ReceivedToken::parse(received.token().unwrap()).unwrap();
    let claims = check_token(&received, &token, key, NOW, Duration::ZERO).unwrap();
    assert_eq!(claims.jti, request.request_id());
    assert_eq!(claims.scp.as_deref(), Some("FULL"));
}

#[test]
fn pins_travel_in_the_fields_of_their_session() {
    for (keystore, old_field, new_field) in [(RSA_BOT, "old_pin", "pin"), (DASHBOARD, "old_pin_base64", "pin_base64")] {
        let (session, key) = session(keystore);
        let calls = Calls::new(&session);
        let nonces = MonotonicNonces::new();
        let next = || nonces.next(NOW).unwrap();
        let (old, new) = (Pin::new("123456").unwrap(), Pin::new("654321").unwrap());
        let open = |request: &PreparedRequest, field: &str| {
            let body: Value = serde_json::from_slice(request.body()).unwrap();
            let encrypted = EncryptedPin::from_base64(body[field].as_str().unwrap()).unwrap();
            session.pin_key().decrypt(&encrypted).unwrap()
        };

        let create = calls.create_pin(&new, next(), NOW, &mut rng()).unwrap();
        assert_holds(&create, &key);
        assert_eq!(create.path(), "/pin/update");
        assert_eq!(serde_json::from_slice::<Value>(create.body()).unwrap()[old_field], "");
        assert_eq!(open(&create, new_field).secret().expose(), b"654321");

        let change = calls.change_pin(&old, &new, [next(), next()], NOW, &mut rng()).unwrap();
        assert_holds(&change, &key);
        let (encrypted_old, encrypted_new) = (open(&change, old_field), open(&change, new_field));
        assert_eq!(encrypted_old.secret().expose(), b"123456");
        assert_eq!(encrypted_new.secret().expose(), b"654321");
        assert!(encrypted_old.iterator() < encrypted_new.iterator());

        let verify = calls.verify_pin(&new, next(), NOW, &mut rng()).unwrap();
        assert_holds(&verify, &key);
        assert_eq!((verify.method(), verify.path()), ("POST", "/pin/verify"));
        assert_eq!(open(&verify, new_field).timestamp(), NOW.secs());
    }
}

#[test]
fn nonces_in_the_wrong_order_are_refused() {
    let (session, _) = session(DASHBOARD);
    let nonces = MonotonicNonces::new();
    let (first, second) = (nonces.next(NOW).unwrap(), nonces.next(NOW).unwrap());
    let pin = Pin::new("123456").unwrap();
    let result = Calls::new(&session).change_pin(&pin, &pin, [second, first], NOW, &mut rng());
    assert_eq!(result.unwrap_err(), Error::NonceOrder);
}

#[test]
fn reads_and_any_other_call_are_signed() {
    let (session, key) = session(DASHBOARD);
    let calls = Calls::new(&session);
    let me = calls.me(NOW, &mut rng()).unwrap();
    assert_holds(&me, &key);
    assert!(me.is_read() && me.body().is_empty());

    let query =
        LogQuery { limit: Some(100), offset: Some("2026-11-24T12:00:00.5+08:00".to_owned()), ..LogQuery::wrong_pins() };
    let logs = calls.logs(&query, NOW, &mut rng()).unwrap();
    assert_holds(&logs, &key);
    assert_eq!(logs.path(), "/logs?category=PIN_INCORRECT&limit=100&offset=2026-11-24T12%3A00%3A00.5%2B08%3A00");
    for limit in [0, 101] {
        let query = LogQuery { limit: Some(limit), ..LogQuery::default() };
        assert_eq!(calls.logs(&query, NOW, &mut rng()).unwrap_err(), Error::LogLimit);
    }

    let body = br#"{"amount": "1.50"}"#;
    let other = calls.other("POST", "/transfers", Some(body), NOW, &mut rng()).unwrap();
    assert_holds(&other, &key);
    assert!(!other.is_read());
    assert_eq!(other.body(), body);
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let (session, _) = session(DASHBOARD);
    let calls = Calls::new(&session);
    let other = |method: &str, path: &str, body: Option<&[u8]>| {
        calls.other(method, path, body, NOW, &mut rng()).map(|_| ()).unwrap_err()
    };
    for method in ["", "get", "GET ", "G\r\nX", "ABCDEFGHIJKLMNOPQ"] {
        assert_eq!(other(method, "/me", None), Error::Method, "{method:?}");
    }
    let mut paths: Vec<String> =
        ["", "me", "/a\r\nX: y", "/caf\u{e9}", "/%", "/%2", "/%2x", "/%x2", "/%%20", "/a%20%", "https://x/"]
            .map(str::to_owned)
            .into();
    paths.extend("\0\t \u{7f}#\"<>\\^`{|}".chars().map(|c| format!("/a{c}b?x=1")));
    for path in paths {
        assert_eq!(other("GET", &path, None), Error::Path, "{path:?}");
        assert_eq!(check_request("GET", &path, None), Err(Error::Path), "{path:?}");
    }
    for path in ["/", "/me?a=b&c=[1]", "/%7B1%7d/~x!$'()*+,;=:@-._", "//x", "/?%00"] {
        assert_eq!(calls.other("GET", path, None, NOW, &mut rng()).unwrap().path(), path);
        check_request("GET", path, None).unwrap();
    }
    for body in ["", "{", "pin", "{}{}"] {
        assert_eq!(other("POST", "/x", Some(body.as_bytes())), Error::BodyNotJson, "{body:?}");
    }
    let too_long = calls.lifetime(Duration::from_secs(u64::MAX)).me(NOW, &mut rng());
    assert_eq!(too_long.unwrap_err(), Error::Core(mixin_pin_protocol::core::Error::Expiry));
}

#[test]
fn debug_shows_neither_token_nor_body() {
    let (session, _) = session(DASHBOARD);
    let nonce = MonotonicNonces::new().next(NOW).unwrap();
    let pin = Pin::new("123456").unwrap();
    let request = Calls::new(&session).verify_pin(&pin, nonce, NOW, &mut rng()).unwrap();
    let debug = format!("{request:?}");
    assert!(debug.contains("/pin/verify") && !debug.contains("Bearer") && !debug.contains("pin_base64"), "{debug}");
}

#[test]
fn tip_calls_use_the_later_fields_in_every_session() {
    use mixin_pin_protocol::core::SecretKind;
    use mixin_pin_protocol::core::tip::TipInstallation;

    for keystore in [RSA_BOT, DASHBOARD] {
        let (session, key) = session(keystore);
        let calls = Calls::new(&session);
        let nonces = MonotonicNonces::new();
        let next = || nonces.next(NOW).unwrap();
        let (old, new) = (TipKey::from_seed(&[1; 32]), TipKey::from_seed(&[2; 32]));
        let open = |request: &PreparedRequest, field: &str| {
            assert_holds(request, &key);
            let body: Value = serde_json::from_slice(request.body()).unwrap();
            let encrypted = EncryptedPin::from_base64(body[field].as_str().unwrap()).unwrap();
            session.pin_key().decrypt(&encrypted).unwrap()
        };
        let installed = |request: &PreparedRequest| {
            let block = open(request, "pin_base64");
            TipInstallation::from_bytes(block.secret().expose().try_into().unwrap()).unwrap()
        };

        let create = calls.create_tip(&old, next(), NOW, &mut rng()).unwrap();
        assert_eq!(installed(&create), TipInstallation { public_key: old.public_key().clone(), counter: 1 });
        assert_eq!(serde_json::from_slice::<Value>(create.body()).unwrap()["old_pin_base64"], "");

        let digits = Pin::new("123456").unwrap();
        let change = calls.change_to_tip(&digits, &new, [next(), next()], NOW, &mut rng()).unwrap();
        assert_eq!(open(&change, "old_pin_base64").kind(), SecretKind::SixDigits);
        assert_eq!(installed(&change).public_key, *new.public_key());

        let rotate = calls.change_tip(&old, 7, &new, [next(), next()], NOW, &mut rng()).unwrap();
        assert_eq!(installed(&rotate).counter, 8);
        let proof = open(&rotate, "old_pin_base64");
        let signature = proof.secret().expose().try_into().unwrap();
        TipAction::Verify { timestamp: 7 }.verify(signature, old.public_key()).unwrap();
        let last = calls.change_tip(&old, u64::MAX, &new, [next(), next()], NOW, &mut rng());
        assert_eq!(last.unwrap_err(), Error::TipCounter);

        let verify = calls.verify_tip(&old, next(), NOW, &mut rng()).unwrap();
        let timestamp = serde_json::from_slice::<Value>(verify.body()).unwrap()["timestamp"].as_u64().unwrap();
        assert_eq!(timestamp, NOW.as_nanos().unwrap());
        let proof = open(&verify, "pin_base64");
        let signature = proof.secret().expose().try_into().unwrap();
        TipAction::Verify { timestamp }.verify(signature, old.public_key()).unwrap();
    }
}

#[test]
fn any_call_carries_a_pin_in_its_field() {
    let body = || serde_json::json!({ "amount": "1.5" }).as_object().unwrap().clone();
    for (keystore, field) in [(RSA_BOT, "pin"), (DASHBOARD, "pin_base64")] {
        let (session, key) = session(keystore);
        let calls = Calls::new(&session);
        let nonces = MonotonicNonces::new();
        let next = || nonces.next(NOW).unwrap();
        let pin = Pin::new("123456").unwrap();
        let request = calls.with_pin("POST", "/transfers", &body(), &pin, next(), NOW, &mut rng()).unwrap();
        assert_holds(&request, &key);
        let sent: Value = serde_json::from_slice(request.body()).unwrap();
        let encrypted = EncryptedPin::from_base64(sent[field].as_str().unwrap()).unwrap();
        assert_eq!(session.pin_key().decrypt(&encrypted).unwrap().secret().expose(), b"123456");
        assert_eq!(sent["amount"], "1.5");

        for taken in ["pin", "pin_base64"] {
            let mut body = body();
            body.insert(taken.to_owned(), "".into());
            let refused = calls.with_pin("POST", "/transfers", &body, &pin, next(), NOW, &mut rng());
            assert_eq!(refused.unwrap_err(), Error::PinField);
        }
    }
}

#[test]
fn a_path_has_an_end() {
    let (session, _) = session(DASHBOARD);
    let other = |len: usize| Calls::new(&session).other("GET", &format!("/{}", "x".repeat(len)), None, NOW, &mut rng());
    assert!(other((32 << 10) - 1).is_ok());
    assert_eq!(other(32 << 10).unwrap_err(), Error::Path);
}

#[test]
fn what_only_reads_has_no_body() {
    let (session, _) = session(DASHBOARD);
    let calls = Calls::new(&session);
    let nonces = MonotonicNonces::new();
    for method in ["GET", "HEAD"] {
        for body in ["{}", r#"{"pin_base64":"x"}"#, "null", "\"\""] {
            let refused = calls.other(method, "/me", Some(body.as_bytes()), NOW, &mut rng());
            assert_eq!(refused.unwrap_err(), Error::BodyOfRead, "{method} {body}");
        }
        let pin = Pin::new("123456").unwrap();
        let nonce = nonces.next(NOW).unwrap();
        let refused = calls.with_pin(method, "/me", &serde_json::Map::new(), &pin, nonce, NOW, &mut rng());
        assert_eq!(refused.unwrap_err(), Error::BodyOfRead, "{method}");
        assert!(calls.other(method, "/me", None, NOW, &mut rng()).unwrap().is_read());
    }
}

#[test]
fn no_spelling_of_a_path_gets_round_the_check_of_its_action() {
    let (session, _) = session(DASHBOARD);
    let nonces = MonotonicNonces::new();
    let key = TipKey::from_seed(&[7; 32]);
    let action = TipAction::Verify { timestamp: 1 };
    let with_tip = |method: &str, path: &str| {
        let nonce = nonces.next(NOW).unwrap();
        let body = serde_json::Map::new();
        Calls::new(&session).with_tip(method, path, &body, (&key, &action), nonce, NOW, &mut rng()).map(|_| ())
    };
    for path in ["/transfers/", "/./transfers", "/Transfers", "//transfers", "/%74ransfers", "/x/../transfers"] {
        assert_eq!(with_tip("POST", path), Err(Error::ActionPath), "{path}");
    }
    assert_eq!(with_tip("PUT", "/transfers"), Err(Error::ActionPath));
    assert_eq!(with_tip("POST", "/emergency_contact"), Err(Error::ActionMismatch));
    assert_eq!(with_tip("POST", "/a/path/of/tomorrow"), Ok(()));
}
