//! Signals: if one ends or stops the command at a prompt, the terminal echoes again and no file is left.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::terminal::{Terminal, line};
use common::{command, keystore, private, text};
use rustix::fs::{Mode, OFlags, open};

/// A part of a script that shows what the shell reads next.
const READ_ON: &str = "read -r line; echo \"read <$line> done-read\"";

fn prompt_for_a_pin(keystore: &Path) -> String {
    line(&["encrypt", "--store", "memory:", "--keystore", text(keystore)])
}

#[test]
fn a_signal_at_a_prompt_restores_the_echo() {
    let test = "a_signal_at_a_prompt_restores_the_echo";
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    for how in ["\u{3}", "\u{1c}", "INT", "TERM", "HUP", "QUIT"] {
        // The trap keeps the shell alive. The command does not inherit it.
        let script = format!(
            "trap : INT QUIT; sh -c 'echo pid $$ done-pid; exec {}'; echo code $?; stty -a; echo done-stty; {READ_ON}",
            prompt_for_a_pin(&keystore)
        );
        let Some(mut terminal) = Terminal::start(test, &script) else { return };
        terminal.wait_for("pid ");
        let pid = terminal.wait_for(" done-pid");
        terminal.wait_for("PIN: ");
        // Half a PIN, which the next reader must not get.
        terminal.types("739");
        if how.len() == 1 {
            terminal.types(how);
        } else {
            // Wait until it has reached the terminal.
            std::thread::sleep(Duration::from_millis(200));
            let pid = pid.trim_end_matches(" done-pid");
            assert!(Command::new("kill").args(["-s", how, pid]).status().unwrap().success());
        }
        terminal.wait_for("code ");
        assert!(terminal.echoes(), "after {how:?}");
        terminal.types("\n");
        assert!(terminal.wait_for("done-read").contains("read <>"), "after {how:?}");
        terminal.finish();
    }
}

#[test]
fn a_stopped_prompt_restores_the_echo_until_it_continues() {
    let test = "a_stopped_prompt_restores_the_echo_until_it_continues";
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    let script = format!(
        "set -m; {}; echo stopped; stty -a; echo done-stty; fg; echo code $?; stty -a; echo done-stty",
        prompt_for_a_pin(&keystore)
    );
    let Some(mut terminal) = Terminal::start(test, &script) else { return };
    terminal.wait_for("PIN: ");
    terminal.types("271\u{1a}");
    terminal.wait_for("stopped");
    assert!(terminal.echoes(), "while it is stopped");
    // It asks again, because what was typed before is dropped.
    terminal.wait_for("PIN: ");
    terminal.types("739146\n");
    let shown = terminal.wait_for("code ");
    assert!(!shown.contains("739146") && !shown.contains("error"), "{shown}");
    assert!(terminal.echoes(), "at the end");
    terminal.finish();
}

#[test]
fn a_signal_that_is_ignored_from_the_start_stays_ignored() {
    let test = "a_signal_that_is_ignored_from_the_start_stays_ignored";
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    for signal in ["HUP", "INT", "QUIT", "TERM", "TSTP"] {
        let script = format!(
            "trap '' {signal}; sh -c 'echo pid $$ done-pid; exec {}'; echo code $? done-code",
            prompt_for_a_pin(&keystore)
        );
        let Some(mut terminal) = Terminal::start(test, &script) else { return };
        terminal.wait_for("pid ");
        let pid = terminal.wait_for(" done-pid");
        terminal.wait_for("PIN: ");
        let pid = pid.trim_end_matches(" done-pid");
        assert!(Command::new("kill").args(["-s", signal, pid]).status().unwrap().success());
        // Long enough for a signal that is not ignored.
        std::thread::sleep(Duration::from_millis(100));
        terminal.types("739146\n");
        let shown = terminal.wait_for("done-code");
        assert!(shown.contains("code 0") && !shown.contains("739146"), "{signal}: {shown}");
        terminal.finish();
    }
}

