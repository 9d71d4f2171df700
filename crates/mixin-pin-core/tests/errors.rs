//! The messages of all errors, compared with `testdata/errors.txt`.

use mixin_pin_core::Error;

#[test]
fn error_messages_are_unchanged() {
    let errors = [
        Error::PinFormat,
        Error::EncryptedPinFormat,
        Error::Decrypt,
        Error::PinKeyLength,
        Error::PinToken,
        Error::IteratorExhausted,
        Error::Time,
        Error::Expiry,
        Error::Scope,
        Error::CodeVerifier,
        Error::RsaPem,
        Error::RsaKey,
        Error::RsaKeySize { bits: 512 },
        Error::Ed25519Key,
        Error::Ed25519KeyMismatch,
        Error::TipKeyMismatch,
        Error::Amount,
        Error::PublicKey,
        Error::KeyAgreement,
        Error::TokenFormat,
        Error::Signature,
        Error::Signer,
        Error::BufferTooSmall { needed: 150 },
        Error::Randomness,
    ];
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    let said = said.join("\n") + "\n";
    assert_eq!(said, include_str!("../testdata/errors.txt"));
}

#[cfg(feature = "alloc")]
#[test]
fn a_signers_error_has_one_text_and_keeps_its_cause() {
    use std::error::Error as _;

    use mixin_pin_core::SignerError;

    let bare = SignerError::new();
    assert_eq!(bare.to_string(), Error::Signer.to_string());
    assert!(bare.source().is_none());
    let caused = SignerError::with_cause(std::io::Error::other("the card is not in its slot"));
    assert_eq!(caused.to_string(), Error::Signer.to_string());
    assert_eq!(caused.source().unwrap().to_string(), "the card is not in its slot");
}
