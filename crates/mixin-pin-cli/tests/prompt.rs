//! The prompt: it asks on the terminal and does not show the answer.
#![cfg(target_os = "linux")]

mod common;

use std::net::TcpListener;

use common::terminal::{Terminal, line};
use common::{keystore, text};

#[test]
fn a_pin_typed_at_the_prompt_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    let args = ["encrypt", "--json", "--keystore", text(&keystore)];
    let Some(mut terminal) = Terminal::run("a_pin_typed_at_the_prompt_is_not_shown", &args) else { return };
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
    let Some(mut terminal) = Terminal::run("a_new_pin_is_asked_for_twice", &args) else { return };
    terminal.answer("old PIN: ", "161803");
    terminal.answer("new PIN: ", "271828");
    terminal.answer("new PIN again: ", "271829");
    let (shown, code) = terminal.finish();
    assert_eq!(code, 2, "{shown}");
    assert!(shown.contains("typed differently") && !shown.contains("2718") && !shown.contains("161803"), "{shown}");
}

#[test]
fn a_weak_new_pin_gets_a_warning_and_is_accepted() {
    let test = "a_weak_new_pin_gets_a_warning_and_is_accepted";
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    let args = ["update", "--new-user", "--keystore", text(&keystore), "--api", "http://127.0.0.1:9"];
    let Some(mut terminal) = Terminal::run(test, &args) else { return };
    terminal.answer("new PIN: ", "123456");
    terminal.answer("new PIN again: ", "123456");
    let (shown, code) = terminal.finish();
    assert_eq!(code, 4, "there is no server: {shown}");
    assert!(shown.contains("tried first") && !shown.contains("123456"), "{shown}");
}

#[test]
fn a_locked_keystore_asks_for_its_passphrase() {
    let test = "a_locked_keystore_asks_for_its_passphrase";
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    let Some(mut terminal) = Terminal::run(test, &["keystore", "lock", text(&keystore)]) else { return };
    terminal.answer("new passphrase: ", "a");
    terminal.answer("new passphrase again: ", "b");
    let (shown, code) = terminal.finish();
    assert_eq!(code, 2, "{shown}");
    assert!(std::fs::read(&keystore).unwrap().starts_with(b"{"), "the keystore is unchanged");

    let mut terminal = Terminal::run(test, &["keystore", "lock", text(&keystore)]).unwrap();
    terminal.answer("new passphrase: ", "pebbles");
    terminal.answer("new passphrase again: ", "pebbles");
    let (shown, code) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains("pebbles"), "{shown}");

    let mut terminal = Terminal::run(test, &["keystore", "check", text(&keystore)]).unwrap();
    terminal.answer("passphrase: ", "pebbles");
    let (shown, code) = terminal.finish();
    assert!(code == 0 && shown.contains("complete") && !shown.contains("pebbles"), "{shown}");
}

#[test]
fn what_takes_longer_than_half_a_second_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    // It never answers.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", server.local_addr().unwrap());
    let args = ["doctor", "--keystore", text(&keystore), "--store", "memory:", "--timeout", "2", "--api", &api];
    let Some(terminal) = Terminal::run("what_takes_longer_than_half_a_second_is_named", &args) else { return };
    let (shown, code) = terminal.finish();
    assert!(code == 1 && shown.contains("asking the server …"), "{shown}");
}

#[test]
fn a_missing_spend_key_is_asked_for() {
    let test = "a_missing_spend_key_is_asked_for";
    let Some(mut terminal) = Terminal::run(test, &["tip", "sign", "--json", "read-emergency-contact"]) else {
        return;
    };
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"; // RFC 8032, 7.1, test 1
    terminal.answer("spend key: ", seed);
    let (shown, code) = terminal.finish();
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("\"public_key\":\"d75a9801") && !shown.contains(seed), "{shown}");
}

#[test]
fn a_slow_call_is_noted_and_colours_are_optional() {
    let test = "a_slow_call_is_noted_and_colours_are_optional";
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    // It accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", silent.local_addr().unwrap());
    let args = ["me", "--keystore", text(&keystore), "--api", &api, "--timeout", "1"];
    for (env, is_coloured) in [(&[("NO_COLOR", "1")][..], false), (&[("TERM", "xterm-256color")], true)] {
        let Some(terminal) = Terminal::start_in(test, env, &line(&args)) else { return };
        let (shown, code) = terminal.finish();
        assert_eq!(code, 4, "{shown}");
        assert!(shown.contains("waiting for the answer …") && shown.contains("no answer came"), "{shown}");
        assert_eq!(shown.contains('\x1b'), is_coloured, "{shown:?}");
    }
}
