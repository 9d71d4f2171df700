//! The contracts of [`NonceSource`] and [`NonceStore`] as tests: whoever implements one runs these against it.
//!
//! Each function panics with a sentence that says which point does not hold. They are for tests alone.
//!
//! ```
//! use mixin_pin_core::MonotonicNonces;
//! use mixin_pin_store::test_suite;
//!
//! test_suite::nonce_source(&MonotonicNonces::new());
//! ```

use core::fmt::Debug;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use std::thread;
use std::time::{Instant, SystemTime};
use std::vec::Vec;

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{NonceSource, UnixTime};

use crate::{Lease, LeaseReply, LeaseTerms, NonceStore};

/// 2023, as good a time as any.
const START: u64 = 1_700_000_000_000_000_000;
const THREADS: usize = 4;

/// Holds a source to its contract, whatever it gave out before.
///
/// # Panics
/// When it breaks it.
pub fn nonce_source<S>(source: &S)
where
    S: NonceSource + Sync + ?Sized,
    S::Error: Debug,
{
    let next = |nanos| source.reserve(UnixTime::from_nanos(nanos)).expect("an iterator can be had");
    let mut last = 0;
    let mut check = |iterator: u64, when: &str| {
        assert!(iterator > last, "{when}, {iterator} followed {last}");
        last = iterator;
    };
    for step in 0..100 {
        check(next(START + step), "while the clock went on");
    }
    for _ in 0..100 {
        check(next(START), "while the clock stood still");
    }
    for step in 0..100 {
        check(next(START - step * 1_000_000_000), "while the clock went back");
    }
    check(next(0), "at the beginning of time");
    let nonce = source.next(UnixTime::from_nanos(START + 1_500_000_000)).expect("a nonce can be had");
    assert_eq!(nonce.timestamp(), (START + 1_500_000_000) / 1_000_000_000, "the timestamp is the time that was given");
    check(nonce.iterator(), "as a nonce");

    // From threads: nothing is given out twice, and each thread sees its own numbers rise.
    let per_thread: Vec<Vec<u64>> = thread::scope(|scope| {
        let take = || (0..250).map(|step| next(START + step % 7)).collect::<Vec<u64>>();
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread that takes iterators")).collect()
    });
    for taken in &per_thread {
        assert!(taken.is_sorted_by(|one, two| one < two), "a thread's iterators rise");
    }
    let mut all: Vec<u64> = per_thread.into_iter().flatten().collect();
    all.sort_unstable();
    assert!(all.is_sorted_by(|one, two| one < two), "no iterator is given out twice");
    check(all[0], "from threads");
}

/// Holds a source to the end of its contract, one whose last iterator was the last but one of all.
///
/// ```
/// use mixin_pin_core::MonotonicNonces;
/// use mixin_pin_store::test_suite;
///
/// test_suite::nonce_source_at_its_end(&MonotonicNonces::starting_after(u64::MAX - 1));
/// ```
///
/// # Panics
/// When it breaks it.
pub fn nonce_source_at_its_end<S: NonceSource + ?Sized>(source: &S)
where
    S::Error: Debug,
{
    let last = source.reserve(UnixTime::from_nanos(START)).expect("the last iterator can be had");
    assert_eq!(last, u64::MAX, "the last iterator is the greatest number");
    for now in [0, START, u64::MAX] {
        let beyond = source.reserve(UnixTime::from_nanos(now)).ok();
        assert_eq!(beyond, None, "after the end, another iterator was given out");
    }
}

/// Holds a store to its contract, on sessions of the caller's making: all different, and new to the store.
///
/// ```
/// use mixin_pin_core::uuid::Uuid;
/// use mixin_pin_store::{NonceStore, test_suite};
///
/// // A test of your store's.
/// fn keeps_the_contract(store: &dyn NonceStore) {
///     let mut last = 0;
///     test_suite::nonce_store(store, || {
///         last += 1;
///         Uuid::from_u128(last)
///     });
/// }
/// ```
///
/// # Panics
/// When it breaks it.
pub fn nonce_store(store: &dyn NonceStore, mut new_session: impl FnMut() -> Uuid) {
    a_held_session_is_a_source(store, new_session());
    a_session_is_held_by_one_at_a_time(store, new_session(), new_session());
    a_hold_whose_lease_has_ended_is_taken_over(store, new_session());
    holders_take_turns(store, new_session());
}

