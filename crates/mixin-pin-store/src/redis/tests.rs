//! Tries to lease that arrive late, run by hand on a real server.

use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;

use super::attempt::{Attempt, LeaseRequest};
use super::lease::RedisLease;
use super::{RedisStore, lease_key, mark_key, record_key};
use crate::journal::OwnEntry;
use crate::{CallIntent, CallKind, LeaseReply, LeaseTerms, NonceStore as _, PendingCall};
use mixin_pin_test_servers::redis::RedisServer;

const SESSION: Uuid = Uuid::from_u128(1);
const TERMS: LeaseTerms<'_> = LeaseTerms::new(Duration::from_secs(60)).with_confirmed_clock();

fn call() -> CallIntent {
    let (request_id, kind) = (Uuid::from_u128(9), CallKind::UpdatePin);
    let (method, path) = ("POST".to_owned(), "/pin/update".to_owned());
    CallIntent { request_id, method, path, kind, token_lifetime: Duration::from_secs(60) }
}

fn open(server: &RedisServer) -> RedisStore {
    // The clock stands still, so iterators show how often it was leased.
    RedisStore::open(&server.url()).unwrap().clock(|| UnixTime::from_secs(1_795_517_646))
}

fn request(store: &RedisStore, call: &CallIntent) -> LeaseRequest {
    LeaseRequest::new(SESSION, (store.0.clock)().unwrap(), &TERMS.for_call(call)).unwrap()
}

/// Runs one of the two tries. A grant is dropped without a release, unless the test makes it a lease.
fn run(store: &RedisStore, request: &LeaseRequest, call: &CallIntent, is_second: bool) -> Attempt {
    let answer: Vec<String> =
        store.0.on_connection(None, |connection| request.invocation(&store.0, is_second).invoke(connection)).unwrap();
    request.read(&store.0, &answer, OwnEntry::new(&TERMS.for_call(call)), is_second).unwrap().unwrap()
}

fn granted(attempt: Attempt) -> RedisLease {
    let Attempt::Granted(grant) = attempt else { panic!("not granted") };
    RedisLease(grant)
}

fn pending(store: &RedisStore) -> Vec<PendingCall> {
    let ended = |call: PendingCall| PendingCall { under_way_for: call.under_way_for.map(|_| Duration::ZERO), ..call };
    store.pending(SESSION).unwrap().into_iter().map(ended).collect()
}

fn is_leased(store: &RedisStore) -> bool {
    matches!(store.lease(SESSION, &TERMS).unwrap(), LeaseReply::Busy)
}

#[test]
fn a_try_that_arrives_after_the_release_writes_nothing() {
    let Some(server) = RedisServer::start("a_try_that_arrives_after_the_release_writes_nothing", &[]) else { return };
    let (store, call) = (open(&server), call());
    for keeps_entry in [false, true] {
        let request = request(&store, &call);
        let lease = granted(run(&store, &request, &call, true));
        crate::Lease::keep_entry(&lease, keeps_entry);
        drop(lease);
        store.settle(SESSION, call.request_id).unwrap();
        let record = || server.command(&["HGETALL", &record_key(SESSION)]);
        let before = record();
        for is_second in [false, true] {
            assert!(matches!(run(&store, &request, &call, is_second), Attempt::Busy));
            assert_eq!((pending(&store), record()), (vec![], before.clone()));
            assert_eq!(server.command(&["EXISTS", &lease_key(SESSION)]), "0");
        }
    }
}

#[test]
fn a_try_that_was_taken_back_before_it_arrives_writes_nothing() {
    let test = "a_try_that_was_taken_back_before_it_arrives_writes_nothing";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    let (store, call) = (open(&server), call());
    let by_command = |request: &LeaseRequest| {
        let command = request.release().command(&store.0);
        store.0.on_connection(None, |connection| command.query::<Vec<String>>(connection)).unwrap();
    };
    let by_hash = |request: &LeaseRequest| {
        let release = request.release();
        let invoked =
            store.0.on_connection(None, |connection| release.invocation(&store.0).invoke::<Vec<String>>(connection));
        invoked.unwrap();
    };
    for take_back in [&by_command as &dyn Fn(&LeaseRequest), &by_hash] {
        let request = request(&store, &call);
        take_back(&request);
        for is_second in [false, true] {
            assert!(matches!(run(&store, &request, &call, is_second), Attempt::Busy));
        }
        assert_eq!(server.command(&["EXISTS", &record_key(SESSION), &lease_key(SESSION)]), "0");
        assert_eq!(pending(&store), []);
    }
}

#[test]
fn a_late_first_try_changes_nothing_while_the_second_has_the_lease() {
    let test = "a_late_first_try_changes_nothing_while_the_second_has_the_lease";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    let (store, call) = (open(&server), call());
    let request = request(&store, &call);
    let lease = granted(run(&store, &request, &call, true));
    let before = pending(&store);
    assert!(before[0].under_way_for.is_some());
    assert!(matches!(run(&store, &request, &call, false), Attempt::Busy));
    assert_eq!(pending(&store), before);
    drop(lease);
    assert!(!is_leased(&store));
    assert_eq!(pending(&store), []);
}

