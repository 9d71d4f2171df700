//! What the stores on SQLite, Redis and PostgreSQL share: the clock, randomness, and the state of leases.

mod lease_state;
mod process;

use std::sync::Arc;
use std::time::SystemTime;

use mixin_pin_core::{Error as CoreError, UnixTime};

use crate::Error;

pub(crate) use lease_state::{Expiry, LeaseState};
pub(crate) use process::Process;

pub(crate) type Clock = Arc<dyn Fn() -> Result<UnixTime, Error> + Send + Sync>;

pub(crate) fn system_clock() -> Clock {
    Arc::new(|| Ok(UnixTime::try_from(SystemTime::now())?))
}

/// Bytes from the system's generator. A forked process does not draw the bytes of its parent.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| CoreError::Randomness)?;
    Ok(bytes)
}
