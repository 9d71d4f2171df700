//! Any text is a token or is refused, without a panic; and no text but the signed one verifies.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mixin_pin_core::rand_core::{TryCryptoRng, TryRng};
use mixin_pin_core::token::{Claims, Jws, RequestHash, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, UnixTime};

/// EdDSA needs no randomness.
struct None;

impl TryRng for None {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        out.fill(0);
        Ok(())
    }
}

impl TryCryptoRng for None {}

static SIGNED: LazyLock<(VerifyingKey, String)> = LazyLock::new(|| {
    let key = Ed25519Key::from_bytes(&[7; 32]).expect("a seed");
    let hash = RequestHash::of("GET", "/me", b"");
    let now = UnixTime::from_secs(1_700_000_000);
    let claims = Claims::new(Uuid::nil(), Uuid::nil(), Uuid::nil(), hash, now, Duration::from_secs(60));
    let token = claims.expect("claims").sign(&key, &mut None).expect("a signature");
    (VerifyingKey::Ed25519(key.public_key()), token.as_str().to_owned())
});

fuzz_target!(|input: (&str, u16, &str)| {
    let (text, at, patch) = input;
    let (key, good) = &*SIGNED;
    // As it came, and as a patch of the good token.
    let at = usize::from(at) % good.len();
    let end = (at + patch.len()).min(good.len());
    let patched = format!("{}{patch}{}", &good[..at], &good[end..]);
    for text in [text, &patched] {
        let Ok(jws) = Jws::parse(text) else { continue };
        // Either may fail on stray bits that nobody has verified yet, neither may panic.
        let _ = (jws.header(), jws.payload());
        assert_eq!(jws.verify(key).is_ok(), text == good, "{text}");
    }
});
