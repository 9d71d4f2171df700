//! OAuth: an app that acts for a user within granted scopes. Exchanges a code and prepares signed calls.
//!
//! The user approves an authorization with the PIN, in the user's own session (`POST /oauth/authorize`). The app's calls
//! then carry no PIN.

use std::fmt;
use std::time::Duration;

use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::tip::TipSigner;
use mixin_pin_core::token::{Algorithm, Signer};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{CodeVerifier, Ed25519Key, Ed25519PublicKey, Error, OAuthSession, UnixTime};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::CallError;
use crate::call::{self, DEFAULT_LIFETIME, PreparedRequest, UnsignedRequest, random_uuid};
use crate::keystore::write_oauth;
use crate::object::read_from_objects_only;
use crate::request::Draft;

/// The exchange of a code for an authorization: the parameters of `POST /oauth/token`.
///
/// # Security
/// `Debug` shows the app's id only.
#[derive(Clone, Copy)]
pub struct CodeExchange<'a> {
    /// The app.
    pub app_id: Uuid,
    /// The code from the user's approval.
    pub code: &'a str,
    /// The verifier of the challenge that the authorization was requested with.
    pub verifier: &'a CodeVerifier,
    /// The app's secret; optional.
    pub client_secret: Option<&'a str>,
    /// The public key of the app's new key pair for this authorization.
    pub public_key: &'a Ed25519PublicKey,
}

impl CodeExchange<'_> {
    /// `POST /oauth/token`. It has no token; the code and its verifier authenticate it.
    ///
    /// A code can be exchanged once. If the answer is lost, the user must approve again.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::{CodeVerifier, Ed25519Key, uuid::Uuid};
    /// use mixin_pin_protocol::oauth::CodeExchange;
    ///
    /// let mut rng = UnwrapErr(SysRng);
    /// let verifier = CodeVerifier::generate(&mut rng); // its challenge was part of the authorization request
    /// let key = Ed25519Key::generate(&mut rng);
    /// let (app_id, public_key) = (Uuid::from_u128(1), key.public_key());
    /// let exchange =
    ///     CodeExchange { app_id, code: "5f9e", verifier: &verifier, client_secret: None, public_key: &public_key };
    /// let request = exchange.prepare(&mut rng);
    /// assert_eq!((request.path(), request.authorization()), ("/oauth/token", None));
    /// ```
    pub fn prepare(&self, rng: &mut dyn CryptoRng) -> PreparedRequest {
        #[derive(Serialize)]
        struct Body<'b> {
            client_id: Uuid,
            code: &'b str,
            code_verifier: &'b str,
            #[serde(skip_serializing_if = "Option::is_none")]
            client_secret: Option<&'b str>,
            ed25519: &'b str,
        }
        let body = Body {
            client_id: self.app_id,
            code: self.code,
            code_verifier: &self.verifier.to_text(),
            client_secret: self.client_secret,
            ed25519: &self.public_key.to_base64_url(),
        };
        // Large enough never to grow, because growing would leave copies of the secrets in memory.
        let mut json = Vec::with_capacity(512 + 6 * (self.code.len() + self.client_secret.map_or(0, str::len)));
        // Cannot fail: the keys are strings, and a `Vec` accepts every write.
        let _ = serde_json::to_writer(&mut json, &body);
        Draft::post("/oauth/token", json).tokenless(random_uuid(rng))
    }
}

impl fmt::Debug for CodeExchange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeExchange").field("app_id", &self.app_id).finish_non_exhaustive()
    }
}

/// The answer to a [`CodeExchange`]: the granted scopes, and the key that the server signs its answers with.
///
/// ```
/// use mixin_pin_protocol::core::{Ed25519Key, uuid::Uuid};
/// use mixin_pin_protocol::{Error, keystore::Keystore, oauth::Grant};
///
/// let key = Ed25519Key::from_bytes(&[7; 32])?; // its public key was sent
/// let grant = Grant {
///     scope: "PROFILE:READ".to_owned(),
///     authorization_id: Uuid::from_u128(2),
///     ed25519: "PSv4vrjb0xjGij2iTFdw9-Gnyn8aGh9xJjCv4GIhsjs".to_owned(),
/// };
/// let keystore = grant.to_keystore(Uuid::from_u128(1), &key)?; // save it: the code is spent
/// assert_eq!(Keystore::parse(keystore.as_bytes())?.into_oauth_session()?.scope(), "PROFILE:READ");
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self")]
pub struct Grant {
    /// The scopes, separated by blanks. The user may have granted fewer than requested.
    pub scope: String,
    /// The authorization's id.
    pub authorization_id: Uuid,
    /// The server's Ed25519 public key, in base64url.
    pub ed25519: String,
}

read_from_objects_only!(Grant);

impl Grant {
    /// Makes the session of this grant, with the private key of the public key that was sent.
    ///
    /// # Errors
    /// [`Error::PublicKey`] or [`Error::Scope`] when the server's key or the scope is invalid.
    pub fn into_session(self, app_id: Uuid, key: Ed25519Key) -> Result<OAuthSession, Error> {
        let server_key = self.server_key()?;
        OAuthSession::new(app_id, self.authorization_id, &self.scope, key, server_key)
    }

    /// Writes the grant as an OAuth keystore.
    ///
    /// # Errors
    /// [`Error::PublicKey`] when the server's key is invalid.
    pub fn to_keystore(&self, app_id: Uuid, key: &Ed25519Key) -> Result<Zeroizing<String>, Error> {
        Ok(write_oauth(app_id, self.authorization_id, &self.scope, key, &self.server_key()?))
    }

