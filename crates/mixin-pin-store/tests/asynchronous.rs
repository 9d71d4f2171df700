//! The stores for async callers: their contract on each runtime, cancelled callers, and failures.

mod common;

#[cfg(any(feature = "postgres", feature = "redis", feature = "sqlite"))]
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use common::{MINUTE, call, confirmed, new_session, now};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_store::{
    AsyncLease, AsyncNonceStore, CallKind, Error, LeaseReply, MemoryStore, NonceStore, open_async, test_suite,
};
#[cfg(all(feature = "postgres", unix))]
use mixin_pin_test_servers::postgres::{Pooler, PostgresServer};
#[cfg(feature = "redis")]
use mixin_pin_test_servers::redis::RedisServer;
use tokio::runtime::{Builder, Runtime};

fn runtimes() -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()]
        .map(|mut builder| builder.enable_all().build().unwrap())
}

fn url(folder: &tempfile::TempDir) -> String {
    format!("sqlite:{}", folder.path().join("iterators.db").display())
}

async fn take(store: &impl AsyncNonceStore, session: Uuid) -> Box<dyn AsyncLease> {
    let LeaseReply::Granted(lease) = store.lease(session, confirmed()).await.unwrap() else { panic!("busy") };
    lease
}

#[test]
fn the_store_in_memory_conforms_behind_each_pointer() {
    let store = MemoryStore::new();
    let pointers: [&dyn AsyncNonceStore; 4] =
        [&store, &&store, &Box::new(store.clone()), &(Arc::new(store.clone()) as Arc<dyn AsyncNonceStore>)];
    for (pointer, turn) in pointers.into_iter().zip(0..) {
        runtimes()[turn % 2].block_on(test_suite::async_nonce_store(pointer, new_session));
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn the_sqlite_store_conforms_on_each_runtime() {
    for runtime in runtimes() {
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            test_suite::async_nonce_store(&open_async(&url(&folder)).await.unwrap(), new_session).await;
        });
    }
}

#[cfg(feature = "redis")]
#[test]
fn the_redis_store_conforms_on_each_runtime() {
    let Some(server) = RedisServer::start("the_redis_store_conforms_on_each_runtime", &[]) else { return };
    // One store for both: a connection belongs to its runtime.
    let store = mixin_pin_store::RedisStore::open(&server.url()).unwrap();
    for runtime in runtimes() {
        runtime.block_on(async {
            test_suite::async_nonce_store(&store, new_session).await;
            test_suite::async_nonce_store(&open_async(&server.url()).await.unwrap(), new_session).await;
        });
    }
}

#[cfg(all(feature = "postgres", unix))]
#[test]
fn the_postgres_store_conforms_on_each_runtime_and_behind_a_pooler() {
    let test = "the_postgres_store_conforms_on_each_runtime_and_behind_a_pooler";
    let Some(server) = PostgresServer::start(test, &[]) else { return };
    assert!(mixin_pin_store::create(&server.url()).unwrap());
    let store = mixin_pin_store::PostgresStore::open(&server.url()).unwrap();
    for runtime in runtimes() {
        runtime.block_on(async {
            test_suite::async_nonce_store(&store, new_session).await;
        });
    }
    let Some(pooler) = Pooler::start(test, &server) else { return };
    runtimes()[0].block_on(async {
        test_suite::async_nonce_store(&open_async(&pooler.url()).await.unwrap(), new_session).await;
    });
}

/// Checks that blocking and async callers see each other's leases and calls.
fn assert_shared(blocking: &dyn NonceStore, store: &dyn AsyncNonceStore, runtime: &Runtime) {
    let (session, intent) = (new_session(), call(CallKind::UpdatePin));
    let LeaseReply::Granted(lease) = blocking.lease(session, &confirmed().for_call(&intent)).unwrap() else {
        panic!("busy")
    };
    let before = lease.reserve(now()).unwrap();
    runtime.block_on(async {
        assert!(matches!(store.lease(session, confirmed()).await.unwrap(), LeaseReply::Busy));
        assert_eq!(store.pending(session).await.unwrap()[0].request_id, intent.request_id);
        lease.keep_entry(true);
        drop(lease);
        let lease = take(&store, session).await;
        assert!(lease.reserve(now()).unwrap() > before);
        assert!(matches!(blocking.lease(session, &confirmed()).unwrap(), LeaseReply::Busy));
        lease.release().await;
        assert!(store.settle(session, intent.request_id).await.unwrap());
    });
    assert_eq!(blocking.pending(session).unwrap(), []);
    assert!(matches!(blocking.lease(session, &confirmed()).unwrap(), LeaseReply::Granted(_)));
}

