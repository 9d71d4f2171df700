//! Calls that replace a session's key, and calls about apps and sessions. Only the upgrade carries a PIN.
//!
//! All of it is known from clients only. No source says what the server does with the old session.

use std::time::Duration;

use base16ct::lower::encode_string;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::tip::{TipSigner, safe_message};
use mixin_pin_core::token::{Algorithm, Claims};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, Pin, RsaPublicKey, UnixTime};
use serde_json::json;

use super::{Calls, PreparedRequest, UnsignedRequest, random_uuid};
use crate::CallError;
use crate::request::Draft;

impl<N: ?Sized> Calls<'_, N> {
    /// `POST /legacy/users`: replaces the RSA key of this session by an Ed25519 key. The answer is a
    /// [`NewSession`](crate::answer::NewSession).
    ///
    /// The request has no token. The PIN permits it, encrypted with the iterator 0 and the time of these calls
    /// (MixinNetwork/bot-api-go-client: `legacy_user.go`). `old_key` is the session's own public key. Each call encrypts the
    /// PIN anew.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::{Ed25519Key, Pin, UnixTime, token::VerifyingKey};
    /// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../../testdata/keystore-rsa-bot.json");
    /// let mut rng = UnwrapErr(SysRng);
    /// let keystore = Keystore::parse(KEYSTORE.as_bytes())?; // the text of keystore.json
    /// let Some(VerifyingKey::Rsa(old_key)) = keystore.public_key() else { panic!("it has an Ed25519 key already") };
    /// let session = keystore.into_session(&mut rng)?;
    /// let new_key = Ed25519Key::generate(&mut rng); // save it first: it may be the only key that works afterwards
    /// let (now, pin) = (UnixTime::from_secs(1_700_000_000), Pin::new("314159")?);
    /// let request = Calls::new(&session, now, &mut rng).upgrade_session(&old_key, &pin, &new_key.public_key())?;
    /// assert_eq!((request.path(), request.authorization()), ("/legacy/users", None));
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`CallError::NotRsa`] if this session signs with an Ed25519 key, [`CallError::Core`] if `old_key` cannot be encoded.
    ///
    /// # Security
    /// Save the new private key before you send it, and send it once.
    pub fn upgrade_session(
        &mut self,
        old_key: &RsaPublicKey,
        pin: &Pin,
        new_key: &Ed25519PublicKey,
    ) -> Result<PreparedRequest, CallError> {
        if self.algorithm != Algorithm::Rs512 {
            return Err(CallError::NotRsa);
        }
        let old_key = old_key.to_base64_url()?;
        let pin = self.pin_key.encrypt_for_upgrade(pin, self.now, self.rng);
        let body = json!({
            "pin": pin.to_url_safe().as_str(),
            "session_id": self.session_id,
            "session_secret": new_key.to_base64_url(),
            "session_secret_legacy": old_key,
        });
        let request_id = self.request_id.take().unwrap_or_else(|| random_uuid(self.rng));
        Ok(Draft::post("/legacy/users", body.to_string()).tokenless(request_id))
    }

    /// `POST /session/secret`: replaces this session's key. The answer is a [`NewSession`](crate::answer::NewSession) with
    /// the server's key only.
    ///
    /// The session's present key signs the request. The apps replaced RSA keys with it, and kept the session id (android-app:
    /// `LoadingFragment.kt`; ios-app, until 2024: `EdDSAMigration+Migrate.swift`). No client replaces an Ed25519 key so.
    ///
    /// # Errors
    /// [`CallError::Core`] when the token would expire out of range.
    pub fn replace_session_key(&mut self, new_key: &Ed25519PublicKey) -> Result<UnsignedRequest, CallError> {
        let body = json!({ "session_secret": STANDARD.encode(new_key.as_bytes()) });
        self.unsigned(Draft::post("/session/secret", body.to_string()))
    }

    /// `POST /safe/apps/:id/session`: gives an app of this user a new session with this key. The answer is a
    /// [`NewSession`](crate::answer::NewSession) with a new session id (MixinNetwork/bot-api-nodejs-client:
    /// `src/client/app.ts`). Mixin's dashboard makes this call for the app's owner.
    ///
    /// # Errors
    /// [`CallError::Core`] when the token would expire out of range.
    pub fn replace_app_session(
        &mut self,
        app_id: Uuid,
        new_key: &Ed25519PublicKey,
    ) -> Result<UnsignedRequest, CallError> {
        self.unsigned(replace_app_session(app_id, new_key))
    }

    /// `POST /safe/apps/:id/register`: registers an app of this user with the safe. Mixin's dashboard does it once for each
    /// app. `spend_key` signs the app's id. The answer is an [`AppRegistration`](crate::answer::AppRegistration).
    ///
    /// The key becomes the app's TIP key, too, as a comment in Mixin's own client says
    /// (MixinNetwork/bot-api-nodejs-client: `src/client/app.ts`).
    ///
    /// # Errors
    /// [`CallError::Signer`] if the key fails, [`CallError::Core`] when the token would expire out of range.
    pub fn register_app(&mut self, app_id: Uuid, spend_key: &dyn TipSigner) -> Result<UnsignedRequest, CallError> {
        let draft = register_app(app_id, spend_key)?;
        self.unsigned(draft)
    }

    /// `GET /apps/:id`: the [`App`](crate::answer::App).
    ///
    /// # Errors
    /// [`CallError::Core`] when the token would expire out of range.
    pub fn app(&mut self, app_id: Uuid) -> Result<UnsignedRequest, CallError> {
        self.unsigned(app(app_id))
    }

    /// `POST /sessions/fetch`: the sessions of these users, a list of [`UserSession`](crate::answer::UserSession). It only
    /// reads.
    ///
    /// # Errors
    /// [`CallError::Core`] when the token would expire out of range.
    pub fn sessions(&mut self, user_ids: &[Uuid]) -> Result<UnsignedRequest, CallError> {
        self.unsigned(sessions(user_ids))
    }
}

