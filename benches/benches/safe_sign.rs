//! Sign one input: ours, and its floor, a signature of ed25519-dalek under a key that is ready and one hash of the payload.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Signature, VerifyingKey};
use mixin_pin_benches::criterion;
use mixin_pin_core::UnixTime;
use mixin_pin_core::tip::TipKey;
use mixin_pin_safe::{
    Amount, AssetId, DetachedSignature, Evidence, ExtraRule, Input, Output, OutputKind, Policy, SpendKey, SpentOutput,
    Transaction, Unproven, Unsigned, View, Withdrawal, merge,
};
use sha2::Sha512;

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
const TARGET: Withdrawal<'_> = Withdrawal { address: b"0x00000000219ab540356cBB839Cbe05303d7705Fa", tag: b"" };
const OWNERS: u8 = 11;

fn withdrawal() -> Vec<u8> {
    let input = Input { hash: &[1; 32], index: 0, genesis: &[], deposit: None, mint: None };
    let output = Output {
        kind: OutputKind::Withdrawal,
        amount: Amount::from_units(7),
        keys: &[],
        mask: &[0; 32],
        script: &[],
        withdrawal: Some(TARGET),
    };
    let parts = Unsigned { asset: AssetId::XIN, inputs: &[input], outputs: &[output], references: &[], extra: &[] };
    parts.encode().expect("within the limits")
}

fn sign(c: &mut Criterion) {
    let keys: Vec<_> = (1..=OWNERS).map(|owner| TipKey::from_seed(&[owner; 32])).collect();
    let scalar = Scalar::from(12_345_678_901_234_567_890_u64);
    let view = View::from_bytes(scalar.as_bytes()).expect("a scalar");
    let ghosts: Vec<_> = keys
        .iter()
        .map(|key| {
            let spend = Scalar::from_bytes_mod_order(*mixin_pin_core::hazmat::tip_scalar(key));
            EdwardsPoint::mul_base(&(spend + scalar)).compress().0
        })
        .collect();
    let mask = EdwardsPoint::mul_base(&Scalar::from(9_u8)).compress().0;
    let spent = [SpentOutput::stated(AssetId::XIN, Amount::from_units(7), &ghosts, &mask, OWNERS)];
    let raw = withdrawal();
    let transaction = Transaction::decode(&raw).expect("a transaction");
    let policy = Policy {
        asset: AssetId::XIN,
        most: Amount::from_units(7),
        own: &[],
        receivers: &[],
        withdrawals: &[TARGET],
        most_outputs: 1,
        extra: ExtraRule::Forbidden,
        references: &[],
        unproven: Unproven::Refuse,
        until: NOW,
    };
    let approved =
        policy.check(&transaction, &Evidence { spent: &spent, receivers: &[] }, NOW).expect("within the policy");
    let key = SpendKey::new(&keys[0]);
    let ready = approved.input(0, &view, key.public_key()).expect("an owner");
    let signatures: Vec<DetachedSignature> = keys
        .iter()
        .map(|key| {
            approved.input(0, &view, key.public_key()).and_then(|it| it.sign(&SpendKey::new(key))).expect("an owner")
        })
        .collect();

    let mut group = c.benchmark_group("safe");
    let seed = [7; 32];
    let secret = ExpandedSecretKey::from(&seed);
    let public = VerifyingKey::from(&secret);
    group.bench_function("sign one input, floor", |b| {
        b.iter(|| {
            let hash = blake3::hash(black_box(&raw));
            raw_sign::<Sha512>(&secret, hash.as_bytes(), &public)
        });
    });
    group.bench_function("sign one input", |b| {
        b.iter(|| {
            black_box(black_box(&transaction).hash());
            ready.sign(black_box(&key))
        });
    });
    group.bench_function("make one input ready and sign it", |b| {
        b.iter(|| approved.input(0, black_box(&view), key.public_key()).and_then(|ready| ready.sign(&key)));
    });
    group.bench_function("merge 11 signatures", |b| {
        b.iter(|| merge(&transaction, &spent, black_box(&signatures)).map(|merged| merged.encoded_len()));
    });
    group.bench_function("merge 11 signatures, floor", |b| {
        let hash = transaction.hash();
        let signatures: Vec<_> = signatures.iter().map(|it| Signature::from_bytes(&it.signature)).collect();
        let keys: Vec<_> = ghosts.iter().map(|key| VerifyingKey::from_bytes(key).expect("a key")).collect();
        b.iter(|| keys.iter().zip(&signatures).all(|(key, signature)| key.verify_strict(&hash.0, signature).is_ok()));
    });
    group.finish();
}

criterion_group!(name = benches; config = criterion(); targets = sign);
criterion_main!(benches);
