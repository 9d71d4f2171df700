//! Tools for tests and demonstrations only.
//!
//! Do not use this module in a client. Sending a prepared request a second time breaks the rule that an encrypted PIN is sent
//! once. Only the server can then refuse the repetition.

use mixin_pin_core::token::Signer;
use mixin_pin_protocol::AnswerError;
use mixin_pin_protocol::answer::ApiError;
use mixin_pin_protocol::call::PreparedRequest;
use serde_json::Value;

use crate::{Client, Error};

/// An answer with its HTTP status: `data`, or the refusal.
#[derive(Debug)]
pub struct RawAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The content of the answer's envelope.
    pub data: Result<Value, ApiError>,
}

/// Sends a prepared request as it is, even if it was sent before.
///
/// ```no_run
/// use mixin_pin_http::hazmat::{self, RawAnswer};
/// use mixin_pin_http::protocol::call::PreparedRequest;
/// use mixin_pin_http::{Client, Error};
///
/// /// Whether a server refuses a repeated request, as it must.
/// fn refuses_repetition(client: &Client, request: &PreparedRequest) -> Result<bool, Error> {
///     let first: RawAnswer = hazmat::send(client, request)?;
///     let second = hazmat::send(client, request)?;
///     Ok(first.data.is_ok() && second.data.is_err())
/// }
/// ```
///
/// # Errors
/// All errors except the API's refusal, which is in the answer.
pub fn send(client: &Client, request: &PreparedRequest) -> Result<RawAnswer, Error> {
    let limits = client.rules.limits();
    let wait = limits.max_wait();
    let _turn = client.lane.turn(wait).ok_or(Error::SessionBusy { waited: wait })?;
    let received = client.transport.exchange(request, limits.max_call()).received(limits.max_call())?;
    let data = match received.answer().read(request.request_id()) {
        Ok(data) => Ok(data),
        Err(AnswerError::Refusal(error)) => Err(*error),
        Err(error) => return Err(error.into()),
    };
    Ok(RawAnswer { status: received.status, data })
}

/// The signer of a client, for requests that a test makes by hand.
pub fn signer(client: &Client) -> &dyn Signer {
    &client.signer
}
