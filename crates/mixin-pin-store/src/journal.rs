//! The journal: calls that are under way, or whose outcome is unknown.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;

use crate::LeaseTerms;

/// What a call does.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// It creates or changes the PIN.
    UpdatePin,
    /// It verifies the PIN and changes nothing.
    VerifyPin,
    /// It replaces the key of a session.
    ChangeSession,
    /// It uses the PIN for something else, such as a transfer.
    Other,
}

impl CallKind {
    const ALL: [Self; 4] = [Self::UpdatePin, Self::VerifyPin, Self::ChangeSession, Self::Other];

    /// A name for a database: `update`, `verify`, `session` or `other`. It stays the same in all versions.
    // In lowercase letters only: the Redis script of earlier versions reads no other name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UpdatePin => "update",
            Self::VerifyPin => "verify",
            Self::ChangeSession => "session",
            Self::Other => "other",
        }
    }

    /// The kind with this [`name`](Self::name). None for a name of a later version.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What the journal records of a call before it is made.
///
/// # Security
/// The journal contains no secret and no ciphertext, provided that the caller puts none into `path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallIntent {
    /// The request's id, which is random.
    pub request_id: Uuid,
    /// The HTTP method.
    pub method: String,
    /// The path, without a query. The store keeps it unchanged and unencrypted, and shows it to everyone who reads the
    /// journal. So it must not contain a secret.
    pub path: String,
    /// What the call does.
    pub kind: CallKind,
    /// How long the call's token is valid. For a request without a token: how long it may be carried out.
    pub token_lifetime: Duration,
}

/// A call that is under way, or whose outcome is unknown.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingCall {
    /// The session.
    pub session_id: Uuid,
    /// The request's id.
    pub request_id: Uuid,
    /// The HTTP method.
    pub method: String,
    /// The path, without a query.
    pub path: String,
    /// What the call does.
    pub kind: CallKind,
    /// The iterators that its lease reserved for it. The call may have used some of them, or none.
    pub iterators: RangeInclusive<u64>,
    /// When its session was leased for it, by the store's clock. Its token is from this time, too.
    pub sent_at: UnixTime,
    /// When its token expires. Mixin refuses a request that arrives later. For a request without a token: until when the
    /// caller expects that it may be carried out.
    pub expires_at: UnixTime,
    /// How long its caller may still wait for the answer. None if its lease is over or its process is dead.
    pub under_way_for: Option<Duration>,
}

impl PendingCall {
    /// An entry for a call that is not under way, for a store of your own. The token's lifetime is rounded up to whole
    /// seconds.
    pub fn new(session_id: Uuid, call: &CallIntent, iterators: RangeInclusive<u64>, sent_at: UnixTime) -> Self {
        let CallIntent { request_id, method, path, kind, token_lifetime } = call.clone();
        let lifetime = token_lifetime.as_secs().saturating_add(u64::from(token_lifetime.subsec_nanos() > 0));
        let expires_at = UnixTime::from_secs(sent_at.secs().saturating_add(lifetime));
        Self { session_id, request_id, method, path, kind, iterators, sent_at, expires_at, under_way_for: None }
    }
}

/// A verification whose token expired before this time is dropped by the session's next lease. Seconds since 1970.
pub(crate) const fn oldest_verification(now: UnixTime) -> u64 {
    const KEPT: u64 = 86_400;
    now.secs().saturating_sub(KEPT)
}

/// What a lease knows of the entry of its call.
#[derive(Debug)]
pub(crate) struct OwnEntry {
    request_id: Option<Uuid>,
    keep: AtomicBool,
}

impl OwnEntry {
    pub(crate) fn new(terms: &LeaseTerms<'_>) -> Self {
        Self { request_id: terms.call().map(|call| call.request_id), keep: AtomicBool::new(false) }
    }

    pub(crate) fn keep(&self, keep: bool) {
        self.keep.store(keep, Ordering::SeqCst);
    }

    /// The entry that the release removes.
    pub(crate) fn to_remove(&self) -> Option<Uuid> {
        self.request_id.filter(|_| !self.keep.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(token_lifetime: Duration) -> CallIntent {
        let (request_id, kind) = (Uuid::from_u128(7), CallKind::UpdatePin);
        CallIntent { request_id, method: "POST".into(), path: "/pin/update".into(), kind, token_lifetime }
    }

    #[test]
    fn a_token_expires_after_its_lifetime_from_the_second_in_which_it_was_made() {
        let sent_at = UnixTime::from_nanos(1_700_000_000_900_000_000);
        let expires = |lifetime| PendingCall::new(Uuid::nil(), &call(lifetime), 1..=2, sent_at).expires_at;
        assert_eq!(expires(Duration::from_secs(60)), UnixTime::from_secs(1_700_000_060));
        assert_eq!(expires(Duration::from_millis(60_001)), UnixTime::from_secs(1_700_000_061));
        assert_eq!(expires(Duration::MAX), UnixTime::from_secs(u64::MAX));
    }

    #[test]
    fn an_entry_is_removed_unless_it_is_to_be_kept_and_only_if_there_is_one() {
        let (intent, terms) = (call(Duration::ZERO), LeaseTerms::new(Duration::ZERO));
        let entry = OwnEntry::new(&terms.for_call(&intent));
        assert_eq!(entry.to_remove(), Some(intent.request_id));
        entry.keep(true);
        assert_eq!(entry.to_remove(), None);
        entry.keep(false);
        assert_eq!(entry.to_remove(), Some(intent.request_id));
        assert_eq!(OwnEntry::new(&terms).to_remove(), None);
    }

    #[test]
    fn kinds_are_found_by_their_names() {
        for kind in CallKind::ALL {
            assert_eq!(CallKind::from_name(kind.name()), Some(kind));
            assert!(kind.name().bytes().all(|byte| byte.is_ascii_lowercase()), "{kind:?}");
        }
        assert_eq!(CallKind::from_name(""), None);
    }
}
