//! What is proven: inputs by the transactions that they spend, receivers by mask secrets, and payments for storage.

#[allow(dead_code)]
mod model;

use mixin_pin_safe::mixin_pin_core::UnixTime;
use mixin_pin_safe::{
    Amount, AssetId, Claim, Class, Effects, Evidence, ExtraRule, Input, MaskSecret, MixAddress, Payee, PointCheck,
    Policy, ProofError, Receiver, Refusal, SpentOutput, Transaction, Unproven, Withdrawal,
};
use model::{Moves, Out, number};
use serde_json::Value;

const SOURCE: &str = "01c43005fd06e0b8f06a0af04faf7530331603e352a11032afd0fd9dbd84e8ee";
const SPENDER: &str = "f45e51276a031a46d25998605324e8a3f1b720d33f66dc226018448f53bda4c4";
const NOW: UnixTime = UnixTime::from_secs(1);

/// All transactions of the vectors, by hash.
fn transactions() -> Vec<(String, Vec<u8>)> {
    let vectors: Value = serde_json::from_str(include_str!("../testdata/safe-v5.json")).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let raws = vectors["transactions"].as_array().unwrap();
    assert!(raws.len() >= 12);
    raws.iter()
        .map(|raw| (text(&raw["payload_hash"]), base16ct::lower::decode_vec(text(&raw["raw"])).unwrap()))
        .collect()
}

fn raw(hash: &str) -> Vec<u8> {
    transactions().into_iter().find(|(other, _)| other == hash).unwrap().1
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn refusals(effects: &Effects<'_, '_>) -> Vec<Refusal> {
    let mut found = vec![];
    effects.for_each_refusal(PointCheck::Whole, &mut |refusal| found.push(refusal));
    found
}

/// Allows anyone, but no more than `most`.
fn policy(asset: AssetId, most: &str) -> Policy<'static> {
    Policy {
        asset,
        most: amount(most),
        own: &[],
        receivers: &[],
        withdrawals: &[],
        most_outputs: 256,
        extra: ExtraRule::AtMost(u32::MAX),
        references: &[],
        unproven: Unproven::Any,
        until: NOW,
    }
}

#[test]
fn a_source_proves_a_real_input_and_no_other_transaction_does() {
    let spender = raw(SPENDER);
    let spender = Transaction::decode(&spender).unwrap();
    let input = spender.input(0).unwrap();
    for (hash, source) in transactions() {
        let proven = SpentOutput::proven(&source, &input);
        if hash == SOURCE {
            let proven = proven.unwrap();
            assert_eq!((proven.asset(), proven.amount()), (spender.asset(), amount("0.005")));
            assert_eq!((proven.keys().len(), proven.threshold(), proven.is_proven()), (2, 2, true));
        } else {
            assert_eq!(proven, Err(ProofError::Hash), "{hash}");
        }
    }
    let source = raw(SOURCE);
    let payload = Transaction::decode(&source).unwrap().payload().len();
    for bit in 0..8 * payload {
        let mut changed = source.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let proven = SpentOutput::proven(&changed, &input);
        assert!(matches!(proven, Err(ProofError::Hash | ProofError::Decode(_))), "bit {bit}: {proven:?}");
    }
    for length in 0..source.len() {
        assert!(matches!(SpentOutput::proven(&source[..length], &input), Err(ProofError::Decode(_))));
    }
    let at = |index| Input { index, ..input };
    assert_eq!(SpentOutput::proven(&source, &at(1)).unwrap().amount(), amount("0.00027463"));
    assert_eq!(SpentOutput::proven(&source, &at(2)), Err(ProofError::Index));
    let hash = spender.hash().0;
    let of_withdrawal = Input { hash: &hash, index: 0, ..input };
    assert_eq!(SpentOutput::proven(spender.as_bytes(), &of_withdrawal), Err(ProofError::Kind));
}

