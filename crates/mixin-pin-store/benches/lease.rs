//! Lease a session, reserve an iterator, release the session: in memory, and in SQLite with each durability. The floor of
//! the durability over power cuts is one small synchronized write.
//!
//! The database is in the build folder, on a real disk; a temporary folder may be in memory. `MIXIN_PIN_BENCH_REDIS` adds
//! a Redis server by its URL.

use std::fs::File;
use std::hint::black_box;
use std::io::{Seek as _, Write as _};
use std::time::{Duration, SystemTime};

use criterion::{Criterion, criterion_group, criterion_main};
use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_store::{Durability, LeaseReply, LeaseTerms, MemoryStore, NonceStore, SqliteStore};

fn call(store: &dyn NonceStore, session_id: Uuid) -> u64 {
    let terms = LeaseTerms::new(Duration::from_secs(30)).with_confirmed_clock();
    let LeaseReply::Granted(lease) = store.lease(session_id, &terms).unwrap() else { panic!("busy") };
    lease.reserve(UnixTime::try_from(SystemTime::now()).unwrap()).unwrap()
}

fn lease(c: &mut Criterion) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let session = Uuid::from_u128(1);
    let mut group = c.benchmark_group("lease");
    let store = MemoryStore::new();
    group.bench_function("memory", |b| b.iter(|| black_box(call(&store, session))));
    for (name, durability) in [("sqlite, crash", Durability::Crash), ("sqlite, power cut", Durability::PowerCut)] {
        let store = SqliteStore::open(&folder.path().join(format!("{durability:?}.db"))).unwrap();
        let store = store.durability(durability);
        group.bench_function(name, |b| b.iter(|| black_box(call(&store, session))));
    }
    let mut file = File::create(folder.path().join("floor")).unwrap();
    group.bench_function("floor: write and synchronize 4 KiB", |b| {
        b.iter(|| {
            file.rewind().unwrap();
            file.write_all(&[7; 4096]).unwrap();
            file.sync_data().unwrap();
        });
    });
    if let Ok(url) = std::env::var("MIXIN_PIN_BENCH_REDIS") {
        let store = mixin_pin_store::open(&url).unwrap();
        group.bench_function("redis", |b| b.iter(|| black_box(call(&*store, session))));
    }
    group.finish();
}

criterion_group!(benches, lease);
criterion_main!(benches);
