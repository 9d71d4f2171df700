//! The fields of a keystore's JSON, by name and type.

use std::fmt;

use mixin_pin_core::token::Algorithm;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, Pin, PinKey, PinToken, RsaKey};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::key::{self, PrivateKey, decode_secret};
use super::note::KeystoreNote;
use super::shape::KeystoreShape;
use super::spend_key::SpendKey;
use super::text::{clean, unescape};
use super::write::ServerKey;
use crate::KeystoreError;

/// The value of a field.
enum Value {
    Text(Zeroizing<String>),
    Flag(bool),
    Other,
}

impl Value {
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(two)) => is_same(one.as_bytes(), two.as_bytes()),
            (Self::Flag(one), Self::Flag(two)) => one == two,
            _ => false,
        }
    }
}

/// Whether two secrets are the same, compared in constant time.
pub(super) fn is_same(one: &[u8], two: &[u8]) -> bool {
    one.ct_eq(two).into()
}

struct Field {
    name: &'static str,
    /// Whether the file has exactly this name, not a variant like `sessionId`.
    is_exact: bool,
    value: Value,
}

/// The known fields of a keystore.
#[derive(Default)]
pub(super) struct Fields {
    fields: Vec<Field>,
    /// A field that is there under two spellings with two values.
    conflict: Option<&'static str>,
    /// The fields that are there twice under one spelling with two values.
    repeated: Vec<&'static str>,
}

const KNOWN: [&str; 22] = [
    "app_id",
    "client_id",
    "user_id",
    "session_id",
    "private_key",
    "session_private_key",
    // As fox-one/mixin-sdk has it: mixin/demo/config.template.go.
    "session_key",
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
    "safe_key",
    "is_spend_private_sum",
    "client_secret",
    "unfinished",
];
/// The names of the user's id.
const USER_IDS: [&str; 3] = ["app_id", "client_id", "user_id"];
/// The names of the private key. The first that is there is used.
const PRIVATE_KEYS: [&str; 3] = ["session_private_key", "private_key", "session_key"];
/// The names of the server's key of an Ed25519 session, likewise.
const SERVER_KEYS: [&str; 3] = ["server_public_key", "pin_token_base64", "pin_token"];
/// The names of an RSA session's PIN token, likewise. `mixin_bot` has it as `server_public_key` (`baizhiheizi/mixin_bot`:
/// `lib/mixin_bot/api/pin.rb`).
const PIN_TOKENS: [&str; 3] = ["pin_token", "pin_token_base64", "server_public_key"];
/// The names of the spend key, likewise.
///
/// `pin` is that of Go's example (MixinNetwork/bot-api-go-client: `botauth_test.go`).
const SPEND_KEYS: [&str; 4] = ["spend_private_key", "spend_key", "safe_key", "pin"];
/// Secrets that a session of most shapes does not need.
const FURTHER_SECRETS: [&str; 6] = ["pin", "pin_key", "spend_private_key", "spend_key", "safe_key", "client_secret"];

/// The field that a name in a file means, and whether it is exactly the field's name.
///
/// Case and the signs between words do not count: `sessionId`, `SESSION_ID` and `session-id` are `session_id`.
fn known(name: &str) -> Option<(&'static str, bool)> {
    let letters = |name: &str| -> Option<&'static str> {
        let bare = |name: &'static str| name.bytes().filter(|c| *c != b'_');
        let given = || name.bytes().filter(|c| !matches!(c, b'_' | b'-' | b'.' | b' ')).map(|c| c.to_ascii_lowercase());
        KNOWN.into_iter().find(|known| given().eq(bare(known)))
    };
    let exact = KNOWN.into_iter().find(|known| *known == name).map(|known| (known, true));
    exact.or_else(|| letters(name).map(|known| (known, false)))
}

