//! The test suite for nonce sources and stores: our own source passes, and broken sources and stores are caught.

#[allow(dead_code, reason = "the tests use a part")]
#[path = "../examples/own_store.rs"]
mod own_store;

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Error, MonotonicNonces, NonceSource, UnixTime};
use mixin_pin_store::{
    CallIntent, CallKind, Error as StoreError, Lease, LeaseReply, LeaseTerms, MemoryStore, NonceStore, PendingCall,
    test_suite,
};
use own_store::OwnStore;

/// A source made of one function.
struct By<F>(F);

impl<F: Fn(u64) -> Result<u64, Error>> NonceSource for By<F> {
    type Error = Error;

    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        self.0(now.as_nanos()?)
    }
}

#[track_caller]
fn assert_caught(break_it: impl FnOnce() + std::panic::UnwindSafe, complaint: &str) {
    let panic = std::panic::catch_unwind(break_it).unwrap_err();
    // Formatted messages are a String, plain ones are not.
    let message = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    assert!(message.is_some_and(|message| message.contains(complaint)), "{message:?} instead of {complaint}");
}

#[test]
fn the_in_memory_source_conforms() {
    test_suite::nonce_source(&MonotonicNonces::new());
    test_suite::nonce_source(&MonotonicNonces::starting_after(u64::MAX / 2));
    test_suite::nonce_source_at_its_end(&MonotonicNonces::starting_after(u64::MAX - 1));
}

#[test]
fn sources_that_break_the_contract_are_caught() {
    // The clock alone, as in most clients.
    assert_caught(|| test_suite::nonce_source(&By(Ok)), "while the clock stood still");
    // One more than the last, but only while the clock does not go back.
    let forgetful = AtomicU64::new(0);
    let source = By(move |now: u64| {
        let next = if now < forgetful.load(Ordering::SeqCst) / 2 { now } else { forgetful.load(Ordering::SeqCst) + 1 };
        forgetful.store(next.max(now), Ordering::SeqCst);
        Ok(next.max(now))
    });
    assert_caught(AssertUnwindSafe(|| test_suite::nonce_source(&source)), "at the beginning of time");
    // Each thread has its own last iterator.
    thread_local!(static LAST: Cell<u64> = const { Cell::new(0) });
    let lonely = |now: u64| {
        LAST.set(now.max(LAST.get() + 1));
        Ok(LAST.get())
    };
    assert_caught(move || test_suite::nonce_source(&By(lonely)), "no iterator is given out twice");
    let wrapping = AtomicU64::new(u64::MAX - 1);
    let source = By(move |_: u64| Ok(wrapping.fetch_add(1, Ordering::SeqCst).wrapping_add(1)));
    assert_caught(
        AssertUnwindSafe(|| test_suite::nonce_source_at_its_end(&source)),
        "after the end, another iterator was given out",
    );
}

/// How a store is broken.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    // Its journal.
    ListsNothing,
    ListsBackwards,
    SettlesNothing,
    SettlesOnlyIdleSessions,
    DropsKeptEntries,
    KeepsDoneEntries,
    RecordsCallsThatWait,
    ForgetsToKeepEntriesOfLeasesThatEnded,
    ListsOnlyEight,
    // Its leases.
    SleepsTheWholeWait,
    HasOneQueueForAllSessions,
    ShortensLongLeases,
    // Over several handles, and with a clock.
    ListsOnlyItsOwnCalls,
    AsksForTheClockEachTime,
    AsksForTheClockOnlyOfNewSessions,
    AsksForAClockThatGoesBack,
    AcceptsEachLastIterator,
    KeepsOldVerifications,
    DropsAllOldEntries,
}

/// A store with a flaw. Only its lease, journal or clock is broken, never its iterators.
struct Broken<S> {
    store: S,
    flaw: Flaw,
    queue: Mutex<()>,
    /// Calls that waited, or were recorded by this handle.
    calls: Mutex<Vec<PendingCall>>,
    /// The greatest time at which each session was leased. Shared by all handles.
    greatest: Arc<Mutex<HashMap<Uuid, UnixTime>>>,
    clock: test_suite::TestClock,
}

impl<S: NonceStore> Broken<S> {
    fn new(store: S, flaw: Flaw) -> Self {
        let clock = Box::new(|| UnixTime::from_nanos(u64::MAX - 9));
        Self { store, flaw, queue: Mutex::default(), calls: Mutex::default(), greatest: Arc::default(), clock }
    }

    fn lease_sound(&self, session_id: Uuid, terms: &LeaseTerms<'_>) -> Result<LeaseReply, StoreError> {
        Ok(match self.store.lease(session_id, terms)? {
            LeaseReply::Granted(lease) => {
                LeaseReply::Granted(Box::new(BrokenLease(lease, self.flaw, AtomicBool::new(false))))
            }
            other => other,
        })
    }

