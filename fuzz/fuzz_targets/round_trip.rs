//! An encrypted block decrypts to itself. A changed one decrypts to another block or not at all.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mixin_pin_core::{EncryptedPin, Pin, PinBlock, Secret, hazmat};
use mixin_pin_fuzz::{PIN_KEY, planted};

#[derive(Debug, Arbitrary)]
enum Plain {
    Digits([u8; 6]),
    TipKey([u8; 40]),
    TipSignature([u8; 64]),
}

#[derive(Debug, Arbitrary)]
struct Input {
    plain: Plain,
    timestamp: u64,
    iterator: u64,
    iv: [u8; 16],
    flip: u16,
}

impl Input {
    fn block(&self) -> PinBlock {
        let secret = match self.plain {
            Plain::Digits(bytes) => Secret::Digits(Pin::new(&bytes.map(|byte| b'0' + byte % 10)).expect("six digits")),
            Plain::TipKey(bytes) => Secret::TipKey(bytes),
            Plain::TipSignature(bytes) => Secret::TipSignature(bytes),
        };
        hazmat::block(secret, self.timestamp, self.iterator)
    }
}

fuzz_target!(|input: Input| {
    let encrypted = hazmat::encrypt_with_iv(&PIN_KEY, &input.block(), &input.iv);
    assert_eq!(PIN_KEY.decrypt(&encrypted).expect("what we encrypted decrypts"), input.block());

    let mut bytes = encrypted.as_bytes().to_vec();
    let bit = usize::from(input.flip) % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    let changed = EncryptedPin::from_bytes(&bytes).expect("the length is right");
    if let Ok(block) = PIN_KEY.decrypt(&changed) {
        planted(block.iterator() != input.iterator);
        assert_ne!(block, input.block(), "bit {bit} made no difference");
    }
});
