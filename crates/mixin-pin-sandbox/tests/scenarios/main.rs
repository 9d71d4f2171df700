//! One list of scenarios for both clients: each runs against the blocking and the async one, with the same expectations.

#[path = "../clients/mod.rs"]
mod clients;
#[path = "../common/mod.rs"]
mod common;
mod scenarios;

use clients::{Async, Blocking, Bot};
use libtest_mimic::{Arguments, Failed, Trial};

fn trials<B: Bot>() -> Vec<Trial> {
    let scenarios: [(&str, fn()); 11] = [
        ("every_method_does_what_it_says", scenarios::every_method::<B>),
        ("an_app_acts_for_a_user", scenarios::oauth::<B>),
        ("each_fault_of_the_network_is_known_or_settled", scenarios::faults::<B>),
        ("a_lost_first_pin_is_settled_after_its_token_expired", scenarios::first_pin::<B>),
        ("reads_are_repeated_and_pin_calls_are_not", scenarios::gateway::<B>),
        ("a_slow_signer_sends_nothing", scenarios::slow_signer::<B>),
        ("a_busy_session_is_waited_for", scenarios::busy::<B>),
        ("a_wrong_clock_sends_no_pin", scenarios::wrong_clock::<B>),
        ("a_store_without_the_last_iterator_costs_no_try", scenarios::wrong_store::<B>),
        ("wrong_pins_are_refused_and_counted", scenarios::wrong_pins::<B>),
        ("an_observer_hears_each_step", scenarios::observer::<B>),
    ];
    let trial = |(name, run): (&str, fn())| {
        Trial::test(format!("{name}_by_{}", B::NAME), move || {
            run();
            Ok::<(), Failed>(())
        })
    };
    scenarios.into_iter().map(trial).collect()
}

fn main() {
    let trials = trials::<Blocking>().into_iter().chain(trials::<Async>()).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
