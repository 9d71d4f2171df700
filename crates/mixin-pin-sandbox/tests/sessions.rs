//! Sessions that get new keys: the upgrade of an RSA session, a session that replaces its key, and apps whose owner
//! replaces their session and registers them with the safe.

mod common;

use base16ct::lower::encode_string;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use common::{Kind, app, now, pem, register, rng, sandbox, send, send_parts, signed, verdict};
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::token::{Signer, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{
    CodeVerifier, Ed25519Key, MonotonicNonces, OAuthSession, Pin, PinKey, RsaKey, Secret, Session, X25519PublicKey,
    hazmat,
};
use mixin_pin_http::OAuthClient;
use mixin_pin_protocol::call::{Calls, random_uuid};
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_protocol::oauth::{CodeExchange, OAuthCalls};
use mixin_pin_sandbox::{Account, Config, Error, Sandbox};
use serde_json::{Value, json};

const DIGITS: &str = "123456";

fn pin() -> Pin {
    Pin::new(DIGITS).unwrap()
}

/// A user with a PIN.
fn user(sandbox: &Sandbox, kind: Kind) -> Session {
    let session = register(sandbox, kind);
    let nonces = MonotonicNonces::new();
    let create = Calls::new(&session, now(), &mut rng()).nonces(&nonces).create_pin(&pin());
    assert_eq!(verdict(&send(sandbox, &signed(&session, create))), (0, ""));
    session
}

/// A request by a session that needs no PIN.
fn call<S: Signer>(sandbox: &Sandbox, session: &Session<S>, method: &str, path: &str, body: Option<&Value>) -> Value {
    let body = body.map(|body| body.to_string().into_bytes());
    send(sandbox, &signed(session, Calls::new(session, now(), &mut rng()).other(method, path, body.as_deref())))
}

fn verify<S: Signer>(sandbox: &Sandbox, session: &Session<S>, pin: &Pin, iterator: u64) -> Value {
    let source = common::Given(iterator);
    send(sandbox, &signed(session, Calls::new(session, now(), &mut rng()).nonces(&source).verify_pin(pin)))
}

fn post_unsigned(sandbox: &Sandbox, path: &str, body: &Value) -> Value {
    send_parts(sandbox, "POST", path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
}

fn spki(kind: Kind) -> Vec<u8> {
    let secret = VerifyingKey::Rsa(RsaKey::from_pem(pem(kind)).unwrap().public_key()).to_session_secret().unwrap();
    STANDARD.decode(secret).unwrap()
}

fn encrypted(key: &PinKey, secret: impl Into<Secret>, timestamp: u64, iterator: u64) -> String {
    let block = hazmat::block(secret, timestamp, iterator);
    let iv = random_uuid(&mut rng()).into_bytes();
    hazmat::encrypt_with_iv(key, &block, &iv).to_url_safe().as_str().to_owned()
}

/// The upgrade of a session, as the Go client makes it.
fn upgrade(session: &Session, kind: Kind, key: &Ed25519Key) -> Value {
    json!({
        "session_secret_legacy": URL_SAFE_NO_PAD.encode(spki(kind)),
        "session_secret": key.public_key().to_base64_url(),
        "session_id": session.session_id(),
        "pin": encrypted(session.pin_key(), pin(), now().secs(), 0),
    })
}

/// The session of a new key, from the answer to an upgrade or to a new session of an app.
fn new_session(user_id: Uuid, answer: &Value, key: Ed25519Key) -> Session {
    let data = &answer["data"];
    let session_id = data["session_id"].as_str().unwrap().parse().unwrap();
    let server = mixin_pin_core::Ed25519PublicKey::from_text(data["server_public_key"].as_str().unwrap()).unwrap();
    Session::ed25519(user_id, session_id, key, &server.to_x25519().unwrap()).unwrap()
}

fn is_accepted<S: Signer>(sandbox: &Sandbox, session: &Session<S>) -> bool {
    match verdict(&call(sandbox, session, "GET", "/me", None)) {
        (0, _) => true,
        (401, "session" | "token_signature" | "token_algorithm") => false,
        other => panic!("{other:?}"),
    }
}

fn key(seed: u8) -> Ed25519Key {
    Ed25519Key::from_bytes(&[seed; 32]).unwrap()
}

#[test]
fn an_rsa_session_is_upgraded_and_keeps_its_pin() {
    for kind in [Kind::Rsa1024, Kind::Rsa2048] {
        for changes in [false, true] {
            let sandbox = Sandbox::start(&Config { upgrade_changes_session: changes, ..Config::default() }).unwrap();
            let old = user(&sandbox, kind);
            let body = upgrade(&old, kind, &key(1));
            let answer = post_unsigned(&sandbox, "/legacy/users", &body);
            assert_eq!(answer["data"]["user_id"], json!(old.user_id()), "{answer}");
            let new = new_session(old.user_id(), &answer, key(1));
            assert_eq!(new.session_id() != old.session_id(), changes);
            assert!(is_accepted(&sandbox, &new) && !is_accepted(&sandbox, &old));
            let me = call(&sandbox, &new, "GET", "/me", None);
            let shown = X25519PublicKey::from_base64(me["data"]["pin_token"].as_str().unwrap()).unwrap();
            assert!(key(1).agree(&shown).unwrap().is_same(new.pin_key()));

            // The PIN is the same, under the new key. A session that keeps its id keeps its iterators.
            if !changes {
                assert_eq!(verdict(&verify(&sandbox, &new, &pin(), 1)), (20_119, "iterator"));
            }
            let iterator = if changes { 1 } else { u64::MAX - 9 };
            assert_eq!(verdict(&verify(&sandbox, &new, &pin(), iterator)), (0, ""));
            let wrong = Pin::new("654321").unwrap();
            assert_eq!(verdict(&verify(&sandbox, &new, &wrong, iterator + 1)), (20_119, "pin"));
        }
    }
}

#[test]
fn an_upgrade_that_was_done_is_answered_again_for_the_same_keys_and_the_right_pin() {
    for (changes, answers) in [(false, true), (true, true), (false, false)] {
        let config =
            Config { upgrade_changes_session: changes, answer_repeated_upgrades: answers, ..Config::default() };
        let sandbox = Sandbox::start(&config).unwrap();
        let old = user(&sandbox, Kind::Rsa1024);
        let body = upgrade(&old, Kind::Rsa1024, &key(1));
        let first = post_unsigned(&sandbox, "/legacy/users", &body);
        let fresh = upgrade(&old, Kind::Rsa1024, &key(1));
        let again = post_unsigned(&sandbox, "/legacy/users", &fresh);
        if !answers {
            assert_eq!(verdict(&again), (401, "session"));
            continue;
        }
        assert_eq!(again, first);
        for used in [&body, &fresh] {
            assert_eq!(verdict(&post_unsigned(&sandbox, "/legacy/users", used)), (401, "request_repeated"));
        }
        let mut wrong = fresh.clone();
        wrong["pin"] = encrypted(old.pin_key(), Pin::new("654321").unwrap(), now().secs(), 0).into();
        let refused = post_unsigned(&sandbox, "/legacy/users", &wrong);
        assert_eq!((verdict(&refused), &refused["error"]["extra"]["tries_left"]), ((20_119, "pin"), &json!(4)));
        let other_key = upgrade(&old, Kind::Rsa1024, &key(2));
        assert_eq!(verdict(&post_unsigned(&sandbox, "/legacy/users", &other_key)), (401, "session"));
        let new = new_session(old.user_id(), &first, key(1));
        assert!(is_accepted(&sandbox, &new));

        // The session moves on: the upgrade is no longer its newest change.
        let moved = json!({ "session_secret": key(3).public_key().to_base64_url() });
        assert_eq!(verdict(&call(&sandbox, &new, "POST", "/session/secret", Some(&moved))), (0, ""));
        assert_eq!(verdict(&post_unsigned(&sandbox, "/legacy/users", &body)), (401, "session"));
    }
}

#[test]
fn an_upgrade_is_refused_for_anything_else_and_changes_nothing() {
    let sandbox = sandbox();
    let old = user(&sandbox, Kind::Rsa1024);
    let other = user(&sandbox, Kind::Rsa2048);
    let ed25519 = user(&sandbox, Kind::Ed25519);
    let no_pin = register(&sandbox, Kind::Rsa2048);
    let good = upgrade(&old, Kind::Rsa1024, &key(1));
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        verdict_of(&post_unsigned(&sandbox, "/legacy/users", &body))
    };
    let session = || (401, "session".to_owned());
    // Another session, another key.
    assert_eq!(with("session_id", json!(Uuid::nil())), session());
    assert_eq!(with("session_id", json!(other.session_id())), session());
    assert_eq!(with("session_id", json!(ed25519.session_id())), session());
    assert_eq!(with("session_secret_legacy", STANDARD.encode(spki(Kind::Rsa2048)).into()), session());
    // Fields.
    let field = |reason: &str| (10_002, reason.to_owned());
    for name in ["session_id", "session_secret_legacy", "session_secret"] {
        assert_eq!(with(name, Value::Null), field("absent"));
        assert_eq!(with(name, json!(7)), field("absent"));
        assert_eq!(with(name, "A".repeat(1025).into()), field("too_long"));
    }
    assert_eq!(with("pin", Value::Null), field("absent"));
    assert_eq!(with("session_id", json!("x")), field("not a UUID"));
    for text in [key(1).public_key().to_base64_url(), "x".to_owned(), pem(Kind::Rsa1024).to_owned()] {
        let code = with("session_secret_legacy", text.into());
        assert!(code == field("not an RSA public key") || code == field("too_long"), "{code:?}");
    }
    let low_order = [
        STANDARD.encode([0; 32]),
        STANDARD.encode([[1].as_slice(), &[0; 31]].concat()),
        "7P///////////////////////////////////////38=".to_owned(),
    ];
    let other_forms = [encode_string(key(1).public_key().as_bytes()), STANDARD.encode(spki(Kind::Rsa1024))];
    for text in low_order.into_iter().chain(other_forms) {
        assert_eq!(with("session_secret", text.into()), field("not an Ed25519 key in base64"));
    }
    assert_eq!(verdict_of(&post_unsigned(&sandbox, "/legacy/users", &json!([good]))), (400, "body".to_owned()));
    // The block.
    let block = |timestamp, iterator| encrypted(old.pin_key(), pin(), timestamp, iterator);
    let incorrect = |reason: &str| (20_119, reason.to_owned());
    let time = now().secs();
    assert_eq!(with("pin", block(time, 1).into()), incorrect("iterator"));
    assert_eq!(with("pin", block(time - 400, 0).into()), incorrect("timestamp"));
    assert_eq!(with("pin", block(time + 400, 0).into()), incorrect("timestamp"));
    for text in [
        encrypted(other.pin_key(), pin(), time, 0),
        encrypted(old.pin_key(), TipKey::from_seed(&[1; 32]).installation(1), time, 0),
        "AAAA".to_owned(),
        DIGITS.to_owned(),
    ] {
        assert_eq!(with("pin", text.into()), incorrect("ciphertext"));
    }
    let without_pin = upgrade(&no_pin, Kind::Rsa2048, &key(1));
    assert_eq!(verdict(&post_unsigned(&sandbox, "/legacy/users", &without_pin)), (20_119, "no_pin_set"));
    // None of these cost a try. Wrong PINs do.
    for left in (0..5).rev() {
        let wrong = encrypted(old.pin_key(), Pin::new("654321").unwrap(), time, 0);
        let mut body = good.clone();
        body["pin"] = wrong.into();
        let refused = post_unsigned(&sandbox, "/legacy/users", &body);
        assert_eq!((verdict(&refused), &refused["error"]["extra"]["tries_left"]), ((20_119, "pin"), &json!(left)));
        // Again it costs nothing, also with another IV, which changes a digit.
        let mut bytes = URL_SAFE_NO_PAD.decode(body["pin"].as_str().unwrap()).unwrap();
        for change in [0, 1].into_iter().filter(|_| left > 0) {
            bytes[5] ^= change;
            body["pin"] = URL_SAFE_NO_PAD.encode(&bytes).into();
            assert_eq!(verdict(&post_unsigned(&sandbox, "/legacy/users", &body)), (401, "request_repeated"));
        }
    }
    assert_eq!(verdict(&post_unsigned(&sandbox, "/legacy/users", &good)), (429, "tries_spent"));
    for session in [&old, &other, &ed25519, &no_pin] {
        assert!(is_accepted(&sandbox, session));
    }
}

fn verdict_of(answer: &Value) -> (u64, String) {
    let (code, reason) = verdict(answer);
    (code, reason.to_owned())
}

#[test]
fn a_user_with_a_tip_key_upgrades_by_no_digits() {
    let sandbox = sandbox();
    let old = register(&sandbox, Kind::Rsa1024);
    let nonces = MonotonicNonces::new();
    let create = Calls::new(&old, now(), &mut rng()).nonces(&nonces).create_tip(&TipKey::from_seed(&[1; 32]));
    assert_eq!(verdict(&send(&sandbox, &signed(&old, create))), (0, ""));
    let body = upgrade(&old, Kind::Rsa1024, &key(1));
    assert_eq!(verdict(&post_unsigned(&sandbox, "/legacy/users", &body)), (20_118, "kind"));
    assert!(is_accepted(&sandbox, &old));
}

#[test]
fn a_session_replaces_its_own_key_and_keeps_its_id_its_iterators_and_its_pin() {
    for kind in Kind::ALL {
        let sandbox = sandbox();
        let old = user(&sandbox, kind);
        assert_eq!(verdict(&verify(&sandbox, &old, &pin(), u64::MAX - 9)), (0, ""));
        let body = json!({ "session_secret": STANDARD.encode(key(1).public_key().as_bytes()) });
        let answer = call(&sandbox, &old, "POST", "/session/secret", Some(&body));
        let pin_token = answer["data"]["pin_token"].as_str().unwrap();
        assert_eq!(STANDARD.decode(pin_token).unwrap().len(), 32);
        let server = X25519PublicKey::from_base64(pin_token).unwrap();
        let new = Session::ed25519(old.user_id(), old.session_id(), key(1), &server).unwrap();
        assert!(is_accepted(&sandbox, &new) && !is_accepted(&sandbox, &old));
        assert_eq!(verdict(&verify(&sandbox, &new, &pin(), u64::MAX - 9)), (20_119, "iterator"));
        assert_eq!(verdict(&verify(&sandbox, &new, &pin(), u64::MAX - 8)), (0, ""));

        // The same request again, by either key.
        assert_eq!(verdict(&call(&sandbox, &old, "POST", "/session/secret", Some(&body))).0, 401);
        // There is no way back to RSA.
        let rsa = json!({ "session_secret": STANDARD.encode(spki(Kind::Rsa2048)) });
        for (body, expected) in [
            (rsa, (10_002, "not an Ed25519 key in base64")),
            (json!({}), (10_002, "absent")),
            (json!({ "session_secret": STANDARD.encode([0; 32]) }), (10_002, "not an Ed25519 key in base64")),
            (json!({ "session_secret": "x".repeat(1025) }), (10_002, "too_long")),
            (json!([body]), (400, "body")),
        ] {
            assert_eq!(verdict(&call(&sandbox, &new, "POST", "/session/secret", Some(&body))), expected);
        }
        assert!(is_accepted(&sandbox, &new));
    }
}

/// An owner, an app of theirs, and a sandbox that has both as accounts.
fn owned_app(sandbox: &Sandbox) -> (Session, Session) {
    let owner = register(sandbox, Kind::Ed25519);
    let (app_key, server) = (key(20), key(21));
    let app = Session::ed25519(
        Uuid::from_u128(0xa),
        Uuid::from_u128(0xb),
        app_key,
        &server.public_key().to_x25519().unwrap(),
    )
    .unwrap();
    sandbox.add_account(&app_account(&app, owner.user_id())).unwrap();
    (owner, app)
}

fn app_account(app: &Session, owner: Uuid) -> Account {
    let public_key = VerifyingKey::Ed25519(key(20).public_key());
    let pin_key = PinKey::from_bytes(app.pin_key().expose()).unwrap();
    let account = Account::new(app.user_id(), app.session_id(), "Bot", public_key, pin_key);
    Account { owner: Some(owner), pin: Some(pin()), ..account }
}

fn hex(key: &Ed25519Key) -> String {
    encode_string(key.public_key().as_bytes())
}

#[test]
fn an_owner_replaces_the_session_of_an_app() {
    let sandbox = sandbox();
    let (owner, old) = owned_app(&sandbox);
    let path = format!("/safe/apps/{}/session", old.user_id());
    assert_eq!(verdict(&verify(&sandbox, &old, &pin(), 99)), (0, ""));
    let wrong = Pin::new("654321").unwrap();
    assert_eq!(verdict(&verify(&sandbox, &old, &wrong, 100)), (20_119, "pin"));

    let shown = call(&sandbox, &owner, "GET", &format!("/apps/{}", old.user_id()), None)["data"].clone();
    assert_eq!(shown["app_id"], json!(old.user_id()));
    assert_eq!((&shown["name"], &shown["creator_id"]), (&json!("Bot"), &json!(owner.user_id())));
    assert_eq!((&shown["session_public_key"], &shown["has_safe"]), (&json!(hex(&key(20))), &json!(false)));

    let body = json!({ "session_public_key": hex(&key(1)) });
    let answer = call(&sandbox, &owner, "POST", &path, Some(&body));
    let new = new_session(old.user_id(), &answer, key(1));
    assert_ne!(new.session_id(), old.session_id());
    assert!(is_accepted(&sandbox, &new) && !is_accepted(&sandbox, &old));
    // New iterators, the same PIN, and the try that it cost.
    let refused = verify(&sandbox, &new, &wrong, 1);
    assert_eq!((verdict(&refused), &refused["error"]["extra"]["tries_left"]), ((20_119, "pin"), &json!(3)));
    assert_eq!(verdict(&verify(&sandbox, &new, &pin(), 2)), (0, ""));

    // The same key again: another session.
    let answer = call(&sandbox, &owner, "POST", &path, Some(&body));
    let newer = new_session(old.user_id(), &answer, key(1));
    assert!(is_accepted(&sandbox, &newer) && !is_accepted(&sandbox, &new));
    for (body, expected) in [
        (json!({}), (10_002, "not an Ed25519 key in hex")),
        (json!({ "session_public_key": key(1).public_key().to_base64_url() }), (10_002, "not an Ed25519 key in hex")),
        (json!({ "session_public_key": "0".repeat(64) }), (10_002, "not an Ed25519 key in hex")),
        (json!({ "session_public_key": "0".repeat(1 << 16) }), (10_002, "not an Ed25519 key in hex")),
        (json!([]), (400, "body")),
    ] {
        assert_eq!(verdict(&call(&sandbox, &owner, "POST", &path, Some(&body))), expected);
    }
    assert!(is_accepted(&sandbox, &newer));
}

#[test]
fn only_the_owner_manages_an_app() {
    let sandbox = sandbox();
    let (owner, bot) = owned_app(&sandbox);
    let other = register(&sandbox, Kind::Ed25519);
    let sandbox_app = Keystore::parse(sandbox.app_keystore().as_bytes()).unwrap().into_session(&mut rng()).unwrap();
    let body = json!({ "session_public_key": hex(&key(1)) });
    let refused = (403, "not an app of this user");
    for session in [&other, &bot, &sandbox_app] {
        for (method, path, body) in [
            ("GET", format!("/apps/{}", bot.user_id()), None),
            ("POST", format!("/safe/apps/{}/session", bot.user_id()), Some(&body)),
            ("POST", format!("/safe/apps/{}/register", bot.user_id()), Some(&body)),
        ] {
            assert_eq!(verdict(&call(&sandbox, session, method, &path, body)), refused, "{path}");
        }
    }
    for id in [other.user_id().to_string(), owner.user_id().to_string(), Uuid::nil().to_string(), "x".to_owned()] {
        assert_eq!(verdict(&call(&sandbox, &owner, "GET", &format!("/apps/{id}"), None)), refused, "{id}");
        let path = format!("/safe/apps/{id}/session");
        assert_eq!(verdict(&call(&sandbox, &owner, "POST", &path, Some(&body))), refused, "{id}");
    }
    assert!(is_accepted(&sandbox, &bot));
}

#[test]
fn an_owner_registers_an_app_with_the_safe_once() {
    let sandbox = sandbox();
    let (owner, bot) = owned_app(&sandbox);
    let path = format!("/safe/apps/{}/register", bot.user_id());
    let spend = TipKey::from_seed(&[9; 32]);
    let spend_hex = encode_string(spend.public_key().as_bytes());
    let body = |key: &TipKey, signed_id: Uuid| {
        json!({
            "spend_public_key": encode_string(key.public_key().as_bytes()),
            "signature_base64": URL_SAFE_NO_PAD.encode(key.sign_for_safe(signed_id)),
        })
    };
    let mut forged = body(&spend, bot.user_id());
    forged["signature_base64"] = "AAAA".into();
    for wrong in [body(&spend, owner.user_id()), forged] {
        let refused = call(&sandbox, &owner, "POST", &path, Some(&wrong));
        assert_eq!(verdict(&refused), (10_002, "not this app's id signed with this key"));
    }
    let good = body(&spend, bot.user_id());
    for _ in 0..2 {
        let answer = call(&sandbox, &owner, "POST", &path, Some(&good));
        assert_eq!(answer["data"], json!({ "spend_public_key": spend_hex }));
    }
    let me = call(&sandbox, &bot, "GET", "/safe/me", None)["data"].clone();
    assert_eq!((&me["has_safe"], &me["tip_counter"]), (&json!(true), &json!(1)));
    assert_eq!(me["tip_key_base64"], spend.public_key().to_base64_url());
    let shown = call(&sandbox, &owner, "GET", &format!("/apps/{}", bot.user_id()), None)["data"].clone();
    assert_eq!((&shown["has_safe"], &shown["spend_public_key"]), (&json!(true), &json!(spend_hex)));
    let other = body(&TipKey::from_seed(&[8; 32]), bot.user_id());
    assert_eq!(verdict(&call(&sandbox, &owner, "POST", &path, Some(&other))), (403, "has_safe"));
    // The spend key is the TIP key now.
    let nonces = MonotonicNonces::new();
    let verified = Calls::new(&bot, now(), &mut rng()).nonces(&nonces).verify_tip(&spend);
    assert_eq!(verdict(&send(&sandbox, &signed(&bot, verified))), (0, ""));
}

/// An OAuth session of a user of the sandbox's app, with these scopes.
fn oauth(sandbox: &Sandbox, user: &Session, scopes: &[&str]) -> OAuthSession {
    let (app_id, verifier) = (app(sandbox).session().user_id(), CodeVerifier::generate(&mut rng()));
    let body = json!({"client_id": app_id, "scope": scopes.join(" "), "code_challenge": verifier.challenge()});
    let waiting = post_unsigned(sandbox, "/sandbox/authorizations", &body);
    let id: Uuid = waiting["data"]["authorization_id"].as_str().unwrap().parse().unwrap();
    let body = json!({ "authorization_id": id, "scopes": scopes });
    let nonces = MonotonicNonces::new();
    let approve = Calls::new(user, now(), &mut rng()).nonces(&nonces).with_pin(
        "POST",
        "/oauth/authorize",
        body.as_object().unwrap(),
        pin(),
    );
    let approved = send(sandbox, &signed(user, approve));
    let code = approved["data"]["authorization_code"].as_str().unwrap();
    let key = Ed25519Key::generate(&mut rng());
    let exchange =
        CodeExchange { app_id, code, verifier: &verifier, client_secret: None, public_key: &key.public_key() };
    let grant = OAuthClient::exchange().base_url(sandbox.url()).send(&exchange).unwrap().done().unwrap();
    let keystore = grant.to_keystore(app_id, &key).unwrap();
    Keystore::parse(keystore.as_bytes()).unwrap().into_oauth_session().unwrap()
}

#[test]
fn an_oauth_session_of_the_owner_manages_apps_within_its_scopes() {
    let sandbox = sandbox();
    let owner = user(&sandbox, Kind::Ed25519);
    let (server, bot_key) = (key(21), key(20));
    let server_key = server.public_key().to_x25519().unwrap();
    let bot = Session::ed25519(Uuid::from_u128(0xa), Uuid::from_u128(0xb), bot_key, &server_key).unwrap();
    sandbox.add_account(&app_account(&bot, owner.user_id())).unwrap();
    let body = json!({ "session_public_key": hex(&key(1)) });
    let read = oauth(&sandbox, &owner, &["APPS:READ"]);
    let write = oauth(&sandbox, &owner, &["APPS:WRITE"]);
    let ask = |session: &OAuthSession, method, path: &str, body: Option<&Value>| {
        let body = body.map(|body| body.to_string().into_bytes());
        let request = OAuthCalls::new(session, now(), &mut rng()).other(method, path, body.as_deref()).unwrap();
        let signed = request.sign(session.signer(), &mut rng()).unwrap();
        send(&sandbox, &signed)
    };
    let path = format!("/safe/apps/{}/session", bot.user_id());
    assert_eq!(ask(&read, "GET", &format!("/apps/{}", bot.user_id()), None)["data"]["name"], "Bot");
    let refused = ask(&read, "POST", &path, Some(&body));
    assert_eq!((verdict(&refused), &refused["error"]["extra"]["needs"]), ((403, "scope"), &json!("APPS:WRITE")));
    assert_eq!(verdict(&ask(&write, "GET", &format!("/apps/{}", bot.user_id()), None)), (403, "scope"));
    for path in ["/session/secret", "/sessions/fetch"] {
        assert_eq!(verdict(&ask(&write, "POST", path, Some(&body))), (403, "oauth"));
    }
    let new = new_session(bot.user_id(), &ask(&write, "POST", &path, Some(&body)), key(1));
    assert!(is_accepted(&sandbox, &new) && !is_accepted(&sandbox, &bot));

    // Another user's authorization is for the apps of that user.
    let other = user(&sandbox, Kind::Ed25519);
    let other = oauth(&sandbox, &other, &["APPS:READ", "APPS:WRITE"]);
    assert_eq!(verdict(&ask(&other, "POST", &path, Some(&body))), (403, "not an app of this user"));
    assert!(is_accepted(&sandbox, &new));
}

#[test]
fn sessions_are_fetched_by_user_id() {
    let sandbox = sandbox();
    let (rsa, ed25519) = (register(&sandbox, Kind::Rsa1024), register(&sandbox, Kind::Ed25519));
    let fetch = |ids: Value| call(&sandbox, &rsa, "POST", "/sessions/fetch", Some(&ids));
    let body = json!({ "session_secret": key(1).public_key().to_base64_url() });
    assert_eq!(verdict(&call(&sandbox, &ed25519, "POST", "/session/secret", Some(&body))), (0, ""));
    let answer = fetch(json!([rsa.user_id(), Uuid::nil(), ed25519.user_id()]));
    let row = |session: &Session, public_key: &str| {
        json!({ "user_id": session.user_id(), "session_id": session.session_id(), "public_key": public_key,
            "platform": "" })
    };
    let public_key = key(1).public_key().to_x25519().unwrap().to_base64_url();
    assert_eq!(answer["data"], json!([row(&rsa, ""), row(&ed25519, &public_key)]));
    assert_eq!(fetch(json!([]))["data"], json!([]));
    for (ids, expected) in [
        (json!({}), (400, "body")),
        (json!(["x"]), (400, "body")),
        (json!([7]), (400, "body")),
        (json!(vec![Uuid::nil(); 10_000]), (10_002, "more than 1000 ids")),
    ] {
        assert_eq!(verdict(&fetch(ids)), expected);
    }
    // Neither kind of body can begin in the path.
    let split = call(&sandbox, &rsa, "POST", "/sessions/fetch[", Some(&json!([])));
    assert_eq!(verdict(&split), (400, "path"));
}

#[test]
fn of_concurrent_changes_one_is_done_and_no_request_fails() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { database: Some(folder.path().join("sandbox.db")), ..Config::default() };
    // Two sandboxes share the database, as two processes may.
    let sandboxes = [Sandbox::start(&config).unwrap(), Sandbox::start(&config).unwrap()];
    for round in 0..5 {
        let old = user(&sandboxes[0], Kind::Rsa1024);
        let keys: Vec<Ed25519Key> = (0..4).map(|place| key(100 + 10 * round + place)).collect();
        let done = std::thread::scope(|scope| {
            let readers: Vec<_> = sandboxes
                .iter()
                .map(|sandbox| {
                    let old = &old;
                    scope.spawn(move || {
                        for _ in 0..20 {
                            is_accepted(sandbox, old);
                        }
                    })
                })
                .collect();
            let changes: Vec<_> = keys
                .iter()
                .enumerate()
                .map(|(place, key)| {
                    let (sandbox, old) = (&sandboxes[place % 2], &old);
                    scope.spawn(move || {
                        let answer = if place < 2 {
                            post_unsigned(sandbox, "/legacy/users", &upgrade(old, Kind::Rsa1024, key))
                        } else {
                            let body = json!({ "session_secret": key.public_key().to_base64_url() });
                            call(sandbox, old, "POST", "/session/secret", Some(&body))
                        };
                        match verdict(&answer) {
                            (0, _) => true,
                            (401, "session" | "token_algorithm") => false,
                            other => panic!("{other:?}"),
                        }
                    })
                })
                .collect();
            for reader in readers {
                reader.join().unwrap();
            }
            changes.into_iter().map(|change| change.join().unwrap()).collect::<Vec<bool>>()
        });
        assert_eq!(done.iter().filter(|done| **done).count(), 1, "{done:?}");
        let winner = done.iter().position(|done| *done).unwrap();
        let seed = Ed25519Key::from_bytes(keys[winner].expose_seed()).unwrap();
        // The other sandbox knows at once.
        for sandbox in &sandboxes {
            let server = key(1).public_key().to_x25519().unwrap();
            let seed = Ed25519Key::from_bytes(seed.expose_seed()).unwrap();
            let new = Session::ed25519(old.user_id(), old.session_id(), seed, &server).unwrap();
            assert!(is_accepted(sandbox, &new) && !is_accepted(sandbox, &old));
        }
    }
}

