//! The worker processes: each verifies the PIN of one session repeatedly.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{env, fs, process, thread};

use mixin_pin_core::{Pin, Session, SystemRng, UnixTime};
use mixin_pin_http::{ApiSettings, Client, ClientBuilder, Error, Event, Observer, Outcome, OutcomeClass, hazmat};
use mixin_pin_protocol::call::Calls;
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_store::{LeaseReply, LeaseTerms, NonceStore as _};
use serde_json::{Value, json};

use crate::common::Given;

pub const PIN: &str = "271828";
pub const RESERVED: &str = "reserved";
/// What `Mode::Steady` prints: a request id follows, or an error.
pub const DONE: &str = "done";
pub const UNKNOWN: &str = "unknown";
pub const NOT_SENT: &str = "not-sent";
/// How long a call may take. The lease of a killed process lasts a quarter longer.
pub const TIMEOUT: Duration = Duration::from_millis(600);
/// How long a call may take where the store's server is killed. Short, because the session then pauses for as long as a lease.
const STEADY_TIMEOUT: Duration = Duration::from_secs(2);
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
    /// Calls from each thread until the file `stop` exists. Their outcomes are printed, and calls that were not sent are made
    /// again.
    Steady { threads: usize },
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
    let (mode, threads, calls) = match orders.mode {
        Mode::Calls { threads, calls } => ("calls", threads, calls),
        Mode::UntilStopped { threads } => ("until-stopped", threads, 0),
        Mode::Steady { threads } => ("steady", threads, 0),
        Mode::OneCall => ("one", 1, 1),
    };
    let text = json!({
        "url": orders.url,
        "keystore": orders.keystore,
        "store": orders.store,
        "stop": orders.stop,
        "mode": mode,
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
    let number = |name: &str| usize::try_from(orders[name].as_u64().unwrap()).unwrap();
    let (threads, calls) = (number("threads"), number("calls"));
    let mode = match text("mode").as_str() {
        "calls" => Mode::Calls { threads, calls },
        "until-stopped" => Mode::UntilStopped { threads },
        "steady" => Mode::Steady { threads },
        _ => Mode::OneCall,
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
    builder(url, keystore, store, timeout).build().unwrap()
}

fn builder(url: String, keystore: &Path, store: &str, timeout: Duration) -> ClientBuilder {
    let api = ApiSettings::new().base_url(url).user_agent(format!("{USER_AGENT}{}", process::id()));
    let builder = Client::builder(session(keystore)).api(api).timeout(timeout).wait(WAIT);
    builder.store(mixin_pin_store::open(store).unwrap())
}

/// Prints what became of each call that was sent.
struct Outcomes;

impl Observer for Outcomes {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Ended { request_id, method: "POST", class, .. } = event {
            match class {
                OutcomeClass::Done => println!("{DONE} {request_id}"),
                OutcomeClass::Unknown => println!("{UNKNOWN} {request_id}"),
                OutcomeClass::NotSent => {}
                other => println!("{} {request_id}", other.as_str()),
            }
        }
    }
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
        Mode::Steady { threads } => {
            let client =
                builder(url.clone(), keystore, store, STEADY_TIMEOUT).observer(Arc::new(Outcomes)).build().unwrap();
            in_threads(threads, || {
                while !stop.exists() {
                    match client.verify_pin(&Pin::new(PIN).unwrap()) {
                        // Printed by the observer.
                        Ok(_) => {}
                        Err(error) if error.nothing_changed() => println!("{NOT_SENT} {error}"),
                        Err(error) => panic!("{error:?}"),
                    }
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
