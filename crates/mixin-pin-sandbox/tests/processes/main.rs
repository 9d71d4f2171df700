//! Many processes share one session through a store: no iterator is refused or repeated, even when processes with the lease
//! or the store's servers are killed.
//!
//! The tests run this program again as worker processes. `MIXIN_PIN_FAILOVERS` sets how often a server is killed during
//! 4,000 calls; without it, twice during 1,000 calls.

#[path = "../common/mod.rs"]
mod common;
mod failover;
mod line;
mod stores;
mod worker;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::now;
use libtest_mimic::{Arguments, Failed, Trial};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, Pin};
use mixin_pin_protocol::keystore::{ServerKey, write_ed25519};
use mixin_pin_sandbox::{Config, Observation, Sandbox};
use mixin_pin_store::{LeaseReply, LeaseTerms, NonceStore as _};
use stores::{Kind, Servers};
use tempfile::TempDir;

const PROCESSES: usize = 8;
const THREADS: usize = 4;
const CALLS: usize = 4_000;
const KILLS: usize = 200;
/// How many sessions lose processes at the same time, and how many processes each session has. With Redis, each killed
/// process delays its session until the lease ends.
const SESSIONS: usize = 4;
const PROCESSES_A_SESSION: usize = 3;
const RUNS: usize = 500;
const FAILOVER: &str = "a_store_that_fails_over_repeats_and_loses_no_call";

fn main() {
    if let Some(orders) = worker::orders() {
        worker::run(&orders);
        return;
    }
    let each = &Kind::ALL[..];
    // Killed processes leave the same behind in stores with the same kind of server.
    let of_each_kind = &[Kind::Sqlite, Kind::Redis, Kind::Postgres][..];
    let trials = [
        ("many_processes_make_calls_in_order", many_processes as fn(&Stage), each),
        ("killed_processes_leave_the_order_intact", killed_processes, of_each_kind),
        (
            "the_next_process_after_a_killed_one_gets_a_greater_iterator",
            killed_between_reserve_and_answer,
            of_each_kind,
        ),
        // All but SQLite.
        (FAILOVER, failover::a_store_that_fails_over, &each[1..]),
    ];
    let trials = trials.into_iter().flat_map(|(name, trial, kinds)| {
        kinds.iter().map(move |&kind| {
            let full = format!("{name}_by_{}", kind.name());
            Trial::test(full.clone(), move || {
                if let Some(stage) = Stage::start(kind, &full, name == FAILOVER) {
                    trial(&stage);
                }
                Ok::<(), Failed>(())
            })
        })
    });
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials.collect());
    let rows = ROWS.lock().unwrap();
    if !rows.is_empty() {
        println!("{}\n{}", failover::HEAD, rows.join("\n"));
    }
    conclusion.exit();
}

/// The results of the trials with servers that fail.
static ROWS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A store with its servers, and a folder for keystores.
struct Stage {
    folder: TempDir,
    kind: Kind,
    servers: Mutex<Servers>,
    store: String,
}

impl Stage {
    /// None if the store's servers are not installed.
    fn start(kind: Kind, test: &str, is_durable: bool) -> Option<Self> {
        let (folder, servers) = (tempfile::tempdir().unwrap(), Servers::start(kind, test, is_durable)?);
        let store = servers.url(folder.path());
        Some(Self { folder, kind, servers: Mutex::new(servers), store })
    }

    /// Kills the server that has the session, and starts it again.
    fn fail_over(&self, session_id: Uuid) {
        let mut servers = self.servers.lock().unwrap();
        servers.kill(session_id);
        servers.restore(session_id);
    }

    fn report(&self, row: &failover::Row) {
        ROWS.lock().unwrap().push(row.text(self.kind.name()));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Registers a user with the PIN of the workers, and writes its keystore.
    fn register(&self, sandbox: &Sandbox, name: &str) -> (PathBuf, Uuid) {
        let app = common::app(sandbox);
        let key = Ed25519Key::generate(&mut common::rng());
        let user = app.register(&mixin_pin_core::token::VerifyingKey::Ed25519(key.public_key()), name);
        let user = user.unwrap().done().unwrap();
        let server = ServerKey::Ed25519(Ed25519PublicKey::from_text(&user.server_public_key).unwrap());
        let session_id = user.session_id.unwrap();
        let path = self.path(name);
        std::fs::write(&path, write_ed25519(user.user_id, session_id, &key, &server).as_bytes()).unwrap();
        let client = worker::client(sandbox.url(), &path, &self.store, worker::TIMEOUT);
        client.create_pin(&Pin::new(worker::PIN).unwrap()).unwrap().done().unwrap();
        (path, session_id)
    }

    fn worker(&self, url: String, keystore: &Path, mode: worker::Mode) -> Child {
        let orders = worker::Orders {
            url,
            keystore: keystore.to_owned(),
            store: self.store.clone(),
            stop: self.path("stop"),
            mode,
        };
        worker::command(&orders).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
    }
}

/// The iterators of each session's successful calls, in order of arrival, and the refused calls.
#[derive(Default)]
struct Seen {
    iterators: HashMap<Uuid, Vec<u64>>,
    refused: Vec<Observation>,
}

impl Seen {
    fn add(&mut self, seen: &Observation) {
        let Some(session_id) = seen.session_id else { return };
        let iterators = seen.pins.iter().filter_map(|pin| pin.iterator);
        self.iterators.entry(session_id).or_default().extend(iterators);
        if !seen.is_done() {
            self.refused.push(seen.clone());
        }
    }

    /// Forgets requests that a killed process left without their body: no call was refused.
    fn forgive_cut_bodies(&mut self) {
        self.refused.retain(|seen| seen.reason.as_deref() != Some("body_incomplete"));
    }

