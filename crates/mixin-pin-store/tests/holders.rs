//! Processes with leases that die, stop or fork: leases of dead processes pass on at once, all others stay.
//!
//! The trials run this program again as the process with the leases.
#![cfg(unix)]
#![allow(unsafe_code)] // For `fork`.

mod common;

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, mem, process, thread};

use common::{MINUTE, confirmed, new_session, now};
use libtest_mimic::{Arguments, Failed, Trial};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_store::{Lease, LeaseReply, LeaseTerms, ManagedStore, NonceStore as _};
use rusqlite::Connection;
use tempfile::TempDir;

const ORDERS: &str = "MIXIN_PIN_HOLDER";
/// Much shorter than the lease, and long enough for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(1);

fn main() {
    if let Ok(orders) = env::var(ORDERS) {
        let mut words = orders.splitn(3, ' ').map(str::to_owned);
        let mut word = || words.next().unwrap();
        return obey(&word(), word().parse().unwrap(), &word());
    }
    let trials = [
        ("a_killed_holder_is_replaced_at_once_in_each_of_its_sessions", killed as fn()),
        ("so_is_one_that_ended_without_a_word", ended_silently),
        ("those_who_find_the_dead_at_once_still_take_turns", many_find_the_dead),
        ("a_dead_holder_keeps_nobody_from_forgetting", forgotten),
        ("a_holder_that_panics_lets_go", panicked),
        ("a_stopped_holder_is_not_dead", stopped),
        ("nor_is_another_thread_or_one_that_lost_its_handle", same_process),
        ("without_its_file_or_with_another_fence_nobody_is_taken_for_dead", unproven),
        ("without_a_place_for_the_file_there_is_the_lease", no_place),
        ("the_files_of_the_dead_are_cleared_away", cleared),
        ("processes_whose_files_were_parted_do_not_both_hold", parted),
        ("a_file_that_was_replaced_proves_nobody_dead", replaced),
        ("those_who_clear_away_leave_the_files_of_those_who_come", come_and_clear),
        ("a_forked_process_does_not_use_the_database_of_its_parent", forked_sqlite),
        #[cfg(feature = "redis")]
        ("a_fork_does_not_let_two_hold_by_redis", forked_redis),
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
        assert_eq!(holder.line(), "held");
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
    let held = [session, next(session)].map(|session| take(&*store, session, Duration::ZERO).unwrap());
    say("held");
    match order {
        "wait" => thread::sleep(MINUTE),
        "exit" => process::exit(0),
        "abort" => process::abort(),
        "panic" => panic!("as ordered"),
        "forget" => {
            mem::forget(held);
            drop(store);
            thread::sleep(MINUTE);
        }
        "release" => {
            drop(held);
            say("released");
            thread::sleep(MINUTE);
        }
        "again" => {
            drop(held);
            say("released");
            let mut kept = None;
            for _ in std::io::stdin().lines() {
                kept = kept.or_else(|| take(&*store, session, Duration::ZERO));
                say(if kept.is_some() { "held" } else { "busy" });
            }
        }
        "fork" => fork(&*store, held, session),
        _ => unreachable!(),
    }
}

fn next(session: Uuid) -> Uuid {
    Uuid::from_u128(session.as_u128() ^ 1 << 64)
}

fn take(store: &dyn ManagedStore, session: Uuid, wait: Duration) -> Option<Box<dyn Lease>> {
    match store.lease(session, &confirmed().wait(wait)).unwrap() {
        LeaseReply::Granted(held) => Some(held),
        _ => None,
    }
}

#[track_caller]
fn assert_free(store: &dyn ManagedStore, session: Uuid) -> Box<dyn Lease> {
    let begun = Instant::now();
    let held = take(store, session, MINUTE / 2).expect("a dead holder's session can be had");
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    held
}

#[track_caller]
fn assert_busy(store: &dyn ManagedStore, session: Uuid) {
    assert!(take(store, session, Duration::from_millis(150)).is_none(), "taken from a holder that lives");
}

fn killed() {
    let (stage, session) = (Stage::new(), new_session());
    let store = stage.open();
    let mut holder = stage.holder("wait", session);
    assert_busy(&*store, session);
    assert!(store.sessions().unwrap().iter().all(|record| record.leased_for.is_some()));
    holder.kill();
    assert!(store.sessions().unwrap().iter().all(|record| record.leased_for.is_none()), "nobody holds them any more");
    let held = [session, next(session)].map(|session| assert_free(&*store, session));
    assert!(held.iter().all(|held| held.reserve(now()).is_ok() && held.remaining() > MINUTE / 2));
    assert_eq!(stage.count(), 1, "whose successor lives");
    drop(held);
    drop(store);
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
        let is_held = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let store = stage.open();
                    let held = take(&*store, session, MINUTE / 2).unwrap();
                    assert!(!is_held.swap(true, Ordering::SeqCst), "two hold one session");
                    held.reserve(now()).unwrap();
                    is_held.store(false, Ordering::SeqCst);
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
    let held = take(&*one, session, Duration::ZERO).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| assert_busy(&*other, session));
        scope.spawn(|| assert_busy(&*one, session));
    });
    mem::forget(held);
    drop(one);
    assert_busy(&*other, session);

    let session = new_session();
    let _holder = stage.holder("forget", session);
    assert_busy(&*other, session);
}

