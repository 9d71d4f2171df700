//! `store show` and `store reset`.

use std::fmt::Write as _;

use mixin_pin_store::{AnyStore, SessionRecord};
use serde_json::json;

use crate::args::{StoreResetArgs, StoreShowArgs};
use crate::error::Error;
use crate::output::{GOOD, Output};
use crate::store::kept;

pub(crate) fn show(args: &StoreShowArgs, output: &Output) -> Result<(), Error> {
    let store = kept(&args.store)?;
    let mut sessions = store.sessions()?;
    sessions.sort_by_key(|record| record.session_id);
    let listed: Vec<_> = sessions
        .iter()
        .map(|record| {
            json!({
                "session_id": record.session_id.to_string(),
                // As text: JSON's numbers are doubles to many readers.
                "last_iterator": record.last_iterator.to_string(),
                "held_for_ms": record.held_for.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
            })
        })
        .collect();
    let place = place(&store);
    output.result(&json!({ "store": place, "sessions": listed }), || table(&place, &sessions))
}

pub(crate) fn reset(args: &StoreResetArgs, output: &Output) -> Result<(), Error> {
    let known = kept(&args.store)?.forget(args.session_id)?;
    output.result(&json!({ "session_id": args.session_id.to_string(), "was_known": known }), || {
        if known {
            format!("{GOOD}forgotten{GOOD:#}: the next iterator comes from the clock alone")
        } else {
            "the store does not know this session".to_owned()
        }
    })
}

/// What to call the store: its file; Redis's URL may hold a password.
pub(super) fn place(store: &AnyStore) -> String {
    match store {
        AnyStore::Sqlite(store) => store.path().display().to_string(),
        _ => "Redis".to_owned(),
    }
}

fn table(place: &str, sessions: &[SessionRecord]) -> String {
    let mut text = format!("{place}: {} session{}", sessions.len(), if sessions.len() == 1 { "" } else { "s" });
    for SessionRecord { session_id, last_iterator, held_for, .. } in sessions {
        let held = held_for.map_or_else(String::new, |left| format!("  in use for at most {left:.1?} more"));
        // Writing to a String does not fail.
        let _ = write!(text, "\n  {session_id}  last iterator {last_iterator}{held}");
    }
    text
}
