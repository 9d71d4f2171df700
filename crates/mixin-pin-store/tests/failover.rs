//! The Redis store with Sentinels and on a cluster: its contract, failovers that lose the last writes, and moved sessions.
#![cfg(all(feature = "redis-ha", unix))]

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{
    assert_calls_are_listed_and_keep_their_session, assert_sessions_are_shown_and_forgotten, call, confirmed,
    new_session, now, request_ids, take_lease,
};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_store::{
    CallKind, Error, Lease, LeaseReply, LeaseTerms, ManagedStore as _, NonceStore, RedisError, RedisStore, Risk,
    test_suite,
};
use mixin_pin_test_servers::cluster::ClusterServers;
use mixin_pin_test_servers::redis::RedisServer;
use mixin_pin_test_servers::sentinel::SentinelServers;

const SECOND: Duration = Duration::from_secs(1);

/// Terms of a lease that lasts as long as this.
fn short(duration: Duration) -> LeaseTerms<'static> {
    LeaseTerms::new(duration).with_confirmed_clock()
}

fn granted(reply: LeaseReply) -> Box<dyn Lease> {
    let LeaseReply::Granted(lease) = reply else { panic!("{reply:?}") };
    lease
}

fn is_busy(store: &RedisStore, session: Uuid, terms: &LeaseTerms<'_>) -> bool {
    matches!(store.lease(session, terms).unwrap(), LeaseReply::Busy)
}

#[test]
fn the_store_conforms_with_sentinels() {
    let Some(servers) = SentinelServers::start("the_store_conforms_with_sentinels") else { return };
    let store = RedisStore::open(&servers.url()).unwrap();
    assert_sessions_are_shown_and_forgotten(&store);
    assert_calls_are_listed_and_keep_their_session(&store);
    test_suite::nonce_store(&store, new_session);
    test_suite::nonce_store(&*mixin_pin_store::open(&(servers.url() + "&replicas=1")).unwrap(), new_session);
}

#[test]
fn the_store_conforms_on_a_cluster() {
    let Some(servers) = ClusterServers::start("the_store_conforms_on_a_cluster") else { return };
    let store = RedisStore::open(&servers.url()).unwrap();
    assert_sessions_are_shown_and_forgotten(&store);
    assert_calls_are_listed_and_keep_their_session(&store);
    test_suite::nonce_store(&store, new_session);
    test_suite::nonce_store(&*mixin_pin_store::open(&(servers.url() + "&replicas=1")).unwrap(), new_session);
    // Sessions on all nodes.
    let mut leases: Vec<_> = (0..12).map(|_| take_lease(&store, new_session())).collect();
    assert!(store.sessions().unwrap().iter().filter(|record| record.leased_for.is_some()).count() >= 12);
    leases.clear();
    assert!(store.sessions().unwrap().iter().all(|record| record.leased_for.is_none()));
}

