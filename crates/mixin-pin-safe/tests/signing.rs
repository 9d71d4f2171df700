//! Signatures of view and spend key, of one signer and of several, byte for byte by the public vectors.
#![cfg(feature = "alloc")]

mod common;

use common::{decode_hex, hex, text, vectors};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::{EdwardsPoint, Scalar};
use mixin_pin_safe::mixin_pin_core::tip::TipKey;
use mixin_pin_safe::mixin_pin_core::{Ed25519PublicKey, UnixTime, hazmat};
use mixin_pin_safe::{
    Amount, Approved, AssetId, DetachedSignature, Evidence, ExtraRule, Hash, Input, MergeError, Output, OutputKind,
    Policy, SignError, SpendKey, SpentOutput, Transaction, Unproven, Unsigned, VerifyError, View, Withdrawal, merge,
};
use proptest::prelude::*;

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
const TARGET: Withdrawal<'_> = Withdrawal { address: b"0x00000000219ab540356cBB839Cbe05303d7705Fa", tag: b"" };

fn any_receiver(asset: AssetId) -> Policy<'static> {
    Policy {
        asset,
        most: Amount::from_units(u128::MAX),
        own: &[],
        receivers: &[],
        withdrawals: &[TARGET],
        most_outputs: 256,
        extra: ExtraRule::AtMost(256),
        references: &[],
        unproven: Unproven::Any,
        until: NOW,
    }
}

fn approve<'t, 'e>(transaction: &Transaction<'t>, spent: &'e [SpentOutput<'e>]) -> Approved<'t, 'e> {
    any_receiver(transaction.asset()).check(transaction, &Evidence { spent, receivers: &[] }, NOW).unwrap()
}

fn point(bytes: &[u8; 32]) -> EdwardsPoint {
    CompressedEdwardsY(*bytes).decompress().unwrap()
}

fn bytes<const N: usize>(value: &serde_json::Value) -> [u8; N] {
    decode_hex(value).try_into().unwrap()
}

/// The public vector: the second owner of the spent output is somebody else.
struct Vector {
    key: TipKey,
    view: View,
    keys: [[u8; 32]; 2],
    unsigned: Vec<u8>,
    signed: Vec<u8>,
    signature: String,
}

impl Vector {
    fn read() -> Self {
        let vectors = vectors();
        let vector = &vectors["spend_with_view"][0];
        Self {
            key: TipKey::from_text(text(&vector["spend_private_key_64"])).unwrap(),
            view: View::from_hex(text(&vector["view"])).unwrap(),
            keys: [0, 1].map(|at| bytes(&vector["input_output_keys"][at])),
            unsigned: decode_hex(&vector["unsigned_raw"]),
            signed: decode_hex(&vector["signed_raw"]),
            signature: text(&vector["signature"]).to_owned(),
        }
    }

    fn spent(&self, keys: &'static [[u8; 32]]) -> [SpentOutput<'static>; 1] {
        let transaction = Transaction::decode(&self.unsigned).unwrap();
        let amount = transaction.output(0).unwrap().amount;
        let mask = Box::leak(Box::new(EdwardsPoint::mul_base(&Scalar::from(5_u8)).compress().0));
        [SpentOutput::stated(transaction.asset(), amount, keys, mask, 1)]
    }
}

#[test]
fn the_vector_comes_out_byte_for_byte() {
    let vector = Vector::read();
    let keys = Vec::leak(vector.keys.to_vec());
    let spent = vector.spent(keys);
    let transaction = Transaction::decode(&vector.unsigned).unwrap();
    let approved = approve(&transaction, &spent);
    let ready = approved.input(0, &vector.view, vector.key.public_key()).unwrap();
    assert_eq!((ready.input(), ready.signer()), (0, 0));
    assert_eq!(ready.public_key(), &keys[0]);
    assert_eq!(ready.message(), transaction.hash());
    let signature = ready.sign(&SpendKey::new(&vector.key)).unwrap();
    assert_eq!(hex(&signature.signature), vector.signature);
    let signatures = [signature];
    let merged = merge(&transaction, &spent, &signatures).unwrap();
    assert!(merged.is_complete());
    assert_eq!(merged.encode().unwrap(), vector.signed);
    assert_eq!(merged.encoded_len(), vector.signed.len());
    // Signed bytes are signed again to the same bytes.
    let signed = Transaction::decode(&vector.signed).unwrap();
    let again = approve(&signed, &spent).input(0, &vector.view, vector.key.public_key()).unwrap();
    let again = again.sign(&SpendKey::new(&vector.key)).unwrap();
    assert_eq!(merge(&signed, &spent, &[again]).unwrap().encode().unwrap(), vector.signed);
}

/// Owners of one output, with a view for each.
struct Owners {
    keys: Vec<TipKey>,
    views: Vec<View>,
    /// The keys of the output.
    ghosts: Vec<[u8; 32]>,
    mask: [u8; 32],
}

impl Owners {
    fn new(count: u8) -> Self {
        let keys: Vec<_> = (1..=count).map(|owner| TipKey::from_seed(&[owner; 32])).collect();
        let views: Vec<_> = (1..=count).map(|owner| Scalar::from(1000 + u64::from(owner))).collect();
        let ghosts = keys.iter().zip(&views).map(|(key, view)| ghost(key.public_key(), view)).collect();
        let views = views.iter().map(|view| View::from_bytes(view.as_bytes()).unwrap()).collect();
        Self { keys, views, ghosts, mask: EdwardsPoint::mul_base(&Scalar::from(9_u8)).compress().0 }
    }

    fn spent(&self, threshold: u8) -> SpentOutput<'_> {
        SpentOutput::stated(AssetId::XIN, Amount::from_units(7), &self.ghosts, &self.mask, threshold)
    }

    fn sign(&self, transaction: &Transaction<'_>, spent: &[SpentOutput<'_>], owner: usize) -> Vec<DetachedSignature> {
        let approved = approve(transaction, spent);
        let key = SpendKey::new(&self.keys[owner]);
        let ready =
            (0..).zip(spent).map(|(input, _)| approved.input(input, &self.views[owner], key.public_key()).unwrap());
        ready.map(|ready| ready.sign(&key).unwrap()).collect()
    }
}

