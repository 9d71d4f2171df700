//! Futures of the async client are dropped, and its processes are killed: every call that the sandbox carried out was
//! reported or is in the journal, and the iterators are in order.
//!
//! The tests run this program again as a worker process.

#[path = "../common/mod.rs"]
mod common;
mod worker;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::future::poll_fn;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::pin::pin;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use common::{Kind, register};
use libtest_mimic::{Arguments, Failed, Trial};
use mixin_pin_async::{Client, Event, Observer, Outcome};
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, Pin};
use mixin_pin_protocol::keystore::{ServerKey, write_ed25519};
use mixin_pin_sandbox::faults::{Fault, FaultProxy};
use mixin_pin_sandbox::{Config, Observation, Sandbox};
use mixin_pin_store::{Durability, NonceStore, PendingCall, SqliteStore};

/// The calls that the sandbox carries out in all, and how often their process is killed.
const CALLS: usize = 2_000;
const KILLS: usize = 20;

fn main() {
    if let Some(orders) = worker::orders() {
        worker::run(&orders);
        return;
    }
    let trials: [(&str, fn()); 2] = [
        ("dropped_futures_and_killed_processes_lose_no_call", killed_processes),
        ("a_future_can_be_dropped_at_each_poll", each_poll),
    ];
    let trial = |(name, run): (&str, fn())| {
        Trial::test(name, move || {
            run();
            Ok::<(), Failed>(())
        })
    };
    libtest_mimic::run(&Arguments::from_args(), trials.into_iter().map(trial).collect()).exit();
}

/// The calls of a session that the sandbox carried out: their iterators in the order of arrival, by their ids.
#[derive(Default)]
struct Record {
    done: Mutex<Vec<(Uuid, Vec<u64>)>>,
    refused: Mutex<Vec<Observation>>,
}

impl Record {
    fn sandbox(self: &Arc<Self>) -> Sandbox {
        let record = self.clone();
        let observer = Arc::new(move |seen: &Observation| {
            if seen.pins.is_empty() {
                return;
            }
            if seen.is_done() {
                let iterators = seen.pins.iter().filter_map(|pin| pin.iterator).collect();
                record.done.lock().unwrap().push((seen.request_id.unwrap(), iterators));
            } else {
                record.refused.lock().unwrap().push(seen.clone());
            }
        });
        Sandbox::start(&Config { observer: Some(observer), ..Config::default() }).unwrap()
    }

    fn len(&self) -> usize {
        self.done.lock().unwrap().len()
    }

    /// Compares the record with what was reported and with the journal.
    fn check(&self, reported: &BTreeMap<Uuid, String>, pending: &[PendingCall]) {
        let (done, refused) = (self.done.lock().unwrap(), self.refused.lock().unwrap());
        // A killed process may leave a request without the rest of its body. It is not carried out.
        let refused: Vec<_> = refused.iter().filter(|seen| seen.reason.as_deref() != Some("body_incomplete")).collect();
        assert!(refused.is_empty(), "{refused:?}");
        let iterators: Vec<u64> = done.iter().flat_map(|(_, iterators)| iterators).copied().collect();
        let unordered = iterators.windows(2).find(|pair| pair[0] >= pair[1]);
        assert_eq!(unordered, None, "iterators rise");
        let journal: BTreeSet<Uuid> = pending.iter().map(|call| call.request_id).collect();
        assert_eq!(journal.len(), pending.len());
        let ids: BTreeSet<Uuid> = done.iter().map(|(id, _)| *id).collect();
        assert_eq!(ids.len(), done.len(), "each request is carried out once");
        for (id, iterators) in done.iter() {
            let is_reported = reported.get(id).is_some_and(|class| class == "done");
            assert!(is_reported || journal.contains(id), "{id} was carried out, and is lost: {:?}", reported.get(id));
            if let Some(call) = pending.iter().find(|call| call.request_id == *id) {
                assert!(iterators.iter().all(|iterator| call.iterators.contains(iterator)), "{call:?} {iterators:?}");
            }
        }
        for (id, class) in reported {
            match class.as_str() {
                "done" => assert!(ids.contains(id), "{id} is reported, and was not carried out"),
                "not-sent" => assert!(!ids.contains(id), "{id} is reported as {class}, and was carried out"),
                "unknown" => assert!(journal.contains(id), "{id} is unknown, and not in the journal"),
                other => panic!("{id} ended as {other}"),
            }
        }
    }
}

