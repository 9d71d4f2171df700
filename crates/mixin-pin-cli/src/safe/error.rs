//! Why a transaction, or a file on it, cannot be used.

use std::fmt;
use std::path::PathBuf;

use mixin_pin_safe::{AddressError, DecodeError, MergeError, ProofError, Refusal, SignError};

use super::json;
use crate::error::Error;
use crate::redact::ShownInput;

/// Why a transaction is not explained, checked or signed.
#[derive(Debug)]
pub(crate) enum SafeError {
    /// The raw transaction is not hexadecimal.
    RawHex,
    /// There is no raw transaction.
    RawEmpty,
    /// The raw transaction is the name of a file.
    RawFile,
    /// The raw transaction cannot be decoded.
    Raw(DecodeError),
    /// The address cannot be read.
    Address(AddressError),
    /// A file is not JSON that can be read.
    Json { path: PathBuf, cause: serde_json::Error },
    /// A field of a file cannot be used, or the whole file if `field` is empty. `problem` is not a text of the file.
    Field { path: PathBuf, field: String, problem: String },
    /// A raw transaction in a file does not have the spent output.
    Proof { path: PathBuf, input: u16, cause: ProofError },
    /// The file has no item for an input.
    SpentMissing { path: PathBuf, input: u16 },
    /// The number of views is not that of the inputs.
    ViewCount { path: PathBuf, views: usize, inputs: usize },
    /// The views are of other transactions.
    OtherViews { path: PathBuf },
    /// A trace needs a spend key.
    TraceKey { path: PathBuf },
    /// The keystore is for a remote signer.
    RemoteSigner { path: PathBuf },
    /// What `--yes` demands is not proven. None for the inputs, otherwise the output, and whether it pays users.
    YesUnproven { output: Option<u16>, are_users: bool },
    /// The answer was not yes.
    Declined,
    /// The transaction is refused.
    Refused(Refusal),
    /// An input cannot be signed.
    Sign { input: u16, cause: SignError },
    /// The signatures cannot be put together.
    Merge(MergeError),
}

impl SafeError {
    /// 1 refused, 2 wrong input.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Proof { .. } | Self::Declined | Self::Sign { .. } | Self::Merge(_) => 1,
            _ => 2,
        }
    }
}

impl fmt::Display for SafeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RawHex => f.write_str(
                "the raw transaction is not hexadecimal; copy it whole, without 0x and quotes, or give - and put it on standard \
                 input",
            ),
            Self::RawEmpty => f.write_str("there is no raw transaction: the argument or standard input is empty"),
            Self::RawFile => {
                f.write_str("the raw transaction is the name of a file; give - and put the file on standard input: - < FILE")
            }
            Self::Raw(cause) => write!(f, "the raw transaction cannot be read: {cause}"),
            Self::Address(cause) => cause.fmt(f),
            Self::Json { path, cause } => write!(
                f,
                "{} cannot be read: line {}, column {}: {}",
                ShownInput(path),
                cause.line(),
                cause.column(),
                json::problem(cause)
            ),
            Self::Field { path, field, problem } if field.is_empty() => {
                write!(f, "{}: {problem}", ShownInput(path))
            }
            Self::Field { path, field, problem } => write!(f, "{}: {field}: {problem}", ShownInput(path)),
            Self::Proof { path, input, cause } => {
                write!(f, "{}: input {input}: ", ShownInput(path))?;
                with_causes(f, cause)
            }
            Self::SpentMissing { path, input } => write!(
                f,
                "{} has no item with the hash and index of input {input}; add the raw transaction, or the item of GET \
                 /safe/outputs",
                ShownInput(path)
            ),
            Self::ViewCount { path, views, inputs } => write!(
                f,
                "{}: the number of views is {views}, and the number of inputs {inputs}; give one for each input",
                ShownInput(path)
            ),
            Self::OtherViews { path } => write!(
                f,
                "{} has no views of this transaction; send the raw transaction to POST /safe/transaction/requests",
                ShownInput(path)
            ),
            Self::TraceKey { path } => write!(
                f,
                "a trace in {} needs the spend key of the sender; give --keystore or --spend-key-stdin",
                ShownInput(path)
            ),
            Self::RemoteSigner { path } => write!(
                f,
                "{} is for a remote signer, and the command needs the spend key itself, to add the view to it; give it \
                 with --spend-key-stdin",
                ShownInput(path)
            ),
            Self::YesUnproven { output, are_users } => {
                f.write_str("--yes signs only if all inputs and receivers are proven, and ")?;
                match output {
                    None => {
                        f.write_str(
                            "an input is not; give the raw transactions that have the spent outputs in --inputs",
                        )?;
                    }
                    Some(output) => write!(f, "the receiver of output {output} is not")?,
                }
                f.write_str(if *are_users { "; what users receive cannot be proven" } else { "" })?;
                f.write_str("; without --yes the command asks")
            }
            Self::Declined => f.write_str("nothing was signed, because the answer was not yes"),
            Self::Refused(refusal) => {
                write!(f, "the transaction is refused: {refusal}")?;
                // No proof can change it.
                let counts_users = matches!(refusal, Refusal::TooMuch { .. });
                f.write_str(if counts_users { "; payments to users count, also to those in own" } else { "" })
            }
            Self::Sign { input, cause } => {
                write!(f, "input {input} cannot be signed: ")?;
                with_causes(f, cause)
            }
            Self::Merge(cause) => with_causes(f, cause),
        }
    }
}

/// An error of the library with its causes.
fn with_causes(f: &mut fmt::Formatter<'_>, error: &dyn std::error::Error) -> fmt::Result {
    write!(f, "{error}")?;
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(f, ": {error}")?;
        cause = error.source();
    }
    Ok(())
}

impl From<SafeError> for Error {
    fn from(error: SafeError) -> Self {
        Self::Safe(Box::new(error))
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        SafeError::Refused(refusal).into()
    }
}
