//! The SQLite store: its contract, wrong clocks, and databases that cannot be used.

mod common;

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use common::{
    MINUTE, TestClock, assert_a_record_behind_its_journal_is_raised, assert_calls_are_listed_and_keep_their_session,
    assert_iterators_far_ahead_are_refused, assert_old_verifications_are_dropped, assert_sessions_are_raised,
    assert_sessions_are_shown_and_forgotten, call, confirmed, leave_unknown, new_session, now, take_lease,
};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Error as CoreError, UnixTime};
use mixin_pin_store::{
    CallIntent, CallKind, Durability, Error, LeaseReply, LeaseTerms, ManagedStore, NonceStore, Risk, SqliteError,
    SqliteStore, test_suite,
};
use rusqlite::Connection;
use tempfile::TempDir;

const DAY: u64 = 86_400;
const START: u64 = 1_795_517_646;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(&folder.path().join("iterators.db")).unwrap()
}

fn set(folder: &TempDir, sql: &str) {
    Connection::open(folder.path().join("iterators.db")).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn the_store_conforms_with_each_durability() {
    for durability in [Durability::PowerCut, Durability::Crash] {
        let folder = folder();
        test_suite::nonce_store(&open(&folder).durability(durability), new_session);
    }
    let folder = folder();
    let url = format!("sqlite:{}", folder.path().join("iterators.db").display());
    test_suite::nonce_store(&mixin_pin_store::open(&url).unwrap(), new_session);
}

#[test]
fn iterators_rise_over_restarts() {
    let (folder, session) = (folder(), new_session());
    let mut last = 0;
    for _ in 0..5 {
        let store = open(&folder);
        for _ in 0..3 {
            let lease = take_lease(&store, session);
            for _ in 0..3 {
                let iterator = lease.reserve(now()).unwrap();
                assert!(iterator > last, "{iterator} followed {last}");
                last = iterator;
            }
        }
    }
}

#[test]
fn iterators_rise_with_clocks_that_disagree_or_go_back_a_day() {
    let (folder, session) = (folder(), new_session());
    let (one, other) = (TestClock::new(START), TestClock::new(START - 600));
    let stores = [open(&folder).clock(one.read()), open(&folder).clock(other.read())];
    let mut last = 0;
    for turn in 0..20 {
        if turn == 10 {
            one.set(START - DAY);
        }
        let iterator = take_lease(&stores[turn % 2], session).reserve(UnixTime::from_secs(START)).unwrap();
        assert!(iterator > last, "{iterator} followed {last}");
        last = iterator;
    }
    assert!(last < (START + 1) * 1_000_000_000, "no faster than one by one");
}

#[test]
fn a_leap_of_the_clock_is_not_followed_until_it_is_confirmed() {
    let (folder, session) = (folder(), new_session());
    let clock = TestClock::new(START);
    let store = open(&folder).clock(clock.read());
    let unconfirmed = LeaseTerms::new(MINUTE);
    let first = store.lease(session, &unconfirmed).unwrap();
    assert!(matches!(first, LeaseReply::ClockUnconfirmed { ahead: None }), "{first:?}");
    drop(take_lease(&store, session));

    clock.set(START + DAY - 1);
    assert!(matches!(store.lease(session, &unconfirmed).unwrap(), LeaseReply::Granted(_)));
    clock.set(START + 400 * DAY);
    let LeaseReply::ClockUnconfirmed { ahead: Some(ahead) } = store.lease(session, &unconfirmed).unwrap() else {
        panic!("a year's leap was followed")
    };
    assert_eq!(ahead.as_secs() / DAY, 399);
    // After the clock is set right, no iterators are lost.
    clock.set(START + DAY);
    let LeaseReply::Granted(session) = store.lease(session, &unconfirmed).unwrap() else {
        panic!("the leap was followed")
    };
    assert!(session.reserve(UnixTime::from_secs(START)).unwrap() < (START + 2 * DAY) * 1_000_000_000);
}

#[test]
fn after_the_last_iterator_there_is_an_error() {
    let (folder, session) = (folder(), new_session());
    let store = open(&folder);
    drop(take_lease(&store, session));
    // The owner raised it almost that far.
    set(&folder, "UPDATE sessions SET last_iterator = x'fffffffffffffffe', raised_to = x'ffffffffffff0000'");
    let last = take_lease(&store, session);
    test_suite::nonce_source_at_its_end(&*last);
    drop(last);
    let ended = store.lease(session, &confirmed());
    assert!(matches!(ended, Err(Error::Core(CoreError::IteratorExhausted))), "{ended:?}");
}

#[test]
fn a_lease_ends_although_the_clock_went_back() {
    let (folder, session) = (folder(), new_session());
    let clock = TestClock::new(START);
    let store = open(&folder).clock(clock.read());
    let lease = Duration::from_secs(1);
    let terms = LeaseTerms::new(lease).with_confirmed_clock();
    let LeaseReply::Granted(first) = store.lease(session, &terms).unwrap() else { panic!("busy") };
    // By this clock, the lease lasts for more than a day.
    clock.set(START - DAY);
    assert!(matches!(store.lease(session, &terms).unwrap(), LeaseReply::Busy));
    let LeaseReply::Granted(second) = store.lease(session, &terms.wait(lease * 20)).unwrap() else {
        panic!("the lease does not end")
    };
    assert!(first.reserve(now()).is_err() && second.reserve(now()).is_ok());
    // A machine that slept: its monotonic clock says that no time has passed.
    clock.set(START + DAY);
    assert_eq!(second.remaining(), Duration::ZERO);
}

#[test]
fn a_caller_that_lost_its_lease_to_a_leaping_clock_gets_no_further_iterator() {
    let (folder, session) = (folder(), new_session());
    let (right, leapt) = (TestClock::new(START), TestClock::new(START + 100));
    let (one, other) = (open(&folder).clock(right.read()), open(&folder).clock(leapt.read()));
    for taken in 0..3 {
        let first = take_lease(&one, session);
        let before = (0..taken).map(|_| first.reserve(UnixTime::from_secs(START)).unwrap()).last().unwrap_or(0);
        let second = take_lease(&other, session);
        assert!(second.reserve(UnixTime::from_secs(START)).unwrap() > before);
        assert!(matches!(first.reserve(UnixTime::from_secs(START)), Err(Error::LeaseLost)), "{taken} taken before");
    }
}

#[test]
fn a_lease_by_a_clock_that_was_years_ahead_does_not_block_the_owner() {
    let (folder, session) = (folder(), new_session());
    let clock = TestClock::new(START + 3 * 365 * DAY);
    let died = || {
        let store = open(&folder).clock(clock.read());
        std::mem::forget(take_lease(&store, session));
        drop(store);
        // Nothing shows that the process is dead.
        fs::remove_dir_all(folder.path().join("iterators.db-holders")).unwrap();
    };
    died();
    let store = open(&folder).clock(TestClock::new(START).read());
    assert_eq!(store.sessions().unwrap()[0].leased_for, None);
    let last = store.sessions().unwrap()[0].last_iterator;
    assert_eq!(store.raise(session, last + 5).unwrap(), last + 5);
    died();
    assert!(store.forget(session).unwrap());

    // A clock that goes back a little does not end a lease.
    let _lease = take_lease(&store, session);
    let behind = open(&folder).clock(TestClock::new(START - 30).read());
    assert!(matches!(behind.forget(session), Err(Error::InUse)));
    assert!(matches!(behind.raise(session, last), Err(Error::InUse)));
    assert_eq!(behind.sessions().unwrap()[0].leased_for, Some(MINUTE), "no longer than its lease");
}

#[test]
fn sessions_are_shown_and_forgotten_unless_they_are_leased() {
    assert_sessions_are_shown_and_forgotten(&open(&folder()));
}

#[test]
fn a_last_iterator_far_ahead_of_the_clock_is_refused_until_its_owner_raises_it() {
    let folder = folder();
    let write = |session: Uuid, last: u64| {
        let sql =
            format!("UPDATE sessions SET last_iterator = x'{last:016x}' WHERE session_id = x'{}'", session.simple());
        set(&folder, &sql);
    };
    assert_iterators_far_ahead_are_refused(&open(&folder), write, u64::MAX);
}

#[test]
fn calls_of_all_sessions_are_listed_and_keep_their_session() {
    assert_calls_are_listed_and_keep_their_session(&open(&folder()));
}

#[test]
fn old_verifications_are_dropped() {
    let (folder, clock) = (folder(), TestClock::new(START));
    assert_old_verifications_are_dropped(&open(&folder).clock(clock.read()), &clock);
}

#[test]
fn calls_stay_listed_over_restarts() {
    let (folder, session, intent) = (folder(), new_session(), call(CallKind::UpdatePin));
    leave_unknown(&open(&folder), session, &intent);
    let before = open(&folder).all_pending().unwrap();
    assert_eq!(before.len(), 1);
    drop(take_lease(&open(&folder), session));
    assert_eq!(open(&folder).pending(session).unwrap(), before, "another lease changed it");
}

#[test]
fn sessions_are_raised_and_never_lowered() {
    assert_sessions_are_raised(&open(&folder()));
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_database() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = folder();
    let path = folder.path().join("data").join("mixin-pin").join("iterators.db");
    let store = SqliteStore::open(&path).unwrap();
    drop(take_lease(&store, new_session()));
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
    }
}

