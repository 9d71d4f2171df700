//! One module a command, or for a few that share their work.

pub(crate) mod call;
pub(crate) mod calls;
pub(crate) mod demo;
pub(crate) mod inspect;
pub(crate) mod keystore;
pub(crate) mod sandbox;
pub(crate) mod seal;
pub(crate) mod tip;
pub(crate) mod token;

use std::time::{Duration, SystemTime};

use mixin_pin_core::{Session, UnixTime};
use mixin_pin_http::{Client, ClientBuilder, OAuthClient, Outcome};
use mixin_pin_protocol::keystore::{KeystoreShape, SpendKey};

use crate::args::{ApiArgs, ClientArgs};
use crate::error::Error;
use crate::files;

fn now() -> Result<UnixTime, Error> {
    Ok(UnixTime::try_from(SystemTime::now())?)
}

fn client(session: Session, api: &ApiArgs) -> Result<Client, Error> {
    Ok(settings(Client::builder(session), api).build()?)
}

fn settings<S>(builder: ClientBuilder<S>, api: &ApiArgs) -> ClientBuilder<S> {
    builder.base_url(&api.url).timeout(Duration::from_secs(api.timeout))
}

/// The client of a keystore's session, and the spend key beside it.
fn open(args: &ClientArgs) -> Result<(Client, Option<SpendKey>), Error> {
    let (session, spend_key) = files::session_and_spend_key(&args.session.keystore)?;
    Ok((client(session, &args.api)?, spend_key))
}

/// A client of either kind, for the calls that both can make.
enum Opened {
    User(Box<Client>, Option<SpendKey>),
    OAuth(Box<OAuthClient>),
}

fn open_any(args: &ClientArgs) -> Result<Opened, Error> {
    let path = &args.session.keystore;
    let mut keystore = files::keystore(path)?;
    if keystore.shape() == KeystoreShape::OAuth {
        let session = keystore.into_oauth_session().map_err(|cause| Error::Keystore { path: path.clone(), cause })?;
        return Ok(Opened::OAuth(Box::new(settings(OAuthClient::builder(session), &args.api).build()?)));
    }
    let spend_key = keystore.take_spend_key();
    Ok(Opened::User(Box::new(client(files::open(path, keystore)?, &args.api)?), spend_key))
}

/// An unknown outcome is a failure of its own kind for a command.
fn known<T>(outcome: Outcome<T>) -> Result<T, Error> {
    match outcome {
        Outcome::Done(answer) => Ok(answer),
        Outcome::Unknown(lost) => Err(Error::Unknown(lost)),
    }
}
