//! The trials, which run this program again as the process with the leases.
#![allow(unsafe_code)] // For `fork`.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, mem, process, thread};

use crate::common::{MINUTE, call, confirmed, new_session, now, request_ids};
use libtest_mimic::{Arguments, Failed, Trial};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_store::{CallIntent, CallKind, Error, Lease, LeaseReply, LeaseTerms, ManagedStore, NonceStore as _};
use rusqlite::Connection;
use tempfile::TempDir;

const ORDERS: &str = "MIXIN_PIN_HOLDER";
/// Much shorter than the lease, and long enough for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(10);

pub fn main() {
    if let Ok(orders) = env::var(ORDERS) {
        let mut words = orders.splitn(3, ' ').map(str::to_owned);
        let mut word = || words.next().unwrap();
        return obey(&word(), word().parse().unwrap(), &word());
    }
    let trials = [
        ("a_killed_process_loses_all_its_leases_at_once", killed as fn()),
        ("a_process_that_exits_or_aborts_loses_its_leases_at_once", ended_silently),
        ("callers_that_find_a_dead_process_at_the_same_time_take_turns", many_find_the_dead),
        ("a_session_leased_by_a_dead_process_can_be_forgotten", forgotten),
        ("a_killed_process_leaves_the_entries_of_its_calls", killed_with_calls),
        ("a_process_that_panics_releases_its_leases", panicked),
        ("a_stopped_process_keeps_its_leases", stopped),
        ("a_lease_whose_handle_was_lost_lasts_while_its_process_lives", same_process),
        ("without_its_file_or_with_another_fence_a_process_does_not_count_as_dead", not_certainly_dead),
        ("if_no_file_can_be_created_the_end_of_the_lease_counts", no_place),
        ("the_files_of_dead_processes_are_removed", cleared),
        ("processes_with_different_database_files_never_both_lease_a_session", parted),
        ("a_process_whose_file_was_replaced_does_not_count_as_dead", replaced),
        ("removing_files_of_dead_processes_spares_new_ones", come_and_clear),
        ("a_forked_process_does_not_use_the_database_of_its_parent", forked_sqlite),
        #[cfg(feature = "redis")]
        ("a_forked_process_does_not_use_its_parents_lease_on_redis", forked_redis),
        #[cfg(feature = "postgres")]
        ("a_forked_process_does_not_use_its_parents_lease_on_postgres", forked_postgres),
    ];
    let trials = trials.map(|(name, trial)| {
        Trial::test(name, move || {
            trial();
            Ok::<(), Failed>(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}

/// The database of one trial.
struct Stage(TempDir);

impl Stage {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("iterators.db")
    }

    fn holders(&self) -> PathBuf {
        self.0.path().join("iterators.db-holders")
    }

    /// The number of processes with a file.
    fn count(&self) -> usize {
        let entries = fs::read_dir(self.holders()).unwrap().map(|entry| entry.unwrap().file_name());
        entries.filter(|name| name.len() == 32).count()
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.path().display())
    }

    fn open(&self) -> Box<dyn ManagedStore> {
        mixin_pin_store::open(&self.url()).unwrap()
    }

    fn set(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }

    fn holder(&self, order: &str, session: Uuid) -> Holder {
        Holder::start(order, session, &self.url())
    }
}

/// A process that leases sessions for a minute.
struct Holder {
    process: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Holder {
    fn start(order: &str, session: Uuid, url: &str) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.env(ORDERS, format!("{order} {session} {url}")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.stderr(Stdio::null()).spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut holder = Self { process, said };
        assert_eq!(holder.line(), "leased");
        holder
    }

    fn line(&mut self) -> String {
        self.said.next().unwrap().unwrap()
    }

    /// Tells a waiting process to try again, and returns its result.
    fn again(&mut self) -> String {
        writeln!(self.process.stdin.as_ref().unwrap()).unwrap();
        self.line()
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap().success());
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn say(word: &str) {
    println!("{word}");
    std::io::stdout().flush().unwrap();
}

/// Leases the named session and the next one, then does what `order` says.
fn obey(order: &str, session: Uuid, url: &str) {
    let store = mixin_pin_store::open(url).unwrap();
    let leases = [session, next(session)].map(|session| {
        let call = call_of(session);
        let terms = if order.starts_with("call") { confirmed().for_call(&call) } else { confirmed() };
        let LeaseReply::Granted(lease) = store.lease(session, &terms).unwrap() else { panic!("busy") };
        lease
    });
    say("leased");
    match order {
        "wait" | "call" => thread::sleep(MINUTE),
        "call-sent" => {
            leases[0].keep_entry(true);
            drop(leases);
            say("released");
            thread::sleep(MINUTE);
        }
        #[cfg(feature = "async")]
        "call-fork-async" => {
            drop(leases);
            fork_with_async_call(url, session);
        }
        "call-fork" => fork_with_call(&*store, leases, session),
        "exit" => process::exit(0),
        "abort" => process::abort(),
        "panic" => panic!("as ordered"),
        "forget" => {
            mem::forget(leases);
            drop(store);
            thread::sleep(MINUTE);
        }
        "release" => {
            drop(leases);
            say("released");
            thread::sleep(MINUTE);
        }
        "again" => {
            drop(leases);
            say("released");
            let mut kept = None;
            for _ in std::io::stdin().lines() {
                kept = kept.or_else(|| take(&*store, session, Duration::ZERO));
                say(if kept.is_some() { "leased" } else { "busy" });
            }
        }
        "fork" => fork(&*store, leases, session),
        _ => unreachable!(),
    }
}

/// The call for which a process leases this session.
fn call_of(session: Uuid) -> CallIntent {
    CallIntent { request_id: session, ..call(CallKind::UpdatePin) }
}

fn next(session: Uuid) -> Uuid {
    Uuid::from_u128(session.as_u128() ^ 1 << 64)
}

fn take(store: &dyn ManagedStore, session: Uuid, wait: Duration) -> Option<Box<dyn Lease>> {
    match store.lease(session, &confirmed().wait(wait)).unwrap() {
        LeaseReply::Granted(lease) => Some(lease),
        _ => None,
    }
}

#[track_caller]
fn assert_free(store: &dyn ManagedStore, session: Uuid) -> Box<dyn Lease> {
    let begun = Instant::now();
    let lease = take(store, session, MINUTE / 2).expect("a dead process's session can be leased");
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    lease
}

#[track_caller]
fn assert_busy(store: &dyn ManagedStore, session: Uuid) {
    assert!(take(store, session, Duration::from_millis(150)).is_none(), "a living process lost its lease");
}

fn killed() {
    let (stage, session) = (Stage::new(), new_session());
    let store = stage.open();
    let mut holder = stage.holder("wait", session);
    assert_busy(&*store, session);
    assert!(store.sessions().unwrap().iter().all(|record| record.leased_for.is_some()));
    holder.kill();
    assert!(store.sessions().unwrap().iter().all(|record| record.leased_for.is_none()), "they are not leased any more");
    let leases = [session, next(session)].map(|session| assert_free(&*store, session));
    assert!(leases.iter().all(|lease| lease.reserve(now()).is_ok() && lease.remaining() > MINUTE / 2));
    assert_eq!(stage.count(), 1, "only this process has a file");
    drop(leases);
    drop(store);
    // Another trial of this process may be looking at the store's files. It then removes this one a moment later.
    let begun = Instant::now();
    while stage.count() > 0 && begun.elapsed() < AT_ONCE {
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(stage.count(), 0);
}

fn ended_silently() {
    for order in ["exit", "abort"] {
        let (stage, session) = (Stage::new(), new_session());
        let mut holder = stage.holder(order, session);
        holder.process.wait().unwrap();
        drop(assert_free(&*stage.open(), session));
    }
    // The same if the waiting caller came first.
    let (stage, session) = (Stage::new(), new_session());
    let mut holder = stage.holder("wait", session);
    thread::scope(|scope| {
        let waits = scope.spawn(|| take(&*stage.open(), session, MINUTE / 2).is_some());
        thread::sleep(Duration::from_millis(100));
        let begun = Instant::now();
        holder.kill();
        assert!(waits.join().unwrap() && begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    });
}

fn many_find_the_dead() {
    let (stage, session) = (Stage::new(), new_session());
    for _ in 0..5 {
        let mut holder = stage.holder("wait", session);
        let is_leased = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let store = stage.open();
                    let lease = take(&*store, session, MINUTE / 2).unwrap();
                    assert!(!is_leased.swap(true, Ordering::SeqCst), "the session is leased twice");
                    lease.reserve(now()).unwrap();
                    is_leased.store(false, Ordering::SeqCst);
                });
            }
            thread::sleep(Duration::from_millis(30));
            holder.kill();
        });
    }
}

fn forgotten() {
    let (stage, session) = (Stage::new(), new_session());
    let mut holder = stage.holder("wait", session);
    holder.kill();
    assert!(stage.open().forget(session).unwrap());
}

fn killed_with_calls() {
    let (stage, session) = (Stage::new(), new_session());
    let store = stage.open();
    // Killed before anything was sent, as far as the store knows.
    let mut holder = stage.holder("call", session);
    let under_way = store.all_pending().unwrap();
    let mut sessions = [session, next(session)];
    sessions.sort_unstable();
    assert_eq!(request_ids(&under_way), sessions);
    assert!(under_way.iter().all(|call| call.under_way_for.is_some_and(|left| left > MINUTE / 2 && left <= MINUTE)));
    holder.signal("-STOP");
    assert!(store.all_pending().unwrap().iter().all(|call| call.under_way_for.is_some()), "a stopped process lives");
    holder.kill();
    let left = store.all_pending().unwrap();
    let ended: Vec<_> = under_way
        .into_iter()
        .map(|mut call| {
            call.under_way_for = None;
            call
        })
        .collect();
    assert_eq!(left, ended, "a dead process waits for no answer");
    drop(assert_free(&*store, session));
    assert_eq!(store.all_pending().unwrap(), left, "another lease changed them");
    assert!(matches!(store.forget(session), Err(Error::Unsettled)));
    assert!(store.settle(session, session).unwrap() && store.settle(next(session), next(session)).unwrap());

    // Killed after it gave up one of two calls.
    let session = new_session();
    let mut holder = stage.holder("call-sent", session);
    assert_eq!(holder.line(), "released");
    holder.kill();
    assert_eq!(request_ids(&store.all_pending().unwrap()), [session]);
}

fn panicked() {
    let (stage, session) = (Stage::new(), new_session());
    let mut holder = stage.holder("panic", session);
    holder.process.wait().unwrap();
    drop(assert_free(&*stage.open(), session));
}

fn stopped() {
    let (stage, session) = (Stage::new(), new_session());
    let holder = stage.holder("wait", session);
    holder.signal("-STOP");
    assert_busy(&*stage.open(), session);
    holder.signal("-CONT");
    assert_busy(&*stage.open(), session);
}

fn same_process() {
    let (stage, session) = (Stage::new(), new_session());
    let (one, other) = (stage.open(), stage.open());
    let lease = take(&*one, session, Duration::ZERO).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| assert_busy(&*other, session));
        scope.spawn(|| assert_busy(&*one, session));
    });
    mem::forget(lease);
    drop(one);
    assert_busy(&*other, session);

    let session = new_session();
    let _holder = stage.holder("forget", session);
    assert_busy(&*other, session);
}

