//! Finds out what became of a PIN change whose answer was lost.
//!
//! Reading the user is enough in some cases. Otherwise the new PIN is verified once, then the old one. The plan tells
//! the possible cost before anything is verified, and no PIN is verified twice.

use std::time::Duration;

use mixin_pin_core::tip::{TipKey, TipSigner};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, Pin, UnixTime};
use mixin_pin_protocol::answer::{ErrorCode, Reason, User};
use mixin_pin_protocol::{AnswerError, Error as ProtocolError};
use mixin_pin_store::{CallKind, Error as StoreError, PendingCall};

use crate::flight::blank_user;
use crate::{Error, Outcome, Unknown};

/// A request may still be carried out this long after its token expired: it may have been accepted just before, and the
/// clocks of the server's machines differ.
const AFTER_EXPIRY: Duration = Duration::from_secs(5);

/// A six-digit PIN or a TIP key. `K` is the signer of a TIP key.
#[derive(Debug)]
pub enum Credential<'c, K: ?Sized> {
    /// A six-digit PIN.
    Digits(&'c Pin),
    /// A TIP key.
    Tip(&'c K),
}

impl<K: ?Sized> Clone for Credential<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: ?Sized> Copy for Credential<'_, K> {}

impl<'c, K: ?Sized> From<&'c Pin> for Credential<'c, K> {
    fn from(pin: &'c Pin) -> Self {
        Self::Digits(pin)
    }
}

impl<'c, K: FromTipKey + ?Sized> From<&'c TipKey> for Credential<'c, K> {
    fn from(key: &'c TipKey) -> Self {
        Self::Tip(K::from_tip_key(key))
    }
}

/// A kind of signer that a [`TipKey`] is one of. A driver implements it for its own kind.
pub trait FromTipKey {
    /// The key as such a signer.
    fn from_tip_key(key: &TipKey) -> &Self;
}

impl FromTipKey for dyn TipSigner + '_ {
    fn from_tip_key(key: &TipKey) -> &Self {
        key
    }
}

/// What a machine knows of a credential: its kind, and the public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicCredential {
    /// A six-digit PIN.
    Digits,
    /// A TIP key.
    Tip(Ed25519PublicKey),
}

/// What became of a change, and the cost of finding out.
///
/// ```
/// use mixin_pin_machine::{Resolution, Verdict};
///
/// /// Whether to keep the new PIN, if that is known.
/// fn keep_new(resolution: &Resolution) -> Option<bool> {
///     match resolution.verdict {
///         Verdict::Applied(_) => Some(true),
///         Verdict::NotApplied(_) => Some(false),
///         _ => None, // keep both
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Resolution {
    /// What became of it.
    pub verdict: Verdict,
    /// How many of the day's tries were spent at most. A refusal without a reason counts as one, although it may have
    /// cost none.
    pub tries_spent: u32,
    /// Why the changes that are settled are still in the journal, if the store failed. This does not change the
    /// verdict.
    pub journal_error: Option<StoreError>,
    evidence: Evidence,
}

/// What shows that lost changes cannot be carried out any more.
#[derive(Debug)]
struct Evidence {
    /// The changes that were in the journal at the start.
    pending: Vec<Uuid>,
    /// The server's time when the user was first read. None if the server did not say.
    server_time: Option<UnixTime>,
    /// Whether a PIN was accepted. Its iterator is greater than those of all earlier changes, so the server refuses
    /// them.
    is_verified: bool,
}

