//! Keystore files: every shape that is in use, and a precise complaint when one is incomplete.
//!
//! Reading the file, and minding who else may read it, is the caller's business.

mod text;

use std::fmt;

use base16ct::lower::encode_string;
use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::tip::TipKey;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, OAuthSession, PinToken, RsaKey, Session, X25519PublicKey};
use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::Error;
use text::unescape;

/// Which kind of keystore a file is, told by its fields.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeystoreShape {
    /// A bot of 2018 to 2020: `client_id`, `session_id`, `pin_token`, `private_key` as PEM.
    RsaBot,
    /// A bot of 2020 to 2023: `client_id`, `session_id`, `pin_token`, `private_key` as base64url.
    Ed25519Bot,
    /// What the developers' dashboard gives today: `app_id`, `session_private_key`, `server_public_key`.
    Dashboard,
    /// A user without an app: `user_id`, `session_private_key`, `server_public_key`.
    BareUser,
    /// An authorization by somebody else: `client_id`, `authorization_id`, `scope`, `private_key`, `ed25519`.
    OAuth,
}

impl KeystoreShape {
    /// A short name, for scripts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RsaBot => "rsa-bot",
            Self::Ed25519Bot => "ed25519-bot",
            Self::Dashboard => "dashboard",
            Self::BareUser => "bare-user",
            Self::OAuth => "oauth",
        }
    }
}

impl fmt::Display for KeystoreShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RsaBot => "that of an RSA bot",
            Self::Ed25519Bot => "that of an Ed25519 bot",
            Self::Dashboard => "one of the developers' dashboard",
            Self::BareUser => "that of a user",
            Self::OAuth => "an OAuth authorization",
        })
    }
}

/// A keystore whose fields are all there and all readable.
///
/// ```
/// use mixin_pin_protocol::{Error, keystore::Keystore};
///
/// # const TEXT: &str = include_str!("../testdata/keystore-dashboard.json");
/// let mut keystore = Keystore::parse(TEXT.as_bytes())?; // the bytes of keystore.json
/// println!("{} {} in session {}", keystore.shape(), keystore.user_id(), keystore.session_id());
/// if let Some(key) = keystore.take_spend_key() {
///     println!("its TIP key is {:?}", key.to_tip_key(None)?.public_key());
/// }
/// assert!(keystore.also_holds().is_empty()); // no PIN and no other secret beside the session's
/// # Ok::<(), Error>(())
/// ```
///
/// # Security
/// Holds the session's private key and the spend key, which zeroize themselves. A PIN or a client secret in the file is
/// noticed, and not loaded. `Debug` shows no key.
#[derive(Debug)]
pub struct Keystore {
    shape: KeystoreShape,
    user_id: Uuid,
    session_id: Uuid,
    keys: Keys,
    spend_key: Option<SpendKey>,
    also_holds: Vec<&'static str>,
}

#[derive(Debug)]
enum Keys {
    Rsa { key: RsaKey, pin_token: PinToken },
    Ed25519 { key: Ed25519Key, server: X25519PublicKey },
    OAuth { key: Ed25519Key, scope: String, server: Ed25519PublicKey },
}

