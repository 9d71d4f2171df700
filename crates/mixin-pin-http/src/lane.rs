//! A lane for each session within this process: its PIN calls take turns here, so threads do not compete for the store.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use mixin_pin_core::uuid::Uuid;

static LANES: Mutex<Option<HashMap<Uuid, Weak<Lane>>>> = Mutex::new(None);

/// The lane that all clients of one session share.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    is_taken: Mutex<bool>,
    freed: Condvar,
}

impl Lane {
    pub(crate) fn of(session_id: Uuid) -> Arc<Self> {
        let mut lanes = LANES.lock().unwrap_or_else(PoisonError::into_inner);
        let lanes = lanes.get_or_insert_default();
        lanes.retain(|_, lane| lane.strong_count() > 0);
        if let Some(lane) = lanes.get(&session_id).and_then(Weak::upgrade) {
            return lane;
        }
        let lane = Arc::default();
        lanes.insert(session_id, Arc::downgrade(&lane));
        lane
    }

    /// Waits for a turn, which lasts until the guard is dropped. Returns None if no turn comes within `wait`.
    pub(crate) fn turn(&self, wait: Duration) -> Option<Turn<'_>> {
        let is_taken = self.is_taken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.freed.wait_timeout_while(is_taken, wait, |is_taken| *is_taken);
        let (mut is_taken, result) = waited.unwrap_or_else(PoisonError::into_inner);
        if result.timed_out() && *is_taken {
            return None;
        }
        *is_taken = true;
        Some(Turn(self))
    }
}

pub(crate) struct Turn<'q>(&'q Lane);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.is_taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_one_session_share_a_lane_and_others_do_not() {
        let (one, two) = (Uuid::from_u128(0x1a4e_0001), Uuid::from_u128(0x1a4e_0002));
        let (first, again, other) = (Lane::of(one), Lane::of(one), Lane::of(two));
        assert!(Arc::ptr_eq(&first, &again));
        let turn = first.turn(Duration::ZERO).unwrap();
        assert!(again.turn(Duration::from_millis(10)).is_none());
        assert!(other.turn(Duration::ZERO).is_some());
        drop(turn);
        assert!(again.turn(Duration::ZERO).is_some());
    }

    #[test]
    fn a_waiting_caller_gets_the_next_turn() {
        let lane = Lane::of(Uuid::from_u128(0x1a4e_0003));
        std::thread::scope(|scope| {
            let turn = lane.turn(Duration::ZERO).unwrap();
            let waiting = scope.spawn(|| lane.turn(Duration::from_secs(60)).is_some());
            drop(turn);
            assert!(waiting.join().unwrap());
        });
    }
}
