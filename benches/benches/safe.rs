//! Decodes and hashes the widest transaction, and hashes the longest beside BLAKE3 alone, which is the floor.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mixin_pin_benches::criterion;
use mixin_pin_safe::{Amount, AssetId, Input, Output, OutputKind, Transaction, Unsigned};

/// 256 inputs, and 256 outputs of one key each.
fn wide(c: &mut Criterion) {
    let input = Input { hash: &[7; 32], index: 1, genesis: &[], deposit: None, mint: None };
    let output = Output {
        kind: OutputKind::Script,
        amount: Amount::from_units(150_000_000),
        keys: &[[8; 32]],
        mask: &[9; 32],
        script: &[0xff, 0xfe, 1],
        withdrawal: None,
    };
    let (inputs, outputs) = (vec![input; 256], vec![output; 256]);
    let unsigned =
        Unsigned { asset: AssetId::XIN, inputs: &inputs, outputs: &outputs, references: &[], extra: b"memo" };
    let raw = unsigned.encode().unwrap();
    let mut buffer = vec![0; raw.len()];
    let transaction = Transaction::decode(&raw).unwrap();

    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Bytes(raw.len() as u64));
    group.bench_function("256 inputs and outputs", |b| b.iter(|| Transaction::decode(black_box(&raw)).unwrap()));
    group.bench_function("read all again", |b| {
        b.iter(|| {
            for input in transaction.inputs() {
                black_box(input);
            }
            for output in transaction.outputs() {
                black_box(output);
            }
        });
    });
    group.bench_function("hash", |b| b.iter(|| black_box(&transaction).hash()));
    group.bench_function("encode", |b| b.iter(|| black_box(&unsigned).encode_into(&mut buffer).unwrap().len()));
    group.finish();
}

/// As much extra as fits into 4 MiB.
fn long(c: &mut Criterion) {
    let parts = Unsigned { asset: AssetId::XIN, inputs: &[], outputs: &[], references: &[], extra: &[] };
    let extra = vec![0x5a; Transaction::MAX_LEN - parts.encoded_len().unwrap()];
    let unsigned = Unsigned { extra: &extra, ..parts };
    let raw = unsigned.encode().unwrap();
    assert_eq!(raw.len(), Transaction::MAX_LEN);
    let transaction = Transaction::decode(&raw).unwrap();

    let mut group = c.benchmark_group("hash of 4 MiB");
    group.throughput(Throughput::Bytes(raw.len() as u64));
    group.bench_function("transaction", |b| b.iter(|| black_box(&transaction).hash()));
    group.bench_function("parts", |b| b.iter(|| black_box(&unsigned).hash().unwrap()));
    group.bench_function("BLAKE3 alone", |b| b.iter(|| blake3::hash(black_box(&raw))));
    group.finish();
}

criterion_group!(name = benches; config = criterion(); targets = wide, long);
criterion_main!(benches);
