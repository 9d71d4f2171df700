//! `resolve` for a first PIN: the expiry stays the same, and the server's clock decides whether it has passed. A failure of
//! the store does not hide the verdict.

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::SystemTime;

use common::{SandboxProcess, run};
use serde_json::{Value, json};

const NO_PIN: &str = r#"{"data":{"user_id":"b7bce11c-8dd9-4d1e-b7bb-8b4ab80cb4f4","has_pin":false}}"#;

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// A server whose user has no PIN and whose clock is this many seconds behind.
fn api(behind: u64) -> String {
    server(behind, NO_PIN.to_owned(), || ())
}

/// A server that does this before it answers with the user. It closes a connection that sends anything but GET.
fn server(behind: u64, user: String, before: impl Fn() + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // A small request arrives in one piece.
            let mut head = [0; 8192];
            let count = stream.read(&mut head).unwrap();
            let head = String::from_utf8_lossy(&head[..count]).to_ascii_lowercase();
            if !head.starts_with("get ") {
                continue;
            }
            before();
            let id = head.split_once("x-request-id: ").and_then(|(_, rest)| rest.split("\r\n").next()).unwrap();
            let (time, len) = (u128::from(now() - behind) * 1_000_000_000, user.len());
            let head =
                format!("HTTP/1.1 200 OK\r\nX-Request-Id: {id}\r\nX-Server-Time: {time}\r\nContent-Length: {len}");
            write!(stream, "{head}\r\nConnection: close\r\n\r\n{user}").unwrap();
        }
    });
    url
}

#[test]
fn the_expiry_stays_the_same_and_is_decided_by_the_servers_clock() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = common::keystore(folder.path(), "keystore-dashboard.json");
    let api = api(30);
    let resolve = |more: &[&str]| {
        let args =
            ["resolve", "--json", "--new-user", "--pin-stdin", "--store", "memory:", "--api", &api, "--keystore"];
        run(&[&args[..], &[common::text(&keystore)], more].concat(), b"123456\n")
    };
    let first = resolve(&[]);
    assert_eq!((first.code, first.json()["verdict"].as_str()), (3, Some("not-yet")));
    let next = first.json()["next_command"].as_str().unwrap().to_owned();
    let expires_at = next.rsplit_once(" --expires-at ").unwrap().1.to_owned();
    // The next command names the same expiry again.
    let again = resolve(&["--expires-at", &expires_at]);
    assert_eq!((again.code, again.json()["next_command"].as_str()), (3, Some(&*next)));
    // Past by this machine's clock, but not by the server's.
    let late = resolve(&["--expires-at", &(now() - 10).to_string()]);
    assert_eq!((late.code, late.json()["verdict"].as_str()), (3, Some("not-yet")));
    let over = resolve(&["--expires-at", &(now() - 60).to_string()]);
    assert_eq!((over.code, over.json()["verdict"].as_str()), (0, Some("not-applied")));
}

#[test]
fn a_failure_of_the_store_does_not_hide_the_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = common::keystore(folder.path(), "keystore-dashboard.json");
    let path = |name: &str| common::text(&folder.path().join(name)).to_owned();
    let key = path("key");
    let made = run(&["tip", "new-key", "--json", "--out", &key], b"").done().json();
    let user = json!({ "data": {
        "user_id": "b7bce11c-8dd9-4d1e-b7bb-8b4ab80cb4f4", "has_pin": true, "tip_key_base64": made["public_key"]
    } });
    let key = fs::read(&key).unwrap();
    for (name, is_json) in [("json.db", true), ("text.db", false)] {
        let database = path(name);
        let store = format!("sqlite:{database}");
        let is_damaged = Arc::new(AtomicBool::new(false));
        let damages = is_damaged.clone();
        let api = server(0, user.to_string(), move || {
            if damages.load(Ordering::SeqCst) {
                for end in ["", "-wal", "-shm"] {
                    let name = format!("{database}{end}");
                    if fs::exists(&name).unwrap() {
                        fs::write(name, vec![7; 32_768]).unwrap();
                    }
                }
            }
        });
        let with = |args: &[&str], stdin: &[u8]| {
            let scene = ["--keystore", common::text(&keystore), "--store", &store, "--api", &api];
            run(&[args, &scene, if is_json { &["--json"] } else { &[] }].concat(), stdin)
        };
        assert_eq!(with(&["verify", "--pin-stdin"], b"123456\n").code, 3);
        is_damaged.store(true, Ordering::SeqCst);
        let resolved = with(&["resolve", "--new-user", "--spend-key-stdin"], &key).done();
        if is_json {
            let value = resolved.json();
            assert_eq!((&value["verdict"], &value["still_pending"]), (&json!("applied"), &Value::Null), "{value}");
            assert!(value["journal_error"].as_str().is_some_and(|error| !error.is_empty()), "{value}");
        } else {
            assert_eq!(resolved.stdout, "applied: the new PIN is set (tries spent: 0 at most)\n");
        }
        for warning in [
            "warning: the verdict stands, but the journal failed and may still list what is settled: ",
            "warning: a verification is still in the journal: ",
        ] {
            assert!(resolved.stderr.contains(warning), "{resolved:?}");
        }
    }
}

#[test]
fn spent_tries_are_waited_for_in_full() {
    let sandbox = SandboxProcess::start(&["--tries", "1"]);
    let (me, store) = (sandbox.register("ed25519"), format!("sqlite:{}", sandbox.path("store.db")));
    let call = |args: &[&str], stdin: &[u8]| {
        let api = ["--pin-stdin", "--keystore", &me, "--api", &sandbox.url, "--store", &store];
        run(&[args, &api].concat(), stdin)
    };
    call(&["update", "--new-user"], b"739146\n").done();
    assert_eq!(call(&["verify"], b"739147\n").code, 1);
    assert_eq!(call(&["update"], b"739146\n408231\n").code, 3);
    let resolved = call(&["resolve"], b"739146\n408231\n");
    assert_eq!(resolved.code, 3);
    // The lock lasts 24 hours, and an earlier try lengthens it.
    assert!(resolved.stdout.contains("the day's tries are spent: wait 24 hours, then resolve again"), "{resolved:?}");
}
