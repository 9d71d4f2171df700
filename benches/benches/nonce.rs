//! Reserves iterators in memory, with one thread and with several at once.

use std::thread;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use mixin_pin_benches::{NOW, criterion};
use mixin_pin_core::{MonotonicNonces, NonceSource};

fn reserve(c: &mut Criterion) {
    let mut group = c.benchmark_group("nonce");
    let nonces = MonotonicNonces::new();
    group.bench_function("1 thread", |b| b.iter(|| nonces.reserve(NOW).unwrap()));
    for threads in [2, 4, 8] {
        group.bench_function(format!("{threads} threads"), |b| {
            b.iter_custom(|rounds| {
                let start = Instant::now();
                thread::scope(|scope| {
                    for _ in 0..threads {
                        scope.spawn(|| {
                            for _ in 0..rounds {
                                nonces.reserve(NOW).unwrap();
                            }
                        });
                    }
                });
                start.elapsed()
            });
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = criterion(); targets = reserve);
criterion_main!(benches);