#[test]
fn each_unusable_database_has_its_own_error() {
    let folder = folder();
    let path = folder.path().join("iterators.db");
    drop(open(&folder));
    set(&folder, "PRAGMA user_version = 4");
    assert!(matches!(SqliteStore::open(&path), Err(Error::Sqlite(SqliteError::NewerSchema { found: 4, .. }))));

    let other = folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE sessions (x)").unwrap();
    assert!(matches!(SqliteStore::open(&other), Err(Error::Sqlite(SqliteError::OtherDatabase { .. }))));

    let text = folder.path().join("notes.txt");
    fs::write(&text, "this is not a database, but long enough to look like one".repeat(40)).unwrap();
    assert!(matches!(SqliteStore::open(&text), Err(Error::Sqlite(SqliteError::Corrupt { .. }))));

    let in_a_file = text.join("iterators.db");
    assert!(matches!(SqliteStore::open(&in_a_file), Err(Error::Sqlite(SqliteError::File { .. }))));
}

#[test]
fn entries_that_this_crate_never_writes_are_refused() {
    let path = "path = CAST(x'ff' AS TEXT)";
    let set_to = ["kind = 'more'", "first_iterator = x'ffffffffffffffff'", "last_iterator = x''", "sent_at = x'00'"];
    for change in set_to.into_iter().chain(["expires_at = -1", "request_id = x'00'", path]) {
        let (folder, session) = (folder(), new_session());
        let store = open(&folder);
        leave_unknown(&store, session, &call(CallKind::UpdatePin));
        set(&folder, &format!("UPDATE calls SET {change}"));
        for refused in [store.pending(session), store.all_pending()] {
            assert!(matches!(refused, Err(Error::Sqlite(SqliteError::Corrupt { .. }))), "{change}: {refused:?}");
        }
        assert!(matches!(store.forget(session), Err(Error::Unsettled)), "{change}");
    }
}

