//! Arbitrary parts encode to bytes that decode to the same parts, and arbitrary bytes never panic.

mod common;

use common::encode::encode;
use mixin_pin_safe::{
    Amount, AssetId, Authorization, Deposit, Input, Mint, Output, OutputKind, Transaction, Unsigned, Withdrawal,
};
use proptest::array::uniform32;
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;

type Bytes = Vec<u8>;

#[derive(Debug, Clone)]
struct OwnedInput {
    hash: [u8; 32],
    index: u16,
    genesis: Bytes,
    deposit: Option<([u8; 32], Bytes, Bytes, u64, Amount)>,
    mint: Option<(Bytes, u64, Amount)>,
}

#[derive(Debug, Clone)]
struct OwnedOutput {
    kind: u8,
    amount: Amount,
    keys: Vec<[u8; 32]>,
    mask: [u8; 32],
    script: Bytes,
    withdrawal: Option<(Bytes, Bytes)>,
}

impl OwnedInput {
    fn borrow(&self) -> Input<'_> {
        Input {
            hash: &self.hash,
            index: self.index,
            genesis: &self.genesis,
            deposit: self.deposit.as_ref().map(|(chain, asset_key, transaction, index, amount)| Deposit {
                chain,
                asset_key,
                transaction,
                index: *index,
                amount: *amount,
            }),
            mint: self.mint.as_ref().map(|(group, batch, amount)| Mint { group, batch: *batch, amount: *amount }),
        }
    }
}

impl OwnedOutput {
    fn borrow(&self) -> Output<'_> {
        Output {
            kind: match self.kind {
                0 => OutputKind::Script,
                0xa1 => OutputKind::Withdrawal,
                other => OutputKind::Other(other),
            },
            amount: self.amount,
            keys: &self.keys,
            mask: &self.mask,
            script: &self.script,
            withdrawal: self.withdrawal.as_ref().map(|(address, tag)| Withdrawal { address, tag }),
        }
    }
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40)
}

fn amount() -> impl Strategy<Value = Amount> {
    vec(any::<u8>(), 0..=32).prop_map(|bytes| Amount::from_be_bytes(&bytes).unwrap())
}

fn input() -> impl Strategy<Value = OwnedInput> {
    let deposit = option::of((uniform32(any::<u8>()), bytes(), bytes(), any::<u64>(), amount()));
    let mint = option::of((bytes(), any::<u64>(), amount()));
    (uniform32(any::<u8>()), 0..=1024_u16, bytes(), deposit, mint)
        .prop_map(|(hash, index, genesis, deposit, mint)| OwnedInput { hash, index, genesis, deposit, mint })
}

fn output() -> impl Strategy<Value = OwnedOutput> {
    let kind = prop_oneof![Just(0), Just(0xa1), any::<u8>()];
    let keys = vec(uniform32(any::<u8>()), 0..4);
    (kind, amount(), keys, uniform32(any::<u8>()), bytes(), option::of((bytes(), bytes()))).prop_map(
        |(kind, amount, keys, mask, script, withdrawal)| OwnedOutput { kind, amount, keys, mask, script, withdrawal },
    )
}

/// The authorization's bytes, canonical: maps of ascending signers.
fn maps() -> impl Strategy<Value = Vec<Vec<u16>>> {
    vec(btree_set(any::<u16>(), 0..4).prop_map(|signers| signers.into_iter().collect()), 0..4)
}

