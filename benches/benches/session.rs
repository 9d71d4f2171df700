//! Loads a session from each kind of keystore: from its text to keys ready for use. The floor is the arithmetic alone.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use curve25519_dalek::MontgomeryPoint;
use mixin_pin_accel::FastKey;
use mixin_pin_benches::{SEED, criterion, rsa_key};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, PinKey, Session, SystemRng};
use mixin_pin_protocol::keystore::Keystore;

/// The keystore of an RSA bot whose key has this size.
fn rsa_bot(bits: usize) -> String {
    let (key, rng) = (rsa_key(bits), &mut SystemRng::new().unwrap());
    let (user_id, session_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let pin_token = key.public_key().wrap_pin_key(&PinKey::generate(rng), session_id, rng).unwrap().to_base64();
    let private_key = key.to_pkcs1_pem().unwrap();
    let private_key: &str = &private_key;
    serde_json::json!({
        "client_id": user_id, "session_id": session_id, "pin_token": pin_token, "private_key": private_key,
    })
    .to_string()
}

fn load(c: &mut Criterion) {
    let rng = &mut SystemRng::new().unwrap();
    let mut group = c.benchmark_group("session");
    group.sample_size(50);
    let shapes = [
        ("dashboard", include_str!("../../crates/mixin-pin-protocol/testdata/keystore-dashboard.json").to_owned()),
        ("Ed25519 bot", include_str!("../../crates/mixin-pin-protocol/testdata/keystore-ed25519-bot.json").to_owned()),
        ("bare user", include_str!("../../crates/mixin-pin-protocol/testdata/keystore-bare-user.json").to_owned()),
        ("RSA bot 1024", rsa_bot(1024)),
        ("RSA bot 2048", rsa_bot(2048)),
    ];
    for (name, text) in &shapes {
        group.bench_function(*name, |b| {
            b.iter(|| Keystore::parse(black_box(text.as_bytes())).unwrap().into_session(rng).unwrap());
        });
        group.bench_function(format!("{name}, fast"), |b| {
            b.iter(|| {
                let session = Keystore::parse(black_box(text.as_bytes())).unwrap().into_session(rng).unwrap();
                session.map_signer(FastKey::from)
            });
        });
    }
    let oauth = include_str!("../../crates/mixin-pin-protocol/testdata/keystore-oauth.json");
    group.bench_function("OAuth", |b| {
        b.iter(|| Keystore::parse(black_box(oauth.as_bytes())).unwrap().into_oauth_session().unwrap());
    });

    let server = Ed25519Key::from_bytes(&[8; 32]).unwrap().public_key().to_x25519().unwrap();
    group.bench_function("Ed25519, parsed", |b| {
        b.iter(|| {
            let key = Ed25519Key::from_bytes(black_box(&SEED)).unwrap();
            Session::ed25519(Uuid::from_u128(1), Uuid::from_u128(2), key, &server).unwrap()
        });
    });
    let point = MontgomeryPoint(*server.as_bytes());
    group.bench_function("Ed25519, floor", |b| {
        b.iter(|| {
            let key = ed25519_dalek::SigningKey::from_bytes(black_box(&SEED));
            (point.mul_clamped(key.to_scalar_bytes()), key)
        });
    });
    let key = rsa::PrivateKey::new(rng, 2048).unwrap();
    let encrypted = key.to_public_key().encrypt(rng, rsa::Oaep::<sha2::Sha256>::new(), &[7; 32]).unwrap();
    group.bench_function("RSA 2048, floor", |b| {
        b.iter(|| key.decrypt_blinded(rng, rsa::Oaep::<sha2::Sha256>::new(), black_box(&encrypted)).unwrap());
    });
    group.finish();
}

criterion_group!(name = benches; config = criterion(); targets = load);
criterion_main!(benches);
