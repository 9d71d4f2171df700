//! The worker processes: each verifies the PIN of one session repeatedly.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};
use std::{env, fs, process, thread};

use mixin_pin_core::{Pin, Session, SystemRng, UnixTime};
use mixin_pin_http::{ApiSettings, Client, Error, Outcome, hazmat};
use mixin_pin_protocol::call::Calls;
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_store::{LeaseReply, LeaseTerms, NonceStore as _};
use serde_json::{Value, json};

use crate::common::Given;

pub const PIN: &str = "271828";
pub const RESERVED: &str = "reserved";
/// How long a call may take. The lease of a killed process lasts a quarter longer.
pub const TIMEOUT: Duration = Duration::from_millis(600);
const WAIT: Duration = Duration::from_secs(60);
const ORDERS: &str = "MIXIN_PIN_WORKER";
const USER_AGENT: &str = "worker-";

/// The lease of `Mode::OneCall`. With Redis, others wait until it ends. With SQLite, they notice that the process is dead,
/// so it may be long.
pub fn lease(store: &str) -> Duration {
    if store.starts_with("sqlite:") { Duration::from_secs(60) } else { Duration::from_millis(400) }
}

pub enum Mode {
    /// A number of calls from each thread.
    Calls { threads: usize, calls: usize },
    /// Calls from each thread until the file `stop` exists.
    UntilStopped { threads: usize },
    /// One call made by hand, which prints a line when its iterator is reserved.
    OneCall,
}

pub struct Orders {
    pub url: String,
    pub keystore: PathBuf,
    pub store: String,
    pub stop: PathBuf,
    pub mode: Mode,
}

/// This program as a worker.
pub fn command(orders: &Orders) -> Command {
    let (threads, calls) = match orders.mode {
        Mode::Calls { threads, calls } => (threads, Some(calls)),
        Mode::UntilStopped { threads } => (threads, None),
        Mode::OneCall => (0, None),
    };
    let text = json!({
        "url": orders.url,
        "keystore": orders.keystore,
        "store": orders.store,
        "stop": orders.stop,
        "threads": threads,
        "calls": calls,
    });
    let mut command = Command::new(env::current_exe().unwrap());
    command.env(ORDERS, text.to_string());
    command
}

/// The orders if this process is a worker.
pub fn orders() -> Option<Orders> {
    let orders: Value = serde_json::from_str(&env::var(ORDERS).ok()?).unwrap();
    let text = |name: &str| orders[name].as_str().unwrap().to_owned();
    let number = |name: &str| orders[name].as_u64().map(|number| usize::try_from(number).unwrap());
    let mode = match (number("threads").unwrap(), number("calls")) {
        (0, _) => Mode::OneCall,
        (threads, Some(calls)) => Mode::Calls { threads, calls },
        (threads, None) => Mode::UntilStopped { threads },
    };
    let (keystore, stop) = (text("keystore").into(), text("stop").into());
    Some(Orders { url: text("url"), keystore, store: text("store"), stop, mode })
}

/// The process that sent a request.
pub fn process_of(user_agent: &str) -> Option<u32> {
    user_agent.strip_prefix(USER_AGENT)?.parse().ok()
}

fn session(keystore: &Path) -> Session {
    let keystore = Keystore::parse(&fs::read(keystore).unwrap()).unwrap();
    keystore.into_session(&mut SystemRng::new().unwrap()).unwrap()
}

pub fn client(url: String, keystore: &Path, store: &str, timeout: Duration) -> Client {
    let api = ApiSettings::new().base_url(url).user_agent(format!("{USER_AGENT}{}", process::id()));
    let builder = Client::builder(session(keystore)).api(api).timeout(timeout).wait(WAIT);
    builder.store(mixin_pin_store::open(store).unwrap()).build().unwrap()
}

pub fn run(orders: &Orders) {
    let Orders { url, keystore, store, stop, mode } = orders;
    match *mode {
        Mode::Calls { threads, calls } => {
            // No process is killed here, so a slow machine gets more time.
            let client = client(url.clone(), keystore, store, Duration::from_secs(30));
            in_threads(threads, || (0..calls).for_each(|_| verify(&client)));
        }
        Mode::UntilStopped { threads } => {
            let client = client(url.clone(), keystore, store, TIMEOUT);
            in_threads(threads, || {
                while !stop.exists() {
                    verify(&client);
                }
            });
        }
        Mode::OneCall => one_call(orders),
    }
}

fn in_threads(threads: usize, work: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(&work);
        }
    });
}

fn verify(client: &Client) {
    match client.verify_pin(&Pin::new(PIN).unwrap()) {
        // On a busy machine the lease can end before the call is sent.
        Ok(Outcome::Done(_)) | Err(Error::LeaseLost) => {}
        other => panic!("{other:?}"),
    }
}

fn one_call(orders: &Orders) {
    // The client has one session, the prepared call another of the same keystore.
    let own = session(&orders.keystore);
    let store = mixin_pin_store::open(&orders.store).unwrap();
    let client = Client::builder(session(&orders.keystore)).base_url(&orders.url).build().unwrap();
    let terms = LeaseTerms::new(lease(&orders.store)).wait(WAIT).with_confirmed_clock();
    let LeaseReply::Granted(lease) = store.lease(own.session_id(), &terms).unwrap() else { panic!("busy") };
    let now = UnixTime::try_from(SystemTime::now()).unwrap();
    let reserved = Given(lease.reserve(now).unwrap());
    // Standard output is line-buffered: the parent gets the line at once.
    println!("{RESERVED}");
    let mut rng = SystemRng::new().unwrap();
    let mut calls = Calls::new(&own, now, &mut rng).nonces(&reserved);
    let request = calls.verify_pin(&Pin::new(PIN).unwrap()).unwrap();
    let request = request.sign(own.signer(), &mut rng).unwrap();
    let answer = hazmat::send(&client, &request).unwrap();
    println!("answered {}", answer.status);
}
