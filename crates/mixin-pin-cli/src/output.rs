//! What is printed, for people or as JSON: results on standard output, warnings and failures on standard error, but
//! failures as JSON on standard output.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use mixin_pin_protocol::Shown;
use serde_json::{Value, json};

use crate::error::Error;
use crate::quoted::without_secrets;

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
        if self.json { print(&json_text(value.to_string())) } else { print(&text()) }
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
            let message = without_secrets(&error.to_string());
            // What clap says has lines of its own.
            let message = if matches!(error, Error::Usage(_)) { message } else { Shown(&message).to_string() };
            complain("error", BAD, &message);
            complain("help", DIM, &format!("mixin-pin explain {}", error.explained()));
            return;
        }
        let mut fields = json!({ "kind": error.kind(), "message": without_secrets(&error.to_string()) });
        fields["help"] = format!("mixin-pin explain {}", error.explained()).into();
        if let Some(api) = error.api() {
            fields["code"] = api.code.as_u32().into();
            if let Some(extra) = &api.extra {
                fields["extra"] = extra.clone();
            }
        }
        if let Error::Unknown { lost, run } = error {
            fields["request_id"] = lost.request_id.to_string().into();
            if let Some(expires_at) = lost.expires_at {
                fields["expires_at"] = expires_at.secs().into();
            }
            if let Some(run) = run {
                fields["next_command"] = run.as_str().into();
            }
        }
        // Nowhere is left to say that this failed.
        let _ = print(&json_text(json!({ "error": fields }).to_string()));
    }
}

/// JSON with escapes for all that a terminal might act upon, which stands in its strings alone.
pub(crate) fn json_text(json: String) -> String {
    if !json.contains(|c| c != '\n' && Shown::escapes(c)) {
        return json;
    }
    let mut text = String::with_capacity(2 * json.len());
    for c in json.chars() {
        if c == '\n' || !Shown::escapes(c) {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String does not fail.
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

/// A text with nothing in it that a terminal acts upon but line ends, tabs and our own styles: a net below what escapes
/// texts from outside, and which alone knows where their lines end.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let acts = |c| !matches!(c, '\n' | '\t') && Shown::escapes(c);
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let len = STYLES.iter().find(|style| rest.starts_with(**style)).map_or(0, |style| style.len());
        let (part, after) = rest.split_at(len.max(c.len_utf8()));
        if len > 0 || !acts(c) {
            left.push_str(part);
        } else {
            left.extend(c.escape_default());
        }
        rest = after;
    }
    Cow::Owned(left)
}

/// What our styles and clap's are made of: plain, bold, dimmed, underlined, and the colours of failures and their like.
const STYLES: [&str; 7] =
    ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[4m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];

/// A line on standard output. A reader that has seen enough is no failure.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut stdout = anstream::stdout().lock();
    match writeln!(stdout, "{}", harmless(text)).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

/// Warns on standard error, whoever reads standard output.
pub(crate) fn warn(text: &str) {
    complain("warning", WARN, &Shown(&without_secrets(text)).to_string());
}

fn complain(word: &str, style: Style, text: &str) {
    // Nowhere is left to say that this failed.
    let _ = writeln!(anstream::stderr().lock(), "{style}{word}:{style:#} {}", harmless(text));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_styles_pass_and_nothing_else_that_a_terminal_acts_upon() {
        for style in [GOOD, BAD, WARN, DIM] {
            let styled = format!("{style}x{style:#}\n\ty");
            assert_eq!(harmless(&styled), styled);
        }
        let clap = clap::builder::Styles::styled();
        for style in [clap.get_error(), clap.get_usage(), clap.get_literal(), clap.get_valid(), clap.get_invalid()] {
            let styled = format!("{style}x{style:#}");
            assert_eq!(harmless(&styled), styled);
        }
        assert_eq!(harmless("\u{1b}[2J\u{1b}[3m\r\u{9b}1m\u{202e}é"), r"\u{1b}[2J\u{1b}[3m\r\u{9b}1m\u{202e}é");
    }

    #[test]
    fn json_says_the_same_with_escapes() {
        let value = json!({ "a\u{7f}\u{9b}": ["\u{202e}\u{2028}\u{e0041}\n\u{1b}é"] });
        let text = json_text(format!("{value:#}"));
        assert!(!text.contains(|c| c != '\n' && Shown::escapes(c)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert!(text.contains(r"\u007f\u009b") && text.contains(r"\u202e\u2028\udb40\udc41\n\u001bé"), "{text}");
    }
}
