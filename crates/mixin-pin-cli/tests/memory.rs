//! The command frees no memory with a secret in it. A preloaded library searches every block when it is freed, in Rust code and
//! in C code.
#![cfg(target_os = "linux")]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{SandboxProcess, command, finished, private};
use mixin_pin_core::{Ed25519Key, SystemRng};
use mixin_pin_protocol::keystore::Keystore;
use serde_json::Value;

const PIN: &str = "739146";
const NEW_PIN: &str = "852963";
/// A part of the TIP key in hex; the key repeats it.
const SPEND_KEY: &str = "5eed5eed5eed5eed";
const PASSPHRASE: &str = "seven small stones";

/// Compiles the library.
fn watcher(folder: &Path) -> PathBuf {
    let out = folder.join("watch.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/memory/watch.c");
    let status = Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&out).arg(source).status();
    assert!(status.expect("a C compiler is needed").success());
    out
}

/// The secrets to look for, by name.
struct Marks(Vec<(&'static str, Vec<u8>)>);

impl Marks {
    fn of(keystore: &str) -> Self {
        let bytes = fs::read(keystore).unwrap();
        let fields: Value = serde_json::from_slice(&bytes).unwrap();
        let mut marks = vec![("PIN", PIN.into()), ("new PIN", NEW_PIN.into())];
        let text = fields["session_private_key"].as_str().or(fields["private_key"].as_str()).unwrap();
        match Ed25519Key::from_text(text) {
            Ok(key) => {
                marks.push(("key's text", text.as_bytes()[8..32].to_vec()));
                marks.push(("seed", key.expose_seed()[4..20].to_vec()));
            }
            Err(_) => marks.push(("line of the PEM", text.lines().nth(5).unwrap().as_bytes()[..24].to_vec())),
        }
        marks.push(("TIP key's text", SPEND_KEY.into()));
        marks.push(("passphrase", PASSPHRASE.into()));
        marks.push(("TIP key", [0x5e, 0xed].repeat(8)));
        // Unoptimized code leaves the PIN key on the stack. From there it gets into the padding of other values.
        if !cfg!(debug_assertions) {
            let session = Keystore::parse(&bytes).unwrap().into_session(&mut SystemRng::new().unwrap()).unwrap();
            marks.push(("PIN key", session.pin_key().expose()[..16].to_vec()));
        }
        Self(marks)
    }

    /// Runs the command, and names the secrets that it left.
    fn left_by(&self, watcher: &Path, args: &[&str], stdin: &str) -> Vec<String> {
        let report = watcher.with_file_name("report");
        let _ = fs::remove_file(&report);
        let mut hex = String::new();
        for (_, mark) in &self.0 {
            for byte in mark {
                write!(hex, "{byte:02x}").unwrap();
            }
            hex.push(',');
        }
        let mut child = command()
            .args(args)
            .env("MIXIN_PASSPHRASE_FILE", watcher.with_file_name("passphrase"))
            .env("LD_PRELOAD", watcher)
            .env("WATCH_MARKS", hex)
            .env("WATCH_REPORT", &report)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        let run = finished(child.wait_with_output().unwrap());
        let report = fs::read_to_string(report).unwrap_or_else(|_| panic!("nothing was watched: {run:?}"));
        assert_eq!(report.lines().count(), self.0.len(), "{run:?}");
        assert_eq!(run.code, 0, "{run:?}");
        let mut left = Vec::new();
        for ((name, _), line) in self.0.iter().zip(report.lines()) {
            let times = line.split_once(' ').unwrap().1;
            if times != "0" {
                left.push(format!("{name}, {times} times, by {}", args[0]));
            }
        }
        left
    }
}

#[test]
fn the_command_leaves_no_secret() {
    let sandbox = SandboxProcess::start(&[]);
    let watcher = watcher(sandbox.folder.path());
    private(&watcher.with_file_name("passphrase"), PASSPHRASE);
    let mut left = Vec::new();
    for kind in ["ed25519", "rsa2048", "rsa1024"] {
        let registered = sandbox.register(kind);
        let mut fields: Value = serde_json::from_slice(&fs::read(&registered).unwrap()).unwrap();
        fields["spend_private_key"] = SPEND_KEY.repeat(4).into();
        let keystore = sandbox.path("with-tip.json");
        let text = fields.to_string();
        private(keystore.as_ref(), &text);

        // Ruby's client takes six digits in a row for a PIN, so such a token, which chance makes, is not written for it.
        let token = Keystore::parse(text.as_bytes()).unwrap().pin_token().unwrap();
        let is_misread = token.as_bytes().windows(6).any(|six| six.iter().all(u8::is_ascii_digit));
        let shape = if is_misread { "bot" } else { "ruby" };
        let marks = Marks::of(&keystore);
        let locked = sandbox.path(&format!("{kind}-locked.json"));
        let converted = sandbox.path(&format!("{kind}-converted.json"));
        // age keeps the plaintext in its own buffer. The process ends right after.
        let kept = marks.left_by(&watcher, &["keystore", "lock", &keystore, "--out", &locked], "");
        assert!(kept.iter().all(|text| text.contains("text, 1 times") || text.contains("PEM, 1 times")), "{kept:?}");
        assert_eq!(kept.len(), 2, "the key and the TIP key: {kept:?}");
        let api = ["--keystore", &keystore, "--api", &sandbox.url];
        let (one, new) = (format!("{PIN}\n"), format!("{NEW_PIN}\n"));
        let both = format!("{one}{new}");
        let encrypted = common::run(&["encrypt", "--keystore", &keystore, "--pin-stdin"], one.as_bytes()).done().stdout;
        let decrypt = |more: &[&'static str]| {
            [&["decrypt", "--keystore", &keystore][..], more, &["--", encrypted.trim()]].concat()
        };
        for (args, stdin) in [
            ([&["update", "--new-user", "--pin-stdin"][..], &api].concat(), one.as_str()),
            ([&["update", "--pin-stdin"][..], &api].concat(), &both),
            ([&["verify", "--pin-stdin"][..], &api].concat(), &new),
            ([&["update", "--tip", "--pin-stdin"][..], &api].concat(), &new),
            ([&["verify", "--tip"][..], &api].concat(), ""),
            ([&["me"][..], &api].concat(), ""),
            (vec!["encrypt", "--keystore", &keystore, "--pin-stdin"], &one),
            (vec!["token", "--keystore", &keystore, "--method", "GET", "--path", "/me"], ""),
            (vec!["tip", "sign", "--keystore", &keystore, "read-emergency-contact"], ""),
            (decrypt(&[]), ""),
            (vec!["verify", "--tip", "--keystore", &locked, "--api", &sandbox.url], ""),
            (vec!["keystore", "unlock", &locked], ""),
            // The length of a pipe is not known in advance.
            (vec!["keystore", "check", "/dev/stdin"], &text),
            (vec!["token", "--keystore", "/dev/stdin", "--method", "GET", "--path", "/me"], &text),
            (vec!["token", "--keystore", "-", "--method", "GET", "--path", "/me"], &text),
            (vec!["doctor", "--keystore", "-", "--api", &sandbox.url], &text),
            (vec!["keystore", "convert", "-", "--shape", "bot", "--with-spend-key"], &text),
            (vec!["keystore", "convert", &keystore, "--shape", shape, "--with-spend-key", "--out", &converted], ""),
        ] {
            left.extend(marks.left_by(&watcher, &args, stdin));
        }
        // Output goes through buffers that are not erased, so this one is found.
        let shown = marks.left_by(&watcher, &decrypt(&["--reveal"]), "");
        assert!(shown.len() == 1 && shown[0].starts_with("PIN, "), "{shown:?}");
    }
    assert_eq!(left, Vec::<String>::new());
}
