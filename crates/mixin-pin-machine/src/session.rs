//! Finds out which key is a session's after a change of the key whose answer was lost.
//!
//! A token is the proof: the server accepts a call that is signed with the session's key. Asking changes nothing, and
//! costs no try.

use std::time::Duration;

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, UnixTime};
use mixin_pin_protocol::answer::{ErrorCode, User, UserSession};
use mixin_pin_protocol::{AnswerError, Error as ProtocolError};
use mixin_pin_store::{CallKind, Error as StoreError, PendingCall};

use crate::resolve::over;
use crate::rules::app_path;
use crate::{Error, Which};

/// Whether a key is that of a session.
#[allow(clippy::large_enum_variant, reason = "there is one at a time, and boxing would burden every caller")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyState {
    /// The server accepts it.
    Accepted(User),
    /// The server refuses it with 401: it is another session's key, the session is over, or the clock is wrong.
    Refused,
}

impl KeyState {
    /// What the answer to [`Rules::ask_with`](crate::Rules::ask_with) says.
    ///
    /// # Errors
    /// Any failure but a 401 that may be about the key. A 401 for another known reason, such as the clock, says nothing about
    /// the key.
    pub fn of(answer: Result<User, Error>) -> Result<Self, Error> {
        match answer {
            Ok(user) => Ok(Self::Accepted(user)),
            Err(error) if error.refuses_the_key() => Ok(Self::Refused),
            Err(error) => Err(error),
        }
    }
}

/// A change of a session's key whose answer was lost.
///
/// ```
/// use mixin_pin_machine::core::{Ed25519Key, UnixTime, uuid::Uuid};
/// use mixin_pin_machine::{KeyState, KeyStep, KeyVerdict, SessionChange, Which};
///
/// let new_key = Ed25519Key::from_bytes(&[7; 32])?.public_key();
/// let (user_id, session_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
/// let change = SessionChange::new(user_id, session_id, new_key);
/// let KeyStep::Ask(ask) = change.plan(&[], UnixTime::from_secs(1_700_000_000)).next() else { panic!() };
/// assert_eq!((ask.key(), ask.session_id()), (Which::New, session_id));
/// let user = serde_json::from_str(r#"{"user_id":"00000000-0000-0000-0000-000000000001"}"#)?;
/// let plan = ask.answered(KeyState::Accepted(user), None)?;
/// let KeyStep::Done(resolution) = plan.next() else { panic!() };
/// assert!(matches!(resolution.verdict, KeyVerdict::New(_)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is settled until a driver makes the plan's steps"]
#[derive(Debug, Clone)]
pub struct SessionChange {
    user_id: Uuid,
    old_session_id: Uuid,
    new_key: Ed25519PublicKey,
    /// The ids that the session may have afterwards.
    new_session_ids: Vec<Uuid>,
    expires_at: Option<UnixTime>,
    is_answered: bool,
}

impl SessionChange {
    /// A change of the key of this session to a new key. For a rotation by an owner, the user is the app.
    pub fn new(user_id: Uuid, session_id: Uuid, new_key: Ed25519PublicKey) -> Self {
        let new_session_ids = vec![session_id];
        Self { user_id, old_session_id: session_id, new_key, new_session_ids, expires_at: None, is_answered: false }
    }

    /// The session may also have got one of these ids. The plan asks the server for the ids, too, if it needs them.
    pub fn or_session_ids(mut self, ids: impl IntoIterator<Item = Uuid>) -> Self {
        for id in ids {
            if !self.new_session_ids.contains(&id) {
                self.new_session_ids.push(id);
            }
        }
        self
    }

    /// The `expires_at` of the call's [`Unknown`](crate::Unknown). Without it the journal tells.
    pub fn expires_at(self, expires_at: Option<UnixTime>) -> Self {
        Self { expires_at, ..self }
    }

    /// The change got its answer, or is settled. So what the journal lists are other requests: the new key does not show what
    /// became of those that an app's owner made.
    pub fn after_answer(self) -> Self {
        Self { is_answered: true, ..self }
    }

