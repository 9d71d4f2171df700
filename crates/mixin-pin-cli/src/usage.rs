//! What is wrong with a command line: said with a next step, and without the PIN that somebody put there.

use std::io::Write as _;
use std::process::ExitCode;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use mixin_pin_core::Pin;
use serde_json::json;

use crate::environment;
use crate::output::print;

/// Prints it, or the help that was asked for.
pub(crate) fn report(mut error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Help and version. Nowhere is left to say that printing failed.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let pins = pins();
    if let Some(step) = next_step(&error, &pins) {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(step)]));
    }
    let wants_json = std::env::args_os().any(|arg| arg == "--json");
    if wants_json {
        let message = without(&pins, &error.render().to_string());
        let fields = json!({ "kind": "usage", "message": message.trim_end() });
        let _ = print(&json!({ "error": fields }).to_string());
    } else {
        let _ = write!(anstream::stderr().lock(), "{}", without(&pins, &error.render().ansi().to_string()));
    }
    ExitCode::from(2)
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

/// Someone who gives a PIN as an argument should not find it on the screen, too.
fn without(pins: &[String], message: &str) -> String {
    pins.iter().fold(message.to_owned(), |message, pin| message.replace(pin, "******"))
}
