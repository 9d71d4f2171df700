//! Keystores written in the shapes of other clients: what each holds, what it cannot hold, and what is left out.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use mixin_pin_protocol::KeystoreError;
use mixin_pin_protocol::core::rand_core::CryptoRng;
use mixin_pin_protocol::core::{Ed25519Key, Error as CoreError, X25519PublicKey};
use mixin_pin_protocol::keystore::{Keystore, OutputShape, ServerKey};
use serde_json::{Value, json};

const RSA_BOT: &str = include_str!("../testdata/keystore-rsa-bot.json");
const ED25519_BOT: &str = include_str!("../testdata/keystore-ed25519-bot.json");
const DASHBOARD: &str = include_str!("../testdata/keystore-dashboard.json");
const BARE_USER: &str = include_str!("../testdata/keystore-bare-user.json");
const OAUTH: &str = include_str!("../testdata/keystore-oauth.json");
const NODE_OAUTH: &str = include_str!("../testdata/keystores/node-oauth.json");
const REMOTE: &str = include_str!("../testdata/keystore-remote-signer.json");

fn rng() -> impl CryptoRng {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

fn parse(text: &str) -> Keystore {
    Keystore::parse(text.as_bytes()).unwrap()
}

fn with(text: &str, changes: &[(&str, Value)]) -> String {
    let mut keystore: Value = serde_json::from_str(text).unwrap();
    for (field, value) in changes {
        keystore[field] = value.clone();
    }
    keystore.to_string()
}

fn written(text: &str, shape: OutputShape) -> Value {
    serde_json::from_str(&parse(text).write(shape, false).unwrap().text).unwrap()
}

/// What a shape cannot hold, without the advice after it.
fn refused(text: &str, shape: OutputShape) -> &'static str {
    match parse(text).write(shape, false) {
        Err(KeystoreError::CannotHold { shape: named, what }) if named == shape => what.split(';').next().unwrap(),
        other => panic!("{shape}: {other:?}"),
    }
}

#[test]
fn every_shape_gives_the_same_session_again() {
    for text in [RSA_BOT, ED25519_BOT, DASHBOARD, BARE_USER] {
        let is_rsa = text == RSA_BOT;
        for shape in OutputShape::ALL {
            if is_rsa && !matches!(shape, OutputShape::Bot | OutputShape::Ruby) {
                assert_eq!(refused(text, shape), "an RSA session");
                continue;
            }
            let keystore = parse(text);
            let written = keystore.write(shape, true).unwrap();
            assert!(format!("{written:?}").starts_with("Written { left_out: ["), "{shape}");
            let again = parse(&written.text);
            assert_eq!(again.notes(), [], "{shape}");
            assert_eq!((again.user_id(), again.session_id()), (keystore.user_id(), keystore.session_id()), "{shape}");
            assert_eq!(
                (again.public_key(), again.pin_token()),
                (keystore.public_key(), keystore.pin_token()),
                "{shape}"
            );
            let [one, two] = [keystore, again].map(|keystore| keystore.into_session(&mut rng()).unwrap());
            assert!(one.pin_key().is_same(two.pin_key()), "{shape}");
        }
    }
}

#[test]
fn every_shape_has_the_fields_that_its_client_reads() {
    let seed = "dd9559bb3600378f1d123f9196d4b2b9a73f40ffa4e823481a8920e5b9df92d3";
    let server = "387380cc8553d6fad4be2ecd6db5edf16ed6305ecc3f38fda9c28df31a022e80";
    let (user, session) = ("f3e9d3e5-c473-4bc2-a9b6-5b730a7a8575", "b7bce11c-e816-4769-a90a-c61b413be460");
    let of_app = json!({
        "app_id": user, "session_id": session, "session_private_key": seed, "server_public_key": server,
    });
    let of_user = json!({
        "user_id": user, "session_id": session, "session_private_key": seed, "server_public_key": server,
    });
    for text in [DASHBOARD, BARE_USER] {
        for (shape, expected) in [
            (OutputShape::Dashboard, of_app.clone()),
            (OutputShape::Node, of_app.clone()),
            (OutputShape::Ruby, of_app.clone()),
            (OutputShape::User, of_user.clone()),
            (OutputShape::Bot, serde_json::from_str(ED25519_BOT).unwrap()),
        ] {
            assert_eq!(written(text, shape), expected, "{shape}");
        }
    }
    let rsa: Value = serde_json::from_str(RSA_BOT).unwrap();
    assert_eq!(written(RSA_BOT, OutputShape::Bot), rsa);
    let token = URL_SAFE.encode(STANDARD.decode(rsa["pin_token"].as_str().unwrap()).unwrap());
    let expected = json!({
        "app_id": rsa["client_id"], "session_id": rsa["session_id"], "session_private_key": rsa["private_key"],
        "server_public_key": token,
    });
    assert_eq!(written(RSA_BOT, OutputShape::Ruby), expected);
}

