//! OAuth keystores: reading calls work, PIN calls are refused.

mod common;

use common::{private, run, text};
use mixin_pin_core::{CodeVerifier, Ed25519Key, Pin, SystemRng};
use mixin_pin_http::{Client, OAuthClient};
use mixin_pin_protocol::keystore::{Keystore, ServerKey, write_ed25519};
use mixin_pin_protocol::oauth::CodeExchange;
use mixin_pin_sandbox::{Config, Sandbox};
use serde_json::{Value, json};

fn client(sandbox: &Sandbox, keystore: &str) -> Client {
    let session = Keystore::parse(keystore.as_bytes()).unwrap().into_session(&mut SystemRng::new().unwrap()).unwrap();
    Client::builder(session).base_url(sandbox.url()).build().unwrap()
}

/// The keystore of an app that may read a user's profile.
fn granted(sandbox: &Sandbox) -> String {
    let rng = &mut SystemRng::new().unwrap();
    let app = client(sandbox, sandbox.app_keystore());
    let key = Ed25519Key::generate(rng);
    let user = app.register(&mixin_pin_core::token::VerifyingKey::Ed25519(key.public_key()), "A User");
    let user = user.unwrap().done().unwrap();
    let server = ServerKey::Ed25519(mixin_pin_core::Ed25519PublicKey::from_text(&user.server_public_key).unwrap());
    let user = client(sandbox, &write_ed25519(user.user_id, user.session_id.unwrap(), &key, &server));
    let pin = Pin::new("123456").unwrap();
    user.create_pin(&pin).unwrap().done().unwrap();

    let (app_id, verifier) = (app.session().user_id(), CodeVerifier::generate(rng));
    let ask = json!({"client_id": app_id, "scope": "PROFILE:READ", "code_challenge": verifier.challenge()});
    let waiting: Value = app.call("POST", "/sandbox/authorizations", Some(&ask)).unwrap().done().unwrap();
    let body = json!({"authorization_id": waiting["authorization_id"], "scopes": ["PROFILE:READ"]});
    let body = body.as_object().unwrap().clone();
    let approved: Value = user.call_with_pin("POST", "/oauth/authorize", &body, &pin).unwrap().done().unwrap();

    let (code, public_key) = (approved["authorization_code"].as_str().unwrap(), key.public_key());
    let exchange = CodeExchange { app_id, code, verifier: &verifier, client_secret: None, public_key: &public_key };
    let grant = OAuthClient::exchange().base_url(sandbox.url()).send(&exchange).unwrap().done().unwrap();
    grant.to_keystore(app_id, &key).unwrap().to_string()
}

#[test]
fn an_oauth_keystore_reads_and_is_refused_a_pin() {
    let sandbox = Sandbox::start(&Config::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oauth.json");
    private(&path, &granted(&sandbox));
    let (path, url) = (text(&path), sandbox.url());

    let checked = run(&["keystore", "check", "--json", path], b"").done().json();
    assert_eq!((&checked["shape"], &checked["complete"]), (&json!("oauth"), &json!(true)));
    let me = run(&["me", "--json", "--api", &url, "--keystore", path], b"").done().json();
    assert_eq!(me["user"]["full_name"], "A User");
    let session = ["--json", "call", "--api", &url, "--keystore", path];
    let call = |args: &[&str]| run(&[&session[..], args].concat(), b"123456\n");
    assert_eq!(call(&["GET", "/safe/me"]).done().json()["has_pin"], true);
    assert_eq!(call(&["GET", "/logs"]).json()["error"]["code"], 403);

    for args in
        [&["POST", "/transfers", "--with-pin", "--pin-stdin"][..], &["POST", "/x", "--tip", "read-emergency-contact"]]
    {
        let refused = call(args);
        assert!(refused.code == 2 && refused.stdout.contains("an OAuth session has no PIN"), "{refused:?}");
    }
    for command in ["verify", "update"] {
        let refused = run(&[command, "--json", "--api", &url, "--keystore", path, "--pin-stdin"], b"123456\n");
        assert_eq!((refused.code, refused.kind().as_str()), (2, "keystore"));
        assert!(refused.stdout.contains("use a keystore of your own session"), "{refused:?}");
    }
}
