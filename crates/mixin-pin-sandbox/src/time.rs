//! Times as the database stores them and as answers show them.

use jiff::Timestamp;
use mixin_pin_core::UnixTime;

pub(crate) const SECONDS_A_DAY: u64 = 86_400;
const NANOS_A_SECOND: u64 = 1_000_000_000;

/// Nanoseconds since 1970, as SQLite stores them.
pub(crate) fn nanos(time: UnixTime) -> i64 {
    time.as_nanos().ok().and_then(|nanos| i64::try_from(nanos).ok()).unwrap_or(i64::MAX)
}

/// Nanoseconds since 1970 in RFC 3339. Empty if out of range.
pub(crate) fn rfc3339(nanos: i64) -> String {
    Timestamp::from_nanosecond(i128::from(nanos)).map_or_else(|_| String::new(), |time| time.to_string())
}

/// A day after a time in nanoseconds, in whole seconds, rounded up.
pub(crate) fn a_day_after(nanos: i64) -> u64 {
    u64::try_from(nanos).unwrap_or_default().div_ceil(NANOS_A_SECOND) + SECONDS_A_DAY
}

/// A day before a time, in nanoseconds.
pub(crate) fn a_day_before(time: UnixTime) -> i64 {
    nanos(time).saturating_sub((SECONDS_A_DAY * NANOS_A_SECOND).cast_signed())
}

/// The beginning of the UTC day.
pub(crate) const fn start_of_day(time: UnixTime) -> UnixTime {
    UnixTime::from_secs(time.secs() / SECONDS_A_DAY * SECONDS_A_DAY)
}
