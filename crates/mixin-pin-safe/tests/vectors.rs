//! The public vectors: bytes, hashes, asset ids and amounts.

mod common;

use common::encode::encode;
use common::{decode_hex, hex, number, text, vectors};
use mixin_pin_safe::mixin_pin_core::uuid::Uuid;
use mixin_pin_safe::{Amount, AssetId, Authorization, Transaction};
use serde_json::Value;

/// Decodes, compares the hash, and encodes the parts again to the same bytes.
fn round_trip(raw: &[u8], hash: &str) {
    let transaction = Transaction::decode(raw).unwrap();
    assert_eq!(transaction.hash().to_string(), hash);
    assert_eq!(encode(&transaction), raw);
}

#[test]
fn transactions_come_back_with_their_hashes() {
    let vectors = vectors();
    let mut raws = 0;
    for vector in vectors["transactions"].as_array().unwrap() {
        round_trip(&decode_hex(&vector["raw"]), text(&vector["payload_hash"]));
        raws += 1;
    }
    for vector in vectors["payload_hashes_step_by_step"].as_array().unwrap() {
        round_trip(&decode_hex(&vector["payload"]), text(&vector["hash"]));
    }
    for (group, raw) in
        [("spend_with_view", "unsigned_raw"), ("spend_with_view", "signed_raw"), ("must_refuse", "unsigned_raw")]
    {
        for vector in vectors[group].as_array().unwrap() {
            round_trip(&decode_hex(&vector[raw]), text(&vector["derived"]["payload_hash"]));
            raws += 1;
        }
    }
    assert_eq!(raws, 15);
}

#[test]
fn transactions_have_the_parts_that_the_vectors_state() {
    for vector in vectors()["transactions"].as_array().unwrap() {
        let raw = decode_hex(&vector["raw"]);
        let transaction = Transaction::decode(&raw).unwrap();
        assert_eq!(transaction.inputs().len(), number(&vector["inputs"]));
        assert_eq!(transaction.extra().len(), number(&vector["extra_length"]));
        let references: Vec<String> = transaction.references().iter().map(|hash| hex(hash)).collect();
        assert_eq!(Value::from(references), vector["references"]);
        let authorization = match transaction.authorization() {
            Authorization::Signatures(signatures) => {
                let mut maps = vec![Vec::new(); signatures.maps().into()];
                for one in signatures {
                    maps[usize::from(one.input)].push(one.signer);
                }
                format!("signature maps {maps:?}")
            }
            Authorization::Aggregate(aggregate) => {
                format!("aggregated signers {:?}", aggregate.signers().collect::<Vec<_>>())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(authorization, text(&vector["authorization"]));
        let outputs = vector["outputs"].as_array().unwrap();
        // The vectors state the first four outputs of the mint.
        assert_eq!(transaction.outputs().len().min(4), outputs.len());
        for (output, stated) in transaction.outputs().zip(outputs) {
            assert_eq!(u64::from(output.kind.byte()), stated["type"].as_u64().unwrap());
            assert_eq!(output.amount, Amount::from_units(stated["amount"].as_u64().unwrap().into()));
            assert_eq!(hex(output.script), text(&stated["script"]));
            assert_eq!(output.keys.len(), number(&stated["keys"]));
            if let Some(withdrawal) = output.withdrawal {
                assert_eq!(withdrawal.address, text(&stated["withdrawal"]["address"]).as_bytes());
                assert_eq!(withdrawal.tag, text(&stated["withdrawal"]["tag"]).as_bytes());
            } else {
                assert!(stated.get("withdrawal").is_none());
            }
        }
    }
}

#[test]
fn a_signature_stands_where_it_was_put() {
    for vector in vectors()["spend_with_view"].as_array().unwrap() {
        let raw = decode_hex(&vector["signed_raw"]);
        let Authorization::Signatures(signatures) = Transaction::decode(&raw).unwrap().authorization() else {
            panic!("an aggregate");
        };
        let signatures: Vec<_> = signatures.iter().collect();
        let [signature] = signatures[..] else { panic!("{signatures:?}") };
        assert_eq!((signature.input, u64::from(signature.signer)), (0, vector["signature_index"].as_u64().unwrap()));
        assert_eq!(hex(&signature.signature), text(&vector["signature"]));
    }
}

#[test]
fn assets_have_the_kernels_ids() {
    for vector in vectors()["asset_ids"].as_array().unwrap() {
        let uuid: Uuid = text(&vector["uuid"]).parse().unwrap();
        assert_eq!(AssetId::from_uuid(uuid).to_string(), text(&vector["kernel_asset_id"]));
    }
}

#[test]
fn amounts_have_the_kernels_bytes() {
    for vector in vectors()["amounts"].as_array().unwrap() {
        let bytes = decode_hex(&vector["bytes"]);
        let amount: Amount = text(&vector["decimal"]).parse().unwrap();
        assert_eq!(Amount::from_be_bytes(&bytes), Some(amount));
        assert_eq!(amount.to_be_bytes()[32 - bytes.len()..], bytes);
        assert_eq!(amount.to_string(), text(&vector["decimal"]));
    }
}

#[test]
fn aggregates_name_their_signers() {
    let vectors = vectors();
    let unsigned = decode_hex(&vectors["spend_with_view"][0]["unsigned_raw"]);
    let payload = Transaction::decode(&unsigned).unwrap().payload();
    for vector in vectors["aggregated_signature_encodings"].as_array().unwrap() {
        let raw = [payload, &decode_hex(&vector["with_zero_signature"])].concat();
        let transaction = Transaction::decode(&raw).unwrap();
        let Authorization::Aggregate(aggregate) = transaction.authorization() else { panic!("no aggregate") };
        let signers: Vec<u16> = aggregate.signers().collect();
        assert_eq!(Value::from(signers), vector["signers"]);
        assert_eq!(aggregate.signature, &[0; 64]);
        assert_eq!(transaction.payload(), payload);
    }
}
