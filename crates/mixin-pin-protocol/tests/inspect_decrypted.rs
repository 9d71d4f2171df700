//! Reports with the session's keys, which include the content of the encrypted PINs.

use base64::Engine as _;
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

/// Encrypts a secret of any length up to 32 bytes. The first blocks of a long secret are a whole ciphertext by themselves.
fn encrypted(key: &PinKey, secret: &[u8], timestamp: u64) -> String {
    let mut plain = [secret, &timestamp.to_le_bytes(), &NOW.as_nanos().unwrap().to_le_bytes()].concat();
    let padding = 16 - plain.len() % 16;
    plain.resize(plain.len() + padding, u8::try_from(padding).unwrap());
    let mut long = [0; 64];
    long[..plain.len()].copy_from_slice(&plain);
    let block = hazmat::block(Secret::TipSignature(long), 0, 0);
    let encrypted = hazmat::encrypt_with_iv(key, &block, &[0xfb; 16]);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&encrypted.as_bytes()[..16 + plain.len()])
}

#[test]
fn a_block_that_opens_to_another_length_says_so() {
    let (session, _) = session();
    let request = |text: &str| {
        let body = json!({"pin_base64": text}).to_string();
        signed(&session, Calls::new(&session, NOW, &mut rng()).other("POST", "/pin/verify", Some(body.as_bytes())))
    };
    let key = session.pin_key();
    for (secret, part) in [
        (&[0x12, 0x34, 0x56][..], "opens, and holds 3 bytes: the digits were decoded as hex"),
        (&[0x12, 0x34, 0x5a], "opens, and holds 3 bytes; a PIN has 6"),
        (b"", "opens, and holds 0 bytes; a PIN has 6"),
        (b"1", "opens, and holds 1 byte; a PIN has 6"),
        (b"12345a", "opens, and holds 6 bytes that are not all digits"),
        (b"313233343536", "opens, and holds 12 bytes; a PIN has 6"),
        // Their ciphertexts have 64 bytes, which no kind of secret has.
        (&[7; 16], "opens, and holds 16 bytes; a PIN has 6"),
        (&[7; 31], "opens, and holds 31 bytes; a PIN has 6"),
    ] {
        let request = request(&encrypted(key, secret, NOW.secs()));
        assert_fails_once(&request, part);
        let pin = inspected(&request).pins.remove(0);
        assert_eq!((pin.kind, pin.secret_bytes, pin.decrypted), ("unknown", Some(secret.len()), None));
    }
    // Without a plausible time it may be chance.
    assert_fails_once(&request(&encrypted(key, &[0x12, 0x34, 0x56], 7)), "does not decrypt");
    assert_fails_once(&request(&encrypted(key, &[7; 16], 7)), "48, 80 or 112 bytes");
    let other = PinKey::from_bytes(&[9; 32]).unwrap();
    assert_fails_once(&request(&encrypted(&other, &[0x12, 0x34, 0x56], NOW.secs())), "does not decrypt");
}

#[test]
fn a_pin_is_found_under_a_name_in_other_case() {
    let (session, _) = session();
    let nonce = MonotonicNonces::new().next(NOW).unwrap();
    let pin = session.pin_key().encrypt(Pin::new("123456").unwrap(), nonce, &mut rng()).to_standard();
    let body = json!({"Pin": pin.as_str()}).to_string();
    let request = Calls::new(&session, NOW, &mut rng()).other("POST", "/transfers", Some(body.as_bytes()));
    let report = inspected(&signed(&session, request));
    assert_eq!((report.pins[0].field.as_str(), report.pins[0].kind), ("Pin", "six-digit"));
    assert!(report.is_valid() && report.findings.iter().any(|f| f.text.contains("Pin was read as pin")));
}

#[test]
fn iterators_of_another_unit_are_named() {
    let (now, nanos) = (NOW.secs(), NOW.as_nanos().unwrap());
    for (iterator, part) in [
        (1, "too low for a time in nanoseconds"),
        (now, "looks like seconds and is too low for nanoseconds"),
        (now * 1_000, "looks like milliseconds and"),
        (now * 1_000_000, "looks like microseconds and"),
        (nanos - 301_000_000_000, "looks like nanoseconds 5 minutes 1 second before the request's time"),
        (nanos + 301_000_000_000, "too high for nanoseconds: 5 minutes 1 second after the request's time"),
        (nanos * 2, "too high for nanoseconds: 56 years"),
        (u64::MAX, "too high for nanoseconds"),
    ] {
        let report = inspected(&with_block("/x", json!({}), Pin::new("123456").unwrap(), now, iterator));
        let warned: Vec<_> = report.findings.iter().filter(|f| f.level == Level::Warn).collect();
        assert!(warned.len() == 1 && warned[0].text.contains(part), "{iterator}: {warned:?}");
    }
    for iterator in [nanos - 300_000_000_000, nanos, nanos + 1, nanos + 300_000_000_000] {
        let report = inspected(&with_block("/x", json!({}), Pin::new("123456").unwrap(), now, iterator));
        assert!(report.findings.iter().all(|f| f.level != Level::Warn), "{iterator}: {:?}", report.findings);
    }
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
    let report = inspected(&with_block("/pin/update", body, pin(), now, nanos));
    assert!(report.findings.iter().any(|f| f.level == Level::Warn && f.text.contains("no greater iterator")));
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
    // No signature covers the salt, so a wrong one says nothing about the signature.
    let secret = tip_key().secret(&TipAction::UpdatePhoneNumber { verification_id: id, code: "1" });
    let phone =
        with_block(&format!("/verifications/{id}"), json!({"code": "1", "salt_base64": "?"}), secret, now, nanos);
    assert_fails_once(&phone, "salt_base64 is absent or has another form");
    assert_eq!(inspected(&phone).pins[0].decrypted.as_ref().unwrap().signature_holds, None);

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
