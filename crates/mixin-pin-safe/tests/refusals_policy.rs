//! Transactions and evidence that are refused, from `testdata/refusals-policy.json`. No check allocates.

use mixin_pin_safe::mixin_pin_core::UnixTime;
use mixin_pin_safe::{
    Amount, AssetId, Claim, Effects, Evidence, ExtraRule, MaskSecret, MixAddress, PointCheck, Policy, Receiver,
    Refusal, SpentOutput, Transaction, Unproven, Withdrawal,
};
use mixin_pin_test_memory::{Memory, allocations_of};
use serde_json::Value;

#[global_allocator]
static MEMORY: Memory = Memory;

const NOW: u64 = 1000;

fn bytes(value: &Value) -> Vec<u8> {
    base16ct::lower::decode_vec(value.as_str().expect("a text")).expect("hex")
}

fn word(value: &Value) -> [u8; 32] {
    bytes(value).try_into().expect("32 bytes")
}

fn words(value: &Value) -> Vec<[u8; 32]> {
    list(value).iter().map(word).collect()
}

/// An array. Nothing for what is not there.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What only a policy refuses.
const OF_THE_POLICY: [&str; 11] = [
    "expired",
    "asset_not_allowed",
    "too_many_outputs",
    "signatures_unverified",
    "extra_not_allowed",
    "reference_not_allowed",
    "withdrawal_not_allowed",
    "receiver_not_allowed",
    "receiver_unknown",
    "receiver_unproven",
    "too_much",
];

fn addresses(value: &Value) -> Vec<MixAddress> {
    list(value).iter().map(address).collect()
}

fn address(value: &Value) -> MixAddress {
    value.as_str().expect("a text").parse().expect("an address")
}

fn amount(value: &Value, default: &str) -> Amount {
    value.as_str().unwrap_or(default).parse().expect("an amount")
}

/// The base, patched.
fn patched(base: &[u8], patches: &Value) -> Vec<u8> {
    let place = |patch: &Value, part: usize| usize::try_from(patch[part].as_u64().expect("a number")).unwrap();
    let mut raw = base.to_vec();
    let mut patches = list(patches).to_vec();
    patches.sort_by_key(|patch| place(patch, 0));
    for patch in patches.iter().rev() {
        raw.splice(place(patch, 0)..place(patch, 0) + place(patch, 1), bytes(&patch[2]));
    }
    raw
}

/// What the library says to a case: what leaves, or the refusal.
fn judge(data: &Value, case: &Value) -> Result<Amount, Refusal> {
    let base = bytes(&data["base"]);
    let asset = AssetId(base[4..36].try_into().unwrap());
    let raw = patched(&base, &case["patch"]);
    let transaction = Transaction::decode(&raw).unwrap_or_else(|error| panic!("{}: {error}", case["name"]));

    let keys = words(case.get("spent_keys").unwrap_or(&data["spent_keys"]));
    let threshold = u8::try_from(case["spent_threshold"].as_u64().unwrap_or(1)).unwrap();
    let spent_asset = case.get("spent_asset").map_or(asset, |asset| AssetId(word(asset)));
    let spent = SpentOutput::stated(spent_asset, amount(&case["spent_amount"], "1"), &keys, &[1; 32], threshold);
    let count = case["spent_count"].as_u64().unwrap_or(u64::from(case.get("spent").is_none()));
    let spent = vec![spent; usize::try_from(count).unwrap()];

    let given: Vec<_> = list(&case["receivers"])
        .iter()
        .map(|given| {
            let secret = given.get("secret").map(|secret| MaskSecret::from_bytes(&word(secret)).expect("a scalar"));
            let answer = given.get("mask").map(|mask| (word(mask), words(&given["keys"])));
            (u16::try_from(given["output"].as_u64().unwrap()).unwrap(), address(&given["address"]), secret, answer)
        })
        .collect();
    let receivers: Vec<_> = given
        .iter()
        .map(|(output, address, secret, answer)| {
            let claim = match (secret, answer) {
                (Some(secret), None) => Claim::Recomputed(secret),
                (None, Some((mask, keys))) => Claim::Answered { mask, keys },
                _ => panic!("a claim is a secret or an answer"),
            };
            Receiver { output: *output, address, claim }
        })
        .collect();

    let policy = &case["policy"];
    let (own, others) = (addresses(&policy["own"]), addresses(&policy["receivers"]));
    let text = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
    let withdrawals: Vec<_> = list(&policy["withdrawals"]).iter().map(|to| (text(&to[0]), text(&to[1]))).collect();
    let withdrawals: Vec<_> = withdrawals.iter().map(|(address, tag)| Withdrawal { address, tag }).collect();
    let policy = Policy {
        asset: policy.get("asset").map_or(asset, |asset| AssetId(word(asset))),
        most: amount(&policy["most"], "1"),
        own: &own,
        receivers: &others,
        withdrawals: &withdrawals,
        most_outputs: u16::try_from(policy["most_outputs"].as_u64().unwrap_or(1)).unwrap(),
        extra: match policy.get("extra") {
            None => ExtraRule::Exactly(b"test-memo"),
            Some(Value::Null) => ExtraRule::Forbidden,
            Some(most) => ExtraRule::AtMost(u32::try_from(most.as_u64().unwrap()).unwrap()),
        },
        references: &words(&policy["references"]),
        unproven: match policy["unproven"].as_str() {
            Some("refuse") => Unproven::Refuse,
            Some("attested") => Unproven::Attested,
            Some(other) => panic!("{other}"),
            None => Unproven::Any,
        },
        until: UnixTime::from_secs(NOW),
    };
    let evidence = Evidence { spent: &spent, receivers: &receivers };
    let now = UnixTime::from_secs(case["now"].as_u64().unwrap_or(NOW));
    let (allocations, verdict) =
        allocations_of(|| policy.check(&transaction, &evidence, now).map(|approved| approved.leaves()));
    assert_eq!(allocations, 0, "{}", case["name"]);

    // What is refused whatever the policy says is also found without one.
    if let Ok(effects) = Effects::of(&transaction, &evidence) {
        let mut found = vec![];
        effects.for_each_refusal(PointCheck::Whole, &mut |refusal| found.push(refusal));
        match (found.first(), verdict) {
            (Some(first), Err(refusal)) if refusal == *first => {}
            (_, Err(refusal)) if OF_THE_POLICY.contains(&refusal.kind()) => {}
            (None, Ok(_)) => {}
            (first, verdict) => panic!("{}: {first:?}, but {verdict:?}", case["name"]),
        }
    }
    verdict
}

#[test]
fn every_case_is_refused_for_its_reason() {
    let data: Value = serde_json::from_str(include_str!("../testdata/refusals-policy.json")).unwrap();
    assert_eq!(judge(&data, &Value::Null), Ok(Amount::from_units(100_000_000)), "the base is accepted");
    let cases = list(&data["cases"]);
    assert!(cases.len() >= 100, "{}", cases.len());
    let mut wrong = vec![];
    for case in cases {
        let expected = (case["expect"][0].as_str().unwrap(), case["expect"][1].as_str());
        match judge(&data, case) {
            Ok(leaves) => wrong.push(format!("{}: accepted, and {leaves} leaves", case["name"])),
            Err(refusal) => {
                let field = refusal.field().map(|field| field.to_string());
                if (refusal.kind(), field.as_deref()) != expected {
                    wrong.push(format!("{}: {expected:?} expected, not {refusal}", case["name"]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
