//! Prepares calls: method, path, headers, body, and a token that covers exactly these.
//!
//! The session's key signs them, here or elsewhere. A transport sends them. [`crate::answer`] reads the answers.

mod body;
mod log_query;
mod session;

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::tip::{TipAction, TipInstallation, TipSigner};
use mixin_pin_core::token::{Algorithm, Claims, Signer};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{EncodedPin, Nonce, NonceSource, Pin, PinKey, Secret, Session, UnixTime};
use serde_json::{Map, Value, json};

use crate::CallError;
use crate::action::{Action, EncryptedSalt, check_spelling};
use crate::request::Draft;

use body::PinFields;

pub use body::encode_pin;
pub(crate) use body::has_pin_field;
pub use log_query::LogQuery;
pub use session::MeRequest;
pub(crate) use session::{app, register_app, replace_app_session, sessions};

pub use crate::request::{PreparedRequest, UnsignedRequest, check_request, random_uuid};

/// How long a token is valid by default: one minute.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);

/// The counter of a user's first TIP key.
const FIRST_TIP_COUNTER: u64 = 1;

/// Prepares calls of one session at one time. The session's key then signs each.
///
/// Calls that carry a PIN need a nonce source: see [`Calls::nonces`]. Each method draws the nonces it needs, after it
/// has checked its arguments and made its TIP signatures. The lifetime is checked last.
///
/// ```
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_protocol::core::{MonotonicNonces, Pin, UnixTime};
/// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
///
/// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
/// let mut rng = UnwrapErr(SysRng);
/// let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?; // the text of keystore.json
/// let nonces = MonotonicNonces::new(); // or a lease of `mixin-pin-store`, which remembers
/// let now = UnixTime::from_secs(1_700_000_000);
///
/// let request = Calls::new(&session, now, &mut rng).nonces(&nonces).verify_pin(&Pin::new("314159")?)?;
/// let request = request.sign(session.signer(), &mut rng)?;
/// assert_eq!((request.method(), request.path()), ("POST", "/pin/verify"));
/// assert!(request.body().starts_with(br#"{"pin_base64":""#));
///
/// let body = br#"{"full_name":"Alice"}"#;
/// let request = Calls::new(&session, now, &mut rng).other("POST", "/me", Some(body))?;
/// let request = request.sign(session.signer(), &mut rng)?;
/// assert_eq!(request.body(), body); // the token covers exactly these bytes
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
pub struct Calls<'c, N: ?Sized = NoNonces> {
    user_id: Uuid,
    session_id: Uuid,
    pin_key: &'c PinKey,
    algorithm: Algorithm,
    now: UnixTime,
    rng: &'c mut dyn CryptoRng,
    lifetime: Duration,
    request_id: Option<Uuid>,
    salts: Option<Salts>,
    nonces: &'c N,
}

/// The salts that a wallet sends when it changes the key of a user who is registered with the safe (android-app: `Tip.kt`;
/// ios-app: `TIP.swift`). Bots send none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salts {
    /// The salt, encrypted under the old PIN or key: `old_salt_base64`.
    pub old: EncryptedSalt,
    /// The same salt, encrypted under the new one: `salt_base64`.
    pub new: EncryptedSalt,
}

/// Stands in [`Calls`] for an absent nonce source. Calls that carry a PIN are then not available.
#[derive(Debug)]
pub struct NoNonces(());

impl<N: ?Sized> fmt::Debug for Calls<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls")
            .field("user_id", &self.user_id)
            .field("session_id", &self.session_id)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

impl<'c> Calls<'c> {
    /// Calls of this session at the time `now`, with tokens of [`DEFAULT_LIFETIME`] and without a nonce source.
    ///
    /// # Security
    /// `rng` gives the request ids and the IVs of encrypted PINs.
    pub fn new<S: Signer>(session: &'c Session<S>, now: UnixTime, rng: &'c mut dyn CryptoRng) -> Self {
        Self::for_algorithm(session, session.signer().algorithm(), now, rng)
    }

