//! Reads any text as a token, without a panic. Only the signed text verifies.
#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mixin_pin_core::token::{Claims, Jws, RequestHash, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, UnixTime};
use mixin_pin_fuzz::{Zeros, planted};
use mixin_pin_protocol::check::ReceivedToken;

static SIGNED: LazyLock<(VerifyingKey, String)> = LazyLock::new(|| {
    let key = Ed25519Key::from_bytes(&[7; 32]).expect("a seed");
    let hash = RequestHash::of("GET", "/me", b"");
    let now = UnixTime::from_secs(1_700_000_000);
    let claims = Claims::new(Uuid::nil(), Uuid::nil(), Uuid::nil(), hash, now, Duration::from_secs(60));
    let token = claims.expect("claims").sign(&key, &mut Zeros).expect("a signature");
    (VerifyingKey::Ed25519(key.public_key()), token.as_str().to_owned())
});

fuzz_target!(|input: (u16, &str)| {
    let (at, text) = input;
    let (key, good) = &*SIGNED;
    // The text itself, and the good token with the text in it.
    let at = usize::from(at) % good.len();
    let end = (at + text.len()).min(good.len());
    let patched = format!("{}{text}{}", &good[..at], &good[end..]);
    for text in [text, &patched] {
        let Ok(jws) = Jws::parse(text) else { continue };
        // Both may fail on stray bits, but must not panic.
        let _ = (jws.header(), jws.payload());
        if let Ok(token) = ReceivedToken::parse(text) {
            let _ = (token.claims(), token.oauth_claims(), token.is_oauth());
        }
        assert_eq!(jws.verify(key).is_ok(), text == good, "{text}");
        planted(text == good);
    }
});
