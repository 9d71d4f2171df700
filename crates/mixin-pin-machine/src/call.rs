//! The rules of one call, as a machine: it says what to do next, and is told the result.
//!
//! A leased call runs through these states:
//!
//! ```text
//! begin ─> turn ─> lease ─> prepare ─> (TIP signature) ─> signature ─> ready ══> flight ─> done
//!            │       ^ ^ │                                               │          │
//!            │       │ │ └─ confirm the clock ─> lease                   │          │
//!            │       │ └───────────────────── lease lost <───────────────┘          │
//!            │       └───────────── pause <──────────── not sent <──────────────────┘
//!            └─> done (busy)
//! ```
//!
//! The double arrow is the point of no return, [`Flight::begin`]. Before it every failure means that nothing was sent.
//! After it only a refusal that Mixin documents means that nothing changed.

use std::cell::Cell;
use std::fmt;
use std::mem;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::tip::TIP_SIGNATURE_LEN;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{NonceSource, SignerError, UnixTime};
use mixin_pin_protocol::answer::{Reason, User};
use mixin_pin_protocol::call::{PreparedRequest, UnsignedRequest, check_request, random_uuid};
use mixin_pin_protocol::{AnswerError, CallError, Error as ProtocolError};
use mixin_pin_store::{CallIntent, Error as StoreError, Lease, LeaseReply, LeaseTerms};
use serde::de::DeserializeOwned;

use crate::flight::{Landing, read, time_left};
use crate::observe::OutcomeClass;
use crate::pauses::Pauses;
use crate::plan::{Context, Draft, Ingredients, Plan, Rule};
use crate::tips::{TipMessage, Tips};
use crate::{ClockOffset, Error, Event, Flight, Landed, Outcome, Reply, TipRole};

/// The accepted distance between the clock and the server's.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);
/// Further attempts for a leased call without a connection.
const CONNECT_RETRIES: u32 = 2;
/// Further leases for a call, if its process stalls until its lease ends.
const LEASE_RETRIES: u32 = 3;

/// The time of one step, read by the driver.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The time of day.
    pub wall: UnixTime,
    /// The time since the call began, by a clock that is never set back.
    pub elapsed: Duration,
}

/// One call. A driver calls [`Call::step`], does what the step asks for, and gives it the result. Each step but
/// [`Step::Done`] returns the call for it.
///
/// `T` is the answer's `data`, and `L` a lease of the driver's store.
#[must_use = "nothing happens until a driver makes its steps"]
pub struct Call<'c, T, L> {
    context: Arc<Context>,
    plan: Plan<'c>,
    /// When the call's time is over. None before the session is leased.
    deadline: Option<Duration>,
    /// When the wait for a lease is over.
    lease_until: Duration,
    /// When the session was leased last.
    leased_at: Option<Moment>,
    lease_retries: u32,
    /// Why the last attempt was not sent.
    not_sent: Option<Error>,
    pauses: Pauses,
    attempt: u32,
    /// The first iterator of the last request that was prepared.
    iterator: Option<u64>,
    clock_is_confirmed: bool,
    /// The journal's entry for the next lease.
    intent: Option<CallIntent>,
    heard: Heard,
    state: State<T, L>,
}

/// What the last answer to a call that only reads says about the time.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    server_time: Option<UnixTime>,
    clock: Option<ClockOffset>,
}

enum State<T, L> {
    Begin,
    Turn,
    HasTurn(bool),
    /// With a lease that is lost, to be released first.
    Lease(Option<L>),
    Replied(Result<LeaseReply<L>, StoreError>),
    Prepare(Errand<L>, Tips),
    TipSigned(Errand<L>, Tips, TipMessage, Result<[u8; TIP_SIGNATURE_LEN], SignerError>),
    Signed(Errand<L>, Result<PreparedRequest, CallError>),
    Answered(Asked, PreparedRequest, Reply),
    Landed(Landing<T>),
    Paused {
        until: Duration,
    },
    Done(Result<Outcome<T>, Error>, Option<L>),
}

/// What a request is for.
enum Errand<L> {
    Call(Option<L>),
    /// It asks for the server's time before the session is leased, and must end by the deadline.
    Time {
        deadline: Duration,
    },
}

/// A request that changes nothing, and when it was sent.
struct Asked {
    is_for_time: bool,
    at: Moment,
    limit: Duration,
}

