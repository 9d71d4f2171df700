//! Bad input: each kind has its own error, on the right stream, with the right exit code.

mod common;

use std::fs;

use common::{STDERR, SandboxProcess, keystore, private, run, testdata, text};

fn fails(args: &[&str], stdin: &[u8], code: i32, kind: &str, part: &str) {
    let json = run(&[args, &["--json"]].concat(), stdin);
    assert_eq!((json.code, json.kind().as_str()), (code, kind), "{args:?}: {json:?}");
    let message = json.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains(part), "{args:?}: {message}");
    let plain = run(args, stdin);
    assert_eq!((plain.code, plain.stdout.as_str()), (code, ""), "{args:?}: {plain:?}");
    assert!(plain.stderr.contains(part), "{args:?}: {}", plain.stderr);
}

#[test]
fn malformed_pins_are_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    let encrypt = ["encrypt", "--pin-stdin", "--keystore", text(&keystore)];
    for pin in ["\n", "12345\n", "1234567\n", "12345a\n", "123 456\n", "\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\n"] {
        fails(&encrypt, pin.as_bytes(), 2, "input", "exactly six digits");
    }
    fails(&encrypt, b"\xff\xfe\n", 2, "input", "exactly six digits");
    fails(&encrypt, b"", 2, "input", "ended before the PIN");
    let update = ["update", "--pin-stdin", "--keystore", text(&keystore), "--api", "http://127.0.0.1:9"];
    fails(&update, b"123456\n", 2, "input", "ended before the new PIN");
}

#[test]
fn common_mistakes_get_advice() {
    fails(&["verify"], b"", 2, "usage", "'mixin-pin sandbox --user-keystore-out me.json'");
    for pin in [&["314159"][..], &["--pin", "314159"], &["--pin=314159"]] {
        let args = [&["verify", "--keystore", "k.json"], pin].concat();
        fails(&args, b"", 2, "usage", "give the PIN at the prompt or with --pin-stdin");
        assert!(!run(&args, b"").stderr.contains("314159"), "{args:?}");
    }
    // Other mistakes get no such advice.
    assert!(!run(&["verify", "--keystore", "k.json", "--colour"], b"").stderr.contains("the PIN at the prompt"));
}

#[test]
fn each_unusable_keystore_has_its_own_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k.json");
    let me = ["me", "--keystore", text(&path)];
    let rsa: serde_json::Value = serde_json::from_slice(&fs::read(testdata("keystore-rsa-bot.json")).unwrap()).unwrap();
    let mut missing = rsa.clone();
    missing.as_object_mut().unwrap().remove("session_id");
    let mut wrong_label = rsa.clone();
    wrong_label["session_id"] = "dcc637dd-ce12-4140-b6c2-b558c5161c41".into();
    let mut wrong_base64 = rsa.clone();
    wrong_base64["pin_token"] = "?".into();
    let mut small = rsa;
    small["private_key"] = fs::read_to_string(testdata("rsa-512.pem")).unwrap().into();

    fails(&me, b"", 2, "input", "cannot be read");
    for (content, part) in [
        (b"{\xff".to_vec(), "not UTF-8"),
        (b"\xff\xfe".to_vec(), "is empty"),
        (b"{\n".to_vec(), "ends in the middle"),
        (b"7".to_vec(), "not a JSON object"),
        (b"{}".to_vec(), "no private key"),
        (br#"{"private_key": "-----BEGIN RSA PRIVATE KEY-----\nAAAA"}"#.to_vec(), "private_key cannot be used"),
        (missing.to_string().into_bytes(), "lacks session_id"),
        (wrong_label.to_string().into_bytes(), "PIN token did not unwrap"),
        (wrong_base64.to_string().into_bytes(), "pin_token is neither hex nor base64"),
        (small.to_string().into_bytes(), "the RSA key has 512 bits"),
    ] {
        fs::write(&path, content).unwrap();
        fails(&me, b"", 2, "keystore", part);
    }
}

#[test]
fn a_keystore_for_a_remote_signer_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let path = keystore(folder.path(), "keystore-remote-signer.json");
    for args in [&["me"][..], &["verify", "--pin-stdin"], &["token", "--method", "GET", "--path", "/me"]] {
        fails(&[args, &["--keystore", text(&path)]].concat(), b"123456\n", 2, "keystore", "is for a remote signer");
    }
    let check = run(&["keystore", "check", text(&path)], b"").done();
    assert!(check.stdout.contains("another program signs"), "{check:?}");
}

#[test]
fn checking_a_keystore_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    for (name, shape) in [
        ("keystore-rsa-bot.json", "rsa-bot"),
        ("keystore-ed25519-bot.json", "ed25519-bot"),
        ("keystore-dashboard.json", "dashboard"),
        ("keystore-bare-user.json", "bare-user"),
        ("keystore-oauth.json", "oauth"),
        ("keystore-remote-signer.json", "remote-signer"),
    ] {
        let path = keystore(folder.path(), name);
        let checked = run(&["keystore", "check", "--json", text(&path)], b"").done();
        assert_eq!((&checked.json()["shape"], checked.stderr.as_str()), (&shape.into(), ""), "{name}");
        assert!(run(&["keystore", "check", text(&path)], b"").done().stdout.starts_with("complete"));
    }
    let path = folder.path().join("bad.json");
    private(&path, "{}");
    let checked = run(&["keystore", "check", "--json", text(&path)], b"");
    assert_eq!((checked.code, &checked.json()["complete"]), (1, &false.into()));
}