    #[track_caller]
    fn assert_in_order(&self, session_id: Uuid) -> usize {
        assert_eq!(self.refused, [], "nothing is refused");
        let iterators = &self.iterators[&session_id];
        let unordered = iterators.windows(2).find(|pair| pair[0] >= pair[1]);
        assert_eq!(unordered, None, "iterators rise");
        iterators.len()
    }
}

fn observed_sandbox(seen: &Arc<Mutex<Seen>>, more: impl Fn(&Observation) + Send + Sync + 'static) -> Sandbox {
    let seen = seen.clone();
    let observer = Arc::new(move |observation: &Observation| {
        seen.lock().unwrap().add(observation);
        more(observation);
    });
    Sandbox::start(&Config { observer: Some(observer), ..Config::default() }).unwrap()
}

fn many_processes(stage: &Stage) {
    let seen = Arc::default();
    let sandbox = observed_sandbox(&seen, |_| ());
    let (keystore, session_id) = stage.register(&sandbox, "user.json");
    let calls = CALLS / PROCESSES / THREADS;
    let workers: Vec<Child> = (0..PROCESSES)
        .map(|_| stage.worker(sandbox.url(), &keystore, worker::Mode::Calls { threads: THREADS, calls }))
        .collect();
    for mut worker in workers {
        assert!(worker.wait().unwrap().success(), "a call failed, see above");
    }
    let made = seen.lock().unwrap().assert_in_order(session_id);
    assert_eq!(made, 1 + CALLS, "the PIN was created first");
}

fn killed_processes(stage: &Stage) {
    let seen = Arc::default();
    // By process id: the number of its session, and the process.
    let workers: Arc<Mutex<HashMap<u32, (usize, Child)>>> = Arc::default();
    let killed = Arc::new(AtomicUsize::new(0));
    // A process has the lease while its call is being answered, so it is killed then.
    let (victims, count) = (workers.clone(), killed.clone());
    let sandbox = observed_sandbox(&seen, move |observation| {
        let process = observation.user_agent.as_deref().and_then(worker::process_of);
        if let Some(process) = process
            && fastrand::usize(0..CALLS / KILLS) == 0
            && count.load(Ordering::SeqCst) < KILLS
            && let Some((_, mut victim)) = victims.lock().unwrap().remove(&process)
        {
            victim.kill().unwrap();
            victim.wait().unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let sessions: Vec<_> = (0..SESSIONS).map(|number| stage.register(&sandbox, &format!("{number}.json"))).collect();
    while killed.load(Ordering::SeqCst) < KILLS {
        for (number, (keystore, _)) in sessions.iter().enumerate() {
            let alive = workers.lock().unwrap().values().filter(|(session, _)| *session == number).count();
            if alive < PROCESSES_A_SESSION {
                let worker = stage.worker(sandbox.url(), keystore, worker::Mode::UntilStopped { threads: THREADS });
                workers.lock().unwrap().insert(worker.id(), (number, worker));
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    std::fs::write(stage.path("stop"), "").unwrap();
    for (_, (_, mut worker)) in workers.lock().unwrap().drain() {
        assert!(worker.wait().unwrap().success(), "a call failed, see above");
    }
    let mut seen = seen.lock().unwrap();
    seen.forgive_cut_bodies();
    let made: usize = sessions.iter().map(|(_, session_id)| seen.assert_in_order(*session_id)).sum();
    assert!(made > CALLS / 2, "{made}");
}

fn killed_between_reserve_and_answer(stage: &Stage) {
    let seen: Arc<Mutex<Seen>> = Arc::default();
    let sandbox = observed_sandbox(&seen, |_| ());
    let store = mixin_pin_store::open(&stage.store).unwrap();
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        for number in 0..PROCESSES {
            let (keystore, session_id) = stage.register(&sandbox, &format!("{number}.json"));
            let (sandbox, store, seen, answered) = (&sandbox, &store, &seen, &answered);
            scope.spawn(move || {
                for _ in 0..RUNS.div_ceil(PROCESSES) {
                    let mut worker = stage.worker(sandbox.url(), &keystore, worker::Mode::OneCall);
                    let mut said = BufReader::new(worker.stdout.take().unwrap());
                    let mut line = String::new();
                    said.read_line(&mut line).unwrap();
                    assert_eq!(line.trim(), worker::RESERVED);
                    thread::sleep(Duration::from_micros(fastrand::u64(0..6_000)));
                    worker.kill().unwrap();
                    worker.wait().unwrap();
                    // The killed process's request must arrive first: with SQLite no process waits for its lease, and a late
                    // request would be refused.
                    thread::sleep(Duration::from_millis(20));
                    line.clear();
                    answered.fetch_add(usize::from(said.read_line(&mut line).unwrap() > 0), Ordering::SeqCst);

                    let terms = LeaseTerms::new(worker::lease(&stage.store)).wait(Duration::from_secs(60));
                    let LeaseReply::Granted(next) = store.lease(session_id, &terms.with_confirmed_clock()).unwrap()
                    else {
                        panic!("the session stays leased")
                    };
                    let iterator = next.reserve(now()).unwrap();
                    let greatest = seen.lock().unwrap().iterators[&session_id].iter().copied().max().unwrap();
                    assert!(iterator > greatest, "{iterator} after {greatest}");
                }
            });
        }
    });
    // Some kills came before the answer and some after it.
    let answered = answered.into_inner();
    assert!(answered > 0 && answered < RUNS, "{answered}");
    let mut seen = seen.lock().unwrap();
    seen.forgive_cut_bodies();
    for session_id in seen.iterators.keys() {
        seen.assert_in_order(*session_id);
    }
}
