//! The data of answers: users and log entries.

use mixin_pin_core::uuid::Uuid;
use serde::{Deserialize, Serialize};

use crate::object::{or_default, read_from_objects_only};

/// A user: the fields that matter for PINs. Other fields are ignored, and `null` counts as absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct User {
    /// The user's id.
    pub user_id: Uuid,
    /// The session of the request.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient_uuid")]
    pub session_id: Option<Uuid>,
    /// The user's public number.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub identity_number: String,
    /// The user's name.
    #[serde(default, deserialize_with = "or_default")]
    pub full_name: String,
    /// Whether a PIN of either kind is set.
    #[serde(default, deserialize_with = "or_default")]
    pub has_pin: bool,
    /// The TIP public key; empty if no key is set.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub tip_key_base64: String,
    /// How often the TIP key was set.
    #[serde(default, deserialize_with = "or_default")]
    pub tip_counter: u64,
    /// RSA: the wrapped PIN key, in the answer to a registration.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub pin_token: String,
    /// Ed25519: the server's X25519 key, in the answer to a registration.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub pin_token_base64: String,
    /// Ed25519: the server's Ed25519 key, in the answer to a registration.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub server_public_key: String,
    /// When the user was registered, in RFC 3339.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub created_at: String,
}

/// Some answers have an empty string instead of an id.
pub(super) fn lenient_uuid<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// An entry of `GET /logs`. `null` counts as absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct LogEntry {
    /// The entry's id.
    pub log_id: String,
    /// What happened, such as `PIN_INCORRECT`.
    #[serde(default, deserialize_with = "or_default")]
    pub code: String,
    /// The address that the request came from.
    #[serde(default, deserialize_with = "or_default")]
    pub ip_address: String,
    /// When, in RFC 3339.
    #[serde(default, deserialize_with = "or_default")]
    pub created_at: String,
}

read_from_objects_only!(User, LogEntry);

// `remote = "Self"` turns the derived `serialize` into a plain function.
impl Serialize for User {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl Serialize for LogEntry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::answer::ApiError;

    fn user() -> Value {
        json!({
            "user_id": "06aed1e3-bd77-4a59-991a-5bb5ae6fbb09", "session_id": "06aed1e3-bd77-4a59-991a-5bb5ae6fbb0a",
            "identity_number": "7000", "full_name": "A", "has_pin": true, "tip_key_base64": "k", "tip_counter": 1,
            "pin_token": "t", "pin_token_base64": "u", "server_public_key": "s", "created_at": "2018",
        })
    }

    fn log() -> Value {
        json!({"log_id": "l", "code": "PIN_INCORRECT", "ip_address": "127.0.0.1", "created_at": "2018"})
    }

    fn error() -> Value {
        json!({"status": 202, "code": 20119, "description": "d", "extra": {"reason": "pin"}})
    }

    proptest! {
        /// Any fields but the essential ones may be null or absent, with the same result, and unknown ones may be there.
        #[test]
        fn null_counts_as_absent(nulls in any::<u16>(), unknown in proptest::collection::btree_map("[a-z_]{3,9}", ".*", 0..3)) {
            for (whole, essential) in [(user(), "user_id"), (log(), "log_id"), (error(), "code")] {
                let whole = whole.as_object().unwrap().clone();
                let is_null = |place: usize, name: &str| name != essential && nulls & (1 << place) != 0;
                let (mut with_null, mut without) = (whole.clone(), Map::new());
                for (place, (name, value)) in whole.iter().enumerate() {
                    if is_null(place, name) {
                        with_null[name] = Value::Null;
                    } else {
                        without.insert(name.clone(), value.clone());
                    }
                }
                for (name, text) in unknown.iter().filter(|(name, _)| !whole.contains_key(*name)) {
                    with_null.insert(name.clone(), text.clone().into());
                }
                let (with_null, without) = (Value::Object(with_null), Value::Object(without));
                match essential {
                    "user_id" => prop_assert_eq!(User::deserialize(&with_null).unwrap(), User::deserialize(&without).unwrap()),
                    "log_id" => {
                        prop_assert_eq!(LogEntry::deserialize(&with_null).unwrap(), LogEntry::deserialize(&without).unwrap());
                    }
                    _ => prop_assert_eq!(ApiError::deserialize(&with_null).unwrap(), ApiError::deserialize(&without).unwrap()),
                }
            }
        }
    }

    #[test]
    fn an_essential_field_is_not_null() {
        let without = |mut value: Value, name: &str| {
            value[name] = Value::Null;
            value
        };
        assert!(User::deserialize(without(user(), "user_id")).is_err());
        assert!(LogEntry::deserialize(without(log(), "log_id")).is_err());
    }
}
