//! Where the command keeps iterators: this user's SQLite database, or what --store says.

use std::time::Duration;

use mixin_pin_core::{Hold, HoldTerms, Nonce, NonceSource as _, NonceStore, Session, uuid::Uuid};
use mixin_pin_http::{ClientBuilder, MemoryStore, UserSession};
use mixin_pin_store::{AnyStore, Exposure, SqliteStore};

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

/// A store that outlives this process, with a warning where it is not kept well.
pub(crate) fn kept(args: &StoreArgs) -> Result<AnyStore, Error> {
    let store = kept_unwarned(args)?;
    for risk in risks(&store)?.into_iter().filter(|risk| !risk.is_of_folder) {
        crate::output::warn(&risk.text);
    }
    Ok(store)
}

/// A store that outlives this process.
pub(crate) fn kept_unwarned(args: &StoreArgs) -> Result<AnyStore, Error> {
    Ok(match &args.store {
        Some(url) => AnyStore::open(url)?,
        None => AnyStore::Sqlite(SqliteStore::open_default()?),
    })
}

/// What may go wrong with a store that can be used, and what to do.
pub(crate) struct Risk {
    pub(crate) text: String,
    /// Which is `doctor`'s to tell, not every call's.
    is_of_folder: bool,
}

#[cfg_attr(not(feature = "redis"), allow(clippy::unnecessary_wraps, reason = "Redis is asked, and may not answer"))]
pub(crate) fn risks(store: &AnyStore) -> Result<Vec<Risk>, Error> {
    Ok(match store {
        AnyStore::Sqlite(store) => {
            let risk = |found: Exposure| Risk {
                text: found.to_string(),
                is_of_folder: matches!(found, Exposure::Folder { .. }),
            };
            store.exposures().into_iter().map(risk).collect()
        }
        #[cfg(feature = "redis")]
        AnyStore::Redis(store) => {
            let text = |policy| {
                format!(
                    "Redis may drop what it holds when memory runs short (maxmemory-policy {policy}); set it to noeviction"
                )
            };
            let policy = match store.eviction_policy() {
                // A user who may not ask (INFO) can use the server all the same: what it does is unknown.
                Err(mixin_pin_store::Error::Redis(_)) => None,
                policy => policy?,
            };
            policy.into_iter().map(|policy| Risk { text: text(policy), is_of_folder: false }).collect()
        }
        _ => Vec::new(),
    })
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
    // Long enough to take one number; what is encrypted with it is not ours to wait for.
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
