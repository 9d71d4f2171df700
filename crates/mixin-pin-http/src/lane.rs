//! A lane for each session within this process: its PIN calls take turns here, so threads do not compete for the store.
//!
//! Turns come in the order in which they were asked for. The end of a turn gives it to the next caller under the lock.
//! So no other thread can take it first, and a caller whose wait ends at that moment has the turn.

use std::collections::BTreeMap;
use std::time::Duration;

use mixin_pin_core::uuid::Uuid;

// A test replaces these primitives.
use super::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

/// The lanes of this process.
static LANES: Lanes = Lanes::new();

/// Lanes by their sessions. A lane is removed with its last user.
#[derive(Debug)]
pub(crate) struct Lanes(Mutex<BTreeMap<Uuid, Weak<Lane>>>);

/// The lane that all clients of one session share.
#[derive(Debug)]
pub(crate) struct Lane {
    session_id: Uuid,
    lanes: &'static Lanes,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    is_taken: bool,
    /// The number of the next caller that waits.
    next: u64,
    /// The callers that wait, by their numbers. Each waits at a condition of its own.
    waiting: BTreeMap<u64, Arc<Condvar>>,
}

impl Lanes {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    pub(crate) fn of(&'static self, session_id: Uuid) -> Arc<Lane> {
        let mut lanes = self.lock();
        if let Some(lane) = lanes.get(&session_id).and_then(Weak::upgrade) {
            return lane;
        }
        let lane = Arc::new(Lane { session_id, lanes: self, queue: Mutex::default() });
        lanes.insert(session_id, Arc::downgrade(&lane));
        lane
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Weak<Lane>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    #[allow(dead_code, reason = "only tests/lane needs it")]
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl Lane {
    pub(crate) fn of(session_id: Uuid) -> Arc<Self> {
        LANES.of(session_id)
    }

    /// Waits for a turn, which lasts until the guard is dropped. Returns None if no turn comes within `wait`.
    pub(crate) fn turn(&self, wait: Duration) -> Option<Turn<'_>> {
        let mut queue = self.lock();
        if !queue.is_taken {
            queue.is_taken = true;
            return Some(Turn(self));
        }
        let (number, called) = (queue.next, Arc::new(Condvar::new()));
        queue.next += 1;
        queue.waiting.insert(number, called.clone());
        let waited = called.wait_timeout_while(queue, wait, |queue| queue.waiting.contains_key(&number));
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        // A caller that is no longer in the queue was given the turn.
        queue.waiting.remove(&number).is_none().then(|| Turn(self))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock();
        // Another client may have made a new lane meanwhile.
        if lanes.get(&self.session_id).is_some_and(|lane| lane.strong_count() == 0) {
            lanes.remove(&self.session_id);
        }
    }
}

pub(crate) struct Turn<'q>(&'q Lane);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        match queue.waiting.pop_first() {
            Some((_, called)) => called.notify_one(),
            None => queue.is_taken = false,
        }
    }
}
