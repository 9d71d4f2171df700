//! Claims about a transaction, and how far each is proven.

use crate::address::Members;
use crate::{MaskSecret, MixAddress, Output, OutputKind, Refusal, SpentOutput, Transaction};

/// What is known besides the bytes of a transaction. Nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Evidence<'e> {
    /// The spent outputs, one for each input in their order. Empty if they are not known.
    pub spent: &'e [SpentOutput<'e>],
    /// Claims on receivers, in any order, at most one for each output.
    pub receivers: &'e [Receiver<'e>],
}

/// A claim on whom an output pays.
#[derive(Debug, Clone, Copy)]
pub struct Receiver<'e> {
    /// The index of the output.
    pub output: u16,
    /// Whom it pays.
    pub address: &'e MixAddress,
    /// What the claim rests on.
    pub claim: Claim<'e>,
}

/// What a claim on a receiver rests on.
///
/// The `receivers` in the answer to `POST /safe/transaction/requests` are not a claim: how they belong to outputs is not
/// known.
#[non_exhaustive]
#[derive(Debug, Clone, Copy)]
pub enum Claim<'e> {
    /// The mask secret, from which mask and keys are computed again. Only for an address with keys.
    Recomputed(&'e MaskSecret),
    /// A server's answer to `POST /safe/keys` for this address and output: the item at the place of the request, because
    /// answers have no index. Only for an address with users.
    Answered {
        /// The mask.
        mask: &'e [u8; 32],
        /// The keys.
        keys: &'e [[u8; 32]],
    },
}

/// How well it is known whom an output pays.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Nothing says it.
    Unknown,
    /// A server's answer says it. A server that lies, or anyone who can change its answers, can make it up.
    Attested,
    /// The bytes of the transaction prove it, alone or with a mask secret.
    Proven,
}

impl Evidence<'_> {
    /// Whether the evidence fits the transaction: every spent output and every claim belongs to a part of it, and every
    /// claim is true.
    pub(crate) fn check(&self, transaction: &Transaction<'_>) -> Result<(), Refusal> {
        if !self.spent.is_empty() {
            if self.spent.len() != transaction.inputs().len() {
                return Err(Refusal::SpentCount);
            }
            for (index, (spent, input)) in (0..).zip(self.spent.iter().zip(transaction.inputs())) {
                if !spent.may_be_of(&input) {
                    return Err(Refusal::SpentInput(index));
                }
            }
        }
        for (position, receiver) in self.receivers.iter().enumerate() {
            if usize::from(receiver.output) >= transaction.outputs().len() {
                return Err(Refusal::ClaimOutput(receiver.output));
            }
            if self.receivers[..position].iter().any(|other| other.output == receiver.output) {
                return Err(Refusal::ClaimTwice(receiver.output));
            }
        }
        for (index, output) in (0..).zip(transaction.outputs()) {
            self.receiver(index).map_or(Ok(()), |receiver| receiver.check(&output))?;
        }
        Ok(())
    }

    /// The claim on an output.
    pub(crate) fn receiver(&self, output: u16) -> Option<&Receiver<'_>> {
        self.receivers.iter().find(|receiver| receiver.output == output)
    }
}

impl Receiver<'_> {
    /// The class of the output if the claim is true.
    pub(crate) const fn class(&self) -> Class {
        match self.claim {
            Claim::Recomputed(_) => Class::Proven,
            Claim::Answered { .. } => Class::Attested,
        }
    }

    /// Whether the claim is true of `output`.
    fn check(&self, output: &Output<'_>) -> Result<(), Refusal> {
        if output.kind != OutputKind::Script {
            return Err(Refusal::ClaimKind(self.output));
        }
        if output.threshold() != Some(self.address.threshold()) {
            return Err(Refusal::ClaimThreshold(self.output));
        }
        let members = self.address.members();
        if output.keys.len() != members.len() {
            return Err(Refusal::ClaimKeys(self.output));
        }
        match (self.claim, members) {
            (Claim::Recomputed(secret), Members::Keys(_)) => {
                let keys = members.addresses().map(|address| secret.ghost_key(&address, self.output));
                self.compare(output, &secret.mask(), keys)
            }
            (Claim::Answered { mask, keys }, Members::Users(_)) => {
                if keys.len() != output.keys.len() {
                    return Err(Refusal::ClaimKeys(self.output));
                }
                self.compare(output, mask, keys.iter().copied())
            }
            _ => Err(Refusal::ClaimAddress(self.output)),
        }
    }

    /// Compares mask and keys, in their order.
    fn compare(
        &self,
        output: &Output<'_>,
        mask: &[u8; 32],
        keys: impl Iterator<Item = [u8; 32]>,
    ) -> Result<(), Refusal> {
        if output.mask != mask {
            return Err(Refusal::ClaimMask(self.output));
        }
        match (0..).zip(output.keys.iter().zip(keys)).find(|(_, (key, claimed))| *key != claimed) {
            Some((key, _)) => Err(Refusal::ClaimKey { output: self.output, key }),
            None => Ok(()),
        }
    }
}
