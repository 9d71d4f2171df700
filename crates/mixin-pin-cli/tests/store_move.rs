//! `store move`: no iterator comes again in the new store, and a run that was cut off is completed by the next one.

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use common::{Run, command, finished, keystore, run, text};
use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_store::{
    CallIntent, CallKind, LeaseReply, LeaseTerms, ManagedStore, NonceStore, SessionRecord, SqliteStore,
};
use mixin_pin_test_servers::redis::RedisServer;
use serde_json::{Value, json};
use tempfile::TempDir;

const HOUR: u64 = 3_600_000_000_000;
const ONE: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

fn now() -> u64 {
    UnixTime::try_from(SystemTime::now()).unwrap().as_nanos().unwrap()
}

/// Two stores, by URL and open.
struct Pair {
    urls: [String; 2],
    stores: [Box<dyn ManagedStore>; 2],
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "the server stops with it"))]
    redis: Option<RedisServer>,
    folder: TempDir,
}

impl Pair {
    fn sqlite() -> Self {
        Self::new([None, None])
    }

    /// A store on a Redis server where there is one, otherwise a SQLite database.
    fn new(redis: [Option<RedisServer>; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| format!("sqlite:{}", text(&folder.path().join(name)));
        let name =
            |place: usize| redis[place].as_ref().map_or_else(|| file(["from.db", "to.db"][place]), RedisServer::url);
        let urls = [name(0), name(1)];
        let stores = [0, 1].map(|place| mixin_pin_store::open(&urls[place]).unwrap());
        Self { urls, stores, redis: redis.into_iter().flatten().next(), folder }
    }

    fn from(&self) -> &dyn ManagedStore {
        &*self.stores[0]
    }

    fn to(&self) -> &dyn ManagedStore {
        &*self.stores[1]
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn move_with(&self, args: &[&str]) -> Run {
        run(&[&["--json", "store", "move", &self.urls[0], &self.urls[1], "--wait", "0"], args].concat(), b"")
    }
}

fn record(store: &dyn ManagedStore, session_id: Uuid) -> Option<SessionRecord> {
    store.sessions().unwrap().into_iter().find(|record| record.session_id == session_id)
}

fn terms() -> LeaseTerms<'static> {
    LeaseTerms::new(Duration::from_secs(60)).with_confirmed_clock()
}

/// The next iterator of a session.
fn next(store: &dyn ManagedStore, session_id: Uuid) -> u64 {
    let LeaseReply::Granted(lease) = store.lease(session_id, &terms()).unwrap() else { panic!("busy") };
    lease.reserve(UnixTime::from_nanos(now())).unwrap()
}

fn leave_unknown(store: &dyn ManagedStore, session_id: Uuid) -> Uuid {
    let (request_id, kind, token_lifetime) = (Uuid::from_u128(77), CallKind::UpdatePin, Duration::from_secs(60));
    let call = CallIntent { request_id, method: "POST".into(), path: "/pin/update".into(), kind, token_lifetime };
    let LeaseReply::Granted(lease) = store.lease(session_id, &terms().for_call(&call)).unwrap() else { panic!("busy") };
    lease.keep_entry(true);
    request_id
}

fn listed(run: &Run, name: &str) -> Vec<Value> {
    run.json()[name].as_array().unwrap_or_else(|| panic!("{run:?}")).clone()
}

/// Moves two sessions, one of them ahead of the clock.
fn assert_moved(pair: &Pair) {
    let ahead = now() + HOUR;
    pair.from().raise(ONE, ahead).unwrap();
    let last = [next(pair.from(), ONE), next(pair.from(), OTHER)];
    assert!(last[0] > ahead && last[1] < ahead);
    let moved = pair.move_with(&[]).done();
    assert_eq!((listed(&moved, "moved").len(), listed(&moved, "left")), (2, vec![]), "{moved:?}");
    assert_eq!(pair.from().sessions().unwrap(), []);
    for (session_id, last) in [ONE, OTHER].into_iter().zip(last) {
        let record = record(pair.to(), session_id).unwrap();
        assert!(record.last_iterator > last && record.raised_to > Some(last), "{record:?}");
        assert!(next(pair.to(), session_id) > record.last_iterator);
    }
    assert!(record(pair.to(), ONE).unwrap().last_iterator < ahead + HOUR / 60, "no further ahead than before");
    // There is nothing left to do.
    let again = pair.move_with(&[]).done();
    assert_eq!((listed(&again, "moved"), listed(&again, "left")), (vec![], vec![]));
    let named = pair.move_with(&[&ONE.to_string()]).done();
    assert_eq!(listed(&named, "moved").len(), 1, "it is there already");
}

#[test]
fn sessions_are_moved_between_databases() {
    assert_moved(&Pair::sqlite());
}

#[cfg(feature = "redis")]
#[test]
fn sessions_are_moved_to_redis_and_back() {
    for place in [0, 1] {
        let Some(redis) = RedisServer::start("sessions_are_moved_to_redis_and_back", &[]) else { return };
        let mut redis = [Some(redis), None];
        redis.swap(0, place);
        assert_moved(&Pair::new(redis));
    }
}

#[cfg(feature = "redis")]
#[test]
fn a_move_does_not_read_the_other_sessions_for_each_session() {
    let Some(redis) = RedisServer::start("a_move_does_not_read_the_other_sessions_for_each_session", &[]) else {
        return;
    };
    let pair = Pair::new([Some(redis), None]);
    for session in 1..=200 {
        pair.from().raise(Uuid::from_u128(session), now()).unwrap();
    }
    let count = || pair.redis.as_ref().unwrap().info("stats", "total_commands_processed").parse::<u64>().unwrap();
    let before = count();
    pair.move_with(&[&ONE.to_string()]).done();
    let sent = count() - before;
    assert!(sent < 100, "{sent} commands");
}

/// Servers of other kinds, which move sessions likewise.
#[cfg(all(unix, any(feature = "postgres", feature = "redis-ha")))]
fn assert_moved_between(url: &str) {
    for place in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let mut urls = [url.to_owned(), format!("sqlite:{}", text(&folder.path().join("other.db")))];
        urls.swap(0, place);
        let stores = urls.clone().map(|url| mixin_pin_store::open(&url).unwrap());
        let pair = Pair { urls, stores, redis: None, folder };
        assert_moved(&pair);
        // For the way back.
        for session_id in [ONE, OTHER] {
            for store in &pair.stores {
                store.forget(session_id).unwrap();
            }
        }
    }
}

