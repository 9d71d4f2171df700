//! Reads any text as a key, without a panic. A public key that is read encodes to the same key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{Ed25519Key, PinToken, RsaKey, X25519PublicKey};
use mixin_pin_fuzz::planted;

fuzz_target!(|text: &str| {
    if let Ok(key) = VerifyingKey::from_text(text) {
        let again = key.to_session_secret().expect("what was read can be written");
        assert_eq!(VerifyingKey::from_text(&again).as_ref(), Ok(&key), "{text}");
    }
    if let Ok(key) = Ed25519Key::from_text(text) {
        let again = Ed25519Key::from_bytes(key.expose_seed()).expect("a seed");
        assert_eq!(again.public_key(), key.public_key());
        planted(text.len() == 43);
    }
    if let Ok(key) = X25519PublicKey::from_base64(text) {
        assert_eq!(X25519PublicKey::from_base64(&key.to_base64_url()).as_ref(), Ok(&key));
    }
    if let Ok(token) = PinToken::from_base64(text) {
        assert_eq!(PinToken::from_base64(&token.to_base64()).as_ref(), Ok(&token));
    }
    // Any numbers are accepted or refused, without a panic or a hang.
    let _ = RsaKey::from_pem(text);
});
