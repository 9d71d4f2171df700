//! Shared by the tests: session ids, test clocks, a Redis server, and checks for every store.
#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_store::{
    CallIntent, CallKind, Error, Lease, LeaseReply, LeaseTerms, ManagedStore, NonceStore, PendingCall, Place, Risk,
};

/// Session ids that no other test uses.
pub fn new_session() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u64_pair(u64::from(std::process::id()), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn now() -> UnixTime {
    UnixTime::try_from(SystemTime::now()).unwrap()
}

pub const MINUTE: Duration = Duration::from_secs(60);

pub fn confirmed() -> LeaseTerms<'static> {
    LeaseTerms::new(MINUTE).with_confirmed_clock()
}

pub fn take_lease(store: &(impl NonceStore + ?Sized), session_id: Uuid) -> Box<dyn Lease> {
    match store.lease(session_id, &confirmed()).unwrap() {
        LeaseReply::Granted(lease) => lease,
        LeaseReply::Busy => panic!("busy"),
        LeaseReply::ClockUnconfirmed { .. } => panic!("a confirmed clock"),
    }
}

/// Whether the store is in memory. Such a store reserves no iterators ahead and never asks for a confirmation of the clock.
fn is_in_memory(store: &dyn ManagedStore) -> bool {
    store.place() == Place::Memory
}

/// Checks that a new store lists its sessions, and forgets them unless they are leased.
pub fn assert_sessions_are_shown_and_forgotten(store: &dyn ManagedStore) {
    let session = new_session();
    assert_eq!(store.sessions().unwrap(), []);
    let ahead = u64::from(!is_in_memory(store));
    let lease = take_lease(store, session);
    let iterator = lease.reserve(now()).unwrap();
    let [record] = &store.sessions().unwrap()[..] else { panic!("one session") };
    assert_eq!((record.session_id, record.last_iterator), (session, iterator + ahead), "reserved with the lease");
    let alone = store.session(session).unwrap().unwrap();
    assert!(alone.leased_for.is_some() && store.session(new_session()).unwrap().is_none());
    assert_eq!(
        (alone.session_id, alone.last_iterator, alone.raised_to),
        (session, record.last_iterator, record.raised_to)
    );
    assert!(record.leased_for.is_some_and(|left| left > MINUTE / 2 && left <= MINUTE));
    assert!(matches!(store.forget(session), Err(Error::InUse)));
    drop(lease);
    assert_eq!(store.sessions().unwrap()[0].leased_for, None);
    assert_eq!(store.session(session).unwrap().as_ref(), store.sessions().unwrap().first());
    assert!(store.forget(session).unwrap());
    assert_eq!(store.session(session).unwrap(), None);
    assert!(!store.forget(session).unwrap());
    assert_eq!(store.sessions().unwrap(), []);
}

/// Checks that a last iterator far ahead of the clock is refused even with a confirmed clock, unless the session's owner
/// raised it there. `write` sets a session's last iterator directly.
pub fn assert_iterators_far_ahead_are_refused(store: &dyn ManagedStore, write: impl Fn(Uuid, u64), greatest: u64) {
    const DAY: u64 = 86_400_000_000_000;
    let begun = now().as_nanos().unwrap();
    for far in [begun + DAY + DAY / 24, begun + 400 * DAY, greatest - 2 * DAY, greatest - 1, greatest] {
        let session = new_session();
        drop(take_lease(store, session));
        write(session, far);
        let refused = |last: u64| {
            for terms in [LeaseTerms::new(MINUTE), confirmed()] {
                let refused = store.lease(session, &terms).unwrap_err();
                let Error::IteratorAhead { ahead } = refused else { panic!("{last}: {refused:?}") };
                assert!(ahead.abs_diff(Duration::from_nanos(last - begun)) < MINUTE, "{last}: {ahead:?}");
            }
        };
        refused(far);
        let lower = begun + DAY;
        assert_eq!(store.raise(session, lower).unwrap(), far, "never lowered");
        if far - lower > 2 * DAY {
            refused(far);
        }
        match store.raise(session, far) {
            Ok(last) => {
                assert!(last == far && far <= greatest - DAY);
                assert_eq!(take_lease(store, session).reserve(now()).unwrap(), far + 1);
                if let Some(beyond) = far.checked_add(DAY + DAY / 24).filter(|beyond| *beyond <= greatest) {
                    write(session, beyond);
                    refused(beyond);
                }
            }
            Err(Error::NoRoomAbove { greatest: allowed }) => assert!(far > allowed && allowed < greatest - DAY),
            Err(error) => panic!("{error:?}"),
        }
        // A forgotten session follows the clock again.
        assert!(store.forget(session).unwrap());
        let lease = store.lease(session, &LeaseTerms::new(MINUTE)).unwrap();
        assert!(matches!(lease, LeaseReply::ClockUnconfirmed { ahead: None }), "{lease:?}");
        assert!(take_lease(store, session).reserve(now()).unwrap() < begun + DAY);
    }
}

