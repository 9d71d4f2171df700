//! The Redis store on a real server: its contract, failovers, clocks, and servers that cannot be used.
#![cfg(feature = "redis")]

mod common;

use std::time::Duration;

use common::{
    MINUTE, TestClock, assert_a_record_behind_its_journal_is_raised, assert_calls_are_listed_and_keep_their_session,
    assert_iterators_far_ahead_are_refused, assert_old_verifications_are_dropped, assert_sessions_are_raised,
    assert_sessions_are_shown_and_forgotten, call, confirmed, leave_unknown, new_session, now, request_ids, take_lease,
};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Error as CoreError, UnixTime};
use mixin_pin_store::{
    CallKind, Error, LeaseReply, LeaseTerms, ManagedStore, NonceStore, RedisError, RedisStore, Risk, test_suite,
};
use mixin_pin_test_servers::redis::{RedisServer, server_that_answers};

const DAY: u64 = 86_400;
const START: u64 = 1_795_517_646;

#[test]
fn the_store_conforms() {
    let Some(server) = RedisServer::start("the_store_conforms", &[]) else { return };
    test_suite::nonce_store(&RedisStore::open(&server.url()).unwrap(), new_session);
    test_suite::nonce_store(&*mixin_pin_store::open(&server.url()).unwrap(), new_session);
}

#[test]
fn iterators_rise_with_clocks_that_disagree_or_go_back_and_do_not_follow_a_leap() {
    let test = "iterators_rise_with_clocks_that_disagree_or_go_back_and_do_not_follow_a_leap";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    let session = new_session();
    let (one, other) = (TestClock::new(START), TestClock::new(START - 600));
    let open = |clock: &TestClock| RedisStore::open(&server.url()).unwrap().clock(clock.read());
    let stores = [open(&one), open(&other)];
    let unconfirmed = LeaseTerms::new(MINUTE);
    assert!(matches!(stores[0].lease(session, &unconfirmed).unwrap(), LeaseReply::ClockUnconfirmed { ahead: None }));
    let mut last = 0;
    for turn in 0..20 {
        if turn == 10 {
            one.set(START - DAY);
        }
        let iterator = take_lease(&stores[turn % 2], session).reserve(UnixTime::from_secs(START)).unwrap();
        assert!(iterator > last, "{iterator} followed {last}");
        last = iterator;
    }
    one.set(START + 400 * DAY);
    let LeaseReply::ClockUnconfirmed { ahead: Some(ahead) } = stores[0].lease(session, &unconfirmed).unwrap() else {
        panic!("a year's leap was followed")
    };
    assert!(ahead.abs_diff(Duration::from_secs(400 * DAY)) < Duration::from_millis(1), "{ahead:?}");
    assert!(matches!(stores[1].lease(session, &unconfirmed).unwrap(), LeaseReply::Granted(_)));
}

#[test]
fn after_a_failover_that_lost_the_last_write_iterators_are_not_below_the_clock() {
    let test = "after_a_failover_that_lost_the_last_write_iterators_are_not_below_the_clock";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    let store = RedisStore::open(&server.url()).unwrap();
    let session = new_session();
    let first = take_lease(&store, session);
    let before = first.reserve(now()).unwrap();
    // The failover loses the whole session and its lease.
    server.command(&["FLUSHALL"]);
    let second = take_lease(&store, session);
    assert!(second.reserve(now()).unwrap() > before);
    for _ in 0..2 {
        // Neither a reserved iterator nor a new one.
        assert!(matches!(first.reserve(now()), Err(Error::LeaseLost)), "the fence belongs to another lease");
    }
    drop(first);
    assert!(
        matches!(store.lease(session, &confirmed()).unwrap(), LeaseReply::Busy),
        "the lost lease released the new one"
    );
}

