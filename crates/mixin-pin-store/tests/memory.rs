//! The store in memory: its contract, its records, and stores behind pointers.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{
    MINUTE, assert_calls_are_listed_and_keep_their_session, assert_sessions_are_raised,
    assert_sessions_are_shown_and_forgotten, confirmed, new_session, now, take_lease,
};
use mixin_pin_store::{Error, LeaseReply, LeaseTerms, ManagedStore, MemoryStore, NonceStore, Place, test_suite};

#[test]
fn the_store_conforms_behind_each_pointer() {
    let store = MemoryStore::new();
    let pointers: [&dyn NonceStore; 4] =
        [&store, &&store, &Box::new(store.clone()), &(Arc::new(store.clone()) as Arc<dyn NonceStore>)];
    for pointer in pointers {
        test_suite::nonce_store(pointer, new_session);
    }
    test_suite::nonce_store(&mixin_pin_store::open("memory:").unwrap(), new_session);
}

#[test]
fn clones_share_their_sessions_and_stores_do_not() {
    let (store, session) = (MemoryStore::new(), new_session());
    let _lease = take_lease(&store, session);
    assert!(matches!(store.clone().lease(session, &confirmed()).unwrap(), LeaseReply::Busy));
    drop(take_lease(&MemoryStore::new(), session));

    let _lease = take_lease(&MemoryStore::shared(), session);
    let named = mixin_pin_store::open("memory:").unwrap();
    assert!(matches!(named.lease(session, &confirmed()).unwrap(), LeaseReply::Busy));
    assert_eq!((named.place(), named.risks().unwrap()), (Place::Memory, vec![]));
}

#[test]
fn sessions_are_shown_and_forgotten_unless_they_are_leased() {
    assert_sessions_are_shown_and_forgotten(&MemoryStore::new());
}

#[test]
fn calls_of_all_sessions_are_listed_and_keep_their_session() {
    assert_calls_are_listed_and_keep_their_session(&MemoryStore::new());
}

#[test]
fn sessions_are_raised_and_never_lowered() {
    assert_sessions_are_raised(&MemoryStore::new());
}

#[test]
fn a_stalled_caller_neither_uses_nor_releases_a_session_that_was_forgotten_and_leased_again() {
    let (store, session) = (MemoryStore::new(), new_session());
    let stalled = match store.lease(session, &LeaseTerms::new(Duration::from_millis(20))).unwrap() {
        LeaseReply::Granted(lease) => lease,
        other => panic!("{other:?}"),
    };
    stalled.reserve(now()).unwrap();
    thread::sleep(Duration::from_millis(30));
    assert!(store.forget(session).unwrap());
    let next = take_lease(&store, session);
    assert!(matches!(stalled.reserve(now()), Err(Error::LeaseLost)));
    drop(stalled);
    assert!(matches!(store.lease(session, &confirmed()).unwrap(), LeaseReply::Busy));
    next.reserve(now()).unwrap();
}

#[test]
fn waiting_callers_take_turns_even_if_the_session_is_forgotten() {
    let (store, session) = (MemoryStore::new(), new_session());
    let is_leased = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let LeaseReply::Granted(lease) = store.lease(session, &confirmed().wait(MINUTE)).unwrap()
                        else {
                            panic!("busy")
                        };
                        assert!(!is_leased.swap(true, Ordering::SeqCst), "the session is leased twice");
                        lease.reserve(now()).unwrap();
                        is_leased.store(false, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        while !callers.iter().all(thread::ScopedJoinHandle::is_finished) {
            assert!(matches!(store.forget(session), Ok(_) | Err(Error::InUse)));
        }
    });
}
