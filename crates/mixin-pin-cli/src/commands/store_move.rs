//! `store move`: moves sessions from one store to another.
//!
//! A session is raised in the new store before the old one forgets it. So an interruption leaves it in both, with the greater
//! iterator in the new one, and the next run goes on.

use std::cell::Cell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use mixin_pin_core::uuid::Uuid;
use mixin_pin_store::{
    Error as StoreError, LeaseReply, LeaseTerms, ManagedStore, NonceStore as _, Place, SessionRecord, SqliteStore,
};
use serde_json::json;

use crate::args::{MoveStore, StoreMoveArgs};
use crate::client::{self, store_name};
use crate::error::Error;
use crate::journal;
use crate::outcome::store_command;
use crate::output::{GOOD, Output, Progress};
use crate::time::{seconds, span};

/// How many iterators the new store skips. Another caller may use the session after its release here and before the old store
/// forgets it. Its iterators come from the clock, and the later ones of the new store are above them. Only if the session is
/// ahead of the clock, they follow the last one, and there are fewer than this.
const SPARE: u64 = 1_000_000;

/// Between two attempts while another caller is in the way.
const PAUSE: Duration = Duration::from_millis(100);

/// What became of a session.
enum Fate {
    /// The new store goes on above this iterator.
    Moved { last_iterator: u64 },
    /// Its iterators are so old that the new store does not record it. Its next call compares the clock with the server's.
    ByClock { unused: Duration },
    /// Only the new store knows it, as after an interrupted run.
    Already { last_iterator: u64 },
    /// It stays in the old store.
    Left { why: String },
}

pub(crate) fn run(args: &StoreMoveArgs, output: &Output) -> Result<(), Error> {
    let wait = args.wait.map(Duration::from_secs);
    if let Some(path) = database(&args.from).filter(|path| !path.exists()) {
        return Err(Error::NoDatabase { path });
    }
    let stores = Stores {
        from: open(&args.from, FROM, wait)?,
        to: open(&args.to, TO, wait)?,
        pending_command: store_command(&["pending"], args.from.0.as_deref()),
        wait: wait.unwrap_or(client::DEFAULT_WAIT),
        are_two: Cell::new(false),
    };
    if let (Place::File(from), Place::File(to)) = (stores.from.place(), stores.to.place())
        && from == to
    {
        return Err(Error::SameStore);
    }
    let sessions = if args.sessions.is_empty() { stores.known()? } else { args.sessions.iter().copied().collect() };
    let progress = Progress::new("moving sessions");
    let fates = stores.transfer_all(&sessions)?;
    drop(progress);
    let (from, to) = (store_name(&*stores.from), store_name(&*stores.to));
    let is_left = |(_, fate): &&(Uuid, Fate)| matches!(fate, Fate::Left { .. });
    let listed =
        |is_wanted: &dyn Fn(&&(Uuid, Fate)) -> bool| fates.iter().filter(is_wanted).map(to_json).collect::<Vec<_>>();
    let (moved, left) = (listed(&|fate| !is_left(fate)), listed(&is_left));
    let value = json!({ "from": from, "to": to, "moved": moved, "left": left });
    output.result(&value, || describe(&from, &to, &fates))?;
    // The report names them.
    if left.is_empty() { Ok(()) } else { Err(Error::DoesNotHold) }
}

const FROM: &str = "FROM";
const TO: &str = "TO";

/// The path of a store that is a database.
fn database(store: &MoveStore) -> Option<PathBuf> {
    match &store.0 {
        Some(url) => url.strip_prefix("sqlite:").filter(|path| !path.is_empty()).map(|path| Path::new(path).to_owned()),
        None => SqliteStore::default_path().ok(),
    }
}

fn open(store: &MoveStore, which: &'static str, wait: Option<Duration>) -> Result<Box<dyn ManagedStore>, Error> {
    let store = client::open_url(store.0.as_deref(), wait).map_err(failed(which))?;
    if store.place() == Place::Memory { Err(Error::MoveMemory { which }) } else { Ok(store) }
}