/// Checks that known and new sessions are raised, never lowered, and not while they are leased.
pub fn assert_sessions_are_raised(store: &dyn ManagedStore) {
    let (session, to) = (new_session(), now().as_nanos().unwrap() + 3_600_000_000_000);
    let ahead = u64::from(!is_in_memory(store));
    assert_eq!(store.raise(session, to).unwrap(), to);
    let record = |store: &dyn ManagedStore| {
        store.sessions().unwrap().into_iter().find(|record| record.session_id == session).unwrap()
    };
    assert_eq!((record(store).last_iterator, record(store).raised_to, record(store).leased_for), (to, Some(to), None));
    let LeaseReply::Granted(lease) = store.lease(session, &LeaseTerms::new(MINUTE)).unwrap() else {
        panic!("not an hour ahead")
    };
    assert_eq!(lease.reserve(now()).unwrap(), to + 1);
    assert!(matches!(store.raise(session, to + 100), Err(Error::InUse)));
    drop(lease);
    assert_eq!(store.raise(session, 7).unwrap(), to + 1 + ahead, "never lowered");
    assert_eq!(record(store).raised_to, Some(to));
    assert_eq!(store.raise(session, to + 100).unwrap(), to + 100);
    assert_eq!(take_lease(store, session).reserve(now()).unwrap(), to + 101);
    for beyond in [u64::MAX, u64::MAX - 1, u64::MAX - 86_400_000_000_000] {
        assert!(matches!(store.raise(session, beyond), Err(Error::NoRoomAbove { .. })));
    }
    assert!(take_lease(store, session).reserve(now()).is_ok(), "the session is unchanged");

    // Raising a new session far behind the clock has no effect.
    let (unknown, begun) = (new_session(), now().as_nanos().unwrap());
    assert!(store.raise(unknown, 5).unwrap() >= begun, "the next iterator is above it anyway");
    assert!(store.sessions().unwrap().iter().all(|record| record.session_id != unknown));
    if !is_in_memory(store) {
        let reply = store.lease(unknown, &LeaseTerms::new(MINUTE)).unwrap();
        assert!(matches!(reply, LeaseReply::ClockUnconfirmed { ahead: None }), "{reply:?}");
    }
}

/// A call of this kind, with a request id that no other call has.
pub fn call(kind: CallKind) -> CallIntent {
    let request_id = new_session();
    CallIntent { request_id, method: "POST".into(), path: "/pin/update".into(), kind, token_lifetime: MINUTE }
}

/// Leases a session for a call whose outcome stays unknown.
pub fn leave_unknown(store: &(impl NonceStore + ?Sized), session_id: Uuid, call: &CallIntent) {
    let LeaseReply::Granted(lease) = store.lease(session_id, &confirmed().for_call(call)).unwrap() else {
        panic!("busy")
    };
    lease.keep_entry(true);
}

pub fn request_ids(pending: &[PendingCall]) -> Vec<Uuid> {
    pending.iter().map(|call| call.request_id).collect()
}

