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
    process: Child,
    port: u16,
    folder: TempDir,
}

impl RedisServer {
    /// Starts a server. Returns None and prints a warning if none is installed.
    #[allow(clippy::explicit_write, reason = "the test harness hides what eprintln! prints in a test that passes")]
    pub fn start(test: &str, more: &[&str]) -> Option<Self> {
        for program in ["redis-server", "valkey-server"] {
            let folder = tempfile::tempdir().unwrap();
            // Redis cannot choose a free port itself.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let process = Command::new(program)
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
                .args(more)
                .current_dir(folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            if let Ok(process) = process {
                let server = Self { process, port, folder };
                server.wait();
                return Some(server);
            }
        }
        assert!(std::env::var_os("MIXIN_PIN_REQUIRE_ALL").is_none(), "{test} needs redis-server or valkey-server");
        writeln!(std::io::stderr(), "SKIPPED: {test} needs redis-server or valkey-server").unwrap();
        None
    }

    fn wait(&self) {
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the Redis server did not start");
    }

    /// The URL of the store.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// The folder that the server saves to.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a Redis command.
    pub fn command(&self, words: &[&str]) -> String {
        let output =
            Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(words).output().expect("redis-cli");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Sends a signal, such as `STOP` or `CONT`.
    #[cfg(unix)]
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
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