fn failed(which: &'static str) -> impl Fn(StoreError) -> Error {
    move |cause| Error::MoveStore { which, cause }
}

/// The result of one attempt to move a session.
enum Attempt {
    Over(Fate),
    /// Another caller is in the way in this store.
    InUse(&'static str),
}

struct Stores {
    from: Box<dyn ManagedStore>,
    to: Box<dyn ManagedStore>,
    /// Lists the calls of the old store.
    pending_command: String,
    /// For each session.
    wait: Duration,
    /// Whether a leased session has shown that they are not the same store.
    are_two: Cell<bool>,
}

impl Stores {
    /// The sessions that the old store knows, by their records or by their calls.
    fn known(&self) -> Result<BTreeSet<Uuid>, Error> {
        let records = self.from.sessions().map_err(failed(FROM))?;
        let calls = self.from.all_pending().map_err(failed(FROM))?;
        Ok(records.iter().map(|record| record.session_id).chain(calls.iter().map(|call| call.session_id)).collect())
    }

    /// Moves sessions, first those that are free. The first request for a session begins its pause after a failover, so the
    /// pauses of all sessions pass at once.
    fn transfer_all(&self, sessions: &BTreeSet<Uuid>) -> Result<Vec<(Uuid, Fate)>, Error> {
        let mut fates = BTreeMap::new();
        for &session_id in sessions {
            match self.attempt(session_id, Duration::ZERO) {
                Ok(Attempt::Over(fate)) => drop(fates.insert(session_id, fate)),
                Ok(Attempt::InUse(_)) => {}
                // It may pass while the next attempt waits.
                Err(_) => break,
            }
        }
        for &session_id in sessions {
            if let Entry::Vacant(vacant) = fates.entry(session_id) {
                vacant.insert(self.transfer(session_id)?);
            }
        }
        Ok(fates.into_iter().collect())
    }

    /// Moves a session. Tries again while other callers are in the way.
    fn transfer(&self, session_id: Uuid) -> Result<Fate, Error> {
        let until = Instant::now() + self.wait;
        loop {
            let which = match self.attempt(session_id, until.saturating_duration_since(Instant::now()))? {
                Attempt::Over(fate) => return Ok(fate),
                Attempt::InUse(which) => which,
            };
            if Instant::now() >= until {
                let store = if which == FROM { &self.from } else { &self.to };
                let left = record(&**store, which, session_id)?.and_then(|record| record.leased_for);
                let left = left.map_or_else(String::new, |left| format!(", for at most {} more", seconds(left)));
                let why = format!(
                    "it is in use in {which}, or that store pauses after a restart or a failover{left}; stop the programs that \
                     use it, then run this again, or wait longer with --wait"
                );
                return Ok(Fate::Left { why });
            }
            thread::sleep(PAUSE);
        }
    }