fn ghost(owner: &Ed25519PublicKey, view: &Scalar) -> [u8; 32] {
    (point(owner.as_bytes()) + EdwardsPoint::mul_base(view)).compress().0
}

/// Withdraws all that the inputs have, 7 units each.
fn withdrawal(inputs: u8) -> Vec<u8> {
    let hashes: Vec<_> = (0..inputs).map(|input| [input; 32]).collect();
    let inputs: Vec<_> =
        hashes.iter().map(|hash| Input { hash, index: 0, genesis: &[], deposit: None, mint: None }).collect();
    let output = Output {
        kind: OutputKind::Withdrawal,
        amount: Amount::from_units(7 * u128::from(u16::try_from(inputs.len()).unwrap())),
        keys: &[],
        mask: &[0; 32],
        script: &[],
        withdrawal: Some(TARGET),
    };
    let parts = Unsigned { asset: AssetId::XIN, inputs: &inputs, outputs: &[output], references: &[], extra: &[] };
    parts.encode().unwrap()
}

#[test]
fn several_signers_sign_alone_and_merge_in_any_order() {
    let owners = Owners::new(5);
    let raw = withdrawal(2);
    let transaction = Transaction::decode(&raw).unwrap();
    let spent = [owners.spent(3); 2];
    let by: Vec<_> = [4, 0, 2].map(|owner| owners.sign(&transaction, &spent, owner)).to_vec();
    let all = merge(&transaction, &spent, &by.concat()).map(|merged| merged.encode().unwrap()).unwrap();
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        // One after the other, each into the bytes of the one before.
        let mut bytes = raw.clone();
        for (done, signer) in (1..).zip(order) {
            let read = bytes.clone();
            let transaction = Transaction::decode(&read).unwrap();
            let merged = merge(&transaction, &spent, &by[signer]).unwrap();
            assert_eq!([merged.missing(0), merged.missing(1), merged.missing(2)], [3 - done, 3 - done, 0]);
            assert_eq!(merged.is_complete(), done == 3);
            bytes = merged.encode().unwrap();
        }
        assert_eq!(bytes, all);
        assert_eq!(Transaction::decode(&bytes).unwrap().hash(), transaction.hash());
        // All at once, and one twice.
        let together = order.map(|signer| by[signer].clone()).concat();
        assert_eq!(merge(&transaction, &spent, &together).unwrap().encode().unwrap(), all);
        let twice = [together, by[0].clone()].concat();
        assert_eq!(merge(&transaction, &spent, &twice).unwrap().encode().unwrap(), all);
    }
    // One input alone.
    let one = [by[0][1]];
    let merged = merge(&transaction, &spent, &one).unwrap();
    assert_eq!([merged.missing(0), merged.missing(1)], [3, 2]);
    let mut buffer = vec![0; merged.encoded_len()];
    assert_eq!(merged.encode_into(&mut buffer).unwrap(), merged.encode().unwrap());
    assert!(merged.encode_into(&mut buffer[1..]).is_err());
    // Nothing merged leaves the bytes as they are.
    assert_eq!(merge(&transaction, &spent, &[]).unwrap().encode().unwrap(), raw);
    // More than are needed.
    let more = [by.concat(), owners.sign(&transaction, &spent, 1)].concat();
    assert!(merge(&transaction, &spent, &more).unwrap().is_complete());
}

