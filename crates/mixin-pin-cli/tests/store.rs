//! The command's store of iterators: it survives processes and can be shown, reset and raised. Lost updates are resolved.

mod common;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use common::{Run, SandboxProcess, command, run};
use mixin_pin_core::UnixTime;
use mixin_pin_store::SqliteStore;
use mixin_pin_store::{LeaseReply, LeaseTerms, NonceStore as _};
use serde_json::{Value, json};

fn store(sandbox: &SandboxProcess) -> String {
    format!("sqlite:{}", sandbox.path("iterators.db"))
}

fn session_id(keystore: &str) -> String {
    let keystore: Value = serde_json::from_str(&fs::read_to_string(keystore).unwrap()).unwrap();
    keystore["session_id"].as_str().unwrap().to_owned()
}

#[test]
fn iterators_rise_from_process_to_process_and_are_shown_and_forgotten() {
    let sandbox = SandboxProcess::start(&[]);
    let (keystore, store) = (sandbox.register("ed25519"), store(&sandbox));
    let encrypt = ["encrypt", "--json", "--keystore", &keystore, "--store", &store, "--pin-stdin"];
    let mut last = 0;
    for _ in 0..3 {
        let encrypted = run(&encrypt, b"123456\n").done().json();
        let iterator: u64 = encrypted["iterator"].as_str().unwrap().parse().unwrap();
        assert!(iterator > last, "{iterator} followed {last}");
        last = iterator;
    }
    sandbox
        .run(&["update", "--keystore", &keystore, "--store", &store, "--new-user", "--pin-stdin"], "123456\n")
        .done();

    let shown = run(&["store", "show", "--json", "--store", &store], b"").done().json();
    let session = session_id(&keystore);
    assert_eq!(shown["sessions"].as_array().unwrap().len(), 1);
    let record = &shown["sessions"][0];
    assert_eq!((&record["session_id"], &record["held_for_ms"]), (&json!(session), &Value::Null));
    assert!(record["last_iterator"].as_str().unwrap().parse::<u64>().unwrap() > last);
    assert!(run(&["store", "show", "--store", &store], b"").done().stdout.contains("1 session\n"));

    let reset = ["store", "reset", "--json", "--store", &store, &session];
    assert_eq!(run(&reset, b"").done().json()["was_known"], true);
    assert_eq!(run(&reset, b"").done().json()["was_known"], false);
}

const DAY: u64 = 86_400_000_000_000;

fn nanos() -> u64 {
    UnixTime::try_from(SystemTime::now()).unwrap().as_nanos().unwrap()
}

/// A sandbox, a keystore, its session and a store.
struct Stage {
    sandbox: SandboxProcess,
    keystore: String,
    session: String,
    store: String,
}

impl Stage {
    fn new() -> Self {
        let sandbox = SandboxProcess::start(&[]);
        let (keystore, store) = (sandbox.register("ed25519"), store(&sandbox));
        Self { session: session_id(&keystore), sandbox, keystore, store }
    }

    fn raise(&self, args: &[&str]) -> Run {
        let first = ["store", "raise", &self.session, "--json", "--store", &self.store, "--api", &self.sandbox.url];
        run(&[&first[..], args].concat(), b"")
    }

    fn encrypt(&self) -> Run {
        let args = ["encrypt", "--json", "--keystore", &self.keystore, "--store", &self.store, "--pin-stdin"];
        run(&args, b"123456\n")
    }

    fn next(&self) -> u64 {
        self.encrypt().done().json()["iterator"].as_str().unwrap().parse().unwrap()
    }
}

#[cfg(feature = "redis")]
#[test]
fn a_command_waits_for_a_server_that_is_down_when_it_starts() {
    let test = "a_command_waits_for_a_server_that_is_down_when_it_starts";
    let Some(mut redis) = mixin_pin_test_servers::redis::RedisServer::start(test, &[]) else { return };
    let url = redis.url();
    redis.kill();
    let at_once = run(&["--json", "store", "show", "--store", &url], b"");
    assert_eq!((at_once.code, at_once.kind().as_str()), (4, "store"), "{at_once:?}");
    let listener = std::net::TcpListener::bind(("127.0.0.1", redis.port())).unwrap();
    let mut child = common::command();
    child.args(["store", "show", "--wait", "60", "--store", &url]);
    let child = child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    // Its first attempt fails.
    drop(listener.accept().unwrap());
    drop(listener);
    redis.restart();
    let shown = common::finished(child.wait_with_output().unwrap()).done();
    assert!(shown.stdout.starts_with("Redis: 0 sessions"), "{shown:?}");
}