fn not_certainly_dead() {
    let (stage, session) = (Stage::new(), new_session());
    let mut holder = stage.holder("wait", session);
    holder.kill();
    // As after a lease of an older version, which writes no file and increases the fence.
    stage.set("UPDATE sessions SET fence = fence + 1");
    assert_busy(&*stage.open(), session);

    let (stage, session) = (Stage::new(), new_session());
    let mut holder = stage.holder("wait", session);
    holder.kill();
    fs::remove_dir_all(stage.holders()).unwrap();
    assert_busy(&*stage.open(), session);
    // The same if another user could have put the file there.
    let (stage, session) = (Stage::new(), new_session());
    let mut holder = stage.holder("wait", session);
    holder.kill();
    fs::set_permissions(stage.holders(), fs::Permissions::from_mode(0o777)).unwrap();
    assert_busy(&*stage.open(), session);
    fs::set_permissions(stage.holders(), fs::Permissions::from_mode(0o700)).unwrap();
    drop(assert_free(&*stage.open(), session));
}

fn no_place() {
    let (stage, session) = (Stage::new(), new_session());
    let store = stage.open();
    fs::remove_dir_all(stage.holders()).unwrap();
    fs::write(stage.holders(), "").unwrap();
    let short = LeaseTerms::new(Duration::from_millis(300)).with_confirmed_clock();
    let LeaseReply::Granted(lease) = store.lease(session, &short).unwrap() else { panic!("busy") };
    mem::forget(lease);
    drop(store);
    let store = stage.open();
    assert!(take(&*store, session, Duration::ZERO).is_none());
    assert!(take(&*store, session, MINUTE / 2).is_some());
}

