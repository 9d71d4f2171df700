//! Keystore files: reads and writes every shape in use, and names the field that is wrong.
//!
//! The caller reads the file and checks its permissions.

mod fields;
mod shape;
mod spend_key;
mod text;
mod write;

use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::token::{Algorithm, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, OAuthSession, PinKey, PinToken, RsaKey, Session, X25519PublicKey};
use serde_json::error::Category;

use crate::KeystoreError;
use fields::Fields;

pub use shape::KeystoreShape;
pub use spend_key::SpendKey;
pub use write::{ServerKey, write_app, write_ed25519, write_oauth, write_remote, write_rsa};

/// A keystore with all its fields present and readable.
///
/// ```
/// use mixin_pin_protocol::keystore::Keystore;
///
/// # const TEXT: &str = include_str!("../testdata/keystore-dashboard.json");
/// let mut keystore = Keystore::parse(TEXT.as_bytes())?; // the bytes of keystore.json
/// println!("{} {} in session {}", keystore.shape(), keystore.user_id(), keystore.session_id());
/// if let Some(key) = keystore.take_spend_key() {
///     println!("its TIP key is {:?}", key.to_tip_key(None)?.public_key());
/// }
/// assert!(keystore.further_secrets().is_empty()); // no PIN or other secret beside the session's
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
///
/// # Security
/// Contains the session's private key or its PIN key, and the spend key. All are zeroized on drop. A PIN or a client secret in the file
/// is reported by name and not loaded. `Debug` shows no key.
#[derive(Debug)]
pub struct Keystore {
    shape: KeystoreShape,
    user_id: Uuid,
    session_id: Uuid,
    keys: Keys,
    spend_key: Option<SpendKey>,
    further_secrets: Vec<&'static str>,
}

#[derive(Debug)]
enum Keys {
    Rsa { key: RsaKey, pin_token: PinToken },
    Ed25519 { key: Ed25519Key, server: X25519PublicKey },
    OAuth { key: Ed25519Key, scope: String, server: Ed25519PublicKey },
    Remote { pin_key: PinKey, algorithm: Algorithm },
}

