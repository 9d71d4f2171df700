//! Makes a call, and turns an unknown outcome into an error that names the next command.

use std::env;
use std::ffi::OsString;
use std::path::Path;

use mixin_pin_http::{DEFAULT_API, Error as HttpError, Outcome};
use mixin_pin_protocol::Shown;

use crate::args::{ClientArgs, EXPIRES_AT, NEW_USER};
use crate::error::Error;
use crate::output::Progress;
use crate::redact::{API_VARIABLE, STORE_VARIABLE, has_password, is_secret};

/// The URL of a store in memory.
pub(crate) const MEMORY: &str = "memory:";

/// Makes a call. At a terminal, a note says that it waits for the answer.
pub(crate) fn send<T>(call: impl FnOnce() -> Result<T, HttpError>) -> Result<T, Error> {
    let _progress = Progress::new("waiting for the answer");
    Ok(call()?)
}

/// Makes a call that may change something, and that no journal lists. An unknown outcome is an error.
pub(crate) fn send_known<T>(call: impl FnOnce() -> Result<Outcome<T>, HttpError>) -> Result<T, Error> {
    match send(call)? {
        Outcome::Done(answer) => Ok(answer),
        Outcome::Unknown(lost) => Err(Error::Unknown { lost, run: None, listed_by: None }),
    }
}

/// Like [`send_known`], for a call in the journal.
pub(crate) fn send_listed<T>(
    call: impl FnOnce() -> Result<Outcome<T>, HttpError>,
    args: &ClientArgs,
) -> Result<T, Error> {
    send_known(call).map_err(|error| match error {
        Error::Unknown { lost, run, .. } => {
            // A store in memory ends with this process.
            let lasts = args.store.store.as_deref() != Some(MEMORY);
            let listed_by =
                || next_command("pending", &args.into(), &[]).unwrap_or_else(|| "mixin-pin pending".to_owned());
            Error::Unknown { lost, run, listed_by: lasts.then(listed_by) }
        }
        error => error,
    })
}

/// Like [`send_listed`]; the error also names the command to run next, with the same session, API and store.
pub(crate) fn send_or_next<T>(
    call: impl FnOnce() -> Result<Outcome<T>, HttpError>,
    command: &str,
    args: &ClientArgs,
    flags: &[&str],
) -> Result<T, Error> {
    send_listed(call, args).map_err(|error| match error {
        Error::Unknown { lost, listed_by, .. } => {
            let expires_at = lost.expires_at.map(|at| at.secs().to_string());
            let mut flags = flags.to_vec();
            // Without an old PIN, the end of the lost request's token settles the outcome.
            if let Some(expires_at) = expires_at.as_deref().filter(|_| flags.contains(&NEW_USER)) {
                flags.extend([EXPIRES_AT, expires_at]);
            }
            let run = next_command(command, &args.into(), &flags);
            Error::Unknown { lost, run, listed_by }
        }
        error => error,
    })
}

/// The session, API and store of a command.
pub(crate) struct Scene<'s> {
    pub(crate) keystore: &'s Path,
    pub(crate) api: &'s str,
    pub(crate) store: Option<&'s str>,
}

impl<'s> From<&'s ClientArgs> for Scene<'s> {
    fn from(args: &'s ClientArgs) -> Self {
        Self { keystore: &args.session.keystore, api: &args.api.url, store: args.store.store.as_deref() }
    }
}

/// A command line for the same session, API and store. A URL with a password is left to a variable. None if a word of it cannot be shown or quoted for a shell.
pub(crate) fn next_command(command: &str, scene: &Scene<'_>, flags: &[&str]) -> Option<String> {
    next_command_in(|name| env::var_os(name), command, scene, flags)
}

/// Like [`next_command`], for a command that has no --keystore. Its own options come first.
pub(crate) fn next_of(command: &str, options: &[&str], api: &str, store: Option<&str>) -> Option<String> {
    next_words(|name| env::var_os(name), command, options, (api, store), &[])
}

/// A command for the same store, without a session or an API of its own. If its words cannot be shown, the store is left out.
pub(crate) fn store_command(words: &[&str], store: Option<&str>) -> String {
    store_command_in(|name| env::var_os(name), words, store)
}