#[test]
fn signatures_that_are_not_valid_are_refused_by_name() {
    let owners = Owners::new(3);
    let raw = withdrawal(2);
    let transaction = Transaction::decode(&raw).unwrap();
    let spent = [owners.spent(2); 2];
    let good = owners.sign(&transaction, &spent, 1);
    let refused = |signature| merge(&transaction, &spent, &[signature]).unwrap_err();
    let with = |change: &dyn Fn(&mut DetachedSignature)| {
        let mut changed = good[1];
        change(&mut changed);
        refused(changed)
    };
    let signature = |signer, cause| MergeError::Signature { input: 1, signer, cause };
    assert_eq!(with(&|it| it.signature[0] ^= 1), signature(1, VerifyError::Invalid));
    assert_eq!(with(&|it| it.signature[40] ^= 1), signature(1, VerifyError::Invalid));
    assert_eq!(with(&|it| it.signer = 0), signature(0, VerifyError::Invalid));
    assert_eq!(with(&|it| it.signer = 3), signature(3, VerifyError::NoKey));
    assert_eq!(with(&|it| it.input = 2), MergeError::NoInput { input: 2 });
    // s plus the order of the group, and R with a point of order 2.
    let order = (-Scalar::ONE).to_bytes();
    assert_eq!(
        with(&|it| {
            let mut carry = 1_u16;
            for (byte, more) in it.signature[32..].iter_mut().zip(order) {
                carry += u16::from(*byte) + u16::from(more);
                *byte = carry.to_le_bytes()[0];
                carry >>= 8;
            }
        }),
        signature(1, VerifyError::Invalid)
    );
    let torsion = curve25519_dalek::constants::EIGHT_TORSION[4];
    assert_eq!(
        with(&|it| {
            let r = point(it.signature.first_chunk().unwrap()) + torsion;
            it.signature[..32].copy_from_slice(&r.compress().0);
        }),
        signature(1, VerifyError::Invalid)
    );
    // Another transaction's signature.
    let other = withdrawal(1);
    let other = Transaction::decode(&other).unwrap();
    assert_eq!(
        merge(&other, &spent[..1], &good[..1]).unwrap_err(),
        MergeError::Signature { input: 0, signer: 1, cause: VerifyError::Invalid }
    );
    // Existing ones are verified, too.
    let signed = merge(&transaction, &spent, &good).unwrap().encode().unwrap();
    let mut forged = signed.clone();
    *forged.last_mut().unwrap() ^= 1;
    let forged = Transaction::decode(&forged).unwrap();
    assert_eq!(merge(&forged, &spent, &[]).unwrap_err(), signature(1, VerifyError::Invalid));
    assert_eq!(merge(&transaction, &spent[..1], &[]).unwrap_err(), MergeError::SpentCount);
}

