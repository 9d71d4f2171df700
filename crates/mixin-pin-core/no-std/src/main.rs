//! Uses every feature of the core but `std`, without the standard library. Exits with 0 on success.
#![no_std]
#![no_main]
#![allow(unsafe_code, reason = "without a standard library, a program defines its allocator and entry point")]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use mixin_pin_core::token::{Jws, RequestHash, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{
    Ed25519Key, EncryptedPin, Error, MonotonicNonces, NonceSource, Pin, PinKey, RsaKey, Session, SystemRng, UnixTime,
};

const KEY: &str = include_str!("../../testdata/rsa-2048-pkcs8.pem");
const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);

/// Gives out memory from one arena and never frees any.
struct Arena {
    bytes: UnsafeCell<[u8; Arena::SIZE]>,
    used: AtomicUsize,
}

impl Arena {
    const SIZE: usize = 16 << 20;
}

// SAFETY: `used` only grows, so no two blocks overlap.
unsafe impl Sync for Arena {}

// SAFETY: each block is inside the arena, is aligned, and is given out once.
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.bytes.get().cast::<u8>();
        let mut used = self.used.load(Ordering::Relaxed);
        loop {
            let Some(start) = (base as usize + used).checked_next_multiple_of(layout.align()) else {
                return null_mut();
            };
            let start = start - base as usize;
            let end = start + layout.size();
            if end > Self::SIZE {
                return null_mut();
            }
            match self.used.compare_exchange_weak(used, end, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return unsafe { base.add(start) },
                Err(now) => used = now,
            }
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ARENA: Arena = Arena { bytes: UnsafeCell::new([0; Arena::SIZE]), used: AtomicUsize::new(0) };

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn abort() -> !;
    }
    unsafe { abort() }
}

// The compiled `core` and `alloc` refer to both symbols for unwinding, which `panic = "abort"` excludes.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() {}

/// Makes a PIN and a token on one side, and checks them on the other.
fn check(session: &Session, server_key: &PinKey, public: &VerifyingKey, rng: &mut SystemRng) -> Result<(), Error> {
    let nonce = MonotonicNonces::new().next(NOW)?;
    let encrypted = session.pin_key().encrypt(Pin::new("314159")?, nonce, rng).to_url_safe();
    let hash = RequestHash::of("POST", "/pin/verify", encrypted.as_str().as_bytes());
    let claims = session.claims(hash, Uuid::nil(), NOW, Duration::from_secs(60))?;
    let token = session.sign(&claims, rng)?;
    Jws::parse(token.as_str())?.verify(public)?;
    let block = server_key.decrypt(&EncryptedPin::from_base64(encrypted.as_str())?)?;
    if block.secret().expose() == b"314159" { Ok(()) } else { Err(Error::Decrypt) }
}

fn run() -> Result<(), Error> {
    let mut rng = SystemRng::new()?;

    let key = RsaKey::from_pem(KEY)?;
    let public = VerifyingKey::Rsa(key.public_key());
    let pin_key = PinKey::generate(&mut rng);
    let pin_token = key.public_key().wrap_pin_key(&pin_key, Uuid::nil(), &mut rng)?;
    let session = Session::rsa(Uuid::nil(), Uuid::nil(), key, &pin_token, &mut rng)?;
    check(&session, &pin_key, &public, &mut rng)?;

    let server = Ed25519Key::generate(&mut rng);
    let key = Ed25519Key::generate(&mut rng);
    let public = VerifyingKey::Ed25519(key.public_key());
    let pin_key = server.agree(&key.public_key().to_x25519()?)?;
    let session = Session::ed25519(Uuid::nil(), Uuid::nil(), key, &server.public_key().to_x25519()?)?;
    check(&session, &pin_key, &public, &mut rng)
}

#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    c_int::from(run().is_err())
}
