//! The data of answers: users and log entries.

use mixin_pin_core::uuid::Uuid;
use serde::{Deserialize, Serialize};

use crate::object::read_from_objects_only;

/// A user: the fields that matter for PINs. Other fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct User {
    /// The user's id.
    pub user_id: Uuid,
    /// The session of the request.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient_uuid")]
    pub session_id: Option<Uuid>,
    /// The user's public number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub identity_number: String,
    /// The user's name.
    #[serde(default)]
    pub full_name: String,
    /// Whether a PIN of either kind is set.
    #[serde(default)]
    pub has_pin: bool,
    /// The TIP public key; empty if no key is set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tip_key_base64: String,
    /// How often the TIP key was set.
    #[serde(default)]
    pub tip_counter: u64,
    /// RSA: the wrapped PIN key, in the answer to a registration.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pin_token: String,
    /// Ed25519: the server's X25519 key, in the answer to a registration.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub pin_token_base64: String,
    /// Ed25519: the server's Ed25519 key, in the answer to a registration.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server_public_key: String,
    /// When the user was registered, in RFC 3339.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub created_at: String,
}

/// Some answers have an empty string instead of an id.
fn lenient_uuid<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.and_then(|text| text.parse().ok()))
}

/// An entry of `GET /logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct LogEntry {
    /// The entry's id.
    pub log_id: String,
    /// What happened, such as `PIN_INCORRECT`.
    #[serde(default)]
    pub code: String,
    /// The address that the request came from.
    #[serde(default)]
    pub ip_address: String,
    /// When, in RFC 3339.
    #[serde(default)]
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
