//! A transaction that passed a policy.

use crate::effects::Effects;
use crate::{Amount, Hash, SpentOutput, Transaction};

/// A transaction that passed a policy: the only thing that is signed. Made by [`Policy::check`](crate::Policy::check).
///
/// # Security
/// It does not expire. Sign at once, or check again.
#[derive(Debug, Clone, Copy)]
pub struct Approved<'t, 'e> {
    effects: Effects<'t, 'e>,
    leaves: Amount,
}

impl<'t, 'e> Approved<'t, 'e> {
    /// Only `Policy::check` calls it.
    pub(crate) const fn new(effects: &Effects<'t, 'e>, leaves: Amount) -> Self {
        Self { effects: *effects, leaves }
    }

    /// The transaction.
    pub const fn transaction(&self) -> &Transaction<'t> {
        self.effects.transaction()
    }

    /// The hash of the transaction, which is what signers sign.
    pub const fn hash(&self) -> Hash {
        self.effects.hash()
    }

    /// The spent outputs, one for each input. Empty if they are not known.
    pub const fn spent(&self) -> &'e [SpentOutput<'e>] {
        self.effects.spent()
    }

    /// What the transaction does.
    pub const fn effects(&self) -> &Effects<'t, 'e> {
        &self.effects
    }

    /// What leaves: the sum of all outputs that are not proven to come back to the owner.
    pub const fn leaves(&self) -> Amount {
        self.leaves
    }
}
