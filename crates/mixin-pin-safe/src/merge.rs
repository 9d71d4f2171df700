//! Merging signatures of several signers into a transaction.

#[cfg(feature = "alloc")]
use alloc::{vec, vec::Vec};
use core::fmt;

use crate::encode::{Buffer, Counter, Sink, within_length, write_signatures};
use crate::{Authorization, DetachedSignature, EncodeError, SignaturesIter, SpentOutput, Transaction, VerifyError};

/// Signatures are not merged into a transaction.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeError {
    /// There is not one spent output for each input.
    SpentCount,
    /// A spent output is proven for another input than the one at its place.
    SpentInput(u16),
    /// A spent output has another asset than the transaction.
    SpentAsset(u16),
    /// A spent output has a threshold of 0 or more than its keys, or more keys than the kernel allows.
    SpentThreshold(u16),
    /// The transaction has an aggregate signature.
    Aggregate,
    /// The transaction has signatures, but not one map of them for each input.
    Maps,
    /// A signature belongs to an input that the transaction does not have.
    NoInput {
        /// The input that it names.
        input: u16,
    },
    /// A signature is not valid.
    Signature {
        /// The input.
        input: u16,
        /// The position of the signer's key.
        signer: u16,
        /// Why.
        cause: VerifyError,
    },
    /// Two signatures of one signer differ. Both are valid: leave one out.
    Twice {
        /// The input.
        input: u16,
        /// The position of the signer's key.
        signer: u16,
    },
    /// The result is too long, or has too many signatures.
    Encode(EncodeError),
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SpentCount => f.write_str("there must be one spent output for each input"),
            Self::SpentInput(input) => write!(f, "the spent output given for input {input} is that of another input"),
            Self::SpentAsset(input) => write!(f, "the spent output given for input {input} has another asset"),
            Self::SpentThreshold(input) => write!(
                f,
                "the spent output given for input {input} has a threshold of 0, fewer keys than its threshold, or more than 256 keys"
            ),
            Self::Aggregate => f.write_str("the transaction has an aggregate signature; nothing can be added to it"),
            Self::Maps => f.write_str("the number of signature maps is neither 0 nor the number of inputs"),
            Self::NoInput { input } => {
                write!(f, "a signature is for input {input}, which the transaction does not have")
            }
            Self::Signature { input, signer, .. } => {
                write!(f, "the signature of signer {signer} for input {input} is refused")
            }
            Self::Twice { input, signer } => {
                write!(f, "signer {signer} has two different signatures for input {input}; leave one out")
            }
            Self::Encode(_) => f.write_str("the signed transaction cannot be written"),
        }
    }
}

impl core::error::Error for MergeError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Signature { cause, .. } => Some(cause),
            Self::Encode(cause) => Some(cause),
            _ => None,
        }
    }
}

/// Merges signatures into a transaction, and verifies all of them, also those that the transaction has.
///
/// `spent` are the spent outputs, one for each input in their order. The signatures may have any order. A signature
/// that the transaction has already is not added again.
///
/// # Errors
/// [`MergeError`] for the first signature that is not valid, or if the arguments do not belong together.
///
/// # Example
///
/// Two owners have signed the same bytes side by side:
///
/// ```
/// use mixin_pin_safe::{Authorization, MergeError, SpentOutput, Transaction, merge};
///
/// fn together<'a>(one: &Transaction<'a>, other: &Transaction<'a>, spent: &[SpentOutput<'_>]) -> Result<Vec<u8>, MergeError> {
///     let Authorization::Signatures(signatures) = other.authorization() else { return Err(MergeError::Aggregate) };
///     let signatures: Vec<_> = signatures.iter().collect();
///     merge(one, spent, &signatures)?.encode().map_err(MergeError::Encode)
/// }
/// ```
///
/// A signature of another transaction does not verify, so a mistake is found.
pub fn merge<'a>(
    transaction: &Transaction<'a>,
    spent: &'a [SpentOutput<'a>],
    signatures: &'a [DetachedSignature],
) -> Result<Merged<'a>, MergeError> {
    let Authorization::Signatures(existing) = transaction.authorization() else {
        return Err(MergeError::Aggregate);
    };
    if spent.len() != transaction.inputs().len() {
        return Err(MergeError::SpentCount);
    }
    for (index, (spent, input)) in (0..).zip(spent.iter().zip(transaction.inputs())) {
        if !spent.may_be_of(&input) {
            return Err(MergeError::SpentInput(index));
        }
        if spent.asset() != transaction.asset() {
            return Err(MergeError::SpentAsset(index));
        }
        if !spent.is_spendable() {
            return Err(MergeError::SpentThreshold(index));
        }
    }
    if ![0, spent.len()].contains(&existing.maps().into()) {
        return Err(MergeError::Maps);
    }
    let maps = u16::try_from(spent.len()).map_err(|_| MergeError::SpentCount)?;
    let all = Ascending { existing: existing.iter(), further: signatures, last: None };
    let hash = transaction.hash();
    let mut last: Option<DetachedSignature> = None;
    for next in all.clone() {
        let DetachedSignature { input, signer, .. } = next;
        if last.is_some_and(|last| (last.input, last.signer) == (input, signer)) {
            return Err(MergeError::Twice { input, signer });
        }
        let spent = spent.get(usize::from(input)).ok_or(MergeError::NoInput { input })?;
        next.verify(hash, spent).map_err(|cause| MergeError::Signature { input, signer, cause })?;
        last = Some(next);
    }
    // An unsigned transaction has no maps.
    let maps = if last.is_some() { maps } else { 0 };
    let mut merged = Merged { transaction: *transaction, spent, maps, signatures: all, len: 0 };
    let mut counter = Counter(0);
    merged.len = merged.write(&mut counter).and_then(|()| within_length(counter.0)).map_err(MergeError::Encode)?;
    Ok(merged)
}