#[test]
fn a_lease_goes_on_above_its_own_iterators_although_the_record_is_lost() {
    let test = "a_lease_goes_on_above_its_own_iterators_although_the_record_is_lost";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    let store = RedisStore::open(&server.url()).unwrap();
    let (session, hour) = (new_session(), 3_600_000_000_000);
    // Above the clock.
    store.raise(session, now().as_nanos().unwrap() + hour).unwrap();
    let (lease, mut last) = (take_lease(&store, session), 0);
    for _ in 0..5 {
        let iterator = lease.reserve(now()).unwrap();
        assert!(iterator > last, "{iterator} followed {last}");
        last = iterator;
        server.command(&["DEL", &format!("mixin-pin:{{{session}}}")]);
    }
}

#[test]
fn further_iterators_wait_for_the_replicas_too() {
    let test = "further_iterators_wait_for_the_replicas_too";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    let settings = ["--replicaof", "127.0.0.1", &server.port().to_string(), "--repl-diskless-sync-delay", "0"];
    let mut replica = RedisServer::start(test, &settings).unwrap();
    while replica.info("replication", "master_link_status") != "up" {
        std::thread::sleep(Duration::from_millis(20));
    }
    let store = RedisStore::open(&(server.url() + "&replicas=1")).unwrap();
    let LeaseReply::Granted(lease) = store.lease(new_session(), &confirmed().wait(MINUTE)).unwrap() else {
        panic!("busy")
    };
    let iterators = [(); 3].map(|()| lease.reserve(now()).unwrap());
    assert!(iterators.is_sorted());
    replica.kill();
    let refused = lease.reserve(now());
    assert!(matches!(refused, Err(Error::Redis(RedisError::FewReplicas))), "{refused:?}");
}

#[test]
fn after_the_last_iterator_there_is_an_error() {
    let Some(server) = RedisServer::start("after_the_last_iterator_there_is_an_error", &[]) else { return };
    let store = RedisStore::open(&server.url()).unwrap();
    let session = new_session();
    let key = format!("mixin-pin:{{{session}}}");
    let last = (i64::MAX - 1).to_string();
    // The owner raised it almost that far.
    server.command(&["HSET", &key, "iterator", &last, "raised", &last]);
    let lease = take_lease(&store, session);
    assert_eq!(lease.reserve(now()).unwrap(), i64::MAX.unsigned_abs());
    for _ in 0..2 {
        assert!(matches!(lease.reserve(now()), Err(Error::Core(CoreError::IteratorExhausted))));
    }
    drop(lease);
    assert!(matches!(store.lease(session, &confirmed()), Err(Error::Core(CoreError::IteratorExhausted))));
}

#[test]
fn sessions_are_shown_and_forgotten_unless_they_are_leased() {
    let test = "sessions_are_shown_and_forgotten_unless_they_are_leased";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    assert_sessions_are_shown_and_forgotten(&*mixin_pin_store::open(&server.url()).unwrap());
}

#[test]
fn a_last_iterator_far_ahead_of_the_clock_is_refused_until_its_owner_raises_it() {
    let test = "a_last_iterator_far_ahead_of_the_clock_is_refused_until_its_owner_raises_it";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    let write = |session: Uuid, last: u64| {
        server.command(&["HSET", &format!("mixin-pin:{{{session}}}"), "iterator", &last.to_string()]);
    };
    assert_iterators_far_ahead_are_refused(
        &*mixin_pin_store::open(&server.url()).unwrap(),
        write,
        i64::MAX.unsigned_abs(),
    );
    // Beyond the integers of Redis.
    let store = RedisStore::open(&server.url()).unwrap();
    let session = new_session();
    write(session, u64::MAX);
    assert!(matches!(store.lease(session, &confirmed()), Err(Error::IteratorAhead { .. })));
    for foreign in ["", "-5", "007", "1e30", "12 ", "many"] {
        server.command(&["HSET", &format!("mixin-pin:{{{session}}}"), "iterator", foreign]);
        assert!(matches!(store.lease(session, &confirmed()), Err(Error::Redis(RedisError::Content))), "{foreign:?}");
        assert!(matches!(store.raise(session, 5), Err(Error::Redis(RedisError::Content))), "{foreign:?}");
    }
}

#[test]
fn calls_of_all_sessions_are_listed_and_keep_their_session() {
    let test = "calls_of_all_sessions_are_listed_and_keep_their_session";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    assert_calls_are_listed_and_keep_their_session(&*mixin_pin_store::open(&server.url()).unwrap());
}

