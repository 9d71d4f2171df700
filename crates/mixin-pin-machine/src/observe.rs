//! Events of a call, for logs and measurements.

use std::time::Duration;

use mixin_pin_core::uuid::Uuid;

use crate::{ClockOffset, Error, Outcome};

/// Hears what happens during calls. It must not block: the call waits for it. If it panics, so does the call; the entry
/// of a request that may have been sent stays in the journal.
///
/// ```
/// use mixin_pin_machine::{Event, Observer};
///
/// struct Lines;
///
/// impl Observer for Lines {
///     fn observe(&self, event: &Event<'_>) {
///         if let Event::Ended { request_id, path, took, class, .. } = event {
///             println!("{path} ({request_id}): {class:?} after {took:?}");
///         }
///     }
/// }
/// ```
pub trait Observer: Send + Sync {
    /// Hears one event.
    fn observe(&self, event: &Event<'_>);
}

/// What happens during a call. No event contains a secret, a token or an encrypted PIN.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'e> {
    /// The session is leased for an attempt. No further event follows if the call ends before its request is sent.
    Leased {
        /// The id of the request that the attempt will send.
        request_id: Uuid,
        /// How long the call has waited since it began.
        waited: Duration,
    },
    /// The store asked for a confirmation of the clock, and the server gave it.
    ClockConfirmed {
        /// The distance of this machine's clock from the server's.
        offset: ClockOffset,
    },
    /// A request is about to be sent. Before this event nothing was sent of a call that may change something.
    Sent {
        /// The request's id.
        request_id: Uuid,
        /// `GET`, `POST`, ….
        method: &'e str,
        /// The path without its query.
        path: &'e str,
        /// The first iterator that is reserved for the request. None if it has none.
        iterator: Option<u64>,
        /// Counts the attempts of the call, from one.
        attempt: u32,
    },
    /// A request has ended.
    Ended {
        /// The request's id.
        request_id: Uuid,
        /// `GET`, `POST`, ….
        method: &'e str,
        /// The path without its query.
        path: &'e str,
        /// The time since [`Event::Sent`].
        took: Duration,
        /// What became of it.
        class: OutcomeClass,
    },
}

/// What became of a request.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeClass {
    /// It was carried out, and its answer was read.
    Done,
    /// Mixin refused it. Nothing changed.
    Refused,
    /// It was not sent. Nothing changed.
    NotSent,
    /// It changes nothing, and there is no answer to trust.
    Failed,
    /// It may have been carried out.
    Unknown,
}

impl OutcomeClass {
    pub(crate) fn of<T>(result: &Result<Outcome<T>, Error>) -> Self {
        match result {
            Ok(Outcome::Done(_)) => Self::Done,
            Ok(Outcome::Unknown(_)) => Self::Unknown,
            Err(error) if error.is_refusal() => Self::Refused,
            Err(error) if error.nothing_changed() => Self::NotSent,
            Err(_) => Self::Failed,
        }
    }

    pub(crate) fn of_read<T>(result: &Result<T, Error>) -> Self {
        match result {
            Ok(_) => Self::Done,
            Err(error) if error.is_refusal() => Self::Refused,
            Err(Error::Connect(_) | Error::TimeOver { .. }) => Self::NotSent,
            Err(_) => Self::Failed,
        }
    }

    /// `done`, `refused`, `not-sent`, `failed` or `unknown`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::NotSent => "not-sent",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// Reports events to `tracing`, with the target `mixin_pin`: unknown outcomes at the level WARN, all else at DEBUG.
#[cfg(feature = "tracing")]
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingObserver;

#[cfg(feature = "tracing")]
impl Observer for TracingObserver {
    fn observe(&self, event: &Event<'_>) {
        const TARGET: &str = "mixin_pin";
        let millis = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        match event {
            Event::Leased { request_id, waited } => {
                tracing::debug!(target: TARGET, %request_id, waited_ms = millis(waited), "leased");
            }
            Event::ClockConfirmed { offset } => tracing::debug!(target: TARGET, %offset, "clock confirmed"),
            Event::Sent { request_id, method, path, iterator, attempt } => {
                tracing::debug!(target: TARGET, %request_id, method, path, iterator, attempt, "sent");
            }
            Event::Ended { request_id, method, path, took, class: OutcomeClass::Unknown } => {
                tracing::warn!(target: TARGET, %request_id, method, path, took_ms = millis(took), "outcome unknown");
            }
            Event::Ended { request_id, method, path, took, class } => {
                let class = class.as_str();
                tracing::debug!(target: TARGET, %request_id, method, path, took_ms = millis(took), class, "ended");
            }
        }
    }
}
