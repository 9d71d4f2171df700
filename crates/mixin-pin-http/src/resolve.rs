//! Finding out what became of a PIN change whose answer was lost: by looking where that tells, else by proving the new
//! PIN once and then the old one. What it may cost is said before anything is spent, and nothing is tried twice.

use std::time::Duration;

use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, Pin, UnixTime};
use mixin_pin_protocol::answer::{ErrorCode, Reason, User};
use mixin_pin_protocol::{AnswerError, Error as ProtocolError};

use crate::builder::now;
use crate::{Client, Error, Outcome, Unknown};

/// How long after its token expired a request may still be carried out: it was let in just before, and the server's
/// machines do not all have one clock.
const AFTER_EXPIRY: Duration = Duration::from_secs(5);

/// What proves a user: digits, or a TIP key.
///
/// ```
/// use mixin_pin_http::Credential;
/// use mixin_pin_http::core::{Pin, tip::TipKey};
///
/// let (digits, key) = (Pin::new("314159")?, TipKey::from_seed(&[7; 32]));
/// assert!(matches!(Credential::from(&digits), Credential::Digits(_)));
/// assert!(matches!(Credential::from(&key), Credential::Tip(_)));
/// # Ok::<(), mixin_pin_http::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub enum Credential<'c> {
    /// A six-digit PIN.
    Digits(&'c Pin),
    /// A TIP key.
    Tip(&'c TipKey),
}

impl<'c> From<&'c Pin> for Credential<'c> {
    fn from(pin: &'c Pin) -> Self {
        Self::Digits(pin)
    }
}

impl<'c> From<&'c TipKey> for Credential<'c> {
    fn from(key: &'c TipKey) -> Self {
        Self::Tip(key)
    }
}

/// What became of a change, and what finding it out cost.
///
/// ```
/// use mixin_pin_http::{Resolution, Verdict};
///
/// /// Whether the new PIN is to be kept, once that is known.
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
    /// How many of the day's tries it has spent at the most. A refusal that does not say why counts as one, though it may
    /// have cost none.
    pub tries_spent: u32,
}

/// What became of a PIN change.
#[non_exhaustive]
#[derive(Debug)]
pub enum Verdict {
    /// It was carried out: the new PIN holds.
    Applied(User),
    /// It was not, and will not be: the old PIN holds, or there is still none.
    NotApplied(User),
    /// It has not been carried out so far. The lost request may still arrive: resolve once more after this time, with the same
    /// `expires_at`.
    NotYet {
        /// When the request's token expires.
        expires_at: UnixTime,
        /// How long it may still be carried out, by the server's clock.
        remaining: Duration,
    },
    /// Neither the new PIN nor the old one holds: somebody else changed it.
    Neither,
    /// No proof was accepted, and at least one was refused without a reason that says that its PIN was wrong. It may be wrong, the
    /// server may refuse this session's iterators, or somebody on the way sends each request twice. Keep both PINs.
    Unproven,
    /// The day's tries are spent, so that no PIN can be proved today.
    TriesSpent,
    /// The answer to a proof was lost, too. Nothing more was tried: resolve once more when the way to the server is good.
    Lost(Unknown),
}

/// How a lost change is going to be settled, once it was looked at.
///
/// ```no_run
/// use mixin_pin_http::{Error, ResolutionPlan, Verdict};
///
/// /// Settles it where a try is left for the owner in the worst case.
/// fn settle(plan: ResolutionPlan<'_>, tries_left: u32) -> Result<Option<Verdict>, Error> {
///     let is_safe = plan.may_cost() == 0 || tries_left > plan.may_cost();
///     if is_safe { plan.settle().map(|resolution| Some(resolution.verdict)) } else { Ok(None) }
/// }
/// ```
#[must_use = "nothing is settled until `settle` is called"]
#[derive(Debug)]
pub struct ResolutionPlan<'c> {
    client: &'c Client,
    old: Option<Credential<'c>>,
    new: Credential<'c>,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// Looking was enough.
    Known(Box<Verdict>),
    /// The new PIN is to be proved, then the old one.
    ProveNew,
    /// The change has not been carried out. Proving the old PIN spends a greater iterator than the lost request's, so
    /// that it cannot be carried out any more.
    ProveOld,
}

