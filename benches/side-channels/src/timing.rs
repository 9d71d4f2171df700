//! Does the core's time depend on secrets? `dudect` runs two classes of inputs in random order and computes Welch's t of
//! their times. Above 4.5 the times differ. The functions named `control` differ on purpose.
//!
//! The environment variable `SAMPLES` sets the number of samples; the default is a million.

use std::hint::black_box;

use aes::Aes256;
use aes::cipher::{Array, BlockModeEncrypt as _, KeyIvInit as _};
use dudect_bencher::rand::{Rng as _, RngExt as _};
use dudect_bencher::{BenchRng, Class, CtRunner, ctbench_main};
use mixin_pin_core::{EncryptedPin, Pin, PinKey};

const KEY: [u8; 32] = [7; 32];
/// Operations in a sample. One alone is shorter than the clock's tick.
const REPEATS: usize = 16;

fn samples() -> usize {
    std::env::var("SAMPLES").map_or(1_000_000, |text| text.parse().expect("SAMPLES is a number"))
}

/// Times `operation` on inputs of two classes. Both inputs are new for every sample, and one is selected without a branch,
/// so caches and branch predictors learn about the class from the operation only.
fn compare<T: Copy, R>(
    runner: &mut CtRunner,
    rng: &mut BenchRng,
    mut make: impl FnMut(&mut BenchRng) -> [T; 2],
    operation: impl Fn(&T) -> R,
) {
    // The first samples are warm-up.
    let (warm_up, samples) = (samples() / 20, samples());
    let mut idle = CtRunner::default();
    for sample in 0..warm_up + samples {
        let pair = make(rng);
        let right = rng.random::<bool>();
        let input = black_box(pair[usize::from(right)]);
        let class = if right { Class::Right } else { Class::Left };
        let runner = if sample < warm_up { &mut idle } else { &mut *runner };
        runner.run_one(class, || {
            for _ in 0..REPEATS {
                black_box(operation(black_box(&input)));
            }
        });
    }
}

fn digits(rng: &mut BenchRng) -> [u8; 6] {
    std::array::from_fn(|_| rng.random_range(b'0'..=b'9'))
}

/// An encrypted block whose padding and digits the test changes.
fn encrypted(rng: &mut BenchRng, key: &[u8; 32], change: impl FnOnce(&mut [u8; 32])) -> [u8; 48] {
    let mut block = [10; 32];
    block[..6].copy_from_slice(&digits(rng));
    rng.fill_bytes(&mut block[6..22]);
    change(&mut block);
    let mut out = [0; 48];
    let (iv, body) = out.split_at_mut(16);
    rng.fill_bytes(iv);
    body.copy_from_slice(&block);
    let (blocks, _) = Array::slice_as_chunks_mut(body);
    cbc::Encryptor::<Aes256>::new(key.into(), (&*iv).try_into().expect("16 bytes")).encrypt_blocks(blocks);
    out
}

fn decrypt(input: &[u8; 48], key: &PinKey) -> bool {
    let encrypted = EncryptedPin::from_bytes(input).expect("48 bytes");
    key.decrypt(&encrypted).is_ok()
}

fn pins_equal_or_not(runner: &mut CtRunner, rng: &mut BenchRng) {
    let make = |rng: &mut BenchRng| {
        let pin = digits(rng);
        [(pin, pin), (pin, digits(rng))]
    };
    compare(runner, rng, make, |(one, other)| Pin::new(one).expect("digits") == Pin::new(other).expect("digits"));
}

fn control_of_pins(runner: &mut CtRunner, rng: &mut BenchRng) {
    let make = |rng: &mut BenchRng| {
        let pin = digits(rng);
        [(pin, pin), (pin, digits(rng))]
    };
    compare(runner, rng, make, |(one, other)| one.iter().zip(other).all(|(one, other)| black_box(one) == other));
}

fn padding_wrong_first_or_last(runner: &mut CtRunner, rng: &mut BenchRng) {
    let key = PinKey::from_bytes(&KEY).expect("32 bytes");
    let make = |rng: &mut BenchRng| {
        [encrypted(rng, &KEY, |block| block[22] ^= 1), encrypted(rng, &KEY, |block| block[31] ^= 1)]
    };
    compare(runner, rng, make, |input| decrypt(input, &key));
}

fn padding_or_digits_wrong(runner: &mut CtRunner, rng: &mut BenchRng) {
    let key = PinKey::from_bytes(&KEY).expect("32 bytes");
    let make = |rng: &mut BenchRng| {
        [encrypted(rng, &KEY, |block| block[31] ^= 1), encrypted(rng, &KEY, |block| block[0] = b'x')]
    };
    compare(runner, rng, make, |input| decrypt(input, &key));
}

fn key_or_padding_wrong(runner: &mut CtRunner, rng: &mut BenchRng) {
    let key = PinKey::from_bytes(&KEY).expect("32 bytes");
    let make = |rng: &mut BenchRng| [encrypted(rng, &[8; 32], |_| ()), encrypted(rng, &KEY, |block| block[31] ^= 1)];
    compare(runner, rng, make, |input| decrypt(input, &key));
}

fn decrypted_is_one_pin_or_any(runner: &mut CtRunner, rng: &mut BenchRng) {
    let key = PinKey::from_bytes(&KEY).expect("32 bytes");
    let make = |rng: &mut BenchRng| {
        [encrypted(rng, &KEY, |block| block[..6].copy_from_slice(b"000000")), encrypted(rng, &KEY, |_| ())]
    };
    compare(runner, rng, make, |input| decrypt(input, &key));
}

/// A padding check that ends at the first wrong byte.
fn control_of_padding(runner: &mut CtRunner, rng: &mut BenchRng) {
    let make = |_: &mut BenchRng| {
        let (mut first, mut last) = ([10_u8; 10], [10_u8; 10]);
        first[0] = 11;
        last[9] = 11;
        [first, last]
    };
    compare(runner, rng, make, |padding| padding.iter().all(|byte| *black_box(byte) == 10));
}

ctbench_main!(
    control_of_padding,
    control_of_pins,
    key_or_padding_wrong,
    decrypted_is_one_pin_or_any,
    padding_or_digits_wrong,
    padding_wrong_first_or_last,
    pins_equal_or_not
);
