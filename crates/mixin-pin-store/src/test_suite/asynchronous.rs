//! The contract of [`AsyncNonceStore`] as tests.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;

use super::{LONG, THREADS, call, now, reserve, terms};
use crate::{AsyncLease, AsyncNonceStore, BoxFuture, CallIntent, CallKind, Error, LeaseReply, LeaseTerms};

/// Checks the contract of an async store, as [`nonce_store`](super::nonce_store) does for a blocking one. `new_session`
/// returns different sessions, which the store does not know. Needs a tokio runtime with its timer.
///
/// ```
/// use mixin_pin_store::{MemoryStore, test_suite};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// // A test of your store.
/// test_suite::async_nonce_store(&MemoryStore::new(), test_suite::new_session).await;
/// # });
/// ```
///
/// # Panics
/// If the store breaks its contract.
pub async fn async_nonce_store(store: &dyn AsyncNonceStore, mut new_session: impl FnMut() -> Uuid) {
    lease(store, new_session(), terms(LONG).wait(2 * LONG)).await.release().await;
    a_lease_has_two_iterators(store, new_session()).await;
    only_one_caller_leases_a_session(store, new_session(), new_session()).await;
    a_lease_that_ended_is_taken_over(store, new_session()).await;
    callers_take_turns(store, new_session()).await;
    callers_that_wait_hold_up_no_other_session(store, new_session(), new_session()).await;
    a_dropped_future_leaves_neither_lease_nor_entry(store, new_session()).await;
    a_call_is_listed_until_its_lease_is_released(store, new_session()).await;
    a_kept_entry_stays_until_it_is_settled(store, new_session(), new_session()).await;
    a_call_without_a_lease_leaves_no_entry(store, new_session()).await;
    a_lease_that_ended_removes_only_its_own_entry(store, new_session()).await;
    a_lease_that_ended_keeps_its_entry(store, new_session()).await;
    entries_of_many_callers_are_removed_or_kept(store, new_session()).await;
}

async fn lease(store: &dyn AsyncNonceStore, session_id: Uuid, terms: LeaseTerms<'_>) -> Box<dyn AsyncLease> {
    match store.lease(session_id, terms).await.expect("leasing succeeds") {
        LeaseReply::Granted(lease) => lease,
        LeaseReply::Busy => panic!("a free session is busy"),
        LeaseReply::ClockUnconfirmed { .. } => panic!("a confirmed clock is not accepted"),
    }
}

async fn is_busy(store: &dyn AsyncNonceStore, session_id: Uuid, terms: LeaseTerms<'_>) -> bool {
    matches!(store.lease(session_id, terms).await.expect("leasing succeeds"), LeaseReply::Busy)
}

/// The request ids of the calls that the journal lists.
async fn listed(store: &dyn AsyncNonceStore, session_id: Uuid) -> Vec<u128> {
    let pending = store.pending(session_id).await.expect("listing succeeds");
    assert!(pending.iter().all(|call| call.session_id == session_id), "the journal lists another session's call");
    let in_order = pending.is_sorted_by(|one, two| one.iterators.end() < two.iterators.start());
    assert!(in_order, "the journal does not list calls in the order of their iterators");
    pending.iter().map(|call| call.request_id.as_u128()).collect()
}

async fn settle(store: &dyn AsyncNonceStore, session_id: Uuid, number: u128) -> bool {
    store.settle(session_id, Uuid::from_u128(number)).await.expect("settling succeeds")
}