    /// Plans how to settle it. `pending` are the calls in the journal, of this session or of the app's owner.
    ///
    /// The change may be carried out until it expires: at the latest of what the caller and the journal say. If neither says,
    /// it was made just now, and expires at `latest`.
    pub fn plan(self, pending: &[PendingCall], latest: UnixTime) -> KeyPlan {
        let changes = || pending.iter().filter(|call| self.is_of_this_session(call));
        let expires_at = changes().map(|call| call.expires_at).chain(self.expires_at).max().unwrap_or(latest);
        let pending = changes().map(|call| call.request_id).collect();
        let todo = Todo::Ask(Turn::First(0));
        KeyPlan { expires_at, pending, old: None, is_old_refused: false, new: None, todo, change: self }
    }

    /// An owner's journal may have changes of other apps, too.
    fn is_of_this_session(&self, call: &PendingCall) -> bool {
        call.kind == CallKind::ChangeSession
            && (call.path == app_path(self.user_id, "session") || self.is_by_itself(call))
    }

    /// Whether the old key made the change.
    fn is_by_itself(&self, call: &PendingCall) -> bool {
        call.session_id == self.old_session_id && !call.path.starts_with("/safe/apps/")
    }
}

/// How to settle a lost change of a key.
///
/// Ask with the new key under each id that the session may have, then with the old key. If that does not show that the new
/// key is the session's, look for it in the list of sessions, and ask under the ids that are found. If the old key was
/// refused, the change may have arrived in between, so ask under the first ids again. If the new key is accepted under
/// another id than the old one, it may be that of another session of the user, so ask with the old key, too.
#[must_use = "nothing is settled until a driver makes its steps"]
#[derive(Debug)]
pub struct KeyPlan {
    change: SessionChange,
    expires_at: UnixTime,
    /// The changes of this session that were in the journal at the start.
    pending: Vec<Uuid>,
    /// The user if the server accepts the old key, and the server's time.
    old: Option<(User, UnixTime)>,
    is_old_refused: bool,
    /// The user if the server accepts the new key, and the session's id.
    new: Option<(User, Uuid)>,
    todo: Todo,
}

#[derive(Debug)]
enum Todo {
    Ask(Turn),
    List,
    /// Nothing is left to do. With the server's time, if its answer names it.
    Nothing(Box<KeyVerdict>, Option<UnixTime>),
}

/// Whom to ask next.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// The new key under the id at this place.
    First(usize),
    Old,
    /// The new key again, after the list of sessions.
    Again(usize),
    /// The old key, after the new one was accepted under another id.
    OldAfterNew,
}

/// What a driver does next to settle a lost change of a key.
#[derive(Debug)]
pub enum KeyStep {
    /// Ask the server with a key.
    Ask(AskKey),
    /// Read the user's sessions, with any session that works.
    List(AskSessions),
    /// It is settled as far as it can be.
    Done(KeyResolution),
}

impl KeyPlan {
    /// What to do next.
    pub fn next(self) -> KeyStep {
        let (turn, ids) = match self.todo {
            Todo::Ask(turn) => (turn, &self.change.new_session_ids),
            Todo::List => return KeyStep::List(AskSessions(self)),
            Todo::Nothing(verdict, server_time) => {
                let Self { change, pending, is_old_refused, new, .. } = self;
                let new_session_id = new.map(|(_, session_id)| session_id);
                let evidence = Evidence { change, pending, server_time, is_old_refused, new_session_id };
                return KeyStep::Done(KeyResolution { verdict: *verdict, journal_error: None, evidence });
            }
        };
        let (key, session_id) = match turn {
            Turn::First(place) | Turn::Again(place) => (Which::New, ids.get(place).copied()),
            Turn::Old | Turn::OldAfterNew => (Which::Old, None),
        };
        let session_id = session_id.unwrap_or(self.change.old_session_id);
        KeyStep::Ask(AskKey { plan: self, turn, key, session_id })
    }

    /// What to do if the new key is not to be asked for at this place, nor later.
    fn without_new(&mut self, server_time: Option<UnixTime>) -> Todo {
        let Some((user, time)) = self.old.take() else {
            return Todo::Nothing(Box::new(KeyVerdict::Neither), server_time);
        };
        let expires_at = self.expires_at;
        let verdict = match over(expires_at).checked_sub(time.secs()) {
            None | Some(0) => KeyVerdict::Old(user),
            Some(seconds) => KeyVerdict::NotYet { user, expires_at, remaining: Duration::from_secs(seconds) },
        };
        Todo::Nothing(Box::new(verdict), Some(time))
    }
}