#[test]
fn blocking_and_async_callers_share_a_store() {
    let runtime = &runtimes()[0];
    let open = |url: &str| runtime.block_on(open_async(url)).unwrap();
    assert_shared(&mixin_pin_store::open("memory:").unwrap(), &open("memory:"), runtime);
    #[cfg(feature = "sqlite")]
    {
        let folder = tempfile::tempdir().unwrap();
        assert_shared(&mixin_pin_store::open(&url(&folder)).unwrap(), &open(&url(&folder)), runtime);
    }
    #[cfg(feature = "redis")]
    if let Some(server) = RedisServer::start("blocking_and_async_callers_share_a_store", &[]) {
        assert_shared(&mixin_pin_store::open(&server.url()).unwrap(), &open(&server.url()), runtime);
    }
    #[cfg(all(feature = "postgres", unix))]
    if let Some(server) = PostgresServer::start("blocking_and_async_callers_share_a_store", &[]) {
        mixin_pin_store::create(&server.url()).unwrap();
        assert_shared(&mixin_pin_store::open(&server.url()).unwrap(), &open(&server.url()), runtime);
    }
}

#[test]
fn a_further_iterator_needs_a_new_lease() {
    runtimes()[0].block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let urls = ["memory:".to_owned(), url(&folder)];
        for url in &urls[..if cfg!(feature = "sqlite") { 2 } else { 1 }] {
            let lease = take(&open_async(url).await.unwrap(), new_session()).await;
            assert!(lease.reserve(now()).is_ok() && lease.reserve(now()).is_ok());
            assert!(matches!(lease.reserve(now()), Err(Error::NoIteratorLeft)));
            lease.release().await;
        }
    });
}

#[test]
fn urls_have_the_errors_of_the_blocking_stores() {
    runtimes()[0].block_on(async {
        assert!(matches!(open_async("memory").await, Err(Error::Url)));
        #[cfg(feature = "sqlite")]
        {
            use mixin_pin_store::SqliteError;

            assert!(matches!(open_async("sqlite:file:x").await, Err(Error::SqliteUri)));
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("iterators.db"), "this is no database".repeat(99)).unwrap();
            let refused = open_async(&url(&folder)).await;
            assert!(matches!(refused, Err(Error::Sqlite(SqliteError::Corrupt { .. }))));
        }
        #[cfg(feature = "redis")]
        {
            use mixin_pin_store::RedisError;

            let refused = open_async("redis://127.0.0.1:9/0").await;
            assert!(matches!(refused, Err(Error::Redis(RedisError::Refused))));
        }
    });
}

/// Polls a future outside of a runtime until it is ready.
fn poll_outside<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..10_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("the future does not end");
}

