//! Many processes share one session through a store: no iterator is refused or repeated, even when processes with the lease
//! are killed.
//!
//! The tests run this program again as worker processes.

#[path = "../common/mod.rs"]
mod common;
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
use mixin_pin_test_servers::redis::RedisServer;
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

fn main() {
    if let Some(orders) = worker::orders() {
        worker::run(&orders);
        return;
    }
    let trials = [
        ("many_processes_make_calls_in_order", many_processes as fn(&Stage)),
        ("killed_processes_leave_the_order_intact", killed_processes),
        ("the_next_process_after_a_killed_one_gets_a_greater_iterator", killed_between_reserve_and_answer),
    ];
    let trials = ["sqlite", "redis"].into_iter().flat_map(|store| {
        trials.map(|(name, trial)| {
            let full = format!("{name}_by_{store}");
            Trial::test(full.clone(), move || {
                match store {
                    "sqlite" => trial(&Stage::sqlite()),
                    _ => {
                        if let Some(server) = RedisServer::start(&full, &[]) {
                            trial(&Stage::redis(&server));
                        }
                    }
                }
                Ok::<(), Failed>(())
            })
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

/// A store, and a folder for keystores.
struct Stage {
    folder: TempDir,
    store: String,
}

impl Stage {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = format!("sqlite:{}", folder.path().join("iterators.db").display());
        Self { folder, store }
    }

    fn redis(server: &RedisServer) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), store: server.url() }
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

    fn worker(&self, sandbox: &Sandbox, keystore: &Path, mode: worker::Mode) -> Child {
        let orders = worker::Orders {
            url: sandbox.url(),
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
        .map(|_| stage.worker(&sandbox, &keystore, worker::Mode::Calls { threads: THREADS, calls }))
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
                let worker = stage.worker(&sandbox, keystore, worker::Mode::UntilStopped { threads: THREADS });
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
                    let mut worker = stage.worker(sandbox, &keystore, worker::Mode::OneCall);
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
