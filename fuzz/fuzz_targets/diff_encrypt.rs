//! Compares encryption with OpenSSL's: AES-256-CBC with PKCS#7 padding, after the IV.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mixin_pin_core::{Pin, PinKey, Secret, hazmat};
use mixin_pin_fuzz::planted;
use openssl::symm::{Cipher, encrypt};

fuzz_target!(|input: ([u8; 32], [u8; 16], u8, [u8; 64], u64, u64)| {
    let (key, iv, kind, bytes, timestamp, iterator) = input;
    let secret = match kind % 3 {
        0 => {
            let digits: [u8; 6] = std::array::from_fn(|at| b'0' + bytes[at] % 10);
            Secret::Digits(Pin::new(&digits).expect("six digits"))
        }
        1 => Secret::TipKey(std::array::from_fn(|at| bytes[at])),
        _ => Secret::TipSignature(bytes),
    };
    let plain = [secret.expose(), &timestamp.to_le_bytes(), &iterator.to_le_bytes()].concat();
    let theirs = encrypt(Cipher::aes_256_cbc(), &key, Some(&iv), &plain).expect("OpenSSL encrypts");
    let key = PinKey::from_bytes(&key).expect("32 bytes");
    let encrypted = hazmat::encrypt_with_iv(&key, &hazmat::block(secret, timestamp, iterator), &iv);
    assert_eq!(encrypted.as_bytes(), [&iv[..], &theirs].concat());
    planted(kind % 3 == 1 && iterator == 0x4141_4141_4141_4141);
});