impl Keystore {
    /// Reads a keystore of any shape.
    ///
    /// ```
    /// use mixin_pin_protocol::{Error, keystore::{Keystore, KeystoreShape}};
    ///
    /// # const TEXT: &str = include_str!("../testdata/keystore-rsa-bot.json");
    /// assert_eq!(Keystore::parse(TEXT.as_bytes())?.shape(), KeystoreShape::RsaBot);
    /// assert_eq!(Keystore::parse(b"{}").unwrap_err(), Error::KeystoreNoKey);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// One of the `Keystore…` variants of [`Error`], which name the field at fault and never its value.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(json).map_err(|_| Error::KeystoreNotText)?;
        // serde_json's messages may quote values, so only the place is kept.
        let fields: Fields = serde_json::from_str(text).map_err(|error| Error::KeystoreNotJson {
            line: error.line(),
            column: if error.classify() == Category::Data { 1 } else { error.column() },
        })?;
        if fields.has("authorization_id") || fields.has("ed25519") {
            return fields.oauth();
        }
        if fields.has("session_private_key") {
            let shape = if fields.has("app_id") { KeystoreShape::Dashboard } else { KeystoreShape::BareUser };
            return fields.ed25519(shape, "session_private_key");
        }
        match fields.text("private_key")? {
            None => Err(Error::KeystoreNoKey),
            Some(text) if text.trim_start().starts_with("-----BEGIN ") => fields.rsa(text),
            Some(_) => fields.ed25519(KeystoreShape::Ed25519Bot, "private_key"),
        }
    }

    /// Which kind it is.
    pub const fn shape(&self) -> KeystoreShape {
        self.shape
    }

    /// The user, or the bot's id; for OAuth the app's.
    pub const fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// The session; for OAuth the authorization.
    pub const fn session_id(&self) -> Uuid {
        self.session_id
    }

    /// The session's public key.
    pub fn public_key(&self) -> VerifyingKey {
        match &self.keys {
            Keys::Rsa { key, .. } => VerifyingKey::Rsa(key.public_key()),
            Keys::Ed25519 { key, .. } | Keys::OAuth { key, .. } => VerifyingKey::Ed25519(key.public_key()),
        }
    }

    /// Takes the spend key out: the private half of the TIP PIN, where the file holds one.
    pub const fn take_spend_key(&mut self) -> Option<SpendKey> {
        self.spend_key.take()
    }

    /// Further secrets that the file holds beside the session's: `pin`, `spend_private_key`, ….
    pub fn also_holds(&self) -> &[&'static str] {
        &self.also_holds
    }

    /// Makes the session, for RSA by unwrapping its PIN token.
    ///
    /// # Errors
    /// [`Error::KeystoreKey`] when the keys do not belong together, [`Error::KeystoreOAuth`] for an OAuth keystore.
    ///
    /// # Security
    /// `rng` blinds the private operation.
    pub fn into_session<R: CryptoRng + ?Sized>(self, rng: &mut R) -> Result<Session, Error> {
        match self.keys {
            Keys::Rsa { key, pin_token } => Session::rsa(self.user_id, self.session_id, key, &pin_token, rng)
                .map_err(|cause| Error::KeystoreKey { field: "pin_token", cause }),
            Keys::Ed25519 { key, server } => Session::ed25519(self.user_id, self.session_id, key, &server)
                .map_err(|cause| Error::KeystoreKey { field: "server_public_key", cause }),
            Keys::OAuth { .. } => Err(Error::KeystoreOAuth),
        }
    }

    /// Makes the session of an OAuth authorization.
    ///
    /// # Errors
    /// [`Error::KeystoreNotOAuth`] for every other keystore, [`Error::Core`] for a scope that is none.
    pub fn into_oauth_session(self) -> Result<OAuthSession, Error> {
        match self.keys {
            Keys::OAuth { key, scope, server } => {
                Ok(OAuthSession::new(self.user_id, self.session_id, &scope, key, server)?)
            }
            _ => Err(Error::KeystoreNotOAuth),
        }
    }
}

/// A spend key as people hold it: text whose 32 bytes may be a seed or a raw scalar.
///
/// # Security
/// Zeroized on drop, never printed.
pub struct SpendKey {
    text: Zeroizing<String>,
    is_scalar: bool,
}

impl SpendKey {
    /// Takes a key in hex or base64, to be read in [`SpendKey::to_tip_key`].
    pub const fn new(text: Zeroizing<String>) -> Self {
        Self { text, is_scalar: false }
    }

