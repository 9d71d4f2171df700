//! Signs and verifies a request's token with each signer. The floor is the library's bare signature.

use std::hint::black_box;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, RSA_PKCS1_SHA512, RsaKeyPair};
use criterion::{Criterion, criterion_group, criterion_main};
use ed25519_dalek::Signer as _;
use mixin_pin_accel::{Backend, FastKey};
use mixin_pin_benches::{SEED, criterion, ed25519_key, fast_ed25519_key, rsa_key, session, signing_input, token};
use mixin_pin_core::token::{Jws, Signer as _, VerifyingKey};
use mixin_pin_core::{SessionKey, SystemRng};
use rsa::Pkcs1v15Sign;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use sha2::{Digest as _, Sha512};

fn eddsa(c: &mut Criterion) {
    let rng = &mut SystemRng::new().unwrap();
    let mut group = c.benchmark_group("token");
    let (pure, fast) = (session(ed25519_key()), session(fast_ed25519_key()));
    let whole = token(&pure, rng);
    let input = signing_input(&whole);
    group.bench_function("EdDSA, pure", |b| b.iter(|| token(&pure, rng)));
    let bare = ed25519_dalek::SigningKey::from_bytes(&SEED);
    group.bench_function("EdDSA, pure, floor", |b| b.iter(|| bare.sign(black_box(input))));
    group.bench_function("EdDSA, fast", |b| b.iter(|| token(&fast, rng)));
    let bare = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    group.bench_function("EdDSA, fast, floor", |b| b.iter(|| bare.sign(black_box(input))));
    let public = VerifyingKey::Ed25519(ed25519_key().public_key());
    group.bench_function("EdDSA, verify", |b| {
        b.iter(|| Jws::parse(black_box(&whole)).unwrap().verify(&public).unwrap());
    });
    group.finish();
}

fn rs512(c: &mut Criterion) {
    let rng = &mut SystemRng::new().unwrap();
    let mut group = c.benchmark_group("token");
    // Signatures of 4096 bits are slow.
    group.sample_size(20);
    for bits in [1024, 2048, 4096] {
        let key = rsa_key(bits);
        let public = VerifyingKey::Rsa(key.public_key());
        let der = key.to_pkcs1_der();
        let pure = session(SessionKey::Rsa(key));
        let whole = token(&pure, rng);
        let input = signing_input(&whole);
        group.bench_function(format!("RS512 {bits}, pure"), |b| b.iter(|| token(&pure, rng)));
        let bare = rsa::PrivateKey::from_pkcs1_der(&der).unwrap();
        let digest = Sha512::digest(input);
        group.bench_function(format!("RS512 {bits}, pure, floor"), |b| {
            b.iter(|| bare.sign_with_rng(rng, Pkcs1v15Sign::new::<Sha512>(), black_box(&digest)).unwrap());
        });

        let mut signature = vec![0; pure.signer().signature_len()];
        if let Ok(bare) = RsaKeyPair::from_der(&der) {
            let bare_rng = SystemRandom::new();
            group.bench_function(format!("RS512 {bits}, fast, floor"), |b| {
                b.iter(|| bare.sign(&RSA_PKCS1_SHA512, &bare_rng, black_box(input), &mut signature).unwrap());
            });
        }
        // A key that neither library takes stays with the core, and was measured above.
        let fast = pure.map_signer(FastKey::from);
        let name = match fast.signer().backend() {
            Backend::AwsLc => "fast",
            Backend::OpenSsl => "OpenSSL",
            _ => "",
        };
        if !name.is_empty() {
            group.bench_function(format!("RS512 {bits}, {name}"), |b| b.iter(|| token(&fast, rng)));
        }
        group.bench_function(format!("RS512 {bits}, verify"), |b| {
            b.iter(|| Jws::parse(black_box(&whole)).unwrap().verify(&public).unwrap());
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = criterion(); targets = eddsa, rs512);
criterion_main!(benches);