#[test]
fn accounts_whose_sessions_have_changed_are_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { database: Some(folder.path().join("sandbox.db")), ..Config::default() };
    let sandbox = Sandbox::start(&config).unwrap();
    let (owner, bot) = owned_app(&sandbox);
    let old_app = app(&sandbox);
    let path = format!("/safe/apps/{}/session", bot.user_id());
    let body = json!({ "session_public_key": hex(&key(1)) });
    let answer = call(&sandbox, &owner, "POST", &path, Some(&body));
    let new = new_session(bot.user_id(), &answer, key(1));
    sandbox.stop().unwrap();

    let sandbox = Sandbox::start(&config).unwrap();
    assert_eq!(app(&sandbox).session().user_id(), old_app.session().user_id(), "the app's keystore works");
    sandbox.add_account(&app_account(&bot, owner.user_id())).unwrap();
    assert!(is_accepted(&sandbox, &new) && !is_accepted(&sandbox, &bot));
    let taken = Account::new(
        Uuid::from_u128(0xc),
        bot.session_id(),
        "Other",
        VerifyingKey::Ed25519(key(5).public_key()),
        PinKey::from_bytes(&[1; 32]).unwrap(),
    );
    assert!(matches!(sandbox.add_account(&taken), Err(Error::AccountExists { .. })));

    // The sandbox's own app replaces its key. Its keystore is dead, so the next run has another app.
    let secret = json!({ "session_secret": key(2).public_key().to_base64_url() });
    old_app_call(&sandbox, &secret);
    sandbox.stop().unwrap();
    let sandbox = Sandbox::start(&config).unwrap();
    let newer_app = app(&sandbox);
    assert_ne!(newer_app.session().user_id(), old_app.session().user_id());
    assert!(is_accepted(&sandbox, &register(&sandbox, Kind::Ed25519)), "the new app registers users");
}