pub(crate) fn replace_app_session(app_id: Uuid, new_key: &Ed25519PublicKey) -> Draft {
    let body = json!({ "session_public_key": encode_string(new_key.as_bytes()) });
    Draft::post(format!("/safe/apps/{app_id}/session"), body.to_string())
}

pub(crate) fn register_app(app_id: Uuid, spend_key: &dyn TipSigner) -> Result<Draft, CallError> {
    // The client calls this hash SHA-256, but Mixin's function of that name is SHA3-256 (MixinNetwork/mixin:
    // `crypto/hash.go`).
    let signature = spend_key.sign(&safe_message(app_id))?;
    let body = json!({
        "spend_public_key": encode_string(spend_key.public_key().as_bytes()),
        "signature_base64": URL_SAFE_NO_PAD.encode(signature),
    });
    Ok(Draft::post(format!("/safe/apps/{app_id}/register"), body.to_string()))
}

pub(crate) fn app(app_id: Uuid) -> Draft {
    Draft::get(format!("/apps/{app_id}"))
}

pub(crate) fn sessions(user_ids: &[Uuid]) -> Draft {
    Draft::post("/sessions/fetch", json!(user_ids).to_string())
}

/// `GET /me` in the name of a session of which only ids and key are known, not the PIN key.
///
/// If the server accepts it, the key is the session's. So it settles what became of a lost change of the key.
///
/// ```
/// use std::time::Duration;
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_protocol::call::MeRequest;
/// use mixin_pin_protocol::core::token::Signer;
/// use mixin_pin_protocol::core::{Ed25519Key, UnixTime, uuid::Uuid};
///
/// let mut rng = UnwrapErr(SysRng);
/// let key = Ed25519Key::generate(&mut rng);
/// let me = MeRequest { user_id: Uuid::from_u128(1), session_id: Uuid::from_u128(2), algorithm: key.algorithm() };
/// let unsigned = me.prepare(UnixTime::from_secs(1_700_000_000), Duration::from_secs(60), &mut rng)?;
/// assert_eq!(unsigned.sign(&key, &mut rng)?.path(), "/me");
/// # Ok::<(), mixin_pin_protocol::CallError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MeRequest {
    /// The user.
    pub user_id: Uuid,
    /// The session.
    pub session_id: Uuid,
    /// The algorithm of the key that will sign.
    pub algorithm: Algorithm,
}

impl MeRequest {
    /// Prepares the request at the time `now`, with a token of this lifetime in whole seconds.
    ///
    /// # Errors
    /// [`CallError::Core`] when the token would expire out of range.
    pub fn prepare(
        &self,
        now: UnixTime,
        lifetime: Duration,
        rng: &mut dyn CryptoRng,
    ) -> Result<UnsignedRequest, CallError> {
        let Self { user_id, session_id, algorithm } = *self;
        let (draft, request_id) = (Draft::get("/me"), random_uuid(rng));
        let claims = Claims::new(user_id, session_id, request_id, draft.hash(), now, lifetime)?;
        Ok(draft.claimed(request_id, &claims, algorithm))
    }
}