#[test]
fn a_real_withdrawal_is_explained_and_bounded() {
    let (spender, source) = (raw(SPENDER), raw(SOURCE));
    let spender = Transaction::decode(&spender).unwrap();
    let spent = [SpentOutput::proven(&source, &spender.input(0).unwrap()).unwrap()];
    let evidence = Evidence { spent: &spent, receivers: &[] };
    let effects = Effects::of(&spender, &evidence).unwrap();
    assert_eq!((effects.total_in(), effects.total_out()), (Some(amount("0.005")), amount("0.005")));
    assert!(effects.inputs_proven());
    assert_eq!(refusals(&effects), []);
    let outputs: Vec<_> = effects.outputs().collect();
    let to = Withdrawal { address: b"73yoz7kK3zgh2ScD9aTJpXCrKHETi1xyEKfMTH95ugff", tag: b"" };
    assert!(matches!(outputs[0].to, Payee::Withdrawal(withdrawal) if withdrawal == to));
    assert_eq!((outputs[0].class, outputs[0].amount, outputs[0].threshold), (Class::Proven, amount("0.0049"), None));
    assert!(matches!(outputs[1].to, Payee::Unknown));
    assert_eq!(
        (outputs[1].class, outputs[1].amount, outputs[1].threshold),
        (Class::Unknown, amount("0.0001"), Some(2))
    );

    let withdrawals = [to];
    let policy = Policy { withdrawals: &withdrawals, ..policy(spender.asset(), "0.005") };
    let approved = policy.check(&spender, &evidence, NOW).unwrap();
    assert_eq!((approved.leaves(), approved.hash()), (amount("0.005"), spender.hash()));
    let tight = Policy { most: amount("0.00499999"), ..policy };
    let too_much = Refusal::TooMuch { leaves: amount("0.005"), most: amount("0.00499999") };
    assert_eq!(tight.check(&spender, &evidence, NOW).unwrap_err(), too_much, "unproven change leaves");
}

#[test]
fn without_evidence_everything_is_unknown() {
    let spender = raw(SPENDER);
    let spender = Transaction::decode(&spender).unwrap();
    let effects = Effects::of(&spender, &Evidence::default()).unwrap();
    assert_eq!((effects.total_in(), effects.inputs_proven(), refusals(&effects)), (None, false, vec![]));
}

#[test]
fn a_proof_counts_for_its_input_only() {
    let source = raw(SOURCE);
    let hash = Transaction::decode(&source).unwrap().hash().0;
    let key = model::mask(&7_u8.into());
    let paid = Out {
        kind: 0,
        amount: number(527_463),
        keys: vec![key],
        mask: key,
        script: vec![255, 254, 1],
        withdrawal: None,
    };
    let asset = Transaction::decode(&source).unwrap().asset();
    let inputs = vec![(hash, 0), (hash, 1)];
    let moves = Moves { asset: asset.0, inputs, outputs: vec![paid], references: vec![], extra: vec![] }.write();
    let transaction = Transaction::decode(&moves).unwrap();
    let [first, second] = [0, 1].map(|index| SpentOutput::proven(&source, &transaction.input(index).unwrap()).unwrap());
    let check = |spent: &[SpentOutput<'_>]| {
        policy(asset, "0.00527463")
            .check(&transaction, &Evidence { spent, receivers: &[] }, NOW)
            .map(|approved| approved.leaves())
    };
    assert_eq!(check(&[first, second]), Ok(amount("0.00527463")));
    assert_eq!(check(&[second, first]), Err(Refusal::SpentInput(0)));
    assert_eq!(check(&[first, first]), Err(Refusal::SpentInput(1)));
    assert_eq!(check(&[first]), Err(Refusal::SpentCount));
}

/// The owners in an address.
fn owners(address: &MixAddress) -> model::Owners {
    let members = address.members().addresses().map(|member| (*member.spend(), *member.view())).collect();
    model::Owners { threshold: address.threshold(), members }
}

/// A transaction with one output to an address, and its mask secret.
fn paying(address: &MixAddress, asset: AssetId, units: u64, extra: usize) -> (Vec<u8>, MaskSecret) {
    let secret = 11_u8.into();
    let outputs = vec![Out::to(&owners(address), &secret, 0, number(units))];
    let moves =
        Moves { asset: asset.0, inputs: vec![([1; 32], 0)], outputs, references: vec![], extra: vec![b'x'; extra] };
    (moves.write(), MaskSecret::from_bytes(&secret.to_bytes()).unwrap())
}

#[test]
fn storage_is_paid_only_where_it_is_named_proven_and_in_xin() {
    let storage = [MixAddress::storage()];
    let judge = |asset, claimed: bool, own: &[MixAddress], receivers: &[MixAddress], most: &str| {
        let (raw, secret) = paying(&storage[0], asset, 10_000, 1024);
        let transaction = Transaction::decode(&raw).unwrap();
        let claims = [Receiver { output: 0, address: &storage[0], claim: Claim::Recomputed(&secret) }];
        let evidence = Evidence { spent: &[], receivers: if claimed { &claims } else { &[] } };
        let policy = Policy { own, receivers, ..policy(asset, most) };
        policy.check(&transaction, &evidence, NOW).map(|approved| approved.leaves())
    };
    let xin = AssetId::XIN;
    assert_eq!(judge(xin, true, &[], &storage, "0.0001"), Ok(amount("0.0001")));
    assert_eq!(judge(xin, false, &[], &storage, "0.0001"), Err(Refusal::ThresholdAboveKeys(0)), "not proven");
    assert_eq!(judge(xin, true, &[], &[], "0.0001"), Err(Refusal::ReceiverNotAllowed(0)), "not named");
    assert_eq!(judge(xin, true, &storage, &[], "0.0001"), Err(Refusal::ReceiverNotAllowed(0)), "nobody owns it");
    let too_much = Refusal::TooMuch { leaves: amount("0.0001"), most: Amount::ZERO };
    assert_eq!(judge(xin, true, &storage, &storage, "0"), Err(too_much), "it does not come back");
    assert_eq!(judge(AssetId([1; 32]), true, &[], &storage, "0.0001"), Err(Refusal::StorageAsset(0)));
}

