//! A lease as its caller knows it: when it ends, and which iterators are reserved with it. The same for every engine.

use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mixin_pin_core::UnixTime;

use crate::Error;

use super::Process;

/// The end of a lease by two clocks: one never goes back, the other also runs while the machine sleeps. The earlier end
/// counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expiry {
    begun: Instant,
    begun_at: UnixTime,
    duration: Duration,
}

impl Expiry {
    /// Both times are read before the engine is asked, so the engine's lease ends no earlier than this one.
    pub(crate) const fn new(begun: Instant, begun_at: UnixTime, duration: Duration) -> Self {
        Self { begun, begun_at, duration }
    }

    pub(crate) fn remaining(&self, now: Option<UnixTime>) -> Duration {
        let by_wall_clock = |now: UnixTime| {
            let passed = now.as_nanos().ok()?.checked_sub(self.begun_at.as_nanos().ok()?)?;
            Some(Duration::from_nanos(passed))
        };
        let passed = now.and_then(by_wall_clock).unwrap_or_default().max(self.begun.elapsed());
        self.duration.saturating_sub(passed)
    }
}

/// The caller's part of a lease. A forked child gets none of it.
#[derive(Debug)]
pub(crate) struct LeaseState {
    expiry: Expiry,
    iterators: Mutex<Iterators>,
    process: Process,
}

#[derive(Debug)]
struct Iterators {
    /// Reserved, and not yet given out.
    reserved: RangeInclusive<u64>,
    any_taken: bool,
}

impl LeaseState {
    pub(crate) fn new(expiry: Expiry, reserved: RangeInclusive<u64>) -> Self {
        let iterators = Mutex::new(Iterators { reserved, any_taken: false });
        Self { expiry, iterators, process: Process::current() }
    }

    /// Whether this process took the lease.
    pub(crate) fn is_own(&self) -> bool {
        self.process.is_current()
    }

    pub(crate) const fn granted_at(&self) -> UnixTime {
        self.expiry.begun_at
    }

    pub(crate) fn remaining(&self, now: Option<UnixTime>) -> Duration {
        if self.is_own() { self.expiry.remaining(now) } else { Duration::ZERO }
    }

    /// Returns the next iterator: a reserved one, or one from the engine when none is left.
    ///
    /// The expiry alone is not enough, because other callers' clocks may end the lease earlier. So `has_fence` asks the
    /// engine whether it still has this lease's fence. Its argument says whether this is the lease's first iterator, when
    /// the lease is only a moment old.
    pub(crate) fn take(
        &self,
        now: Option<UnixTime>,
        has_fence: impl FnOnce(bool) -> Result<bool, Error>,
        from_engine: impl FnOnce() -> Result<u64, Error>,
    ) -> Result<u64, Error> {
        if !self.is_own() {
            return Err(Error::LeaseLost);
        }
        // Locked until the engine has answered, so iterators rise in each thread.
        let mut iterators = self.iterators.lock().unwrap_or_else(PoisonError::into_inner);
        if self.remaining(now).is_zero() {
            return Err(Error::LeaseLost);
        }
        let mut reserved = iterators.reserved.clone();
        let Some(taken) = reserved.next() else { return from_engine() };
        if !has_fence(!iterators.any_taken)? {
            return Err(Error::LeaseLost);
        }
        *iterators = Iterators { reserved, any_taken: true };
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earlier_end_counts() {
        let (begun_at, minute) = (UnixTime::from_secs(1_700_000_000), Duration::from_secs(60));
        let expiry = Expiry::new(Instant::now(), begun_at, minute);
        let at = |seconds: u64| expiry.remaining(Some(UnixTime::from_secs(1_700_000_000 + seconds)));
        assert!(at(0) > Duration::from_secs(59));
        assert!(at(20) <= Duration::from_secs(40) && at(20) > Duration::from_secs(39));
        assert_eq!(at(61), Duration::ZERO, "the machine slept");
        let back = expiry.remaining(Some(UnixTime::from_secs(1)));
        assert!(back > Duration::from_secs(59) && back <= minute, "a clock that goes back lengthens nothing");
        assert!(expiry.remaining(None) > Duration::from_secs(59));
    }
}