    /// Like [`Calls::new`], for a session whose key signs elsewhere with this algorithm.
    pub fn for_algorithm<S>(
        session: &'c Session<S>,
        algorithm: Algorithm,
        now: UnixTime,
        rng: &'c mut dyn CryptoRng,
    ) -> Self {
        Self {
            user_id: session.user_id(),
            session_id: session.session_id(),
            pin_key: session.pin_key(),
            algorithm,
            now,
            rng,
            lifetime: DEFAULT_LIFETIME,
            request_id: None,
            salts: None,
            nonces: &NoNonces(()),
        }
    }
}

impl<'c, N: ?Sized> Calls<'c, N> {
    /// Sets how long tokens are valid, in whole seconds.
    #[must_use]
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// Sets the id of the next request. Later ones get random ids.
    ///
    /// Pass a new [`random_uuid`], which is known before the call is prepared.
    #[must_use]
    pub fn request_id(self, request_id: Uuid) -> Self {
        Self { request_id: Some(request_id), ..self }
    }

    /// Sets the salts of the next `POST /pin/update`. Later ones get none.
    #[must_use]
    pub fn salts(self, salts: Salts) -> Self {
        Self { salts: Some(salts), ..self }
    }

    /// Sets the source of nonces, for calls that carry a PIN.
    #[must_use]
    pub fn nonces<M: NonceSource + ?Sized>(self, nonces: &'c M) -> Calls<'c, M> {
        let Self { user_id, session_id, pin_key, algorithm, now, rng, lifetime, request_id, salts, nonces: _ } = self;
        Calls { user_id, session_id, pin_key, algorithm, now, rng, lifetime, request_id, salts, nonces }
    }

    /// `GET /me`.
    ///
    /// # Errors
    /// [`CallError::Core`] when the token would expire out of range.
    pub fn me(&mut self) -> Result<UnsignedRequest, CallError> {
        self.unsigned(Draft::get("/me"))
    }

    /// `GET /logs`.
    ///
    /// # Errors
    /// [`CallError::LogLimit`] for a limit outside 1 to 100, [`CallError::Core`] when the token would expire out of range.
    pub fn logs(&mut self, query: &LogQuery) -> Result<UnsignedRequest, CallError> {
        self.unsigned(Draft::get(query.path()?))
    }

    /// `POST /users`: registers a user and its session under this app's session. `session_secret` is the public key of
    /// the new session, as [`VerifyingKey::to_session_secret`] writes it.
    ///
    /// [`VerifyingKey::to_session_secret`]: mixin_pin_core::token::VerifyingKey::to_session_secret
    ///
    /// # Errors
    /// [`CallError::Core`] when the token would expire out of range.
    pub fn register(&mut self, session_secret: &str, full_name: &str) -> Result<UnsignedRequest, CallError> {
        let body = json!({ "session_secret": session_secret, "full_name": full_name });
        self.unsigned(Draft::post("/users", body.to_string()))
    }

    /// Any other call: signs the method, the path with its query, and a JSON body if there is one.
    ///
    /// The token for Mixin's message stream is that of a `GET` of `/`. It goes into the header `Authorization` of the web
    /// socket's handshake, with the subprotocol `Mixin-Blaze-1` (MixinNetwork/bot-api-go-client: `blaze.go`).
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::{call::Calls, core::UnixTime, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// let unsigned = Calls::new(&session, UnixTime::from_secs(1_700_000_000), &mut rng).other("GET", "/", None)?;
    /// let request = unsigned.sign(session.signer(), &mut rng)?;
    /// println!("wss://blaze.mixin.one/, Authorization: {}", request.authorization().unwrap_or_default());
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`CallError::Method`], [`CallError::Path`], [`CallError::BodyNotJson`] or [`CallError::BodyOfRead`] for a request
    /// that cannot be sent, [`CallError::Core`] when the token would expire out of range.
    pub fn other(&mut self, method: &str, path: &str, body: Option<&[u8]>) -> Result<UnsignedRequest, CallError> {
        self.unsigned(Draft::new(method, path)?.with_json(body)?)
    }

    fn unsigned(&mut self, draft: Draft) -> Result<UnsignedRequest, CallError> {
        let request_id = self.request_id.take().unwrap_or_else(|| random_uuid(self.rng));
        let (user_id, session_id) = (self.user_id, self.session_id);
        let claims = Claims::new(user_id, session_id, request_id, draft.hash(), self.now, self.lifetime)?;
        Ok(draft.claimed(request_id, &claims, self.algorithm))
    }
}

/// Calls that carry a PIN.
///
/// Every method returns [`CallError::Nonce`] when the nonce source fails, and [`CallError::Core`] when the token would
/// expire out of range.
///
/// TIP signatures are made before a nonce is drawn. So if a [`TipSigner`] cannot sign at once, it can keep the message and
/// fail, and the same call at the same time repeats the message when the signature is there.
impl<N> Calls<'_, N>
where
    N: NonceSource<Error: Into<Box<dyn StdError + Send + Sync>>> + ?Sized,
{
    /// `POST /pin/update` for a user without a PIN: sets digits.
    ///
    /// # Errors
    /// [`CallError::Nonce`] or [`CallError::Core`].
    pub fn create_pin(&mut self, pin: &Pin) -> Result<UnsignedRequest, CallError> {
        self.update(None, pin.into())
    }

    /// `POST /pin/update` from an old PIN to a new one. Draws two nonces, the old PIN's first.
    ///
    /// # Errors
    /// [`CallError::Nonce`], [`CallError::NonceOrder`] or [`CallError::Core`].
    pub fn change_pin(&mut self, old: &Pin, new: &Pin) -> Result<UnsignedRequest, CallError> {
        self.update(Some(old.into()), new.into())
    }

    /// `POST /pin/update` for a user without a PIN: installs a TIP key with the counter 1.
    ///
    /// # Errors
    /// [`CallError::Nonce`] or [`CallError::Core`].
    pub fn create_tip(&mut self, key: &dyn TipSigner) -> Result<UnsignedRequest, CallError> {
        self.update(None, installation(key, FIRST_TIP_COUNTER))
    }

    /// `POST /pin/update` from digits to a TIP key with the counter 1. This cannot be undone. Draws two nonces.
    ///
    /// # Errors
    /// [`CallError::Nonce`], [`CallError::NonceOrder`] or [`CallError::Core`].
    pub fn change_to_tip(&mut self, old: &Pin, key: &dyn TipSigner) -> Result<UnsignedRequest, CallError> {
        self.update(Some(old.into()), installation(key, FIRST_TIP_COUNTER))
    }

    /// `POST /pin/update` from one TIP key to another. Draws two nonces.
    ///
    /// The old key signs the "verify" action with its own counter in place of the timestamp. `old_counter` is the
    /// `tip_counter` of `GET /me`. The new key is installed with the next counter.
    ///
    /// # Errors
    /// [`CallError::TipCounter`] when the counter has no successor, [`CallError::Signer`] when the old key fails, else as
    /// [`Calls::change_pin`].
    pub fn change_tip(
        &mut self,
        old: &dyn TipSigner,
        old_counter: u64,
        new: &dyn TipSigner,
    ) -> Result<UnsignedRequest, CallError> {
        let counter = old_counter.checked_add(1).ok_or(CallError::TipCounter)?;
        let old = signed(old, &TipAction::Verify { timestamp: old_counter })?;
        self.update(Some(old), installation(new, counter))
    }

    /// `POST /pin/verify` with digits.
    ///
    /// # Errors
    /// [`CallError::Nonce`] or [`CallError::Core`].
    pub fn verify_pin(&mut self, pin: &Pin) -> Result<UnsignedRequest, CallError> {
        self.with_pin("POST", "/pin/verify", &Map::new(), pin)
    }

    /// `POST /pin/verify` with a TIP key. The key signs the time of these calls.
    ///
    /// # Errors
    /// [`CallError::Core`] when the time does not fit 64 bits of nanoseconds or the token would expire out of range,
    /// [`CallError::Signer`], [`CallError::Nonce`].
    pub fn verify_tip(&mut self, key: &dyn TipSigner) -> Result<UnsignedRequest, CallError> {
        let timestamp = self.now.as_nanos()?;
        let mut body = Map::new();
        body.insert("timestamp".to_owned(), timestamp.into());
        self.with_pin("POST", "/pin/verify", &body, signed(key, &TipAction::Verify { timestamp })?)
    }

    /// `POST /safe/users`: registers the user with the safe. The installed TIP key approves it, and `safe_key` signs the
    /// user's id. Both keys may be the same.
    ///
    /// # Errors
    /// [`CallError::Signer`], [`CallError::Nonce`] or [`CallError::Core`].
    pub fn register_safe(
        &mut self,
        tip_key: &dyn TipSigner,
        safe_key: &dyn TipSigner,
    ) -> Result<UnsignedRequest, CallError> {
        let action = Action::register_safe(self.user_id, safe_key)?;
        self.act(tip_key, &action)
    }

    /// Makes the request of an action, which a TIP key signs.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::{MonotonicNonces, UnixTime, tip::TipKey, uuid::Uuid};
    /// use mixin_pin_protocol::{action::Action, call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let nonces = MonotonicNonces::new();
    /// let mut calls = Calls::new(&session, UnixTime::from_secs(1_700_000_000), &mut rng).nonces(&nonces);
    /// let action = Action::Transfer {
    ///     asset_id: Uuid::from_u128(1),
    ///     opponent_id: Uuid::from_u128(2),
    ///     amount: "1.50".parse()?,
    ///     trace_id: Uuid::from_u128(3),
    ///     memo: String::new(),
    /// };
    /// let request = calls.act(&TipKey::from_seed(&[7; 32]), &action)?;
    /// assert_eq!((request.method(), request.path()), ("POST", "/transfers"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`CallError::Action`] when the request cannot express the action, [`CallError::Signer`] when the key fails,
    /// [`CallError::Nonce`] or [`CallError::Core`].
    pub fn act(&mut self, key: &dyn TipSigner, action: &Action) -> Result<UnsignedRequest, CallError> {
        let (path, tip) = (action.path(self.user_id), action.tip(self.user_id));
        self.with_tip(Action::METHOD, &path, &action.body(), key, &tip)
    }

    /// Makes the request of an action, which a PIN of digits permits.
    ///
    /// # Errors
    /// [`CallError::Action`] when the request cannot express the action, [`CallError::Nonce`] or [`CallError::Core`].
    pub fn act_with_pin(&mut self, pin: &Pin, action: &Action) -> Result<UnsignedRequest, CallError> {
        let (path, body) = (action.path(self.user_id), action.body());
        Action::read(Action::METHOD, &path, &body)?;
        self.with_pin(Action::METHOD, &path, &body, pin)
    }

    /// Any other call that carries a PIN: puts the encrypted PIN into the body's `pin` or `pin_base64`.
    ///
    /// `secret` is a [`Pin`], or a TIP signature ([`Secret::TipSignature`]). This method does not check whether the
    /// signed action fits the request; [`Calls::with_tip`] does.
    ///
    /// # Errors
    /// [`CallError::PinField`] when the body already has such a field, [`CallError::Nonce`], else as [`Calls::other`].
    pub fn with_pin(
        &mut self,
        method: &str,
        path: &str,
        body: &Map<String, Value>,
        secret: impl Into<Secret>,
    ) -> Result<UnsignedRequest, CallError> {
        self.encrypted(draft_of_pin(method, path, body)?, body, secret)
    }

    fn encrypted(
        &mut self,
        draft: Draft,
        body: &Map<String, Value>,
        secret: impl Into<Secret>,
    ) -> Result<UnsignedRequest, CallError> {
        let nonce = self.next_nonce()?;
        let pin = self.pin_key.encrypt(secret, nonce, self.rng);
        let fields = PinFields::at(draft.path(), self.algorithm, pin.kind());
        let mut body = body.clone();
        body.insert(fields.pin().to_owned(), fields.encode(&pin).as_str().into());
        self.unsigned(draft.with_body(Value::Object(body).to_string().into_bytes())?)
    }

    /// Any other call that carries a TIP signature: signs the action and puts the encrypted signature into the body's
    /// `pin_base64`.
    ///
    /// This is for paths that [`Calls::act`] does not know. If [`Action::read`] knows the path, the action must be the one
    /// that path and body ask for.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::tip::{TipAction, TipKey};
    /// use mixin_pin_protocol::core::{MonotonicNonces, UnixTime, uuid::Uuid};
    /// use mixin_pin_protocol::{ActionError, CallError, call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let nonces = MonotonicNonces::new();
    /// let mut calls = Calls::new(&session, UnixTime::from_secs(1_700_000_000), &mut rng).nonces(&nonces);
    /// let (key, address_id) = (TipKey::from_seed(&[7; 32]), Uuid::from_u128(1));
    /// let action = TipAction::RemoveAddress { address_id };
    ///
    /// let path = format!("/addresses/{address_id}/delete");
    /// let request = calls.with_tip("POST", &path, &Default::default(), &key, &action)?;
    /// assert_eq!(request.path(), path);
    ///
    /// let path = format!("/addresses/{}/delete", Uuid::from_u128(2));
    /// let refused = calls.with_tip("POST", &path, &Default::default(), &key, &action);
    /// assert!(matches!(refused, Err(CallError::Action(ActionError::Mismatch { field: Some("address_id"), .. }))));
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`CallError::Action`] when the action does not fit the request, when the request has an id or an amount in another
    /// form than the signed one, or when the path may be another spelling of a known one; [`CallError::Signer`] when the key fails; else as [`Calls::with_pin`].
    pub fn with_tip(
        &mut self,
        method: &str,
        path: &str,
        body: &Map<String, Value>,
        key: &dyn TipSigner,
        action: &TipAction<'_>,
    ) -> Result<UnsignedRequest, CallError> {
        check_spelling(method, path)?;
        if let Some(asked) = Action::read(method, path, body)? {
            asked.check(self.user_id, action)?;
            asked.check_form(path, body, self.user_id)?;
        }
        let draft = draft_of_pin(method, path, body)?;
        self.encrypted(draft, body, signed(key, action)?)
    }

