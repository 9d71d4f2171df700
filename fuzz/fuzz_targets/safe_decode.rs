//! Decodes any bytes, without a panic. What decodes is written again from its parts as the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mixin_pin_fuzz::planted;
use mixin_pin_safe::{Authorization, Input, Output, Transaction, Unsigned};

/// The authorization's bytes, by code of its own.
fn write(authorization: Authorization<'_>) -> Vec<u8> {
    match authorization {
        Authorization::Signatures(signatures) => {
            let mut bytes = signatures.maps().to_be_bytes().to_vec();
            let mut signatures = signatures.iter().peekable();
            for map in 0..u16::from_be_bytes([bytes[0], bytes[1]]) {
                let mut of_map = Vec::new();
                let mut count: u16 = 0;
                while let Some(signature) = signatures.next_if(|signature| signature.input == map) {
                    of_map.extend(signature.signer.to_be_bytes());
                    of_map.extend(signature.signature);
                    count += 1;
                }
                bytes.extend(count.to_be_bytes());
                bytes.extend(of_map);
            }
            assert_eq!(signatures.next(), None, "no signature is of an input beyond the last map");
            bytes
        }
        Authorization::Aggregate(aggregate) => {
            let mut bytes = vec![0xff, 0xff, 0xff, 0x01];
            bytes.extend(aggregate.signature);
            let signers: Vec<u16> = aggregate.signers().collect();
            let bitmap_len = signers.last().map_or(0, |last| last / 8 + 1);
            if usize::from(bitmap_len) > signers.len() * 2 {
                bytes.push(1);
                bytes.extend(u16::try_from(signers.len()).expect("at most 65535").to_be_bytes());
                bytes.extend(signers.iter().flat_map(|signer| signer.to_be_bytes()));
            } else {
                let mut bitmap = vec![0; bitmap_len.into()];
                for signer in signers {
                    bitmap[usize::from(signer / 8)] |= 1 << (signer % 8);
                }
                bytes.push(0);
                bytes.extend(bitmap_len.to_be_bytes());
                bytes.extend(bitmap);
            }
            bytes
        }
        other => panic!("{other:?}"),
    }
}

fuzz_target!(|raw: &[u8]| {
    let transaction = match Transaction::decode(raw) {
        Ok(transaction) => transaction,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let inputs: Vec<Input<'_>> = transaction.inputs().collect();
    let outputs: Vec<Output<'_>> = transaction.outputs().collect();
    assert_eq!((inputs.len(), outputs.len()), (transaction.inputs().len(), transaction.outputs().len()));
    assert_eq!(transaction.input(0), inputs.first().copied());
    assert_eq!(transaction.output(0), outputs.first().copied());
    let unsigned = Unsigned {
        asset: transaction.asset(),
        inputs: &inputs,
        outputs: &outputs,
        references: transaction.references(),
        extra: transaction.extra(),
    };
    let encoded = unsigned.encode().expect("what decodes is within the limits");
    assert_eq!(encoded.strip_suffix(&[0, 0]), Some(transaction.payload()));
    assert_eq!([transaction.payload(), &write(transaction.authorization())].concat(), raw);
    assert_eq!(unsigned.hash(), Ok(transaction.hash()));
    planted(matches!(transaction.authorization(), Authorization::Signatures(signatures) if signatures.maps() > 1));
});
