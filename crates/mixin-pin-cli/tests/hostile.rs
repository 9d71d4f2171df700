//! Text from a hostile server, capture or file name cannot act on the terminal.

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::{Run, keystore, run, text};
use serde_json::{Value, json};

/// Clears the screen, fakes a verdict, hides and reverses text, breaks lines and sends terminal commands.
const HOSTILE: &str = "x\u{1b}[2J\u{1b}[H\u{1b}]0;t\u{7}\r\nHOLDS  checked as of now\n\u{1b}[32mHOLDS\u{1b}[0m\
                       \u{202e}\u{2066}\u{200b}\u{200d}\u{2028}HOLDS\u{2029}HOLDS\u{85}\u{9b}31m\u{7f}\u{feff}\u{ad}\u{e0041}\u{8}\u{0}\u{b}";

fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        && !matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e0fff}')
}

/// Checks that the output has only harmless characters, and the expected numbers of lines and verdicts.
fn assert_harmless(run: &Run, lines: usize, verdicts: usize, what: &str) {
    let said = format!("{}{}", run.stdout, run.stderr);
    let bad: Vec<char> = said.chars().filter(|c| *c != '\n' && !is_harmless(*c)).collect();
    assert!(bad.is_empty(), "{what} shows {bad:?}:\n{said:?}");
    let is_verdict = |line: &&str| line.trim_start().starts_with("HOLDS") || line.starts_with("DOES NOT HOLD");
    assert_eq!(said.lines().filter(is_verdict).count(), verdicts, "{what}: {said}");
    assert_eq!(said.lines().count(), lines, "{what}: {said}");
}

/// A server that answers every request with this.
fn server(answer: &Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let body = answer.to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut id, mut length) = (String::new(), 0);
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let Some((name, value)) = line.trim_end().split_once(": ") else {
                    if line.trim_end().is_empty() {
                        break;
                    }
                    continue;
                };
                match name.to_ascii_lowercase().as_str() {
                    "x-request-id" => value.clone_into(&mut id),
                    "content-length" => length = value.parse().unwrap(),
                    _ => {}
                }
            }
            std::io::copy(&mut std::io::Read::take(&mut reader, length), &mut std::io::sink()).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nX-Request-Id: {id}\r\nContent-Length: {}\r\n\r\n", body.len());
            // The command may close the connection early.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        }
    });
    url
}

#[test]
fn a_hostile_server_cannot_control_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    let user = json!({ "data": {
        "user_id": "06aed1e3-bd77-4a59-991a-5bb5ae6fbb09", "full_name": HOSTILE, "tip_key_base64": HOSTILE,
        "identity_number": HOSTILE, "created_at": HOSTILE, "has_pin": true,
    } });
    let named = json!({ "data": { "user_id": "06aed1e3-bd77-4a59-991a-5bb5ae6fbb09", "full_name": HOSTILE } });
    let entry = json!({ "log_id": HOSTILE, "code": HOSTILE, "ip_address": HOSTILE, "created_at": HOSTILE });
    let logs = json!({ "data": [entry, entry] });
    let refusal =
        |extra: Value| json!({ "error": { "status": 202, "code": 20119, "description": HOSTILE, "extra": extra } });
    let odd = json!({ "data": { HOSTILE: [HOSTILE] } });
    for (args, answer, code, lines) in [
        (&["me"][..], &user, 0, 3),
        (&["me"], &named, 0, 3),
        (&["logs"], &logs, 0, 2),
        (&["call", "GET", "/x"], &odd, 0, 5),
        (&["call", "GET", "/x"], &json!({ "data": HOSTILE }), 0, 1),
        (&["verify", "--pin-stdin"], &named, 0, 1),
        (&["update", "--new-user", "--pin-stdin"], &named, 0, 1),
        (&["me"], &refusal(HOSTILE.into()), 1, 2),
        (&["verify", "--pin-stdin"], &refusal(json!({ HOSTILE: HOSTILE, "reason": HOSTILE })), 1, 2),
        (&["call", "GET", "/x"], &refusal(Value::Null), 1, 2),
    ] {
        let api = server(answer);
        let more = ["--keystore", text(&keystore), "--api", &api];
        let more = if matches!(args[0], "verify" | "update") {
            [&more[..], &["--store", "memory:"]].concat()
        } else {
            more.to_vec()
        };
        let what = format!("{args:?}");
        let plain = run(&[args, &more].concat(), b"314159\n");
        assert_eq!(plain.code, code, "{what}: {plain:?}");
        assert_harmless(&plain, lines, 0, &what);
        let json = run(&[args, &more, &["--json"]].concat(), b"314159\n");
        assert_harmless(&json, 1, 0, &what);
        // It is escaped, not dropped.
        let text = json.json().to_string();
        let (escape, mark) = if answer == &refusal(Value::Null) {
            // A refusal without extra fields shows it in the message.
            ("\\u{1b}[2J", "\\u{202e}")
        } else {
            ("\\u001b[2J", "\u{202e}")
        };
        assert!(text.contains(escape) && text.contains(mark), "{what}: {text}");
    }
}

