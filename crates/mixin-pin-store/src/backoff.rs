//! Pauses between attempts: short at first, then longer.

use std::time::{Duration, Instant};

/// Pauses that double up to a limit, until a deadline.
#[cfg_attr(all(feature = "redis", feature = "async"), derive(Clone))]
pub(crate) struct Backoff {
    until: Instant,
    pause: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_micros(500);
    const LONGEST: Duration = Duration::from_millis(20);
    /// The pause after a failure of a server, on average.
    #[cfg(feature = "redis")]
    const AFTER_FAILURE: Duration = Duration::from_millis(200);
    /// Used where `Instant` cannot express the deadline.
    const YEAR: Duration = Duration::from_secs(86_400 * 365);

    pub(crate) fn new(wait: Duration) -> Self {
        let now = Instant::now();
        Self { until: now.checked_add(wait).unwrap_or(now + Self::YEAR), pause: Self::FIRST }
    }

    /// The deadline.
    #[cfg(all(feature = "async", feature = "sqlite"))]
    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// The time until the deadline.
    #[cfg(any(feature = "postgres", feature = "redis"))]
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Makes the next pause a longer one: an attempt may cost a connection.
    #[cfg(feature = "redis")]
    pub(crate) fn after_failure(&mut self) -> &mut Self {
        self.pause = Self::AFTER_FAILURE;
        self
    }

    /// The pause before the next attempt. None when the deadline has passed.
    fn next(&mut self) -> Option<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        // Jitter keeps several callers from trying at the same moment.
        let pause = self.pause.mul_f64(0.5 + fastrand::f64()).min(left);
        self.pause = (self.pause * 2).min(Self::LONGEST);
        Some(pause)
    }

    /// Sleeps before the next attempt. Returns false when the deadline has passed.
    #[cfg(any(feature = "redis", feature = "sqlite"))]
    pub(crate) fn sleep(&mut self) -> bool {
        self.next().map(std::thread::sleep).is_some()
    }

    /// The same without blocking the thread.
    #[cfg(any(feature = "async", feature = "postgres"))]
    pub(crate) async fn pause(&mut self) -> Result<bool, crate::Error> {
        let Some(pause) = self.next() else { return Ok(false) };
        // Otherwise the timer would panic.
        tokio::runtime::Handle::try_current().map_err(|_| crate::Error::NoRuntime)?;
        tokio::time::sleep(pause).await;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deadline_ends_the_attempts() {
        let begun = Instant::now();
        let mut backoff = Backoff::new(Duration::from_millis(20));
        while let Some(pause) = backoff.next() {
            std::thread::sleep(pause);
        }
        assert!(begun.elapsed() >= Duration::from_millis(20));
        assert_eq!(Backoff::new(Duration::ZERO).next(), None);
    }
}
