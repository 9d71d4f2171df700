//! Public types go through JSON as their text, and come back.
#![cfg(feature = "serde")]

use mixin_pin_core::token::{Algorithm, RequestHash};
use mixin_pin_core::{EncryptedPin, SecretKind};

const ENCRYPTED: &str = "+mRm5rm9bkQztvpsaTyz1Rib0BEM0S1FKl/oYaMfbUJM3ZmrxJhafj/tjHi+3kwQ";

#[test]
fn values_are_written_as_text_and_read_back() {
    fn round_trip<T>(value: &T, text: &str)
    where
        T: serde_core::Serialize + serde_core::de::DeserializeOwned + PartialEq + core::fmt::Debug,
    {
        let json = serde_json::to_string(value).unwrap();
        assert_eq!(json, format!("\"{text}\""));
        assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value);
    }
    round_trip(&EncryptedPin::from_base64(ENCRYPTED).unwrap(), ENCRYPTED);
    round_trip(&SecretKind::TipKey, "tip-key");
    round_trip(&Algorithm::EdDsa, "EdDSA");
    let hash = RequestHash::of("GET", "/me", b"");
    round_trip(&hash, "5e6b58ffa10b3bc51724ff0bbd2afb91c4771ee340f5d685340dfa4c854bafba");
}

#[test]
fn other_text_is_refused() {
    assert!(serde_json::from_str::<EncryptedPin>("\"AAAA\"").is_err());
    assert!(serde_json::from_str::<SecretKind>("\"digits\"").is_err());
    assert!(serde_json::from_str::<Algorithm>("\"HS512\"").is_err());
    assert!(serde_json::from_str::<RequestHash>("\"00\"").is_err());
    let error = serde_json::from_str::<RequestHash>("7").unwrap_err().to_string();
    assert!(error.contains("expected 64 hex digits"), "{error}");
}
