//! The test kit's keystores and refused tokens. `mixin-pin-core` checks the rest.

use std::time::Duration;

use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use mixin_pin_protocol::check::{ReceivedRequest, ReceivedToken, check_token};
use mixin_pin_protocol::core::token::VerifyingKey;
use mixin_pin_protocol::core::{PinKey, UnixTime};
use mixin_pin_protocol::keystore::Keystore;
use serde_json::Value;

fn vectors(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}"))
}

#[test]
fn keystores_give_the_keys_of_the_vectors() {
    // The Dart client's test has keys, but no ids.
    let vectors = vectors(include_str!("../testdata/testkit/pin-keys.json"));
    let complete: Vec<&Value> = vectors.iter().filter(|vector| vector["keystore"]["session_id"].is_string()).collect();
    assert_eq!(complete.len(), 12);
    for vector in complete {
        let id = text(vector, "id");
        let keystore =
            Keystore::parse(vector["keystore"].to_string().as_bytes()).unwrap_or_else(|e| panic!("{id}: {e}"));
        assert_eq!(
            keystore.public_key().unwrap(),
            VerifyingKey::from_text(text(vector, "public_key")).unwrap(),
            "{id}"
        );
        let session = keystore.into_session(&mut UnwrapErr(SysRng)).unwrap();
        let expected = PinKey::from_text(text(vector, "pin_key")).unwrap();
        assert_eq!(session.pin_key().expose(), expected.expose(), "{id}");
    }
}

/// Checks a vector's token as a server does.
fn check(vector: &Value, token: &str, at: u64) -> Result<(), mixin_pin_protocol::TokenFault> {
    let authorization = format!("Bearer {token}");
    let request = ReceivedRequest {
        method: text(vector, "method"),
        path: text(vector, "path"),
        body: text(vector, "body").as_bytes(),
        authorization: Some(&authorization),
        request_id: None,
    };
    let key = VerifyingKey::from_text(text(vector, "public_key")).unwrap();
    let token = ReceivedToken::parse(request.token()?)?;
    check_token(&request, &token, &key, UnixTime::from_secs(at), Duration::from_secs(300)).map(drop)
}

#[test]
fn tokens_of_the_refusals_are_refused() {
    let vectors = vectors(include_str!("../testdata/testkit/refusals.json"));
    let refused: Vec<&Value> = vectors.iter().filter(|vector| vector["type"] == "refused-token").collect();
    assert_eq!(refused.len(), 25);
    for vector in refused {
        let at = vector["at"].as_u64().unwrap();
        assert!(check(vector, text(vector, "token"), at).is_err(), "{}", text(vector, "id"));
    }
}

#[test]
fn tokens_of_the_same_session_are_accepted() {
    let at = 1_700_000_000;
    let vectors = vectors(include_str!("../testdata/testkit/tokens.json"));
    let made = |vector: &&Value| vector["source"] == "made" && vector["hash_matches"] == true;
    let users: Vec<&Value> =
        vectors.iter().filter(made).filter(|vector| text(vector, "claims").contains("\"uid\"")).collect();
    assert_eq!(users.len(), 5);
    for vector in users {
        check(vector, text(vector, "token"), at).unwrap_or_else(|fault| panic!("{}: {fault}", text(vector, "id")));
    }
}