/// Waits for the answer to a key.
#[must_use = "the plan waits for the answer"]
#[derive(Debug)]
pub struct AskKey {
    plan: KeyPlan,
    turn: Turn,
    key: Which,
    session_id: Uuid,
}

impl AskKey {
    /// The key that signs.
    pub const fn key(&self) -> Which {
        self.key
    }

    /// The user to ask for.
    pub const fn user_id(&self) -> Uuid {
        self.plan.change.user_id
    }

    /// The session to ask for.
    pub const fn session_id(&self) -> Uuid {
        self.session_id
    }

    /// What the server said, and the time that its answer names.
    ///
    /// # Errors
    /// [`Error::NoServerTime`] if the old key is accepted and the answer names no time: then it is not known whether the
    /// request may still arrive.
    pub fn answered(self, state: KeyState, server_time: Option<UnixTime>) -> Result<KeyPlan, Error> {
        let Self { mut plan, turn, session_id, .. } = self;
        let more = |place: usize| place + 1 < plan.change.new_session_ids.len();
        plan.todo = match (turn, state) {
            (Turn::First(_) | Turn::Again(_), KeyState::Accepted(user)) => {
                plan.new = Some((user.clone(), session_id));
                if session_id == plan.change.old_session_id {
                    // A session has one key.
                    plan.is_old_refused = true;
                }
                if plan.is_old_refused || plan.old.is_some() {
                    Todo::Nothing(Box::new(KeyVerdict::New(user)), server_time)
                } else {
                    Todo::Ask(Turn::OldAfterNew)
                }
            }
            (Turn::OldAfterNew, state) => {
                plan.is_old_refused = matches!(state, KeyState::Refused);
                let new = plan.new.clone();
                let verdict = new.map_or(KeyVerdict::Neither, |(user, _)| KeyVerdict::New(user));
                Todo::Nothing(Box::new(verdict), server_time)
            }
            (Turn::Old, KeyState::Accepted(user)) => {
                // Only the server's clock decides whether the request has expired.
                plan.old = Some((user, server_time.ok_or(Error::NoServerTime)?));
                Todo::List
            }
            (Turn::Old, KeyState::Refused) => {
                plan.is_old_refused = true;
                Todo::List
            }
            (Turn::First(place), KeyState::Refused) if more(place) => Todo::Ask(Turn::First(place + 1)),
            (Turn::First(_), KeyState::Refused) => Todo::Ask(Turn::Old),
            (Turn::Again(place), KeyState::Refused) if more(place) => Todo::Ask(Turn::Again(place + 1)),
            (Turn::Again(_), KeyState::Refused) => plan.without_new(server_time),
        };
        Ok(plan)
    }
}

/// Waits for the list of sessions.
#[must_use = "the plan waits for the list"]
#[derive(Debug)]
pub struct AskSessions(KeyPlan);

impl AskSessions {
    /// The user whose sessions to read.
    pub const fn user_id(&self) -> Uuid {
        self.0.change.user_id
    }

    /// The list. If the session that asks is over, or may not ask (403, 404), nothing is found.
    ///
    /// # Errors
    /// Any other failure: then nothing more is to be tried.
    pub fn listed(self, sessions: Result<Vec<UserSession>, Error>) -> Result<KeyPlan, Error> {
        let Self(mut plan) = self;
        let sessions = match sessions {
            Ok(sessions) => sessions,
            Err(error) if error.refuses_the_key() || forbids(&error) => Vec::new(),
            Err(error) => return Err(error),
        };
        let asked = plan.change.new_session_ids.len();
        let (user_id, new_key) = (plan.change.user_id, plan.change.new_key.clone());
        let found = sessions.into_iter().filter(|one| one.user_id == user_id && one.has_key(&new_key));
        plan.change = plan.change.or_session_ids(found.map(|one| one.session_id));
        let first = if plan.old.is_some() { asked } else { 0 };
        plan.todo = if first < plan.change.new_session_ids.len() {
            Todo::Ask(Turn::Again(first))
        } else {
            plan.without_new(None)
        };
        Ok(plan)
    }
}

fn forbids(error: &Error) -> bool {
    matches!(error, Error::Protocol(ProtocolError::Answer(AnswerError::Refusal(refusal)))
        if matches!(refusal.code, ErrorCode::Forbidden | ErrorCode::NotFound))
}

