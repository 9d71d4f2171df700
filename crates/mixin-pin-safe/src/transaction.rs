//! A decoded transaction, which borrows the bytes it was read from.

mod authorization;

use core::fmt;
use core::iter::FusedIterator;

use crate::error::{DecodeError, DecodeProblem};
use crate::wire::{MAGIC, NULL, Reader, VERSION, WITHDRAWAL, limit};
use crate::{Amount, AssetId, Field, Hash};

pub use authorization::{Aggregate, Authorization, DetachedSignature, Signatures, SignaturesIter};

/// A transaction of version 5 in the one form that the kernel writes.
///
/// [`decode`](Self::decode) reads every part once. It refuses what the kernel's decoder refuses: parts beyond the
/// kernel's limits, and every second encoding of the same parts. So transactions are equal exactly if their parts are.
///
/// A decoded transaction can still lose money: [`Policy::check`](crate::Policy::check) says whether it may be signed.
#[derive(Clone, Copy)]
pub struct Transaction<'a> {
    raw: &'a [u8],
    payload: usize,
    asset: &'a [u8; 32],
    inputs: Parts<'a>,
    outputs: Parts<'a>,
    references: &'a [[u8; 32]],
    extra: &'a [u8],
    authorization: Authorization<'a>,
}

impl<'a> Transaction<'a> {
    /// The most bytes that a transaction has: 4 MiB, signatures included.
    pub const MAX_LEN: usize = limit::BYTES as usize;

    /// Reads a transaction.
    ///
    /// # Errors
    /// The first part that is wrong. One rule is stricter than the kernel's decoder: an amount has at most 256 bits.
    /// The ledger has no greater one.
    pub fn decode(raw: &'a [u8]) -> Result<Self, DecodeError> {
        if raw.len() > Self::MAX_LEN {
            return Err(DecodeError::new(Field::Length, DecodeProblem::Limit { most: limit::BYTES }));
        }
        let mut reader = Reader::new(raw);
        reader.expect(MAGIC, Field::Magic)?;
        reader.expect(VERSION, Field::Version)?;
        let asset = reader.array(Field::Asset)?;

        let count = reader.count(Field::Inputs)?;
        let inputs = Parts { reader, next: 0, count };
        (0..count).try_for_each(|i| reader.input(i).map(drop))?;

        let count = reader.count(Field::Outputs)?;
        let outputs = Parts { reader, next: 0, count };
        (0..count).try_for_each(|i| reader.output(i).map(drop))?;

        let references = reader.blocks(Field::References)?;
        let len = reader.u32(Field::Extra)?;
        if len > limit::BYTES {
            return Err(DecodeError::new(Field::Extra, DecodeProblem::Limit { most: limit::BYTES }));
        }
        let extra = reader.take(len as usize, Field::Extra)?;
        let payload = raw.len() - reader.rest().len();
        let authorization = Authorization::read(&mut reader)?;
        if !reader.rest().is_empty() {
            return Err(DecodeError::new(Field::End, DecodeProblem::Trailing));
        }
        Ok(Self { raw, payload, asset, inputs, outputs, references, extra, authorization })
    }

    /// All bytes.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.raw
    }

    /// The bytes before the authorization.
    pub fn payload(&self) -> &'a [u8] {
        &self.raw[..self.payload]
    }

    /// The hash, which does not depend on the authorization: BLAKE3 of the unsigned transaction.
    ///
    /// It is computed at each call. Nothing is copied.
    pub fn hash(&self) -> Hash {
        Hash(blake3::Hasher::new().update(self.payload()).update(&NULL).finalize().into())
    }

    /// The asset that inputs and outputs have.
    pub const fn asset(&self) -> AssetId {
        AssetId(*self.asset)
    }

    /// The inputs.
    pub const fn inputs(&self) -> Inputs<'a> {
        Inputs(self.inputs)
    }

    /// The outputs.
    pub const fn outputs(&self) -> Outputs<'a> {
        Outputs(self.outputs)
    }

    /// An input. It reads those before, too: use [`inputs`](Self::inputs) for all.
    pub fn input(&self, index: u16) -> Option<Input<'a>> {
        self.inputs().nth(index.into())
    }

    /// An output. It reads those before, too: use [`outputs`](Self::outputs) for all.
    pub fn output(&self, index: u16) -> Option<Output<'a>> {
        self.outputs().nth(index.into())
    }

    /// The hashes of transactions that it refers to.
    pub const fn references(&self) -> &'a [[u8; 32]] {
        self.references
    }

    /// The extra bytes: a memo, or data for an application.
    pub const fn extra(&self) -> &'a [u8] {
        self.extra
    }

    /// The signatures.
    pub const fn authorization(&self) -> Authorization<'a> {
        self.authorization
    }
}

