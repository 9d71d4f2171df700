//! Names the parts of a transaction, for errors and refusals.

use core::fmt;

/// A part of a transaction. Inputs, outputs, keys and references count from 0.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// All bytes together.
    Length,
    /// The two magic bytes at the start.
    Magic,
    /// The version.
    Version,
    /// The asset.
    Asset,
    /// The inputs: their number, or their sum.
    Inputs,
    /// The transaction hash or the index of an input.
    Input(u16),
    /// The genesis bytes of an input.
    Genesis(u16),
    /// The deposit of an input.
    Deposit(u16),
    /// The mint of an input.
    Mint(u16),
    /// The outputs: their number, or their sum.
    Outputs,
    /// The type of an output.
    Kind(u16),
    /// The amount of an output.
    Amount(u16),
    /// The keys of an output, or their number.
    Keys(u16),
    /// A key of an output.
    Key {
        /// The output.
        output: u16,
        /// The position among its keys.
        key: u16,
    },
    /// The mask of an output.
    Mask(u16),
    /// The script of an output, which holds its threshold.
    Script(u16),
    /// The withdrawal of an output.
    Withdrawal(u16),
    /// The number of references.
    References,
    /// A reference.
    Reference(u16),
    /// The extra bytes.
    Extra,
    /// The signatures, or their count.
    Authorization,
    /// The signatures of an input.
    Signatures(u16),
    /// What comes after the authorization.
    End,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length => f.write_str("length"),
            Self::Magic => f.write_str("magic"),
            Self::Version => f.write_str("version"),
            Self::Asset => f.write_str("asset"),
            Self::Inputs => f.write_str("inputs"),
            Self::Input(i) => write!(f, "input {i}"),
            Self::Genesis(i) => write!(f, "genesis of input {i}"),
            Self::Deposit(i) => write!(f, "deposit of input {i}"),
            Self::Mint(i) => write!(f, "mint of input {i}"),
            Self::Outputs => f.write_str("outputs"),
            Self::Kind(i) => write!(f, "type of output {i}"),
            Self::Amount(i) => write!(f, "amount of output {i}"),
            Self::Keys(i) => write!(f, "keys of output {i}"),
            Self::Key { output, key } => write!(f, "key {key} of output {output}"),
            Self::Mask(i) => write!(f, "mask of output {i}"),
            Self::Script(i) => write!(f, "script of output {i}"),
            Self::Withdrawal(i) => write!(f, "withdrawal of output {i}"),
            Self::References => f.write_str("references"),
            Self::Reference(i) => write!(f, "reference {i}"),
            Self::Extra => f.write_str("extra"),
            Self::Authorization => f.write_str("authorization"),
            Self::Signatures(i) => write!(f, "signatures of input {i}"),
            Self::End => f.write_str("end"),
        }
    }
}
