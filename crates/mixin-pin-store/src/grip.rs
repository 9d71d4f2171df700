//! How long a hold is good and what was taken with it, as its holder sees it; and how long to sleep between looks at one
//! that somebody else has.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mixin_pin_core::UnixTime;

use crate::Error;
use crate::next::Stock;
use crate::origin::Origin;

/// A hold's end, by two clocks: the one that never goes back, and the one that goes on while the machine sleeps. The
/// earlier end counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Term {
    begun: Instant,
    begun_at: UnixTime,
    length: Duration,
}

impl Term {
    /// A lease that began before its engine was asked, so that the engine's own ends no earlier.
    pub(crate) const fn new(begun: Instant, begun_at: UnixTime, length: Duration) -> Self {
        Self { begun, begun_at, length }
    }

    pub(crate) fn remaining(&self, now: Option<UnixTime>) -> Duration {
        let slept = |now: UnixTime| {
            let passed = now.as_nanos().ok()?.checked_sub(self.begun_at.as_nanos().ok()?)?;
            Some(Duration::from_nanos(passed))
        };
        let passed = now.and_then(slept).unwrap_or_default().max(self.begun.elapsed());
        self.length.saturating_sub(passed)
    }
}

/// What a holder has of its own, whatever the engine: the lease, and the iterators that came with the hold. A child that
/// is forked from its process has none of it.
#[derive(Debug)]
pub(crate) struct Grip {
    term: Term,
    stock: Mutex<Supply>,
    origin: Origin,
}

#[derive(Debug)]
struct Supply {
    stock: Stock,
    /// Whether one was given out of it.
    is_begun: bool,
}

impl Grip {
    pub(crate) fn new(term: Term, stock: Stock) -> Self {
        Self { term, stock: Mutex::new(Supply { stock, is_begun: false }), origin: Origin::here() }
    }

    /// Whether this is the process that holds the session.
    pub(crate) fn is_here(&self) -> bool {
        self.origin.is_here()
    }

    pub(crate) fn remaining(&self, now: Option<UnixTime>) -> Duration {
        if self.is_here() { self.term.remaining(now) } else { Duration::ZERO }
    }

    /// The next iterator: from the stock if the engine still has the hold's fence, or else from the engine, which judges the
    /// hold by the same. A lease alone is no proof: it ends by others' clocks, too. What asks for the fence is told whether
    /// it is for the first of the hold, which was made a moment ago.
    pub(crate) fn take(
        &self,
        now: Option<UnixTime>,
        has_fence: impl FnOnce(bool) -> Result<bool, Error>,
        from_engine: impl FnOnce() -> Result<u64, Error>,
    ) -> Result<u64, Error> {
        if !self.is_here() {
            return Err(Error::LeaseLost);
        }
        // Locked until the engine has answered, so that a thread's numbers rise.
        let mut supply = self.stock.lock().unwrap_or_else(PoisonError::into_inner);
        if self.remaining(now).is_zero() {
            return Err(Error::LeaseLost);
        }
        let mut left = supply.stock;
        let Some(taken) = left.take() else { return from_engine() };
        if !has_fence(!supply.is_begun)? {
            return Err(Error::LeaseLost);
        }
        *supply = Supply { stock: left, is_begun: true };
        Ok(taken)
    }
}

/// The looks at a session that somebody else holds, from quick to patient.
pub(crate) struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    const FIRST: Duration = Duration::from_micros(500);
    const LONGEST: Duration = Duration::from_millis(20);

    pub(crate) fn new(wait: Duration) -> Self {
        let now = Instant::now();
        // A wait without end is as good as a long one.
        let until = now.checked_add(wait).unwrap_or(now + Duration::from_secs(86_400 * 365));
        Self { until, pause: Self::FIRST }
    }

    /// Sleeps until the next look, or says that there is to be none.
    pub(crate) fn sleep(&mut self) -> bool {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        // Jitter, so that those who wait do not all look at once.
        thread::sleep(self.pause.mul_f64(0.5 + fastrand::f64()).min(left));
        self.pause = (self.pause * 2).min(Self::LONGEST);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_end_counts() {
        let (begun_at, minute) = (UnixTime::from_secs(1_700_000_000), Duration::from_secs(60));
        let lease = Term::new(Instant::now(), begun_at, minute);
        let at = |seconds: u64| lease.remaining(Some(UnixTime::from_secs(1_700_000_000 + seconds)));
        assert!(at(0) > Duration::from_secs(59));
        assert!(at(20) <= Duration::from_secs(40) && at(20) > Duration::from_secs(39));
        assert_eq!(at(61), Duration::ZERO, "the machine slept");
        let back = lease.remaining(Some(UnixTime::from_secs(1)));
        assert!(back > Duration::from_secs(59) && back <= minute, "a clock that goes back lengthens nothing");
        assert!(lease.remaining(None) > Duration::from_secs(59));
    }

    #[test]
    fn patience_ends() {
        let begun = Instant::now();
        let mut patience = Patience::new(Duration::from_millis(20));
        while patience.sleep() {}
        assert!(begun.elapsed() >= Duration::from_millis(20));
        assert!(!Patience::new(Duration::ZERO).sleep());
    }
}
