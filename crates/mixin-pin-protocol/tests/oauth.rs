//! OAuth: exchange, keystore, calls that `check` accepts, and answers that must be signed.

use std::time::Duration;

use mixin_pin_protocol::answer::{Answer, User};
use mixin_pin_protocol::call::{Calls, PreparedRequest, UnsignedRequest};
use mixin_pin_protocol::check::{ReceivedRequest, ReceivedToken, check_oauth_token, check_token};
use mixin_pin_protocol::core::token::{Claims, RequestHash, Signer, VerifyingKey};
use mixin_pin_protocol::core::uuid::Uuid;
use mixin_pin_protocol::core::{CodeVerifier, Ed25519Key, OAuthSession, UnixTime};
use mixin_pin_protocol::keystore::{Keystore, KeystoreShape};
use mixin_pin_protocol::oauth::{CodeExchange, Grant, OAuthCalls};
use mixin_pin_protocol::{AnswerError, CallError, IntegrityFault, KeystoreError, TokenFault};
use serde_json::{Value, json};

const NOW: UnixTime = UnixTime::from_secs(1_795_517_646);
const APP: Uuid = Uuid::from_u128(0xa99);
const USER: &str = r#"{"data":{"user_id":"06aed1e3-bd77-4a59-991a-5bb5ae6fbb09","full_name":"A"}}"#;

