//! Every shape of keystore, and the errors of incomplete and damaged ones.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mixin_pin_protocol::KeystoreError;
use mixin_pin_protocol::core::Error as CoreError;
use mixin_pin_protocol::core::token::Algorithm;
use mixin_pin_protocol::keystore::{FileFormat, Keystore, KeystoreShape, write_remote};
use serde_json::{Value, json};

const RSA_BOT: &str = include_str!("../testdata/keystore-rsa-bot.json");
const ED25519_BOT: &str = include_str!("../testdata/keystore-ed25519-bot.json");
const DASHBOARD: &str = include_str!("../testdata/keystore-dashboard.json");
const BARE_USER: &str = include_str!("../testdata/keystore-bare-user.json");
const OAUTH: &str = include_str!("../testdata/keystore-oauth.json");
const REMOTE: &str = include_str!("../testdata/keystore-remote-signer.json");

fn rng() -> getrandom::rand_core::UnwrapErr<getrandom::SysRng> {
    getrandom::rand_core::UnwrapErr(getrandom::SysRng)
}

fn parse(text: &str) -> Result<Keystore, KeystoreError> {
    Keystore::parse(text.as_bytes())
}

/// The keystore with one field changed, or removed if the value is null.
fn changed(text: &str, field: &str, value: Value) -> String {
    let mut keystore: Value = serde_json::from_str(text).unwrap();
    let fields = keystore.as_object_mut().unwrap();
    if value.is_null() {
        fields.remove(field).expect("the field was there");
    } else {
        fields.insert(field.to_owned(), value);
    }
    keystore.to_string()
}

#[test]
fn every_shape_is_recognised_and_makes_its_session() {
    for (text, shape, algorithm) in [
        (RSA_BOT, KeystoreShape::RsaBot, Algorithm::Rs512),
        (ED25519_BOT, KeystoreShape::Ed25519Bot, Algorithm::EdDsa),
        (DASHBOARD, KeystoreShape::Dashboard, Algorithm::EdDsa),
        (BARE_USER, KeystoreShape::BareUser, Algorithm::EdDsa),
    ] {
        let keystore = parse(text).unwrap();
        assert_eq!(keystore.shape(), shape);
        assert_eq!(keystore.public_key().unwrap().algorithm(), algorithm);
        assert_eq!(keystore.algorithm(), algorithm);
        let session_id = keystore.session_id();
        assert_eq!(keystore.into_session(&mut rng()).unwrap().session_id(), session_id);
    }
}

