//! Settles a PIN change whose answer was lost, as the machine plans it.

use mixin_pin_core::UnixTime;
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_machine::{
    Credential as AnyCredential, Error, FromTipKey, LostChange, Outcome, PublicCredential, Resolution,
    ResolutionPlan as Plan, ResolveStep, Which,
};
use mixin_pin_protocol::answer::User;
use mixin_pin_store::{Error as StoreError, PendingCall};

use crate::driver::now;
use crate::{AsyncTipSigner, Client};

/// A six-digit PIN or a TIP key: `(&pin).into()`, `(&key).into()` for a [`TipKey`], or `Credential::Tip(&signer)`.
pub type Credential<'c> = AnyCredential<'c, dyn AsyncTipSigner + 'c>;

impl FromTipKey for dyn AsyncTipSigner + '_ {
    fn from_tip_key(key: &TipKey) -> &Self {
        key
    }
}

/// How a lost change will be settled, after reading the user.
///
/// ```no_run
/// use mixin_pin_async::{Error, ResolutionPlan, Verdict};
///
/// /// Settles the change if at least one try remains for the owner.
/// async fn settle(plan: ResolutionPlan<'_>, tries_left: u32) -> Result<Option<Verdict>, Error> {
///     let is_safe = plan.may_cost() == 0 || tries_left > plan.may_cost();
///     if is_safe { plan.settle().await.map(|resolution| Some(resolution.verdict)) } else { Ok(None) }
/// }
/// ```
#[must_use = "nothing is settled until `settle` is called"]
pub struct ResolutionPlan<'c> {
    client: &'c Client,
    old: Option<Credential<'c>>,
    new: Credential<'c>,
    plan: Plan,
}

impl Client {
    /// Begins to find out what became of a PIN change whose answer was lost ([`Client::create_pin`],
    /// [`Client::change_pin`], [`Client::install_tip`], [`Client::change_tip`]). Reads the user, which changes nothing,
    /// and plans the rest.
    ///
    /// Pass the `old` and `new` PIN of that call, and the `expires_at` of its [`Unknown`](crate::Unknown). With None,
    /// the journal tells when the pending changes of this session expire. If it has none, the call counts as made just
    /// now.
    ///
    /// ```no_run
    /// use mixin_pin_async::core::Pin;
    /// use mixin_pin_async::{Client, Outcome, Verdict};
    ///
    /// # async fn change(client: &Client, old: &Pin, new: &Pin) -> Result<(), mixin_pin_async::Error> {
    /// if let Outcome::Unknown(lost) = client.change_pin(old, new).await? {
    ///     let plan = client.resolve_update(Some(old.into()), new.into(), lost.expires_at).await?;
    ///     println!("finding out may cost {} of the day's tries", plan.may_cost());
    ///     match plan.settle().await?.verdict {
    ///         Verdict::Applied(_) => println!("the new PIN is valid"),
    ///         Verdict::NotApplied(_) => println!("the old PIN is valid"),
    ///         other => println!("{other:?}"),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::me`], and a failure of the store.
    pub async fn resolve_update<'c>(
        &'c self,
        old: Option<Credential<'c>>,
        new: Credential<'c>,
        expires_at: Option<UnixTime>,
    ) -> Result<ResolutionPlan<'c>, Error> {
        let latest = self.rules.limits().expiry(now()?);
        let change = LostChange::new(old.map(public), public(new), expires_at, &self.pending().await?, latest);
        let (user, server_time) = self.read_with_time(self.rules.me()).await?;
        Ok(ResolutionPlan { client: self, old, new, plan: change.plan(user, server_time)? })
    }

    /// Removes the changes that are settled from the journal.
    pub(crate) async fn settle_all(&self, settled: impl Fn(&[PendingCall]) -> Vec<Uuid>) -> Result<(), StoreError> {
        let session_id = self.session().session_id();
        for request_id in settled(&self.store.pending(session_id).await?) {
            self.store.settle(session_id, request_id).await?;
        }
        Ok(())
    }

    async fn verify(&self, credential: Option<Credential<'_>>) -> Result<Outcome<User>, Error> {
        match credential {
            Some(Credential::Digits(pin)) => self.verify_pin(pin).await,
            Some(Credential::Tip(key)) => self.verify_tip(key).await,
            // The plan names an old credential only if there is one.
            None => Err(Error::LeaseLost),
        }
    }
}

fn public(credential: Credential<'_>) -> PublicCredential {
    match credential {
        Credential::Digits(_) => PublicCredential::Digits,
        Credential::Tip(key) => PublicCredential::Tip(key.public_key().clone()),
    }
}

impl ResolutionPlan<'_> {
    /// How many of the day's tries settling may cost at most.
    pub const fn may_cost(&self) -> u32 {
        self.plan.may_cost()
    }

    /// Settles the change. Verifies each PIN at most once. A settled change leaves the journal.
    ///
    /// # Errors
    /// If a verification cannot be sent, or is refused for a reason that says nothing about the PIN. Then nothing more
    /// is tried. A failure of the store is in [`Resolution::journal_error`].
    pub async fn settle(self) -> Result<Resolution, Error> {
        let Self { client, old, new, mut plan } = self;
        let mut resolution = loop {
            plan = match plan.next() {
                ResolveStep::Verify(which, asked) => {
                    let credential = match which {
                        Which::Old => old,
                        Which::New => Some(new),
                    };
                    asked.verified(client.verify(credential).await)?
                }
                ResolveStep::ReadUser(asked) => asked.read(client.me().await?),
                ResolveStep::Done(resolution) => break resolution,
            };
        };
        let settled = |pending: &[PendingCall]| resolution.settled(pending).map(|call| call.request_id).collect();
        resolution.journal_error = client.settle_all(settled).await.err();
        Ok(resolution)
    }
}
