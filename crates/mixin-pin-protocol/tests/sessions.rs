//! Calls that replace a session's key, calls about apps, and their answers.

use std::convert::Infallible;
use std::time::Duration;

use mixin_pin_protocol::answer::{Answer, App, AppRegistration, NewSession, User, UserSession};
use mixin_pin_protocol::call::{Calls, MeRequest, PreparedRequest, UnsignedRequest};
use mixin_pin_protocol::check::{ReceivedRequest, ReceivedToken, check_token};
use mixin_pin_protocol::core::rand_core::{TryCryptoRng, TryRng};
use mixin_pin_protocol::core::tip::{TipKey, TipSigner};
use mixin_pin_protocol::core::token::{Signer, VerifyingKey};
use mixin_pin_protocol::core::uuid::Uuid;
use mixin_pin_protocol::core::{
    Ed25519Key, Ed25519PublicKey, EncryptedPin, Pin, PinKey, RsaPublicKey, Session, SignerError, UnixTime,
    X25519PublicKey,
};
use mixin_pin_protocol::keystore::{Keystore, ServerKey};
use mixin_pin_protocol::{AnswerError, CallError, ShapeFault};
use serde_json::{Value, json};

const NOW: UnixTime = UnixTime::from_secs(1_795_517_646);
const RSA_BOT: &str = include_str!("../testdata/keystore-rsa-bot.json");
const DASHBOARD: &str = include_str!("../testdata/keystore-dashboard.json");
const APP: &str = "06aed1e3-bd77-4a59-991a-5bb5ae6fbb09";
const SERVER_HEX: &str = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";
const SENT: Uuid = Uuid::from_u128(7);

/// Gives this byte only.
struct Same(u8);

