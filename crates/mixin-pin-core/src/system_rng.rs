//! The operating system's randomness, for callers without a generator.

use core::convert::Infallible;

use getrandom::SysRng;
use rand_core::{TryCryptoRng, TryRng, UnwrapErr};

use crate::Error;

/// Random bytes from the operating system, with a system call for each request.
#[derive(Debug)]
pub struct SystemRng(UnwrapErr<SysRng>);

impl SystemRng {
    /// Opens the source and reads from it once.
    ///
    /// # Errors
    /// [`Error::Randomness`] if the system has none.
    ///
    /// # Panics
    /// Never here. Later reads panic if the system fails then, because nothing safe could follow.
    pub fn new() -> Result<Self, Error> {
        SysRng.try_next_u32().map_err(|_| Error::Randomness)?;
        Ok(Self(UnwrapErr(SysRng)))
    }
}

impl TryRng for SystemRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(out)
    }
}

impl TryCryptoRng for SystemRng {}
