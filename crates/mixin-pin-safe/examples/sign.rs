//! A bot signs a payment. Bytes and what is known about them go in, signed bytes come out; nothing is sent.

use std::error::Error;

use curve25519_dalek::{EdwardsPoint, Scalar, edwards::CompressedEdwardsY};
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::uuid::uuid;
use mixin_pin_core::{Ed25519PublicKey, UnixTime};
use mixin_pin_safe::{
    AssetId, Claim, Evidence, ExtraRule, Input, MaskSecret, MixAddress, Output, OutputKind, Policy, Receiver, SpendKey,
    SpentOutput, Transaction, Unproven, Unsigned, View, merge,
};

const SEED: [u8; 32] = [0x42; 32];

fn main() -> Result<(), Box<dyn Error>> {
    let key = TipKey::from_seed(&SEED);
    // An earlier transaction pays the bot 1.5 XIN. The server knows the view of its output.
    let (source, view) = mixins_part(key.public_key())?;
    let source_hash = Transaction::decode(&source)?.hash();

    // The owner's intent, from a source that the server cannot change.
    let shop: MixAddress =
        "MIXPYWwhjxKsbFRzAP2Dcb2mMjj7sQQo4MpCSv3NYaYCdQ2kEcbcimpPT81gaxtuNhunLWPx7Sv7fawjZ8DhRmEj8E2hrQM4Z6e"
            .parse()?;
    let policy = Policy {
        asset: AssetId::XIN,
        most: "1.5".parse()?,
        own: &[],
        receivers: std::slice::from_ref(&shop),
        withdrawals: &[],
        most_outputs: 1,
        extra: ExtraRule::Exactly(b"order 7"),
        references: &[],
        unproven: Unproven::Refuse,
        until: UnixTime::from_secs(1_800_000_000),
    };

    // Build. The trace id makes the same ghost keys each time.
    let secret = MaskSecret::from_trace(uuid!("9dc60d4c-f301-48ef-97f2-32e9195648cb"), 0, &SEED);
    let keys: Vec<_> = shop.members().addresses().map(|member| secret.ghost_key(&member, 0)).collect();
    let unsigned = Unsigned {
        asset: AssetId::XIN,
        inputs: &[Input { hash: &source_hash.0, index: 0, genesis: &[], deposit: None, mint: None }],
        outputs: &[Output {
            kind: OutputKind::Script,
            amount: "1.5".parse()?,
            keys: &keys,
            mask: &secret.mask(),
            script: &[0xff, 0xfe, shop.threshold()],
            withdrawal: None,
        }],
        references: &[],
        extra: b"order 7",
    }
    .encode()?;

    // Check. These bytes may as well come from a server.
    let transaction = Transaction::decode(&unsigned)?;
    let spent =
        transaction.inputs().map(|input| SpentOutput::proven(&source, &input)).collect::<Result<Vec<_>, _>>()?;
    let receivers = [Receiver { output: 0, address: &shop, claim: Claim::Recomputed(&secret) }];
    let now = UnixTime::from_secs(1_790_000_000);
    let approved = policy.check(&transaction, &Evidence { spent: &spent, receivers: &receivers }, now)?;
    println!("{} leaves", approved.leaves());

    // Sign.
    let signatures = [approved.input(0, &view, key.public_key())?.sign(&SpendKey::new(&key))?];
    let merged = merge(&transaction, &spent, &signatures)?;
    assert!(merged.is_complete());
    let signed = merged.encode()?;
    println!("transaction {}, {} bytes to store and send", approved.hash(), signed.len());
    Ok(())
}

/// What Mixin does: makes an output for the owner of a spend key, and gives the view.
fn mixins_part(owner: &Ed25519PublicKey) -> Result<(Vec<u8>, View), Box<dyn Error>> {
    let view = Scalar::from_bytes_mod_order([7; 32]);
    let owner = CompressedEdwardsY(*owner.as_bytes()).decompress().ok_or("not a point")?;
    let key = (EdwardsPoint::mul_base(&view) + owner).compress().to_bytes();
    let source = Unsigned {
        asset: AssetId::XIN,
        inputs: &[Input { hash: &[1; 32], index: 0, genesis: &[], deposit: None, mint: None }],
        outputs: &[Output {
            kind: OutputKind::Script,
            amount: "1.5".parse()?,
            keys: &[key],
            mask: &EdwardsPoint::mul_base(&Scalar::from(9_u8)).compress().to_bytes(),
            script: &[0xff, 0xfe, 1],
            withdrawal: None,
        }],
        references: &[],
        extra: &[],
    };
    Ok((source.encode()?, View::from_bytes(view.as_bytes())?))
}