/// A user with the workers' PIN, and its keystore in a file.
fn user(sandbox: &Sandbox, path: &PathBuf) -> Uuid {
    let key = Ed25519Key::generate(&mut common::rng());
    let user = common::app(sandbox).register(&VerifyingKey::Ed25519(key.public_key()), "Bot");
    let user = user.unwrap().done().unwrap();
    let server = ServerKey::Ed25519(Ed25519PublicKey::from_text(&user.server_public_key).unwrap());
    let session_id = user.session_id.unwrap();
    std::fs::write(path, write_ed25519(user.user_id, session_id, &key, &server).as_bytes()).unwrap();
    session_id
}

fn killed_processes() {
    let record = Arc::<Record>::default();
    let sandbox = record.sandbox();
    // Some answers are lost, so that outcomes are unknown, too.
    let choose = |head: &str| match fastrand::u8(0..100) {
        _ if !head.starts_with("POST") => Fault::None,
        0 => Fault::DropAnswer,
        1..3 => Fault::CloseAfter,
        3..5 => Fault::ResetAfter,
        5..7 => Fault::ResetBefore,
        7..9 => Fault::TruncateAnswer,
        9..11 => Fault::PageAfter { status: 502 },
        _ => Fault::None,
    };
    let proxy = FaultProxy::start(sandbox.address(), choose).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let orders = worker::Orders {
        url: proxy.url(),
        keystore: folder.path().join("bot.json"),
        store: folder.path().join("iterators.db"),
        stop: folder.path().join("stop"),
    };
    let session_id = user(&sandbox, &orders.keystore);
    let store = SqliteStore::open(&orders.store).unwrap().durability(Durability::Crash);
    let session = worker::session(&orders.keystore);
    let direct = mixin_pin_http::Client::builder(session).base_url(sandbox.url()).store(store.clone()).build().unwrap();
    direct.create_pin(&Pin::new(worker::PIN).unwrap()).unwrap().done().unwrap();

    let created = record.done.lock().unwrap()[0].0;
    let mut reported = BTreeMap::from([(created, "done".to_owned())]);
    let mut dropped = 0;
    for kill in 0..=KILLS {
        let mut worker = worker::command(&orders).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(worker.stdout.take().unwrap());
        let lines = thread::spawn(move || said.lines().collect::<Result<Vec<String>, _>>().unwrap());
        let until = CALLS * (kill + 1) / (KILLS + 1);
        while record.len() < until {
            assert!(worker.try_wait().unwrap().is_none(), "a worker ended early, see above");
            thread::sleep(Duration::from_millis(1));
        }
        if kill < KILLS {
            thread::sleep(Duration::from_micros(fastrand::u64(0..10_000)));
            worker.kill().unwrap();
            worker.wait().unwrap();
            // What the killed process sent must arrive before its session is leased again.
            thread::sleep(Duration::from_millis(50));
        } else {
            std::fs::write(&orders.stop, "").unwrap();
            assert!(worker.wait().unwrap().success(), "a call failed, see above");
        }
        for line in lines.join().unwrap() {
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                ["ended", id, class] => assert_eq!(reported.insert(id.parse().unwrap(), class.to_owned()), None),
                ["dropped"] => dropped += 1,
                // The last line of a killed process may be cut.
                _ => assert!(kill < KILLS, "{line}"),
            }
        }
    }
    // Requests that are still in the proxy arrive.
    thread::sleep(Duration::from_millis(100));
    let pending = NonceStore::pending(&store, session_id).unwrap();
    record.check(&reported, &pending);
    let mut classes: HashMap<&str, usize> = HashMap::new();
    for class in reported.values() {
        *classes.entry(class).or_default() += 1;
    }
    let journal: Vec<_> = pending.iter().filter(|call| !reported.contains_key(&call.request_id)).collect();
    println!(
        "{} carried out, {dropped} futures dropped, {KILLS} kills; {classes:?}, {} known from the journal alone",
        record.len(),
        journal.len()
    );
    assert!(record.len() >= CALLS && dropped > CALLS / 4, "{dropped}");
    assert!(!journal.is_empty() && classes["unknown"] > CALLS / 50, "{classes:?}");
    // The session works, whatever happened to it.
    direct.verify_pin(&Pin::new(worker::PIN).unwrap()).unwrap().done().unwrap();
}