    fn lease_for(
        &self,
        session_id: Uuid,
        terms: LeaseTerms<'_>,
        call: Option<&CallIntent>,
    ) -> Result<LeaseReply, StoreError> {
        match call {
            Some(call) => self.lease_sound(session_id, &terms.for_call(call)),
            None => self.lease_sound(session_id, &terms),
        }
    }
}

/// The same terms without their call.
fn without_call(terms: &LeaseTerms<'_>) -> LeaseTerms<'static> {
    let plain = LeaseTerms::new(terms.duration()).wait(terms.max_wait());
    if terms.clock_is_confirmed() { plain.with_confirmed_clock() } else { plain }
}

impl<S: NonceStore> NonceStore for Broken<S> {
    fn lease(&self, session_id: Uuid, terms: &LeaseTerms<'_>) -> Result<LeaseReply, StoreError> {
        let now = (self.clock)();
        let entry = terms.call().map(|call| PendingCall::new(session_id, call, u64::MAX - 1..=u64::MAX, now));
        let reply = match self.flaw {
            Flaw::SleepsTheWholeWait => {
                let reply = self.lease_for(session_id, without_call(terms).wait(Duration::ZERO), terms.call())?;
                if !matches!(reply, LeaseReply::Busy) {
                    return Ok(reply);
                }
                thread::sleep(terms.max_wait());
                self.lease_sound(session_id, terms)
            }
            Flaw::HasOneQueueForAllSessions if terms.max_wait() == Duration::from_secs(1) => {
                // One of them is enough.
                let queue = self.queue.try_lock();
                let reply = self.lease_sound(session_id, terms);
                if queue.is_ok() {
                    thread::sleep(terms.max_wait());
                }
                reply
            }
            Flaw::HasOneQueueForAllSessions => {
                drop(self.queue.lock());
                self.lease_sound(session_id, terms)
            }
            Flaw::ShortensLongLeases if terms.duration() == Duration::MAX => {
                let short = LeaseTerms::new(Duration::from_secs(1)).with_confirmed_clock();
                self.lease_sound(session_id, &short)
            }
            Flaw::AsksForTheClockEachTime if !terms.clock_is_confirmed() => {
                Ok(LeaseReply::ClockUnconfirmed { ahead: None })
            }
            Flaw::AsksForAClockThatGoesBack if !terms.clock_is_confirmed() => {
                match self.greatest.lock().unwrap().get(&session_id) {
                    Some(greatest) if *greatest > now => Ok(LeaseReply::ClockUnconfirmed { ahead: None }),
                    _ => self.lease_sound(session_id, terms),
                }
            }
            Flaw::KeepsOldVerifications | Flaw::DropsAllOldEntries => {
                let kind = if self.flaw == Flaw::DropsAllOldEntries { CallKind::VerifyPin } else { CallKind::Other };
                let call = terms.call().map(|call| CallIntent { kind, ..call.clone() });
                self.lease_for(session_id, without_call(terms), call.as_ref())
            }
            _ => self.lease_sound(session_id, terms),
        };
        match reply {
            Ok(LeaseReply::Granted(_)) => {
                let mut greatest = self.greatest.lock().unwrap();
                let time = greatest.entry(session_id).or_insert(now);
                *time = now.max(*time);
                if self.flaw == Flaw::ListsOnlyItsOwnCalls {
                    self.calls.lock().unwrap().extend(entry);
                }
                reply
            }
            Ok(LeaseReply::Busy) => {
                if self.flaw == Flaw::RecordsCallsThatWait {
                    self.calls.lock().unwrap().extend(entry);
                }
                reply
            }
            Ok(LeaseReply::ClockUnconfirmed { ahead: Some(_) })
                if self.flaw == Flaw::AsksForTheClockOnlyOfNewSessions =>
            {
                self.lease_for(session_id, without_call(terms).with_confirmed_clock(), terms.call())
            }
            Err(StoreError::IteratorAhead { .. }) if self.flaw == Flaw::AcceptsEachLastIterator => {
                MemoryStore::new().lease(session_id, terms)
            }
            other => other,
        }
    }

    fn pending(&self, session_id: Uuid) -> Result<Vec<PendingCall>, StoreError> {
        let mut calls = self.store.pending(session_id)?;
        let own = self.calls.lock().unwrap();
        match self.flaw {
            Flaw::ListsNothing => calls.clear(),
            Flaw::ListsBackwards => calls.reverse(),
            Flaw::DropsKeptEntries => calls.retain(|call| call.under_way_for.is_some()),
            Flaw::ListsOnlyEight => calls.truncate(8),
            Flaw::RecordsCallsThatWait => {
                calls.extend(own.iter().filter(|call| call.session_id == session_id).cloned());
            }
            Flaw::ListsOnlyItsOwnCalls => calls.retain(|call| own.iter().any(|own| own.request_id == call.request_id)),
            _ => {}
        }
        Ok(calls)
    }

    fn settle(&self, session_id: Uuid, request_id: Uuid) -> Result<bool, StoreError> {
        let is_in_use = || -> Result<bool, StoreError> {
            Ok(self.store.pending(session_id)?.iter().any(|call| call.under_way_for.is_some()))
        };
        if self.flaw == Flaw::SettlesOnlyIdleSessions && is_in_use()? {
            return Err(StoreError::InUse);
        }
        match self.store.settle(session_id, request_id) {
            Ok(_) if self.flaw == Flaw::SettlesNothing => Ok(true),
            result => result,
        }
    }
}

/// A lease of a broken store, and whether its entry is to be kept.
struct BrokenLease(Box<dyn Lease>, Flaw, AtomicBool);

impl NonceSource for BrokenLease {
    type Error = StoreError;

    fn reserve(&self, now: UnixTime) -> Result<u64, StoreError> {
        self.0.reserve(now)
    }
}

impl Lease for BrokenLease {
    fn remaining(&self) -> Duration {
        self.0.remaining()
    }

    fn granted_at(&self) -> UnixTime {
        self.0.granted_at()
    }

    fn keep_entry(&self, keep: bool) {
        self.2.store(keep, Ordering::SeqCst);
    }
}

impl Drop for BrokenLease {
    fn drop(&mut self) {
        let forgets = self.1 == Flaw::ForgetsToKeepEntriesOfLeasesThatEnded && self.remaining().is_zero();
        let keep = self.2.load(Ordering::SeqCst) && !forgets;
        self.0.keep_entry(keep || self.1 == Flaw::KeepsDoneEntries);
    }
}

#[test]
fn stores_that_break_the_contract_are_caught() {
    let flaws = [
        (Flaw::ListsNothing, "the journal does not list the call of the longest lease"),
        (Flaw::ListsBackwards, "in the order of their iterators"),
        (Flaw::SettlesNothing, "a call is settled by another session"),
        (Flaw::SettlesOnlyIdleSessions, "while another call is under way, an entry is not settled"),
        (Flaw::DropsKeptEntries, "entries to be kept were removed"),
        (Flaw::KeepsDoneEntries, "the journal lists a call whose outcome is known"),
        (Flaw::RecordsCallsThatWait, "the journal lists a call that got no lease"),
        (Flaw::ForgetsToKeepEntriesOfLeasesThatEnded, "a lease that ended removes an entry to be kept"),
        (Flaw::ListsOnlyEight, "entries of callers in several threads were lost"),
        (Flaw::SleepsTheWholeWait, "a caller waits on for"),
        (Flaw::HasOneQueueForAllSessions, "callers that wait hold up another session"),
        (Flaw::ShortensLongLeases, "the longest lease ends early"),
    ];
    thread::scope(|scope| {
        for (flaw, complaint) in flaws {
            let check =
                move || test_suite::nonce_store(&Broken::new(MemoryStore::new(), flaw), test_suite::new_session);
            scope.spawn(move || assert_caught(AssertUnwindSafe(check), complaint));
        }
    });
}

#[test]
fn stores_that_break_the_contract_over_several_handles_or_by_their_clock_are_caught() {
    let new_session = test_suite::new_session;
    // Each handle is a store of its own.
    let check = || test_suite::lasting_store(|_| MemoryStore::new(), new_session);
    assert_caught(check, "another handle of the store leases a session that is leased");
    // The store has no rule for the clock.
    let store = MemoryStore::new();
    let check = || test_suite::lasting_store(|_| store.clone(), new_session);
    assert_caught(AssertUnwindSafe(check), "a new session follows a clock that is not confirmed");

    let flaws = [
        (Flaw::ListsOnlyItsOwnCalls, "another handle of the store does not list a call under way"),
        (Flaw::AsksForTheClockEachTime, "a known session's clock must be confirmed again"),
        (Flaw::AsksForTheClockOnlyOfNewSessions, "a clock that leaps by more than a day is followed"),
        (Flaw::AsksForAClockThatGoesBack, "a clock that goes back is answered by"),
        (Flaw::AcceptsEachLastIterator, "a last iterator that is more than a year ahead is answered by"),
        (Flaw::KeepsOldVerifications, "a verification whose token expired more than a day ago stays"),
        (Flaw::DropsAllOldEntries, "another call than an old verification was dropped"),
    ];
    thread::scope(|scope| {
        for (flaw, complaint) in flaws {
            let check = move || {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("shop.db");
                let greatest = Arc::default();
                let open = |clock: test_suite::TestClock| {
                    let clock = Arc::new(clock);
                    let read = clock.clone();
                    let store = OwnStore::open(&path).unwrap().clock(move || read());
                    let greatest = Arc::clone(&greatest);
                    Broken { greatest, clock: Box::new(move || clock()), ..Broken::new(store, flaw) }
                };
                test_suite::lasting_store(open, new_session);
            };
            scope.spawn(move || assert_caught(AssertUnwindSafe(check), complaint));
        }
    });
}