fn old_app_call(sandbox: &Sandbox, body: &Value) {
    let app = Keystore::parse(sandbox.app_keystore().as_bytes()).unwrap().into_session(&mut rng()).unwrap();
    assert_eq!(verdict(&call(sandbox, &app, "POST", "/session/secret", Some(body))), (0, ""));
}

#[test]
fn an_app_needs_an_owner_who_is_a_user() {
    let sandbox = sandbox();
    let (owner, bot) = owned_app(&sandbox);
    for owner in [Uuid::nil(), bot.user_id(), app(&sandbox).session().user_id()] {
        let account = Account { owner: Some(owner), ..other_account(1) };
        assert!(matches!(sandbox.add_account(&account), Err(Error::AccountOwner { user_id }) if user_id == owner));
    }
    // The owner may come last.
    let late = other_account(2);
    let account = Account { owner: Some(late.user_id), ..other_account(1) };
    sandbox.add_accounts([&account, &late]).unwrap();
    sandbox.add_account(&Account { owner: Some(owner.user_id()), ..other_account(3) }).unwrap();
}

fn other_account(id: u128) -> Account {
    Account::new(
        Uuid::from_u128(0xf00 + id),
        Uuid::from_u128(0xe00 + id),
        "Other",
        VerifyingKey::Ed25519(key(5).public_key()),
        PinKey::from_bytes(&[1; 32]).unwrap(),
    )
}