#[test]
fn raising_a_session_explains_the_consequences() {
    let stage = Stage::new();
    let first = stage.next();
    let to = (nanos() + DAY / 2).to_string();
    let raised = stage.raise(&["--to", &to]).done();
    assert_eq!((&raised.json()["raised_to"], &raised.json()["last_iterator"]), (&json!(to), &json!(to)));
    assert_eq!(raised.stderr, "", "half a day needs no warning");
    let next = stage.next();
    assert_eq!(next.to_string(), (to.parse::<u64>().unwrap() + 1).to_string());

    // The last iterator is never lowered.
    let lower =
        run(&["store", "raise", &stage.session, "--store", &stage.store, "--to", &first.to_string()], b"").done();
    assert!(lower.stdout.contains("not raised") && lower.stdout.contains("every other client"), "{lower:?}");
    assert!(stage.next() > next);
    let lower = stage.raise(&["--to", &first.to_string()]).done().json();
    assert_eq!(lower["raised_to"], Value::Null, "nothing was raised");
    assert!(lower["last_iterator"].as_str().unwrap().parse::<u64>().unwrap() > next);

    // Far ahead it needs --far-ahead and gives a warning.
    let far = (nanos() + 400 * DAY + DAY / 2).to_string();
    let refused = stage.raise(&["--to", &far]);
    let said = refused.json()["error"]["message"].as_str().unwrap().to_owned();
    assert_eq!(refused.code, 2, "{said}");
    assert!(said.contains("400 days and 1") && said.contains("from then on") && said.contains("--far-ahead"), "{said}");
    assert!(stage.next() < nanos() + DAY);
    let raised = stage.raise(&["--to", &far, "--far-ahead"]).done();
    assert!(raised.stderr.contains("400 days") && raised.stderr.contains("for ever"), "{raised:?}");
    assert!(stage.next() > far.parse().unwrap());
    let shown = run(&["store", "show", "--json", "--store", &stage.store], b"").done().json();
    assert_eq!(shown["sessions"][0]["raised_to"], json!(far));

    for beyond in [u64::MAX, u64::MAX - 1] {
        let refused = stage.raise(&["--to", &beyond.to_string(), "--far-ahead"]);
        assert_eq!((refused.code, refused.kind().as_str()), (2, "store"));
        assert!(refused.stdout.contains("register a new session"), "{refused:?}");
    }
    assert!(stage.next() > far.parse().unwrap());
    for wrong in [&[][..], &["--to", "5", "--to-server-time"], &["--to", "-5"], &["--to-server-time"]] {
        assert_eq!(stage.raise(wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn a_session_can_be_raised_to_the_servers_time() {
    let stage = Stage::new();
    let before = nanos();
    let raised = stage.raise(&["--to-server-time", "--keystore", &stage.keystore]).done().json();
    let to: u64 = raised["raised_to"].as_str().unwrap().parse().unwrap();
    assert!(to.abs_diff(before) < 60_000_000_000, "{to}");
    assert!(stage.next() > to);
}

#[test]
fn a_new_session_raised_below_the_clock_stays_new() {
    let stage = Stage::new();
    let raised = stage.raise(&["--to", "5"]).done();
    assert_eq!(raised.json()["raised_to"], Value::Null);
    let shown = run(&["store", "show", "--json", "--store", &stage.store], b"").done().json();
    assert_eq!(shown["sessions"], json!([]));
    // Otherwise the clock would be 50 years ahead of the last iterator.
    assert!(stage.next() > 5);
}

#[test]
fn a_session_that_is_in_use_is_not_raised() {
    let stage = Stage::new();
    let store = SqliteStore::open(Path::new(&stage.sandbox.path("iterators.db"))).unwrap();
    let terms = LeaseTerms::new(Duration::from_secs(60)).with_confirmed_clock();
    let LeaseReply::Granted(lease) = store.lease(stage.session.parse().unwrap(), &terms).unwrap() else {
        panic!("busy")
    };
    let refused = stage.raise(&["--to", "5"]);
    assert_eq!((refused.code, refused.kind().as_str()), (4, "store"));
    assert!(refused.stdout.contains("the session is in use"), "{refused:?}");
    drop(lease);
    stage.raise(&["--to", "5"]).done();
}

#[test]
fn an_iterator_far_ahead_is_refused_and_both_remedies_work() {
    for remedy in ["reset", "raise"] {
        let stage = Stage::new();
        let far = nanos() + 400 * DAY;
        // A wrong clock that was confirmed.
        let path = stage.sandbox.path("iterators.db");
        let store = SqliteStore::open(Path::new(&path)).unwrap().clock(move || UnixTime::from_nanos(far));
        let terms = LeaseTerms::new(Duration::from_secs(60)).with_confirmed_clock();
        drop(store.lease(stage.session.parse().unwrap(), &terms).unwrap());
        let refused = stage.encrypt();
        let said = refused.json()["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!((refused.code, refused.kind().as_str()), (2, "store"), "{said}");
        assert!(said.contains("399 days and 23 hours ahead") || said.contains("400 days ahead"), "{said}");
        assert!(said.contains("store reset") && said.contains("store raise"), "{said}");

        let doctor = || {
            let args = ["doctor", "--json", "--keystore", &stage.keystore, "--store", &stage.store];
            run(&[&args[..], &["--api", &stage.sandbox.url]].concat(), b"")
        };
        let found = doctor();
        let check = found.json()["checks"].as_array().unwrap().iter().find(|check| check["name"] == "store").cloned();
        let check = check.unwrap();
        let text = check["text"].as_str().unwrap();
        assert_eq!((found.code, &check["verdict"]), (1, &json!("bad")), "{text}");
        assert!(text.contains("days") && text.contains(&format!("store reset {}", stage.session)), "{text}");
        if remedy == "reset" {
            run(&["store", "reset", "--store", &stage.store, &stage.session], b"").done();
            assert!(stage.next() < nanos());
        } else {
            stage.raise(&["--to", &(far + 1).to_string(), "--far-ahead"]).done();
            assert!(stage.next() > far);
        }
        assert_eq!(doctor().code, 0);
    }
}

#[cfg(unix)]
#[test]
fn a_store_that_others_can_read_gets_a_warning_and_one_that_they_can_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    let stage = Stage::new();
    stage.next();
    let path = stage.sandbox.path("iterators.db");
    let chmod = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let show = || run(&["store", "show", "--json", "--store", &stage.store], b"");
    assert_eq!(show().done().stderr, "");
    chmod(0o644);
    assert!(show().done().stderr.contains(&format!("run: chmod 600 {path}")));
    chmod(0o666);
    let refused = show();
    assert_eq!((refused.code, refused.kind().as_str()), (2, "store"));
    assert!(refused.stdout.contains(&format!("chmod 600 {path}")), "{refused:?}");
    chmod(0o600);
    assert_eq!(show().done().stderr, "");
}

#[test]
fn eight_concurrent_processes_all_succeed() {
    let sandbox = SandboxProcess::start(&[]);
    let (keystore, store) = (sandbox.register("ed25519"), store(&sandbox));
    let with = |args: &[&str]| {
        let mut command = command();
        command.args(args).args(["--json", "--api", &sandbox.url, "--keystore", &keystore, "--store", &store]);
        command.arg("--pin-stdin");
        command
    };
    let pin = sandbox.path("pin.txt");
    fs::write(&pin, "123456\n").unwrap();
    let stdin = || fs::File::open(&pin).unwrap();
    assert!(with(&["update", "--new-user"]).stdin(stdin()).output().unwrap().status.success());
    let processes: Vec<_> = (0..8).map(|_| with(&["verify"]).stdin(stdin()).spawn().unwrap()).collect();
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
}

#[test]
fn a_lost_update_is_resolved() {
    let sandbox = SandboxProcess::start(&[]);
    let keystore = sandbox.register("ed25519");
    let store = store(&sandbox);
    let with = |args: &[&str], stdin: &str| {
        sandbox.run(&[args, &["--keystore", &keystore, "--store", &store, "--pin-stdin"]].concat(), stdin)
    };
    // What no journal lists. A store in memory has none.
    let described = |args: &[&str], stdin: &str| {
        sandbox.run(&[args, &["--keystore", &keystore, "--store", "memory:", "--pin-stdin"]].concat(), stdin)
    };
    let created = with(&["resolve", "--new-user"], "123456\n");
    assert_eq!((created.code, &created.json()["verdict"]), (3, &json!("not-yet")), "the token is still good");
    with(&["update", "--new-user"], "123456\n").done();
    let created = with(&["resolve", "--new-user"], "123456\n").done();
    assert_eq!((&created.json()["verdict"], &created.json()["may_cost"]), (&json!("applied"), &json!(1)));
    assert!(created.stderr.contains("may cost up to 1 of the day's tries"));

    // Nothing was changed from 123456 to 654321, and finding that out costs a try.
    let changed = described(&["resolve"], "123456\n654321\n").done().json();
    assert_eq!((&changed["verdict"], &changed["tries_spent"]), (&json!("not-applied"), &json!(1)));
    let neither = described(&["resolve"], "111111\n222222\n");
    assert_eq!((neither.code, &neither.json()["tries_spent"]), (1, &json!(2)));

    let key = sandbox.path("key");
    run(&["tip", "new-key", "--out", &key], b"").done();
    let key = fs::read_to_string(&key).unwrap();
    let digits_and_key = format!("123456\n{key}");
    let to_tip = with(&["resolve", "--tip", "--spend-key-stdin"], &digits_and_key).done().json();
    assert_eq!((&to_tip["verdict"], &to_tip["tries_spent"]), (&json!("not-applied"), &json!(0)));
    with(&["update", "--spend-key-stdin"], &digits_and_key).done();
    let to_tip = with(&["resolve", "--tip", "--spend-key-stdin"], &digits_and_key).done().json();
    assert_eq!((&to_tip["verdict"], &to_tip["may_cost"]), (&json!("applied"), &json!(0)));
}

#[test]
fn each_unusable_store_has_its_own_error() {
    let sandbox = SandboxProcess::start(&[]);
    let keystore = sandbox.register("ed25519");
    let verify =
        |store: &str| sandbox.run(&["verify", "--keystore", &keystore, "--pin-stdin", "--store", store], "123456\n");
    for (scheme, feature) in
        [("redis", "redis"), ("redis+sentinel", "redis-ha"), ("rediss-cluster", "redis-ha"), ("postgres", "postgres")]
    {
        let url = format!("{scheme}://127.0.0.1:9/x");
        // Cargo may build the library with more features for another member of the workspace.
        if matches!(mixin_pin_store::open(&url), Err(mixin_pin_store::Error::NotBuilt { .. })) {
            let unbuilt = verify(&url);
            assert_eq!((unbuilt.code, unbuilt.kind().as_str()), (2, "store"), "{unbuilt:?}");
            assert!(unbuilt.stdout.contains(&format!("--features {feature};")), "{unbuilt:?}");
        }
    }
    let unknown = verify("nonsense://localhost");
    assert_eq!((unknown.code, unknown.kind().as_str()), (2, "store"));
    let text = sandbox.path("notes.txt");
    fs::write(&text, "not a database, but long enough to look like one".repeat(40)).unwrap();
    let damaged = verify(&format!("sqlite:{text}"));
    assert_eq!((damaged.code, damaged.kind().as_str()), (2, "store"));
    assert!(damaged.stdout.contains("is damaged or not a database"));
    for other in ["sqlite:file:iterators.db", "sqlite::memory:"] {
        let refused = verify(other);
        assert_eq!((refused.code, refused.kind().as_str()), (2, "store"), "{other}");
    }
    let gone = verify("redis://127.0.0.1:9");
    assert_eq!((gone.code, gone.kind().as_str()), (4, "store"));
    assert!(gone.stdout.contains("nothing listens at the address of Redis"));
    // It accepts connections, and never answers.
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", hanging.local_addr().unwrap());
    for (wait, limit) in [("0", 1), ("2", 2)] {
        let begun = Instant::now();
        let words = ["verify", "--keystore", &keystore, "--pin-stdin", "--store", &url, "--wait", wait];
        let silent = sandbox.run(&words, "123456\n");
        let took = begun.elapsed();
        assert_eq!((silent.code, silent.kind().as_str()), (4, "store"));
        assert!(silent.stdout.contains(&format!("Redis did not answer within {limit}.0s")), "{silent:?}");
        assert!(took >= Duration::from_secs(limit) && took < Duration::from_secs(limit + 2), "{took:?}");
    }
    let memory = run(&["store", "show", "--json", "--store", "memory:"], b"");
    assert_eq!((memory.code, memory.kind().as_str()), (2, "store"), "there is nothing to show");
}

#[cfg(target_os = "linux")]
#[test]
fn a_redis_user_without_the_right_to_send_info_can_use_the_store() {
    let test = "a_redis_user_without_the_right_to_send_info_can_use_the_store";
    let user = ["--user", "limited", "on", ">secret", "~*", "&*", "+@all", "-@dangerous"];
    let Some(redis) = TlsRedis::start_with(test, &user) else { return };
    let url = format!("rediss://limited:secret@localhost:{}/0", redis.port);
    let (sandbox, session) = (SandboxProcess::start(&[]), "6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e");
    let keystore = sandbox.register("ed25519");
    let redis_run = |args: &[&str]| {
        let mut command = command();
        command.args(args).args(["--json", "--store", &url]);
        command.env("SSL_CERT_FILE", redis.folder.path().join("cert.pem"));
        common::finished(command.output().unwrap()).done()
    };
    redis_run(&["store", "raise", session, "--to", &nanos().to_string()]);
    assert_eq!(redis_run(&["store", "show"]).json()["sessions"].as_array().unwrap().len(), 1);
    redis_run(&["doctor", "--keystore", &keystore, "--api", &sandbox.url]);
}

/// A Redis server that accepts only TLS, with a certificate that the test makes.
#[cfg(target_os = "linux")]
struct TlsRedis {
    process: std::process::Child,
    port: u16,
    folder: tempfile::TempDir,
}

#[cfg(target_os = "linux")]
impl TlsRedis {
    /// Starts a server. Returns None and prints a warning if none is installed.
    fn start(test: &str) -> Option<Self> {
        Self::start_with(test, &[])
    }

    #[expect(clippy::explicit_write, reason = "the test harness hides what eprintln! prints in a test that passes")]
    fn start_with(test: &str, more: &[&str]) -> Option<Self> {
        use std::io::Write as _;
        use std::process::{Command, Stdio};

        let folder = tempfile::tempdir().unwrap();
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]);
        openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        let made = openssl.current_dir(folder.path()).stderr(Stdio::null()).status();
        // Redis cannot choose a free port itself.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut redis = Command::new("redis-server");
        redis.args(["--port", "0", "--tls-port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        redis.args(["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-auth-clients", "no"]);
        redis.args(more).current_dir(folder.path()).stdout(Stdio::null());
        if made.is_ok_and(|made| made.success())
            && let Ok(process) = redis.spawn()
        {
            for _ in 0..500 {
                if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            return Some(Self { process, port, folder });
        }
        assert!(std::env::var_os("MIXIN_PIN_REQUIRE_ALL").is_none(), "{test} needs openssl and redis-server");
        writeln!(std::io::stderr(), "SKIPPED: {test} needs openssl and redis-server").unwrap();
        None
    }
}

#[cfg(target_os = "linux")]
impl Drop for TlsRedis {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn redis_over_tls_needs_a_trusted_certificate() {
    let test = "redis_over_tls_needs_a_trusted_certificate";
    let Some(redis) = TlsRedis::start(test) else { return };
    let url = format!("rediss://localhost:{}/0", redis.port);
    let show = |trusted: bool| {
        let mut command = command();
        command.args(["store", "show", "--json", "--store", &url]);
        if trusted {
            command.env("SSL_CERT_FILE", redis.folder.path().join("cert.pem"));
        }
        common::finished(command.output().unwrap())
    };
    assert_eq!(show(true).done().json()["sessions"], json!([]));
    let untrusted = show(false);
    assert_eq!((untrusted.code, untrusted.kind().as_str()), (4, "store"), "{untrusted:?}");
}
