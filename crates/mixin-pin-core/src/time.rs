//! A point in time. The caller passes it in; this crate reads no clock.

use crate::Error;

/// Time since 1970-01-01T00:00:00Z, without leap seconds.
///
/// ```
/// use mixin_pin_core::UnixTime;
///
/// let time = UnixTime::from_secs(1_700_000_000);
/// let later = UnixTime::from_nanos(1_700_000_000_000_000_006);
/// assert_eq!((later.secs(), later.as_nanos()?), (time.secs(), time.as_nanos()? + 6));
/// assert!(later > time);
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime {
    secs: u64,
    nanos: u32,
}

impl UnixTime {
    const NANOS_PER_SEC: u32 = 1_000_000_000;

    /// A time in whole seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self { secs, nanos: 0 }
    }

    /// A time in nanoseconds since 1970, until the year 2554.
    pub const fn from_nanos(nanos: u64) -> Self {
        let per_sec = Self::NANOS_PER_SEC as u64;
        // The remainder is below 10⁹, so the cast loses nothing.
        #[allow(clippy::cast_possible_truncation)]
        let rest = (nanos % per_sec) as u32;
        Self { secs: nanos / per_sec, nanos: rest }
    }

    /// Whole seconds since 1970.
    pub const fn secs(self) -> u64 {
        self.secs
    }

    /// Nanoseconds since 1970.
    ///
    /// # Errors
    /// [`Error::Time`] after the year 2554, if they do not fit.
    pub const fn as_nanos(self) -> Result<u64, Error> {
        match self.secs.checked_mul(Self::NANOS_PER_SEC as u64) {
            Some(nanos) => match nanos.checked_add(self.nanos as u64) {
                Some(nanos) => Ok(nanos),
                None => Err(Error::Time),
            },
            None => Err(Error::Time),
        }
    }
}

#[cfg(feature = "std")]
impl TryFrom<std::time::SystemTime> for UnixTime {
    type Error = Error;

    fn try_from(time: std::time::SystemTime) -> Result<Self, Error> {
        let since = time.duration_since(std::time::UNIX_EPOCH).map_err(|_| Error::Time)?;
        Ok(Self { secs: since.as_secs(), nanos: since.subsec_nanos() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_split_and_join() {
        let time = UnixTime::from_nanos(1_795_517_646_399_980_038);
        assert_eq!((time.secs(), time.nanos), (1_795_517_646, 399_980_038));
        assert_eq!(time.as_nanos(), Ok(1_795_517_646_399_980_038));
    }

    #[test]
    fn a_time_beyond_64_bits_of_nanoseconds_is_an_error() {
        assert_eq!(UnixTime::from_nanos(u64::MAX).as_nanos(), Ok(u64::MAX));
        assert_eq!(UnixTime::from_secs(u64::MAX / 1_000_000_000 + 1).as_nanos(), Err(Error::Time));
    }

    #[cfg(feature = "std")]
    #[test]
    fn a_clock_before_1970_is_an_error() {
        let before = std::time::UNIX_EPOCH - core::time::Duration::from_secs(1);
        assert_eq!(UnixTime::try_from(before), Err(Error::Time));
        assert_eq!(UnixTime::try_from(std::time::UNIX_EPOCH), Ok(UnixTime::from_secs(0)));
    }
}
