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
use mixin_pin_http::{Client, Outcome};

use crate::args::ApiArgs;
use crate::error::Error;

fn now() -> Result<UnixTime, Error> {
    Ok(UnixTime::try_from(SystemTime::now())?)
}

fn client(session: Session, api: &ApiArgs) -> Result<Client, Error> {
    let builder = Client::builder(session).base_url(&api.url).timeout(Duration::from_secs(api.timeout));
    Ok(builder.build()?)
}

/// An unknown outcome is a failure of its own kind for a command.
fn known<T>(outcome: Outcome<T>) -> Result<T, Error> {
    match outcome {
        Outcome::Done(answer) => Ok(answer),
        Outcome::Unknown(lost) => Err(Error::Unknown(lost)),
    }
}
