//! A command on a separate terminal, which the `script` command provides.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

pub struct Terminal {
    child: Child,
    shown: String,
    /// The part of `shown` that `wait_for` has consumed.
    seen: usize,
}

impl Terminal {
    /// Runs a shell script. Without the `script` command it returns None, with a note.
    pub fn start(test: &str, script: &str) -> Option<Self> {
        Self::start_in(test, &[], script)
    }

    /// Runs `mixin-pin` with these arguments.
    pub fn run(test: &str, args: &[&str]) -> Option<Self> {
        Self::start(test, &line(args))
    }

    /// Like [`Self::start`], with these environment variables.
    #[expect(clippy::explicit_write, reason = "the test harness hides what eprintln! prints in a test that passes")]
    pub fn start_in(test: &str, env: &[(&str, &str)], script: &str) -> Option<Self> {
        let child = Command::new("script")
            .args(["--quiet", "--return", "--command", script, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env_remove("NO_COLOR")
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        match child {
            Ok(child) => Some(Self { child, shown: String::new(), seen: 0 }),
            Err(error) => {
                let is_required = std::env::var_os("MIXIN_PIN_REQUIRE_ALL").is_some();
                assert!(!is_required, "{test} needs the script command: {error}");
                writeln!(std::io::stderr(), "SKIPPED: {test} needs the script command").unwrap();
                None
            }
        }
    }

    /// Waits for a text, and returns what was shown since the last one.
    pub fn wait_for(&mut self, text: &str) -> String {
        let stdout = self.child.stdout.as_mut().unwrap();
        let mut byte = [0];
        while !self.shown[self.seen..].ends_with(text) {
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "no {text:?} in {:?}", self.shown);
            self.shown.push(char::from(byte[0]));
        }
        let new = self.shown[self.seen..].to_owned();
        self.seen = self.shown.len();
        new
    }

    pub fn types(&mut self, keys: &str) {
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for a prompt, then types the answer.
    pub fn answer(&mut self, prompt: &str, answer: &str) {
        self.wait_for(prompt);
        self.types(&format!("{answer}\n"));
    }

    /// Whether the terminal echoes, according to the `stty -a; echo done-stty` that the script runs next.
    pub fn echoes(&mut self) -> bool {
        self.wait_for("speed ");
        let modes = self.wait_for("done-stty");
        assert!(modes.contains("echo "), "{modes}");
        !modes.contains("-echo ")
    }

    /// Returns everything that was shown, and the exit code.
    pub fn finish(mut self) -> (String, i32) {
        self.child.stdout.take().unwrap().read_to_string(&mut self.shown).unwrap();
        (self.shown, self.child.wait().unwrap().code().unwrap())
    }
}

/// The shell command for `mixin-pin` with these arguments.
pub fn line(args: &[&str]) -> String {
    format!("{} {}", env!("CARGO_BIN_EXE_mixin-pin"), args.join(" "))
}
