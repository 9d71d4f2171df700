//! How long a request may wait.

use std::time::{Duration, Instant};

/// Time limit for connecting, and for each answer.
const STEP: Duration = Duration::from_secs(5);
/// The shortest time limit: a connection needs several round trips.
pub(super) const SHORTEST: Duration = Duration::from_secs(1);
/// No limit for the whole request: each of its steps has its own.
pub(super) const UNLIMITED: Duration = Duration::MAX;

/// How long a request may wait for the server and for a free connection.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    limit: Duration,
    until: Option<Instant>,
}

impl Patience {
    /// The shortest limit of a step.
    const SHORTEST_STEP: Duration = Duration::from_millis(1);

    pub(super) fn new(limit: Duration) -> Self {
        let limit = limit.max(SHORTEST);
        Self { limit, until: Instant::now().checked_add(limit) }
    }

    pub(super) fn left(self) -> Duration {
        self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()))
    }

    pub(super) fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// The limit for connecting, or for one answer.
    pub(super) fn of_step(self) -> Duration {
        self.left().clamp(Self::SHORTEST_STEP, STEP)
    }

    /// The limit for one of several servers, of which `count` are left to try.
    pub(super) fn of_server(self, count: usize) -> Duration {
        let share = self.left() / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        share.clamp(Self::SHORTEST_STEP, STEP)
    }

    /// The limit that an error names.
    pub(super) fn limit(self) -> Duration {
        self.limit.min(STEP)
    }
}
