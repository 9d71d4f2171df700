//! Keystore files: reads and writes every shape in use, and names the field that is wrong.
//!
//! The caller reads the file and checks its permissions.

mod bytes;
mod convert;
mod fields;
mod format;
mod key;
mod note;
mod pem;
mod shape;
mod spend_key;
mod text;
mod write;

use std::sync::OnceLock;

use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::token::{Algorithm, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{
    Ed25519Key, Ed25519PublicKey, OAuthSession, PinKey, PinToken, RsaKey, Session, SessionKey, X25519PublicKey,
};

use crate::KeystoreError;
use fields::Fields;
use key::PrivateKey;

pub use convert::{OutputShape, Written};
pub use format::{FileFormat, Name};
pub use key::Holding;
pub use note::{KeystoreNote, ServerKeyKind};
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
    /// The field of the private key or the PIN key.
    key_field: &'static str,
    keys: Keys,
    spend_key: Option<SpendKey>,
    further_secrets: Vec<&'static str>,
    holds_pin: bool,
    /// What was noted while reading.
    first_notes: Vec<KeystoreNote>,
    notes: OnceLock<Vec<KeystoreNote>>,
}

#[derive(Debug)]
enum Keys {
    Rsa { key: RsaKey, pin_token: PinToken },
    Ed25519 { key: Ed25519Key, field: &'static str, named: ServerKey, server: X25519PublicKey },
    OAuth { key: Ed25519Key, scope: String, server: Option<Ed25519PublicKey> },
    Remote { pin_key: PinKey, algorithm: Algorithm },
}

impl Keystore {
    /// Reads a keystore of any shape, in UTF-8 or UTF-16.
    ///
    /// What copying and other programs do to a keystore is mended: blanks and line ends in keys and ids, `0x`, other
    /// spellings of names, damaged PEM. [`Keystore::notes`] says where the reading is not certain.
    ///
    /// # Errors
    /// [`KeystoreError`], which names the field at fault and never its value.
    pub fn parse(json: &[u8]) -> Result<Self, KeystoreError> {
        let text = bytes::decode(json)?;
        format::check_object(&text)?;
        let fields: Fields = serde_json::from_str(&text).map_err(|error| format::explain(&text, &error))?;
        fields.check_spellings()?;
        if fields.has("unfinished") {
            return Err(KeystoreError::Unfinished);
        }
        let mut notes = fields.notes();
        let is_oauth = fields.has("authorization_id") || fields.has("ed25519");
        let Some((key_field, key)) = fields.private_key(&mut notes)? else {
            if is_oauth {
                return Err(KeystoreError::Missing { shape: KeystoreShape::OAuth, field: "private_key" });
            }
            if !fields.has("pin_key") && !fields.has("algorithm") {
                return Err(format::nested(&text).unwrap_or(KeystoreError::NoKey));
            }
            let shape = KeystoreShape::RemoteSigner;
            let keys = Keys::Remote { pin_key: fields.pin_key(shape)?, algorithm: fields.algorithm(shape)? };
            return Self::of(&fields, shape, "pin_key", keys, notes);
        };
        let (shape, keys) = match key {
            _ if is_oauth => (KeystoreShape::OAuth, Self::oauth(&fields, key_field, key, &mut notes)?),
            PrivateKey::Rsa(key) => {
                let pin_token = fields.pin_token(&key, &mut notes)?;
                (KeystoreShape::RsaBot, Keys::Rsa { key, pin_token })
            }
            PrivateKey::Ed25519(key) => {
                let is_of_today = key_field == "session_private_key";
                let shape = match is_of_today {
                    true if fields.has("app_id") || fields.has("client_id") => KeystoreShape::Dashboard,
                    true => KeystoreShape::BareUser,
                    false => KeystoreShape::Ed25519Bot,
                };
                let (field, named) = fields.server_key(shape, &mut notes)?;
                let server = named.to_x25519().map_err(|cause| KeystoreError::Field { field, cause })?;
                if fields::is_same(key.expose_seed(), named.as_bytes()) {
                    return Err(KeystoreError::Holds { field: key_field, holding: Holding::ServerKey });
                }
                // Keys would agree, but on one that the server does not have.
                if named.agrees_as(&key.public_key()) {
                    return Err(KeystoreError::Holds { field, holding: Holding::OwnPublicKey });
                }
                (shape, Keys::Ed25519 { key, field, named, server })
            }
        };
        Self::of(&fields, shape, key_field, keys, notes)
    }

    fn oauth(
        fields: &Fields,
        field: &'static str,
        key: PrivateKey,
        notes: &mut Vec<KeystoreNote>,
    ) -> Result<Keys, KeystoreError> {
        // `POST /oauth/token` takes Ed25519 keys only.
        let PrivateKey::Ed25519(key) = key else {
            return Err(KeystoreError::Field { field, cause: mixin_pin_core::Error::Ed25519Key });
        };
        let scope = fields.needed(KeystoreShape::OAuth, "scope")?.to_owned();
        let server = fields.oauth_server_key()?;
        if server.is_none() {
            notes.push(KeystoreNote::NoServerKey);
        }
        Ok(Keys::OAuth { key, scope, server })
    }