impl TryRng for Same {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes([self.0; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes([self.0; 8]))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Same {}

fn rng() -> getrandom::rand_core::UnwrapErr<getrandom::SysRng> {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

fn new_key() -> Ed25519PublicKey {
    Ed25519Key::from_bytes(&[7; 32]).unwrap().public_key()
}

fn session(text: &str) -> Session {
    Keystore::parse(text.as_bytes()).unwrap().into_session(&mut rng()).unwrap()
}

fn rsa_key(text: &str) -> RsaPublicKey {
    match Keystore::parse(text.as_bytes()).unwrap().public_key().unwrap() {
        VerifyingKey::Rsa(key) => key,
        other => panic!("{other:?}"),
    }
}

fn body(request: &PreparedRequest) -> Value {
    serde_json::from_slice(request.body()).unwrap()
}

/// The body was computed by Python's `cryptography` from the keystore, with the IV 2a2a…, the iterator 0 and this time.
#[test]
fn an_upgrade_has_the_body_that_an_independent_program_computes() {
    let (session, mut rng) = (session(RSA_BOT), Same(0x2a));
    let pin = Pin::new("314159").unwrap();
    let mut calls = Calls::new(&session, NOW, &mut rng).request_id(SENT);
    let request = calls.upgrade_session(&rsa_key(RSA_BOT), &pin, &new_key()).unwrap();
    assert_eq!((request.method(), request.path(), request.request_id()), ("POST", "/legacy/users", SENT));
    assert_eq!(
        body(&request),
        json!({
            "pin": "KioqKioqKioqKioqKioqKiYN2KqT46HiP-SqjN8YQosXXh56Ka3FzKIw1biKfGMH",
            "session_id": "c0768a71-858d-4fc3-ae2f-ca00edb06f86",
            "session_secret": "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw",
            "session_secret_legacy": "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCeevFIpHTRx_beyTpA0QP--6Gi3aRZTemPFR5KoU-Qtei8kvUI\
                                      gSsT9BnCB_scq7Fs59k7h1RyXgwAWgoC9LMa4wI7GzifirvkunZrVHXp102pvPvIi_KS6aps-Y4H8Fhdiui9nEOz\
                                      1z_34vDDhNRHB6dlk4btrxbVz2UvIrBK2QIDAQAB",
        })
    );
}

#[test]
fn an_upgrade_has_no_token_and_encrypts_its_pin_anew_with_the_iterator_0() {
    let (session, mut rng) = (session(RSA_BOT), rng());
    let pin = Pin::new("314159").unwrap();
    let mut calls = Calls::new(&session, NOW, &mut rng);
    let requests = [(); 2].map(|()| calls.upgrade_session(&rsa_key(RSA_BOT), &pin, &new_key()).unwrap());
    for request in &requests {
        assert_eq!((request.authorization(), request.expires_at()), (None, None));
        assert!(request.has_pin() && !request.is_read());
        let encrypted = EncryptedPin::from_base64(body(request)["pin"].as_str().unwrap()).unwrap();
        let block = session.pin_key().decrypt(&encrypted).unwrap();
        assert_eq!(block.secret().expose(), b"314159");
        assert_eq!((block.timestamp(), block.iterator()), (NOW.secs(), 0));
    }
    assert_ne!(body(&requests[0])["pin"], body(&requests[1])["pin"]);
    assert_ne!(requests[0].request_id(), requests[1].request_id());
}

#[test]
fn an_ed25519_session_is_not_upgraded() {
    let (session, mut rng) = (session(DASHBOARD), rng());
    let mut calls = Calls::new(&session, NOW, &mut rng);
    let refused = calls.upgrade_session(&rsa_key(RSA_BOT), &Pin::new("314159").unwrap(), &new_key());
    assert!(matches!(refused, Err(CallError::NotRsa)), "{refused:?}");
}

fn assert_signed(unsigned: UnsignedRequest, signer: &impl Signer, key: &VerifyingKey) -> PreparedRequest {
    let request = unsigned.sign(signer, &mut rng()).unwrap();
    let id = request.request_id().to_string();
    let received = ReceivedRequest {
        method: request.method(),
        path: request.path(),
        body: request.body(),
        authorization: request.authorization(),
        request_id: Some(&id),
    };
    let token = ReceivedToken::parse(received.token().unwrap()).unwrap();
    check_token(&received, &token, key, NOW, Duration::ZERO).unwrap();
    request
}

/// The signature was computed by Python: Ed25519 over `hashlib.sha3_256` of the app's id.
#[test]
fn the_other_calls_are_signed_by_the_session() {
    for keystore in [RSA_BOT, DASHBOARD] {
        let key = Keystore::parse(keystore.as_bytes()).unwrap().public_key().unwrap();
        let (session, mut rng, app_id) = (session(keystore), rng(), APP.parse().unwrap());
        let mut calls = Calls::new(&session, NOW, &mut rng);
        let spend_key = TipKey::from_seed(&[5; 32]);
        let cases = [
            (
                calls.replace_session_key(&new_key()),
                "POST /session/secret",
                json!({ "session_secret": "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw=" }),
            ),
            (
                calls.replace_app_session(app_id, &new_key()),
                "POST /safe/apps/06aed1e3-bd77-4a59-991a-5bb5ae6fbb09/session",
                json!({ "session_public_key": SERVER_HEX }),
            ),
            (
                calls.register_app(app_id, &spend_key),
                "POST /safe/apps/06aed1e3-bd77-4a59-991a-5bb5ae6fbb09/register",
                json!({
                    "spend_public_key": "6e7a1cdd29b0b78fd13af4c5598feff4ef2a97166e3ca6f2e4fbfccd80505bf1",
                    "signature_base64": "UWh1gDBJH-oj-3Ac8vlrzDCnDfGb8rzdtMLFIvsn-In3v6REAIo-prPd1bcFRSTlhcb291Snm9YDGSMHds2lBA",
                }),
            ),
            (calls.app(app_id), "GET /apps/06aed1e3-bd77-4a59-991a-5bb5ae6fbb09", Value::Null),
            (calls.sessions(&[app_id, Uuid::nil()]), "POST /sessions/fetch", json!([APP, Uuid::nil()])),
            (calls.sessions(&[]), "POST /sessions/fetch", json!([])),
        ];
        for (unsigned, line, expected) in cases {
            let request = assert_signed(unsigned.unwrap(), session.signer(), &key);
            assert_eq!(format!("{} {}", request.method(), request.path()), line);
            assert!(!request.has_pin());
            let sent = if request.body().is_empty() { Value::Null } else { body(&request) };
            assert_eq!(sent, expected, "{line}");
        }
    }
}

#[test]
fn a_spend_key_that_fails_is_named() {
    struct Broken(Ed25519PublicKey);

    impl TipSigner for Broken {
        fn public_key(&self) -> &Ed25519PublicKey {
            &self.0
        }

        fn sign(&self, _: &[u8]) -> Result<[u8; 64], SignerError> {
            Err(SignerError::new())
        }
    }
    let (session, mut rng) = (session(DASHBOARD), rng());
    let failed = Calls::new(&session, NOW, &mut rng).register_app(Uuid::nil(), &Broken(new_key()));
    assert!(matches!(failed, Err(CallError::Signer(_))), "{failed:?}");
}

#[test]
fn another_key_asks_in_the_name_of_a_session() {
    let key = Ed25519Key::from_bytes(&[9; 32]).unwrap();
    let (user_id, session_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let me = MeRequest { user_id, session_id, algorithm: key.algorithm() };
    let unsigned = me.prepare(NOW, Duration::from_secs(60), &mut rng()).unwrap();
    let request = assert_signed(unsigned, &key, &VerifyingKey::Ed25519(key.public_key()));
    assert_eq!((request.method(), request.path(), request.is_read()), ("GET", "/me", true));
    let token = request.authorization().unwrap().strip_prefix("Bearer ").unwrap();
    let claims = ReceivedToken::parse(token).unwrap().raw_claims().clone();
    assert_eq!((&claims["uid"], &claims["sid"]), (&json!(user_id), &json!(session_id)));
    let too_long = me.prepare(NOW, Duration::MAX, &mut rng());
    assert!(matches!(too_long, Err(CallError::Core(_))), "{too_long:?}");
}

fn read<T: serde::de::DeserializeOwned>(data: &Value) -> Result<T, AnswerError> {
    let (id, body) = (SENT.to_string(), json!({ "data": data }).to_string());
    let body = body.as_bytes();
    Answer { status: 200, request_id: Some(&id), integrity_token: None, retry_after: None, body }.read(SENT)
}

fn field(field: &str) -> AnswerError {
    AnswerError::Shape { status: 200, fault: ShapeFault::Value { field: field.into() } }
}

#[test]
fn each_answer_to_a_change_of_the_key_is_read() {
    let x25519 = new_key().to_x25519().unwrap();
    let (user_id, session_id) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
    let (hex, base64) = (ServerKey::Ed25519(new_key()), ServerKey::X25519(x25519.clone()));
    let text = x25519.to_base64_url();
    for (data, expected) in [
        // `/legacy/users`
        (
            json!({ "user_id": user_id, "session_id": session_id, "server_public_key": SERVER_HEX, "new": [] }),
            NewSession { user_id, session_id, server_key: hex.clone() },
        ),
        // `/session/secret`
        (
            json!({ "pin_token": text.clone() + "=" }),
            NewSession { user_id: None, session_id: None, server_key: base64.clone() },
        ),
        // `/safe/apps/:id/session`
        (
            json!({ "session_id": session_id, "server_public_key": SERVER_HEX }),
            NewSession { user_id: None, session_id, server_key: hex.clone() },
        ),
        // an older form of it
        (
            json!({ "session_id": session_id, "pin_token_base64": text, "server_public_key": "", "user_id": "" }),
            NewSession { user_id: None, session_id, server_key: base64.clone() },
        ),
        (
            json!({ "pin_token": text, "pin_token_base64": null, "server_public_key": SERVER_HEX, "session_id": null }),
            NewSession { user_id: None, session_id: None, server_key: hex },
        ),
    ] {
        assert_eq!(read::<NewSession>(&data), Ok(expected), "{data}");
    }
}

#[test]
fn an_answer_without_the_servers_key_or_with_a_wrong_id_is_no_session() {
    let missing =
        AnswerError::Shape { status: 200, fault: ShapeFault::Missing { field: "data.server_public_key".into() } };
    for data in [json!({ "session_id": SENT }), json!({ "pin_token": "" }), json!({ "server_public_key": null })] {
        assert_eq!(read::<NewSession>(&data), Err(missing.clone()), "{data}");
    }
    // An id that is absent stays, so an id that cannot be read must not count as absent.
    for (name, value) in [
        ("session_id", "seven"),
        ("user_id", "7"),
        ("server_public_key", "zz"),
        ("server_public_key", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("pin_token", "Uck2hl/fRDzoo/0t"),
    ] {
        let mut data = json!({ "session_id": SENT, "pin_token_base64": "PgZHafXZXPBtJA4dKFf0kO4IHPOZouJJFSkr3zkn8Ws" });
        data[name] = value.into();
        assert_eq!(read::<NewSession>(&data), Err(field(&format!("data.{name}"))), "{name}: {value}");
    }
    for data in [json!(null), json!([SERVER_HEX]), json!(SERVER_HEX)] {
        assert!(read::<NewSession>(&data).is_err(), "{data}");
    }
}

#[test]
fn the_session_of_a_user_has_the_servers_key() {
    let user = |fields: Value| -> User {
        let mut whole = json!({ "user_id": Uuid::from_u128(1), "session_id": Uuid::from_u128(2) });
        whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    };
    let token = "PgZHafXZXPBtJA4dKFf0kO4IHPOZouJJFSkr3zkn8Ws";
    let expected = ServerKey::X25519(X25519PublicKey::from_base64(token).unwrap());
    for name in ["pin_token", "pin_token_base64"] {
        let session = NewSession::of_user(&user(json!({ name: token }))).unwrap();
        let (user_id, session_id) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        assert_eq!(session, NewSession { user_id, session_id, server_key: expected.clone() });
    }
    let hex = NewSession::of_user(&user(json!({ "server_public_key": SERVER_HEX, "pin_token": token })));
    assert_eq!(hex.unwrap().server_key, ServerKey::Ed25519(new_key()));
    // The token of an RSA session, and nothing at all.
    let wrapped = rsa_key(RSA_BOT).wrap_pin_key(&PinKey::generate(&mut rng()), SENT, &mut rng()).unwrap().to_base64();
    assert_eq!(NewSession::of_user(&user(json!({ "pin_token": wrapped }))), None);
    assert_eq!(NewSession::of_user(&user(json!({}))), None);
}

#[test]
fn apps_and_sessions_are_read() {
    let app: App = read(&json!({
        "app_id": APP, "name": "Bot", "creator_id": SENT, "session_public_key": SERVER_HEX, "has_safe": true,
        "spend_public_key": SERVER_HEX, "session_secret": "x", "capabilities": null,
    }))
    .unwrap();
    assert_eq!((app.name.as_str(), app.creator_id, app.has_safe), ("Bot", Some(SENT), true));
    let bare: App = read(&json!({ "app_id": APP, "name": null, "creator_id": "", "has_safe": null })).unwrap();
    assert_eq!((bare.has_safe, bare.creator_id, bare.spend_public_key.as_str()), (false, None, ""));
    assert!(read::<App>(&json!({ "name": "Bot" })).is_err());
    let registration: AppRegistration = read(&json!({ "spend_public_key": SERVER_HEX })).unwrap();
    assert_eq!(registration.spend_public_key, SERVER_HEX);

    let x25519 = new_key().to_x25519().unwrap().to_base64_url();
    let list = |keys: &[&str]| -> Vec<UserSession> {
        let entry = |key: &&str| json!({ "user_id": APP, "session_id": SENT, "public_key": key, "platform": "Go" });
        read(&Value::Array(keys.iter().map(entry).collect())).unwrap()
    };
    let sessions = list(&[&x25519, SERVER_HEX, "", "PgZHafXZXPBtJA4dKFf0kO4IHPOZouJJFSkr3zkn8Ws", "?"]);
    let found: Vec<bool> = sessions.iter().map(|session| session.has_key(&new_key())).collect();
    assert_eq!(found, [true, true, false, false, false]);
    assert_eq!(read::<Vec<UserSession>>(&Value::Null), Ok(Vec::new()));
    assert!(read::<UserSession>(&json!({ "user_id": APP })).is_err());
}

/// The message stream, of which only the token is made here.
#[test]
fn the_token_of_the_message_stream_signs_a_get_of_the_root() {
    let key = Keystore::parse(DASHBOARD.as_bytes()).unwrap().public_key().unwrap();
    let (session, mut rng) = (session(DASHBOARD), rng());
    let unsigned = Calls::new(&session, NOW, &mut rng).other("GET", "/", None).unwrap();
    assert!(assert_signed(unsigned, session.signer(), &key).body().is_empty());
}