#[cfg(feature = "async")]
#[test]
fn the_async_store_conforms_with_sentinels_and_on_a_cluster() {
    let test = "the_async_store_conforms_with_sentinels_and_on_a_cluster";
    let (Some(sentinels), Some(cluster)) = (SentinelServers::start(test), ClusterServers::start(test)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for url in [sentinels.url(), sentinels.url() + "&replicas=1", cluster.url(), cluster.url() + "&replicas=1"] {
        runtime.block_on(async {
            test_suite::async_nonce_store(&mixin_pin_store::open_async(&url).await.unwrap(), new_session).await;
        });
    }
}

/// Checks that a session whose lease the server has lost is not leased again before that lease has ended. Returns the next
/// iterator.
fn assert_pauses(store: &RedisStore, session: Uuid, lost: &dyn Lease, terms: &LeaseTerms<'_>) -> u64 {
    assert!(!lost.remaining().is_zero(), "the failover took too long for this test");
    let next = granted(store.lease(session, &terms.wait(SECOND * 60)).unwrap());
    assert!(lost.remaining().is_zero(), "a second holder, {:?} before the first lease ends", lost.remaining());
    next.reserve(now()).unwrap()
}

type Leases = Vec<Box<dyn Lease>>;

/// Leases a session that the server knows and a new one, in a way that loses the leases, and checks both after the failover.
fn assert_both_pause(store: &RedisStore, sessions: [Uuid; 2], fail: impl FnOnce(&dyn Fn() -> Leases) -> Leases) {
    let terms = short(SECOND * 12);
    drop(granted(store.lease(sessions[0], &terms).unwrap()));
    let begun = now().as_nanos().unwrap();
    let lost = fail(&|| sessions.iter().map(|session| granted(store.lease(*session, &terms).unwrap())).collect());
    std::thread::scope(|scope| {
        for (session, lease) in sessions.into_iter().zip(&lost) {
            scope.spawn(move || assert!(assert_pauses(store, session, &**lease, &terms) > begun, "below the clock"));
        }
    });
}

#[test]
fn a_promoted_replica_without_the_last_leases_grants_none_before_they_have_ended() {
    let test = "a_promoted_replica_without_the_last_leases_grants_none_before_they_have_ended";
    let Some(mut servers) = SentinelServers::start(test) else { return };
    let store = RedisStore::open(&servers.url()).unwrap();
    assert_both_pause(&store, [new_session(), new_session()], |lease| servers.kill_primary_after(lease));
}

#[test]
fn a_promoted_node_without_the_last_leases_grants_none_before_they_have_ended() {
    let test = "a_promoted_node_without_the_last_leases_grants_none_before_they_have_ended";
    let Some(mut servers) = ClusterServers::start(test) else { return };
    let store = RedisStore::open(&servers.url()).unwrap();
    let known = new_session();
    let on_same_node =
        std::iter::repeat_with(new_session).find(|other| servers.primary_of(other) == servers.primary_of(known));
    let sessions = [known, on_same_node.unwrap()];
    assert_both_pause(&store, sessions, |lease| servers.kill_primary_after(known, lease));
}

#[test]
fn a_restart_without_persistence_grants_no_lease_before_the_lost_ones_have_ended() {
    let test = "a_restart_without_persistence_grants_no_lease_before_the_lost_ones_have_ended";
    let Some(mut server) = RedisServer::start(test, &[]) else { return };
    let store = RedisStore::open(&server.url()).unwrap();
    assert_both_pause(&store, [new_session(), new_session()], |lease| {
        let lost = lease();
        server.restart();
        lost
    });
    assert!(store.risks().unwrap().contains(&Risk::NotSaved));
}

#[test]
fn a_session_that_pauses_is_in_use_and_no_release_ends_that() {
    let (test, saves) = ("a_session_that_pauses_is_in_use_and_no_release_ends_that", ["--appendonly", "yes"]);
    let Some(mut server) = RedisServer::start(test, &saves) else { return };
    server.command(&["CONFIG", "SET", "appendfsync", "always"]);
    let store = RedisStore::open(&server.url()).unwrap();
    let (session, intent, terms) = (new_session(), call(CallKind::UpdatePin), short(SECOND * 8));
    let lease = granted(store.lease(session, &terms.for_call(&intent)).unwrap());
    lease.keep_entry(true);
    server.restart();
    assert!(is_busy(&store, session, &terms));
    drop(lease);
    assert!(is_busy(&store, session, &terms), "a release ended the pause");
    let shown = || store.sessions().unwrap()[0].leased_for;
    assert!(shown().is_some_and(|left| left > SECOND && left < SECOND * 10), "{:?}", shown());
    assert!(matches!(store.forget(session), Err(Error::InUse)) && matches!(store.raise(session, 5), Err(Error::InUse)));
    let pending = store.pending(session).unwrap();
    assert_eq!((request_ids(&pending), pending[0].under_way_for), (vec![intent.request_id], None));
    assert!(store.settle(session, intent.request_id).unwrap());
    drop(granted(store.lease(session, &terms.wait(SECOND * 30)).unwrap()));
    // Once, not again.
    drop(granted(store.lease(session, &terms).unwrap()));
    assert!(store.forget(session).unwrap());
}

#[test]
fn a_pause_lasts_as_long_as_the_longest_lease_although_shorter_ones_followed() {
    let test = "a_pause_lasts_as_long_as_the_longest_lease_although_shorter_ones_followed";
    let Some(mut server) = RedisServer::start(test, &["--appendonly", "yes", "--appendfsync", "always"]) else {
        return;
    };
    let (store, session) = (RedisStore::open(&server.url()).unwrap(), new_session());
    for seconds in [3_000, 2, 1_000] {
        drop(granted(store.lease(session, &short(SECOND * seconds)).unwrap()));
    }
    server.restart();
    assert!(is_busy(&store, session, &short(SECOND * 2)));
    let left: u64 = server.command(&["PTTL", &format!("mixin-pin:{{{session}}}:pause")]).parse().unwrap();
    assert!(left > 2_900_000 && left <= 3_001_000, "{left}");
}

#[test]
fn a_pause_lasts_a_day_at_most() {
    let Some(mut server) = RedisServer::start("a_pause_lasts_a_day_at_most", &[]) else { return };
    let (store, session, endless) = (RedisStore::open(&server.url()).unwrap(), new_session(), short(Duration::MAX));
    drop(granted(store.lease(session, &endless).unwrap()));
    server.restart();
    assert!(is_busy(&store, session, &endless));
    let left: u64 = server.command(&["PTTL", &format!("mixin-pin:{{{session}}}:pause")]).parse().unwrap();
    assert!(left > 86_000_000 && left <= 86_401_000, "{left}");
}

#[test]
fn a_server_that_was_up_before_the_session_was_first_leased_needs_no_pause() {
    let test = "a_server_that_was_up_before_the_session_was_first_leased_needs_no_pause";
    let Some(server) = RedisServer::start(test, &[]) else { return };
    // Nobody says that the server is new.
    let url = server.url();
    let store = RedisStore::open(url.split('?').next().unwrap()).unwrap();
    let (session, terms) = (new_session(), short(SECOND));
    let begun = Instant::now();
    drop(granted(store.lease(session, &terms.wait(SECOND * 30)).unwrap()));
    assert!(begun.elapsed() > SECOND / 2, "a server that has just started may have lost a lease");
    while server.info("server", "uptime_in_seconds").parse::<u64>().unwrap() < 3 {
        std::thread::sleep(SECOND / 20);
    }
    drop(granted(store.lease(new_session(), &terms).unwrap()));
    // A record of an earlier version says nothing of its server.
    let old = new_session();
    server.command(&["HSET", &format!("mixin-pin:{{{old}}}"), "iterator", "5"]);
    drop(granted(store.lease(old, &terms).unwrap()));
}

/// Threads lease a session in turn while `fail` runs, and for a while after it. No two have it at once, no iterator comes
/// twice, and no attempt fails. Returns the longest time without a lease.
fn assert_callers_wait(url: &str, session: Uuid, fail: impl FnOnce()) -> Duration {
    let (last, calls, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let holder = Mutex::new((Instant::now(), Duration::ZERO));
    let await_calls = |count: u64| {
        let enough = calls.load(Ordering::SeqCst) + count;
        while calls.load(Ordering::SeqCst) < enough && !stop.load(Ordering::SeqCst) {
            std::thread::sleep(SECOND / 100);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = RedisStore::open(url).unwrap();
                while !stop.load(Ordering::SeqCst) {
                    let reply = store.lease(session, &short(SECOND * 3).wait(SECOND * 60));
                    stop.fetch_or(reply.is_err(), Ordering::SeqCst);
                    let lease = granted(reply.unwrap());
                    let mut held = holder.try_lock().expect("no second holder");
                    let iterator = lease.reserve(now()).unwrap();
                    let before = last.swap(iterator, Ordering::SeqCst);
                    assert!(iterator > before, "{iterator} followed {before}");
                    std::thread::sleep(SECOND / 200);
                    *held = (Instant::now(), held.1.max(held.0.elapsed()));
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        await_calls(20);
        fail();
        await_calls(20);
        stop.store(true, Ordering::SeqCst);
    });
    holder.into_inner().unwrap().1
}

#[test]
fn callers_wait_while_the_sentinels_promote_a_replica() {
    let Some(mut servers) = SentinelServers::start("callers_wait_while_the_sentinels_promote_a_replica") else {
        return;
    };
    let url = servers.url();
    let waited = assert_callers_wait(&url, new_session(), || {
        servers.kill_primary();
        servers.wait_until_writable();
        // It accepts writes until the Sentinels make it a replica.
        servers.start_killed();
    });
    // A failover and a pause.
    assert!(waited > SECOND * 3 && waited < SECOND * 20, "{waited:?}");
}

#[test]
fn callers_wait_while_a_cluster_promotes_a_replica() {
    let Some(mut servers) = ClusterServers::start("callers_wait_while_a_cluster_promotes_a_replica") else { return };
    let (url, session) = (servers.url(), new_session());
    let waited = assert_callers_wait(&url, session, || {
        servers.kill_primary_of(session);
        servers.wait_until_writable(session);
    });
    assert!(waited > SECOND * 3 && waited < SECOND * 20, "{waited:?}");
}

#[test]
fn a_failover_is_an_error_for_a_caller_that_does_not_wait() {
    let Some(mut servers) = SentinelServers::start("a_failover_is_an_error_for_a_caller_that_does_not_wait") else {
        return;
    };
    let (store, session) = (RedisStore::open(&servers.url()).unwrap(), new_session());
    servers.kill_primary();
    let refused = store.lease(session, &confirmed()).unwrap_err();
    assert!(matches!(&refused, Error::Redis(error) if error.may_pass()), "{refused:?}");
    servers.wait_until_writable();
    assert_eq!(store.pending(session).unwrap(), []);
}

#[test]
fn leases_that_the_replicas_have_need_no_pause_after_a_promotion() {
    let test = "leases_that_the_replicas_have_need_no_pause_after_a_promotion";
    let Some(mut servers) = SentinelServers::start(test) else { return };
    let store = RedisStore::open(&(servers.url() + "&replicas=1")).unwrap();
    let (session, terms) = (new_session(), short(SECOND * 40));
    let lease = granted(store.lease(session, &terms).unwrap());
    let before = lease.reserve(now()).unwrap();
    servers.kill_primary();
    servers.wait_until_writable();
    assert!(!lease.remaining().is_zero());
    // The replica has the lease.
    assert!(lease.reserve(now()).unwrap() > before);
    drop(lease);
    servers.restore();
    let begun = Instant::now();
    drop(granted(store.lease(session, &terms.wait(SECOND * 60)).unwrap()));
    assert!(begun.elapsed() < SECOND * 5, "{:?}", begun.elapsed());
}

#[cfg(feature = "async")]
#[test]
fn async_callers_wait_for_a_promotion_and_for_replicas() {
    let Some(mut servers) = SentinelServers::start("async_callers_wait_for_a_promotion_and_for_replicas") else {
        return;
    };
    let (session, intent, terms) = (new_session(), call(CallKind::UpdatePin), short(SECOND * 3));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let url = servers.url() + "&replicas=1";
    let store = runtime.block_on(mixin_pin_store::open_async(&url)).unwrap();
    let lease = |terms: LeaseTerms<'static>| runtime.block_on(store.lease(session, terms));
    let blocking = RedisStore::open(&url).unwrap();
    servers.replica_server().signal("STOP");
    let refused = runtime.block_on(store.lease(session, terms.for_call(&intent)));
    assert!(matches!(refused, Err(Error::Redis(RedisError::FewReplicas))), "{refused:?}");
    servers.replica_server().signal("CONT");
    let LeaseReply::Granted(first) = lease(terms.wait(SECOND * 20)).unwrap() else { panic!("busy") };
    let before = first.reserve(now()).unwrap();
    assert_eq!(blocking.pending(session).unwrap(), [], "an entry of a lease that was taken back");
    servers.kill_primary();
    runtime.block_on(first.release());
    let next = std::thread::scope(|scope| {
        // Until then no lease has a replica.
        scope.spawn(|| servers.restore());
        lease(terms.wait(SECOND * 60)).unwrap()
    });
    let LeaseReply::Granted(next) = next else { panic!("busy") };
    assert!(next.reserve(now()).unwrap() > before);
}

#[test]
fn a_lease_that_too_few_replicas_have_is_taken_back() {
    let Some(servers) = SentinelServers::start("a_lease_that_too_few_replicas_have_is_taken_back") else { return };
    let store = RedisStore::open(&(servers.url() + "&replicas=1")).unwrap();
    let (session, intent) = (new_session(), call(CallKind::UpdatePin));
    let replica = servers.replica_server();
    replica.signal("STOP");
    let refused = store.lease(session, &confirmed().for_call(&intent));
    assert!(matches!(refused, Err(Error::Redis(RedisError::FewReplicas))), "{refused:?}");
    assert_eq!((store.pending(session).unwrap(), store.sessions().unwrap()[0].leased_for), (vec![], None));
    replica.signal("CONT");
    drop(granted(store.lease(session, &confirmed().for_call(&intent).wait(SECOND * 20)).unwrap()));
    let store = RedisStore::open(&servers.url()).unwrap();
    assert!(store.risks().unwrap().contains(&Risk::WritesAlone));
}

#[test]
fn a_primary_that_was_replaced_while_it_hung_grants_no_lease() {
    let Some(servers) = SentinelServers::start("a_primary_that_was_replaced_while_it_hung_grants_no_lease") else {
        return;
    };
    let store = RedisStore::open(&servers.url()).unwrap();
    let (session, terms) = (new_session(), short(SECOND));
    // This keeps a connection to the primary.
    drop(granted(store.lease(session, &terms).unwrap()));
    let former = servers.primary_server();
    former.signal("STOP");
    while servers.primary_server().port() == former.port() {
        std::thread::sleep(SECOND / 20);
    }
    former.signal("CONT");
    let LeaseReply::Granted(lease) = store.lease(session, &terms.wait(SECOND * 30)).unwrap() else { panic!("busy") };
    assert_eq!(former.info("replication", "role"), "master", "the former primary does not know yet");
    let key = format!("mixin-pin:{{{session}}}:lease");
    assert_eq!(former.command(&["EXISTS", &key]), "0");
    assert_eq!(servers.primary_server().command(&["EXISTS", &key]), "1");
    drop(lease);
}

/// A URL of these Sentinels instead.
fn with_sentinels(url: &str, ports: &[u16]) -> String {
    let (rest, hosts) = (url.split_once("/mixin").unwrap().1, ports.iter().map(|port| format!("127.0.0.1:{port}")));
    format!("redis+sentinel://{}/mixin{rest}", hosts.collect::<Vec<_>>().join(","))
}

#[test]
fn a_sentinel_that_hangs_or_lies_is_outvoted_and_one_alone_is_not_believed() {
    let test = "a_sentinel_that_hangs_or_lies_is_outvoted_and_one_alone_is_not_believed";
    let Some(servers) = SentinelServers::start(test) else { return };
    let Some(other) = RedisServer::start(test, &[]) else { return };
    let ports = servers.sentinel_ports();
    // Accepts connections and says nothing.
    let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mute_port = mute.local_addr().unwrap().port();
    let liar = sentinel_that_names(other.port());
    for bad in [mute_port, liar, 9] {
        let store = RedisStore::open(&with_sentinels(&servers.url(), &[bad, ports[0], ports[1]])).unwrap();
        drop(take_lease(&store, new_session()));
        let begun = Instant::now();
        for _ in 0..3 {
            drop(take_lease(&store, new_session()));
        }
        assert!(begun.elapsed() < SECOND * 2, "it is asked first each time: {:?}", begun.elapsed());
        let refused = RedisStore::open(&with_sentinels(&servers.url(), &[bad, ports[0]])).unwrap_err();
        assert!(matches!(refused, Error::Redis(RedisError::NoPrimary)), "{refused:?}");
    }
    assert_eq!(other.command(&["DBSIZE"]), "0");
    let unknown = servers.url().replace("/mixin", "/nix");
    let refused = RedisStore::open(&unknown).unwrap_err();
    assert!(matches!(refused, Error::Redis(RedisError::UnknownPrimary)), "{refused:?}");
}

/// A Sentinel that always names this port.
fn sentinel_that_names(port: u16) -> u16 {
    server_that_says(move |_| format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.to_string().len()))
}

/// A server that always gives the same answer, made of its own port.
fn server_that_says(answer: impl Fn(u16) -> String) -> u16 {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    let answer = answer(own);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, answer) = (stream.unwrap(), answer.clone());
            std::thread::spawn(move || {
                // Each question arrives as one piece.
                while stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            });
        }
    });
    own
}

