//! What is wrong with a command line: said with a next step, and without the secret that somebody put there.

use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use mixin_pin_core::Pin;
use serde_json::json;

use crate::args::Cli;
use crate::environment;
use crate::output::{harmless, json_text, print};
use crate::quoted::{Length, without_secrets};

/// Prints it, or the help that was asked for.
pub(crate) fn report(mut error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Help and version. Nowhere is left to say that printing failed.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let pins = pins();
    let step = next_step(&error, &pins);
    error = without_values(error);
    if let Some(step) = step {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(step)]));
    }
    let wants_json = std::env::args_os().any(|arg| arg == "--json");
    if wants_json {
        let message = without_secrets(&error.render().to_string());
        let fields = json!({ "kind": "usage", "message": message.trim_end() });
        // Nowhere is left to say that this failed.
        let _ = print(&json_text(json!({ "error": fields }).to_string()));
    } else {
        let text = without_secrets(&error.render().ansi().to_string());
        // The same.
        let _ = write!(anstream::stderr().lock(), "{}", harmless(&text));
    }
    ExitCode::from(2)
}

/// What is wrong, without the values that were given, but for a short word: a typing error is seen by it.
pub(crate) fn without_values(error: clap::Error) -> clap::Error {
    let hides = |kind, value: &ContextValue| match (kind, value) {
        (ContextKind::InvalidValue | ContextKind::InvalidSubcommand | ContextKind::TrailingArg, _) => !is_word(value),
        // An option may be told, but what stands for itself may be a passphrase.
        (ContextKind::InvalidArg, ContextValue::String(given)) if error.kind() == ErrorKind::UnknownArgument => {
            !given.starts_with('-') || !is_word(value)
        }
        // All else is what the command line may be, not what it is.
        _ => false,
    };
    if !error.context().any(|(kind, value)| hides(kind, value)) {
        return error;
    }
    // Made anew: what its parser said of the value cannot be taken out of the old one.
    let mut told = clap::Error::new(error.kind()).with_cmd(&Cli::command());
    for (kind, value) in error.context() {
        match value {
            // It names the value, too.
            _ if kind == ContextKind::Suggested => {}
            ContextValue::String(given) if hides(kind, value) => {
                told.insert(kind, ContextValue::String(Length(given).to_string()));
            }
            _ if hides(kind, value) => {}
            value => {
                told.insert(kind, value.clone());
            }
        }
    }
    told
}

/// A word that an option, a command or a choice may be called, or a small number.
fn is_word(value: &ContextValue) -> bool {
    let ContextValue::String(value) = value else { return false };
    let word = value.trim_start_matches('-');
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    word.len() <= 24 && word.chars().all(is_part) && word.chars().filter(char::is_ascii_digit).count() < 6
}

/// What to do about the mistakes that beginners make.
fn next_step(error: &clap::Error, pins: &[String]) -> Option<String> {
    let arguments = match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(argument) => std::slice::from_ref(argument),
        ContextValue::Strings(arguments) => arguments,
        _ => return None,
    };
    let is_pin = |argument: &String| pins.contains(argument) || argument.starts_with("--pin");
    match error.kind() {
        ErrorKind::MissingRequiredArgument if arguments.iter().any(|argument| argument.starts_with("--keystore")) => {
            Some(format!(
                "the keystore is the file that Mixin's dashboard gave, or a sandbox's, by 'mixin-pin sandbox \
                 --user-keystore-out me.json'; {} names it for every command",
                environment::KEYSTORE
            ))
        }
        ErrorKind::UnknownArgument if arguments.iter().any(is_pin) => Some(
            "a PIN is asked for at a prompt, or read with --pin-stdin: an argument can be seen by every user of the \
             machine, and stays in the shell's history; take this one out there"
                .to_owned(),
        ),
        _ => None,
    }
}

/// The arguments, or their values, that may be PINs.
fn pins() -> Vec<String> {
    let arguments = std::env::args_os().filter_map(|argument| argument.into_string().ok());
    let values = arguments.map(|argument| argument.rsplit('=').next().unwrap_or_default().to_owned());
    values.filter(|value| Pin::new(value).is_ok()).collect()
}
