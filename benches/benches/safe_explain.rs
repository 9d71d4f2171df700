//! Explains a transaction with 256 inputs and 256 outputs: decode, hash, amounts, and everything that a careful signer refuses
//! whatever the policy says but for the order of points. Then the check by a policy, which looks at that, too.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::{EdwardsPoint, Scalar};
use mixin_pin_benches::criterion;
use mixin_pin_core::UnixTime;
use mixin_pin_safe::{
    Amount, AssetId, Effects, Evidence, ExtraRule, Input, Output, OutputKind, PointCheck, Policy, SpentOutput,
    Transaction, Unproven, Unsigned,
};

/// A point for each number.
fn points(first: u32) -> Vec<[u8; 32]> {
    (first..first + 256).map(|number| EdwardsPoint::mul_base(&Scalar::from(number)).compress().0).collect()
}

fn explain(c: &mut Criterion) {
    let (keys, masks, spent_keys, hashes) = (points(1), points(1001), points(2001), points(3001));
    let inputs: Vec<_> =
        hashes.iter().map(|hash| Input { hash, index: 1, genesis: &[], deposit: None, mint: None }).collect();
    let outputs: Vec<_> = keys
        .iter()
        .zip(&masks)
        .map(|(key, mask)| Output {
            kind: OutputKind::Script,
            amount: Amount::from_units(100_000_000),
            keys: std::slice::from_ref(key),
            mask,
            script: &[0xff, 0xfe, 1],
            withdrawal: None,
        })
        .collect();
    let unsigned = Unsigned { asset: AssetId::XIN, inputs: &inputs, outputs: &outputs, references: &[], extra: &[] };
    let raw = unsigned.encode().unwrap();
    let spent: Vec<_> = spent_keys
        .iter()
        .zip(&masks)
        .map(|(key, mask)| {
            let key = std::slice::from_ref(key);
            SpentOutput::stated(AssetId::XIN, Amount::from_units(100_000_000), key, mask, 1)
        })
        .collect();
    let policy = Policy {
        asset: AssetId::XIN,
        most: Amount::from_units(25_600_000_000),
        own: &[],
        receivers: &[],
        withdrawals: &[],
        most_outputs: 256,
        extra: ExtraRule::Forbidden,
        references: &[],
        unproven: Unproven::Any,
        until: UnixTime::from_secs(0),
    };

    let mut group = c.benchmark_group("safe");
    group.bench_function("explain 256 inputs and outputs", |b| {
        b.iter(|| {
            let transaction = Transaction::decode(black_box(&raw)).unwrap();
            let effects = Effects::of(&transaction, &Evidence::default()).unwrap();
            let mut refusals = 0;
            effects.for_each_refusal(PointCheck::Quick, &mut |_| refusals += 1);
            assert_eq!((refusals, effects.outputs().len()), (0, 256));
        });
    });
    group.bench_function("check 256 inputs and outputs", |b| {
        let evidence = Evidence { spent: &spent, receivers: &[] };
        b.iter(|| {
            let transaction = Transaction::decode(black_box(&raw)).unwrap();
            policy.check(&transaction, &evidence, UnixTime::from_secs(0)).unwrap().leaves()
        });
    });
    // The least that can be done: decode, hash, and read each point. The second also looks at its order.
    let points: Vec<_> = keys.iter().chain(&masks).map(|bytes| CompressedEdwardsY(*bytes)).collect();
    let decode_and_hash = || black_box(Transaction::decode(black_box(&raw)).unwrap().hash());
    group.bench_function("explain 256 inputs and outputs, floor", |b| {
        b.iter(|| {
            decode_and_hash();
            points.iter().all(|point| black_box(point).decompress().is_some())
        });
    });
    group.bench_function("check 256 inputs and outputs, floor", |b| {
        b.iter(|| {
            decode_and_hash();
            points.iter().all(|point| black_box(point).decompress().is_some_and(|point| point.is_torsion_free()))
        });
    });
    group.finish();
}

criterion_group!(name = benches; config = criterion(); targets = explain);
criterion_main!(benches);