#[test]
fn a_node_that_was_replaced_while_it_hung_grants_no_lease() {
    let Some(servers) = ClusterServers::start("a_node_that_was_replaced_while_it_hung_grants_no_lease") else { return };
    let [former, other] = [(); 2].map(|()| RedisStore::open(&servers.url()).unwrap());
    let (session, terms) = (new_session(), short(SECOND * 5));
    let old = servers.primary_of(session).unwrap();
    let sessions =
        [session, std::iter::repeat_with(new_session).find(|id| servers.primary_of(id) == Some(old)).unwrap()];
    // The stores know the node, and have a connection to it.
    drop(granted(former.lease(sessions[0], &terms).unwrap()));
    #[cfg(feature = "async")]
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    #[cfg(feature = "async")]
    let former_async = runtime.block_on(mixin_pin_store::open_async(&servers.url())).unwrap();
    #[cfg(feature = "async")]
    let lease_async = || match runtime.block_on(former_async.lease(sessions[1], terms)) {
        Ok(LeaseReply::Granted(lease)) => {
            runtime.block_on(lease.release());
            true
        }
        _ => false,
    };
    #[cfg(feature = "async")]
    assert!(lease_async());
    servers.nodes()[old].signal("STOP");
    let held = std::thread::scope(|scope| {
        let lease = |session| granted(other.lease(session, &terms.wait(SECOND * 60)).unwrap());
        sessions.map(|session| scope.spawn(move || lease(session))).map(|lease| lease.join().unwrap())
    });
    std::thread::scope(|scope| {
        let reply = scope.spawn(|| former.lease(sessions[0], &terms));
        #[cfg(feature = "async")]
        let is_granted_async = scope.spawn(lease_async);
        std::thread::sleep(SECOND / 2);
        servers.nodes()[old].signal("CONT");
        let reply = reply.join().unwrap();
        assert!(!matches!(reply, Ok(LeaseReply::Granted(_))), "two holders");
        assert!(reply.as_ref().map_or_else(Error::may_pass, |_| true), "{reply:?}");
        #[cfg(feature = "async")]
        assert!(!is_granted_async.join().unwrap(), "two holders");
    });
    drop(held);
    // The store knows the new node.
    drop(granted(former.lease(sessions[0], &terms.wait(SECOND * 20)).unwrap()));
}

