//! Every message of the command as its user sees it: shell sessions in testdata/messages/, run again and compared.
//!
//! `$` begins a command for sh, `>` continues it, `#` is a comment. Below a command is its output on both streams, with ids,
//! times, ports and paths replaced. `MIXIN_PIN_WRITE_MESSAGES=1 cargo test -p mixin-pin-cli --test messages` writes the
//! outputs. Read what changed as a user would before you commit it.
#![cfg(all(target_os = "linux", feature = "redis"))]

mod common;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::SystemTime;

use common::{SandboxProcess, keystore, private, testdata, text};
use mixin_pin_test_servers::postgres::PostgresServer;
use mixin_pin_test_servers::redis::RedisServer;

macro_rules! sessions {
    ($($(#[$on:meta])? $name:ident),* $(,)?) => {
        $($(#[$on])? #[test]
        fn $name() {
            compare(stringify!($name));
        })*
        const SESSIONS: &[&str] = &[$(stringify!($name)),*];
    };
}

sessions![
    act,
    answers,
    curl,
    doctor,
    files,
    input,
    inspect,
    keystores,
    locks,
    network,
    oauth,
    #[cfg(feature = "postgres")]
    postgres,
    #[cfg(feature = "redis-ha")]
    redis_ha,
    refusals,
    safe,
    sandbox,
    session,
    store,
    terminal,
    tip,
    tip_change,
    unknown,
    usage,
];

fn folder() -> PathBuf {
    testdata("messages")
}

/// Runs the commands of a session again, and compares its outputs.
fn compare(name: &str) {
    let file = folder().join(format!("{name}.txt"));
    let expected = fs::read_to_string(&file).unwrap();
    let actual = Session::start(name, &expected).map(|session| session.run(&expected));
    // A program that the session needs is missing.
    let Some(actual) = actual else { return };
    if std::env::var_os("MIXIN_PIN_WRITE_MESSAGES").is_some() {
        fs::write(&file, actual).unwrap();
        return;
    }
    for (line, (expected, actual)) in expected.lines().zip(actual.lines()).enumerate() {
        assert_eq!(expected, actual, "line {} of {}", line + 1, file.display());
    }
    assert_eq!(expected, actual);
}

struct Session {
    folder: tempfile::TempDir,
    sandbox: Option<SandboxProcess>,
    _redis: Option<RedisServer>,
    _postgres: Option<PostgresServer>,
    variables: Vec<(&'static str, String)>,
}

impl Session {
    #[expect(clippy::explicit_write, reason = "the test harness hides what eprintln! prints in a test that passes")]
    fn start(name: &str, session: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["dashboard", "rsa-bot", "ed25519-bot", "bare-user", "oauth", "remote-signer"] {
            let path = keystore(folder.path(), &format!("keystore-{name}.json"));
            fs::rename(path, folder.path().join(format!("{name}.json"))).unwrap();
        }
        fs::copy(folder.path().join("dashboard.json"), folder.path().join("me.json")).unwrap();
        for name in ["create-pin.curl", "create-pin.public-key", "rsa-512.pem"] {
            fs::copy(testdata(name), folder.path().join(name)).unwrap();
        }
        fs::create_dir(folder.path().join("safe")).unwrap();
        for entry in fs::read_dir(testdata("safe")).unwrap() {
            let path = entry.unwrap().path();
            private(&folder.path().join("safe").join(path.file_name().unwrap()), &fs::read_to_string(&path).unwrap());
        }
        for name in ["ask.py", "lose.py"] {
            fs::copy(self::folder().join(name), folder.path().join(name)).unwrap();
        }
        private(&folder.path().join("passphrase"), "seven small stones\n");
        fs::create_dir(folder.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mixin-pin"), folder.path().join("bin/mixin-pin")).unwrap();
        let mut variables = Vec::new();
        let needed = ["setsid", "python3", "openssl", "iconv", "redis-cli", "psql"];
        for program in needed.into_iter().filter(|program| session.contains(program)) {
            let found =
                Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
            if !found.unwrap().success() {
                assert!(std::env::var_os("MIXIN_PIN_REQUIRE_ALL").is_none(), "{program} is needed");
                writeln!(std::io::stderr(), "SKIPPED: the messages of {name} need {program}").unwrap();
                return None;
            }
        }
        let redis = if session.contains("$REDIS") { Some(RedisServer::start(name, &[])?) } else { None };
        if let Some(redis) = &redis {
            variables.push(("REDIS", redis.url()));
        }
        let postgres =
            if session.contains("$POSTGRES") { Some(PostgresServer::start(name, &["fsync=on"])?) } else { None };
        if let Some(postgres) = &postgres {
            variables.push(("POSTGRES", postgres.url()));
            variables.push(("POSTGRES_FOLDER", text(postgres.folder()).to_owned()));
        }
        let uses = |name: &str| session.contains(&format!("${name}")) || session.contains(&format!("${{{name}"));
        for (name, answer) in answers_by_name() {
            if uses(name) {
                variables.push((name, server(answer)));
            }
        }
        if uses("SILENT") {
            variables.push(("SILENT", server_that_never_answers()));
        }
        let sandbox = session.contains("$SANDBOX").then(|| SandboxProcess::start(&[]));
        if let Some(sandbox) = &sandbox {
            variables.push(("SANDBOX", sandbox.url.clone()));
            variables.push(("APP", sandbox.app_keystore.clone()));
        }
        Some(Self { folder, sandbox, _redis: redis, _postgres: postgres, variables })
    }

    fn run(&self, session: &str) -> String {
        let mut replaced = Replaced::new(self);
        let mut written = String::new();
        let mut lines = session.lines().peekable();
        while let Some(line) = lines.next() {
            if line.starts_with('#') {
                writeln!(written, "{line}").unwrap();
                continue;
            }
            let Some(command) = line.strip_prefix("$ ") else { continue };
            let mut command = command.to_owned();
            writeln!(written, "{line}").unwrap();
            while let Some(more) = lines.next_if(|line| line.starts_with('>')) {
                writeln!(written, "{more}").unwrap();
                command = format!("{command}\n{}", more.strip_prefix("> ").unwrap_or_default());
            }
            let output = self.sh(&command);
            replaced.ids.clear();
            for line in replaced.in_text(&String::from_utf8_lossy(&output.stdout)).lines() {
                writeln!(written, "{}", line.trim_end()).unwrap();
            }
            match output.status.code() {
                Some(0) => {}
                code => writeln!(written, "(exit code {})", code.unwrap_or(-1)).unwrap(),
            }
            written.push('\n');
        }
        written.truncate(written.trim_end().len());
        written.push('\n');
        written
    }

    fn sh(&self, command: &str) -> std::process::Output {
        let folder = self.folder.path();
        let path = std::env::var("PATH").unwrap();
        // Without a controlling terminal, so that a prompt fails on every machine.
        let mut sh = Command::new("setsid");
        sh.args(["--wait", "timeout", "60", "sh", "-c", &format!("set -u\numask 077\nexec 2>&1\n{command}")])
            .env_clear()
            .env("PATH", format!("{}:{path}", text(&folder.join("bin"))))
            .env("HOME", folder)
            .env("TMPDIR", folder)
            .env("LC_ALL", "C")
            .env("NO_COLOR", "1")
            // No test may ask Mixin's own server.
            .env("MIXIN_API", self.sandbox.as_ref().map_or("http://127.0.0.1:9", |sandbox| &sandbox.url))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        sh.output().unwrap()
    }
}

/// Replaces what differs from run to run.
struct Replaced {
    /// Texts with their replacements.
    fixed: Vec<(String, &'static str)>,
    /// The ids in the output of this command.
    ids: Vec<String>,
}

impl Replaced {
    fn new(session: &Session) -> Self {
        let mut fixed = vec![(text(session.folder.path()).to_owned(), "~")];
        // Without a network the system cannot tell.
        fixed.push(("Temporary failure in name resolution".to_owned(), "Name or service not known"));
        if let Some(sandbox) = &session.sandbox {
            fixed.push((sandbox.app_keystore.clone(), "app.json"));
        }
        Self { fixed, ids: Vec::new() }
    }

    fn in_text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (found, replacement) in &self.fixed {
            text = text.replace(found, replacement);
        }
        let mut replaced = String::new();
        let mut rest = text.as_str();
        while let Some(c) = rest.chars().next() {
            let is_start = !replaced.ends_with(|before: char| before.is_ascii_alphanumeric());
            let length = if is_start { self.replace(rest, &mut replaced) } else { 0 };
            if length == 0 {
                replaced.push(c);
            }
            rest = &rest[length.max(c.len_utf8())..];
        }
        replaced
    }

    /// Replaces what a text starts with. Returns its length, 0 for none.
    fn replace(&mut self, text: &str, replaced: &mut String) -> usize {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        if let Some(id) = text.get(..36).filter(|id| is_uuid(id)) {
            let at = self.ids.iter().position(|known| known == id).unwrap_or_else(|| {
                self.ids.push(id.to_owned());
                self.ids.len() - 1
            });
            write!(replaced, "00000000-0000-4000-8000-{:012}", at + 1).unwrap();
            36
        } else if let Some(rest) = text.strip_prefix("127.0.0.1:") {
            let port = rest.bytes().take_while(u8::is_ascii_digit).count();
            if port < 4 {
                return 0;
            }
            replaced.push_str("127.0.0.1:PORT");
            "127.0.0.1:".len() + port
        } else if replaced.ends_with("no answer came within ") && digits > 0 {
            let length = text.find('s').unwrap();
            replaced.push_str("1.0");
            length
        } else if replaced.ends_with("may still arrive, for ") && digits > 0 {
            replaced.push_str("300");
            digits
        } else if digits == 4 && text.get(..20).is_some_and(|time| is_time(time) && !time.starts_with("19")) {
            let length = text.find('Z').unwrap() + 1;
            replaced.push_str("2026-01-01T00:00:00Z");
            length
        } else if digits == 19 && text.starts_with(['1', '2']) {
            replaced.push_str("1700000000000000000");
            digits
        } else if digits == 10 && is_now(&text[..10]) {
            replaced.push_str("1700000000");
            digits
        } else {
            0
        }
    }
}

fn is_uuid(text: &str) -> bool {
    text.char_indices().all(|(at, c)| if [8, 13, 18, 23].contains(&at) { c == '-' } else { c.is_ascii_hexdigit() })
}

/// Whether a text is like `2026-01-01T00:00:00Z` or `2026-01-01T00:00:00.`.
fn is_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00Z" || shape == "0000-00-00T00:00:00."
}

/// Whether Unix seconds are within three days of the clock.
fn is_now(seconds: &str) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    seconds.parse::<u64>().is_ok_and(|seconds| seconds.abs_diff(now) < 3 * 86_400)
}

/// The answers of servers, by the variable with the server's address. `{id}` is the request's id, `{2 MiB}` many blanks.
/// Without `X-Server-Time` the answer gets the right time.
fn answers_by_name() -> Vec<(&'static str, &'static str)> {
    static FILE: OnceLock<String> = OnceLock::new();
    let file = FILE.get_or_init(|| fs::read_to_string(folder().join("servers")).unwrap());
    let parts = file.split("=== ").skip(1).map(|part| part.split_once('\n').unwrap());
    parts.map(|(name, answer)| (name, answer.strip_suffix('\n').unwrap())).collect()
}

/// A server that gives every request this answer, then closes the connection. An answer with a hyphen in front is an error
/// of Redis. Returns its address.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let is_redis = answer.starts_with('-');
    let answer_one = if is_redis { refuse_commands } else { answer_one };
    std::thread::spawn(move || listener.incoming().for_each(|stream| answer_one(stream.unwrap(), answer)));
    format!("{}://{address}", if is_redis { "redis" } else { "http" })
}

fn answer_one(mut stream: TcpStream, answer: &str) {
    let (mut id, mut length) = (String::new(), 0);
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        // The command may close the connection early.
        if reader.read_line(&mut line).is_err() || line.trim_end().is_empty() {
            break;
        }
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("x-request-id") => value.clone_into(&mut id),
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
            _ => {}
        }
    }
    // So is it here and below.
    let _ = std::io::copy(&mut reader.take(length), &mut std::io::sink());
    let answer = answer.replace("{id}", &id).replace("{2 MiB}", &" ".repeat(2 << 20));
    let (head, body) = answer.split_once("\n\n").unwrap_or((&answer, ""));
    // A body that is cut off says how long it would have been.
    let length =
        if head.contains("Content-Length: ") { String::new() } else { format!("\r\nContent-Length: {}", body.len()) };
    let time =
        |hours: i64| (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours)).as_nanosecond().to_string();
    let mut head =
        head.trim_end().replace('\n', "\r\n").replace("{two hours ago}", &time(-2)).replace("{in two hours}", &time(2));
    if answer.is_empty() {
        return;
    }
    if !answer.contains("X-Server-Time: ") {
        write!(head, "\r\nX-Server-Time: {}", time(0)).unwrap();
    }
    let _ = write!(stream, "{head}{length}\r\nConnection: close\r\n\r\n{body}");
}

