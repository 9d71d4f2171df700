//! A request's token: the hash over its parts, signing and verifying, beside the floor of each (the bare signature of
//! the same library, the bare hash). Signing by the core's own keys, and by the fast ones.

use std::hint::black_box;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, RSA_PKCS1_SHA512, RsaKeyPair};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ed25519_dalek::Signer as _;
use mixin_pin_accel::{Backend, FastKey};
use mixin_pin_benches::{Counter, NOW, rsa_session, session};
use mixin_pin_core::token::{Jws, RequestHash, Signer, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, RsaKey, Session, SessionKey, SystemRng};
use sha2::Digest as _;

fn sign<S: Signer>(session: &Session<S>) -> String {
    let hash = RequestHash::of("POST", "/pin/verify", black_box(b"{}"));
    let claims = session.claims(hash, Uuid::from_u128(3), NOW, Duration::from_secs(60)).unwrap();
    session.sign(&claims, &mut Counter::default()).unwrap().as_str().to_owned()
}

fn tokens(c: &mut Criterion) {
    let mut group = c.benchmark_group("token");
    let key = Ed25519Key::from_bytes(&[7; 32]).unwrap();
    let public = VerifyingKey::Ed25519(key.public_key());
    let ed25519 = session(SessionKey::Ed25519(key));
    let token = sign(&ed25519);
    let (input, _) = token.rsplit_once('.').unwrap();
    group.bench_function("EdDSA sign", |b| b.iter(|| sign(&ed25519)));
    let bare = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    group.bench_function("EdDSA sign, floor", |b| b.iter(|| bare.sign(black_box(input.as_bytes()))));
    let fast = session(SessionKey::Ed25519(Ed25519Key::from_bytes(&[7; 32]).unwrap())).map_signer(FastKey::from);
    group.bench_function("EdDSA sign, fast", |b| b.iter(|| sign(&fast)));
    let bare = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    group.bench_function("EdDSA sign, fast, floor", |b| b.iter(|| bare.sign(black_box(input.as_bytes()))));
    group
        .bench_function("EdDSA verify", |b| b.iter(|| Jws::parse(black_box(&token)).unwrap().verify(&public).unwrap()));

    for bits in [1024, 2048, 4096] {
        let key = RsaKey::generate(&mut SystemRng::new().unwrap(), bits).unwrap();
        let public = VerifyingKey::Rsa(key.public_key());
        let der = key.to_pkcs1_der().unwrap();
        let rsa = rsa_session(key);
        let token = sign(&rsa);
        let (input, _) = token.rsplit_once('.').unwrap();
        group.bench_function(format!("RS512 {bits} sign"), |b| b.iter(|| sign(&rsa)));
        let mut signature = vec![0; rsa.signer().signature_len()];
        group.bench_function(format!("RS512 {bits} sign, floor"), |b| {
            b.iter(|| rsa.signer().sign(black_box(input.as_bytes()), &mut Counter::default(), &mut signature).unwrap());
        });
        if let Ok(bare) = RsaKeyPair::from_der(&der) {
            let bare_rng = SystemRandom::new();
            group.bench_function(format!("RS512 {bits} sign, fast, floor"), |b| {
                b.iter(|| {
                    bare.sign(&RSA_PKCS1_SHA512, &bare_rng, black_box(input.as_bytes()), &mut signature).unwrap();
                });
            });
        }
        group.bench_function(format!("RS512 {bits} verify"), |b| {
            b.iter(|| Jws::parse(black_box(&token)).unwrap().verify(&public).unwrap());
        });
        // What no library takes stays with the core's own key.
        let fast = rsa.map_signer(FastKey::from);
        if fast.signer().backend() != Backend::Pure {
            group.bench_function(format!("RS512 {bits} sign, fast"), |b| b.iter(|| sign(&fast)));
        }
    }
    group.finish();
}

fn hash(c: &mut Criterion) {
    let mut group = c.benchmark_group("request hash");
    for (name, size) in [("0 B", 0), ("120 B", 120), ("64 KiB", 1 << 16), ("1 MiB", 1 << 20)] {
        let body = vec![b'x'; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |b| b.iter(|| RequestHash::of("POST", "/pin/verify", black_box(&body))));
        group.bench_function(format!("{name}, floor"), |b| b.iter(|| sha2::Sha256::digest(black_box(&body))));
    }
    group.finish();
}

criterion_group!(benches, tokens, hash);
criterion_main!(benches);
