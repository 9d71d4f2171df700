//! `--keystore -`: a keystore from standard input, for every command that has one.

mod common;

use std::fs;

use common::{SandboxProcess, keystore, private, run, testdata, text};

#[test]
fn every_command_reads_its_keystore_from_standard_input() {
    let sandbox = SandboxProcess::start(&[]);
    let me = fs::read_to_string(sandbox.register("ed25519")).unwrap();
    let store = format!("sqlite:{}", sandbox.path("store.db"));
    let session_id =
        me.split('"').find(|part| part.len() == 36 && me.contains(&format!("session_id\": \"{part}"))).unwrap();
    for args in [
        &["me"][..],
        &["logs"],
        &["call", "GET", "/me"],
        &["doctor", "--store", &store],
        &["pending", "--store", &store],
        &["resolve", "--store", &store],
        &["store", "raise", session_id, "--to-server-time", "--store", &store],
    ] {
        sandbox.run(&[args, &["--keystore", "-"]].concat(), &me).done();
    }
    run(&["token", "--method", "GET", "--path", "/me", "--keystore", "-"], me.as_bytes()).done();
    run(&["keystore", "check", "-"], me.as_bytes()).done();
    let curl = testdata("create-pin.curl");
    let inspected = run(&["inspect", "--curl", text(&curl), "--keystore", "-"], me.as_bytes());
    assert!(inspected.code == 1 && inspected.stdout.contains("DOES NOT HOLD"), "{inspected:?}");
    let app = fs::read_to_string(&sandbox.app_keystore).unwrap();
    let out = sandbox.path("new.json");
    let new = ["keystore", "new", "--kind", "ed25519", "--name", "x", "--app-keystore", "-", "--out", &out];
    sandbox.run(&new, &app).done();
    let tip = fs::read_to_string(testdata("keystore-dashboard.json")).unwrap();
    let tip = tip.trim_end().trim_end_matches('}').trim_end();
    let tip = format!(
        "{tip},\"spend_private_key\":\"{}\"}}",
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
    );
    run(&["tip", "sign", "--keystore", "-", "read-emergency-contact"], tip.as_bytes()).done();
}

