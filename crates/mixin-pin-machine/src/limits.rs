//! The time limits of a client's calls.

use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_protocol::call::DEFAULT_LIFETIME;

/// The greatest limit for a call, a wait or a token.
const LONGEST: Duration = Duration::from_secs(86_400);

/// The time limits of a client's calls. Each is at most a day.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_machine::Limits;
///
/// let limits = Limits::default().call(Duration::from_secs(20));
/// assert!(limits.max_wait() > limits.lease() && limits.lease() > Duration::from_secs(20));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    call: Duration,
    wait: Option<Duration>,
    token: Duration,
}

impl Default for Limits {
    /// Thirty seconds for a call, a minute for a token.
    fn default() -> Self {
        Self { call: Duration::from_secs(30), wait: None, token: DEFAULT_LIFETIME }
    }
}

impl Limits {
    /// Bounds of the time that a lease lasts beyond a call: a quarter of the call's time.
    const MARGIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

    /// Sets the limit for a call with all its attempts, after the session is leased.
    #[must_use]
    pub fn call(self, limit: Duration) -> Self {
        Self { call: limit.min(LONGEST), ..self }
    }

    /// Sets the limit for the wait for a session that another call uses.
    #[must_use]
    pub fn wait(self, limit: Duration) -> Self {
        Self { wait: Some(limit.min(LONGEST)), ..self }
    }

    /// Sets how long tokens are valid.
    #[must_use]
    pub fn token(self, lifetime: Duration) -> Self {
        Self { token: lifetime.min(LONGEST), ..self }
    }

    /// The limit for a call.
    pub const fn max_call(&self) -> Duration {
        self.call
    }

    /// How long tokens are valid.
    pub const fn token_lifetime(&self) -> Duration {
        self.token
    }

    /// When the token of a call that begins now would expire.
    pub const fn expiry(&self, now: UnixTime) -> UnixTime {
        UnixTime::from_secs(now.secs().saturating_add(self.token.as_secs()))
    }

    fn margin(&self) -> Duration {
        (self.call / 4).clamp(Self::MARGIN.0, Self::MARGIN.1)
    }

    /// The duration of a call's lease.
    pub fn lease(&self) -> Duration {
        self.call.saturating_add(self.margin())
    }

    /// The limit for the wait for a session. By default it is longer than a lease, which a crashed process may have
    /// left.
    pub fn max_wait(&self) -> Duration {
        self.wait.unwrap_or_else(|| self.lease().saturating_add(self.margin()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_wait_outlasts_the_lease_that_a_crashed_process_left() {
        for limit in [Duration::from_millis(1), Duration::from_secs(30), LONGEST, LONGEST * 2] {
            let limits = Limits::default().call(limit);
            assert!(limits.max_wait() > limits.lease() && limits.lease() > limit.min(LONGEST), "{limit:?}");
        }
        assert_eq!(Limits::default().wait(Duration::from_secs(1)).max_wait(), Duration::from_secs(1));
    }
}
