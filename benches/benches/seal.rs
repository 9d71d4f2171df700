//! Sealing and opening one encrypted PIN, key schedule warm: ours, and the floor under it (the AES blocks alone,
//! neither chained nor encoded). Randomness once free, once from the operating system.

use std::hint::black_box;

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use criterion::{Criterion, criterion_group, criterion_main};
use mixin_pin_benches::{Counter, NOW};
use mixin_pin_core::{EncryptedPin, MonotonicNonces, NonceSource, Pin, PinKey, Secret, SystemRng};

fn seal(c: &mut Criterion) {
    let key = PinKey::generate(&mut Counter::default());
    let nonces = MonotonicNonces::new();
    let pin = Pin::new("314159").unwrap();
    let mut group = c.benchmark_group("seal");

    let aes = Aes256::new(&[7; 32].into());
    for (name, blocks) in [("six digits", 2), ("TIP key", 4), ("TIP signature", 6)] {
        let mut buffer = vec![Array::from([0; 16]); blocks];
        group.bench_function(format!("{name}, floor"), |b| b.iter(|| aes.encrypt_blocks(black_box(&mut buffer))));
    }
    let mut free = Counter::default();
    group.bench_function("six digits", |b| {
        b.iter(|| key.seal(black_box(&pin), nonces.next(NOW).unwrap(), &mut free).to_standard());
    });
    group.bench_function("TIP key", |b| {
        b.iter(|| key.seal(Secret::TipKey(black_box([1; 40])), nonces.next(NOW).unwrap(), &mut free).to_url_safe());
    });
    group.bench_function("TIP signature", |b| {
        let secret = || Secret::TipSignature(black_box([1; 64]));
        b.iter(|| key.seal(secret(), nonces.next(NOW).unwrap(), &mut free).to_url_safe());
    });
    let mut system = SystemRng::new().unwrap();
    group.bench_function("six digits, system randomness", |b| {
        b.iter(|| key.seal(black_box(&pin), nonces.next(NOW).unwrap(), &mut system).to_standard());
    });
    group.finish();
}

fn open(c: &mut Criterion) {
    let key = PinKey::generate(&mut Counter::default());
    let nonce = MonotonicNonces::new().next(NOW).unwrap();
    let text = key.seal(Pin::new("314159").unwrap(), nonce, &mut Counter::default()).to_standard();
    c.bench_function("open/six digits", |b| {
        b.iter(|| key.open(&EncryptedPin::from_base64(black_box(text.as_str())).unwrap()).unwrap());
    });
}

criterion_group!(benches, seal, open);
criterion_main!(benches);
