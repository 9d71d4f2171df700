//! The scenarios.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mixin_pin_core::tip::{TipAction, TipKey};
use mixin_pin_core::token::{Algorithm, Signer, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{
    CodeVerifier, Ed25519Key, Pin, PinKey, Session, SessionKey, SignerError, UnixTime, rand_core::CryptoRng,
};
use mixin_pin_http::{ClockOffset, Error, Event, NextStep, Observer, Outcome, Unknown, Verdict};
use mixin_pin_protocol::Error as ProtocolError;
use mixin_pin_protocol::answer::Reason;
use mixin_pin_protocol::call::LogQuery;
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_protocol::oauth::CodeExchange;
use mixin_pin_sandbox::faults::{Fault, FaultProxy};
use mixin_pin_sandbox::{Config, Observation, Sandbox};
use mixin_pin_store::{CallKind, LeaseReply, LeaseTerms, ManagedStore as _, MemoryStore, NonceStore, SqliteStore};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::clients::{Bot, Key, Settings};
use crate::common::{self, Kind, now, reason, register, rng, sandbox};

const SECOND: Duration = Duration::from_secs(1);

fn pin(digits: &str) -> Pin {
    Pin::new(digits).unwrap()
}

fn key(seed: u8) -> TipKey {
    TipKey::from_seed(&[seed; 32])
}

/// A client whose iterators and journal are in memory.
fn bot<B: Bot>(sandbox: &Sandbox, kind: Kind) -> B {
    B::new(register(sandbox, kind), MemoryStore::new(), &Settings::new(sandbox.url()))
}

fn database() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("iterators.db")).unwrap();
    (folder, store)
}

fn done<T>(outcome: Result<Outcome<T>, Error>) -> T {
    outcome.unwrap().done().unwrap()
}

fn lost<T: std::fmt::Debug>(outcome: Result<Outcome<T>, Error>) -> Unknown {
    match outcome {
        Ok(Outcome::Unknown(lost)) => lost,
        other => panic!("{other:?}"),
    }
}

pub fn every_method<B: Bot>() {
    let sandbox = sandbox();
    for kind in Kind::ALL {
        let bot = bot::<B>(&sandbox, kind);
        let (one, two) = (pin("314159"), pin("271828"));
        assert!(!bot.me().unwrap().has_pin);
        let probe = bot.probe().unwrap();
        assert!(probe.user.is_ok() && probe.clock.unwrap().distance() < SECOND * 5);
        assert!(done(bot.create_pin(&one)).has_pin);
        done(bot.verify_pin(&one));
        done(bot.change_pin(&one, &two));
        done(bot.update_pin(Some(&two), &one));
        assert_eq!(reason(bot.verify_pin(&two)), (20_119, "pin".to_owned()));
        assert_eq!(bot.pin_logs(&LogQuery::wrong_pins()).unwrap().len(), 1);
        let id = Uuid::from_u128(7);
        let path = format!("/addresses/{id}/delete");
        let receipt = done(bot.call_with_pin("POST", &path, &Map::new(), (&one).into()));
        assert_eq!(receipt["holds"], true);

        assert_eq!(done(bot.install_tip(Some(&one), &key(1))).tip_counter, 1);
        assert_eq!(done(bot.change_tip(&key(1), 1, &key(2))).tip_counter, 2);
        done(bot.verify_tip(&key(2)));
        let action = TipAction::RemoveAddress { address_id: id };
        assert_eq!(done(bot.call_with_tip("POST", &path, &Map::new(), &key(2), &action))["holds"], true);
        done(bot.register_safe(&key(2), &key(3)));
        assert_eq!(done(bot.call("GET", "/me", None))["user_id"], json!(bot.me().unwrap().user_id));
        assert!(bot.pending().unwrap().is_empty());
        assert!(!bot.settle(id).unwrap());
    }
    let app = Keystore::parse(sandbox.app_keystore().as_bytes()).unwrap().into_session(&mut rng()).unwrap();
    let app = B::new(app, MemoryStore::new(), &Settings::new(sandbox.url()));
    let key = Ed25519Key::generate(&mut rng());
    let user = done(app.register(&VerifyingKey::Ed25519(key.public_key()), "Alice"));
    assert_eq!(user.full_name, "Alice");
}

