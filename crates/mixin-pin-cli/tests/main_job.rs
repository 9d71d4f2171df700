//! The life of a PIN by the command, against `mixin-pin sandbox`.

mod common;

use std::fs;
use std::net::TcpListener;

use common::{SandboxProcess, command, finished, run};
use serde_json::json;

#[test]
fn a_pin_is_created_verified_changed_and_refused() {
    let sandbox = SandboxProcess::start(&[]);
    for kind in ["rsa1024", "rsa2048", "ed25519"] {
        let keystore = sandbox.register(kind);
        let with = |args: &[&str], stdin: &str| sandbox.run(&[args, &["--keystore", &keystore]].concat(), stdin);
        assert_eq!(with(&["me"], "").done().json()["user"]["has_pin"], false);
        let created = with(&["update", "--new-user", "--pin-stdin"], "123456\n").done().json();
        assert_eq!((&created["pin"], &created["user"]["has_pin"]), (&json!("created"), &json!(true)));
        with(&["verify", "--pin-stdin"], "123456").done();

        let wrong = with(&["verify", "--pin-stdin"], "999999\n");
        assert_eq!(wrong.code, 1);
        let error = &wrong.json()["error"];
        assert_eq!((&error["kind"], &error["code"]), (&json!("refused"), &json!(20_119)));
        assert_eq!(error["extra"], json!({ "reason": "pin", "tries_left": 4 }));

        with(&["update", "--pin-stdin"], "123456\r\n654321\r\n").done();
        assert_eq!(with(&["verify", "--pin-stdin"], "123456\n").code, 1);
        with(&["verify", "--pin-stdin"], "654321\n").done();
        let logs = with(&["logs"], "").done().json();
        assert_eq!(logs["logs"].as_array().unwrap().len(), 2);
        assert_eq!(logs["logs"][0]["code"], "PIN_INCORRECT");
        let one = with(&["logs", "--limit", "1"], "").done().json();
        assert_eq!(one["logs"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn keystore_and_api_can_come_from_the_environment() {
    let sandbox = SandboxProcess::start(&[]);
    let keystore = sandbox.register("ed25519");
    let output = command().arg("me").env("MIXIN_API", &sandbox.url).env("MIXIN_KEYSTORE", &keystore).output();
    let text = finished(output.unwrap()).done().stdout;
    assert!(text.contains("PIN      not set"), "{text}");
}

#[test]
fn an_encrypted_pin_decrypts_and_is_shown_only_with_reveal() {
    let sandbox = SandboxProcess::start(&[]);
    for (kind, url_safe) in [("rsa1024", false), ("ed25519", true)] {
        let keystore = sandbox.register(kind);
        let encrypt = ["encrypt", "--keystore", &keystore, "--pin-stdin", "--json"];
        let encrypted = run(&encrypt, b"271828\n").done().json();
        assert_eq!(encrypted["bytes"], 48);
        let iterator: u64 = encrypted["iterator"].as_str().unwrap().parse().unwrap();
        assert_eq!(iterator / 1_000_000_000, encrypted["timestamp"].as_u64().unwrap());
        let ciphertext = encrypted["ciphertext"].as_str().unwrap();
        assert!(!url_safe || !ciphertext.contains(['+', '/']));

        // A ciphertext may begin with a hyphen, as base64url does.
        let decrypt = ["decrypt", "--keystore", &keystore, "--json"];
        let decrypted = run(&[&decrypt[..], &["--", ciphertext]].concat(), b"").done().json();
        assert_eq!(
            decrypted,
            json!({ "kind": "six-digit", "timestamp": encrypted["timestamp"], "iterator": encrypted["iterator"] })
        );
        let revealed = run(&[&decrypt[..], &["--reveal", "--", ciphertext]].concat(), b"").done().json();
        assert_eq!(revealed["secret"], "271828");
    }
}

#[test]
fn a_ciphertext_of_another_session_does_not_decrypt() {
    let folder = tempfile::tempdir().unwrap();
    let rsa = common::keystore(folder.path(), "keystore-rsa-bot.json");
    let dashboard = common::keystore(folder.path(), "keystore-dashboard.json");
    let encrypted = run(&["encrypt", "--keystore", common::text(&rsa), "--pin-stdin"], b"271828\n").done().stdout;
    let decrypt =
        |ciphertext: &str| run(&["decrypt", "--json", "--keystore", common::text(&dashboard), "--", ciphertext], b"");
    let failed = decrypt(encrypted.trim());
    assert_eq!((failed.code, failed.kind().as_str()), (1, "does-not-hold"));
    assert_eq!(decrypt("AAAA").code, 2);
}

#[test]
fn a_ciphertext_that_opens_to_another_length_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("remote.json");
    let (user, session) = ("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002");
    let keystore = json!({"user_id": user, "session_id": session, "algorithm": "EdDSA", "pin_key": "07".repeat(32)});
    common::private(&path, &keystore.to_string());
    // The bytes 12 34 56 in place of the digits 123456.
    let ciphertext = "AAAAAAAAAAAAAAAAAAAAAJJIr7zq8NR2NC6mz1VUQj9grlwM3p0YAQJBfjMDsf7E";
    let failed = run(&["decrypt", "--json", "--keystore", common::text(&path), "--", ciphertext], b"");
    assert_eq!((failed.code, failed.kind().as_str()), (1, "does-not-hold"));
    let message = failed.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("opens, and holds 3 bytes: the digits were decoded as hex"), "{message}");
}

#[test]
fn a_token_covers_exactly_its_request() {
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body.json");
    fs::write(&body, "{\"a\": 1}\n").unwrap();
    for (name, alg) in [("keystore-rsa-bot.json", "RS512"), ("keystore-dashboard.json", "EdDSA")] {
        let keystore = common::keystore(folder.path(), name);
        let id = "dcc637dd-ce12-4140-b6c2-b558c5161c41";
        let request = ["--method", "POST", "--path", "/transfers?x=1", "--body", common::text(&body)];
        let sign = ["token", "--json", "--keystore", common::text(&keystore), "--request-id", id, "--ttl", "7"];
        let signed = run(&[&sign[..], &request].concat(), b"").done().json();
        let claims = &signed["claims"];
        assert_eq!(claims["jti"], id);
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 7);

        let token = signed["token"].as_str().unwrap();
        let checked = run(&[&["inspect", "--json", "--token", token][..], &request].concat(), b"").done().json();
        assert_eq!((&checked["alg"], &checked["request_hash"]["matches"]), (&json!(alg), &json!(true)));
        let other = ["--method", "POST", "--path", "/transfers", "--body", common::text(&body)];
        assert_eq!(run(&[&["inspect", "--token", token][..], &other].concat(), b"").code, 1);
    }
}

#[test]
fn every_command_refuses_an_empty_body() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = common::keystore(folder.path(), "keystore-dashboard.json");
    let empty = folder.path().join("empty.json");
    fs::write(&empty, "").unwrap();
    let (keystore, empty) = (common::text(&keystore), common::text(&empty));
    for args in [
        &["token", "--method", "POST", "--path", "/transfers", "--body", empty][..],
        &["token", "--method", "POST", "--path", "/transfers", "--body", "-"],
        &["call", "POST", "/transfers", "--body", empty, "--api", "http://127.0.0.1:9"],
        &["call", "POST", "/transfers", "--body", "-", "--api", "http://127.0.0.1:9"],
    ] {
        let failed = run(&[args, &["--json", "--keystore", keystore]].concat(), b"");
        assert_eq!((failed.code, failed.kind().as_str()), (2, "input"), "{args:?}: {failed:?}");
    }
}