#[test]
fn without_a_runtime_there_is_an_error_instead_of_a_panic() {
    let session = new_session();
    let waits = |store: &dyn AsyncNonceStore| {
        let _lease = poll_outside(store.lease(session, confirmed())).unwrap();
        assert!(matches!(poll_outside(store.lease(session, confirmed().wait(MINUTE))), Err(Error::NoRuntime)));
    };
    waits(&MemoryStore::new());
    #[cfg(feature = "sqlite")]
    {
        let folder = tempfile::tempdir().unwrap();
        waits(&poll_outside(open_async(&url(&folder))).unwrap());
    }
    #[cfg(feature = "redis")]
    assert!(matches!(poll_outside(open_async("redis://127.0.0.1:9/0")), Err(Error::NoRuntime)));
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::sync::atomic::{AtomicBool, Ordering};

    use common::TestClock;
    use mixin_pin_core::UnixTime;
    use mixin_pin_store::{ManagedStore as _, SqliteError, SqliteStore};

    use super::*;

    fn open(folder: &tempfile::TempDir) -> SqliteStore {
        SqliteStore::open(&folder.path().join("iterators.db")).unwrap()
    }

    #[test]
    fn a_lease_ends_although_the_clock_went_back() {
        const START: u64 = 1_795_517_646;
        let (folder, session, clock) = (tempfile::tempdir().unwrap(), new_session(), TestClock::new(START));
        let store = open(&folder).clock(clock.read());
        let short = Duration::from_secs(1);
        let terms = mixin_pin_store::LeaseTerms::new(short).with_confirmed_clock();
        runtimes()[0].block_on(async {
            let LeaseReply::Granted(first) = AsyncNonceStore::lease(&store, session, terms).await.unwrap() else {
                panic!("busy")
            };
            // By this clock, the lease lasts for more than a day.
            clock.set(START - 86_400);
            let second = AsyncNonceStore::lease(&store, session, terms.wait(short * 20)).await.unwrap();
            let LeaseReply::Granted(second) = second else { panic!("the lease does not end") };
            assert!(matches!(first.reserve(now()), Err(Error::LeaseLost)) && second.reserve(now()).is_ok());
        });
    }

    #[test]
    fn a_job_that_panics_is_an_error_and_the_threads_go_on() {
        let (folder, session) = (tempfile::tempdir().unwrap(), new_session());
        let fails = Arc::new(AtomicBool::new(true));
        let clock = fails.clone();
        let store = open(&folder).clock(move || {
            assert!(!clock.load(Ordering::SeqCst), "as ordered");
            UnixTime::from_secs(1_795_517_646)
        });
        runtimes()[0].block_on(async {
            for _ in 0..9 {
                assert!(AsyncNonceStore::lease(&store, session, confirmed()).await.is_err());
            }
            fails.store(false, Ordering::SeqCst);
            take(&store, session).await.release().await;
        });
    }

    #[test]
    fn a_lease_outlives_its_store_and_is_released_without_a_runtime() {
        let (folder, session, intent) = (tempfile::tempdir().unwrap(), new_session(), call(CallKind::UpdatePin));
        let lease = runtimes()[1].block_on(async {
            let store = open_async(&url(&folder)).await.unwrap();
            let LeaseReply::Granted(lease) = store.lease(session, confirmed().for_call(&intent)).await.unwrap() else {
                panic!("busy")
            };
            lease
        });
        assert!(lease.reserve(now()).is_ok());
        drop(lease);
        let store = open(&folder);
        let LeaseReply::Granted(_) = NonceStore::lease(&store, session, &confirmed().wait(MINUTE / 2)).unwrap() else {
            panic!("the lease was not released")
        };
        assert_eq!(store.all_pending().unwrap(), []);
    }

    #[cfg(unix)]
    #[test]
    fn a_lease_of_a_database_that_was_moved_away_gives_out_no_iterator() {
        let (folder, session) = (tempfile::tempdir().unwrap(), new_session());
        let store = open(&folder);
        runtimes()[0].block_on(async {
            let lease = take(&store, session).await;
            std::fs::rename(folder.path().join("iterators.db"), folder.path().join("away.db")).unwrap();
            assert_eq!(lease.remaining(), Duration::ZERO);
            assert!(matches!(lease.reserve(now()), Err(Error::LeaseLost)));
            lease.release().await;
        });
    }

    #[test]
    fn a_locked_database_is_waited_for_no_longer_than_asked_even_for_a_thread() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        let other = rusqlite::Connection::open(folder.path().join("iterators.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let sessions: Vec<Uuid> = (0..12).map(|_| new_session()).collect();
        let begun = std::time::Instant::now();
        runtimes()[0].block_on(async {
            let mut leases: Vec<_> =
                sessions.iter().map(|session| AsyncNonceStore::lease(&store, *session, confirmed())).collect();
            // All wait at the same time.
            for lease in &mut leases {
                assert!(poll_fn(|context| Poll::Ready(lease.as_mut().poll(context).is_pending())).await);
            }
            for lease in leases {
                let refused = lease.await;
                assert!(matches!(refused, Err(Error::Sqlite(SqliteError::Locked { .. }))), "{refused:?}");
            }
        });
        assert!(begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < Duration::from_secs(3));
    }

    #[test]
    fn a_caller_that_gave_up_before_its_job_began_leases_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder);
        let path = folder.path().join("iterators.db");
        let begun = std::time::Instant::now();
        runtimes()[0].block_on(async {
            // Another process writes, so the first jobs wait on all threads, and the others in the queue.
            let other = rusqlite::Connection::open(&path).unwrap();
            other.execute_batch("BEGIN IMMEDIATE").unwrap();
            let sessions: Vec<Uuid> = (0..12).map(|_| new_session()).collect();
            let mut futures: Vec<_> =
                sessions.iter().map(|session| AsyncNonceStore::lease(&store, *session, confirmed())).collect();
            for future in &mut futures {
                assert!(poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(futures);
            other.execute_batch("ROLLBACK").unwrap();
            // The last job: those before it have run or were skipped.
            take(&store, new_session()).await.release().await;
            let known = store.sessions().unwrap();
            assert!(known.len() < sessions.len(), "jobs of callers that gave up have run: {}", known.len());
            for session in sessions {
                let lease = AsyncNonceStore::lease(&store, session, confirmed().wait(MINUTE / 2)).await.unwrap();
                assert!(matches!(lease, LeaseReply::Granted(_)), "the lease of a caller that gave up was not released");
            }
        });
        assert!(begun.elapsed() < MINUTE / 2, "{:?}", begun.elapsed());
    }
}

#[cfg(feature = "redis")]
mod redis {
    #[cfg(unix)]
    use mixin_pin_store::ManagedStore as _;
    use mixin_pin_store::{RedisError, RedisStore};

    use super::*;

    #[test]
    fn a_connection_that_the_server_closed_is_replaced_and_a_server_that_is_gone_is_an_error() {
        let test = "a_connection_that_the_server_closed_is_replaced_and_a_server_that_is_gone_is_an_error";
        let Some(mut server) = RedisServer::start(test, &[]) else { return };
        runtimes()[0].block_on(async {
            let (store, session) = (open_async(&server.url()).await.unwrap(), new_session());
            let lease = take(&store, session).await;
            let before = lease.reserve(now()).unwrap();
            lease.release().await;
            server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no"]);
            let lease = take(&store, session).await;
            assert!(lease.reserve(now()).unwrap() > before);
            server.kill();
            lease.release().await;
            let refused = store.pending(session).await;
            assert!(matches!(refused, Err(Error::Redis(RedisError::Refused))), "{refused:?}");
            let refused = store.lease(session, confirmed()).await;
            assert!(matches!(refused, Err(Error::Redis(RedisError::Refused))), "{refused:?}");
        });
    }

    /// Waits until a request to lease has run, and checks that no lease and no entry of it are left.
    #[cfg(unix)]
    async fn assert_taken_back(store: &RedisStore, session: Uuid, before: u64) {
        for _ in 0..200 {
            let record = &store.sessions().unwrap()[0];
            if record.last_iterator > before + 1 && record.leased_for.is_none() {
                return assert_eq!(NonceStore::pending(store, session).unwrap(), []);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the request did not run, or a lease of nobody lasts: {:?}", store.sessions());
    }

    #[cfg(unix)]
    #[test]
    fn a_lease_without_an_answer_is_taken_back_although_the_server_runs_it_later() {
        let test = "a_lease_without_an_answer_is_taken_back_although_the_server_runs_it_later";
        let Some(server) = RedisServer::start(test, &[]) else { return };
        let (store, session, intent) =
            (RedisStore::open(&server.url()).unwrap(), new_session(), call(CallKind::UpdatePin));
        runtimes()[0].block_on(async {
            let lease = take(&store, session).await;
            let before = lease.reserve(now()).unwrap();
            lease.release().await;
            server.signal("STOP");
            let begun = std::time::Instant::now();
            let refused = AsyncNonceStore::lease(&store, session, confirmed().for_call(&intent)).await;
            assert!(matches!(refused, Err(Error::Redis(RedisError::TimedOut { .. }))), "{refused:?}");
            assert!(begun.elapsed() < Duration::from_secs(3), "no wait was asked for: {:?}", begun.elapsed());
            server.signal("CONT");
            assert_taken_back(&store, session, before).await;
        });
    }

    #[cfg(unix)]
    #[test]
    fn a_lease_whose_caller_gave_up_is_released_whenever_the_answer_comes() {
        let test = "a_lease_whose_caller_gave_up_is_released_whenever_the_answer_comes";
        let Some(server) = RedisServer::start(test, &[]) else { return };
        let (store, session, intent) =
            (RedisStore::open(&server.url()).unwrap(), new_session(), call(CallKind::UpdatePin));
        runtimes()[1].block_on(async {
            // Before the time limit for the answer, and after it and that for a new connection.
            for stopped in [Duration::from_millis(200), Duration::from_secs(11)] {
                let lease = take(&store, session).await;
                let before = lease.reserve(now()).unwrap();
                lease.release().await;
                server.signal("STOP");
                let mut future = AsyncNonceStore::lease(&store, session, confirmed().for_call(&intent));
                assert!(poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await);
                drop(future);
                tokio::time::sleep(stopped).await;
                server.signal("CONT");
                assert_taken_back(&store, session, before).await;
            }
        });
    }

    #[test]
    fn a_lease_is_dropped_after_its_runtime() {
        let Some(server) = RedisServer::start("a_lease_is_dropped_after_its_runtime", &[]) else { return };
        let (store, session) = (RedisStore::open(&server.url()).unwrap(), new_session());
        let [runtime, _] = runtimes();
        let lease = runtime.block_on(take(&store, session));
        drop(runtime);
        assert!(lease.reserve(now()).is_ok());
        drop(lease);
        // No task releases it, so it ends by itself.
        let busy = NonceStore::lease(&store, session, &confirmed()).unwrap();
        assert!(matches!(busy, LeaseReply::Busy));
    }
}

#[cfg(all(feature = "postgres", unix))]
mod postgres {
    use mixin_pin_store::{ManagedStore as _, PostgresError, PostgresStore};

    use super::*;

    #[test]
    fn a_server_that_is_gone_is_an_error_and_its_return_releases_what_was_leased() {
        let test = "a_server_that_is_gone_is_an_error_and_its_return_releases_what_was_leased";
        let Some(mut server) = PostgresServer::start(test, &["fsync=on"]) else { return };
        mixin_pin_store::create(&server.url()).unwrap();
        let (store, session, intent) =
            (PostgresStore::open(&server.url()).unwrap(), new_session(), call(CallKind::UpdatePin));
        runtimes()[0].block_on(async {
            let leased = AsyncNonceStore::lease(&store, session, confirmed().for_call(&intent)).await.unwrap();
            let LeaseReply::Granted(lease) = leased else { panic!("busy") };
            assert!(lease.reserve(now()).is_ok());
            server.kill();
            lease.release().await;
            let refused = AsyncNonceStore::pending(&store, session).await;
            assert!(matches!(refused, Err(Error::Postgres(PostgresError::Refused))), "{refused:?}");
            let refused = AsyncNonceStore::lease(&store, session, confirmed()).await;
            assert!(matches!(refused, Err(Error::Postgres(PostgresError::Refused))), "{refused:?}");
            server.restart();
            let lease = AsyncNonceStore::lease(&store, session, confirmed().wait(MINUTE / 4)).await.unwrap();
            assert!(matches!(lease, LeaseReply::Granted(_)), "the lease was not released");
            assert_eq!(AsyncNonceStore::pending(&store, session).await.unwrap(), []);
        });
    }

    #[test]
    fn a_caller_that_gave_up_leases_nothing_and_waits_no_longer() {
        let test = "a_caller_that_gave_up_leases_nothing_and_waits_no_longer";
        let Some(server) = PostgresServer::start(test, &[]) else { return };
        mixin_pin_store::create(&server.url()).unwrap();
        let (store, session) = (PostgresStore::open(&server.url()).unwrap(), new_session());
        runtimes()[1].block_on(async {
            for stopped in [Duration::ZERO, Duration::from_millis(1_500)] {
                let lease = take(&store, session).await;
                let mut waiting = AsyncNonceStore::lease(&store, session, confirmed().wait(MINUTE));
                assert!(poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending())).await);
                server.signal("STOP");
                tokio::time::sleep(stopped).await;
                drop(waiting);
                server.signal("CONT");
                lease.release().await;
                // The last attempt may still be under way.
                let free = AsyncNonceStore::lease(&store, session, confirmed().wait(MINUTE / 4)).await.unwrap();
                let LeaseReply::Granted(free) = free else { panic!("a caller that gave up has the lease") };
                free.release().await;
                assert_eq!(store.sessions().unwrap()[0].leased_for, None);
            }
        });
    }

    #[test]
    fn a_lease_outlives_its_store_and_its_runtime() {
        let test = "a_lease_outlives_its_store_and_its_runtime";
        let Some(server) = PostgresServer::start(test, &[]) else { return };
        mixin_pin_store::create(&server.url()).unwrap();
        let session = new_session();
        let lease = runtimes()[0].block_on(async { take(&open_async(&server.url()).await.unwrap(), session).await });
        assert!(lease.reserve(now()).is_ok());
        drop(lease);
        let store = PostgresStore::open(&server.url()).unwrap();
        let free = NonceStore::lease(&store, session, &confirmed().wait(MINUTE / 4)).unwrap();
        assert!(matches!(free, LeaseReply::Granted(_)), "the lease was not released");
    }
}
