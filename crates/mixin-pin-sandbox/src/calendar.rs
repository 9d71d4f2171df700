//! Times as the database holds them, and as answers write them.

use jiff::Timestamp;
use mixin_pin_core::UnixTime;

/// Nanoseconds since 1970, as SQLite holds them.
pub(crate) fn nanos(time: UnixTime) -> i64 {
    time.as_nanos().ok().and_then(|nanos| i64::try_from(nanos).ok()).unwrap_or(i64::MAX)
}

/// Such a time in RFC 3339; empty beyond any calendar.
pub(crate) fn rfc3339(nanos: i64) -> String {
    Timestamp::from_nanosecond(i128::from(nanos)).map_or_else(|_| String::new(), |time| time.to_string())
}