impl Resolution {
    /// Which of the calls that are in the journal now are settled by the verdict, and leave it.
    ///
    /// It must be known which PIN is valid. And it must be certain that the change cannot be carried out any more: a
    /// PIN was verified after it, or its token has expired. Others stay, and so does a change that its caller is still
    /// making. If neither PIN is valid, the valid one may be that of another change in the journal, so nothing is
    /// settled.
    pub fn settled<'p>(&'p self, now: &'p [PendingCall]) -> impl Iterator<Item = &'p PendingCall> {
        let Evidence { pending, server_time, is_verified } = &self.evidence;
        let is_known = matches!(self.verdict, Verdict::Applied(_) | Verdict::NotApplied(_));
        let is_over =
            |call: &PendingCall| *is_verified || server_time.is_some_and(|time| time.secs() >= over(call.expires_at));
        now.iter().filter(move |call| {
            is_known && call.under_way_for.is_none() && pending.contains(&call.request_id) && is_over(call)
        })
    }
}

/// When a request can certainly not be carried out any more, in seconds of the server's clock.
pub(crate) const fn over(expires_at: UnixTime) -> u64 {
    expires_at.secs().saturating_add(AFTER_EXPIRY.as_secs())
}

/// What became of a PIN change.
#[non_exhaustive]
#[derive(Debug)]
pub enum Verdict {
    /// It was carried out: the new PIN is valid.
    Applied(User),
    /// It was not and will not be carried out: the old PIN is valid, or there is still none.
    NotApplied(User),
    /// It was not carried out yet, but the lost request may still arrive. Resolve again after `remaining`, with the
    /// same `expires_at`.
    NotYet {
        /// When the request's token expires.
        expires_at: UnixTime,
        /// How long it may still be carried out, by the server's clock.
        remaining: Duration,
    },
    /// Neither the new nor the old PIN is valid: another client changed the PIN, or these are not the PINs of the
    /// change.
    ///
    /// Whether a refused PIN spends its iterator is not documented. If it does not, a lost change whose token has not
    /// expired may also have arrived between the two verifications: resolve again when it has expired.
    Neither,
    /// No PIN was accepted, and at least one was refused without a reason. The PIN may be wrong, the server may refuse
    /// this session's iterators, or a machine on the network may send each request twice. Keep both PINs.
    Undetermined,
    /// The day's tries are spent, so no PIN can be verified today.
    TriesSpent,
    /// The answer to a verification was lost, too, and nothing more was tried. Resolve again when the connection works.
    Lost(Unknown),
}

/// Which credential to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The one before the change.
    Old,
    /// The one after it.
    New,
}

/// What a driver does next to settle a change.
#[derive(Debug)]
pub enum ResolveStep {
    /// Verify this credential.
    Verify(Which, AskVerify),
    /// Read the user.
    ReadUser(AskUser),
    /// It is settled as far as it can be.
    Done(Resolution),
}

/// A lost change of a PIN, before the user is read.
#[must_use = "nothing is settled until a driver makes the plan's steps"]
#[derive(Debug)]
pub struct LostChange {
    old: Option<PublicCredential>,
    new: PublicCredential,
    expires_at: UnixTime,
    pending: Vec<Uuid>,
}

/// How a lost change will be settled, after reading the user.
#[must_use = "nothing is settled until a driver makes its steps"]
#[derive(Debug)]
pub struct ResolutionPlan {
    old: Option<PublicCredential>,
    new: PublicCredential,
    todo: Todo,
    /// As it was read before any verification.
    user: Box<User>,
    tries_spent: u32,
    are_certain: bool,
    evidence: Evidence,
}

#[derive(Debug)]
enum Todo {
    /// Nothing is left to do.
    Nothing(Box<Verdict>),
    /// Verify the new PIN, then the old one if there is one.
    VerifyNew,
    /// The new PIN is refused.
    VerifyOldToo,
    /// The change has not been carried out. Verifying the old PIN uses a greater iterator than the lost request, which
    /// therefore cannot be carried out any more.
    VerifyOld,
    /// The old PIN was valid a moment ago, so the lost request or another client's has just arrived.
    ReadUser,
}

