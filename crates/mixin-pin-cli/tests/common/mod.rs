//! Runs the command, and a sandbox with it, for the tests.
#![allow(dead_code, reason = "each test file uses a part")]

#[cfg(target_os = "linux")]
pub mod terminal;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// The result of a run.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub fn done(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// The failure's kind, from its JSON.
    pub fn kind(&self) -> String {
        self.json()["error"]["kind"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mixin-pin"));
    command.env_remove("MIXIN_API").env_remove("MIXIN_KEYSTORE").env_remove("MIXIN_STORE");
    // The tests must not use the developer's own store.
    for folder in ["XDG_DATA_HOME", "HOME", "APPDATA", "USERPROFILE"] {
        command.env(folder, env!("CARGO_TARGET_TMPDIR"));
    }
    command
}

/// Runs the command with these arguments and this standard input.
pub fn run(args: &[&str], stdin: &[u8]) -> Run {
    let mut child =
        command().args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that fails early closes its standard input.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    finished(child.wait_with_output().unwrap())
}

pub fn finished(output: Output) -> Run {
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

pub fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

/// Copies a keystore of the test data to a file that only its owner can read.
pub fn keystore(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    private(&path, &fs::read_to_string(testdata(name)).unwrap());
    path
}

/// Writes a file that only its owner can read.
pub fn private(path: &Path, text: &str) {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The file in a sandbox's folder that gets its standard error.
pub const STDERR: &str = "stderr.txt";

/// A `mixin-pin sandbox` process, and a folder for the test's files.
pub struct SandboxProcess {
    child: Child,
    pub folder: TempDir,
    /// Its temporary folder.
    _temporary: TempDir,
    pub url: String,
    pub app_keystore: String,
    /// Its first line on standard output.
    pub announced: String,
}

impl SandboxProcess {
    pub fn start(more: &[&str]) -> Self {
        let (folder, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut child = command()
            .args(["--json", "sandbox"])
            .args(more)
            // If the test does not stop it, it is killed and leaves files there.
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(folder.path().join(STDERR)).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let announced: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"));
        Self {
            child,
            folder,
            _temporary: temporary,
            url: announced["url"].as_str().unwrap().to_owned(),
            app_keystore: announced["app_keystore"].as_str().unwrap().to_owned(),
            announced: line,
        }
    }

    pub fn path(&self, name: &str) -> String {
        text(&self.folder.path().join(name)).to_owned()
    }

    /// The output of the process.
    pub fn printed(&self) -> Run {
        let stderr = fs::read_to_string(self.path(STDERR)).unwrap();
        Run { code: 0, stdout: self.announced.clone(), stderr }
    }

    /// Registers a user and returns its keystore's path.
    pub fn register(&self, kind: &str) -> String {
        let out = self.path(&format!("{kind}.json"));
        let args = ["keystore", "new", "--kind", kind, "--app-keystore", &self.app_keystore, "--name", "Test"];
        run(&[&args[..], &["--out", &out, "--api", &self.url]].concat(), b"").done();
        out
    }

    /// Runs a command against this sandbox, with JSON output.
    pub fn run(&self, args: &[&str], stdin: &str) -> Run {
        run(&[args, &["--json", "--api", &self.url]].concat(), stdin.as_bytes())
    }

    /// Sends a signal and returns how the process ended.
    #[cfg(unix)]
    pub fn stop(&mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for SandboxProcess {
    fn drop(&mut self) {
        // It may have stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that closes every connection without an answer, so the outcome is unknown.
pub fn server_that_goes_away() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut byte = [0; 1];
            // The request does not matter.
            let _ = std::io::Read::read(&mut stream.unwrap(), &mut byte);
        }
    });
    api
}
