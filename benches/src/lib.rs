//! What the benches share: how long they run, the sessions that they measure, and a generator whose cost is next to
//! nothing; and what the report on them is made of.
#![forbid(unsafe_code)]

pub mod chart;
pub mod figures;
pub mod works;

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use mixin_pin_accel::FastKey;
use mixin_pin_core::rand_core::{TryCryptoRng, TryRng};
use mixin_pin_core::token::{RequestHash, Signer};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, PinKey, RsaKey, Session, SessionKey, SystemRng, UnixTime};

/// The time at which everything happens.
pub const NOW: UnixTime = UnixTime::from_secs(1_795_517_646);

/// The seed of every Ed25519 key.
pub const SEED: [u8; 32] = [7; 32];

/// How long every bench runs: enough for a steady figure, short enough for all of them in a few minutes.
pub fn criterion() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

/// A session around a key, whoever holds it.
pub fn session<S: Signer>(key: S) -> Session<S> {
    Session::from_parts(Uuid::from_u128(1), Uuid::from_u128(2), key, PinKey::generate(&mut Counter::default()))
}

/// Makes the token of one request.
///
/// # Panics
/// When the signer fails, which makes no figure.
pub fn token<S: Signer>(session: &Session<S>, rng: &mut SystemRng) -> String {
    let hash = RequestHash::of("POST", "/pin/verify", black_box(b"{}"));
    let claims =
        session.claims(hash, Uuid::from_u128(3), NOW, Duration::from_secs(60)).expect("a minute is a lifetime");
    session.sign(&claims, rng).expect("these signers sign").as_str().to_owned()
}

/// What a token's signature covers.
///
/// # Panics
/// For what is no token.
pub fn signing_input(token: &str) -> &[u8] {
    token.rsplit_once('.').expect("a token has dots").0.as_bytes()
}

/// The Ed25519 key, in pure Rust.
///
/// # Panics
/// Never: any seed is a key.
pub fn ed25519_key() -> Ed25519Key {
    Ed25519Key::from_bytes(&SEED).expect("any seed is a key")
}

/// The Ed25519 key in the hands of the fastest library.
pub fn fast_ed25519_key() -> FastKey {
    SessionKey::Ed25519(ed25519_key()).into()
}

/// An RSA key in pure Rust.
///
/// # Panics
/// Outside 1024 to 4096 bits.
pub fn rsa_key(bits: usize) -> RsaKey {
    let mut rng = SystemRng::new().expect("a machine that measures has randomness");
    RsaKey::generate(&mut rng, bits).expect("1024 to 4096 bits")
}

/// Counts instead of drawing, so that a bench measures the work and not the randomness.
#[derive(Debug, Default)]
pub struct Counter(u64);

impl TryRng for Counter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 += 1;
        Ok(u32::try_from(self.0 & 0xffff_ffff).unwrap_or_default())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 += 1;
        Ok(self.0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0 += 1;
        let bytes = self.0.to_le_bytes();
        for chunk in out.chunks_mut(bytes.len()) {
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}

// Not for keys: only benches see it.
impl TryCryptoRng for Counter {}