/// Which key is the session's.
#[must_use = "one of the two keys may be the only one that works"]
#[derive(Debug)]
pub struct KeyResolution {
    /// Which key it is.
    pub verdict: KeyVerdict,
    /// Why the changes that are settled are still in the journal, if the store failed. This does not change the verdict.
    pub journal_error: Option<StoreError>,
    evidence: Evidence,
}

#[derive(Debug)]
struct Evidence {
    change: SessionChange,
    pending: Vec<Uuid>,
    server_time: Option<UnixTime>,
    is_old_refused: bool,
    new_session_id: Option<Uuid>,
}

impl KeyResolution {
    /// The id of the session under which the server accepted the new key. None if it accepted it under none. A keystore with
    /// another id does not work, even if its key does.
    pub const fn new_session_id(&self) -> Option<Uuid> {
        self.evidence.new_session_id
    }

    /// Whether the server refuses the old key. If not, and the new key is accepted, they are keys of two sessions.
    pub const fn is_old_refused(&self) -> bool {
        self.evidence.is_old_refused
    }

    /// Whether the journal listed a change of this session when the server was asked.
    pub const fn is_listed(&self) -> bool {
        !self.evidence.pending.is_empty()
    }

    /// How long the changes of this session that are in the journal now, and are not settled, may still be carried out, by the
    /// server's clock. None if none of them can. A change by an app's owner that arrives late ends the session of the one
    /// before.
    pub fn may_arrive(&self, now: &[PendingCall]) -> Option<Duration> {
        let settled: Vec<_> = self.settled(now).map(|call| call.request_id).collect();
        let left = now
            .iter()
            .filter(|call| self.evidence.change.is_of_this_session(call) && !settled.contains(&call.request_id));
        let left = left.filter_map(|call| {
            let time = self.evidence.server_time.unwrap_or(call.sent_at);
            over(call.expires_at).checked_sub(time.secs()).filter(|seconds| *seconds > 0)
        });
        left.max().map(Duration::from_secs)
    }

    /// Which of the calls that are in the journal now are settled by the verdict, and leave it.
    ///
    /// If the new key is accepted and the old one, which signed or encrypted them, is not, that is every change of this
    /// session. If the app's owner made several, each ends the session of the one before, so they stay until all have expired.
    /// If the old key is accepted, it is every change that has expired by the server's clock. If both are refused, nothing is
    /// settled. A change that its caller is still making stays.
    pub fn settled<'p>(&'p self, now: &'p [PendingCall]) -> impl Iterator<Item = &'p PendingCall> {
        let Evidence { change, pending, server_time, is_old_refused, new_session_id: _ } = &self.evidence;
        let is_over = |call: &PendingCall| server_time.is_some_and(|time| time.secs() >= over(call.expires_at));
        let is_known = !matches!(self.verdict, KeyVerdict::Neither);
        let is_new = matches!(self.verdict, KeyVerdict::New(_));
        let is_listed = |call: &PendingCall| pending.contains(&call.request_id);
        // Which of an owner's changes made the session is known only if there is one.
        let is_by_owner = |call: &PendingCall| is_listed(call) && !change.is_by_itself(call);
        let are_over = now.iter().filter(|call| is_by_owner(call)).all(is_over);
        now.iter().filter(move |call| {
            let is_settled = match (is_new, change.is_by_itself(call)) {
                (true, true) => *is_old_refused || is_over(call),
                (true, false) => are_over || pending.len() == 1 && !change.is_answered,
                (false, _) => is_over(call),
            };
            is_known && call.under_way_for.is_none() && is_listed(call) && is_settled
        })
    }
}

/// Which key is a session's, after a change of the key whose answer was lost.
#[non_exhaustive]
#[derive(Debug)]
pub enum KeyVerdict {
    /// The new one: the change was carried out. [`NewSession::of_user`](mixin_pin_protocol::answer::NewSession::of_user)
    /// makes the session of the user.
    New(User),
    /// The old one: the change was not carried out, as far as the server shows, and has expired.
    Old(User),
    /// The old one until now. The lost request may still arrive. Resolve again after `remaining`.
    NotYet {
        /// The user.
        user: User,
        /// When the request expires.
        expires_at: UnixTime,
        /// How long it may still be carried out, by the server's clock.
        remaining: Duration,
    },
    /// The server refuses both keys. The session may be over, it may have another key or an id that was not asked for, or
    /// this machine's clock may be wrong. Keep both keys.
    Neither,
}
