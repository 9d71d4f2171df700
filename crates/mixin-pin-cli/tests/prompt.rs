//! The prompt: asks on the terminal, and shows nothing of what is typed. Needs a terminal, which `script` provides.
#![cfg(target_os = "linux")]

mod common;

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use common::{keystore, text};

/// The command on a terminal of its own.
struct Terminal {
    child: Child,
    shown: String,
}

impl Terminal {
    /// None, said loudly, where there is no `script`.
    fn start(test: &str, args: &[&str]) -> Option<Self> {
        Self::start_in(test, &[], args)
    }

    /// The same, in this environment.
    #[expect(clippy::explicit_write, reason = "the test harness keeps what eprintln! says of a test that passes")]
    fn start_in(test: &str, env: &[(&str, &str)], args: &[&str]) -> Option<Self> {
        let command = format!("{} {}", env!("CARGO_BIN_EXE_mixin-pin"), args.join(" "));
        let child = Command::new("script")
            .args(["--quiet", "--return", "--command", &command, "/dev/null"])
            .env_remove("NO_COLOR")
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        match child {
            Ok(child) => Some(Self { child, shown: String::new() }),
            Err(error) => {
                assert!(
                    std::env::var_os("MIXIN_PIN_REQUIRE_ALL").is_none(),
                    "{test} needs the script command: {error}"
                );
                writeln!(std::io::stderr(), "SKIPPED: {test} needs the script command").unwrap();
                None
            }
        }
    }

    /// Waits for a prompt, then types an answer to it.
    fn answer(&mut self, prompt: &str, answer: &str) {
        let stdout = self.child.stdout.as_mut().unwrap();
        let mut byte = [0];
        while !self.shown.ends_with(prompt) {
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "no prompt {prompt:?} in {:?}", self.shown);
            self.shown.push(char::from(byte[0]));
        }
        writeln!(self.child.stdin.as_mut().unwrap(), "{answer}").unwrap();
    }

    /// All that was shown, and the exit code.
    fn finish(mut self) -> (String, i32) {
        self.child.stdout.take().unwrap().read_to_string(&mut self.shown).unwrap();
        (self.shown, self.child.wait().unwrap().code().unwrap())
    }
}

#[test]
fn a_pin_typed_at_the_prompt_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    let args = ["encrypt", "--json", "--keystore", text(&keystore)];
    let Some(mut terminal) = Terminal::start("a_pin_typed_at_the_prompt_is_not_shown", &args) else { return };
    terminal.answer("PIN: ", "271828");
    let (shown, code) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("\"ciphertext\"") && !shown.contains("271828"), "{shown}");
}

#[test]
fn a_new_pin_is_asked_for_twice() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    let args = ["update", "--keystore", text(&keystore), "--api", "http://127.0.0.1:9"];
    let Some(mut terminal) = Terminal::start("a_new_pin_is_asked_for_twice", &args) else { return };
    terminal.answer("old PIN: ", "161803");
    terminal.answer("new PIN: ", "271828");
    terminal.answer("new PIN again: ", "271829");
    let (shown, code) = terminal.finish();
    assert_eq!(code, 2, "{shown}");
    assert!(shown.contains("typed differently") && !shown.contains("2718") && !shown.contains("161803"), "{shown}");
}

#[test]
fn a_new_pin_that_is_tried_first_is_warned_of_and_taken() {
    let test = "a_new_pin_that_is_tried_first_is_warned_of_and_taken";
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    let args = ["update", "--new-user", "--keystore", text(&keystore), "--api", "http://127.0.0.1:9"];
    let Some(mut terminal) = Terminal::start(test, &args) else { return };
    terminal.answer("new PIN: ", "123456");
    terminal.answer("new PIN again: ", "123456");
    let (shown, code) = terminal.finish();
    assert_eq!(code, 4, "there is no server: {shown}");
    assert!(shown.contains("tried first") && !shown.contains("123456"), "{shown}");
}

#[test]
fn a_passphrase_is_asked_for_where_a_keystore_is_locked() {
    let test = "a_passphrase_is_asked_for_where_a_keystore_is_locked";
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    let Some(mut terminal) = Terminal::start(test, &["keystore", "lock", text(&keystore)]) else { return };
    terminal.answer("new passphrase: ", "a");
    terminal.answer("new passphrase again: ", "b");
    let (shown, code) = terminal.finish();
    assert_eq!(code, 2, "{shown}");
    assert!(std::fs::read(&keystore).unwrap().starts_with(b"{"), "it is as it was");

    let mut terminal = Terminal::start(test, &["keystore", "lock", text(&keystore)]).unwrap();
    terminal.answer("new passphrase: ", "pebbles");
    terminal.answer("new passphrase again: ", "pebbles");
    let (shown, code) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    // Deriving a key from a passphrase takes longer than half a second.
    assert!(shown.contains("locking …") && !shown.contains("pebbles"), "{shown}");

    let mut terminal = Terminal::start(test, &["keystore", "check", text(&keystore)]).unwrap();
    terminal.answer("passphrase: ", "pebbles");
    let (shown, code) = terminal.finish();
    assert!(code == 0 && shown.contains("complete") && !shown.contains("pebbles"), "{shown}");
}

#[test]
fn a_spend_key_is_asked_for_where_none_is_given() {
    let test = "a_spend_key_is_asked_for_where_none_is_given";
    let Some(mut terminal) = Terminal::start(test, &["tip", "sign", "--json", "read-emergency-contact"]) else {
        return;
    };
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"; // RFC 8032, 7.1, test 1
    terminal.answer("spend key: ", seed);
    let (shown, code) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("\"public_key\":\"d75a9801") && !shown.contains(seed), "{shown}");
}

#[test]
fn whoever_waits_is_told_and_colours_are_for_those_who_want_them() {
    let test = "whoever_waits_is_told_and_colours_are_for_those_who_want_them";
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    // Takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", silent.local_addr().unwrap());
    let args = ["me", "--keystore", text(&keystore), "--api", &api, "--timeout", "1"];
    for (env, is_coloured) in [(&[("NO_COLOR", "1")][..], false), (&[("TERM", "xterm-256color")], true)] {
        let Some(terminal) = Terminal::start_in(test, env, &args) else { return };
        let (shown, code) = terminal.finish();
        assert_eq!(code, 4, "{shown}");
        assert!(shown.contains("waiting for the answer …") && shown.contains("no answer came"), "{shown}");
        assert_eq!(shown.contains('\x1b'), is_coloured, "{shown:?}");
    }
}
