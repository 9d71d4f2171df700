//! Keystore files: every shape that is in use, and a precise complaint when one is incomplete.
//!
//! Reading the file, and minding who else may read it, is the caller's business.

mod fields;
mod shape;
mod spend_key;
mod text;
mod write;

use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, OAuthSession, PinToken, RsaKey, Session, X25519PublicKey};
use serde_json::error::Category;

use crate::Error;
use fields::Fields;

pub use shape::KeystoreShape;
pub use spend_key::SpendKey;
pub use write::{ServerKey, write_app, write_ed25519, write_oauth, write_rsa};

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
            return Self::oauth(&fields);
        }
        if fields.has("session_private_key") {
            let shape = if fields.has("app_id") { KeystoreShape::Dashboard } else { KeystoreShape::BareUser };
            return Self::ed25519(&fields, shape, "session_private_key");
        }
        match fields.text("private_key")? {
            None => Err(Error::KeystoreNoKey),
            Some(text) if text.trim_start().starts_with("-----BEGIN ") => Self::rsa(&fields, text),
            Some(_) => Self::ed25519(&fields, KeystoreShape::Ed25519Bot, "private_key"),
        }
    }

    fn rsa(fields: &Fields, pem: &str) -> Result<Self, Error> {
        let shape = KeystoreShape::RsaBot;
        let key = RsaKey::from_pem(pem).map_err(|cause| Error::KeystoreKey { field: "private_key", cause })?;
        let pin_token = PinToken::from_base64(fields.needed(shape, "pin_token")?)
            .map_err(|cause| Error::KeystoreKey { field: "pin_token", cause })?;
        Self::of(fields, shape, "session_id", Keys::Rsa { key, pin_token })
    }

    fn ed25519(fields: &Fields, shape: KeystoreShape, key_field: &'static str) -> Result<Self, Error> {
        let key = fields.ed25519_key(shape, key_field)?;
        let server = fields.server_key(shape)?;
        Self::of(fields, shape, "session_id", Keys::Ed25519 { key, server })
    }

    fn oauth(fields: &Fields) -> Result<Self, Error> {
        let shape = KeystoreShape::OAuth;
        let key = fields.ed25519_key(shape, "private_key")?;
        let scope = fields.needed(shape, "scope")?.to_owned();
        let server = Ed25519PublicKey::from_text(fields.needed(shape, "ed25519")?)
            .map_err(|cause| Error::KeystoreKey { field: "ed25519", cause })?;
        Self::of(fields, shape, "authorization_id", Keys::OAuth { key, scope, server })
    }

    fn of(fields: &Fields, shape: KeystoreShape, session_field: &'static str, keys: Keys) -> Result<Self, Error> {
        Ok(Self {
            shape,
            user_id: fields.user_id(shape)?,
            session_id: fields.session_id(shape, session_field)?,
            keys,
            spend_key: fields.spend_key()?,
            also_holds: fields.also_holds(),
        })
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
    pub fn into_session(self, rng: &mut dyn CryptoRng) -> Result<Session, Error> {
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