#[cfg(all(unix, feature = "redis-ha"))]
#[test]
fn sessions_are_moved_to_a_server_that_sentinels_name_and_to_a_cluster() {
    use mixin_pin_test_servers::cluster::ClusterServers;
    use mixin_pin_test_servers::sentinel::SentinelServers;

    let test = "sessions_are_moved_to_a_server_that_sentinels_name_and_to_a_cluster";
    if let Some(sentinels) = SentinelServers::start(test) {
        assert_moved_between(&sentinels.url());
    }
    if let Some(cluster) = ClusterServers::start(test) {
        assert_moved_between(&cluster.url());
    }
}

#[cfg(all(unix, feature = "postgres"))]
#[test]
fn sessions_are_moved_to_postgres_and_back_once_it_has_its_tables() {
    use mixin_pin_test_servers::postgres::PostgresServer;

    let test = "sessions_are_moved_to_postgres_and_back_once_it_has_its_tables";
    let Some(server) = PostgresServer::start(test, &[]) else { return };
    let (url, folder) = (server.url(), tempfile::tempdir().unwrap());
    let database = format!("sqlite:{}", text(&folder.path().join("x.db")));
    mixin_pin_store::open(&database).unwrap();
    for (from, to, which) in [(&database, &url, "TO"), (&url, &database, "FROM")] {
        let missing = run(&["--json", "store", "move", from, to], b"");
        assert_eq!((missing.code, missing.kind().as_str()), (2, "store"), "{missing:?}");
        let message = missing.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(which) && message.contains("mixin-pin store create"), "{message}");
    }
    let create = || run(&["--json", "store", "create", "--store", &url], b"").done().json()["created"].clone();
    assert_eq!((create(), create()), (json!(true), json!(false)));
    assert_moved_between(&url);
    let people = run(&["store", "show", "--store", &url], b"").done().stdout;
    assert!(people.starts_with("PostgreSQL: 0 sessions"), "{people}");
}