pub fn oauth<B: Bot>() {
    let sandbox = sandbox();
    let user = bot::<B>(&sandbox, Kind::Ed25519);
    done(user.install_tip(None, &key(1)));
    let app_id = common::app(&sandbox).session().user_id();
    let verifier = CodeVerifier::generate(&mut rng());
    let body =
        json!({"client_id": app_id, "scope": "PROFILE:READ", "code_challenge": verifier.challenge()}).to_string();
    let headers = [("Content-Type", "application/json")];
    let waiting = common::send_parts(&sandbox, "POST", "/sandbox/authorizations", &headers, body.as_bytes());
    let id = &waiting["data"]["authorization_id"];
    let Value::Object(body) = json!({"authorization_id": id, "scopes": ["PROFILE:READ"]}) else { unreachable!() };
    let action = TipAction::ApproveOAuth { authorization_id: id.as_str().unwrap().parse().unwrap() };
    let approved = done(user.call_with_tip("POST", "/oauth/authorize", &body, &key(1), &action));
    let code = approved["authorization_code"].as_str().unwrap();
    let own = Ed25519Key::generate(&mut rng());
    let public_key = own.public_key();
    let exchange = CodeExchange { app_id, code, verifier: &verifier, client_secret: None, public_key: &public_key };
    let grant = done(B::exchange(&sandbox.url(), &exchange));
    // A copy of the request may have spent the code.
    assert_eq!(lost(B::exchange(&sandbox.url(), &exchange)).next, NextStep::CheckFirst);
    let me = B::oauth_me(&sandbox.url(), grant.into_session(app_id, own).unwrap()).unwrap();
    assert_eq!(me.user_id, user.me().unwrap().user_id);
}

/// A user with the PIN 314159, and a proxy whose next change of the PIN meets a fault.
struct Stage<B> {
    bot: B,
    next: Arc<Mutex<Fault>>,
    seen: Arc<Mutex<Vec<Observation>>>,
    _proxy: FaultProxy,
    _sandbox: Sandbox,
    _folder: TempDir,
}

impl<B: Bot> Stage<B> {
    fn new(timeout: Duration, token_lifetime: Duration) -> Self {
        let seen: Arc<Mutex<Vec<Observation>>> = Arc::default();
        let record = seen.clone();
        let observer = Arc::new(move |observation: &Observation| record.lock().unwrap().push(observation.clone()));
        let sandbox =
            Sandbox::start(&Config { observer: Some(observer), tries_a_day: 100, ..Config::default() }).unwrap();
        let next = Arc::new(Mutex::new(Fault::None));
        let fault = next.clone();
        let choose = move |head: &str| {
            let is_pin = head.starts_with("POST /pin/");
            if is_pin { std::mem::replace(&mut *fault.lock().unwrap(), Fault::None) } else { Fault::None }
        };
        let proxy = FaultProxy::start(sandbox.address(), choose).unwrap();
        let (folder, store) = database();
        let (timeout, token_lifetime) = (Some(timeout), Some(token_lifetime));
        let settings = Settings { timeout, token_lifetime, ..Settings::new(proxy.url()) };
        let bot = B::new(register(&sandbox, Kind::Ed25519), store, &settings);
        Self { bot, next, seen, _proxy: proxy, _sandbox: sandbox, _folder: folder }
    }

    fn meet(&self, fault: Fault) {
        *self.next.lock().unwrap() = fault;
    }

    /// How often the request with this id was carried out.
    fn carried_out(&self, id: Uuid) -> usize {
        self.seen.lock().unwrap().iter().filter(|seen| seen.request_id == Some(id) && seen.is_done()).count()
    }

