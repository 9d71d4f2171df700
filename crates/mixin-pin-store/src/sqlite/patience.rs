//! How long a thread waits for a database that another process locks.

use std::cell::Cell;
use std::thread;
use std::time::{Duration, Instant};

/// Our own transactions take microseconds, or the time of one disk synchronisation.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Several processes may each have to wait for the disk.
pub(super) const SHORTEST_LOCK_WAIT: Duration = Duration::from_secs(1);

thread_local! {
    // SQLite calls the busy handler on the thread that uses the connection, and tells it nothing else.
    static UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Bounds the waits of this thread while it exists. One within another ends no later than that.
pub(super) struct Patience {
    former: Option<Instant>,
}

impl Patience {
    pub(super) fn begin(limit: Duration) -> Self {
        let former = UNTIL.get();
        let until = Instant::now().checked_add(limit);
        UNTIL.set(match (former, until) {
            (Some(former), Some(until)) => Some(former.min(until)),
            (former, until) => former.or(until),
        });
        Self { former }
    }

    /// How much longer this thread may wait.
    pub(super) fn left() -> Duration {
        UNTIL.get().map_or(LOCK_WAIT, |until| until.saturating_duration_since(Instant::now()))
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        UNTIL.set(self.former);
    }
}

/// SQLite's busy handler. Its pauses are shorter and more even than those of SQLite's own.
pub(super) fn wait_for_lock(_: i32) -> bool {
    const PAUSE: Duration = Duration::from_micros(500);
    let left = Patience::left();
    thread::sleep(PAUSE.mul_f64(0.5 + fastrand::f64()).min(left));
    !left.is_zero()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_patience_counts_and_ends_with_its_scope() {
        const SLACK: Duration = Duration::from_millis(500);
        let is_about = |expected: Duration| Patience::left() <= expected && Patience::left() + SLACK > expected;
        let secs = Duration::from_secs;
        assert!(is_about(LOCK_WAIT));
        {
            let _outer = Patience::begin(secs(40));
            assert!(is_about(secs(40)));
            {
                let _inner = Patience::begin(secs(4));
                assert!(is_about(secs(4)));
                let _longer = Patience::begin(Duration::MAX);
                assert!(is_about(secs(4)));
            }
            assert!(is_about(secs(40)));
            let _none = Patience::begin(Duration::ZERO);
            assert!(!wait_for_lock(0));
        }
        assert!(is_about(LOCK_WAIT));
    }
}