#[cfg(all(unix, feature = "postgres"))]
#[test]
fn the_tables_of_postgres_can_be_created_by_hand() {
    use mixin_pin_test_servers::postgres::PostgresServer;

    let sql = run(&["store", "create", "--print"], b"").done().stdout;
    assert_eq!(
        run(&["store", "create", "--print", "--json"], b"").done().json()["sql"].as_str().map(str::trim_end),
        Some(sql.trim_end())
    );
    let Some(server) = PostgresServer::start("the_tables_of_postgres_can_be_created_by_hand", &[]) else { return };
    server.psql(&sql);
    let created = run(&["--json", "store", "create", "--store", &server.url()], b"").done();
    assert_eq!(created.json()["created"], false);
    run(&["store", "show", "--store", &server.url()], b"").done();
}

#[cfg(not(feature = "postgres"))]
#[test]
fn the_tables_of_postgres_need_its_feature() {
    let unbuilt = run(&["--json", "store", "create", "--print"], b"");
    assert_eq!((unbuilt.code, unbuilt.kind().as_str()), (2, "store"));
    assert!(unbuilt.stdout.contains("--features postgres"), "{unbuilt:?}");
}

#[test]
fn only_the_named_sessions_are_moved() {
    let pair = Pair::sqlite();
    let [one, other] = [next(pair.from(), ONE), next(pair.from(), OTHER)];
    let moved = pair.move_with(&[&OTHER.to_string()]).done();
    assert_eq!(listed(&moved, "moved")[0]["session_id"], OTHER.to_string());
    assert!(record(pair.from(), ONE).unwrap().last_iterator > one && record(pair.to(), ONE).is_none());
    assert!(record(pair.to(), OTHER).unwrap().last_iterator > other && record(pair.from(), OTHER).is_none());
    let unknown = pair.move_with(&[&Uuid::from_u128(3).to_string()]);
    assert_eq!((unknown.code, listed(&unknown, "left")[0]["reason"].as_str()), (1, Some("neither store knows it")));
}

#[test]
fn a_session_that_is_in_use_in_either_store_is_left() {
    for place in [0, 1] {
        let pair = Pair::sqlite();
        next(pair.from(), ONE);
        next(pair.from(), OTHER);
        let store = &pair.stores[place];
        let LeaseReply::Granted(lease) = store.lease(ONE, &terms()).unwrap() else { panic!("busy") };
        let moved = pair.move_with(&[]);
        assert_eq!((moved.code, listed(&moved, "moved")[0]["session_id"].as_str()), (1, Some(&*OTHER.to_string())));
        let [left] = &listed(&moved, "left")[..] else { panic!("{moved:?}") };
        assert_eq!(left["session_id"], ONE.to_string());
        let which = ["FROM", "TO"][place];
        assert!(left["reason"].as_str().unwrap().starts_with(&format!("it is in use in {which}")), "{left}");
        assert!(record(pair.from(), ONE).is_some());
        drop(lease);
        pair.move_with(&[]).done();
        assert!(record(pair.from(), ONE).is_none() && record(pair.to(), ONE).is_some());
    }
}

#[test]
fn a_session_with_pending_calls_is_left_until_they_are_settled() {
    let pair = Pair::sqlite();
    let request_id = leave_unknown(pair.from(), ONE);
    let left = pair.move_with(&[]);
    assert_eq!((left.code, listed(&left, "moved")), (1, vec![]));
    let reason = listed(&left, "left")[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("1 pending call") && reason.contains("settle"), "{reason}");
    assert!(record(pair.to(), ONE).is_none() && pair.from().pending(ONE).unwrap().len() == 1);
    // Also one whose record is lost.
    rusqlite::Connection::open(pair.path("from.db")).unwrap().execute_batch("DELETE FROM sessions").unwrap();
    let shown = run(&["--json", "store", "show", "--store", &pair.urls[0]], b"").done().json();
    assert_eq!(shown["sessions"][0]["last_iterator"], Value::Null);
    assert_eq!(
        (&shown["sessions"][0]["session_id"], &shown["sessions"][0]["pending"]),
        (&json!(ONE.to_string()), &json!(1))
    );
    assert_eq!(listed(&pair.move_with(&[]), "left").len(), 1);
    assert!(pair.from().settle(ONE, request_id).unwrap());
    next(pair.from(), ONE);
    pair.move_with(&[]).done();
    assert!(record(pair.to(), ONE).is_some());
}