fn cleared() {
    let stage = Stage::new();
    for _ in 0..3 {
        let mut idle = stage.holder("release", new_session());
        assert_eq!(idle.line(), "released");
        idle.kill();
    }
    let lives = stage.holder("wait", new_session());
    let session = new_session();
    let mut died_with_lease = stage.holder("wait", session);
    died_with_lease.kill();
    let store = stage.open();
    let other = take(&*store, new_session(), Duration::ZERO).unwrap();
    assert_eq!(
        stage.count(),
        3,
        "the files of the living process, of the dead one whose session is still leased, and of this one"
    );
    let taken = [session, next(session)].map(|session| assert_free(&*store, session));
    assert_eq!(stage.count(), 2);
    drop((lives, taken, other));
}

fn parted() {
    let beside = |stage: &Stage, suffix: &str| fs::remove_file(format!("{}{suffix}", stage.path().display())).unwrap();
    let (wal, shm) = (|stage: &Stage| beside(stage, "-wal"), |stage: &Stage| beside(stage, "-shm"));
    let both = |stage: &Stage| {
        wal(stage);
        shm(stage);
    };
    let away_and_back = |stage: &Stage| {
        let away = stage.0.path().join("away.db");
        fs::rename(stage.path(), &away).unwrap();
        drop(take(&*stage.open(), new_session(), Duration::ZERO).unwrap());
        fs::rename(away, stage.path()).unwrap();
    };
    let ways: [&dyn Fn(&Stage); 4] = [&wal, &shm, &both, &away_and_back];
    for part in ways {
        let (stage, session) = (Stage::new(), new_session());
        let mut other = stage.holder("again", session);
        assert_eq!(other.line(), "released");
        part(&stage);
        // The new files may be unusable until the other process closes the old ones. Then no caller has a lease.
        let open = || mixin_pin_store::open(&stage.url()).and_then(|store| store.lease(session, &confirmed()));
        let first = open();
        if matches!(first, Ok(LeaseReply::Granted(_))) {
            assert_eq!(other.again(), "busy", "the session is leased twice");
            drop(first);
        }
        assert_eq!(other.again(), "leased");
        assert_busy(&*stage.open(), session);
    }
}

