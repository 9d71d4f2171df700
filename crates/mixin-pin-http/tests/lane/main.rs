//! The lane of a session, under `shuttle`'s schedulers and with real threads. Both include the client's own source.
//!
//! `shuttle` tries random interleavings, and those of its PCT scheduler, which finds faults that need few switches at the
//! right places. `MIXIN_PIN_CASES` sets the number of interleavings for each test.

#![expect(clippy::duplicate_mod, reason = "the lane is included twice, with different primitives")]

mod explored;
mod real;
mod shuttle_sync;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mixin_pin_core::uuid::Uuid;

const SESSION: Uuid = Uuid::from_u128(0x1a4e);
const MINUTE: Duration = Duration::from_secs(60);

/// Runs a test in many interleavings.
fn explore(test: impl Fn() + Send + Sync + 'static) {
    let cases = std::env::var("MIXIN_PIN_CASES").map_or(2_000, |cases| cases.parse().expect("a number"));
    let test = Arc::new(test);
    let again = test.clone();
    shuttle::check_random(move || test(), cases);
    shuttle::check_pct(move || again(), cases, 3);
}

/// A lane in a registry of its own. The registry is never freed, as the client's.
fn new_lane() -> Arc<explored::lane::Lane> {
    let lanes: &'static explored::lane::Lanes = Box::leak(Box::new(explored::lane::Lanes::new()));
    lanes.of(SESSION)
}

#[test]
fn turns_never_overlap_and_every_patient_caller_gets_one() {
    explore(|| {
        let (lane, inside) = (new_lane(), Arc::new(AtomicUsize::new(0)));
        let caller = |_| {
            let (lane, inside) = (lane.clone(), inside.clone());
            shuttle::thread::spawn(move || {
                for _ in 0..2 {
                    // A wake-up that is lost stops all threads, which `shuttle` reports.
                    let turn = lane.turn(Duration::MAX).expect("nobody waits so long in vain");
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two turns at once");
                    shuttle::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(turn);
                }
            })
        };
        let callers: Vec<_> = (0..3).map(caller).collect();
        for caller in callers {
            caller.join().unwrap();
        }
    });
}

#[test]
fn a_caller_whose_wait_ends_swallows_no_wake_up() {
    explore(|| {
        let (lane, inside) = (new_lane(), Arc::new(AtomicUsize::new(0)));
        let caller = |wait: Duration| {
            let (lane, inside) = (lane.clone(), inside.clone());
            shuttle::thread::spawn(move || {
                let turn = lane.turn(wait);
                let is_taken = turn.is_some();
                if is_taken {
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two turns at once");
                    shuttle::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
                is_taken
            })
        };
        // The waits of the first two may end at any moment; the others never do.
        let callers: Vec<_> = [MINUTE, MINUTE, Duration::MAX, Duration::MAX].map(caller).into();
        let taken: Vec<bool> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        assert!(taken[2] && taken[3]);
        assert!(lane.turn(Duration::ZERO).is_some(), "a turn was never given back");
    });
}

#[test]
fn a_lane_that_swallows_a_wake_up_is_found() {
    /// A lane whose callers wait at one condition and give up without another look at it.
    #[derive(Default)]
    struct Careless(shuttle_sync::Mutex<bool>, shuttle_sync::Condvar);

    impl Careless {
        fn turn(&self, wait: Duration) -> bool {
            let is_taken = self.0.lock().unwrap();
            let (mut is_taken, _) = self.1.wait_timeout_while(is_taken, wait, |is_taken| *is_taken).unwrap();
            if wait != Duration::MAX && shuttle::rand::Rng::r#gen(&mut shuttle::rand::thread_rng()) {
                return false;
            }
            *is_taken = true;
            true
        }

        fn end(&self) {
            *self.0.lock().unwrap() = false;
            self.1.notify_one();
        }
    }

    let found = std::panic::catch_unwind(|| {
        explore(|| {
            let lane = Arc::new(Careless::default());
            let caller = |wait| {
                let lane = lane.clone();
                shuttle::thread::spawn(move || {
                    if lane.turn(wait) {
                        shuttle::thread::yield_now();
                        lane.end();
                    }
                })
            };
            let callers = [MINUTE, MINUTE, Duration::MAX, Duration::MAX].map(caller);
            for caller in callers {
                caller.join().unwrap();
            }
        });
    });
    let message = found.expect_err("the fault was not found");
    let message = message.downcast_ref::<String>().map_or("", String::as_str);
    assert!(message.contains("deadlock"), "{message}");
}

#[test]
fn clients_come_and_go_without_losing_their_lane() {
    explore(|| {
        let lanes: &'static explored::lane::Lanes = Box::leak(Box::new(explored::lane::Lanes::new()));
        let inside = Arc::new(AtomicUsize::new(0));
        let client = |_| {
            let inside = inside.clone();
            shuttle::thread::spawn(move || {
                for _ in 0..2 {
                    let lane = lanes.of(SESSION);
                    let turn = lane.turn(Duration::MAX).unwrap();
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "one session has two lanes");
                    shuttle::thread::yield_now();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(turn);
                }
            })
        };
        let clients: Vec<_> = (0..3).map(client).collect();
        for client in clients {
            client.join().unwrap();
        }
        assert_eq!(lanes.len(), 0, "a lane stays without a client");
    });
}

#[test]
fn clients_of_one_session_share_a_lane_and_others_do_not() {
    let (one, two) = (Uuid::from_u128(0x1a4e_0001), Uuid::from_u128(0x1a4e_0002));
    let of = real::lane::Lane::of;
    let (first, again, other) = (of(one), of(one), of(two));
    assert!(Arc::ptr_eq(&first, &again));
    let turn = first.turn(Duration::ZERO).unwrap();
    assert!(again.turn(Duration::from_millis(10)).is_none());
    assert!(other.turn(Duration::ZERO).is_some());
    drop(turn);
    assert!(again.turn(Duration::ZERO).is_some());
}

#[test]
fn turns_come_in_the_order_in_which_they_were_asked_for() {
    let lane = real::lane::Lane::of(Uuid::from_u128(0x1a4e_0003));
    let (order, ask) = (std::sync::Mutex::new(Vec::new()), Duration::from_millis(50));
    let mut turn = lane.turn(Duration::ZERO);
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (lane, order) = (&lane, &order);
            scope.spawn(move || {
                let _turn = lane.turn(MINUTE).unwrap();
                order.lock().unwrap().push(number);
            });
            std::thread::sleep(ask);
        }
        // This thread asks again at once, and comes last.
        drop(turn.take());
        turn = lane.turn(MINUTE);
        order.lock().unwrap().push(3);
    });
    assert_eq!(*order.lock().unwrap(), [0, 1, 2, 3]);
}

#[test]
fn ten_thousand_sessions_leave_nothing_behind() {
    static LANES: real::lane::Lanes = real::lane::Lanes::new();
    let lanes: Vec<_> = (0..10_000).map(|number| LANES.of(Uuid::from_u128(number))).collect();
    assert_eq!(LANES.len(), 10_000);
    drop(lanes);
    assert_eq!(LANES.len(), 0);
}
