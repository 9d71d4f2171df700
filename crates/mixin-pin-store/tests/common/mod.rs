//! What the store's tests share: session ids, clocks to set, a Redis server of the test's own, and what holds for every store.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod redis_server;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Hold, HoldTerms, NonceSource as _, NonceStore, UnixTime};
use mixin_pin_store::{AnyStore, Error};

/// Session ids that no other test uses.
pub fn new_session() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u64_pair(u64::from(std::process::id()), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn now() -> UnixTime {
    UnixTime::try_from(SystemTime::now()).unwrap()
}

pub const MINUTE: Duration = Duration::from_secs(60);

pub fn confirmed() -> HoldTerms {
    HoldTerms::new(MINUTE).with_confirmed_clock()
}

pub fn held<S: NonceStore<Error: std::fmt::Debug>>(store: &S, session_id: Uuid) -> S::Held {
    match store.hold(session_id, &confirmed()).unwrap() {
        Hold::Held(held) => held,
        Hold::Busy => panic!("busy"),
        Hold::ClockUnconfirmed { .. } => panic!("a confirmed clock"),
    }
}

/// Of a new store: its sessions are shown, and forgotten unless they are held.
pub fn assert_sessions_are_shown_and_forgotten(store: &AnyStore) {
    let session = new_session();
    assert_eq!(store.sessions().unwrap(), []);
    let hold = held(store, session);
    let iterator = hold.reserve(now()).unwrap();
    let [record] = &store.sessions().unwrap()[..] else { panic!("one session") };
    assert_eq!((record.session_id, record.last_iterator), (session, iterator + 1), "the stock is taken already");
    assert!(record.held_for.is_some_and(|left| left > MINUTE / 2 && left <= MINUTE));
    assert!(matches!(store.forget(session), Err(Error::Held)));
    drop(hold);
    assert_eq!(store.sessions().unwrap()[0].held_for, None);
    assert!(store.forget(session).unwrap());
    assert!(!store.forget(session).unwrap());
    assert_eq!(store.sessions().unwrap(), []);
}

/// A clock that stands where it is set.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub fn new(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds)))
    }

    pub fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    pub fn read(&self) -> impl Fn() -> UnixTime + Send + Sync + 'static {
        let seconds = self.0.clone();
        move || UnixTime::from_secs(seconds.load(Ordering::SeqCst))
    }
}
