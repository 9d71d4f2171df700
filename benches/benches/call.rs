//! Prepares whole calls, from the secret to bytes ready to send: encrypts, writes JSON, hashes and signs.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mixin_pin_accel::FastKey;
use mixin_pin_benches::{NOW, criterion, ed25519_key, fast_ed25519_key, rsa_key, session};
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::token::Signer;
use mixin_pin_core::{MonotonicNonces, Pin, Secret, Session, SessionKey, SystemRng};
use mixin_pin_protocol::call::{Calls, UnsignedRequest};
use serde_json::Map;

fn calls<S: Signer>(c: &mut Criterion, name: &str, session: &Session<S>) {
    let mut group = c.benchmark_group("call");
    let (nonces, rng) = (MonotonicNonces::new(), &mut SystemRng::new().unwrap());
    let signing_rng = &mut SystemRng::new().unwrap();
    let mut calls = Calls::new(session, NOW, rng).nonces(&nonces);
    let mut sign = |unsigned: UnsignedRequest| unsigned.sign(session.signer(), signing_rng).unwrap();
    let (pin, new, tip) = (Pin::new("314159").unwrap(), Pin::new("271828").unwrap(), TipKey::from_seed(&[7; 32]));
    group.bench_function(format!("{name}, verify a PIN"), |b| {
        b.iter(|| sign(calls.verify_pin(black_box(&pin)).unwrap()));
    });
    group.bench_function(format!("{name}, change a PIN"), |b| {
        b.iter(|| sign(calls.change_pin(black_box(&pin), &new).unwrap()));
    });
    group.bench_function(format!("{name}, verify by TIP"), |b| {
        b.iter(|| sign(calls.verify_tip(black_box(&tip)).unwrap()));
    });
    // Without the cost of the TIP signature itself.
    let mut body = Map::new();
    body.insert("timestamp".to_owned(), 1.into());
    group.bench_function(format!("{name}, a given TIP signature"), |b| {
        b.iter(|| {
            let signature = Secret::TipSignature(black_box([1; 64]));
            sign(calls.with_pin("POST", "/pin/verify", &body, signature).unwrap())
        });
    });
    group.finish();
}

fn every_session(c: &mut Criterion) {
    calls(c, "Ed25519, fast", &session(fast_ed25519_key()));
    calls(c, "Ed25519, pure", &session(ed25519_key()));
    let key = rsa_key(2048);
    calls(c, "RSA 2048, pure", &session(&key));
    calls(c, "RSA 2048, fast", &session(FastKey::from(SessionKey::Rsa(key))));
}

criterion_group!(name = benches; config = criterion().sample_size(50); targets = every_session);
criterion_main!(benches);
