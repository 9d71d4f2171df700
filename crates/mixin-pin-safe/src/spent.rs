//! The outputs that a transaction spends.

use core::fmt;

use crate::wire::limit;
use crate::{Amount, AssetId, DecodeError, Input, OutputKind, Transaction};

/// An output of another transaction that an input spends: proven from that transaction's bytes, or stated by a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpentOutput<'a> {
    asset: AssetId,
    amount: Amount,
    keys: &'a [[u8; 32]],
    mask: &'a [u8; 32],
    threshold: u8,
    /// The input for which it is proven.
    proven: Option<([u8; 32], u16)>,
}

/// A source transaction does not prove the spent output.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProofError {
    /// The source does not decode.
    Decode(DecodeError),
    /// The source has another hash than the input names.
    Hash,
    /// The source has no output at the input's index.
    Index,
    /// The output is not of type `00` with a threshold, so it cannot be spent with keys.
    Kind,
}

impl fmt::Display for ProofError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decode(_) => "the source does not decode as a transaction",
            Self::Hash => "the source is another transaction than the input names",
            Self::Index => "the source has no output at the input's index",
            Self::Kind => "the output that the input names cannot be spent with keys",
        })
    }
}

impl core::error::Error for ProofError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Decode(error) => Some(error),
            _ => None,
        }
    }
}

impl<'a> SpentOutput<'a> {
    /// Reads the spent output from the raw bytes of the transaction that `input` names. Its signatures do not matter.
    ///
    /// # Errors
    /// [`ProofError`] if the bytes are not that transaction, or the output cannot be spent by keys.
    ///
    /// # Security
    /// Proves asset, amount, keys, mask and threshold. Whether the output is final and unspent is not proven.
    pub fn proven(source_raw: &'a [u8], input: &Input<'_>) -> Result<Self, ProofError> {
        let source = Transaction::decode(source_raw).map_err(ProofError::Decode)?;
        if source.hash().0 != *input.hash {
            return Err(ProofError::Hash);
        }
        let output = source.output(input.index).ok_or(ProofError::Index)?;
        let (OutputKind::Script, Some(threshold)) = (output.kind, output.threshold()) else {
            return Err(ProofError::Kind);
        };
        Ok(Self {
            asset: source.asset(),
            amount: output.amount,
            keys: output.keys,
            mask: output.mask,
            threshold,
            proven: Some((*input.hash, input.index)),
        })
    }

    /// Takes a server's word, such as an item of the answer to `GET /safe/outputs`. Nothing is concluded from the mask.
    ///
    /// # Security
    /// Nothing is proven. A wrong amount or asset that fits the transaction is noticed by the kernel only.
    pub const fn stated(
        asset: AssetId,
        amount: Amount,
        keys: &'a [[u8; 32]],
        mask: &'a [u8; 32],
        threshold: u8,
    ) -> Self {
        Self { asset, amount, keys, mask, threshold, proven: None }
    }

    /// The asset.
    pub const fn asset(&self) -> AssetId {
        self.asset
    }

    /// The amount.
    pub const fn amount(&self) -> Amount {
        self.amount
    }

    /// The ghost keys. A signer's position is the position of its key here.
    pub const fn keys(&self) -> &'a [[u8; 32]] {
        self.keys
    }

    /// The mask.
    pub const fn mask(&self) -> &'a [u8; 32] {
        self.mask
    }

    /// How many signatures are needed to spend it.
    pub const fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Whether it was read from the bytes of the transaction that the input names.
    ///
    /// # Security
    /// That the output is final and not spent yet is never proven.
    pub const fn is_proven(&self) -> bool {
        self.proven.is_some()
    }

    /// Whether its owners can spend it, and only they: the threshold is 1 to the number of keys, and the kernel allows as many
    /// keys.
    pub(crate) fn is_spendable(&self) -> bool {
        (1..=self.keys.len()).contains(&self.threshold.into()) && self.keys.len() <= limit::COUNT.into()
    }

    /// Whether it may be what `input` spends: it is stated, or proven for this input.
    pub(crate) fn may_be_of(&self, input: &Input<'_>) -> bool {
        self.proven.is_none_or(|(hash, index)| hash == *input.hash && index == input.index)
    }
}
