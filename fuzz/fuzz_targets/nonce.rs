//! Compares the in-memory nonce source with a model of its contract, over any sequence of operations.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mixin_pin_core::{Error, MonotonicNonces, NonceSource, UnixTime};
use mixin_pin_fuzz::planted;

#[derive(Debug, Arbitrary)]
enum Step {
    /// The clock advances or stands still.
    Forward(u32),
    /// The clock is set.
    Set {
        secs: u64,
        nanos: u32,
    },
    /// The next iterator, alone or with its timestamp.
    Reserve,
    Next,
    /// The process restarts, with or without the last iterator.
    Restart {
        remembers: bool,
    },
}

/// The contract, in numbers that do not overflow.
struct Model {
    clock: u128,
    last: u128,
}

impl Model {
    fn reserve(&mut self) -> Result<u64, Error> {
        let clock = u64::try_from(self.clock).map_err(|_| Error::Time)?;
        let next = u64::try_from(self.last + 1).map_err(|_| Error::IteratorExhausted)?;
        let next = next.max(clock);
        assert!(u128::from(next) > self.last, "iterators rise");
        self.last = next.into();
        Ok(next)
    }
}

const NANOS: u128 = 1_000_000_000;

fn time(clock: u128) -> UnixTime {
    match u64::try_from(clock) {
        Ok(nanos) => UnixTime::from_nanos(nanos),
        // Such a time is an error, whatever its nanoseconds.
        Err(_) => UnixTime::from_secs(u64::try_from(clock / NANOS).expect("clocks count seconds in 64 bits")),
    }
}

fuzz_target!(|input: (u64, Vec<Step>)| {
    let (start, steps) = input;
    let mut source = MonotonicNonces::starting_after(start);
    let mut model = Model { clock: 0, last: start.into() };
    for step in steps {
        match step {
            Step::Forward(nanos) => model.clock = (model.clock + u128::from(nanos)).min(u128::from(u64::MAX) * NANOS),
            Step::Set { secs, nanos } => model.clock = u128::from(secs) * NANOS + u128::from(nanos) % NANOS,
            Step::Reserve => assert_eq!(source.reserve(time(model.clock)), model.reserve()),
            Step::Next => match (source.next(time(model.clock)), model.reserve()) {
                (Ok(nonce), Ok(iterator)) => {
                    assert_eq!((u128::from(nonce.timestamp()), nonce.iterator()), (model.clock / NANOS, iterator));
                }
                (Err(ours), Err(expected)) => assert_eq!(ours, expected),
                (ours, expected) => panic!("{ours:?} where {expected:?} is right"),
            },
            Step::Restart { remembers } => {
                model.last = if remembers { model.last } else { 0 };
                source = MonotonicNonces::starting_after(u64::try_from(model.last).expect("an iterator"));
            }
        }
        planted(model.last == u128::from(u64::MAX));
    }
});