#[test]
fn without_a_server_the_error_is_a_network_error() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = common::keystore(folder.path(), "keystore-dashboard.json");
    // Nothing listens on this port. Another test could take a free one.
    let api = "http://127.0.0.1:9";
    let verify = ["verify", "--json", "--keystore", common::text(&keystore), "--api", api, "--pin-stdin"];
    let failed = run(&verify, b"123456\n");
    assert_eq!((failed.code, failed.kind().as_str()), (4, "network"));
}

#[test]
fn a_lost_answer_is_unknown_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = common::keystore(folder.path(), "keystore-dashboard.json");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        use std::io::Read as _;
        let (mut stream, _) = listener.accept().unwrap();
        // Long enough for any of our requests.
        assert!(stream.read(&mut [0; 8192]).unwrap() > 0);
    });
    let update =
        ["update", "--json", "--keystore", common::text(&keystore), "--api", &api, "--pin-stdin", "--new-user"];
    // For a new session the client would ask for the server's time first.
    let failed = run(&[&update[..], &["--store", "memory:"]].concat(), b"123456\n");
    server.join().unwrap();
    assert_eq!((failed.code, failed.kind().as_str()), (3, "unknown"));
    let error = &failed.json()["error"];
    let next =
        format!("mixin-pin resolve --keystore {} --api {api} --store memory: --new-user", common::text(&keystore));
    let run = error["next_command"].as_str().unwrap();
    // The expiry of the token is needed to settle the call.
    let expires_at = run.strip_prefix(&format!("{next} --expires-at ")).unwrap_or_else(|| panic!("{run}"));
    assert!(expires_at.parse::<u64>().is_ok_and(|at| at > 1_700_000_000), "{run}");
    assert!(error["message"].as_str().unwrap().ends_with(run), "{error}");
    assert_eq!(error["request_id"].as_str().unwrap().len(), 36);
}

