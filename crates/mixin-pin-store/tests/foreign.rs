//! Databases that were moved, changed or exposed to other users. They never lease one session twice.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{call, confirmed, leave_unknown, new_session, now, take_lease};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_store::{
    CallKind, Error, LeaseReply, LeaseTerms, ManagedStore as _, NonceStore as _, SqliteError, SqliteStore,
};
use rusqlite::Connection;
use tempfile::TempDir;

struct Stage(TempDir);

impl Stage {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        // The system's temporary folder may be a link.
        let folder = if cfg!(unix) { self.0.path().canonicalize().unwrap() } else { self.0.path().to_owned() };
        folder.join("iterators.db")
    }

    fn try_open(&self) -> Result<SqliteStore, Error> {
        SqliteStore::open(&self.path())
    }

    fn open(&self) -> SqliteStore {
        self.try_open().unwrap()
    }

    fn set(&self, sql: &str) {
        Connection::open(self.path()).unwrap().execute_batch(sql).unwrap();
    }
}

#[test]
fn a_stalled_caller_does_not_release_a_session_that_was_forgotten_and_leased_again() {
    let (stage, session) = (Stage::new(), new_session());
    let store = stage.open();
    let short = LeaseTerms::new(Duration::from_millis(50)).with_confirmed_clock();
    let LeaseReply::Granted(stalled) = store.lease(session, &short).unwrap() else { panic!("busy") };
    std::thread::sleep(Duration::from_millis(60));
    assert!(store.forget(session).unwrap());
    let next = take_lease(&store, session);
    drop(stalled);
    assert!(matches!(store.lease(session, &confirmed()).unwrap(), LeaseReply::Busy), "the session is leased twice");
    assert!(next.reserve(now()).is_ok());
}

#[cfg(unix)]
fn moved(stage: &Stage) {
    fs::rename(stage.path(), stage.0.path().join("moved.db")).unwrap();
}

#[cfg(unix)]
fn deleted(stage: &Stage) {
    fs::remove_file(stage.path()).unwrap();
}

#[cfg(unix)]
fn all_deleted(stage: &Stage) {
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(format!("{}{suffix}", stage.path().display())).unwrap();
    }
}

#[cfg(unix)]
fn replaced(stage: &Stage) {
    let other = Stage::new();
    drop(take_lease(&other.open(), new_session()));
    fs::rename(other.path(), stage.path()).unwrap();
    // Restoring a backup removes the files of the database before.
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(format!("{}{suffix}", stage.path().display())).unwrap();
    }
}

#[cfg(unix)]
fn wal_is_deleted(stage: &Stage) {
    fs::remove_file(format!("{}-wal", stage.path().display())).unwrap();
}

#[cfg(unix)]
fn shm_is_deleted(stage: &Stage) {
    fs::remove_file(format!("{}-shm", stage.path().display())).unwrap();
}

#[cfg(unix)]
fn wal_and_shm_are_deleted(stage: &Stage) {
    wal_is_deleted(stage);
    shm_is_deleted(stage);
}

/// Meanwhile another database is used under its name.
#[cfg(unix)]
fn moved_away_and_back(stage: &Stage) {
    moved(stage);
    drop(take_lease(&stage.open(), new_session()));
    fs::rename(stage.0.path().join("moved.db"), stage.path()).unwrap();
}

