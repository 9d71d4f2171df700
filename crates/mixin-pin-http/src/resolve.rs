//! Finds out what became of a PIN change whose answer was lost.
//!
//! Reading the user is enough in some cases. Otherwise the new PIN is verified once, then the old one. The plan tells the
//! possible cost before anything is verified, and no PIN is verified twice.

use std::time::Duration;

use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, Pin, UnixTime};
use mixin_pin_protocol::answer::{ErrorCode, Reason, User};
use mixin_pin_protocol::{AnswerError, Error as ProtocolError};

use crate::builder::now;
use crate::{Client, Error, Outcome, Unknown};

/// A request may still be carried out this long after its token expired: it may have been accepted just before, and the
/// clocks of the server's machines differ.
const AFTER_EXPIRY: Duration = Duration::from_secs(5);

/// A six-digit PIN or a TIP key.
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

/// What became of a change, and the cost of finding out.
///
/// ```
/// use mixin_pin_http::{Resolution, Verdict};
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
    /// How many of the day's tries were spent at most. A refusal without a reason counts as one, although it may have cost
    /// none.
    pub tries_spent: u32,
}

/// What became of a PIN change.
#[non_exhaustive]
#[derive(Debug)]
pub enum Verdict {
    /// It was carried out: the new PIN is valid.
    Applied(User),
    /// It was not and will not be carried out: the old PIN is valid, or there is still none.
    NotApplied(User),
    /// It was not carried out yet, but the lost request may still arrive. Resolve again after `remaining`, with the same
    /// `expires_at`.
    NotYet {
        /// When the request's token expires.
        expires_at: UnixTime,
        /// How long it may still be carried out by the server's clock.
        remaining: Duration,
    },
    /// Neither the new nor the old PIN is valid: another client changed it.
    Neither,
    /// No PIN was accepted, and at least one was refused without a reason. The PIN may be wrong, the server may refuse this
    /// session's iterators, or a machine on the network may send each request twice. Keep both PINs.
    Undetermined,
    /// The day's tries are spent, so no PIN can be verified today.
    TriesSpent,
    /// The answer to a verification was lost, too, and nothing more was tried. Resolve again when the connection is good.
    Lost(Unknown),
}

/// How a lost change will be settled, after reading the user.
///
/// ```no_run
/// use mixin_pin_http::{Error, ResolutionPlan, Verdict};
///
/// /// Settles the change if at least one try remains for the owner.
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
    /// Reading the user was enough.
    Known(Box<Verdict>),
    /// Verify the new PIN, then the old one.
    VerifyNew,
    /// The change has not been carried out. Verifying the old PIN uses a greater iterator than the lost request, which
    /// therefore cannot be carried out any more.
    VerifyOld,
}

impl Client {
    /// Begins to find out what became of a PIN change whose answer was lost ([`Client::create_pin`], [`Client::change_pin`],
    /// [`Client::install_tip`], [`Client::change_tip`]). Reads the user, which changes nothing, and plans the rest.
    ///
    /// Pass the `old` and `new` PIN of that call, and the `expires_at` of its [`Unknown`]. With None instead, the call is
    /// taken to have been made just now.
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
    ///         Verdict::Applied(_) => println!("the new PIN is valid"),
    ///         Verdict::NotApplied(_) => println!("the old PIN is valid"),
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
            // A TIP key can only be replaced by another. If the installed key is neither, another client installed it.
            (_, Some(Credential::Tip(key))) if !is_installed(key) => known(Verdict::Neither),
            (_, None | Some(Credential::Digits(_))) if installed.is_some() => known(Verdict::Neither),
            (_, Some(_)) if !user.has_pin => known(Verdict::Neither),
            (Credential::Tip(_), Some(_)) => Step::VerifyOld,
            (_, None) if !user.has_pin => {
                // Only the server's clock decides whether the token has expired.
                let server_time = server_time.ok_or(Error::NoServerTime)?;
                let over = expires_at.secs().saturating_add(AFTER_EXPIRY.as_secs());
                known(match over.checked_sub(server_time.secs()) {
                    None | Some(0) => Verdict::NotApplied(user),
                    Some(seconds) => Verdict::NotYet { expires_at, remaining: Duration::from_secs(seconds) },
                })
            }
            // Another client set digits.
            (Credential::Tip(_), None) => known(Verdict::Neither),
            (Credential::Digits(_), _) => Step::VerifyNew,
        };
        Ok(ResolutionPlan { client: self, old, new, step })
    }

    fn check(&self, credential: Credential<'_>) -> Result<Checked, Error> {
        let outcome = match credential {
            Credential::Digits(pin) => self.verify_pin(pin),
            Credential::Tip(key) => self.verify_tip(key),
        };
        match outcome {
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

impl ResolutionPlan<'_> {
    /// How many of the day's tries settling may cost at most.
    pub const fn may_cost(&self) -> u32 {
        match (&self.step, &self.old) {
            (Step::Known(_), _) => 0,
            // The old PIN costs a try only if the lost request arrives just now.
            (Step::VerifyOld, _) | (Step::VerifyNew, None) => 1,
            (Step::VerifyNew, Some(_)) => 2,
        }
    }

    /// Settles the change. Verifies each PIN at most once.
    ///
    /// # Errors
    /// If a verification cannot be sent, or is refused for a reason that says nothing about the PIN. Then nothing more is
    /// tried.
    pub fn settle(self) -> Result<Resolution, Error> {
        let Self { client, old, new, step } = self;
        let mut checks = Checks { client, tries_spent: 0, are_certain: true };
        let verdict = match (step, old) {
            (Step::Known(verdict), _) => *verdict,
            (Step::VerifyNew, old) => match (checks.check(new, Verdict::Applied)?, old) {
                (Some(verdict), _) => verdict,
                (None, Some(old)) => match checks.check(old, Verdict::NotApplied)? {
                    Some(verdict) => verdict,
                    None => checks.neither(),
                },
                (None, None) => checks.neither(),
            },
            (Step::VerifyOld, Some(old)) => {
                if let Some(verdict) = checks.check(old, Verdict::NotApplied)? {
                    verdict
                } else {
                    // The old PIN was valid a moment ago, so the lost request or another client's has just arrived.
                    let user = client.me()?;
                    match new {
                        Credential::Tip(key) if user.tip_key_base64 == key.public_key().to_base64_url() => {
                            Verdict::Applied(user)
                        }
                        _ => checks.neither(),
                    }
                }
            }
            (Step::VerifyOld, None) => Verdict::Neither,
        };
        Ok(Resolution { verdict, tries_spent: checks.tries_spent })
    }
}

/// The verifications of a plan, and their cost.
struct Checks<'c> {
    client: &'c Client,
    tries_spent: u32,
    are_certain: bool,
}

impl Checks<'_> {
    /// Verifies a PIN. Returns the verdict if it is valid, or if no further PIN can be verified. None if it is refused.
    fn check(&mut self, pin: Credential<'_>, if_valid: impl FnOnce(User) -> Verdict) -> Result<Option<Verdict>, Error> {
        Ok(match self.client.check(pin)? {
            Checked::Right(user) => Some(if_valid(user)),
            Checked::Wrong { cost, is_certain } => {
                self.tries_spent += cost;
                self.are_certain &= is_certain;
                None
            }
            Checked::TriesSpent => Some(Verdict::TriesSpent),
            Checked::Lost(lost) => Some(Verdict::Lost(lost)),
        })
    }

    /// The verdict if no PIN was accepted.
    const fn neither(&self) -> Verdict {
        if self.are_certain { Verdict::Neither } else { Verdict::Undetermined }
    }
}