/// A transaction with the signatures that were merged into it, all of them verified.
#[derive(Debug, Clone)]
pub struct Merged<'a> {
    transaction: Transaction<'a>,
    spent: &'a [SpentOutput<'a>],
    maps: u16,
    signatures: Ascending<'a>,
    len: usize,
}

impl<'a> Merged<'a> {
    /// All signatures, ascending by input and signer.
    pub fn signatures(&self) -> impl Iterator<Item = DetachedSignature> + Clone + use<'a> {
        self.signatures.clone()
    }

    /// How many signatures an input still needs. 0 for an input that the transaction does not have.
    pub fn missing(&self, input: u16) -> u8 {
        let needed = self.spent.get(usize::from(input)).map_or(0, SpentOutput::threshold);
        let made = self.signatures().filter(|signature| signature.input == input).count();
        u8::try_from(usize::from(needed).saturating_sub(made)).unwrap_or(u8::MAX)
    }

    /// Whether there are inputs, and each has as many signatures as it needs.
    pub fn is_complete(&self) -> bool {
        !self.spent.is_empty() && (0..).zip(self.spent).all(|(input, _)| self.missing(input) == 0)
    }

    /// The number of bytes that encoding writes.
    pub const fn encoded_len(&self) -> usize {
        self.len
    }

    /// Writes the transaction with its signatures to the start of the buffer, and returns what it wrote.
    ///
    /// # Errors
    /// [`EncodeProblem::Buffer`](crate::EncodeProblem::Buffer) if the buffer is too small. It may be partly written.
    pub fn encode_into<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
        let mut sink = Buffer::new(buffer);
        self.write(&mut sink)?;
        sink.finish()
    }

    /// The bytes of the transaction with its signatures.
    ///
    /// # Errors
    /// None: [`merge`] has checked the limits before.
    #[cfg(feature = "alloc")]
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut bytes = vec![0; self.encoded_len()];
        self.encode_into(&mut bytes)?;
        Ok(bytes)
    }

    fn write(&self, sink: &mut impl Sink) -> Result<(), EncodeError> {
        sink.write(self.transaction.payload());
        write_signatures(sink, self.maps, self.signatures())
    }
}

/// The signatures of a transaction and further ones, ascending by input and signer. Equal ones come once.
#[derive(Debug, Clone)]
struct Ascending<'a> {
    /// Those of the transaction, which ascend.
    existing: SignaturesIter<'a>,
    /// Further ones, in any order.
    further: &'a [DetachedSignature],
    last: Option<DetachedSignature>,
}

impl Iterator for Ascending<'_> {
    type Item = DetachedSignature;

    fn next(&mut self) -> Option<DetachedSignature> {
        fn order(signature: &DetachedSignature) -> (u16, u16, &[u8; 64]) {
            (signature.input, signature.signer, &signature.signature)
        }
        let last = self.last;
        let is_left = |one: &&DetachedSignature| last.is_none_or(|last| order(one) > order(&last));
        let further = self.further.iter().filter(is_left).min_by(|one, other| order(one).cmp(&order(other))).copied();
        let mut existing = self.existing.clone();
        let next = match (existing.next(), further) {
            (Some(one), Some(other)) if order(&other) < order(&one) => other,
            (Some(one), _) => {
                self.existing = existing;
                one
            }
            (None, further) => further?,
        };
        self.last = Some(next);
        Some(next)
    }
}