    /// Reads the key: in whichever way gives the expected public key, the `tip_key_base64` of `GET /me`, or without one
    /// as the keystore says, a seed by default.
    ///
    /// ```
    /// use mixin_pin_protocol::{Error, core::tip::TipKey, keystore::SpendKey};
    ///
    /// let scalar = TipKey::from_scalar(&[0x42; 32])?;
    /// let key = SpendKey::new("42".repeat(32).into());
    /// assert_eq!(key.to_tip_key(Some(scalar.public_key()))?.public_key(), scalar.public_key());
    /// assert_ne!(key.to_tip_key(None)?.public_key(), scalar.public_key());
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Core`] when it is no key, or not that of the expected public key.
    pub fn to_tip_key(&self, expected: Option<&Ed25519PublicKey>) -> Result<TipKey, Error> {
        let text = self.text.trim();
        Ok(match expected {
            Some(expected) => TipKey::text_matching(text, expected)?,
            None if self.is_scalar => TipKey::scalar_from_text(text)?,
            None => TipKey::from_text(text)?,
        })
    }
}

impl fmt::Debug for SpendKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpendKey").finish_non_exhaustive()
    }
}

/// Writes a new RSA session as a keystore of the RSA bot's shape.
///
/// ```
/// use mixin_pin_protocol::core::{PinToken, RsaKey, uuid::Uuid};
/// use mixin_pin_protocol::keystore::{Keystore, write_rsa};
///
/// # const OTHER: &str = include_str!("../testdata/keystore-rsa-bot.json");
/// # let other: serde_json::Value = serde_json::from_str(OTHER).unwrap();
/// # let (pem, pin_token) = (other["private_key"].as_str().unwrap(), other["pin_token"].as_str().unwrap());
/// let key = RsaKey::from_pem(pem)?; // what was registered
/// let pin_token = PinToken::from_base64(pin_token)?; // of the answer to `POST /users`
/// let text = write_rsa(Uuid::from_u128(1), Uuid::from_u128(2), &key, &pin_token)?;
/// assert_eq!(Keystore::parse(text.as_bytes())?.session_id(), Uuid::from_u128(2));
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
///
/// # Errors
/// [`Error::Core`] when the key cannot be encoded.
pub fn write_rsa(
    user_id: Uuid,
    session_id: Uuid,
    key: &RsaKey,
    pin_token: &PinToken,
) -> Result<Zeroizing<String>, Error> {
    let pem = key.to_pkcs1_pem()?;
    // PEM is base64 and hyphens: its line ends are all that JSON escapes.
    let pem = Zeroizing::new(pem.replace('\n', "\\n"));
    Ok(Zeroizing::new(format!(
        "{{\n  \"client_id\": \"{user_id}\",\n  \"session_id\": \"{session_id}\",\n  \"pin_token\": \"{}\",\n  \
         \"private_key\": \"{}\"\n}}\n",
        pin_token.to_base64(),
        *pem,
    )))
}

/// How a server names its key to an Ed25519 session.
///
/// ```
/// use mixin_pin_protocol::core::{Ed25519Key, uuid::Uuid};
/// use mixin_pin_protocol::keystore::{Keystore, KeystoreShape, ServerKey, write_app, write_ed25519};
///
/// # let server = Ed25519Key::from_bytes(&[8; 32])?.public_key();
/// let key = Ed25519Key::from_bytes(&[7; 32])?; // what was registered
/// let server = ServerKey::Ed25519(server); // `server_public_key` of the answer to `POST /users`
/// let (user, session) = (Uuid::from_u128(1), Uuid::from_u128(2));
/// let text = write_ed25519(user, session, &key, &server);
/// assert_eq!(Keystore::parse(text.as_bytes())?.shape(), KeystoreShape::BareUser);
/// let text = write_app(user, session, &key, &server);
/// assert_eq!(Keystore::parse(text.as_bytes())?.shape(), KeystoreShape::Dashboard);
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
#[derive(Debug, Clone)]
pub enum ServerKey {
    /// `server_public_key`: Ed25519, in hex.
    Ed25519(Ed25519PublicKey),
    /// `pin_token_base64`: X25519, in base64url.
    X25519(X25519PublicKey),
}

/// Writes a new Ed25519 session as a keystore of the bare user's shape.
pub fn write_ed25519(user_id: Uuid, session_id: Uuid, key: &Ed25519Key, server: &ServerKey) -> Zeroizing<String> {
    write_session("user_id", user_id, session_id, key, server)
}

/// Writes an app's session as a keystore of the dashboard's shape.
pub fn write_app(app_id: Uuid, session_id: Uuid, key: &Ed25519Key, server: &ServerKey) -> Zeroizing<String> {
    write_session("app_id", app_id, session_id, key, server)
}

/// Writes an authorization as a keystore of the OAuth shape.
///
/// ```
/// use mixin_pin_protocol::core::{Ed25519Key, uuid::Uuid};
/// use mixin_pin_protocol::keystore::{Keystore, KeystoreShape, write_oauth};
///
/// # let server = Ed25519Key::from_bytes(&[8; 32])?.public_key();
/// let key = Ed25519Key::from_bytes(&[7; 32])?;
/// let text = write_oauth(Uuid::from_u128(1), Uuid::from_u128(2), "PROFILE:READ", &key, &server);
/// assert_eq!(Keystore::parse(text.as_bytes())?.shape(), KeystoreShape::OAuth);
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
pub fn write_oauth(
    app_id: Uuid,
    authorization_id: Uuid,
    scope: &str,
    key: &Ed25519Key,
    server: &Ed25519PublicKey,
) -> Zeroizing<String> {
    // A scope that a session was made of has nothing to escape; any other is escaped here.
    Zeroizing::new(format!(
        "{{\n  \"client_id\": \"{app_id}\",\n  \"authorization_id\": \"{authorization_id}\",\n  \"scope\": \
         {},\n  \"private_key\": \"{}\",\n  \"ed25519\": \"{}\"\n}}\n",
        serde_json::Value::from(scope),
        *key.to_base64_url(),
        server.to_base64_url(),
    ))
}

fn write_session(
    id_field: &str,
    user_id: Uuid,
    session_id: Uuid,
    key: &Ed25519Key,
    server: &ServerKey,
) -> Zeroizing<String> {
    let (server_field, server) = match server {
        ServerKey::Ed25519(key) => ("server_public_key", encode_string(key.as_bytes())),
        ServerKey::X25519(key) => ("pin_token_base64", key.to_base64_url()),
    };
    Zeroizing::new(format!(
        "{{\n  \"{id_field}\": \"{user_id}\",\n  \"session_id\": \"{session_id}\",\n  \
         \"session_private_key\": \"{}\",\n  \"{server_field}\": \"{server}\"\n}}\n",
        *Zeroizing::new(encode_string(key.expose_seed())),
    ))
}

/// A field's value, as far as it matters here.
enum Value {
    Text(Zeroizing<String>),
    Flag(bool),
    Other,
}

/// The fields that some keystore has.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

const KNOWN: [&str; 17] = [
    "app_id",
    "client_id",
    "user_id",
    "session_id",
    "private_key",
    "session_private_key",
    "pin_token",
    "pin_token_base64",
    "server_public_key",
    "authorization_id",
    "scope",
    "ed25519",
    "pin",
    "spend_private_key",
    "spend_key",
    "is_spend_private_sum",
    "client_secret",
];
const FURTHER_SECRETS: [&str; 4] = ["pin", "spend_private_key", "spend_key", "client_secret"];

impl Fields {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn text(&self, field: &'static str) -> Result<Option<&str>, Error> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Flag(_) | Value::Other) => Err(Error::KeystoreNotString { field }),
        }
    }

