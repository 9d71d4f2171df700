//! One module a command, or for a few that share their work.

pub(crate) mod call;
pub(crate) mod calls;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod encrypt;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod keystore;
pub(crate) mod resolve;
pub(crate) mod sandbox;
pub(crate) mod store;
pub(crate) mod tip;
pub(crate) mod token;

use std::env;
use std::ffi::OsString;
use std::time::Duration;

use mixin_pin_core::Session;
use mixin_pin_http::{Client, ClientBuilder, DEFAULT_API, Error as HttpError, OAuthClient, Outcome};
use mixin_pin_protocol::Shown;
use mixin_pin_protocol::keystore::{KeystoreShape, SpendKey};

use crate::args::{ApiArgs, ClientArgs, UpdateArgs};
use crate::environment;
use crate::error::Error;
use crate::keystores;
use crate::output::Slow;
use crate::quoted::{has_password, is_secret};
use crate::store::with_store;

fn client(session: Session, args: &ClientArgs) -> Result<Client, Error> {
    Ok(with_store(settings(Client::builder(session), &args.api), &args.store)?.build()?)
}

fn settings<S>(builder: ClientBuilder<S>, api: &ApiArgs) -> ClientBuilder<S> {
    builder.base_url(&api.url).timeout(Duration::from_secs(api.timeout))
}

/// The client of a keystore's session, and the spend key beside it.
fn open(args: &ClientArgs) -> Result<(Client, Option<SpendKey>), Error> {
    let (session, spend_key) = keystores::session_and_spend_key(&args.session.keystore)?;
    Ok((client(session, args)?, spend_key))
}

/// A client of either kind, for the calls that both can make.
enum Opened {
    User(Box<Client>, Option<SpendKey>),
    OAuth(Box<OAuthClient>),
}

fn open_any(args: &ClientArgs) -> Result<Opened, Error> {
    let path = &args.session.keystore;
    let mut keystore = keystores::read(path)?;
    if keystore.shape() == KeystoreShape::OAuth {
        let session = keystore.into_oauth_session().map_err(|cause| Error::Keystore { path: path.clone(), cause })?;
        return Ok(Opened::OAuth(Box::new(settings(OAuthClient::builder(session), &args.api).build()?)));
    }
    let spend_key = keystore.take_spend_key();
    Ok(Opened::User(Box::new(client(keystores::open(path, keystore)?, args)?), spend_key))
}

/// Makes a call, and tells somebody at a terminal that it is being waited for.
fn calling<T>(call: impl FnOnce() -> Result<T, HttpError>) -> Result<T, Error> {
    let _slow = Slow::new("waiting for the answer");
    Ok(call()?)
}

/// An unknown outcome is a failure of its own kind for a command.
fn known<T>(outcome: Outcome<T>) -> Result<T, Error> {
    match outcome {
        Outcome::Done(answer) => Ok(answer),
        Outcome::Unknown(lost) => Err(Error::Unknown { lost, run: None }),
    }
}

/// The same, with the command that is to be run next: this session's, to this API.
fn known_or_run<T>(outcome: Outcome<T>, command: &str, args: &ClientArgs, more: &[&str]) -> Result<T, Error> {
    known(outcome).map_err(|error| match error {
        Error::Unknown { lost, .. } => {
            let expires_at = lost.expires_at.map(|at| at.secs().to_string());
            let mut more = more.to_vec();
            // Where there was no PIN, the end of the request's token settles it.
            if let Some(expires_at) = expires_at.as_deref().filter(|_| more.contains(&NEW_USER)) {
                more.extend([EXPIRES_AT, expires_at]);
            }
            let run = next_command(command, args, &more);
            Error::Unknown { lost, run }
        }
        error => error,
    })
}

/// A command for this session, to this API, with this store; None where a word of it cannot be shown or run.
fn next_command(command: &str, args: &ClientArgs, more: &[&str]) -> Option<String> {
    next_command_in(|name| env::var_os(name), command, args, more)
}

/// The same, in an environment.
fn next_command_in(
    set: impl Fn(&str) -> Option<OsString>,
    command: &str,
    args: &ClientArgs,
    more: &[&str],
) -> Option<String> {
    let keystore = args.session.keystore.to_str()?;
    let mut words = vec!["mixin-pin", command, "--keystore", keystore];
    // The default that was given where the environment says otherwise has to be given again.
    if args.api.url != DEFAULT_API || set(environment::API).is_some_and(|api| api != DEFAULT_API) {
        words.extend(["--api", &args.api.url]);
    }
    match args.store.store.as_deref() {
        // It came from the environment, and is there still.
        Some(store) if has_password(store) && set(environment::STORE).is_some_and(|set| set == store) => {}
        Some(store) if has_password(store) => return None,
        Some(store) => words.extend(["--store", store]),
        None => {}
    }
    // What was given and may not be shown, or not as it is, cannot be run, and neither can a word that no shell holds.
    let is_shown = |word: &&str| !is_secret(word) && !word.contains(Shown::escapes);
    let are_shown = words.iter().all(is_shown);
    words.extend(more);
    shlex::try_join(words).ok().filter(|_| are_shown)
}

const NEW_USER: &str = "--new-user";
const EXPIRES_AT: &str = "--expires-at";

/// How `resolve` is told of an update for a new user.
const fn new_user(args: &UpdateArgs) -> &'static [&'static str] {
    if args.new_user { &[NEW_USER] } else { &[] }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn the_next_command_is_for_the_same_store_and_api_or_there_is_none() {
        let next = |given: &[&str], name: &'static str, value: &'static str| {
            let words = [&["mixin-pin", "me", "--keystore", "me.json"], given].concat();
            let Command::Me(args) = Cli::try_parse_from(words).unwrap().command else { unreachable!() };
            next_command_in(|asked| (asked == name).then(|| value.into()), "verify", &args, &[])
        };
        let (with, other) = ("redis://:hunter2@h/", "redis://:other@h/");
        let plain = |more: &str| Some(format!("mixin-pin verify --keystore me.json{more}"));
        assert_eq!(next(&["--store", with], environment::STORE, with), plain(""), "it is there still");
        assert_eq!(next(&["--store", with], environment::STORE, other), None);
        assert_eq!(next(&["--store", with], "", ""), None);
        for store in ["sqlite:a@b.db", "sqlite://a@b/x.db", "redis://h/", "memory:"] {
            for env in ["", other, store] {
                let next = next(&["--store", store], environment::STORE, env.to_owned().leak());
                assert_eq!(next, plain(&format!(" --store {store}")));
            }
        }
        let here = "http://127.0.0.1:9";
        assert_eq!(next(&["--api", here], environment::API, here), plain(&format!(" --api {here}")));
        assert_eq!(next(&["--api", DEFAULT_API], environment::API, here), plain(&format!(" --api {DEFAULT_API}")));
        assert_eq!(next(&["--api", DEFAULT_API], "", ""), plain(""));
    }
}