#[test]
fn two_signatures_of_one_signer_that_differ_are_refused() {
    let owners = Owners::new(1);
    let raw = withdrawal(1);
    let transaction = Transaction::decode(&raw).unwrap();
    let spent = [owners.spent(1)];
    let ours = owners.sign(&transaction, &spent, 0);
    let approved = approve(&transaction, &spent);
    let ready = approved.input(0, &owners.views[0], owners.keys[0].public_key()).unwrap();
    let theirs = ready.accept(device(&owners.keys[0], ready.view(), ready.message())).unwrap();
    assert_ne!(ours[0], theirs);
    let twice = MergeError::Twice { input: 0, signer: 0 };
    assert_eq!(merge(&transaction, &spent, &[ours[0], theirs]).unwrap_err(), twice);
    assert_eq!(merge(&transaction, &spent, &[theirs, ours[0]]).unwrap_err(), twice);
    let signed = merge(&transaction, &spent, &[theirs]).unwrap().encode().unwrap();
    assert_eq!(merge(&Transaction::decode(&signed).unwrap(), &spent, &ours).unwrap_err(), twice);
}

/// A device that adds the view to its scalar, and has a nonce of its own.
fn device(key: &TipKey, view: &View, message: Hash) -> [u8; 64] {
    let sum = Scalar::from_bytes_mod_order(*hazmat::tip_scalar(key)) + Scalar::from_bytes_mod_order(*view.as_bytes());
    let secret = ed25519_dalek::hazmat::ExpandedSecretKey { scalar: sum, hash_prefix: [3; 32] };
    let public = ed25519_dalek::VerifyingKey::from(&secret);
    ed25519_dalek::hazmat::raw_sign::<sha2::Sha512>(&secret, &message.0, &public).to_bytes()
}

#[test]
fn a_device_that_does_not_add_the_view_is_found_out() {
    let owners = Owners::new(1);
    let raw = withdrawal(1);
    let transaction = Transaction::decode(&raw).unwrap();
    let spent = [owners.spent(1)];
    let approved = approve(&transaction, &spent);
    let ready = approved.input(0, &owners.views[0], owners.keys[0].public_key()).unwrap();
    let plain = mixin_pin_safe::mixin_pin_core::tip::TipSigner::sign(&owners.keys[0], &ready.message().0).unwrap();
    assert_eq!(ready.accept(plain).unwrap_err(), SignError::Invalid);
}

#[test]
fn only_an_owner_of_the_spent_output_signs() {
    let owners = Owners::new(2);
    let raw = withdrawal(2);
    let transaction = Transaction::decode(&raw).unwrap();
    let spent = [owners.spent(1); 2];
    let approved = approve(&transaction, &spent);
    let (view, other_view) = (&owners.views[0], &owners.views[1]);
    let owner = owners.keys[0].public_key();
    assert_eq!(approved.input(2, view, owner).unwrap_err(), SignError::NoInput);
    assert_eq!(approved.input(0, other_view, owner).unwrap_err(), SignError::NotAmongKeys);
    assert_eq!(approved.input(0, view, owners.keys[1].public_key()).unwrap_err(), SignError::NotAmongKeys);
    let ready = approved.input(0, view, owner).unwrap();
    assert_eq!(ready.sign(&SpendKey::new(&owners.keys[1])).unwrap_err(), SignError::OtherKey);
    // Without the spent outputs.
    let blind = any_receiver(AssetId::XIN).check(&transaction, &Evidence::default(), NOW).unwrap();
    assert_eq!(blind.input(0, view, owner).unwrap_err(), SignError::SpentUnknown);
    // A view that cancels the spend key out.
    let cancels = -Scalar::from_bytes_mod_order(*hazmat::tip_scalar(&owners.keys[0]));
    let cancels = View::from_bytes(cancels.as_bytes()).unwrap();
    assert_eq!(approved.input(0, &cancels, owner).unwrap_err(), SignError::NotAmongKeys);
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    let owners = Owners::new(1);
    let ghosts = [owners.ghosts[0]; 2];
    let spent = [SpentOutput::stated(AssetId::XIN, Amount::from_units(7), &ghosts, &owners.mask, 1)];
    let raw = withdrawal(1);
    let transaction = Transaction::decode(&raw).unwrap();
    let evidence = Evidence { spent: &spent, receivers: &[] };
    let approved = any_receiver(AssetId::XIN).check(&transaction, &evidence, NOW).unwrap();
    assert_eq!(approved.input(0, &owners.views[0], owners.keys[0].public_key()).unwrap_err(), SignError::KeyTwice);
}

