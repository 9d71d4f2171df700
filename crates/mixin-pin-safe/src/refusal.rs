//! Why a transaction is not signed.

use core::fmt;

use crate::{Amount, Field};

/// Why a transaction, or the evidence on it, is refused.
///
/// The text names the field and the reason. It contains no text from the transaction.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no input.
    NoInputs,
    /// An input spends the same output as one before it.
    InputRepeated(u16),
    /// An input has genesis bytes.
    Genesis(u16),
    /// An input is a deposit.
    Deposit(u16),
    /// An input is a mint.
    Mint(u16),
    /// There is no output.
    NoOutputs,
    /// An output has a type other than `00` and `a1`.
    Kind(u16),
    /// An output's amount is 0.
    AmountZero(u16),
    /// An output of type `00` has no keys: nobody could spend it.
    NoKeys(u16),
    /// The script of an output of type `00` is not `ff fe` and a threshold of at most 64.
    ScriptForm(u16),
    /// An output's threshold is 0: anyone could spend it.
    ThresholdZero(u16),
    /// An output's threshold is greater than its number of keys, and it is not proven to pay for storage.
    ThresholdAboveKeys(u16),
    /// An output's key is not the canonical encoding of a point of prime order.
    KeyPoint {
        /// The output.
        output: u16,
        /// The position among its keys.
        key: u16,
    },
    /// An output's key occurs before, in the same output or in another.
    KeyRepeated {
        /// The output.
        output: u16,
        /// The position among its keys.
        key: u16,
    },
    /// An output's key is a key of a spent output, so the kernel would refuse the transaction.
    KeyUsed {
        /// The output.
        output: u16,
        /// The position among its keys.
        key: u16,
    },
    /// The mask of an output of type `00` is zero.
    MaskZero(u16),
    /// The mask of an output of type `00` is not the canonical encoding of a point of prime order.
    MaskPoint(u16),
    /// An output of type `00` has the data of a withdrawal.
    WithdrawalUnexpected(u16),
    /// A withdrawal is not the first output.
    WithdrawalNotFirst(u16),
    /// A withdrawal does not say where it goes.
    WithdrawalMissing(u16),
    /// A withdrawal has keys.
    WithdrawalKeys(u16),
    /// A withdrawal has a mask.
    WithdrawalMask(u16),
    /// A withdrawal has a script.
    WithdrawalScript(u16),
    /// The address of a withdrawal is not 1 to 256 visible ASCII characters, or the tag not at most 256 printable ones.
    WithdrawalText(u16),
    /// There are more than 16 references.
    TooManyReferences,
    /// The extra bytes are longer than the kernel allows.
    ExtraTooLong,
    /// The transaction has an aggregate signature.
    Aggregate,
    /// The number of signature maps is neither 0 nor the number of inputs.
    SignatureMaps,
    /// A signature does not verify.
    Signature {
        /// The input.
        input: u16,
        /// The signer's position among the keys of the spent output.
        signer: u16,
    },
    /// There are signatures, but the outputs that they spend are not known.
    SignaturesUnverified,
    /// The amounts of the spent outputs exceed 256 bits together.
    InputsOverflow,
    /// The amounts of the outputs exceed 256 bits together.
    OutputsOverflow,
    /// The spent outputs and the outputs have different sums.
    Sums {
        /// The sum of the spent outputs.
        inputs: Amount,
        /// The sum of the outputs.
        outputs: Amount,
    },
    /// The number of spent outputs is neither 0 nor the number of inputs.
    SpentCount,
    /// A spent output was proven for another input.
    SpentInput(u16),
    /// A spent output has another asset.
    SpentAsset(u16),
    /// The threshold of a spent output is 0 or greater than its number of keys, or it has more keys than the kernel allows.
    SpentThreshold(u16),
    /// A claim is about an output that does not exist.
    ClaimOutput(u16),
    /// There are two claims for one output.
    ClaimTwice(u16),
    /// A claim names a receiver for an output that is not of type `00`.
    ClaimKind(u16),
    /// A claim cannot be made for this address: only keys in an address are recomputed, and only users' are answered.
    ClaimAddress(u16),
    /// The claimed receiver has another threshold than the output.
    ClaimThreshold(u16),
    /// The output has another number of keys than the claimed address has members, or the server's answer has keys.
    ClaimKeys(u16),
    /// The mask differs from the claim.
    ClaimMask(u16),
    /// A key differs from the claim.
    ClaimKey {
        /// The output.
        output: u16,
        /// The position among its keys.
        key: u16,
    },
    /// Storage is paid in another asset than XIN.
    StorageAsset(u16),
    /// The policy has expired.
    Expired,
    /// The policy is for another asset.
    AssetNotAllowed,
    /// There are more outputs than the policy allows.
    TooManyOutputs,
    /// The policy does not allow the extra bytes.
    ExtraNotAllowed,
    /// The policy does not name the reference.
    ReferenceNotAllowed(u16),
    /// The policy does not name the withdrawal's address and tag.
    WithdrawalNotAllowed(u16),
    /// The policy does not name the receiver.
    ReceiverNotAllowed(u16),
    /// Nothing says whom an output pays.
    ReceiverUnknown(u16),
    /// Only a server's answer says whom an output pays.
    ReceiverUnproven(u16),
    /// More would leave than the policy allows.
    TooMuch {
        /// What would leave.
        leaves: Amount,
        /// The most that the policy allows.
        most: Amount,
    },
}

