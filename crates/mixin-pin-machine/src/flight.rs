//! A request that is under way. It owns all that it needs to end, so it can go on without its caller.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_protocol::call::PreparedRequest;
use mixin_pin_protocol::{AnswerError, ShapeFault};
use mixin_pin_store::Lease;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::observe::OutcomeClass;
use crate::plan::{Context, bare};
use crate::{Error, Event, NextStep, Outcome, Reply};

/// A request that may change something, at the point of no return: from here on its entry in the journal, if it has
/// one, is kept until the outcome is known.
///
/// Send [`Flight::request`] once, within [`Flight::limit`]. If the limit is an error, do not send it. Then call
/// [`Flight::land`] and release the lease. A flight that is dropped leaves its entry in the journal.
#[must_use = "its request is in the journal as one that may have been sent"]
pub struct Flight<T, L> {
    request: PreparedRequest,
    limit: Duration,
    lease: Option<L>,
    next: NextStep,
    server_key: Option<VerifyingKey>,
    /// The user that an answer without data stands for.
    blank: Option<Uuid>,
    context: Arc<Context>,
    answer: PhantomData<fn() -> T>,
}

/// The end of a flight, for its call.
#[must_use = "the call waits for it"]
pub struct Landed<T>(pub(crate) Landing<T>);

pub(crate) enum Landing<T> {
    /// Nothing was sent, so the call may be attempted again.
    NotSent(Error),
    Ended(Result<Outcome<T>, Error>),
}

impl<T, L: Deref<Target: Lease>> Flight<T, L> {
    /// The point of no return.
    pub(crate) fn begin(
        request: PreparedRequest,
        limit: Duration,
        lease: Option<L>,
        next: NextStep,
        server_key: Option<&VerifyingKey>,
        blank: Option<Uuid>,
        context: &Arc<Context>,
    ) -> Self {
        if let Some(lease) = &lease {
            lease.keep_entry(true);
        }
        let (server_key, context) = (server_key.cloned(), context.clone());
        Self { request, limit, lease, next, server_key, blank, context, answer: PhantomData }
    }

    /// The request to send, exactly as it is and once.
    pub const fn request(&self) -> &PreparedRequest {
        &self.request
    }

    /// The time that sending and answering may take from now on. `since` is the time since the step: an observer, a
    /// busy runtime or a stopped process may have used some of it.
    ///
    /// # Errors
    /// The time is over. The request must not be sent any more; [`Flight::land`] takes this reply.
    pub fn limit(&self, since: Duration) -> Result<Duration, Reply> {
        time_left(self.limit, since)
    }
}

/// What is left of a limit. If nothing is left, the reply for a request that is not sent.
pub(crate) const fn time_left(limit: Duration, since: Duration) -> Result<Duration, Reply> {
    match limit.saturating_sub(since) {
        Duration::ZERO => Err(Reply::TooLate),
        left => Ok(left),
    }
}

impl<T: DeserializeOwned, L: Deref<Target: Lease>> Flight<T, L> {
    /// Ends the flight: classifies what became of the request. `took` is the time since the step. Returns the lease, to
    /// be released.
    pub fn land(self, reply: Reply, took: Duration) -> (Landed<T>, Option<L>) {
        let landing = match read(reply, &self.request, self.limit, self.server_key.as_ref(), self.blank) {
            Err(error @ Error::Connect(_)) => Landing::NotSent(error),
            Err(Error::TimeOver { .. }) => Landing::NotSent(Error::TimeOver { limit: self.context.limits.max_call() }),
            result => Landing::Ended(Outcome::settle(&self.request, self.next, result)),
        };
        let class = match &landing {
            Landing::NotSent(_) => OutcomeClass::NotSent,
            Landing::Ended(result) => OutcomeClass::of(result),
        };
        // First, because the observer may panic: the caller then does not hear the outcome, so the entry must stay.
        self.context.ended(&self.request, took, class);
        if let Some(lease) = self.lease.as_ref().filter(|_| class != OutcomeClass::Unknown) {
            lease.keep_entry(false);
        }
        (Landed(landing), self.lease)
    }
}

impl Context {
    pub(crate) fn observe(&self, event: &Event<'_>) {
        if let Some(observer) = &self.observer {
            observer.observe(event);
        }
    }

    pub(crate) fn ended(&self, request: &PreparedRequest, took: Duration, class: OutcomeClass) {
        let (method, path) = (request.method(), bare(request.path()));
        self.observe(&Event::Ended { request_id: request.request_id(), method, path, took, class });
    }
}

/// Reads what a transport reports. [`Error::Connect`] and [`Error::TimeOver`] mean that nothing was sent. `blank` is the
/// user that a success without data stands for.
pub(crate) fn read<T: DeserializeOwned>(
    reply: Reply,
    request: &PreparedRequest,
    limit: Duration,
    server_key: Option<&VerifyingKey>,
    blank: Option<Uuid>,
) -> Result<T, Error> {
    let received = reply.received(limit)?;
    let answer = received.answer();
    let result = match server_key {
        Some(key) => answer.read_signed(request, key),
        None => answer.read(request.request_id()),
    };
    // No source shows that a call with a PIN, a verification aside, is answered by nothing.
    if result.is_ok() && blank.is_none() && answer.is_blank() && request.has_pin() {
        return Err(AnswerError::Shape { status: received.status, fault: ShapeFault::NoData }.into());
    }
    if let (Err(AnswerError::Shape { .. }), Some(user_id)) = (&result, blank)
        && answer.read(request.request_id()).is_ok_and(|data| is_blank(&data))
        && let Ok(data) = T::deserialize(blank_user(user_id))
    {
        return Ok(data);
    }
    Ok(result?)
}

/// The user that a verification without data stands for: only this is known.
pub(crate) fn blank_user(user_id: Uuid) -> Value {
    json!({ "user_id": user_id.to_string(), "has_pin": true })
}

fn is_blank(data: &Value) -> bool {
    data.is_null() || data.as_object().is_some_and(Map::is_empty)
}
