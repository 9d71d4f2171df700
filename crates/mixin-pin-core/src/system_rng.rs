//! The operating system's randomness, for callers that have no generator of their own.

use core::convert::Infallible;

use getrandom::SysRng;
use rand_core::{TryCryptoRng, TryRng, UnwrapErr};

use crate::Error;

/// Random bytes from the operating system, one system call each time.
///
/// ```
/// # #[cfg(feature = "getrandom")] {
/// use mixin_pin_core::{PinKey, SystemRng};
///
/// let mut rng = SystemRng::new()?;
/// let key = PinKey::generate(&mut rng);
/// # }
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[derive(Debug)]
pub struct SystemRng(UnwrapErr<SysRng>);

impl SystemRng {
    /// Opens the source, by drawing from it once.
    ///
    /// # Errors
    /// [`Error::Randomness`] where the system has none to give.
    ///
    /// # Panics
    /// Never here. A source that has answered once and then fails leaves nothing safe to do: drawing from it panics.
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
