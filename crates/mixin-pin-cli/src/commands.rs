//! One module a command, or for a few that share their work.

pub(crate) mod call;
pub(crate) mod calls;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod keystore;
pub(crate) mod resolve;
pub(crate) mod sandbox;
pub(crate) mod seal;
pub(crate) mod store;
pub(crate) mod tip;
pub(crate) mod token;

use std::time::Duration;

use mixin_pin_core::Session;
use mixin_pin_http::{Client, ClientBuilder, DEFAULT_API, Error as HttpError, OAuthClient, Outcome};
use mixin_pin_protocol::Shown;
use mixin_pin_protocol::keystore::{KeystoreShape, SpendKey};

use crate::args::{ApiArgs, ClientArgs, UpdateArgs};
use crate::error::Error;
use crate::keystores;
use crate::output::Slow;
use crate::quoted::secret_kind;
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

/// A command for this session, to this API; None where a word of it cannot be shown or run.
fn next_command(command: &str, args: &ClientArgs, more: &[&str]) -> Option<String> {
    let keystore = args.session.keystore.to_string_lossy();
    let mut words = vec!["mixin-pin", command, "--keystore", &keystore];
    if args.api.url != DEFAULT_API {
        words.extend(["--api", &args.api.url]);
    }
    // A URL with a password came from the environment, and is there still.
    if let Some(store) = args.store.store.as_deref().filter(|url| !url.contains('@')) {
        words.extend(["--store", store]);
    }
    // What was given and may not be shown, or not as it is, cannot be run, and neither can a word that no shell holds.
    let is_shown = words.iter().all(|word| secret_kind(word).is_none() && !word.contains(Shown::escapes));
    words.extend(more);
    shlex::try_join(words).ok().filter(|_| is_shown)
}

const NEW_USER: &str = "--new-user";
const EXPIRES_AT: &str = "--expires-at";

/// How `resolve` is told of an update for a new user.
const fn new_user(args: &UpdateArgs) -> &'static [&'static str] {
    if args.new_user { &[NEW_USER] } else { &[] }
}
