//! The same work by other libraries: ring, OpenSSL and `mixin-sdk-rs`. `benches/peers/run` times the clients for Node and
//! Python.
//!
//! The report finds benches by their names, `<work>, <library>`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mixin_pin_benches::{SEED, criterion, ed25519_key, rsa_key, session, signing_input, token};
use mixin_pin_core::SystemRng;
use mixin_pin_core::uuid::Uuid;
use openssl::hash::MessageDigest;
use openssl::pkey::{Id, PKey};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, RSA_PKCS1_SHA512, RsaKeyPair};

/// Bare signatures of a token's signing input.
fn signatures(c: &mut Criterion) {
    let mut group = c.benchmark_group("peers");
    let whole = token(&session(ed25519_key()), &mut SystemRng::new().unwrap());
    let input = signing_input(&whole);
    let key = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    group.bench_function("token-eddsa, ring", |b| b.iter(|| key.sign(black_box(input))));
    let key = PKey::private_key_from_raw_bytes(&SEED, Id::ED25519).unwrap();
    group.bench_function("token-eddsa, OpenSSL", |b| {
        b.iter(|| Signer::new_without_digest(&key).unwrap().sign_oneshot_to_vec(input).unwrap());
    });

    for bits in [1024, 2048, 4096] {
        let der = rsa_key(bits).to_pkcs1_der();
        let mut signature = vec![0; bits / 8];
        // It refuses keys below 2048 bits.
        if let Ok(key) = RsaKeyPair::from_der(&der) {
            let random = SystemRandom::new();
            group.bench_function(format!("token-rs512-{bits}, ring"), |b| {
                b.iter(|| key.sign(&RSA_PKCS1_SHA512, &random, black_box(input), &mut signature).unwrap());
            });
        }
        let key = PKey::from_rsa(Rsa::private_key_from_der(&der).unwrap()).unwrap();
        group.bench_function(format!("token-rs512-{bits}, OpenSSL"), |b| {
            b.iter(|| {
                let mut signer = Signer::new(MessageDigest::sha512(), &key).unwrap();
                signer.sign_oneshot(&mut signature, black_box(input)).unwrap()
            });
        });
    }
    group.finish();
}

/// The other client library written in Rust. It parses its keys again for each call.
fn mixin_sdk_rs(c: &mut Criterion) {
    use mixin_sdk_rs::{auth::sign_authentication_token, pin::encrypt_ed25519_pin, safe::SafeUser};

    let hex = base16ct::lower::encode_string;
    let server = mixin_pin_core::Ed25519Key::from_bytes(&[8; 32]).unwrap().public_key();
    let user = SafeUser {
        user_id: Uuid::from_u128(1).to_string(),
        session_id: Uuid::from_u128(2).to_string(),
        session_private_key: hex(&SEED),
        server_public_key: hex(server.as_bytes()),
        spend_private_key: hex(&SEED),
        is_spend_private_sum: false,
    };
    let (digits, signature) = (hex(b"314159"), "ab".repeat(64));
    let mut group = c.benchmark_group("peers");
    group.bench_function("encrypt-digits, mixin-sdk-rs", |b| {
        b.iter(|| encrypt_ed25519_pin(black_box(&digits), 1, &user).unwrap());
    });
    group.bench_function("encrypt-tip, mixin-sdk-rs", |b| {
        b.iter(|| encrypt_ed25519_pin(black_box(&signature), 1, &user).unwrap());
    });
    group.bench_function("token-eddsa, mixin-sdk-rs", |b| {
        b.iter(|| sign_authentication_token("POST", "/pin/verify", black_box("{}"), &user).unwrap());
    });
    group.bench_function("call-ed25519-tip, mixin-sdk-rs", |b| {
        b.iter(|| {
            let pin = encrypt_ed25519_pin(black_box(&signature), 1, &user).unwrap();
            let body = serde_json::json!({ "pin_base64": pin, "timestamp": 1 }).to_string();
            sign_authentication_token("POST", "/pin/verify", &body, &user).unwrap()
        });
    });
    group.finish();
}

criterion_group!(name = benches; config = criterion().sample_size(20); targets = signatures, mixin_sdk_rs);
criterion_main!(benches);