/// Replaces the file as unpacking a backup does.
fn replaced() {
    let (stage, session) = (Stage::new(), new_session());
    let store = stage.open();
    drop(take(&*store, session, Duration::ZERO).unwrap());
    let mut files = fs::read_dir(stage.holders()).unwrap().map(|entry| entry.unwrap().path());
    let own = files.find(|path| path.file_name().unwrap().len() == 32).unwrap();
    let copy = stage.0.path().join("copy");
    fs::copy(&own, &copy).unwrap();
    fs::rename(copy, own).unwrap();
    let lease = take(&*store, session, Duration::ZERO).unwrap();
    assert_busy(&*stage.open(), session);
    drop(lease);
}

fn come_and_clear() {
    let stage = Stage::new();
    drop(stage.open());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..60 {
                    let (store, session) = (stage.open(), new_session());
                    let lease = take(&*store, session, Duration::ZERO).unwrap();
                    let sql = "SELECT lower(hex(holder)) FROM sessions WHERE session_id = ?1";
                    let database = Connection::open(stage.path()).unwrap();
                    let name: String = database.query_row(sql, [session.as_bytes()], |row| row.get(0)).unwrap();
                    assert!(stage.holders().join(name).is_file(), "a living process has lost its file");
                    drop(lease);
                }
            });
        }
    });
}

/// Forks while two sessions are leased. Both processes print what they get afterwards.
fn fork(store: &dyn ManagedStore, leases: [Box<dyn Lease>; 2], session: Uuid) {
    let third = Uuid::from_u128(session.as_u128() ^ 1 << 65);
    // SAFETY: this program has no other thread.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child > 0 {
        // The child runs first, so its actions could do harm.
        // SAFETY: waits for the child and ignores its status.
        assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
    }
    let who = if child == 0 { "child" } else { "parent" };
    let iterators: Vec<_> = (0..3).map(|_| leases[0].reserve(now()).unwrap_or(0).to_string()).collect();
    let remaining = leases[0].remaining().as_secs();
    drop(leases);
    let new = match store.lease(third, &confirmed()) {
        Ok(LeaseReply::Granted(lease)) => {
            mem::forget(lease);
            "leased"
        }
        Ok(_) => "busy",
        Err(_) => "error",
    };
    say(&format!("{who} {} {remaining} {new}", iterators.join(",")));
    // SAFETY: ends the process without the handlers of its parent.
    unsafe { libc::_exit(0) };
}

