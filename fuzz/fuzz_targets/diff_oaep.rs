//! Compares OAEP decryption with OpenSSL's. The fuzzer chooses the encoded message, so each check of OAEP (RFC 8017, 7.1.2)
//! gets near misses. No change of a ciphertext would produce these.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mixin_pin_core::hazmat;
use mixin_pin_fuzz::{Counter, RSA_KEY, RSA_PEM, planted};
use openssl::encrypt::Decrypter;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Padding, Rsa};
use openssl::sha::sha256;

const LEN: usize = 128;
const HASH: usize = 32;

static THEIRS: LazyLock<(Rsa<Private>, PKey<Private>)> = LazyLock::new(|| {
    let key = Rsa::private_key_from_pem(RSA_PEM.as_bytes()).expect("a key");
    (key.clone(), PKey::from_rsa(key).expect("a key"))
});

#[derive(Debug, Arbitrary)]
struct Input {
    label: [u8; 4],
    seed: [u8; HASH],
    message: [u8; LEN],
    message_len: u8,
    /// A position before the masking, and a value to XOR there.
    before: Option<(u8, u8)>,
    /// A position after the masking, and a value to XOR there.
    after: Option<(u8, u8)>,
}

fn mask(bytes: &mut [u8], seed: &[u8]) {
    for (counter, chunk) in (0_u32..).zip(bytes.chunks_mut(HASH)) {
        let block = sha256(&[seed, &counter.to_be_bytes()].concat());
        chunk.iter_mut().zip(block).for_each(|(byte, mask)| *byte ^= mask);
    }
}

fn encode(input: &Input) -> [u8; LEN] {
    let mut encoded = [0; LEN];
    let message_len = usize::from(input.message_len) % (LEN - 2 * HASH - 1);
    let (front, block) = encoded.split_at_mut(1 + HASH);
    block[..HASH].copy_from_slice(&sha256(&input.label));
    let at = block.len() - message_len;
    block[at - 1] = 1;
    block[at..].copy_from_slice(&input.message[..message_len]);
    front[1..].copy_from_slice(&input.seed);
    if let Some((at, value)) = input.before {
        block[usize::from(at) % block.len()] ^= value;
    }
    mask(block, &input.seed);
    mask(&mut front[1..], block);
    if let Some((at, value)) = input.after {
        encoded[usize::from(at) % LEN] ^= value;
    }
    encoded
}

fn decrypt_there(label: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let mut decrypter = Decrypter::new(&THEIRS.1).ok()?;
    decrypter.set_rsa_padding(Padding::PKCS1_OAEP).ok()?;
    decrypter.set_rsa_oaep_md(MessageDigest::sha256()).ok()?;
    decrypter.set_rsa_mgf1_md(MessageDigest::sha256()).ok()?;
    decrypter.set_rsa_oaep_label(label).ok()?;
    let mut out = vec![0; LEN];
    let len = decrypter.decrypt(ciphertext, &mut out).ok()?;
    out.truncate(len);
    Some(out)
}

fuzz_target!(|input: Input| {
    let mut ciphertext = [0; LEN];
    // A number above the modulus is not a message.
    if THEIRS.0.public_encrypt(&encode(&input), &mut ciphertext, Padding::NONE).is_err() {
        return;
    }
    let ours = hazmat::decrypt_oaep(&RSA_KEY, &input.label, &ciphertext, &mut Counter::default());
    let theirs = decrypt_there(&input.label, &ciphertext);
    assert_eq!(ours.ok().map(|message| message.to_vec()), theirs);
    planted(theirs.is_some_and(|message| message.len() == 32));
});