#[test]
fn a_signal_ends_the_command_while_output_is_stopped() {
    let test = "a_signal_ends_the_command_while_output_is_stopped";
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    for signal in ["TERM", "HUP", "INT"] {
        let script = format!(
            "trap : INT; sh -c 'echo pid $$ done-pid; read x; exec {}'; echo code $?; stty -a; echo done-stty",
            prompt_for_a_pin(&keystore)
        );
        let Some(mut terminal) = Terminal::start(test, &script) else { return };
        terminal.wait_for("pid ");
        let pid = terminal.wait_for(" done-pid");
        let process = Path::new("/proc").join(pid.trim_end_matches(" done-pid"));
        terminal.types("\u{13}\n");
        // Its prompt waits, because output is stopped.
        let is_command =
            || fs::read_link(process.join("exe")).is_ok_and(|exe| exe == Path::new(env!("CARGO_BIN_EXE_mixin-pin")));
        wait_until(|| is_command() && fs::read_dir(process.join("task")).is_ok_and(|tasks| tasks.count() > 1));
        std::thread::sleep(Duration::from_millis(200));
        let pid = process.file_name().unwrap();
        assert!(Command::new("kill").args(["-s", signal]).arg(pid).status().unwrap().success());
        wait_until(|| !is_command());
        terminal.types("\u{11}");
        terminal.wait_for("code ");
        assert!(terminal.echoes(), "after {signal}");
        terminal.finish();
    }
}

#[test]
fn a_paste_after_a_rejected_answer_does_not_go_to_the_shell() {
    let test = "a_paste_after_a_rejected_answer_does_not_go_to_the_shell";
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    let (long, longest) = ("9".repeat(1100), "9".repeat(3000));
    let pin = prompt_for_a_pin(&keystore);
    let lock = line(&["keystore", "lock", text(&keystore)]);
    let sign = line(&["tip", "sign", "read-emergency-contact"]);
    for (command, answers, pasted) in [
        (&pin, &["PIN: "][..], &*long),
        (&pin, &["PIN: "], &longest),
        (&pin, &["PIN: "], "7391467"),
        (&pin, &["PIN: "], ""),
        (&lock, &["new passphrase: "], ""),
        (&lock, &["new passphrase: ", "new passphrase again: "], "x"),
        (&sign, &["spend key: "], "-----BEGIN PRIVATE KEY-----"),
    ] {
        let Some(mut terminal) = Terminal::start(test, &format!("{command}; echo code $?; {READ_ON}")) else { return };
        for (at, prompt) in answers.iter().enumerate() {
            terminal.wait_for(prompt);
            if at + 1 < answers.len() {
                terminal.types("another\n");
            }
        }
        terminal.types(&format!("{pasted}\necho 852963\n739146\n"));
        terminal.wait_for("code 2");
        terminal.types("\n");
        let shown = terminal.wait_for("done-read");
        assert!(shown.contains("read <>"), "{command} {pasted:?}: {shown}");
        terminal.finish();
    }
}

#[test]
fn a_prompt_from_the_background_is_shown_once_in_the_foreground() {
    let test = "a_prompt_from_the_background_is_shown_once_in_the_foreground";
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    // The modes while another process owns the terminal must not be restored at the end.
    let script = format!(
        "set -m; stty -echo -icanon; {} & while ! grep -q 'State:.T' /proc/$!/status; do sleep 0.02; done; stty echo icanon; \
         fg; echo code $?; stty -a; echo done-stty",
        prompt_for_a_pin(&keystore)
    );
    let Some(mut terminal) = Terminal::start(test, &script) else { return };
    let before = terminal.wait_for("PIN: ");
    // Long enough for a second prompt.
    std::thread::sleep(Duration::from_millis(200));
    terminal.types("739146\n");
    let shown = before + &terminal.wait_for("code ");
    assert_eq!(shown.matches("PIN: ").count(), 1, "{shown}");
    assert!(!shown.contains("739146") && !shown.contains("error"), "{shown}");
    assert!(terminal.echoes(), "at the end");
    terminal.finish();
}