/// What a driver does next. Each step but the last gives the call back when it is told the result.
#[must_use]
pub enum Step<'c, T, L> {
    /// Wait for this session's turn among the callers of this process.
    Turn(AskTurn<'c, T, L>),
    /// Ask the nonce store for a lease.
    Lease(AskLease<'c, T, L>),
    /// Sign a message with a TIP key.
    SignTip(AskTip<'c, T, L>),
    /// Sign a request with the session's key.
    Sign(AskSignature<'c, T, L>),
    /// Send a request that changes nothing.
    Ask(AskServer<'c, T, L>),
    /// Send a request that may change something. The flight does not borrow from the call, so it can go on alone.
    Send(InFlight<'c, T, L>, Flight<T, L>),
    /// Wait.
    Wait(Pause<'c, T, L>),
    /// The call has ended.
    Done(Ended<T, L>),
}

/// The end of a call.
pub struct Ended<T, L> {
    /// The outcome. An error means that nothing changed, unless the call only reads.
    pub result: Result<Outcome<T>, Error>,
    /// A lease to be released: the call ended before it was sent.
    pub lease: Option<L>,
    /// The server's time, if the call only reads and its answer names it.
    pub server_time: Option<UnixTime>,
    /// The distance of this machine's clock from the server's, if the call only reads and Mixin's own answer names the
    /// time.
    pub clock: Option<ClockOffset>,
}

macro_rules! steps {
    ($($(#[$doc:meta])+ $name:ident { $($field:ident: $type:ty),* })+) => {$(
        $(#[$doc])+
        #[must_use = "the call waits for the result"]
        pub struct $name<'c, T, L> {
            call: Call<'c, T, L>,
            $($field: $type,)*
        }
    )+};
}

steps! {
    /// Asks for the session's turn within the process. The driver keeps the turn until the call is done.
    AskTurn { limit: Duration }
    /// Asks for a lease.
    AskLease { wait: Duration, former: Option<L> }
    /// Asks for a TIP signature.
    AskTip { errand: Errand<L>, tips: Tips, wanted: TipMessage }
    /// Asks for the signature of a request.
    AskSignature { errand: Errand<L>, request: UnsignedRequest }
    /// Asks for the answer to a request that changes nothing.
    AskServer { asked: Asked, request: PreparedRequest }
    /// Waits for the end of a flight.
    InFlight { }
    /// Waits before another attempt.
    Pause { pause: Duration, until: Duration }
}

impl<'c, T, L> AskTurn<'c, T, L> {
    /// The longest wait.
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// Whether the turn came in time.
    pub fn taken(self, is_taken: bool) -> Call<'c, T, L> {
        self.call.with(State::HasTurn(is_taken))
    }
}

impl<'c, T, L> AskLease<'c, T, L> {
    /// The session to lease. Nil for a call without a session, which is never leased.
    pub fn session_id(&self) -> Uuid {
        self.call.plan.session.map_or_else(Uuid::nil, mixin_pin_core::Session::session_id)
    }

    /// A lease that was lost before it was used. Release it before you ask for the next one.
    pub const fn take_former(&mut self) -> Option<L> {
        self.former.take()
    }

    /// The terms, with the entry for the journal.
    pub fn terms(&self) -> LeaseTerms<'_> {
        let terms = LeaseTerms::new(self.call.context.limits.lease()).wait(self.wait);
        let terms = if self.call.clock_is_confirmed { terms.with_confirmed_clock() } else { terms };
        match &self.call.intent {
            Some(intent) => terms.for_call(intent),
            None => terms,
        }
    }

    /// The store's reply.
    pub fn replied(self, reply: Result<LeaseReply<L>, StoreError>) -> Call<'c, T, L> {
        self.call.with(State::Replied(reply))
    }
}

impl<'c, T, L> AskTip<'c, T, L> {
    /// The key that signs.
    pub const fn role(&self) -> TipRole {
        self.wanted.role
    }

    /// The message.
    pub fn message(&self) -> &[u8] {
        &self.wanted.message
    }

    /// The signature. It is checked before it is used.
    pub fn signed(self, signature: Result<[u8; TIP_SIGNATURE_LEN], SignerError>) -> Call<'c, T, L> {
        let signature = signature.and_then(|signature| self.wanted.check(&signature).map(|()| signature));
        self.call.with(State::TipSigned(self.errand, self.tips, self.wanted, signature))
    }
}

impl<'c, T, L> AskSignature<'c, T, L> {
    /// The message.
    pub fn message(&self) -> &[u8] {
        self.request.message()
    }

    /// The signature.
    pub fn signed<B: AsRef<[u8]>>(self, signature: Result<B, SignerError>) -> Call<'c, T, L> {
        let request = match signature {
            Ok(signature) => self.request.with_signature(signature.as_ref()),
            Err(error) => Err(CallError::Signer(error)),
        };
        self.call.with(State::Signed(self.errand, request))
    }
}

impl<'c, T, L> AskServer<'c, T, L> {
    /// The request.
    pub const fn request(&self) -> &PreparedRequest {
        &self.request
    }

    /// The time that sending and answering may take from now on. `since` is the time since the step.
    ///
    /// # Errors
    /// The time is over. The request must not be sent any more; [`AskServer::answered`] takes this reply.
    pub fn limit(&self, since: Duration) -> Result<Duration, Reply> {
        time_left(self.asked.limit, since)
    }

    /// What became of the request.
    pub fn answered(self, reply: Reply) -> Call<'c, T, L> {
        self.call.with(State::Answered(self.asked, self.request, reply))
    }
}

impl<'c, T, L> InFlight<'c, T, L> {
    /// The result of [`Flight::land`].
    pub fn landed(self, landed: Landed<T>) -> Call<'c, T, L> {
        self.call.with(State::Landed(landed.0))
    }
}