    fn attempt(&self, session_id: Uuid, wait: Duration) -> Result<Attempt, Error> {
        let left = |why: String| Ok(Attempt::Over(Fate::Left { why }));
        let lease = match self.from.lease(session_id, &LeaseTerms::new(client::LEASE).wait(wait)) {
            Ok(LeaseReply::Granted(lease)) => Some(lease),
            Ok(LeaseReply::Busy) => return Ok(Attempt::InUse(FROM)),
            // Nobody has leased it. To lease it, the clock would have to be confirmed, because its iterators are old.
            Ok(LeaseReply::ClockUnconfirmed { .. }) => None,
            Err(error @ StoreError::IteratorAhead { .. }) => return left(error.to_string()),
            Err(error) => return Err(failed(FROM)(error)),
        };
        let calls = self.from.pending(session_id).map_err(failed(FROM))?.len();
        if calls > 0 {
            return left(format!("{}; settle them first ({})", journal::count(calls), self.pending_command));
        }
        let Some(before) = record(&*self.from, FROM, session_id)? else {
            return Ok(Attempt::Over(match record(&*self.to, TO, session_id)? {
                Some(SessionRecord { last_iterator, .. }) => Fate::Already { last_iterator },
                None => Fate::Left { why: "neither store knows it".to_owned() },
            }));
        };
        if lease.is_some() && !self.are_two.get() {
            let there = record(&*self.to, TO, session_id)?;
            // Two stores would not have leased it with the same iterators, so this would be the lease that was just taken.
            let is_same = |there: SessionRecord| {
                there.leased_for.is_some()
                    && (there.last_iterator, there.raised_to) == (before.last_iterator, before.raised_to)
            };
            if there.is_some_and(is_same) {
                return Err(Error::SameStore);
            }
            self.are_two.set(true);
        }
        let above = before.last_iterator.saturating_add(SPARE);
        let last_iterator = match self.to.raise(session_id, above) {
            Ok(last) => last,
            Err(StoreError::InUse) => return Ok(Attempt::InUse(TO)),
            Err(error @ StoreError::NoRoomAbove { .. }) => return left(format!("TO: {error}")),
            Err(error) => return Err(failed(TO)(error)),
        };
        let was_leased = lease.is_some();
        drop(lease);
        let now = record(&*self.from, FROM, session_id)?.map(|record| record.last_iterator);
        if now == Some(above) {
            return Err(Error::SameStore);
        }
        // Another caller has used it meanwhile.
        if now != Some(before.last_iterator) {
            return Ok(Attempt::InUse(FROM));
        }
        match self.from.forget(session_id) {
            Ok(_) => {}
            Err(StoreError::InUse | StoreError::Unsettled) => return Ok(Attempt::InUse(FROM)),
            Err(error) => return Err(failed(FROM)(error)),
        }
        match record(&*self.to, TO, session_id)? {
            Some(there) if there.last_iterator >= above => Ok(Attempt::Over(Fate::Moved { last_iterator })),
            // A new session with iterators that old is not raised.
            None if !was_leased => Ok(Attempt::Over(Fate::ByClock {
                unused: Duration::from_nanos(last_iterator.saturating_sub(before.last_iterator)),
            })),
            // Meanwhile another run has moved it back, between the last look at the old store and now. The one that forgets last
            // finds the session in neither store, and keeps it. The new store has skipped as many iterators again at most.
            _ => {
                self.from.raise(session_id, above.saturating_add(SPARE)).map_err(failed(FROM))?;
                Ok(Attempt::InUse(TO))
            }
        }
    }
}

fn record(store: &dyn ManagedStore, which: &'static str, session_id: Uuid) -> Result<Option<SessionRecord>, Error> {
    store.session(session_id).map_err(failed(which))
}

fn to_json((session_id, fate): &(Uuid, Fate)) -> serde_json::Value {
    let session_id = session_id.to_string();
    match fate {
        // As text, because many readers take JSON numbers for doubles.
        Fate::Moved { last_iterator } | Fate::Already { last_iterator } => {
            json!({ "session_id": session_id, "last_iterator": last_iterator.to_string() })
        }
        Fate::ByClock { .. } => json!({ "session_id": session_id, "last_iterator": null }),
        Fate::Left { why } => json!({ "session_id": session_id, "reason": why }),
    }
}

fn describe(from: &str, to: &str, fates: &[(Uuid, Fate)]) -> String {
    let left = fates.iter().filter(|(_, fate)| matches!(fate, Fate::Left { .. })).count();
    let moved = fates.len() - left;
    let sessions = |count: usize| format!("{count} session{}", if count == 1 { "" } else { "s" });
    let mut text = format!("{GOOD}moved{GOOD:#} from {from} to {to}: {}", sessions(moved));
    // Writing to a String does not fail.
    for (session_id, fate) in fates {
        let _ = match fate {
            Fate::Moved { last_iterator } => write!(text, "\n  {session_id}  last iterator {last_iterator}"),
            Fate::Already { last_iterator } => {
                write!(text, "\n  {session_id}  was there already, last iterator {last_iterator}")
            }
            Fate::ByClock { unused } => {
                write!(
                    text,
                    "\n  {session_id}  unused for {}, so its next iterator comes from the clock",
                    span(*unused)
                )
            }
            Fate::Left { .. } => Ok(()),
        };
    }
    if left > 0 {
        let _ = write!(text, "\nleft in {from}: {}", sessions(left));
    }
    for (session_id, fate) in fates {
        if let Fate::Left { why } = fate {
            let _ = write!(text, "\n  {session_id}  {why}");
        }
    }
    if moved > 0 {
        let _ = write!(
            text,
            "\nStop every program that still uses {from}, or switch it to {to}. Otherwise it uses the moved sessions without \
             waiting for the programs that use {to}."
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use mixin_pin_store::PendingCall;

    use super::*;

    /// The old store. Between the last look at it and its loss of the session, another run moves the session from the new store
    /// to it, and forgets it there.
    struct Crossed {
        from: SqliteStore,
        to: SqliteStore,
        is_over: AtomicBool,
    }

    impl mixin_pin_store::NonceStore for Crossed {
        fn lease(&self, session_id: Uuid, terms: &LeaseTerms<'_>) -> Result<LeaseReply, StoreError> {
            self.from.lease(session_id, terms)
        }

        fn pending(&self, session_id: Uuid) -> Result<Vec<PendingCall>, StoreError> {
            mixin_pin_store::NonceStore::pending(&self.from, session_id)
        }

        fn settle(&self, session_id: Uuid, request_id: Uuid) -> Result<bool, StoreError> {
            mixin_pin_store::NonceStore::settle(&self.from, session_id, request_id)
        }
    }

    impl ManagedStore for Crossed {
        fn sessions(&self) -> Result<Vec<SessionRecord>, StoreError> {
            self.from.sessions()
        }

        fn all_pending(&self) -> Result<Vec<PendingCall>, StoreError> {
            self.from.all_pending()
        }

        fn forget(&self, session_id: Uuid) -> Result<bool, StoreError> {
            if !self.is_over.swap(true, Ordering::Relaxed) {
                let last = self.to.session(session_id)?.unwrap().last_iterator;
                self.from.raise(session_id, last + SPARE)?;
                assert!(self.to.forget(session_id)?);
            }
            self.from.forget(session_id)
        }

        fn raise(&self, session_id: Uuid, to: u64) -> Result<u64, StoreError> {
            self.from.raise(session_id, to)
        }

        fn place(&self) -> Place<'_> {
            self.from.place()
        }
    }

    #[test]
    fn two_moves_in_opposite_directions_do_not_lose_the_session() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from.db", "to.db"].map(|name| SqliteStore::open(&folder.path().join(name)).unwrap());
        let (session_id, ahead) =
            (Uuid::from_u128(1), crate::time::now().unwrap().as_nanos().unwrap() + 3_600_000_000_000);
        from.raise(session_id, ahead).unwrap();
        let crossed = Crossed { from: from.clone(), to: to.clone(), is_over: AtomicBool::new(false) };
        let stores = Stores {
            from: Box::new(crossed),
            to: Box::new(to.clone()),
            pending_command: store_command(&["pending"], None),
            wait: Duration::from_secs(10),
            are_two: Cell::new(false),
        };
        let fates = stores.transfer_all(&BTreeSet::from([session_id])).unwrap();
        assert!(matches!(fates[..], [(_, Fate::Moved { .. })]));
        // The other run has also skipped iterators.
        assert!(to.session(session_id).unwrap().unwrap().last_iterator >= ahead + 2 * SPARE);
        assert_eq!(from.session(session_id).unwrap(), None);
    }
}
