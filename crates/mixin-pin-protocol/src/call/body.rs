//! Bodies with encrypted PINs: the fields and the base64 of each session.

use mixin_pin_core::token::{Algorithm, Signer};
use mixin_pin_core::{EncodedPin, EncryptedPin, SecretKind, Session};
use serde_json::{Map, Value};

/// Encodes an encrypted PIN in the base64 that this session's calls use: standard and padded for the digits of an RSA
/// session, URL-safe and unpadded for everything else.
pub fn encode_pin<S: Signer>(session: &Session<S>, pin: &EncryptedPin) -> EncodedPin {
    PinFields::of(session.signer().algorithm(), pin.kind()).encode(pin)
}

/// The fields of a body that hold encrypted PINs.
#[derive(Clone, Copy)]
pub(super) enum PinFields {
    /// `pin` and `old_pin`, in standard base64: the digits of an RSA session.
    Digits,
    /// `pin_base64` and `old_pin_base64`, in URL-safe base64: everything that Mixin added later.
    Later,
}

impl PinFields {
    pub(super) const fn of(algorithm: Algorithm, kind: SecretKind) -> Self {
        match (algorithm, kind) {
            (Algorithm::Rs512, SecretKind::SixDigits) => Self::Digits,
            _ => Self::Later,
        }
    }

    /// The fields of a path. With a phone number's code, both apps send every secret in `pin` (android-app:
    /// `LandingViewModel.kt`; ios-app: `AccountAPI.swift`). Everywhere else iOS sends `pin_base64`.
    pub(super) fn at(path: &str, algorithm: Algorithm, kind: SecretKind) -> Self {
        if path.starts_with("/verifications/") { Self::Digits } else { Self::of(algorithm, kind) }
    }

    pub(super) const fn pin(self) -> &'static str {
        match self {
            Self::Digits => "pin",
            Self::Later => "pin_base64",
        }
    }

    pub(super) const fn old_pin(self) -> &'static str {
        match self {
            Self::Digits => "old_pin",
            Self::Later => "old_pin_base64",
        }
    }

    pub(super) fn encode(self, pin: &EncryptedPin) -> EncodedPin {
        match self {
            Self::Digits => pin.to_standard(),
            Self::Later => pin.to_url_safe(),
        }
    }
}

/// Whether a body has a field for a PIN.
pub(crate) fn has_pin_field(body: &Map<String, Value>) -> bool {
    [PinFields::Digits, PinFields::Later]
        .iter()
        .any(|fields| body.contains_key(fields.pin()) || body.contains_key(fields.old_pin()))
}
