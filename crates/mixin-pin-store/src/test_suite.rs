//! The contracts of [`NonceSource`] and [`NonceStore`] as tests, for implementations of your own.
//!
//! Each function panics with a message that says which point is broken. Use them only in tests.
//!
//! ```
//! use mixin_pin_core::MonotonicNonces;
//! use mixin_pin_store::test_suite;
//!
//! test_suite::nonce_source(&MonotonicNonces::new());
//! ```

#[cfg(feature = "async")]
mod asynchronous;
mod lasting;

use std::fmt::Debug;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{NonceSource, UnixTime};

use crate::{CallIntent, CallKind, Error, Lease, LeaseReply, LeaseTerms, NonceStore};

#[cfg(feature = "async")]
pub use asynchronous::async_nonce_store;
pub use lasting::{TestClock, lasting_store};

/// Some time in 2023.
const START: u64 = 1_700_000_000_000_000_000;
const THREADS: usize = 4;

/// Checks the contract of a source. It may have given out iterators before.
///
/// # Panics
/// If the source breaks its contract.
pub fn nonce_source<S>(source: &S)
where
    S: NonceSource + Sync + ?Sized,
    S::Error: Debug,
{
    let next = |nanos| source.reserve(UnixTime::from_nanos(nanos)).expect("reserving succeeds");
    let mut last = 0;
    let mut check = |iterator: u64, when: &str| {
        assert!(iterator > last, "{when}, {iterator} followed {last}");
        last = iterator;
    };
    for step in 0..100 {
        check(next(START + step), "while the clock advanced");
    }
    for _ in 0..100 {
        check(next(START), "while the clock stood still");
    }
    for step in 0..100 {
        check(next(START - step * 1_000_000_000), "while the clock went back");
    }
    check(next(0), "at the beginning of time");
    let nonce = source.next(UnixTime::from_nanos(START + 1_500_000_000)).expect("reserving succeeds");
    assert_eq!(nonce.timestamp(), (START + 1_500_000_000) / 1_000_000_000, "the timestamp is the time that was given");
    check(nonce.iterator(), "as a nonce");

    // From several threads: no iterator repeats, and each thread sees its own rise.
    let per_thread: Vec<Vec<u64>> = thread::scope(|scope| {
        let take = || (0..250).map(|step| next(START + step % 7)).collect::<Vec<u64>>();
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(|thread| thread.join().expect("the thread does not panic")).collect()
    });
    for taken in &per_thread {
        assert!(taken.is_sorted_by(|one, two| one < two), "a thread's iterators rise");
    }
    let mut all: Vec<u64> = per_thread.into_iter().flatten().collect();
    all.sort_unstable();
    assert!(all.is_sorted_by(|one, two| one < two), "no iterator is given out twice");
    check(all[0], "from threads");
}

/// Checks the contract at the end of the numbers. The source's last iterator must be `u64::MAX - 1`.
///
/// ```
/// use mixin_pin_core::MonotonicNonces;
/// use mixin_pin_store::test_suite;
///
/// test_suite::nonce_source_at_its_end(&MonotonicNonces::starting_after(u64::MAX - 1));
/// ```
///
/// # Panics
/// If the source breaks its contract.
pub fn nonce_source_at_its_end<S: NonceSource + ?Sized>(source: &S)
where
    S::Error: Debug,
{
    let last = source.reserve(UnixTime::from_nanos(START)).expect("reserving succeeds");
    assert_eq!(last, u64::MAX, "the last iterator is the greatest number");
    for now in [0, START, u64::MAX] {
        let beyond = source.reserve(UnixTime::from_nanos(now)).ok();
        assert_eq!(beyond, None, "after the end, another iterator was given out");
    }
}

