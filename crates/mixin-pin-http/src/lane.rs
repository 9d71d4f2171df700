//! One PIN call of a session at a time, so that iterators arrive in the order in which they were given out.
//!
//! Within this process, whichever client asks. Between processes it is a shared nonce store that must see to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use mixin_pin_core::uuid::Uuid;

static LANES: Mutex<Option<HashMap<Uuid, Weak<Mutex<()>>>>> = Mutex::new(None);

/// The lane that all clients of one session share.
#[derive(Debug, Clone)]
pub(crate) struct Lane(Arc<Mutex<()>>);

impl Lane {
    pub(crate) fn of(session_id: Uuid) -> Self {
        let mut lanes = LANES.lock().unwrap_or_else(PoisonError::into_inner);
        let lanes = lanes.get_or_insert_default();
        lanes.retain(|_, lane| lane.strong_count() > 0);
        if let Some(lane) = lanes.get(&session_id).and_then(Weak::upgrade) {
            return Self(lane);
        }
        let lane = Arc::default();
        lanes.insert(session_id, Arc::downgrade(&lane));
        Self(lane)
    }

    /// Waits for the lane to be free, and holds it until the guard is dropped.
    pub(crate) fn enter(&self) -> MutexGuard<'_, ()> {
        // A caller that panicked left nothing half done here: the lane holds no data.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_one_session_share_a_lane_and_others_do_not() {
        let (one, two) = (Uuid::from_u128(0x1a4e_0001), Uuid::from_u128(0x1a4e_0002));
        let (first, again, other) = (Lane::of(one), Lane::of(one), Lane::of(two));
        assert!(Arc::ptr_eq(&first.0, &again.0));
        assert!(!Arc::ptr_eq(&first.0, &other.0));
        let held = first.enter();
        assert!(again.0.try_lock().is_err() && other.0.try_lock().is_ok());
        drop(held);
    }
}