#[test]
fn a_prompt_that_no_shell_could_resume_is_not_stopped() {
    let test = "a_prompt_that_no_shell_could_resume_is_not_stopped";
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    // There is no shell with job control, as in a container.
    let Some(mut terminal) = Terminal::start(test, &format!("exec {}", prompt_for_a_pin(&keystore))) else { return };
    terminal.wait_for("PIN: ");
    terminal.types("\u{1a}");
    std::thread::sleep(Duration::from_millis(100));
    terminal.types("739146\n");
    let (shown, _) = terminal.finish();
    assert!(!shown.contains("739146") && shown.trim().len() > 40, "{shown}");
}

#[test]
fn a_prompt_accepts_line_editing_keys() {
    let test = "a_prompt_accepts_line_editing_keys";
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    for (keys, is_taken) in [("99\u{15}73914x\u{7f}6\n", true), ("739146\r", true), ("\u{4}", false), ("7391\n", false)]
    {
        let Some(mut terminal) = Terminal::start(test, &prompt_for_a_pin(&keystore)) else { return };
        terminal.wait_for("PIN: ");
        terminal.types(keys);
        let (shown, _) = terminal.finish();
        assert_eq!(shown.contains("error"), !is_taken, "{keys:?}: {shown}");
        assert!(!shown.contains("7391"), "{shown}");
    }
}

/// The files of a folder except those that the test put there.
fn others(folder: &Path, known: &[&str]) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !known.contains(&name.as_str())).collect()
}

fn wait_until(mut is_true: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn signals_leave_no_file_behind() {
    let folder = tempfile::tempdir().unwrap();
    let keystore = keystore(folder.path(), "keystore-dashboard.json");
    let pipe = folder.path().join("passphrase");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let before = fs::read(&keystore).unwrap();
    for signal in ["TERM", "KILL"] {
        for more in [&[][..], &["--out", "other.json"]] {
            // The command has created its file and waits for the passphrase.
            let mut child = command()
                .current_dir(folder.path())
                .args(["keystore", "lock", "keystore-dashboard.json"])
                .args(more)
                .env("MIXIN_PASSPHRASE_FILE", &pipe)
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // Opening succeeds once the command waits for a writer.
            let mut writer = None;
            wait_until(|| {
                writer = open(&pipe, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).ok();
                writer.is_some()
            });
            assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
            child.wait().unwrap();
            assert_eq!(others(folder.path(), &["keystore-dashboard.json", "passphrase"]), [""; 0], "{signal} {more:?}");
            assert_eq!(fs::read(&keystore).unwrap(), before);
        }
    }
}

/// Compiles the library that kills the command at a chosen system call.
fn killer(folder: &Path) -> std::path::PathBuf {
    let out = folder.join("kill.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/signals/kill.c");
    let status = Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&out).arg(source).status();
    assert!(status.expect("a C compiler is needed").success());
    out
}

/// A locked file that unlocks quickly, because a test unlocks it often.
fn locked_cheaply(text: &[u8], passphrase: &str) -> Vec<u8> {
    let mut recipient = age::scrypt::Recipient::new(age::secrecy::SecretString::from(passphrase));
    recipient.set_work_factor(2);
    age::encrypt_and_armor(&recipient, text).unwrap().into_bytes()
}

