//! Two of three owners spend an output: one with a key in memory, one with an asynchronous device that adds the view to
//! its own scalar. Each signs alone. Merging needs no key.

use std::error::Error;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use curve25519_dalek::{EdwardsPoint, Scalar, edwards::CompressedEdwardsY};
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::{Ed25519PublicKey, UnixTime};
use mixin_pin_safe::{
    AssetId, DetachedSignature, Evidence, ExtraRule, Hash, Input, Output, OutputKind, Policy, SpendKey, SpentOutput,
    Transaction, Unproven, Unsigned, View, Withdrawal, merge,
};
use sha2::{Digest as _, Sha512};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let owners = [[1; 32], [2; 32], [3; 32]].map(|seed| TipKey::from_seed(&seed));
    let views = [11_u8, 12, 13].map(Scalar::from);
    let mut keys = Vec::new();
    for (owner, view) in owners.iter().zip(&views) {
        keys.push(ghost_key(owner.public_key(), view)?);
    }
    let mask = EdwardsPoint::mul_base(&Scalar::from(9_u8)).compress().to_bytes();
    // A server states the spent output. Its transaction's bytes would prove it.
    let spent = [SpentOutput::stated(AssetId::XIN, "2".parse()?, &keys, &mask, 2)];

    let unsigned = Unsigned {
        asset: AssetId::XIN,
        inputs: &[Input { hash: &[1; 32], index: 0, genesis: &[], deposit: None, mint: None }],
        outputs: &[Output {
            kind: OutputKind::Withdrawal,
            amount: "2".parse()?,
            keys: &[],
            mask: &[0; 32],
            script: &[],
            withdrawal: Some(TREASURY),
        }],
        references: &[],
        extra: &[],
    }
    .encode()?;

    let mut device = Device { key: &owners[2] };
    let one = [sign(&unsigned, &spent, &owners[0], &views[0])?];
    let other = [wait(sign_with_device(&unsigned, &spent, &mut device, &views[2]))?];

    let transaction = Transaction::decode(&unsigned)?;
    let half = merge(&transaction, &spent, &other)?;
    println!("signatures that input 0 still needs: {}", half.missing(0));
    let half = half.encode()?;
    let merged = merge(&Transaction::decode(&half)?, &spent, &one)?;
    assert!(merged.is_complete());
    println!("transaction {}, {} bytes", transaction.hash(), merged.encoded_len());
    Ok(())
}

const TREASURY: Withdrawal<'_> = Withdrawal { address: b"0x00000000219ab540356cBB839Cbe05303d7705Fa", tag: b"" };

/// Each owner has their own policy.
fn policy() -> Result<Policy<'static>> {
    Ok(Policy {
        asset: AssetId::XIN,
        most: "2".parse()?,
        own: &[],
        receivers: &[],
        withdrawals: &[TREASURY],
        most_outputs: 1,
        extra: ExtraRule::Forbidden,
        references: &[],
        unproven: Unproven::Refuse,
        until: UnixTime::from_secs(1_800_000_000),
    })
}

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);

fn sign(raw: &[u8], spent: &[SpentOutput<'_>], key: &TipKey, view: &Scalar) -> Result<DetachedSignature> {
    let transaction = Transaction::decode(raw)?;
    let approved = policy()?.check(&transaction, &Evidence { spent, receivers: &[] }, NOW)?;
    let view = View::from_bytes(view.as_bytes())?;
    Ok(approved.input(0, &view, key.public_key())?.sign(&SpendKey::new(key))?)
}

async fn sign_with_device(
    raw: &[u8],
    spent: &[SpentOutput<'_>],
    device: &mut Device<'_>,
    view: &Scalar,
) -> Result<DetachedSignature> {
    let transaction = Transaction::decode(raw)?;
    let approved = policy()?.check(&transaction, &Evidence { spent, receivers: &[] }, NOW)?;
    let view = View::from_bytes(view.as_bytes())?;
    let ready = approved.input(0, &view, device.key.public_key())?;
    let signature = device.sign(ready.view(), ready.message()).await;
    // Verifies it.
    Ok(ready.accept(signature)?)
}

/// Stands for hardware that keeps the spend key.
struct Device<'k> {
    key: &'k TipKey,
}

impl Device<'_> {
    async fn sign(&mut self, view: &View, message: Hash) -> [u8; 64] {
        // A real one takes its time.
        std::future::ready(()).await;
        let spend = mixin_pin_core::hazmat::tip_scalar(self.key);
        let scalar = Scalar::from_bytes_mod_order(*view.as_bytes()) + Scalar::from_bytes_mod_order(*spend);
        // Any secret prefix makes a valid nonce.
        let hash_prefix = Sha512::digest(scalar.as_bytes())[32..].try_into().unwrap_or([0; 32]);
        let key = ExpandedSecretKey { scalar, hash_prefix };
        raw_sign::<Sha512>(&key, &message.0, &(&key).into()).to_bytes()
    }
}

/// A receiver's key in an output, as Mixin makes it.
fn ghost_key(owner: &Ed25519PublicKey, view: &Scalar) -> Result<[u8; 32]> {
    let owner = CompressedEdwardsY(*owner.as_bytes()).decompress().ok_or("not a point")?;
    Ok((EdwardsPoint::mul_base(view) + owner).compress().to_bytes())
}

/// Runs a future that is ready at once. A program would use its runtime.
fn wait<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err("the device is not ready".into()),
    }
}
