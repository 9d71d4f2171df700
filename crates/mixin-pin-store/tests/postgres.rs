//! The PostgreSQL store on a real server: its contract, poolers, failovers, clocks, and servers that cannot be used.
#![cfg(all(feature = "postgres", unix))]

mod common;

use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{
    MINUTE, TestClock, assert_a_record_behind_its_journal_is_raised, assert_calls_are_listed_and_keep_their_session,
    assert_iterators_far_ahead_are_refused, assert_old_verifications_are_dropped, assert_sessions_are_raised,
    assert_sessions_are_shown_and_forgotten, call, confirmed, leave_unknown, new_session, now, request_ids, take_lease,
};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Error as CoreError, UnixTime};
use mixin_pin_store::{
    CallKind, Error, LeaseReply, LeaseTerms, ManagedStore, NonceStore, PostgresError, PostgresStore, Risk, test_suite,
};
use mixin_pin_test_servers::postgres::{Pooler, PostgresServer};

const DAY: u64 = 86_400;
const START: u64 = 1_795_517_646;

/// A server with the store's tables.
fn start(test: &str, settings: &[&str]) -> Option<PostgresServer> {
    let server = PostgresServer::start(test, settings)?;
    assert!(mixin_pin_store::create(&server.url()).unwrap());
    Some(server)
}

/// Sets a session's last iterator directly.
fn write(server: &PostgresServer) -> impl Fn(Uuid, u64) {
    |session, iterator| {
        server
            .psql(&format!("UPDATE mixin_pin.sessions SET last_iterator = {iterator} WHERE session_id = '{session}'"));
    }
}

#[test]
fn the_store_conforms() {
    let Some(server) = start("the_store_conforms", &[]) else { return };
    test_suite::nonce_store(&PostgresStore::open(&server.url()).unwrap(), new_session);
    test_suite::nonce_store(&*mixin_pin_store::open(&server.url()).unwrap(), new_session);
}

#[test]
fn the_store_conforms_behind_a_pooler_in_transaction_mode() {
    let test = "the_store_conforms_behind_a_pooler_in_transaction_mode";
    let Some(server) = PostgresServer::start(test, &[]) else { return };
    let Some(pooler) = Pooler::start(test, &server) else { return };
    assert!(mixin_pin_store::create(&pooler.url()).unwrap());
    assert!(!mixin_pin_store::create(&pooler.url()).unwrap());
    test_suite::nonce_store(&PostgresStore::open(&pooler.url()).unwrap(), new_session);
}

#[test]
fn the_store_conforms_where_transactions_are_serializable_or_repeatable() {
    let test = "the_store_conforms_where_transactions_are_serializable_or_repeatable";
    for isolation in ["serializable", "repeatable\\ read"] {
        let setting = format!("default_transaction_isolation={}", isolation.replace('\\', ""));
        let Some(server) = start(test, &[&setting]) else { return };
        test_suite::nonce_store(&PostgresStore::open(&server.url()).unwrap(), new_session);
    }
}

#[test]
fn a_read_that_another_transaction_comes_before_is_repeated() {
    let test = "a_read_that_another_transaction_comes_before_is_repeated";
    let settings = ["default_transaction_isolation=serializable", "max_prepared_transactions=2"];
    let Some(server) = start(test, &settings) else { return };
    let (store, session) = (PostgresStore::open(&server.url()).unwrap(), new_session());
    drop(take_lease(&store, session));
    server.psql("CREATE TABLE other AS SELECT 1 AS number");
    // A transaction reads a row that another one changes, and changes the session's. It is ready to commit, so the server ends
    // any other that reads the session.
    let outside = server.write("outside.sql", "UPDATE other SET number = 2");
    let change = format!(
        "\\! {} -h 127.0.0.1 -p {} -U postgres -d postgres -X -q -v ON_ERROR_STOP=1 -f {}",
        server.psql_command("").get_program().display(),
        server.port(),
        outside.display()
    );
    let prepared = server
        .psql_command("BEGIN")
        .args(["-c", "SELECT FROM other", "-c", "UPDATE mixin_pin.sessions SET raised_to = raised_to"])
        .args(["-c", &change, "-c", "PREPARE TRANSACTION 'ready'"])
        .output()
        .unwrap();
    assert!(prepared.status.success(), "{prepared:?}");
    let refused = server.psql_command("SELECT FROM mixin_pin.sessions").output().unwrap();
    assert!(!refused.status.success(), "the other transaction does not matter");
    std::thread::scope(|scope| {
        let listing = scope.spawn(|| store.sessions());
        let leasing = scope.spawn(|| store.lease(session, &confirmed().wait(MINUTE)).map(|_| ()));
        let forgetting = scope.spawn(|| store.forget(new_session()));
        std::thread::sleep(Duration::from_millis(200));
        server.psql("COMMIT PREPARED 'ready'");
        assert_eq!(listing.join().unwrap().unwrap().len(), 1);
        leasing.join().unwrap().unwrap();
        assert!(!forgetting.join().unwrap().unwrap());
    });
}

#[test]
fn a_user_needs_only_what_the_message_names() {
    let Some(server) = start("a_user_needs_only_what_the_message_names", &[]) else { return };
    server.psql("CREATE ROLE bot LOGIN");
    let url = server.url_of("bot");
    let refused = |result: Result<PostgresStore, Error>| {
        assert!(matches!(result, Err(Error::Postgres(PostgresError::Forbidden))), "{result:?}");
    };
    refused(PostgresStore::open(&url));
    server.psql("GRANT USAGE ON SCHEMA mixin_pin TO bot");
    refused(PostgresStore::open(&url));
    server.psql("GRANT SELECT ON ALL TABLES IN SCHEMA mixin_pin TO bot");
    let reader = PostgresStore::open(&url).unwrap();
    assert_eq!(reader.all_pending().unwrap(), []);
    let leased = reader.lease(new_session(), &confirmed());
    assert!(matches!(leased, Err(Error::Postgres(PostgresError::Forbidden))), "{leased:?}");
    server.psql("GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA mixin_pin TO bot");
    let store = PostgresStore::open(&url).unwrap();
    test_suite::nonce_store(&store, new_session);
    server.psql("DELETE FROM mixin_pin.sessions");
    assert_sessions_are_shown_and_forgotten(&store);
    assert_calls_are_listed_and_keep_their_session(&store);
    assert_eq!(store.risks().unwrap(), [Risk::PostgresNotOnDisk]);
    // It cannot create the tables in another database.
    server.psql("CREATE DATABASE empty");
    let elsewhere = url.replace("/postgres", "/empty");
    let created = PostgresStore::create(&elsewhere);
    assert!(matches!(created, Err(Error::Postgres(PostgresError::Forbidden))), "{created:?}");
}

