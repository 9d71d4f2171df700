//! What an owner allows.

use mixin_pin_core::UnixTime;

use crate::approved::Approved;
use crate::effects::{Effect, Effects, Payee, sum};
use crate::{Amount, AssetId, Authorization, Class, Evidence, MixAddress, Refusal, Transaction, Withdrawal};

/// What an owner allows a transaction to do.
///
/// ```
/// use mixin_pin_safe::mixin_pin_core::UnixTime;
/// use mixin_pin_safe::{AssetId, Evidence, ExtraRule, MixAddress, Policy, Transaction, Unproven};
///
/// fn judge(raw: &[u8], evidence: &Evidence<'_>, now: UnixTime) -> Result<(), Box<dyn std::error::Error>> {
///     let friend: MixAddress = "MIX3QEeg1WkLrjvjxyMQf6Xc8dxs81tpPc".parse()?;
///     let policy = Policy {
///         asset: AssetId::XIN,
///         most: "1.5".parse()?,
///         own: &[],
///         receivers: &[friend],
///         withdrawals: &[],
///         most_outputs: 2,
///         extra: ExtraRule::Forbidden,
///         references: &[],
///         // Nothing that pays users is proven.
///         unproven: Unproven::Attested,
///         until: UnixTime::from_secs(now.secs() + 60),
///     };
///     let approved = policy.check(&Transaction::decode(raw)?, evidence, now)?;
///     println!("{} leaves by {}", approved.leaves(), approved.hash());
///     Ok(())
/// }
/// assert!(judge(b"", &Evidence::default(), UnixTime::from_secs(0)).is_err());
/// ```
///
/// # Security
/// It bounds one transaction. Bounding the sum of several is left to the caller.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'p> {
    /// The asset.
    pub asset: AssetId,
    /// The most that may leave: the sum of all outputs that are not proven to come back to [`own`](Self::own).
    pub most: Amount,
    /// The owner's addresses. What is proven to pay one of them does not leave. They are allowed receivers, too.
    ///
    /// Nothing that pays users is proven, so change to the owner's own user counts as leaving.
    pub own: &'p [MixAddress],
    /// Other receivers. [`MixAddress::storage`] allows payments for storage.
    pub receivers: &'p [MixAddress],
    /// Addresses on other chains, with their tags.
    pub withdrawals: &'p [Withdrawal<'p>],
    /// The most outputs.
    pub most_outputs: u16,
    /// The extra bytes.
    pub extra: ExtraRule<'p>,
    /// The transactions that may be referenced.
    pub references: &'p [[u8; 32]],
    /// Which outputs are allowed whose receiver is not proven.
    pub unproven: Unproven,
    /// The last moment at which anything is signed. What is signed stays valid.
    pub until: UnixTime,
}

/// Which extra bytes are allowed.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ExtraRule<'p> {
    /// None.
    #[default]
    Forbidden,
    /// These.
    Exactly(&'p [u8]),
    /// Any, up to this number.
    AtMost(u32),
}

/// Which outputs are allowed whose receiver is not proven. They always count as leaving.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unproven {
    /// None: every receiver must be proven.
    #[default]
    Refuse,
    /// Those of which a server's answer says that they pay a receiver of the policy.
    Attested,
    /// Those, and outputs without a claim. The latter may pay anyone.
    Any,
}

impl Policy<'_> {
    /// Checks what is refused under every policy, and what this policy allows. Ends at the first refusal.
    ///
    /// Existing signatures are verified. `now` is the time by the caller's clock. Without the spent outputs the result shows
    /// what leaves, but cannot be signed.
    ///
    /// # Errors
    /// The [`Refusal`].
    ///
    /// # Security
    /// What leaves the owner is at most [`most`](Self::most) of [`asset`](Self::asset), whatever transaction and
    /// evidence say. Three things are not checked: whether the inputs are final and unspent, whether the ledger has the
    /// outputs' keys already, and what an app does with the extra bytes.
    pub fn check<'t, 'e>(
        &self,
        transaction: &Transaction<'t>,
        evidence: &Evidence<'e>,
        now: UnixTime,
    ) -> Result<Approved<'t, 'e>, Refusal> {
        if now > self.until {
            return Err(Refusal::Expired);
        }
        if transaction.asset() != self.asset {
            return Err(Refusal::AssetNotAllowed);
        }
        if transaction.outputs().len() > self.most_outputs.into() {
            return Err(Refusal::TooManyOutputs);
        }
        let effects = Effects::of(transaction, evidence)?;
        effects.refusal()?;
        if let Authorization::Signatures(signatures) = transaction.authorization()
            && effects.spent().is_empty()
            && !signatures.is_empty()
        {
            return Err(Refusal::SignaturesUnverified);
        }
        if !self.extra.allows(transaction.extra()) {
            return Err(Refusal::ExtraNotAllowed);
        }
        if let Some((index, _)) =
            (0..).zip(transaction.references()).find(|(_, reference)| !self.references.contains(reference))
        {
            return Err(Refusal::ReferenceNotAllowed(index));
        }
        effects.outputs().try_for_each(|effect| self.allows(&effect))?;
        let leaving = effects.outputs().filter(|effect| !self.comes_back(effect)).map(|effect| effect.amount);
        let leaves = sum(leaving).ok_or(Refusal::OutputsOverflow)?;
        if leaves > self.most {
            return Err(Refusal::TooMuch { leaves, most: self.most });
        }
        Ok(Approved::new(&effects, leaves))
    }

    /// Whether the receiver of an output is allowed.
    fn allows(&self, effect: &Effect<'_>) -> Result<(), Refusal> {
        let (named, refusal) = match effect.to {
            Payee::Withdrawal(to) => (self.withdrawals.contains(&to), Refusal::WithdrawalNotAllowed(effect.index)),
            Payee::Address(address) => (
                self.own.iter().chain(self.receivers).any(|named| named.pays_same(address)),
                Refusal::ReceiverNotAllowed(effect.index),
            ),
            Payee::Storage => {
                (self.receivers.iter().any(MixAddress::is_storage), Refusal::ReceiverNotAllowed(effect.index))
            }
            // Whether it may stay unknown is decided below.
            Payee::Unknown => (true, Refusal::ReceiverUnknown(effect.index)),
        };
        if !named {
            return Err(refusal);
        }
        match (effect.class, self.unproven) {
            (Class::Proven, _) | (_, Unproven::Any) | (Class::Attested, Unproven::Attested) => Ok(()),
            (Class::Attested, Unproven::Refuse) => Err(Refusal::ReceiverUnproven(effect.index)),
            (Class::Unknown, Unproven::Refuse | Unproven::Attested) => Err(Refusal::ReceiverUnknown(effect.index)),
        }
    }

    /// Whether an output is proven to pay the owner.
    fn comes_back(&self, effect: &Effect<'_>) -> bool {
        match effect.to {
            Payee::Address(address) => {
                effect.class == Class::Proven && self.own.iter().any(|own| own.pays_same(address))
            }
            Payee::Withdrawal(_) | Payee::Storage | Payee::Unknown => false,
        }
    }
}

impl ExtraRule<'_> {
    fn allows(&self, extra: &[u8]) -> bool {
        match *self {
            Self::Forbidden => extra.is_empty(),
            Self::Exactly(bytes) => extra == bytes,
            Self::AtMost(most) => u32::try_from(extra.len()).is_ok_and(|len| len <= most),
        }
    }
}