#[test]
fn the_demo_shows_every_kind_of_session() {
    let demo = run(&["demo", "--json"], b"").done().json();
    assert_eq!(demo["ok"], true);
    let steps = demo["steps"].as_array().unwrap();
    for session in ["rsa1024", "rsa2048", "ed25519"] {
        let codes: Vec<_> = steps.iter().filter(|step| step["session"] == session).map(|step| &step["code"]).collect();
        assert_eq!(codes.len(), 13, "{session}");
        assert_eq!(codes.iter().filter(|code| **code == 20_119).count(), 3, "{session}");
        assert_eq!(codes.iter().filter(|code| **code == 401).count(), 1, "{session}");
    }
    let text = run(&["demo", "--session", "ed25519"], b"").done().stdout;
    assert!(text.contains("13 requests, each answered as it should be"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour where there is no terminal");
}

#[cfg(unix)]
#[test]
fn the_sandbox_stops_cleanly_and_a_restart_forgets_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("sandbox.db");
    let app = folder.path().join("app.json");
    let more = ["--db", common::text(&db), "--app-keystore-out", common::text(&app), "--tries", "2"];
    let mut first = SandboxProcess::start(&more);
    assert_eq!(first.app_keystore, common::text(&app));
    let keystore = first.register("ed25519");
    first.run(&["update", "--keystore", &keystore, "--new-user", "--pin-stdin"], "123456\n").done();
    assert_eq!(first.run(&["verify", "--keystore", &keystore, "--pin-stdin"], "000000\n").code, 1);
    assert_eq!(first.stop("-TERM"), Some(0));

    let mut second = SandboxProcess::start(&more);
    let last = second.run(&["verify", "--keystore", &keystore, "--pin-stdin"], "000000\n");
    assert_eq!(last.json()["error"]["extra"]["tries_left"], 0);
    let spent = second.run(&["verify", "--keystore", &keystore, "--pin-stdin"], "123456\n");
    assert_eq!(spent.json()["error"]["code"], 429);
    assert_eq!(second.stop("-INT"), Some(0));

    let mut third = SandboxProcess::start(&[]);
    let temporary = third.app_keystore.clone();
    assert!(fs::metadata(&temporary).is_ok());
    assert_eq!(third.stop("-TERM"), Some(0));
    assert!(fs::metadata(&temporary).is_err(), "the sandbox's temporary files are gone");
}

#[test]
fn times_out_of_range_are_refused_without_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = common::keystore(folder.path(), "keystore-dashboard.json");
    let keystore = common::text(&keystore);
    for (option, value) in
        [("--timeout", "18446744073709551615"), ("--timeout", "0"), ("--wait", "18446744073709551615")]
    {
        let failed = run(&["verify", "--json", "--keystore", keystore, "--pin-stdin", option, value], b"123456\n");
        assert_eq!((failed.code, failed.kind().as_str()), (2, "usage"), "{option} {value}");
    }
    let longest = u64::MAX.to_string();
    let token = ["token", "--json", "--keystore", keystore, "--method", "GET", "--path", "/me", "--ttl", &longest];
    let failed = run(&token, b"");
    assert_eq!((failed.code, failed.kind().as_str()), (2, "input"));
}

#[test]
fn the_commands_for_an_unknown_outcome_are_explained_with_it() {
    let explain = |what: &str| run(&["explain", what], b"").done().stdout;
    let unknown = explain("unknown");
    assert!(unknown.starts_with("`unknown`\n") && unknown.contains("`mixin-pin resolve`"), "{unknown}");
    for command in ["pending", "resolve"] {
        assert_eq!(explain(command), unknown);
    }
}

#[test]
fn a_reason_of_the_sandbox_is_explained_by_the_section_that_names_it() {
    let explain = |what: &str| run(&["explain", what], b"").done().stdout;
    assert_eq!(explain("ciphertext"), explain("20119"));
    assert!(explain("token_signature").starts_with("Faults of tokens\n"));
}
