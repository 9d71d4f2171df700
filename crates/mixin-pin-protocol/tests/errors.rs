//! What each error says, kept word by word: whoever changes a message sees it here, beside all others.

use mixin_pin_protocol::answer::ApiError;
use mixin_pin_protocol::keystore::KeystoreShape;
use mixin_pin_protocol::{Error, IntegrityFault, TokenFault};

fn api(code: u32) -> ApiError {
    serde_json::from_value(serde_json::json!({ "code": code, "description": "as the server says" })).unwrap()
}

#[test]
fn every_error_says_what_it_said() {
    let cause = mixin_pin_core::Error::Ed25519Key;
    let tokens = [
        TokenFault::Missing,
        TokenFault::Format,
        TokenFault::Header,
        TokenFault::Extension,
        TokenFault::Claims,
        TokenFault::Algorithm,
        TokenFault::Signature,
        TokenFault::Expired,
        TokenFault::IssuedAt,
        TokenFault::RequestId,
        TokenFault::RequestHash,
    ];
    let integrity = [
        IntegrityFault::Missing,
        IntegrityFault::Format,
        IntegrityFault::Signature,
        IntegrityFault::RequestId,
        IntegrityFault::AnswerHash,
    ];
    let errors = [
        Error::KeystoreNotText,
        Error::KeystoreNotJson { line: 3, column: 7 },
        Error::KeystoreNoKey,
        Error::KeystoreMissing { shape: KeystoreShape::Dashboard, field: "server_public_key" },
        Error::KeystoreNotString { field: "session_id" },
        Error::KeystoreNotUuid { field: "session_id" },
        Error::KeystoreKey { field: "session_private_key", cause },
        Error::KeystoreConflict { first: "app_id", second: "client_id" },
        Error::KeystoreOAuth,
        Error::KeystoreNotOAuth,
        Error::Method,
        Error::Path,
        Error::BodyNotJson,
        Error::NonceOrder,
        Error::TipCounter,
        Error::PinField,
        Error::BodyOfRead,
        Error::ActionField { field: "amount" },
        Error::ActionMismatch,
        Error::ActionPath,
        Error::OAuthPin,
        Error::LogLimit,
        Error::Api(Box::new(api(20119))),
        Error::ApiFailure(Box::new(api(504))),
        Error::ServerTrouble { status: 502 },
        Error::RequestIdMissing,
        Error::RequestIdMismatch,
        Error::AnswerEmpty { status: 200 },
        Error::AnswerHtml { status: 200 },
        Error::AnswerNotJson { status: 200 },
        Error::AnswerCutOff { status: 200 },
        Error::AnswerShape { status: 200 },
        Error::BlockTime { timestamp: 1_700_000_000 },
        Error::BlockIterator { last: 1_700_000_000_000_000_000 },
        Error::CurlMissing,
        Error::CurlQuotes,
        Error::CurlOption { option: "--config".to_owned() },
        Error::CurlBody,
        Error::CurlUrl,
        Error::CurlToken,
    ];
    let integrity = integrity.map(Error::Integrity);
    let said: Vec<_> =
        errors.into_iter().chain(tokens.map(Error::Token)).chain(integrity).map(|e| e.to_string()).collect();
    let said = said.join("\n") + "\n";
    assert_eq!(said, include_str!("../testdata/errors.txt"));
}
