//! `serde` for public types, each as its text. Secrets have none, so that none is written by accident.

use core::fmt;

use serde_core::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::token::{Algorithm, RequestHash};
use crate::{EncryptedPin, SecretKind};

/// Reads a value from its text.
struct Text<T> {
    read: fn(&str) -> Option<T>,
    expected: &'static str,
}

impl<T> de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.read)(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl Serialize for EncryptedPin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.to_standard().as_str())
    }
}

impl<'de> Deserialize<'de> for EncryptedPin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |text: &str| Self::from_base64(text).ok();
        deserializer.deserialize_str(Text { read, expected: "base64 of an encrypted PIN" })
    }
}

impl Serialize for SecretKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SecretKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |text: &str| Self::ALL.into_iter().find(|kind| kind.as_str() == text);
        deserializer.deserialize_str(Text { read, expected: "six-digit, tip-key or tip-signature" })
    }
}

impl Serialize for Algorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |text: &str| [Self::Rs512, Self::EdDsa].into_iter().find(|algorithm| algorithm.as_str() == text);
        deserializer.deserialize_str(Text { read, expected: "RS512 or EdDSA" })
    }
}

impl Serialize for RequestHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RequestHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text { read: Self::from_hex, expected: "64 hex digits" })
    }
}