#[test]
fn the_tables_are_made_once_and_only_on_request() {
    let Some(server) = PostgresServer::start("the_tables_are_made_once_and_only_on_request", &[]) else { return };
    let url = server.url();
    let open = || match PostgresStore::open(&url) {
        Err(Error::Postgres(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(open(), PostgresError::NoSchema), "{:?}", open());
    // Several at once.
    let created: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| PostgresStore::create(&url).unwrap())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(created.iter().filter(|created| **created).count(), 1, "{created:?}");
    assert_eq!(server.psql("SELECT count(*) FROM mixin_pin.servers WHERE first_seen = '-infinity'"), "1");
    let store = PostgresStore::open(&url).unwrap();
    drop(take_lease(&store, new_session()));

    server.psql("UPDATE mixin_pin.schema_version SET version = 2");
    assert!(matches!(open(), PostgresError::NewerSchema { found: 2 }), "{:?}", open());
    assert!(PostgresStore::create(&url).is_err());
    server.psql("UPDATE mixin_pin.schema_version SET version = 1");
    server.psql("ALTER TABLE mixin_pin.sessions RENAME COLUMN fence TO other");
    assert!(matches!(open(), PostgresError::OtherSchema), "{:?}", open());
    let leased = store.lease(new_session(), &confirmed());
    assert!(matches!(leased, Err(Error::Postgres(PostgresError::OtherSchema))), "{leased:?}");
    server.psql("DROP SCHEMA mixin_pin CASCADE");
    let leased = store.lease(new_session(), &confirmed());
    assert!(matches!(leased, Err(Error::Postgres(PostgresError::NoSchema))), "{leased:?}");
    server.psql("CREATE SCHEMA mixin_pin");
    assert!(matches!(open(), PostgresError::OtherSchema), "{:?}", open());
    assert!(matches!(PostgresStore::create(&url), Err(Error::Postgres(PostgresError::OtherSchema))));
    server.psql("DROP SCHEMA mixin_pin");
    // As an administrator does it.
    let sql = server.write("schema.sql", PostgresStore::SCHEMA);
    let done = server.psql_command("SELECT 1").args(["--single-transaction", "-f"]).arg(sql).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    drop(take_lease(&PostgresStore::open(&url).unwrap(), new_session()));
}

#[test]
fn iterators_rise_with_clocks_that_disagree_or_go_back_and_do_not_follow_a_leap() {
    let test = "iterators_rise_with_clocks_that_disagree_or_go_back_and_do_not_follow_a_leap";
    let Some(server) = start(test, &[]) else { return };
    let session = new_session();
    let (one, other) = (TestClock::new(START), TestClock::new(START - 600));
    let open = |clock: &TestClock| PostgresStore::open(&server.url()).unwrap().clock(clock.read());
    let stores = [open(&one), open(&other)];
    let unconfirmed = LeaseTerms::new(MINUTE);
    assert!(matches!(stores[0].lease(session, &unconfirmed).unwrap(), LeaseReply::ClockUnconfirmed { ahead: None }));
    assert_eq!(stores[0].sessions().unwrap(), [], "the session is still unknown");
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
fn after_the_last_iterator_there_is_an_error() {
    let Some(server) = start("after_the_last_iterator_there_is_an_error", &[]) else { return };
    let (store, session) = (PostgresStore::open(&server.url()).unwrap(), new_session());
    drop(take_lease(&store, session));
    let last = i64::MAX - 1;
    // The owner raised it almost that far.
    server.psql(&format!("UPDATE mixin_pin.sessions SET last_iterator = {last}, raised_to = {last}"));
    let lease = take_lease(&store, session);
    assert_eq!(lease.reserve(now()).unwrap(), i64::MAX.unsigned_abs());
    for _ in 0..2 {
        assert!(matches!(lease.reserve(now()), Err(Error::Core(CoreError::IteratorExhausted))));
    }
    drop(lease);
    assert!(matches!(store.lease(session, &confirmed()), Err(Error::Core(CoreError::IteratorExhausted))));
}

#[test]
fn records_are_shown_raised_forgotten_and_go_on_above_their_journal() {
    let test = "records_are_shown_raised_forgotten_and_go_on_above_their_journal";
    let Some(server) = start(test, &[]) else { return };
    let store = mixin_pin_store::open(&server.url()).unwrap();
    assert_sessions_are_shown_and_forgotten(&*store);
    assert_calls_are_listed_and_keep_their_session(&*store);
    assert_sessions_are_raised(&*store);
    assert_iterators_far_ahead_are_refused(&*store, write(&server), i64::MAX.unsigned_abs());
    assert_a_record_behind_its_journal_is_raised(&*store, write(&server));
    // The record is gone, and the journal is left.
    let session = new_session();
    leave_unknown(&*store, session, &call(CallKind::UpdatePin));
    let above = *store.pending(session).unwrap()[0].iterators.end();
    server.psql(&format!("DELETE FROM mixin_pin.sessions WHERE session_id = '{session}'"));
    assert!(
        store
            .risks()
            .unwrap()
            .iter()
            .any(|risk| matches!(risk, Risk::Behind { session_id, .. } if *session_id == session))
    );
    assert_eq!(store.raise(session, 7).unwrap(), above);
    assert!(take_lease(&*store, session).reserve(now()).unwrap() > above);
}

#[test]
fn old_verifications_are_dropped() {
    let Some(server) = start("old_verifications_are_dropped", &[]) else { return };
    let clock = TestClock::new(START);
    assert_old_verifications_are_dropped(&PostgresStore::open(&server.url()).unwrap().clock(clock.read()), &clock);
}

#[test]
fn values_that_this_crate_never_writes_are_refused() {
    let Some(server) = start("values_that_this_crate_never_writes_are_refused", &[]) else { return };
    let (store, session) = (PostgresStore::open(&server.url()).unwrap(), new_session());
    leave_unknown(&store, session, &call(CallKind::UpdatePin));
    for (change, back) in [
        ("kind = 'more'", "kind = 'update'"),
        ("first_iterator = last_iterator + 1", "first_iterator = last_iterator - 1"),
        ("sent_at = -1", "sent_at = 1"),
    ] {
        server.psql(&format!("UPDATE mixin_pin.calls SET {change}"));
        let refused = store.pending(session);
        assert!(matches!(refused, Err(Error::Postgres(PostgresError::OtherSchema))), "{change}: {refused:?}");
        server.psql(&format!("UPDATE mixin_pin.calls SET {back}"));
        assert_eq!(store.pending(session).unwrap().len(), 1);
    }
}

#[test]
fn a_connection_that_the_server_closed_is_replaced() {
    let Some(server) = start("a_connection_that_the_server_closed_is_replaced", &[]) else { return };
    let (store, session) = (PostgresStore::open(&server.url()).unwrap(), new_session());
    let before = take_lease(&store, session).reserve(now()).unwrap();
    server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mixin-pin'");
    assert!(take_lease(&store, session).reserve(now()).unwrap() > before);
}

#[test]
fn a_row_that_a_foreign_transaction_locks_is_waited_for_and_holds_up_no_other_session() {
    let test = "a_row_that_a_foreign_transaction_locks_is_waited_for_and_holds_up_no_other_session";
    let Some(server) = start(test, &[]) else { return };
    let (store, session) = (PostgresStore::open(&server.url()).unwrap(), new_session());
    drop(take_lease(&store, session));
    let lock =
        format!("BEGIN; SELECT FROM mixin_pin.sessions WHERE session_id = '{session}' FOR UPDATE; SELECT pg_sleep(60)");
    let mut foreign = server.psql_command(&lock).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while server.psql("SELECT count(*) FROM pg_locks WHERE mode = 'RowShareLock'") == "0" {
        std::thread::sleep(Duration::from_millis(10));
    }
    let begun = Instant::now();
    let refused = store.lease(session, &confirmed());
    assert!(matches!(refused, Err(Error::Postgres(PostgresError::Locked))), "{refused:?}");
    assert!(
        begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < Duration::from_secs(4),
        "{:?}",
        begun.elapsed()
    );
    drop(take_lease(&store, new_session()));
    let raised =
        PostgresStore::open_within(&server.url(), Duration::ZERO).unwrap().raise(session, now().as_nanos().unwrap());
    assert!(matches!(raised, Err(Error::Postgres(PostgresError::Locked))), "{raised:?}");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| store.lease(session, &confirmed().wait(MINUTE)).map(|_| ()));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!waiting.is_finished());
        server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()");
        waiting.join().unwrap().unwrap();
    });
    foreign.wait().unwrap();
}

