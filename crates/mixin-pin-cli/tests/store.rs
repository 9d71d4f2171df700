//! Iterators of the command: kept over processes, shown, forgotten, and a change settled whose answer was lost.

mod common;

use std::fs;

use common::{SandboxProcess, command, run};
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
        let sealed = run(&encrypt, b"123456\n").done().json();
        let iterator: u64 = sealed["iterator"].as_str().unwrap().parse().unwrap();
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

#[test]
fn eight_processes_at_once_are_all_taken() {
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
    let created = with(&["resolve", "--new-user"], "123456\n");
    assert_eq!((created.code, &created.json()["verdict"]), (3, &json!("not-yet")), "the token is still good");
    with(&["update", "--new-user"], "123456\n").done();
    let created = with(&["resolve", "--new-user"], "123456\n").done();
    assert_eq!((&created.json()["verdict"], &created.json()["may_cost"]), (&json!("applied"), &json!(1)));
    assert!(created.stderr.contains("may cost up to 1 of the day's tries"));

    // Nothing was changed from 123456 to 654321, and finding that out costs a try.
    let changed = with(&["resolve"], "123456\n654321\n").done().json();
    assert_eq!((&changed["verdict"], &changed["tries_spent"]), (&json!("not-applied"), &json!(1)));
    let neither = with(&["resolve"], "111111\n222222\n");
    assert_eq!((neither.code, &neither.json()["tries_spent"]), (1, &json!(2)));

    let key = sandbox.path("key");
    run(&["tip", "new-key", "--out", &key], b"").done();
    let key = fs::read_to_string(&key).unwrap();
    let digits_and_key = format!("123456\n{key}");
    let to_tip = with(&["resolve", "--spend-key-stdin"], &digits_and_key).done().json();
    assert_eq!((&to_tip["verdict"], &to_tip["tries_spent"]), (&json!("not-applied"), &json!(0)));
    with(&["update", "--spend-key-stdin"], &digits_and_key).done();
    let to_tip = with(&["resolve", "--spend-key-stdin"], &digits_and_key).done().json();
    assert_eq!((&to_tip["verdict"], &to_tip["may_cost"]), (&json!("applied"), &json!(0)));
}

#[test]
fn stores_that_cannot_be_used_say_so() {
    let sandbox = SandboxProcess::start(&[]);
    let keystore = sandbox.register("ed25519");
    let verify =
        |store: &str| sandbox.run(&["verify", "--keystore", &keystore, "--pin-stdin", "--store", store], "123456\n");
    let unknown = verify("postgres://localhost");
    assert_eq!((unknown.code, unknown.kind().as_str()), (2, "store"));
    let text = sandbox.path("notes.txt");
    fs::write(&text, "no database, but long enough to be taken for one".repeat(40)).unwrap();
    let damaged = verify(&format!("sqlite:{text}"));
    assert_eq!((damaged.code, damaged.kind().as_str()), (4, "store"));
    assert!(damaged.stdout.contains("is damaged, or no database"));
    let gone = verify("redis://127.0.0.1:9");
    assert_eq!((gone.code, gone.kind().as_str()), (4, "store"));
    assert!(gone.stdout.contains("Redis cannot be reached"));
    let memory = run(&["store", "show", "--json", "--store", "memory:"], b"");
    assert_eq!((memory.code, memory.kind().as_str()), (2, "store"), "there is nothing to show");
}

/// A Redis server that speaks TLS only, under a certificate of the test's own.
#[cfg(target_os = "linux")]
struct TlsRedis {
    process: std::process::Child,
    port: u16,
    folder: tempfile::TempDir,
}

#[cfg(target_os = "linux")]
impl TlsRedis {
    /// None, said loudly, where there is no such server.
    #[expect(clippy::explicit_write, reason = "the test harness keeps what eprintln! says of a test that passes")]
    fn start(test: &str) -> Option<Self> {
        use std::io::Write as _;
        use std::process::{Command, Stdio};

        let folder = tempfile::tempdir().unwrap();
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "key.pem", "-out", "cert.pem"]);
        openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]);
        openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        let made = openssl.current_dir(folder.path()).stderr(Stdio::null()).status();
        // Redis takes no port 0 for "any"; one that was free a moment ago will do.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut redis = Command::new("redis-server");
        redis.args(["--port", "0", "--tls-port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
        redis.args(["--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-auth-clients", "no"]);
        redis.current_dir(folder.path()).stdout(Stdio::null());
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
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn redis_is_spoken_to_over_tls_and_only_under_a_certificate_that_is_trusted() {
    let test = "redis_is_spoken_to_over_tls_and_only_under_a_certificate_that_is_trusted";
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
