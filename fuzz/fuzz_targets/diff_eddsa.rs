//! EdDSA here and by OpenSSL: one public key for one seed, one signature for one message, and one verdict on every other.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mixin_pin_core::Ed25519Key;
use mixin_pin_core::token::{Signer as _, VerifyingKey};
use mixin_pin_fuzz::{Zeros, planted};
use openssl::pkey::{Id, PKey, Private};
use openssl::sign::{Signer, Verifier};

struct Pair {
    ours: Ed25519Key,
    verifying: VerifyingKey,
    theirs: PKey<Private>,
}

impl Pair {
    fn new(seed: &[u8; 32]) -> Self {
        let ours = Ed25519Key::from_bytes(seed).expect("a seed");
        let theirs = PKey::private_key_from_raw_bytes(seed, Id::ED25519).expect("a seed");
        assert_eq!(theirs.raw_public_key().expect("a key"), ours.public_key().as_bytes());
        Self { verifying: VerifyingKey::Ed25519(ours.public_key()), ours, theirs }
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        self.ours.sign(message, &mut Zeros, &mut signature).expect("a signature");
        let mut signer = Signer::new_without_digest(&self.theirs).expect("a signer");
        assert_eq!(signer.sign_oneshot_to_vec(message).expect("a signature"), signature);
        signature
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let mut verifier = Verifier::new_without_digest(&self.theirs).expect("a verifier");
        let theirs = verifier.verify_oneshot(signature, message).unwrap_or(false);
        assert_eq!(self.verifying.verify(message, signature).is_ok(), theirs);
        theirs
    }
}

/// Making a key costs more than signing with it.
static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| (0..16).map(|number| Pair::new(&[number; 32])).collect());

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Sign { pair: u8, message: &'a [u8] },
    Verify { pair: u8, message: &'a [u8], change: (u8, u8) },
    Key { seed: [u8; 32], message: &'a [u8] },
}

fuzz_target!(|input: Input<'_>| {
    let pair = |number: u8| &PAIRS[usize::from(number) % PAIRS.len()];
    match input {
        Input::Sign { pair: number, message } => drop(pair(number).sign(message)),
        Input::Verify { pair: number, message, change: (at, value) } => {
            let mut signature = pair(number).sign(message);
            signature[usize::from(at) % 64] ^= value;
            assert_eq!(pair(number).verify(message, &signature), value == 0);
            planted(value == 0 && message.len() > 8);
        }
        Input::Key { seed, message } => {
            let pair = Pair::new(&seed);
            assert!(pair.verify(message, &pair.sign(message)));
        }
    }
});
