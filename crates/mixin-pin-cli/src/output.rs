//! Prints results, progress, warnings and failures, as text or as JSON.
//!
//! Results and JSON failures go to standard output; warnings and text failures go to standard error.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use mixin_pin_protocol::Shown;
use mixin_pin_protocol::answer::User;
use serde_json::{Value, json};

use crate::error::Error;
use crate::redact::without_secrets;
use crate::system;

pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const DIM: Style = Style::new().dimmed();

/// Prints text, or JSON with `--json`.
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) const fn new(json: bool) -> Self {
        Self { json }
    }

    /// Prints a result: `value` as JSON, or `text`.
    pub(crate) fn result(&self, value: &Value, text: impl FnOnce() -> String) -> Result<(), Error> {
        if self.json { print(&json_text(value.to_string())) } else { print(&text()) }
    }

    /// Prints a line of text while the work goes on; nothing with `--json`.
    pub(crate) fn progress(&self, text: impl FnOnce() -> String) -> Result<(), Error> {
        if self.json { Ok(()) } else { print(&text()) }
    }

    /// Prints why a command failed, and the `topic` for `mixin-pin explain`. If the report was printed already, prints
    /// nothing.
    pub(crate) fn failure(&self, error: &Error, topic: &str) {
        if matches!(error, Error::DoesNotHold | Error::Unresolved) {
            return;
        }
        let message = without_secrets(&error.to_string());
        let help = format!("mixin-pin explain {topic}");
        if !self.json {
            // Messages from clap have several lines, so they are not escaped here.
            let message = if matches!(error, Error::Usage(_)) { message } else { Shown(&message).to_string() };
            complain("error", BAD, &message);
            complain("help", DIM, &help);
            return;
        }
        let mut fields = json!({ "kind": error.kind(), "message": message, "help": help });
        if let Some(api) = error.api() {
            fields["code"] = api.code.as_u32().into();
            if let Some(extra) = &api.extra {
                fields["extra"] = extra.clone();
            }
            if let Some(request_id) = api.request_id {
                fields["request_id"] = request_id.to_string().into();
            }
        }
        if let Some(pause) = error.retry_after() {
            fields["retry_after"] = pause.as_secs().into();
        }
        if let Some(refusal) = error.refusal() {
            let field = refusal.field().map(|field| field.to_string());
            fields["refusal"] = json!({ "kind": refusal.kind(), "field": field });
        }
        let mut cause = error;
        if let Error::Stopped(stop) = error {
            fields["works"] = stop.works.as_str().into();
            fields["kept"] = stop.kept.as_deref().into();
            fields["next_command"] = stop.run.as_deref().into();
            cause = &stop.cause;
        }
        if let Error::Unknown { lost, run, listed_by } = cause {
            fields["request_id"] = lost.request_id.to_string().into();
            if let Some(expires_at) = lost.expires_at {
                fields["expires_at"] = expires_at.secs().into();
            }
            if let Some(run) = run {
                fields["next_command"] = run.as_str().into();
            }
            if let Some(listed_by) = listed_by {
                fields["listed_by"] = listed_by.as_str().into();
            }
        }
        if let Err(unprinted) = print(&json_text(json!({ "error": fields }).to_string())) {
            complain("error", BAD, &unprinted.to_string());
        }
    }
}

/// Escapes every character of a JSON text that a terminal could act on. Such characters occur only in its strings.
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

/// Escapes every character that a terminal could act on, except line ends, tabs and our own styles. Texts from outside are
/// escaped where they are used; this catches what was missed.
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

/// The sequences in our styles and clap's: plain, bold, dimmed, underlined, red, green and yellow.
const STYLES: [&str; 7] =
    ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[4m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"];

/// Prints a line on standard output. A reader that closes the pipe is no failure.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    let mut stdout = anstream::stdout().lock();
    match writeln!(stdout, "{}", harmless(text)).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

/// Prints a text with a secret on standard output, without a copy in a buffer.
pub(crate) fn print_secret(text: &str) -> Result<(), Error> {
    system::stdout().and_then(|mut stdout| stdout.write_all(text.as_bytes())).map_err(Error::Output)
}

/// Prints a warning on standard error.
pub(crate) fn warn(text: &str) {
    complain("warning", WARN, &Shown(&without_secrets(text)).to_string());
}

fn complain(word: &str, style: Style, text: &str) {
    // There is nowhere to report that this failed.
    let _ = writeln!(anstream::stderr().lock(), "{style}{word}:{style:#} {}", harmless(text));
}

/// A note on the terminal about slow work: shown after half a second, until it is dropped.
pub(crate) struct Progress(Option<(mpsc::Sender<()>, JoinHandle<()>)>);

impl Progress {
    const DELAY: Duration = Duration::from_millis(500);

    pub(crate) fn new(doing: &'static str) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let (done, is_done) = mpsc::channel::<()>();
        let shown = thread::spawn(move || {
            if is_done.recv_timeout(Self::DELAY) == Err(mpsc::RecvTimeoutError::Timeout) {
                let show = |text: &str| {
                    let mut stderr = anstream::stderr().lock();
                    // The note is not needed.
                    let _ = write!(stderr, "{text}").and_then(|()| stderr.flush());
                };
                show(&format!("{DIM}{doing} …{DIM:#}"));
                // Ends with the sender.
                let _ = is_done.recv();
                // Overwritten with blanks: escapes are not for every terminal (NO_COLOR).
                show(&format!("\r{:width$}\r", "", width = doing.chars().count() + 2));
            }
        });
        Self(Some((done, shown)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((done, shown)) = self.0.take() {
            drop(done);
            // A panic in the thread has been printed already.
            let _ = shown.join();
        }
    }
}

/// The user's name and id.
pub(crate) fn user_name(user: &User) -> String {
    if user.full_name.is_empty() {
        user.user_id.to_string()
    } else {
        format!("{} ({})", Shown(&user.full_name), user.user_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_styles_pass_unescaped() {
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
    fn json_with_escapes_has_the_same_value() {
        let value = json!({ "a\u{7f}\u{9b}": ["\u{202e}\u{2028}\u{e0041}\n\u{1b}é"] });
        let text = json_text(format!("{value:#}"));
        assert!(!text.contains(|c| c != '\n' && Shown::escapes(c)), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert!(text.contains(r"\u007f\u009b") && text.contains(r"\u202e\u2028\udb40\udc41\n\u001bé"), "{text}");
    }
}
