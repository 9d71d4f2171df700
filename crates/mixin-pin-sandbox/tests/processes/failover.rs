//! The server of a session is killed again and again, while processes make calls: no ciphertext arrives twice, calls never
//! overlap, and each call is known or in the journal.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mixin_pin_core::uuid::Uuid;
use mixin_pin_sandbox::{Config, Observation, Sandbox};
use mixin_pin_store::{LeaseReply, LeaseTerms, NonceStore as _};

use crate::line::Line;
use crate::{CALLS, PROCESSES, Seen, Stage, THREADS, worker};

/// The longest that the calls may stand still.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many calls are made at least, and how often the server is killed meanwhile.
fn extent() -> (usize, usize) {
    let number = std::env::var("MIXIN_PIN_FAILOVERS");
    number.map_or((CALLS / 4, 2), |number| (CALLS, number.parse().expect("MIXIN_PIN_FAILOVERS is a number")))
}

/// What the sandbox saw of the calls.
#[derive(Default)]
struct Arrived {
    seen: Seen,
    ciphertexts: HashSet<String>,
    repeated: Vec<String>,
    request_ids: HashSet<Uuid>,
    /// When each call succeeded.
    done_at: Vec<Instant>,
}

impl Arrived {
    fn add(&mut self, observation: &Observation) {
        self.seen.add(observation);
        if observation.pins.is_empty() {
            return;
        }
        for pin in &observation.pins {
            if !self.ciphertexts.insert(pin.ciphertext.clone()) {
                self.repeated.push(pin.ciphertext.clone());
            }
        }
        self.request_ids.extend(observation.request_id);
        if observation.is_done() {
            self.done_at.push(Instant::now());
        }
    }
}

/// What the workers say of their calls.
#[derive(Default)]
struct Said {
    done: HashSet<Uuid>,
    unknown: HashSet<Uuid>,
    /// Errors of calls that were not sent.
    errors: Vec<String>,
}

impl Said {
    fn add(&mut self, line: &str) {
        let (what, more) = line.split_once(' ').expect("two words");
        let id = || more.parse().expect("a request id");
        let is_new = match what {
            worker::DONE => self.done.insert(id()),
            worker::UNKNOWN => self.unknown.insert(id()),
            worker::NOT_SENT => {
                self.errors.push(more.to_owned());
                true
            }
            _ => panic!("a worker says: {line}"),
        };
        assert!(is_new, "a request was sent twice: {line}");
    }
}