#[test]
fn a_lease_whose_commit_hangs_is_taken_back() {
    let Some(server) = start("a_lease_whose_commit_hangs_is_taken_back", &[]) else { return };
    let (store, session, intent) =
        (PostgresStore::open(&server.url()).unwrap(), new_session(), call(CallKind::UpdatePin));
    let before = take_lease(&store, session).reserve(now()).unwrap();
    // Each commit that is to be on the disk waits for a standby that does not exist.
    server.psql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    server.psql("SELECT pg_reload_conf()");
    while server.psql("SHOW synchronous_standby_names") != "nobody" {
        std::thread::sleep(Duration::from_millis(10));
    }
    let begun = Instant::now();
    let refused = store.lease(session, &confirmed().for_call(&intent));
    assert!(matches!(refused, Err(Error::Postgres(PostgresError::TimedOut { .. }))), "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    while server.psql("SELECT count(*) FROM mixin_pin.sessions WHERE lease_ends IS NOT NULL") != "0"
        || !store.pending(session).unwrap().is_empty()
    {
        assert!(begun.elapsed() < MINUTE / 2, "{:?} {:?}", store.sessions(), store.pending(session));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(store.sessions().unwrap()[0].last_iterator > before + 1, "the statement has run");
    server.psql("ALTER SYSTEM RESET synchronous_standby_names");
    server.psql("SELECT pg_reload_conf()");
    while !server.psql("SHOW synchronous_standby_names").is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(take_lease(&store, session).reserve(now()).unwrap() > before);
}

/// Between the store and its server: keeps back what contains a text, until told otherwise.
mod proxy {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;
    use std::time::Duration;

    #[derive(Clone, Default)]
    pub struct Gate {
        pub is_closed: Arc<AtomicBool>,
        pub kept_back: Arc<AtomicUsize>,
        pub let_through: Arc<AtomicUsize>,
        /// Answers are lost instead of statements.
        pub loses_answers: Arc<AtomicBool>,
        /// Only the first is kept back.
        pub keeps_one: Arc<AtomicBool>,
    }

    pub fn start(server: u16, gate: &Gate, text: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let gate = gate.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, gate) = (client.unwrap(), gate.clone());
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (mut up, mut down) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let mut from_server = server;
                let is_mute = Arc::new(AtomicBool::new(false));
                let muted = is_mute.clone();
                thread::spawn(move || {
                    let mut buffer = vec![0; 65_536];
                    while let Ok(count @ 1..) = from_server.read(&mut buffer) {
                        if !muted.load(Ordering::SeqCst) && down.write_all(&buffer[..count]).is_err() {
                            break;
                        }
                    }
                    let _ = down.shutdown(Shutdown::Both);
                });
                thread::spawn(move || {
                    let (mut from_client, mut buffer) = (client, vec![0; 65_536]);
                    while let Ok(count @ 1..) = from_client.read(&mut buffer) {
                        let bytes = &buffer[..count];
                        if gate.is_closed.load(Ordering::SeqCst)
                            && bytes.windows(text.len()).any(|part| part == text.as_bytes())
                            && (gate.kept_back.fetch_add(1, Ordering::SeqCst) == 0
                                || !gate.keeps_one.load(Ordering::SeqCst))
                        {
                            if gate.loses_answers.load(Ordering::SeqCst) {
                                is_mute.store(true, Ordering::SeqCst);
                            } else {
                                while gate.is_closed.load(Ordering::SeqCst) {
                                    thread::sleep(Duration::from_millis(1));
                                }
                            }
                            up.write_all(bytes).unwrap();
                            gate.let_through.fetch_add(1, Ordering::SeqCst);
                        } else if up.write_all(bytes).is_err() {
                            break;
                        }
                    }
                    // What was kept back runs, although its client has gone.
                    thread::sleep(Duration::from_millis(200));
                    let _ = up.shutdown(Shutdown::Both);
                });
            }
        });
        port
    }
}

