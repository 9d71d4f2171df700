//! Shared by the fuzz targets: known keys, generators without randomness, and planted faults.

use std::convert::Infallible;
use std::sync::LazyLock;

use mixin_pin_core::rand_core::{TryCryptoRng, TryRng};
use mixin_pin_core::{PinKey, RsaKey};

/// Panics if `condition` is true, in builds with planted faults only.
///
/// `fuzz/run --planted` fails unless each fault is found. The condition is a state that only a working fuzzer reaches.
pub fn planted(condition: bool) {
    assert!(!(cfg!(feature = "planted") && condition), "the planted fault was found");
}

/// A PIN key.
pub static PIN_KEY: LazyLock<PinKey> = LazyLock::new(|| PinKey::from_bytes(&[0x5a; 32]).expect("32 bytes"));

/// The PEM of [`RSA_KEY`], from the sandbox's tests.
pub const RSA_PEM: &str = include_str!("../../crates/mixin-pin-sandbox/testdata/rsa-1024.pem");

/// A key of 1024 bits, the fastest size.
pub static RSA_KEY: LazyLock<RsaKey> = LazyLock::new(|| RsaKey::from_pem(RSA_PEM).expect("a key"));

/// A generator of zeros, for operations whose result does not depend on randomness.
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

/// A generator from a counter, for RSA's blinding, which needs different numbers.
#[derive(Default)]
pub struct Counter(u64);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let bytes = self.try_next_u64()?.to_le_bytes();
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        // A step of SplitMix64.
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
