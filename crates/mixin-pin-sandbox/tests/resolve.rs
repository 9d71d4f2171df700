//! Settling lost updates of every kind of PIN: the verdict and its cost.

mod common;

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::{Kind, register};
use mixin_pin_core::Pin;
use mixin_pin_core::tip::TipKey;
use mixin_pin_http::store::MemoryStore;
use mixin_pin_http::{Client, Credential, Error, NextStep, Outcome, Unknown, Verdict};
use mixin_pin_protocol::answer::User;
use mixin_pin_protocol::call::LogQuery;
use mixin_pin_sandbox::faults::{Fault, FaultProxy};
use mixin_pin_sandbox::{Config, Sandbox};

/// A user whose next update of the PIN meets a fault that the test chooses.
struct Stage {
    client: Client,
    next: Arc<Mutex<Fault>>,
    _proxy: FaultProxy,
    _sandbox: Sandbox,
}

impl Stage {
    fn new(tries_a_day: u32) -> Self {
        let sandbox = Sandbox::start(&Config { tries_a_day, ..Config::default() }).unwrap();
        let next = Arc::new(Mutex::new(Fault::None));
        let fault = next.clone();
        let proxy = FaultProxy::start(sandbox.address(), move |head| {
            let is_change = head.starts_with("POST /pin/update");
            if is_change { std::mem::replace(&mut *fault.lock().unwrap(), Fault::None) } else { Fault::None }
        });
        let proxy = proxy.unwrap();
        let session = register(&sandbox, Kind::Ed25519);
        let builder = Client::builder(session).base_url(proxy.url()).timeout(Duration::from_millis(500));
        let client = builder.token_lifetime(Duration::from_secs(4)).store(MemoryStore::new()).build().unwrap();
        Self { client, next, _proxy: proxy, _sandbox: sandbox }
    }

    /// Makes an update whose answer is lost.
    fn lose(&self, fault: Fault, change: impl FnOnce(&Client) -> Result<Outcome<User>, Error>) -> Unknown {
        *self.next.lock().unwrap() = fault;
        match change(&self.client).unwrap() {
            Outcome::Unknown(lost) if lost.next == NextStep::ResolveUpdate => lost,
            other => panic!("{other:?}"),
        }
    }

    /// Settles the update. Returns the name of the verdict, the announced cost in tries, and the real cost.
    fn settle<'c>(
        &'c self,
        old: Option<impl Into<Credential<'c>>>,
        new: impl Into<Credential<'c>>,
        lost: &Unknown,
    ) -> (&'static str, u32, u32) {
        let before = self.wrong_tries();
        let plan = self.client.resolve_update(old.map(Into::into), new.into(), lost.expires_at).unwrap();
        assert_eq!(self.wrong_tries(), before, "planning costs nothing");
        let may_cost = plan.may_cost();
        let resolution = plan.settle().unwrap();
        assert_eq!(self.wrong_tries() - before, resolution.tries_spent as usize, "the cost is reported");
        assert!(resolution.tries_spent <= may_cost, "the cost was announced");
        (name(&resolution.verdict), may_cost, resolution.tries_spent)
    }

    fn wrong_tries(&self) -> usize {
        self.client.pin_logs(&LogQuery::wrong_pins()).unwrap().len()
    }
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Applied(_) => "applied",
        Verdict::NotApplied(_) => "not applied",
        Verdict::NotYet { .. } => "not yet",
        Verdict::Neither => "neither",
        Verdict::TriesSpent => "tries spent",
        _ => "lost",
    }
}

fn pin(digits: &str) -> Pin {
    Pin::new(digits).unwrap()
}

fn key(seed: u8) -> TipKey {
    TipKey::from_seed(&[seed; 32])
}

const NOTHING: Option<&Pin> = None;

/// When a late request arrives: after its time limit, and more than a second before its token expires, whose life is counted
/// in whole seconds.
const LATE: Duration = Duration::from_secs(2);

#[test]
fn a_first_pin_is_settled() {
    let stage = Stage::new(5);
    let first = pin("111111");
    let lost = stage.lose(Fault::ResetBefore, |client| client.create_pin(&first));
    assert_eq!(stage.settle(NOTHING, &first, &lost), ("not yet", 0, 0), "it may still arrive");
    let plan = stage.client.resolve_update(None, (&first).into(), lost.expires_at).unwrap();
    let Verdict::NotYet { expires_at, remaining } = plan.settle().unwrap().verdict else { panic!("{lost:?}") };
    assert_eq!(Some(expires_at), lost.expires_at, "the expiry stays the same");
    thread::sleep(remaining);
    assert_eq!(stage.settle(NOTHING, &first, &lost), ("not applied", 0, 0), "its token has expired");
    let lost = stage.lose(Fault::CloseAfter, |client| client.create_pin(&first));
    assert_eq!(stage.settle(NOTHING, &first, &lost), ("applied", 1, 0));
    assert_eq!(stage.settle(NOTHING, &pin("222222"), &lost), ("neither", 1, 1), "another one is set");
}

