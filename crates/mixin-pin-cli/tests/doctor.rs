//! `doctor`: each line says that a part works, or what to do.

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use common::{Run, SandboxProcess, keystore, run, text};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_store::{CallIntent, CallKind, LeaseReply, LeaseTerms, NonceStore as _, SqliteStore};
use serde_json::Value;

/// The verdict of one check.
fn verdict(run: &Run, name: &str) -> String {
    let report = run.json();
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name} in {report}"));
    assert!(check["text"].as_str().is_some_and(|text| !text.is_empty()));
    check["verdict"].as_str().unwrap().to_owned()
}

fn doctor(keystore: &str, api: &str, store: &str) -> Run {
    run(&["--json", "doctor", "--keystore", keystore, "--api", api, "--store", store], b"")
}

#[test]
fn doctor_finds_no_problem_with_a_working_session() {
    let sandbox = SandboxProcess::start(&[]);
    let store = format!("sqlite:{}", sandbox.path("store.db"));
    let me = sandbox.register("ed25519");
    let well = doctor(&me, &sandbox.url, &store).done();
    assert_eq!(well.json()["healthy"], true);
    for name in ["permissions", "keystore", "key", "store", "server", "clock", "session", "PIN key"] {
        assert_eq!(verdict(&well, name), "ok", "{name}");
    }
    let people = run(&["doctor", "--keystore", &me, "--api", &sandbox.url, "--store", &store], b"").done();
    assert!(people.stdout.contains("No problems found") && people.stdout.contains("update --new-user"), "{people:?}");
    // The report does not claim what no check can see.
    let last = people.stdout.lines().last().unwrap();
    assert!(
        last.starts_with("Not visible from here:") && last.contains("another client") && last.contains("20119"),
        "{last}"
    );
    assert!(!people.stdout.contains("well"), "{people:?}");
    assert_eq!(well.json()["unseen"], last);

    let old = sandbox.register("rsa1024");
    let old = doctor(&old, &sandbox.url, "memory:").done();
    assert_eq!((verdict(&old, "key"), verdict(&old, "store")), ("warn".to_owned(), "warn".to_owned()));
}

#[test]
fn a_wrong_pin_key_is_found_before_a_pin_is_sent() {
    let sandbox = SandboxProcess::start(&[]);
    for (kind, field) in [("ed25519", "server_public_key"), ("rsa2048", "pin_token")] {
        let me = sandbox.register(kind);
        assert_eq!(verdict(&doctor(&me, &sandbox.url, "memory:").done(), "PIN key"), "ok", "{kind}");
        // The key of another server.
        let mut keystore: Value = serde_json::from_slice(&fs::read(&me).unwrap()).unwrap();
        keystore[field] = if kind == "ed25519" {
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a".into()
        } else {
            // The token of another session.
            let other: Value = serde_json::from_slice(&fs::read(sandbox.register("rsa1024")).unwrap()).unwrap();
            other[field].clone()
        };
        common::private(me.as_ref(), &keystore.to_string());
        let wrong = doctor(&me, &sandbox.url, "memory:");
        assert_eq!(wrong.code, 1, "{wrong:?}");
        if kind == "ed25519" {
            assert_eq!((verdict(&wrong, "keystore").as_str(), verdict(&wrong, "session").as_str()), ("ok", "ok"));
            assert_eq!(verdict(&wrong, "PIN key"), "bad");
        } else {
            // Found without the server.
            assert_eq!(verdict(&wrong, "keystore"), "bad");
        }
    }
}

/// A server that knows every session, and shows this PIN token.
fn server_with(pin_token: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let user_id = "06aed1e3-bd77-4a59-991a-5bb5ae6fbb09";
    let body = format!(r#"{{"data":{{"user_id":"{user_id}","has_pin":true,"pin_token":"{pin_token}"}}}}"#);
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let head: Vec<_> =
            BufReader::new(&stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
        let id = head.iter().find(|line| line.to_ascii_lowercase().starts_with("x-request-id:")).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\n{id}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
            .unwrap();
    });
    url
}

#[test]
fn a_pin_token_of_another_kind_of_session_proves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let me = keystore(folder.path(), "keystore-dashboard.json");
    // As long as that of an RSA session.
    let run = doctor(text(&me), &server_with(&"AAAA".repeat(43)[..171]), "memory:");
    assert_eq!((verdict(&run, "session").as_str(), verdict(&run, "PIN key").as_str()), ("ok", "skip"), "{run:?}");
}