    fn of(
        fields: &Fields,
        shape: KeystoreShape,
        key_field: &'static str,
        keys: Keys,
        mut notes: Vec<KeystoreNote>,
    ) -> Result<Self, KeystoreError> {
        let session_field = if shape == KeystoreShape::OAuth { "authorization_id" } else { "session_id" };
        let (user_id, session_id) = (fields.user_id(shape)?, fields.session_id(shape, session_field)?);
        if user_id == session_id {
            notes.push(KeystoreNote::SameIds);
        }
        let (further_secrets, holds_pin) = (fields.further_secrets(shape), fields.holds_pin());
        let spend_key = fields.spend_key(&mut notes)?;
        Ok(Self {
            shape,
            user_id,
            session_id,
            key_field,
            keys,
            spend_key,
            further_secrets,
            holds_pin,
            first_notes: notes,
            notes: OnceLock::new(),
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

    /// Whether the file has the PIN of six digits, under `pin` or a name for the spend key.
    pub const fn holds_pin(&self) -> bool {
        self.holds_pin
    }

    /// What is unusual about the file, such as which of two possible readings was taken. A usual keystore has no notes.
    pub fn notes(&self) -> &[KeystoreNote] {
        // The check of the order costs as much as the agreement, so only who asks for notes pays for it.
        self.notes.get_or_init(|| {
            let mut notes = self.first_notes.clone();
            if let Keys::Ed25519 { named, field, .. } = &self.keys
                && !named.to_ed25519().is_ok_and(|key| key.has_prime_order())
            {
                notes.push(KeystoreNote::ServerKeyOrder { field });
            }
            notes
        })
    }

    /// The session's PIN token, as a server's answer shows it: base64 for RSA, base64url of the server's X25519 key for
    /// Ed25519. None for OAuth and for a remote signer.
    pub fn pin_token(&self) -> Option<String> {
        match &self.keys {
            Keys::Rsa { pin_token, .. } => Some(pin_token.to_base64()),
            Keys::Ed25519 { server, .. } => Some(server.to_base64_url()),
            Keys::OAuth { .. } | Keys::Remote { .. } => None,
        }
    }

    /// Makes the session. An RSA session unwraps its PIN token.
    ///
    /// # Errors
    /// [`KeystoreError::Field`] when the keys do not belong together, [`KeystoreError::IdsExchanged`] when they do with user
    /// and session id exchanged, [`KeystoreError::OAuth`] for an OAuth keystore, [`KeystoreError::RemoteSigner`] for one
    /// without a private key.
    ///
    /// # Security
    /// `rng` blinds the private operation.
    pub fn into_session(self, rng: &mut dyn CryptoRng) -> Result<Session, KeystoreError> {
        match self.keys {
            Keys::Rsa { key, pin_token } => {
                let pin_key = key.unwrap_pin_key(&pin_token, self.session_id, rng).map_err(|cause| {
                    // The label of the token is the session's id. Reading on with exchanged ids would hide that the file is
                    // wrong for every other client.
                    match key.unwrap_pin_key(&pin_token, self.user_id, rng) {
                        Ok(_) => KeystoreError::IdsExchanged,
                        Err(_) => KeystoreError::Field { field: "pin_token", cause },
                    }
                })?;
                Ok(Session::from_parts(self.user_id, self.session_id, SessionKey::Rsa(key), pin_key))
            }
            Keys::Ed25519 { key, server, .. } => Session::ed25519(self.user_id, self.session_id, key, &server)
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
    /// [`KeystoreError::NotOAuth`] for every other keystore, [`KeystoreError::NoServerKey`] without the server's key,
    /// [`KeystoreError::Field`] for an invalid scope.
    pub fn into_oauth_session(self) -> Result<OAuthSession, KeystoreError> {
        let Keys::OAuth { server, .. } = &self.keys else { return Err(KeystoreError::NotOAuth) };
        let server = server.clone().ok_or(KeystoreError::NoServerKey)?;
        Ok(self.into_oauth_signer()?.with_server_key(server))
    }

    /// Makes the session of an OAuth authorization for signing alone. It needs no key of the server, which only the
    /// verification of answers needs.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::{UnixTime, token::RequestHash, uuid::Uuid};
    /// use mixin_pin_protocol::{KeystoreError, keystore::Keystore};
    ///
    /// let text = br#"{
    ///     "app_id": "f3e9d3e5-c473-4bc2-a9b6-5b730a7a8575",
    ///     "authorization_id": "b7bce11c-e816-4769-a90a-c61b413be460",
    ///     "scope": "PROFILE:READ",
    ///     "session_private_key": "0707070707070707070707070707070707070707070707070707070707070707"
    /// }"#; // as the official Node client has it
    /// assert_eq!(Keystore::parse(text)?.into_oauth_session().unwrap_err(), KeystoreError::NoServerKey);
    /// let session = Keystore::parse(text)?.into_oauth_signer()?;
    /// let (hash, now) = (RequestHash::of("GET", "/me", b""), UnixTime::from_secs(1_700_000_000));
    /// let claims = session.claims(hash, Uuid::from_u128(3), now, Duration::from_secs(60))?;
    /// assert!(session.sign(&claims, &mut UnwrapErr(SysRng))?.as_str().starts_with("eyJ"));
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`KeystoreError::NotOAuth`] for every other keystore, [`KeystoreError::Field`] for an invalid scope.
    pub fn into_oauth_signer(self) -> Result<OAuthSession<Ed25519Key, ()>, KeystoreError> {
        let Keys::OAuth { key, scope, .. } = self.keys else { return Err(KeystoreError::NotOAuth) };
        OAuthSession::without_server_key(self.user_id, self.session_id, &scope, key)
            .map_err(|cause| KeystoreError::Field { field: "scope", cause })
    }
}