proptest! {
    #[test]
    fn parts_come_back(
        asset in uniform32(any::<u8>()),
        inputs in vec(input(), 0..5),
        outputs in vec(output(), 0..5),
        references in vec(uniform32(any::<u8>()), 0..4),
        extra in bytes(),
        maps in maps(),
    ) {
        let inputs: Vec<Input<'_>> = inputs.iter().map(OwnedInput::borrow).collect();
        let outputs: Vec<Output<'_>> = outputs.iter().map(OwnedOutput::borrow).collect();
        let unsigned =
            Unsigned { asset: AssetId(asset), inputs: &inputs, outputs: &outputs, references: &references, extra: &extra };
        let mut buffer = vec![0xee; unsigned.encoded_len().unwrap() + 1];
        let raw = unsigned.encode_into(&mut buffer).unwrap();
        let transaction = Transaction::decode(raw).unwrap();
        prop_assert_eq!(transaction.asset(), AssetId(asset));
        prop_assert_eq!(transaction.inputs().len(), inputs.len());
        prop_assert!(transaction.inputs().eq(inputs.iter().copied()));
        prop_assert_eq!(transaction.outputs().len(), outputs.len());
        prop_assert!(transaction.outputs().eq(outputs.iter().copied()));
        for i in 0..6 {
            prop_assert_eq!(transaction.input(i), inputs.get(usize::from(i)).copied());
            prop_assert_eq!(transaction.output(i), outputs.get(usize::from(i)).copied());
        }
        prop_assert_eq!(transaction.references(), &references);
        prop_assert_eq!(transaction.extra(), &extra);
        prop_assert_eq!(transaction.hash(), unsigned.hash().unwrap());
        let whole = [transaction.payload(), &[0, 0]].concat();
        prop_assert_eq!(raw, &whole);
        prop_assert_eq!(transaction.hash().0, *blake3::hash(&whole).as_bytes());

        // Signatures do not change the hash, and come back in order.
        let mut signed = transaction.payload().to_vec();
        signed.extend(u16::try_from(maps.len()).unwrap().to_be_bytes());
        for map in &maps {
            signed.extend(u16::try_from(map.len()).unwrap().to_be_bytes());
            for signer in map {
                signed.extend(signer.to_be_bytes());
                signed.extend([signer.to_le_bytes()[0]; 64]);
            }
        }
        let with_signatures = Transaction::decode(&signed).unwrap();
        prop_assert_eq!(with_signatures.hash(), transaction.hash());
        let Authorization::Signatures(signatures) = with_signatures.authorization() else { panic!("an aggregate") };
        let expected: Vec<(u16, u16)> =
            (0..).zip(&maps).flat_map(|(input, map)| map.iter().map(move |signer| (input, *signer))).collect();
        let said: Vec<(u16, u16)> = signatures.iter().map(|one| (one.input, one.signer)).collect();
        prop_assert_eq!(said, expected);
        prop_assert_eq!(signatures.is_empty(), maps.iter().all(Vec::is_empty));
        prop_assert_eq!(encode(&with_signatures), signed);
    }

    /// Mostly refused. What is not encodes to itself.
    #[test]
    fn bytes_never_panic(rest in vec(prop_oneof![Just(0), Just(0x77), any::<u8>()], 0..300)) {
        let raw = [&[0x77, 0x77, 0, 5][..], &rest].concat();
        if let Ok(transaction) = Transaction::decode(&raw) {
            prop_assert_eq!(encode(&transaction), raw);
        }
    }

    #[test]
    fn aggregates_come_back(signers in btree_set(any::<u16>(), 0..40), small in btree_set(0..100_u16, 0..40)) {
        let unsigned = Unsigned { asset: AssetId::XIN, inputs: &[], outputs: &[], references: &[], extra: &[] };
        let mut buffer = [0; 48];
        let payload = unsigned.encode_into(&mut buffer).unwrap().strip_suffix(&[0, 0]).unwrap();
        for signers in [signers, small] {
            let (bytes, count) = (signers.last().map_or(0, |last| usize::from(*last) / 8 + 1), signers.len());
            let mut bitmap = vec![0; bytes];
            for signer in &signers {
                bitmap[usize::from(signer / 8)] |= 1_u8 << (signer % 8);
            }
            let head = [0xff, 0xff, 0xff, 0x01].into_iter().chain([9; 64]);
            let indices: Vec<u8> = [count].iter().map(|count| u16::try_from(*count).unwrap())
                .chain(signers.iter().copied()).flat_map(u16::to_be_bytes).collect();
            let as_bitmap = [payload, &head.clone().collect::<Vec<u8>>(), &[0],
                &u16::try_from(bytes).unwrap().to_be_bytes(), &bitmap].concat();
            let as_indices = [payload, &head.collect::<Vec<u8>>(), &[1], &indices].concat();
            // The kernel writes indices only if they are shorter.
            let (right, wrong) = if bytes > 2 * count { (as_indices, as_bitmap) } else { (as_bitmap, as_indices) };
            prop_assert!(Transaction::decode(&wrong).is_err());
            let Authorization::Aggregate(aggregate) = Transaction::decode(&right).unwrap().authorization() else {
                panic!("no aggregate")
            };
            prop_assert_eq!(aggregate.signers().collect::<Vec<_>>(), signers.into_iter().collect::<Vec<_>>());
        }
    }
}