#[test]
fn the_second_try_takes_over_what_the_first_left() {
    let Some(server) = RedisServer::start("the_second_try_takes_over_what_the_first_left", &[]) else { return };
    let (store, call) = (open(&server), call());
    let request = request(&store, &call);
    // Its answer is lost.
    assert!(matches!(run(&store, &request, &call, false), Attempt::Granted(_)));
    let first = pending(&store)[0].iterators.clone();
    let lease = granted(run(&store, &request, &call, true));
    let [entry] = &pending(&store)[..] else { panic!("one entry") };
    assert!(entry.under_way_for.is_some() && entry.iterators.start() > first.end(), "{entry:?}");
    drop(lease);
    assert!(!is_leased(&store));
    assert_eq!(pending(&store), []);
}

#[test]
fn a_second_try_that_is_busy_leaves_no_entry() {
    let Some(server) = RedisServer::start("a_second_try_that_is_busy_leaves_no_entry", &[]) else { return };
    let (store, call) = (open(&server), call());
    let request = request(&store, &call);
    assert!(matches!(run(&store, &request, &call, false), Attempt::Granted(_)));
    // Its lease ends before the second try.
    server.command(&["DEL", &lease_key(SESSION)]);
    let LeaseReply::Granted(other) = store.lease(SESSION, &TERMS).unwrap() else { panic!("busy") };
    assert!(matches!(run(&store, &request, &call, true), Attempt::Busy));
    assert_eq!(pending(&store), []);
    assert!(is_leased(&store));
    drop(other);
    assert!(matches!(run(&store, &request, &call, false), Attempt::Busy));
    assert!(!is_leased(&store));
}

#[test]
fn a_release_leaves_the_entry_that_a_later_lease_has_for_the_same_request() {
    let test = "a_release_leaves_the_entry_that_a_later_lease_has_for_the_same_request";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    let (store, call) = (open(&server), call());
    let first = granted(run(&store, &request(&store, &call), &call, false));
    server.command(&["DEL", &lease_key(SESSION)]);
    let second = granted(run(&store, &request(&store, &call), &call, false));
    drop(first);
    assert!(pending(&store)[0].under_way_for.is_some());
    drop(second);
    assert_eq!(pending(&store), []);
}

#[test]
fn a_server_that_becomes_a_replica_before_or_while_a_lease_waits_for_replicas_is_called_one() {
    let test = "a_server_that_becomes_a_replica_before_or_while_a_lease_waits_for_replicas_is_called_one";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    let store = open(&server);
    let wait = || {
        let mut wait = redis::cmd("WAIT");
        wait.arg(1).arg(4_000);
        store.0.on_connection(None, |connection| wait.query::<u32>(connection))
    };
    let assert_replica = |answer| {
        assert!(matches!(answer, Err(crate::Error::Redis(crate::RedisError::Replica))), "{answer:?}");
    };
    std::thread::scope(|scope| {
        let waiting = scope.spawn(wait);
        while server.info("clients", "blocked_clients") != "1" && !waiting.is_finished() {
            std::thread::sleep(Duration::from_millis(10));
        }
        server.command(&["REPLICAOF", "127.0.0.1", "9"]);
        assert_replica(waiting.join().unwrap());
    });
    assert_replica(wait());
}

#[test]
fn a_fence_is_marked_for_a_while_and_only_after_a_try_without_an_answer() {
    let test = "a_fence_is_marked_for_a_while_and_only_after_a_try_without_an_answer";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    let (store, call) = (open(&server), call());
    let lease_and_release = || {
        let LeaseReply::Granted(lease) = store.lease(SESSION, &TERMS.for_call(&call)).unwrap() else { panic!("busy") };
        drop(lease);
    };
    // The first time, it loads the scripts.
    lease_and_release();
    server.command(&["CONFIG", "RESETSTAT"]);
    lease_and_release();
    let statistics = server.command(&["INFO", "commandstats"]);
    assert!(statistics.contains("cmdstat_evalsha:calls=2,"), "one request to lease and one to release: {statistics}");
    assert_eq!(server.command(&["KEYS", "*"]), record_key(SESSION));
    let request = request(&store, &call);
    let lease = granted(run(&store, &request, &call, true));
    let mark = mark_key(SESSION, &lease.0.fence);
    let assert_marked = |expected: &str| {
        assert_eq!(server.command(&["GET", &mark]), expected);
        let left: u64 = server.command(&["PTTL", &mark]).parse().unwrap();
        assert!(left > 3_500_000 && left <= 3_600_000, "{left}");
    };
    assert_marked("1");
    drop(lease);
    assert_marked("2");
}
