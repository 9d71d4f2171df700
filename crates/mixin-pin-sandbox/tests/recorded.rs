//! Requests as clients in other languages build them, replayed byte for byte over HTTP. `testdata/requests/make.py` made
//! them without this project's code, and `requests.json` names each client's source.

mod common;

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::verdict;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{PinKey, UnixTime};
use mixin_pin_sandbox::{Account, Config, Sandbox};
use rusqlite::{Connection, params};
use serde_json::Value;

fn recorded() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/requests/requests.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name} in {value}"))
}

fn hex(text: &str) -> Vec<u8> {
    base16ct::lower::decode_vec(text).unwrap()
}

/// Sends the bytes as they are, and returns the answer's head, in lower case, and its body.
fn replay(sandbox: &Sandbox, request: &str) -> (String, Value) {
    let mut stream = TcpStream::connect(sandbox.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        assert_ne!(read, 0, "the connection ended within the answer");
        answer.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_lowercase();
        let length: usize = header(&head, "content-length").unwrap().parse().unwrap();
        if body.len() >= length {
            return (head, serde_json::from_str(body).unwrap());
        }
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn requests_of_clients_in_other_languages_are_answered_as_recorded() {
    let recorded = recorded();
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("sandbox.db");
    let clock = Arc::new(AtomicU64::new(0));
    let now = clock.clone();
    let config = Config {
        database: Some(database.clone()),
        clock: Arc::new(move || UnixTime::from_secs(now.load(Ordering::SeqCst))),
        ..Config::default()
    };
    let sandbox = Sandbox::start(&config).unwrap();
    for account in recorded["accounts"].as_array().unwrap() {
        let id = |name| text(account, name).parse().unwrap();
        let public_key = VerifyingKey::from_text(text(account, "public_key")).unwrap();
        let pin_key = PinKey::from_text(text(account, "pin_key")).unwrap();
        let owner = account["owner"].as_str().map(|owner| owner.parse().unwrap());
        let account = Account::new(id("user_id"), id("session_id"), text(account, "name"), public_key, pin_key);
        sandbox.add_account(&Account { owner, ..account }).unwrap();
    }
    // The ids of authorizations are the sandbox's, but recorded tokens name theirs.
    let connection = Connection::open(&database).unwrap();
    for row in recorded["authorizations"].as_array().unwrap() {
        let [id, app, user, scope] = ["authorization_id", "app_id", "user_id", "scope"].map(|name| text(row, name));
        let [key, seed] = ["app_key", "server_seed"].map(|name| hex(text(row, name)));
        connection
            .execute(
                "INSERT INTO authorizations (authorization_id, app_id, code_challenge, scope, user_id, app_key, server_seed)
                     VALUES (?1, ?2, '', ?3, ?4, ?5, ?6)",
                params![id, app, scope, user, key, seed],
            )
            .unwrap();
    }
    drop(connection);

    let mut failures = Vec::new();
    for request in recorded["requests"].as_array().unwrap() {
        clock.store(request["clock"].as_u64().unwrap(), Ordering::SeqCst);
        let sent = text(request, "request");
        let (head, answer) = replay(&sandbox, sent);
        let (code, reason) = verdict(&answer);
        let expected = &request["expect"];
        let is_expected = if expected == "accepted" {
            answer["data"].is_object()
        } else {
            (code, reason) == (expected["code"].as_u64().unwrap(), text(expected, "reason"))
        };
        let name = format!("{}: {}", text(request, "client"), text(request, "what"));
        if !is_expected {
            failures.push(format!("{name}: {answer}"));
        }
        let sent = sent.to_lowercase();
        if let Some(id) = header(&sent, "x-request-id") {
            assert_eq!(header(&head, "x-request-id"), Some(id), "{name}");
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The clients disagree in each of these ways, so a record without one of them would prove less.
#[test]
fn the_record_holds_every_way_in_which_clients_differ() {
    let recorded = recorded();
    let requests: Vec<&str> = recorded["requests"].as_array().unwrap().iter().map(|it| text(it, "request")).collect();
    let clients: HashSet<&str> = recorded["requests"].as_array().unwrap().iter().map(|it| text(it, "client")).collect();
    for client in [
        "bot-api-go-client",
        "mixin-sdk-go",
        "mixin_bot",
        "mixin_bot_sdk_dart",
        "bot-api-kotlin-client",
        "mixin-sdk-php",
        "bot-api-nodejs-client",
        "android-app",
        "ios-app",
        "flutter-app",
        "guide",
    ] {
        assert!(clients.contains(client), "{client}");
    }
    for part in [
        "\"pin\":\"",
        "\"pin_base64\":\"",
        "\"old_pin\":\"\"",
        "\"old_pin\":null",
        "\"old_pin_base64\":\"\"",
        "\"Pin\":\"",
        "\\u003d",
        "\\/",
        "X-Force-Authentication",
        "Mixin-Device-Id",
        "POST /legacy/users",
        "Authorization: Bearer \r\n",
        "POST /session/secret",
        "POST /logout",
    ] {
        assert!(requests.iter().any(|request| request.contains(part)), "{part}");
    }
    assert!(requests.iter().any(|request| !request.contains("X-Request-Id")));
}