#[test]
fn a_statement_that_arrives_late_or_whose_answer_is_lost_changes_nothing() {
    use std::sync::atomic::Ordering;

    let test = "a_statement_that_arrives_late_or_whose_answer_is_lost_changes_nothing";
    let Some(server) = start(test, &[]) else { return };
    for loses_answers in [false, true] {
        let gate = proxy::Gate::default();
        gate.loses_answers.store(loses_answers, Ordering::SeqCst);
        let port = proxy::start(server.port(), &gate, "SKIP LOCKED");
        let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
        let (store, session, intent) = (PostgresStore::open(&url).unwrap(), new_session(), call(CallKind::UpdatePin));
        let before = take_lease(&store, session).reserve(now()).unwrap();
        let record = || server.psql(&format!("SELECT * FROM mixin_pin.sessions WHERE session_id = '{session}'"));
        gate.is_closed.store(true, Ordering::SeqCst);
        let refused = store.lease(session, &confirmed().for_call(&intent));
        assert!(matches!(refused, Err(Error::Postgres(PostgresError::TimedOut { .. }))), "{refused:?}");
        assert_eq!(gate.kept_back.load(Ordering::SeqCst), 1, "a lease is swapped once");
        let taken_back = record();
        assert_eq!(store.pending(session).unwrap(), []);
        gate.is_closed.store(false, Ordering::SeqCst);
        while gate.let_through.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(record(), taken_back, "the late statement has changed the row");
        assert_eq!(store.pending(session).unwrap(), []);
        let lease = take_lease(&store, session);
        assert!(lease.reserve(now()).unwrap() > before);
    }
}

#[test]
fn an_iterator_that_is_reserved_late_lowers_nothing() {
    use std::sync::atomic::Ordering;

    let Some(server) = start("an_iterator_that_is_reserved_late_lowers_nothing", &[]) else { return };
    let gate = proxy::Gate::default();
    gate.keeps_one.store(true, Ordering::SeqCst);
    let port = proxy::start(
        server.port(),
        &gate,
        "FROM setting\n    WHERE s.session_id = $2 AND s.fence = $3 AND s.lease_ends",
    );
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    let (store, session) = (PostgresStore::open_within(&url, Duration::from_secs(2)).unwrap(), new_session());
    // Ahead of the clock, so each iterator is one above the last.
    store.raise(session, now().as_nanos().unwrap() + 3_600_000_000_000).unwrap();
    let lease = take_lease(&store, session);
    let reserve = || lease.reserve(now());
    let mut last = reserve().unwrap().max(reserve().unwrap());
    gate.is_closed.store(true, Ordering::SeqCst);
    let refused = reserve();
    assert!(matches!(refused, Err(Error::Postgres(PostgresError::TimedOut { .. }))), "{refused:?}");
    for _ in 0..3 {
        let next = reserve().unwrap();
        assert!(next > last, "{next} followed {last}");
        last = next;
    }
    gate.is_closed.store(false, Ordering::SeqCst);
    while gate.let_through.load(Ordering::SeqCst) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_millis(300));
    drop(lease);
    let next = take_lease(&store, session).reserve(now()).unwrap();
    assert!(next > last, "{next} followed {last}");
}

#[test]
fn an_iterator_that_is_reserved_during_an_attempt_is_not_repeated() {
    use std::sync::atomic::Ordering;

    let Some(server) = start("an_iterator_that_is_reserved_during_an_attempt_is_not_repeated", &[]) else { return };
    let gate = proxy::Gate::default();
    gate.keeps_one.store(true, Ordering::SeqCst);
    let port = proxy::start(server.port(), &gate, "SKIP LOCKED");
    let url = format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable");
    let (store, session) = (PostgresStore::open(&url).unwrap(), new_session());
    drop(take_lease(&PostgresStore::open(&server.url()).unwrap(), session));
    gate.is_closed.store(true, Ordering::SeqCst);
    let reserved = now().as_nanos().unwrap() + 60_000_000_000;
    let lease = std::thread::scope(|scope| {
        let leasing = scope.spawn(|| take_lease_for(&store, session, &confirmed().wait(MINUTE)));
        while gate.kept_back.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        write(&server)(session, reserved);
        gate.is_closed.store(false, Ordering::SeqCst);
        leasing.join().unwrap()
    });
    assert!(lease.reserve(now()).unwrap() > reserved);
}

#[test]
fn a_server_that_was_never_seen_leases_nothing_until_a_lost_lease_is_over() {
    let test = "a_server_that_was_never_seen_leases_nothing_until_a_lost_lease_is_over";
    let Some(server) = start(test, &[]) else { return };
    let (store, session) = (PostgresStore::open(&server.url()).unwrap(), new_session());
    let terms = |milliseconds| LeaseTerms::new(Duration::from_millis(milliseconds)).with_confirmed_clock();
    let is_busy = |terms: &LeaseTerms<'_>| matches!(store.lease(session, terms).unwrap(), LeaseReply::Busy);
    // Its longest lease lasted for three seconds. Its last was shorter, and its next is.
    drop(store.lease(session, &terms(3_000)).unwrap());
    drop(store.lease(session, &terms(50)).unwrap());
    server.psql("UPDATE mixin_pin.servers SET server = 'another', first_seen = now()");
    assert!(is_busy(&terms(100)));
    let begun = Instant::now();
    assert_eq!(server.psql("SELECT count(*) FROM mixin_pin.servers"), "2");
    assert!(is_busy(&terms(100).wait(Duration::from_millis(1_500))));
    assert!(matches!(store.lease(session, &terms(100).wait(MINUTE)).unwrap(), LeaseReply::Granted(_)));
    assert!(begun.elapsed() > Duration::from_millis(2_800), "{:?}", begun.elapsed());
    // The clock was ahead when the server was first seen. So the pause begins now.
    server.psql("UPDATE mixin_pin.servers SET first_seen = now() + interval '1 day' WHERE server <> 'another'");
    let begun = Instant::now();
    assert!(is_busy(&terms(100)));
    assert!(matches!(store.lease(session, &terms(100).wait(MINUTE)).unwrap(), LeaseReply::Granted(_)));
    assert!(begun.elapsed() > Duration::from_millis(2_800), "{:?}", begun.elapsed());
    // Nothing pauses for more than a day.
    server.psql("UPDATE mixin_pin.servers SET first_seen = now() - interval '1 day' WHERE server <> 'another'");
    drop(take_lease_for(&store, new_session(), &terms(2 * DAY * 1_000)));
    server.psql("UPDATE mixin_pin.servers SET first_seen = now() - interval '10 s' WHERE server <> 'another'");
    // The own terms count for a new session, and others are not affected by that.
    assert!(matches!(store.lease(new_session(), &terms(60_000)).unwrap(), LeaseReply::Busy));
    drop(take_lease_for(&store, new_session(), &terms(1_000)));
}

