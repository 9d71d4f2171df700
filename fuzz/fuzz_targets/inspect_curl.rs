//! Reads any text as a `curl` command, without a panic. A text that is quoted for a shell is read as itself.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{Ed25519Key, UnixTime};
use mixin_pin_fuzz::{PIN_KEY, planted};
use mixin_pin_protocol::inspect::{CapturedRequest, Known, inspect};

static PUBLIC_KEY: LazyLock<VerifyingKey> =
    LazyLock::new(|| VerifyingKey::Ed25519(Ed25519Key::from_bytes(&[7; 32]).expect("a seed").public_key()));

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fuzz_target!(|text: &str| {
    if let Ok(request) = CapturedRequest::from_curl(text) {
        let known = Known { public_key: Some(&PUBLIC_KEY), pin_key: Some(&PIN_KEY), tip_key: None };
        if let Ok(report) = inspect(&request, &known, UnixTime::from_secs(1_700_000_000)) {
            planted(!report.pins.is_empty());
            serde_json::to_string(&report).expect("a report is JSON");
        }
    }

    // The same text as a body. Shells change line ends.
    if text.contains(['\0', '\r']) {
        return;
    }
    let command = format!(
        "curl -X POST 'https://api.mixin.one/pin/update' -H 'Authorization: Bearer a.b.c' --data-raw {}",
        quoted(text)
    );
    let request = CapturedRequest::from_curl(&command).expect("a well-quoted command");
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/pin/update"));
    assert_eq!(request.body, text.as_bytes());
});