#[test]
fn another_node_confirms_a_lease_unless_there_is_none() {
    let test = "another_node_confirms_a_lease_unless_there_is_none";
    let (Some(alone), Some(servers)) =
        (RedisServer::start(test, &["--cluster-enabled", "yes"]), ClusterServers::start(test))
    else {
        return;
    };
    alone.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    while !alone.command(&["CLUSTER", "INFO"]).contains("cluster_state:ok") {
        std::thread::sleep(SECOND / 50);
    }
    let url = alone.url().replace("redis:", "redis-cluster:");
    // By another name than its own, too, and with a node that is gone.
    let port = format!(":{}", alone.port());
    let other_names =
        [url.clone(), url.replace("127.0.0.1", "localhost"), url.replace(&port, &format!("{port},127.0.0.1:9"))];
    for url in other_names {
        let store = RedisStore::open(&url).unwrap();
        for _ in 0..3 {
            drop(take_lease(&store, new_session()));
        }
    }
    // The URL names one node, which knows the others.
    let session = new_session();
    let own = servers.primary_of(session).unwrap();
    let (url, hosts) = (servers.url(), servers.nodes()[own].port());
    let url = format!("redis-cluster://localhost:{hosts}?{}", url.split_once('?').unwrap().1);
    let store = RedisStore::open(&url).unwrap();
    drop(take_lease(&store, session));
    let store = RedisStore::open(&url).unwrap();
    let others = || servers.nodes().iter().enumerate().filter(|(place, _)| *place != own);
    others().for_each(|(_, node)| node.signal("STOP"));
    let refused = store.lease(session, &confirmed()).unwrap_err();
    assert!(matches!(refused, Error::Redis(RedisError::ClusterDown)), "{refused:?}");
    others().for_each(|(_, node)| node.signal("CONT"));
}

