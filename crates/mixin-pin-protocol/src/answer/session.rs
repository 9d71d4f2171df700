//! The data of answers about sessions and apps.

use mixin_pin_core::Ed25519PublicKey;
use mixin_pin_core::uuid::Uuid;
use serde::de::{Deserializer, Error as _, Unexpected};
use serde::{Deserialize, Serialize};

use super::User;
use super::data::lenient_uuid;
use crate::keystore::ServerKey;
use crate::object::{or_default, read_from_objects_only};

/// The session that a change of a key leads to: the answer to `POST /legacy/users`, `POST /session/secret` and
/// `POST /safe/apps/:id/session`.
///
/// With the new private key it makes a keystore.
///
/// ```
/// use mixin_pin_protocol::answer::NewSession;
/// use mixin_pin_protocol::keystore::ServerKey;
///
/// let json = r#"{"pin_token":"PgZHafXZXPBtJA4dKFf0kO4IHPOZouJJFSkr3zkn8Ws="}"#; // `data` of `/session/secret`
/// let new: NewSession = serde_json::from_str(json)?;
/// assert!(new.session_id.is_none()); // it stays
/// assert!(matches!(new.server_key, ServerKey::X25519(_)));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// The user. None if the answer does not name it; then it stays.
    pub user_id: Option<Uuid>,
    /// The session. None if the answer does not name it; then it stays.
    pub session_id: Option<Uuid>,
    /// The server's key, from `server_public_key`, `pin_token_base64` or `pin_token`, whichever comes first.
    pub server_key: ServerKey,
}

impl NewSession {
    /// The session of a user that was read (`GET /me`) with the new key, if the answer to the change was lost. None if the
    /// answer has no server's key.
    ///
    /// The answer names the server's key as `pin_token` (android-app and ios-app read it there). An RSA
    /// session's `pin_token` is a wrapped PIN key instead, so the result is None.
    pub fn of_user(user: &User) -> Option<Self> {
        let texts = [&user.server_public_key, &user.pin_token_base64, &user.pin_token];
        let text = texts.into_iter().find(|text| !text.is_empty())?;
        let server_key = ServerKey::from_text(text).ok()?;
        Some(Self { user_id: Some(user.user_id), session_id: user.session_id, server_key })
    }
}

#[derive(Deserialize)]
#[serde(remote = "Self")]
struct NewSessionFields {
    #[serde(default, deserialize_with = "id")]
    user_id: Option<Uuid>,
    #[serde(default, deserialize_with = "id")]
    session_id: Option<Uuid>,
    #[serde(default, deserialize_with = "server_key")]
    server_public_key: Option<ServerKey>,
    #[serde(default, deserialize_with = "server_key")]
    pin_token_base64: Option<ServerKey>,
    #[serde(default, deserialize_with = "server_key")]
    pin_token: Option<ServerKey>,
}

/// An empty text counts as absent. Any other text must be an id, because an absent one means that the id stays.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Uuid>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    let wrong = || D::Error::invalid_value(Unexpected::Other("another text"), &"an id");
    text.map(|text| text.parse().map_err(|_| wrong())).transpose()
}

/// An empty text counts as absent.
fn server_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ServerKey>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty());
    let read = |text: String| {
        let wrong = || D::Error::invalid_value(Unexpected::Other("another text"), &"a server's public key");
        ServerKey::from_text(&text).map_err(|_| wrong())
    };
    text.map(read).transpose()
}

impl<'de> Deserialize<'de> for NewSession {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = <NewSessionFields as Deserialize>::deserialize(deserializer)?;
        let NewSessionFields { user_id, session_id, server_public_key, pin_token_base64, pin_token } = fields;
        let server_key = server_public_key.or(pin_token_base64).or(pin_token);
        let server_key = server_key.ok_or_else(|| D::Error::missing_field("server_public_key"))?;
        Ok(Self { user_id, session_id, server_key })
    }
}

/// An app, as its owner sees it: the fields that matter for its session and for the safe. Other fields are ignored, and
/// `null` counts as absent (MixinNetwork/bot-api-nodejs-client: `src/client/types/app.ts`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct App {
    /// The app's id, which is also its user id.
    pub app_id: Uuid,
    /// The app's name.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// The owner.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient_uuid")]
    pub creator_id: Option<Uuid>,
    /// The public key of its session, in hex. Empty if the app has none or the server does not show it.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub session_public_key: String,
    /// The key under which it is registered with the safe, in hex; empty if it is not, or if it is not shown.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub spend_public_key: String,
    /// Whether it is registered with the safe.
    #[serde(default, deserialize_with = "or_default")]
    pub has_safe: bool,
}

/// The answer to the registration of an app with the safe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct AppRegistration {
    /// The key that is registered, in hex.
    #[serde(default, deserialize_with = "or_default")]
    pub spend_public_key: String,
}

/// A session, as `POST /sessions/fetch` lists it (MixinNetwork/bot-api-go-client: `session.go`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct UserSession {
    /// The user.
    pub user_id: Uuid,
    /// The session.
    pub session_id: Uuid,
    /// The session's public key in X25519 form, in base64url; empty for an RSA session (fox-one/mixin-sdk-go takes it so).
    #[serde(default, deserialize_with = "or_default")]
    pub public_key: String,
    /// The platform, such as `Android`.
    #[serde(default, deserialize_with = "or_default")]
    pub platform: String,
}

impl UserSession {
    /// Whether this is the session of this Ed25519 key, in either form.
    ///
    /// ```
    /// use mixin_pin_protocol::answer::UserSession;
    /// use mixin_pin_protocol::core::{Ed25519Key, uuid::Uuid};
    ///
    /// let key = Ed25519Key::from_bytes(&[7; 32])?.public_key();
    /// let (user_id, session_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
    /// let public_key = key.to_x25519()?.to_base64_url();
    /// let session = UserSession { user_id, session_id, public_key, platform: String::new() };
    /// assert!(session.has_key(&key));
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    pub fn has_key(&self, key: &Ed25519PublicKey) -> bool {
        match ServerKey::from_text(&self.public_key) {
            Ok(ServerKey::X25519(found)) => key.to_x25519().is_ok_and(|key| key == found),
            Ok(ServerKey::Ed25519(found)) => found == *key,
            Err(_) => false,
        }
    }
}

read_from_objects_only!(NewSessionFields, App, AppRegistration, UserSession);

// `remote = "Self"` turns the derived `serialize` into a plain function.
macro_rules! serialize {
    ($($name:ident),+) => { $(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                Self::serialize(self, serializer)
            }
        }
    )+ };
}

serialize!(App, AppRegistration, UserSession);