impl PartialEq for Transaction<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl Eq for Transaction<'_> {}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").field("hash", &self.hash()).finish_non_exhaustive()
    }
}

/// Inputs or outputs, in the bytes.
#[derive(Debug, Clone, Copy)]
struct Parts<'a> {
    reader: Reader<'a>,
    next: u16,
    count: u16,
}

impl<'a> Parts<'a> {
    fn next<T>(&mut self, read: impl FnOnce(&mut Reader<'a>, u16) -> Result<T, DecodeError>) -> Option<T> {
        let index = self.next;
        if index == self.count {
            return None;
        }
        self.next += 1;
        // Decoding has read the same bytes without an error.
        read(&mut self.reader, index).ok()
    }

    fn left(&self) -> usize {
        (self.count - self.next).into()
    }
}

/// The inputs of a transaction, in order.
#[derive(Debug, Clone)]
pub struct Inputs<'a>(Parts<'a>);

impl<'a> Iterator for Inputs<'a> {
    type Item = Input<'a>;

    fn next(&mut self) -> Option<Input<'a>> {
        self.0.next(Reader::input)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left(), Some(self.0.left()))
    }
}

impl ExactSizeIterator for Inputs<'_> {}
impl FusedIterator for Inputs<'_> {}

/// The outputs of a transaction, in order.
#[derive(Debug, Clone)]
pub struct Outputs<'a>(Parts<'a>);

impl<'a> Iterator for Outputs<'a> {
    type Item = Output<'a>;

    fn next(&mut self) -> Option<Output<'a>> {
        self.0.next(Reader::output)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left(), Some(self.0.left()))
    }
}

impl ExactSizeIterator for Outputs<'_> {}
impl FusedIterator for Outputs<'_> {}

/// An input: the output of another transaction that is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input<'a> {
    /// The hash of the transaction whose output is spent.
    pub hash: &'a [u8; 32],
    /// The index of the spent output.
    pub index: u16,
    /// Bytes of the kernel's first transactions. Empty otherwise.
    pub genesis: &'a [u8],
    /// A deposit from another chain, which only the kernel's nodes make.
    pub deposit: Option<Deposit<'a>>,
    /// A mint, which only the kernel's nodes make.
    pub mint: Option<Mint<'a>>,
}

/// A deposit from another chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deposit<'a> {
    /// The chain.
    pub chain: &'a [u8; 32],
    /// The asset's key on that chain.
    pub asset_key: &'a [u8],
    /// The transaction's hash on that chain.
    pub transaction: &'a [u8],
    /// The index in that transaction.
    pub index: u64,
    /// The amount.
    pub amount: Amount,
}

/// A mint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mint<'a> {
    /// The group.
    pub group: &'a [u8],
    /// The batch.
    pub batch: u64,
    /// The amount.
    pub amount: Amount,
}

/// The type of an output.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// `00`: pays the owners of keys.
    Script,
    /// `a1`: leaves to another chain.
    Withdrawal,
    /// Any other, which only the kernel's nodes make.
    Other(u8),
}

impl OutputKind {
    pub(crate) const fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Script,
            WITHDRAWAL => Self::Withdrawal,
            other => Self::Other(other),
        }
    }

    /// The byte that stands for it.
    pub const fn byte(self) -> u8 {
        match self {
            Self::Script => 0,
            Self::Withdrawal => WITHDRAWAL,
            Self::Other(byte) => byte,
        }
    }
}

/// An output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output<'a> {
    /// The type.
    pub kind: OutputKind,
    /// The amount.
    pub amount: Amount,
    /// The ghost keys, one for each receiver.
    pub keys: &'a [[u8; 32]],
    /// The mask, with which a receiver finds its ghost key. Zeros in a withdrawal.
    pub mask: &'a [u8; 32],
    /// The script: `ff fe` and the threshold. Empty for a withdrawal.
    pub script: &'a [u8],
    /// Where a withdrawal goes.
    pub withdrawal: Option<Withdrawal<'a>>,
}

impl Output<'_> {
    /// How many owners of keys must sign to spend the output, if the script says so.
    pub const fn threshold(&self) -> Option<u8> {
        match self.script {
            [0xff, 0xfe, threshold] => Some(*threshold),
            _ => None,
        }
    }
}

/// Where a withdrawal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Withdrawal<'a> {
    /// The address on the other chain. Usually ASCII, but nothing demands it.
    pub address: &'a [u8],
    /// The tag or memo. Empty if the address needs none.
    pub tag: &'a [u8],
}
