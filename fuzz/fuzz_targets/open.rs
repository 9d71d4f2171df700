//! Any text is an encrypted PIN or is refused; one that is read is written again as it was, but for its alphabet and
//! padding, and opening it never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mixin_pin_core::{EncryptedPin, SecretKind, hazmat};
use mixin_pin_fuzz::{PIN_KEY, planted};

fuzz_target!(|text: &str| {
    let Ok(sealed) = EncryptedPin::from_base64(text) else { return };
    let bare = text.trim_end_matches('=');
    let standard = sealed.to_standard();
    let url_safe = sealed.to_url_safe();
    assert!(standard.as_str().trim_end_matches('=') == bare || url_safe.as_str() == bare, "{text}");
    assert_eq!(EncryptedPin::from_base64(url_safe.as_str()).as_ref(), Ok(&sealed));
    planted(sealed.kind() == SecretKind::SixDigits && text.ends_with("AA"));

    if let Ok(block) = PIN_KEY.open(&sealed) {
        let iv = sealed.as_bytes()[..16].try_into().expect("an IV is 16 bytes");
        assert_eq!(hazmat::seal_with_iv(&PIN_KEY, &block, &iv), sealed, "what opens seals to itself");
    }
});