/// Checks that calls of all sessions are listed, and that a session with calls is not forgotten.
pub fn assert_calls_are_listed_and_keep_their_session(store: &dyn ManagedStore) {
    let (one, other) = (new_session(), new_session());
    let calls = [CallKind::UpdatePin, CallKind::Other, CallKind::VerifyPin].map(call);
    assert_eq!(store.all_pending().unwrap(), []);
    leave_unknown(store, other, &calls[0]);
    leave_unknown(store, one, &calls[2]);
    leave_unknown(store, one, &calls[1]);
    let all = store.all_pending().unwrap();
    assert_eq!(request_ids(&all), [calls[2].request_id, calls[1].request_id, calls[0].request_id]);
    assert_eq!(all.iter().map(|call| call.session_id).collect::<Vec<_>>(), [one, one, other]);
    assert_eq!([store.pending(one).unwrap(), store.pending(other).unwrap()].concat(), all);
    assert!(matches!(store.forget(one), Err(Error::Unsettled)));
    assert!(matches!(store.forget(other), Err(Error::Unsettled)));
    assert_eq!(store.all_pending().unwrap(), all);
    assert!(store.settle(other, calls[0].request_id).unwrap());
    assert!(store.forget(other).unwrap());
    for call in &calls[1..] {
        assert!(matches!(store.forget(one), Err(Error::Unsettled)));
        assert!(store.settle(one, call.request_id).unwrap());
    }
    assert!(store.forget(one).unwrap());
    assert_eq!(store.all_pending().unwrap(), []);
}

/// Checks that the next lease drops a verification whose token expired more than a day ago, and nothing else. `store` goes
/// by `clock`.
pub fn assert_old_verifications_are_dropped(store: &dyn ManagedStore, clock: &TestClock) {
    const START: u64 = 1_795_517_646;
    const EXPIRES: u64 = START + 60;
    let session = new_session();
    let calls = [CallKind::UpdatePin, CallKind::VerifyPin, CallKind::Other, CallKind::ChangeSession].map(call);
    clock.set(START);
    for call in &calls {
        leave_unknown(store, session, call);
    }
    let pending = store.pending(session).unwrap();
    assert!(
        pending.iter().all(|call| call.sent_at.secs() == START && call.expires_at.secs() == EXPIRES),
        "{pending:?}"
    );
    for (now, left) in [(EXPIRES + 86_400, 4), (EXPIRES + 86_401, 3), (EXPIRES + 864_000, 3)] {
        clock.set(now);
        drop(take_lease(store, session));
        assert_eq!(store.pending(session).unwrap().len(), left, "at {now}");
    }
    assert_eq!(request_ids(&store.pending(session).unwrap()), [0, 2, 3].map(|place| calls[place].request_id));
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

/// Checks that a session whose record is behind its journal is reported, and goes on above the journal. `write` sets a
/// session's last iterator directly.
pub fn assert_a_record_behind_its_journal_is_raised(store: &dyn ManagedStore, write: impl Fn(Uuid, u64)) {
    const HOUR: u64 = 3_600_000_000_000;
    let (session, begun) = (new_session(), now().as_nanos().unwrap());
    store.raise(session, begun + HOUR).unwrap();
    leave_unknown(store, session, &call(CallKind::UpdatePin));
    let above = *store.pending(session).unwrap()[0].iterators.end();
    let behind = |risks: &[Risk]| {
        risks.iter().find_map(|risk| match risk {
            Risk::Behind { session_id, by } if *session_id == session => Some(*by),
            _ => None,
        })
    };
    assert_eq!(behind(&store.risks().unwrap()), None);
    write(session, begun - HOUR);
    let by = behind(&store.risks().unwrap()).expect("reported");
    assert_eq!(by, Duration::from_nanos(above - (begun - HOUR)));
    assert!(take_lease(store, session).reserve(now()).unwrap() > above, "above the journal");
    assert_eq!(behind(&store.risks().unwrap()), None, "raised");
}