impl Refusal {
    /// The field that is refused. `None` if it is not a part of the transaction.
    pub const fn field(&self) -> Option<Field> {
        Some(match *self {
            Self::Expired => return None,
            Self::NoInputs | Self::InputsOverflow | Self::SpentCount => Field::Inputs,
            Self::InputRepeated(i) | Self::SpentInput(i) | Self::SpentAsset(i) | Self::SpentThreshold(i) => {
                Field::Input(i)
            }
            Self::Genesis(i) => Field::Genesis(i),
            Self::Deposit(i) => Field::Deposit(i),
            Self::Mint(i) => Field::Mint(i),
            Self::NoOutputs
            | Self::OutputsOverflow
            | Self::Sums { .. }
            | Self::ClaimOutput(_)
            | Self::TooManyOutputs
            | Self::TooMuch { .. } => Field::Outputs,
            Self::Kind(i) | Self::WithdrawalNotFirst(i) | Self::ClaimKind(i) => Field::Kind(i),
            Self::AmountZero(i) => Field::Amount(i),
            Self::NoKeys(i)
            | Self::WithdrawalKeys(i)
            | Self::ClaimTwice(i)
            | Self::ClaimAddress(i)
            | Self::ClaimKeys(i)
            | Self::ReceiverNotAllowed(i)
            | Self::ReceiverUnknown(i)
            | Self::ReceiverUnproven(i) => Field::Keys(i),
            Self::ScriptForm(i)
            | Self::ThresholdZero(i)
            | Self::ThresholdAboveKeys(i)
            | Self::WithdrawalScript(i)
            | Self::ClaimThreshold(i)
            | Self::StorageAsset(i) => Field::Script(i),
            Self::KeyPoint { output, key }
            | Self::KeyRepeated { output, key }
            | Self::KeyUsed { output, key }
            | Self::ClaimKey { output, key } => Field::Key { output, key },
            Self::MaskZero(i) | Self::MaskPoint(i) | Self::WithdrawalMask(i) | Self::ClaimMask(i) => Field::Mask(i),
            Self::WithdrawalUnexpected(i)
            | Self::WithdrawalMissing(i)
            | Self::WithdrawalText(i)
            | Self::WithdrawalNotAllowed(i) => Field::Withdrawal(i),
            Self::TooManyReferences => Field::References,
            Self::ReferenceNotAllowed(i) => Field::Reference(i),
            Self::ExtraTooLong | Self::ExtraNotAllowed => Field::Extra,
            Self::Aggregate | Self::SignatureMaps | Self::SignaturesUnverified => Field::Authorization,
            Self::Signature { input, .. } => Field::Signatures(input),
            Self::AssetNotAllowed => Field::Asset,
        })
    }

