//! A request's token, signed and verified, beside the floor of each: the bare signature of the library that makes it.

use std::hint::black_box;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, RSA_PKCS1_SHA512, RsaKeyPair};
use criterion::{Criterion, criterion_group, criterion_main};
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, Random as _, U512, U1024, U2048, Uint};
use ed25519_dalek::Signer as _;
use mixin_pin_accel::{Backend, FastKey};
use mixin_pin_benches::{SEED, criterion, ed25519_key, fast_ed25519_key, rsa_key, session, signing_input, token};
use mixin_pin_core::token::{Jws, Signer as _, VerifyingKey};
use mixin_pin_core::{SessionKey, SystemRng};

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
    // A signature of 4096 bits takes long; ten of them tell enough.
    group.sample_size(20);
    for bits in [1024, 2048, 4096] {
        let key = rsa_key(bits);
        let public = VerifyingKey::Rsa(key.public_key());
        let der = key.to_pkcs1_der();
        let pure = session(SessionKey::Rsa(key));
        let whole = token(&pure, rng);
        let input = signing_input(&whole);
        group.bench_function(format!("RS512 {bits}, pure"), |b| b.iter(|| token(&pure, rng)));
        // The two exponentiations that are most of a signature.
        let mut halves: Box<dyn FnMut()> = match bits {
            1024 => exponentiations::<{ U512::LIMBS }>(),
            2048 => exponentiations::<{ U1024::LIMBS }>(),
            _ => exponentiations::<{ U2048::LIMBS }>(),
        };
        group.bench_function(format!("RS512 {bits}, pure, floor"), |b| b.iter(&mut halves));

        let mut signature = vec![0; pure.signer().signature_len()];
        if let Ok(bare) = RsaKeyPair::from_der(&der) {
            let bare_rng = SystemRandom::new();
            group.bench_function(format!("RS512 {bits}, fast, floor"), |b| {
                b.iter(|| bare.sign(&RSA_PKCS1_SHA512, &bare_rng, black_box(input), &mut signature).unwrap());
            });
        }
        #[cfg(feature = "peers")]
        {
            use openssl::{hash::MessageDigest, pkey::PKey, rsa::Rsa, sign};

            let bare = PKey::from_rsa(Rsa::private_key_from_der(&der).unwrap()).unwrap();
            group.bench_function(format!("RS512 {bits}, OpenSSL, floor"), |b| {
                b.iter(|| {
                    let mut signer = sign::Signer::new(MessageDigest::sha512(), &bare).unwrap();
                    signer.sign_oneshot(&mut signature, black_box(input)).unwrap()
                });
            });
        }
        // What no library takes stays with the core's own key.
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

fn exponentiations<const L: usize>() -> Box<dyn FnMut()> {
    let draw = || Uint::<L>::random_from_rng(&mut rand::rng());
    let modulus = FixedMontyParams::new(Odd::new(draw() | Uint::ONE).unwrap());
    let (base, exponent) = (FixedMontyForm::new(&draw(), &modulus), draw());
    Box::new(move || {
        for _ in 0..2 {
            black_box(black_box(&base).pow_amm(&exponent));
        }
    })
}

criterion_group!(name = benches; config = criterion(); targets = eddsa, rs512);
criterion_main!(benches);