impl<'c, T, L> Pause<'c, T, L> {
    /// How long to wait.
    pub const fn pause(&self) -> Duration {
        self.pause
    }

    /// Ends the pause. If it was shorter than asked for, the next step asks for the rest.
    pub fn over(self) -> Call<'c, T, L> {
        let until = self.until;
        self.call.with(State::Paused { until })
    }
}

impl<'c, T, L> Call<'c, T, L> {
    pub(crate) fn new(context: &Arc<Context>, plan: Plan<'c>) -> Self {
        let retries = match plan.rule {
            Rule::Read { retries } => retries,
            Rule::Leased(_) => CONNECT_RETRIES,
            Rule::Unleased(_) => 0,
        };
        Self {
            context: context.clone(),
            plan,
            deadline: None,
            lease_until: context.limits.max_wait(),
            leased_at: None,
            lease_retries: LEASE_RETRIES,
            not_sent: None,
            pauses: Pauses::new(retries),
            attempt: 0,
            iterator: None,
            clock_is_confirmed: false,
            intent: None,
            heard: Heard::default(),
            state: State::Begin,
        }
    }

    fn with(self, state: State<T, L>) -> Self {
        Self { state, ..self }
    }

    fn time_left(&self, now: Moment) -> Duration {
        self.deadline.unwrap_or_default().saturating_sub(now.elapsed)
    }

    /// The time since the session was leased, by the clock that shows more: the one that is never set back may stand
    /// still while the machine sleeps.
    fn lease_age(&self, now: Moment) -> Duration {
        self.leased_at.map_or(Duration::ZERO, |then| {
            let by_wall = Duration::from_secs(now.wall.secs().saturating_sub(then.wall.secs()));
            now.elapsed.saturating_sub(then.elapsed).max(by_wall)
        })
    }

    /// The call's time begins now.
    fn begin_time(&mut self, now: Moment) {
        self.deadline.get_or_insert_with(|| now.elapsed.saturating_add(self.context.limits.max_call()));
    }

    const fn busy(now: Moment) -> Error {
        Error::SessionBusy { waited: now.elapsed }
    }
}