/// An unsigned token with these claims.
fn token(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode([7; 64]))
}

#[test]
fn a_hostile_capture_cannot_fake_a_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let claims = json!({
        "uid": HOSTILE, "sid": [HOSTILE], "jti": HOSTILE, "iat": 1, "exp": u64::MAX, "sig": HOSTILE, "scp": HOSTILE,
        HOSTILE: HOSTILE,
    });
    let file = folder.path().join("request.txt");
    for (header, lines) in [(json!({ "alg": "EdDSA" }), 17), (json!({ "alg": HOSTILE }), 18)] {
        let token = token(&header, &claims);
        // An argument cannot contain a zero byte.
        let hostile = HOSTILE.replace('\0', "");
        let (method, path) = (format!("GET{hostile}"), format!("/me?{hostile}"));
        let by_hand = run(&["inspect", "--token", &token, "--method", &method, "--path", &path], b"");
        assert!(by_hand.stdout.starts_with("DOES NOT HOLD"), "{by_hand:?}");
        assert_harmless(&by_hand, lines, 1, "inspect --token");
        assert!(by_hand.stderr.is_empty(), "{by_hand:?}");

        let curl = format!(
            "curl -X '{method}' 'https://api.mixin.one{path}' -H 'Authorization: Bearer {token}' \
             -H 'X-Request-Id: {HOSTILE}' -d '{{\"pin\":\"{HOSTILE}\"}}'"
        );
        fs::write(&file, &curl).unwrap();
        let captured = run(&["inspect", "--curl", text(&file)], b"");
        assert_eq!(captured.code, 1, "{captured:?}");
        // One more line, for the PIN in the body.
        assert_harmless(&captured, lines + 1, 1, "inspect --curl");
        let json = run(&["inspect", "--json", "--curl", text(&file)], b"");
        assert_harmless(&json, 1, 0, "inspect --json");
        assert_eq!(json.json()["claims"]["uid"], HOSTILE);
    }
    let option = format!("curl --{HOSTILE} https://x -H 'Authorization: Bearer x'");
    for capture in [option.clone(), option.replace('\n', " ")] {
        fs::write(&file, capture).unwrap();
        let refused = run(&["inspect", "--curl", text(&file)], b"");
        assert_eq!(refused.code, 2, "{refused:?}");
        assert_harmless(&refused, 2, 0, "an unknown option");
    }
}

#[test]
fn a_hostile_file_name_cannot_control_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let hostile = HOSTILE.replace(['\0', '/'], "");
    let file = folder.path().join(&hostile);
    fs::copy(keystore(folder.path(), "keystore-dashboard.json"), &file).unwrap();
    #[cfg(unix)]
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    // The warning about its permissions names it.
    let token = ["token", "--method", "GET", "--path", "/me", "--keystore", text(&file)];
    assert_harmless(&run(&token, b"").done(), if cfg!(unix) { 2 } else { 1 }, 0, "a warning");
    let missing = format!("{}/missing", folder.path().join(&hostile).display());
    for (args, lines) in
        [(&["me", "--keystore", &missing][..], 2), (&["tip", "new-key", "--out", &missing], 2), (&[&hostile], 5)]
    {
        let plain = run(args, b"");
        assert_eq!(plain.code, 2, "{plain:?}");
        assert_harmless(&plain, lines, 0, "a name");
        assert_harmless(&run(&[args, &["--json"]].concat(), b""), 1, 0, "a name");
    }
}