fn store_command_in(variable: impl Fn(&str) -> Option<OsString>, words: &[&str], store: Option<&str>) -> String {
    let plain = || [&["mixin-pin"], words].concat();
    joined(variable, plain(), store, &[]).unwrap_or_else(|| plain().join(" "))
}

fn next_command_in(
    variable: impl Fn(&str) -> Option<OsString>,
    command: &str,
    scene: &Scene<'_>,
    flags: &[&str],
) -> Option<String> {
    next_words(variable, command, &["--keystore", scene.keystore.to_str()?], (scene.api, scene.store), flags)
}

fn next_words(
    variable: impl Fn(&str) -> Option<OsString>,
    command: &str,
    options: &[&str],
    (api, store): (&str, Option<&str>),
    flags: &[&str],
) -> Option<String> {
    let mut words = vec!["mixin-pin"];
    words.extend(command.split(' '));
    words.extend(options);
    // Repeat even the default API if the environment names another.
    if api != DEFAULT_API || variable(API_VARIABLE).is_some_and(|api| api != DEFAULT_API) {
        words.extend(["--api", api]);
    }
    joined(variable, words, store, flags)
}

/// Precedes a command for a store with a password, which is not shown. The shell stops at it until the variable is set, so
/// the command does not run with another store.
const STORE_ASKED: &str = "MIXIN_STORE=\"${STORE:?put the URL of this store into STORE}\" ";

/// The command line of these words for the store. None if a word cannot be shown or quoted for a shell.
fn joined<'w>(
    variable: impl Fn(&str) -> Option<OsString>,
    mut words: Vec<&'w str>,
    store: Option<&'w str>,
    flags: &[&'w str],
) -> Option<String> {
    let before = match store {
        // The next command gets it from the environment again.
        Some(store) if has_password(store) && variable(STORE_VARIABLE).is_some_and(|set| set == store) => "",
        Some(store) if has_password(store) => STORE_ASKED,
        Some(store) => {
            words.extend(["--store", store]);
            ""
        }
        None => "",
    };
    words.extend(flags);
    let are_shown = words.iter().all(is_shown);
    Some(format!("{before}{}", shlex::try_join(words).ok().filter(|_| are_shown)?))
}

fn is_shown(word: &&str) -> bool {
    !is_secret(word) && !word.contains(Shown::escapes)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn the_next_command_has_the_same_store_and_api() {
        let next = |given: &[&str], name: &'static str, value: &'static str| {
            let words = [&["mixin-pin", "me", "--keystore", "me.json"], given].concat();
            let Command::Me(args) = Cli::try_parse_from(words).unwrap().command else { unreachable!() };
            next_command_in(|asked| (asked == name).then(|| value.into()), "verify", &(&args).into(), &[])
        };
        let (with, other) = ("redis://:hunter2@h/", "redis://:other@h/");
        let plain = |more: &str| Some(format!("mixin-pin verify --keystore me.json{more}"));
        assert_eq!(next(&["--store", with], STORE_VARIABLE, with), plain(""), "the environment still has it");
        let asked = plain("").map(|command| format!("{STORE_ASKED}{command}"));
        assert_eq!(next(&["--store", with], STORE_VARIABLE, other), asked);
        assert_eq!(next(&["--store", with], "", ""), asked);
        for store in ["sqlite:a@b.db", "sqlite:///a@b/x.db", "redis://h/", "memory:"] {
            for env in ["", other, store] {
                let next = next(&["--store", store], STORE_VARIABLE, env.to_owned().leak());
                assert_eq!(next, plain(&format!(" --store {store}")));
            }
        }
        let here = "http://127.0.0.1:9";
        assert_eq!(next(&["--api", here], API_VARIABLE, here), plain(&format!(" --api {here}")));
        assert_eq!(next(&["--api", DEFAULT_API], API_VARIABLE, here), plain(&format!(" --api {DEFAULT_API}")));
        assert_eq!(next(&["--api", DEFAULT_API], "", ""), plain(""));
    }
}
