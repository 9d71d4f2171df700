//! A driver that follows a script in virtual time, and writes down what it is asked for.
#![allow(dead_code, reason = "each test file uses a part")]

mod rng;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mixin_pin_machine::core::tip::{TipKey, TipSigner};
use mixin_pin_machine::core::token::Algorithm;
use mixin_pin_machine::core::uuid::Uuid;
use mixin_pin_machine::core::{NonceSource, PinKey, Session, SignerError, UnixTime};
use mixin_pin_machine::protocol::call::PreparedRequest;
use mixin_pin_machine::store::{CallIntent, Error as StoreError, Lease, LeaseReply, PendingCall};
use mixin_pin_machine::{
    Call, Error, Event, Limits, Moment, Observer, Outcome, OutcomeClass, Received, Reply, Rules, Step, TipRole,
    TransportError,
};
use serde::de::DeserializeOwned;
use serde_json::json;

pub use rng::Fixed;

/// The time at which every call begins.
pub const NOW: u64 = 1_700_000_000;

/// What is to happen at the next step that it fits. Where nothing is said, all goes well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Say {
    NoTurn,
    Busy,
    /// The session is busy after it was leased once.
    BusyAgain,
    StoreFails,
    Unconfirmed,
    /// The store's clock is behind this one, or ahead of it.
    Behind(Duration),
    Ahead(Duration),
    /// The lease is granted, and ends after ten seconds.
    LeaseEnds,
    NoIterators,
    SignerFails,
    /// In seconds.
    SignerTakes(u64),
    TipFails,
    TipIsWrong,
    DropFlight,
    /// So many seconds pass between the step and the first byte.
    Stalls(u64),
    NotSent,
    Lost,
    TimedOut,
    /// An answer that is not Mixin's.
    Status(u16),
    Refuse(u32, Option<&'static str>),
    /// A refusal that names the server's time, in seconds after [`NOW`].
    RefusedAt(u32, u64),
    /// An answer that names it.
    ServerTime(u64),
    /// An answer that does not.
    NoTime,
    RetryAfter(u64),
    /// A successful answer with this body.
    Body(&'static str),
    /// A page with this status that asks to wait so many seconds.
    PageAndRetryAfter(u16, u64),
    /// A pause ends after so many seconds.
    WaitsOnly(u64),
}

/// A request that was sent.
#[derive(Debug)]
pub struct Sent {
    pub id: Uuid,
    pub expires_at: u64,
}

#[derive(Debug)]
pub struct Driver {
    script: Vec<Say>,
    shared: Arc<Mutex<Shared>>,
    pub intents: Vec<CallIntent>,
    granted_at: Vec<UnixTime>,
    pub requests: Vec<Sent>,
    /// How many iterators were drawn.
    pub drawn: u64,
    /// What the observer heard.
    pub events: Vec<String>,
}

#[derive(Debug, Default)]
struct Shared {
    elapsed: Duration,
    steps: Vec<String>,
    kept: Vec<bool>,
    drawn: u64,
}

#[derive(Debug)]
pub struct TestLease {
    granted_at: UnixTime,
    until: Duration,
    has_iterators: bool,
    shared: Arc<Mutex<Shared>>,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NonceSource for TestLease {
    type Error = StoreError;

    fn reserve(&self, _: UnixTime) -> Result<u64, StoreError> {
        if !self.has_iterators {
            return Err(StoreError::other("no iterators"));
        }
        let mut shared = lock(&self.shared);
        shared.drawn += 1;
        Ok(self.granted_at.as_nanos()? + shared.drawn - 1)
    }
}

impl Lease for TestLease {
    fn remaining(&self) -> Duration {
        self.until.saturating_sub(lock(&self.shared).elapsed)
    }

    fn granted_at(&self) -> UnixTime {
        self.granted_at
    }

    fn keep_entry(&self, keep: bool) {
        lock(&self.shared).kept.push(keep);
    }
}

impl Drop for TestLease {
    fn drop(&mut self) {
        lock(&self.shared).steps.push("release".into());
    }
}

type Made<T> = Result<Outcome<T>, Error>;

impl Driver {
    /// Makes a call.
    pub fn run<T: DeserializeOwned>(call: Call<'_, T, Box<TestLease>>, script: &[Say]) -> (Self, Made<T>) {
        let mut driver = Self::new(script);
        let result = driver.make(call);
        assert!(driver.script.is_empty(), "never came to {:?}", driver.script);
        driver.events = EVENTS.take();
        driver.drawn = lock(&driver.shared).drawn;
        (driver, result)
    }

    /// Makes a call during which the observer panics. Returns whether it did.
    pub fn run_caught<T: DeserializeOwned>(call: Call<'_, T, Box<TestLease>>) -> (Self, bool) {
        let mut driver = Self::new(&[]);
        let result = catch_unwind(AssertUnwindSafe(|| drop(driver.make(call))));
        (driver, result.is_err())
    }

    fn new(script: &[Say]) -> Self {
        EVENTS.take();
        let (intents, granted_at, requests) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            script: script.to_vec(),
            shared: Arc::default(),
            intents,
            granted_at,
            requests,
            drawn: 0,
            events: Vec::new(),
        }
    }

    pub fn steps(&mut self) -> Vec<String> {
        lock(&self.shared).steps.clone()
    }

    /// What the machine said about keeping entries.
    pub fn kept(&mut self) -> Vec<bool> {
        lock(&self.shared).kept.clone()
    }

    /// The entry that a store would have for this attempt.
    pub fn pending(&self, attempt: usize) -> PendingCall {
        PendingCall::new(Uuid::from_u128(2), &self.intents[attempt], 1..=2, self.granted_at[attempt])
    }

    fn take(&mut self, fits: impl Fn(Say) -> bool) -> Option<Say> {
        let position = self.script.iter().position(|say| fits(*say))?;
        Some(self.script.remove(position))
    }

    fn note(&self, step: String) {
        lock(&self.shared).steps.push(step);
    }

    fn pass(&self, time: Duration) {
        lock(&self.shared).elapsed += time;
    }

    fn make<T: DeserializeOwned>(&mut self, mut call: Call<'_, T, Box<TestLease>>) -> Made<T> {
        let mut rng = Fixed(7);
        loop {
            let elapsed = lock(&self.shared).elapsed;
            let wall = UnixTime::from_secs(NOW + elapsed.as_secs());
            call = match call.step(Moment { wall, elapsed }, &mut rng) {
                Step::Turn(ask) => {
                    self.note(format!("turn {:?}", ask.limit()));
                    let is_taken = self.take(|say| say == Say::NoTurn).is_none();
                    ask.taken(is_taken)
                }
                Step::Lease(mut ask) => {
                    drop(ask.take_former());
                    assert!(ask.take_former().is_none(), "a lost lease is released once");
                    let terms = ask.terms();
                    let mut step = format!("lease {:?}, wait {:?}", terms.duration(), terms.max_wait());
                    if terms.clock_is_confirmed() {
                        step.write_str(", confirmed").unwrap();
                    }
                    self.note(step);
                    let (intent, duration) = (terms.call().unwrap().clone(), terms.duration());
                    let reply = self.lease(intent, duration, wall);
                    ask.replied(reply)
                }
                Step::SignTip(ask) => {
                    self.note(format!("sign by {:?}", ask.role()));
                    let signature = match self.take(|say| matches!(say, Say::TipFails | Say::TipIsWrong)) {
                        Some(Say::TipFails) => Err(SignerError::new()),
                        Some(_) => Ok([1; 64]),
                        None => TipSigner::sign(&tip_key(ask.role()), ask.message()),
                    };
                    ask.signed(signature)
                }
                Step::Sign(ask) => {
                    self.note("sign".into());
                    match self.take(|say| matches!(say, Say::SignerFails | Say::SignerTakes(_))) {
                        Some(Say::SignerFails) => ask.signed(Err::<[u8; 64], _>(SignerError::new())),
                        Some(Say::SignerTakes(seconds)) => {
                            self.pass(Duration::from_secs(seconds));
                            ask.signed(Ok([0; 64]))
                        }
                        _ => ask.signed(Ok([0; 64])),
                    }
                }
                Step::Ask(ask) => {
                    let reply = match ask.limit(self.stall()) {
                        Ok(limit) => {
                            self.note(format!("ask {} {} {limit:?}", ask.request().method(), ask.request().path()));
                            self.reply(ask.request())
                        }
                        Err(over) => over,
                    };
                    ask.answered(reply)
                }
                Step::Send(waiting, flight) => {
                    let since = self.stall();
                    let reply = match flight.limit(since) {
                        Ok(limit) => {
                            self.note(format!("send {limit:?}"));
                            let request = flight.request();
                            let expires_at = request.expires_at().map_or(0, UnixTime::secs);
                            self.requests.push(Sent { id: request.request_id(), expires_at });
                            if self.take(|say| say == Say::DropFlight).is_some() {
                                return Err(Error::LeaseLost);
                            }
                            self.reply(request)
                        }
                        Err(over) => over,
                    };
                    let (landed, lease) = flight.land(reply, since + Duration::from_secs(1));
                    drop(lease);
                    waiting.landed(landed)
                }
                Step::Wait(pause) => {
                    self.note(format!("wait {:?}", pause.pause()));
                    match self.take(|say| matches!(say, Say::WaitsOnly(_))) {
                        Some(Say::WaitsOnly(seconds)) => self.pass(Duration::from_secs(seconds)),
                        _ => self.pass(pause.pause()),
                    }
                    pause.over()
                }
                Step::Done(ended) => return ended.result,
            };
        }
    }

    /// The time between a step and its first byte.
    fn stall(&mut self) -> Duration {
        let since = match self.take(|say| matches!(say, Say::Stalls(_))) {
            Some(Say::Stalls(seconds)) => Duration::from_secs(seconds),
            _ => Duration::ZERO,
        };
        self.pass(since);
        since
    }

    fn lease(
        &mut self,
        intent: CallIntent,
        duration: Duration,
        wall: UnixTime,
    ) -> Result<LeaseReply<Box<TestLease>>, StoreError> {
        let is_again = !self.intents.is_empty();
        let fits =
            |say| matches!(say, Say::Busy | Say::StoreFails | Say::Unconfirmed) || (is_again && say == Say::BusyAgain);
        match self.take(fits) {
            Some(Say::Busy | Say::BusyAgain) => return Ok(LeaseReply::Busy),
            Some(Say::StoreFails) => return Err(StoreError::other("the disk is full")),
            Some(_) => return Ok(LeaseReply::ClockUnconfirmed { ahead: None }),
            None => {}
        }
        let offset = self.take(|say| matches!(say, Say::Behind(_) | Say::Ahead(_)));
        let granted_at = UnixTime::from_secs(match offset {
            Some(Say::Behind(offset)) => wall.secs() - offset.as_secs(),
            Some(Say::Ahead(offset)) => wall.secs() + offset.as_secs(),
            _ => wall.secs(),
        });
        let ends = self.take(|say| say == Say::LeaseEnds).map(|_| Duration::from_secs(10));
        let until = lock(&self.shared).elapsed + ends.unwrap_or(duration);
        let has_iterators = self.take(|say| say == Say::NoIterators).is_none();
        self.intents.push(intent);
        self.granted_at.push(granted_at);
        let shared = self.shared.clone();
        Ok(LeaseReply::Granted(Box::new(TestLease { granted_at, until, has_iterators, shared })))
    }

    /// Each exchange takes a second.
    fn reply(&mut self, request: &PreparedRequest) -> Reply {
        self.pass(Duration::from_secs(1));
        let answer = |status, body: String| Received {
            status,
            request_id: Some(request.request_id().to_string()),
            body: body.into_bytes(),
            ..Received::default()
        };
        let user = || json!({ "data": { "user_id": Uuid::from_u128(1), "has_pin": true } }).to_string();
        let refusal = |code: u32, reason: Option<&str>| {
            let extra = reason.map(|reason| json!({ "reason": reason }));
            json!({ "error": { "status": 202, "code": code, "extra": extra } }).to_string()
        };
        let time = |seconds| Some(UnixTime::from_secs(NOW + seconds));
        let is_reply = |say| {
            !matches!(
                say,
                Say::LeaseEnds
                    | Say::WaitsOnly(_)
                    | Say::SignerTakes(_)
                    | Say::TipFails
                    | Say::SignerFails
                    | Say::BusyAgain
                    | Say::Stalls(_)
            )
        };
        Reply::Answer(match self.take(is_reply) {
            Some(Say::NotSent) => return Reply::NotSent(TransportError::new("refused", false)),
            Some(Say::Lost) => return Reply::Lost(TransportError::new("broken", false)),
            Some(Say::TimedOut) => return Reply::TimedOut,
            Some(Say::Status(status)) => answer(status, "<html>".into()),
            Some(Say::Refuse(code, reason)) => answer(202, refusal(code, reason)),
            Some(Say::RefusedAt(code, at)) => Received { server_time: time(at), ..answer(202, refusal(code, None)) },
            Some(Say::ServerTime(at)) => Received { server_time: time(at), ..answer(200, user()) },
            Some(Say::RetryAfter(seconds)) => {
                Received { retry_after: Some(Duration::from_secs(seconds)), ..answer(202, refusal(429, None)) }
            }
            Some(Say::Body(body)) => answer(200, body.into()),
            Some(Say::PageAndRetryAfter(status, seconds)) => {
                Received { retry_after: Some(Duration::from_secs(seconds)), ..answer(status, "<html>".into()) }
            }
            None | Some(Say::NoTime) => answer(200, user()),
            Some(other) => panic!("{other:?} is no reply"),
        })
    }
}

thread_local! {
    /// Each test has a thread of its own.
    static EVENTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static IDS: RefCell<Vec<Uuid>> = const { RefCell::new(Vec::new()) };
}

/// Writes events down, with small numbers for ids.
struct Lines {
    panics: bool,
}

impl Observer for Lines {
    fn observe(&self, event: &Event<'_>) {
        if EVENTS.with_borrow(Vec::is_empty) {
            IDS.take();
        }
        let id = |id: &Uuid| {
            IDS.with_borrow_mut(|ids| {
                ids.iter().position(|known| known == id).unwrap_or_else(|| {
                    ids.push(*id);
                    ids.len() - 1
                })
            })
        };
        let line = match event {
            Event::Leased { request_id, waited } => format!("Leased id {} after {waited:?}", id(request_id)),
            Event::ClockConfirmed { offset } => format!("ClockConfirmed {offset:?}"),
            Event::Sent { request_id, method, path, iterator, attempt } => {
                let iterator = iterator.map_or("none".to_owned(), |iterator| iterator.to_string());
                format!("Sent id {} {method} {path}, iterator {iterator}, attempt {attempt}", id(request_id))
            }
            Event::Ended { request_id, method, path, took, class } => {
                assert!(!(self.panics && *class == OutcomeClass::Done), "the observer fails");
                format!("Ended id {} {method} {path} after {took:?}: {class:?}", id(request_id))
            }
            other => panic!("{other:?} is new"),
        };
        EVENTS.with_borrow_mut(|events| events.push(line));
    }
}

/// The key that signs in this role.
pub fn tip_key(role: TipRole) -> TipKey {
    TipKey::from_seed(match role {
        TipRole::Pin => &[5; 32],
        TipRole::Safe => &[6; 32],
    })
}

/// The calls of a session that signs elsewhere.
pub fn rules() -> Rules {
    rules_with(Limits::default())
}

pub fn rules_with(limits: Limits) -> Rules {
    Rules::new(session(), limits, Some(Arc::new(Lines { panics: false })))
}

/// Their observer panics when a request is done.
pub fn rules_with_panics() -> Rules {
    Rules::new(session(), Limits::default(), Some(Arc::new(Lines { panics: true })))
}

fn session() -> Session<Algorithm> {
    let pin_key = PinKey::from_bytes(&[7; 32]).unwrap();
    Session::from_parts(Uuid::from_u128(1), Uuid::from_u128(2), Algorithm::EdDsa, pin_key)
}