/// Forks while a call is under way. The child releases its copy of the lease, then the parent prints what the journal lists.
fn fork_with_call(store: &dyn ManagedStore, leases: [Box<dyn Lease>; 2], session: Uuid) {
    // SAFETY: this program has no other thread.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        drop(leases);
        // SAFETY: ends the process without the handlers of its parent.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: waits for the child and ignores its status.
    assert_eq!(unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) }, child);
    let listed = || store.pending(session).unwrap().iter().filter(|call| call.under_way_for.is_some()).count();
    let before = listed();
    drop(leases);
    say(&format!("{before} {}", listed()));
}

/// The same with an async lease. The child has none of the threads that release it.
#[cfg(feature = "async")]
fn fork_with_async_call(url: &str, session: Uuid) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(mixin_pin_store::open_async(url)).unwrap();
    let call = call_of(session);
    let LeaseReply::Granted(lease) = runtime.block_on(store.lease(session, confirmed().for_call(&call))).unwrap()
    else {
        panic!("busy")
    };
    // SAFETY: the child only releases its copy of the lease.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        let has_none = lease.reserve(now()).is_err() && lease.remaining().is_zero();
        runtime.block_on(lease.release());
        // SAFETY: ends the process without the handlers of its parent.
        unsafe { libc::_exit(i32::from(!has_none)) };
    }
    let mut status = -1;
    // SAFETY: waits for the child.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    let pending = || runtime.block_on(store.pending(session)).unwrap();
    let before = pending().iter().filter(|call| call.under_way_for.is_some()).count();
    let iterators = (0..2).filter(|_| lease.reserve(now()).is_ok()).count();
    runtime.block_on(lease.release());
    say(&format!("{status} {before} {iterators} {}", pending().len()));
}

fn assert_only_parent_removes_entries(url: &str) {
    assert_eq!(Holder::start("call-fork", new_session(), url).line(), "1 0");
    #[cfg(feature = "async")]
    assert_eq!(Holder::start("call-fork-async", new_session(), url).line(), "0 1 2 0");
}

/// What child and parent print: their iterators from the lease before the fork, its remaining time, and the result of a new
/// lease.
fn forked(url: &str) -> [(Vec<u64>, u64, String); 2] {
    let mut holder = Holder::start("fork", new_session(), url);
    ["child", "parent"].map(|who| {
        let line = holder.line();
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(words[0], who);
        let iterators = words[1].split(',').map(|number| number.parse().unwrap()).collect();
        (iterators, words[2].parse().unwrap(), words[3].to_owned())
    })
}

fn assert_only_parent_continues([child, parent]: &[(Vec<u64>, u64, String); 2]) {
    assert_eq!((&child.0[..], child.1), (&[0, 0, 0][..], 0), "the child cannot use its parent's lease");
    assert!(parent.0.is_sorted_by(|one, two| one < two) && parent.0[0] > 0 && parent.1 > 30, "{parent:?}");
}

fn forked_sqlite() {
    let stage = Stage::new();
    let said = forked(&stage.url());
    assert_only_parent_continues(&said);
    assert_eq!([&said[0].2[..], &said[1].2], ["error", "leased"]);
    assert_only_parent_removes_entries(&stage.url());
}

#[cfg(feature = "redis")]
fn forked_redis() {
    use mixin_pin_test_servers::redis::RedisServer;

    let Some(server) = RedisServer::start("a_forked_process_does_not_use_its_parents_lease_on_redis", &[]) else {
        return;
    };
    let said = forked(&server.url());
    assert_only_parent_continues(&said);
    assert_eq!([&said[0].2[..], &said[1].2], ["leased", "busy"]);
    assert_only_parent_removes_entries(&server.url());
}

#[cfg(feature = "postgres")]
fn forked_postgres() {
    use mixin_pin_test_servers::postgres::PostgresServer;

    let Some(server) = PostgresServer::start("a_forked_process_does_not_use_its_parents_lease_on_postgres", &[]) else {
        return;
    };
    mixin_pin_store::create(&server.url()).unwrap();
    let said = forked(&server.url());
    assert_only_parent_continues(&said);
    assert_eq!([&said[0].2[..], &said[1].2], ["leased", "busy"]);
    assert_only_parent_removes_entries(&server.url());
}
