//! Attempts to lease a session.
//!
//! An attempt reads the session's row and its server, decides, and swaps the row if it is still the same. If the swap has no
//! answer, it may run later. So it is taken back: the row gets another fence, which the late swap does not find.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mixin_pin_core::{UnixTime, uuid::Uuid};
use tokio_postgres::types::Type;

use super::connections::{Parameter, Pool};
use super::failure::{Failure, is_conflict};
use super::lease::{Grant, Held};
use super::patience::{Patience, SHORTEST};
use super::statements::{ADD_SESSION, LEASE, READ, RELEASE, SEE_SERVER};
use super::{Inner, bigint, column, iterator, lock_limit, micros};
use crate::backoff::Backoff;
use crate::engine::{Expiry, LeaseState, random};
use crate::journal::{OwnEntry, oldest_verification};
use crate::{CallIntent, Error, LeaseReply, LeaseTerms, PendingCall, PostgresError, rules};

/// A session and its server at one moment.
pub(super) struct Found {
    /// None for a standby.
    server: Option<String>,
    /// Whether this state of the server was seen before now.
    is_known: bool,
    /// Whether a lease that the server has lost may still last.
    is_paused: bool,
    pub(super) row: Option<Row>,
    /// The greatest iterator of the session's journal. None without calls.
    pub(super) journal: Option<u64>,
}

/// A session's row.
pub(super) struct Row {
    pub(super) fence: Uuid,
    /// None for a session that is not known yet.
    pub(super) last_iterator: Option<u64>,
    pub(super) raised_to: Option<u64>,
    /// How much longer it is leased by the server's clock.
    left: Option<Duration>,
    duration: Duration,
}

impl Row {
    /// How much longer the session is leased, as shown to its owner.
    ///
    /// A lease with more than twice its duration left comes from a clock that was far ahead. It does not count.
    pub(super) fn leased_for(&self) -> Option<Duration> {
        leased_for(self.left, self.duration)
    }
}

pub(super) fn leased_for(left: Option<Duration>, duration: Duration) -> Option<Duration> {
    left.filter(|left| *left <= duration * 2).map(|left| left.min(duration))
}

impl Found {
    /// The last known iterator: of the record or of the journal.
    pub(super) fn last(&self) -> Option<u64> {
        self.row.as_ref().and_then(|row| row.last_iterator).max(self.journal)
    }
}

/// Another caller's lease, and when this caller first saw it. Once its whole duration has passed since then, the lease is
/// over, whatever the server's clock says.
struct Observed {
    fence: Uuid,
    since: Instant,
}

/// The result of an attempt.
enum Attempt {
    Granted(Held),
    Busy,
    ClockUnconfirmed {
        ahead: Option<Duration>,
    },
    /// Another transaction changed or locked the row, which had this fence.
    Contended(Uuid),
}

/// What the swap writes, apart from what it compares.
struct Swap<'s> {
    session_id: Uuid,
    found: Uuid,
    /// The row's last iterator.
    found_last: Option<u64>,
    fence: Uuid,
    server: &'s str,
    last: u64,
    duration: Duration,
    now: UnixTime,
    call: Option<&'s PendingCall>,
}

/// The pause between attempts while the server cannot be used.
const BETWEEN_FAILURES: Duration = Duration::from_millis(100);