/// A session that no other call and no other process returns.
pub fn new_session() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let process = u64::from(std::process::id()) << 32;
    let nanos = now().as_nanos().unwrap_or_default();
    Uuid::from_u64_pair(nanos, process | NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Checks the contract of a store. `new_session` returns different sessions, which the store does not know.
///
/// It takes some seconds. At first it waits up to two minutes for a store that leases nothing yet, because its server has
/// just been started.
///
/// ```
/// use mixin_pin_store::{MemoryStore, test_suite};
///
/// # fn main() {
/// // A test of your store.
/// test_suite::nonce_store(&MemoryStore::new(), test_suite::new_session);
/// # }
/// ```
///
/// # Panics
/// If the store breaks its contract.
pub fn nonce_store(store: &dyn NonceStore, mut new_session: impl FnMut() -> Uuid) {
    drop(lease(store, new_session(), &terms(LONG).wait(2 * LONG)));
    a_lease_is_a_source(store, new_session());
    only_one_caller_leases_a_session(store, new_session(), new_session());
    a_caller_that_waits_goes_on_after_the_release(store, new_session());
    callers_that_wait_hold_up_no_other_session(store, new_session(), new_session());
    a_lease_may_be_of_any_length(store, new_session());
    a_lease_that_ended_is_taken_over(store, new_session());
    callers_take_turns(store, new_session());
    a_call_is_listed_until_its_lease_is_released(store, new_session(), new_session());
    a_kept_entry_stays_until_it_is_settled(store, new_session(), new_session());
    a_call_without_a_lease_leaves_no_entry(store, new_session());
    a_lease_that_ended_removes_only_its_own_entry(store, new_session());
    a_lease_that_ended_keeps_its_entry(store, new_session());
    entries_of_many_callers_are_removed_or_kept(store, new_session());
    only_long_expired_verifications_are_dropped(store, new_session());
}

fn terms(duration: Duration) -> LeaseTerms<'static> {
    LeaseTerms::new(duration).with_confirmed_clock()
}

const LONG: Duration = Duration::from_secs(60);

fn lease(store: &dyn NonceStore, session_id: Uuid, terms: &LeaseTerms) -> Box<dyn Lease> {
    match store.lease(session_id, terms).expect("leasing succeeds") {
        LeaseReply::Granted(lease) => lease,
        LeaseReply::Busy => panic!("a free session is busy"),
        LeaseReply::ClockUnconfirmed { .. } => panic!("a confirmed clock is not accepted"),
    }
}

fn is_busy(store: &dyn NonceStore, session_id: Uuid, terms: &LeaseTerms) -> bool {
    matches!(store.lease(session_id, terms).expect("leasing succeeds"), LeaseReply::Busy)
}

fn now() -> UnixTime {
    UnixTime::try_from(SystemTime::now()).expect("the clock is after 1970")
}

fn reserve(lease: &dyn Lease) -> u64 {
    lease.reserve(now()).expect("reserving succeeds")
}

fn a_lease_is_a_source(store: &dyn NonceStore, session_id: Uuid) {
    let lease = lease(store, session_id, &terms(LONG));
    assert!(lease.remaining() > LONG / 2 && lease.remaining() <= LONG, "the lease lasts as long as its terms say");
    nonce_source(&*lease);
}

fn only_one_caller_leases_a_session(store: &dyn NonceStore, one: Uuid, other: Uuid) {
    let first = lease(store, one, &terms(LONG));
    let before = reserve(&*first);
    assert!(is_busy(store, one, &terms(LONG)), "a session is leased twice");
    let begun = Instant::now();
    let wait = Duration::from_millis(60);
    assert!(is_busy(store, one, &terms(LONG).wait(wait)), "a session is leased twice, after a wait");
    assert!(begun.elapsed() >= wait, "the wait ends early");
    drop(lease(store, other, &terms(LONG)));
    drop(first);
    let after = reserve(&*lease(store, one, &terms(LONG)));
    assert!(after > before, "the next lease's iterator, {after}, is not above {before}");
}

fn a_caller_that_waits_goes_on_after_the_release(store: &dyn NonceStore, session_id: Uuid) {
    let wait = Duration::from_secs(10);
    let first = lease(store, session_id, &terms(LONG));
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let begun = Instant::now();
            drop(lease(store, session_id, &terms(LONG).wait(wait)));
            begun.elapsed()
        });
        thread::sleep(Duration::from_millis(100));
        drop(first);
        let waited = waits.join().expect("the session is free");
        assert!(waited < wait * 2 / 3, "a caller waits on for {waited:?}, although the session is free");
    });
}

