//! `store show`, `store reset`, `store raise` and `store create`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_store::{MAX_LEAP, PendingCall, Place, SessionRecord};
use serde_json::json;

use crate::args::{ApiArgs, StoreCreateArgs, StoreRaiseArgs, StoreResetArgs, StoreShowArgs};
use crate::client::{self, store_name};
use crate::error::Error;
use crate::outcome::send;
use crate::output::{GOOD, Output, warn};
use crate::time::{self, calendar, now, span};
use crate::{journal, keystore};

pub(crate) fn show(args: &StoreShowArgs, output: &Output) -> Result<(), Error> {
    let store = client::open_lasting_store(&args.store)?;
    let mut sessions = store.sessions()?;
    sessions.sort_by_key(|record| record.session_id);
    let calls = store.all_pending()?;
    let pending = |session_id: Uuid| calls.iter().filter(|call| call.session_id == session_id).count();
    // Their records may be lost, as after an eviction or a restore of a part of the store.
    let has_record = |call: &&PendingCall| sessions.iter().any(|record| record.session_id == call.session_id);
    let unrecorded: BTreeSet<Uuid> =
        calls.iter().filter(|call| !has_record(call)).map(|call| call.session_id).collect();
    let listed: Vec<_> = sessions
        .iter()
        .map(|record| {
            json!({
                "session_id": record.session_id.to_string(),
                // As text, because many readers take JSON numbers for doubles.
                "last_iterator": record.last_iterator.to_string(),
                "raised_to": record.raised_to.map(|to| to.to_string()),
                "held_for_ms": record.leased_for.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX)),
                "pending": pending(record.session_id),
            })
        })
        .chain(unrecorded.iter().map(|session_id| {
            json!({
                "session_id": session_id.to_string(),
                "last_iterator": null,
                "raised_to": null,
                "held_for_ms": null,
                "pending": pending(*session_id),
            })
        }))
        .collect();
    let name = store_name(&*store);
    output.result(&json!({ "store": name, "sessions": listed }), || {
        table(&name, &sessions, &unrecorded, pending, !matches!(store.place(), Place::File(_)))
    })
}

pub(crate) fn reset(args: &StoreResetArgs, output: &Output) -> Result<(), Error> {
    let known = client::open_lasting_store(&args.store)?.forget(args.session_id)?;
    output.result(&json!({ "session_id": args.session_id.to_string(), "was_known": known }), || {
        if known {
            format!("{GOOD}forgotten{GOOD:#}: the next iterator comes from the clock alone")
        } else {
            "the store does not know this session".to_owned()
        }
    })
}

pub(crate) fn raise(args: &StoreRaiseArgs, output: &Output) -> Result<(), Error> {
    let to = match (args.to, &args.keystore) {
        (Some(to), _) => to,
        (None, Some(keystore)) => server_time(keystore, &args.api)?,
        // The parser of the command line rules this out.
        (None, None) => return Err(Error::NoServerTime),
    };
    let ahead = Duration::from_nanos(to.saturating_sub(now()?.as_nanos()?));
    let is_far = ahead > MAX_LEAP;
    if is_far && !args.far_ahead {
        return Err(Error::FarAhead { ahead });
    }
    let last = client::open_lasting_store(&args.store)?.raise(args.session_id, to)?;
    if is_far {
        let until = calendar(UnixTime::from_nanos(to)).map_or_else(String::new, |until| format!(", before {until}"));
        warn(&format!(
            "that is {} ahead of the clock: from the next call on, every other client of this session must stay above it \
             for ever; a client that uses only its clock is refused{until}",
            span(ahead)
        ));
    }
    let is_raised = last <= to;
    let value = json!({
        "session_id": args.session_id.to_string(),
        "raised_to": is_raised.then(|| to.to_string()),
        "last_iterator": last.to_string(),
    });
    output.result(&value, || {
        let done = if is_raised {
            format!("{GOOD}raised{GOOD:#}: the next iterator is above {last}")
        } else {
            format!("not raised: the next iterator is not below {last} anyway")
        };
        format!("{done}\nFrom the next call on, every other client of this session must be above it too.")
    })
}

pub(crate) fn create(args: &StoreCreateArgs, output: &Output) -> Result<(), Error> {
    if args.print {
        return print_schema(output);
    }
    let created = args.store.store.as_deref().map(mixin_pin_store::create).transpose()?.unwrap_or(false);
    output.result(&json!({ "created": created }), || {
        if created {
            format!("{GOOD}created{GOOD:#}: the store can be used now")
        } else {
            "nothing to create: the store has what it needs, or makes it at its first use".to_owned()
        }
    })
}

#[cfg(feature = "postgres")]
fn print_schema(output: &Output) -> Result<(), Error> {
    let sql = mixin_pin_store::PostgresStore::SCHEMA;
    output.result(&json!({ "sql": sql }), || sql.trim_end().to_owned())
}

/// The statements come with the feature.
#[cfg(not(feature = "postgres"))]
fn print_schema(_: &Output) -> Result<(), Error> {
    Err(mixin_pin_store::Error::NotBuilt { feature: "postgres" }.into())
}

/// The server's time, in nanoseconds since 1970.
fn server_time(keystore: &Path, api: &ApiArgs) -> Result<u64, Error> {
    let client = client::without_store(keystore::session(keystore)?, api)?;
    let offset = send(|| client.probe())?.clock.ok_or(Error::NoServerTime)?;
    Ok(time::server_time(now()?.as_nanos()?, Some(offset)))
}

fn table(
    name: &str,
    sessions: &[SessionRecord],
    unrecorded: &BTreeSet<Uuid>,
    pending: impl Fn(Uuid) -> usize,
    has_pauses: bool,
) -> String {
    let pending = |session_id| match pending(session_id) {
        0 => String::new(),
        count => format!("  {} (mixin-pin pending)", journal::count(count)),
    };
    let count = sessions.len() + unrecorded.len();
    let mut text = format!("{name}: {count} session{}", if count == 1 { "" } else { "s" });
    // The records of a server do not tell a pause from a lease.
    let in_use = if has_pauses { "in use or pausing" } else { "in use" };
    for record in sessions {
        let SessionRecord { session_id, last_iterator, leased_for, raised_to, .. } = record;
        let raised = raised_to.map_or_else(String::new, |to| format!("  raised to {to}"));
        let leased = leased_for.map_or_else(String::new, |left| format!("  {in_use} for at most {left:.1?} more"));
        let pending = pending(*session_id);
        // Writing to a String does not fail.
        let _ = write!(text, "\n  {session_id}  last iterator {last_iterator}{raised}{leased}{pending}");
    }
    for session_id in unrecorded {
        let _ = write!(text, "\n  {session_id}  no record{}", pending(*session_id));
    }
    text
}