fn rng() -> getrandom::rand_core::UnwrapErr<getrandom::SysRng> {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

fn server() -> Ed25519Key {
    Ed25519Key::from_bytes(&[3; 32]).unwrap()
}

fn grant() -> Grant {
    serde_json::from_value(json!({
        "scope": "PROFILE:READ PHONE:READ",
        "authorization_id": "b7bce11c-e816-4769-a90a-c61b413be460",
        "ed25519": server().public_key().to_base64_url(),
        "access_token": "",
    }))
    .unwrap()
}

fn session() -> OAuthSession {
    grant().into_session(APP, Ed25519Key::from_bytes(&[4; 32]).unwrap()).unwrap()
}

fn signed(signer: &impl Signer, request: Result<UnsignedRequest, CallError>) -> PreparedRequest {
    request.unwrap().sign(signer, &mut rng()).unwrap()
}

fn received<'r>(request: &'r PreparedRequest, request_id: &'r str) -> ReceivedRequest<'r> {
    ReceivedRequest {
        method: request.method(),
        path: request.path(),
        body: request.body(),
        authorization: request.authorization(),
        request_id: Some(request_id),
    }
}

#[test]
fn a_code_is_exchanged_with_its_verifier_and_without_a_token() {
    let verifier = CodeVerifier::generate(&mut rng());
    let public_key = server().public_key();
    let mut exchange =
        CodeExchange { app_id: APP, code: "co\"de", verifier: &verifier, client_secret: None, public_key: &public_key };
    let request = exchange.prepare(&mut rng());
    let body: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!((request.method(), request.path(), request.authorization()), ("POST", "/oauth/token", None));
    assert_eq!(
        body,
        json!({
            "client_id": APP.to_string(),
            "code": "co\"de",
            "code_verifier": verifier.to_text().as_str(),
            "ed25519": public_key.to_base64_url(),
        })
    );
    exchange.client_secret = Some("secret");
    let body: Value = serde_json::from_slice(exchange.prepare(&mut rng()).body()).unwrap();
    assert_eq!(body["client_secret"], "secret");
    assert!(!format!("{exchange:?} {request:?}").contains("co"), "neither code nor body is shown");
}

#[test]
fn the_keystore_of_a_grant_is_read_back() {
    let key = Ed25519Key::from_bytes(&[4; 32]).unwrap();
    let text = grant().to_keystore(APP, &key).unwrap();
    let keystore = Keystore::parse(text.as_bytes()).unwrap();
    assert_eq!(keystore.shape(), KeystoreShape::OAuth);
    let read = keystore.into_oauth_session().unwrap();
    assert_eq!(read.app_id(), APP);
    assert_eq!(read.scope(), "PROFILE:READ PHONE:READ");
    assert_eq!(read.authorization_id(), grant().authorization_id);
    assert_eq!(read.server_key().to_session_secret(), session().server_key().to_session_secret());
}

#[test]
fn a_keystore_is_used_as_its_own_kind() {
    let oauth = include_bytes!("../testdata/keystore-oauth.json");
    let own = include_bytes!("../testdata/keystore-dashboard.json");
    assert_eq!(Keystore::parse(oauth).unwrap().into_session(&mut rng()).unwrap_err(), KeystoreError::OAuth);
    assert_eq!(Keystore::parse(own).unwrap().into_oauth_session().unwrap_err(), KeystoreError::NotOAuth);
}

#[test]
fn oauth_calls_are_valid_as_oauth_tokens_only() {
    let session = session();
    let key = VerifyingKey::Ed25519(Ed25519Key::from_bytes(&[4; 32]).unwrap().public_key());
    let request = signed(session.signer(), OAuthCalls::new(&session, NOW, &mut rng()).me());
    let id = request.request_id().to_string();
    let received = received(&request, &id);
    let token = ReceivedToken::parse(received.token().unwrap()).unwrap();
    assert!(token.is_oauth());
    let claims = check_oauth_token(&received, &token, &key, NOW, Duration::ZERO).unwrap();
    assert_eq!((claims.iss, claims.aid), (APP, session.authorization_id()));
    assert_eq!((&*claims.scp, claims.jti), ("PROFILE:READ PHONE:READ", request.request_id()));
    let fault = check_token(&received, &token, &key, NOW, Duration::ZERO).unwrap_err();
    assert_eq!(fault, TokenFault::Claims);
    let later = UnixTime::from_secs(NOW.secs() + 61);
    let fault = check_oauth_token(&received, &token, &key, later, Duration::ZERO).unwrap_err();
    assert_eq!(fault, TokenFault::Expired);

    let own = Keystore::parse(include_bytes!("../testdata/keystore-dashboard.json")).unwrap();
    let own = own.into_session(&mut rng()).unwrap();
    let request = signed(own.signer(), Calls::new(&own, NOW, &mut rng()).me());
    let token = request.authorization().unwrap().strip_prefix("Bearer ").unwrap();
    assert!(!ReceivedToken::parse(token).unwrap().is_oauth());
}

#[test]
fn a_request_with_a_pin_is_refused_before_it_is_signed() {
    let session = session();
    let mut rng = rng();
    let mut calls = OAuthCalls::new(&session, NOW, &mut rng);
    let mut other = |body: &str| calls.other("POST", "/x", Some(body.as_bytes()));
    for field in ["pin", "pin_base64", "old_pin", "old_pin_base64"] {
        assert!(matches!(other(&json!({ field: "" }).to_string()), Err(CallError::OAuthPin)), "{field}");
    }
    assert!(matches!(other("{"), Err(CallError::BodyNotJson)));
    assert!(other(r#"{"memo":"pin"}"#).is_ok());
    assert!(matches!(calls.other("POST", "x", None), Err(CallError::Path)));
}

/// The integrity token of an answer, signed with any key.
fn integrity(key: &Ed25519Key, request_id: Uuid, path: &str, body: &str) -> String {
    let hash = RequestHash::of("GET", path, body.as_bytes());
    let claims = Claims::answer(request_id, hash, NOW, Duration::from_secs(60)).unwrap();
    claims.sign(key, &mut rng()).unwrap().as_str().to_owned()
}

#[test]
fn an_answer_is_read_only_if_the_server_signed_it() {
    let session = session();
    let sent = signed(session.signer(), OAuthCalls::new(&session, NOW, &mut rng()).me());
    let id = sent.request_id();
    let read = |token: Option<&str>, body: &str| {
        let request_id = id.to_string();
        let answer = Answer {
            status: 200,
            request_id: Some(&request_id),
            integrity_token: token,
            retry_after: None,
            body: body.as_bytes(),
        };
        answer.read_signed::<User>(&sent, session.server_key()).map(|user| user.full_name)
    };
    assert_eq!(read(Some(&integrity(&server(), id, "/me", USER)), USER), Ok("A".to_owned()));

    let fault = |fault| Err(AnswerError::Integrity(fault));
    assert_eq!(read(None, USER), fault(IntegrityFault::Missing));
    for unreadable in ["", "a.b.c", "eyJhbGciOiJFZERTQSJ9.e30.AAAA"] {
        assert_eq!(read(Some(unreadable), USER), fault(IntegrityFault::Format), "{unreadable}");
    }
    let other = Ed25519Key::from_bytes(&[5; 32]).unwrap();
    assert_eq!(read(Some(&integrity(&other, id, "/me", USER)), USER), fault(IntegrityFault::Signature));
    assert_eq!(read(Some(&integrity(&server(), Uuid::nil(), "/me", USER)), USER), fault(IntegrityFault::RequestId));
    assert_eq!(read(Some(&integrity(&server(), id, "/you", USER)), USER), fault(IntegrityFault::AnswerHash));
    let changed = USER.replace("\"A\"", "\"B\"");
    assert_eq!(read(Some(&integrity(&server(), id, "/me", USER)), &changed), fault(IntegrityFault::AnswerHash));
    assert!(!AnswerError::Integrity(IntegrityFault::AnswerHash).is_refusal());

    // Only "unauthorized" may come unsigned.
    let refusal = |code: u32| json!({"error": {"status": 202, "code": code, "description": ""}}).to_string();
    assert!(matches!(read(None, &refusal(401)), Err(AnswerError::Refusal(_))));
    assert_eq!(read(None, &refusal(403)), fault(IntegrityFault::Missing));
    let body = refusal(403);
    assert!(matches!(read(Some(&integrity(&server(), id, "/me", &body)), &body), Err(AnswerError::Refusal(_))));
}

#[test]
fn an_unsigned_refusal_of_a_change_gives_no_reason() {
    let session = session();
    let sent = signed(session.signer(), OAuthCalls::new(&session, NOW, &mut rng()).other("POST", "/x", None));
    let id = sent.request_id().to_string();
    let body = br#"{"error":{"status":202,"code":401,"extra":{"reason":"token_signature"}}}"#;
    let answer = Answer { status: 202, request_id: Some(&id), integrity_token: None, retry_after: None, body };
    let Err(AnswerError::Refusal(refusal)) = answer.read_signed::<User>(&sent, session.server_key()) else { panic!() };
    // Otherwise a proxy inside TLS could claim that nothing changed.
    assert!(refusal.may_answer_a_copy() && refusal.extra.is_none(), "{refusal:?}");
}