fn callers_that_wait_hold_up_no_other_session(store: &dyn NonceStore, one: Uuid, other: Uuid) {
    let first = lease(store, one, &terms(LONG));
    let (wait, waiting) = (Duration::from_secs(1), Barrier::new(4 * THREADS + 1));
    thread::scope(|scope| {
        for _ in 0..4 * THREADS {
            scope.spawn(|| {
                waiting.wait();
                assert!(is_busy(store, one, &terms(LONG).wait(wait)), "a session is leased twice");
            });
        }
        waiting.wait();
        // The callers above find the session leased meanwhile.
        thread::sleep(wait / 10);
        let begun = Instant::now();
        for _ in 0..5 {
            drop(lease(store, other, &terms(LONG)));
        }
        let took = begun.elapsed();
        assert!(took < wait, "callers that wait hold up another session for {took:?}");
    });
    drop(first);
}

fn a_lease_may_be_of_any_length(store: &dyn NonceStore, session_id: Uuid) {
    let intent = CallIntent { token_lifetime: Duration::MAX, ..call(1, CallKind::Other) };
    let longest = lease(store, session_id, &terms(Duration::MAX).wait(Duration::MAX).for_call(&intent));
    assert!(longest.remaining() > LONG, "the longest lease ends early");
    let first = reserve(&*longest);
    assert!(is_busy(store, session_id, &terms(LONG)), "a session is leased twice");
    assert_eq!(listed(store, session_id), [1], "the journal does not list the call of the longest lease");
    drop(longest);
    let shortest = lease(store, session_id, &terms(Duration::ZERO));
    assert_eq!(shortest.remaining(), Duration::ZERO, "a lease without a duration says that time remains");
    let after = reserve(&*lease(store, session_id, &terms(LONG).wait(LONG)));
    assert!(after > first, "the next lease's iterator, {after}, is not above {first}");
    assert!(shortest.reserve(now()).is_err(), "a lost lease gives out another iterator");
}

fn a_lease_that_ended_is_taken_over(store: &dyn NonceStore, session_id: Uuid) {
    // Long enough to reserve an iterator on a busy machine.
    let duration = Duration::from_secs(1);
    let first = lease(store, session_id, &terms(duration));
    let before = reserve(&*first);
    // The first caller stalls: it neither releases the session nor goes on.
    let second = lease(store, session_id, &terms(LONG).wait(duration * 20));
    let after = reserve(&*second);
    assert!(after > before, "the new lease's iterator, {after}, is not above {before}");
    assert_eq!(first.remaining(), Duration::ZERO, "a lost lease says that time remains");
    assert!(first.reserve(now()).is_err(), "a lost lease gives out another iterator");
    drop(first);
    assert!(is_busy(store, session_id, &terms(LONG)), "dropping a lost lease releases the new one");
    assert!(reserve(&*second) > after, "the new lease's iterators rise");
}

fn callers_take_turns(store: &dyn NonceStore, session_id: Uuid) {
    let (is_leased, last) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..25 {
                    let lease = lease(store, session_id, &terms(LONG).wait(LONG));
                    assert!(!is_leased.swap(true, Ordering::SeqCst), "a session is leased twice");
                    let iterator = reserve(&*lease);
                    let before = last.swap(iterator, Ordering::SeqCst);
                    assert!(iterator > before, "{iterator} followed {before}");
                    is_leased.store(false, Ordering::SeqCst);
                    drop(lease);
                }
            });
        }
    });
}

/// How long the tokens of these calls are valid.
const LIFETIME: Duration = Duration::from_secs(60);

/// A call whose request id no other call of the session has.
fn call(number: u128, kind: CallKind) -> CallIntent {
    CallIntent {
        request_id: Uuid::from_u128(number),
        method: "POST".into(),
        path: format!("/call/{number}"),
        kind,
        token_lifetime: LIFETIME,
    }
}

/// The request ids of the calls that the journal lists.
fn listed(store: &dyn NonceStore, session_id: Uuid) -> Vec<u128> {
    let pending = store.pending(session_id).expect("listing succeeds");
    assert!(pending.iter().all(|call| call.session_id == session_id), "the journal lists another session's call");
    let in_order = pending.is_sorted_by(|one, two| one.iterators.end() < two.iterators.start());
    assert!(in_order, "the journal does not list calls in the order of their iterators");
    pending.iter().map(|call| call.request_id.as_u128()).collect()
}

