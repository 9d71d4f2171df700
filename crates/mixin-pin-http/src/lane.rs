//! One PIN call of a session at a time within this process, whichever client makes it, so that the threads of a process
//! wait for each other here and not at the store.

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

    /// Waits this long for the lane to be free, and holds it until the guard is dropped.
    pub(crate) fn enter(&self, wait: Duration) -> Option<Guard<'_>> {
        let is_taken = self.is_taken.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.freed.wait_timeout_while(is_taken, wait, |is_taken| *is_taken);
        let (mut is_taken, result) = waited.unwrap_or_else(PoisonError::into_inner);
        if result.timed_out() && *is_taken {
            return None;
        }
        *is_taken = true;
        Some(Guard(self))
    }
}

pub(crate) struct Guard<'l>(&'l Lane);

impl Drop for Guard<'_> {
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
        let held = first.enter(Duration::ZERO).unwrap();
        assert!(again.enter(Duration::from_millis(10)).is_none());
        assert!(other.enter(Duration::ZERO).is_some());
        drop(held);
        assert!(again.enter(Duration::ZERO).is_some());
    }

    #[test]
    fn who_waits_gets_the_lane_when_it_is_freed() {
        let lane = Lane::of(Uuid::from_u128(0x1a4e_0003));
        std::thread::scope(|scope| {
            let held = lane.enter(Duration::ZERO).unwrap();
            let waiting = scope.spawn(|| lane.enter(Duration::from_secs(60)).is_some());
            drop(held);
            assert!(waiting.join().unwrap());
        });
    }
}
