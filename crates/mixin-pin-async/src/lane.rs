//! A lane for each session within this process: its PIN calls take turns here, so tasks do not compete for the store.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use mixin_pin_core::uuid::Uuid;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

static LANES: Mutex<BTreeMap<Uuid, Weak<Lane>>> = Mutex::new(BTreeMap::new());

/// The lane that all clients of one session share.
#[derive(Debug)]
pub(crate) struct Lane {
    session_id: Uuid,
    /// One permit. Its waiters queue in order, and leave the queue when they are dropped.
    turns: Arc<Semaphore>,
}

/// A turn, which lasts until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    /// A new client of the session finds this lane as long as a call goes on in it.
    _lane: Arc<Lane>,
}

impl Lane {
    pub(crate) fn of(session_id: Uuid) -> Arc<Self> {
        let mut lanes = LANES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = lanes.get(&session_id).and_then(Weak::upgrade) {
            return lane;
        }
        let lane = Arc::new(Self { session_id, turns: Arc::new(Semaphore::new(1)) });
        lanes.insert(session_id, Arc::downgrade(&lane));
        lane
    }

    /// Waits for a turn. Returns None if none comes within `wait`.
    pub(crate) async fn turn(self: &Arc<Self>, wait: Duration) -> Option<Turn> {
        let permit = timeout(wait, self.turns.clone().acquire_owned()).await.ok()?.ok()?;
        Some(Turn { _permit: permit, _lane: self.clone() })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut lanes = LANES.lock().unwrap_or_else(PoisonError::into_inner);
        // Another client may have made a new lane meanwhile.
        if lanes.get(&self.session_id).is_some_and(|lane| lane.strong_count() == 0) {
            lanes.remove(&self.session_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn is_known(session_id: Uuid) -> bool {
        LANES.lock().unwrap().contains_key(&session_id)
    }

    #[tokio::test]
    async fn clients_of_one_session_share_a_lane_and_others_do_not() {
        let (one, two) = (Uuid::from_u128(0x1a4e_0001), Uuid::from_u128(0x1a4e_0002));
        let (first, again, other) = (Lane::of(one), Lane::of(one), Lane::of(two));
        assert!(Arc::ptr_eq(&first, &again));
        let turn = first.turn(Duration::ZERO).await.unwrap();
        assert!(again.turn(Duration::from_millis(10)).await.is_none());
        assert!(other.turn(Duration::ZERO).await.is_some());
        drop(turn);
        assert!(again.turn(Duration::ZERO).await.is_some());
    }

    #[tokio::test]
    async fn turns_come_in_order_and_dropped_waiters_leave_the_queue() {
        let lane = Lane::of(Uuid::from_u128(0x1a4e_0003));
        let order = Arc::new(Mutex::new(Vec::new()));
        let turn = lane.turn(Duration::ZERO).await.unwrap();
        let mut waiters = Vec::new();
        for number in 0..20 {
            let (lane, order) = (lane.clone(), order.clone());
            waiters.push(tokio::spawn(async move {
                let turn = lane.turn(MINUTE).await;
                order.lock().unwrap().push(number);
                drop(turn);
            }));
            tokio::task::yield_now().await;
        }
        for number in [0, 7, 19] {
            waiters[number].abort();
            assert!((&mut waiters[number]).await.unwrap_err().is_cancelled());
        }
        drop(turn);
        for (number, waiter) in waiters.into_iter().enumerate().filter(|(number, _)| ![0, 7, 19].contains(number)) {
            assert!(waiter.await.is_ok(), "{number}");
        }
        assert_eq!(*order.lock().unwrap(), [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18]);
    }

    #[tokio::test]
    async fn a_lane_is_forgotten_with_its_last_client_and_its_last_turn() {
        let id = Uuid::from_u128(0x1a4e_0004);
        let lane = Lane::of(id);
        let turn = lane.turn(Duration::ZERO).await.unwrap();
        drop(lane);
        assert!(Lane::of(id).turn(Duration::ZERO).await.is_none(), "a call of a dropped client still has the turn");
        drop(turn);
        assert!(!is_known(id));
        assert!(Lane::of(id).turn(Duration::ZERO).await.is_some());
    }
}