/// Remembers how requests ended.
#[derive(Default)]
struct Ears(Mutex<BTreeMap<Uuid, String>>);

impl Observer for Ears {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Ended { request_id, method: "POST", class, .. } = event {
            self.0.lock().unwrap().insert(*request_id, class.as_str().to_owned());
        }
    }
}

fn each_poll() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let record = Arc::<Record>::default();
    let sandbox = record.sandbox();
    let loses = Arc::new(AtomicBool::new(false));
    let (losing, requests) = (loses.clone(), Arc::new(AtomicUsize::new(0)));
    let count = requests.clone();
    let choose = move |head: &str| {
        count.fetch_add(usize::from(head.starts_with("POST")), Ordering::SeqCst);
        match (head.starts_with("POST"), losing.load(Ordering::SeqCst)) {
            (false, _) => Fault::None,
            (true, true) => Fault::CloseAfter,
            // Otherwise the answer can be there before the future is polled again.
            (true, false) => Fault::DelayAnswer(Duration::from_millis(200)),
        }
    };
    let proxy = FaultProxy::start(sandbox.address(), choose).unwrap();
    let (ears, mut pending, mut dropped) = (Arc::<Ears>::default(), Vec::new(), 0);
    for lossy in [false, true] {
        loses.store(lossy, Ordering::SeqCst);
        for times in 0.. {
            // With a new session and a new database, so that the clock is confirmed first.
            let folder = tempfile::tempdir().unwrap();
            let store = SqliteStore::open(&folder.path().join("iterators.db")).unwrap();
            let session = register(&sandbox, Kind::Ed25519);
            let session_id = session.session_id();
            let builder = Client::builder(session).base_url(proxy.url()).store(store.clone()).observer(ears.clone());
            let client = builder.build().unwrap();
            let before = (record.len(), requests.load(Ordering::SeqCst));
            let result = runtime.block_on(async {
                let pin = Pin::new("314159").unwrap();
                let result = polled(times, client.create_pin(&pin)).await;
                // A call that was sent has ended when it is not under way.
                while client.pending().await.unwrap().iter().any(|call| call.under_way_for.is_some()) {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                result
            });
            let sent = requests.load(Ordering::SeqCst) - before.1;
            let left = NonceStore::pending(&store, session_id).unwrap();
            assert_eq!(record.len() - before.0, sent, "after {times} polls");
            assert_eq!(left.len(), if lossy { sent } else { 0 }, "after {times} polls");
            pending.extend(left);
            match result {
                None => dropped += sent,
                Some(result) => {
                    assert_eq!((sent, matches!(result.unwrap(), Outcome::Unknown(_))), (1, lossy));
                    assert!(times > 3, "a call takes several polls: {times}");
                    break;
                }
            }
        }
    }
    assert!(dropped > 0, "some futures are dropped after their requests were sent");
    record.check(&ears.0.lock().unwrap(), &pending);
}

/// Polls a future a number of times, then drops it. Returns its output if it is ready by then.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let (mut future, mut polls) = (pin!(future), 0);
    poll_fn(|context| {
        if polls == times {
            return Poll::Ready(None);
        }
        polls += 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}