    /// The journal has this call and no other.
    fn assert_pending(&self, lost: &Unknown, kind: CallKind) {
        let pending = self.bot.pending().unwrap();
        assert_eq!(pending.len(), 1, "{pending:?}");
        let call = &pending[0];
        assert_eq!((call.request_id, call.kind, Some(call.expires_at)), (lost.request_id, kind, lost.expires_at));
        assert_eq!((call.method.as_str(), call.under_way_for), ("POST", None));
        for seen in self.seen.lock().unwrap().iter().filter(|seen| seen.request_id == Some(lost.request_id)) {
            assert!(
                seen.pins.iter().filter_map(|pin| pin.iterator).all(|one| call.iterators.contains(&one)),
                "{call:?}"
            );
        }
    }
}

/// Whether the outcome is known, and how often the request is carried out.
const FAULTS: [(Fault, bool, usize); 15] = [
    (Fault::None, true, 1),
    (Fault::DelayRequest(Duration::from_millis(50)), true, 1),
    (Fault::DelayAnswer(Duration::from_millis(50)), true, 1),
    (Fault::DelayAnswer(Duration::from_secs(9)), false, 1),
    (Fault::ResetBefore, false, 0),
    (Fault::ResetAfter, false, 1),
    (Fault::CloseAfter, false, 1),
    (Fault::DropAnswer, false, 1),
    (Fault::TruncateAnswer, false, 1),
    // The answer to the copy comes back, and it is a refusal.
    (Fault::Duplicate, false, 1),
    (Fault::Page { status: 502, retry_after: None }, false, 0),
    (Fault::Page { status: 429, retry_after: Some(0) }, false, 0),
    (Fault::Page { status: 500, retry_after: None }, false, 0),
    (Fault::Page { status: 302, retry_after: None }, false, 0),
    (Fault::PageAfter { status: 502 }, false, 1),
];

pub fn faults<B: Bot>() {
    let stage = Stage::<B>::new(SECOND, SECOND * 60);
    let bot = &stage.bot;
    let mut current = pin("100000");
    done(bot.create_pin(&current));
    for (number, (fault, is_known, times)) in FAULTS.into_iter().enumerate() {
        stage.meet(fault);
        match bot.verify_pin(&current) {
            Ok(Outcome::Done(_)) => assert!(is_known, "{fault:?}"),
            result => {
                let lost = lost(result);
                assert!(!is_known && lost.next == NextStep::VerifyAgain && !lost.cause.nothing_changed(), "{fault:?}");
                assert_eq!(stage.carried_out(lost.request_id), times, "{fault:?}");
                stage.assert_pending(&lost, CallKind::VerifyPin);
                assert!(bot.settle(lost.request_id).unwrap() && !bot.settle(lost.request_id).unwrap());
            }
        }
        stage.meet(fault);
        let next = pin(&format!("{}", 100_001 + number));
        let is_applied = match bot.change_pin(&current, &next) {
            Ok(Outcome::Done(_)) => is_known,
            result => {
                let lost = lost(result);
                assert!(
                    !is_known && lost.next == NextStep::ResolveUpdate && !lost.cause.nothing_changed(),
                    "{fault:?}"
                );
                assert_eq!(stage.carried_out(lost.request_id), times, "{fault:?}");
                stage.assert_pending(&lost, CallKind::UpdatePin);
                // The journal knows when its token expires.
                let (may_cost, settled) = bot.resolve(Some(Key::Digits(&current)), Key::Digits(&next), None).unwrap();
                assert_eq!(may_cost, 2);
                match settled.unwrap().verdict {
                    Verdict::Applied(_) => true,
                    Verdict::NotApplied(_) => false,
                    other => panic!("{fault:?}: {other:?}"),
                }
            }
        };
        assert_eq!(is_applied, times == 1, "{fault:?}");
        assert!(bot.pending().unwrap().is_empty(), "{fault:?}");
        if is_applied {
            current = next;
        }
    }
    done(bot.verify_pin(&current));
}

