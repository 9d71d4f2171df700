//! The contract of a store that outlives its process, as tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;

use super::{LONG, call, is_busy, lease, listed, now, settle, terms};
use crate::{CallIntent, CallKind, Error, Lease, LeaseReply, LeaseTerms, MAX_LEAP, NonceStore};

/// The clock of a store under test: a function that returns the time.
pub type TestClock = Box<dyn Fn() -> UnixTime + Send + Sync>;

/// Checks the rules for stores that outlive their process, beyond those of [`nonce_store`](super::nonce_store). `open` opens
/// the same store each time, and makes it go by a clock. If the leases of a store end by another clock, such as a server's,
/// only its iterators and its journal go by this one.
///
/// ```
/// use mixin_pin_store::{SqliteStore, test_suite};
///
/// # fn main() {
/// // A test of your store.
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("iterators.db");
/// let open = |clock| SqliteStore::open(&path).unwrap().clock(clock);
/// test_suite::lasting_store(open, test_suite::new_session);
/// # }
/// ```
///
/// # Panics
/// If the store breaks its contract.
pub fn lasting_store<S: NonceStore>(open: impl Fn(TestClock) -> S, mut new_session: impl FnMut() -> Uuid) {
    let clock = Clock(Arc::new(AtomicU64::new(0)));
    let open = || open(clock.read());
    clock.set(clock_now());
    drop(lease(&open(), new_session(), &terms(LONG).wait(2 * LONG)));
    a_lease_is_seen_by_another_handle(&open, new_session());
    iterators_and_entries_survive_the_store(&open, new_session());
    a_new_session_needs_a_confirmed_clock(&open(), new_session());
    the_clock_is_followed_within_its_limit(&open(), &clock, new_session());
    a_clock_that_goes_back_repeats_nothing(&open(), &clock, new_session());
    a_last_iterator_far_ahead_is_refused(&open(), &clock, new_session());
    verifications_are_kept_for_a_day(&open(), &clock, new_session());
}

/// A clock that stands where it is set. In nanoseconds since 1970.
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn set(&self, nanos: u64) {
        self.0.store(nanos, Ordering::SeqCst);
    }

    fn read(&self) -> TestClock {
        let nanos = self.0.clone();
        Box::new(move || UnixTime::from_nanos(nanos.load(Ordering::SeqCst)))
    }

    fn time(&self) -> UnixTime {
        self.read()()
    }
}

const DAY: u64 = MAX_LEAP.as_secs() * 1_000_000_000;

/// The system's time: a store may compare the clock with that of its server.
fn clock_now() -> u64 {
    now().as_nanos().expect("the clock is before 2554")
}

fn reserve(lease: &dyn Lease, clock: &Clock) -> u64 {
    lease.reserve(clock.time()).expect("reserving succeeds")
}

fn a_lease_is_seen_by_another_handle<S: NonceStore>(open: &impl Fn() -> S, session_id: Uuid) {
    let (one, other) = (open(), open());
    let intent = call(1, CallKind::UpdatePin);
    let first = lease(&one, session_id, &terms(LONG).for_call(&intent));
    assert!(is_busy(&other, session_id, &terms(LONG)), "another handle of the store leases a session that is leased");
    assert_eq!(listed(&other, session_id), [1], "another handle of the store does not list a call under way");
    let settled = other.settle(session_id, intent.request_id);
    assert!(matches!(settled, Err(Error::InUse)), "another handle of the store settles a call that is under way");
    let before = first.reserve(now()).expect("reserving succeeds");
    drop(first);
    assert_eq!(listed(&other, session_id), [], "another handle of the store lists a call whose outcome is known");
    let after = lease(&other, session_id, &terms(LONG)).reserve(now()).expect("reserving succeeds");
    assert!(after > before, "another handle's iterator, {after}, is not above {before}");
}

fn iterators_and_entries_survive_the_store<S: NonceStore>(open: &impl Fn() -> S, session_id: Uuid) {
    let mut last = 0;
    for number in 1..=3 {
        let store = open();
        let intent = call(number, CallKind::UpdatePin);
        let lease = lease(&store, session_id, &terms(LONG).for_call(&intent));
        let iterator = lease.reserve(UnixTime::from_nanos(0)).expect("reserving succeeds");
        assert!(iterator > last, "after the store was opened again, {iterator} followed {last}");
        last = iterator;
        lease.keep_entry(true);
    }
    let store = open();
    assert_eq!(
        listed(&store, session_id),
        [1, 2, 3],
        "after the store was opened again, the journal lists other calls"
    );
    assert!((1..=3).all(|number| settle(&store, session_id, number)), "an entry was not found");
    assert_eq!(listed(&open(), session_id), [], "after the store was opened again, a settled call is listed");
}

/// Leases a session without a confirmed clock. Fails with how far the clock is ahead if it must be confirmed; the store must
/// then leave everything as it was.
fn lease_unconfirmed(store: &dyn NonceStore, session_id: Uuid) -> Result<(), Option<Duration>> {
    let intent = call(1, CallKind::UpdatePin);
    match store.lease(session_id, &LeaseTerms::new(LONG).for_call(&intent)).expect("leasing succeeds") {
        LeaseReply::Granted(_) => Ok(()),
        LeaseReply::Busy => panic!("a free session is busy"),
        LeaseReply::ClockUnconfirmed { ahead } => {
            assert_eq!(listed(store, session_id), [], "the journal lists a call that got no lease");
            Err(ahead)
        }
    }
}