#[test]
fn old_verifications_are_dropped() {
    let Some(server) = RedisServer::start("old_verifications_are_dropped", &[]) else { return };
    let clock = TestClock::new(START);
    assert_old_verifications_are_dropped(&RedisStore::open(&server.url()).unwrap().clock(clock.read()), &clock);
}

#[test]
fn entries_that_this_crate_never_writes_are_refused() {
    let Some(server) = RedisServer::start("entries_that_this_crate_never_writes_are_refused", &[]) else { return };
    let store = RedisStore::open(&server.url()).unwrap();
    let (session, intent) = (new_session(), call(CallKind::UpdatePin));
    let key = format!("mixin-pin:{{{session}}}:calls");
    leave_unknown(&store, session, &intent);
    let is_refused = |entry: &str| {
        server.command(&["HSET", &key, &intent.request_id.to_string(), entry]);
        matches!(store.pending(session), Err(Error::Redis(RedisError::Content)))
    };
    assert!(!is_refused("f00d update 1 2 3 4 4 POST /pin/update"), "{:?}", store.pending(session));
    assert_eq!(request_ids(&store.pending(session).unwrap()), [intent.request_id]);
    for beyond in ["f00d more 1 2 3 4 4 POST /x", "f00d update 2 1 3 4 4 POST /x", "f00d update 1 2 3 4 9 POST /x"] {
        assert!(is_refused(beyond), "{beyond}");
    }
    for foreign in
        ["", "many", "f00d update 1 2 3 4", "f00d update 1 2 -3 4 4 POST /x", "f00d UPDATE 1 2 3 4 4 POST /x"]
    {
        assert!(is_refused(foreign), "{foreign}");
        let refused = store.lease(session, &confirmed());
        assert!(matches!(refused, Err(Error::Redis(RedisError::Content))), "{foreign}: {refused:?}");
        assert!(matches!(store.forget(session), Err(Error::Unsettled)), "{foreign}");
    }
    server.command(&["DEL", &key]);
    server.command(&["SET", &key, "something else"]);
    let refused = store.lease(session, &confirmed().for_call(&intent));
    assert!(matches!(refused, Err(Error::Redis(RedisError::Content))), "{refused:?}");
    assert!(matches!(store.settle(session, intent.request_id), Err(Error::Redis(RedisError::Content))));
    server.command(&["DEL", &key]);
    assert!(
        matches!(store.lease(session, &confirmed()).unwrap(), LeaseReply::Granted(_)),
        "the refused call has a lease"
    );
}

#[test]
fn sessions_are_raised_and_never_lowered() {
    let Some(server) = RedisServer::start("sessions_are_raised_and_never_lowered", &[]) else { return };
    assert_sessions_are_raised(&*mixin_pin_store::open(&server.url()).unwrap());
}

#[test]
fn a_record_behind_its_journal_is_reported_and_raised() {
    let Some(server) = RedisServer::start("a_record_behind_its_journal_is_reported_and_raised", &[]) else { return };
    let store = RedisStore::open(&server.url()).unwrap();
    let key = |session: Uuid| format!("mixin-pin:{{{session}}}");
    assert_a_record_behind_its_journal_is_raised(&store, |session, last| {
        server.command(&["HSET", &key(session), "iterator", &last.to_string()]);
    });
    // The record was evicted, and the journal is left.
    let session = new_session();
    leave_unknown(&store, session, &call(CallKind::UpdatePin));
    let used = *store.pending(session).unwrap()[0].iterators.end();
    server.command(&["DEL", &key(session)]);
    let by = Duration::from_nanos(used);
    assert!(store.risks().unwrap().contains(&Risk::Behind { session_id: session, by }));
    let LeaseReply::Granted(lease) = store.lease(session, &LeaseTerms::new(MINUTE)).unwrap() else {
        panic!("the journal has a last iterator")
    };
    assert!(lease.reserve(now()).unwrap() > used);
}

