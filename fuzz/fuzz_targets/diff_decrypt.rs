//! Compares decryption with OpenSSL's, followed by the checks of length and digits. The fuzzer chooses the plaintext with its
//! padding, so half-right paddings occur.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mixin_pin_core::{EncryptedPin, hazmat};
use mixin_pin_fuzz::{PIN_KEY, planted};
use openssl::symm::{Cipher, Crypter, Mode, decrypt};

#[derive(Debug, Arbitrary)]
struct Input {
    iv: [u8; 16],
    kind: u8,
    plain: [u8; 96],
    /// The length of the padding at the end, and its value.
    padding: (u8, u8),
    /// Whether the first six bytes become digits.
    digits: bool,
}

fuzz_target!(|input: Input| {
    // Six digits, a key with its counter, a signature, each with timestamp and iterator, in whole blocks.
    let (secret_len, len) = [(6, 32), (40, 64), (64, 96)][usize::from(input.kind % 3)];
    let mut plain = input.plain[..len].to_vec();
    let fill = usize::from(input.padding.0 % 17);
    plain[len - fill..].fill(input.padding.1);
    if input.digits {
        plain[..6].iter_mut().for_each(|byte| *byte = b'0' + *byte % 10);
    }

    let key = PIN_KEY.expose();
    let mut crypter = Crypter::new(Cipher::aes_256_cbc(), Mode::Encrypt, key, Some(&input.iv)).expect("a cipher");
    crypter.pad(false);
    let mut ciphertext = vec![0; len + 16];
    let written = crypter.update(&plain, &mut ciphertext).expect("OpenSSL encrypts");
    let rest = crypter.finalize(&mut ciphertext[written..]).expect("whole blocks");
    ciphertext.truncate(written + rest);

    let theirs = decrypt(Cipher::aes_256_cbc(), key, Some(&input.iv), &ciphertext).ok();
    let expected = theirs.filter(|decrypted| {
        decrypted.len() == secret_len + 16 && (secret_len != 6 || decrypted[..6].iter().all(u8::is_ascii_digit))
    });
    let encrypted = EncryptedPin::from_bytes(&[&input.iv[..], &ciphertext].concat()).expect("the length is right");
    let ours = PIN_KEY.decrypt(&encrypted).ok().map(|block| {
        let decrypted =
            [block.secret().expose(), &block.timestamp().to_le_bytes(), &block.iterator().to_le_bytes()].concat();
        assert_eq!(hazmat::encrypt_with_iv(&PIN_KEY, &block, &input.iv), encrypted, "what decrypts encrypts to itself");
        decrypted
    });
    assert_eq!(ours, expected);
    planted(secret_len == 6 && ours.is_some());
});
