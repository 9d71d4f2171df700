//! Pauses between attempts: short at first, then longer.

use std::thread;
use std::time::{Duration, Instant};

/// Pauses that double up to a limit, until a deadline.
pub(crate) struct Backoff {
    until: Instant,
    pause: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_micros(500);
    const LONGEST: Duration = Duration::from_millis(20);
    /// Used where `Instant` cannot express the deadline.
    const YEAR: Duration = Duration::from_secs(86_400 * 365);

    pub(crate) fn new(wait: Duration) -> Self {
        let now = Instant::now();
        Self { until: now.checked_add(wait).unwrap_or(now + Self::YEAR), pause: Self::FIRST }
    }

    /// Sleeps before the next attempt. Returns false when the deadline has passed.
    pub(crate) fn sleep(&mut self) -> bool {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        // Jitter keeps several callers from trying at the same moment.
        thread::sleep(self.pause.mul_f64(0.5 + fastrand::f64()).min(left));
        self.pause = (self.pause * 2).min(Self::LONGEST);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_ends_the_attempts() {
        let begun = Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(20));
        while backoff.sleep() {}
        assert!(begun.elapsed() >= Duration::from_millis(20));
        assert!(!Backoff::new(Duration::ZERO).sleep());
    }
}
