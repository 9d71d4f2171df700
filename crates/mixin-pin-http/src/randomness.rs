//! Where a client's randomness comes from: this thread's generator, or the operating system each time.

use std::convert::Infallible;

use mixin_pin_core::rand_core::{TryCryptoRng, TryRng};
use mixin_pin_core::{SystemRng, ThreadRng};

use crate::Error;

#[derive(Debug, Clone, Copy)]
pub(crate) enum Randomness {
    Thread,
    System,
}

impl Randomness {
    /// A generator for the calls of this thread.
    pub(crate) fn rng(self) -> Result<CallRng, Error> {
        Ok(match self {
            Self::Thread => CallRng::Thread(ThreadRng::new()?),
            Self::System => CallRng::System(SystemRng::new()?),
        })
    }
}

/// One of the two.
#[derive(Debug)]
pub(crate) enum CallRng {
    Thread(ThreadRng),
    System(SystemRng),
}

impl TryRng for CallRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        match self {
            Self::Thread(rng) => rng.try_next_u32(),
            Self::System(rng) => rng.try_next_u32(),
        }
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        match self {
            Self::Thread(rng) => rng.try_next_u64(),
            Self::System(rng) => rng.try_next_u64(),
        }
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        match self {
            Self::Thread(rng) => rng.try_fill_bytes(out),
            Self::System(rng) => rng.try_fill_bytes(out),
        }
    }
}

impl TryCryptoRng for CallRng {}
