//! When a call must be over, how long to wait before an attempt is made anew, and when to give up.

use std::thread;
use std::time::{Duration, Instant};

use mixin_pin_core::rand_core::Rng;

use crate::Error;

/// No call, wait or token lasts longer than this: the clocks below cannot count on for ever.
pub(crate) const LONGEST: Duration = Duration::from_secs(86_400);

/// When a call must be over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    /// So long from now, a day at the most.
    pub(crate) fn new(limit: Duration) -> Self {
        let limit = limit.min(LONGEST);
        Self { at: Instant::now() + limit, limit }
    }

    pub(crate) fn time_left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// How long a request that is sent now may take.
    pub(crate) fn for_sending(&self) -> Result<Duration, Error> {
        match self.time_left() {
            Duration::ZERO => Err(Error::TimeOver { limit: self.limit }),
            left => Ok(left),
        }
    }
}

/// The attempts of one call, within its deadline.
pub(crate) struct Attempts {
    deadline: Deadline,
    left: u32,
    pause: Duration,
}

impl Attempts {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    /// As many further attempts as `retries`, if they fit into the time.
    pub(crate) fn new(limit: Duration, retries: u32) -> Self {
        Self { deadline: Deadline::new(limit), left: retries, pause: Self::FIRST }
    }

    pub(crate) const fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// Sleeps until the next attempt, as long as the server asked for or else longer each time, with jitter; false when
    /// there is to be none.
    pub(crate) fn wait(&mut self, asked_for: Option<Duration>, rng: &mut impl Rng) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        // From half of the pause to all of it, so that many clients do not come back at once.
        let jitter = f64::from(rng.next_u32()) / f64::from(u32::MAX) / 2.0;
        let pause = asked_for.unwrap_or_else(|| self.pause.mul_f64(0.5 + jitter));
        self.pause = (self.pause * 2).min(Self::LONGEST);
        if pause >= self.deadline.time_left() {
            return false;
        }
        thread::sleep(pause);
        true
    }
}

#[cfg(test)]
mod tests {
    use mixin_pin_core::SystemRng;

    use super::*;

    #[test]
    fn attempts_end_by_number_and_by_time() {
        let rng = &mut SystemRng::new().unwrap();
        let mut attempts = Attempts::new(Duration::from_secs(60), 2);
        assert!(attempts.wait(Some(Duration::ZERO), rng) && attempts.wait(Some(Duration::ZERO), rng));
        assert!(!attempts.wait(Some(Duration::ZERO), rng));
        let mut short = Attempts::new(Duration::from_millis(40), 5);
        assert!(!short.wait(None, rng), "half of the first pause is longer");
        assert!(!Attempts::new(Duration::from_secs(60), 5).wait(Some(Duration::from_secs(61)), rng));
    }

    #[test]
    fn pauses_grow() {
        let rng = &mut SystemRng::new().unwrap();
        let mut attempts = Attempts::new(Duration::from_secs(60), 2);
        let begun = Instant::now();
        assert!(attempts.wait(None, rng) && attempts.wait(None, rng));
        assert!(begun.elapsed() >= (Attempts::FIRST + Attempts::FIRST * 2) / 2);
    }
}