impl Keystore {
    /// Reads a keystore of any shape.
    ///
    /// # Errors
    /// [`KeystoreError`], which names the field at fault and never its value.
    pub fn parse(json: &[u8]) -> Result<Self, KeystoreError> {
        let text = std::str::from_utf8(json).map_err(|_| KeystoreError::NotText)?;
        // serde_json's messages may quote secret values, so only the position is kept.
        let fields: Fields = serde_json::from_str(text).map_err(|error| KeystoreError::NotJson {
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
            None if fields.has("pin_key") || fields.has("algorithm") => Self::remote(&fields),
            None => Err(KeystoreError::NoKey),
            Some(text) if text.trim_start().starts_with("-----BEGIN ") => Self::rsa(&fields, text),
            Some(_) => Self::ed25519(&fields, KeystoreShape::Ed25519Bot, "private_key"),
        }
    }

    fn rsa(fields: &Fields, pem: &str) -> Result<Self, KeystoreError> {
        let shape = KeystoreShape::RsaBot;
        let key = RsaKey::from_pem(pem).map_err(|cause| KeystoreError::Field { field: "private_key", cause })?;
        let pin_token = PinToken::from_base64(fields.needed(shape, "pin_token")?)
            .map_err(|cause| KeystoreError::Field { field: "pin_token", cause })?;
        Self::of(fields, shape, "session_id", Keys::Rsa { key, pin_token })
    }

    fn ed25519(fields: &Fields, shape: KeystoreShape, key_field: &'static str) -> Result<Self, KeystoreError> {
        let key = fields.ed25519_key(shape, key_field)?;
        let server = fields.server_key(shape)?;
        Self::of(fields, shape, "session_id", Keys::Ed25519 { key, server })
    }

    fn oauth(fields: &Fields) -> Result<Self, KeystoreError> {
        let shape = KeystoreShape::OAuth;
        let key = fields.ed25519_key(shape, "private_key")?;
        let scope = fields.needed(shape, "scope")?.to_owned();
        let server = Ed25519PublicKey::from_text(fields.needed(shape, "ed25519")?)
            .map_err(|cause| KeystoreError::Field { field: "ed25519", cause })?;
        Self::of(fields, shape, "authorization_id", Keys::OAuth { key, scope, server })
    }

    fn remote(fields: &Fields) -> Result<Self, KeystoreError> {
        let shape = KeystoreShape::RemoteSigner;
        let (pin_key, algorithm) = (fields.pin_key(shape)?, fields.algorithm(shape)?);
        Self::of(fields, shape, "session_id", Keys::Remote { pin_key, algorithm })
    }

    fn of(
        fields: &Fields,
        shape: KeystoreShape,
        session_field: &'static str,
        keys: Keys,
    ) -> Result<Self, KeystoreError> {
        Ok(Self {
            shape,
            user_id: fields.user_id(shape)?,
            session_id: fields.session_id(shape, session_field)?,
            keys,
            spend_key: fields.spend_key()?,
            further_secrets: fields.further_secrets(shape),
        })
    }

    /// The kind of keystore.
    pub const fn shape(&self) -> KeystoreShape {
        self.shape
    }

    /// The id of the user or bot; for OAuth the id of the app.
    pub const fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// The id of the session; for OAuth the id of the authorization.
    pub const fn session_id(&self) -> Uuid {
        self.session_id
    }

    /// The session's public key. None for a remote signer, whose key the file does not have.
    pub fn public_key(&self) -> Option<VerifyingKey> {
        match &self.keys {
            Keys::Rsa { key, .. } => Some(VerifyingKey::Rsa(key.public_key())),
            Keys::Ed25519 { key, .. } | Keys::OAuth { key, .. } => Some(VerifyingKey::Ed25519(key.public_key())),
            Keys::Remote { .. } => None,
        }
    }

    /// The algorithm that signs the session's requests.
    pub const fn algorithm(&self) -> Algorithm {
        match &self.keys {
            Keys::Rsa { .. } => Algorithm::Rs512,
            Keys::Ed25519 { .. } | Keys::OAuth { .. } => Algorithm::EdDsa,
            Keys::Remote { algorithm, .. } => *algorithm,
        }
    }

    /// Removes and returns the spend key, the private key of the TIP PIN, if the file has one.
    pub const fn take_spend_key(&mut self) -> Option<SpendKey> {
        self.spend_key.take()
    }

    /// The names of further secrets in the file: `pin`, `spend_private_key`, ….
    pub fn further_secrets(&self) -> &[&'static str] {
        &self.further_secrets
    }

    /// Makes the session. An RSA session unwraps its PIN token.
    ///
    /// # Errors
    /// [`KeystoreError::Field`] when the keys do not belong together, [`KeystoreError::OAuth`] for an OAuth keystore,
    /// [`KeystoreError::RemoteSigner`] for one without a private key.
    ///
    /// # Security
    /// `rng` blinds the private operation.
    pub fn into_session(self, rng: &mut dyn CryptoRng) -> Result<Session, KeystoreError> {
        match self.keys {
            Keys::Rsa { key, pin_token } => Session::rsa(self.user_id, self.session_id, key, &pin_token, rng)
                .map_err(|cause| KeystoreError::Field { field: "pin_token", cause }),
            Keys::Ed25519 { key, server } => Session::ed25519(self.user_id, self.session_id, key, &server)
                .map_err(|cause| KeystoreError::Field { field: "server_public_key", cause }),
            Keys::OAuth { .. } => Err(KeystoreError::OAuth),
            Keys::Remote { .. } => Err(KeystoreError::RemoteSigner),
        }
    }

    /// Makes the session of a remote signer. The signer's place holds the algorithm.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::{call::Calls, core::UnixTime, keystore::Keystore};
    ///
    /// # const TEXT: &str = include_str!("../testdata/keystore-remote-signer.json");
    /// # let remote_sign = |_: &[u8]| [0; 64];
    /// let session = Keystore::parse(TEXT.as_bytes())?.into_remote_session()?; // the bytes of the file
    /// let now = UnixTime::from_secs(1_700_000_000);
    /// let unsigned = Calls::for_algorithm(&session, *session.signer(), now, &mut UnwrapErr(SysRng)).me()?;
    /// let signature = remote_sign(unsigned.message()); // a device's or a service's call; may be awaited
    /// let request = unsigned.with_signature(&signature)?;
    /// assert_eq!(request.path(), "/me");
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`KeystoreError::NotRemote`] for every other keystore.
    pub fn into_remote_session(self) -> Result<Session<Algorithm>, KeystoreError> {
        match self.keys {
            Keys::Remote { pin_key, algorithm } => {
                Ok(Session::from_parts(self.user_id, self.session_id, algorithm, pin_key))
            }
            _ => Err(KeystoreError::NotRemote),
        }
    }

    /// Makes the session of an OAuth authorization.
    ///
    /// # Errors
    /// [`KeystoreError::NotOAuth`] for every other keystore, [`KeystoreError::Field`] for an invalid scope.
    pub fn into_oauth_session(self) -> Result<OAuthSession, KeystoreError> {
        match self.keys {
            Keys::OAuth { key, scope, server } => OAuthSession::new(self.user_id, self.session_id, &scope, key, server)
                .map_err(|cause| KeystoreError::Field { field: "scope", cause }),
            _ => Err(KeystoreError::NotOAuth),
        }
    }
}
