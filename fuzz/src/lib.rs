//! What the fuzz targets share: keys that everybody knows, randomness that is none, and planted faults.

use std::convert::Infallible;
use std::sync::LazyLock;

use mixin_pin_core::rand_core::{TryCryptoRng, TryRng};
use mixin_pin_core::{PinKey, RsaKey};

/// Panics where `condition` holds, but only when the targets are built to be broken: `fuzz/run --planted` wants each
/// to be found out. The condition names a state deep inside, so that a fuzzer that never gets there is found out, too.
pub fn planted(condition: bool) {
    assert!(!(cfg!(feature = "planted") && condition), "the planted fault was found");
}

/// A PIN key.
pub static PIN_KEY: LazyLock<PinKey> = LazyLock::new(|| PinKey::from_bytes(&[0x5a; 32]).expect("32 bytes"));

/// The PEM of [`RSA_KEY`], as a test of the sandbox has it.
pub const RSA_PEM: &str = include_str!("../../crates/mixin-pin-sandbox/testdata/rsa-1024.pem");

/// A key of 1024 bits, the fastest that Mixin has.
pub static RSA_KEY: LazyLock<RsaKey> = LazyLock::new(|| RsaKey::from_pem(RSA_PEM).expect("a key"));

/// Zeros, for operations whose result does not depend on randomness.
pub struct Zeros;

impl TryRng for Zeros {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill(0);
        Ok(())
    }
}

impl TryCryptoRng for Zeros {}

/// A counter, for the blinding of RSA, which wants numbers that are not all the same.
#[derive(Default)]
pub struct Counter(u64);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let bytes = self.try_next_u64()?.to_le_bytes();
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        // The step of SplitMix64, whose outputs are spread over all bits.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Ok(mixed ^ (mixed >> 27))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(8) {
            let bytes = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Counter {}