    fn needed(&self, shape: KeystoreShape, field: &'static str) -> Result<&str, Error> {
        self.text(field)?.ok_or(Error::KeystoreMissing { shape, field })
    }

    fn uuid(&self, field: &'static str) -> Result<Option<Uuid>, Error> {
        self.text(field)?.map(|text| text.trim().parse().map_err(|_| Error::KeystoreNotUuid { field })).transpose()
    }

    /// The user, under any of its three names; they must agree where there are several.
    fn user_id(&self, shape: KeystoreShape) -> Result<Uuid, Error> {
        let mut found: Option<(&'static str, Uuid)> = None;
        for second in ["app_id", "client_id", "user_id"] {
            let Some(id) = self.uuid(second)? else { continue };
            match found {
                Some((first, other)) if other != id => return Err(Error::KeystoreConflict { first, second }),
                _ => found = Some((second, id)),
            }
        }
        let field = match shape {
            KeystoreShape::Dashboard => "app_id",
            KeystoreShape::BareUser => "user_id",
            _ => "client_id (or user_id)",
        };
        found.map(|(_, id)| id).ok_or(Error::KeystoreMissing { shape, field })
    }

    fn session_id(&self, shape: KeystoreShape, field: &'static str) -> Result<Uuid, Error> {
        self.uuid(field)?.ok_or(Error::KeystoreMissing { shape, field })
    }

    fn also_holds(&self) -> Vec<&'static str> {
        FURTHER_SECRETS.into_iter().filter(|name| self.has(name)).collect()
    }

