//! Errors in the command line: printed with a next step, and without values that may be secrets.

use std::error::Error as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use mixin_pin_core::Pin;
use serde_json::json;

use crate::args::{Cli, NoVariable, NotAName, NotAnId};
use crate::output::{harmless, json_text, print};
use crate::redact::{KEYSTORE_VARIABLE, Length, without_secrets};

/// Prints the error, or the help or version that was asked for. Returns the exit code.
pub(crate) fn report(mut error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // There is nowhere to report that printing failed.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let pins = pins();
    let step = next_step(&error, &pins);
    error = without_values(error, &Cli::command());
    if let Some(step) = step {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(step)]));
    }
    let wants_json = std::env::args_os().any(|arg| arg == "--json");
    if wants_json {
        let message = without_secrets(&error.render().to_string());
        let fields = json!({ "kind": "usage", "message": message.trim_end() });
        // There is nowhere to report that this failed.
        let _ = print(&json_text(json!({ "error": fields }).to_string()));
    } else {
        let text = without_secrets(&error.render().ansi().to_string());
        // There is nowhere to report that this failed.
        let _ = write!(anstream::stderr().lock(), "{}", harmless(&text));
    }
    ExitCode::from(2)
}

/// The error without the values that were given. Short words stay: they show a typing error.
pub(crate) fn without_values(error: clap::Error, command: &clap::Command) -> clap::Error {
    let hides = |kind, value: &ContextValue| match (kind, value) {
        (ContextKind::InvalidValue | ContextKind::InvalidSubcommand | ContextKind::TrailingArg, _) => !is_word(value),
        // An option may be shown, but an argument may be a passphrase.
        (ContextKind::InvalidArg, ContextValue::String(given)) if error.kind() == ErrorKind::UnknownArgument => {
            !given.starts_with('-') || !is_word(value)
        }
        // Everything else describes the possible command lines, not this one.
        _ => false,
    };
    if !error.context().any(|(kind, value)| hides(kind, value)) {
        return error;
    }
    // The parser's message about the value cannot be removed from the error, so a new error is made.
    let mut shown = clap::Error::new(error.kind()).with_cmd(command);
    for (kind, value) in error.context() {
        match value {
            // The suggestion repeats the value.
            _ if kind == ContextKind::Suggested => {}
            ContextValue::String(given) if hides(kind, value) => {
                shown.insert(kind, ContextValue::String(Length(given).to_string()));
            }
            _ if hides(kind, value) => {}
            value => {
                shown.insert(kind, value.clone());
            }
        }
    }
    shown
}

/// Whether a value is a word like the names of options, commands and choices, or a small number.
fn is_word(value: &ContextValue) -> bool {
    let ContextValue::String(value) = value else { return false };
    let word = value.trim_start_matches('-');
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    word.len() <= 24 && word.chars().all(is_part) && word.chars().filter(char::is_ascii_digit).count() < 6
}

/// What to do about common mistakes.
fn next_step(error: &clap::Error, pins: &[String]) -> Option<String> {
    // Its value is not shown, and neither is the parser's message about it.
    if error.get(ContextKind::InvalidValue).is_some_and(|value| !is_word(value))
        && let Some(cause) = error.source()
        && (cause.is::<NotAName>() || cause.is::<NotAnId>() || cause.is::<NoVariable>())
    {
        return Some(cause.to_string());
    }
    let arguments = match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(argument) => std::slice::from_ref(argument),
        ContextValue::Strings(arguments) => arguments,
        _ => return None,
    };
    let is_pin = |argument: &String| pins.contains(argument) || argument.starts_with("--pin");
    match error.kind() {
        ErrorKind::MissingRequiredArgument if arguments.iter().any(|argument| argument.starts_with("--keystore")) => {
            Some(format!(
                "the keystore is the file from Mixin's dashboard, or one from a sandbox ('mixin-pin sandbox \
                 --user-keystore-out me.json'); {KEYSTORE_VARIABLE} names it for every command"
            ))
        }
        ErrorKind::UnknownArgument if arguments.iter().any(is_pin) => Some(
            "give the PIN at the prompt or with --pin-stdin: every user of the machine can see arguments, and the shell \
             keeps them in its history; remove this one there"
                .to_owned(),
        ),
        _ => None,
    }
}

/// The arguments and option values that may be PINs.
fn pins() -> Vec<String> {
    let arguments = std::env::args_os().filter_map(|argument| argument.into_string().ok());
    let values = arguments.map(|argument| argument.rsplit('=').next().unwrap_or_default().to_owned());
    values.filter(|value| Pin::new(value).is_ok()).collect()
}
