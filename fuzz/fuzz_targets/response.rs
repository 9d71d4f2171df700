//! Reads any answer without a panic. Only a real refusal by Mixin counts as one, because a PIN change that got one is known
//! to have failed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_fuzz::planted;
use mixin_pin_protocol::AnswerError;
use mixin_pin_protocol::answer::{Answer, LogEntry, User};
use serde::de::IgnoredAny;
use serde_json::Value;

const SENT: Uuid = Uuid::from_u128(0x0123_4567_89ab_4cde_8f01_2345_6789_abcd);

fuzz_target!(|input: (u16, u8, &[u8])| {
    let (status, header, body) = input;
    let sent = SENT.to_string();
    let text = String::from_utf8_lossy(&body[..body.len().min(40)]);
    // The right id (a fuzzer would not guess it), none, another one, or any text.
    let request_id = match header % 8 {
        0..5 => Some(sent.as_str()),
        5 => None,
        6 => Some("00000000-0000-0000-0000-000000000000"),
        _ => Some(&*text),
    };
    let answer = Answer { status, request_id, integrity_token: None, retry_after: None, body };
    let value: Option<Value> = serde_json::from_slice(body).ok();
    match answer.read::<User>(SENT) {
        Ok(user) => {
            assert!(is_json(body) && (200..210).contains(&status));
            let Some(value) = value.as_ref() else { return };
            let id = value["data"]["user_id"].as_str().expect("a user has an id");
            assert_eq!(id.parse(), Ok(user.user_id));
            planted(user.session_id.is_none());
        }
        Err(error) => {
            if error.is_refusal() {
                let AnswerError::Refusal(refusal) = &error else { panic!("{error:?}") };
                assert!(refusal.code.is_refusal() && (200..210).contains(&status), "{error:?}");
                // JSON may have numbers that do not fit a `Value`.
                assert!(value.as_ref().map_or(is_json(body), |value| value["error"]["code"].is_number()), "{error:?}");
                assert_eq!(request_id.map(|id| id.trim().parse()), Some(Ok(SENT)), "a refusal of another request");
            }
            let _ = error.to_string();
        }
    }
    let _ = answer.read::<Vec<LogEntry>>(SENT);
    let _ = answer.read::<Value>(SENT);
});

fn is_json(body: &[u8]) -> bool {
    std::str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}
