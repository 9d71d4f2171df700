//! The words that a refusal's `extra.reason` may have.

use crate::TokenFault;

/// Makes the enum, its words and their parser from one list.
macro_rules! reasons {
    ($($(#[$doc:meta])+ $name:ident = $word:literal,)+) => {
        /// Why a PIN call was refused, according to `extra.reason`.
        ///
        /// The words are those of `mixin-pin-sandbox`. Mixin does not document its own `extra`, so most refusals by Mixin
        /// have no known reason.
        #[non_exhaustive]
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Reason {
            $($(#[$doc])+ $name,)+
            /// The token is refused.
            Token(TokenFault),
        }

        impl Reason {
            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                    Self::Token(fault) => fault.as_str(),
                }
            }

            /// The reason with this word; None for an unknown word.
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$name),)+
                    word => TokenFault::ALL.into_iter().find(|fault| fault.as_str() == word).map(Self::Token),
                }
            }
        }
    };
}

reasons! {
    /// The PIN is wrong. This costs a try.
    Pin = "pin",
    /// The TIP signature is wrong. This costs a try.
    Signature = "signature",
    /// The block does not decrypt under the session's PIN key.
    Ciphertext = "ciphertext",
    /// The block decrypts, and its secret has another length than a PIN, a TIP key or a TIP signature.
    SecretLength = "secret_length",
    /// The block's time is too far from the server's clock.
    Timestamp = "timestamp",
    /// The server has seen this iterator or a later one.
    Iterator = "iterator",
    /// The user has no PIN.
    NoPinSet = "no_pin_set",
    /// The user has a PIN, so the old PIN is needed to change it. The iterator was checked before.
    OldPinNeeded = "old_pin_needed",
    /// The day's tries are spent.
    TriesSpent = "tries_spent",
    /// The server has seen this request id.
    RequestRepeated = "request_repeated",
    /// The server does not know the token's session.
    Session = "session",
}

impl Reason {
    /// Whether this reason may be given to a second copy of a request whose first copy was carried out.
    pub(crate) const fn may_be_of_a_copy(self) -> bool {
        // The first copy would have been refused for the same reason.
        !matches!(self, Self::Pin | Self::Signature | Self::Ciphertext | Self::SecretLength)
            && !matches!(self, Self::NoPinSet | Self::OldPinNeeded)
            && !matches!(self, Self::Token(fault) if !matches!(fault, TokenFault::Expired))
    }

    /// Whether only the second copy of a request is refused for this reason, provided that the client sent the request once
    /// and in time. [`Reason::Iterator`] is not such a reason: another client may have used a greater iterator.
    pub const fn is_of_a_copy(self) -> bool {
        matches!(self, Self::RequestRepeated | Self::Token(TokenFault::Expired))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_would_refuse_the_first_copy_is_not_about_a_copy() {
        let certain = |word: &str| !Reason::from_word(word).unwrap().may_be_of_a_copy();
        for word in ["pin", "signature", "ciphertext", "secret_length", "no_pin_set", "old_pin_needed"] {
            assert!(certain(word), "{word}");
        }
        for word in ["timestamp", "iterator", "tries_spent", "request_repeated", "session", "token_expired"] {
            assert!(!certain(word), "{word}");
        }
        for fault in TokenFault::ALL.into_iter().filter(|fault| *fault != TokenFault::Expired) {
            assert!(certain(fault.as_str()), "{fault}");
        }
        assert_eq!(Reason::from_word("Iterator"), None);
    }
}