    fn server_key(&self) -> Result<Ed25519PublicKey, Error> {
        Ed25519PublicKey::from_text(&self.ed25519)
    }
}

/// Prepares calls of one OAuth session at one time. None of them carries a PIN.
///
/// ```
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_protocol::core::UnixTime;
/// use mixin_pin_protocol::{CallError, keystore::Keystore, oauth::OAuthCalls};
///
/// # const KEYSTORE: &str = include_str!("../testdata/keystore-oauth.json");
/// let session = Keystore::parse(KEYSTORE.as_bytes())?.into_oauth_session()?;
/// let mut rng = UnwrapErr(SysRng);
/// let mut calls = OAuthCalls::new(&session, UnixTime::from_secs(1_700_000_000), &mut rng);
/// assert_eq!(calls.me()?.path(), "/me");
///
/// let refused = calls.other("POST", "/transfers", Some(br#"{"pin":"AAAA"}"#));
/// assert!(matches!(refused, Err(CallError::OAuthPin)));
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
pub struct OAuthCalls<'c, S = Ed25519Key> {
    session: &'c OAuthSession<S>,
    algorithm: Algorithm,
    now: UnixTime,
    rng: &'c mut dyn CryptoRng,
    lifetime: Duration,
    request_id: Option<Uuid>,
}

impl<S> fmt::Debug for OAuthCalls<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthCalls").field("session", &self.session).field("now", &self.now).finish_non_exhaustive()
    }
}

impl<'c, S: Signer> OAuthCalls<'c, S> {
    /// Calls of this session at the time `now`, with tokens of [`DEFAULT_LIFETIME`].
    ///
    /// # Security
    /// `rng` gives the request ids.
    pub fn new(session: &'c OAuthSession<S>, now: UnixTime, rng: &'c mut dyn CryptoRng) -> Self {
        Self::for_algorithm(session, session.signer().algorithm(), now, rng)
    }
}

impl<'c, S> OAuthCalls<'c, S> {
    /// Like [`OAuthCalls::new`], for a session whose key signs elsewhere with this algorithm.
    pub fn for_algorithm(
        session: &'c OAuthSession<S>,
        algorithm: Algorithm,
        now: UnixTime,
        rng: &'c mut dyn CryptoRng,
    ) -> Self {
        Self { session, algorithm, now, rng, lifetime: DEFAULT_LIFETIME, request_id: None }
    }

    /// Sets how long tokens are valid, in whole seconds.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// Sets the id of the next request. Later ones get random ids.
    #[must_use]
    pub fn request_id(self, request_id: Uuid) -> Self {
        Self { request_id: Some(request_id), ..self }
    }

    /// `GET /me`: the user who granted the authorization, as far as the scope allows.
    ///
    /// # Errors
    /// [`CallError::Core`] when the token would expire out of range.
    pub fn me(&mut self) -> Result<UnsignedRequest, CallError> {
        self.unsigned(Draft::get("/me"))
    }

    /// Any other call: signs the method, the path with its query, and a JSON body if there is one.
    ///
    /// # Errors
    /// [`CallError::OAuthPin`] when the body has a PIN field, else as [`Calls::other`](crate::call::Calls::other).
    pub fn other(&mut self, method: &str, path: &str, body: Option<&[u8]>) -> Result<UnsignedRequest, CallError> {
        let draft = Draft::new(method, path)?.with_json(body)?;
        if draft.has_pin() {
            return Err(CallError::OAuthPin);
        }
        self.unsigned(draft)
    }

    /// `POST /safe/apps/:id/session`: see [`Calls::replace_app_session`]. Mixin's dashboard makes it so, with the scopes
    /// `APPS:READ` and `APPS:WRITE` (MixinNetwork/developers.mixin.one: `developers/src/api/hooks.js`).
    ///
    /// [`Calls::replace_app_session`]: crate::call::Calls::replace_app_session
    ///
    /// # Errors
    /// [`CallError::Core`] when the token would expire out of range.
    pub fn replace_app_session(
        &mut self,
        app_id: Uuid,
        new_key: &Ed25519PublicKey,
    ) -> Result<UnsignedRequest, CallError> {
        self.unsigned(call::replace_app_session(app_id, new_key))
    }

    /// `POST /safe/apps/:id/register`: see [`Calls::register_app`](crate::call::Calls::register_app).
    ///
    /// # Errors
    /// [`CallError::Signer`] if the key fails, [`CallError::Core`] when the token would expire out of range.
    pub fn register_app(&mut self, app_id: Uuid, spend_key: &dyn TipSigner) -> Result<UnsignedRequest, CallError> {
        let draft = call::register_app(app_id, spend_key)?;
        self.unsigned(draft)
    }

    /// `GET /apps/:id`: the [`App`](crate::answer::App).
    ///
    /// # Errors
    /// [`CallError::Core`] when the token would expire out of range.
    pub fn app(&mut self, app_id: Uuid) -> Result<UnsignedRequest, CallError> {
        self.unsigned(call::app(app_id))
    }

    /// `POST /sessions/fetch`: see [`Calls::sessions`](crate::call::Calls::sessions).
    ///
    /// # Errors
    /// [`CallError::Core`] when the token would expire out of range.
    pub fn sessions(&mut self, user_ids: &[Uuid]) -> Result<UnsignedRequest, CallError> {
        self.unsigned(call::sessions(user_ids))
    }

    fn unsigned(&mut self, draft: Draft) -> Result<UnsignedRequest, CallError> {
        let request_id = self.request_id.take().unwrap_or_else(|| random_uuid(self.rng));
        let claims = self.session.claims(draft.hash(), request_id, self.now, self.lifetime)?;
        Ok(draft.claimed(request_id, &claims, self.algorithm))
    }
}