    fn update(&mut self, old: Option<Secret>, new: Secret) -> Result<UnsignedRequest, CallError> {
        // The old PIN first: Mixin reads it first, so its iterator must be the lower one.
        let old = old.map(|secret| Ok::<_, CallError>((secret, self.next_nonce()?))).transpose()?;
        let nonce = self.next_nonce()?;
        if old.as_ref().is_some_and(|(_, old_nonce)| old_nonce.iterator() >= nonce.iterator()) {
            return Err(CallError::NonceOrder);
        }
        // The new PIN decides the fields of both: TIP keys never change back to digits.
        let fields = PinFields::of(self.algorithm, new.kind());
        let mut encrypt =
            |(secret, nonce): (Secret, Nonce)| fields.encode(&self.pin_key.encrypt(secret, nonce, self.rng));
        let old = old.map(&mut encrypt);
        let new = encrypt((new, nonce));
        let old = old.as_ref().map_or("", EncodedPin::as_str);
        let mut body = json!({ (fields.old_pin()): old, (fields.pin()): new.as_str() });
        if let Some(Salts { old, new }) = self.salts.take() {
            body["old_salt_base64"] = old.as_str().into();
            body["salt_base64"] = new.as_str().into();
        }
        self.unsigned(Draft::post("/pin/update", body.to_string()))
    }

    fn next_nonce(&self) -> Result<Nonce, CallError> {
        self.nonces.next(self.now).map_err(|error| CallError::Nonce(error.into()))
    }
}

/// Method and path of a call that carries a PIN, checked before a key signs and a nonce is drawn.
fn draft_of_pin(method: &str, path: &str, body: &Map<String, Value>) -> Result<Draft, CallError> {
    if has_pin_field(body) {
        return Err(CallError::PinField);
    }
    let draft = Draft::new(method, path)?;
    if draft.is_read() { Err(CallError::BodyOfRead) } else { Ok(draft) }
}

fn signed(key: &dyn TipSigner, action: &TipAction<'_>) -> Result<Secret, CallError> {
    Ok(Secret::TipSignature(key.sign(action.body().as_bytes())?))
}

fn installation(key: &dyn TipSigner, counter: u64) -> Secret {
    TipInstallation { public_key: key.public_key().clone(), counter }.into()
}
