//! What the store's tests share: session ids, clocks to set, and a Redis server of the test's own.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Hold, HoldTerms, NonceStore, UnixTime};
use tempfile::TempDir;

/// Session ids that no other test uses.
pub fn new_session() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u64_pair(u64::from(std::process::id()), NEXT.fetch_add(1, Ordering::Relaxed))
}

pub fn now() -> UnixTime {
    UnixTime::try_from(SystemTime::now()).unwrap()
}

pub const MINUTE: Duration = Duration::from_secs(60);

pub fn confirmed() -> HoldTerms {
    HoldTerms::new(MINUTE).with_confirmed_clock()
}

pub fn held<S: NonceStore<Error: std::fmt::Debug>>(store: &S, session_id: Uuid) -> S::Held {
    match store.hold(session_id, &confirmed()).unwrap() {
        Hold::Held(held) => held,
        Hold::Busy => panic!("busy"),
        Hold::ClockUnconfirmed { .. } => panic!("a confirmed clock"),
    }
}

/// A clock that stands where it is set.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub fn new(seconds: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seconds)))
    }

    pub fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    pub fn read(&self) -> impl Fn() -> UnixTime + Send + Sync + 'static {
        let seconds = self.0.clone();
        move || UnixTime::from_secs(seconds.load(Ordering::SeqCst))
    }
}

/// A Redis or Valkey server on a free port, without persistence, that ends with the test.
pub struct RedisServer {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl RedisServer {
    /// None, said loudly, where there is no server to start.
    #[expect(clippy::explicit_write, reason = "the test harness keeps what eprintln! says of a test that passes")]
    pub fn start(test: &str, more: &[&str]) -> Option<Self> {
        for program in ["redis-server", "valkey-server"] {
            let folder = tempfile::tempdir().unwrap();
            // Redis takes no port 0 for "any"; one that was free a moment ago will do.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let process = Command::new(program)
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
                .args(more)
                .current_dir(folder.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            if let Ok(process) = process {
                let server = Self { process, port, _folder: folder };
                server.wait();
                return Some(server);
            }
        }
        assert!(std::env::var_os("MIXIN_PIN_REQUIRE_ALL").is_none(), "{test} needs redis-server or valkey-server");
        writeln!(std::io::stderr(), "SKIPPED: {test} needs redis-server or valkey-server").unwrap();
        None
    }

    fn wait(&self) {
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the Redis server did not start");
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// Runs one of Redis's own commands.
    pub fn command(&self, words: &[&str]) -> String {
        let output =
            Command::new("redis-cli").args(["-p", &self.port.to_string()]).args(words).output().expect("redis-cli");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