impl Fields {
    fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|field| field.name == name).map(|field| &field.value)
    }

    fn insert(&mut self, name: &'static str, is_exact: bool, value: Value) {
        if let Some(old) = self.fields.iter_mut().find(|field| field.name == name) {
            // Of a repeated field the last one counts.
            if !old.value.is_same(&value) {
                if !old.is_exact || !is_exact {
                    self.conflict = Some(name);
                } else if !self.repeated.contains(&name) {
                    self.repeated.push(name);
                }
            }
            *old = Field { name, is_exact, value };
        } else {
            self.fields.push(Field { name, is_exact, value });
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether there is a key that a keystore is made of.
    pub(super) fn has_key(&self) -> bool {
        PRIVATE_KEYS.into_iter().any(|name| self.has(name)) || self.has("pin_key") && self.has("algorithm")
    }

    /// Refuses a field that is there under two spellings with two values.
    pub(super) fn check_spellings(&self) -> Result<(), KeystoreError> {
        self.conflict.map_or(Ok(()), |field| Err(KeystoreError::Spellings { field }))
    }

    /// Notes about fields that are there twice.
    pub(super) fn notes(&self) -> Vec<KeystoreNote> {
        self.repeated.iter().map(|field| KeystoreNote::Repeated { field }).collect()
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
        self.text(field)?.map(|text| clean(text).parse().map_err(|_| KeystoreError::NotUuid { field })).transpose()
    }

    /// The user's id, under any of its three names. Several must agree.
    pub(super) fn user_id(&self, shape: KeystoreShape) -> Result<Uuid, KeystoreError> {
        let mut found: Option<(&'static str, Uuid)> = None;
        for second in USER_IDS {
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

    /// The private key under any of its names, with that name.
    pub(super) fn private_key(
        &self,
        notes: &mut Vec<KeystoreNote>,
    ) -> Result<Option<(&'static str, PrivateKey)>, KeystoreError> {
        let mut found: Option<(&'static str, PrivateKey)> = None;
        for field in PRIVATE_KEYS {
            let Some(text) = self.text(field)? else { continue };
            let Some((used, key)) = &found else {
                found = Some((field, PrivateKey::read(field, text, notes)?));
                continue;
            };
            let other = PrivateKey::read(field, text, &mut Vec::new());
            if !other.is_ok_and(|other| other.public_key() == key.public_key()) {
                notes.push(KeystoreNote::Differ { used, other: field });
            }
        }
        Ok(found)
    }

    /// The server's key of an Ed25519 session, under any of its names.
    pub(super) fn server_key(
        &self,
        shape: KeystoreShape,
        notes: &mut Vec<KeystoreNote>,
    ) -> Result<(&'static str, ServerKey), KeystoreError> {
        let field = match shape {
            KeystoreShape::Ed25519Bot => "pin_token (or pin_token_base64)",
            _ => "server_public_key",
        };
        let missing = KeystoreError::Missing { shape, field };
        self.first_of(SERVER_KEYS, missing, notes, key::server_key, |one, two| one.to_x25519() == two.to_x25519())
    }

    /// The PIN token of an RSA session, under any of its names.
    pub(super) fn pin_token(&self, key: &RsaKey, notes: &mut Vec<KeystoreNote>) -> Result<PinToken, KeystoreError> {
        let missing = KeystoreError::Missing { shape: KeystoreShape::RsaBot, field: "pin_token" };
        let read = |field, text: &str, _: &mut Vec<KeystoreNote>| key::pin_token(field, text, key);
        self.first_of(PIN_TOKENS, missing, notes, read, PartialEq::eq).map(|(_, token)| token)
    }

    /// The key that the server signs its answers to an OAuth session with.
    pub(super) fn oauth_server_key(&self) -> Result<Option<Ed25519PublicKey>, KeystoreError> {
        let field = "ed25519";
        let Some(text) = self.text(field)? else { return Ok(None) };
        Ed25519PublicKey::from_text(&clean(text)).map(Some).map_err(|cause| KeystoreError::Field { field, cause })
    }

    /// The first of these fields that can be read. A note says if another field differs.
    fn first_of<T>(
        &self,
        names: [&'static str; 3],
        missing: KeystoreError,
        notes: &mut Vec<KeystoreNote>,
        read: impl Fn(&'static str, &str, &mut Vec<KeystoreNote>) -> Result<T, KeystoreError>,
        is_same: impl Fn(&T, &T) -> bool,
    ) -> Result<(&'static str, T), KeystoreError> {
        let mut found: Option<(&'static str, T)> = None;
        let (mut failed, mut unread) = (None, None);
        for field in names {
            let Some(text) = self.text(field)? else { continue };
            let mut unheard = Vec::new();
            match (&found, read(field, text, if found.is_none() { &mut *notes } else { &mut unheard })) {
                (None, Ok(value)) => found = Some((field, value)),
                (None, Err(error)) => {
                    failed.get_or_insert(error);
                    unread.get_or_insert(field);
                }
                (Some((_, value)), Ok(other)) if is_same(value, &other) => {}
                (Some(_), _) => unread = Some(field),
            }
        }
        match (found, unread) {
            (Some((used, value)), Some(other)) => {
                notes.push(KeystoreNote::Differ { used, other });
                Ok((used, value))
            }
            (Some(found), None) => Ok(found),
            (None, _) => Err(failed.unwrap_or(missing)),
        }
    }

    pub(super) fn further_secrets(&self, shape: KeystoreShape) -> Vec<&'static str> {
        let is_needed = |name| shape == KeystoreShape::RemoteSigner && name == "pin_key";
        FURTHER_SECRETS.into_iter().filter(|name| self.has(name) && !is_needed(*name)).collect()
    }

    /// Whether a field has a PIN of digits. `pin` counts if it has anything but a spend key.
    pub(super) fn holds_pin(&self) -> bool {
        SPEND_KEYS.into_iter().any(|name| match self.get(name) {
            Some(Value::Text(text)) => is_pin(text) || name == "pin" && !is_spend_key(text),
            Some(_) => name == "pin",
            None => false,
        })
    }

    /// The spend key, under any of its names. Six digits there are a PIN.
    pub(super) fn spend_key(&self, notes: &mut Vec<KeystoreNote>) -> Result<Option<SpendKey>, KeystoreError> {
        let mut found: Option<(&'static str, &str)> = None;
        for field in SPEND_KEYS {
            // A PIN may be a number.
            let text = if field == "pin" { self.text(field).unwrap_or_default() } else { self.text(field)? };
            let Some(text) = text.filter(|text| !is_pin(text) && (field != "pin" || is_spend_key(text))) else {
                continue;
            };
            match found {
                None => found = Some((field, text)),
                Some((used, key)) if !is_same_key(key, text) => {
                    notes.push(KeystoreNote::Differ { used, other: field });
                }
                Some(_) => {}
            }
        }
        let Some((field, text)) = found else { return Ok(None) };
        let is_scalar = self.flag("is_spend_private_sum")?;
        Ok(Some(SpendKey::of_keystore(field, Zeroizing::new(text.to_owned()), is_scalar)))
    }

    /// Whether a flag is set. It may be text, as environment variables are.
    fn flag(&self, field: &'static str) -> Result<bool, KeystoreError> {
        let is = |text: &str, word: &str| clean(text).eq_ignore_ascii_case(word);
        match self.get(field) {
            None => Ok(false),
            Some(Value::Flag(flag)) => Ok(*flag),
            Some(Value::Text(text)) if is(text, "true") => Ok(true),
            Some(Value::Text(text)) if is(text, "false") => Ok(false),
            Some(Value::Text(_) | Value::Other) => Err(KeystoreError::NotFlag { field }),
        }
    }

    pub(super) fn pin_key(&self, shape: KeystoreShape) -> Result<PinKey, KeystoreError> {
        let field = "pin_key";
        PinKey::from_text(&clean(self.needed(shape, field)?)).map_err(|cause| KeystoreError::Field { field, cause })
    }

    pub(super) fn algorithm(&self, shape: KeystoreShape) -> Result<Algorithm, KeystoreError> {
        let name = self.needed(shape, "algorithm")?.trim();
        let known = [Algorithm::EdDsa, Algorithm::Rs512].into_iter().find(|algorithm| algorithm.as_str() == name);
        known.ok_or(KeystoreError::Algorithm)
    }
}

/// Whether a text is a PIN of six digits.
fn is_pin(text: &str) -> bool {
    Pin::new(clean(text).as_bytes()).is_ok()
}

/// Whether a text is a spend key: 32 or 64 bytes.
fn is_spend_key(text: &str) -> bool {
    decode_secret(&clean(text)).is_some_and(|key| matches!(key.len(), 32 | 64))
}

/// Whether two texts are the same key. The second half of 64 bytes is the public key of the first.
fn is_same_key(one: &str, two: &str) -> bool {
    let [one, two] = [one, two].map(|text| decode_secret(&clean(text)));
    let (Some(one), Some(two)) = (one, two) else { return false };
    is_same(&one[..one.len().min(32)], &two[..two.len().min(32)])
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
                    let Some((name, is_exact)) = known(&key) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    let value = Value::read(map.next_value()?).map_err(|()| A::Error::custom("no text"))?;
                    // An empty field counts as absent.
                    if let Some(value) = value.filter(|value| !matches!(value, Value::Text(text) if text.is_empty())) {
                        fields.insert(name, is_exact, value);
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