fn terms(lease: Duration) -> LeaseTerms {
    LeaseTerms::new(lease).with_confirmed_clock()
}

const LONG: Duration = Duration::from_secs(60);

fn held(store: &dyn NonceStore, session_id: Uuid, terms: &LeaseTerms) -> Box<dyn Lease> {
    match store.lease(session_id, terms).expect("the session can be asked for") {
        LeaseReply::Granted(held) => held,
        LeaseReply::Busy => panic!("a session that nobody holds is busy"),
        LeaseReply::ClockUnconfirmed { .. } => panic!("a confirmed clock is not believed"),
    }
}

fn is_busy(store: &dyn NonceStore, session_id: Uuid, terms: &LeaseTerms) -> bool {
    matches!(store.lease(session_id, terms).expect("the session can be asked for"), LeaseReply::Busy)
}

fn now() -> UnixTime {
    UnixTime::try_from(SystemTime::now()).expect("a clock after 1970")
}

fn a_held_session_is_a_source(store: &dyn NonceStore, session_id: Uuid) {
    let held = held(store, session_id, &terms(LONG));
    assert!(held.remaining() > LONG / 2 && held.remaining() <= LONG, "the lease is as long as was asked for");
    nonce_source(&*held);
}

fn a_session_is_held_by_one_at_a_time(store: &dyn NonceStore, one: Uuid, other: Uuid) {
    let first = held(store, one, &terms(LONG));
    let before = first.reserve(now()).expect("an iterator can be had");
    assert!(is_busy(store, one, &terms(LONG)), "a session is held twice");
    let begun = Instant::now();
    let wait = Duration::from_millis(60);
    assert!(is_busy(store, one, &terms(LONG).wait(wait)), "a session is held twice, after a wait");
    assert!(begun.elapsed() >= wait, "the wait ends early");
    drop(held(store, other, &terms(LONG)));
    drop(first);
    let second = held(store, one, &terms(LONG));
    let after = second.reserve(now()).expect("an iterator can be had");
    assert!(after > before, "the next holder's iterator, {after}, is not above {before}");
}

fn a_hold_whose_lease_has_ended_is_taken_over(store: &dyn NonceStore, session_id: Uuid) {
    // Long enough for a busy machine to take an iterator in.
    let lease = Duration::from_secs(1);
    let first = held(store, session_id, &terms(lease));
    let before = first.reserve(now()).expect("an iterator can be had");
    // As one that stalls: it neither releases nor goes on.
    let second = held(store, session_id, &terms(LONG).wait(lease * 20));
    let after = second.reserve(now()).expect("an iterator can be had");
    assert!(after > before, "the new holder's iterator, {after}, is not above {before}");
    assert_eq!(first.remaining(), Duration::ZERO, "who lost the session believes to hold it");
    assert!(first.reserve(now()).is_err(), "who lost the session gets another iterator");
    drop(first);
    assert!(is_busy(store, session_id, &terms(LONG)), "who lost the session released the new holder's hold");
    assert!(second.reserve(now()).expect("an iterator can be had") > after, "the new holder's iterators rise");
}

fn holders_take_turns(store: &dyn NonceStore, session_id: Uuid) {
    let (is_held, last) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..25 {
                    let held = held(store, session_id, &terms(LONG).wait(LONG));
                    assert!(!is_held.swap(true, Ordering::SeqCst), "two hold one session");
                    let iterator = held.reserve(now()).expect("an iterator can be had");
                    let before = last.swap(iterator, Ordering::SeqCst);
                    assert!(iterator > before, "{iterator} followed {before}");
                    is_held.store(false, Ordering::SeqCst);
                    drop(held);
                }
            });
        }
    });
}
