//! What is printed, for people or as JSON: results on standard output, warnings and failures on standard error, but
//! failures as JSON on standard output.

use std::io::{self, IsTerminal as _, Write};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use crate::error::Error;

pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const DIM: Style = Style::new().dimmed();

/// Prints for people, or for scripts.
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints a result: `value` for scripts, `text` for people.
    pub(crate) fn result(&self, value: &Value, text: impl FnOnce() -> String) -> Result<(), Error> {
        if self.json { print(&value.to_string()) } else { print(&text()) }
    }

    /// Prints a line for people as the work goes on.
    pub(crate) fn progress(&self, text: impl FnOnce() -> String) -> Result<(), Error> {
        if self.json { Ok(()) } else { print(&text()) }
    }

    /// Prints why a command failed. What does not hold has been reported already.
    pub(crate) fn failure(&self, error: &Error) {
        if matches!(error, Error::DoesNotHold | Error::Unresolved) {
            return;
        }
        if !self.json {
            complain("error", BAD, &error.to_string());
            complain("help", DIM, &format!("mixin-pin explain {}", error.explained()));
            return;
        }
        let mut fields = json!({ "kind": error.kind(), "message": error.to_string() });
        fields["help"] = format!("mixin-pin explain {}", error.explained()).into();
        if let Some(api) = error.api() {
            fields["code"] = api.code.as_u32().into();
            if let Some(extra) = &api.extra {
                fields["extra"] = extra.clone();
            }
        }
        if let Error::Unknown { lost, run } = error {
            fields["request_id"] = lost.request_id.to_string().into();
            if let Some(run) = run {
                fields["next_command"] = run.as_str().into();
            }
        }
        // Nowhere is left to say that this failed.
        let _ = print(&json!({ "error": fields }).to_string());
    }
}

/// A line on standard output. A reader that has seen enough is no failure.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut stdout = anstream::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

/// Warns on standard error, whoever reads standard output.
pub(crate) fn warn(text: &str) {
    complain("warning", WARN, text);
}

fn complain(word: &str, style: Style, text: &str) {
    // Nowhere is left to say that this failed.
    let _ = writeln!(anstream::stderr().lock(), "{style}{word}:{style:#} {text}");
}

/// Tells somebody at a terminal what is being done, once it has taken half a second and until it is dropped.
pub(crate) struct Slow(Option<(mpsc::Sender<()>, JoinHandle<()>)>);

impl Slow {
    const PATIENCE: Duration = Duration::from_millis(500);

    pub(crate) fn new(doing: &'static str) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let (done, is_done) = mpsc::channel::<()>();
        let shown = thread::spawn(move || {
            if is_done.recv_timeout(Self::PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                let show = |text: &str| {
                    let mut stderr = anstream::stderr().lock();
                    // Nobody misses it where it cannot be shown.
                    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
                };
                show(&format!("{DIM}{doing} …{DIM:#}"));
                // Ends with the sender.
                let _ = is_done.recv();
                // Blanks rather than an escape, which not everybody wants (NO_COLOR).
                show(&format!("\r{:width$}\r", "", width = doing.chars().count() + 2));
            }
        });
        Self(Some((done, shown)))
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        if let Some((done, shown)) = self.0.take() {
            drop(done);
            // What it would panic of is shown already.
            let _ = shown.join();
        }
    }
}
