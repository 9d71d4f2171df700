//! Prepares 10² to 10⁶ calls with 10⁴ sessions in one process. Measures the memory per session, the time per call and the
//! gain from a second thread.
//!
//! Not a criterion bench, because it measures how the figures change with the number of calls. Writes `target/scale.json`
//! for the report. `cargo test` runs a thousandth of it.

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;
use std::{env, fs, thread};

use mixin_pin_accel::FastKey;
use mixin_pin_benches::NOW;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, MonotonicNonces, Pin, Session, SystemRng};
use mixin_pin_protocol::call::Calls;

/// A session and its source of iterators.
struct Member {
    session: Session<FastKey>,
    nonces: MonotonicNonces,
}

fn member(at: usize, rng: &mut SystemRng) -> Member {
    let server = Ed25519Key::generate(rng).public_key().to_x25519().unwrap();
    let id = Uuid::from_u128(at as u128);
    let session = Session::ed25519(id, id, Ed25519Key::generate(rng), &server).unwrap();
    Member { session: session.map_signer(FastKey::from), nonces: MonotonicNonces::new() }
}

/// Prepares calls with one member after another. Returns nanoseconds per call.
#[allow(clippy::cast_precision_loss)] // A million is exact as `f64`.
fn prepare(members: &[Member], calls: usize, skip: usize) -> f64 {
    let (pin, mut rng) = (Pin::new("314159").unwrap(), SystemRng::new().unwrap());
    let begun = Instant::now();
    for at in skip..skip + calls {
        let member = &members[at % members.len()];
        let unsigned = Calls::new(&member.session, NOW, &mut rng).nonces(&member.nonces).verify_pin(&pin).unwrap();
        black_box(unsigned.sign(member.session.signer(), &mut rng).unwrap());
    }
    begun.elapsed().as_secs_f64() * 1e9 / calls as f64
}

/// Resident memory of this process in bytes, as the system counts it: C libraries allocate too.
fn memory_in_use() -> Option<usize> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() {
    let scale = if env::args().any(|argument| argument == "--bench") { 1 } else { 1000 };
    let (count, most) = (10_000 / scale, 1_000_000 / scale);
    let rng = &mut SystemRng::new().unwrap();
    let before = memory_in_use();
    let members: Vec<Member> = (0..count).map(|at| member(at, rng)).collect();
    let bytes_a_session = before.zip(memory_in_use()).map(|(before, after)| after.saturating_sub(before) / count);

    // Each run starts where the last one stopped, so the members are not in the cache.
    let (mut by_length, mut skip) = (Vec::new(), 0);
    let mut length = most.min(100);
    while length <= most {
        let times = (most / length).min(31) | 1;
        let figures = (0..times).map(|_| {
            skip += length;
            prepare(&members, length, skip)
        });
        by_length.push((length, median(figures.collect())));
        println!("{length:>9} calls over {count} sessions: {:.0} ns each", by_length[by_length.len() - 1].1);
        length *= 10;
    }

    let half = most / 4;
    let one = median((0..5).map(|_| prepare(&members, half, 0)).collect());
    let two = median(
        (0..5)
            .map(|_| {
                let begun = Instant::now();
                let (left, right) = members.split_at(count / 2);
                thread::scope(|scope| {
                    scope.spawn(|| prepare(left, half, 0));
                    scope.spawn(|| prepare(right, half, 0));
                });
                begun.elapsed().as_secs_f64() * 1e9 / f64::from(u32::try_from(2 * half).unwrap())
            })
            .collect(),
    );
    println!("two threads: {:.2} times one", one / two);
    if let Some(bytes) = bytes_a_session {
        println!("{bytes} bytes a session");
    }

    if scale == 1 {
        let report = serde_json::json!({
            "sessions": count,
            "bytes_a_session": bytes_a_session,
            "ns_by_calls": by_length,
            "ns_one_thread": one,
            "ns_two_threads": two,
        });
        let target =
            env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../target").into());
        fs::write(Path::new(&target).join("scale.json"), report.to_string()).expect("the target folder can be written");
    }
}
