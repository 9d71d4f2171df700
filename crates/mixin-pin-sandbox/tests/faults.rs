//! Calls through a proxy that breaks a third of them: the client's results agree with the sandbox's record on every call.

mod clients;
mod common;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use clients::{Async, Blocking, Bot, Key, Settings};
use common::{Kind, register};
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Pin, Session};
use mixin_pin_http::{Error, NextStep, Outcome, Resolution, Unknown, Verdict};
use mixin_pin_protocol::answer::User;
use mixin_pin_sandbox::faults::{Fault, FaultProxy};
use mixin_pin_sandbox::{Config, Observation, Sandbox};
use mixin_pin_store::{Durability, SqliteStore};

const THREADS: usize = 10;
const CALLS: usize = 500;
const TIMEOUT: Duration = Duration::from_millis(400);
const WAIT: Duration = Duration::from_secs(10);
/// Extra time for a busy machine.
const SLACK: Duration = Duration::from_secs(5);

/// All requests that the sandbox received, in order.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<Observation>>>);

impl Record {
    fn config(&self, tries_a_day: u32) -> Config {
        let record = self.0.clone();
        let observer = Arc::new(move |seen: &Observation| record.lock().unwrap().push(seen.clone()));
        Config { observer: Some(observer), tries_a_day, ..Config::default() }
    }

    fn count(&self, of: impl Fn(&Observation) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|seen| of(seen)).count()
    }

    /// Updates of the PIN that succeeded in a session.
    fn changes(&self, session_id: Uuid) -> usize {
        self.count(|seen| seen.session_id == Some(session_id) && seen.path == "/pin/update" && seen.is_done())
    }

    /// Tries that a session spent.
    fn tries(&self, session_id: Uuid) -> usize {
        self.count(|seen| {
            seen.session_id == Some(session_id) && matches!(seen.reason.as_deref(), Some("pin" | "signature"))
        })
    }
}

fn random_fault() -> Fault {
    if fastrand::u8(0..3) > 0 {
        return Fault::None;
    }
    match fastrand::u8(0..13) {
        0 => Fault::DelayRequest(Duration::from_millis(fastrand::u64(5..100))),
        // Longer than the client waits: the request arrives after the client gave up.
        1 => Fault::DelayRequest(TIMEOUT + Duration::from_millis(fastrand::u64(0..400))),
        2 => Fault::DelayAnswer(Duration::from_millis(fastrand::u64(5..100))),
        3 => Fault::ResetBefore,
        4 => Fault::ResetAfter,
        5 => Fault::CloseAfter,
        6 => Fault::DropAnswer,
        7 => Fault::TruncateAnswer,
        8 => Fault::Duplicate,
        9 => Fault::Page { status: 502, retry_after: None },
        10 => Fault::Page { status: 429, retry_after: Some(0) },
        11 => Fault::Page { status: 500, retry_after: None },
        _ => Fault::PageAfter { status: 502 },
    }
}

/// The user's PIN or TIP key, according to the client.
enum Current {
    Nothing,
    Digits(Pin),
    Tip { key: Box<TipKey>, counter: u64 },
}

impl Current {
    fn key(&self) -> Option<Key<'_>> {
        match self {
            Self::Nothing => None,
            Self::Digits(pin) => Some(Key::Digits(pin)),
            Self::Tip { key, .. } => Some(Key::Tip(key)),
        }
    }
}

/// A user who makes one call after another.
struct Owner<B> {
    client: B,
    session_id: Uuid,
    record: Record,
    current: Current,
    changes: usize,
    verified: usize,
    announced_tries: usize,
    calls: usize,
    unknown: usize,
}

impl<B: Bot> Owner<B> {
    /// Makes a call, which must end in time.
    fn timed<T>(&mut self, call: impl FnOnce(&B) -> T) -> T {
        self.calls += 1;
        let begun = Instant::now();
        let result = call(&self.client);
        assert!(begun.elapsed() < WAIT + TIMEOUT + SLACK, "a call hung for {:?}", begun.elapsed());
        result
    }

    fn verify(&mut self) {
        let current = std::mem::replace(&mut self.current, Current::Nothing);
        let outcome = self.timed(|client| match &current {
            Current::Nothing => None,
            Current::Digits(pin) => Some(client.verify_pin(pin)),
            Current::Tip { key, .. } => Some(client.verify_tip(key)),
        });
        self.current = current;
        match outcome {
            None => {}
            Some(Ok(Outcome::Done(_))) => self.verified += 1,
            Some(Ok(Outcome::Unknown(lost))) => {
                assert_eq!(lost.next, NextStep::VerifyAgain);
                self.unknown += 1;
            }
            Some(Err(error)) => assert_never_sent(&error),
        }
    }

    fn change(&mut self, new: Current) {
        let current = std::mem::replace(&mut self.current, Current::Nothing);
        let outcome = self.timed(|client| match (&current, &new) {
            (Current::Nothing, Current::Digits(new)) => client.create_pin(new),
            (Current::Digits(old), Current::Digits(new)) => client.change_pin(old, new),
            (Current::Digits(old), Current::Tip { key, .. }) => client.install_tip(Some(old), key),
            (Current::Tip { key: old, counter }, Current::Tip { key, .. }) => client.change_tip(old, *counter, key),
            _ => unreachable!("no such change"),
        });
        let applied = match outcome {
            Ok(Outcome::Done(user)) => Some(user),
            Ok(Outcome::Unknown(lost)) => {
                assert_eq!(lost.next, NextStep::ResolveUpdate);
                self.unknown += 1;
                self.resolve(&current, &new, &lost)
            }
            Err(error) => {
                assert_never_sent(&error);
                None
            }
        };
        self.current = if let Some(user) = applied {
            self.changes += 1;
            match new {
                Current::Tip { key, .. } => Current::Tip { key, counter: user.tip_counter },
                new => new,
            }
        } else {
            current
        };
        // No lost update arrives after it was settled.
        assert_eq!(self.record.changes(self.session_id), self.changes, "of {}", self.session_id);
        assert!(self.record.tries(self.session_id) <= self.announced_tries, "a try was not announced");
    }

