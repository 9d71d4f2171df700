//! Shared code of the benches: criterion's settings, keys and sessions. The modules make the report.
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

/// The time of every call.
pub const NOW: UnixTime = UnixTime::from_secs(1_795_517_646);

/// The seed of every Ed25519 key.
pub const SEED: [u8; 32] = [7; 32];

/// Criterion's settings: long enough for steady figures, short enough to run all benches in a few minutes.
pub fn criterion() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

/// A session with this key.
pub fn session<S: Signer>(key: S) -> Session<S> {
    Session::from_parts(Uuid::from_u128(1), Uuid::from_u128(2), key, PinKey::generate(&mut Counter::default()))
}

/// Makes the token of one request.
///
/// # Panics
/// When the signer fails.
pub fn token<S: Signer>(session: &Session<S>, rng: &mut SystemRng) -> String {
    let hash = RequestHash::of("POST", "/pin/verify", black_box(b"{}"));
    let claims =
        session.claims(hash, Uuid::from_u128(3), NOW, Duration::from_secs(60)).expect("a minute is a lifetime");
    session.sign(&claims, rng).expect("these signers sign").as_str().to_owned()
}

/// The part of a token that its signature covers.
///
/// # Panics
/// When the text is not a token.
pub fn signing_input(token: &str) -> &[u8] {
    token.rsplit_once('.').expect("a token has dots").0.as_bytes()
}

/// An Ed25519 key in pure Rust.
///
/// # Panics
/// Never: any seed is a key.
pub fn ed25519_key() -> Ed25519Key {
    Ed25519Key::from_bytes(&SEED).expect("any seed is a key")
}

/// The same key, signed with by aws-lc-rs.
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

/// Counts instead of drawing random numbers, so a bench does not measure the generator.
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

// Only benches see it.
impl TryCryptoRng for Counter {}