#[cfg(unix)]
#[test]
fn a_keystore_that_others_can_read_gets_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = keystore(folder.path(), "keystore-dashboard.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let run = run(&["keystore", "check", "--json", text(&path)], b"").done();
    assert!(run.stderr.contains("chmod 600"), "{}", run.stderr);
    run.json();
}

#[cfg(unix)]
#[test]
fn key_files_are_readable_by_their_owner_only_and_replace_no_file() {
    use std::os::unix::fs::PermissionsExt as _;

    let sandbox = SandboxProcess::start(&[]);
    let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&sandbox.app_keystore), 0o600);
    let out = sandbox.register("ed25519");
    assert_eq!(mode(&out), 0o600);
    let before = fs::read(&out).unwrap();
    let new =
        ["keystore", "new", "--kind", "ed25519", "--name", "x", "--app-keystore", &sandbox.app_keystore, "--out", &out];
    fails(&[&new[..], &["--api", &sandbox.url]].concat(), b"", 2, "input", "exists and is not replaced");
    assert_eq!(fs::read(&out).unwrap(), before);
    let run = run(&["sandbox", "--json", "--app-keystore-out", &out], b"");
    assert_eq!((run.code, run.kind().as_str()), (2, "input"));
    assert_eq!(fs::read(&out).unwrap(), before);
}

#[test]
fn a_session_that_is_no_apps_cannot_register_a_user_and_leaves_no_file() {
    let sandbox = SandboxProcess::start(&[]);
    let user = sandbox.register("ed25519");
    let out = sandbox.path("none.json");
    let new = ["keystore", "new", "--kind", "ed25519", "--name", "x", "--app-keystore", &user, "--out", &out];
    fails(&[&new[..], &["--api", &sandbox.url]].concat(), b"", 1, "refused", "code 403");
    assert!(fs::metadata(&out).is_err());
    let left = fs::read_dir(sandbox.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left.filter(|name| name != STDERR).collect();
    assert_eq!(left, ["ed25519.json"], "no temporary file is left");
}

#[test]
fn usage_errors_show_no_pin() {
    for args in
        [&["verify"][..], &["nothing"], &[], &["inspect"], &["inspect", "--token", "x"], &["me", "--timeout", "x"]]
    {
        assert_eq!(run(args, b"").code, 2, "{args:?}");
    }
    for args in [&["verify", "--keystore", "k", "271828"][..], &["verify", "--keystore=k", "--pin=271828"]] {
        let plain = run(args, b"");
        assert!(plain.code == 2 && !plain.stderr.contains("271828"), "{plain:?}");
        let json = run(&[args, &["--json"]].concat(), b"");
        assert!(json.kind() == "usage" && !json.stdout.contains("271828"), "{json:?}");
    }
    let api = |url: &str, part: &str| {
        let path = testdata("keystore-dashboard.json");
        fails(&["me", "--keystore", text(&path), "--api", url], b"", 2, "input", part);
    };
    api("api.mixin.one", "must be a URL");
    api("http://api.mixin.one", "plain HTTP");
}

#[test]
fn a_lifetime_that_overflows_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    let token = ["token", "--keystore", text(&keystore), "--method", "GET", "--path", "/me", "--ttl"];
    for ttl in ["0", "9223372036854775807", "18446744073709551615"] {
        fails(&[&token[..], &[ttl]].concat(), b"", 2, "input", "must live at least a second");
    }
}

#[test]
fn token_signs_only_what_call_sends() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    let body = folder.path().join("body");
    for (method, path, content, part) in [
        ("post", "/me", "", "capital letters"),
        ("", "/me", "", "capital letters"),
        ("GET ", "/me", "", "capital letters"),
        ("GET", "me", "", "percent-encode"),
        ("GET", "", "", "percent-encode"),
        ("GET", "https://api.mixin.one/me", "", "percent-encode"),
        ("GET", "/me#top", "", "percent-encode"),
        ("GET", "/a b", "", "percent-encode"),
        ("GET", "/caf\u{e9}", "", "percent-encode"),
        ("GET", "/search?q=\"x\"", "", "percent-encode"),
        ("GET", "/a\\b", "", "percent-encode"),
        ("GET", "/a%2", "", "percent-encode"),
        ("GET", "/a/../b", "", "no segment"),
        ("GET", "/search?q='x'", "", "quotes"),
        ("POST", "/x", "{", "must be JSON"),
    ] {
        fs::write(&body, content).unwrap();
        let body = if content.is_empty() { &[][..] } else { &["--body", text(&body)] };
        let token = ["token", "--keystore", text(&keystore), "--method", method, "--path", path];
        fails(&[&token[..], body].concat(), b"", 2, "input", part);
        let call = ["call", method, path, "--keystore", text(&keystore), "--api", "http://127.0.0.1:9"];
        fails(&[&call[..], body].concat(), b"", 2, "input", part);
    }
    for path in ["/me", "/", "/search/%7B1%7d?q=a%20b&c=[1]&d=e:@!$()*+,;=~._-"] {
        run(&["token", "--keystore", text(&keystore), "--method", "GET", "--path", path], b"").done();
    }
}
