//! Decoding, reading, hashing and encoding allocate nothing, for the longest transaction too.

mod common;

use common::{decode_hex, patch, testdata, vectors};
use mixin_pin_safe::{Amount, Authorization, Field, Input, Output, Transaction, Unsigned};
use mixin_pin_test_memory::{Memory, allocations_of};

#[global_allocator]
static MEMORY: Memory = Memory;

#[test]
fn nothing_is_allocated() {
    let vectors = vectors();
    let base = decode_hex(&vectors["spend_with_view"][0]["signed_raw"]);
    let mut raws: Vec<Vec<u8>> =
        vectors["transactions"].as_array().unwrap().iter().map(|vector| decode_hex(&vector["raw"])).collect();
    let accepted = testdata("accepted-decode.json");
    raws.extend(accepted["cases"].as_array().unwrap().iter().map(|case| patch(&base, &case["patch"])));
    let mut buffer = vec![0; Transaction::MAX_LEN];
    for raw in raws {
        let (count, ()) = allocations_of(|| {
            let transaction = Transaction::decode(&raw).unwrap();
            let total = transaction.outputs().fold(Amount::ZERO, |sum, output| sum.checked_add(output.amount).unwrap());
            assert_eq!(total.is_zero(), transaction.outputs().all(|output| output.amount.is_zero()));
            match transaction.authorization() {
                Authorization::Signatures(signatures) => assert!(signatures.iter().count() <= 2),
                Authorization::Aggregate(aggregate) => assert!(aggregate.signers().count() <= 65_535),
                _ => unreachable!("there are two kinds"),
            }
        });
        assert_eq!(count, 0, "decoding");
        let transaction = Transaction::decode(&raw).unwrap();
        let inputs: Vec<Input<'_>> = transaction.inputs().collect();
        let outputs: Vec<Output<'_>> = transaction.outputs().collect();
        let unsigned = Unsigned {
            asset: transaction.asset(),
            inputs: &inputs,
            outputs: &outputs,
            references: transaction.references(),
            extra: transaction.extra(),
        };
        let (count, ()) = allocations_of(|| {
            assert_eq!(unsigned.hash().unwrap(), transaction.hash());
            unsigned.encode_into(&mut buffer).unwrap();
        });
        assert_eq!(count, 0, "hashing and encoding");
    }
    let (count, error) = allocations_of(|| Transaction::decode(&base[..100]).unwrap_err());
    assert_eq!(count, 0, "refusing");
    assert_eq!(error.field(), Field::Keys(0));
}

/// A greater frame would end the process.
#[test]
fn a_stack_of_64_kib_is_enough() {
    let base = decode_hex(&vectors()["spend_with_view"][0]["signed_raw"]);
    let accepted = testdata("accepted-decode.json");
    let cases: Vec<Vec<u8>> =
        accepted["cases"].as_array().unwrap().iter().map(|case| patch(&base, &case["patch"])).collect();
    let work = move || {
        for raw in cases {
            let transaction = Transaction::decode(&raw).unwrap();
            assert_eq!(transaction.inputs().count(), transaction.inputs().len());
            assert_eq!(transaction.outputs().count(), transaction.outputs().len());
            assert_eq!(transaction.hash(), transaction.hash());
        }
    };
    std::thread::Builder::new().stack_size(64 << 10).spawn(work).unwrap().join().unwrap();
}
