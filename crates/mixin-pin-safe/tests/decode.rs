//! Bytes that do not decode name the field that is wrong, and all others encode to themselves.

mod common;

use common::encode::encode;
use common::{patch, testdata, text, vectors};
use mixin_pin_safe::{DecodeProblem, Field, Transaction};

fn signed() -> Vec<u8> {
    common::decode_hex(&vectors()["spend_with_view"][0]["signed_raw"])
}

#[test]
fn refusals_name_the_field_that_is_wrong() {
    let base = signed();
    let cases = testdata("refusals-decode.json");
    let cases = cases["cases"].as_array().unwrap();
    assert!(cases.len() >= 40);
    let mut wrong = Vec::new();
    for case in cases {
        let error = Transaction::decode(&patch(&base, &case["patch"])).expect_err(text(&case["name"]));
        let said = format!("{}: {:?}", error.field(), error.problem());
        let expected = format!("{}: {}", text(&case["field"]), text(&case["problem"]));
        if said != expected {
            wrong.push(format!("{}: {said} instead of {expected}", case["name"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_decodes_encodes_to_itself() {
    let base = signed();
    for case in testdata("accepted-decode.json")["cases"].as_array().unwrap() {
        let raw = patch(&base, &case["patch"]);
        let transaction = Transaction::decode(&raw).unwrap_or_else(|error| panic!("{}: {error}", case["name"]));
        assert!(encode(&transaction) == raw, "{}", case["name"]);
    }
}

/// Every shorter piece is refused; a byte more, too.
#[test]
fn a_transaction_cut_anywhere_is_refused() {
    let base = signed();
    for end in 0..base.len() {
        let error = Transaction::decode(&base[..end]).unwrap_err();
        assert_eq!(error.problem(), DecodeProblem::Short, "{end}: {error}");
    }
    let error = Transaction::decode(&[&base[..], &[0]].concat()).unwrap_err();
    assert_eq!((error.field(), error.problem()), (Field::End, DecodeProblem::Trailing));
}

#[test]
fn a_changed_byte_is_refused_or_decodes_to_other_parts() {
    let vectors = vectors();
    let mut raws: Vec<Vec<u8>> =
        vectors["transactions"].as_array().unwrap().iter().map(|vector| common::decode_hex(&vector["raw"])).collect();
    raws.push(signed());
    for mut raw in raws {
        let before = raw.clone();
        let original = Transaction::decode(&before).unwrap();
        for position in 0..raw.len() {
            for flip in [0x01, 0xff] {
                raw[position] ^= flip;
                if let Ok(changed) = Transaction::decode(&raw) {
                    assert_eq!(encode(&changed), raw, "byte {position}");
                    let same_hash = changed.hash() == original.hash();
                    assert_eq!(same_hash, position >= original.payload().len(), "byte {position}");
                }
                raw[position] ^= flip;
            }
        }
    }
}