#[test]
fn after_a_kill_at_any_moment_the_plaintext_is_only_under_its_final_name() {
    let folder = tempfile::tempdir().unwrap();
    let tools = tempfile::tempdir().unwrap();
    let library = killer(tools.path());
    let passphrase = tools.path().join("passphrase");
    private(&passphrase, "pebbles");
    let plain = fs::read(common::testdata("keystore-dashboard.json")).unwrap();
    let locked = locked_cheaply(&plain, "pebbles");
    let path = folder.path().join("me.json");
    for out in [None, Some("open.json")] {
        let name = out.unwrap_or("me.json");
        let (mut killed, mut done) = (0, false);
        for call in 1..100 {
            for entry in fs::read_dir(folder.path()).unwrap() {
                fs::remove_file(entry.unwrap().path()).unwrap();
            }
            private(&path, std::str::from_utf8(&locked).unwrap());
            let mut unlock = command();
            unlock.current_dir(folder.path()).args(["keystore", "unlock", "me.json"]);
            if let Some(out) = out {
                unlock.args(["--out", out]);
            }
            unlock
                .env("MIXIN_PASSPHRASE_FILE", &passphrase)
                .env("LD_PRELOAD", &library)
                .env("KILL_FOLDER", folder.path());
            let output = unlock.env("KILL_AT", call.to_string()).stdin(Stdio::null()).output().unwrap();
            let (mut is_kept, mut is_open) = (false, false);
            for file in fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
                let content = fs::read(&file).unwrap();
                if content == locked {
                    is_kept = true;
                } else {
                    assert_eq!(file.file_name().unwrap(), name, "call {call}: the plaintext is in {file:?}");
                    assert_eq!(content, plain, "call {call}: the plaintext is incomplete");
                    is_open = true;
                }
            }
            assert!(is_kept || is_open, "call {call}: nothing is left");
            if output.status.success() {
                let left: Vec<_> = others(folder.path(), &["me.json", name]);
                assert!(is_open && left.is_empty(), "{left:?}");
                done = true;
                break;
            }
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9), "{output:?}");
            killed += 1;
        }
        assert!(done && killed >= 3, "{killed}");
    }
}

#[test]
fn a_complete_file_is_a_success_even_if_its_folder_cannot_be_synced() {
    let folder = tempfile::tempdir().unwrap();
    let tools = tempfile::tempdir().unwrap();
    let library = killer(tools.path());
    let passphrase = tools.path().join("passphrase");
    private(&passphrase, "pebbles");
    let path = keystore(folder.path(), "keystore-dashboard.json");
    let plain = fs::read(&path).unwrap();
    fs::write(&path, locked_cheaply(&plain, "pebbles")).unwrap();
    let path = text(&path);
    for args in [
        &["tip", "new-key", "--out", "spend.key"][..],
        &["keystore", "unlock", path, "--out", "open.json"],
        &["keystore", "unlock", path],
        &["keystore", "lock", path],
    ] {
        let mut written = command();
        written.current_dir(folder.path()).args(args).env("MIXIN_PASSPHRASE_FILE", &passphrase);
        written.env("LD_PRELOAD", &library).env("NO_FOLDER_SYNC", "1");
        let written = common::finished(written.stdin(Stdio::null()).output().unwrap()).done();
        assert!(written.stderr.contains("is complete, but"), "{args:?}: {written:?}");
    }
    assert_eq!(fs::read(folder.path().join("open.json")).unwrap(), plain);
    assert!(fs::read(path).unwrap().starts_with(b"-----BEGIN AGE"));
    let left = others(folder.path(), &["keystore-dashboard.json", "open.json", "spend.key"]);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_locked_keystore_keeps_its_mode_and_a_hard_link_gets_a_warning() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let folder = tempfile::tempdir().unwrap();
    let path = keystore(folder.path(), "keystore-dashboard.json");
    let passphrase = folder.path().join("passphrase");
    private(&passphrase, "pebbles");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let other = folder.path().join("other.json");
    fs::hard_link(&path, &other).unwrap();
    let owner = |path: &Path| (fs::metadata(path).unwrap().uid(), fs::metadata(path).unwrap().gid());
    let before = owner(&path);
    let run = |what: &str| {
        let mut run = command();
        run.args(["keystore", what, text(&path)]).env("MIXIN_PASSPHRASE_FILE", &passphrase).stdin(Stdio::null());
        common::finished(run.output().unwrap())
    };
    let locked = run("lock").done();
    assert!(locked.stderr.contains("another name") && locked.stderr.contains("hard link"), "{locked:?}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(owner(&path), before);
    assert!(fs::read(&other).unwrap().starts_with(b"{"), "the other name still has the plaintext");
    fs::remove_file(&other).unwrap();
    // Only its owner can read an unlocked keystore.
    let unlocked = run("unlock").done();
    assert!(!unlocked.stderr.contains("another name"), "{unlocked:?}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(owner(&path), before);
    assert!(!run("lock").done().stderr.contains("another name"));
}
