//! The test suite for nonce sources: our own source passes, and broken sources are caught.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Error, MonotonicNonces, NonceSource, UnixTime};
use mixin_pin_store::{Error as StoreError, LeaseReply, LeaseTerms, MemoryStore, NonceStore, PendingCall, test_suite};

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
    assert!(message.is_some_and(|message| message.contains(complaint)), "{message:?}");
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
    assert_caught(std::panic::AssertUnwindSafe(|| test_suite::nonce_source(&source)), "at the beginning of time");
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
        std::panic::AssertUnwindSafe(|| test_suite::nonce_source_at_its_end(&source)),
        "after the end, another iterator was given out",
    );
}

/// How a store's journal is broken.
#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    ListsNothing,
    ListsBackwards,
    SettlesNothing,
    DropsKeptEntries,
    KeepsDoneEntries,
}

struct Broken(MemoryStore, Flaw);

impl NonceStore for Broken {
    fn lease(&self, session_id: Uuid, terms: &LeaseTerms<'_>) -> Result<LeaseReply, StoreError> {
        let reply = self.0.lease(session_id, terms)?;
        if let (LeaseReply::Granted(lease), Flaw::KeepsDoneEntries) = (&reply, self.1) {
            lease.keep_entry(true);
        }
        Ok(reply)
    }

    fn pending(&self, session_id: Uuid) -> Result<Vec<PendingCall>, StoreError> {
        let mut calls = self.0.pending(session_id)?;
        match self.1 {
            Flaw::ListsNothing => calls.clear(),
            Flaw::ListsBackwards => calls.reverse(),
            Flaw::DropsKeptEntries => calls.retain(|call| call.under_way_for.is_some()),
            Flaw::SettlesNothing | Flaw::KeepsDoneEntries => {}
        }
        Ok(calls)
    }

    fn settle(&self, session_id: Uuid, request_id: Uuid) -> Result<bool, StoreError> {
        match self.0.settle(session_id, request_id) {
            Ok(_) if self.1 == Flaw::SettlesNothing => Ok(true),
            result => result,
        }
    }
}

#[test]
fn stores_whose_journal_is_broken_are_caught() {
    for (flaw, complaint) in [
        (Flaw::ListsNothing, "instead of the call under way"),
        (Flaw::ListsBackwards, "in the order of their iterators"),
        (Flaw::SettlesNothing, "a call is settled by another session"),
        (Flaw::DropsKeptEntries, "entries to be kept were removed"),
        (Flaw::KeepsDoneEntries, "the journal lists a call whose outcome is known"),
    ] {
        let mut last = 0;
        let check = || {
            test_suite::nonce_store(&Broken(MemoryStore::new(), flaw), || {
                last += 1;
                Uuid::from_u128(last)
            });
        };
        assert_caught(std::panic::AssertUnwindSafe(check), complaint);
    }
}