/// Polls all futures in turn until each has ended.
async fn all(mut futures: Vec<BoxFuture<'_, ()>>) {
    poll_fn(|context| {
        futures.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

async fn a_lease_has_two_iterators(store: &dyn AsyncNonceStore, session_id: Uuid) {
    let mut last = 0;
    for _ in 0..3 {
        let before = now();
        let lease = lease(store, session_id, terms(LONG)).await;
        assert!(lease.remaining() > LONG / 2 && lease.remaining() <= LONG, "the lease lasts as long as its terms say");
        assert!(lease.granted_at() >= before && lease.granted_at() <= now(), "the lease was granted at another time");
        for _ in 0..2 {
            let iterator = reserve(&*lease);
            assert!(iterator > last, "{iterator} followed {last}");
            last = iterator;
        }
        assert!(lease.reserve(now()).is_err(), "an iterator that was not reserved is given out");
        lease.release().await;
    }
}

async fn only_one_caller_leases_a_session(store: &dyn AsyncNonceStore, one: Uuid, other: Uuid) {
    let first = lease(store, one, terms(LONG)).await;
    let before = reserve(&*first);
    assert!(is_busy(store, one, terms(LONG)).await, "a session is leased twice");
    let begun = Instant::now();
    let wait = Duration::from_millis(60);
    assert!(is_busy(store, one, terms(LONG).wait(wait)).await, "a session is leased twice, after a wait");
    assert!(begun.elapsed() >= wait, "the wait ends early");
    lease(store, other, terms(LONG)).await.release().await;
    first.release().await;
    let second = lease(store, one, terms(LONG)).await;
    let after = reserve(&*second);
    assert!(after > before, "the next lease's iterator, {after}, is not above {before}");
    // Released in the background.
    drop(second);
    lease(store, one, terms(LONG).wait(LONG / 2)).await.release().await;
}

async fn a_lease_that_ended_is_taken_over(store: &dyn AsyncNonceStore, session_id: Uuid) {
    // Long enough to reserve an iterator on a busy machine.
    let duration = Duration::from_secs(1);
    let first = lease(store, session_id, terms(duration)).await;
    let before = reserve(&*first);
    let second = lease(store, session_id, terms(LONG).wait(duration * 20)).await;
    let after = reserve(&*second);
    assert!(after > before, "the new lease's iterator, {after}, is not above {before}");
    assert_eq!(first.remaining(), Duration::ZERO, "a lost lease says that time remains");
    assert!(first.reserve(now()).is_err(), "a lost lease gives out another iterator");
    first.release().await;
    assert!(is_busy(store, session_id, terms(LONG)).await, "releasing a lost lease releases the new one");
    assert!(reserve(&*second) > after, "the new lease's iterators rise");
    second.release().await;
}

async fn callers_take_turns(store: &dyn AsyncNonceStore, session_id: Uuid) {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    let (is_leased, last) = (AtomicBool::new(false), AtomicU64::new(0));
    let caller = || async {
        for _ in 0..10 {
            let lease = lease(store, session_id, terms(LONG).wait(LONG)).await;
            assert!(!is_leased.swap(true, Ordering::SeqCst), "a session is leased twice");
            let iterator = reserve(&*lease);
            let before = last.swap(iterator, Ordering::SeqCst);
            assert!(iterator > before, "{iterator} followed {before}");
            is_leased.store(false, Ordering::SeqCst);
            lease.release().await;
        }
    };
    all((0..THREADS).map(|_| Box::pin(caller()) as BoxFuture<'_, ()>).collect()).await;
}

async fn callers_that_wait_hold_up_no_other_session(store: &dyn AsyncNonceStore, one: Uuid, other: Uuid) {
    let first = lease(store, one, terms(LONG)).await;
    let wait = Duration::from_secs(2);
    let waits = || async {
        assert!(is_busy(store, one, terms(LONG).wait(wait)).await, "a session is leased twice");
    };
    let mut futures: Vec<BoxFuture<'_, ()>> = (0..64).map(|_| Box::pin(waits()) as BoxFuture<'_, ()>).collect();
    futures.push(Box::pin(async {
        let begun = Instant::now();
        for _ in 0..5 {
            lease(store, other, terms(LONG)).await.release().await;
        }
        assert!(begun.elapsed() < wait, "callers that wait hold up another session for {:?}", begun.elapsed());
    }));
    all(futures).await;
    first.release().await;
}

async fn a_dropped_future_leaves_neither_lease_nor_entry(store: &dyn AsyncNonceStore, session_id: Uuid) {
    for turn in 0..20 {
        let intent = call(1, CallKind::UpdatePin);
        let mut future = store.lease(session_id, terms(LONG).for_call(&intent));
        let is_ready = poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
        // The attempt has begun. It ends before the future is dropped, or afterwards.
        if turn % 2 == 1 && !is_ready {
            tokio::time::sleep(Duration::from_millis(turn)).await;
        }
        drop(future);
        lease(store, session_id, terms(LONG).wait(LONG / 2)).await.release().await;
        // An attempt that was still under way found the session busy, or its lease is released in the background.
        let begun = Instant::now();
        while !listed(store, session_id).await.is_empty() {
            assert!(begun.elapsed() < LONG / 2, "the journal lists the call of a dropped future");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        lease(store, session_id, terms(LONG).wait(LONG / 2)).await.release().await;
    }
}

async fn a_call_is_listed_until_its_lease_is_released(store: &dyn AsyncNonceStore, session_id: Uuid) {
    assert_eq!(listed(store, session_id).await, [], "the journal lists a call of a new session");
    let intent = CallIntent { method: "A B".into(), path: "/x y/ü".into(), ..call(1, CallKind::Other) };
    let lease = lease(store, session_id, terms(LONG).for_call(&intent)).await;
    let pending = store.pending(session_id).await.expect("listing succeeds");
    let [entry] = &pending[..] else { panic!("the journal lists {pending:?} instead of the call under way") };
    assert_eq!((entry.session_id, entry.request_id), (session_id, intent.request_id), "the entry is of another call");
    assert_eq!((&entry.method, &entry.path, entry.kind), (&intent.method, &intent.path, intent.kind), "it is altered");
    assert_eq!(entry.sent_at, lease.granted_at(), "the entry's time is not the lease's");
    let expires_at = UnixTime::from_secs(entry.sent_at.secs() + intent.token_lifetime.as_secs());
    assert_eq!(entry.expires_at, expires_at, "the token's end is not its time plus its lifetime");
    let left = entry.under_way_for.expect("a call whose lease lasts is under way");
    assert!(left > LONG / 2 && left <= LONG, "the call is under way for {left:?}, its lease lasts {LONG:?}");
    assert_eq!([reserve(&*lease), reserve(&*lease)], [*entry.iterators.start(), *entry.iterators.end()]);
    lease.release().await;
    assert_eq!(listed(store, session_id).await, [], "the journal lists a call whose outcome is known");
}

async fn a_kept_entry_stays_until_it_is_settled(store: &dyn AsyncNonceStore, session_id: Uuid, other: Uuid) {
    // Not in the order of the request ids.
    for number in [3, 1, 2] {
        let intent = call(number, CallKind::UpdatePin);
        let lease = lease(store, session_id, terms(LONG).for_call(&intent)).await;
        lease.keep_entry(true);
        lease.release().await;
    }
    assert_eq!(listed(store, session_id).await, [3, 1, 2], "entries to be kept were removed, or are out of order");
    let intent = call(4, CallKind::UpdatePin);
    let known = lease(store, session_id, terms(LONG).for_call(&intent)).await;
    known.keep_entry(true);
    let pending = store.pending(session_id).await.expect("listing succeeds");
    let under_way: Vec<bool> = pending.iter().map(|call| call.under_way_for.is_some()).collect();
    assert_eq!(under_way, [false, false, false, true], "another call than that of the lease is under way");
    let settled = store.settle(session_id, Uuid::from_u128(4)).await;
    assert!(matches!(settled, Err(Error::InUse)), "a call that is under way is settled");
    known.keep_entry(false);
    assert!(!settle(store, other, 1).await, "a call is settled by another session");
    let settled = store.settle(session_id, Uuid::from_u128(1)).await;
    assert!(matches!(settled, Ok(true)), "while another call is under way, an entry is not settled");
    known.release().await;
    assert_eq!(listed(store, session_id).await, [3, 2], "an entry not to be kept stays, or others were removed");
    assert!(!settle(store, session_id, 1).await, "an entry is settled twice");
    assert_eq!(listed(store, session_id).await, [3, 2], "settling removes another entry");
    assert!(settle(store, session_id, 2).await && settle(store, session_id, 3).await, "an entry was not found");
}

async fn a_lease_that_ended_removes_only_its_own_entry(store: &dyn AsyncNonceStore, session_id: Uuid) {
    let duration = Duration::from_millis(200);
    let calls = [1, 2].map(|number| call(number, CallKind::UpdatePin));
    let first = lease(store, session_id, terms(duration).for_call(&calls[0])).await;
    let second = lease(store, session_id, terms(LONG).wait(duration * 100).for_call(&calls[1])).await;
    assert_eq!(listed(store, session_id).await, [1, 2], "the next lease removed the entry of an unknown outcome");
    let pending = store.pending(session_id).await.expect("listing succeeds");
    assert_eq!(pending[0].under_way_for, None, "a call is under way although its lease is over");
    first.release().await;
    assert_eq!(listed(store, session_id).await, [2], "a lease that ended removes another entry than its own");
    second.release().await;
    assert_eq!(listed(store, session_id).await, [], "the journal lists a call whose outcome is known");
}

async fn a_lease_that_ended_keeps_its_entry(store: &dyn AsyncNonceStore, session_id: Uuid) {
    let duration = Duration::from_millis(200);
    let intent = call(1, CallKind::UpdatePin);
    let first = lease(store, session_id, terms(duration).for_call(&intent)).await;
    first.keep_entry(true);
    lease(store, session_id, terms(LONG).wait(duration * 100)).await.release().await;
    first.release().await;
    assert_eq!(listed(store, session_id).await, [1], "a lease that ended removes an entry to be kept");
    assert!(settle(store, session_id, 1).await, "an entry was not found");
}

async fn a_call_without_a_lease_leaves_no_entry(store: &dyn AsyncNonceStore, session_id: Uuid) {
    let first = lease(store, session_id, terms(LONG)).await;
    let intent = call(1, CallKind::UpdatePin);
    assert!(is_busy(store, session_id, terms(LONG).for_call(&intent)).await, "a session is leased twice");
    assert_eq!(listed(store, session_id).await, [], "the journal lists a call that got no lease");
    first.release().await;
    assert_eq!(listed(store, session_id).await, [], "the journal lists a call that got no lease");
}

async fn entries_of_many_callers_are_removed_or_kept(store: &dyn AsyncNonceStore, session_id: Uuid) {
    const CALLS: u128 = 10;
    let caller = |caller: u128| async move {
        for number in (caller * CALLS + 1)..=(caller + 1) * CALLS {
            let intent = call(number, CallKind::UpdatePin);
            let lease = lease(store, session_id, terms(LONG).wait(LONG).for_call(&intent)).await;
            lease.keep_entry(true);
            reserve(&*lease);
            // Of every second call the outcome stays unknown.
            lease.keep_entry(number % 2 == 1);
            lease.release().await;
        }
    };
    let callers = 0..THREADS as u128;
    all(callers.map(|number| Box::pin(caller(number)) as BoxFuture<'_, ()>).collect()).await;
    let mut kept = listed(store, session_id).await;
    kept.sort_unstable();
    let expected: Vec<u128> = (1..=THREADS as u128 * CALLS).filter(|number| number % 2 == 1).collect();
    assert_eq!(kept, expected, "entries of several callers were lost, or stay although they were done");
    for number in expected {
        assert!(settle(store, session_id, number).await, "an entry was not found");
    }
}
