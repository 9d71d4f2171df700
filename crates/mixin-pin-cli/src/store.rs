//! The store that the command uses: this user's SQLite database, or the one that --store names.

use std::time::Duration;

use mixin_pin_core::{Nonce, Session};
use mixin_pin_http::{ClientBuilder, UserSession};
use mixin_pin_store::{LeaseReply, LeaseTerms, ManagedStore, NonceStore as _, Risk, SqliteStore};

use crate::args::StoreArgs;
use crate::error::Error;
use crate::time::now;

/// Longer than the lease of a call with the default time, which a crashed process may have left.
const DEFAULT_WAIT: u64 = 40;

/// Opens the store, and warns where it is not kept well.
pub(crate) fn open(args: &StoreArgs) -> Result<Box<dyn ManagedStore>, Error> {
    let store = open_unwarned(args)?;
    // The folder is `doctor`'s to tell of, not every call's.
    for risk in store.risks()?.iter().filter(|risk| !matches!(risk, Risk::WritableFolder { .. })) {
        crate::output::warn(&risk.to_string());
    }
    Ok(store)
}

/// Opens the store.
pub(crate) fn open_unwarned(args: &StoreArgs) -> Result<Box<dyn ManagedStore>, Error> {
    Ok(match &args.store {
        Some(url) => mixin_pin_store::open(url)?,
        None => Box::new(SqliteStore::open_default()?),
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
    Ok(builder.store(open(args)?))
}

/// Takes a nonce for a PIN that another program will send.
pub(crate) fn nonce(session: &Session, args: &StoreArgs) -> Result<Nonce, Error> {
    // Long enough to take one number. The command does not wait for what is encrypted with it.
    let terms = LeaseTerms::new(Duration::from_secs(10)).wait(Duration::from_secs(args.wait.unwrap_or(DEFAULT_WAIT)));
    let (store, session_id) = (open(args)?, session.session_id());
    let mut reply = store.lease(session_id, &terms)?;
    // Nothing contradicts the clock of a session that is new here, and there is nobody to ask.
    if matches!(reply, LeaseReply::ClockUnconfirmed { ahead: None }) {
        reply = store.lease(session_id, &terms.with_confirmed_clock())?;
    }
    match reply {
        LeaseReply::Granted(lease) => Ok(lease.next(now()?)?),
        LeaseReply::Busy => Err(Error::SessionBusy),
        LeaseReply::ClockUnconfirmed { ahead } => Err(Error::ClockLeap { ahead: ahead.unwrap_or_default() }),
    }
}
