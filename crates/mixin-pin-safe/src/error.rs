//! Why bytes are not a transaction, and why parts cannot be written as one.

use core::fmt;

use crate::Field;

/// Bytes are not a transaction in the one form that the kernel writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    field: Field,
    problem: DecodeProblem,
}

/// What is wrong with a part of the bytes.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeProblem {
    /// The bytes end before the part does.
    Short,
    /// The format does not have this value.
    Value,
    /// A count, a length or an index is greater than the kernel allows.
    Limit {
        /// The greatest that is allowed.
        most: u32,
    },
    /// A number begins with a zero byte, or zero has a byte.
    LeadingZero,
    /// A number has more than 256 bits. The kernel's decoder reads it, but the capacity of an asset has 223 bits.
    Bits,
    /// Indices do not ascend: they are unsorted or repeated.
    Order,
    /// A list of signers is not in the shorter of its two forms.
    Form,
    /// Bytes follow.
    Trailing,
}

impl DecodeError {
    pub(crate) const fn new(field: Field, problem: DecodeProblem) -> Self {
        Self { field, problem }
    }

    /// The first part that is wrong.
    pub const fn field(&self) -> Field {
        self.field
    }

    /// What is wrong with it.
    pub const fn problem(&self) -> DecodeProblem {
        self.problem
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.field)?;
        match self.problem {
            DecodeProblem::Short => f.write_str("the bytes end here; check that they were copied whole"),
            DecodeProblem::Value => f.write_str(match self.field {
                Field::Magic => "not 7777, so the bytes are not a transaction",
                Field::Version => "not 0005; no other version is read",
                Field::Kind(_) => "the first of its two bytes must be 00",
                Field::Authorization => "an unknown form of an aggregate signature",
                _ => "must begin with 7777, or be 0000 if it is absent",
            }),
            DecodeProblem::Limit { most } => write_limit(f, self.field, most),
            DecodeProblem::LeadingZero => f.write_str("an amount must not begin with a zero byte"),
            DecodeProblem::Bits => f.write_str("an amount must have at most 256 bits"),
            DecodeProblem::Order => f.write_str("the signers must ascend, each once"),
            DecodeProblem::Form => f.write_str("the signers must be in the shorter of the two forms"),
            DecodeProblem::Trailing => f.write_str("more bytes follow; check that nothing was appended"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Parts cannot be written as a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeError {
    field: Field,
    problem: EncodeProblem,
}

/// What is wrong with a part that is to be written.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeProblem {
    /// A count, a length or an index is greater than the kernel allows.
    Limit {
        /// The greatest that is allowed.
        most: u32,
    },
    /// [`OutputKind::Other`](crate::OutputKind::Other) holds the byte of a kind that has a name.
    Kind,
    /// Signatures do not ascend by input and signer: they are unsorted or repeated.
    Order,
    /// Signatures are of an input beyond the last.
    Input,
    /// The buffer is too small.
    Buffer {
        /// How many bytes are needed.
        needed: usize,
    },
}

impl EncodeError {
    pub(crate) const fn new(field: Field, problem: EncodeProblem) -> Self {
        Self { field, problem }
    }

    /// The first part that is wrong.
    pub const fn field(&self) -> Field {
        self.field
    }

    /// What is wrong with it.
    pub const fn problem(&self) -> EncodeProblem {
        self.problem
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.field)?;
        match self.problem {
            EncodeProblem::Limit { most } => write_limit(f, self.field, most),
            EncodeProblem::Kind => f.write_str("use the name of this type, not its number"),
            EncodeProblem::Order => f.write_str("the signatures must ascend by input and signer, each once"),
            EncodeProblem::Input => f.write_str("there are signatures, but no such input"),
            EncodeProblem::Buffer { needed } => write!(f, "the buffer must have {needed} bytes"),
        }
    }
}

impl core::error::Error for EncodeError {}

/// Says what is limited, and to how much.
fn write_limit(f: &mut fmt::Formatter<'_>, field: Field, most: u32) -> fmt::Result {
    match field {
        Field::Input(_) => write!(f, "the index must be at most {most}"),
        Field::Inputs
        | Field::Outputs
        | Field::Keys(_)
        | Field::References
        | Field::Authorization
        | Field::Signatures(_) => write!(f, "the number must be at most {most}"),
        _ => write!(f, "must have at most {most} bytes"),
    }
}
