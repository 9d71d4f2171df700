//! Reads numbers, lists and parts from bytes. Every function names the part that it reads, for errors.

use crate::error::{DecodeError, DecodeProblem};
use crate::transaction::{Deposit, Input, Mint, Output, OutputKind, Withdrawal};
use crate::{Amount, Field};

/// The kernel's limits, which decoder and encoder share.
pub(crate) mod limit {
    /// Bytes of a transaction, signatures included, and of its extra.
    pub(crate) const BYTES: u32 = 4 << 20;
    /// Inputs, outputs, keys of an output, references, and maps of signatures.
    pub(crate) const COUNT: u16 = 256;
    /// The index of a spent output.
    pub(crate) const INDEX: u16 = 1024;
    /// Signers of an aggregate signature.
    pub(crate) const SIGNERS: u32 = 65_535;
}

/// The first bytes of a transaction. Also the mark of an optional part that is present.
pub(crate) const MAGIC: [u8; 2] = [0x77, 0x77];
/// The mark of an optional part that is absent.
pub(crate) const NULL: [u8; 2] = [0, 0];
pub(crate) const VERSION: [u8; 2] = [0, 5];
/// Stands for the number of signature maps before an aggregate signature.
pub(crate) const AGGREGATE: u16 = 0xffff;
/// Follows [`AGGREGATE`].
pub(crate) const AGGREGATE_PREFIX: [u8; 2] = [0xff, 0x01];
/// The type of a withdrawal.
pub(crate) const WITHDRAWAL: u8 = 0xa1;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is not read yet.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, len: usize, field: Field) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(DecodeError::new(field, DecodeProblem::Short))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, field: Field) -> Result<&'a [u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::new(field, DecodeProblem::Short))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u16(&mut self, field: Field) -> Result<u16, DecodeError> {
        self.array(field).map(|bytes| u16::from_be_bytes(*bytes))
    }

    pub(crate) fn u32(&mut self, field: Field) -> Result<u32, DecodeError> {
        self.array(field).map(|bytes| u32::from_be_bytes(*bytes))
    }

    fn u64(&mut self, field: Field) -> Result<u64, DecodeError> {
        self.array(field).map(|bytes| u64::from_be_bytes(*bytes))
    }

    /// A number that is at most `most`.
    fn at_most(&mut self, most: u16, field: Field) -> Result<u16, DecodeError> {
        let number = self.u16(field)?;
        if number > most {
            return Err(DecodeError::new(field, DecodeProblem::Limit { most: most.into() }));
        }
        Ok(number)
    }

    /// A number of parts. It is tested before the parts are read.
    pub(crate) fn count(&mut self, field: Field) -> Result<u16, DecodeError> {
        self.at_most(limit::COUNT, field)
    }

    /// Content after its length.
    pub(crate) fn bytes(&mut self, field: Field) -> Result<&'a [u8], DecodeError> {
        let len = self.u16(field)?;
        self.take(len.into(), field)
    }

    /// Blocks of 32 bytes after their number.
    pub(crate) fn blocks(&mut self, field: Field) -> Result<&'a [[u8; 32]], DecodeError> {
        let count = self.count(field)?;
        let (blocks, _) = self.take(usize::from(count) * 32, field)?.as_chunks();
        Ok(blocks)
    }

    /// Two bytes that must be these.
    pub(crate) fn expect(&mut self, expected: [u8; 2], field: Field) -> Result<(), DecodeError> {
        if *self.array(field)? == expected { Ok(()) } else { Err(DecodeError::new(field, DecodeProblem::Value)) }
    }

    /// Whether a part that may be absent follows.
    fn present(&mut self, field: Field) -> Result<bool, DecodeError> {
        match *self.array(field)? {
            MAGIC => Ok(true),
            NULL => Ok(false),
            _ => Err(DecodeError::new(field, DecodeProblem::Value)),
        }
    }

    fn amount(&mut self, field: Field) -> Result<Amount, DecodeError> {
        let bytes = self.bytes(field)?;
        if bytes.first() == Some(&0) {
            return Err(DecodeError::new(field, DecodeProblem::LeadingZero));
        }
        Amount::from_be_bytes(bytes).ok_or(DecodeError::new(field, DecodeProblem::Bits))
    }

    pub(crate) fn input(&mut self, i: u16) -> Result<Input<'a>, DecodeError> {
        Ok(Input {
            hash: self.array(Field::Input(i))?,
            index: self.at_most(limit::INDEX, Field::Input(i))?,
            genesis: self.bytes(Field::Genesis(i))?,
            deposit: self.present(Field::Deposit(i))?.then(|| self.deposit(Field::Deposit(i))).transpose()?,
            mint: self.present(Field::Mint(i))?.then(|| self.mint(Field::Mint(i))).transpose()?,
        })
    }

    fn deposit(&mut self, field: Field) -> Result<Deposit<'a>, DecodeError> {
        Ok(Deposit {
            chain: self.array(field)?,
            asset_key: self.bytes(field)?,
            transaction: self.bytes(field)?,
            index: self.u64(field)?,
            amount: self.amount(field)?,
        })
    }

    fn mint(&mut self, field: Field) -> Result<Mint<'a>, DecodeError> {
        Ok(Mint { group: self.bytes(field)?, batch: self.u64(field)?, amount: self.amount(field)? })
    }

    pub(crate) fn output(&mut self, i: u16) -> Result<Output<'a>, DecodeError> {
        let kind = match *self.array(Field::Kind(i))? {
            [0, byte] => OutputKind::from_byte(byte),
            _ => return Err(DecodeError::new(Field::Kind(i), DecodeProblem::Value)),
        };
        Ok(Output {
            kind,
            amount: self.amount(Field::Amount(i))?,
            keys: self.blocks(Field::Keys(i))?,
            mask: self.array(Field::Mask(i))?,
            script: self.bytes(Field::Script(i))?,
            withdrawal: self.present(Field::Withdrawal(i))?.then(|| self.withdrawal(i)).transpose()?,
        })
    }

    fn withdrawal(&mut self, i: u16) -> Result<Withdrawal<'a>, DecodeError> {
        Ok(Withdrawal { address: self.bytes(Field::Withdrawal(i))?, tag: self.bytes(Field::Withdrawal(i))? })
    }
}
