//! Writes a decoded transaction again: the payload by `Unsigned`, the authorization by its own code.

use mixin_pin_safe::{Authorization, Input, Output, Transaction, Unsigned};

pub fn encode(transaction: &Transaction<'_>) -> Vec<u8> {
    let inputs: Vec<Input<'_>> = transaction.inputs().collect();
    let outputs: Vec<Output<'_>> = transaction.outputs().collect();
    let unsigned = Unsigned {
        asset: transaction.asset(),
        inputs: &inputs,
        outputs: &outputs,
        references: transaction.references(),
        extra: transaction.extra(),
    };
    // Signatures are counted by the decoder only, so an unsigned transaction is never too long here.
    let mut raw = vec![0; unsigned.encoded_len().unwrap()];
    unsigned.encode_into(&mut raw).unwrap();
    assert_eq!(unsigned.hash().unwrap(), transaction.hash());
    assert_eq!(raw.split_off(raw.len() - 2), [0, 0]);
    match transaction.authorization() {
        Authorization::Signatures(signatures) => {
            raw.extend(signatures.maps().to_be_bytes());
            let signatures: Vec<_> = signatures.iter().collect();
            let maps = u16::from_be_bytes(raw[raw.len() - 2..].try_into().unwrap());
            for map in 0..maps {
                let of_map: Vec<_> = signatures.iter().filter(|signature| signature.input == map).collect();
                raw.extend(u16::try_from(of_map.len()).unwrap().to_be_bytes());
                for signature in of_map {
                    raw.extend(signature.signer.to_be_bytes());
                    raw.extend(signature.signature);
                }
            }
        }
        Authorization::Aggregate(aggregate) => {
            raw.extend([0xff, 0xff, 0xff, 0x01]);
            raw.extend(aggregate.signature);
            let signers: Vec<u16> = aggregate.signers().collect();
            let bytes = signers.last().map_or(0, |last| usize::from(*last) / 8 + 1);
            if bytes > signers.len() * 2 {
                raw.push(1);
                raw.extend(u16::try_from(signers.len()).unwrap().to_be_bytes());
                raw.extend(signers.iter().flat_map(|signer| signer.to_be_bytes()));
            } else {
                raw.push(0);
                raw.extend(u16::try_from(bytes).unwrap().to_be_bytes());
                let mut bitmap = vec![0; bytes];
                for signer in signers {
                    bitmap[usize::from(signer / 8)] |= 1 << (signer % 8);
                }
                raw.extend(bitmap);
            }
        }
        other => panic!("{other:?}"),
    }
    raw
}
