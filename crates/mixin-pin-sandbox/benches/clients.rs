//! Ten thousand clients of ten thousand sessions, blocking and async: what an idle client costs, and how long its first call
//! takes.
//!
//! Not a criterion bench: it measures memory and file descriptors. The clients run in a process of their own, so the
//! sandbox's connections do not count. Writes `target/clients.json` for the report. `cargo test` runs a hundredth of it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Pin, PinKey, Session, X25519PublicKey};
use mixin_pin_http::ApiSettings;
use mixin_pin_sandbox::{Account, Config, Sandbox};
use mixin_pin_store::MemoryStore;
use serde_json::{Value, json};

/// Tells a child process what to measure: the kind of client, how many of them, and the API's address.
const ORDERS: &str = "MIXIN_PIN_BENCH_CLIENTS";

fn pin() -> Pin {
    Pin::new("314159").unwrap()
}

/// The key of a party: fixed, so that both processes have the same sessions.
fn key(party: u8, number: usize) -> Ed25519Key {
    let mut seed = [party; 32];
    seed[..8].copy_from_slice(&(number as u64).to_le_bytes());
    Ed25519Key::from_bytes(&seed).unwrap()
}

fn session(number: usize) -> Session {
    let server: X25519PublicKey = key(2, number).public_key().to_x25519().unwrap();
    let (user_id, session_id) = (Uuid::from_u128(number as u128 + 1), Uuid::from_u128(number as u128 + (1 << 64)));
    Session::ed25519(user_id, session_id, key(1, number), &server).unwrap()
}

/// Resident memory of this process in bytes, as the system counts it: C libraries allocate too.
fn memory_in_use() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("this bench needs Linux");
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("this bench needs Linux").count()
}

/// What a fleet of clients costs, sessions included.
struct Costs {
    memory: usize,
    files: usize,
    build: Duration,
    first_calls: Duration,
}

impl Costs {
    /// Measures clients that `build` makes, and a first call of each that `calls` makes.
    fn measure<C>(count: usize, build: impl Fn(Session) -> C, calls: impl Fn(&[C])) -> Self {
        let (memory, files, begun) = (memory_in_use(), descriptors(), Instant::now());
        let clients: Vec<C> = (0..count).map(|number| build(session(number))).collect();
        let (build, begun) = (begun.elapsed(), Instant::now());
        calls(&clients);
        let first_calls = begun.elapsed();
        let costs = Self {
            memory: memory_in_use().saturating_sub(memory),
            files: descriptors().saturating_sub(files),
            build,
            first_calls,
        };
        drop(clients);
        costs
    }

    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn report(&self, count: usize) -> Value {
        let each = |total: f64| total / count as f64;
        json!({
            "bytes_a_client": each(self.memory as f64),
            "files": self.files,
            "ns_to_build": each(self.build.as_secs_f64() * 1e9),
            "ns_first_call": each(self.first_calls.as_secs_f64() * 1e9),
        })
    }
}

/// One transport and one store, one call after another.
fn blocking(count: usize, url: &str) -> Costs {
    use mixin_pin_http::{Client, Transport};

    let transport = Transport::new(&ApiSettings::new().base_url(url)).unwrap();
    let store = MemoryStore::new();
    let build = |session| Client::builder(session).transport(transport.clone()).store(store.clone()).build().unwrap();
    Costs::measure(count, build, |clients: &[Client]| {
        for client in clients {
            client.verify_pin(&pin()).unwrap().done().unwrap();
        }
    })
}

fn asynchronous(count: usize, url: &str) -> Costs {
    use mixin_pin_async::{Client, Transport};

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let transport = Transport::new(&ApiSettings::new().base_url(url)).unwrap();
    let store = MemoryStore::new();
    let build = |session| Client::builder(session).transport(transport.clone()).store(store.clone()).build().unwrap();
    Costs::measure(count, build, |clients: &[Client]| {
        runtime.block_on(async {
            for client in clients {
                client.verify_pin(&pin()).await.unwrap().done().unwrap();
            }
        });
    })
}

fn main() {
    if let Ok(orders) = env::var(ORDERS) {
        let mut words = orders.split(' ');
        let (kind, count, url) = (words.next().unwrap(), words.next().unwrap().parse().unwrap(), words.next().unwrap());
        let costs = if kind == "async" { asynchronous(count, url) } else { blocking(count, url) };
        return println!("{}", costs.report(count));
    }
    let is_bench = env::args().any(|argument| argument == "--bench");
    let count = if is_bench { 10_000 } else { 100 };
    let sandbox = Sandbox::start(&Config::default()).unwrap();
    for number in 0..count {
        let session = session(number);
        let account = Account {
            pin: Some(pin()),
            ..Account::new(
                session.user_id(),
                session.session_id(),
                "A User",
                VerifyingKey::Ed25519(key(1, number).public_key()),
                PinKey::from_bytes(session.pin_key().expose()).unwrap(),
            )
        };
        sandbox.add_account(&account).unwrap();
    }
    let mut report = json!({ "clients": count });
    for kind in ["blocking", "async"] {
        let orders = format!("{kind} {count} {}", sandbox.url());
        let child =
            Command::new(env::current_exe().unwrap()).env(ORDERS, orders).stdout(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "the clients failed");
        let costs: Value = serde_json::from_slice(&output.stdout).unwrap();
        println!("{count} {kind} clients: {costs}");
        report[kind] = costs;
    }
    if is_bench {
        let target = env::var_os("CARGO_TARGET_DIR")
            .unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target").into());
        let mut file =
            fs::File::create(Path::new(&target).join("clients.json")).expect("the target folder can be written");
        file.write_all(report.to_string().as_bytes()).expect("the target folder can be written");
    }
}
