//! The words that a refusal's `extra.reason` may have, in this one place.

use crate::TokenFault;

/// Why a PIN call was refused, as far as `extra.reason` says.
///
/// The words are those of `mixin-pin-sandbox`. What Mixin itself writes into `extra` is not documented, so a refusal of
/// Mixin's mostly has none of them: then nobody but the server knows the reason.
///
/// ```
/// use mixin_pin_protocol::TokenFault;
/// use mixin_pin_protocol::answer::Reason;
///
/// assert_eq!(Reason::from_word("iterator"), Some(Reason::Iterator));
/// assert_eq!(Reason::Token(TokenFault::Expired).as_str(), "token_expired");
/// assert_eq!(Reason::from_word("another server's word"), None);
/// ```
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The PIN is wrong; this costs a try.
    Pin,
    /// The TIP signature is wrong; this costs a try.
    Signature,
    /// The block does not open under the session's PIN key.
    Ciphertext,
    /// The block's time is too far from the server's clock.
    Timestamp,
    /// The server has seen this iterator or a later one.
    Iterator,
    /// The user has no PIN.
    NoPinSet,
    /// The user has a PIN, so that changing it takes the old one.
    OldPinNeeded,
    /// The day's tries are spent.
    TriesSpent,
    /// The server has seen this request id.
    RequestRepeated,
    /// The server does not know the token's session.
    Session,
    /// The token is refused.
    Token(TokenFault),
}

impl Reason {
    const PLAIN: [Self; 10] = [
        Self::Pin,
        Self::Signature,
        Self::Ciphertext,
        Self::Timestamp,
        Self::Iterator,
        Self::NoPinSet,
        Self::OldPinNeeded,
        Self::TriesSpent,
        Self::RequestRepeated,
        Self::Session,
    ];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pin => "pin",
            Self::Signature => "signature",
            Self::Ciphertext => "ciphertext",
            Self::Timestamp => "timestamp",
            Self::Iterator => "iterator",
            Self::NoPinSet => "no_pin_set",
            Self::OldPinNeeded => "old_pin_needed",
            Self::TriesSpent => "tries_spent",
            Self::RequestRepeated => "request_repeated",
            Self::Session => "session",
            Self::Token(fault) => fault.as_str(),
        }
    }

    /// The reason that a word stands for; None for a word of another server's.
    pub fn from_word(word: &str) -> Option<Self> {
        let faults = TokenFault::ALL.into_iter().map(Self::Token);
        Self::PLAIN.into_iter().chain(faults).find(|reason| reason.as_str() == word)
    }

    /// Whether this reason may be given to the second copy of a request whose first copy was carried out.
    pub(crate) const fn may_be_of_a_copy(self) -> bool {
        // A copy that was held back may arrive when its token has expired.
        matches!(self, Self::Iterator | Self::RequestRepeated | Self::Token(TokenFault::Expired))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_stands_for_one_reason() {
        for reason in Reason::PLAIN.into_iter().chain(TokenFault::ALL.map(Reason::Token)) {
            assert_eq!(Reason::from_word(reason.as_str()), Some(reason));
        }
        assert_eq!(Reason::from_word("Iterator"), None);
    }
}