#[test]
fn the_environment_names_standard_input_too() {
    let me = fs::read(testdata("keystore-dashboard.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("me.json");
    private(&input, std::str::from_utf8(&me).unwrap());
    let mut command = common::command();
    command.args(["token", "--method", "GET", "--path", "/me"]).env("MIXIN_KEYSTORE", "-");
    common::finished(command.stdin(fs::File::open(&input).unwrap()).output().unwrap()).done();
}

#[test]
fn two_readers_of_standard_input_are_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = keystore(folder.path(), "keystore-dashboard.json");
    let me = fs::read(&file).unwrap();
    let file = text(&file);
    for (args, first, second) in [
        (&["verify", "--keystore", "-", "--pin-stdin"][..], "--keystore -", "--pin-stdin"),
        (&["update", "--keystore", "-", "--pin-stdin"], "--keystore -", "--pin-stdin"),
        (&["update", "--keystore", "-", "--spend-key-stdin"], "--keystore -", "--spend-key-stdin"),
        (&["resolve", "--keystore", "-", "--pin-stdin"], "--keystore -", "--pin-stdin"),
        (&["encrypt", "--keystore", "-", "--pin-stdin"], "--keystore -", "--pin-stdin"),
        (&["token", "--keystore", "-", "--method", "POST", "--path", "/x", "--body", "-"], "--keystore -", "--body -"),
        (&["call", "POST", "/x", "--keystore", "-", "--body", "-"], "--keystore -", "--body -"),
        (
            &["call", "POST", "/x", "--keystore", file, "--body", "-", "--with-pin", "--pin-stdin"],
            "--body -",
            "--pin-stdin",
        ),
        (
            &["call", "POST", "/x", "--keystore", "-", "--spend-key-stdin", "--tip", "read-emergency-contact"],
            "--keystore -",
            "--spend-key-stdin",
        ),
        (&["inspect", "--keystore", "-", "--curl", "-"], "--keystore -", "--curl -"),
    ] {
        let json = run(&[&["--json"], args].concat(), &me);
        assert_eq!((json.code, json.kind().as_str()), (2, "usage"), "{args:?}: {json:?}");
        let plain = run(args, &me);
        let said = format!("{first} and {second} would both read standard input");
        assert!(plain.code == 2 && plain.stderr.contains(&said), "{args:?}: {plain:?}");
    }
    for args in [["keystore", "lock", "-"], ["keystore", "unlock", "-"]] {
        let run = run(&args, &me);
        assert!(run.code == 2 && run.stderr.contains("name a new file with --out"), "{run:?}");
    }
}

#[test]
fn errors_name_standard_input_and_show_nothing_of_it() {
    for (content, said) in [
        (&b""[..], "standard input: "),
        (b"\xff\xfe hunter2", "standard input: "),
        (b"{\"session_private_key\": \"hunter2\"}", "standard input: "),
        (" ".repeat(70_000).as_bytes(), "standard input is longer than 64 KiB"),
    ] {
        let run = run(&["me", "--keystore", "-"], content);
        assert!(run.code == 2 && run.stderr.contains(said) && !run.stderr.contains("hunter2"), "{run:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = common::command();
    command.current_dir(folder.path()).args(["tip", "new-key", "--out", "-"]);
    let run = common::finished(command.output().unwrap());
    assert!(run.code == 2 && run.stderr.contains("not written to a file named -"), "{run:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn doctor_skips_the_permissions_of_standard_input() {
    let me = fs::read(testdata("keystore-dashboard.json")).unwrap();
    let run = run(&["--json", "doctor", "--keystore", "-", "--store", "memory:", "--api", "http://127.0.0.1:9"], &me);
    let report = run.json();
    assert_eq!(
        (&report["checks"][0]["name"], &report["checks"][0]["verdict"]),
        (&"permissions".into(), &"skip".into())
    );
    assert_eq!(report["checks"][1]["verdict"], "ok", "{report}");
}

#[test]
fn a_locked_keystore_is_locked_and_unlocked_through_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let me = fs::read(testdata("keystore-dashboard.json")).unwrap();
    let passphrase = folder.path().join("passphrase");
    private(&passphrase, "pebbles");
    let with_input = |args: &[&str], input: &[u8]| {
        let path = folder.path().join("input");
        private(&path, std::str::from_utf8(input).unwrap());
        let mut command = common::command();
        command.args(args).env("MIXIN_PASSPHRASE_FILE", &passphrase).stdin(fs::File::open(path).unwrap());
        common::finished(command.output().unwrap()).done()
    };
    let (locked, unlocked) = (folder.path().join("locked.json"), folder.path().join("unlocked.json"));
    with_input(&["keystore", "lock", "-", "--out", text(&locked)], &me);
    let locked = fs::read(&locked).unwrap();
    with_input(&["token", "--method", "GET", "--path", "/me", "--keystore", "-"], &locked);
    with_input(&["keystore", "unlock", "-", "--out", text(&unlocked)], &locked);
    assert_eq!(fs::read(&unlocked).unwrap(), me);
}

#[cfg(target_os = "linux")]
#[test]
fn a_prompt_still_works_and_a_terminal_is_no_keystore() {
    let test = "a keystore from standard input";
    let sandbox = SandboxProcess::start(&[]);
    let me = sandbox.register("ed25519");
    let exe = env!("CARGO_BIN_EXE_mixin-pin");
    let script = format!("cat {me} | {exe} update --new-user --keystore - --store memory: --api {}", sandbox.url);
    let Some(mut terminal) = common::terminal::Terminal::start(test, &script) else { return };
    terminal.answer("new PIN: ", "739146");
    terminal.answer("new PIN again: ", "739146");
    terminal.wait_for("PIN created");
    let Some(mut terminal) = common::terminal::Terminal::run(test, &["me", "--keystore", "-"]) else { return };
    terminal.wait_for("standard input is a terminal, which would show the keystore");
}

#[test]
fn the_next_command_reads_standard_input_again() {
    let api = common::server_that_goes_away();
    let me = fs::read(testdata("keystore-dashboard.json")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", text(&folder.path().join("store.db")));
    // For a new session the client would ask for the server's time first.
    let known = keystore(folder.path(), "keystore-dashboard.json");
    run(&["encrypt", "--pin-stdin", "--keystore", text(&known), "--store", &store], b"314159\n").done();
    let run = run(&["--json", "call", "POST", "/x", "--keystore", "-", "--api", &api, "--store", &store], &me);
    assert_eq!((run.code, run.kind().as_str()), (3, "unknown"), "{run:?}");
    let next = format!("mixin-pin pending --keystore - --api {api} --store {store}");
    assert_eq!(run.json()["error"]["listed_by"], next);
}
