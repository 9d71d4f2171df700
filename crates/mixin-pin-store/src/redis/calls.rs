//! Entries of the journal as text: the fence of the lease, the kind, both iterators, the two times, and the request.

use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;

use super::number;
use crate::{CallKind, Error, PendingCall, RedisError};

/// The rest of an entry, after the parts that the script adds. The method's length comes first, because it may contain
/// spaces.
pub(super) fn rest(call: &PendingCall) -> String {
    format!("{} {} {}", call.method.len(), call.method, call.path)
}

/// The calls of a session, in the order of their iterators, from the answer of the script `PENDING`.
pub(super) fn parse(session_id: Uuid, answer: &[String]) -> Result<Vec<PendingCall>, Error> {
    let foreign = || Error::Redis(RedisError::Content);
    let [fence, left, entries @ ..] = answer else { return Err(foreign()) };
    // Negative if there is no lease.
    let left = left.parse().ok().map(Duration::from_millis);
    let mut calls = Vec::new();
    for entry in entries.chunks(2) {
        let [request_id, entry] = entry else { return Err(foreign()) };
        let (own, call) = parse_entry(session_id, request_id, entry).ok_or_else(foreign)?;
        calls.push(PendingCall { under_way_for: left.filter(|_| own == fence), ..call });
    }
    calls.sort_by_key(|call| *call.iterators.start());
    Ok(calls)
}

fn parse_entry<'e>(session_id: Uuid, request_id: &str, entry: &'e str) -> Option<(&'e str, PendingCall)> {
    let mut parts = entry.splitn(8, ' ');
    let (fence, kind) = (parts.next()?, parts.next()?);
    let mut next = || number(parts.next()?).ok();
    let (first, last, sent_at, expires_at, method) = (next()?, next()?, next()?, next()?, next()?);
    let (method, path) = parts.next()?.split_at_checked(usize::try_from(method).ok()?)?;
    let call = PendingCall {
        session_id,
        request_id: request_id.parse().ok()?,
        method: method.to_owned(),
        path: path.strip_prefix(' ')?.to_owned(),
        kind: CallKind::from_name(kind)?,
        iterators: first..=last,
        sent_at: UnixTime::from_nanos(sent_at),
        expires_at: UnixTime::from_secs(expires_at),
        under_way_for: None,
    };
    (!call.iterators.is_empty()).then_some((fence, call))
}
