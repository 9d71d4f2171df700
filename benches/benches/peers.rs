//! The same work by other libraries, in one run with ours: aws-lc-rs and ring; with the feature `peers`, OpenSSL and the
//! crate `mixin-sdk-rs` too. What the Go, Node and Python clients take is measured by `benches/peers/run`.
//!
//! Names are `<work>, <who>`; the report finds them by these.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use mixin_pin_benches::{SEED, criterion, ed25519_key, fast_ed25519_key, rsa_key, session, signing_input, token};
use mixin_pin_core::SystemRng;
#[cfg(feature = "peers")]
use mixin_pin_core::uuid::Uuid;

/// Bare signatures of what a token's signature covers, and our tokens beside them.
fn signatures(c: &mut Criterion) {
    let rng = &mut SystemRng::new().unwrap();
    let mut group = c.benchmark_group("peers");
    let (pure, fast) = (session(ed25519_key()), session(fast_ed25519_key()));
    let whole = token(&pure, rng);
    let input = signing_input(&whole);
    group.bench_function("token-eddsa, mixin-pin", |b| b.iter(|| token(&fast, rng)));
    group.bench_function("token-eddsa, mixin-pin pure", |b| b.iter(|| token(&pure, rng)));
    let key = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    group.bench_function("token-eddsa, aws-lc-rs", |b| b.iter(|| key.sign(black_box(input))));
    let key = ring::signature::Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    group.bench_function("token-eddsa, ring", |b| b.iter(|| key.sign(black_box(input))));
    #[cfg(feature = "peers")]
    {
        let key = openssl::pkey::PKey::private_key_from_raw_bytes(&SEED, openssl::pkey::Id::ED25519).unwrap();
        group.bench_function("token-eddsa, OpenSSL", |b| {
            b.iter(|| openssl::sign::Signer::new_without_digest(&key).unwrap().sign_oneshot_to_vec(input).unwrap());
        });
    }

    for bits in [1024, 2048, 4096] {
        let key = rsa_key(bits);
        let der = key.to_pkcs1_der();
        let ours = session(key);
        group.bench_function(format!("token-rs512-{bits}, mixin-pin pure"), |b| b.iter(|| token(&ours, rng)));
        let mut signature = vec![0; bits / 8];
        if let Ok(key) = aws_lc_rs::signature::RsaKeyPair::from_der(&der) {
            let random = aws_lc_rs::rand::SystemRandom::new();
            group.bench_function(format!("token-rs512-{bits}, aws-lc-rs"), |b| {
                let padding = &aws_lc_rs::signature::RSA_PKCS1_SHA512;
                b.iter(|| key.sign(padding, &random, black_box(input), &mut signature).unwrap());
            });
        }
        if let Ok(key) = ring::signature::RsaKeyPair::from_der(&der) {
            let random = ring::rand::SystemRandom::new();
            group.bench_function(format!("token-rs512-{bits}, ring"), |b| {
                let padding = &ring::signature::RSA_PKCS1_SHA512;
                b.iter(|| key.sign(padding, &random, black_box(input), &mut signature).unwrap());
            });
        }
        let key = {
            use rsa::pkcs1::DecodeRsaPrivateKey as _;
            rsa::PrivateKey::from_pkcs1_der(&der).unwrap()
        };
        let digest = <sha2::Sha512 as sha2::Digest>::digest(input);
        group.bench_function(format!("token-rs512-{bits}, rsa"), |b| {
            let padding = || rsa::Pkcs1v15Sign::new::<sha2::Sha512>();
            b.iter(|| key.sign_with_rng(rng, padding(), black_box(&digest)).unwrap());
        });
        #[cfg(feature = "peers")]
        {
            use openssl::{hash::MessageDigest, pkey::PKey, rsa::Rsa, sign};

            let key = PKey::from_rsa(Rsa::private_key_from_der(&der).unwrap()).unwrap();
            group.bench_function(format!("token-rs512-{bits}, OpenSSL"), |b| {
                b.iter(|| {
                    let mut signer = sign::Signer::new(MessageDigest::sha512(), &key).unwrap();
                    signer.sign_oneshot(&mut signature, black_box(input)).unwrap()
                });
            });
        }
    }
    group.finish();
}

/// The whole work of the client library written in Rust, which keeps no key between its calls.
#[cfg(feature = "peers")]
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

#[cfg(not(feature = "peers"))]
fn mixin_sdk_rs(_: &mut Criterion) {
    eprintln!("peers: OpenSSL and mixin-sdk-rs ARE LEFT OUT; `--features mixin-pin-benches/peers` measures them too");
}

criterion_group!(name = benches; config = criterion().sample_size(20); targets = signatures, mixin_sdk_rs);
criterion_main!(benches);
