//! Keystores locked under a passphrase that comes from a file.

mod common;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use common::{Run, SandboxProcess, command, finished, keystore, private, text};

const PASSPHRASE: &str = "seven small stones";

/// Runs the command with a passphrase file in the environment.
fn run_with(passphrase_file: &Path, args: &[&str]) -> Run {
    let mut command = command();
    command.args(args).env("MIXIN_PASSPHRASE_FILE", passphrase_file).stdin(Stdio::null());
    finished(command.output().unwrap())
}

fn passphrase_file(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("passphrase");
    private(&path, &format!("{PASSPHRASE}\n"));
    path
}

#[test]
fn a_locked_keystore_needs_its_passphrase_and_unlocks_to_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = keystore(folder.path(), "keystore-dashboard.json");
    let before = fs::read(&path).unwrap();
    let right = passphrase_file(folder.path());
    let locked = run_with(&right, &["--json", "keystore", "lock", text(&path)]);
    assert_eq!((locked.code, &locked.json()["locked"]), (0, &true.into()), "{locked:?}");

    let stored = fs::read_to_string(&path).unwrap();
    assert!(stored.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") && !stored.contains("session_id"), "{stored}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no other file is left");

    let check = run_with(&right, &["--json", "keystore", "check", text(&path)]).done();
    assert_eq!(check.json()["complete"], true);
    run_with(&right, &["token", "--keystore", text(&path), "--method", "GET", "--path", "/me"]).done();

    let wrong = folder.path().join("wrong");
    private(&wrong, "seven small bones");
    for args in [["keystore", "check"], ["keystore", "unlock"]] {
        let refused = run_with(&wrong, &[&["--json"][..], &args, &[text(&path)]].concat());
        assert_eq!((refused.code, refused.kind().as_str()), (2, "passphrase"), "{refused:?}");
        assert!(!format!("{refused:?}").contains("small"), "{refused:?}");
    }
    let without_passphrase = finished(command().args(["--json", "keystore", "check", text(&path)]).output().unwrap());
    assert_eq!(without_passphrase.code, 2, "{without_passphrase:?}");

    run_with(&right, &["keystore", "unlock", text(&path)]).done();
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn files_that_cannot_be_locked_or_unlocked_stay_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let passphrase = passphrase_file(folder.path());
    let open = keystore(folder.path(), "keystore-dashboard.json");
    let locked = folder.path().join("locked.json");
    run_with(&passphrase, &["keystore", "lock", text(&open), "--out", text(&locked)]).done();
    let (open_before, locked_before) = (fs::read(&open).unwrap(), fs::read(&locked).unwrap());
    assert!(open_before.starts_with(b"{"), "the keystore is unchanged");

    let other = folder.path().join("notes.json");
    private(&other, "{\"notes\": true}");
    let empty = folder.path().join("empty");
    private(&empty, "\n");
    let torn = folder.path().join("torn.json");
    private(&torn, &String::from_utf8(locked_before.clone()).unwrap()[..300]);
    for (passphrase, args, kind) in [
        (&passphrase, ["unlock", text(&open)], "keystore"),
        (&passphrase, ["lock", text(&locked)], "keystore"),
        (&passphrase, ["lock", text(&other)], "keystore"),
        (&passphrase, ["unlock", text(&torn)], "keystore"),
        (&empty, ["lock", text(&open)], "passphrase"),
    ] {
        let run = run_with(passphrase, &[&["--json", "keystore"][..], &args].concat());
        assert_eq!((run.code, run.kind().as_str()), (2, kind), "{args:?} {run:?}");
    }
    let run = run_with(&passphrase, &["--json", "keystore", "lock", text(&open), "--out", text(&locked)]);
    assert_eq!((run.code, run.kind().as_str()), (2, "input"), "an existing file is not replaced: {run:?}");
    assert_eq!((fs::read(&open).unwrap(), fs::read(&locked).unwrap()), (open_before, locked_before));
}

#[test]
fn a_new_keystore_can_be_locked_before_it_is_written() {
    let sandbox = SandboxProcess::start(&[]);
    let passphrase = passphrase_file(sandbox.folder.path());
    let out = sandbox.path("me.json");
    let app = &sandbox.app_keystore;
    let args = ["keystore", "new", "--kind", "ed25519", "--app-keystore", app, "--name", "Me", "--lock"];
    run_with(&passphrase, &[&args[..], &["--out", &out, "--api", &sandbox.url]].concat()).done();
    assert!(fs::read(&out).unwrap().starts_with(b"-----BEGIN AGE"));
    let me = run_with(&passphrase, &["--json", "me", "--keystore", &out, "--api", &sandbox.url]).done();
    assert_eq!(me.json()["user"]["full_name"], "Me");
}
