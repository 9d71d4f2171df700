//! Any text is an encrypted PIN or is refused; one that is read is written again as it was, but for its alphabet and
//! padding, and opening it never panics.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mixin_pin_core::{EncryptedPin, PinKey, hazmat};

static KEY: LazyLock<PinKey> = LazyLock::new(|| PinKey::from_bytes(&[0x5a; 32]).expect("32 bytes"));

fuzz_target!(|text: &str| {
    let Ok(sealed) = EncryptedPin::from_base64(text) else { return };
    let bare = text.trim_end_matches('=');
    let standard = sealed.to_standard();
    let url_safe = sealed.to_url_safe();
    assert!(standard.as_str().trim_end_matches('=') == bare || url_safe.as_str() == bare, "{text}");
    assert_eq!(EncryptedPin::from_base64(url_safe.as_str()).as_ref(), Ok(&sealed));

    if let Ok(block) = KEY.open(&sealed) {
        let iv = sealed.as_bytes()[..16].try_into().expect("an IV is 16 bytes");
        assert_eq!(hazmat::seal_with_iv(&KEY, &block, &iv), sealed, "what opens seals to itself");
    }
});
