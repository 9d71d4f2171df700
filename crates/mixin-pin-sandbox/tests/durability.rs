//! Fifty concurrent calls get no more than the day's tries, and a restart loses nothing.

mod common;

use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use common::{Given, Kind, TestClock, client, now, reason, register, rng, sandbox, send, signed, verdict};
use mixin_pin_core::{MonotonicNonces, NonceSource as _, Pin};
use mixin_pin_protocol::call::{Calls, LogQuery, PreparedRequest};
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_sandbox::{Config, Error, Sandbox};

fn pin(digits: &str) -> Pin {
    Pin::new(digits).unwrap()
}

#[test]
fn fifty_concurrent_wrong_pins_get_no_more_than_the_days_tries() {
    let sandbox = sandbox();
    let session = register(&sandbox, Kind::Ed25519);
    let nonces = MonotonicNonces::new();
    let create = signed(&session, Calls::new(&session, now(), &mut rng()).nonces(&nonces).create_pin(&pin("123456")));
    assert_eq!(verdict(&send(&sandbox, &create)), (0, ""));
    let requests: Vec<PreparedRequest> = (0..50)
        .map(|_| signed(&session, Calls::new(&session, now(), &mut rng()).nonces(&nonces).verify_pin(&pin("999999"))))
        .collect();

    let start = Barrier::new(requests.len());
    let verdicts: Vec<(u64, String)> = thread::scope(|scope| {
        let threads: Vec<_> = requests
            .iter()
            .map(|request| {
                let (sandbox, start) = (&sandbox, &start);
                scope.spawn(move || {
                    start.wait();
                    let answer = send(sandbox, request);
                    (verdict(&answer).0, verdict(&answer).1.to_owned())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let count = |wanted: &str| verdicts.iter().filter(|(_, reason)| reason == wanted).count();
    let compared = count("pin");
    assert!((1..=5).contains(&compared), "{compared} PINs were compared");
    assert_eq!(compared + count("iterator") + count("tries_spent"), 50, "{verdicts:?}");
    let client = client(&sandbox, session);
    assert_eq!(client.pin_logs(&LogQuery::wrong_pins()).unwrap().len(), compared);
}

#[test]
fn a_restart_keeps_tries_iterators_and_request_ids() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { database: Some(folder.path().join("sandbox.db")), ..Config::default() };
    let first = Sandbox::start(&config).unwrap();
    let app_keystore = first.app_keystore().to_owned();
    let session = register(&first, Kind::Rsa1024);
    let nonces = MonotonicNonces::new();
    let early = Given(nonces.reserve(now()).unwrap());
    let create = signed(&session, Calls::new(&session, now(), &mut rng()).nonces(&nonces).create_pin(&pin("123456")));
    assert_eq!(verdict(&send(&first, &create)), (0, ""));
    for _ in 0..4 {
        let wrong =
            signed(&session, Calls::new(&session, now(), &mut rng()).nonces(&nonces).verify_pin(&pin("999999")));
        assert_eq!(verdict(&send(&first, &wrong)), (20_119, "pin"));
    }
    first.stop().unwrap();

    let second = Sandbox::start(&config).unwrap();
    assert_eq!(second.app_keystore(), app_keystore);
    assert_eq!(verdict(&send(&second, &create)), (401, "request_repeated"));
    let late = signed(&session, Calls::new(&session, now(), &mut rng()).nonces(&early).verify_pin(&pin("123456")));
    assert_eq!(verdict(&send(&second, &late)), (20_119, "iterator"));
    let last_try = signed(&session, Calls::new(&session, now(), &mut rng()).nonces(&nonces).verify_pin(&pin("999999")));
    let answer = send(&second, &last_try);
    assert_eq!(answer["error"]["extra"]["tries_left"], 0);
    let client = client(&second, session);
    assert_eq!(reason(client.verify_pin(&pin("123456"))), (429, "tries_spent".to_owned()));
    assert_eq!(client.pin_logs(&LogQuery::wrong_pins()).unwrap().len(), 5);
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_database() {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbox.db");
    let config = Config { database: Some(path.clone()), ..Config::default() };
    let sandbox = Sandbox::start(&config).unwrap();
    register(&sandbox, Kind::Ed25519);
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
    }
}

#[test]
fn two_sandboxes_share_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, path) = (TestClock::new(now()), folder.path().join("sandbox.db"));
    let config = Config { database: Some(path), ..clock.config() };
    let sandboxes = [Sandbox::start(&config).unwrap(), Sandbox::start(&config).unwrap()];
    let session = register(&sandboxes[0], Kind::Ed25519);
    let nonces = MonotonicNonces::new();
    let create =
        signed(&session, Calls::new(&session, clock.now(), &mut rng()).nonces(&nonces).create_pin(&pin("123456")));
    assert_eq!(verdict(&send(&sandboxes[1], &create)), (0, ""));
    assert_eq!(verdict(&send(&sandboxes[0], &create)), (401, "request_repeated"));
    // Each drops the expired request ids that the other recorded.
    for round in 0..3 {
        for at in [0, 0, 0, 1] {
            let verify = signed(
                &session,
                Calls::new(&session, clock.now(), &mut rng()).nonces(&nonces).verify_pin(&pin("123456")),
            );
            assert_eq!(verdict(&send(&sandboxes[(at + round) % 2], &verify)), (0, ""), "{round}");
        }
        clock.advance(86_400);
    }
}

#[cfg(unix)]
#[test]
fn a_database_name_is_always_a_file_name() {
    use std::env;
    use std::path::PathBuf;
    use std::process::Command;

    // This test runs itself in a separate process and folder.
    const DATABASE: &str = "MIXIN_PIN_TEST_DATABASE";
    if let Some(database) = env::var_os(DATABASE) {
        let config = Config { database: Some(PathBuf::from(database)), ..Config::default() };
        return Sandbox::start(&config).unwrap().stop().unwrap();
    }
    for name in ["file:sand.db", ":memory:", "file:sand.db?mode=memory", "file::memory:", "sand%20.db", "-"] {
        let folder = tempfile::tempdir().unwrap();
        let started = Command::new(env::current_exe().unwrap())
            .args(["--exact", "a_database_name_is_always_a_file_name"])
            .env(DATABASE, name)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(started.status.success(), "{name}: {started:?}");
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(files, [name]);
        assert!(std::fs::read(folder.path().join(name)).unwrap().starts_with(b"SQLite format 3"), "{name}");
    }
    let config = Config { database: Some(PathBuf::new()), ..Config::default() };
    assert!(matches!(Sandbox::start(&config), Err(Error::DatabaseFile(_))));
}

#[cfg(unix)]
#[test]
fn a_database_that_others_can_read_or_write_is_refused() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbox.db");
    let start = || Sandbox::start(&Config { database: Some(path.clone()), ..Config::default() });
    start().unwrap().stop().unwrap();
    for beside in ["", "-wal", "-shm", "-journal"] {
        let file = folder.path().join(format!("sandbox.db{beside}"));
        if !beside.is_empty() {
            fs::write(&file, "").unwrap();
        }
        for mode in [0o644, 0o640, 0o604, 0o620, 0o602, 0o666] {
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
            let said = start().unwrap_err().to_string();
            assert!(said.ends_with(&format!("chmod 600 {}", file.display())), "{said}");
            assert!(said.contains(&format!("{mode:o}")), "{said}");
        }
        if beside.is_empty() {
            fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
    }
    start().unwrap().stop().unwrap();
    let config = Config { database: Some("/dev/null".into()), ..Config::default() };
    assert!(matches!(Sandbox::start(&config), Err(Error::DatabaseFile(_))));
}

#[test]
fn a_failed_commit_is_observed_as_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sandbox.db");
    let observed = Arc::new(Mutex::new(Vec::new()));
    let list = observed.clone();
    let config = Config {
        database: Some(path.clone()),
        observer: Some(Arc::new(move |seen| list.lock().unwrap().push((seen.path.clone(), seen.status, seen.code)))),
        ..Config::default()
    };
    let sandbox = Sandbox::start(&config).unwrap();
    let session = register(&sandbox, Kind::Ed25519);
    // From now on no change of a user can be committed, as on a full disk.
    let database = rusqlite::Connection::open(&path).unwrap();
    database
        .execute_batch(
            "CREATE TABLE parent (id INTEGER PRIMARY KEY);
             CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
             CREATE TRIGGER full AFTER UPDATE ON users BEGIN INSERT INTO child VALUES (1); END;",
        )
        .unwrap();
    let nonces = MonotonicNonces::new();
    let create = signed(&session, Calls::new(&session, now(), &mut rng()).nonces(&nonces).create_pin(&pin("123456")));
    observed.lock().unwrap().clear();
    assert_eq!(verdict(&send(&sandbox, &create)).0, 500);
    database.execute_batch("DROP TRIGGER full").unwrap();
    assert!(!client(&sandbox, session).me().unwrap().has_pin, "the call was rolled back");
    let observed = observed.lock().unwrap();
    let expected = [("/pin/update".to_owned(), 500, Some(500)), ("/me".to_owned(), 200, None)];
    assert_eq!(*observed, expected);
}

#[test]
fn a_file_that_is_not_a_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    std::fs::write(&path, b"this is not a database").unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let config = Config { database: Some(path), ..Config::default() };
    assert!(matches!(Sandbox::start(&config), Err(Error::Database(_))));
    let config = Config { database: Some(folder.path().join("no/such/folder.db")), ..Config::default() };
    assert!(matches!(Sandbox::start(&config), Err(Error::DatabaseFile(_))));
}

#[test]
fn an_address_in_use_is_an_error() {
    let first = sandbox();
    let config = Config { listen: first.address(), ..Config::default() };
    assert!(matches!(Sandbox::start(&config), Err(Error::Listen(_))));
}

#[test]
fn the_app_keystore_has_the_shape_of_the_dashboard() {
    let sandbox = sandbox();
    let keystore = Keystore::parse(sandbox.app_keystore().as_bytes()).unwrap();
    assert_eq!(keystore.shape(), mixin_pin_protocol::keystore::KeystoreShape::Dashboard);
}