pub fn first_pin<B: Bot>() {
    for (fault, is_applied) in [(Fault::CloseAfter, true), (Fault::ResetBefore, false)] {
        let stage = Stage::<B>::new(SECOND, SECOND * 2);
        let (bot, new) = (&stage.bot, pin("314159"));
        stage.meet(fault);
        let lost = lost(bot.create_pin(&new));
        stage.assert_pending(&lost, CallKind::UpdatePin);
        let verdict = loop {
            let (_, settled) = bot.resolve(None, Key::Digits(&new), lost.expires_at).unwrap();
            match settled.unwrap().verdict {
                Verdict::NotYet { remaining, .. } => {
                    assert!(!is_applied && remaining <= SECOND * 8, "{remaining:?}");
                    stage.assert_pending(&lost, CallKind::UpdatePin);
                    thread::sleep(remaining);
                }
                verdict => break verdict,
            }
        };
        assert!(matches!((&verdict, is_applied), (Verdict::Applied(_), true) | (Verdict::NotApplied(_), false)));
        assert!(bot.pending().unwrap().is_empty());
    }
}

pub fn gateway<B: Bot>() {
    let sandbox = sandbox();
    let left = Arc::new(Mutex::new((2, 0)));
    let count = left.clone();
    let proxy = FaultProxy::start(sandbox.address(), move |_| {
        let (left, all) = &mut *count.lock().unwrap();
        *all += 1;
        if *left == 0 {
            return Fault::None;
        }
        *left -= 1;
        Fault::Page { status: 502, retry_after: None }
    });
    let proxy = proxy.unwrap();
    let bot = B::new(register(&sandbox, Kind::Ed25519), MemoryStore::new(), &Settings::new(proxy.url()));
    assert!(!bot.me().unwrap().has_pin);
    assert_eq!(*left.lock().unwrap(), (0, 3));
    *left.lock().unwrap() = (9, 0);
    assert!(matches!(bot.me(), Err(Error::Protocol(ProtocolError::Answer(_)))));
    assert_eq!(left.lock().unwrap().1, 4);
    *left.lock().unwrap() = (1, 0);
    assert_eq!(lost(bot.call("POST", "/transfers", Some(&json!({})))).next, NextStep::CheckFirst);
    assert_eq!(*left.lock().unwrap(), (0, 1));
}

/// Signs with Ed25519 after a pause.
struct Slow(Ed25519Key, Duration);

impl Signer for Slow {
    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    fn signature_len(&self) -> usize {
        self.0.signature_len()
    }

    fn sign(&self, message: &[u8], rng: &mut dyn CryptoRng, signature: &mut [u8]) -> Result<(), SignerError> {
        thread::sleep(self.1);
        self.0.sign(message, rng, signature)
    }
}

pub fn slow_signer<B: Bot>() {
    let seen = Arc::new(Mutex::new(0));
    let count = seen.clone();
    let observer = Arc::new(move |_: &Observation| *count.lock().unwrap() += 1);
    let sandbox = Sandbox::start(&Config { observer: Some(observer), ..Config::default() }).unwrap();
    let session = register(&sandbox, Kind::Ed25519);
    let before = *seen.lock().unwrap();
    let session = session.map_signer(|_| Slow(Ed25519Key::generate(&mut rng()), SECOND / 4));
    let settings = Settings { timeout: Some(SECOND / 5), ..Settings::new(sandbox.url()) };
    let bot = B::new(session, MemoryStore::new(), &settings);
    for result in [
        bot.verify_pin(&pin("314159")).map(drop),
        bot.create_pin(&pin("314159")).map(drop),
        bot.call("POST", "/me", None).map(drop),
        bot.me().map(drop),
    ] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::TimeOver { .. }) && error.nothing_changed(), "{error:?}");
    }
    assert_eq!(*seen.lock().unwrap(), before, "nothing was sent");
    assert!(bot.pending().unwrap().is_empty());
}