#[test]
fn a_dump_that_is_restored_in_the_same_server_counts_as_another_server() {
    let test = "a_dump_that_is_restored_in_the_same_server_counts_as_another_server";
    let Some(server) = start(test, &["fsync=on"]) else { return };
    let (store, session) = (PostgresStore::open(&server.url()).unwrap(), new_session());
    drop(take_lease(&store, session));
    let dump = server.dump();
    let lost = take_lease(&store, session);
    server.psql("DROP SCHEMA mixin_pin CASCADE");
    server.psql_file(&server.write("dump.sql", &dump));
    let leased = store.lease(session, &confirmed()).unwrap();
    assert!(matches!(leased, LeaseReply::Busy), "{leased:?}, and the first has {:?}", lost.remaining());
    let short = LeaseTerms::new(Duration::from_millis(100)).with_confirmed_clock();
    drop(take_lease_for(&store, new_session(), &short.wait(MINUTE)));
    // A database that is copied with its tables.
    drop(store);
    server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mixin-pin'");
    let copied = server.psql_command("CREATE DATABASE copy TEMPLATE postgres").args(["-d", "template1"]).output();
    let copied = copied.unwrap();
    assert!(copied.status.success(), "{copied:?}");
    let copy = PostgresStore::open(&format!("postgres://postgres@127.0.0.1:{}/copy", server.port())).unwrap();
    assert!(matches!(copy.lease(new_session(), &short).unwrap(), LeaseReply::Busy));
}

fn take_lease_for(store: &PostgresStore, session: Uuid, terms: &LeaseTerms<'_>) -> Box<dyn mixin_pin_store::Lease> {
    let LeaseReply::Granted(lease) = store.lease(session, terms).unwrap() else { panic!("busy") };
    lease
}

#[test]
fn a_promoted_standby_that_lost_a_lease_does_not_lease_twice() {
    let test = "a_promoted_standby_that_lost_a_lease_does_not_lease_twice";
    let Some(mut server) = start(test, &["fsync=on"]) else { return };
    let standby = server.standby();
    let url = format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/postgres", server.port(), standby.port());
    let (store, session) = (PostgresStore::open(&url).unwrap(), new_session());
    assert!(matches!(
        PostgresStore::open(&standby.url()).unwrap().lease(session, &confirmed()),
        Err(Error::Postgres(PostgresError::ReadOnly))
    ));
    // The pause lasts as long as the longest lease that is known.
    let terms = LeaseTerms::new(Duration::from_secs(4)).with_confirmed_clock().wait(MINUTE);
    let before = take_lease_for(&store, session, &terms).reserve(now()).unwrap();
    let sql =
        format!("SELECT count(*) FROM mixin_pin.sessions WHERE last_iterator = {} AND lease_ends IS NULL", before + 1);
    while standby.psql(&sql) != "1" {
        std::thread::sleep(Duration::from_millis(10));
    }
    // The standby stops to replicate.
    standby.psql("ALTER SYSTEM SET primary_conninfo = ''");
    standby.psql("SELECT pg_reload_conf()");
    while server.psql("SELECT count(*) FROM pg_stat_replication") != "0" {
        std::thread::sleep(Duration::from_millis(10));
    }
    let begun = Instant::now();
    let lost = take_lease_for(&store, session, &terms);
    let iterator = lost.reserve(now()).unwrap();
    server.kill();
    let other = std::thread::scope(|scope| {
        let other = scope.spawn(|| take_lease_for(&store, session, &terms));
        standby.promote();
        other.join().unwrap()
    });
    assert!(begun.elapsed() > Duration::from_secs(4), "both hold it: {:?}", begun.elapsed());
    assert_eq!(lost.remaining(), Duration::ZERO);
    assert!(other.reserve(now()).unwrap() > iterator);
    assert!(matches!(lost.reserve(now()), Err(Error::LeaseLost)));
    drop(lost);
    assert!(matches!(store.lease(session, &confirmed()).unwrap(), LeaseReply::Busy), "the lost lease was released");
}

#[test]
fn a_restart_is_waited_for_and_loses_nothing_although_commits_are_asynchronous() {
    let test = "a_restart_is_waited_for_and_loses_nothing_although_commits_are_asynchronous";
    let settings = ["fsync=on", "synchronous_commit=off", "wal_writer_delay=10s"];
    let Some(mut server) = start(test, &settings) else { return };
    let (store, session, intent) =
        (PostgresStore::open(&server.url()).unwrap(), new_session(), call(CallKind::UpdatePin));
    assert_eq!(store.risks().unwrap(), []);
    let terms = confirmed();
    let LeaseReply::Granted(lease) = store.lease(session, &terms.for_call(&intent)).unwrap() else { panic!("busy") };
    server.kill();
    let refused = store.lease(new_session(), &confirmed());
    assert!(matches!(refused, Err(Error::Postgres(PostgresError::Refused))), "{refused:?}");
    std::thread::scope(|scope| {
        let other = scope.spawn(|| store.lease(new_session(), &confirmed().wait(MINUTE)).unwrap());
        std::thread::sleep(Duration::from_millis(300));
        server.restart();
        assert!(matches!(other.join().unwrap(), LeaseReply::Granted(_)), "there is no pause after a restart");
    });
    let [entry] = &store.pending(session).unwrap()[..] else { panic!("the entry is lost") };
    assert!(entry.under_way_for.is_some());
    assert!(matches!(store.lease(session, &confirmed()).unwrap(), LeaseReply::Busy));
    assert_eq!(lease.reserve(now()).unwrap(), *entry.iterators.start());
    // A release that does not reach the server is repeated.
    lease.keep_entry(true);
    server.kill();
    drop(lease);
    server.restart();
    assert!(matches!(store.lease(session, &confirmed().wait(MINUTE / 4)).unwrap(), LeaseReply::Granted(_)));
    assert_eq!(request_ids(&store.pending(session).unwrap()), [intent.request_id]);
}

#[test]
fn without_fsync_a_restart_counts_as_another_server() {
    let Some(mut server) = start("without_fsync_a_restart_counts_as_another_server", &[]) else { return };
    let store = PostgresStore::open(&server.url()).unwrap();
    assert_eq!(store.risks().unwrap(), [Risk::PostgresNotOnDisk]);
    server.restart();
    assert!(matches!(store.lease(new_session(), &confirmed()).unwrap(), LeaseReply::Busy));
}

/// Requires that each request of a store fails with this error.
macro_rules! assert_fails {
    ($store:expr, $error:pat) => {{
        let (store, session, call) = (&$store, new_session(), call(CallKind::UpdatePin));
        let refused = store.lease(session, &confirmed().for_call(&call)).unwrap_err();
        assert!(matches!(refused, Error::Postgres($error)), "{refused:?}");
    }};
}

