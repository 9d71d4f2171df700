//! Users with keys of the caller's own.

use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, Pin, PinKey};
use mixin_pin_protocol::KeystoreError;
use mixin_pin_protocol::keystore::Keystore;

/// A user with keys of your own: see [`Sandbox::add_account`](crate::Sandbox::add_account).
#[derive(Debug)]
pub struct Account {
    /// The user's id.
    pub user_id: Uuid,
    /// The session's id.
    pub session_id: Uuid,
    /// The user's name.
    pub full_name: String,
    /// The key that verifies the session's tokens.
    pub public_key: VerifyingKey,
    /// The key that encrypts the session's PINs.
    pub pin_key: PinKey,
    /// What Mixin gave the client for its PIN key, as `GET /me` shows it in `pin_token`: base64 of the wrapped key for RSA,
    /// base64url of the server's X25519 key for Ed25519. `None` if it is not known: `GET /me` then has no such field.
    pub pin_token: Option<String>,
    /// The PIN, if one is set.
    pub pin: Option<Pin>,
    /// The TIP key, if one is set, with the counter 1. It takes the place of a PIN.
    pub tip_key: Option<Ed25519PublicKey>,
    /// The owner, if this is an app: a user who is added before or together with it. The owner can read the app, replace its
    /// session and register it with the safe. `None` for a user.
    pub owner: Option<Uuid>,
}

impl Account {
    /// A user without a PIN.
    ///
    /// ```
    /// use mixin_pin_core::{Ed25519Key, Pin, PinKey, SystemRng, token::VerifyingKey, uuid::Uuid};
    /// use mixin_pin_sandbox::Account;
    ///
    /// let mut rng = SystemRng::new()?;
    /// let public_key = VerifyingKey::Ed25519(Ed25519Key::generate(&mut rng).public_key());
    /// let pin_key = PinKey::generate(&mut rng);
    /// let account = Account {
    ///     pin: Some(Pin::new("314159")?),
    ///     ..Account::new(Uuid::from_u128(1), Uuid::from_u128(2), "Alice", public_key, pin_key)
    /// };
    /// # Ok::<(), mixin_pin_core::Error>(())
    /// ```
    pub fn new(
        user_id: Uuid,
        session_id: Uuid,
        full_name: impl Into<String>,
        public_key: VerifyingKey,
        pin_key: PinKey,
    ) -> Self {
        let full_name = full_name.into();
        Self {
            user_id,
            session_id,
            full_name,
            public_key,
            pin_key,
            pin_token: None,
            pin: None,
            tip_key: None,
            owner: None,
        }
    }

    /// The user of a keystore, without a PIN. A client that has the keystore can then call the sandbox.
    ///
    /// ```
    /// use mixin_pin_core::{Pin, SystemRng};
    /// use mixin_pin_protocol::keystore::Keystore;
    /// use mixin_pin_sandbox::{Account, Config, Sandbox};
    ///
    /// # let text = Sandbox::start(&Config::default())?.app_keystore().to_owned();
    /// let rng = &mut SystemRng::new()?;
    /// let mut keystore = Keystore::parse(text.as_bytes())?; // the bytes of the file
    /// let spend_key = keystore.take_spend_key();
    /// let mut account = Account::from_keystore(keystore, "Alice", rng)?;
    /// match spend_key {
    ///     Some(key) => account.tip_key = Some(key.to_tip_key(None)?.public_key().clone()),
    ///     None => account.pin = Some(Pin::new("314159")?),
    /// }
    /// let sandbox = Sandbox::start(&Config::default())?;
    /// sandbox.add_account(&account)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`KeystoreError::RemoteSigner`] for a keystore without a private key, else as [`Keystore::into_session`].
    ///
    /// # Security
    /// `rng` blinds the private operation of an RSA key.
    pub fn from_keystore(
        keystore: Keystore,
        full_name: impl Into<String>,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, KeystoreError> {
        let public_key = keystore.public_key().ok_or(KeystoreError::RemoteSigner)?;
        let pin_token = keystore.pin_token();
        let session = keystore.into_session(rng)?;
        let pin_key = PinKey::from_bytes(session.pin_key().expose())
            .map_err(|cause| KeystoreError::Field { field: "pin_token", cause })?;
        let (user_id, session_id) = (session.user_id(), session.session_id());
        Ok(Self { pin_token, ..Self::new(user_id, session_id, full_name, public_key, pin_key) })
    }
}
