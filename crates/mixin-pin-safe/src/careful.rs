//! What is refused under every policy. See the kernel's `common/validation.go`; where the kernel allows
//! more, the text of the refusal says what the danger is.

use crate::effects::{Effects, Payee};
use crate::point::{on_curve, point};
use crate::{Amount, AssetId, Authorization, Class, Output, OutputKind, Refusal, SpentOutput, Transaction};

/// Takes a refusal, and says whether to go on.
pub(crate) type Report<'r> = &'r mut dyn FnMut(Refusal) -> Result<(), Refusal>;

/// The largest threshold in a script.
const MAX_THRESHOLD: u8 = 64;
const MAX_REFERENCES: usize = 16;
/// Bytes of extra without storage.
const FREE_EXTRA: usize = 256;
/// Bytes of extra for each [`CELL`].
const CELL_EXTRA: u128 = 1024;
/// The price of storage: 0.0001 XIN.
const CELL: u128 = 10_000;
/// The most bytes of a withdrawal's address, and of its tag. The kernel has no limit.
const MAX_TEXT: usize = 256;

/// How thoroughly keys and masks are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PointCheck {
    /// Each is a point, and not of small order. This does not find the sum of a point of prime order and one of small order,
    /// which the kernel refuses.
    Quick,
    /// Each is a point of prime order. This takes several times as long as everything else.
    Whole,
}

impl PointCheck {
    fn accepts(self, bytes: &[u8; 32]) -> bool {
        match self {
            Self::Quick => on_curve(bytes).is_ok_and(|point| !point.is_small_order()),
            Self::Whole => point(bytes).is_ok(),
        }
    }
}

/// Reports what is refused, until `report` fails.
pub(crate) fn check(effects: &Effects<'_, '_>, points: PointCheck, report: Report<'_>) -> Result<(), Refusal> {
    inputs(effects, report)?;
    outputs(effects, points, report)?;
    keys(effects, points, report)?;
    let transaction = effects.transaction();
    if transaction.references().len() > MAX_REFERENCES {
        report(Refusal::TooManyReferences)?;
    }
    if transaction.extra().len() > extra_limit(transaction) {
        report(Refusal::ExtraTooLong)?;
    }
    authorization(effects, report)
}

fn inputs(effects: &Effects<'_, '_>, report: Report<'_>) -> Result<(), Refusal> {
    let transaction = effects.transaction();
    let mut seen = Seen::new();
    for (index, input) in (0_u16..).zip(transaction.inputs()) {
        let before = || transaction.inputs().take(index.into());
        if seen.perhaps(input.hash, input.index)
            && before().any(|other| other.hash == input.hash && other.index == input.index)
        {
            report(Refusal::InputRepeated(index))?;
        }
        if !input.genesis.is_empty() {
            report(Refusal::Genesis(index))?;
        }
        if input.deposit.is_some() {
            report(Refusal::Deposit(index))?;
        }
        if input.mint.is_some() {
            report(Refusal::Mint(index))?;
        }
    }
    if transaction.inputs().len() == 0 {
        report(Refusal::NoInputs)?;
    }
    for (index, spent) in (0_u16..).zip(effects.spent()) {
        if spent.asset() != transaction.asset() {
            report(Refusal::SpentAsset(index))?;
        }
        if !spent.is_spendable() {
            report(Refusal::SpentThreshold(index))?;
        }
    }
    match effects.total_in() {
        Some(total) if total != effects.total_out() => {
            report(Refusal::Sums { inputs: total, outputs: effects.total_out() })
        }
        _ => Ok(()),
    }
}

fn outputs(effects: &Effects<'_, '_>, points: PointCheck, report: Report<'_>) -> Result<(), Refusal> {
    let transaction = effects.transaction();
    if transaction.outputs().len() == 0 {
        report(Refusal::NoOutputs)?;
    }
    for (effect, output) in effects.outputs().zip(transaction.outputs()) {
        let index = effect.index;
        if output.amount.is_zero() {
            report(Refusal::AmountZero(index))?;
        }
        match output.kind {
            OutputKind::Script => {
                let storage = matches!((effect.to, effect.class), (Payee::Storage, Class::Proven));
                if storage && transaction.asset() != AssetId::XIN {
                    report(Refusal::StorageAsset(index))?;
                }
                script(index, &output, storage, report)?;
                if *output.mask != [0; 32] && !points.accepts(output.mask) {
                    report(Refusal::MaskPoint(index))?;
                }
            }
            OutputKind::Withdrawal => withdrawal(index, &output, report)?,
            OutputKind::Other(_) => report(Refusal::Kind(index))?,
        }
    }
    Ok(())
}