#[test]
fn damage_to_a_database_in_use_is_reported() {
    let (folder, session) = (folder(), new_session());
    let store = open(&folder);
    drop(take_lease(&store, session));
    // Eight bytes are expected.
    set(&folder, "UPDATE sessions SET last_iterator = x'00'");
    assert!(matches!(store.lease(session, &confirmed()), Err(Error::Sqlite(SqliteError::Corrupt { .. }))));
}

/// A small file system for one test, if this machine allows mounting.
#[cfg(target_os = "linux")]
struct Mounted {
    folder: TempDir,
}

#[cfg(target_os = "linux")]
impl Mounted {
    #[expect(clippy::explicit_write, reason = "the test harness hides what eprintln! prints in a test that passes")]
    fn new(test: &str, options: &str) -> Option<Self> {
        use std::io::Write as _;

        let folder = folder();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder.path()).stderr(std::process::Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self { folder });
        }
        // Skipped even with MIXIN_PIN_REQUIRE_ALL, because the right to mount depends on the machine.
        writeln!(std::io::stderr(), "SKIPPED: {test} needs the right to mount a file system").unwrap();
        None
    }
}

#[cfg(target_os = "linux")]
impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("-l").arg(self.folder.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_reported_and_no_iterator_is_given_out() {
    let Some(disk) = Mounted::new("a_full_disk_is_reported_and_no_iterator_is_given_out", "size=256k") else { return };
    let store = SqliteStore::open(&disk.folder.path().join("iterators.db")).unwrap();
    let session = new_session();
    let before = take_lease(&store, session).reserve(now()).unwrap();
    let ballast = disk.folder.path().join("ballast");
    // Fills the disk, which fails.
    let _ = fs::write(&ballast, vec![0; 1 << 20]);
    let full = (0..200).find_map(|_| store.lease(new_session(), &confirmed()).err());
    assert!(matches!(full, Some(Error::Sqlite(SqliteError::DiskFull { .. }))), "{full:?}");
    fs::remove_file(ballast).unwrap();
    assert!(take_lease(&store, session).reserve(now()).unwrap() > before);
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_disk_is_reported() {
    let Some(disk) = Mounted::new("a_read_only_disk_is_reported", "size=1m") else { return };
    let path = disk.folder.path().join("iterators.db");
    let store = SqliteStore::open(&path).unwrap();
    drop(take_lease(&store, new_session()));
    drop(store);
    let remount = std::process::Command::new("mount").args(["-o", "remount,ro"]).arg(disk.folder.path()).status();
    assert!(remount.unwrap().success());
    let refused = SqliteStore::open(&path).and_then(|store| store.lease(new_session(), &confirmed()).map(|_| ()));
    assert!(matches!(refused, Err(Error::Sqlite(SqliteError::ReadOnly { .. }))), "{refused:?}");
}

fn set_last(folder: &TempDir, session: Uuid, last: u64) {
    let connection = Connection::open(folder.path().join("iterators.db")).unwrap();
    let update = "UPDATE sessions SET last_iterator = ?2 WHERE session_id = ?1";
    assert_eq!(connection.execute(update, (session.as_bytes(), last.to_be_bytes())).unwrap(), 1);
}

#[test]
fn a_record_behind_its_journal_is_raised() {
    let folder = folder();
    assert_a_record_behind_its_journal_is_raised(&open(&folder), |session, last| set_last(&folder, session, last));
}

#[test]
fn a_session_without_a_record_goes_on_above_its_journal() {
    let (folder, session) = (folder(), new_session());
    let (store, ahead) = (open(&folder), now().as_nanos().unwrap() + 3_600_000_000_000);
    store.raise(session, ahead).unwrap();
    leave_unknown(&store, session, &call(CallKind::UpdatePin));
    let above = *store.pending(session).unwrap()[0].iterators.end();
    set(&folder, "DELETE FROM sessions");
    let [Risk::Behind { session_id, by }] = store.risks().unwrap()[..] else { panic!("one risk") };
    assert_eq!((session_id, by), (session, Duration::from_nanos(above)));
    assert_eq!(store.raise(session, ahead).unwrap(), above, "as for a record, never lowered");
    assert_eq!(store.risks().unwrap(), []);
    set(&folder, "DELETE FROM sessions");
    // Its journal is near the clock, so the clock needs no confirmation.
    let LeaseReply::Granted(lease) = store.lease(session, &LeaseTerms::new(MINUTE)).unwrap() else { panic!("near") };
    assert_eq!(lease.reserve(now()).unwrap(), above + 1);
}

#[test]
fn other_urls_are_refused() {
    for url in ["", "sqlite:", "/tmp/x.db", "memory", "http://localhost", "postgres:localhost", "redis+x://localhost"] {
        assert!(matches!(mixin_pin_store::open(url), Err(Error::Url)), "{url}");
    }
}

/// Another connection, that holds the database's lock.
fn lock(folder: &TempDir, how: &str) -> Connection {
    let other = Connection::open(folder.path().join("iterators.db")).unwrap();
    other.execute_batch(how).unwrap();
    other
}

#[test]
fn a_locked_database_is_waited_for_no_longer_than_asked() {
    let secs = Duration::from_secs;
    let is_within = |work: &dyn Fn() -> Option<Error>, limit: Duration| {
        let begun = Instant::now();
        let error = work();
        let took = begun.elapsed();
        assert!(matches!(error, Some(Error::Sqlite(SqliteError::Locked { .. }))), "{error:?}");
        assert!(took >= limit && took < limit + Duration::from_secs(2), "{took:?} instead of {limit:?}");
    };
    let folder = folder();
    let path = folder.path().join("iterators.db");
    let (store, session) = (open(&folder), new_session());
    let writer = lock(&folder, "BEGIN IMMEDIATE");
    for (wait, limit) in [(secs(0), secs(1)), (secs(2), secs(2))] {
        is_within(&|| store.lease(session, &confirmed().wait(wait)).err(), limit);
        // Readers are not in the way of a writer.
        let patient = SqliteStore::open_within(&path, wait).unwrap();
        is_within(&|| patient.forget(session).err(), limit);
        is_within(&|| patient.lease(session, &confirmed().wait(secs(60))).err(), limit);
    }
    drop(writer);
    drop(take_lease(&store, session));

    // Creating the tables, migrating them, and opening a database that another program does not share.
    for how in ["BEGIN EXCLUSIVE", "PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE"] {
        for old in [&b""[..], include_bytes!("../testdata/version-2.db")] {
            let folder = self::folder();
            let path = folder.path().join("iterators.db");
            fs::write(&path, old).unwrap();
            let other = lock(&folder, how);
            is_within(&|| SqliteStore::open_within(&path, secs(0)).err(), secs(1));
            drop(other);
            SqliteStore::open_within(&path, secs(0)).unwrap();
        }
    }
}

#[test]
fn a_call_whose_outcome_is_known_leaves_the_journal_however_short_the_wait() {
    let folder = folder();
    drop(open(&folder));
    let store = SqliteStore::open_within(&folder.path().join("iterators.db"), Duration::ZERO).unwrap();
    let session = new_session();
    let call = CallIntent {
        request_id: new_session(),
        method: "POST".into(),
        path: "/pin/update".into(),
        kind: CallKind::UpdatePin,
        token_lifetime: Duration::from_secs(60),
    };
    let LeaseReply::Granted(lease) = store.lease(session, &confirmed().for_call(&call)).unwrap() else { panic!() };
    lease.keep_entry(true);
    // While the answer comes, another process locks the database for longer than the wait.
    let writer = lock(&folder, "BEGIN IMMEDIATE");
    let unlocked = thread::spawn(move || {
        thread::sleep(Duration::from_secs(2));
        drop(writer);
    });
    lease.keep_entry(false);
    drop(lease);
    unlocked.join().unwrap();
    assert_eq!(store.pending(session).unwrap(), []);
    drop(take_lease(&store, session));
}
