//! The text of every error, compared with `testdata/errors.txt`, and what each error says to do.

use std::error::Error as _;
use std::time::Duration;

use mixin_pin_protocol::answer::{ApiError, ErrorCode, Reason};
use mixin_pin_protocol::core::{SignerError, UnixTime};
use mixin_pin_protocol::keystore::{FileFormat, Holding, KeystoreShape, Name, OutputShape};
use mixin_pin_protocol::{
    ActionError, AnswerError, BlockError, CallError, CurlError, Error, IntegrityFault, KeystoreError, Remedy,
    ShapeFault, TokenFault,
};

fn api(code: u32) -> ApiError {
    serde_json::from_value(serde_json::json!({ "code": code, "description": "as the server says" })).unwrap()
}

fn keystore_errors() -> Vec<Error> {
    let cause = mixin_pin_core::Error::Ed25519Key;
    vec![
        KeystoreError::NotText.into(),
        KeystoreError::Utf32.into(),
        KeystoreError::Format(FileFormat::Empty).into(),
        KeystoreError::Format(FileFormat::CutOff).into(),
        KeystoreError::Format(FileFormat::MoreAfterEnd).into(),
        KeystoreError::Format(FileFormat::Comments).into(),
        KeystoreError::Format(FileFormat::TrailingComma).into(),
        KeystoreError::Format(FileFormat::SingleQuotes).into(),
        KeystoreError::Format(FileFormat::CurlyQuotes).into(),
        KeystoreError::Format(FileFormat::UnquotedNames).into(),
        KeystoreError::Format(FileFormat::List).into(),
        KeystoreError::Format(FileFormat::JsonString).into(),
        KeystoreError::Format(FileFormat::Base64).into(),
        KeystoreError::Format(FileFormat::Toml).into(),
        KeystoreError::Format(FileFormat::Yaml).into(),
        KeystoreError::Format(FileFormat::Environment).into(),
        KeystoreError::Format(FileFormat::Ini).into(),
        KeystoreError::Format(FileFormat::Code).into(),
        KeystoreError::Format(FileFormat::Html).into(),
        KeystoreError::Format(FileFormat::Xml).into(),
        KeystoreError::Format(FileFormat::Pem).into(),
        KeystoreError::Format(FileFormat::Age).into(),
        KeystoreError::Format(FileFormat::Pgp).into(),
        KeystoreError::Nested { name: Name::new("mixin"), format: None, has_others: false }.into(),
        KeystoreError::Nested { name: Name::new("main"), format: None, has_others: true }.into(),
        KeystoreError::Nested { name: Name::new("main"), format: Some(FileFormat::JsonString), has_others: true }
            .into(),
        KeystoreError::Nested { name: Name::new("S3CR3T"), format: Some(FileFormat::List), has_others: false }.into(),
        KeystoreError::NotJson { line: 3, column: 7 }.into(),
        KeystoreError::NoKey.into(),
        KeystoreError::Missing { shape: KeystoreShape::Dashboard, field: "server_public_key" }.into(),
        KeystoreError::NotString { field: "session_id" }.into(),
        KeystoreError::NotFlag { field: "is_spend_private_sum" }.into(),
        KeystoreError::NotUuid { field: "session_id" }.into(),
        KeystoreError::Field { field: "session_private_key", cause }.into(),
        KeystoreError::Holds { field: "private_key", holding: Holding::PublicKey }.into(),
        KeystoreError::Holds { field: "private_key", holding: Holding::ServerKey }.into(),
        KeystoreError::Holds { field: "server_public_key", holding: Holding::OwnPublicKey }.into(),
        KeystoreError::Holds { field: "private_key", holding: Holding::Certificate }.into(),
        KeystoreError::Holds { field: "private_key", holding: Holding::EncryptedKey }.into(),
        KeystoreError::Holds { field: "private_key", holding: Holding::OpenSshKey }.into(),
        KeystoreError::Holds { field: "private_key", holding: Holding::OtherKey }.into(),
        KeystoreError::Holds { field: "private_key", holding: Holding::EncodedTwice }.into(),
        KeystoreError::Holds { field: "private_key", holding: Holding::Placeholder }.into(),
        KeystoreError::Holds { field: "private_key", holding: Holding::FileName }.into(),
        KeystoreError::NotEncoded { field: "pin_token" }.into(),
        KeystoreError::OddHex { field: "server_public_key", digits: 63 }.into(),
        KeystoreError::CutShort { field: "private_key", len: 600, needed: 1190 }.into(),
        KeystoreError::KeyLength { field: "session_private_key", len: 31 }.into(),
        KeystoreError::ServerKeyLength { field: "pin_token", len: 128 }.into(),
        KeystoreError::PinTokenLength { field: "pin_token", len: 32, needed: 128 }.into(),
        KeystoreError::Spellings { field: "session_id" }.into(),
        KeystoreError::IdsExchanged.into(),
        KeystoreError::NoServerKey.into(),
        KeystoreError::CannotHold { shape: OutputShape::Dashboard, what: "an RSA session; choose bot or ruby" }.into(),
        KeystoreError::Conflict { first: "app_id", second: "client_id" }.into(),
        KeystoreError::OAuth.into(),
        KeystoreError::NotOAuth.into(),
        KeystoreError::Algorithm.into(),
        KeystoreError::RemoteSigner.into(),
        KeystoreError::NotRemote.into(),
        KeystoreError::Unfinished.into(),
    ]
}