pub fn busy<B: Bot>() {
    let sandbox = sandbox();
    let (_folder, store) = database();
    let settings = Settings { wait: Some(SECOND / 2), ..Settings::new(sandbox.url()) };
    let bot = B::new(register(&sandbox, Kind::Ed25519), store.clone(), &settings);
    done(bot.create_pin(&pin("314159")));
    let terms = LeaseTerms::new(SECOND * 60).with_confirmed_clock();
    let LeaseReply::Granted(other) = NonceStore::lease(&store, bot.session_id(), &terms).unwrap() else { panic!() };
    let begun = Instant::now();
    let error = bot.verify_pin(&pin("314159")).unwrap_err();
    assert!(matches!(error, Error::SessionBusy { .. }) && error.nothing_changed(), "{error:?}");
    assert!(begun.elapsed() >= SECOND / 2 && begun.elapsed() < SECOND * 3, "{:?}", begun.elapsed());
    assert!(bot.me().unwrap().has_pin, "reads do not wait");
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(SECOND / 10);
            drop(other);
        });
        done(bot.verify_pin(&pin("314159")));
    });
}

pub fn wrong_clock<B: Bot>() {
    let hour = 3_600;
    for (clock, is_ahead) in [(now().secs() + hour, false), (now().secs() - hour, true)] {
        let sandbox = sandbox();
        // Registered while the clocks agree.
        let session = register(&sandbox, Kind::Ed25519);
        drop(sandbox);
        let seen: Arc<Mutex<Vec<Observation>>> = Arc::default();
        let record = seen.clone();
        let sandbox = Sandbox::start(&Config {
            clock: Arc::new(move || UnixTime::from_secs(clock)),
            observer: Some(Arc::new(move |observation: &Observation| record.lock().unwrap().push(observation.clone()))),
            ..Config::default()
        });
        let sandbox = sandbox.unwrap();
        let (_folder, store) = database();
        let bot = B::new(session, store, &Settings::new(sandbox.url()));
        let error = bot.create_pin(&pin("314159")).unwrap_err();
        let Error::Clock { offset } = &error else { panic!("{error:?}") };
        assert_eq!(matches!(offset, ClockOffset::Ahead(_)), is_ahead, "{offset}");
        assert!(offset.distance() > SECOND * 3_500 && error.nothing_changed());
        assert!(seen.lock().unwrap().iter().all(|seen| seen.pins.is_empty()), "no PIN was sent");
        assert!(bot.pending().unwrap().is_empty());
    }
}

pub fn wrong_store<B: Bot>() {
    let sandbox = sandbox();
    let (kind, settings) = (Kind::Ed25519, Settings::new(sandbox.url()));
    let (_folder, store) = database();
    let session = register(&sandbox, kind);
    let (user_id, session_id) = (session.user_id(), session.session_id());
    let pin_key = PinKey::from_bytes(session.pin_key().expose()).unwrap();
    let (session, key) = session.replace_signer(());
    let key = Arc::new(key);
    drop(session);
    let session = |pin_key| Session::from_parts(user_id, session_id, Shared(key.clone()), pin_key);
    let copy = PinKey::from_bytes(pin_key.expose()).unwrap();
    let bot = B::new(session(copy), store.clone(), &settings);
    done(bot.create_pin(&pin("314159")));
    store.raise(session_id, now().as_nanos().unwrap() + 3_600_000_000_000).unwrap();
    done(bot.verify_pin(&pin("314159")));
    // Another client of the session goes by the clock, with another store.
    let other = B::new(session(pin_key), MemoryStore::new(), &settings);
    for _ in 0..6 {
        let error = other.verify_pin(&pin("314159")).unwrap_err();
        let Error::Protocol(error) = &error else { panic!("{error:?}") };
        assert_eq!(error.reason(), Some(Reason::Iterator));
    }
    done(bot.verify_pin(&pin("314159")));
    assert!(bot.pin_logs(&LogQuery::wrong_pins()).unwrap().is_empty());
}

