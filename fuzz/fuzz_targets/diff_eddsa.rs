//! Compares EdDSA with OpenSSL: the public key of a seed, the signature of a message, and the verdict on a changed signature.
#![no_main]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
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

/// Made once, because making a key costs more than signing.
static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| (0..16).map(|number| Pair::new(&[number; 32])).collect());

#[derive(Debug, Hash, Arbitrary)]
struct Input<'a> {
    pair: u8,
    seed: [u8; 32],
    change: (u8, u8),
    message: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    // Verification takes four times as long as signing, and a new key as long again, so both are rare. A hash of the whole
    // input selects the check: with a separate field, the fuzzer would prefer the slowest check, which has the most edges.
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let Input { pair, seed, change: (at, value), message } = input;
    let pair = &PAIRS[usize::from(pair) % PAIRS.len()];
    match hasher.finish() % 64 {
        0 => {
            let pair = Pair::new(&seed);
            assert!(pair.verify(message, &pair.sign(message)));
        }
        1..3 => {
            let mut signature = pair.sign(message);
            signature[usize::from(at) % 64] ^= value;
            assert_eq!(pair.verify(message, &signature), value == 0);
            planted(value == 0 && message.len() > 8);
        }
        _ => drop(pair.sign(message)),
    }
});