impl Client {
    /// Begins to find out what became of a change of the PIN whose answer was lost, [`Client::create_pin`] and its kin:
    /// looks at the user, which changes nothing, and plans the rest.
    ///
    /// `old` and `new` are what that call was given; `expires_at` is what it returned in [`Unknown`], or None where that is
    /// gone: then it is taken to have been made just now.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::Pin;
    /// use mixin_pin_http::{Client, Outcome, Verdict};
    ///
    /// # fn change(client: &Client, old: &Pin, new: &Pin) -> Result<(), mixin_pin_http::Error> {
    /// if let Outcome::Unknown(lost) = client.change_pin(old, new)? {
    ///     let plan = client.resolve_update(Some(old.into()), new.into(), lost.expires_at)?;
    ///     println!("finding out may cost {} of the day's tries", plan.may_cost());
    ///     match plan.settle()?.verdict {
    ///         Verdict::Applied(_) => println!("the new PIN holds"),
    ///         Verdict::NotApplied(_) => println!("the old PIN holds"),
    ///         other => println!("{other:?}"),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::me`].
    pub fn resolve_update<'c>(
        &'c self,
        old: Option<Credential<'c>>,
        new: Credential<'c>,
        expires_at: Option<UnixTime>,
    ) -> Result<ResolutionPlan<'c>, Error> {
        let asked_at = now()?.secs();
        let (user, server_time) = self.me_with_time()?;
        let latest = || UnixTime::from_secs(asked_at.saturating_add(self.token_lifetime().as_secs()));
        let expires_at = expires_at.unwrap_or_else(latest);
        let installed = Ed25519PublicKey::from_text(&user.tip_key_base64).ok();
        let is_installed = |key: &TipKey| installed.as_ref() == Some(key.public_key());
        let known = |verdict| Step::Known(Box::new(verdict));
        let step = match (new, old) {
            (Credential::Tip(key), _) if is_installed(key) => known(Verdict::Applied(user)),
            // There is no way back from a TIP key, so that one which is neither is somebody else's.
            (_, Some(Credential::Tip(key))) if !is_installed(key) => known(Verdict::Neither),
            (_, None | Some(Credential::Digits(_))) if installed.is_some() => known(Verdict::Neither),
            (_, Some(_)) if !user.has_pin => known(Verdict::Neither),
            (Credential::Tip(_), Some(_)) => Step::ProveOld,
            (_, None) if !user.has_pin => {
                // The server judges the token by its own clock, which alone tells whether it has expired.
                let server_time = server_time.ok_or(Error::NoServerTime)?;
                let over = expires_at.secs().saturating_add(AFTER_EXPIRY.as_secs());
                known(match over.checked_sub(server_time.secs()) {
                    None | Some(0) => Verdict::NotApplied(user),
                    Some(seconds) => Verdict::NotYet { expires_at, remaining: Duration::from_secs(seconds) },
                })
            }
            // Somebody set digits, where a TIP key was to be.
            (Credential::Tip(_), None) => known(Verdict::Neither),
            (Credential::Digits(_), _) => Step::ProveNew,
        };
        Ok(ResolutionPlan { client: self, old, new, step })
    }

    fn prove(&self, credential: Credential<'_>) -> Result<Proved, Error> {
        let outcome = match credential {
            Credential::Digits(pin) => self.verify_pin(pin),
            Credential::Tip(key) => self.verify_tip(key),
        };
        match outcome {
            Ok(Outcome::Done(user)) => Ok(Proved::Right(user)),
            Ok(Outcome::Unknown(lost)) => Ok(Proved::Lost(lost)),
            Err(Error::Protocol(ProtocolError::Answer(AnswerError::Refusal(error)))) => {
                match (error.code, error.reason()) {
                    (ErrorCode::PinIncorrect, None) => Ok(Proved::Wrong { cost: 1, is_certain: false }),
                    (ErrorCode::PinIncorrect, Some(Reason::Pin | Reason::Signature)) => {
                        Ok(Proved::Wrong { cost: 1, is_certain: true })
                    }
                    // Without a PIN, and with digits where a TIP key is set or the other way round, there is no try.
                    (ErrorCode::PinIncorrect, Some(Reason::NoPinSet)) | (ErrorCode::PinFormat, _) => {
                        Ok(Proved::Wrong { cost: 0, is_certain: true })
                    }
                    (ErrorCode::TooManyRequests, _) => Ok(Proved::TriesSpent),
                    // Any other refusal says nothing of the PIN, such as one for the iterator.
                    _ => Err(AnswerError::Refusal(error).into()),
                }
            }
            Err(error) => Err(error),
        }
    }
}

