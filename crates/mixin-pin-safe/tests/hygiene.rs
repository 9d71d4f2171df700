//! No secret is left in freed memory: each block is searched as it is freed, for the spend key, the view, their sum, the
//! secret of a mask, and their texts. Values that are dropped in place are erased in place.
#![cfg(feature = "alloc")]

mod common;

use common::hex;
use curve25519_dalek::{EdwardsPoint, Scalar};
use mixin_pin_safe::mixin_pin_core::tip::TipKey;
use mixin_pin_safe::mixin_pin_core::uuid::Uuid;
use mixin_pin_safe::mixin_pin_core::{UnixTime, hazmat};
use mixin_pin_safe::{
    Amount, AssetId, Evidence, ExtraRule, Input, MaskSecret, Output, OutputKind, Policy, SpendKey, SpentOutput,
    Transaction, Unproven, Unsigned, View, Withdrawal, XinAddress, merge,
};
use mixin_pin_test_memory::{Memory, after_drop, holds, left_behind};
use sha2::{Digest as _, Sha512};

#[global_allocator]
static MEMORY: Memory = Memory;

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
const SEED: [u8; 32] = *b"a seed that is found where it is";
const TARGET: Withdrawal<'_> = Withdrawal { address: b"an-address-on-another-chain", tag: b"" };

fn scalar(text: &[u8; 31]) -> Scalar {
    let mut bytes = [0; 32];
    bytes[..31].copy_from_slice(text);
    Scalar::from_canonical_bytes(bytes).unwrap()
}

#[test]
fn signing_leaves_nothing() {
    let view = scalar(b"a view that is found where it l");
    let key = Box::new(TipKey::from_seed(&SEED));
    let own = *hazmat::tip_scalar(&key);
    let sum = view + Scalar::from_bytes_mod_order(own);
    let prefix = Sha512::digest(sum.as_bytes());
    let text = hex(view.as_bytes());
    let marks: [&[u8]; 6] = [
        &SEED[..16],
        &own[..16],
        &view.as_bytes()[..16],
        &sum.as_bytes()[..16],
        &prefix[32..48],
        &text.as_bytes()[..32],
    ];
    let ghosts = [EdwardsPoint::mul_base(&sum).compress().0];
    let mask = EdwardsPoint::mul_base(&Scalar::from(9_u8)).compress().0;
    let spent = [SpentOutput::stated(AssetId::XIN, Amount::from_units(7), &ghosts, &mask, 1)];
    let raw = Unsigned {
        asset: AssetId::XIN,
        inputs: &[Input { hash: &[1; 32], index: 0, genesis: &[], deposit: None, mint: None }],
        outputs: &[Output {
            kind: OutputKind::Withdrawal,
            amount: Amount::from_units(7),
            keys: &[],
            mask: &[0; 32],
            script: &[],
            withdrawal: Some(TARGET),
        }],
        references: &[],
        extra: &[],
    }
    .encode()
    .unwrap();
    let policy = Policy {
        asset: AssetId::XIN,
        most: Amount::from_units(7),
        own: &[],
        receivers: &[],
        withdrawals: &[TARGET],
        most_outputs: 1,
        extra: ExtraRule::Forbidden,
        references: &[],
        unproven: Unproven::Refuse,
        until: NOW,
    };
    assert!(left_behind(&marks, || text.clone()) > 0, "the search finds what is not erased");
    let left = left_behind(&marks, || {
        let transaction = Transaction::decode(&raw).unwrap();
        let approved = policy.check(&transaction, &Evidence { spent: &spent, receivers: &[] }, NOW).unwrap();
        // Nothing moves out of a box, because that would leave a copy in it.
        let view = Box::new(View::from_hex(&text).unwrap());
        let spend_key = Box::new(SpendKey::new(&key));
        let ready = Box::new(approved.input(0, &view, key.public_key()).unwrap());
        let shown = format!("{view:?} {spend_key:?} {ready:?}");
        assert!(!shown.contains(&text[..16]));
        let signature = [ready.sign(&spend_key).unwrap()];
        merge(&transaction, &spent, &signature).unwrap().encode().unwrap()
    });
    assert_eq!(left, 0);
}

#[test]
fn ghost_keys_leave_nothing() {
    let secret = scalar(b"a mask's secret, found where it");
    let text = hex(secret.as_bytes());
    let receiver: XinAddress =
        "XINSwYaJPnKiwBWqXm4i3e3My9GKguReMRyB1sRSexeHcQ7V66RWsicAiR2dokcQ5kiJsfY5QbEjTcqRQRCxkEyENBaz4AeB"
            .parse()
            .unwrap();
    let marks: [&[u8]; 3] = [&SEED[..16], &secret.as_bytes()[..16], &text.as_bytes()[..32]];
    let left = left_behind(&marks, || {
        let read = Box::new(MaskSecret::from_hex(&text).unwrap());
        let derived = Box::new(MaskSecret::from_trace(Uuid::nil(), 3, &SEED));
        let shown = format!("{read:?}");
        assert!(!shown.contains(&text[..16]));
        [read.ghost_key(&receiver, 300), derived.ghost_key(&receiver, 3)].concat()
    });
    assert_eq!(left, 0);
}

#[test]
fn dropped_values_are_erased_in_place() {
    let secret = scalar(b"a number that is found where it");
    let mark = &secret.as_bytes()[..16];
    assert!(holds(&after_drop(secret), mark), "the search finds what is not erased");
    assert!(!holds(&after_drop(View::from_bytes(secret.as_bytes()).unwrap()), mark));
    assert!(!holds(&after_drop(MaskSecret::from_bytes(secret.as_bytes()).unwrap()), mark));
    assert!(!holds(&after_drop(SpendKey::new(&TipKey::from_scalar(secret.as_bytes()).unwrap())), mark));
}
