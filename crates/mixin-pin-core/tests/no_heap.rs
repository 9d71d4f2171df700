//! Encrypting a PIN and signing a token allocate nothing, and a token on the heap is one allocation.
#![cfg(feature = "ed25519")]

mod common;

use std::time::Duration;

use mixin_pin_core::tip::{Amount, TipAction, TipKey};
#[cfg(feature = "alloc")]
use mixin_pin_core::token::{Algorithm, Signer};
use mixin_pin_core::token::{Claims, Jws, RequestHash, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, EncryptedPin, MonotonicNonces, NonceSource, Pin};
use mixin_pin_test_memory::{Memory, allocations_of};

#[global_allocator]
static MEMORY: Memory = Memory;

#[test]
fn encrypting_decrypting_and_signing_allocate_nothing() {
    let key = Ed25519Key::from_bytes(&[7; 32]).unwrap();
    let server = Ed25519Key::from_bytes(&[8; 32]).unwrap();
    let pin_key = key.agree(&server.public_key().to_x25519().unwrap()).unwrap();
    let nonces = MonotonicNonces::new();
    let mut rng = common::rng();

    let (count, text) = allocations_of(|| {
        let nonce = nonces.next(common::NOW).unwrap();
        pin_key.encrypt(Pin::new("314159").unwrap(), nonce, &mut rng).to_url_safe()
    });
    assert_eq!(count, 0, "encrypting");

    let (count, block) = allocations_of(|| {
        let encrypted = EncryptedPin::from_base64(text.as_str()).unwrap();
        pin_key.decrypt(&encrypted).unwrap()
    });
    assert_eq!(count, 0, "decrypting");
    assert_eq!(block.secret().expose(), b"314159");

    let mut buffer = [0; 600];
    let verifying = VerifyingKey::Ed25519(key.public_key());
    let (count, ()) = allocations_of(|| {
        let hash = RequestHash::of("POST", "/pin/verify", text.as_str().as_bytes());
        let lifetime = Duration::from_secs(60);
        let claims = Claims::new(Uuid::nil(), Uuid::nil(), Uuid::nil(), hash, common::NOW, lifetime).unwrap();
        let token = claims.sign_into(&key, &mut rng, &mut buffer).unwrap();
        Jws::parse(token).unwrap().verify(&verifying).unwrap();
    });
    assert_eq!(count, 0, "signing and verifying");
}

#[test]
fn signing_a_tip_action_allocates_nothing() {
    let key = TipKey::from_seed(&[7; 32]);
    let receivers = [Uuid::nil(), Uuid::max()];
    let (count, signature) = allocations_of(|| {
        key.sign(&TipAction::Transaction {
            asset_id: Uuid::nil(),
            opponent_key: "",
            receivers: &receivers,
            threshold: Some(2),
            amount: Amount::new("1.50").unwrap(),
            trace_id: Uuid::nil(),
            memo: "memo",
        })
    });
    assert_eq!(count, 0);
    assert_ne!(signature, [0; 64]);
}

#[cfg(feature = "alloc")]
#[test]
fn a_token_is_one_allocation() {
    let key = Ed25519Key::from_bytes(&[7; 32]).unwrap();
    let mut rng = common::rng();
    let (count, token) = allocations_of(|| {
        let hash = RequestHash::of("GET", "/me", b"");
        let lifetime = Duration::from_secs(60);
        let claims = Claims::new(Uuid::nil(), Uuid::nil(), Uuid::nil(), hash, common::NOW, lifetime).unwrap();
        claims.sign(&key, &mut rng).unwrap()
    });
    assert_eq!(count, 1);
    let (count, in_two_steps) = allocations_of(|| {
        let hash = RequestHash::of("GET", "/me", b"");
        let lifetime = Duration::from_secs(60);
        let claims = Claims::new(Uuid::nil(), Uuid::nil(), Uuid::nil(), hash, common::NOW, lifetime).unwrap();
        let unsigned = claims.unsigned(Algorithm::EdDsa);
        let mut signature = [0; 64];
        key.sign(unsigned.message(), &mut rng, &mut signature).unwrap();
        unsigned.with_signature(&signature).unwrap()
    });
    assert_eq!((count, in_two_steps.as_str()), (1, token.as_str()));
    assert!(token.authorization().starts_with("Bearer eyJ"));
}