impl<'c, T, L> Call<'c, T, L>
where
    T: DeserializeOwned,
    L: Deref<Target: Lease>,
{
    /// What to do next, at this time. `rng` gives request ids, IVs and the jitter of pauses.
    pub fn step(mut self, now: Moment, rng: &mut dyn CryptoRng) -> Step<'c, T, L> {
        loop {
            self.state = match mem::replace(&mut self.state, State::Begin) {
                State::Begin => self.begin(now),
                State::Turn => {
                    let limit = self.lease_until.saturating_sub(now.elapsed);
                    return Step::Turn(AskTurn { call: self, limit });
                }
                State::HasTurn(false) => State::Done(Err(Self::busy(now)), None),
                State::HasTurn(true) => State::Lease(None),
                State::Lease(former) => {
                    let wait = self.lease_until.saturating_sub(now.elapsed);
                    self.intend(rng);
                    return Step::Lease(AskLease { call: self, wait, former });
                }
                State::Replied(reply) => self.replied(reply, now),
                State::Prepare(errand, tips) => match self.prepare(&errand, &tips, now, rng) {
                    Err(error) => self.failed(errand, error, now),
                    Ok(Prepared::WantsTip(wanted)) => {
                        return Step::SignTip(AskTip { call: self, errand, tips, wanted });
                    }
                    Ok(Prepared::Draft(Draft::Ready(request))) => State::Signed(errand, Ok(request)),
                    Ok(Prepared::Draft(Draft::ToSign(request))) => {
                        return Step::Sign(AskSignature { call: self, errand, request });
                    }
                },
                State::TipSigned(errand, mut tips, message, Ok(signature)) => {
                    tips.add(message, signature);
                    State::Prepare(errand, tips)
                }
                State::TipSigned(errand, _, _, Err(error)) => self.failed(errand, CallError::Signer(error).into(), now),
                State::Signed(errand, Err(error)) => self.failed(errand, error.into(), now),
                State::Signed(errand, Ok(request)) => match self.check_time(&errand, &request, now) {
                    Err(error) => self.failed(errand, error, now),
                    Ok(limit) => return self.send(errand, request, limit, now),
                },
                State::Answered(asked, request, reply) => self.answered(&asked, &request, reply, now, rng),
                State::Landed(Landing::Ended(result)) => State::Done(result, None),
                State::Landed(Landing::NotSent(error)) => {
                    match self.pauses.next(None, self.time_left(now), rng) {
                        // A new request needs new iterators and a new entry, and so a new lease.
                        Some(pause) => {
                            self.lease_until = self.deadline.unwrap_or_default();
                            self.not_sent = Some(error);
                            State::Paused { until: now.elapsed.saturating_add(pause) }
                        }
                        None => State::Done(Err(error), None),
                    }
                }
                State::Paused { until } => match until.saturating_sub(now.elapsed) {
                    Duration::ZERO => self.again(),
                    pause => return Step::Wait(Pause { call: self, pause, until }),
                },
                State::Done(result, lease) => {
                    let Heard { server_time, clock } = self.heard;
                    return Step::Done(Ended { result, lease, server_time, clock });
                }
            };
        }
    }

    fn begin(&mut self, now: Moment) -> State<T, L> {
        if let Rule::Leased(_) = self.plan.rule {
            // Checked before anything is written to the journal.
            return match check_request(&self.plan.method, &self.plan.path, None) {
                Ok(()) => State::Turn,
                Err(error) => State::Done(Err(error.into()), None),
            };
        }
        self.begin_time(now);
        self.again()
    }

    /// The state in which an attempt begins.
    fn again(&self) -> State<T, L> {
        match self.plan.rule {
            Rule::Leased(_) => State::Lease(None),
            Rule::Read { .. } | Rule::Unleased(_) => State::Prepare(Errand::Call(None), Tips::default()),
        }
    }

    /// Chooses the journal's entry for the next lease.
    fn intend(&mut self, rng: &mut dyn CryptoRng) {
        if let Rule::Leased(next) = self.plan.rule {
            self.intent = Some(CallIntent {
                request_id: random_uuid(rng),
                method: self.plan.method.clone().into_owned(),
                path: self.plan.bare_path().to_owned(),
                kind: next.kind(),
                token_lifetime: self.plan.window.unwrap_or_else(|| self.context.limits.token_lifetime()),
            });
        }
    }

    fn replied(&mut self, reply: Result<LeaseReply<L>, StoreError>, now: Moment) -> State<T, L> {
        match reply {
            Err(error) => State::Done(Err(Error::Store(error)), None),
            Ok(LeaseReply::Busy) => State::Done(Err(self.not_sent.take().unwrap_or_else(|| Self::busy(now))), None),
            // A store that never accepts the confirmation must not be asked forever.
            Ok(LeaseReply::ClockUnconfirmed { .. }) if self.clock_is_confirmed => {
                let cause = "it asks for a confirmation of the clock that it was just given";
                State::Done(Err(Error::Store(StoreError::other(cause))), None)
            }
            Ok(LeaseReply::ClockUnconfirmed { .. }) => {
                let deadline = now.elapsed.saturating_add(self.context.limits.max_call());
                State::Prepare(Errand::Time { deadline }, Tips::default())
            }
            Ok(LeaseReply::Granted(lease)) => {
                self.begin_time(now);
                self.leased_at = Some(now);
                if let Some(intent) = &self.intent {
                    let request_id = intent.request_id;
                    self.context.observe(&Event::Leased { request_id, waited: now.elapsed });
                }
                State::Prepare(Errand::Call(Some(lease)), Tips::default())
            }
        }
    }

    /// Prepares the request of this errand, as far as the TIP signatures allow.
    fn prepare(
        &mut self,
        errand: &Errand<L>,
        tips: &Tips,
        now: Moment,
        rng: &mut dyn CryptoRng,
    ) -> Result<Prepared, Error> {
        let lease = match errand {
            Errand::Call(lease) => lease.as_deref(),
            Errand::Time { .. } => None,
        };
        let nonces = Source { lease, first: Cell::new(None) };
        let with = Ingredients {
            // The journal computes the token's expiry from the time of the lease.
            now: lease.map_or(now.wall, Lease::granted_at),
            rng,
            lifetime: self.context.limits.token_lifetime(),
            request_id: self.intent.as_ref().filter(|_| lease.is_some()).map(|intent| intent.request_id),
            nonces: &nonces,
            tips,
        };
        let draft = match (errand, self.plan.session) {
            (Errand::Time { .. }, Some(session)) => with.calls(session).me().map(Draft::from),
            _ => (self.plan.prepare)(with),
        };
        self.iterator = nonces.first.get();
        match (tips.take_wanted(), draft) {
            (Some(wanted), _) => Ok(Prepared::WantsTip(wanted)),
            (None, Err(CallError::Nonce(_))) if lease.is_some_and(|lease| lease.remaining().is_zero()) => {
                Err(Error::LeaseLost)
            }
            (None, draft) => Ok(Prepared::Draft(draft?)),
        }
    }

    /// The time limit for a request that is sent now. Checked after signing, which may take long.
    fn check_time(&self, errand: &Errand<L>, request: &PreparedRequest, now: Moment) -> Result<Duration, Error> {
        let limits = &self.context.limits;
        let (time_left, lease) = match errand {
            Errand::Time { deadline } => (deadline.saturating_sub(now.elapsed), None),
            Errand::Call(lease) => (self.time_left(now), lease.as_deref()),
        };
        if time_left.is_zero() {
            return Err(Error::TimeOver { limit: limits.max_call() });
        }
        if lease.is_some_and(|lease| lease.remaining() < time_left) {
            return Err(Error::LeaseLost);
        }
        // A token that has expired would only be refused. Its times are the store's, whose clock may differ from this
        // one, so the token's age is measured here.
        let lifetime = |lease: &L::Target| {
            request.expires_at().map(|expiry| expiry.secs().saturating_sub(lease.granted_at().secs()))
        };
        if lease.and_then(lifetime).is_some_and(|lifetime| self.lease_age(now) >= Duration::from_secs(lifetime)) {
            return Err(Error::TimeOver { limit: limits.token_lifetime() });
        }
        Ok(time_left)
    }

    fn send(mut self, errand: Errand<L>, request: PreparedRequest, limit: Duration, now: Moment) -> Step<'c, T, L> {
        let is_for_time = matches!(errand, Errand::Time { .. });
        let next = match (self.plan.rule, errand) {
            (Rule::Leased(next) | Rule::Unleased(next), Errand::Call(lease)) => Some((next, lease)),
            _ => None,
        };
        if !is_for_time {
            self.attempt += 1;
            self.context.observe(&Event::Sent {
                request_id: request.request_id(),
                method: request.method(),
                path: self.plan.bare_path(),
                iterator: self.iterator,
                attempt: self.attempt,
            });
        }
        match next {
            Some((next, lease)) => {
                let blank = self.plan.blank_answer();
                let flight = Flight::begin(request, limit, lease, next, self.plan.server_key, blank, &self.context);
                Step::Send(InFlight { call: self }, flight)
            }
            None => Step::Ask(AskServer { call: self, asked: Asked { is_for_time, at: now, limit }, request }),
        }
    }

    /// What follows if a request could not be sent.
    fn failed(&mut self, errand: Errand<L>, error: Error, now: Moment) -> State<T, L> {
        match (errand, error) {
            (Errand::Time { .. }, error) => State::Done(Err(Error::ClockUnconfirmed(Box::new(error))), None),
            // This process stalled before it sent anything.
            (Errand::Call(Some(lease)), Error::LeaseLost) if self.lease_retries > 0 => {
                self.lease_retries -= 1;
                self.deadline = None;
                self.lease_until = now.elapsed.saturating_add(self.context.limits.max_wait());
                State::Lease(Some(lease))
            }
            (Errand::Call(lease), error) => State::Done(Err(error), lease),
        }
    }

    fn answered(
        &mut self,
        asked: &Asked,
        request: &PreparedRequest,
        reply: Reply,
        now: Moment,
        rng: &mut dyn CryptoRng,
    ) -> State<T, L> {
        let (retry_after, server_time) = match &reply {
            Reply::Answer(received) => (received.retry_after, received.server_time),
            _ => (None, None),
        };
        if asked.is_for_time {
            let user = read::<User>(reply, request, asked.limit, None, None);
            return match self.confirm(asked, user, server_time, now) {
                Ok(()) => State::Lease(None),
                Err(error) => State::Done(Err(error), None),
            };
        }
        let result = read::<T>(reply, request, asked.limit, self.plan.server_key, None);
        // An error means that a time is out of range, so there is no offset.
        self.heard = Heard { server_time, clock: offset(&result, server_time, asked, now).ok().flatten() };
        let class = OutcomeClass::of_read(&result);
        self.context.ended(request, now.elapsed.saturating_sub(asked.at.elapsed), class);
        if let Err(error) = &result
            && is_transient(error)
            && let Some(pause) = self.pauses.next(retry_after, self.time_left(now), rng)
        {
            return State::Paused { until: now.elapsed.saturating_add(pause) };
        }
        State::Done(result.map(Outcome::Done), None)
    }

    /// Compares the clock with the server's. Only Mixin's own answer with the server's time confirms the clock.
    fn confirm(
        &mut self,
        asked: &Asked,
        user: Result<User, Error>,
        server_time: Option<UnixTime>,
        now: Moment,
    ) -> Result<(), Error> {
        let offset = match (offset(&user, server_time, asked, now)?, user) {
            (_, Err(error)) if !error.is_refusal() => Err(error),
            (offset, _) => offset.ok_or(Error::NoServerTime),
        };
        let offset = offset.map_err(|error| Error::ClockUnconfirmed(Box::new(error)))?;
        if offset.distance() > CLOCK_TOLERANCE {
            return Err(Error::Clock { offset });
        }
        self.clock_is_confirmed = true;
        self.context.observe(&Event::ClockConfirmed { offset });
        Ok(())
    }
}

