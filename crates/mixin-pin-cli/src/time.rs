//! The clock, and times in words.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use mixin_pin_core::{Error, UnixTime};
use mixin_pin_http::ClockOffset;

/// The system's clock.
pub(crate) fn now() -> Result<UnixTime, Error> {
    UnixTime::try_from(SystemTime::now())
}

/// The server's time in nanoseconds since 1970, from this clock's and its offset.
pub(crate) fn server_time(now: u64, offset: Option<ClockOffset>) -> u64 {
    let Some(offset) = offset else { return now };
    let distance = u64::try_from(offset.distance().as_nanos()).unwrap_or(u64::MAX);
    match offset {
        ClockOffset::Ahead(_) => now.saturating_sub(distance),
        ClockOffset::None | ClockOffset::Behind(_) => now.saturating_add(distance),
    }
}

/// The time as a calendar date; None if the calendar does not reach that far.
pub(crate) fn calendar(at: UnixTime) -> Option<Timestamp> {
    // Nanoseconds as one number end in the year 2554, before the calendar does.
    let nanos = at.as_nanos().map_or(0, |nanos| nanos % 1_000_000_000);
    Timestamp::new(i64::try_from(at.secs()).ok()?, i32::try_from(nanos).ok()?).ok()
}

/// The time as a calendar date, in whole seconds.
pub(crate) fn date(at: UnixTime) -> String {
    calendar(UnixTime::from_secs(at.secs())).map_or_else(|| "beyond the calendar".to_owned(), |date| date.to_string())
}

/// A duration in seconds, rounded up.
pub(crate) fn seconds(time: Duration) -> String {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    format!("{seconds} second{}", if seconds == 1 { "" } else { "s" })
}

/// A duration in words: its two largest units that are not zero.
pub(crate) fn span(time: Duration) -> String {
    let count = |number: u64, unit: &str| format!("{number} {unit}{}", if number == 1 { "" } else { "s" });
    let minutes = time.as_secs() / 60;
    let (days, hours, minutes) = (minutes / 1_440, minutes / 60 % 24, minutes % 60);
    let words = [(days, "day"), (hours, "hour"), (minutes, "minute")];
    let said: Vec<_> = words.into_iter().skip_while(|(number, _)| *number == 0).take(2).collect();
    let said: Vec<_> =
        said.into_iter().filter(|(number, _)| *number > 0).map(|(number, unit)| count(number, unit)).collect();
    if said.is_empty() { "less than a minute".to_owned() } else { said.join(" and ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_up() {
        let said = |millis| seconds(Duration::from_millis(millis));
        assert_eq!([said(0), said(1), said(1_000), said(1_001)], ["0 seconds", "1 second", "1 second", "2 seconds"]);
        assert_eq!(seconds(Duration::MAX), "18446744073709551615 seconds");
    }

    #[test]
    fn a_span_leaves_out_units_that_are_zero() {
        let said = |seconds| span(Duration::from_secs(seconds));
        for seconds in [0, 59] {
            assert_eq!(said(seconds), "less than a minute");
        }
        assert_eq!([said(60), said(3_599)], ["1 minute", "59 minutes"]);
        assert_eq!(
            [said(3_600), said(7_260), said(86_399)],
            ["1 hour", "2 hours and 1 minute", "23 hours and 59 minutes"]
        );
        assert_eq!(
            [said(86_400), said(86_400 + 120), said(400 * 86_400 + 3_700)],
            ["1 day", "1 day", "400 days and 1 hour"]
        );
        assert_eq!(span(Duration::MAX), "213503982334601 days and 7 hours");
    }
}
