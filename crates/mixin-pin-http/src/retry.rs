//! Deadlines and repeated attempts.

use std::thread;
use std::time::{Duration, Instant};

use mixin_pin_core::rand_core::Rng;

use crate::Error;

/// The greatest limit for a call, a wait or a token. `Instant` cannot express arbitrary times.
pub(crate) const LONGEST: Duration = Duration::from_secs(86_400);

/// The end of a call's time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    limit: Duration,
}

impl Deadline {
    /// `limit` from now, at most a day.
    pub(crate) fn new(limit: Duration) -> Self {
        let limit = limit.min(LONGEST);
        Self { at: Instant::now() + limit, limit }
    }

    pub(crate) fn time_left(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// The time limit for a request that is sent now.
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

    /// At most `retries` further attempts, within `limit`.
    pub(crate) fn new(limit: Duration, retries: u32) -> Self {
        Self { deadline: Deadline::new(limit), left: retries, pause: Self::FIRST }
    }

    pub(crate) const fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// Sleeps before the next attempt: as long as the server asked for, otherwise longer each time. Returns false if there
    /// must be no further attempt.
    pub(crate) fn wait(&mut self, asked_for: Option<Duration>, rng: &mut impl Rng) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        // Jitter, between half and all of the pause, keeps many clients from returning at once.
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