/// A key that two sessions share.
struct Shared(Arc<SessionKey>);

impl Signer for Shared {
    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    fn signature_len(&self) -> usize {
        self.0.signature_len()
    }

    fn sign(&self, message: &[u8], rng: &mut dyn CryptoRng, signature: &mut [u8]) -> Result<(), SignerError> {
        self.0.sign(message, rng, signature)
    }
}

pub fn wrong_pins<B: Bot>() {
    let sandbox = sandbox();
    let bot = bot::<B>(&sandbox, Kind::Rsa2048);
    done(bot.create_pin(&pin("314159")));
    for left in (0..5).rev() {
        let error = bot.verify_pin(&pin("271828")).unwrap_err();
        let Error::Protocol(error) = &error else { panic!("{error:?}") };
        assert_eq!(error.reason(), Some(Reason::Pin));
        let refusal = error.api_error().unwrap();
        assert_eq!(refusal.extra, Some(json!({"reason": "pin", "tries_left": left})));
        assert!(refusal.request_id.is_some());
    }
    // A change is unknown: the refusal may be about a copy.
    assert_eq!(lost(bot.change_pin(&pin("314159"), &pin("271828"))).next, NextStep::ResolveUpdate);
    assert_eq!(reason(bot.verify_pin(&pin("314159"))).0, 429);
    let (_, settled) = bot.resolve(Some(Key::Digits(&pin("314159"))), Key::Digits(&pin("271828")), None).unwrap();
    assert!(matches!(settled.unwrap().verdict, Verdict::TriesSpent));
    assert_eq!(bot.pending().unwrap().len(), 1, "it is not settled");
}

/// The names of events.
#[derive(Default)]
struct Ears(Mutex<Vec<String>>);

impl Observer for Ears {
    fn observe(&self, event: &Event<'_>) {
        let text = match event {
            Event::Leased { .. } => "leased".to_owned(),
            Event::ClockConfirmed { .. } => "clock".to_owned(),
            Event::Sent { method, path, iterator, attempt, .. } => {
                format!("sent {method} {path} {} {attempt}", iterator.is_some())
            }
            Event::Ended { path, class, .. } => format!("ended {path} {}", class.as_str()),
            other => panic!("{other:?}"),
        };
        self.0.lock().unwrap().push(text);
    }
}

pub fn observer<B: Bot>() {
    let sandbox = sandbox();
    let (_folder, store) = database();
    let ears = Arc::<Ears>::default();
    let settings = Settings { observer: Some(ears.clone()), ..Settings::new(sandbox.url()) };
    let bot = B::new(register(&sandbox, Kind::Ed25519), store, &settings);
    let heard = || std::mem::take(&mut *ears.0.lock().unwrap());
    done(bot.create_pin(&pin("314159")));
    assert_eq!(heard(), ["clock", "leased", "sent POST /pin/update true 1", "ended /pin/update done"]);
    bot.verify_pin(&pin("271828")).unwrap_err();
    assert_eq!(heard(), ["leased", "sent POST /pin/verify true 1", "ended /pin/verify refused"]);
    done(bot.call("GET", "/me?secret=1", None));
    assert_eq!(heard(), ["sent GET /me false 1", "ended /me done"]);
    let refused = B::new(
        register(&sandbox, Kind::Ed25519),
        MemoryStore::new(),
        &Settings { observer: Some(ears.clone()), ..Settings::new("http://127.0.0.1:9") },
    );
    assert!(matches!(refused.verify_pin(&pin("314159")), Err(Error::Connect(_))));
    let attempt = |number| {
        ["leased".to_owned(), format!("sent POST /pin/verify true {number}"), "ended /pin/verify not-sent".to_owned()]
    };
    assert_eq!(heard(), [attempt(1), attempt(2), attempt(3)].concat());
    assert!(refused.pending().unwrap().is_empty());
}
