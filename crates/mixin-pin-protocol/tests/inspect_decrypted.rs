//! Reports with the session's keys, which include the content of the encrypted PINs.

use mixin_pin_protocol::CallError;
use mixin_pin_protocol::call::{Calls, PreparedRequest, UnsignedRequest};
use mixin_pin_protocol::core::tip::{Amount, TipAction, TipKey};
use mixin_pin_protocol::core::token::VerifyingKey;
use mixin_pin_protocol::core::uuid::Uuid;
use mixin_pin_protocol::core::{MonotonicNonces, NonceSource, Pin, PinKey, Secret, Session, UnixTime, hazmat};
use mixin_pin_protocol::inspect::{CapturedRequest, Known, Level, Report, inspect};
use mixin_pin_protocol::keystore::Keystore;
use serde_json::{Map, Value, json};

const NOW: UnixTime = UnixTime::from_secs(1_795_517_646);
const DASHBOARD: &[u8] = include_bytes!("../testdata/keystore-dashboard.json");

fn rng() -> getrandom::rand_core::UnwrapErr<getrandom::SysRng> {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

fn session() -> (Session, VerifyingKey) {
    let keystore = Keystore::parse(DASHBOARD).unwrap();
    let key = keystore.public_key().unwrap();
    (keystore.into_session(&mut rng()).unwrap(), key)
}

fn tip_key() -> TipKey {
    TipKey::from_seed(&[7; 32])
}

fn signed(session: &Session, request: Result<UnsignedRequest, CallError>) -> PreparedRequest {
    request.unwrap().sign(session.signer(), &mut rng()).unwrap()
}

fn captured(request: &PreparedRequest) -> CapturedRequest {
    CapturedRequest {
        method: request.method().to_owned(),
        path: request.path().to_owned(),
        body: request.body().to_vec(),
        token: request.authorization().unwrap()["Bearer ".len()..].to_owned(),
        request_id: Some(request.request_id().to_string()),
        plain_http: false,
    }
}

fn inspected(request: &PreparedRequest) -> Report {
    let (session, key) = session();
    let tip_key = tip_key();
    let known = Known { public_key: Some(&key), pin_key: Some(session.pin_key()), tip_key: Some(tip_key.public_key()) };
    inspect(&captured(request), &known, NOW).unwrap()
}

fn fails(report: &Report) -> Vec<&str> {
    report.findings.iter().filter(|f| f.level == Level::Fail).map(|f| f.text.as_str()).collect()
}

#[track_caller]
fn assert_fails_once(request: &PreparedRequest, part: &str) {
    let report = inspected(request);
    let found = fails(&report);
    assert!(found.len() == 1 && found[0].contains(part), "{found:?}");
}

/// A request with a PIN block that the test chooses.
fn with_block(path: &str, body: Value, secret: impl Into<Secret>, timestamp: u64, iterator: u64) -> PreparedRequest {
    let (session, _) = session();
    let block = hazmat::block(secret, timestamp, iterator);
    let encrypted = hazmat::encrypt_with_iv(session.pin_key(), &block, &[5; 16]);
    let Value::Object(mut body) = body else { panic!("not an object") };
    body.insert("pin_base64".to_owned(), encrypted.to_url_safe().as_str().into());
    let body = Value::Object(body).to_string();
    signed(&session, Calls::new(&session, NOW, &mut rng()).other("POST", path, Some(body.as_bytes())))
}

#[test]
fn the_content_of_our_own_calls_is_shown_and_valid() {
    let (session, _) = session();
    let (nonces, mut rng) = (MonotonicNonces::new(), rng());
    let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
    let (pin, key) = (Pin::new("123456").unwrap(), tip_key());

    let report = inspected(&signed(&session, calls.change_pin(&pin, &pin)));
    assert_eq!(fails(&report), <[&str; 0]>::default());
    let iterators: Vec<u64> = report.pins.iter().map(|pin| pin.decrypted.as_ref().unwrap().iterator).collect();
    assert_eq!(iterators, [NOW.as_nanos().unwrap(), NOW.as_nanos().unwrap() + 1]);
    assert!(!format!("{report:?}").contains("123456"));

    let report = inspected(&signed(&session, calls.verify_tip(&key)));
    assert_eq!(report.pins[0].decrypted.as_ref().unwrap().signature_holds, Some(true));
    let report = inspected(&signed(&session, calls.change_tip(&key, 4, &TipKey::from_seed(&[8; 32]))));
    assert_eq!(fails(&report), <[&str; 0]>::default());
    assert_eq!(report.pins[0].decrypted.as_ref().unwrap().signature_holds, Some(true));
    assert_eq!(report.pins[1].decrypted.as_ref().unwrap().counter, Some(5));
    let report = inspected(&signed(&session, calls.register_safe(&key, &key)));
    assert_eq!((fails(&report).len(), report.pins[0].decrypted.as_ref().unwrap().signature_holds), (0, Some(true)));
}

#[test]
fn a_block_of_another_session_does_not_decrypt() {
    let nonce = MonotonicNonces::new().next(NOW).unwrap();
    let other = PinKey::from_bytes(&[9; 32]).unwrap().encrypt(Pin::new("123456").unwrap(), nonce, &mut rng());
    let body = json!({"pin_base64": other.to_url_safe().as_str()}).to_string();
    let (session, _) = session();
    let request =
        signed(&session, Calls::new(&session, NOW, &mut rng()).other("POST", "/pin/verify", Some(body.as_bytes())));
    assert_fails_once(&request, "does not decrypt");
}

#[test]
fn times_and_iterators_are_checked() {
    let pin = || Pin::new("123456").unwrap();
    let (now, nanos) = (NOW.secs(), NOW.as_nanos().unwrap());
    assert_fails_once(&with_block("/x", json!({}), pin(), now - 301, nanos), "5 minutes 1 second away");
    assert_fails_once(&with_block("/x", json!({}), pin(), now, 0), "iterator 0");
    let report = inspected(&with_block("/x", json!({}), pin(), now, now));
    assert!(report.findings.iter().any(|f| f.level == Level::Warn && f.text.contains("too low for nanoseconds")));

    let (session, _) = session();
    let backwards = |secret: Pin, iterator| {
        let block = hazmat::block(secret, now, iterator);
        hazmat::encrypt_with_iv(session.pin_key(), &block, &[6; 16]).to_url_safe().to_string()
    };
    let body = json!({"old_pin_base64": backwards(pin(), nanos + 1)});
    assert_fails_once(&with_block("/pin/update", body, pin(), now, nanos), "no greater iterator");
}

#[test]
fn a_signature_must_be_by_this_key_over_the_requested_action() {
    let id = Uuid::from_u128(9);
    let action = |amount| TipAction::Transfer {
        asset_id: id,
        opponent_id: id,
        amount: Amount::new(amount).unwrap(),
        trace_id: id,
        memo: "",
    };
    let body = json!({"asset_id": id, "opponent_id": id, "amount": "1.5", "trace_id": id});
    let (now, nanos) = (NOW.secs(), NOW.as_nanos().unwrap());
    let transfer = |secret: Secret, body: &Value| with_block("/transfers", body.clone(), secret, now, nanos);
    assert_eq!(fails(&inspected(&transfer(tip_key().secret(&action("1.5")), &body))), <[&str; 0]>::default());
    let wrong = "is not valid for TIP:TRANSFER:CREATE:";
    assert_fails_once(&transfer(tip_key().secret(&action("15")), &body), wrong);
    assert_fails_once(&transfer(TipKey::from_seed(&[1; 32]).secret(&action("1.5")), &body), wrong);
    let other = TipAction::RemoveAddress { address_id: id };
    assert_fails_once(&transfer(tip_key().secret(&other), &body), wrong);
    assert_fails_once(&transfer(tip_key().secret(&action("1.5")), &json!({"asset_id": id})), "opponent_id is absent");

    let verify = |signed: u64, sent: u64| {
        let secret = tip_key().secret(&TipAction::Verify { timestamp: signed });
        with_block("/pin/verify", json!({"timestamp": sent}), secret, now, nanos)
    };
    assert_fails_once(&verify(nanos, nanos + 1), "is not valid for TIP:VERIFY:");
    let stale = nanos - 600_000_000_000;
    assert_fails_once(&verify(stale, stale), "10 minutes away");
}

#[test]
fn a_key_to_be_installed_must_be_valid_and_have_a_counter() {
    let (now, nanos) = (NOW.secs(), NOW.as_nanos().unwrap());
    let update = |secret: Secret| with_block("/pin/update", json!({"old_pin_base64": ""}), secret, now, nanos);
    assert_eq!(fails(&inspected(&update(tip_key().installation(1)))), <[&str; 0]>::default());
    assert_fails_once(&update(tip_key().installation(0)), "counter 0");
    assert_fails_once(&update(Secret::TipKey([0; 40])), "no Ed25519 public key");
}

#[test]
fn without_the_keys_the_encrypted_content_is_not_checked() {
    let (session, key) = session();
    let (nonces, mut rng) = (MonotonicNonces::new(), rng());
    let secret = tip_key().secret(&TipAction::ReadEmergencyContact);
    let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
    let request = signed(&session, calls.with_pin("POST", "/transfers", &Map::new(), secret));
    let known = Known { public_key: Some(&key), ..Known::default() };
    let report = inspect(&captured(&request), &known, NOW).unwrap();
    assert!(report.is_valid() && report.pins[0].decrypted.is_none());
    let known = Known { public_key: Some(&key), pin_key: Some(session.pin_key()), tip_key: None };
    let report = inspect(&captured(&request), &known, NOW).unwrap();
    assert!(report.is_valid() && report.pins[0].decrypted.as_ref().unwrap().signature_holds.is_none());
}
