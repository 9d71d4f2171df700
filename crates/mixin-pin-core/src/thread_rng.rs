//! Randomness in user space, for callers on an operating system who draw often: one generator a thread.

use core::cell::RefCell;
use core::convert::Infallible;
use core::fmt;
use std::rc::Rc;
use std::thread_local;

use forkguard::Guard;
use rand_core::{TryCryptoRng, TryRng};

use crate::Error;

/// Random bytes from this thread's own `ChaCha12` generator, seeded by the operating system, without a system call for
/// each draw.
///
/// The generator is `rand`'s: seeded when a thread first asks, and again after every 64 KiB. A process that was forked
/// seeds it anew before its first draw, so that parent and child never draw the same bytes.
///
/// ```
/// use mixin_pin_core::{MonotonicNonces, NonceSource, Pin, PinKey, SystemRng, ThreadRng, UnixTime};
///
/// let key = PinKey::generate(&mut SystemRng::new()?);
/// let nonce = MonotonicNonces::new().next(UnixTime::from_secs(1_700_000_000))?;
/// let encrypted = key.encrypt(Pin::new("314159")?, nonce, &mut ThreadRng::new()?);
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
///
/// # Security
/// Good for IVs, request ids and blinding, and as good as [`SystemRng`](crate::SystemRng) for keys while nobody copies the
/// process. What is not noticed: a virtual machine that is resumed twice from one snapshot, and a fork that goes around
/// the C library's `fork`. Who runs there, and who makes a key that lasts, takes [`SystemRng`](crate::SystemRng). The
/// generator's state is not erased when the thread ends.
#[derive(Clone)]
pub struct ThreadRng(Rc<RefCell<Generator>>);

struct Generator {
    rng: rand::rngs::ThreadRng,
    guard: Guard,
}

thread_local! {
    // In an `Rc`, so that a handle outlives the slot while the thread ends.
    static GENERATOR: RefCell<Option<ThreadRng>> = const { RefCell::new(None) };
}

impl ThreadRng {
    /// This thread's generator, seeded if this is the thread's first time.
    ///
    /// # Errors
    /// [`Error::Randomness`] where the system has no randomness to seed it from.
    ///
    /// # Panics
    /// Never here. A system that stops giving randomness leaves nothing safe to do: drawing then panics.
    pub fn new() -> Result<Self, Error> {
        GENERATOR.with_borrow_mut(|slot| match slot {
            Some(made) => Ok(made.clone()),
            None => Ok(slot.insert(Self::seed()?).clone()),
        })
    }

    fn seed() -> Result<Self, Error> {
        let guard = Guard::try_new().map_err(|_| Error::Randomness)?;
        // `rand` panics where there is none.
        getrandom::SysRng.try_next_u32().map_err(|_| Error::Randomness)?;
        Ok(Self(Rc::new(RefCell::new(Generator { rng: rand::rng(), guard }))))
    }

    fn with<T>(&self, draw: impl FnOnce(&mut rand::rngs::ThreadRng) -> Result<T, Infallible>) -> Result<T, Infallible> {
        let Generator { rng, guard } = &mut *self.0.borrow_mut();
        if guard.detected_fork() {
            rng.reseed().expect("a forked process needs randomness of its own, and the system has none");
        }
        draw(rng)
    }
}

impl TryRng for ThreadRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.with(TryRng::try_next_u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.with(TryRng::try_next_u64)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.with(|rng| rng.try_fill_bytes(out))
    }
}

impl TryCryptoRng for ThreadRng {}

impl fmt::Debug for ThreadRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadRng").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng as _;

    #[test]
    fn handles_of_one_thread_share_a_generator_and_threads_do_not() {
        let (mut one, mut two) = (ThreadRng::new().unwrap(), ThreadRng::new().unwrap());
        let other = std::thread::spawn(|| ThreadRng::new().unwrap().next_u64());
        let drawn = [one.next_u64(), two.next_u64(), one.next_u64(), other.join().unwrap()];
        for (at, draw) in drawn.iter().enumerate() {
            assert!(!drawn[..at].contains(draw));
        }
        assert!(Rc::ptr_eq(&one.0, &two.0));
    }
}
