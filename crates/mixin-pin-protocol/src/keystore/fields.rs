//! The fields of a keystore's JSON, by name and type.

use std::fmt;

use mixin_pin_core::token::Algorithm;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, PinKey, X25519PublicKey};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::shape::KeystoreShape;
use super::spend_key::SpendKey;
use super::text::unescape;
use crate::KeystoreError;

/// The value of a field.
enum Value {
    Text(Zeroizing<String>),
    Flag(bool),
    Other,
}

/// The known fields of a keystore.
#[derive(Default)]
pub(super) struct Fields(Vec<(&'static str, Value)>);

const KNOWN: [&str; 19] = [
    "app_id",
    "client_id",
    "user_id",
    "session_id",
    "private_key",
    "session_private_key",
    "pin_token",
    "pin_token_base64",
    "server_public_key",
    "pin_key",
    "algorithm",
    "authorization_id",
    "scope",
    "ed25519",
    "pin",
    "spend_private_key",
    "spend_key",
    "is_spend_private_sum",
    "client_secret",
];
/// Secrets that a session of most shapes does not need.
const FURTHER_SECRETS: [&str; 5] = ["pin", "pin_key", "spend_private_key", "spend_key", "client_secret"];

impl Fields {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn text(&self, field: &'static str) -> Result<Option<&str>, KeystoreError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Flag(_) | Value::Other) => Err(KeystoreError::NotString { field }),
        }
    }

    pub(super) fn needed(&self, shape: KeystoreShape, field: &'static str) -> Result<&str, KeystoreError> {
        self.text(field)?.ok_or(KeystoreError::Missing { shape, field })
    }

    pub(super) fn uuid(&self, field: &'static str) -> Result<Option<Uuid>, KeystoreError> {
        self.text(field)?.map(|text| text.trim().parse().map_err(|_| KeystoreError::NotUuid { field })).transpose()
    }

    /// The user's id, under any of its three names. Several must agree.
    pub(super) fn user_id(&self, shape: KeystoreShape) -> Result<Uuid, KeystoreError> {
        let mut found: Option<(&'static str, Uuid)> = None;
        for second in ["app_id", "client_id", "user_id"] {
            let Some(id) = self.uuid(second)? else { continue };
            match found {
                Some((first, other)) if other != id => return Err(KeystoreError::Conflict { first, second }),
                _ => found = Some((second, id)),
            }
        }
        let field = match shape {
            KeystoreShape::Dashboard => "app_id",
            KeystoreShape::BareUser => "user_id",
            KeystoreShape::RemoteSigner => "user_id (or app_id)",
            _ => "client_id (or user_id)",
        };
        found.map(|(_, id)| id).ok_or(KeystoreError::Missing { shape, field })
    }

    pub(super) fn session_id(&self, shape: KeystoreShape, field: &'static str) -> Result<Uuid, KeystoreError> {
        self.uuid(field)?.ok_or(KeystoreError::Missing { shape, field })
    }

    pub(super) fn further_secrets(&self, shape: KeystoreShape) -> Vec<&'static str> {
        let is_needed = |name| shape == KeystoreShape::RemoteSigner && name == "pin_key";
        FURTHER_SECRETS.into_iter().filter(|name| self.has(name) && !is_needed(*name)).collect()
    }

    pub(super) fn spend_key(&self) -> Result<Option<SpendKey>, KeystoreError> {
        let text = match self.text("spend_private_key")? {
            None => self.text("spend_key")?,
            text => text,
        };
        let is_scalar = matches!(self.get("is_spend_private_sum"), Some(Value::Flag(true)));
        Ok(text.map(|text| SpendKey::of_keystore(Zeroizing::new(text.to_owned()), is_scalar)))
    }

    pub(super) fn pin_key(&self, shape: KeystoreShape) -> Result<PinKey, KeystoreError> {
        let field = "pin_key";
        PinKey::from_text(self.needed(shape, field)?.trim()).map_err(|cause| KeystoreError::Field { field, cause })
    }

    pub(super) fn algorithm(&self, shape: KeystoreShape) -> Result<Algorithm, KeystoreError> {
        let name = self.needed(shape, "algorithm")?.trim();
        let known = [Algorithm::EdDsa, Algorithm::Rs512].into_iter().find(|algorithm| algorithm.as_str() == name);
        known.ok_or(KeystoreError::Algorithm)
    }

    pub(super) fn ed25519_key(&self, shape: KeystoreShape, field: &'static str) -> Result<Ed25519Key, KeystoreError> {
        Ed25519Key::from_text(self.needed(shape, field)?.trim()).map_err(|cause| KeystoreError::Field { field, cause })
    }

    pub(super) fn server_key(&self, shape: KeystoreShape) -> Result<X25519PublicKey, KeystoreError> {
        if let Some(text) = self.text("server_public_key")? {
            return Ed25519PublicKey::from_text(text.trim())
                .and_then(|key| key.to_x25519())
                .map_err(|cause| KeystoreError::Field { field: "server_public_key", cause });
        }
        for field in ["pin_token_base64", "pin_token"] {
            if let Some(text) = self.text(field)? {
                return X25519PublicKey::from_base64(text.trim())
                    .map_err(|cause| KeystoreError::Field { field, cause });
            }
        }
        let field = match shape {
            KeystoreShape::Ed25519Bot => "pin_token (or pin_token_base64)",
            _ => "server_public_key",
        };
        Err(KeystoreError::Missing { shape, field })
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Fields::default();
                while let Some(key) = map.next_key::<String>()? {
                    let Some(name) = KNOWN.into_iter().find(|known| *known == key) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    if let Some(value) = Value::read(map.next_value()?).map_err(|()| A::Error::custom("no text"))? {
                        // An empty field counts as absent. Of a repeated field the last one counts.
                        fields.0.retain(|(field, _)| *field != name);
                        if !matches!(&value, Value::Text(text) if text.is_empty()) {
                            fields.0.push((name, value));
                        }
                    }
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

impl Value {
    /// Reads a raw JSON value. `null` counts as absent. A string with half a surrogate pair is an error.
    fn read(raw: &RawValue) -> Result<Option<Self>, ()> {
        Ok(Some(match raw.get() {
            "null" => return Ok(None),
            "true" => Self::Flag(true),
            "false" => Self::Flag(false),
            quoted if quoted.starts_with('"') => Self::Text(unescape(quoted).ok_or(())?),
            _ => Self::Other,
        }))
    }
}