#[test]
fn a_connection_that_the_server_closed_is_replaced() {
    let Some(server) = RedisServer::start("a_connection_that_the_server_closed_is_replaced", &[]) else { return };
    let store = RedisStore::open(&server.url()).unwrap();
    let session = new_session();
    let before = take_lease(&store, session).reserve(now()).unwrap();
    server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"]);
    assert!(take_lease(&store, session).reserve(now()).unwrap() > before);
}

#[cfg(unix)]
#[test]
fn a_lease_without_an_answer_is_taken_back_although_the_server_runs_it_later() {
    let test = "a_lease_without_an_answer_is_taken_back_although_the_server_runs_it_later";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    let store = RedisStore::open(&server.url()).unwrap();
    let (session, intent) = (new_session(), call(CallKind::UpdatePin));
    let before = take_lease(&store, session).reserve(now()).unwrap();
    server.signal("STOP");
    let refused = store.lease(session, &confirmed().for_call(&intent));
    assert!(matches!(refused, Err(Error::Redis(RedisError::TimedOut { .. }))), "{refused:?}");
    server.signal("CONT");
    std::thread::sleep(Duration::from_millis(500));
    let record = &store.sessions().unwrap()[0];
    assert!(record.last_iterator > before + 1, "the request did not run");
    assert_eq!((record.leased_for, store.pending(session).unwrap()), (None, vec![]));
}

/// Requires that each request of a store fails with this error.
macro_rules! assert_fails {
    ($store:expr, $error:pat) => {{
        let (store, session, call) = (&$store, new_session(), call(CallKind::UpdatePin));
        let refused = store.lease(session, &confirmed().for_call(&call)).unwrap_err();
        assert!(matches!(refused, Error::Redis($error)), "{refused:?}");
    }};
}

