//! The primitives of the lane on those of `shuttle`. Its own conditions never time out; these may, at any moment.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Condvar as ShuttleCondvar, Mutex as ShuttleMutex, MutexGuard as ShuttleGuard};

pub(crate) use std::sync::{Arc, LockResult, PoisonError, Weak};

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(ShuttleMutex<T>);

/// Knows its mutex, to lock it again after a wait.
pub(crate) struct MutexGuard<'m, T> {
    mutex: &'m Mutex<T>,
    guard: ShuttleGuard<'m, T>,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(ShuttleMutex::new(value))
    }

    #[expect(clippy::unnecessary_wraps, reason = "the signature of `std`")]
    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        // A panic ends the exploration, so no lock is ever taken after one.
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(MutexGuard { mutex: self, guard })
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// A condition. As with the kernel's futex, a call of `notify_one` goes to one caller whose time is not over. That caller may
/// find afterwards that its time is over, too.
#[derive(Debug, Default)]
pub(crate) struct Condvar {
    waiting: ShuttleMutex<VecDeque<Arc<Place>>>,
}

#[derive(Debug, Default)]
struct Place {
    state: ShuttleMutex<State>,
    changed: ShuttleCondvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Waits,
    Notified,
    TimeIsOver,
}

impl Place {
    /// Ends the wait, unless it has ended.
    fn end(&self, state: State) -> bool {
        let mut current = self.state.lock().unwrap();
        if *current != State::Waits {
            return false;
        }
        *current = state;
        self.changed.notify_one();
        true
    }

    fn wait(&self) -> State {
        let mut state = self.state.lock().unwrap();
        while *state == State::Waits {
            state = self.changed.wait(state).unwrap();
        }
        *state
    }
}

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notify_one(&self) {
        let mut waiting = self.waiting.lock().unwrap();
        while let Some(place) = waiting.pop_front() {
            if place.end(State::Notified) {
                break;
            }
        }
    }

    /// Without time it never waits; with all of it, it never times out.
    #[expect(clippy::unnecessary_wraps, reason = "the signature of `std`")]
    pub(crate) fn wait_timeout_while<'m, T>(
        &self,
        mut guard: MutexGuard<'m, T>,
        wait: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'m, T>, bool)> {
        let mut is_over = wait.is_zero();
        while condition(&mut guard) {
            if is_over {
                return Ok((guard, true));
            }
            let place = Arc::new(Place::default());
            self.waiting.lock().unwrap().push_back(place.clone());
            let mutex = guard.mutex;
            drop(guard);
            if wait != Duration::MAX {
                let place = place.clone();
                shuttle::thread::spawn(move || place.end(State::TimeIsOver));
            }
            is_over = place.wait() == State::TimeIsOver || (wait != Duration::MAX && thread_rng().r#gen());
            guard = mutex.lock().unwrap_or_else(PoisonError::into_inner);
        }
        Ok((guard, false))
    }
}
