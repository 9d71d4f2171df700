//! The messages of refusals and of failed proofs, compared with `testdata/errors-policy.txt`.

use mixin_pin_safe::{Amount, ProofError, Refusal, Transaction};

fn refusals() -> Vec<Refusal> {
    let amount = Amount::from_units(150_000_000);
    vec![
        Refusal::NoInputs,
        Refusal::InputRepeated(1),
        Refusal::Genesis(1),
        Refusal::Deposit(1),
        Refusal::Mint(1),
        Refusal::NoOutputs,
        Refusal::Kind(1),
        Refusal::AmountZero(1),
        Refusal::NoKeys(1),
        Refusal::ScriptForm(1),
        Refusal::ThresholdZero(1),
        Refusal::ThresholdAboveKeys(1),
        Refusal::KeyPoint { output: 1, key: 2 },
        Refusal::KeyRepeated { output: 1, key: 2 },
        Refusal::KeyUsed { output: 1, key: 2 },
        Refusal::MaskZero(1),
        Refusal::MaskPoint(1),
        Refusal::WithdrawalUnexpected(1),
        Refusal::WithdrawalNotFirst(1),
        Refusal::WithdrawalMissing(1),
        Refusal::WithdrawalKeys(1),
        Refusal::WithdrawalMask(1),
        Refusal::WithdrawalScript(1),
        Refusal::WithdrawalText(1),
        Refusal::TooManyReferences,
        Refusal::ExtraTooLong,
        Refusal::Aggregate,
        Refusal::SignatureMaps,
        Refusal::Signature { input: 1, signer: 2 },
        Refusal::SignaturesUnverified,
        Refusal::InputsOverflow,
        Refusal::OutputsOverflow,
        Refusal::Sums { inputs: amount, outputs: amount },
        Refusal::SpentCount,
        Refusal::SpentInput(1),
        Refusal::SpentAsset(1),
        Refusal::SpentThreshold(1),
        Refusal::ClaimOutput(1),
        Refusal::ClaimTwice(1),
        Refusal::ClaimKind(1),
        Refusal::ClaimAddress(1),
        Refusal::ClaimThreshold(1),
        Refusal::ClaimKeys(1),
        Refusal::ClaimMask(1),
        Refusal::ClaimKey { output: 1, key: 2 },
        Refusal::StorageAsset(1),
        Refusal::Expired,
        Refusal::AssetNotAllowed,
        Refusal::TooManyOutputs,
        Refusal::ExtraNotAllowed,
        Refusal::ReferenceNotAllowed(1),
        Refusal::WithdrawalNotAllowed(1),
        Refusal::ReceiverNotAllowed(1),
        Refusal::ReceiverUnknown(1),
        Refusal::ReceiverUnproven(1),
        Refusal::TooMuch { leaves: amount, most: amount },
    ]
}

#[test]
fn messages_are_unchanged() {
    let decode = Transaction::decode(&[]).unwrap_err();
    let proofs = [ProofError::Decode(decode), ProofError::Hash, ProofError::Index, ProofError::Kind];
    let refusals = refusals().into_iter().map(|refusal| format!("{refusal}\n"));
    let said: String = refusals.chain(proofs.map(|error| format!("{error}\n"))).collect();
    assert_eq!(said, include_str!("../testdata/errors-policy.txt"));
}

#[test]
fn words_for_programs_are_distinct_and_occur_in_cases() {
    let cases = include_str!("../testdata/refusals-policy.json");
    let mut kinds: Vec<_> = refusals().iter().map(Refusal::kind).collect();
    kinds.sort_unstable();
    assert!(kinds.windows(2).all(|pair| pair[0] != pair[1]));
    // Proofs and payments for storage are computed in the test on evidence.
    let without_case = kinds.into_iter().filter(|kind| !cases.contains(&format!("[\"{kind}\", ")));
    assert_eq!(without_case.collect::<Vec<_>>(), ["spent_input", "storage_asset"]);
}