    /// The reason as a word for programs: lower case, with underscores. It does not change between versions.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NoInputs => "no_inputs",
            Self::InputRepeated(_) => "input_repeated",
            Self::Genesis(_) => "genesis",
            Self::Deposit(_) => "deposit",
            Self::Mint(_) => "mint",
            Self::NoOutputs => "no_outputs",
            Self::Kind(_) => "kind",
            Self::AmountZero(_) => "amount_zero",
            Self::NoKeys(_) => "no_keys",
            Self::ScriptForm(_) => "script_form",
            Self::ThresholdZero(_) => "threshold_zero",
            Self::ThresholdAboveKeys(_) => "threshold_above_keys",
            Self::KeyPoint { .. } => "key_point",
            Self::KeyRepeated { .. } => "key_repeated",
            Self::KeyUsed { .. } => "key_used",
            Self::MaskZero(_) => "mask_zero",
            Self::MaskPoint(_) => "mask_point",
            Self::WithdrawalUnexpected(_) => "withdrawal_unexpected",
            Self::WithdrawalNotFirst(_) => "withdrawal_not_first",
            Self::WithdrawalMissing(_) => "withdrawal_missing",
            Self::WithdrawalKeys(_) => "withdrawal_keys",
            Self::WithdrawalMask(_) => "withdrawal_mask",
            Self::WithdrawalScript(_) => "withdrawal_script",
            Self::WithdrawalText(_) => "withdrawal_text",
            Self::TooManyReferences => "too_many_references",
            Self::ExtraTooLong => "extra_too_long",
            Self::Aggregate => "aggregate",
            Self::SignatureMaps => "signature_maps",
            Self::Signature { .. } => "signature",
            Self::SignaturesUnverified => "signatures_unverified",
            Self::InputsOverflow => "inputs_overflow",
            Self::OutputsOverflow => "outputs_overflow",
            Self::Sums { .. } => "sums",
            Self::SpentCount => "spent_count",
            Self::SpentInput(_) => "spent_input",
            Self::SpentAsset(_) => "spent_asset",
            Self::SpentThreshold(_) => "spent_threshold",
            Self::ClaimOutput(_) => "claim_output",
            Self::ClaimTwice(_) => "claim_twice",
            Self::ClaimKind(_) => "claim_kind",
            Self::ClaimAddress(_) => "claim_address",
            Self::ClaimThreshold(_) => "claim_threshold",
            Self::ClaimKeys(_) => "claim_keys",
            Self::ClaimMask(_) => "claim_mask",
            Self::ClaimKey { .. } => "claim_key",
            Self::StorageAsset(_) => "storage_asset",
            Self::Expired => "expired",
            Self::AssetNotAllowed => "asset_not_allowed",
            Self::TooManyOutputs => "too_many_outputs",
            Self::ExtraNotAllowed => "extra_not_allowed",
            Self::ReferenceNotAllowed(_) => "reference_not_allowed",
            Self::WithdrawalNotAllowed(_) => "withdrawal_not_allowed",
            Self::ReceiverNotAllowed(_) => "receiver_not_allowed",
            Self::ReceiverUnknown(_) => "receiver_unknown",
            Self::ReceiverUnproven(_) => "receiver_unproven",
            Self::TooMuch { .. } => "too_much",
        }
    }

    /// The reason without the field.
    const fn reason(&self) -> &'static str {
        match self {
            Self::NoInputs | Self::NoOutputs => "there are none",
            Self::InputRepeated(_) => "it spends the same output as an input before it",
            Self::Genesis(_) => "only the kernel's first transactions have one",
            Self::Deposit(_) => "only the kernel's nodes sign deposits",
            Self::Mint(_) => "only the kernel's nodes sign mints",
            Self::Kind(_) => "only the types 00 and a1 are signed",
            Self::AmountZero(_) => "it is 0",
            Self::NoKeys(_) => "there are none, so nobody could spend it",
            Self::ScriptForm(_) => "it is not ff fe and a threshold of at most 64",
            Self::ThresholdZero(_) => "the threshold is 0, so anyone could spend it",
            Self::ThresholdAboveKeys(_) => {
                "the threshold is greater than the number of keys, so nobody could spend it; a payment for storage must \
                 be proven by its mask secret"
            }
            Self::KeyPoint { .. } | Self::MaskPoint(_) => "it is not the canonical encoding of a point of prime order",
            Self::KeyRepeated { .. } => "it occurs earlier in this transaction",
            Self::KeyUsed { .. } => "it is also a key of a spent output; the kernel refuses that",
            Self::MaskZero(_) => "it is zero, so no receiver could find its key",
            Self::WithdrawalUnexpected(_) => "an output of type 00 must not have one",
            Self::WithdrawalNotFirst(_) => "a withdrawal must be the first output",
            Self::WithdrawalMissing(_) => "a withdrawal must say where it goes",
            Self::WithdrawalKeys(_) | Self::WithdrawalMask(_) | Self::WithdrawalScript(_) => {
                "a withdrawal must not have any"
            }
            Self::WithdrawalText(_) => {
                "the address must be 1 to 256 visible ASCII characters, and the tag at most 256 printable ones"
            }
            Self::TooManyReferences => "there are more than 16",
            Self::ExtraTooLong => "it is longer than allowed: 256 bytes, or more if storage is paid",
            Self::Aggregate => "aggregate signatures are not supported; every signer must sign alone",
            Self::SignatureMaps => "the number of signature maps is neither 0 nor the number of inputs",
            Self::Signature { .. } => "is not valid for the spent output",
            Self::SignaturesUnverified => {
                "the signatures cannot be verified; give the spent outputs, or the bytes without signatures"
            }
            Self::InputsOverflow | Self::OutputsOverflow => "their sum has more than 256 bits",
            Self::Sums { .. } => "the sums of the spent outputs and of the outputs differ",
            Self::SpentCount => "the number of spent outputs is neither 0 nor the number of inputs",
            Self::SpentInput(_) => "the spent output was proven for another input",
            Self::SpentAsset(_) => "the spent output has another asset",
            Self::SpentThreshold(_) => {
                "the spent output has a threshold of 0, fewer keys than its threshold, or more than 256 keys"
            }
            Self::ClaimOutput(_) => "does not exist, but a claim says whom it pays",
            Self::ClaimTwice(_) => "there are two claims on the receiver",
            Self::ClaimKind(_) => "a claim names a receiver, but only an output of type 00 has receivers",
            Self::ClaimAddress(_) => {
                "the claim does not fit the address: a mask secret proves keys in an address, and a server's answer is \
                 about users"
            }
            Self::ClaimThreshold(_) => "the threshold differs from the claimed receiver's",
            Self::ClaimKeys(_) => "the number of keys differs from the claim on the receiver",
            Self::ClaimMask(_) | Self::ClaimKey { .. } => "it differs from the claim on the receiver",
            Self::StorageAsset(_) => "storage is paid in XIN only",
            Self::Expired => "the policy has expired; make a new one",
            Self::AssetNotAllowed => "the policy is for another asset",
            Self::TooManyOutputs => "there are more than the policy allows",
            Self::ExtraNotAllowed => "the policy does not allow these bytes",
            Self::ReferenceNotAllowed(_) => "the policy does not name it",
            Self::WithdrawalNotAllowed(_) => "the policy does not name this address with this tag",
            Self::ReceiverNotAllowed(_) => "the policy does not name the receiver",
            Self::ReceiverUnknown(_) => {
                "nothing says who the receiver is; give a mask secret, or a server's answer if the policy accepts one"
            }
            Self::ReceiverUnproven(_) => {
                "only a server's answer says who the receiver is, and the policy demands a proof"
            }
            Self::TooMuch { .. } => "more would leave than the policy allows",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = self.field() {
            write!(f, "{field}: ")?;
        }
        match self {
            Self::Signature { signer, .. } => write!(f, "the signature of signer {signer} ")?,
            Self::ClaimOutput(output) => write!(f, "output {output} ")?,
            _ => {}
        }
        f.write_str(self.reason())?;
        match self {
            Self::Sums { inputs, outputs } => write!(f, ": {inputs} and {outputs}"),
            Self::TooMuch { leaves, most } => write!(f, ": {leaves}, and the most is {most}"),
            _ => Ok(()),
        }
    }
}

impl core::error::Error for Refusal {}