/// The states in which an interruption can leave a session: in the old store alone, in both, in the new one alone.
#[test]
fn a_run_that_was_cut_off_is_completed_by_the_next() {
    let pair = Pair::sqlite();
    let ahead = now() + HOUR;
    pair.from().raise(ONE, ahead).unwrap();
    next(pair.from(), ONE);
    pair.to().raise(ONE, ahead + 10).unwrap();
    // Meanwhile a program works with the new store already.
    let used = next(pair.to(), ONE);
    pair.move_with(&[]).done();
    assert!(record(pair.from(), ONE).is_none());
    assert!(next(pair.to(), ONE) > used);
}

#[cfg(unix)]
#[test]
fn a_run_may_be_killed_at_any_instant() {
    let pair = Pair::sqlite();
    let sessions: Vec<Uuid> = (1..=20).map(Uuid::from_u128).collect();
    let last: Vec<u64> = sessions
        .iter()
        .map(|session_id| {
            pair.from().raise(*session_id, now() + HOUR).unwrap();
            next(pair.from(), *session_id)
        })
        .collect();
    for pause in 0..12 {
        let mut child = command();
        child.args(["--json", "store", "move", &pair.urls[0], &pair.urls[1]]).stdout(std::process::Stdio::null());
        let mut child = child.spawn().unwrap();
        // Other instants in each round. What must hold does not depend on them.
        std::thread::sleep(Duration::from_millis(5 * pause));
        child.kill().unwrap();
        child.wait().unwrap();
        for (session_id, last) in sessions.iter().zip(&last) {
            let [from, to] = [pair.from(), pair.to()].map(|store| record(store, *session_id));
            let is_safe = from.is_some() || to.is_some_and(|record| record.last_iterator > *last);
            assert!(is_safe, "{session_id}");
        }
    }
    run(&["store", "move", &pair.urls[0], &pair.urls[1]], b"").done();
    assert_eq!(pair.from().sessions().unwrap(), []);
    for (session_id, last) in sessions.iter().zip(last) {
        assert!(next(pair.to(), *session_id) > last);
    }
}