#[test]
fn each_unusable_server_has_its_own_error() {
    let refused = |url: &str| match PostgresStore::open(url) {
        Err(Error::Postgres(error)) => error,
        other => panic!("{other:?}"),
    };
    // Nothing listens on this port.
    let error = refused("postgres://postgres@127.0.0.1:9/postgres");
    assert!(matches!(error, PostgresError::Refused) && error.may_pass(), "{error:?}");
    let error = refused("postgres://postgres@no-such-host.invalid/postgres");
    assert!(matches!(error, PostgresError::Unreachable(_)), "{error:?}");
    let error = refused("postgres://postgres@%2Fno%2Fsuch%2Ffolder/postgres");
    assert!(matches!(error, PostgresError::Refused), "{error:?}");
    let Some(mut server) = start("each_unusable_server_has_its_own_error", &[]) else { return };
    let error = refused(&(server.url() + "_of_nobody"));
    assert!(matches!(error, PostgresError::NoDatabase), "{error:?}");
    let error = refused(&server.url_of("nobody"));
    assert!(matches!(error, PostgresError::NotAdmitted), "{error:?}");
    let error = refused(&(server.url() + "?sslmode=require"));
    assert!(matches!(error, PostgresError::NoTls), "{error:?}");
    server.psql("CREATE ROLE one LOGIN CONNECTION LIMIT 0");
    let error = refused(&server.url_of("one"));
    assert!(matches!(error, PostgresError::TooManyConnections) && error.may_pass(), "{error:?}");

    let store = PostgresStore::open(&server.url()).unwrap();
    server.psql("ALTER ROLE postgres SET default_transaction_read_only = on");
    server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mixin-pin'");
    assert_fails!(store, PostgresError::ReadOnly);
    server.psql("BEGIN READ WRITE; ALTER ROLE postgres RESET default_transaction_read_only; COMMIT");
    server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mixin-pin'");
    drop(take_lease(&store, new_session()));
    // A socket of the same server, which libpq never encrypts.
    let folder = server.folder().to_str().unwrap().replace('/', "%2F");
    let url =
        format!("postgres://postgres@{folder}:{}/postgres?sslmode=verify-full&sslrootcert=/dev/null", server.port());
    drop(take_lease(&PostgresStore::open(&url).unwrap(), new_session()));
    server.kill();
    assert_fails!(store, PostgresError::Refused);
}

/// A server that sends this to each client, and then ends the connection.
fn answers(bytes: &'static [u8]) -> u16 {
    use std::io::{Read as _, Write as _};

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            // The client may be gone. What it sends is read, or the system would reset the connection.
            let _ = client.read(&mut [0; 1_024]);
            let _ = client.write_all(bytes);
            let _ = client.shutdown(std::net::Shutdown::Write);
            let _ = client.read(&mut [0; 1_024]);
        }
    });
    port
}

#[test]
fn what_is_not_postgresql_has_an_error_that_says_so() {
    let rubbish: [&'static [u8]; 6] = [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"-ERR unknown command\r\n",
        &[b'R', 0, 0, 0, 1, 0],
        // An answer that comes at another time, and one of another length than it says.
        &[b'Z', 0, 0, 0, 5, b'I'],
        &[b'R', 0, 0, 0, 6, 0, 0],
    ];
    for bytes in rubbish {
        let port = answers(bytes);
        for mode in ["disable", "prefer"] {
            let url = format!("postgres://bot:secret@127.0.0.1:{port}/bots?sslmode={mode}");
            let refused = PostgresStore::open(&url);
            assert!(
                matches!(&refused, Err(Error::Postgres(error @ PostgresError::NoAnswer)) if error.may_pass()),
                "{bytes:?} {mode}: {refused:?}"
            );
        }
    }
}

#[test]
fn a_pooler_whose_server_is_gone_is_waited_for_no_longer_than_asked() {
    let test = "a_pooler_whose_server_is_gone_is_waited_for_no_longer_than_asked";
    let Some(mut server) = start(test, &["fsync=on"]) else { return };
    let Some(pooler) = Pooler::start(test, &server) else { return };
    let (store, session) = (PostgresStore::open(&pooler.url()).unwrap(), new_session());
    drop(take_lease(&store, session));
    server.kill();
    let (took, error) = timed(|| store.lease(session, &confirmed()));
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(matches!(&error, Error::Postgres(error) if error.may_pass()), "{error:?}");
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let waiting = scope.spawn(|| store.lease(session, &confirmed().wait(MINUTE)));
        server.restart();
        let result = waiting.join().unwrap();
        assert!(matches!(result, Ok(LeaseReply::Granted(_))), "{result:?}");
        assert!(begun.elapsed() < MINUTE / 2, "{:?}", begun.elapsed());
    });
}

/// The time that this takes, and its error.
fn timed<T: std::fmt::Debug>(work: impl FnOnce() -> Result<T, Error>) -> (Duration, Error) {
    let begun = Instant::now();
    let error = work().unwrap_err();
    (begun.elapsed(), error)
}

#[test]
fn a_hanging_server_is_waited_for_no_longer_than_asked() {
    let Some(server) = start("a_hanging_server_is_waited_for_no_longer_than_asked", &[]) else { return };
    let secs = Duration::from_secs;
    let store = PostgresStore::open(&server.url()).unwrap();
    server.signal("STOP");
    let is_within = |(took, error): (Duration, Error), limit: Duration| {
        assert!(matches!(error, Error::Postgres(PostgresError::TimedOut { .. })), "{error:?}");
        assert!(took >= limit && took < limit + secs(2), "{took:?} instead of {limit:?}");
    };
    for (wait, limit) in [(secs(0), secs(1)), (secs(2), secs(2))] {
        is_within(timed(|| PostgresStore::open_within(&server.url(), wait)), limit);
        is_within(timed(|| store.lease(new_session(), &confirmed().wait(wait))), limit);
    }
    // Many callers share a few connections.
    std::thread::scope(|scope| {
        let callers: Vec<_> =
            (0..20).map(|_| scope.spawn(|| timed(|| store.lease(new_session(), &confirmed())))).collect();
        let errors: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        for (took, error) in &errors {
            assert!(*took < secs(4), "{took:?} {error:?}");
        }
        let is_crowded = |error: &Error| matches!(error, Error::Postgres(PostgresError::NoConnectionFree { .. }));
        assert!(errors.iter().any(|(_, error)| is_crowded(error)), "{errors:?}");
    });
    server.signal("CONT");
    drop(take_lease_for(&store, new_session(), &confirmed().wait(MINUTE)));
}

