//! What a store knows about a session.

use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;

use crate::iterators;

/// What a store knows about a session.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// The session.
    pub session_id: Uuid,
    /// The last iterator that was reserved. It may not have been given out.
    pub last_iterator: u64,
    /// How much longer the session is leased. None if it is not leased.
    pub leased_for: Option<Duration>,
    /// The iterator to which the owner raised the session. None if it was never raised.
    pub raised_to: Option<u64>,
}

impl SessionRecord {
    /// Whether the store refuses the session at this time: its last iterator is more than [`MAX_LEAP`](crate::MAX_LEAP)
    /// ahead of the clock, and its owner did not raise it there.
    pub fn is_refused(&self, now: UnixTime) -> bool {
        iterators::check_last(self.last_iterator, self.raised_to, now).is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_far_ahead_is_refused_unless_its_owner_raised_it() {
        let (now, last_iterator) = (UnixTime::from_secs(1_700_000_000), 9_000_000_000_000_000_000);
        let record = |raised_to| SessionRecord { session_id: Uuid::nil(), last_iterator, leased_for: None, raised_to };
        assert!(record(None).is_refused(now));
        assert!(!record(Some(last_iterator)).is_refused(now));
    }
}
