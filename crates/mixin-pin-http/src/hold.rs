//! Stores of every kind behind one type, so that a client's own type does not name its store.

use std::error::Error as StdError;
use std::time::Duration;

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{HeldSession, Hold, HoldTerms, NonceSource, NonceStore, UnixTime};

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;
pub(crate) type BoxStore = Box<dyn DynStore + Send + Sync>;
pub(crate) type BoxHeld = Box<dyn HeldSession<Error = BoxError>>;

/// [`NonceStore`], but for its types.
pub(crate) trait DynStore {
    fn hold(&self, session_id: Uuid, terms: &HoldTerms) -> Result<Hold<BoxHeld>, BoxError>;
}

/// Hides the types of a store.
pub(crate) struct Erased<S>(pub(crate) S);

impl<S> DynStore for Erased<S>
where
    S: NonceStore<Held: 'static, Error: Into<BoxError>>,
{
    fn hold(&self, session_id: Uuid, terms: &HoldTerms) -> Result<Hold<BoxHeld>, BoxError> {
        Ok(match self.0.hold(session_id, terms).map_err(Into::into)? {
            Hold::Held(held) => Hold::Held(Box::new(ErasedHeld(held))),
            Hold::Busy => Hold::Busy,
            Hold::ClockUnconfirmed { ahead } => Hold::ClockUnconfirmed { ahead },
        })
    }
}

struct ErasedHeld<H>(H);

impl<H: HeldSession<Error: Into<BoxError>>> NonceSource for ErasedHeld<H> {
    type Error = BoxError;

    fn reserve(&self, now: UnixTime) -> Result<u64, BoxError> {
        self.0.reserve(now).map_err(Into::into)
    }
}

impl<H: HeldSession<Error: Into<BoxError>>> HeldSession for ErasedHeld<H> {
    fn remaining(&self) -> Duration {
        self.0.remaining()
    }
}