#[test]
fn error_messages_are_unchanged() {
    let wait = Some(Duration::from_secs(30));
    let shape = |fault| AnswerError::Shape { status: 200, fault }.into();
    let field = || "data[0].log_id".to_owned();
    let nonce = std::io::Error::other("disk full");
    let errors: Vec<Error> = vec![
        CallError::Method.into(),
        CallError::Path.into(),
        CallError::BodyNotJson.into(),
        CallError::Nonce(nonce.into()).into(),
        CallError::NonceOrder.into(),
        CallError::Signer(SignerError::with_cause("the card is not in its slot")).into(),
        CallError::NotRsa.into(),
        CallError::TipCounter.into(),
        CallError::PinField.into(),
        CallError::BodyOfRead.into(),
        ActionError::Field { asked: "TIP:TRANSFER:CREATE:", field: "amount" }.into(),
        ActionError::Mismatch { asked: "TIP:ADDRESS:REMOVE:", given: "TIP:EMERGENCY:CONTACT:READ:", field: None }
            .into(),
        ActionError::Mismatch { asked: "TIP:ADDRESS:REMOVE:", given: "TIP:ADDRESS:REMOVE:", field: Some("amount") }
            .into(),
        ActionError::Form { asked: "TIP:TRANSFER:CREATE:", field: "amount" }.into(),
        ActionError::Salt.into(),
        ActionError::Path.into(),
        CallError::OAuthPin.into(),
        CallError::LogLimit.into(),
        AnswerError::Refusal(Box::new(api(20119))).into(),
        AnswerError::Refusal(Box::new(serde_json::from_str(r#"{"code":20117}"#).unwrap())).into(),
        AnswerError::Refusal(Box::new(ApiError { retry_after: wait, ..api(429) })).into(),
        AnswerError::Failure(Box::new(api(500))).into(),
        AnswerError::Failure(Box::new(api(10001))).into(),
        AnswerError::Failure(Box::new(api(20125))).into(),
        AnswerError::Failure(Box::new(api(504))).into(),
        AnswerError::Failure(Box::new(ApiError { retry_after: wait, ..api(401) })).into(),
        AnswerError::TryLater { status: 429, retry_after: None }.into(),
        AnswerError::TryLater { status: 503, retry_after: wait }.into(),
        AnswerError::Server { status: 502 }.into(),
        AnswerError::RequestIdMissing.into(),
        AnswerError::RequestIdMismatch.into(),
        AnswerError::Empty { status: 200 }.into(),
        AnswerError::Html { status: 200 }.into(),
        AnswerError::NotJson { status: 200 }.into(),
        AnswerError::CutOff { status: 200 }.into(),
        shape(ShapeFault::NoData),
        shape(ShapeFault::DataAndError),
        shape(ShapeFault::Status),
        shape(ShapeFault::Missing { field: field() }),
        shape(ShapeFault::Kind { field: field(), found: "null" }),
        shape(ShapeFault::Kind { field: String::new(), found: "a list" }),
        shape(ShapeFault::Value { field: field() }),
        shape(ShapeFault::Value { field: String::new() }),
        BlockError::Time { timestamp: 1_700_000_000 }.into(),
        BlockError::Iterator { last: 1_700_000_000_000_000_000 }.into(),
        CurlError::Missing.into(),
        CurlError::Quotes.into(),
        CurlError::WindowsQuotes.into(),
        CurlError::Variable { name: "TOKEN".to_owned() }.into(),
        CurlError::Variable { name: String::new() }.into(),
        CurlError::Value { option: "-X".to_owned() }.into(),
        CurlError::Option { option: "--config".to_owned() }.into(),
        CurlError::Body.into(),
        CurlError::HeaderFile.into(),
        CurlError::Url.into(),
        CurlError::Urls.into(),
        CurlError::Token.into(),
        TokenFault::Missing.into(),
        TokenFault::Format.into(),
        TokenFault::Header.into(),
        TokenFault::Extension.into(),
        TokenFault::Claims.into(),
        TokenFault::Algorithm.into(),
        TokenFault::Signature.into(),
        TokenFault::Expired.into(),
        TokenFault::IssuedAt.into(),
        TokenFault::RequestId.into(),
        TokenFault::RequestHash.into(),
        AnswerError::Integrity(IntegrityFault::Missing).into(),
        AnswerError::Integrity(IntegrityFault::Format).into(),
        AnswerError::Integrity(IntegrityFault::Signature).into(),
        AnswerError::Integrity(IntegrityFault::RequestId).into(),
        AnswerError::Integrity(IntegrityFault::AnswerHash).into(),
    ];
    let errors: Vec<_> = keystore_errors().into_iter().chain(errors).collect();
    let texts: Vec<_> = errors.iter().map(Error::to_string).collect();
    assert_eq!(texts.join("\n") + "\n", include_str!("../testdata/errors.txt"));
    // Whether the call changes anything is not known here.
    assert!(!texts.iter().any(|text| text.contains("carried out")));
    for error in &errors {
        let text = error.to_string();
        let source = error.source().map(ToString::to_string);
        assert!(source.is_none_or(|source| !text.contains(&source)), "{text} repeats its source");
    }
}

#[test]
fn the_cause_of_a_failed_nonce_source_is_kept() {
    let error = Error::from(CallError::Nonce("disk full".into()));
    assert_eq!(error.source().unwrap().to_string(), "disk full");
    assert_eq!(error.remedy(), Remedy::TryAgain);
}

#[test]
fn the_cause_of_a_failed_signer_is_kept() {
    let error = Error::from(CallError::Signer(SignerError::with_cause("the card is not in its slot")));
    assert_eq!(error.source().unwrap().to_string(), "the card is not in its slot");
    assert_eq!(error.remedy(), Remedy::TryAgain);
}

#[test]
fn a_refusal_says_what_to_do() {
    let refusal = |json: &str| Error::from(AnswerError::Refusal(Box::new(serde_json::from_str(json).unwrap())));
    let wrong = refusal(r#"{"code":20119,"extra":{"reason":"pin","tries_left":4}}"#);
    assert_eq!((wrong.remedy(), wrong.reason()), (Remedy::AskOwner, Some(Reason::Pin)));
    assert_eq!((wrong.tries_left(), wrong.retry_at()), (Some(4), None));
    let spent = refusal(r#"{"code":429,"extra":{"reason":"tries_spent","retry_at":1700006400}}"#);
    assert_eq!((spent.remedy(), spent.tries_left()), (Remedy::WaitUntil, None));
    assert_eq!(spent.retry_at(), Some(UnixTime::from_secs(1_700_006_400)));
    for (json, remedy) in [
        (r#"{"code":401,"extra":{"reason":"token_expired"}}"#, Remedy::Alert),
        (r#"{"code":20119}"#, Remedy::AskOwner),
        (r#"{"code":20119,"extra":{"reason":"iterator"}}"#, Remedy::Mend),
        (r#"{"code":401,"extra":{"reason":"request_repeated"}}"#, Remedy::Alert),
        (r#"{"code":401,"extra":"once more"}"#, Remedy::Mend),
        (r#"{"code":429,"extra":{"tries_left":-1}}"#, Remedy::WaitUntil),
        (r#"{"code":20117}"#, Remedy::Mend),
    ] {
        assert_eq!(refusal(json).remedy(), remedy, "{json}");
        assert_eq!(refusal(json).tries_left(), None, "{json}");
    }
    assert_eq!(ErrorCode::from(504).remedy(), Remedy::Alert);
    assert_eq!(Error::from(AnswerError::Server { status: 502 }).remedy(), Remedy::Alert);
    let later = AnswerError::TryLater { status: 503, retry_after: Some(Duration::from_secs(7)) };
    assert_eq!(Error::from(later).remedy(), Remedy::Alert, "a change may have been carried out");
    assert_eq!(Error::from(CallError::Path).remedy(), Remedy::Mend);
}
