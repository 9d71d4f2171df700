//! What became of a call that changes something.

use std::fmt;

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_protocol::call::PreparedRequest;

use crate::Error;

/// What became of a call that changes something. An [`Error`] means that it changed nothing; these are the other two
/// endings.
///
/// ```
/// use mixin_pin_http::{Error, NextStep, Outcome};
///
/// fn report<T>(result: Result<Outcome<T>, Error>) -> &'static str {
///     match result {
///         Ok(Outcome::Done(_)) => "carried out",
///         Ok(Outcome::Unknown(lost)) if lost.next == NextStep::ResolveUpdate => "find out which PIN holds",
///         Ok(Outcome::Unknown(_)) => "look before it is done again",
///         Err(_) => "nothing changed",
///     }
/// }
/// assert_eq!(report(Ok(Outcome::Done(()))), "carried out");
/// assert_eq!(report::<()>(Err(Error::BaseUrl)), "nothing changed");
/// ```
#[must_use = "a call whose answer was lost may have been carried out"]
#[derive(Debug)]
pub enum Outcome<T> {
    /// It was carried out, and this is the answer.
    Done(T),
    /// Not known: the request may have arrived, and its answer was lost, or is a refusal that may be about a copy that
    /// somebody on the way made.
    Unknown(Unknown),
}

/// A call of which is not known whether it was carried out.
#[derive(Debug)]
pub struct Unknown {
    /// The id under which the server knows the request.
    pub request_id: Uuid,
    /// How the answer was lost, or the refusal.
    pub cause: Box<Error>,
    /// Until when the request may still arrive and be carried out: its token expires then. None for a request without a
    /// token.
    pub expires_at: Option<UnixTime>,
    /// What to do next.
    pub next: NextStep,
}

/// What to do about a call whose answer was lost.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// The PIN may have been changed: [`Client::resolve_update`](crate::Client::resolve_update) finds out.
    ResolveUpdate,
    /// Nothing was changed but an iterator, and with a wrong PIN perhaps a try: prove once more, which encrypts afresh.
    ProveAgain,
    /// Something may have been changed, say money moved: look for it, by its trace id or in a list, before anything is
    /// made anew.
    LookFirst,
}

impl fmt::Display for NextStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ResolveUpdate => "find out which PIN is set before it is used or changed again",
            Self::ProveAgain => "prove once more: nothing was changed, though a wrong PIN may have cost a try",
            Self::LookFirst => "look whether it was carried out before it is made anew",
        })
    }
}

impl<T> Outcome<T> {
    /// The answer, or None where nobody knows.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(answer) => Some(answer),
            Self::Unknown(_) => None,
        }
    }

    /// Sorts a result: an error after which something may have changed is no error but [`Outcome::Unknown`]. A proof changes
    /// nothing, so that its refusal is one even where a copy cannot be ruled out.
    pub(crate) fn settle(request: &PreparedRequest, next: NextStep, result: Result<T, Error>) -> Result<Self, Error> {
        match result {
            Ok(answer) => Ok(Self::Done(answer)),
            // Nothing but its token makes a copy of a request stop early: without one any refusal may be about a copy.
            Err(error) if error.nothing_changed() && (request.authorization().is_some() || !error.is_refusal()) => {
                Err(error)
            }
            Err(error) if next == NextStep::ProveAgain && error.is_refusal_of_this_copy() => Err(error),
            Err(error) => Ok(Self::Unknown(Unknown {
                request_id: request.request_id(),
                cause: Box::new(error),
                expires_at: request.expires_at(),
                next,
            })),
        }
    }
}
