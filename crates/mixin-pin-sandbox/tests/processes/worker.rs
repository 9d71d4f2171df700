//! What the other processes do: prove the PIN of one session, again and again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};
use std::{env, fs, process, thread};

use mixin_pin_core::{Pin, Session, SystemRng, UnixTime};
use mixin_pin_http::{Client, Error, Outcome, hazmat};
use mixin_pin_protocol::call::Calls;
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_store::{LeaseReply, LeaseTerms, NonceStore as _};
use serde_json::{Value, json};

use crate::common::Given;

pub const PIN: &str = "271828";
pub const RESERVED: &str = "reserved";
/// How long a call may take; a killed holder's lease lasts a quarter longer.
pub const TIMEOUT: Duration = Duration::from_millis(600);
const WAIT: Duration = Duration::from_secs(60);
const ORDERS: &str = "MIXIN_PIN_WORKER";
const USER_AGENT: &str = "worker-";

/// How long the one call by hand holds its session. A holder that is killed is waited for by its lease in Redis alone; in a file
/// it is proven dead, however long that is.
pub fn lease(store: &str) -> Duration {
    if store.starts_with("sqlite:") { Duration::from_secs(60) } else { Duration::from_millis(400) }
}

pub enum Mode {
    /// So many calls from each of so many threads.
    Calls { threads: usize, calls: usize },
    /// Calls from so many threads, until the file `stop` is there.
    UntilStopped { threads: usize },
    /// One call by hand, which says when its iterator is reserved.
    OneCall,
}

pub struct Orders {
    pub url: String,
    pub keystore: PathBuf,
    pub store: String,
    pub stop: PathBuf,
    pub mode: Mode,
}

/// This program, as a worker with these orders.
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

/// The orders, where this process is a worker.
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

/// Which process a request came from.
pub fn process_of(user_agent: &str) -> Option<u32> {
    user_agent.strip_prefix(USER_AGENT)?.parse().ok()
}

fn session(keystore: &Path) -> Session {
    let keystore = Keystore::parse(&fs::read(keystore).unwrap()).unwrap();
    keystore.into_session(&mut SystemRng::new().unwrap()).unwrap()
}

pub fn client(url: String, keystore: &Path, store: &str, timeout: Duration) -> Client {
    let builder = Client::builder(session(keystore)).base_url(url).timeout(timeout).wait(WAIT);
    let builder = builder.user_agent(format!("{USER_AGENT}{}", process::id()));
    builder.store(mixin_pin_store::open(store).unwrap()).build().unwrap()
}

pub fn run(orders: &Orders) {
    let Orders { url, keystore, store, stop, mode } = orders;
    match *mode {
        Mode::Calls { threads, calls } => {
            // Nobody is killed here: a slow machine may take its time.
            let client = client(url.clone(), keystore, store, Duration::from_secs(30));
            in_threads(threads, || (0..calls).for_each(|_| prove(&client)));
        }
        Mode::UntilStopped { threads } => {
            let client = client(url.clone(), keystore, store, TIMEOUT);
            in_threads(threads, || {
                while !stop.exists() {
                    prove(&client);
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

fn prove(client: &Client) {
    match client.verify_pin(&Pin::new(PIN).unwrap()) {
        // On a machine so busy that this process stood still: nothing was sent.
        Ok(Outcome::Done(_)) | Err(Error::LeaseLost) => {}
        other => panic!("{other:?}"),
    }
}

fn one_call(orders: &Orders) {
    let session = session(&orders.keystore);
    let store = mixin_pin_store::open(&orders.store).unwrap();
    let client = Client::builder(session).base_url(&orders.url).build().unwrap();
    let terms = LeaseTerms::new(lease(&orders.store)).wait(WAIT).with_confirmed_clock();
    let LeaseReply::Granted(held) = store.lease(client.session().session_id(), &terms).unwrap() else { panic!("busy") };
    let now = UnixTime::try_from(SystemTime::now()).unwrap();
    let reserved = Given(held.reserve(now).unwrap());
    // The parent reads a pipe: a line is through as soon as it is printed.
    println!("{RESERVED}");
    let mut rng = SystemRng::new().unwrap();
    let mut calls = Calls::new(client.session(), now, &mut rng).nonces(&reserved);
    let request = calls.verify_pin(&Pin::new(PIN).unwrap()).unwrap();
    let answer = hazmat::send(&client, &request).unwrap();
    println!("answered {}", answer.status);
}