#[test]
fn a_first_tip_key_is_settled() {
    let stage = Stage::new(5);
    let lost = stage.lose(Fault::ResetBefore, |client| client.install_tip(None, &key(1)));
    assert_eq!(stage.settle(NOTHING, &key(1), &lost), ("not yet", 0, 0));
    let lost = stage.lose(Fault::DropAnswer, |client| client.install_tip(None, &key(1)));
    assert_eq!(stage.settle(NOTHING, &key(1), &lost), ("applied", 0, 0));
    assert_eq!(stage.settle(NOTHING, &key(2), &lost), ("neither", 0, 0));
}

#[test]
fn a_change_of_digits_is_settled() {
    let stage = Stage::new(50);
    let (first, second) = (pin("111111"), pin("222222"));
    stage.client.create_pin(&first).unwrap().done().unwrap();
    let lost = stage.lose(Fault::ResetBefore, |client| client.change_pin(&first, &second));
    assert_eq!(stage.settle(Some(&first), &second, &lost), ("not applied", 2, 1));
    let lost = stage.lose(Fault::TruncateAnswer, |client| client.change_pin(&first, &second));
    assert_eq!(stage.settle(Some(&first), &second, &lost), ("applied", 2, 0));
    // A gateway sends it twice and returns the answer to the copy.
    let lost = stage.lose(Fault::Duplicate, |client| client.change_pin(&second, &first));
    assert_eq!(stage.settle(Some(&second), &first, &lost), ("applied", 2, 0));
    assert_eq!(stage.settle(Some(&pin("333333")), &pin("444444"), &lost), ("neither", 2, 2));
}

#[test]
fn a_change_to_a_tip_key_and_from_one_to_another_is_settled() {
    let stage = Stage::new(50);
    let digits = pin("111111");
    stage.client.create_pin(&digits).unwrap().done().unwrap();
    let lost = stage.lose(Fault::ResetBefore, |client| client.install_tip(Some(&digits), &key(1)));
    assert_eq!(stage.settle(Some(&digits), &key(1), &lost), ("not applied", 1, 0));
    let lost = stage.lose(Fault::ResetAfter, |client| client.install_tip(Some(&digits), &key(1)));
    assert_eq!(stage.settle(Some(&digits), &key(1), &lost), ("applied", 0, 0));

    let lost =
        stage.lose(Fault::Page { status: 502, retry_after: None }, |client| client.change_tip(&key(1), 1, &key(2)));
    assert_eq!(stage.settle(Some(&key(1)), &key(2), &lost), ("not applied", 1, 0));
    let lost = stage.lose(Fault::PageAfter { status: 502 }, |client| client.change_tip(&key(1), 1, &key(2)));
    assert_eq!(stage.settle(Some(&key(1)), &key(2), &lost), ("applied", 0, 0));
    assert_eq!(stage.settle(Some(&key(1)), &key(3), &lost), ("neither", 0, 0));
}

#[test]
fn a_late_change_is_refused_after_it_was_settled() {
    let stage = Stage::new(50);
    let (first, second) = (pin("111111"), pin("222222"));
    stage.client.create_pin(&first).unwrap().done().unwrap();
    let lost = stage.lose(Fault::DelayRequest(LATE), |client| client.change_pin(&first, &second));
    assert_eq!(stage.settle(Some(&first), &second, &lost), ("not applied", 2, 1));
    thread::sleep(LATE);
    stage.client.verify_pin(&first).unwrap().done().expect("the late update changed nothing");
}

#[test]
fn a_change_that_arrives_while_it_is_settled_is_found_and_costs_what_was_announced() {
    let stage = Stage::new(50);
    stage.client.install_tip(None, &key(1)).unwrap().done().unwrap();
    let installed = || stage.client.me().unwrap().tip_key_base64;
    let before = installed();
    let lost = stage.lose(Fault::DelayRequest(LATE), |client| client.change_tip(&key(1), 1, &key(2)));
    let (old, new) = (key(1), key(2));
    let plan = stage.client.resolve_update(Some((&old).into()), (&new).into(), lost.expires_at).unwrap();
    assert_eq!(plan.may_cost(), 1);
    while installed() == before {
        thread::sleep(Duration::from_millis(20));
    }
    let resolution = plan.settle().unwrap();
    assert_eq!((name(&resolution.verdict), resolution.tries_spent), ("applied", 1));
}

#[test]
fn a_user_without_tries_left_gets_that_verdict() {
    let stage = Stage::new(2);
    let (first, second) = (pin("111111"), pin("222222"));
    stage.client.create_pin(&first).unwrap().done().unwrap();
    let lost = stage.lose(Fault::ResetBefore, |client| client.change_pin(&first, &second));
    for _ in 0..2 {
        stage.client.verify_pin(&pin("999999")).unwrap_err();
    }
    assert_eq!(stage.settle(Some(&first), &second, &lost), ("tries spent", 2, 0));
}