    fn spend_key(&self) -> Result<Option<SpendKey>, Error> {
        let text = match self.text("spend_private_key")? {
            None => self.text("spend_key")?,
            text => text,
        };
        let is_scalar = matches!(self.get("is_spend_private_sum"), Some(Value::Flag(true)));
        Ok(text.map(|text| SpendKey { text: Zeroizing::new(text.to_owned()), is_scalar }))
    }

    fn rsa(&self, pem: &str) -> Result<Keystore, Error> {
        let shape = KeystoreShape::RsaBot;
        let key = RsaKey::from_pem(pem).map_err(|cause| Error::KeystoreKey { field: "private_key", cause })?;
        let pin_token = PinToken::from_base64(self.needed(shape, "pin_token")?)
            .map_err(|cause| Error::KeystoreKey { field: "pin_token", cause })?;
        Ok(Keystore {
            shape,
            user_id: self.user_id(shape)?,
            session_id: self.session_id(shape, "session_id")?,
            keys: Keys::Rsa { key, pin_token },
            spend_key: self.spend_key()?,
            also_holds: self.also_holds(),
        })
    }

    fn ed25519(&self, shape: KeystoreShape, key_field: &'static str) -> Result<Keystore, Error> {
        let key = self.ed25519_key(shape, key_field)?;
        Ok(Keystore {
            shape,
            user_id: self.user_id(shape)?,
            session_id: self.session_id(shape, "session_id")?,
            keys: Keys::Ed25519 { key, server: self.server_key(shape)? },
            spend_key: self.spend_key()?,
            also_holds: self.also_holds(),
        })
    }

    fn oauth(&self) -> Result<Keystore, Error> {
        let shape = KeystoreShape::OAuth;
        let key = self.ed25519_key(shape, "private_key")?;
        let scope = self.needed(shape, "scope")?.to_owned();
        let server = Ed25519PublicKey::from_text(self.needed(shape, "ed25519")?)
            .map_err(|cause| Error::KeystoreKey { field: "ed25519", cause })?;
        Ok(Keystore {
            shape,
            user_id: self.user_id(shape)?,
            session_id: self.session_id(shape, "authorization_id")?,
            keys: Keys::OAuth { key, scope, server },
            spend_key: self.spend_key()?,
            also_holds: self.also_holds(),
        })
    }

    fn ed25519_key(&self, shape: KeystoreShape, field: &'static str) -> Result<Ed25519Key, Error> {
        Ed25519Key::from_text(self.needed(shape, field)?.trim()).map_err(|cause| Error::KeystoreKey { field, cause })
    }

    fn server_key(&self, shape: KeystoreShape) -> Result<X25519PublicKey, Error> {
        if let Some(text) = self.text("server_public_key")? {
            return Ed25519PublicKey::from_text(text.trim())
                .and_then(|key| key.to_x25519())
                .map_err(|cause| Error::KeystoreKey { field: "server_public_key", cause });
        }
        for field in ["pin_token_base64", "pin_token"] {
            if let Some(text) = self.text(field)? {
                return X25519PublicKey::from_base64(text.trim()).map_err(|cause| Error::KeystoreKey { field, cause });
            }
        }
        let field = match shape {
            KeystoreShape::Ed25519Bot => "pin_token (or pin_token_base64)",
            _ => "server_public_key",
        };
        Err(Error::KeystoreMissing { shape, field })
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
                        // An empty field is as good as none; of two with one name the last counts, as elsewhere.
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
    /// Reads what the parser found to be a value: nothing of `null`, and an error of text with half a character.
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
