//! The messages of addresses, secret numbers, signing, verifying and merging, compared with `testdata/errors-keys.txt`.

use std::error::Error;

use mixin_pin_safe::{AddressError, AssetId, MergeError, ScalarError, SignError, Unsigned, VerifyError};

fn errors() -> Vec<Box<dyn Error>> {
    let parts = Unsigned { asset: AssetId::XIN, inputs: &[], outputs: &[], references: &[], extra: &[] };
    let encode = parts.encode_into(&mut []).unwrap_err();
    vec![
        Box::new(AddressError::Prefix),
        Box::new(AddressError::Base58),
        Box::new(AddressError::Length),
        Box::new(AddressError::Checksum),
        Box::new(AddressError::Version),
        Box::new(AddressError::Threshold),
        Box::new(AddressError::Members),
        Box::new(AddressError::Key { member: 1 }),
        Box::new(ScalarError::Hex),
        Box::new(ScalarError::Range),
        Box::new(ScalarError::Zero),
        Box::new(SignError::NoInput),
        Box::new(SignError::SpentUnknown),
        Box::new(SignError::NotAmongKeys),
        Box::new(SignError::KeyTwice),
        Box::new(SignError::OtherKey),
        Box::new(SignError::Invalid),
        Box::new(VerifyError::NoKey),
        Box::new(VerifyError::Key),
        Box::new(VerifyError::Invalid),
        Box::new(MergeError::SpentCount),
        Box::new(MergeError::SpentInput(1)),
        Box::new(MergeError::SpentAsset(1)),
        Box::new(MergeError::SpentThreshold(1)),
        Box::new(MergeError::Aggregate),
        Box::new(MergeError::Maps),
        Box::new(MergeError::NoInput { input: 1 }),
        Box::new(MergeError::Signature { input: 1, signer: 2, cause: VerifyError::Invalid }),
        Box::new(MergeError::Twice { input: 1, signer: 2 }),
        Box::new(MergeError::Encode(encode)),
    ]
}

#[test]
fn messages_are_unchanged() {
    let said: String = errors()
        .iter()
        .map(|error| match error.source() {
            Some(cause) => format!("{error}: {cause}\n"),
            None => format!("{error}\n"),
        })
        .collect();
    assert!(said == include_str!("../testdata/errors-keys.txt"), "{said}");
}