impl LostChange {
    /// A change from `old` to `new`. `pending` are the session's calls in the journal.
    ///
    /// The change, and every other one in the journal, may be carried out until its token expires: at `expires_at`, if
    /// it is known, or as the journal says. If neither says, the change was made just now, and its token expires at
    /// `latest`.
    pub fn new(
        old: Option<PublicCredential>,
        new: PublicCredential,
        expires_at: Option<UnixTime>,
        pending: &[PendingCall],
        latest: UnixTime,
    ) -> Self {
        let changes = || pending.iter().filter(|call| call.kind == CallKind::UpdatePin);
        let expires_at = changes().map(|call| call.expires_at).chain(expires_at).max().unwrap_or(latest);
        Self { old, new, expires_at, pending: changes().map(|call| call.request_id).collect() }
    }

    /// Plans how to settle it. `user` has just been read, and `server_time` is the time that this answer names.
    ///
    /// # Errors
    /// [`Error::NoServerTime`] if the answer names no time and the plan depends on it.
    pub fn plan(self, user: User, server_time: Option<UnixTime>) -> Result<ResolutionPlan, Error> {
        use PublicCredential::{Digits, Tip};

        let Self { old, new, expires_at, pending } = self;
        let installed = Ed25519PublicKey::from_text(&user.tip_key_base64).ok();
        let is_installed = |key: &Ed25519PublicKey| installed.as_ref() == Some(key);
        let known = |verdict| Todo::Nothing(Box::new(verdict));
        let read = Box::new(user.clone());
        let todo = match (&new, &old) {
            (Tip(key), _) if is_installed(key) => known(Verdict::Applied(user)),
            // A TIP key can only be replaced by another. If the installed key is neither, another client installed it.
            (_, Some(Tip(key))) if !is_installed(key) => known(Verdict::Neither),
            (_, None | Some(Digits)) if installed.is_some() => known(Verdict::Neither),
            (_, Some(_)) if !user.has_pin => known(Verdict::Neither),
            (Tip(_), Some(_)) => Todo::VerifyOld,
            (_, None) if !user.has_pin => {
                // Only the server's clock decides whether the token has expired.
                let server_time = server_time.ok_or(Error::NoServerTime)?;
                known(match over(expires_at).checked_sub(server_time.secs()) {
                    None | Some(0) => Verdict::NotApplied(user),
                    Some(seconds) => Verdict::NotYet { expires_at, remaining: Duration::from_secs(seconds) },
                })
            }
            // Another client set digits.
            (Tip(_), None) => known(Verdict::Neither),
            (Digits, _) => Todo::VerifyNew,
        };
        let evidence = Evidence { pending, server_time, is_verified: false };
        Ok(ResolutionPlan { old, new, todo, user: read, tries_spent: 0, are_certain: true, evidence })
    }
}

impl ResolutionPlan {
    /// How many of the day's tries settling may cost at most.
    pub const fn may_cost(&self) -> u32 {
        match (&self.todo, &self.old) {
            (Todo::Nothing(_) | Todo::ReadUser, _) => 0,
            // The old PIN costs a try only if the lost request arrives just now.
            (Todo::VerifyOld | Todo::VerifyOldToo, _) | (Todo::VerifyNew, None) => 1,
            (Todo::VerifyNew, Some(_)) => 2,
        }
    }

    /// The user of a verification's answer. If the answer has no data, the user as it was read before.
    fn completed(&self, answered: User) -> User {
        let is_blank = serde_json::from_value(blank_user(answered.user_id)).is_ok_and(|blank: User| blank == answered);
        if is_blank { User { has_pin: true, ..(*self.user).clone() } } else { answered }
    }

    /// What to do next.
    pub fn next(self) -> ResolveStep {
        match self.todo {
            Todo::Nothing(verdict) => {
                let Self { tries_spent, evidence, .. } = self;
                ResolveStep::Done(Resolution { verdict: *verdict, tries_spent, journal_error: None, evidence })
            }
            Todo::VerifyNew => ResolveStep::Verify(Which::New, AskVerify(self)),
            Todo::VerifyOld | Todo::VerifyOldToo => ResolveStep::Verify(Which::Old, AskVerify(self)),
            Todo::ReadUser => ResolveStep::ReadUser(AskUser(self)),
        }
    }
}

