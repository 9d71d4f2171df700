//! The clock, and times as people write them.

use std::time::SystemTime;

use jiff::Timestamp;
use mixin_pin_core::UnixTime;

use crate::error::Error;

pub(crate) fn now() -> Result<UnixTime, Error> {
    Ok(UnixTime::try_from(SystemTime::now())?)
}

/// A time as people write it; None beyond any calendar.
pub(crate) fn calendar(at: UnixTime) -> Option<Timestamp> {
    Timestamp::new(i64::try_from(at.secs()).ok()?, i32::try_from(at.subsec_nanos()).ok()?).ok()
}
