//! Reads any text as an encrypted PIN and decrypts it without a panic. What is read encodes to the same text, except for
//! alphabet and padding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mixin_pin_core::{EncryptedPin, SecretKind, hazmat};
use mixin_pin_fuzz::{PIN_KEY, planted};

fuzz_target!(|text: &str| {
    let Ok(encrypted) = EncryptedPin::from_base64(text) else { return };
    let bare = text.trim_end_matches('=');
    let standard = encrypted.to_standard();
    let url_safe = encrypted.to_url_safe();
    assert!(standard.as_str().trim_end_matches('=') == bare || url_safe.as_str() == bare, "{text}");
    assert_eq!(EncryptedPin::from_base64(url_safe.as_str()).as_ref(), Ok(&encrypted));
    planted(encrypted.kind() == SecretKind::SixDigits && text.ends_with("AA"));

    if let Ok(block) = PIN_KEY.decrypt(&encrypted) {
        let iv = encrypted.as_bytes()[..16].try_into().expect("an IV is 16 bytes");
        assert_eq!(hazmat::encrypt_with_iv(&PIN_KEY, &block, &iv), encrypted, "what decrypts encrypts to itself");
    }
});
