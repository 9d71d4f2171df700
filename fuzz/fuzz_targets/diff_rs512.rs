//! Compares RS512 with OpenSSL: the signature of a message, and the verdict on a changed signature.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mixin_pin_core::token::{Signer as _, VerifyingKey};
use mixin_pin_fuzz::{Counter, RSA_KEY, RSA_PEM, planted};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::{Signer, Verifier};

static THEIRS: LazyLock<PKey<Private>> =
    LazyLock::new(|| PKey::private_key_from_pem(RSA_PEM.as_bytes()).expect("a key"));
static VERIFYING: LazyLock<VerifyingKey> = LazyLock::new(|| VerifyingKey::Rsa(RSA_KEY.public_key()));

fn verify_there(message: &[u8], signature: &[u8]) -> bool {
    let mut verifier = Verifier::new(MessageDigest::sha512(), &THEIRS).expect("a verifier");
    verifier.verify_oneshot(signature, message).unwrap_or(false)
}

fuzz_target!(|input: (&[u8], bool, u16, u8)| {
    let (message, change, at, value) = input;
    let mut signature = [0; 128];
    RSA_KEY.sign(message, &mut Counter::default(), &mut signature).expect("a signature");
    let mut signer = Signer::new(MessageDigest::sha512(), &THEIRS).expect("a signer");
    assert_eq!(signer.sign_oneshot_to_vec(message).expect("a signature"), signature);
    if change {
        signature[usize::from(at) % 128] ^= value;
    }
    let accepted = VERIFYING.verify(message, &signature).is_ok();
    assert_eq!(accepted, verify_there(message, &signature));
    planted(!accepted && message.len() > 2);
});