#[test]
fn each_unusable_server_has_its_own_error() {
    // Nothing listens on this port.
    assert!(matches!(RedisStore::open("redis://127.0.0.1:9/0"), Err(Error::Redis(RedisError::Refused))));
    assert!(matches!(
        RedisStore::open("redis://no-such-host.invalid/0?plaintext=allow"),
        Err(Error::Redis(RedisError::Unreachable(_)))
    ));
    let Some(mut server) = RedisServer::start("each_unusable_server_has_its_own_error", &[]) else { return };
    let elsewhere = RedisStore::open(&server.url().replace("/0", "/99"));
    assert!(matches!(elsewhere, Err(Error::Redis(RedisError::NoDatabase))), "{elsewhere:?}");
    let store = RedisStore::open(&server.url()).unwrap();
    let session = new_session();
    drop(take_lease(&store, session));

    let major = || store.risks().unwrap().into_iter().filter(|risk| !risk.is_minor()).collect::<Vec<_>>();
    assert_eq!(major(), []);
    server.command(&["CONFIG", "SET", "maxmemory", "100mb"]);
    assert_eq!(major(), []);
    server.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    assert_eq!(major(), [Risk::Eviction { policy: "allkeys-lru".into() }]);
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_fails!(store, RedisError::Full);
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);

    server.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    assert_fails!(store, RedisError::FewReplicas);
    server.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]);

    server.command(&["REPLICAOF", "127.0.0.1", "9"]);
    assert_fails!(store, RedisError::Replica);
    // It lost its primary.
    server.command(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    assert_fails!(store, RedisError::Replica);
    server.command(&["CONFIG", "SET", "replica-serve-stale-data", "yes"]);
    server.command(&["REPLICAOF", "NO", "ONE"]);

    let other = new_session();
    server.command(&["SET", &format!("mixin-pin:{{{other}}}"), "something else"]);
    let refused = store.lease(other, &confirmed()).unwrap_err();
    assert!(matches!(refused, Error::Redis(RedisError::Content)), "{refused:?}");

    // It cannot replace a folder by the file that it saves to.
    std::fs::create_dir(server.folder().join("dump.rdb")).unwrap();
    std::fs::write(server.folder().join("dump.rdb/x"), "").unwrap();
    server.command(&["CONFIG", "SET", "save", "900 1"]);
    server.command(&["BGSAVE"]);
    while !server.command(&["INFO", "persistence"]).contains("rdb_last_bgsave_status:err") {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_fails!(store, RedisError::CannotSave);
    server.command(&["CONFIG", "SET", "save", ""]);

    // It is busy with a script that never ends.
    server.command(&["CONFIG", "SET", "busy-reply-threshold", "10"]);
    let mut script = std::process::Command::new("redis-cli")
        .args(["-u", &server.url(), "EVAL", "while true do end", "0"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    while !server.command(&["PING"]).starts_with("BUSY") {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_fails!(store, RedisError::Busy);
    server.command(&["SCRIPT", "KILL"]);
    script.wait().unwrap();
    // It was promoted above, so it may have lost a lease.
    assert!(matches!(store.lease(session, &confirmed()), Ok(LeaseReply::Busy)));

    server.kill();
    assert_fails!(store, RedisError::Refused);
}

#[test]
fn risky_settings_are_reported() {
    let test = "risky_settings_are_reported";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    let store = RedisStore::open(&server.url()).unwrap();
    let set = |name: &str, value: &str| assert_eq!(server.command(&["CONFIG", "SET", name, value]), "OK");
    let late = |setting: &str| Risk::SavedLate { setting: setting.into() };
    assert_eq!(store.risks().unwrap(), [Risk::NotSaved]);
    set("save", "900 1");
    assert_eq!(store.risks().unwrap(), [late("appendonly no")]);
    set("appendonly", "yes");
    assert_eq!(store.risks().unwrap(), [late("appendfsync everysec")]);
    set("appendfsync", "no");
    assert_eq!(store.risks().unwrap(), [late("appendfsync no")]);
    set("appendfsync", "always");
    assert_eq!(store.risks().unwrap(), []);
    let settings = ["--replicaof", "127.0.0.1", &server.port().to_string(), "--repl-diskless-sync-delay", "0"];
    let _replicas = [(); 2].map(|()| RedisServer::start(test, &settings).unwrap());
    while server.info("replication", "connected_slaves") != "2" {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(store.risks().unwrap(), [Risk::WritesAlone]);
    let waiting = |replicas: u32| RedisStore::open(&format!("{}&replicas={replicas}", server.url())).unwrap();
    assert_eq!(waiting(1).risks().unwrap(), [Risk::MoreReplicas { connected: 2, awaited: 1 }]);
    assert_eq!(waiting(2).risks().unwrap(), []);
    set("min-replicas-to-write", "1");
    assert_eq!(store.risks().unwrap(), []);
}

#[test]
fn a_user_without_rights_is_told_so() {
    let Some(server) = RedisServer::start("a_user_without_rights_is_told_so", &["--requirepass", "s3cret"]) else {
        return;
    };
    let url = |user: &str| server.url().replace("redis://", &format!("redis://{user}@"));
    let refused = |user: &str| RedisStore::open(&url(user)).unwrap_err();
    let missing = RedisStore::open(&server.url()).unwrap_err();
    assert!(matches!(missing, Error::Redis(RedisError::PasswordMissing)), "{missing:?}");
    for wrong in [":wrong", "bot:s3cret"] {
        assert!(matches!(refused(wrong), Error::Redis(RedisError::PasswordWrong)), "{:?}", refused(wrong));
    }
    let set_user = |rights: &[&str]| {
        let words = [&["-a", "s3cret", "--no-auth-warning", "ACL", "SETUSER", "bot", "on", ">s3cret"][..], rights];
        assert_eq!(server.command(&words.concat()), "OK");
    };
    set_user(&["resetkeys", "~other:*", "+@all"]);
    assert_fails!(RedisStore::open(&url("bot:s3cret")).unwrap(), RedisError::Forbidden);
    // The rights that the message names are enough.
    set_user(&["resetkeys", "~mixin-pin:*", "-@all"]);
    assert!(matches!(refused("bot:s3cret"), Error::Redis(RedisError::Forbidden)), "{:?}", refused("bot:s3cret"));
    let text = RedisError::Forbidden.to_string();
    let commands = text.split(|c: char| !c.is_ascii_uppercase() && c != '|');
    let commands = commands.filter(|word| word.len() > 2 && *word != "NOPERM");
    let rights: Vec<String> = commands.map(|word| format!("+{word}")).collect();
    set_user(&rights.iter().map(String::as_str).collect::<Vec<_>>());
    let store = RedisStore::open(&url("bot:s3cret")).unwrap();
    test_suite::nonce_store(&store, new_session);
    for conforms in [assert_sessions_are_shown_and_forgotten, assert_calls_are_listed_and_keep_their_session] {
        server.command(&["-a", "s3cret", "--no-auth-warning", "FLUSHALL"]);
        conforms(&store);
    }
    assert_eq!(store.risks().unwrap(), [Risk::SettingsUnknown], "CONFIG GET is not among them");
    set_user(&["-INFO"]);
    assert_eq!(store.risks().unwrap(), [Risk::NoPause, Risk::SettingsUnknown]);
}

#[test]
fn a_cluster_without_slots_is_told_from_a_node_that_lacks_the_session() {
    let test = "a_cluster_without_slots_is_told_from_a_node_that_lacks_the_session";
    let Some(server) = RedisServer::start(test, &["--cluster-enabled", "yes"]) else { return };
    assert_fails!(RedisStore::open(&server.url()).unwrap(), RedisError::ClusterDown);
    for answer in ["-MOVED 3999 127.0.0.1:6381", "-ASK 3999 127.0.0.1:6381"] {
        assert_fails!(RedisStore::open(&server_that_answers(answer)).unwrap(), RedisError::OtherNode);
    }
}

#[test]
fn an_error_within_a_script_of_an_old_server_is_recognized() {
    let within =
        "-ERR Error running script (call to f_0a1b): @user_script:7: @user_script: 7: -MISCONF Redis is configured";
    assert_fails!(RedisStore::open(&server_that_answers(within)).unwrap(), RedisError::CannotSave);
    for (answer, is_loading) in
        [("-LOADING Redis is loading the dataset in memory", true), ("-ERR what -OOPS is", false)]
    {
        let store = RedisStore::open(&server_that_answers(answer)).unwrap();
        let error = store.lease(new_session(), &confirmed()).unwrap_err();
        assert_eq!(matches!(error, Error::Redis(RedisError::Loading)), is_loading, "{error:?}");
        assert_eq!(matches!(error, Error::Redis(RedisError::Other(_))), !is_loading, "{error:?}");
    }
}

/// The time that this takes, and its error.
#[cfg(unix)]
fn timed<T: std::fmt::Debug>(work: impl FnOnce() -> Result<T, Error>) -> (Duration, Error) {
    let begun = std::time::Instant::now();
    let error = work().unwrap_err();
    (begun.elapsed(), error)
}

#[cfg(unix)]
#[test]
fn a_hanging_server_is_waited_for_no_longer_than_asked() {
    let Some(server) = RedisServer::start("a_hanging_server_is_waited_for_no_longer_than_asked", &[]) else { return };
    let secs = Duration::from_secs;
    let store = RedisStore::open(&server.url()).unwrap();
    server.signal("STOP");
    let is_within = |(took, error): (Duration, Error), limit: Duration| {
        assert!(matches!(error, Error::Redis(RedisError::TimedOut { .. })), "{error:?}");
        assert!(took >= limit && took < limit + secs(2), "{took:?} instead of {limit:?}");
    };
    for (wait, limit) in [(secs(0), secs(1)), (secs(2), secs(2))] {
        is_within(timed(|| RedisStore::open_within(&server.url(), wait)), limit);
        // A second more takes the request back.
        is_within(timed(|| store.lease(new_session(), &confirmed().wait(wait))), limit + secs(1));
    }
    server.signal("CONT");
}

#[test]
fn a_password_is_not_shown() {
    let Some(server) = RedisServer::start("a_password_is_not_shown", &["--requirepass", "s3cret"]) else { return };
    let url = |password: &str| server.url().replace("redis://", &format!("redis://:{password}@"));
    let store = RedisStore::open(&url("s3cret")).unwrap();
    assert!(!format!("{store:?}").contains("s3cret"));
    for wrong in [url("wr0ng"), server.url()] {
        let error = RedisStore::open(&wrong).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("wr0ng"), "{error:?}");
    }
}
