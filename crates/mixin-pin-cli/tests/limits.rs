//! Inputs have limits: an endless device, pipe or file is refused once it is over its limit.
#![cfg(target_os = "linux")]

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Run, command, finished, keystore, private, testdata, text};

/// Runs the command with limited memory and time, so a failing test does not harm the machine.
fn run_bounded(passphrase_file: Option<&Path>, args: &[&str], stdin: Stdio) -> Run {
    let plain = command();
    let mut bounded = Command::new("sh");
    bounded.args(["-c", "ulimit -v 1500000; exec timeout 20 \"$@\"", "sh"]).arg(plain.get_program()).args(args);
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => bounded.env(name, value),
            None => bounded.env_remove(name),
        };
    }
    if let Some(path) = passphrase_file {
        bounded.env("MIXIN_PASSPHRASE_FILE", path);
    }
    finished(bounded.stdin(stdin).output().unwrap())
}

fn assert_too_long(run: &Run, limit: &str, what: &str) {
    assert_eq!((run.code, run.kind().as_str()), (2, "input"), "{what}: {run:?}");
    let message = run.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("is longer than") && message.contains(limit), "{what}: {message}");
}

#[test]
fn endless_input_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let good = keystore(folder.path(), "keystore-dashboard.json");
    let good = text(&good);
    let curl = testdata("create-pin.curl");
    let zero = "/dev/zero";
    for (args, limit) in [
        (&["keystore", "check", zero][..], "64 KiB"),
        (&["keystore", "lock", zero], "64 KiB"),
        (&["keystore", "unlock", zero], "64 KiB"),
        (&["me", "--keystore", zero], "64 KiB"),
        (
            &["keystore", "new", "--kind", "ed25519", "--app-keystore", zero, "--name", "x", "--out", "no.json"],
            "64 KiB",
        ),
        (&["tip", "sign", "--keystore", zero, "read-emergency-contact"], "64 KiB"),
        (&["token", "--keystore", good, "--method", "POST", "--path", "/x", "--body", zero], "1 MiB"),
        (&["token", "--keystore", good, "--method", "POST", "--path", "/x", "--body", "-"], "1 MiB"),
        (&["call", "POST", "/x", "--keystore", good, "--body", zero], "1 MiB"),
        (&["call", "POST", "/x", "--keystore", good, "--body", "-"], "1 MiB"),
        (&["inspect", "--curl", zero], "8 MiB"),
        (&["inspect", "--curl", "-"], "8 MiB"),
        (&["inspect", "--token", "x", "--method", "GET", "--path", "/x", "--body", zero], "1 MiB"),
        (&["inspect", "--curl", text(&curl), "--keystore", zero], "64 KiB"),
        (&["inspect", "--curl", text(&curl), "--public-key", zero], "64 KiB"),
        (&["sandbox", "--accounts", zero], "MiB"),
        (&["encrypt", "--pin-stdin", "--keystore", good], "160 characters"),
        (&["verify", "--spend-key-stdin", "--keystore", good, "--api", "http://127.0.0.1:9"], ""),
        (&["tip", "sign", "--spend-key-stdin", "read-emergency-contact"], "160 characters"),
    ] {
        let run = run_bounded(None, &[&["--json"], args].concat(), File::open(zero).unwrap().into());
        if limit.is_empty() {
            // This command asks the server first, and no server answers here.
            assert_eq!(run.code, 4, "{args:?}: {run:?}");
        } else {
            assert_too_long(&run, limit, &format!("{args:?}"));
        }
    }

    let locked = folder.path().join("locked.json");
    let passphrase = folder.path().join("passphrase");
    private(&passphrase, "pebbles");
    let lock = ["--json", "keystore", "lock", good, "--out", text(&locked)];
    assert_eq!(run_bounded(Some(&passphrase), &lock, Stdio::null()).code, 0);
    for args in [&["check", text(&locked)][..], &["unlock", text(&locked)], &["lock", good]] {
        let args = [&["--json", "keystore"], args].concat();
        assert_too_long(&run_bounded(Some(zero.as_ref()), &args, Stdio::null()), "64 KiB", "a passphrase");
    }
}

#[test]
fn an_endless_pipe_is_refused_and_closed() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut feeder = Command::new("sh").args(["-c", "exec cat /dev/zero > \"$1\"", "sh"]).arg(&pipe).spawn().unwrap();
    let run = run_bounded(None, &["--json", "keystore", "check", text(&pipe)], Stdio::null());
    // Without a reader, it ends.
    feeder.wait().unwrap();
    assert_too_long(&run, "64 KiB", "a pipe");
}

#[test]
fn input_of_the_longest_allowed_length_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.json");
    let text_of = |length: usize| {
        let keystore = fs::read_to_string(testdata("keystore-dashboard.json")).unwrap();
        format!("{}{keystore}", " ".repeat(length - keystore.len()))
    };
    private(&path, &text_of(64 * 1024));
    let check = ["--json", "keystore", "check", text(&path)];
    assert_eq!(run_bounded(None, &check, Stdio::null()).code, 0);
    private(&path, &text_of(64 * 1024 + 1));
    assert_too_long(&run_bounded(None, &check, Stdio::null()), "64 KiB", "one more");

    // A keystore that would be too long when locked stays unchanged.
    private(&path, &text_of(60 * 1024));
    let passphrase = folder.path().join("passphrase");
    private(&passphrase, "pebbles");
    let run = run_bounded(Some(&passphrase), &["--json", "keystore", "lock", text(&path)], Stdio::null());
    assert_too_long(&run, "64 KiB", "locked");
    assert_eq!(fs::read_to_string(&path).unwrap(), text_of(60 * 1024));

    let body = folder.path().join("body.json");
    let good = keystore(folder.path(), "keystore-dashboard.json");
    let token =
        ["--json", "token", "--keystore", text(&good), "--method", "POST", "--path", "/x", "--body", text(&body)];
    private(&body, &format!("\"{}\"", "a".repeat(1024 * 1024 - 2)));
    assert_eq!(run_bounded(None, &token, Stdio::null()).code, 0);
    private(&body, &format!("\"{}\"", "a".repeat(1024 * 1024 - 1)));
    assert_too_long(&run_bounded(None, &token, Stdio::null()), "1 MiB", "a body");
}