enum Proved {
    Right(User),
    /// It is wrong, or for a refusal that does not say why, may be.
    Wrong {
        cost: u32,
        is_certain: bool,
    },
    TriesSpent,
    Lost(Unknown),
}

impl ResolutionPlan<'_> {
    /// How many of the day's tries settling may cost at the most.
    pub const fn may_cost(&self) -> u32 {
        match (&self.step, &self.old) {
            (Step::Known(_), _) => 0,
            // Only if the lost request arrives just now.
            (Step::ProveOld, _) | (Step::ProveNew, None) => 1,
            (Step::ProveNew, Some(_)) => 2,
        }
    }

    /// Settles it: proves what has to be proved, each PIN once.
    ///
    /// # Errors
    /// Whatever keeps a proof from being sent, or a refusal that says nothing about the PIN. Nothing more was tried then.
    pub fn settle(self) -> Result<Resolution, Error> {
        let Self { client, old, new, step } = self;
        let mut proofs = Proofs { client, tries_spent: 0, are_certain: true };
        let verdict = match (step, old) {
            (Step::Known(verdict), _) => *verdict,
            (Step::ProveNew, old) => match (proofs.prove(new, Verdict::Applied)?, old) {
                (Some(verdict), _) => verdict,
                (None, Some(old)) => match proofs.prove(old, Verdict::NotApplied)? {
                    Some(verdict) => verdict,
                    None => proofs.neither(),
                },
                (None, None) => proofs.neither(),
            },
            (Step::ProveOld, Some(old)) => {
                if let Some(verdict) = proofs.prove(old, Verdict::NotApplied)? {
                    verdict
                } else {
                    // The old one held a moment ago: the lost request has arrived in between, or somebody else's.
                    let user = client.me()?;
                    match new {
                        Credential::Tip(key) if user.tip_key_base64 == key.public_key().to_base64_url() => {
                            Verdict::Applied(user)
                        }
                        _ => proofs.neither(),
                    }
                }
            }
            (Step::ProveOld, None) => Verdict::Neither,
        };
        Ok(Resolution { verdict, tries_spent: proofs.tries_spent })
    }
}

/// None when the old PIN is wrong.
/// The proofs that settling takes, and what they spent and left open.
struct Proofs<'c> {
    client: &'c Client,
    tries_spent: u32,
    are_certain: bool,
}

impl Proofs<'_> {
    /// The verdict where a PIN holds, or where no further one can be proved; None where it is refused as wrong.
    fn prove(&mut self, pin: Credential<'_>, holds: impl FnOnce(User) -> Verdict) -> Result<Option<Verdict>, Error> {
        Ok(match self.client.prove(pin)? {
            Proved::Right(user) => Some(holds(user)),
            Proved::Wrong { cost, is_certain } => {
                self.tries_spent += cost;
                self.are_certain &= is_certain;
                None
            }
            Proved::TriesSpent => Some(Verdict::TriesSpent),
            Proved::Lost(lost) => Some(Verdict::Lost(lost)),
        })
    }

    /// The verdict where none was accepted.
    const fn neither(&self) -> Verdict {
        if self.are_certain { Verdict::Neither } else { Verdict::Unproven }
    }
}