#[test]
fn nodes_that_redirect_without_end_are_called_so() {
    let port = server_that_says(|own| format!("-MOVED 5 127.0.0.1:{own}\r\n"));
    let ends = server_that_says(|_| format!("-MOVED 5 127.0.0.1:{port}\r\n"));
    for port in [port, ends] {
        let refused = RedisStore::open(&format!("redis-cluster://127.0.0.1:{port}")).unwrap_err();
        assert!(matches!(refused, Error::Redis(RedisError::Redirects)), "{refused:?}");
    }
    let moves = server_that_says(|own| format!("-ASK 5 127.0.0.1:{own}\r\n"));
    let refused = RedisStore::open(&format!("redis-cluster://127.0.0.1:{moves}")).unwrap_err();
    assert!(matches!(refused, Error::Redis(RedisError::Busy)), "{refused:?}");
}

#[test]
fn a_session_whose_slot_is_moved_stays_in_order() {
    let Some(servers) = ClusterServers::start("a_session_whose_slot_is_moved_stays_in_order") else { return };
    let session = new_session();
    let key = format!("mixin-pin:{{{session}}}");
    let from = &servers.nodes()[servers.primary_of(session).unwrap()];
    let is_target = |node: &&RedisServer| node.port() != from.port() && node.info("replication", "role") == "master";
    let to = servers.nodes().iter().find(is_target).unwrap();
    let slot = from.command(&["CLUSTER", "KEYSLOT", &key]);
    let id = |node: &RedisServer| node.command(&["CLUSTER", "MYID"]);
    let store = RedisStore::open(&servers.url()).unwrap();
    drop(take_lease(&store, session));
    assert_callers_wait(&servers.url(), session, || {
        to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &id(from)]);
        from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &id(to)]);
        let port = to.port().to_string();
        while !from.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "1"]).is_empty() {
            let keys = from.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "10"]);
            let keys: Vec<&str> = keys.lines().collect();
            from.command(&[&["MIGRATE", "127.0.0.1", &port, "", "0", "1000", "KEYS"], &keys[..]].concat());
        }
        for node in [to, from] {
            node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &id(to)]);
        }
    });
    assert_eq!(to.command(&["EXISTS", &key]), "1");
}

