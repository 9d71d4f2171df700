//! No secret is left in freed memory: each block is searched as it is freed, for PINs, PIN keys, private keys and the
//! plaintext of blocks. Values that are dropped in place are erased in place.
#![cfg(all(feature = "rsa", feature = "ed25519"))]

mod common;

use std::time::Duration;

use common::rng;
use mixin_pin_core::tip::{TipAction, TipKey};
use mixin_pin_core::token::{RequestHash, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{
    CodeVerifier, Ed25519Key, MonotonicNonces, NonceSource, Pin, PinBlock, PinKey, RsaKey, Secret, Session, hazmat,
};
use mixin_pin_test_memory::{Memory, after_drop, holds, left_behind};
use zeroize::Zeroize;

const DIGITS: &[u8] = b"739146";
const SEED: [u8; 32] = *b"a seed that is found where it is";
const PIN_KEY: [u8; 32] = *b"a pin key is found where it lies";

#[global_allocator]
static MEMORY: Memory = Memory;

#[test]
fn ed25519_sessions_leave_nothing() {
    let server = Ed25519Key::from_bytes(&[8; 32]).unwrap().public_key().to_x25519().unwrap();
    let shared = *Ed25519Key::from_bytes(&SEED).unwrap().agree(&server).unwrap().expose();
    let text = Ed25519Key::from_bytes(&SEED).unwrap().to_base64_url().to_string();
    let marks = [&SEED[..16], &shared[..16], DIGITS, &text.as_bytes()[4..24]];
    let left = left_behind(&marks, || {
        let key = Ed25519Key::from_text(&text).unwrap();
        let again = key.to_base64_url();
        assert_eq!(again.len(), text.len());
        // Nothing moves out of a box, because that would leave a copy in it.
        let session = Box::new(Session::ed25519(Uuid::nil(), Uuid::nil(), key, &server).unwrap());
        let hash = RequestHash::of("GET", "/me", b"");
        let claims = session.claims(hash, Uuid::nil(), common::NOW, Duration::from_secs(60)).unwrap();
        let token = session.sign(&claims, &mut rng()).unwrap();
        assert!(!token.as_str().is_empty());
        let nonce = MonotonicNonces::new().next(common::NOW).unwrap();
        let pin = Pin::new(DIGITS).unwrap();
        let encrypted = session.pin_key().encrypt(pin, nonce, &mut rng());
        Box::new(session.pin_key().decrypt(&encrypted).unwrap())
    });
    assert_eq!(left, 0);
}

/// What RSA must not leave: the PIN key, the private key's text and DER, and its private exponents as numbers.
///
/// The primes and the coefficient as numbers are not among the marks: the `rsa` crate copies them into the parameters and
/// the intermediate values of its arithmetic, and frees these without erasing them. It does the same with the padded
/// message of an unwrapped PIN token, in Montgomery form.
struct RsaMarks {
    pem: String,
    marks: Vec<Vec<u8>>,
}

impl RsaMarks {
    fn new() -> Self {
        let pem = common::testdata("rsa-2048-pkcs8.pem");
        let key = RsaKey::from_pem(&pem).unwrap();
        let der = key.to_pkcs1_der();
        let mut marks = vec![PIN_KEY[..16].to_vec(), pem.lines().nth(12).unwrap().as_bytes().to_vec()];
        // Version, modulus, public exponent and their headers are the first 270 bytes. Then come d, p, q, dp, dq and the
        // coefficient, each after a header of 3 or 4 bytes. Each mark is a part of the middle.
        for (name, at) in [("d", 273), ("p", 531), ("q", 663), ("dp", 795), ("dq", 926), ("coefficient", 1057)] {
            let part = &der[at + 40..at + 64];
            marks.push(part.to_vec());
            if name.starts_with('d') {
                // In the byte order of the machine's numbers.
                marks.push(part.iter().rev().copied().collect());
            }
        }
        Self { pem, marks }
    }

    fn left_behind<T>(&self, work: impl FnOnce() -> T) -> usize {
        left_behind(&self.marks.iter().map(Vec::as_slice).collect::<Vec<_>>(), work)
    }
}

#[test]
fn rsa_sessions_leave_nothing() {
    let marks = RsaMarks::new();
    let pin_key = PinKey::from_bytes(&PIN_KEY).unwrap();
    let public_key = RsaKey::from_pem(&marks.pem).unwrap().public_key();
    let token = public_key.wrap_pin_key(&pin_key, Uuid::nil(), &mut rng()).unwrap();
    let left = marks.left_behind(|| {
        let key = RsaKey::from_pem(&marks.pem).unwrap();
        let key = RsaKey::from_pem(&key.to_pkcs1_pem().unwrap()).unwrap();
        assert!(!key.to_pkcs1_der().is_empty());
        let session = Session::rsa(Uuid::nil(), Uuid::nil(), key, &token, &mut rng()).unwrap();
        let hash = RequestHash::of("GET", "/me", b"");
        let claims = session.claims(hash, Uuid::nil(), common::NOW, Duration::from_secs(60)).unwrap();
        session.sign(&claims, &mut rng()).unwrap()
    });
    assert_eq!(left, 0);
}

#[test]
fn a_pin_key_read_from_text_leaves_nothing() {
    let texts =
        [common::hex(&PIN_KEY), Ed25519Key::from_bytes(&PIN_KEY).unwrap().to_base64_url()[..42].to_owned() + "M"];
    for text in texts {
        let left = left_behind(&[&PIN_KEY[..16]], || {
            let key = Box::new(PinKey::from_text(&text).unwrap());
            assert_eq!(key.expose(), &PIN_KEY);
            key
        });
        assert_eq!(left, 0, "{text}");
    }
}

#[test]
fn tip_keys_and_code_verifiers_leave_nothing() {
    let verifier = CodeVerifier::generate(&mut rng()).to_text().to_string();
    let marks = [&SEED[..16], verifier.as_bytes()];
    let left = left_behind(&marks, || {
        let key = Box::new(TipKey::from_seed(&SEED));
        let scalar = Box::new(TipKey::from_scalar(&SEED).unwrap());
        let read = CodeVerifier::from_text(&verifier).unwrap();
        assert_eq!(*read.to_text(), verifier);
        (key.secret(&TipAction::ReadEmergencyContact), scalar.installation(1), key, scalar)
    });
    assert_eq!(left, 0);
}

#[test]
fn dropped_values_are_erased_in_place() {
    assert!(holds(&after_drop(*b"xx739146xx"), DIGITS), "the search finds what is not erased");
    let pin = || Pin::new(DIGITS).unwrap();
    let tip_key: [u8; 40] = std::array::from_fn(|at| SEED[at % 32]);
    let signature: [u8; 64] = std::array::from_fn(|at| SEED[at % 32]);
    assert!(!holds(&after_drop(pin()), DIGITS));
    assert!(!holds(&after_drop(Secret::Digits(pin())), DIGITS));
    assert!(!holds(&after_drop(Secret::TipKey(tip_key)), &SEED[..16]));
    assert!(!holds(&after_drop(Secret::TipSignature(signature)), &SEED[..16]));
    assert!(!holds(&after_drop::<PinBlock>(hazmat::block(pin(), 1, 2)), DIGITS));
    assert!(!holds(&after_drop(PinKey::from_bytes(&PIN_KEY).unwrap()), &PIN_KEY[..16]));
    assert!(!holds(&after_drop(Ed25519Key::from_bytes(&SEED).unwrap()), &SEED[..16]));
    // A raw scalar is reduced before it is stored. This one is small enough to stay the same.
    let mut scalar = SEED;
    scalar[31] = 0;
    assert!(!holds(&after_drop(TipKey::from_scalar(&scalar).unwrap()), &scalar[..16]));
}

#[test]
fn zeroized_values_are_zeros() {
    let mut pin = Pin::new(DIGITS).unwrap();
    pin.zeroize();
    assert_eq!(pin.expose(), &[0; 6]);
    let mut secret = Secret::TipSignature([7; 64]);
    secret.zeroize();
    assert_eq!(secret.expose(), &[0; 64]);
}

#[test]
fn debug_shows_no_secret() {
    let key = Ed25519Key::from_bytes(&SEED).unwrap();
    let server = Ed25519Key::from_bytes(&[8; 32]).unwrap().public_key().to_x25519().unwrap();
    let nonce = MonotonicNonces::new().next(common::NOW).unwrap();
    let pin = || Pin::new(DIGITS).unwrap();
    let rsa = RsaKey::from_pem(&common::testdata("rsa-2048-pkcs8.pem")).unwrap();
    let verifier = CodeVerifier::generate(&mut rng());
    let verifier_text = verifier.to_text();
    let session = Session::ed25519(Uuid::nil(), Uuid::nil(), Ed25519Key::from_bytes(&SEED).unwrap(), &server).unwrap();
    for (shown, name) in [
        (format!("{:?}", pin()), "Pin"),
        (format!("{:?}", Secret::from(pin())), "Secret"),
        (format!("{:?}", Secret::TipKey([b'7'; 40])), "Secret"),
        (format!("{:?}", PinBlock::new(pin(), nonce)), "PinBlock"),
        (format!("{:?}", PinKey::from_bytes(&PIN_KEY).unwrap()), "PinKey"),
        (format!("{key:?}"), "Ed25519Key"),
        (format!("{rsa:?}"), "RsaKey"),
        (format!("{session:?}"), "Session"),
        (format!("{:?}", TipKey::from_seed(&SEED)), "TipKey"),
        (format!("{verifier:?}"), "CodeVerifier"),
    ] {
        assert!(shown.contains(name), "{shown} does not name its type");
        // Secrets as text, as a list of numbers, in hex, and as a string's `Debug`.
        let list = format!("{}, {}", DIGITS[0], DIGITS[1]);
        let seeds = [format!("{}, {}, {}", SEED[0], SEED[1], SEED[2]), common::hex(&SEED[..4]), "a seed".to_owned()];
        let keys = [common::hex(&PIN_KEY[..4]), "a pin key".to_owned(), "97, 32, 112".to_owned()];
        for mark in [list, "739146".to_owned(), verifier_text.to_string()].iter().chain(&seeds).chain(&keys) {
            assert!(!shown.contains(mark.as_str()), "{shown}");
        }
    }
    // Public values may be shown, with their kind.
    assert!(format!("{:?}", VerifyingKey::Ed25519(key.public_key())).contains("Ed25519"));
    assert!(format!("{:?}", VerifyingKey::Rsa(rsa.public_key())).contains("Rsa"));
    assert!(format!("{server:?}").contains("X25519PublicKey"));
}
