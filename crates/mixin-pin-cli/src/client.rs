//! Builds the client and opens the store that the arguments describe.

use std::path::Path;
use std::time::{Duration, Instant};

use mixin_pin_core::Session;
use mixin_pin_http::{Client, ClientBuilder, OAuthClient};
use mixin_pin_protocol::keystore::{KeystoreShape, SpendKey};
use mixin_pin_store::{Error as StoreError, ManagedStore, Place, SqliteStore};

use crate::args::{ApiArgs, ClientArgs, StoreArgs};
use crate::error::{Error, KeystoreProblem};
use crate::redact::ShownPath;
use crate::{keystore, output};

/// A client of either kind, for the calls that both can make.
pub(crate) enum AnyClient {
    User(Box<Client>, Option<SpendKey>),
    OAuth(Box<OAuthClient>),
}

/// Reads the keystore and builds its user's client. Returns the keystore's spend key too.
pub(crate) fn open(args: &ClientArgs) -> Result<(Client, Option<SpendKey>), Error> {
    let (session, spend_key) = keystore::session_and_spend_key(&args.session.keystore)?;
    Ok((user_client(session, args)?, spend_key))
}

/// Reads the keystore and builds the client for what it is: a user's session or an OAuth authorization.
pub(crate) fn open_any(args: &ClientArgs) -> Result<AnyClient, Error> {
    open_any_with(&args.session.keystore, &args.api, &args.store, LONGEST_TOKEN)
}

/// The client of the owner of an app that is to be changed.
pub(crate) fn open_owner(path: &Path, api: &ApiArgs, store: &StoreArgs) -> Result<AnyClient, Error> {
    open_any_with(path, api, store, token_lifetime(api))
}

fn open_any_with(path: &Path, api: &ApiArgs, store: &StoreArgs, lifetime: Duration) -> Result<AnyClient, Error> {
    let mut keystore = keystore::read(path)?;
    if keystore.shape() == KeystoreShape::OAuth {
        let session = keystore.into_oauth_session().map_err(|cause| KeystoreProblem::Content(cause).at(path))?;
        return Ok(AnyClient::OAuth(Box::new(
            with_api(OAuthClient::builder(session), api).token_lifetime(lifetime).build()?,
        )));
    }
    let spend_key = keystore.take_spend_key();
    let session = keystore::into_session(path, keystore)?;
    Ok(AnyClient::User(Box::new(client_with(session, api, store, lifetime)?), spend_key))
}

/// The client of a user's session.
pub(crate) fn user_client(session: Session, args: &ClientArgs) -> Result<Client, Error> {
    client_with(session, &args.api, &args.store, LONGEST_TOKEN)
}

/// The client of a session whose key is to be changed.
pub(crate) fn changing_client(session: Session, args: &ClientArgs) -> Result<Client, Error> {
    client_with(session, &args.api, &args.store, token_lifetime(&args.api))
}

/// The longest life of a token.
pub(crate) const LONGEST_TOKEN: Duration = Duration::from_secs(60);

/// How long a token of a guided change is valid. A lost request may arrive until it expires, and a request that takes longer
/// than its time limit is lost.
fn token_lifetime(api: &ApiArgs) -> Duration {
    Duration::from_secs(api.timeout).saturating_mul(2).min(LONGEST_TOKEN)
}

fn client_with(session: Session, api: &ApiArgs, args: &StoreArgs, lifetime: Duration) -> Result<Client, Error> {
    let builder = with_api(Client::builder(session), api).token_lifetime(lifetime);
    let begun = Instant::now();
    let store = open_store(args)?;
    // Opening the store is a part of the wait.
    let builder = match args.max_wait() {
        Some(wait) => builder.wait(wait.saturating_sub(begun.elapsed())),
        None => builder,
    };
    Ok(builder.store(store).build()?)
}

/// A client without a store, for calls that carry no PIN.
pub(crate) fn without_store(session: Session, api: &ApiArgs) -> Result<Client, Error> {
    Ok(with_api(Client::builder(session), api).build()?)
}

fn with_api<S>(builder: ClientBuilder<S>, api: &ApiArgs) -> ClientBuilder<S> {
    builder.base_url(&api.url).timeout(Duration::from_secs(api.timeout))
}

/// Opens the store of iterators and warns of its risks.
pub(crate) fn open_store(args: &StoreArgs) -> Result<Box<dyn ManagedStore>, Error> {
    let store = open_store_quietly(args)?;
    // `doctor` reports the others; a warning at every call would be too much.
    for risk in store.risks()?.iter().filter(|risk| !risk.is_minor()) {
        output::warn(&risk.to_string());
    }
    Ok(store)
}

/// Opens the store of iterators: this user's SQLite database, or the one that --store names.
pub(crate) fn open_store_quietly(args: &StoreArgs) -> Result<Box<dyn ManagedStore>, Error> {
    Ok(open_url(args.store.as_deref(), args.max_wait())?)
}

/// Opens this user's SQLite database, or the store that a URL names.
pub(crate) fn open_url(url: Option<&str>, wait: Option<Duration>) -> Result<Box<dyn ManagedStore>, StoreError> {
    Ok(match (url, wait) {
        (Some(url), Some(wait)) => mixin_pin_store::open_within(url, wait)?,
        (Some(url), None) => mixin_pin_store::open(url)?,
        (None, Some(wait)) => Box::new(SqliteStore::open_within(&SqliteStore::default_path()?, wait)?),
        (None, None) => Box::new(SqliteStore::open_default()?),
    })
}

/// How long a command that makes no call leases a session: as long as a call with the default timeout. A shorter lease would
/// shorten the pause after a failover, and a longer one would outlast the default wait of the others.
pub(crate) const LEASE: Duration = Duration::from_secs(35);
/// How long a command that makes no call waits for a session: longer than such a lease, which a crashed process may have left,
/// and than the pause of a server that was promoted, which adds two seconds.
pub(crate) const DEFAULT_WAIT: Duration = Duration::from_secs(40);

/// Like [`open_store`]. Refuses a store in memory, which has nothing to show or change.
pub(crate) fn open_lasting_store(args: &StoreArgs) -> Result<Box<dyn ManagedStore>, Error> {
    let store = open_store(args)?;
    if store.place() == Place::Memory { Err(Error::MemoryStore) } else { Ok(store) }
}

/// The store's name in reports: its file or its kind. A server's URL may contain a password and is not shown.
pub(crate) fn store_name(store: &dyn ManagedStore) -> String {
    match store.place() {
        Place::File(path) => ShownPath(path).to_string(),
        Place::Memory => "memory".to_owned(),
        Place::Redis => "Redis".to_owned(),
        Place::Postgres => "PostgreSQL".to_owned(),
        _ => "the store".to_owned(),
    }
}
