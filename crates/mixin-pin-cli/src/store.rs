//! Where the command keeps iterators: this user's SQLite database, or what --store says.

use std::time::Duration;

use mixin_pin_core::{Hold, HoldTerms, Nonce, NonceSource as _, NonceStore, Session, uuid::Uuid};
use mixin_pin_http::{ClientBuilder, MemoryStore, UserSession};
use mixin_pin_store::{AnyStore, SqliteStore};

use crate::args::StoreArgs;
use crate::error::Error;
use crate::time::now;

/// Longer than the lease of a call with the default time, which a crashed process may have left.
const DEFAULT_WAIT: u64 = 40;

pub(crate) const MEMORY: &str = "memory:";

/// A store that calls can use.
enum Store {
    Memory(MemoryStore),
    Kept(AnyStore),
}

fn open(args: &StoreArgs) -> Result<Store, Error> {
    if args.store.as_deref() == Some(MEMORY) {
        Ok(Store::Memory(MemoryStore::shared()))
    } else {
        kept(args).map(Store::Kept)
    }
}

/// A store that outlives this process.
pub(crate) fn kept(args: &StoreArgs) -> Result<AnyStore, Error> {
    let Some(url) = &args.store else {
        return Ok(AnyStore::Sqlite(SqliteStore::open_default()?));
    };
    let store = AnyStore::open(url)?;
    #[cfg(feature = "redis")]
    if let AnyStore::Redis(redis) = &store
        && let Some(policy) = redis.eviction_policy()?
    {
        crate::output::warn(&format!(
            "Redis may drop what it holds when memory runs short (maxmemory-policy {policy}); set it to noeviction"
        ));
    }
    Ok(store)
}

/// Gives a client its store.
pub(crate) fn with_store(
    builder: ClientBuilder<UserSession>,
    args: &StoreArgs,
) -> Result<ClientBuilder<UserSession>, Error> {
    let builder = match args.wait {
        Some(seconds) => builder.wait(Duration::from_secs(seconds)),
        None => builder,
    };
    Ok(match open(args)? {
        Store::Memory(store) => builder.store(store),
        Store::Kept(store) => builder.store(store),
    })
}

/// Takes a nonce for a PIN that somebody else will send.
pub(crate) fn nonce(session: &Session, args: &StoreArgs) -> Result<Nonce, Error> {
    // Long enough to take one number; what is sealed with it is not ours to wait for.
    let terms = HoldTerms::new(Duration::from_secs(10)).wait(Duration::from_secs(args.wait.unwrap_or(DEFAULT_WAIT)));
    let session_id = session.session_id();
    match open(args)? {
        Store::Memory(store) => take(&store, session_id, &terms),
        Store::Kept(store) => take(&store, session_id, &terms),
    }
}

fn take<S>(store: &S, session_id: Uuid, terms: &HoldTerms) -> Result<Nonce, Error>
where
    S: NonceStore,
    Error: From<S::Error>,
{
    let mut hold = store.hold(session_id, terms)?;
    // Nothing contradicts the clock of a session that is new here, and there is nobody to ask.
    if matches!(hold, Hold::ClockUnconfirmed { ahead: None }) {
        hold = store.hold(session_id, &terms.with_confirmed_clock())?;
    }
    match hold {
        Hold::Held(session) => Ok(session.next(now()?)?),
        Hold::Busy => Err(Error::SessionBusy),
        Hold::ClockUnconfirmed { ahead } => Err(Error::ClockLeap { ahead: ahead.unwrap_or_default() }),
    }
}
