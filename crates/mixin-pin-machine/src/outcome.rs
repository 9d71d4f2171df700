//! The outcome of a call that changes something.

use std::fmt;

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_protocol::call::PreparedRequest;

use crate::Error;

/// The outcome of a call that changes something. If the call changed nothing, it returns an [`Error`] instead.
///
/// ```
/// use mixin_pin_machine::{Error, NextStep, Outcome};
///
/// fn report<T>(result: Result<Outcome<T>, Error>) -> &'static str {
///     match result {
///         Ok(Outcome::Done(_)) => "carried out",
///         Ok(Outcome::Unknown(lost)) if lost.next == NextStep::ResolveUpdate => "find out which PIN is valid",
///         Ok(Outcome::Unknown(_)) => "check before you do it again",
///         Err(_) => "nothing changed",
///     }
/// }
/// assert_eq!(report(Ok(Outcome::Done(()))), "carried out");
/// assert_eq!(report::<()>(Err(Error::LeaseLost)), "nothing changed");
/// ```
#[must_use = "a call whose answer was lost may have been carried out"]
#[derive(Debug)]
pub enum Outcome<T> {
    /// It was carried out, and this is the answer.
    Done(T),
    /// Not known. The answer was lost and the request may have arrived, or the answer is a refusal that may be about a
    /// copy made on the network.
    Unknown(Unknown),
}

/// A call that may or may not have been carried out.
#[derive(Debug)]
pub struct Unknown {
    /// The id of the request.
    pub request_id: Uuid,
    /// How the answer was lost, or the refusal.
    pub cause: Box<Error>,
    /// When the request's token expires. Until then the request may still be carried out. None for a request without a
    /// token.
    pub expires_at: Option<UnixTime>,
    /// What to do next.
    pub next: NextStep,
}

/// What to do after a call whose answer was lost.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// The PIN may have changed. Call the client's `resolve_update`.
    ResolveUpdate,
    /// Nothing changed, except that a wrong PIN may have cost a try. Verify again.
    VerifyAgain,
    /// The session's key may have been replaced. Ask with either key: see the client's `resolve_session`.
    AskBothKeys,
    /// Something may have changed, for example money may have moved. Check by its trace id or in a list before you
    /// repeat the call.
    CheckFirst,
}

impl fmt::Display for NextStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ResolveUpdate => "find out which PIN is set before you use or change it",
            Self::VerifyAgain => "verify again: nothing changed, but a wrong PIN may have cost a try",
            Self::AskBothKeys => "find out which key is the session's, and keep both until you know",
            Self::CheckFirst => "check whether it was carried out before you repeat it",
        })
    }
}

impl<T> Outcome<T> {
    /// The answer, or None if the outcome is unknown.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(answer) => Some(answer),
            Self::Unknown(_) => None,
        }
    }

    /// The answer to a request that changes nothing: there an unknown outcome is just a failure.
    ///
    /// # Errors
    /// Why the outcome is unknown.
    pub fn read(self) -> Result<T, Error> {
        match self {
            Self::Done(answer) => Ok(answer),
            Self::Unknown(unknown) => Err(*unknown.cause),
        }
    }

    /// Turns an error after which something may have changed into [`Outcome::Unknown`]. Verifying changes nothing, so
    /// its refusals stay errors even if a copy cannot be ruled out.
    pub(crate) fn settle(request: &PreparedRequest, next: NextStep, result: Result<T, Error>) -> Result<Self, Error> {
        match result {
            Ok(answer) => Ok(Self::Done(answer)),
            // Only a token lets the server recognize a copy. Without one, any refusal may be about a copy.
            // A change of the key that was carried out makes the token of a copy wrong.
            Err(error) if next == NextStep::AskBothKeys && error.refuses_the_key() => {
                Ok(Self::unknown(request, next, error))
            }
            Err(error) if error.nothing_changed() && (request.authorization().is_some() || !error.is_refusal()) => {
                Err(error)
            }
            Err(error) if next == NextStep::VerifyAgain && error.is_refusal_of_this_copy() => Err(error),
            Err(error) => Ok(Self::unknown(request, next, error)),
        }
    }

    fn unknown(request: &PreparedRequest, next: NextStep, cause: Error) -> Self {
        let (request_id, expires_at) = (request.request_id(), request.expires_at());
        Self::Unknown(Unknown { request_id, cause: Box::new(cause), expires_at, next })
    }
}
