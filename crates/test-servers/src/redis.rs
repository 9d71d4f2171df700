//! A Redis or Valkey server for one test.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// A Redis or Valkey server on a free port, without persistence. It stops with the test.
pub struct RedisServer {
    program: &'static str,
    process: Child,
    port: u16,
    folder: TempDir,
    more: Vec<String>,
    /// The `run_id` of its first start.
    run_id: String,
}

impl RedisServer {
    /// Starts a server. Returns None and prints a warning if none is installed.
    pub fn start(test: &str, more: &[&str]) -> Option<Self> {
        let program = program(test)?;
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let more: Vec<String> = more.iter().map(ToString::to_string).collect();
        let process = spawn(program, port, &folder, &more);
        let mut server = Self { program, process, port, folder, more, run_id: String::new() };
        server.wait();
        server.run_id = server.info("server", "run_id");
        Some(server)
    }

    /// Kills the server and starts it again, on the same port and with the data that it has saved.
    pub fn restart(&mut self) {
        self.kill();
        self.start_again(&[]);
    }

    /// Starts the server that was killed, with these settings in addition.
    pub(crate) fn start_again(&mut self, more: &[&str]) {
        let more = [&self.more[..], &more.iter().map(ToString::to_string).collect::<Vec<_>>()].concat();
        self.process = spawn(self.program, self.port, &self.folder, &more);
        self.wait();
    }

    fn wait(&self) {
        await_condition("the Redis server starts", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    /// The URL of the store. It names the server's first start, so a session is used at once although the server is new.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0?new={}", self.port, self.run_id)
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The `run_id` of its first start.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The folder that the server saves to.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a Redis command.
    pub fn command(&self, words: &[&str]) -> String {
        command(self.port, words)
    }

    /// A field of `INFO`. Empty if the section lacks the field.
    pub fn info(&self, section: &str, field: &str) -> String {
        let password = self.more.iter().position(|word| word == "--requirepass").and_then(|at| self.more.get(at + 1));
        let login = password.map(|password| ["-a", password, "--no-auth-warning"]);
        let words = [login.as_ref().map(|login| &login[..]).unwrap_or_default(), &["INFO", section]].concat();
        let info = self.command(&words);
        let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.unwrap_or_default().trim().to_owned()
    }

    /// Sends a signal, such as `STOP` or `CONT`.
    #[cfg(unix)]
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Stops this replica, so that it gets no further write of its primary, until it goes on by the signal `CONT`.
    #[cfg(unix)]
    pub(crate) fn cut_off(&self, primary: &Self) {
        self.signal("STOP");
        // Otherwise the system would keep what the primary sends.
        primary.command(&["CLIENT", "KILL", "TYPE", "replica"]);
    }

    /// Kills the server at once.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The server program. None, and a warning, if none is installed.
#[allow(clippy::explicit_write, reason = "the test harness hides what eprintln! prints in a test that passes")]
pub(crate) fn program(test: &str) -> Option<&'static str> {
    let runs = |program: &&str| {
        Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    let program = ["redis-server", "valkey-server"].into_iter().find(runs);
    if program.is_none() {
        assert!(std::env::var_os("MIXIN_PIN_REQUIRE_ALL").is_none(), "{test} needs redis-server or valkey-server");
        writeln!(std::io::stderr(), "SKIPPED: {test} needs redis-server or valkey-server").unwrap();
    }
    program
}

/// A port that nothing uses now. Redis cannot choose one itself.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn spawn(program: &str, port: u16, folder: &TempDir, more: &[String]) -> Child {
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(more)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Runs a Redis command on the server at this port of this machine.
pub(crate) fn command(port: u16, words: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-p", &port.to_string()]).args(words).output().expect("redis-cli");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Waits for a condition, for a minute at most.
pub(crate) fn await_condition(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("a minute has passed, and still not: {what}");
}

/// A server that answers every command but those of opening with this error, and the URL of its store.
pub fn server_that_answers(error: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}/0", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while let Some(words) = read_command(&mut lines) {
                    let answer = match words[0].to_uppercase().as_str() {
                        "PING" => "+PONG",
                        "CLIENT" | "SELECT" => "+OK",
                        _ => error,
                    };
                    stream.write_all(format!("{answer}\r\n").as_bytes()).unwrap();
                }
            });
        }
    });
    url
}

/// Reads an array of strings without line ends.
fn read_command(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> Option<Vec<String>> {
    let count: usize = lines.next()?.ok()?.strip_prefix('*')?.parse().ok()?;
    (0..count)
        .map(|_| {
            let length: usize = lines.next()?.ok()?.strip_prefix('$')?.parse().ok()?;
            let mut word = lines.next()?.ok()?;
            // A script has several lines.
            while word.len() < length {
                word = word + "\r\n" + &lines.next()?.ok()?;
            }
            Some(word)
        })
        .collect()
}