#[test]
fn exchanged_ids_are_found() {
    let sandbox = SandboxProcess::start(&[]);
    let me = sandbox.register("ed25519");
    let mut keystore: Value = serde_json::from_slice(&fs::read(&me).unwrap()).unwrap();
    let (user_id, session_id) = (keystore["user_id"].take(), keystore["session_id"].take());
    (keystore["user_id"], keystore["session_id"]) = (session_id, user_id);
    common::private(me.as_ref(), &keystore.to_string());
    let exchanged = doctor(&me, &sandbox.url, "memory:");
    assert_eq!((exchanged.code, verdict(&exchanged, "session").as_str()), (1, "bad"));
    assert!(exchanged.stdout.contains("user id and session id exchanged, because the server accepts"), "{exchanged:?}");

    let folder = tempfile::tempdir().unwrap();
    let stranger = common::keystore(folder.path(), "keystore-dashboard.json");
    let stranger = doctor(text(&stranger), &sandbox.url, "memory:");
    assert!(stranger.stdout.contains("with user id and session id exchanged it is refused too"), "{stranger:?}");
    assert_eq!(verdict(&stranger, "PIN key"), "skip");
}

#[test]
fn the_private_key_of_another_session_is_named() {
    let sandbox = SandboxProcess::start(&[]);
    let me = sandbox.register("ed25519");
    let mut keystore: Value = serde_json::from_slice(&fs::read(&me).unwrap()).unwrap();
    keystore["session_private_key"] = "07".repeat(32).into();
    common::private(me.as_ref(), &keystore.to_string());
    let other = doctor(&me, &sandbox.url, "memory:");
    assert_eq!((other.code, verdict(&other, "session").as_str()), (1, "bad"));
    assert!(other.stdout.contains("the private key in the keystore is not the session's"), "{other:?}");
}

#[test]
fn a_spend_key_that_is_none_is_reported() {
    let sandbox = SandboxProcess::start(&[]);
    let me = sandbox.register("ed25519");
    let mut keystore: Value = serde_json::from_slice(&fs::read(&me).unwrap()).unwrap();
    let mut said = |key: &str| {
        keystore["spend_private_key"] = key.into();
        common::private(me.as_ref(), &keystore.to_string());
        let check = run(&["keystore", "check", "--json", &me], b"").done().json()["notes"].to_string();
        (check, doctor(&me, &sandbox.url, "memory:").done())
    };
    let (notes, report) = said("abandon abandon about");
    assert!(notes.contains("the spend key cannot be used") && !notes.contains("abandon"), "{notes}");
    assert_eq!(verdict(&report, "spend key"), "warn");
    let (notes, report) = said(&"07".repeat(32));
    assert!(notes == "[]" && !report.stdout.contains("spend key"), "{notes} {report:?}");
}

#[test]
fn missing_parts_are_reported_and_dependent_checks_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let known = keystore(folder.path(), "keystore-dashboard.json");
    let nothing = folder.path().join("nothing.json");
    let missing = doctor(text(&nothing), "http://127.0.0.1:9", "memory:");
    assert_eq!(missing.code, 1);
    assert_eq!((verdict(&missing, "keystore"), verdict(&missing, "session")), ("bad".to_owned(), "skip".to_owned()));

    let alone = doctor(text(&known), "http://127.0.0.1:9", "sqlite:/dev/null/no");
    assert_eq!(alone.code, 1);
    for (name, expected) in [("keystore", "ok"), ("store", "bad"), ("server", "bad"), ("clock", "skip")] {
        assert_eq!(verdict(&alone, name), expected, "{name}");
    }

    let sandbox = SandboxProcess::start(&[]);
    let stranger = doctor(text(&known), &sandbox.url, "memory:");
    assert_eq!((stranger.code, verdict(&stranger, "session").as_str()), (1, "bad"));
    assert_eq!(verdict(&stranger, "clock"), "ok", "a refusal also names the time");
}

#[cfg(unix)]
#[test]
fn a_keystore_that_others_can_read_is_reported() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = keystore(folder.path(), "keystore-dashboard.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let open = doctor(text(&path), "http://127.0.0.1:9", "memory:");
    assert_eq!(verdict(&open, "permissions"), "bad");
    let advice = open.json()["checks"][0]["text"].as_str().map(str::to_owned);
    assert!(advice.is_some_and(|text| text.contains("chmod 600")));
}

#[cfg(unix)]
#[test]
fn a_store_that_others_can_read_or_replace_is_reported() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let known = keystore(folder.path(), "keystore-dashboard.json");
    let place = folder.path().join("data");
    let store = format!("sqlite:{}", text(&place.join("iterators.db")));
    let check = || {
        let run = doctor(text(&known), "http://127.0.0.1:9", &store);
        assert_eq!(run.stderr, "", "the risk is in the report");
        run
    };
    let has_risk =
        |run: &Run| run.json()["checks"].as_array().unwrap().iter().any(|check| check["name"] == "store risk");
    assert!(!has_risk(&check()));
    fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(verdict(&check(), "store risk"), "warn");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(place.join("iterators.db"), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(verdict(&check(), "store risk"), "warn");
    fs::set_permissions(place.join("iterators.db"), fs::Permissions::from_mode(0o660)).unwrap();
    assert_eq!(verdict(&check(), "store"), "bad");
}

/// The text of one check.
fn said(run: &Run, name: &str) -> Option<String> {
    let report = run.json();
    let check = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == name)?.clone();
    check["text"].as_str().map(str::to_owned)
}

