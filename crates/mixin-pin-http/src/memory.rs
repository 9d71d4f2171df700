//! The store that keeps iterators in this process: enough for a session that one process alone uses.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{HeldSession, Hold, HoldTerms, MonotonicNonces, NonceSource, NonceStore, UnixTime};

use crate::Error;

/// Iterators in memory, and sessions held among the threads of this process.
///
/// What another process, another machine or an earlier run used is known by the clock only. Clones share what they keep.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_http::MemoryStore;
/// use mixin_pin_http::core::{Hold, HoldTerms, NonceStore, uuid::Uuid};
///
/// let store = MemoryStore::new();
/// let (session_id, terms) = (Uuid::from_u128(1), HoldTerms::new(Duration::from_secs(35)));
/// let first = store.hold(session_id, &terms)?;
/// assert!(matches!(store.hold(session_id, &terms)?, Hold::Busy));
/// drop(first);
/// assert!(matches!(store.hold(session_id, &terms)?, Hold::Held(_)));
/// # Ok::<(), mixin_pin_http::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<HashMap<Uuid, Arc<Session>>>>);

#[derive(Debug, Default)]
struct Session {
    state: Mutex<State>,
    freed: Condvar,
    nonces: MonotonicNonces,
}

#[derive(Debug, Default)]
struct State {
    fence: u64,
    held_until: Option<Instant>,
}

impl MemoryStore {
    /// A store of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// The store that all clients of this process share unless they are given another.
    ///
    /// ```
    /// use std::time::Duration;
    /// use mixin_pin_http::{MemoryHeld, MemoryStore};
    /// use mixin_pin_http::core::{HeldSession, Hold, HoldTerms, NonceStore, uuid::Uuid};
    ///
    /// // A call of this program's own, kept apart from those of its clients.
    /// let terms = HoldTerms::new(Duration::from_secs(35));
    /// let hold: Hold<MemoryHeld> = MemoryStore::shared().hold(Uuid::from_u128(1), &terms)?;
    /// let Hold::Held(held) = hold else { panic!("it is in use") };
    /// assert!(held.remaining() > Duration::from_secs(5)); // enough for the call
    /// # Ok::<(), mixin_pin_http::Error>(())
    /// ```
    pub fn shared() -> Self {
        static SHARED: LazyLock<MemoryStore> = LazyLock::new(MemoryStore::new);
        SHARED.clone()
    }
}

impl NonceStore for MemoryStore {
    type Error = Error;
    type Held = MemoryHeld;

    fn hold(&self, session_id: Uuid, terms: &HoldTerms) -> Result<Hold<MemoryHeld>, Error> {
        let session = self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(session_id).or_default().clone();
        let begun = Instant::now();
        let mut state = session.lock();
        loop {
            let now = Instant::now();
            let Some(left) = state.held_until.and_then(|until| until.checked_duration_since(now)) else { break };
            let Some(wait) = terms.max_wait().checked_sub(now - begun).filter(|wait| !wait.is_zero()) else {
                return Ok(Hold::Busy);
            };
            let waited = session.freed.wait_timeout(state, wait.min(left));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.fence = state.fence.wrapping_add(1);
        // A lease without end is as good as a long one.
        let until = Instant::now().checked_add(terms.lease());
        let until = until.unwrap_or_else(|| begun + Duration::from_secs(86_400 * 365));
        state.held_until = Some(until);
        let fence = state.fence;
        drop(state);
        Ok(Hold::Held(MemoryHeld { session, fence, until }))
    }
}

impl Session {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session held in a [`MemoryStore`].
#[derive(Debug)]
pub struct MemoryHeld {
    session: Arc<Session>,
    fence: u64,
    until: Instant,
}

impl NonceSource for MemoryHeld {
    type Error = Error;

    fn reserve(&self, now: UnixTime) -> Result<u64, Error> {
        // Locked while it is taken, so that nobody takes the session over in between.
        let state = self.session.lock();
        if state.fence != self.fence || self.remaining().is_zero() {
            return Err(Error::HoldLost);
        }
        Ok(self.session.nonces.reserve(now)?)
    }
}

impl HeldSession for MemoryHeld {
    fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl Drop for MemoryHeld {
    fn drop(&mut self) {
        let mut state = self.session.lock();
        if state.fence == self.fence {
            state.held_until = None;
            self.session.freed.notify_one();
        }
    }
}
