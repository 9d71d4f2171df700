//! `inspect` on the `curl` line in Mixin's documentation of 2018.

mod common;

use common::{run, testdata, text};
use serde_json::json;

fn inspect(more: &[&str]) -> common::Run {
    let curl = testdata("create-pin.curl");
    run(&[&["inspect", "--json", "--curl", text(&curl)], more].concat(), b"")
}

fn public_key() -> String {
    std::fs::read_to_string(testdata("create-pin.public-key")).unwrap().trim().to_owned()
}

#[test]
fn the_documented_request_has_expired() {
    let report = inspect(&["--public-key", &public_key()]);
    assert_eq!(report.code, 1);
    let json = report.json();
    assert_eq!(json["expired"], true);
    assert_eq!(json["request_hash"]["matches"], true);
    assert_eq!(json["signature"], json!({ "checked": true, "valid": true }));
    let fails = json["findings"].as_array().unwrap().iter().filter(|finding| finding["level"] == "fail").count();
    assert_eq!(fails, 1);
}

#[test]
fn the_documented_request_was_valid_in_2018() {
    let report = inspect(&["--public-key", &public_key(), "--at", "1525333400"]).done().json();
    assert_eq!((&report["alg"], &report["expired"]), (&json!("RS512"), &json!(false)));
    assert_eq!(report["lifetime_seconds"], 90 * 86_400);
    assert_eq!(report["pins"], json!([{ "field": "pin", "bytes": 48, "kind": "six-digit" }]));
    let findings = report["findings"].as_array().unwrap();
    let has = |level: &str, part: &str| {
        findings.iter().any(|finding| finding["level"] == level && finding["text"].as_str().unwrap().contains(part))
    };
    assert!(has("warn", "1024 bits") && has("warn", "90 days") && !has("fail", ""));
}

#[test]
fn the_key_may_be_pem_or_a_file_and_the_request_may_come_by_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", folded(&public_key()));
    let file = folder.path().join("key.pem");
    std::fs::write(&file, &pem).unwrap();
    let curl = std::fs::read(testdata("create-pin.curl")).unwrap();
    for key in [pem.as_str(), text(&file), text(&testdata("create-pin.public-key"))] {
        let report = run(&["inspect", "--curl", "-", "--public-key", key, "--at", "1525333400"], &curl).done();
        assert!(report.stdout.starts_with("HOLDS"), "{}", report.stdout);
        assert!(report.stdout.contains("signature   valid"), "{}", report.stdout);
    }
}

#[test]
fn a_wrong_or_missing_key_is_reported() {
    let unchecked = inspect(&["--at", "1525333400"]).done().json();
    assert_eq!(unchecked["signature"], json!({ "checked": false, "valid": null }));
    let other = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let report = inspect(&["--at", "1525333400", "--public-key", other]);
    assert_eq!((report.code, &report.json()["signature"]["valid"]), (1, &json!(false)));
    let bad = inspect(&["--public-key", "no key"]);
    assert_eq!((bad.code, bad.kind().as_str()), (2, "input"));
}

/// Breaks a text into lines of 64 characters, as PEM does.
fn folded(text: &str) -> String {
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    lines.join("\n")
}

#[test]
fn with_the_keystore_the_encrypted_content_is_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = common::keystore(folder.path(), "keystore-dashboard.json");
    let encrypted =
        run(&["encrypt", "--json", "--keystore", text(&keystore), "--pin-stdin"], b"271828\n").done().json();
    let body = folder.path().join("body.json");
    std::fs::write(&body, json!({ "pin_base64": encrypted["ciphertext"] }).to_string()).unwrap();
    let request = ["--method", "POST", "--path", "/pin/verify", "--body", text(&body)];
    let token = run(&[&["token", "--json", "--keystore", text(&keystore)][..], &request].concat(), b"").done().json();
    let inspect = ["inspect", "--keystore", text(&keystore), "--token", token["token"].as_str().unwrap()];
    let report = run(&[&inspect[..], &["--json"], &request].concat(), b"").done();
    let decrypted = &report.json()["pins"][0]["decrypted"];
    assert!(decrypted["iterator"].as_u64() > Some(1_700_000_000_000_000_000), "{report:?}");
    assert_eq!(report.json()["signature"]["valid"], true);
    let shown = run(&[&inspect[..], &request].concat(), b"").done();
    assert!(shown.stdout.contains(", iterator ") && !shown.stdout.contains("271828"), "{shown:?}");
    let wrong_tip_key = run(&[&inspect[..], &["--tip-key", "AAAA"], &request].concat(), b"");
    assert_eq!(wrong_tip_key.code, 2);
}