/// An output of type `00`, without its points.
fn script(index: u16, output: &Output<'_>, storage: bool, report: Report<'_>) -> Result<(), Refusal> {
    if output.keys.is_empty() {
        report(Refusal::NoKeys(index))?;
    }
    match output.threshold() {
        None => report(Refusal::ScriptForm(index))?,
        Some(threshold) if threshold > MAX_THRESHOLD => report(Refusal::ScriptForm(index))?,
        Some(0) => report(Refusal::ThresholdZero(index))?,
        Some(threshold) if usize::from(threshold) > output.keys.len() && !storage => {
            report(Refusal::ThresholdAboveKeys(index))?;
        }
        Some(_) => {}
    }
    if output.withdrawal.is_some() {
        report(Refusal::WithdrawalUnexpected(index))?;
    }
    if *output.mask == [0; 32] {
        report(Refusal::MaskZero(index))?;
    }
    Ok(())
}

fn withdrawal(index: u16, output: &Output<'_>, report: Report<'_>) -> Result<(), Refusal> {
    if index != 0 {
        report(Refusal::WithdrawalNotFirst(index))?;
    }
    if !output.keys.is_empty() {
        report(Refusal::WithdrawalKeys(index))?;
    }
    if *output.mask != [0; 32] {
        report(Refusal::WithdrawalMask(index))?;
    }
    if !output.script.is_empty() {
        report(Refusal::WithdrawalScript(index))?;
    }
    match output.withdrawal {
        None => report(Refusal::WithdrawalMissing(index)),
        Some(to) => {
            // Anything else could look like another address where a person reads it.
            let address = (1..=MAX_TEXT).contains(&to.address.len()) && to.address.iter().all(u8::is_ascii_graphic);
            let tag = to.tag.len() <= MAX_TEXT && to.tag.iter().all(|byte| matches!(byte, b' '..=b'~'));
            if address && tag { Ok(()) } else { report(Refusal::WithdrawalText(index)) }
        }
    }
}

/// The keys of all outputs: points, and each only once.
fn keys(effects: &Effects<'_, '_>, points: PointCheck, report: Report<'_>) -> Result<(), Refusal> {
    let transaction = effects.transaction();
    let mut seen = Seen::new();
    for key in effects.spent().iter().flat_map(SpentOutput::keys) {
        seen.perhaps(key, 0);
    }
    for (output, parts) in (0_u16..).zip(transaction.outputs()) {
        for (key, bytes) in (0_u16..).zip(parts.keys) {
            if seen.perhaps(bytes, 0) {
                let mut before = transaction.outputs().take(output.into());
                if parts.keys[..key.into()].contains(bytes) || before.any(|other| other.keys.contains(bytes)) {
                    report(Refusal::KeyRepeated { output, key })?;
                }
                if effects.spent().iter().any(|spent| spent.keys().contains(bytes)) {
                    report(Refusal::KeyUsed { output, key })?;
                }
            }
            if !points.accepts(bytes) {
                report(Refusal::KeyPoint { output, key })?;
            }
        }
    }
    Ok(())
}

/// How long the extra bytes may be: the largest payment for storage decides.
fn extra_limit(transaction: &Transaction<'_>) -> usize {
    if transaction.asset() != AssetId::XIN {
        return FREE_EXTRA;
    }
    let storage = |output: &Output<'_>| {
        output.kind == OutputKind::Script && output.keys.len() == 1 && output.threshold() == Some(MAX_THRESHOLD)
    };
    let paid = transaction.outputs().filter(storage).map(|output| output.amount).max().unwrap_or(Amount::ZERO);
    match paid.to_units().unwrap_or(u128::MAX) / CELL {
        0 => FREE_EXTRA,
        cells => usize::try_from(cells.saturating_mul(CELL_EXTRA)).unwrap_or(usize::MAX).min(Transaction::MAX_LEN),
    }
}

fn authorization(effects: &Effects<'_, '_>, report: Report<'_>) -> Result<(), Refusal> {
    let Authorization::Signatures(signatures) = effects.transaction().authorization() else {
        return report(Refusal::Aggregate);
    };
    if ![0, effects.transaction().inputs().len()].contains(&signatures.maps().into()) {
        report(Refusal::SignatureMaps)?;
    }
    if effects.spent().is_empty() {
        return Ok(());
    }
    for signature in signatures {
        let spent = effects.spent().get(usize::from(signature.input));
        if spent.is_none_or(|spent| signature.verify(effects.hash(), spent).is_err()) {
            report(Refusal::Signature { input: signature.input, signer: signature.signer })?;
        }
    }
    Ok(())
}

/// A filter: says quickly that bytes are new. If it does not, the caller searches for them.
struct Seen([u64; 256]);

impl Seen {
    const fn new() -> Self {
        Self([0; 256])
    }

    /// Notes bytes with a number. `false` if they are new, `true` if they may have occurred before.
    fn perhaps(&mut self, bytes: &[u8; 32], number: u16) -> bool {
        let place = usize::from(u16::from_le_bytes([bytes[0], bytes[1]]) ^ number) % (64 * self.0.len());
        let (word, bit) = (&mut self.0[place / 64], 1 << (place % 64));
        let seen = *word & bit != 0;
        *word |= bit;
        seen
    }
}
