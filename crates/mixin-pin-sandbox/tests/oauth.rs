//! OAuth over HTTP: authorizations are requested, approved, exchanged, used and refused.

mod common;

use common::{Kind, app, client, reason, register, rng, sandbox, send_parts, verdict};
use mixin_pin_core::tip::{TipAction, TipKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{CodeVerifier, Ed25519Key, OAuthSession, Pin};
use mixin_pin_http::{Client, Error, OAuthClient, Outcome};
use mixin_pin_protocol::check::ReceivedToken;
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_protocol::oauth::{CodeExchange, Grant, OAuthCalls};
use mixin_pin_protocol::{AnswerError, CallError, Error as ProtocolError, IntegrityFault};
use mixin_pin_sandbox::Sandbox;
use serde_json::{Map, Value, json};

fn tip_key() -> TipKey {
    TipKey::from_seed(&[1; 32])
}

/// Requests an authorization. The real service does this over its web socket.
fn ask(sandbox: &Sandbox, app_id: Uuid, scope: &str, verifier: &CodeVerifier) -> Value {
    let body = json!({"client_id": app_id, "scope": scope, "code_challenge": verifier.challenge()}).to_string();
    let headers = [("Content-Type", "application/json")];
    send_parts(sandbox, "POST", "/sandbox/authorizations", &headers, body.as_bytes())
}

fn approve(client: &Client, authorization_id: &str, scopes: &[&str]) -> Result<Value, Error> {
    let body = json!({"authorization_id": authorization_id, "scopes": scopes});
    let action = TipAction::ApproveOAuth { authorization_id: authorization_id.parse().unwrap() };
    let body: Map<String, Value> = body.as_object().unwrap().clone();
    Ok(client.call_with_tip("POST", "/oauth/authorize", &body, &tip_key(), &action)?.done().unwrap())
}

fn exchange(
    sandbox: &Sandbox,
    app_id: Uuid,
    code: &str,
    verifier: &CodeVerifier,
    key: &Ed25519Key,
) -> Result<Grant, Error> {
    let public_key = key.public_key();
    let exchange = CodeExchange { app_id, code, verifier, client_secret: None, public_key: &public_key };
    match OAuthClient::exchange().base_url(sandbox.url()).send(&exchange)? {
        Outcome::Done(grant) => Ok(grant),
        // A copy of the request may have spent the code.
        Outcome::Unknown(lost) => Err(*lost.cause),
    }
}

fn oauth_client(sandbox: &Sandbox, session: OAuthSession) -> OAuthClient {
    OAuthClient::builder(session).base_url(sandbox.url()).build().unwrap()
}

/// A user who granted some of the requested scopes, and the app's id, key and grant after the exchange.
fn exchanged(sandbox: &Sandbox, asked: &str, granted: &[&str]) -> (Client, Uuid, Ed25519Key, Grant) {
    let user = client(sandbox, register(sandbox, Kind::Ed25519));
    user.install_tip(None, &tip_key()).unwrap().done().unwrap();
    let (app_id, verifier) = (app(sandbox).session().user_id(), CodeVerifier::generate(&mut rng()));
    let waiting = ask(sandbox, app_id, asked, &verifier);
    let id = waiting["data"]["authorization_id"].as_str().unwrap();
    let code = approve(&user, id, granted).unwrap()["authorization_code"].as_str().unwrap().to_owned();
    let key = Ed25519Key::generate(&mut rng());
    let grant = exchange(sandbox, app_id, &code, &verifier, &key).unwrap();
    (user, app_id, key, grant)
}

/// The same, with the app's session from its keystore.
fn granted(sandbox: &Sandbox, asked: &str, granted: &[&str]) -> (Client, OAuthSession) {
    let (user, app_id, key, grant) = exchanged(sandbox, asked, granted);
    let keystore = grant.to_keystore(app_id, &key).unwrap();
    (user, Keystore::parse(keystore.as_bytes()).unwrap().into_oauth_session().unwrap())
}

#[test]
fn an_app_reads_the_profile_of_the_user_who_approved() {
    let sandbox = sandbox();
    let (user, session) = granted(&sandbox, "PROFILE:READ PHONE:READ", &["PROFILE:READ"]);
    assert_eq!(session.scope(), "PROFILE:READ");
    let me = oauth_client(&sandbox, session).me().unwrap();
    assert_eq!(me.user_id, user.session().user_id());
}

#[test]
fn an_apps_answer_is_signed_for_the_request_id_that_was_sent_and_its_token_is_good_once() {
    let sandbox = sandbox();
    let (_, session) = granted(&sandbox, "PROFILE:READ", &["PROFILE:READ"]);
    let other = Uuid::from_u128(7);
    for sent in [Some(other), None] {
        let me = OAuthCalls::new(&session, common::now(), &mut rng()).me().unwrap();
        let me = me.sign(session.signer(), &mut rng()).unwrap();
        let id = sent.map(|id| id.to_string());
        let mut headers = vec![("Host", "sandbox"), ("Authorization", me.authorization().unwrap())];
        headers.extend(id.as_deref().map(|id| ("X-Request-Id", id)));
        let answer = common::get(&sandbox, "/me", &headers);
        assert!(answer.contains("user_id"), "{answer}");
        let integrity = answer.lines().find_map(|line| line.strip_prefix("x-integrity-token: ")).unwrap();
        let claims = ReceivedToken::parse(integrity).unwrap().raw_claims().clone();
        assert_eq!(claims["jti"], sent.unwrap_or_else(|| me.request_id()).to_string());
        let again = common::get(&sandbox, "/me", &headers);
        assert!(again.contains("request_repeated"), "{again}");
    }
}

#[test]
fn an_app_can_do_only_what_was_granted() {
    let sandbox = sandbox();
    let (_, session) = granted(&sandbox, "PROFILE:READ PHONE:READ", &["PHONE:READ"]);
    let client = oauth_client(&sandbox, session);
    let refused = |result: Result<mixin_pin_http::Outcome<Value>, Error>| reason(result);
    assert_eq!(refused(client.call("GET", "/me", None)), (403, "scope".to_owned()));
    assert_eq!(refused(client.call("GET", "/logs", None)), (403, "oauth".to_owned()));
    assert_eq!(refused(client.call("POST", "/pin/verify", Some(&json!({})))), (403, "oauth".to_owned()));
    assert_eq!(refused(client.call("GET", "/nowhere", None)), (404, "endpoint".to_owned()));
    let with_pin = client.call::<Value>("POST", "/pin/verify", Some(&json!({"pin": "AAAA"})));
    assert!(matches!(with_pin, Err(Error::Protocol(ProtocolError::Call(CallError::OAuthPin)))), "{with_pin:?}");
}

#[test]
fn answers_signed_by_another_key_are_refused() {
    let sandbox = sandbox();
    let (_, app_id, key, mut grant) = exchanged(&sandbox, "PROFILE:READ", &["PROFILE:READ"]);
    grant.ed25519 = Ed25519Key::generate(&mut rng()).public_key().to_base64_url();
    let client = oauth_client(&sandbox, grant.into_session(app_id, key).unwrap());
    let refused = client.me().unwrap_err();
    assert!(
        matches!(refused, Error::Protocol(ProtocolError::Answer(AnswerError::Integrity(IntegrityFault::Signature)))),
        "{refused:?}"
    );
}

#[test]
fn a_code_is_exchanged_once_by_its_app_with_its_verifier() {
    let sandbox = sandbox();
    let user = client(&sandbox, register(&sandbox, Kind::Ed25519));
    user.install_tip(None, &tip_key()).unwrap().done().unwrap();
    let (app_id, verifier) = (app(&sandbox).session().user_id(), CodeVerifier::generate(&mut rng()));
    let waiting = ask(&sandbox, app_id, "PROFILE:READ", &verifier);
    let id = waiting["data"]["authorization_id"].as_str().unwrap();

    // Can be approved once, for requested scopes only.
    let refused = |result: Result<Value, Error>| reason(result.map(mixin_pin_http::Outcome::Done)).0;
    assert_eq!(refused(approve(&user, id, &["ASSETS:READ"])), 10_002);
    assert_eq!(refused(approve(&user, id, &[])), 10_002);
    let code = approve(&user, id, &["PROFILE:READ"]).unwrap()["authorization_code"].as_str().unwrap().to_owned();
    assert_eq!(refused(approve(&user, id, &["PROFILE:READ"])), 10_002);

    let key = Ed25519Key::generate(&mut rng());
    let exchange = |app_id, code: &str, verifier: &CodeVerifier| {
        exchange(&sandbox, app_id, code, verifier, &key).map(mixin_pin_http::Outcome::Done)
    };
    let unauthorized = |what: &str| (401, what.to_owned());
    assert_eq!(reason(exchange(app_id, "another", &verifier)), unauthorized("code"));
    assert_eq!(reason(exchange(Uuid::nil(), &code, &verifier)), unauthorized("code"));
    let other = CodeVerifier::generate(&mut rng());
    assert_eq!(reason(exchange(app_id, &code, &other)), unauthorized("code_verifier"));
    exchange(app_id, &code, &verifier).unwrap().done().unwrap();
    assert_eq!(reason(exchange(app_id, &code, &verifier)), unauthorized("code"));
}

#[test]
fn digits_approve_too_and_invalid_requests_are_refused() {
    let sandbox = sandbox();
    let user = client(&sandbox, register(&sandbox, Kind::Rsa1024));
    let pin = Pin::new("123456").unwrap();
    user.create_pin(&pin).unwrap().done().unwrap();
    let (app_id, verifier) = (app(&sandbox).session().user_id(), CodeVerifier::generate(&mut rng()));
    let waiting = ask(&sandbox, app_id, "PROFILE:READ", &verifier);
    let body = json!({"authorization_id": waiting["data"]["authorization_id"], "scopes": ["PROFILE:READ"]});
    let body = body.as_object().unwrap().clone();
    let approved: Value = user.call_with_pin("POST", "/oauth/authorize", &body, &pin).unwrap().done().unwrap();
    assert!(approved["authorization_code"].as_str().is_some_and(|code| !code.is_empty()));

    assert_eq!(verdict(&ask(&sandbox, Uuid::nil(), "PROFILE:READ", &verifier)).0, 10_002);
    assert_eq!(verdict(&ask(&sandbox, app_id, " ", &verifier)).0, 10_002);
    // An authorization that does not exist.
    let key = Ed25519Key::generate(&mut rng());
    let server = key.public_key();
    let stranger = OAuthSession::new(app_id, Uuid::nil(), "PROFILE:READ", key, server).unwrap();
    let refused = oauth_client(&sandbox, stranger).call::<Value>("GET", "/me", None);
    assert_eq!(reason(refused), (401, "authorization".to_owned()));
}