#[cfg(unix)]
#[test]
fn a_database_that_is_moved_or_deleted_while_in_use_does_not_lease_a_session_twice() {
    for go_away in [moved, deleted, all_deleted, replaced] as [fn(&Stage); 4] {
        let (stage, session) = (Stage::new(), new_session());
        let (one, other) = (stage.open(), stage.open());
        let before = take_lease(&one, session);
        drop(take_lease(&other, new_session()));
        go_away(&stage);
        assert_eq!(before.remaining(), Duration::ZERO);
        assert!(matches!(before.reserve(now()), Err(Error::LeaseLost)), "an iterator from a database that is gone");
        // All stores use the new database.
        let next = take_lease(&stage.open(), session);
        for store in [&one, &other, &stage.open()] {
            assert!(
                matches!(store.lease(session, &confirmed()).unwrap(), LeaseReply::Busy),
                "the session is leased twice"
            );
        }
        drop(before);
        assert!(
            matches!(one.lease(session, &confirmed()).unwrap(), LeaseReply::Busy),
            "the old lease released the new one"
        );
        let mut last = next.reserve(now()).unwrap();
        drop(next);
        for turn in 0..12 {
            let iterator = take_lease([&one, &other][turn % 2], session).reserve(now()).unwrap();
            assert!(iterator > last, "{iterator} followed {last}");
            last = iterator;
        }
        drop((one, other));
        let check: String = Connection::open(stage.path())
            .unwrap()
            .pragma_query_value(None, "integrity_check", |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok");
        assert_eq!(stage.open().sessions().unwrap().iter().filter(|found| found.session_id == session).count(), 1);
    }
}

#[cfg(unix)]
#[test]
fn a_database_that_lost_its_wal_or_shm_does_not_lease_a_session_twice() {
    let ways = [wal_is_deleted, shm_is_deleted, wal_and_shm_are_deleted, moved_away_and_back];
    for part in ways as [fn(&Stage); 4] {
        let (stage, session) = (Stage::new(), new_session());
        let (one, other) = (stage.open(), stage.open());
        let before = take_lease(&one, session);
        drop(take_lease(&other, new_session()));
        part(&stage);
        assert_eq!(before.remaining(), Duration::ZERO);
        assert!(
            matches!(before.reserve(now()), Err(Error::LeaseLost)),
            "an iterator from files that no other caller uses"
        );
        let stores = [&stage.open(), &one, &other];
        for session in [session, new_session()] {
            let replies = stores.map(|store| store.lease(session, &confirmed()).unwrap());
            assert!(
                replies.iter().filter(|reply| matches!(reply, LeaseReply::Granted(_))).count() <= 1,
                "the session is leased twice"
            );
        }
        let mut last = 0;
        let session = new_session();
        for turn in 0..12 {
            let iterator = take_lease(stores[turn % 3], session).reserve(now()).unwrap();
            assert!(iterator > last, "{iterator} followed {last}");
            last = iterator;
        }
        drop((before, one, other));
        let check: String = Connection::open(stage.path())
            .unwrap()
            .pragma_query_value(None, "integrity_check", |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok");
    }
}

#[test]
fn names_with_a_special_meaning_for_sqlite_are_refused() {
    let stage = Stage::new();
    for url in ["sqlite:file:x.db", "sqlite:FILE:x.db?mode=memory", "sqlite:file:///tmp/x.db"] {
        assert!(matches!(mixin_pin_store::open(url), Err(Error::SqliteUri)), "{url}");
    }
    for url in ["sqlite::memory:", "sqlite::memory:?cache=shared"] {
        assert!(matches!(mixin_pin_store::open(url), Err(Error::SqliteMemory)), "{url}");
    }
    assert!(
        matches!(SqliteStore::open(Path::new("")), Err(Error::Sqlite(SqliteError::File { .. }))),
        "SQLite opens a temporary database"
    );
    // As a path, such a name is an ordinary file.
    for name in ["file:odd.db?mode=memory", ":memory:", "100%20.db"] {
        let path = stage.0.path().join(name);
        let session = new_session();
        let lease = take_lease(&SqliteStore::open(&path).unwrap(), session);
        let again = SqliteStore::open(&path).unwrap().lease(session, &confirmed()).unwrap();
        assert!(matches!(again, LeaseReply::Busy), "{name} is not a file");
        assert!(fs::metadata(&path).unwrap().len() > 0);
        drop(lease);
    }
}

#[test]
fn a_relative_path_starts_at_the_current_folder_when_it_is_opened() {
    let path = Path::new("relative-iterators.db");
    let store = SqliteStore::open(path).unwrap();
    assert!(store.path().is_absolute() && store.path().ends_with(path));
    drop(store);
    for suffix in ["", "-wal", "-shm"] {
        // SQLite removes some of them with the last connection.
        let _ = fs::remove_file(format!("relative-iterators.db{suffix}"));
    }
    fs::remove_dir_all("relative-iterators.db-holders").unwrap();
}

#[cfg(unix)]
#[test]
fn a_database_with_two_names_is_refused_under_both() {
    let stage = Stage::new();
    let used = stage.open();
    let other = stage.0.path().join("other.db");
    fs::hard_link(stage.path(), &other).unwrap();
    for path in [&stage.path(), &other] {
        let refused = SqliteStore::open(path).unwrap_err();
        assert!(matches!(refused, Error::Sqlite(SqliteError::HardLinked { .. })), "{refused:?}");
    }
    // No other process can open it, so the open store is safe.
    drop(take_lease(&used, new_session()));
    fs::remove_file(other).unwrap();
    drop(take_lease(&stage.open(), new_session()));
}

#[cfg(unix)]
#[test]
fn a_link_to_a_database_opens_that_database() {
    use std::os::unix::fs::symlink;

    let (stage, links) = (Stage::new(), tempfile::tempdir().unwrap());
    let session = new_session();
    let link = links.path().join("link.db");
    drop(stage.open());
    symlink(stage.path(), &link).unwrap();
    let store = SqliteStore::open(&link).unwrap();
    assert_eq!(store.path(), stage.path());
    let lease = take_lease(&store, session);
    assert!(matches!(stage.open().lease(session, &confirmed()).unwrap(), LeaseReply::Busy));
    assert_eq!(fs::read_dir(links.path()).unwrap().count(), 1, "only the link");
    // Files next to the link's target count: SQLite would replay them.
    let journal = format!("{}-journal", stage.path().display());
    symlink(stage.path(), &journal).unwrap();
    assert!(matches!(SqliteStore::open(&link), Err(Error::Sqlite(SqliteError::OtherOwner { .. }))));
    fs::remove_file(&journal).unwrap();

    // A link that leads elsewhere now is another database, and the open store does not mix the two.
    let other = Stage::new();
    let other_store = other.open();
    fs::remove_file(&link).unwrap();
    symlink(other.path(), &link).unwrap();
    assert!(matches!(lease.reserve(now()), Err(Error::LeaseLost)));
    assert!(matches!(store.lease(session, &confirmed()), Err(Error::Sqlite(SqliteError::Moving { .. }))));
    assert_eq!(SqliteStore::open(&link).unwrap().path(), other.path());
    drop(take_lease(&other_store, session));

    // The same with a link to a folder.
    let folder = links.path().join("folder");
    symlink(stage.0.path(), &folder).unwrap();
    assert_eq!(SqliteStore::open(&folder.join("new.db")).unwrap().path(), stage.path().with_file_name("new.db"));
}

#[test]
fn concurrent_callers_create_one_database() {
    for _ in 0..40 {
        let (stage, session) = (Stage::new(), new_session());
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    let store = stage.try_open().unwrap().durability(mixin_pin_store::Durability::Crash);
                    let terms = confirmed().wait(Duration::from_secs(20));
                    let LeaseReply::Granted(lease) = store.lease(session, &terms).unwrap() else { panic!("busy") };
                    // A caller that comes later does not end the lease.
                    lease.reserve(now()).unwrap();
                });
            }
        });
    }
}

