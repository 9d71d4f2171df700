//! What a transaction does.

use crate::careful::{self, PointCheck};
use crate::{Amount, Class, Evidence, Hash, MixAddress, OutputKind, Refusal, SpentOutput, Transaction, Withdrawal};

/// What a transaction does, as far as the evidence says.
#[derive(Debug, Clone, Copy)]
pub struct Effects<'t, 'e> {
    transaction: Transaction<'t>,
    evidence: Evidence<'e>,
    hash: Hash,
    total_in: Option<Amount>,
    total_out: Amount,
}

/// What an output does.
#[non_exhaustive]
#[derive(Debug, Clone, Copy)]
pub struct Effect<'a> {
    /// The index of the output.
    pub index: u16,
    /// The amount.
    pub amount: Amount,
    /// How many owners of keys must sign to spend it. `None` if the script has another form.
    pub threshold: Option<u8>,
    /// Whom it pays.
    pub to: Payee<'a>,
    /// How well that is known.
    pub class: Class,
}

/// Whom an output pays.
#[non_exhaustive]
#[derive(Debug, Clone, Copy)]
pub enum Payee<'a> {
    /// An address on another chain.
    Withdrawal(Withdrawal<'a>),
    /// Owners of keys, or users.
    Address(&'a MixAddress),
    /// Nobody: it pays for the storage of the extra bytes.
    Storage,
    /// Nothing says it.
    Unknown,
}

impl<'t, 'e> Effects<'t, 'e> {
    /// Adds the amounts and checks the evidence. Most of its time goes into the hash of the payload, and into the keys
    /// of each [`Claim::Recomputed`](crate::Claim::Recomputed).
    ///
    /// # Errors
    /// A [`Refusal`] if a piece of evidence does not fit the transaction or is false, or if a sum exceeds 256 bits.
    pub fn of(transaction: &Transaction<'t>, evidence: &Evidence<'e>) -> Result<Self, Refusal> {
        evidence.check(transaction)?;
        let total_in = match evidence.spent {
            [] => None,
            spent => Some(sum(spent.iter().map(SpentOutput::amount)).ok_or(Refusal::InputsOverflow)?),
        };
        let total_out = sum(transaction.outputs().map(|output| output.amount)).ok_or(Refusal::OutputsOverflow)?;
        Ok(Self { transaction: *transaction, evidence: *evidence, hash: transaction.hash(), total_in, total_out })
    }

    /// The transaction.
    pub const fn transaction(&self) -> &Transaction<'t> {
        &self.transaction
    }

    /// The hash of the transaction.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// The spent outputs. Empty if they are not known.
    pub const fn spent(&self) -> &'e [SpentOutput<'e>] {
        self.evidence.spent
    }

    /// The sum of the spent outputs, if they are known.
    pub const fn total_in(&self) -> Option<Amount> {
        self.total_in
    }

    /// Whether all spent outputs are proven.
    pub fn inputs_proven(&self) -> bool {
        !self.spent().is_empty() && self.spent().iter().all(SpentOutput::is_proven)
    }

    /// The sum of the outputs. The kernel demands that it equals the sum of the spent outputs; there is no fee.
    pub const fn total_out(&self) -> Amount {
        self.total_out
    }

    /// What each output does.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = Effect<'_>> + Clone {
        self.transaction.outputs().enumerate().map(|(index, output)| {
            // A transaction has at most 256 outputs.
            let index = u16::try_from(index).unwrap_or(u16::MAX);
            let (to, class) = match (output.kind, output.withdrawal, self.evidence.receiver(index)) {
                (OutputKind::Withdrawal, Some(withdrawal), _) => (Payee::Withdrawal(withdrawal), Class::Proven),
                (OutputKind::Script, _, Some(receiver)) if receiver.address.is_storage() => {
                    (Payee::Storage, receiver.class())
                }
                (OutputKind::Script, _, Some(receiver)) => (Payee::Address(receiver.address), receiver.class()),
                _ => (Payee::Unknown, Class::Unknown),
            };
            Effect { index, amount: output.amount, threshold: output.threshold(), to, class }
        })
    }

    /// Calls `found` for each thing that is refused under every policy.
    ///
    /// Verifies signatures only if the spent outputs are known.
    pub fn for_each_refusal(&self, points: PointCheck, found: &mut impl FnMut(Refusal)) {
        let reported = careful::check(self, points, &mut |refusal| {
            found(refusal);
            Ok(())
        });
        debug_assert_eq!(reported, Ok(()), "the closure never fails");
    }

    /// The first thing that is refused whatever the policy says.
    pub(crate) fn refusal(&self) -> Result<(), Refusal> {
        careful::check(self, PointCheck::Whole, &mut Err)
    }
}

/// A sum, unless it has more than 256 bits.
pub(crate) fn sum(mut amounts: impl Iterator<Item = Amount>) -> Option<Amount> {
    amounts.try_fold(Amount::ZERO, Amount::checked_add)
}
