//! Encrypts a PIN into base64 with a warm key schedule, and decrypts it again. The floor is the sum of the parts.

use std::hint::black_box;

use aes::Aes256;
use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use criterion::{Criterion, criterion_group, criterion_main};
use mixin_pin_benches::{NOW, criterion};
use mixin_pin_core::rand_core::Rng as _;
use mixin_pin_core::{
    EncodedPin, EncryptedPin, MonotonicNonces, NonceSource, Pin, PinKey, Secret, SecretKind, SystemRng,
};

const KEY: [u8; PinKey::LEN] = [7; PinKey::LEN];

/// A secret of a kind.
fn secret(kind: SecretKind, pin: &Pin) -> Secret {
    match kind {
        SecretKind::SixDigits => black_box(pin).into(),
        SecretKind::TipKey => Secret::TipKey(black_box([1; 40])),
        _ => Secret::TipSignature(black_box([1; 64])),
    }
}

/// Encodes as calls do: digits in the standard alphabet, the rest in the URL-safe one.
fn encode(encrypted: &EncryptedPin) -> EncodedPin {
    match encrypted.kind() {
        SecretKind::SixDigits => encrypted.to_standard(),
        _ => encrypted.to_url_safe(),
    }
}

fn encrypt(c: &mut Criterion) {
    let key = PinKey::from_bytes(&KEY).unwrap();
    let (nonces, pin) = (MonotonicNonces::new(), Pin::new("314159").unwrap());
    let mut group = c.benchmark_group("encrypt");
    for kind in SecretKind::ALL {
        let (mut thread, mut system) = (rand::rng(), SystemRng::new().unwrap());
        group.bench_function(kind.as_str(), |b| {
            b.iter(|| _ = black_box(&encode(&key.encrypt(secret(kind, &pin), nonces.next(NOW).unwrap(), &mut thread))));
        });
        group.bench_function(format!("{kind}, system randomness"), |b| {
            b.iter(|| _ = black_box(&encode(&key.encrypt(secret(kind, &pin), nonces.next(NOW).unwrap(), &mut system))));
        });
    }

    // The parts: 16 bytes of ChaCha12, the AES blocks, base64.
    let cipher = Aes256::new(&KEY.into());
    for kind in SecretKind::ALL {
        let (mut rng, mut encrypted, mut text) = (rand::rng(), [0; EncryptedPin::MAX_LEN], [0; EncodedPin::MAX_LEN]);
        let len = key.encrypt(secret(kind, &pin), nonces.next(NOW).unwrap(), &mut rng).as_bytes().len();
        let encrypted = &mut encrypted[..len];
        let engine = if kind == SecretKind::SixDigits { STANDARD } else { URL_SAFE_NO_PAD };
        group.bench_function(format!("{kind}, floor"), |b| {
            b.iter(|| {
                let (iv, body) = encrypted.split_first_chunk_mut::<16>().unwrap();
                rng.fill_bytes(iv);
                let (blocks, _) = Array::slice_as_chunks_mut(body);
                cbc::Encryptor::inner_iv_init(&cipher, (&*iv).into()).encrypt_blocks(blocks);
                engine.encode_slice(&*encrypted, &mut text).unwrap()
            });
        });
    }
    group.finish();
}

fn decrypt(c: &mut Criterion) {
    let key = PinKey::from_bytes(&KEY).unwrap();
    let (nonces, pin) = (MonotonicNonces::new(), Pin::new("314159").unwrap());
    let cipher = Aes256::new(&KEY.into());
    let mut group = c.benchmark_group("decrypt");
    for kind in SecretKind::ALL {
        let encrypted = key.encrypt(secret(kind, &pin), nonces.next(NOW).unwrap(), &mut SystemRng::new().unwrap());
        let text = encode(&encrypted);
        group.bench_function(kind.as_str(), |b| {
            b.iter(|| key.decrypt(&EncryptedPin::from_base64(black_box(text.as_str())).unwrap()).unwrap());
        });
        let engine = if kind == SecretKind::SixDigits { STANDARD } else { URL_SAFE_NO_PAD };
        let mut bytes = [0; EncryptedPin::MAX_LEN + 2];
        group.bench_function(format!("{kind}, floor"), |b| {
            b.iter(|| {
                let len = engine.decode_slice(black_box(text.as_str()), &mut bytes).unwrap();
                let (iv, body) = bytes[..len].split_first_chunk_mut::<16>().unwrap();
                let (blocks, _) = Array::slice_as_chunks_mut(body);
                cbc::Decryptor::inner_iv_init(&cipher, (&*iv).into()).decrypt_blocks(blocks);
            });
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = criterion(); targets = encrypt, decrypt);
criterion_main!(benches);
