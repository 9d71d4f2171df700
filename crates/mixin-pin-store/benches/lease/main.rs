//! Lease a session, reserve an iterator, release the session: in memory, in SQLite with each durability, and over each server
//! of the features `redis-ha` and `postgres`. Each without and with an entry in the journal, which is written with the lease
//! and removed with the release.
//!
//! A floor is the least that the stores below it need: a small synchronized write to the disk of the build folder, which has
//! the databases, or a bare round trip to the same server. The bench starts the servers itself, and skips those that are not
//! installed.
//!
//! ```sh
//! cargo bench -p mixin-pin-store --features redis-ha,postgres --bench lease
//! ```

#[cfg(any(feature = "redis-ha", all(feature = "postgres", unix)))]
mod servers;

use std::fs::File;
use std::hint::black_box;
use std::io::{Seek as _, Write as _};
use std::time::{Duration, SystemTime};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_store::{CallIntent, CallKind, Durability, LeaseReply, LeaseTerms, MemoryStore, NonceStore, SqliteStore};

fn call(store: &dyn NonceStore, session_id: Uuid, intent: Option<&CallIntent>) -> u64 {
    let mut terms = LeaseTerms::new(Duration::from_secs(30)).with_confirmed_clock();
    if let Some(intent) = intent {
        terms = terms.for_call(intent);
    }
    let LeaseReply::Granted(lease) = store.lease(session_id, &terms).unwrap() else { panic!("busy") };
    lease.reserve(UnixTime::try_from(SystemTime::now()).unwrap()).unwrap()
}

fn compare(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, store: &dyn NonceStore) {
    let session = Uuid::from_u128(1);
    let intent = CallIntent {
        request_id: Uuid::from_u128(0x0b1f_7f6e_5d0e_4f6e_9b0e_2f9b_9e0f_3c11),
        method: "POST".into(),
        path: "/pin/update".into(),
        kind: CallKind::UpdatePin,
        token_lifetime: Duration::from_secs(60),
    };
    group.bench_function(name, |b| b.iter(|| black_box(call(store, session, None))));
    group.bench_function(format!("{name}, with an entry"), |b| {
        b.iter(|| black_box(call(store, session, Some(&intent))));
    });
}

fn lease(c: &mut Criterion) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut group = c.benchmark_group("lease");
    compare(&mut group, "memory", &MemoryStore::new());
    for (name, durability) in [("sqlite, crash", Durability::Crash), ("sqlite, power cut", Durability::PowerCut)] {
        let store = SqliteStore::open(&folder.path().join(format!("{durability:?}.db"))).unwrap();
        compare(&mut group, name, &store.durability(durability));
    }
    let mut file = File::create(folder.path().join("floor")).unwrap();
    group.bench_function("floor: write and synchronize 4 KiB", |b| {
        b.iter(|| {
            file.rewind().unwrap();
            file.write_all(&[7; 4096]).unwrap();
            file.sync_data().unwrap();
        });
    });
    #[cfg(feature = "redis-ha")]
    servers::redis(&mut group);
    #[cfg(all(feature = "postgres", unix))]
    servers::postgres(&mut group);
    group.finish();
}

criterion_group!(benches, lease);
criterion_main!(benches);