impl<T, L> fmt::Debug for Call<'_, T, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.plan.method)
            .field("path", &self.plan.bare_path())
            .finish_non_exhaustive()
    }
}

/// The offset of the clock, if Mixin's own answer names the server's time. A refusal counts; a gateway's answer does
/// not.
fn offset<T>(
    result: &Result<T, Error>,
    server_time: Option<UnixTime>,
    asked: &Asked,
    now: Moment,
) -> Result<Option<ClockOffset>, Error> {
    let is_mixins = result.as_ref().err().is_none_or(Error::is_refusal);
    let server_time = server_time.filter(|_| is_mixins);
    Ok(server_time.map(|server| ClockOffset::new(server, asked.at.wall, now.wall)).transpose()?)
}

/// A prepared request, or the message whose TIP signature it lacks.
enum Prepared {
    Draft(Draft),
    WantsTip(TipMessage),
}

/// The iterators of a lease. Remembers the first one that was reserved.
struct Source<'l, L: ?Sized> {
    lease: Option<&'l L>,
    first: Cell<Option<u64>>,
}

impl<L: Lease + ?Sized> NonceSource for Source<'_, L> {
    type Error = StoreError;

    fn reserve(&self, now: UnixTime) -> Result<u64, StoreError> {
        let iterator = self.lease.ok_or(StoreError::LeaseLost)?.reserve(now)?;
        self.first.set(self.first.get().or(Some(iterator)));
        Ok(iterator)
    }
}

/// Whether a call that only reads may succeed if it is repeated: the connection or a server failed, a server refused it for
/// now, or the answer is not Mixin's or incomplete. A page with the HTTP status 4xx says that the request is at fault.
fn is_transient(error: &Error) -> bool {
    let error = match error {
        Error::Connect(_) | Error::Interrupted(_) => return true,
        Error::Protocol(ProtocolError::Answer(error)) => error,
        _ => return false,
    };
    match error {
        AnswerError::Server { .. } | AnswerError::TryLater { .. } => true,
        AnswerError::Empty { status }
        | AnswerError::Html { status }
        | AnswerError::NotJson { status }
        | AnswerError::CutOff { status } => *status == 408 || !(400..500).contains(status),
        // A new token makes a repeated read a new request.
        AnswerError::Refusal(error) => error.code.may_pass() || error.reason().is_some_and(Reason::is_of_a_copy),
        // A gateway may write its own status into an envelope.
        AnswerError::Failure(error) => error.code.may_pass() || (500..600).contains(&error.code.as_u32()),
        _ => false,
    }
}