fn unproven() {
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
    let LeaseReply::Granted(held) = store.lease(session, &short).unwrap() else { panic!("busy") };
    mem::forget(held);
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
    let mut died_holding = stage.holder("wait", session);
    died_holding.kill();
    let store = stage.open();
    let other = take(&*store, new_session(), Duration::ZERO).unwrap();
    assert_eq!(stage.count(), 3, "of the one that lives, the one whose session waits, and this one's");
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
        // The new files may be unusable until the other process closes the old ones. Then nobody has a lease.
        let open = || mixin_pin_store::open(&stage.url()).and_then(|store| store.lease(session, &confirmed()));
        let first = open();
        if matches!(first, Ok(LeaseReply::Granted(_))) {
            assert_eq!(other.again(), "busy", "two hold one session");
            drop(first);
        }
        assert_eq!(other.again(), "held");
        assert_busy(&*stage.open(), session);
    }
}

/// As unpacking a backup does.
fn replaced() {
    let (stage, session) = (Stage::new(), new_session());
    let store = stage.open();
    drop(take(&*store, session, Duration::ZERO).unwrap());
    let mut files = fs::read_dir(stage.holders()).unwrap().map(|entry| entry.unwrap().path());
    let own = files.find(|path| path.file_name().unwrap().len() == 32).unwrap();
    let copy = stage.0.path().join("copy");
    fs::copy(&own, &copy).unwrap();
    fs::rename(copy, own).unwrap();
    let held = take(&*store, session, Duration::ZERO).unwrap();
    assert_busy(&*stage.open(), session);
    drop(held);
}

fn come_and_clear() {
    let stage = Stage::new();
    drop(stage.open());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..60 {
                    let (store, session) = (stage.open(), new_session());
                    let held = take(&*store, session, Duration::ZERO).unwrap();
                    let sql = "SELECT lower(hex(holder)) FROM sessions WHERE session_id = ?1";
                    let database = Connection::open(stage.path()).unwrap();
                    let name: String = database.query_row(sql, [session.as_bytes()], |row| row.get(0)).unwrap();
                    assert!(stage.holders().join(name).is_file(), "a holder that lives has lost its file");
                    drop(held);
                }
            });
        }
    });
}

/// Forks while two sessions are leased. Both processes print what they get afterwards.
fn fork(store: &dyn ManagedStore, held: [Box<dyn Lease>; 2], session: Uuid) {
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
    let iterators: Vec<_> = (0..3).map(|_| held[0].reserve(now()).unwrap_or(0).to_string()).collect();
    let remaining = held[0].remaining().as_secs();
    drop(held);
    let new = match store.lease(third, &confirmed()) {
        Ok(LeaseReply::Granted(held)) => {
            mem::forget(held);
            "held"
        }
        Ok(_) => "busy",
        Err(_) => "error",
    };
    say(&format!("{who} {} {remaining} {new}", iterators.join(",")));
    // SAFETY: ends the process without the handlers of its parent.
    unsafe { libc::_exit(0) };
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

fn assert_parent_alone_goes_on([child, parent]: &[(Vec<u64>, u64, String); 2]) {
    assert_eq!((&child.0[..], child.1), (&[0, 0, 0][..], 0), "the hold is its parent's");
    assert!(parent.0.is_sorted_by(|one, two| one < two) && parent.0[0] > 0 && parent.1 > 30, "{parent:?}");
}

fn forked_sqlite() {
    let stage = Stage::new();
    let said = forked(&stage.url());
    assert_parent_alone_goes_on(&said);
    assert_eq!([&said[0].2[..], &said[1].2], ["error", "held"]);
}

#[cfg(feature = "redis")]
fn forked_redis() {
    use common::redis_server::RedisServer;

    let Some(server) = RedisServer::start("a_fork_does_not_let_two_hold_by_redis", &[]) else { return };
    let said = forked(&server.url());
    assert_parent_alone_goes_on(&said);
    assert_eq!([&said[0].2[..], &said[1].2], ["held", "busy"]);
}