#[test]
fn an_oauth_authorization_goes_where_clients_have_one() {
    assert_eq!(written(OAUTH, OutputShape::Bot), serde_json::from_str::<Value>(OAUTH).unwrap());
    let seed = "dd9559bb3600378f1d123f9196d4b2b9a73f40ffa4e823481a8920e5b9df92d3";
    let expected = json!({
        "app_id": "f3e9d3e5-c473-4bc2-a9b6-5b730a7a8575",
        "authorization_id": "b7bce11c-e816-4769-a90a-c61b413be460",
        "scope": "PROFILE:READ",
        "session_private_key": seed,
    });
    assert_eq!(written(OAUTH, OutputShape::Node), expected);
    assert_eq!(written(NODE_OAUTH, OutputShape::Node), serde_json::from_str::<Value>(NODE_OAUTH).unwrap());
    assert_eq!(refused(NODE_OAUTH, OutputShape::Bot), "an authorization without the server's key");
    for shape in [OutputShape::Dashboard, OutputShape::User, OutputShape::Ruby] {
        assert_eq!(refused(OAUTH, shape), "an OAuth authorization");
    }
    for shape in OutputShape::ALL {
        assert_eq!(refused(REMOTE, shape), "a session without its private key");
    }
    let odd = with(OAUTH, &[("scope", json!("a \"b\" \\ \n"))]);
    assert_eq!(written(&odd, OutputShape::Node)["scope"], json!("a \"b\" \\ \n"));
}

#[test]
fn a_servers_key_is_read_as_its_answer_has_it() {
    let key = Ed25519Key::from_bytes(&[7; 32]).unwrap().public_key();
    let x25519 = key.to_x25519().unwrap();
    let spki =
        [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00], &key.as_bytes()[..]].concat();
    for text in [base16ct::lower::encode_string(key.as_bytes()), STANDARD.encode(spki)] {
        assert_eq!(ServerKey::from_text(&text).unwrap(), ServerKey::Ed25519(key.clone()), "{text}");
    }
    for text in [x25519.to_base64_url(), STANDARD.encode(x25519.as_bytes())] {
        assert_eq!(ServerKey::from_text(&text).unwrap(), ServerKey::X25519(x25519.clone()), "{text}");
    }
    for text in ["", "AAAA", "!", &"02".repeat(32)] {
        assert_eq!(ServerKey::from_text(text).unwrap_err(), CoreError::PublicKey, "{text}");
    }
    assert_eq!(ServerKey::from_text(&STANDARD.encode([0; 32])).unwrap_err(), CoreError::KeyAgreement);
}

#[test]
fn a_servers_key_off_the_curve_stays_what_it_is() {
    let twisted =
        (2..=255).map(|at| X25519PublicKey::from_bytes(&[at; 32]).unwrap()).find(|key| key.to_ed25519().is_err());
    let twisted = twisted.unwrap().to_base64_url();
    let text = with(ED25519_BOT, &[("pin_token", json!(twisted))]);
    assert_eq!(written(&text, OutputShape::Node)["pin_token_base64"], json!(twisted));
    assert_eq!(written(&text, OutputShape::Bot)["pin_token"], json!(twisted));
    for shape in [OutputShape::Dashboard, OutputShape::User, OutputShape::Ruby] {
        assert_eq!(refused(&text, shape), "this server's key, which is no point of the Edwards curve");
    }
}

#[test]
fn the_spend_key_goes_along_when_asked_for_and_where_it_has_a_place() {
    use OutputShape::{Bot, Dashboard, Node, Ruby, User};
    let (seed, pair) = ("42".repeat(32), {
        let key = Ed25519Key::from_bytes(&[0x42; 32]).unwrap();
        STANDARD.encode([&key.expose_seed()[..], key.public_key().as_bytes()].concat())
    });
    let secrets = [("pin", json!("271828")), ("client_secret", json!("c0ffee")), ("safe_key", json!(pair))];
    let text = with(DASHBOARD, &secrets);
    let sum = with(&text, &[("is_spend_private_sum", json!(true))]);
    for (shape, place, of_sum) in [
        (Dashboard, Some("spend_private_key"), None),
        (User, Some("spend_private_key"), Some("spend_private_key")),
        (Bot, Some("spend_key"), Some("spend_key")),
        (Ruby, Some("spend_key"), None),
        (Node, None, None),
    ] {
        for (text, place, is_sum) in [(&text, place, false), (&sum, of_sum, true)] {
            let without = parse(text).write(shape, false).unwrap();
            assert_eq!(without.left_out, ["pin", "safe_key", "client_secret"], "{shape}");
            assert!(!without.text.contains("spend") && !without.text.contains("271828"), "{shape}");

            let whole = parse(text).write(shape, true).unwrap();
            let fields: Value = serde_json::from_str(&whole.text).unwrap();
            assert!(!whole.text.contains("271828") && !whole.text.contains("c0ffee"), "{shape}");
            let Some(place) = place else {
                assert_eq!(whole.text, without.text, "{shape}");
                continue;
            };
            assert_eq!(whole.left_out, ["pin", "client_secret"], "{shape}");
            assert_eq!(fields[place], json!(seed), "{shape}");
            assert_eq!(fields.get("is_spend_private_sum"), is_sum.then_some(&json!(true)), "{shape}");
        }
    }
    let damaged = with(DASHBOARD, &[("spend_key", json!("4242"))]);
    assert!(parse(&damaged).write(Dashboard, false).is_ok());
    let error = parse(&damaged).write(Dashboard, true).unwrap_err();
    assert_eq!(error, KeystoreError::Field { field: "spend_key", cause: CoreError::Ed25519Key });
    let mut taken = parse(&text);
    assert!(taken.take_spend_key().is_some());
    assert_eq!(taken.write(Dashboard, true).unwrap().left_out, ["pin", "safe_key", "client_secret"]);
}