#[test]
fn storage_bounds_the_extra_bytes() {
    let storage = MixAddress::storage();
    let fits = |asset, units, extra| {
        let (raw, secret) = paying(&storage, asset, units, extra);
        let transaction = Transaction::decode(&raw).unwrap();
        let claims = [Receiver { output: 0, address: &storage, claim: Claim::Recomputed(&secret) }];
        let effects = Effects::of(&transaction, &Evidence { spent: &[], receivers: &claims }).unwrap();
        !refusals(&effects).contains(&Refusal::ExtraTooLong)
    };
    let vectors: Value = serde_json::from_str(include_str!("../testdata/safe-v5.json")).unwrap();
    for limit in vectors["extra_limits"].as_array().unwrap() {
        let paid = amount(limit["xin_amount_of_1_key_fffe40_output"].as_str().unwrap()).to_be_bytes();
        let units = u64::from_be_bytes(paid[24..].try_into().unwrap());
        let limit = usize::try_from(limit["limit"].as_u64().unwrap()).unwrap();
        // A transaction has at most 4 MiB altogether, so the largest limit is out of reach.
        if limit < 4 << 20 {
            assert!(fits(AssetId::XIN, units, limit) && !fits(AssetId::XIN, units, limit + 1), "{units}");
        } else {
            assert!(fits(AssetId::XIN, units, limit - 1000), "{units}");
        }
    }
    assert!(fits(AssetId::XIN, 9_999, 256) && !fits(AssetId::XIN, 9_999, 257), "less than a cell");
    assert!(fits(AssetId::XIN, u64::MAX, 1 << 20), "any amount");
    assert!(fits(AssetId([1; 32]), 10_000, 256) && !fits(AssetId([1; 32]), 10_000, 257), "XIN only");
}

#[test]
fn change_comes_back_to_the_same_members_in_any_order() {
    let vectors: Value = serde_json::from_str(include_str!("../testdata/safe-v5.json")).unwrap();
    let addresses = vectors["mix_addresses"].as_array().unwrap().iter();
    let text = addresses.map(|mix| &mix["mix"]).find(|mix| mix.as_str().unwrap().starts_with("MIXBCirW")).unwrap();
    let address: MixAddress = text.as_str().unwrap().parse().unwrap();
    let members: Vec<_> = address.members().addresses().collect();
    let mut reversed: Vec<_> = address.members().addresses().collect();
    reversed.reverse();
    let other = MixAddress::new_keys(address.threshold(), &reversed).unwrap();
    let threshold = MixAddress::new_keys(address.threshold() + 1, &members).unwrap();

    let (raw, secret) = paying(&address, AssetId::XIN, 5, 0);
    let transaction = Transaction::decode(&raw).unwrap();
    let claims = [Receiver { output: 0, address: &address, claim: Claim::Recomputed(&secret) }];
    let evidence = Evidence { spent: &[], receivers: &claims };
    let leaves = |own: &MixAddress| {
        let own = [own.to_string().parse().unwrap()];
        let policy = Policy { own: &own, unproven: Unproven::Refuse, ..policy(AssetId::XIN, "1") };
        policy.check(&transaction, &evidence, NOW).map(|approved| approved.leaves())
    };
    assert_eq!(leaves(&address), Ok(Amount::ZERO));
    assert_eq!(leaves(&other), Ok(Amount::ZERO), "the order does not matter");
    assert_eq!(leaves(&threshold), Err(Refusal::ReceiverNotAllowed(0)), "the threshold does");

    let wrong = [Receiver { output: 0, address: &threshold, claim: Claim::Recomputed(&secret) }];
    let wrong = Effects::of(&transaction, &Evidence { spent: &[], receivers: &wrong });
    assert_eq!(wrong.unwrap_err(), Refusal::ClaimThreshold(0));
    let wrong = [Receiver { output: 0, address: &other, claim: Claim::Recomputed(&secret) }];
    let wrong = Effects::of(&transaction, &Evidence { spent: &[], receivers: &wrong });
    assert_eq!(wrong.unwrap_err(), Refusal::ClaimKey { output: 0, key: 0 }, "the order of keys does");
}
