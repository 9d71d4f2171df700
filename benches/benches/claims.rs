//! Hashes requests with bodies of up to 1 MiB, and writes the claims of a token. The floor is the bare hash.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mixin_pin_benches::{NOW, criterion};
use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::token::{Algorithm, Claims, RequestHash, Signer};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{SignerError, SystemRng};
use sha2::Digest as _;

fn hash(c: &mut Criterion) {
    let mut group = c.benchmark_group("claims");
    for (name, size) in [("0 B", 0), ("120 B", 120), ("4 KiB", 1 << 12), ("64 KiB", 1 << 16), ("1 MiB", 1 << 20)] {
        let body = vec![b'x'; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("hash {name}"), |b| {
            b.iter(|| RequestHash::of("POST", "/pin/verify", black_box(&body)));
        });
        group.bench_function(format!("hash {name}, floor"), |b| b.iter(|| sha2::Sha256::digest(black_box(&body))));
    }
    group.finish();
}

/// Does not sign, so the bench measures the rest of a token.
struct Free;

impl Signer for Free {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDsa
    }

    fn signature_len(&self) -> usize {
        64
    }

    fn sign(&self, _: &[u8], _: &mut dyn CryptoRng, _: &mut [u8]) -> Result<(), SignerError> {
        Ok(())
    }
}

fn written(c: &mut Criterion) {
    let rng = &mut SystemRng::new().unwrap();
    let hash = RequestHash::of("GET", "/me", b"");
    let ids = [1, 2, 3].map(Uuid::from_u128);
    c.bench_function("claims/a token but its signature", |b| {
        b.iter(|| {
            let claims = Claims::new(ids[0], ids[1], ids[2], hash, black_box(NOW), Duration::from_secs(60)).unwrap();
            claims.sign(&Free, rng).unwrap()
        });
    });
}

criterion_group!(name = benches; config = criterion(); targets = hash, written);
criterion_main!(benches);