fn a_new_session_needs_a_confirmed_clock(store: &dyn NonceStore, session_id: Uuid) {
    for _ in 0..2 {
        assert_eq!(
            lease_unconfirmed(store, session_id),
            Err(None),
            "a new session follows a clock that is not confirmed"
        );
    }
    drop(lease(store, session_id, &terms(LONG)));
    assert_eq!(lease_unconfirmed(store, session_id), Ok(()), "a known session's clock must be confirmed again");
}

fn the_clock_is_followed_within_its_limit(store: &dyn NonceStore, clock: &Clock, session_id: Uuid) {
    let begun = clock_now();
    clock.set(begun);
    drop(lease(store, session_id, &terms(LONG)));
    clock.set(begun + DAY - DAY / 24);
    assert_eq!(lease_unconfirmed(store, session_id), Ok(()), "a clock that is less than a day ahead is not followed");
    let begun = begun + DAY - DAY / 24;
    clock.set(begun + DAY + DAY / 24);
    let leap = Duration::from_nanos(DAY + DAY / 24);
    let ahead = lease_unconfirmed(store, session_id).expect_err("a clock that leaps by more than a day is followed");
    let is_right = ahead.is_some_and(|ahead| ahead.abs_diff(leap) < LONG);
    assert!(is_right, "the clock is {leap:?} ahead, but the store says {ahead:?}");
    let lease = lease(store, session_id, &terms(LONG));
    assert!(reserve(&*lease, clock) >= begun + DAY + DAY / 24, "a confirmed clock is not followed");
    drop(lease);
    clock.set(clock_now());
}

fn a_clock_that_goes_back_repeats_nothing(store: &dyn NonceStore, clock: &Clock, session_id: Uuid) {
    let begun = clock_now();
    let mut last = 0;
    for back in [0, 1, 3_600_000_000_000, DAY - DAY / 24] {
        clock.set(begun - back);
        // Confirmed or not: it does no harm.
        for terms in [terms(LONG), LeaseTerms::new(LONG)] {
            let reply = store.lease(session_id, &terms).expect("leasing succeeds");
            let LeaseReply::Granted(lease) = reply else { panic!("a clock that goes back is answered by {reply:?}") };
            let iterator = reserve(&*lease, clock);
            assert!(iterator > last, "after the clock went back, {iterator} followed {last}");
            last = iterator;
        }
    }
    clock.set(clock_now());
}

fn a_last_iterator_far_ahead_is_refused(store: &dyn NonceStore, clock: &Clock, session_id: Uuid) {
    let begun = clock_now();
    // A clock that was wrong, and was confirmed.
    clock.set(begun + 400 * DAY);
    drop(lease(store, session_id, &terms(LONG)));
    clock.set(begun);
    for terms in [terms(LONG), LeaseTerms::new(LONG)] {
        let intent = call(1, CallKind::UpdatePin);
        let refused = store.lease(session_id, &terms.for_call(&intent)).map(|reply| format!("{reply:?}"));
        let Err(Error::IteratorAhead { ahead }) = refused else {
            panic!("a last iterator that is more than a year ahead is answered by {refused:?}")
        };
        assert!(ahead.abs_diff(400 * MAX_LEAP) < LONG, "the last iterator is said to be {ahead:?} ahead");
        assert_eq!(listed(store, session_id), [], "the journal lists a call that got no lease");
    }
    clock.set(clock_now());
}

fn verifications_are_kept_for_a_day(store: &dyn NonceStore, clock: &Clock, session_id: Uuid) {
    let begun = clock_now();
    clock.set(begun);
    let kinds = [CallKind::UpdatePin, CallKind::VerifyPin, CallKind::Other, CallKind::ChangeSession];
    for (number, kind) in (1..).zip(kinds) {
        let intent = CallIntent { token_lifetime: Duration::ZERO, ..call(number, kind) };
        let lease = lease(store, session_id, &terms(LONG).for_call(&intent));
        assert_eq!(lease.granted_at(), clock.time(), "the lease was granted at another time than the clock's");
        lease.keep_entry(true);
    }
    clock.set(begun + DAY - DAY / 24);
    drop(lease(store, session_id, &terms(LONG)));
    assert_eq!(listed(store, session_id), [1, 2, 3, 4], "a call whose token expired within a day was dropped");
    clock.set(begun + DAY + DAY / 24);
    drop(lease(store, session_id, &terms(LONG)));
    let left = listed(store, session_id);
    assert!(!left.contains(&2), "a verification whose token expired more than a day ago stays");
    assert_eq!(left, [1, 3, 4], "another call than an old verification was dropped");
    assert!([1, 3, 4].into_iter().all(|number| settle(store, session_id, number)), "an entry was not found");
    clock.set(clock_now());
}
