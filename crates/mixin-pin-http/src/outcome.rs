//! What became of a call that changes something.

use mixin_pin_core::uuid::Uuid;

use crate::Error;

/// What became of a call that changes something. A refusal is an [`Error`]; these are the other two endings.
#[must_use = "a call whose answer was lost may have been carried out"]
#[derive(Debug)]
pub enum Outcome<T> {
    /// It was carried out, and this is the answer.
    Done(T),
    /// Nobody here knows: the request may have arrived, and its answer was lost.
    Unknown(Unknown),
}

/// A call whose answer was lost.
#[derive(Debug)]
pub struct Unknown {
    /// The id under which the server knows the request.
    pub request_id: Uuid,
    /// How the answer was lost.
    pub cause: Box<Error>,
}

impl<T> Outcome<T> {
    /// The answer, or None where nobody knows.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(answer) => Some(answer),
            Self::Unknown(_) => None,
        }
    }

    /// Sorts a result: an error after which something may have changed is no error but [`Outcome::Unknown`].
    pub(crate) fn settle(request_id: Uuid, result: Result<T, Error>) -> Result<Self, Error> {
        match result {
            Ok(answer) => Ok(Self::Done(answer)),
            Err(error) if error.nothing_changed() => Err(error),
            Err(error) => Ok(Self::Unknown(Unknown { request_id, cause: Box::new(error) })),
        }
    }
}