    /// The user if the update was applied. Tries again while the network fails, as an operator would.
    fn resolve(&mut self, old: &Current, new: &Current, lost: &Unknown) -> Option<User> {
        for _ in 0..60 {
            let planned = self.timed(|client| client.resolve(old.key(), new.key().unwrap(), lost.expires_at));
            let Ok((may_cost, settled)) = planned else { continue };
            self.announced_tries += usize::try_from(may_cost).unwrap();
            match settled {
                Ok(Resolution { verdict: Verdict::Applied(user), .. }) => return Some(user),
                Ok(Resolution { verdict: Verdict::NotApplied(_), .. }) => return None,
                Ok(Resolution { verdict: Verdict::NotYet { remaining, .. }, .. }) => {
                    thread::sleep(remaining + Duration::from_millis(100));
                }
                Ok(Resolution { verdict: Verdict::Lost(_), .. }) | Err(_) => {}
                Ok(other) => panic!("{other:?}"),
            }
        }
        panic!("never settled: {lost:?}")
    }
}

/// An error means that nothing changed. Here it also means that nothing was sent, because every request is valid.
fn assert_never_sent(error: &Error) {
    assert!(error.nothing_changed() && !matches!(error, Error::Protocol(_)), "{error:?}");
}

fn random_pin() -> Pin {
    Pin::new(format!("{:06}", fastrand::u32(0..1_000_000))).unwrap()
}

fn random_key() -> Box<TipKey> {
    let seed: [u8; 32] = std::array::from_fn(|_| fastrand::u8(..));
    Box::new(TipKey::from_seed(&seed))
}

fn client<B: Bot>(url: &str, session: Session, store: SqliteStore) -> B {
    let (timeout, wait, token_lifetime) = (Some(TIMEOUT), Some(WAIT), Some(Duration::from_secs(5)));
    B::new(session, store, &Settings { timeout, wait, token_lifetime, ..Settings::new(url) })
}

#[test]
fn five_thousand_calls_with_a_third_broken_are_all_known_or_settled() {
    five_thousand_calls::<Blocking>();
}

#[test]
fn five_thousand_async_calls_with_a_third_broken_are_all_known_or_settled() {
    five_thousand_calls::<Async>();
}

fn five_thousand_calls<B: Bot>() {
    let record = Record::default();
    let sandbox = Sandbox::start(&record.config(1_000_000)).unwrap();
    let is_reliable = Arc::new(AtomicBool::new(false));
    let reliable = is_reliable.clone();
    let choose = move |_: &str| if reliable.load(Ordering::SeqCst) { Fault::None } else { random_fault() };
    let proxy = FaultProxy::start(sandbox.address(), choose).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut bots: Vec<Owner<B>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let kind = if number % 5 == 0 { Kind::Rsa1024 } else { Kind::Ed25519 };
                let session = register(&sandbox, kind);
                let store = SqliteStore::open(&folder.path().join("iterators.db")).unwrap();
                let mut bot = Owner::<B> {
                    session_id: session.session_id(),
                    client: client(&proxy.url(), session, store.durability(Durability::Crash)),
                    record: record.clone(),
                    current: Current::Nothing,
                    changes: 0,
                    verified: 0,
                    announced_tries: 0,
                    calls: 0,
                    unknown: 0,
                };
                scope.spawn(move || {
                    while bot.calls < CALLS {
                        let to_tip = bot.calls > CALLS * 2 / 3;
                        match (&bot.current, to_tip) {
                            (Current::Nothing, _) => bot.change(Current::Digits(random_pin())),
                            _ if fastrand::u8(0..5) < 3 => bot.verify(),
                            (Current::Digits(_), false) => bot.change(Current::Digits(random_pin())),
                            _ => bot.change(Current::Tip { key: random_key(), counter: 0 }),
                        }
                    }
                    bot
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let unknown: usize = bots.iter().map(|bot| bot.unknown).sum();
    let changes: usize = bots.iter().map(|bot| bot.changes).sum();
    println!(
        "{} calls, {unknown} unknown at first, {changes} changes",
        bots.iter().map(|bot| bot.calls).sum::<usize>()
    );
    assert!(unknown > THREADS * CALLS / 20 && changes > THREADS * CALLS / 20, "{unknown} {changes}");
    // The sandbox accepts the credential that each client has in the end.
    is_reliable.store(true, Ordering::SeqCst);
    for bot in &mut bots {
        let before = bot.verified;
        bot.verify();
        assert_eq!(bot.verified, before + 1);
        let recorded = record
            .count(|seen| seen.session_id == Some(bot.session_id) && seen.path == "/pin/verify" && seen.is_done());
        assert!(recorded >= bot.verified, "{recorded} recorded, {} known to the client", bot.verified);
    }
    assert_each_ciphertext_was_sent_once(&record);
}

/// Copies that the proxy makes have the same request id, and are not counted.
fn assert_each_ciphertext_was_sent_once(record: &Record) {
    let mut sent: HashMap<String, Option<Uuid>> = HashMap::new();
    for seen in &*record.0.lock().unwrap() {
        for pin in &seen.pins {
            let request = *sent.entry(pin.ciphertext.clone()).or_insert(seen.request_id);
            assert_eq!(request, seen.request_id, "one encrypted PIN in two requests");
        }
    }
    assert!(sent.len() > THREADS * CALLS / 2, "{}", sent.len());
}
