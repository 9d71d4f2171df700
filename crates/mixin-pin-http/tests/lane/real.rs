//! The lane as it is.

#[path = "../../src/lane.rs"]
pub(crate) mod lane;
#[path = "../../src/sync.rs"]
mod sync;