#[cfg(unix)]
mod exposed {
    use std::os::unix::fs::PermissionsExt as _;

    use mixin_pin_store::Risk;

    use super::*;

    fn chmod(path: impl AsRef<Path>, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn files_that_others_can_write_are_refused() {
        let stage = Stage::new();
        let store = stage.open();
        drop(take_lease(&store, new_session()));
        for mode in [0o620, 0o602, 0o666, 0o777] {
            chmod(stage.path(), mode);
            let refused = stage.try_open().unwrap_err();
            assert!(
                matches!(&refused, Error::Sqlite(SqliteError::Exposed { mode: found, .. }) if *found == mode),
                "{refused:?}"
            );
            assert!(refused.to_string().contains("chmod 600"), "{refused}");
        }
        chmod(stage.path(), 0o600);
        for suffix in ["-wal", "-shm"] {
            let path = format!("{}{suffix}", stage.path().display());
            chmod(&path, 0o666);
            assert!(
                matches!(stage.try_open(), Err(Error::Sqlite(SqliteError::Exposed { path: found, .. })) if found == Path::new(&path))
            );
            chmod(&path, 0o600);
        }
        // SQLite would replay this journal.
        let journal = format!("{}-journal", stage.path().display());
        fs::write(&journal, "").unwrap();
        chmod(&journal, 0o666);
        assert!(matches!(stage.try_open(), Err(Error::Sqlite(SqliteError::Exposed { .. }))));
        fs::remove_file(journal).unwrap();
        drop(take_lease(&stage.open(), new_session()));
    }

    #[test]
    fn files_of_another_user_next_to_the_database_are_refused() {
        use std::io::Write as _;

        let stage = Stage::new();
        drop(stage.open());
        let journal = format!("{}-journal", stage.path().display());
        fs::write(&journal, "").unwrap();
        chmod(&journal, 0o600);
        if std::os::unix::fs::chown(&journal, Some(12_345), None).is_err() {
            // Skipped even with MIXIN_PIN_REQUIRE_ALL, because the right depends on the user.
            let test = "files_of_another_user_next_to_the_database_are_refused";
            writeln!(std::io::stderr(), "SKIPPED: {test} needs the right to give a file away").unwrap();
            return;
        }
        assert!(
            matches!(stage.try_open(), Err(Error::Sqlite(SqliteError::OtherOwner { path })) if path == Path::new(&journal))
        );
        fs::remove_file(&journal).unwrap();
        // A link to the owner's own file is refused, too.
        std::os::unix::fs::symlink(stage.path(), &journal).unwrap();
        assert!(matches!(stage.try_open(), Err(Error::Sqlite(SqliteError::OtherOwner { .. }))));
    }

    #[test]
    fn the_creation_lock_is_opened_only_in_the_users_own_folder() {
        use std::os::unix::fs::symlink;
        use std::time::Instant;

        let holders = |stage: &Stage| PathBuf::from(format!("{}-holders", stage.path().display()));
        let fifo = |path: &Path| assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
        let begun = Instant::now();
        // Others can write the folder, so its files are not opened.
        let stage = Stage::new();
        fs::create_dir(holders(&stage)).unwrap();
        chmod(holders(&stage), 0o777);
        fifo(&holders(&stage).join("lock"));
        let refused = stage.try_open().unwrap_err();
        assert!(
            matches!(&refused, Error::Sqlite(SqliteError::OtherOwner { path }) if *path == holders(&stage)),
            "{refused:?}"
        );
        // A link to the user's own folder is refused, too.
        let (stage, own) = (Stage::new(), tempfile::tempdir().unwrap());
        symlink(own.path(), holders(&stage)).unwrap();
        assert!(matches!(stage.try_open(), Err(Error::Sqlite(SqliteError::OtherOwner { .. }))));
        assert_eq!(fs::read_dir(own.path()).unwrap().count(), 0);
        // In the user's own folder a FIFO does not block, and a link creates no file elsewhere.
        let stage = Stage::new();
        fs::create_dir(holders(&stage)).unwrap();
        chmod(holders(&stage), 0o700);
        fifo(&holders(&stage).join("lock"));
        assert!(matches!(stage.try_open(), Err(Error::Sqlite(SqliteError::File { .. }))));
        let elsewhere = stage.0.path().join("elsewhere");
        fs::remove_file(holders(&stage).join("lock")).unwrap();
        symlink(&elsewhere, holders(&stage).join("lock")).unwrap();
        assert!(matches!(stage.try_open(), Err(Error::Sqlite(SqliteError::File { .. }))));
        assert!(!elsewhere.exists() && !stage.path().exists());
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }

    #[test]
    fn files_that_others_can_read_or_replace_are_reported() {
        let stage = Stage::new();
        let store = stage.open();
        chmod(stage.0.path(), 0o700);
        assert_eq!(store.risks().unwrap(), []);
        chmod(stage.path(), 0o644);
        let store = stage.open();
        assert!(matches!(store.risks().unwrap()[..], [Risk::ReadableByOthers { mode: 0o644, .. }]));
        assert!(store.risks().unwrap()[0].to_string().contains("chmod 600"));
        chmod(stage.path(), 0o600);
        for (mode, sticky) in [(0o777, false), (0o1777, true), (0o720, false)] {
            chmod(stage.0.path(), mode);
            let found = store.risks().unwrap();
            assert!(matches!(found[..], [Risk::WritableFolder { is_sticky, .. }] if is_sticky == sticky), "{found:?}");
        }
        chmod(stage.0.path(), 0o700);
    }
}

#[test]
fn a_database_of_ours_that_was_changed_is_refused() {
    for change in [
        "CREATE TABLE more (x)",
        "CREATE VIEW more AS SELECT * FROM sessions",
        "CREATE INDEX more ON sessions (fence)",
        "CREATE TRIGGER more AFTER UPDATE ON sessions BEGIN UPDATE sessions SET held_until = NULL; END",
        "ALTER TABLE sessions ADD COLUMN more BLOB",
        "ALTER TABLE sessions RENAME TO others",
        "DROP TABLE sessions",
        "DROP TABLE sessions; CREATE VIEW sessions AS SELECT 1 AS session_id",
        "DROP TABLE calls",
        "ALTER TABLE calls ADD COLUMN more BLOB",
        "ALTER TABLE calls RENAME TO others",
        "DROP TABLE calls; CREATE VIEW calls AS SELECT 1 AS session_id",
        "DROP TABLE calls; CREATE TABLE more (x)",
        "CREATE INDEX more ON calls (fence)",
    ] {
        let stage = Stage::new();
        drop(take_lease(&stage.open(), new_session()));
        stage.set(change);
        let refused = stage.try_open().unwrap_err();
        assert!(matches!(refused, Error::Sqlite(SqliteError::Altered { .. })), "{change}: {refused:?}");
    }
}

#[test]
fn a_trigger_added_while_the_database_is_in_use_does_not_run() {
    let (stage, session) = (Stage::new(), new_session());
    let store = stage.open();
    drop(take_lease(&store, session));
    stage.set("CREATE TRIGGER more AFTER UPDATE ON sessions BEGIN UPDATE sessions SET held_until = NULL; END");
    let lease = take_lease(&store, session);
    assert!(matches!(store.lease(session, &confirmed()).unwrap(), LeaseReply::Busy), "a trigger released the session");
    drop(lease);
}

#[test]
fn a_database_of_other_software_stays_unchanged() {
    let stage = Stage::new();
    stage.set("CREATE TABLE sessions (x)");
    let before = fs::read(stage.path()).unwrap();
    assert!(matches!(stage.try_open(), Err(Error::Sqlite(SqliteError::OtherDatabase { .. }))));
    assert_eq!(fs::read(stage.path()).unwrap(), before);
}

/// A database as the first version created it.
fn version_1(stage: &Stage) {
    let sql = concat!(
        include_str!("../src/sqlite/schema-1.sql"),
        "; PRAGMA application_id = 0x4d50494e; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;"
    );
    stage.set(sql);
}

#[test]
fn a_database_of_the_first_version_is_migrated() {
    let (stage, session) = (Stage::new(), new_session());
    version_1(&stage);
    // A process of that version still runs. It increases the fence, and does not know the new columns.
    let old = Connection::open(stage.path()).unwrap();
    let old_lease = || {
        let sql = "INSERT INTO sessions (session_id, last_iterator, fence, held_until, lease)
                   VALUES (?1, x'0000000000000001', 1, ?2, 60000000000)
                   ON CONFLICT (session_id) DO UPDATE SET fence = fence + 1, held_until = ?2, lease = 60000000000";
        let until = i64::try_from(now().as_nanos().unwrap()).unwrap() + 60_000_000_000;
        old.prepare_cached(sql).unwrap().execute(rusqlite::params![session.as_bytes(), until]).unwrap();
    };
    let old_release = || {
        old.execute("UPDATE sessions SET held_until = NULL", []).unwrap();
    };
    old_lease();
    let (one, other) = (stage.open(), stage.open());
    let known = one.sessions().unwrap();
    assert_eq!((known.len(), known[0].session_id, known[0].last_iterator), (1, session, 1));
    assert!(
        matches!(one.lease(session, &confirmed()).unwrap(), LeaseReply::Busy),
        "the old process still has its lease"
    );
    old_release();
    drop(take_lease(&one, session));
    drop(one);
    // The row still names the file of a process that has ended.
    old_lease();
    assert!(
        matches!(other.lease(session, &confirmed()).unwrap(), LeaseReply::Busy),
        "the old process still has its lease"
    );
    old_release();
    drop(take_lease(&other, session));

    let changed = Stage::new();
    version_1(&changed);
    changed.set("CREATE TABLE more (x)");
    assert!(matches!(changed.try_open(), Err(Error::Sqlite(SqliteError::Altered { .. }))));
}

/// A database that version 2 of the schema created, with one session that its owner raised.
fn version_2(stage: &Stage) {
    fs::write(stage.path(), include_bytes!("../testdata/version-2.db")).unwrap();
    #[cfg(unix)]
    fs::set_permissions(stage.path(), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn a_database_of_the_second_version_is_migrated() {
    const RAISED: u64 = 1_900_000_000_000_000_000;
    let stage = Stage::new();
    let session: Uuid = "0b1f7f6e-5d0e-4f6e-9b0e-2f9b9e0f3c11".parse().unwrap();
    version_2(&stage);
    // A process of that version still runs. It does not know the journal.
    let old = Connection::open(stage.path()).unwrap();
    let old_lease = || {
        let sql = "UPDATE sessions SET fence = random(), held_until = ?1, lease = 60000000000, holder_fence = fence";
        let until = i64::try_from(now().as_nanos().unwrap()).unwrap() + 60_000_000_000;
        old.prepare_cached(sql).unwrap().execute([until]).unwrap();
    };
    let old_release = || old.execute("UPDATE sessions SET held_until = NULL", []).unwrap();
    old_lease();
    let store = stage.open();
    let [record] = &store.sessions().unwrap()[..] else { panic!("one session") };
    assert_eq!((record.session_id, record.last_iterator, record.raised_to), (session, RAISED, Some(RAISED)));
    assert!(record.leased_for.is_some());
    assert!(matches!(store.lease(session, &confirmed()).unwrap(), LeaseReply::Busy));
    old_release();
    let intent = call(CallKind::UpdatePin);
    leave_unknown(&store, session, &intent);
    let [pending] = &store.pending(session).unwrap()[..] else { panic!("one call") };
    assert_eq!((pending.request_id, *pending.iterators.start()), (intent.request_id, RAISED + 1));
    old_lease();
    assert_eq!(
        store.pending(session).unwrap(),
        std::slice::from_ref(pending),
        "the old process's lease is not the call's"
    );
    old_release();
    drop(take_lease(&stage.open(), session));

    let changed = Stage::new();
    version_2(&changed);
    changed.set("CREATE TABLE calls (x)");
    let before = fs::read(changed.path()).unwrap();
    assert!(matches!(changed.try_open(), Err(Error::Sqlite(SqliteError::Altered { .. }))));
    assert_eq!(fs::read(changed.path()).unwrap()[100..], before[100..], "only the header's journal mode changes");
}

#[cfg(unix)]
#[test]
fn an_entry_of_a_database_that_was_moved_away_stays_there() {
    let (stage, session, intent) = (Stage::new(), new_session(), call(CallKind::UpdatePin));
    let store = stage.open();
    let terms = confirmed().for_call(&intent);
    let LeaseReply::Granted(lease) = store.lease(session, &terms).unwrap() else { panic!("busy") };
    drop(store);
    let away = stage.path().with_file_name("away.db");
    for suffix in ["", "-wal", "-shm"] {
        fs::rename(format!("{}{suffix}", stage.path().display()), format!("{}{suffix}", away.display())).unwrap();
    }
    drop(lease);
    assert_eq!(stage.open().all_pending().unwrap(), []);
    let moved = SqliteStore::open(&away).unwrap().pending(session).unwrap();
    assert_eq!(moved.iter().map(|call| call.request_id).collect::<Vec<_>>(), [intent.request_id]);
}

#[test]
fn concurrent_callers_migrate_a_database_once() {
    for version in [version_1 as fn(&Stage), version_2] {
        migrate_concurrently(version);
    }
}

fn migrate_concurrently(version: fn(&Stage)) {
    let (stage, session) = (Stage::new(), new_session());
    version(&stage);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let terms = confirmed().wait(Duration::from_secs(20));
                assert!(matches!(stage.open().lease(session, &terms).unwrap(), LeaseReply::Granted(_)));
            });
        }
    });
}