pub fn a_store_that_fails_over(stage: &Stage) {
    let arrived: Arc<Mutex<Arrived>> = Arc::default();
    let record = arrived.clone();
    let observer = Arc::new(move |observation: &Observation| record.lock().unwrap().add(observation));
    let sandbox = Sandbox::start(&Config { observer: Some(observer), ..Config::default() }).unwrap();
    let (keystore, session_id) = stage.register(&sandbox, "user.json");
    let line = Line::start(sandbox.address());
    let start = |_| stage.worker(line.url(), &keystore, worker::Mode::Steady { threads: THREADS });
    let workers: Vec<Child> = (0..PROCESSES).map(start).collect();
    let workers: Vec<(Child, JoinHandle<Said>)> = workers.into_iter().map(listen).collect();

    let done = || arrived.lock().unwrap().done_at.len();
    let wait_for = |calls: usize| {
        let (mut begun, mut before) = (Instant::now(), done());
        while before < calls {
            thread::sleep(Duration::from_millis(5));
            let now = done();
            if now > before {
                (begun, before) = (Instant::now(), now);
            }
            assert!(begun.elapsed() < PATIENCE, "no call succeeds any more, after {before}");
        }
    };
    let ((calls, kills), mut killed_at) = (extent(), Vec::new());
    for kill in 1..=kills {
        // Calls succeed again before the next kill.
        wait_for((calls * kill / (kills + 1)).max(done() + 10));
        killed_at.push(Instant::now());
        stage.fail_over(session_id);
    }
    wait_for(calls.max(done() + 10));
    std::fs::write(stage.path("stop"), "").unwrap();
    let mut said = Said::default();
    for (mut worker, listener) in workers {
        assert!(worker.wait().unwrap().success(), "a call failed, see above");
        let more = listener.join().unwrap();
        assert!(
            said.done.is_disjoint(&more.done) && said.unknown.is_disjoint(&more.unknown),
            "a request was sent twice"
        );
        said.done.extend(more.done);
        said.unknown.extend(more.unknown);
        said.errors.extend(more.errors);
    }

    let arrived = arrived.lock().unwrap();
    arrived.seen.assert_in_order(session_id);
    assert_eq!(arrived.repeated, [""; 0], "a ciphertext arrived twice");
    assert_eq!(line.overlapping(), 0, "calls of several holders of the lease overlap");
    assert!(said.done.is_disjoint(&said.unknown));
    assert!(said.done.is_subset(&arrived.request_ids), "a call is said to be done that never arrived");
    // The first is the one that created the PIN.
    let unsaid = arrived.request_ids.iter().filter(|id| !said.done.contains(id) && !said.unknown.contains(id)).count();
    assert_eq!(unsaid, 1, "calls arrived of which no caller knows");

    let store = mixin_pin_store::open(&stage.store).unwrap();
    // The last release may not have reached the store: its lease must end first.
    let terms = LeaseTerms::new(Duration::from_secs(1)).wait(PATIENCE).with_confirmed_clock();
    assert!(matches!(store.lease(session_id, &terms), Ok(LeaseReply::Granted(_))), "the session stays leased");
    let pending: HashSet<Uuid> = store.pending(session_id).unwrap().iter().map(|call| call.request_id).collect();
    let lost: Vec<&Uuid> = said.unknown.iter().filter(|id| !pending.contains(id)).collect();
    assert_eq!(lost, Vec::<&Uuid>::new(), "calls whose outcome is unknown are not in the journal");
    assert!(!said.unknown.is_empty(), "no answer was lost");
    for request_id in &pending {
        assert!(store.settle(session_id, *request_id).unwrap());
    }
    assert_eq!(store.pending(session_id).unwrap(), []);

    let known = pending.iter().filter(|id| said.done.contains(id)).count();
    let never_sent = pending.iter().filter(|id| !arrived.request_ids.contains(id)).count();
    stage.report(&Row {
        kills,
        calls: said.done.len(),
        unknown: said.unknown.len(),
        known,
        never_sent,
        outages: outages(&arrived.done_at, &killed_at),
        errors: said.errors,
    });
}

/// Reads what a worker says, so that it never waits for a reader.
fn listen(mut worker: Child) -> (Child, JoinHandle<Said>) {
    let lines = BufReader::new(worker.stdout.take().unwrap()).lines();
    let listener = thread::spawn(move || {
        let mut said = Said::default();
        lines.for_each(|line| said.add(&line.unwrap()));
        said
    });
    (worker, listener)
}

/// The longest time without a successful call after each kill, until the next one.
fn outages(done_at: &[Instant], killed_at: &[Instant]) -> Vec<Duration> {
    let longest = |(place, killed): (usize, &Instant)| {
        let next = killed_at.get(place + 1);
        let gaps = done_at.windows(2).filter(|pair| pair[1] > *killed && next.is_none_or(|next| pair[0] < *next));
        gaps.map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    };
    killed_at.iter().enumerate().map(longest).collect()
}

/// The result of a trial.
pub struct Row {
    kills: usize,
    calls: usize,
    unknown: usize,
    /// Entries that stayed although their calls are known.
    known: usize,
    /// Entries of calls that were never sent.
    never_sent: usize,
    outages: Vec<Duration>,
    errors: Vec<String>,
}

pub const HEAD: &str = "store      kills  calls  without an answer  entries left: known  never sent  \
                        errors before sending  outage in s: shortest  median  longest";

impl Row {
    pub fn text(&self, store: &str) -> String {
        let mut outages: Vec<f64> = self.outages.iter().map(Duration::as_secs_f64).collect();
        outages.sort_by(f64::total_cmp);
        let at = |place: usize| outages.get(place).copied().unwrap_or_default();
        let (shortest, median, longest) = (at(0), at(outages.len() / 2), at(outages.len().saturating_sub(1)));
        let Self { kills, calls, unknown, known, never_sent, errors, .. } = self;
        let mut text = format!(
            "{store:<10} {kills:>5} {calls:>6} {unknown:>18} {known:>20} {never_sent:>11} {:>22} {shortest:>22.2} \
             {median:>7.2} {longest:>8.2}",
            errors.len()
        );
        let mut kinds: Vec<&String> = errors.iter().collect();
        kinds.sort();
        kinds.dedup();
        for kind in kinds {
            let _ = write!(text, "\n           {kind}");
        }
        text
    }
}
