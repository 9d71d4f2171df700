//! The tries of a day, with each meaning of a day, and how long the lock lasts.

mod common;

use common::{Kind, TestClock, register, rng, send, signed, verdict};
use mixin_pin_core::{MonotonicNonces, Pin, Session, UnixTime};
use mixin_pin_protocol::call::{Calls, LogQuery};
use mixin_pin_sandbox::{Config, Sandbox, TryWindow};
use serde_json::Value;

const DAY: u64 = 86_400;
const HOUR: u64 = 3_600;
/// The beginning of a UTC day.
const MIDNIGHT: UnixTime = UnixTime::from_secs(20_000 * DAY);

/// A user with the PIN 123456, at noon. The clock stands still, so requests are made by hand at its time.
struct User {
    clock: TestClock,
    sandbox: Sandbox,
    session: Session,
    nonces: MonotonicNonces,
}

/// Code, tries left, and the time to try again in seconds after midnight.
type Result = (u64, Option<u64>, Option<u64>);

impl User {
    fn new(try_window: TryWindow, tries_a_day: u32) -> Self {
        let clock = TestClock::new(MIDNIGHT);
        clock.advance(DAY / 2);
        let sandbox = Sandbox::start(&Config { try_window, tries_a_day, ..clock.config() }).unwrap();
        let session = common::registered_at(&sandbox, clock.now());
        let user = Self { clock, sandbox, session, nonces: MonotonicNonces::new() };
        let pin = Pin::new("123456").unwrap();
        let create = Calls::new(&user.session, user.clock.now(), &mut rng()).nonces(&user.nonces).create_pin(&pin);
        assert_eq!(verdict(&send(&user.sandbox, &signed(&user.session, create))), (0, ""));
        user
    }

    fn verify(&self, digits: &str) -> Result {
        let pin = Pin::new(digits).unwrap();
        let verify = Calls::new(&self.session, self.clock.now(), &mut rng()).nonces(&self.nonces).verify_pin(&pin);
        let answer = send(&self.sandbox, &signed(&self.session, verify));
        let extra = &answer["error"]["extra"];
        let retry_at = extra["retry_at"].as_u64().map(|time| time - MIDNIGHT.secs());
        (verdict(&answer).0, extra["tries_left"].as_u64(), retry_at)
    }

    /// Spends all tries, an hour after each other.
    fn spend(&self, tries: u64) {
        for left in (0..tries).rev() {
            self.clock.advance(HOUR);
            assert_eq!(self.verify("999999"), (20_119, Some(left), None));
        }
    }

    fn logged(&self) -> usize {
        let logs = Calls::new(&self.session, self.clock.now(), &mut rng()).logs(&LogQuery::wrong_pins());
        let answer: Value = send(&self.sandbox, &signed(&self.session, logs));
        answer["data"].as_array().unwrap().len()
    }
}

fn locked_until(time: u64) -> Result {
    (429, None, Some(time))
}

const RIGHT: Result = (0, None, None);

#[test]
fn in_a_rolling_day_a_try_is_free_again_24_hours_after_it_was_used() {
    let user = User::new(TryWindow::Rolling, 5);
    user.spend(5);
    // The first try was at 13 h.
    let free = 13 * HOUR + DAY;
    assert_eq!(user.verify("999999"), locked_until(free));
    assert_eq!(user.verify("123456"), locked_until(free), "the right PIN is refused, too");
    user.clock.advance(DAY - 4 * HOUR - 1);
    assert_eq!(user.verify("123456"), locked_until(free), "one second before");
    user.clock.advance(1);
    assert_eq!(user.verify("123456"), RIGHT);
    assert_eq!(user.verify("999999"), (20_119, Some(0), None), "one try is free, not all");
    assert_eq!(user.verify("123456"), locked_until(free + HOUR));
    assert_eq!(user.logged(), 6, "only wrong PINs are logged");
}

#[test]
fn a_call_while_locked_lengthens_a_growing_lock() {
    let user = User::new(TryWindow::Growing, 3);
    user.spend(3);
    // Tries at 13, 14 and 15 h. Each call while locked takes the place of the oldest.
    assert_eq!(user.verify("123456"), locked_until(14 * HOUR + DAY));
    assert_eq!(user.verify("999999"), locked_until(15 * HOUR + DAY));
    user.clock.advance(HOUR);
    assert_eq!(user.verify("123456"), locked_until(15 * HOUR + DAY), "two of the calls were at 15 h");
    assert_eq!(user.logged(), 3, "only wrong PINs are logged");
    user.clock.advance(DAY - HOUR - 1);
    assert_eq!(user.verify("123456"), locked_until(15 * HOUR + DAY), "one second before");
    user.clock.advance(1);
    assert_eq!(user.verify("123456"), RIGHT);
    assert_eq!(user.verify("999999"), (20_119, Some(0), None), "two calls while locked still count");
    assert_eq!(user.verify("123456"), locked_until(15 * HOUR + 2 * DAY - 1));
}

#[test]
fn a_utc_day_ends_at_midnight_with_all_its_tries() {
    let user = User::new(TryWindow::UtcDay, 5);
    user.spend(5);
    assert_eq!(user.verify("999999"), locked_until(DAY));
    assert_eq!(user.verify("123456"), locked_until(DAY));
    user.clock.advance(DAY - 17 * HOUR - 1);
    assert_eq!(user.verify("123456"), locked_until(DAY), "one second before midnight");
    user.clock.advance(1);
    assert_eq!(user.verify("123456"), RIGHT);
    assert_eq!(user.verify("999999"), (20_119, Some(4), None));
}

#[test]
fn without_tries_every_pin_call_is_refused() {
    for window in [TryWindow::Growing, TryWindow::Rolling, TryWindow::UtcDay] {
        let clock = TestClock::new(MIDNIGHT);
        let sandbox = Sandbox::start(&Config { try_window: window, tries_a_day: 0, ..clock.config() }).unwrap();
        let session = common::registered_at(&sandbox, clock.now());
        let nonces = MonotonicNonces::new();
        let pin = Pin::new("123456").unwrap();
        let create = Calls::new(&session, clock.now(), &mut rng()).nonces(&nonces).create_pin(&pin);
        assert_eq!(verdict(&send(&sandbox, &signed(&session, create))), (429, "tries_spent"), "{window:?}");
    }
}

#[test]
fn tries_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { database: Some(folder.path().join("sandbox.db")), ..Config::default() };
    let sandbox = Sandbox::start(&config).unwrap();
    let session = register(&sandbox, Kind::Rsa2048);
    let client = common::client(&sandbox, session);
    client.create_pin(&Pin::new("123456").unwrap()).unwrap().done().unwrap();
    let wrong = Pin::new("999999").unwrap();
    let left = || common::refusal(client.verify_pin(&wrong)).extra.unwrap()["tries_left"].as_u64();
    assert_eq!(left(), Some(4));
    let address = sandbox.address();
    sandbox.stop().unwrap();
    let _restarted = Sandbox::start(&Config { listen: address, ..config }).unwrap();
    assert_eq!(left(), Some(3));
}