/// A certificate for this machine that `openssl` makes. None, and a warning, if that is missing.
#[allow(clippy::explicit_write, reason = "the test harness hides what eprintln! prints in a test that passes")]
fn certificate(test: &str, folder: &std::path::Path) -> Option<[String; 2]> {
    use std::io::Write as _;
    let files = ["key.pem", "cert.pem"].map(|name| folder.join(name).display().to_string());
    let made = std::process::Command::new("openssl")
        .args(
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
                .split(' '),
        )
        .args(["-keyout", &files[0], "-out", &files[1]])
        .stderr(std::process::Stdio::null())
        .status();
    if made.is_ok_and(|status| status.success()) {
        return Some(files);
    }
    assert!(std::env::var_os("MIXIN_PIN_REQUIRE_ALL").is_none(), "{test} needs openssl");
    writeln!(std::io::stderr(), "SKIPPED: {test} needs openssl").unwrap();
    None
}

/// The words of a server's setting: a user with exactly the rights that the error names.
fn user() -> Vec<String> {
    let text = RedisError::Forbidden.to_string();
    let commands = text.split(|c: char| !c.is_ascii_uppercase() && c != '|');
    let commands = commands.filter(|word| word.len() > 2 && *word != "NOPERM").map(|word| format!("+{word}"));
    let start = "--user bot on >s3cret ~mixin-pin:* resetchannels -@all".split(' ').map(str::to_owned);
    start.chain(commands).collect()
}

