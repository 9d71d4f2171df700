//! Prepared requests, checked by the server's half of this crate.

use std::cell::{Cell, RefCell};
use std::error::Error as _;
use std::time::Duration;

use mixin_pin_protocol::call::{Calls, LogQuery, PreparedRequest, UnsignedRequest, check_request};
use mixin_pin_protocol::check::{ReceivedRequest, ReceivedToken, check_token};
use mixin_pin_protocol::core::rand_core::CryptoRng;
use mixin_pin_protocol::core::tip::{TIP_SIGNATURE_LEN, TipAction, TipKey, TipSigner};
use mixin_pin_protocol::core::token::{Algorithm, Signer, VerifyingKey};
use mixin_pin_protocol::core::uuid::Uuid;
use mixin_pin_protocol::core::{
    Ed25519PublicKey, EncryptedPin, Error as CoreError, MonotonicNonces, NonceSource, Pin, Session, SignerError,
    UnixTime,
};
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_protocol::{ActionError, CallError};
use serde_json::{Map, Value};

const NOW: UnixTime = UnixTime::from_secs(1_795_517_646);
const RSA_BOT: &str = include_str!("../testdata/keystore-rsa-bot.json");
const DASHBOARD: &str = include_str!("../testdata/keystore-dashboard.json");

fn rng() -> getrandom::rand_core::UnwrapErr<getrandom::SysRng> {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

fn session(text: &str) -> (Session, VerifyingKey) {
    let keystore = Keystore::parse(text.as_bytes()).unwrap();
    let key = keystore.public_key().unwrap();
    (keystore.into_session(&mut rng()).unwrap(), key)
}

fn signed<S: Signer>(session: &Session<S>, request: Result<UnsignedRequest, CallError>) -> PreparedRequest {
    request.unwrap().sign(session.signer(), &mut rng()).unwrap()
}

fn assert_valid(request: &PreparedRequest, key: &VerifyingKey) {
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
fn pins_are_sent_in_the_fields_of_their_session() {
    for (keystore, old_field, new_field) in [(RSA_BOT, "old_pin", "pin"), (DASHBOARD, "old_pin_base64", "pin_base64")] {
        let (session, key) = session(keystore);
        let (nonces, mut rng) = (MonotonicNonces::new(), rng());
        let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
        let (old, new) = (Pin::new("123456").unwrap(), Pin::new("654321").unwrap());
        let decrypt = |request: &PreparedRequest, field: &str| {
            let body: Value = serde_json::from_slice(request.body()).unwrap();
            let encrypted = EncryptedPin::from_base64(body[field].as_str().unwrap()).unwrap();
            session.pin_key().decrypt(&encrypted).unwrap()
        };

        let create = signed(&session, calls.create_pin(&new));
        assert_valid(&create, &key);
        assert_eq!(create.path(), "/pin/update");
        assert_eq!(serde_json::from_slice::<Value>(create.body()).unwrap()[old_field], "");
        assert_eq!(decrypt(&create, new_field).secret().expose(), b"654321");

        let change = signed(&session, calls.change_pin(&old, &new));
        assert_valid(&change, &key);
        let (encrypted_old, encrypted_new) = (decrypt(&change, old_field), decrypt(&change, new_field));
        assert_eq!(encrypted_old.secret().expose(), b"123456");
        assert_eq!(encrypted_new.secret().expose(), b"654321");
        assert!(encrypted_old.iterator() < encrypted_new.iterator());

        let verify = signed(&session, calls.verify_pin(&new));
        assert_valid(&verify, &key);
        assert_eq!((verify.method(), verify.path()), ("POST", "/pin/verify"));
        assert_eq!(decrypt(&verify, new_field).timestamp(), NOW.secs());
    }
}

/// Counts down, which breaks the contract.
struct Falling(Cell<u64>);

impl NonceSource for Falling {
    type Error = CoreError;

    fn reserve(&self, _: UnixTime) -> Result<u64, CoreError> {
        let next = self.0.get().checked_sub(1).ok_or(CoreError::IteratorExhausted)?;
        self.0.set(next);
        Ok(next)
    }
}

#[test]
fn nonces_that_do_not_rise_are_refused() {
    let (session, _) = session(DASHBOARD);
    let (nonces, mut rng) = (Falling(Cell::new(9)), rng());
    let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
    let pin = Pin::new("123456").unwrap();
    assert!(matches!(calls.change_pin(&pin, &pin), Err(CallError::NonceOrder)));
}

#[test]
fn a_call_with_wrong_arguments_takes_no_nonce() {
    let (session, _) = session(DASHBOARD);
    let mut rng = rng();
    let nonces = Falling(Cell::new(9));
    let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
    let (pin, key, other) = (Pin::new("314159").unwrap(), TipKey::from_seed(&[7; 32]), TipKey::from_seed(&[8; 32]));
    let with_field = serde_json::json!({ "pin": "" });
    let action = TipAction::Verify { timestamp: 5 };
    let none = Map::new();
    assert!(calls.with_pin("post", "/transfers", &none, &pin).is_err());
    assert!(calls.with_pin("POST", "transfers", &none, &pin).is_err());
    assert!(calls.with_pin("GET", "/transfers", &none, &pin).is_err());
    assert!(calls.with_pin("POST", "/transfers", with_field.as_object().unwrap(), &pin).is_err());
    assert!(calls.with_tip("POST", "/account/deactivate", &none, &key, &action).is_err());
    assert!(calls.change_tip(&key, u64::MAX, &other).is_err());
    assert_eq!(nonces.0.get(), 9);
    calls.verify_pin(&pin).unwrap();
    assert_eq!(nonces.0.get(), 8);
}

#[test]
fn a_failed_nonce_source_is_named_with_its_cause() {
    let (session, _) = session(DASHBOARD);
    let (nonces, mut rng) = (Falling(Cell::new(0)), rng());
    let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
    let pin = Pin::new("123456").unwrap();
    for failed in [calls.verify_pin(&pin), calls.change_pin(&pin, &pin)] {
        let Err(CallError::Nonce(cause)) = failed else { panic!("{failed:?}") };
        assert_eq!(*cause.downcast::<CoreError>().unwrap(), CoreError::IteratorExhausted);
    }
}

#[test]
fn reads_and_any_other_call_are_signed() {
    let (session, key) = session(DASHBOARD);
    let mut rng = rng();
    let mut calls = Calls::new(&session, NOW, &mut rng);
    let me = signed(&session, calls.me());
    assert_valid(&me, &key);
    assert!(me.is_read() && me.body().is_empty());

    let query =
        LogQuery { limit: Some(100), offset: Some("2026-11-24T12:00:00.5+08:00".to_owned()), ..LogQuery::wrong_pins() };
    let logs = signed(&session, calls.logs(&query));
    assert_valid(&logs, &key);
    assert_eq!(logs.path(), "/logs?category=PIN_INCORRECT&limit=100&offset=2026-11-24T12%3A00%3A00.5%2B08%3A00");
    for limit in [0, 101] {
        let query = LogQuery { limit: Some(limit), ..LogQuery::default() };
        assert!(matches!(calls.logs(&query), Err(CallError::LogLimit)), "{limit}");
    }

    let body = br#"{"amount": "1.50"}"#;
    let other = signed(&session, calls.other("POST", "/transfers", Some(body)));
    assert_valid(&other, &key);
    assert!(!other.is_read());
    assert_eq!(other.body(), body);
}

#[test]
fn invalid_requests_are_refused() {
    let (session, _) = session(DASHBOARD);
    let mut rng = rng();
    let mut calls = Calls::new(&session, NOW, &mut rng);
    let mut other = |method: &str, path: &str, body: Option<&[u8]>| calls.other(method, path, body);
    for method in ["", "get", "GET ", "G\r\nX", "ABCDEFGHIJKLMNOPQ"] {
        assert!(matches!(other(method, "/me", None), Err(CallError::Method)), "{method:?}");
    }
    let mut paths: Vec<String> =
        ["", "me", "/a\r\nX: y", "/caf\u{e9}", "/%", "/%2", "/%2x", "/%x2", "/%%20", "/a%20%", "https://x/"]
            .map(str::to_owned)
            .into();
    paths.extend("\0\t \u{7f}#\"<>\\^`{|}".chars().map(|c| format!("/a{c}b?x=1")));
    // Some HTTP libraries change these on their way.
    paths.extend(["/a/../b", "/a/./b", "/..", "/.", "/a/%2e%2E/b", "/a/.%2e?x", "/a?b='c'"].map(str::to_owned));
    for path in paths {
        assert!(matches!(other("GET", &path, None), Err(CallError::Path)), "{path:?}");
        assert!(matches!(check_request("GET", &path, None), Err(CallError::Path)), "{path:?}");
    }
    for path in ["/", "/me?a=b&c=[1]", "/%7B1%7d/~x!$'()*+,;=:@-._", "//x", "/?%00", "/a;b/..c/.d", "/?/../..", "/..."]
    {
        assert_eq!(other("GET", path, None).unwrap().path(), path);
        check_request("GET", path, None).unwrap();
    }
    for body in ["", "{", "pin", "{}{}"] {
        assert!(matches!(other("POST", "/x", Some(body.as_bytes())), Err(CallError::BodyNotJson)), "{body:?}");
    }
    let too_long = calls.lifetime(Duration::from_secs(u64::MAX)).me();
    assert!(matches!(too_long, Err(CallError::Core(CoreError::Expiry))));
}

#[test]
fn debug_shows_neither_token_nor_body() {
    let (session, _) = session(DASHBOARD);
    let nonces = MonotonicNonces::new();
    let pin = Pin::new("123456").unwrap();
    let request = signed(&session, Calls::new(&session, NOW, &mut rng()).nonces(&nonces).verify_pin(&pin));
    let debug = format!("{request:?}");
    assert!(debug.contains("/pin/verify") && !debug.contains("Bearer") && !debug.contains("pin_base64"), "{debug}");
}

#[test]
fn tip_calls_use_the_later_fields_in_every_session() {
    use mixin_pin_protocol::core::SecretKind;
    use mixin_pin_protocol::core::tip::TipInstallation;

    for keystore in [RSA_BOT, DASHBOARD] {
        let (session, key) = session(keystore);
        let (nonces, mut rng) = (MonotonicNonces::new(), rng());
        let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
        let (old, new) = (TipKey::from_seed(&[1; 32]), TipKey::from_seed(&[2; 32]));
        let decrypt = |request: &PreparedRequest, field: &str| {
            assert_valid(request, &key);
            let body: Value = serde_json::from_slice(request.body()).unwrap();
            let encrypted = EncryptedPin::from_base64(body[field].as_str().unwrap()).unwrap();
            session.pin_key().decrypt(&encrypted).unwrap()
        };
        let installed = |request: &PreparedRequest| {
            let block = decrypt(request, "pin_base64");
            TipInstallation::from_bytes(block.secret().expose().try_into().unwrap()).unwrap()
        };

        let create = signed(&session, calls.create_tip(&old));
        assert_eq!(installed(&create), TipInstallation { public_key: old.public_key().clone(), counter: 1 });
        assert_eq!(serde_json::from_slice::<Value>(create.body()).unwrap()["old_pin_base64"], "");

        let digits = Pin::new("123456").unwrap();
        let change = signed(&session, calls.change_to_tip(&digits, &new));
        assert_eq!(decrypt(&change, "old_pin_base64").kind(), SecretKind::SixDigits);
        assert_eq!(installed(&change).public_key, *new.public_key());

        let rotate = signed(&session, calls.change_tip(&old, 7, &new));
        assert_eq!(installed(&rotate).counter, 8);
        let block = decrypt(&rotate, "old_pin_base64");
        let signature = block.secret().expose().try_into().unwrap();
        TipAction::Verify { timestamp: 7 }.verify(signature, old.public_key()).unwrap();
        let last = calls.change_tip(&old, u64::MAX, &new);
        assert!(matches!(last, Err(CallError::TipCounter)));

        let verify = signed(&session, calls.verify_tip(&old));
        let timestamp = serde_json::from_slice::<Value>(verify.body()).unwrap()["timestamp"].as_u64().unwrap();
        assert_eq!(timestamp, NOW.as_nanos().unwrap());
        let block = decrypt(&verify, "pin_base64");
        let signature = block.secret().expose().try_into().unwrap();
        TipAction::Verify { timestamp }.verify(signature, old.public_key()).unwrap();
    }
}

#[test]
fn any_call_can_carry_a_pin_in_its_field() {
    let body = || serde_json::json!({ "amount": "1.5" }).as_object().unwrap().clone();
    for (keystore, field) in [(RSA_BOT, "pin"), (DASHBOARD, "pin_base64")] {
        let (session, key) = session(keystore);
        let (nonces, mut rng) = (MonotonicNonces::new(), rng());
        let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
        let pin = Pin::new("123456").unwrap();
        let request = signed(&session, calls.with_pin("POST", "/transfers", &body(), &pin));
        assert_valid(&request, &key);
        let sent: Value = serde_json::from_slice(request.body()).unwrap();
        let encrypted = EncryptedPin::from_base64(sent[field].as_str().unwrap()).unwrap();
        assert_eq!(session.pin_key().decrypt(&encrypted).unwrap().secret().expose(), b"123456");
        assert_eq!(sent["amount"], "1.5");

        for taken in ["pin", "pin_base64"] {
            let mut body = body();
            body.insert(taken.to_owned(), "".into());
            let refused = calls.with_pin("POST", "/transfers", &body, &pin);
            assert!(matches!(refused, Err(CallError::PinField)));
        }
    }
}

#[test]
fn a_path_has_a_maximum_length() {
    let (session, _) = session(DASHBOARD);
    let mut rng = rng();
    let mut calls = Calls::new(&session, NOW, &mut rng);
    let mut other = |len: usize| calls.other("GET", &format!("/{}", "x".repeat(len)), None);
    assert!(other((32 << 10) - 1).is_ok());
    assert!(matches!(other(32 << 10), Err(CallError::Path)));
}

#[test]
fn a_read_has_no_body() {
    let (session, _) = session(DASHBOARD);
    let (nonces, mut rng) = (MonotonicNonces::new(), rng());
    let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
    for method in ["GET", "HEAD"] {
        for body in ["{}", r#"{"pin_base64":"x"}"#, "null", "\"\""] {
            let refused = calls.other(method, "/me", Some(body.as_bytes()));
            assert!(matches!(refused, Err(CallError::BodyOfRead)), "{method} {body}");
        }
        let pin = Pin::new("123456").unwrap();
        let refused = calls.with_pin(method, "/me", &Map::new(), &pin);
        assert!(matches!(refused, Err(CallError::BodyOfRead)), "{method}");
        assert!(signed(&session, calls.other(method, "/me", None)).is_read());
    }
}

#[test]
fn no_spelling_of_a_path_bypasses_the_check_of_its_action() {
    let (session, _) = session(DASHBOARD);
    let (nonces, mut rng) = (MonotonicNonces::new(), rng());
    let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
    let (key, action) = (TipKey::from_seed(&[7; 32]), TipAction::Verify { timestamp: 1 });
    let mut with_tip = |method: &str, path: &str| calls.with_tip(method, path, &Map::new(), &key, &action);
    for path in ["/transfers/", "/./transfers", "/Transfers", "//transfers", "/%74ransfers", "/x/../transfers"] {
        let refused = with_tip("POST", path);
        assert!(matches!(refused, Err(CallError::Action(ActionError::Path))), "{path}");
    }
    assert!(matches!(with_tip("PUT", "/transfers"), Err(CallError::Action(ActionError::Path))));
    assert!(matches!(with_tip("POST", "/emergency_contact"), Err(CallError::Action(ActionError::Mismatch { .. }))));
    assert!(with_tip("POST", "/a/path/of/tomorrow").is_ok());
}

#[test]
fn a_signature_made_elsewhere_gives_the_same_request() {
    let (session, key) = session(DASHBOARD);
    let id = Uuid::from_u128(7);
    let me = || Calls::new(&session, NOW, &mut rng()).request_id(id).me().unwrap();
    let here = me().sign(session.signer(), &mut rng()).unwrap();
    let unsigned = me();
    assert_eq!((unsigned.method(), unsigned.path(), unsigned.request_id()), ("GET", "/me", id));
    assert_eq!((unsigned.algorithm(), Some(unsigned.expires_at())), (Algorithm::EdDsa, here.expires_at()));
    let mut signature = [0; 64];
    session.signer().sign(unsigned.message(), &mut rng(), &mut signature).unwrap();
    let elsewhere = unsigned.with_signature(&signature).unwrap();
    assert_valid(&elsewhere, &key);
    assert!(elsewhere.headers().eq(here.headers()));
}

#[test]
fn a_session_without_a_signer_prepares_what_the_whole_session_signs() {
    for text in [RSA_BOT, DASHBOARD] {
        let (session, key) = session(text);
        let (whole, _) = self::session(text);
        let remote = session.map_signer(|signer| signer.algorithm());
        let (nonces, mut rng) = (MonotonicNonces::new(), rng());
        let mut calls = Calls::for_algorithm(&remote, *remote.signer(), NOW, &mut rng).nonces(&nonces);
        let request = signed(&whole, calls.verify_pin(&Pin::new("314159").unwrap()));
        assert_valid(&request, &key);
    }
}

#[test]
fn a_signature_of_another_length_is_refused() {
    for (text, lens) in [(DASHBOARD, [0, 63, 65, 256]), (RSA_BOT, [0, 64, 127, 513])] {
        let (session, _) = session(text);
        for len in lens {
            let unsigned = Calls::new(&session, NOW, &mut rng()).me().unwrap();
            let Err(CallError::Signer(error)) = unsigned.with_signature(&vec![1; len]) else { panic!("{len}") };
            assert!(error.source().unwrap().to_string().contains("length"), "{error:?}");
        }
    }
}

/// A device that fails.
struct Broken(Algorithm);

impl Signer for Broken {
    fn algorithm(&self) -> Algorithm {
        self.0
    }

    fn signature_len(&self) -> usize {
        64
    }

    fn sign(&self, _: &[u8], _: &mut dyn CryptoRng, _: &mut [u8]) -> Result<(), SignerError> {
        Err(SignerError::with_cause("unplugged"))
    }
}

#[test]
fn the_error_of_a_signer_keeps_its_cause() {
    let (session, _) = session(DASHBOARD);
    for (signer, cause) in [
        (Broken(Algorithm::EdDsa), "unplugged"),
        (Broken(Algorithm::Rs512), "the signer has another algorithm than the token"),
    ] {
        let unsigned = Calls::new(&session, NOW, &mut rng()).me().unwrap();
        let error = unsigned.sign(&signer, &mut rng()).unwrap_err();
        assert!(matches!(error, CallError::Signer(_)));
        assert_eq!(error.source().unwrap().to_string(), cause);
    }
}

#[test]
fn a_given_id_is_used_once() {
    let (session, key) = session(DASHBOARD);
    let (mut rng, id) = (rng(), Uuid::from_u128(7));
    let mut calls = Calls::new(&session, NOW, &mut rng).request_id(id);
    let request = signed(&session, calls.me());
    assert_eq!(request.request_id(), id);
    assert_valid(&request, &key);
    assert_ne!(calls.me().unwrap().request_id(), id);
}

#[test]
fn debug_of_an_unsigned_request_shows_neither_message_nor_body() {
    let (session, _) = session(DASHBOARD);
    let nonces = MonotonicNonces::new();
    let pin = Pin::new("123456").unwrap();
    let unsigned = Calls::new(&session, NOW, &mut rng()).nonces(&nonces).verify_pin(&pin).unwrap();
    let debug = format!("{unsigned:?}");
    let message = std::str::from_utf8(unsigned.message()).unwrap();
    assert!(
        debug.contains("/pin/verify") && !debug.contains(&message[..20]) && !debug.contains("pin_base64"),
        "{debug}"
    );
}

/// A TIP key elsewhere: keeps the messages to sign, and fails until their signatures are there.
struct Elsewhere {
    public_key: Ed25519PublicKey,
    messages: RefCell<Vec<Vec<u8>>>,
    signatures: RefCell<Vec<[u8; TIP_SIGNATURE_LEN]>>,
}

impl Elsewhere {
    fn new(key: &TipKey) -> Self {
        Self { public_key: key.public_key().clone(), messages: RefCell::default(), signatures: RefCell::default() }
    }
}

impl TipSigner for Elsewhere {
    fn public_key(&self) -> &Ed25519PublicKey {
        &self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; TIP_SIGNATURE_LEN], SignerError> {
        let mut messages = self.messages.borrow_mut();
        let at = messages.iter().position(|known| known == message).unwrap_or_else(|| {
            messages.push(message.to_vec());
            messages.len() - 1
        });
        self.signatures.borrow().get(at).copied().ok_or_else(|| SignerError::with_cause("not signed yet"))
    }
}

#[test]
fn a_tip_key_elsewhere_costs_no_nonce_until_it_has_signed() {
    type Call = fn(&mut Calls<'_, Falling>, &dyn TipSigner) -> Result<UnsignedRequest, CallError>;
    let (session, session_key) = session(DASHBOARD);
    let key = TipKey::from_seed(&[7; 32]);
    let with_tip: Call = |calls, key| {
        let action = TipAction::ReadEmergencyContact;
        calls.with_tip("POST", "/emergency_contact", &Map::new(), key, &action)
    };
    let calls: [(Call, usize, u64); 4] = [
        (|calls, key| calls.verify_tip(key), 1, 1),
        (|calls, key| calls.change_tip(key, 4, key), 1, 2),
        (|calls, key| calls.register_safe(key, key), 2, 1),
        (with_tip, 1, 1),
    ];
    for (call, signatures, drawn) in calls {
        let elsewhere = Elsewhere::new(&key);
        let (nonces, mut rng) = (Falling(Cell::new(9)), rng());
        let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
        for _ in 0..signatures {
            let Err(CallError::Signer(error)) = call(&mut calls, &elsewhere) else { panic!("signed") };
            assert_eq!(error.source().unwrap().to_string(), "not signed yet");
            assert_eq!(nonces.0.get(), 9, "no nonce was drawn");
            let message = elsewhere.messages.borrow().last().unwrap().clone();
            elsewhere.signatures.borrow_mut().push(TipSigner::sign(&key, &message).unwrap());
        }
        match call(&mut calls, &elsewhere) {
            // `Falling` breaks the order of two nonces. That is found after they are drawn.
            Err(CallError::NonceOrder) => assert_eq!(drawn, 2),
            request => assert_valid(&signed(&session, request), &session_key),
        }
        assert_eq!((elsewhere.messages.borrow().len(), nonces.0.get()), (signatures, 9 - drawn));
    }
}

#[test]
fn installing_a_tip_key_takes_its_public_key_only() {
    let (session, _) = session(DASHBOARD);
    let elsewhere = Elsewhere::new(&TipKey::from_seed(&[7; 32]));
    let (nonces, mut rng) = (MonotonicNonces::new(), rng());
    let mut calls = Calls::new(&session, NOW, &mut rng).nonces(&nonces);
    calls.create_tip(&elsewhere).unwrap();
    calls.change_to_tip(&Pin::new("314159").unwrap(), &elsewhere).unwrap();
    calls.change_tip(&TipKey::from_seed(&[8; 32]), 1, &elsewhere).unwrap();
    assert!(elsewhere.messages.borrow().is_empty());
}