#[test]
fn a_token_that_rubys_client_would_misread_is_refused() {
    // Six digits in a row: 128 bytes whose base64 begins with them.
    let token = STANDARD.encode([&STANDARD.decode("12345678").unwrap()[..], &[0; 122]].concat());
    let text = with(RSA_BOT, &[("pin_token", json!(token))]);
    assert_eq!(refused(&text, OutputShape::Ruby), "this PIN token, which mixin_bot does not decode");
    assert!(parse(&text).write(OutputShape::Bot, false).is_ok());
}

#[test]
fn the_next_session_has_the_same_user_and_the_spend_key_and_no_other_secret() {
    let (key, server) = (Ed25519Key::from_bytes(&[7; 32]).unwrap(), Ed25519Key::from_bytes(&[8; 32]).unwrap());
    // About half of all X25519 keys are no point of the Edwards curve.
    let off_curve = (2..=32).map(|byte| X25519PublicKey::from_bytes(&[byte; 32]).unwrap());
    let off_curve = off_curve.into_iter().find(|key| key.to_ed25519().is_err()).unwrap();
    let named = [
        ServerKey::Ed25519(server.public_key()),
        ServerKey::X25519(server.public_key().to_x25519().unwrap()),
        ServerKey::X25519(off_curve),
    ];
    let session_id = "6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e".parse().unwrap();
    let seed = "42".repeat(32);
    for text in [RSA_BOT, ED25519_BOT, DASHBOARD, BARE_USER] {
        let text = with(
            text,
            &[("pin", json!("271828")), ("spend_private_key", json!(seed)), ("client_secret", json!("c0ffee"))],
        );
        for (server, field) in named.iter().zip(["server_public_key", "server_public_key", "pin_token_base64"]) {
            for (is_app, is_scalar, id_field) in
                [(false, false, "user_id"), (true, false, "app_id"), (false, true, "user_id"), (true, true, "user_id")]
            {
                let old = parse(&with(&text, &[("is_spend_private_sum", json!(is_scalar))]));
                let written = old.write_next(is_app, session_id, &key, server).unwrap();
                assert_eq!(written.left_out, ["pin", "client_secret"]);
                let fields: Value = serde_json::from_str(&written.text).unwrap();
                assert!(!fields[id_field].is_null() && !fields[field].is_null(), "{fields}");
                assert_eq!(fields["spend_private_key"], json!(seed));
                assert_eq!(fields.get("is_spend_private_sum"), is_scalar.then_some(&json!(true)));
                let mut new = parse(&written.text);
                assert_eq!((new.user_id(), new.session_id()), (old.user_id(), session_id));
                assert!(new.take_spend_key().is_some());
                let expected = server.to_x25519().unwrap().to_base64_url();
                assert_eq!(new.pin_token(), Some(expected));
                new.into_session(&mut rng()).unwrap();
            }
        }
    }
    let damaged = parse(&with(DASHBOARD, &[("spend_private_key", json!("4242"))]));
    let error = damaged.write_next(true, session_id, &key, &named[0]).unwrap_err();
    assert_eq!(error, KeystoreError::Field { field: "spend_private_key", cause: CoreError::Ed25519Key });
}

#[test]
fn an_unfinished_keystore_is_no_keystore() {
    for text in [RSA_BOT, ED25519_BOT, DASHBOARD, BARE_USER, OAUTH, REMOTE] {
        let text = with(text, &[("unfinished", json!("session upgrade"))]);
        assert_eq!(Keystore::parse(text.as_bytes()).unwrap_err(), KeystoreError::Unfinished);
    }
}
