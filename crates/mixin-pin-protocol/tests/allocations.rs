//! A whole prepared request takes three allocations at most: its path where it is not a known one, its body, its token.

use getrandom::{SysRng, rand_core::UnwrapErr};
use mixin_pin_protocol::call::{Calls, PreparedRequest};
use mixin_pin_protocol::core::tip::{TipAction, TipKey};
use mixin_pin_protocol::core::{MonotonicNonces, NonceSource as _, Pin, Secret, UnixTime};
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_test_memory::{Memory, allocations_of};
use serde_json::json;

#[global_allocator]
static MEMORY: Memory = Memory;

fn assert_allocations(expected: usize, what: &str, prepare: impl FnOnce() -> PreparedRequest) {
    let (count, request) = allocations_of(prepare);
    assert_eq!(count, expected, "{what}: {}", String::from_utf8_lossy(request.body()));
}

#[test]
fn a_prepared_request_takes_three_allocations_at_most() {
    const NOW: UnixTime = UnixTime::from_secs(1_700_000_000);
    let mut rng = UnwrapErr(SysRng);
    let keystore = include_bytes!("../testdata/keystore-dashboard.json");
    let session = Keystore::parse(keystore).unwrap().into_session(&mut rng).unwrap();
    let (calls, nonces) = (Calls::new(&session), MonotonicNonces::new());
    let (pin, key) = (Pin::new("314159").unwrap(), TipKey::from_seed(&[7; 32]));
    let nonce = || nonces.next(NOW).unwrap();

    assert_allocations(2, "verify", || calls.verify_pin(&pin, nonce(), NOW, &mut rng).unwrap());
    assert_allocations(2, "verify by TIP", || calls.verify_tip(&key, nonce(), NOW, &mut rng).unwrap());
    assert_allocations(2, "create", || calls.create_pin(&pin, nonce(), NOW, &mut rng).unwrap());
    let pair = [nonce(), nonce()];
    assert_allocations(2, "change", || calls.change_pin(&pin, &pin, pair, NOW, &mut rng).unwrap());
    let pair = [nonce(), nonce()];
    assert_allocations(2, "to TIP", || calls.change_to_tip(&pin, &key, pair, NOW, &mut rng).unwrap());
    assert_allocations(1, "me", || calls.me(NOW, &mut rng).unwrap());
    let json = br#"{"full_name":"Ada"}"#;
    assert_allocations(3, "other", || calls.other("POST", "/me", Some(json), NOW, &mut rng).unwrap());

    let body = json!({ "amount": "1.5", "nested": { "list": [1, 2.5, null] }, "memo": "\u{e9}\n" });
    let body = body.as_object().unwrap();
    let signature = key.sign(&TipAction::Verify { timestamp: 1 });
    let proof = || Secret::TipSignature(signature);
    assert_allocations(3, "any call with a PIN", || {
        calls.with_pin("POST", "/transfers", body, proof(), nonce(), NOW, &mut rng).unwrap()
    });
}
