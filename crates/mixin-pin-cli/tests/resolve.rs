//! `resolve` for a first PIN: the expiry stays the same, and the server's clock decides whether it has passed.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;
use std::time::SystemTime;

use common::run;

const NO_PIN: &str = r#"{"data":{"user_id":"b7bce11c-8dd9-4d1e-b7bb-8b4ab80cb4f4","has_pin":false}}"#;

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// A server whose user has no PIN and whose clock is this many seconds behind.
fn api(behind: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // A small request arrives in one piece.
            let mut head = [0; 8192];
            let count = stream.read(&mut head).unwrap();
            let head = String::from_utf8_lossy(&head[..count]).to_ascii_lowercase();
            let id = head.split_once("x-request-id: ").and_then(|(_, rest)| rest.split("\r\n").next()).unwrap();
            let (time, len) = (u128::from(now() - behind) * 1_000_000_000, NO_PIN.len());
            let head =
                format!("HTTP/1.1 200 OK\r\nX-Request-Id: {id}\r\nX-Server-Time: {time}\r\nContent-Length: {len}");
            write!(stream, "{head}\r\nConnection: close\r\n\r\n{NO_PIN}").unwrap();
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
