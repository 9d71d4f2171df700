//! Functions that use a secret and do not return it leave no trace of it on the stack: after each call, the stack below the
//! caller is searched. A function that returns a secret by value may leave the copy that it moved; see docs/security.md.
//!
//! Unoptimised code copies values that it moves, so this needs `cargo test --release`.
#![cfg(all(feature = "rsa", feature = "ed25519", not(debug_assertions)))]
#![allow(unsafe_code, reason = "reads the unused part of the stack")]

mod common;

use std::hint::black_box;
use std::mem::MaybeUninit;
use std::time::Duration;

use common::{NOW, rng};
use mixin_pin_core::tip::{TipAction, TipKey};
use mixin_pin_core::token::{RequestHash, Signer};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, EncryptedPin, MonotonicNonces, NonceSource, Pin, PinKey, Session};

/// How much of the stack is searched. No call goes deeper.
const DEPTH: usize = 64 << 10;
const DIGITS: &[u8] = b"739146";
const SEED: [u8; 32] = *b"a seed that is found where it is";
const PIN_KEY: [u8; 32] = *b"a pin key is found where it lies";

#[inline(never)]
fn fill() {
    black_box(&mut [0xa5_u8; DEPTH]);
}

#[inline(never)]
fn call<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn copy_to(seen: &mut [u8]) {
    let area = MaybeUninit::<[u8; DEPTH]>::uninit();
    // SAFETY: the area is where the frames of `call` were, and `fill` wrote all of it. Both have the same length.
    unsafe { std::ptr::copy(black_box(area.as_ptr().cast()), seen.as_mut_ptr(), DEPTH) };
}

/// Counts the marks on the stack below the caller after `work`.
fn left_below<T>(marks: &[&[u8]], work: impl FnOnce() -> T) -> usize {
    let mut seen = vec![0; DEPTH];
    fill();
    let result = call(work);
    copy_to(&mut seen);
    drop(result);
    assert!(seen.contains(&0xa5), "the work went deeper than the search");
    marks.iter().map(|mark| seen.windows(mark.len()).filter(|window| window == mark).count()).sum()
}

#[test]
fn the_search_finds_a_secret() {
    let leave = || {
        let mut digits = [0; 6];
        digits.copy_from_slice(DIGITS);
        black_box(&mut digits)[0]
    };
    assert_eq!(left_below(&[DIGITS], leave), 1);
}

#[test]
fn pins_are_encrypted_and_compared_without_a_trace() {
    let (pin, other) = (Box::new(Pin::new(DIGITS).unwrap()), Box::new(Pin::new(DIGITS).unwrap()));
    let key = Box::new(PinKey::from_bytes(&PIN_KEY).unwrap());
    let marks = [DIGITS, &PIN_KEY[..16], &PIN_KEY[16..]];
    assert_eq!(left_below(&marks, || *pin == *other), 0);
    let nonce = MonotonicNonces::new().next(NOW).unwrap();
    assert_eq!(left_below(&marks, || key.encrypt(Pin::new(pin.expose()).unwrap(), nonce, &mut rng())), 0);
    // With a wrong digit, decryption fails after the plaintext was in memory.
    let nonce = MonotonicNonces::new().next(NOW).unwrap();
    let mut bytes = key.encrypt(Pin::new(DIGITS).unwrap(), nonce, &mut rng()).as_bytes().to_vec();
    bytes[8] ^= 1; // another timestamp
    bytes[0] ^= 0x40; // the first character is no digit
    let encrypted = EncryptedPin::from_bytes(&bytes).unwrap();
    assert_eq!(left_below(&[&DIGITS[1..], marks[1], marks[2]], || key.decrypt(&encrypted).is_ok()), 0);
}

#[test]
fn ed25519_and_tip_keys_sign_without_a_trace() {
    let key = Box::new(Ed25519Key::from_bytes(&SEED).unwrap());
    let marks = [&SEED[..16], &SEED[16..]];
    let sign = || {
        let mut signature = [0; 64];
        key.sign(b"message", &mut rng(), &mut signature).unwrap();
        signature
    };
    assert_eq!(left_below(&marks, sign), 0);
    let tip = Box::new(TipKey::from_seed(&SEED));
    assert_eq!(left_below(&marks, || Box::new(tip.secret(&TipAction::ReadEmergencyContact))), 0);

    let server = Ed25519Key::from_bytes(&[8; 32]).unwrap().public_key().to_x25519().unwrap();
    let session = Box::new(Session::ed25519(Uuid::nil(), Uuid::nil(), *key, &server).unwrap());
    let pin_key = *session.pin_key().expose();
    let hash = RequestHash::of("GET", "/me", b"");
    let token = || {
        let claims = session.claims(hash, Uuid::nil(), NOW, Duration::from_secs(60)).unwrap();
        session.sign(&claims, &mut rng()).unwrap()
    };
    assert_eq!(left_below(&[marks[0], marks[1], &pin_key[..16]], token), 0);
}