/// Lets users in only as these lines of `pg_hba.conf` say.
fn admit(server: &PostgresServer, lines: &str) {
    // The superuser of the tests comes by the socket.
    std::fs::write(server.folder().join("data/pg_hba.conf"), format!("local all all trust\n{lines}\n")).unwrap();
    let folder = server.folder().to_str().unwrap();
    let reload = server.psql_command("SELECT pg_reload_conf()").args(["-h", folder]).output().unwrap();
    assert!(reload.status.success(), "{reload:?}");
}

#[test]
fn a_password_is_asked_for_checked_and_never_shown() {
    let Some(server) = start("a_password_is_asked_for_checked_and_never_shown", &[]) else { return };
    server.psql("CREATE ROLE bot LOGIN SUPERUSER PASSWORD 's3:cret'");
    admit(&server, "host all all 127.0.0.1/32 scram-sha-256");
    // Without the user's own pass file.
    let nowhere = "?passfile=/no/such/file";
    let open = |user: &str, query: &str| {
        let url = server.url_of(user) + query;
        // Until the server has read its settings again.
        let mut opened = PostgresStore::open(&url);
        for _ in 0..200 {
            if !matches!(opened, Err(Error::Postgres(PostgresError::NotAdmitted))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
            opened = PostgresStore::open(&url);
        }
        let shown = match &opened {
            Ok(store) => format!("{store:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains("s3") && !shown.contains("wr0ng"), "{shown}");
        opened
    };
    let wrong = open("bot:wr0ng", "");
    assert!(matches!(wrong, Err(Error::Postgres(PostgresError::PasswordWrong))), "{wrong:?}");
    if std::env::var_os("PGPASSWORD").is_none() {
        let missing = open("bot", nowhere);
        assert!(matches!(missing, Err(Error::Postgres(PostgresError::PasswordMissing))), "{missing:?}");
        let file = server.folder().join("pass");
        std::fs::write(&file, "# password of the tests\n*:*:postgres:bot:s3\\:cret\n").unwrap();
        let query = format!("?passfile={}", file.display());
        let set_mode = |mode: &str| {
            assert!(std::process::Command::new("chmod").arg(mode).arg(&file).status().unwrap().success());
        };
        set_mode("640");
        let exposed = open("bot", &query);
        assert!(matches!(exposed, Err(Error::Postgres(PostgresError::Exposed { mode: 0o640, .. }))), "{exposed:?}");
        set_mode("600");
        drop(take_lease(&open("bot", &query).unwrap(), new_session()));
    }
    for user in ["bot:s3%3Acret", "bot:s3:cret"] {
        drop(take_lease(&open(user, "").unwrap(), new_session()));
    }
    // A special character that is not written as %XX.
    let error =
        PostgresStore::open(&format!("postgres://bot:s3?secret=1@127.0.0.1:{}/postgres", server.port())).unwrap_err();
    assert!(
        matches!(error, Error::Postgres(PostgresError::Url)) && !format!("{error} {error:?}").contains("s3"),
        "{error:?}"
    );
}

/// Certificates in a server's folder, made by openssl.
fn openssl(server: &PostgresServer, words: &[&str]) {
    let done =
        std::process::Command::new("openssl").args(words).current_dir(server.folder()).output().expect("openssl");
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
}

const NEW_KEY: [&str; 7] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];

/// Gives the server a certificate for `localhost`, and turns TLS on.
fn turn_tls_on(server: &PostgresServer) {
    let subject = |name: &str| format!("/CN={name}");
    for authority in ["root", "other"] {
        let (key, certificate) = (format!("{authority}.key"), format!("{authority}.crt"));
        let name = subject(authority);
        let files = ["-keyout", &*key, "-out", &*certificate, "-subj", &name];
        openssl(server, &[&["req", "-x509"][..], &NEW_KEY, &files].concat());
    }
    let files =
        ["-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=db", "-addext", "subjectAltName=DNS:localhost"];
    openssl(server, &[&["req", "-new"][..], &NEW_KEY[..5], &files].concat());
    let sign =
        ["x509", "-req", "-in", "server.csr", "-CA", "root.crt", "-CAkey", "root.key", "-CAcreateserial", "-days", "2"];
    openssl(server, &[&sign[..], &["-copy_extensions", "copy", "-out", "server.crt"]].concat());
    for file in ["server.key", "server.crt", "root.crt"] {
        // Owned by the server.
        server.write(file, &std::fs::read_to_string(server.folder().join(file)).unwrap());
    }
    for (name, file) in [("ssl_cert_file", "server.crt"), ("ssl_key_file", "server.key"), ("ssl_ca_file", "root.crt")] {
        server.psql(&format!("ALTER SYSTEM SET {name} = '{}'", server.folder().join(file).display()));
    }
    server.psql("ALTER SYSTEM SET ssl = on");
    server.psql("SELECT pg_reload_conf()");
}

#[test]
fn each_sslmode_checks_what_libpq_checks() {
    let Some(server) = start("each_sslmode_checks_what_libpq_checks", &[]) else { return };
    turn_tls_on(&server);
    let path = |name: &str| server.folder().join(name).to_str().unwrap().to_owned();
    let open = |host: &str, query: &str| {
        let url = format!("postgres://postgres@{host}:{}/postgres?{query}", server.port());
        PostgresStore::open(&url)
    };
    let begun = Instant::now();
    while open("localhost", "sslmode=require").is_err() {
        assert!(begun.elapsed() < MINUTE / 6, "{:?}", open("localhost", "sslmode=require"));
    }
    let is_encrypted = |store: &PostgresStore| {
        drop(take_lease(store, new_session()));
        let sql = "SELECT bool_or(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'mixin-pin'";
        let found = server.psql(sql);
        server.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mixin-pin'");
        while server.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mixin-pin'") != "0" {}
        found == "t"
    };
    let (root, other) = (format!("&sslrootcert={}", path("root.crt")), format!("&sslrootcert={}", path("other.crt")));
    let assert_opens = |host: &str, query: &str, encrypted: bool| {
        let store = open(host, query).unwrap_or_else(|error| panic!("{host} {query}: {error:?}"));
        assert_eq!(is_encrypted(&store), encrypted, "{host} {query}");
    };
    let assert_untrusted = |host: &str, query: &str| {
        let refused = open(host, query);
        assert!(matches!(refused, Err(Error::Postgres(PostgresError::Tls(_)))), "{host} {query}: {refused:?}");
    };
    assert_opens("localhost", "sslmode=disable", false);
    assert_opens("localhost", "sslmode=allow", false);
    assert_opens("localhost", "sslmode=prefer", true);
    assert_opens("127.0.0.1", "sslmode=require", true);
    assert_opens("127.0.0.1", &format!("sslmode=verify-ca{root}"), true);
    assert_opens("localhost", &format!("sslmode=verify-full{root}"), true);
    assert_untrusted("127.0.0.1", &format!("sslmode=verify-full{root}"));
    assert_untrusted("localhost", &format!("sslmode=verify-full{other}"));
    assert_untrusted("localhost", &format!("sslmode=verify-ca{other}"));
    assert_untrusted("localhost", &format!("sslmode=require{other}"));
    assert_untrusted("localhost", "sslrootcert=system");
    assert_opens("localhost", &format!("sslmode=prefer{other}"), false);
    for weak in ["disable", "require", "verify-ca"] {
        let refused = open("localhost", &format!("sslrootcert=system&sslmode={weak}"));
        assert!(matches!(refused, Err(Error::Postgres(PostgresError::OptionValue { name: "sslmode" }))), "{refused:?}");
    }
    for unusable in ["/no/such/file", &path("server.key")] {
        let refused = open("localhost", &format!("sslmode=verify-full&sslrootcert={unusable}"));
        assert!(matches!(refused, Err(Error::Postgres(PostgresError::Certificate { .. }))), "{refused:?}");
    }
    // An authority that has expired is refused, unless its renewed certificate is there, too.
    let assert_expired = |query: &str| {
        let begun = Instant::now();
        loop {
            match open("localhost", query) {
                Err(Error::Postgres(PostgresError::Tls(cause))) if format!("{cause:?}").contains("Expired") => break,
                Err(_) if begun.elapsed() < MINUTE / 6 => {}
                result => panic!("{query}: {result:?}"),
            }
        }
    };
    openssl(&server, &["x509", "-in", "root.crt", "-days", "-1", "-signkey", "root.key", "-out", "old.crt"]);
    assert_expired(&format!("sslmode=verify-ca&sslrootcert={}", path("old.crt")));
    let both = ["old.crt", "root.crt"].map(|file| std::fs::read_to_string(path(file)).unwrap()).concat();
    std::fs::write(path("both.crt"), both).unwrap();
    assert_opens("localhost", &format!("sslmode=verify-full&sslrootcert={}", path("both.crt")), true);
    // A self-signed certificate is its own root.
    let name =
        ["-keyout", "server.key", "-out", "server.crt", "-subj", "/CN=self", "-addext", "subjectAltName=DNS:localhost"];
    openssl(&server, &[&["req", "-x509"][..], &NEW_KEY, &name].concat());
    server.psql("SELECT pg_reload_conf()");
    let own = format!("&sslrootcert={}", path("server.crt"));
    let begun = Instant::now();
    while open("localhost", &format!("sslmode=verify-ca{own}")).is_err() {
        assert!(begun.elapsed() < MINUTE / 6);
    }
    assert_opens("localhost", &format!("sslmode=verify-full{own}"), true);
    assert_untrusted("127.0.0.1", &format!("sslmode=verify-full{own}"));
    openssl(&server, &["x509", "-in", "server.crt", "-days", "-1", "-signkey", "server.key", "-out", "expired.crt"]);
    std::fs::copy(path("expired.crt"), path("server.crt")).unwrap();
    server.psql("SELECT pg_reload_conf()");
    assert_expired(&format!("sslmode=verify-full&sslrootcert={}", path("expired.crt")));
}

#[test]
fn a_server_may_demand_tls_plaintext_or_a_certificate_of_the_client() {
    let test = "a_server_may_demand_tls_plaintext_or_a_certificate_of_the_client";
    let Some(server) = start(test, &[]) else { return };
    turn_tls_on(&server);
    let path = |name: &str| server.folder().join(name).to_str().unwrap().to_owned();
    let open = |mode: &str| PostgresStore::open(&(server.url() + "?sslmode=" + mode));
    let wait_until = |is_so: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < MINUTE / 6);
        }
    };
    let is_refused = |mode: &str| matches!(open(mode), Err(Error::Postgres(PostgresError::NotAdmitted)));
    wait_until(&|| open("require").is_ok());
    // The server demands TLS, or no TLS.
    admit(&server, "hostssl all all 127.0.0.1/32 trust");
    wait_until(&|| is_refused("disable"));
    open("allow").unwrap();
    admit(&server, "hostnossl all all 127.0.0.1/32 trust");
    wait_until(&|| is_refused("require"));
    open("prefer").unwrap();
    // A client's certificate.
    let files = ["-keyout", "bot.key", "-out", "bot.csr", "-subj", "/CN=bot"];
    openssl(&server, &[&["req", "-new"][..], &NEW_KEY[..5], &files].concat());
    let sign =
        ["x509", "-req", "-in", "bot.csr", "-CA", "root.crt", "-CAkey", "root.key", "-days", "2", "-out", "bot.crt"];
    openssl(&server, &sign);
    admit(&server, "hostssl all all 127.0.0.1/32 cert");
    let reload =
        server.psql_command("CREATE ROLE bot LOGIN SUPERUSER").args(["-h", server.folder().to_str().unwrap()]).output();
    assert!(reload.unwrap().status.success());
    let with_certificate = |query: &str| {
        let url = server.url_of("bot") + "?sslmode=require" + query;
        PostgresStore::open(&url)
    };
    let query = format!("&sslcert={}&sslkey={}", path("bot.crt"), path("bot.key"));
    wait_until(&|| with_certificate(&query).is_ok());
    assert!(with_certificate("").is_err());
    assert!(std::process::Command::new("chmod").args(["644", &path("bot.key")]).status().unwrap().success());
    let exposed = with_certificate(&query);
    assert!(matches!(exposed, Err(Error::Postgres(PostgresError::Exposed { .. }))), "{exposed:?}");
}

#[test]
fn a_blocking_call_within_a_runtime_works() {
    let Some(server) = start("a_blocking_call_within_a_runtime_works", &[]) else { return };
    let store = PostgresStore::open(&server.url()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let session = new_session();
    runtime.block_on(async {
        let lease = take_lease(&store, session);
        assert!(lease.reserve(now()).is_ok());
        assert!(lease.reserve(now()).is_ok() && lease.reserve(now()).is_ok());
    });
    assert!(matches!(store.lease(session, &confirmed()).unwrap(), LeaseReply::Granted(_)));
}