/// A killed run cannot release its lease of a session on a server.
#[cfg(all(unix, feature = "redis"))]
#[test]
fn a_run_that_was_killed_is_completed_by_the_same_command() {
    let Some(redis) = RedisServer::start("a_run_that_was_killed_is_completed_by_the_same_command", &[]) else { return };
    let pair = Pair::new([Some(redis), None]);
    let last = next(pair.from(), ONE);
    // The new store is locked, so the run stops while it has the lease of the old one.
    let lock = rusqlite::Connection::open(pair.path("to.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut child = command();
    child.args(["store", "move", &pair.urls[0], &pair.urls[1]]).stdout(std::process::Stdio::null());
    let mut child = child.spawn().unwrap();
    let left = loop {
        match record(pair.from(), ONE).unwrap().leased_for {
            Some(left) => break left,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    lock.execute_batch("ROLLBACK").unwrap();
    assert!(left < Duration::from_secs(36), "it ends within the default wait of 40 seconds: {left:?}");
    let busy = pair.move_with(&[]);
    let reason = listed(&busy, "left")[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("in FROM, or that store pauses") && reason.contains(", for at most 3"), "{reason}");
    // The lease ends before its time, so that the test takes no longer.
    let lease = format!("mixin-pin:{{{ONE}}}:lease");
    assert_eq!(pair.redis.as_ref().unwrap().command(&["PEXPIRE", &lease, "1500"]).trim(), "1");
    run(&["store", "move", &pair.urls[0], &pair.urls[1]], b"").done();
    assert!(record(pair.from(), ONE).is_none() && next(pair.to(), ONE) > last);
}

#[test]
fn a_session_that_was_not_used_for_long_goes_by_the_clock() {
    let pair = Pair::sqlite();
    let old = SqliteStore::open(&pair.path("from.db")).unwrap().clock(|| UnixTime::from_nanos(now() - 72 * HOUR));
    let last = {
        let LeaseReply::Granted(lease) = old.lease(ONE, &terms()).unwrap() else { panic!("busy") };
        lease.reserve(UnixTime::from_nanos(now() - 72 * HOUR)).unwrap()
    };
    let people = run(&["store", "move", &pair.urls[0], &pair.urls[1]], b"").done().stdout;
    assert!(people.contains("unused for 3 days, so its next iterator comes from the clock"), "{people}");
    assert!(people.contains("Stop every program that still uses"), "{people}");
    assert_eq!((record(pair.from(), ONE), record(pair.to(), ONE)), (None, None));
    // Only a confirmed clock leads.
    let reply = pair.to().lease(ONE, &LeaseTerms::new(Duration::from_secs(60))).unwrap();
    assert!(matches!(reply, LeaseReply::ClockUnconfirmed { ahead: None }));
    assert!(next(pair.to(), ONE) > last);
}

#[test]
fn one_store_under_two_names_is_refused_and_unchanged() {
    let refused = |from: &str, to: &str| {
        let refused = run(&["--json", "store", "move", from, to, "--wait", "0"], b"");
        assert_eq!((refused.code, refused.kind().as_str()), (2, "store"), "{refused:?}");
        refused.json()["error"]["message"].as_str().unwrap().to_owned()
    };
    let pair = Pair::sqlite();
    next(pair.from(), ONE);
    assert!(refused(&pair.urls[0], &pair.urls[0]).contains("same store"));
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(pair.path("from.db"), pair.path("link.db")).unwrap();
        assert!(refused(&pair.urls[0], &format!("sqlite:{}", text(&pair.path("link.db")))).contains("same store"));
    }
    assert!(record(pair.from(), ONE).is_some());
    for (from, to, which) in [("memory:", &*pair.urls[1], "FROM"), (&pair.urls[0], "memory:", "TO")] {
        assert!(refused(from, to).starts_with(&format!("{which}: a store in memory")));
    }
    let missing = pair.path("missing.db");
    assert!(refused(&format!("sqlite:{}", text(&missing)), &pair.urls[1]).contains("there is no database"));
    assert!(!missing.exists());
}

#[cfg(feature = "redis")]
#[test]
fn one_server_under_two_names_is_refused_and_unchanged() {
    let Some(redis) = RedisServer::start("one_server_under_two_names_is_refused_and_unchanged", &[]) else { return };
    let (url, store) = (redis.url(), mixin_pin_store::open(&redis.url()).unwrap());
    next(&*store, ONE);
    let refused = run(&["--json", "store", "move", &url, &url.replace("127.0.0.1", "localhost"), "--wait", "0"], b"");
    assert_eq!((refused.code, refused.kind().as_str()), (2, "store"), "{refused:?}");
    assert!(refused.stdout.contains("same store"), "{refused:?}");
    assert!(record(&*store, ONE).is_some());
}

#[cfg(feature = "redis")]
#[test]
fn a_url_from_the_environment_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let with = |variable: &str, value: &str| {
        let mut command = command();
        let to = format!("sqlite:{}", text(&folder.path().join("to.db")));
        command.args(["--json", "store", "move", &format!("env:{variable}"), &to, "--wait", "0"]).env("OLD", value);
        finished(command.output().unwrap())
    };
    let failed = with("OLD", "redis://bot:hunter2!x@127.0.0.1:9/");
    assert_eq!((failed.code, failed.kind().as_str()), (4, "store"), "{failed:?}");
    assert!(failed.stdout.contains("FROM: nothing listens") && !failed.stdout.contains("hunter2"), "{failed:?}");
    let missing = with("ABSENT", "");
    assert_eq!((missing.code, missing.stdout.contains("there is none of this name")), (2, true), "{missing:?}");
}

#[test]
fn the_default_database_has_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command();
    let to = format!("sqlite:{}", text(&folder.path().join("to.db")));
    command.args(["--json", "store", "move", "default", &to]).env("XDG_DATA_HOME", folder.path());
    command.env("HOME", folder.path()).env("APPDATA", folder.path());
    let missing = finished(command.output().unwrap());
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(missing.stdout.contains("there is no database"), "{missing:?}");
}

#[test]
fn stores_that_need_nothing_are_not_created() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new.db");
    for store in [&format!("sqlite:{}", text(&path)), "memory:"] {
        let created = run(&["--json", "store", "create", "--store", store], b"").done().json();
        assert_eq!(created["created"], false, "{store}");
    }
    assert!(!Path::new(&path).exists());
    let unknown = run(&["--json", "store", "create", "--store", "x"], b"");
    assert_eq!((unknown.code, unknown.kind().as_str()), (2, "store"));
    // The path of a keystore is no store.
    let wrong = run(&["store", "create", "--store", text(&keystore(folder.path(), "keystore-dashboard.json"))], b"");
    assert_eq!(wrong.code, 2);
}