fn settle(store: &dyn NonceStore, session_id: Uuid, number: u128) -> bool {
    store.settle(session_id, Uuid::from_u128(number)).expect("settling succeeds")
}

fn a_call_is_listed_until_its_lease_is_released(store: &dyn NonceStore, session_id: Uuid, other: Uuid) {
    assert_eq!(listed(store, session_id), [], "the journal lists a call of a new session");
    drop(lease(store, session_id, &terms(LONG)));
    let without_call = lease(store, session_id, &terms(LONG));
    without_call.keep_entry(true);
    assert_eq!(listed(store, session_id), [], "the journal lists a lease without a call");
    drop(without_call);
    for kind in [CallKind::UpdatePin, CallKind::VerifyPin, CallKind::ChangeSession, CallKind::Other] {
        let intent = CallIntent { method: "A B".into(), path: "/x y/ü".into(), ..call(1, kind) };
        let before = now();
        let lease = lease(store, session_id, &terms(LONG).for_call(&intent));
        assert!(lease.granted_at() >= before && lease.granted_at() <= now(), "the lease was granted at another time");
        assert_eq!(listed(store, other), [], "the journal lists another session's call");
        let pending = store.pending(session_id).expect("listing succeeds");
        let [entry] = &pending[..] else { panic!("the journal lists {pending:?} instead of the call under way") };
        assert_eq!(
            (entry.session_id, entry.request_id),
            (session_id, intent.request_id),
            "the entry is of another call"
        );
        assert_eq!(
            (&entry.method, &entry.path, entry.kind),
            (&intent.method, &intent.path, kind),
            "the entry is altered"
        );
        assert_eq!(entry.sent_at, lease.granted_at(), "the entry's time is not the lease's");
        let expires_at = UnixTime::from_secs(entry.sent_at.secs() + LIFETIME.as_secs());
        assert_eq!(entry.expires_at, expires_at, "the token's end is not its time plus its lifetime");
        let left = entry.under_way_for.expect("a call whose lease lasts is under way");
        assert!(left > LONG / 2 && left <= LONG, "the call is under way for {left:?}, its lease lasts {LONG:?}");
        for _ in 0..2 {
            let iterator = reserve(&*lease);
            let iterators = &entry.iterators;
            assert!(iterators.contains(&iterator), "{iterator} was not reserved for the call, but {iterators:?}");
        }
        drop(lease);
        assert_eq!(listed(store, session_id), [], "the journal lists a call whose outcome is known");
    }
}

fn a_kept_entry_stays_until_it_is_settled(store: &dyn NonceStore, session_id: Uuid, other: Uuid) {
    // Not in the order of the request ids.
    for number in [3, 1, 2] {
        let intent = call(number, CallKind::UpdatePin);
        let lease = lease(store, session_id, &terms(LONG).for_call(&intent));
        lease.keep_entry(true);
        drop(lease);
    }
    assert_eq!(listed(store, session_id), [3, 1, 2], "entries to be kept were removed, or are out of order");
    let is_under_way =
        store.pending(session_id).expect("listing succeeds").iter().any(|call| call.under_way_for.is_some());
    assert!(!is_under_way, "a call is under way without a lease");
    let intent = call(4, CallKind::UpdatePin);
    let known = lease(store, session_id, &terms(LONG).for_call(&intent));
    known.keep_entry(true);
    let pending = store.pending(session_id).expect("listing succeeds");
    let under_way: Vec<bool> = pending.iter().map(|call| call.under_way_for.is_some()).collect();
    assert_eq!(under_way, [false, false, false, true], "another call than that of the lease is under way");
    let settled = store.settle(session_id, Uuid::from_u128(4));
    assert!(matches!(settled, Err(Error::InUse)), "a call that is under way is settled");
    known.keep_entry(false);
    assert!(!settle(store, other, 1), "a call is settled by another session");
    let settled = store.settle(session_id, Uuid::from_u128(1));
    assert!(matches!(settled, Ok(true)), "while another call is under way, an entry is not settled");
    drop(known);
    assert_eq!(listed(store, session_id), [3, 2], "an entry not to be kept any more stays, or others were removed");
    assert!(!settle(store, session_id, 1), "an entry is settled twice");
    assert_eq!(listed(store, session_id), [3, 2], "settling removes another entry");
    assert!(settle(store, session_id, 2) && settle(store, session_id, 3), "an entry was not found");
    assert_eq!(listed(store, session_id), [], "settling leaves the entry");
}