#[test]
fn users_with_the_named_rights_can_use_sentinels_with_tls() {
    let test = "users_with_the_named_rights_can_use_sentinels_with_tls";
    // The child, whose environment has the certificate.
    if let Ok(url) = std::env::var("MIXIN_PIN_TEST_URL") {
        let store = RedisStore::open(&url).unwrap();
        test_suite::nonce_store(&store, new_session);
        assert_eq!(store.risks().unwrap(), [Risk::SettingsUnknown]);
        let refused = RedisStore::open(&url.replace("qu%3Aestion", "wr0ng")).unwrap_err();
        assert!(matches!(refused, Error::Redis(RedisError::SentinelRefused)), "{refused:?}");
        assert!(!format!("{refused} {refused:?}").contains("wr0ng"));
        let refused = RedisStore::open(&url.replace("s3cret", "wrong")).unwrap_err();
        assert!(matches!(refused, Error::Redis(RedisError::PasswordWrong)), "{refused:?}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(files) = certificate(test, folder.path()) else { return };
    let user = user();
    let user: Vec<&str> = user.iter().map(String::as_str).collect();
    let of_sentinels = ["user asker on >qu:estion resetchannels -@all +sentinel|get-master-addr-by-name"];
    let Some(servers) = SentinelServers::start_with(test, Some(&files), &user, &of_sentinels) else { return };
    let url = servers.url().replace("://", "://bot:s3cret@");
    let url = url + "&sentinel_user=asker&sentinel_password=qu%3Aestion&replicas=1";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--nocapture"]).env("MIXIN_PIN_TEST_URL", url).env("SSL_CERT_FILE", &files[1]);
    assert!(child.status().unwrap().success());
}

#[test]
fn users_with_the_named_rights_can_use_a_cluster() {
    let test = "users_with_the_named_rights_can_use_a_cluster";
    let user = user();
    let user: Vec<&str> = user.iter().map(String::as_str).collect();
    let Some(servers) = ClusterServers::start_with(test, &user) else { return };
    let store = RedisStore::open(&servers.url().replace("://", "://bot:s3cret@")).unwrap();
    test_suite::nonce_store(&store, new_session);
    assert!(!store.sessions().unwrap().is_empty());
    assert_eq!(store.all_pending().unwrap(), []);
}

#[test]
fn plaintext_to_another_machine_is_refused_unless_allowed() {
    let others = ["redis://192.0.2.1", "redis+sentinel://127.0.0.1,192.0.2.1/m", "redis-cluster://[2001:db8::1]:6379"];
    for url in others {
        let refused = mixin_pin_store::open(url).err();
        assert!(matches!(refused, Some(Error::Plaintext)), "{url}: {refused:?}");
    }
    for url in ["redis://127.0.0.1:9", "redis://localhost:9", "redis://[::1]:9", "redis-cluster://127.8.9.1:9"] {
        let refused = mixin_pin_store::open(url).err();
        assert!(matches!(refused, Some(Error::Redis(_))), "{url}: {refused:?}");
    }
    let answers_elsewhere = "-MOVED 5 192.0.2.1:6379";
    let node = mixin_pin_test_servers::redis::server_that_answers(answers_elsewhere);
    let store = RedisStore::open(&node.replace("redis:", "redis-cluster:")).unwrap();
    let refused = store.lease(new_session(), &confirmed()).unwrap_err();
    assert!(matches!(refused, Error::Plaintext), "{refused:?}");
    for url in [
        "redis://127.0.0.1:9?plaintxt=allow",
        "redis://127.0.0.1:9?plaintext=yes",
        "redis://127.0.0.1:9?replicas=-1",
        "redis://127.0.0.1:9?sentinel_password=x",
        "redis+sentinel://127.0.0.1",
        "redis-cluster://127.0.0.1/1",
        "redis-cluster://",
    ] {
        let refused = mixin_pin_store::open(url).err();
        assert!(matches!(refused, Some(Error::Url)), "{url}: {refused:?}");
    }
}
