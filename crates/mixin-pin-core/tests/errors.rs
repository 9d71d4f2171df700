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