/// Answers each command of Redis' protocol with the same error.
fn refuse_commands(mut stream: TcpStream, answer: &str) {
    let reader = BufReader::new(stream.try_clone().unwrap());
    for line in reader.lines() {
        // A command is an array of texts: `*2`, then each text with its length in front. The command closes the connection.
        let Ok(line) = line else { return };
        if line.starts_with('*') && write!(stream, "{answer}\r\n").is_err() {
            return;
        }
    }
}

fn server_that_never_answers() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // The connections stay open.
    std::thread::spawn(move || listener.incoming().map(Result::unwrap).collect::<Vec<_>>());
    url
}

#[test]
fn every_session_is_run() {
    let mut found: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".txt").map(str::to_owned))
        .filter(|name| name != "unreachable")
        .collect();
    found.sort();
    assert_eq!(found, SESSIONS);
}

/// The messages that the crates pin, each with its file.
fn pinned() -> Vec<(String, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut pinned = Vec::new();
    for entry in fs::read_dir(crates).unwrap() {
        let entry = entry.unwrap();
        // Only crates with messages have the files. The second has the refusals of transactions.
        let files = ["errors.txt", "errors-policy.txt"].map(|file| entry.path().join("testdata").join(file));
        let messages: String = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
        let name = entry.file_name().into_string().unwrap();
        for message in messages.lines() {
            // The command's own have exit code and kind in front.
            let message = if name == "mixin-pin-cli" { message.split_once(": ").unwrap().1 } else { message };
            pinned.push((name.clone(), message.to_owned()));
        }
    }
    assert!(pinned.len() > 150, "{}", pinned.len());
    pinned
}

