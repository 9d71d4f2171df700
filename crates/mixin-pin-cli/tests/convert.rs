//! `keystore convert`: a keystore in another client's shape is the same session.

mod common;

use std::fs;
use std::path::Path;

use common::{Run, SandboxProcess, command, finished, keystore, private, run, text};
use serde_json::Value;

const SPEND_KEY: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";

fn convert(file: &Path, shape: &str, more: &[&str]) -> Run {
    run(&[&["keystore", "convert", text(file), "--shape", shape], more].concat(), b"")
}

fn fields(json: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(json).unwrap_or_else(|_| panic!("{json}"));
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn each_shape_is_the_same_session_for_the_sandbox() {
    let sandbox = SandboxProcess::start(&[]);
    for (kind, shapes) in
        [("ed25519", &["dashboard", "bot", "user", "node", "ruby"][..]), ("rsa2048", &["bot", "ruby"])]
    {
        let me = sandbox.register(kind);
        let user = sandbox.run(&["me", "--keystore", &me], "").done().json();
        for shape in shapes {
            let out = sandbox.path(&format!("{kind}-{shape}.json"));
            let said = convert(me.as_ref(), shape, &["--out", &out, "--json"]).done().json();
            assert_eq!((&said["shape"], said["left_out"].as_array().unwrap().len()), (&(*shape).into(), 0));
            assert_eq!(sandbox.run(&["me", "--keystore", &out], "").done().json(), user, "{kind} {shape}");
            // Back from each.
            let back = convert(out.as_ref(), "bot", &[]).done();
            let of_user = convert(me.as_ref(), "bot", &[]).done();
            assert_eq!((back.stdout, back.stderr.as_str()), (of_user.stdout, ""), "{kind} {shape}");
        }
        let pin = format!("sqlite:{}", sandbox.path(&format!("{kind}.db")));
        let node = sandbox.path(&format!("{kind}-{}.json", shapes[shapes.len() - 1]));
        for (command, keystore) in [(&["update", "--new-user"][..], &me), (&["verify"], &node)] {
            let args = [command, &["--pin-stdin", "--keystore", keystore, "--store", &pin]].concat();
            sandbox.run(&args, "739146\n").done();
        }
    }
}

#[cfg(unix)]
#[test]
fn the_result_is_a_new_file_of_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let me = keystore(folder.path(), "keystore-dashboard.json");
    let out = folder.path().join("out.json");
    convert(&me, "node", &["--out", text(&out)]).done();
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&out).unwrap();
    for out in [text(&out), text(&me), "-"] {
        let taken = convert(&me, "bot", &["--out", out]);
        assert_eq!(taken.code, 2, "{taken:?}");
    }
    assert_eq!(fs::read(&out).unwrap(), before);
    // A failure leaves no file.
    let oauth = keystore(folder.path(), "keystore-oauth.json");
    let none = folder.path().join("none.json");
    let failed = convert(&oauth, "dashboard", &["--out", text(&none)]);
    assert!(failed.code == 2 && failed.stderr.contains("cannot hold an OAuth authorization; choose"), "{failed:?}");
    assert!(!none.exists());
}

#[test]
fn what_is_left_out_is_named_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let me = keystore(folder.path(), "keystore-dashboard.json");
    let json = fs::read_to_string(&me).unwrap();
    let json = json.trim_end().strip_suffix('}').unwrap().trim_end();
    let more = format!(r#","pin":"739146","client_secret":"hunter2","spend_private_key":"{SPEND_KEY}"}}"#);
    private(&me, &format!("{json}{more}"));

    let without = convert(&me, "dashboard", &[]).done();
    assert!(without.stderr.contains("left out: pin, spend_private_key, client_secret"), "{}", without.stderr);
    assert_eq!(fields(&without.stdout), ["app_id", "server_public_key", "session_id", "session_private_key"]);
    let with = convert(&me, "dashboard", &["--with-spend-key"]).done();
    assert!(with.stdout.contains(SPEND_KEY) && with.stderr.contains("left out: pin, client_secret"), "{with:?}");
    // The shape has no place for it.
    let node = convert(&me, "node", &["--with-spend-key"]).done();
    assert!(!node.stdout.contains(SPEND_KEY) && node.stderr.contains("spend_private_key"), "{node:?}");
    for run in [&without, &with, &node] {
        assert!(!run.stdout.contains("739146") && !run.stdout.contains("hunter2"), "{run:?}");
        assert!(!run.stderr.contains(SPEND_KEY) && !run.stderr.contains("739146"), "{run:?}");
    }
    let out = folder.path().join("out.json");
    let people = convert(&me, "ruby", &["--out", text(&out)]).done();
    assert!(people.stdout.contains("left out    pin, spend_private_key, client_secret"), "{people:?}");
}

