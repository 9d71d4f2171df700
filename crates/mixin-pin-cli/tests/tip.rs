//! TIP keys by the command, against `mixin-pin sandbox`.

mod common;

use std::fs;

use common::{SandboxProcess, private, run};
use serde_json::{Value, json};

fn new_key(sandbox: &SandboxProcess, name: &str) -> (String, Value) {
    let out = sandbox.path(name);
    let made = run(&["tip", "new-key", "--json", "--out", &out], b"").done().json();
    (fs::read_to_string(&out).unwrap(), made)
}

#[test]
fn a_tip_key_is_installed_proved_changed_and_refused() {
    let sandbox = SandboxProcess::start(&[]);
    for kind in ["rsa1024", "ed25519"] {
        let keystore = sandbox.register(kind);
        let with = |args: &[&str], stdin: &str| sandbox.run(&[args, &["--keystore", &keystore]].concat(), stdin);
        let (first, made) = new_key(&sandbox, &format!("{kind}-first"));
        let (second, _) = new_key(&sandbox, &format!("{kind}-second"));

        // From digits to TIP: the old PIN, then the new key, from one standard input.
        with(&["update", "--new-user", "--pin-stdin"], "123456\n").done();
        let install = ["update", "--pin-stdin", "--spend-key-stdin"];
        assert_eq!(with(&install, &format!("999999\n{first}")).kind(), "refused");
        let user = with(&install, &format!("123456\n{first}")).done().json();
        assert_eq!(user["user"]["tip_key_base64"], made["tip_key_base64"]);
        assert_eq!(user["user"]["tip_counter"], 1);

        with(&["verify", "--spend-key-stdin"], &first).done();
        let wrong = with(&["verify", "--spend-key-stdin"], &second);
        assert_eq!(
            (wrong.code, wrong.kind().as_str()),
            (2, "input"),
            "the server's public key tells before it is sent"
        );
        assert_eq!(with(&["verify", "--pin-stdin"], "123456\n").json()["error"]["code"], 20_118);

        let changed = with(&["update", "--spend-key-stdin"], &format!("{first}{second}")).done().json();
        assert_eq!(changed["user"]["tip_counter"], 2);
        with(&["verify", "--spend-key-stdin"], &second).done();
        let text = run(&["me", "--keystore", &keystore, "--api", &sandbox.url], b"").done().stdout;
        assert!(text.contains("(counter 2)"), "{text}");
    }
}

#[test]
fn the_keystores_spend_key_is_used_where_it_is_asked_for() {
    let sandbox = SandboxProcess::start(&[]);
    let registered = sandbox.register("ed25519");
    let mut fields: Value = serde_json::from_slice(&fs::read(&registered).unwrap()).unwrap();
    fields["spend_private_key"] = "5eed".repeat(16).into();
    let keystore = sandbox.path("with-key.json");
    private(keystore.as_ref(), &fields.to_string());
    let with = |args: &[&str], stdin: &str| sandbox.run(&[args, &["--keystore", &keystore]].concat(), stdin);
    with(&["update", "--tip", "--new-user"], "").done();
    with(&["verify", "--tip"], "").done();

    // The keystore's is the old key, and only the new one is given.
    let (second, made) = new_key(&sandbox, "second");
    let changed = with(&["update", "--tip", "--spend-key-stdin"], &second).done().json();
    assert_eq!(changed["user"]["tip_key_base64"], made["tip_key_base64"]);
    assert_eq!(with(&["verify", "--tip"], "").code, 2, "the keystore's key is the old one");
    with(&["verify", "--spend-key-stdin"], &second).done();
}

#[test]
fn keys_that_are_missing_or_none_are_told() {
    let sandbox = SandboxProcess::start(&[]);
    let keystore = sandbox.register("ed25519");
    let with = |args: &[&str], stdin: &str| sandbox.run(&[args, &["--keystore", &keystore]].concat(), stdin);
    let message = |run: common::Run| {
        assert_eq!((run.code, run.kind().as_str()), (2, "input"), "{run:?}");
        run.json()["error"]["message"].as_str().unwrap().to_owned()
    };
    assert!(message(with(&["verify", "--tip"], "")).contains("--spend-key-stdin"));
    assert!(message(with(&["verify", "--spend-key-stdin"], "")).contains("ended before the spend key"));
    assert!(message(with(&["update", "--new-user", "--spend-key-stdin"], "5eed\n")).contains("32 or 64 bytes"));
}

#[cfg(unix)]
#[test]
fn a_new_key_is_its_owners_alone_and_shown_to_nobody() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("key");
    for json in [&["--json"][..], &[]] {
        let made = run(&[&["tip", "new-key", "--out", common::text(&out)], json].concat(), b"").done();
        assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
        let seed = fs::read_to_string(&out).unwrap();
        assert_eq!(seed.len(), 65);
        assert!(!made.stdout.contains(seed.trim()) && made.stderr.is_empty(), "{made:?}");
        let again = run(&["tip", "new-key", "--json", "--out", common::text(&out)], b"");
        assert_eq!((again.code, again.json()["error"]["kind"].clone()), (2, json!("input")));
        assert_eq!(fs::read_to_string(&out).unwrap(), seed);
        fs::remove_file(&out).unwrap();
    }
}
