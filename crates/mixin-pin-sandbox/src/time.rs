//! Times as the database stores them and as answers show them.

use jiff::Timestamp;
use mixin_pin_core::UnixTime;

pub(crate) const SECONDS_A_DAY: u64 = 86_400;

/// Nanoseconds since 1970, as SQLite stores them.
pub(crate) fn nanos(time: UnixTime) -> i64 {
    time.as_nanos().ok().and_then(|nanos| i64::try_from(nanos).ok()).unwrap_or(i64::MAX)
}

/// Nanoseconds since 1970 in RFC 3339. Empty if out of range.
pub(crate) fn rfc3339(nanos: i64) -> String {
    Timestamp::from_nanosecond(i128::from(nanos)).map_or_else(|_| String::new(), |time| time.to_string())
}

/// Days since 1970, in UTC.
pub(crate) fn day(time: UnixTime) -> i64 {
    i64::try_from(time.secs() / SECONDS_A_DAY).unwrap_or(i64::MAX)
}