#[test]
fn locked_keystores_are_converted_and_results_are_locked() {
    let folder = tempfile::tempdir().unwrap();
    let me = keystore(folder.path(), "keystore-dashboard.json");
    let passphrase = folder.path().join("passphrase");
    private(&passphrase, "pebbles");
    let with_passphrase =
        |args: &[&str]| finished(command().args(args).env("MIXIN_PASSPHRASE_FILE", &passphrase).output().unwrap());
    let (locked, open) = (folder.path().join("locked.json"), folder.path().join("open.json"));
    let to = |file: &Path, out: &Path, more: &[&str]| {
        let args = ["keystore", "convert", text(file), "--shape", "bot", "--out", text(out)];
        with_passphrase(&[&args[..], more].concat()).done()
    };
    to(&me, &locked, &["--lock"]);
    assert!(fs::read_to_string(&locked).unwrap().starts_with("-----BEGIN AGE ENCRYPTED FILE-----"));
    to(&locked, &open, &[]);
    assert_eq!(fs::read_to_string(&open).unwrap(), convert(&me, "bot", &[]).done().stdout);
    let usage = convert(&me, "bot", &["--lock"]);
    assert!(usage.code == 2 && usage.stderr.contains("--out"), "{usage:?}");
}

#[test]
fn oauth_keystores_are_converted_between_their_clients() {
    let folder = tempfile::tempdir().unwrap();
    let go = keystore(folder.path(), "keystore-oauth.json");
    let node = folder.path().join("node.json");
    convert(&go, "node", &["--out", text(&node)]).done();
    let checked = run(&["keystore", "check", text(&node)], b"").done();
    assert!(checked.stdout.starts_with("complete: an OAuth authorization, without the server's key\n"), "{checked:?}");
    assert!(checked.stdout.contains("note        the keystore lacks ed25519"), "{checked:?}");
    let json = run(&["keystore", "check", "--json", text(&node)], b"").done().json();
    assert!(json["notes"][0].as_str().is_some_and(|note| note.contains("lacks ed25519")), "{json}");

    // Both sign the same claims.
    let claims = |file: &Path| {
        let args = ["token", "--json", "--method", "GET", "--path", "/me", "--keystore", text(file)];
        run(&args, b"").done().json()["claims"].clone()
    };
    let (of_go, of_node) = (claims(&go), claims(&node));
    for claim in ["iss", "aid", "scp"] {
        assert!(of_go[claim].is_string() && of_go[claim] == of_node[claim], "{of_go} {of_node}");
    }
    let call = run(&["me", "--keystore", text(&node), "--api", "http://127.0.0.1:9"], b"");
    assert!(call.code == 2 && call.stderr.contains("lacks ed25519, the server's key"), "{call:?}");
    let back = convert(&node, "bot", &[]);
    assert!(back.code == 2 && back.stderr.contains("without the server's key"), "{back:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_keystore_is_not_shown_on_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let me = keystore(folder.path(), "keystore-dashboard.json");
    let test = "a keystore on a terminal";
    let args = ["keystore", "convert", text(&me), "--shape", "bot"];
    let Some(mut terminal) = common::terminal::Terminal::run(test, &args) else { return };
    terminal.wait_for("not shown on a terminal; name a new file with --out");
}