/// The parts of a message that are the same in every instance.
fn fixed_parts(message: &str) -> Vec<String> {
    let mut message = message.to_owned();
    for stand_in in STAND_INS {
        message = message.replace(stand_in, "\0");
    }
    let is_value = |word: &str| word.contains(|c: char| c.is_ascii_digit() || matches!(c, '\0'));
    let mut parts = vec![String::new()];
    for word in message.split_inclusive(' ') {
        if is_value(word) {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push_str(word);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

/// Values that the tests of the messages use, which other instances do not have.
const STAND_INS: &[&str] = &[
    "as the system says",
    "as the server says",
    "as SQLite says",
    "the disk is full",
    "/data/iterators.db",
    "/home/bot/.pgpass",
    "/home/bot/.postgresql/root.crt",
    "keystore.json",
    "sandbox.db",
    "--config",
    "$TOKEN",
    "not a directory",
    "No matching keys found",
    "the balance is too small",
    "connection reset",
    "30 seconds",
    "data[0].log_id",
    "amount",
    "session_private_key",
    "private_key",
    "pin_token",
    "dashboard",
    "SESSION",
];

#[test]
fn every_pinned_message_is_in_a_session_or_cannot_be() {
    let mut sessions = String::new();
    for name in SESSIONS {
        sessions += &fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
    }
    let unreachable = fs::read_to_string(folder().join("unreachable.txt")).unwrap();
    let unreachable: Vec<_> = unreachable
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_once(" | ").unwrap_or_else(|| panic!("no reason: {line}")))
        .collect();
    let pinned = pinned();
    let is_shown = |message: &str| {
        let parts = fixed_parts(message);
        sessions.lines().filter(|line| !line.starts_with(['$', '#', '>'])).any(|line| {
            let mut rest = line;
            parts.iter().all(|part| match rest.split_once(part.as_str()) {
                Some((_, after)) => {
                    rest = after;
                    true
                }
                None => false,
            })
        })
    };
    let mut missing = String::new();
    for (of_crate, message) in &pinned {
        let is_unreachable = unreachable.iter().any(|(known, _)| known == message);
        match (is_shown(message), is_unreachable) {
            (false, false) => writeln!(missing, "{of_crate}: {message}").unwrap(),
            (true, true) => {
                writeln!(missing, "{of_crate}: in a session, and listed as unreachable: {message}").unwrap();
            }
            _ => {}
        }
    }
    for (message, _) in &unreachable {
        if !pinned.iter().any(|(_, pinned)| pinned == message) {
            writeln!(missing, "listed as unreachable, and not pinned: {message}").unwrap();
        }
    }
    assert!(missing.is_empty(), "add them to a session, or to unreachable.txt with the reason:\n{missing}");
}