fn a_lease_that_ended_removes_only_its_own_entry(store: &dyn NonceStore, session_id: Uuid) {
    let duration = Duration::from_millis(200);
    let calls = [1, 2].map(|number| call(number, CallKind::UpdatePin));
    let first = lease(store, session_id, &terms(duration).for_call(&calls[0]));
    let second = lease(store, session_id, &terms(LONG).wait(duration * 100).for_call(&calls[1]));
    assert_eq!(listed(store, session_id), [1, 2], "the next lease removed the entry of a call with an unknown outcome");
    let pending = store.pending(session_id).expect("listing succeeds");
    assert_eq!(pending[0].under_way_for, None, "a call is under way although its lease is over");
    drop(first);
    assert_eq!(listed(store, session_id), [2], "a lease that ended removes another entry than its own");
    drop(second);
    assert_eq!(listed(store, session_id), [], "the journal lists a call whose outcome is known");
}

fn a_lease_that_ended_keeps_its_entry(store: &dyn NonceStore, session_id: Uuid) {
    let duration = Duration::from_millis(200);
    let intent = call(1, CallKind::UpdatePin);
    let first = lease(store, session_id, &terms(duration).for_call(&intent));
    first.keep_entry(true);
    drop(lease(store, session_id, &terms(LONG).wait(duration * 100)));
    drop(first);
    assert_eq!(listed(store, session_id), [1], "a lease that ended removes an entry to be kept");
    assert!(settle(store, session_id, 1), "an entry was not found");
}

fn a_call_without_a_lease_leaves_no_entry(store: &dyn NonceStore, session_id: Uuid) {
    let first = lease(store, session_id, &terms(LONG));
    let intent = call(1, CallKind::UpdatePin);
    assert!(is_busy(store, session_id, &terms(LONG).for_call(&intent)), "a session is leased twice");
    assert_eq!(listed(store, session_id), [], "the journal lists a call that got no lease");
    drop(first);
    assert_eq!(listed(store, session_id), [], "the journal lists a call that got no lease");
}

fn entries_of_many_callers_are_removed_or_kept(store: &dyn NonceStore, session_id: Uuid) {
    const CALLS: u128 = 10;
    let numbers = |thread: u128| (thread * CALLS + 1)..=(thread + 1) * CALLS;
    thread::scope(|scope| {
        for thread in 0..THREADS as u128 {
            scope.spawn(move || {
                for number in numbers(thread) {
                    let intent = call(number, CallKind::UpdatePin);
                    let lease = lease(store, session_id, &terms(LONG).wait(LONG).for_call(&intent));
                    lease.keep_entry(true);
                    reserve(&*lease);
                    // Of every second call the outcome stays unknown.
                    lease.keep_entry(number % 2 == 1);
                }
            });
        }
    });
    let mut kept = listed(store, session_id);
    kept.sort_unstable();
    let expected: Vec<u128> = (1..=THREADS as u128 * CALLS).filter(|number| number % 2 == 1).collect();
    assert_eq!(kept, expected, "entries of callers in several threads were lost, or stay although they were done");
    assert!(expected.into_iter().all(|number| settle(store, session_id, number)), "an entry was not found");
}

fn only_long_expired_verifications_are_dropped(store: &dyn NonceStore, session_id: Uuid) {
    let kinds = [CallKind::UpdatePin, CallKind::VerifyPin, CallKind::Other, CallKind::ChangeSession];
    for (number, kind) in (1..).zip(kinds) {
        let intent = CallIntent { token_lifetime: Duration::ZERO, ..call(number, kind) };
        lease(store, session_id, &terms(LONG).for_call(&intent)).keep_entry(true);
    }
    drop(lease(store, session_id, &terms(LONG)));
    assert_eq!(listed(store, session_id), [1, 2, 3, 4], "a call whose token has just expired was dropped");
    assert!((1..=4).all(|number| settle(store, session_id, number)), "an entry was not found");
}