proptest! {
    #[test]
    fn a_sum_of_shares_signs_as_the_key_itself(shares in any::<[[u8; 32]; 3]>(), view in 1_u64..) {
        let scalars = shares.map(Scalar::from_bytes_mod_order);
        let sum = scalars.iter().sum::<Scalar>();
        prop_assume!(sum != Scalar::ZERO);
        let key = TipKey::from_scalar(sum.as_bytes()).unwrap();
        // The public keys of the shares add up to its public key.
        let public = scalars.iter().map(EdwardsPoint::mul_base).sum::<EdwardsPoint>();
        prop_assert_eq!(key.public_key().as_bytes(), &public.compress().0);
        let view = Scalar::from(view);
        let ghosts = [(public + EdwardsPoint::mul_base(&view)).compress().0];
        let mask = EdwardsPoint::mul_base(&Scalar::from(9_u8)).compress().0;
        let spent = [SpentOutput::stated(AssetId::XIN, Amount::from_units(7), &ghosts, &mask, 1)];
        let raw = withdrawal(1);
        let transaction = Transaction::decode(&raw).unwrap();
        let view = View::from_bytes(view.as_bytes()).unwrap();
        let ready = approve(&transaction, &spent).input(0, &view, key.public_key()).unwrap();
        let signature = ready.sign(&SpendKey::new(&key)).unwrap();
        prop_assert_eq!(signature.verify(transaction.hash(), &spent[0]), Ok(()));
        prop_assert_eq!(ready.accept(signature.signature), Ok(signature));
    }
}

#[test]
fn spent_outputs_that_no_owner_spends_are_not_merged() {
    let owners = Owners::new(2);
    let raw = withdrawal(1);
    let transaction = Transaction::decode(&raw).unwrap();
    let refused = |spent: SpentOutput<'_>| merge(&transaction, &[spent], &[]).unwrap_err();
    assert_eq!(refused(owners.spent(0)), MergeError::SpentThreshold(0));
    assert_eq!(refused(owners.spent(3)), MergeError::SpentThreshold(0));
    // A position must fit into 16 bits.
    let many = vec![owners.ghosts[0]; 70_000];
    let many = SpentOutput::stated(AssetId::XIN, Amount::from_units(7), &many, &owners.mask, 1);
    assert_eq!(refused(many), MergeError::SpentThreshold(0));
    let evidence = [many];
    let evidence = Evidence { spent: &evidence, receivers: &[] };
    assert_eq!(any_receiver(AssetId::XIN).check(&transaction, &evidence, NOW).unwrap_err().kind(), "spent_threshold");
    let other = SpentOutput::stated(AssetId([1; 32]), Amount::from_units(7), &owners.ghosts, &owners.mask, 1);
    assert_eq!(refused(other), MergeError::SpentAsset(0));
    // Without inputs nothing is complete.
    let none =
        Unsigned { asset: AssetId::XIN, inputs: &[], outputs: &[], references: &[], extra: &[] }.encode().unwrap();
    assert!(!merge(&Transaction::decode(&none).unwrap(), &[], &[]).unwrap().is_complete());
}