#[test]
fn the_shapes_of_one_session_share_its_pin_key() {
    let keys: Vec<_> = [ED25519_BOT, DASHBOARD, BARE_USER]
        .map(|text| *parse(text).unwrap().into_session(&mut rng()).unwrap().pin_key().expose())
        .into();
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn an_oauth_keystore_is_read_but_makes_no_pin_session() {
    let keystore = parse(OAUTH).unwrap();
    assert_eq!(keystore.shape(), KeystoreShape::OAuth);
    assert_eq!(keystore.into_session(&mut rng()).unwrap_err(), KeystoreError::OAuth);
}

#[test]
fn a_keystore_for_a_remote_signer_has_the_pin_key_and_no_private_key() {
    let whole = parse(DASHBOARD).unwrap().into_session(&mut rng()).unwrap();
    assert_eq!(*write_remote(&whole), REMOTE);

    let keystore = parse(REMOTE).unwrap();
    assert_eq!((keystore.shape(), keystore.algorithm()), (KeystoreShape::RemoteSigner, Algorithm::EdDsa));
    assert_eq!((keystore.user_id(), keystore.session_id()), (whole.user_id(), whole.session_id()));
    assert!(keystore.public_key().is_none() && keystore.further_secrets().is_empty());
    let debug = format!("{keystore:?}");
    let hex = serde_json::from_str::<Value>(REMOTE).unwrap()["pin_key"].as_str().unwrap().to_owned();
    assert!(!debug.contains(&hex[..8]), "{debug}");
    let remote = keystore.into_remote_session().unwrap();
    assert_eq!((remote.user_id(), remote.session_id()), (whole.user_id(), whole.session_id()));
    assert_eq!((*remote.signer(), remote.pin_key().expose()), (Algorithm::EdDsa, whole.pin_key().expose()));
    assert_eq!(format!("{remote:?}"), format!("{whole:?}"));

    assert_eq!(parse(REMOTE).unwrap().into_session(&mut rng()).unwrap_err(), KeystoreError::RemoteSigner);
    assert_eq!(parse(REMOTE).unwrap().into_oauth_session().unwrap_err(), KeystoreError::NotOAuth);
    for text in [RSA_BOT, ED25519_BOT, DASHBOARD, BARE_USER, OAUTH] {
        assert_eq!(parse(text).unwrap().into_remote_session().unwrap_err(), KeystoreError::NotRemote);
    }
}

#[test]
fn the_pin_key_may_be_base64_and_the_algorithm_rs512() {
    let pin_key = *parse(REMOTE).unwrap().into_remote_session().unwrap().pin_key().expose();
    let text = changed(REMOTE, "pin_key", json!(URL_SAFE_NO_PAD.encode(pin_key)));
    let text = changed(&text, "algorithm", json!("RS512"));
    let remote = parse(&text).unwrap().into_remote_session().unwrap();
    assert_eq!((*remote.signer(), remote.pin_key().expose()), (Algorithm::Rs512, &pin_key));

    let whole = parse(RSA_BOT).unwrap().into_session(&mut rng()).unwrap();
    let remote = parse(&write_remote(&whole)).unwrap().into_remote_session().unwrap();
    assert_eq!((*remote.signer(), remote.pin_key().expose()), (Algorithm::Rs512, whole.pin_key().expose()));
}

#[test]
fn a_private_key_in_the_file_is_used_and_the_pin_key_is_named() {
    let text = changed(DASHBOARD, "pin_key", json!("00".repeat(32)));
    let keystore = parse(&changed(&text, "algorithm", json!("RS512"))).unwrap();
    assert_eq!((keystore.shape(), keystore.algorithm()), (KeystoreShape::Dashboard, Algorithm::EdDsa));
    assert_eq!(keystore.further_secrets(), ["pin_key"]);
    assert_ne!(keystore.into_session(&mut rng()).unwrap().pin_key().expose(), &[0; 32]);
}

#[test]
fn further_secrets_in_a_keystore_are_named_and_not_shown() {
    let text = changed(BARE_USER, "pin", json!("271828"));
    let keystore = parse(&text).unwrap();
    assert_eq!(keystore.further_secrets(), ["pin", "spend_private_key"]);
    let debug = format!("{keystore:?}");
    assert!(!debug.contains("271828") && !debug.contains("dd9559bb"), "{debug}");
}

#[test]
fn each_missing_field_is_named() {
    for (text, shape, field, named) in [
        (RSA_BOT, KeystoreShape::RsaBot, "client_id", "client_id (or user_id)"),
        (RSA_BOT, KeystoreShape::RsaBot, "session_id", "session_id"),
        (RSA_BOT, KeystoreShape::RsaBot, "pin_token", "pin_token"),
        (ED25519_BOT, KeystoreShape::Ed25519Bot, "pin_token", "pin_token (or pin_token_base64)"),
        (DASHBOARD, KeystoreShape::Dashboard, "server_public_key", "server_public_key"),
        (DASHBOARD, KeystoreShape::Dashboard, "session_id", "session_id"),
        (BARE_USER, KeystoreShape::BareUser, "user_id", "user_id"),
        (OAUTH, KeystoreShape::OAuth, "scope", "scope"),
        (OAUTH, KeystoreShape::OAuth, "private_key", "private_key"),
        (OAUTH, KeystoreShape::OAuth, "client_id", "client_id (or user_id)"),
        (REMOTE, KeystoreShape::RemoteSigner, "pin_key", "pin_key"),
        (REMOTE, KeystoreShape::RemoteSigner, "algorithm", "algorithm"),
        (REMOTE, KeystoreShape::RemoteSigner, "session_id", "session_id"),
        (REMOTE, KeystoreShape::RemoteSigner, "user_id", "user_id (or app_id)"),
    ] {
        let expected = KeystoreError::Missing { shape, field: named };
        assert_eq!(parse(&changed(text, field, Value::Null)).unwrap_err(), expected, "without {field}");
        assert_eq!(parse(&changed(text, field, json!(""))).unwrap_err(), expected, "with an empty {field}");
    }
    assert_eq!(parse(&changed(RSA_BOT, "private_key", Value::Null)).unwrap_err(), KeystoreError::NoKey);
    assert_eq!(parse("{}").unwrap_err(), KeystoreError::NoKey);
}

#[test]
fn each_damaged_field_is_named_and_its_value_is_not() {
    const MARK: &str = "c0ffee!mark";
    let key = |field, cause| KeystoreError::Field { field, cause };
    for (text, field, value, expected) in [
        (RSA_BOT, "private_key", json!(format!("-----BEGIN {MARK}")), key("private_key", CoreError::RsaPem)),
        (RSA_BOT, "pin_token", json!(MARK), KeystoreError::NotEncoded { field: "pin_token" }),
        (RSA_BOT, "session_id", json!(MARK), KeystoreError::NotUuid { field: "session_id" }),
        (ED25519_BOT, "private_key", json!(MARK), KeystoreError::NotEncoded { field: "private_key" }),
        (ED25519_BOT, "pin_token", json!(MARK), KeystoreError::NotEncoded { field: "pin_token" }),
        (DASHBOARD, "session_private_key", json!([MARK]), KeystoreError::NotString { field: "session_private_key" }),
        (DASHBOARD, "session_private_key", json!(7), KeystoreError::NotString { field: "session_private_key" }),
        (DASHBOARD, "server_public_key", json!(MARK), KeystoreError::NotEncoded { field: "server_public_key" }),
        // A point of neither curve.
        (DASHBOARD, "server_public_key", json!("02".repeat(32)), key("server_public_key", CoreError::PublicKey)),
        (REMOTE, "pin_key", json!(MARK), key("pin_key", CoreError::PinKeyLength)),
        (REMOTE, "pin_key", json!(7), KeystoreError::NotString { field: "pin_key" }),
        (REMOTE, "algorithm", json!(MARK), KeystoreError::Algorithm),
        (REMOTE, "algorithm", json!("eddsa"), KeystoreError::Algorithm),
        (DASHBOARD, "app_id", json!({ "mark": MARK }), KeystoreError::NotString { field: "app_id" }),
    ] {
        let error = parse(&changed(text, field, value)).unwrap_err();
        assert_eq!(error, expected, "{field}");
        assert!(!error.to_string().contains(MARK) && !format!("{error:?}").contains(MARK), "{error}");
    }
}

#[test]
fn two_users_in_one_keystore_are_refused() {
    let text = changed(DASHBOARD, "user_id", json!("06aed1e3-bd77-4a59-991a-5bb5ae6fbb09"));
    assert_eq!(parse(&text).unwrap_err(), KeystoreError::Conflict { first: "app_id", second: "user_id" });
}

#[test]
fn a_pin_token_of_another_session_is_refused() {
    let text = changed(RSA_BOT, "session_id", json!("06aed1e3-bd77-4a59-991a-5bb5ae6fbb09"));
    let error = parse(&text).unwrap().into_session(&mut rng()).unwrap_err();
    assert_eq!(error, KeystoreError::Field { field: "pin_token", cause: CoreError::PinToken });
}

#[test]
fn files_that_are_no_keystores_have_their_own_error() {
    assert_eq!(Keystore::parse(b"{\"pin\": \"\xff\"}").unwrap_err(), KeystoreError::NotText);
    assert_eq!(parse("{\n  \"pin\": 7,\n  oops").unwrap_err(), KeystoreError::NotJson { line: 3, column: 3 });
    for text in ["\"text\"", "7", "null"] {
        assert!(matches!(parse(text), Err(KeystoreError::NotJson { .. })), "{text}");
    }
    assert_eq!(parse("").unwrap_err(), KeystoreError::Format(FileFormat::Empty));
    assert_eq!(parse("[]").unwrap_err(), KeystoreError::Format(FileFormat::List));
}

#[test]
fn a_written_keystore_is_read_back() {
    use mixin_pin_protocol::core::uuid::Uuid;
    use mixin_pin_protocol::core::{Ed25519Key, PinKey, RsaKey};
    use mixin_pin_protocol::keystore::{ServerKey, write_app, write_ed25519, write_rsa};

    let (user, session) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let rsa: Value = serde_json::from_str(RSA_BOT).unwrap();
    let key = RsaKey::from_pem(rsa["private_key"].as_str().unwrap()).unwrap();
    let pin_key = PinKey::generate(&mut rng());
    let pin_token = key.public_key().wrap_pin_key(&pin_key, session, &mut rng()).unwrap();
    let text = write_rsa(user, session, &key, &pin_token).unwrap();
    let read = parse(&text).unwrap();
    assert_eq!((read.shape(), read.user_id(), read.session_id()), (KeystoreShape::RsaBot, user, session));
    assert_eq!(read.into_session(&mut rng()).unwrap().pin_key().expose(), pin_key.expose());

    let key = Ed25519Key::generate(&mut rng());
    let server = Ed25519Key::generate(&mut rng()).public_key();
    for server in [ServerKey::Ed25519(server.clone()), ServerKey::X25519(server.to_x25519().unwrap())] {
        let texts = [write_ed25519(user, session, &key, &server), write_app(user, session, &key, &server)];
        for (text, shape) in texts.iter().zip([KeystoreShape::BareUser, KeystoreShape::Dashboard]) {
            let read = parse(text).unwrap();
            assert_eq!((read.shape(), read.user_id(), read.session_id()), (shape, user, session));
        }
    }
}

#[test]
fn the_keystore_or_the_public_key_decides_how_a_spend_key_is_read() {
    use mixin_pin_protocol::core::tip::TipKey;

    let seed = TipKey::from_seed(&[0x42; 32]);
    let scalar = TipKey::from_scalar(&[0x42; 32]).unwrap();
    let hex = json!("42".repeat(32));
    let take = |text: &str| parse(text).unwrap().take_spend_key();
    for field in ["spend_private_key", "spend_key"] {
        let text = changed(DASHBOARD, field, hex.clone());
        let key = take(&text).unwrap();
        assert_eq!(key.to_tip_key(None).unwrap().public_key(), seed.public_key());
        for expected in [seed.public_key(), scalar.public_key()] {
            assert_eq!(key.to_tip_key(Some(expected)).unwrap().public_key(), expected);
        }
        let sum = changed(&text, "is_spend_private_sum", json!(true));
        assert_eq!(take(&sum).unwrap().to_tip_key(None).unwrap().public_key(), scalar.public_key());
        for (flag, key) in [("true", &scalar), (" True\n", &scalar), ("false", &seed)] {
            let sum = changed(&text, "is_spend_private_sum", json!(flag));
            assert_eq!(take(&sum).unwrap().to_tip_key(None).unwrap().public_key(), key.public_key(), "{flag:?}");
        }
        for other in [json!(1), json!("1"), json!("yes"), json!([true])] {
            let sum = changed(&text, "is_spend_private_sum", other.clone());
            let expected = KeystoreError::NotFlag { field: "is_spend_private_sum" };
            assert_eq!(parse(&sum).unwrap_err(), expected, "{other}");
        }
        let other = TipKey::from_seed(&[1; 32]);
        let mismatch = key.to_tip_key(Some(other.public_key())).unwrap_err();
        assert_eq!(mismatch, CoreError::TipKeyMismatch);
        assert!(!format!("{key:?}").contains("42"));
    }
    assert!(take(DASHBOARD).is_none());
    assert!(parse(&changed(DASHBOARD, "is_spend_private_sum", json!(1))).is_ok(), "there is nothing that it says");
    let not_text = changed(DASHBOARD, "spend_key", json!(7));
    assert_eq!(parse(&not_text).unwrap_err(), KeystoreError::NotString { field: "spend_key" });
}

#[test]
fn the_sessions_own_public_key_is_not_taken_for_the_servers() {
    use mixin_pin_protocol::core::token::VerifyingKey;
    use mixin_pin_protocol::keystore::Holding;

    let Some(VerifyingKey::Ed25519(own)) = parse(DASHBOARD).unwrap().public_key() else { panic!("an Ed25519 key") };
    let own_x25519 = own.to_x25519().unwrap().to_base64_url();
    for (text, field, value) in [
        (DASHBOARD, "server_public_key", base16ct::lower::encode_string(own.as_bytes())),
        (DASHBOARD, "server_public_key", own_x25519.clone()),
        (ED25519_BOT, "pin_token", own_x25519),
    ] {
        let expected = KeystoreError::Holds { field, holding: Holding::OwnPublicKey };
        assert_eq!(parse(&changed(text, field, json!(value))).unwrap_err(), expected);
    }
}