/// Waits for the verification of a credential.
#[must_use = "the plan waits for the result"]
#[derive(Debug)]
pub struct AskVerify(ResolutionPlan);

impl AskVerify {
    /// The result of the verification.
    ///
    /// # Errors
    /// If the verification was not sent, or is refused for a reason that says nothing about the PIN. Then nothing more
    /// is to be tried.
    pub fn verified(self, result: Result<Outcome<User>, Error>) -> Result<ResolutionPlan, Error> {
        let Self(mut plan) = self;
        let verdict = match check(result)? {
            Checked::Right(user) => {
                plan.evidence.is_verified = true;
                let user = plan.completed(user);
                (if matches!(plan.todo, Todo::VerifyNew) { Verdict::Applied } else { Verdict::NotApplied })(user)
            }
            Checked::TriesSpent => Verdict::TriesSpent,
            Checked::Lost(lost) => Verdict::Lost(lost),
            Checked::Wrong { cost, is_certain } => {
                plan.tries_spent += cost;
                plan.are_certain &= is_certain;
                plan.todo = match (plan.todo, &plan.old) {
                    (Todo::VerifyNew, Some(_)) => Todo::VerifyOldToo,
                    (Todo::VerifyOld, _) => Todo::ReadUser,
                    _ => Todo::Nothing(Box::new(neither(plan.are_certain))),
                };
                return Ok(plan);
            }
        };
        plan.todo = Todo::Nothing(Box::new(verdict));
        Ok(plan)
    }
}

/// Waits for the user.
#[must_use = "the plan waits for the user"]
#[derive(Debug)]
pub struct AskUser(ResolutionPlan);

impl AskUser {
    /// The user, read again.
    pub fn read(self, user: User) -> ResolutionPlan {
        let Self(mut plan) = self;
        let verdict = match &plan.new {
            PublicCredential::Tip(key) if user.tip_key_base64 == key.to_base64_url() => Verdict::Applied(user),
            _ => neither(plan.are_certain),
        };
        plan.todo = Todo::Nothing(Box::new(verdict));
        plan
    }
}

/// The verdict if no PIN was accepted.
const fn neither(are_certain: bool) -> Verdict {
    if are_certain { Verdict::Neither } else { Verdict::Undetermined }
}

enum Checked {
    Right(User),
    /// It is wrong, or may be wrong if the refusal has no reason.
    Wrong {
        cost: u32,
        is_certain: bool,
    },
    TriesSpent,
    Lost(Unknown),
}

/// What the answer to a verification says about the credential.
fn check(result: Result<Outcome<User>, Error>) -> Result<Checked, Error> {
    match result {
        Ok(Outcome::Done(user)) => Ok(Checked::Right(user)),
        Ok(Outcome::Unknown(lost)) => Ok(Checked::Lost(lost)),
        Err(Error::Protocol(ProtocolError::Answer(AnswerError::Refusal(error)))) => {
            match (error.code, error.reason()) {
                (ErrorCode::PinIncorrect, None) => Ok(Checked::Wrong { cost: 1, is_certain: false }),
                (ErrorCode::PinIncorrect, Some(Reason::Pin | Reason::Signature)) => {
                    Ok(Checked::Wrong { cost: 1, is_certain: true })
                }
                // If no PIN is set, or the credential is of the other kind, no try is spent.
                (ErrorCode::PinIncorrect, Some(Reason::NoPinSet)) | (ErrorCode::PinFormat, _) => {
                    Ok(Checked::Wrong { cost: 0, is_certain: true })
                }
                (ErrorCode::TooManyRequests, _) => Ok(Checked::TriesSpent),
                // Any other refusal, such as one for the iterator, says nothing about the PIN.
                _ => Err(AnswerError::Refusal(error).into()),
            }
        }
        Err(error) => Err(error),
    }
}