impl Inner {
    /// Leases a session, and waits as long as the terms say. Gives up when `is_wanted` says so.
    pub(super) async fn lease(
        self: Arc<Self>,
        pool: Arc<Pool>,
        session_id: Uuid,
        terms: LeaseTerms<'static>,
        call: Option<CallIntent>,
        is_wanted: impl Fn() -> bool + Send,
    ) -> Result<LeaseReply<Held>, Error> {
        let terms = call.as_ref().map_or(terms, |call| terms.for_call(call));
        let mut backoff = Backoff::new(terms.max_wait());
        // A row that another transaction locks is waited for as long, or for a second if that is longer.
        let locks = Backoff::new(terms.max_wait().max(SHORTEST));
        let mut observed: Option<Observed> = None;
        let mut contended: Option<Uuid> = None;
        while is_wanted() {
            let patience = Patience::new(backoff.left().min(self.limit));
            match self.try_lease(&pool, session_id, &terms, patience, &mut observed).await {
                Ok(Attempt::Granted(held)) => return Ok(LeaseReply::Granted(held)),
                Ok(Attempt::ClockUnconfirmed { ahead }) => return Ok(LeaseReply::ClockUnconfirmed { ahead }),
                Ok(Attempt::Busy) => {
                    contended = None;
                    if !backoff.pause().await? {
                        return Ok(LeaseReply::Busy);
                    }
                }
                Ok(Attempt::Contended(fence)) => {
                    if locks.left().is_zero() {
                        if contended == Some(fence) {
                            return Err(PostgresError::Locked.into());
                        }
                        return Ok(LeaseReply::Busy);
                    }
                    contended = Some(fence);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(Error::Postgres(error)) if error.may_pass() && !backoff.left().is_zero() => {
                    contended = None;
                    tokio::time::sleep(BETWEEN_FAILURES.min(backoff.left())).await;
                    if backoff.left().is_zero() {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(LeaseReply::Busy)
    }

    /// Reads a session and its server.
    pub(super) async fn find(
        &self,
        pool: &Arc<Pool>,
        session_id: Uuid,
        duration: Duration,
        patience: Patience,
    ) -> Result<Found, Error> {
        let parameters: [Parameter<'_>; 2] = [(&session_id, Type::UUID), (&micros(duration), Type::INT8)];
        let rows = self.query(pool, patience, READ, &parameters).await?;
        let row = rows.first().ok_or(PostgresError::OtherSchema)?;
        let time = |place| -> Result<Option<Duration>, Error> {
            let time: Option<i64> = column(row, place)?;
            Ok(time.and_then(|time| u64::try_from(time).ok()).filter(|time| *time > 0).map(Duration::from_micros))
        };
        let fence: Option<Uuid> = column(row, 3)?;
        let session = match fence {
            None => None,
            Some(fence) => Some(Row {
                fence,
                last_iterator: iterator(row, 4)?,
                raised_to: iterator(row, 5)?,
                left: time(6)?,
                duration: time(7)?.unwrap_or_default(),
            }),
        };
        Ok(Found {
            server: column(row, 0)?,
            is_known: column(row, 1)?,
            is_paused: column(row, 2)?,
            row: session,
            journal: iterator(row, 8)?,
        })
    }

    async fn try_lease(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        session_id: Uuid,
        terms: &LeaseTerms<'_>,
        patience: Patience,
        observed: &mut Option<Observed>,
    ) -> Result<Attempt, Error> {
        let (begun, now) = (Instant::now(), (self.clock)()?);
        let found = self.find(pool, session_id, terms.duration(), patience).await?;
        let Some(server) = found.server.as_deref() else { return Err(PostgresError::ReadOnly.into()) };
        if let Some(row) = found.row.as_ref().filter(|row| row.left.is_some()) {
            let seen = observed.take().filter(|observed| observed.fence == row.fence);
            let seen = observed.insert(seen.unwrap_or(Observed { fence: row.fence, since: Instant::now() }));
            if seen.since.elapsed() < row.duration {
                return Ok(Attempt::Busy);
            }
        }
        if !found.is_known {
            let parameters: [Parameter<'_>; 2] = [(&lock_limit(patience), Type::TEXT), (&server, Type::TEXT)];
            self.query(pool, patience, SEE_SERVER, &parameters).await?;
            return Ok(Attempt::Busy);
        }
        if found.is_paused {
            return Ok(Attempt::Busy);
        }
        let last = found.last();
        let reserved = match rules::grant(last, found.row.as_ref().and_then(|row| row.raised_to), now, terms)? {
            rules::Grant::Reserved(reserved) => reserved,
            rules::Grant::ClockUnconfirmed { ahead } => return Ok(Attempt::ClockUnconfirmed { ahead }),
        };
        let reserved = bigint(*reserved.start())?..=(*reserved.end()).min(i64::MAX.unsigned_abs());
        let fence = match &found.row {
            Some(row) => row.fence,
            None => match self.add_session(pool, session_id, patience).await? {
                Some(fence) => fence,
                // Another caller has added it.
                None => return Ok(Attempt::Contended(Uuid::nil())),
            },
        };
        let call = terms.call().map(|call| PendingCall::new(session_id, call, reserved.clone(), now));
        let swap = Swap {
            session_id,
            found: fence,
            found_last: found.row.as_ref().and_then(|row| row.last_iterator),
            fence: new_fence()?,
            server,
            last: *reserved.end(),
            duration: terms.duration(),
            now,
            call: call.as_ref(),
        };
        match self.swap(pool, &swap, patience).await {
            Ok(true) => {
                let state = LeaseState::new(Expiry::new(begun, now, terms.duration()), reserved.clone());
                let grant = Grant {
                    store: self.clone(),
                    session_id,
                    fence: swap.fence,
                    state,
                    entry: OwnEntry::new(terms),
                    last: (*reserved.end()).into(),
                };
                Ok(Attempt::Granted(Held::new(grant)))
            }
            Ok(false) => Ok(Attempt::Contended(fence)),
            Err(failure) if is_conflict(&failure.error) => Ok(Attempt::Contended(fence)),
            Err(failure) => {
                if failure.may_have_run {
                    let release = Release {
                        session_id,
                        found: swap.found,
                        fence: swap.fence,
                        request_id: terms.call().map(|call| call.request_id),
                    };
                    self.take_back(pool, release, terms.duration()).await;
                }
                Err(failure.into())
            }
        }
    }

    /// Adds a session that is not known yet. Returns its fence, or None if another caller has just added it.
    pub(super) async fn add_session(
        &self,
        pool: &Arc<Pool>,
        session_id: Uuid,
        patience: Patience,
    ) -> Result<Option<Uuid>, Error> {
        let fence = new_fence()?;
        let parameters: [Parameter<'_>; 3] =
            [(&lock_limit(patience), Type::TEXT), (&session_id, Type::UUID), (&fence, Type::UUID)];
        match pool.query(patience, ADD_SESSION, &parameters).await {
            Ok(_) => {}
            Err(failure) if is_conflict(&failure.error) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        }
        let found = self.find(pool, session_id, Duration::ZERO, patience).await?;
        Ok(found.row.map(|row| row.fence).filter(|found| *found == fence))
    }

    async fn swap(&self, pool: &Arc<Pool>, swap: &Swap<'_>, patience: Patience) -> Result<bool, Failure> {
        let call = swap.call;
        let limited = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (request_id, kind) = (call.map(|call| call.request_id), call.map(|call| call.kind.name()));
        let (method, path) = (call.map(|call| &*call.method), call.map(|call| &*call.path));
        let first = call.map(|call| limited(*call.iterators.start()));
        let sent_at = call.and_then(|call| call.sent_at.as_nanos().ok()).map(limited);
        let expires_at = call.map(|call| limited(call.expires_at.secs()));
        let parameters: [Parameter<'_>; 16] = [
            (&lock_limit(patience), Type::TEXT),
            (&swap.session_id, Type::UUID),
            (&swap.found, Type::UUID),
            (&swap.server, Type::TEXT),
            (&swap.fence, Type::UUID),
            (&limited(swap.last), Type::INT8),
            (&micros(swap.duration), Type::INT8),
            (&limited(oldest_verification(swap.now)), Type::INT8),
            (&request_id, Type::UUID),
            (&kind, Type::TEXT),
            (&method, Type::TEXT),
            (&path, Type::TEXT),
            (&first, Type::INT8),
            (&sent_at, Type::INT8),
            (&expires_at, Type::INT8),
            (&swap.found_last.map(limited), Type::INT8),
        ];
        Ok(!pool.query_once(patience, LEASE, &parameters).await?.is_empty())
    }

    /// Takes a swap back that had no answer. If the server cannot be reached now, it goes on in the background for as long as
    /// the lease would last.
    async fn take_back(self: &Arc<Self>, pool: &Arc<Pool>, release: Release, duration: Duration) {
        if release.run_as_taking_back(pool, Patience::new(SHORTEST)).await.is_err() {
            drop(tokio::spawn(repeat(self.clone(), pool.clone(), release, true, duration)));
        }
    }
}

pub(super) fn new_fence() -> Result<Uuid, Error> {
    Ok(Uuid::from_bytes(random()?))
}

/// Releases in the background until it succeeds, or until the lease has ended by itself.
pub(super) async fn repeat(
    store: Arc<Inner>,
    pool: Arc<Pool>,
    release: Release,
    is_taken_back: bool,
    duration: Duration,
) {
    const LONGEST: Duration = Duration::from_secs(600);
    let backoff = Backoff::new(duration.min(LONGEST));
    while !backoff.left().is_zero() {
        tokio::time::sleep(BETWEEN_FAILURES).await;
        let patience = Patience::new(store.limit);
        let result = if is_taken_back {
            release.run_as_taking_back(&pool, patience).await
        } else {
            release.run(&pool, patience).await
        };
        match result {
            Err(failure) if failure.error.may_pass() || is_conflict(&failure.error) => {}
            // If it fails, the lease ends by itself, and the entry stays.
            _ => return,
        }
    }
}

/// The parameters of the statement `RELEASE`.
pub(super) struct Release {
    pub(super) session_id: Uuid,
    /// The fence that the lease found.
    pub(super) found: Uuid,
    /// The lease's own fence.
    pub(super) fence: Uuid,
    /// The entry to remove.
    pub(super) request_id: Option<Uuid>,
}

impl Release {
    pub(super) async fn run(&self, pool: &Arc<Pool>, patience: Patience) -> Result<(), Failure> {
        let new =
            new_fence().map_err(|_| Failure::unsent(PostgresError::Other("the system has no random bytes".into())))?;
        let parameters: [Parameter<'_>; 6] = [
            (&lock_limit(patience), Type::TEXT),
            (&self.session_id, Type::UUID),
            (&self.found, Type::UUID),
            (&self.fence, Type::UUID),
            (&new, Type::UUID),
            (&self.request_id, Type::UUID),
        ];
        pool.query(patience, RELEASE, &parameters).await.map(|_| ())
    }

    /// Runs twice. If the swap came first and the release waited for its lock, the first run does not see its entry.
    async fn run_as_taking_back(&self, pool: &Arc<Pool>, patience: Patience) -> Result<(), Failure> {
        self.run(pool, patience).await?;
        self.run(pool, patience).await
    }
}
