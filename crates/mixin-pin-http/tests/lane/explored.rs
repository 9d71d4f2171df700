//! The lane with the primitives of `shuttle`.

#[expect(dead_code, reason = "the explored lanes have a registry of their own")]
#[path = "../../src/lane.rs"]
pub(crate) mod lane;

mod sync {
    pub(crate) use crate::shuttle_sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
}