#[test]
fn a_store_that_can_be_read_and_not_written_is_reported() {
    let sandbox = SandboxProcess::start(&[]);
    let (me, path) = (sandbox.register("ed25519"), sandbox.path("store.db"));
    let store = format!("sqlite:{path}");
    assert_eq!(verdict(&doctor(&me, &sandbox.url, &store).done(), "store"), "ok");
    let writer = rusqlite::Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let locked = ["--json", "doctor", "--keystore", &me, "--api", &sandbox.url, "--store", &store, "--wait", "0"];
    let locked = run(&locked, b"");
    assert_eq!((locked.code, verdict(&locked, "store").as_str()), (1, "bad"));
    assert!(said(&locked, "store").unwrap().contains("was locked by another process for too long"), "{locked:?}");
}

#[test]
fn a_last_iterator_far_behind_the_clock_and_a_record_behind_its_journal_are_reported() {
    let sandbox = SandboxProcess::start(&[]);
    let (me, path) = (sandbox.register("ed25519"), sandbox.path("store.db"));
    let store = format!("sqlite:{path}");
    run(&["encrypt", "--keystore", &me, "--store", &store, "--pin-stdin"], b"739146\n").done();
    let recent = doctor(&me, &sandbox.url, &store).done();
    assert_eq!((said(&recent, "last use"), said(&recent, "store risk")), (None, None));
    let database = rusqlite::Connection::open(&path).unwrap();
    let read = "SELECT last_iterator FROM sessions";
    let last = u64::from_be_bytes(database.query_row(read, [], |row| row.get(0)).unwrap());
    let days = |count: u64| (last - count * 86_400_000_000_000).to_be_bytes();
    let write = "UPDATE sessions SET last_iterator = ?1";
    database.execute(write, [days(3)]).unwrap();
    let old = doctor(&me, &sandbox.url, &store).done();
    assert_eq!(verdict(&old, "last use"), "warn");
    let text = said(&old, "last use").unwrap();
    assert!(text.contains("3 days behind the server's clock") && text.contains("restored from a backup"), "{text}");
    let command = text.rsplit_once("run: ").unwrap().1;
    assert!(command.starts_with("mixin-pin store raise --keystore") && command.contains(&store), "{command}");
    // The command works as it is shown.
    let words = shlex::split(command).unwrap();
    run(&words.iter().skip(1).map(String::as_str).collect::<Vec<_>>(), b"").done();
    assert_eq!(said(&doctor(&me, &sandbox.url, &store).done(), "last use"), None);

    // Its clock is used where the server's is unknown.
    database.execute(write, [days(2)]).unwrap();
    let alone = doctor(&me, "http://127.0.0.1:9", &store);
    assert!(said(&alone, "last use").unwrap().contains("2 days behind this clock"), "{alone:?}");

    // A call with greater iterators is pending.
    let (request_id, kind, token_lifetime) = (Uuid::from_u128(7), CallKind::VerifyPin, Duration::from_secs(60));
    let call = CallIntent { request_id, method: "POST".into(), path: "/pin/verify".into(), kind, token_lifetime };
    let session_id = serde_json::from_slice::<Value>(&fs::read(&me).unwrap()).unwrap()["session_id"].clone();
    let session_id: Uuid = session_id.as_str().unwrap().parse().unwrap();
    let terms = LeaseTerms::new(Duration::from_secs(60)).with_confirmed_clock();
    let opened = SqliteStore::open(Path::new(&path)).unwrap();
    let LeaseReply::Granted(lease) = opened.lease(session_id, &terms.for_call(&call)).unwrap() else { panic!("busy") };
    lease.keep_entry(true);
    drop(lease);
    database.execute(write, [days(2)]).unwrap();
    let risk = said(&doctor(&me, &sandbox.url, &store).done(), "store risk").unwrap();
    assert!(risk.contains("behind its journal") && risk.contains(&format!("store raise {session_id}")), "{risk}");
    // The journal is near the clock, so the clock needs no confirmation.
    let warned = run(&["encrypt", "--keystore", &me, "--store", &store, "--pin-stdin"], b"739146\n").done();
    assert!(warned.stderr.contains("behind its journal"), "{warned:?}");
    let raised = doctor(&me, &sandbox.url, &store).done();
    assert_eq!((said(&raised, "last use"), said(&raised, "store risk")), (None, None));
}

#[test]
fn pages_and_completions_name_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man");
    let written = run(&["--json", "man", "--out", text(&out)], b"").done().json();
    let pages: Vec<_> = written["pages"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for name in ["mixin-pin.1", "mixin-pin-update.1", "mixin-pin-keystore-lock.1", "mixin-pin-tip-sign.1"] {
        assert!(pages.contains(&name), "{name} in {pages:?}");
    }
    let page = fs::read_to_string(out.join("mixin-pin-update.1")).unwrap();
    assert!(page.contains(".SH SYNOPSIS") && page.contains("Examples:"), "{page}");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell], b"").done().stdout;
        assert!(script.contains("keystore") && script.contains("doctor"), "{shell}");
    }
}
