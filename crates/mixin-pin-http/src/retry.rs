//! How long to wait before an attempt is made anew, and when to give up.

use std::thread;
use std::time::{Duration, Instant};

use mixin_pin_core::rand_core::Rng;

/// The attempts of one call, within its deadline.
pub(crate) struct Attempts {
    deadline: Instant,
    left: u32,
    pause: Duration,
}

impl Attempts {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(5);

    /// As many further attempts as `retries`, if they fit into the time.
    pub(crate) fn new(limit: Duration, retries: u32) -> Self {
        let now = Instant::now();
        // A limit without end is as good as a long one.
        let deadline = now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(86_400 * 365));
        Self { deadline, left: retries, pause: Self::FIRST }
    }

    /// How long the attempt that begins now may take.
    pub(crate) fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
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
        if pause >= self.time_left() {
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
