//! Calls made ready to send: method, path, headers, body and the token that signs exactly these.
//!
//! Sending them is a transport's business; reading what comes back, that of [`crate::answer`].

mod body;
mod log_query;

use std::fmt;
use std::time::Duration;

use base16ct::lower::encode_string;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::tip::{TipAction, TipKey};
use mixin_pin_core::token::Signer;
use mixin_pin_core::{EncodedPin, EncryptedPin, Nonce, Pin, Secret, SecretKind, Session, SessionKey, UnixTime};
use serde_json::{Map, Value};

use crate::Error;
use crate::action::{check_spelling, with_action};
use crate::request::Draft;

use body::{PinFields, body_with_pin, text_body};

pub(crate) use body::has_pin_field;
pub use log_query::LogQuery;

pub use crate::request::{PreparedRequest, check_request, random_uuid};

/// The counter of a user's first TIP key.
const FIRST_TIP_COUNTER: u64 = 1;

/// Prepares the calls of one session.
///
/// Each takes the time and randomness from its caller. The request id is drawn from the randomness too.
///
/// ```
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_protocol::core::UnixTime;
/// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
///
/// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
/// let mut rng = UnwrapErr(SysRng);
/// let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
/// let body = br#"{"amount":"1.5"}"#;
/// let now = UnixTime::from_secs(1_700_000_000);
/// let request = Calls::new(&session).other("POST", "/transfers", Some(body), now, &mut rng)?;
/// assert_eq!(request.body(), body); // exactly these bytes are signed
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
pub struct Calls<'s, S = SessionKey> {
    session: &'s Session<S>,
    lifetime: Duration,
}

impl<S> Clone for Calls<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Calls<'_, S> {}

impl<S: Signer> fmt::Debug for Calls<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").field("session", &self.session).field("lifetime", &self.lifetime).finish()
    }
}

impl<'s, S: Signer> Calls<'s, S> {
    /// How long a token is good unless told otherwise: a minute, as careful clients have it.
    pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);

    /// Calls of this session, with tokens of [`Self::DEFAULT_LIFETIME`].
    pub const fn new(session: &'s Session<S>) -> Self {
        Self { session, lifetime: Self::DEFAULT_LIFETIME }
    }

    /// The same with tokens that live this long, of which whole seconds count.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::UnixTime;
    /// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// use std::time::Duration;
    ///
    /// let calls = Calls::new(&session).lifetime(Duration::from_secs(10)); // of a clock that is right
    /// let request = calls.me(UnixTime::from_secs(1_700_000_000), &mut rng)?;
    /// assert_eq!(request.expires_at(), Some(UnixTime::from_secs(1_700_000_010)));
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    #[must_use]
    pub const fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// `POST /pin/update` for a user that has no PIN yet: digits.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::{MonotonicNonces, NonceSource, Pin, UnixTime};
    /// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let (now, nonces) = (UnixTime::from_secs(1_700_000_000), MonotonicNonces::new());
    /// let request = Calls::new(&session).create_pin(&Pin::new("314159")?, nonces.next(now)?, now, &mut rng)?;
    /// assert!(request.body().starts_with(br#"{"old_pin_base64":"","pin_base64":""#));
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Core`] when the token cannot be signed.
    pub fn create_pin<R: CryptoRng>(
        &self,
        pin: &Pin,
        nonce: Nonce,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        self.update(None, (pin.into(), nonce), now, rng)
    }

    /// `POST /pin/update` from an old PIN to a new one. The nonces are the old PIN's and the new PIN's, in this order.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::{MonotonicNonces, NonceSource, Pin, UnixTime};
    /// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let (now, nonces) = (UnixTime::from_secs(1_700_000_000), MonotonicNonces::new());
    /// let (old, new) = (Pin::new("314159")?, Pin::new("271828")?);
    /// let nonces = [nonces.next(now)?, nonces.next(now)?];
    /// let request = Calls::new(&session).change_pin(&old, &new, nonces, now, &mut rng)?;
    /// assert_eq!(request.path(), "/pin/update");
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NonceOrder`] when the first iterator is not the lower one, [`Error::Core`] when the token cannot be
    /// signed.
    pub fn change_pin<R: CryptoRng>(
        &self,
        old: &Pin,
        new: &Pin,
        [old_nonce, new_nonce]: [Nonce; 2],
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        self.update(Some((old.into(), old_nonce)), (new.into(), new_nonce), now, rng)
    }

    /// `POST /pin/update` for a user that has no PIN yet: installs a TIP key, with the counter 1.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::tip::TipKey;
    /// use mixin_pin_protocol::core::{MonotonicNonces, NonceSource, UnixTime};
    /// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let (now, nonces) = (UnixTime::from_secs(1_700_000_000), MonotonicNonces::new());
    /// let (key, seed) = TipKey::generate(&mut rng); // keep the seed: without it nobody signs for the user any more
    /// let request = Calls::new(&session).create_tip(&key, nonces.next(now)?, now, &mut rng)?;
    /// assert_eq!(request.path(), "/pin/update");
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Core`] when the token cannot be signed.
    pub fn create_tip<R: CryptoRng>(
        &self,
        key: &TipKey,
        nonce: Nonce,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        self.update(None, (key.installation(FIRST_TIP_COUNTER), nonce), now, rng)
    }

    /// `POST /pin/update` from digits to a TIP key, with the counter 1. There is no way back.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::tip::TipKey;
    /// use mixin_pin_protocol::core::{MonotonicNonces, NonceSource, Pin, UnixTime};
    /// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let (now, nonces) = (UnixTime::from_secs(1_700_000_000), MonotonicNonces::new());
    /// let (digits, key) = (Pin::new("314159")?, TipKey::from_seed(&[7; 32]));
    /// let nonces = [nonces.next(now)?, nonces.next(now)?];
    /// let request = Calls::new(&session).change_to_tip(&digits, &key, nonces, now, &mut rng)?;
    /// assert_eq!(request.path(), "/pin/update");
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Calls::change_pin`].
    pub fn change_to_tip<R: CryptoRng>(
        &self,
        old: &Pin,
        key: &TipKey,
        [old_nonce, new_nonce]: [Nonce; 2],
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        let new = (key.installation(FIRST_TIP_COUNTER), new_nonce);
        self.update(Some((old.into(), old_nonce)), new, now, rng)
    }

    /// `POST /pin/update` from one TIP key to another. The old key signs as for "verify", with its own counter (the
    /// `tip_counter` of `GET /me`) in the timestamp's place; the new one is installed with the counter after it.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::tip::TipKey;
    /// use mixin_pin_protocol::core::{MonotonicNonces, NonceSource, UnixTime};
    /// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let (now, nonces) = (UnixTime::from_secs(1_700_000_000), MonotonicNonces::new());
    /// let (old, new) = (TipKey::from_seed(&[7; 32]), TipKey::from_seed(&[8; 32]));
    /// let old_counter = 1; // `tip_counter` of `GET /me`
    /// let nonces = [nonces.next(now)?, nonces.next(now)?];
    /// let request = Calls::new(&session).change_tip(&old, old_counter, &new, nonces, now, &mut rng)?;
    /// assert_eq!(request.path(), "/pin/update");
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`Calls::change_pin`]; [`Error::TipCounter`] when the counter has no successor.
    pub fn change_tip<R: CryptoRng>(
        &self,
        old: &TipKey,
        old_counter: u64,
        new: &TipKey,
        [old_nonce, new_nonce]: [Nonce; 2],
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        let counter = old_counter.checked_add(1).ok_or(Error::TipCounter)?;
        let proof = old.secret(&TipAction::Verify { timestamp: old_counter });
        self.update(Some((proof, old_nonce)), (new.installation(counter), new_nonce), now, rng)
    }

    fn update<R: CryptoRng>(
        &self,
        old: Option<(Secret, Nonce)>,
        (new, new_nonce): (Secret, Nonce),
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        if old.as_ref().is_some_and(|(_, nonce)| nonce.iterator() >= new_nonce.iterator()) {
            return Err(Error::NonceOrder);
        }
        // One call has fields of one kind. The new PIN decides: there is no way back from TIP to digits.
        let fields = self.fields(new.kind());
        let mut encrypt = |(secret, nonce)| (fields.encode)(&self.session.pin_key().encrypt(secret, nonce, &mut *rng));
        // The old PIN first: its iterator is the lower one.
        let old = old.map(&mut encrypt);
        let new = encrypt((new, new_nonce));
        let old = old.as_ref().map_or("", EncodedPin::as_str);
        let body = text_body(format_args!(r#"{{"{}":"{old}","{}":"{new}"}}"#, fields.old_pin, fields.pin));
        self.sign(Draft::post("/pin/update", body), now, rng)
    }

    /// `POST /pin/verify`.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::{MonotonicNonces, NonceSource, Pin, UnixTime};
    /// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let (now, nonces) = (UnixTime::from_secs(1_700_000_000), MonotonicNonces::new());
    /// let request = Calls::new(&session).verify_pin(&Pin::new("314159")?, nonces.next(now)?, now, &mut rng)?;
    /// assert!(request.body().starts_with(br#"{"pin_base64":""#));
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Core`] when the token cannot be signed.
    pub fn verify_pin<R: CryptoRng>(
        &self,
        pin: &Pin,
        nonce: Nonce,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        let (field, pin) = self.encrypt(pin, nonce, rng);
        let body = text_body(format_args!(r#"{{"{field}":"{pin}"}}"#));
        self.sign(Draft::post("/pin/verify", body), now, rng)
    }

    /// `POST /pin/verify` with a TIP key, for the moment `now`.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::tip::TipKey;
    /// use mixin_pin_protocol::core::{MonotonicNonces, NonceSource, UnixTime};
    /// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let (now, nonces) = (UnixTime::from_secs(1_700_000_000), MonotonicNonces::new());
    /// let key = TipKey::from_seed(&[7; 32]);
    /// let request = Calls::new(&session).verify_tip(&key, nonces.next(now)?, now, &mut rng)?;
    /// assert!(request.body().ends_with(br#","timestamp":1700000000000000000}"#)); // which is what was signed
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Core`] when the token cannot be signed, or `now` does not fit 64 bits of nanoseconds.
    pub fn verify_tip<R: CryptoRng>(
        &self,
        key: &TipKey,
        nonce: Nonce,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        let timestamp = now.as_nanos()?;
        let (field, pin) = self.encrypt(key.secret(&TipAction::Verify { timestamp }), nonce, rng);
        let body = text_body(format_args!(r#"{{"{field}":"{pin}","timestamp":{timestamp}}}"#));
        self.sign(Draft::post("/pin/verify", body), now, rng)
    }

    /// Any other call that carries a PIN: puts it, encrypted, into the body's `pin` or `pin_base64`.
    ///
    /// `proof` is a PIN, or what [`TipKey::secret`] made of the action that the body describes. Whether they describe
    /// the same is the caller's to see to.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::{MonotonicNonces, NonceSource, Pin, UnixTime};
    /// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let (now, nonces) = (UnixTime::from_secs(1_700_000_000), MonotonicNonces::new());
    /// let body = serde_json::json!({ "asset_id": "965e5c6e-434c-3fa9-b780-c50f43cd955c", "label": "savings" });
    /// let (body, pin) = (body.as_object().unwrap(), Pin::new("314159")?);
    /// let nonce = nonces.next(now)?;
    /// let request = Calls::new(&session).with_pin("POST", "/addresses", body, &pin, nonce, now, &mut rng)?;
    /// assert!(request.body().windows(14).any(|part| part == br#""pin_base64":""#));
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::PinField`] when the body has such a field already, else as [`Calls::other`].
    // Each argument is one of a call's parts; a struct for them would only rename the list.
    #[allow(clippy::too_many_arguments)]
    pub fn with_pin<R: CryptoRng>(
        &self,
        method: &str,
        path: &str,
        body: &Map<String, Value>,
        proof: impl Into<Secret>,
        nonce: Nonce,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        if has_pin_field(body) {
            return Err(Error::PinField);
        }
        let draft = Draft::to(method, path)?;
        let (field, pin) = self.encrypt(proof, nonce, rng);
        self.sign(draft.with_body(body_with_pin(body, field, &pin)?)?, now, rng)
    }

    /// Any other call that carries a TIP signature: signs the action and puts the signature, encrypted, into the body's
    /// `pin_base64`.
    ///
    /// Where the path is one that [`with_action`] knows, the action must be the one that path and body ask for: a
    /// signature for another would be refused, and cost one of the day's tries.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::tip::{TipAction, TipKey};
    /// use mixin_pin_protocol::core::{MonotonicNonces, NonceSource, UnixTime, uuid::Uuid};
    /// use mixin_pin_protocol::{Error, call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let (now, nonces) = (UnixTime::from_secs(1_700_000_000), MonotonicNonces::new());
    /// let (key, address_id) = (TipKey::from_seed(&[7; 32]), Uuid::from_u128(1));
    /// let action = TipAction::RemoveAddress { address_id };
    /// let mut remove = |id: Uuid| {
    ///     let path = format!("/addresses/{id}/delete");
    ///     let nonce = nonces.next(now)?;
    ///     Calls::new(&session).with_tip("POST", &path, &Default::default(), (&key, &action), nonce, now, &mut rng)
    /// };
    /// assert!(remove(address_id)?.body().starts_with(br#"{"pin_base64":"#));
    /// assert_eq!(remove(Uuid::from_u128(2)).unwrap_err(), Error::ActionMismatch);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::ActionMismatch`] or [`Error::ActionField`] when action and body disagree, [`Error::ActionPath`] for a path
    /// that is another spelling of one that [`with_action`] knows, or may be one, else as [`Calls::with_pin`].
    #[allow(clippy::too_many_arguments)] // As for `with_pin`.
    pub fn with_tip<R: CryptoRng>(
        &self,
        method: &str,
        path: &str,
        body: &Map<String, Value>,
        (key, action): (&TipKey, &TipAction<'_>),
        nonce: Nonce,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        check_spelling(method, path)?;
        if with_action(method, path, body, self.session.user_id(), |asked| asked == action)? == Some(false) {
            return Err(Error::ActionMismatch);
        }
        self.with_pin(method, path, body, key.secret(action), nonce, now, rng)
    }

    /// `POST /safe/users`: registers the user with the safe under `safe_key`, which signs the user's id, approved by the
    /// installed TIP key. They may be one key.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::tip::TipKey;
    /// use mixin_pin_protocol::core::{MonotonicNonces, NonceSource, UnixTime};
    /// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let (now, nonces) = (UnixTime::from_secs(1_700_000_000), MonotonicNonces::new());
    /// let key = TipKey::from_seed(&[7; 32]);
    /// let request = Calls::new(&session).register_safe(&key, &key, nonces.next(now)?, now, &mut rng)?;
    /// assert_eq!(request.path(), "/safe/users");
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Core`] when the token cannot be signed.
    pub fn register_safe<R: CryptoRng>(
        &self,
        tip_key: &TipKey,
        safe_key: &TipKey,
        nonce: Nonce,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        let user_id = self.session.user_id();
        let public_key = safe_key.public_key();
        let mut body = Map::new();
        body.insert("public_key".to_owned(), encode_string(public_key.as_bytes()).into());
        body.insert("signature".to_owned(), URL_SAFE_NO_PAD.encode(safe_key.sign_for_safe(user_id)).into());
        let action = TipAction::RegisterSafe { user_id, public_key };
        self.with_tip("POST", "/safe/users", &body, (tip_key, &action), nonce, now, rng)
    }

    /// `GET /me`.
    ///
    /// # Errors
    /// [`Error::Core`] when the token cannot be signed.
    pub fn me<R: CryptoRng>(&self, now: UnixTime, rng: &mut R) -> Result<PreparedRequest, Error> {
        self.sign(Draft::get("/me"), now, rng)
    }

    /// `GET /logs`.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::UnixTime;
    /// use mixin_pin_protocol::{call::{Calls, LogQuery}, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let now = UnixTime::from_secs(1_700_000_000);
    /// let request = Calls::new(&session).logs(&LogQuery::wrong_pins(), now, &mut rng)?;
    /// assert_eq!(request.path(), "/logs?category=PIN_INCORRECT");
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::LogLimit`] for a limit outside 1 to 100, [`Error::Core`] when the token cannot be signed.
    pub fn logs<R: CryptoRng>(&self, query: &LogQuery, now: UnixTime, rng: &mut R) -> Result<PreparedRequest, Error> {
        self.sign(Draft::get(query.path()?), now, rng)
    }

    /// `POST /users`: registers a user and its session under this app's session. `session_secret` is the new
    /// session's public key as [`VerifyingKey::to_session_secret`] writes it.
    ///
    /// [`VerifyingKey::to_session_secret`]: mixin_pin_core::token::VerifyingKey::to_session_secret
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::{Ed25519Key, UnixTime};
    /// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let now = UnixTime::from_secs(1_700_000_000);
    /// let key = Ed25519Key::generate(&mut rng); // the new user's: keep it
    /// let secret = key.public_key().to_base64_url();
    /// let request = Calls::new(&session).register(&secret, "Alice", now, &mut rng)?;
    /// assert_eq!(request.path(), "/users");
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Core`] when the token cannot be signed.
    pub fn register<R: CryptoRng>(
        &self,
        session_secret: &str,
        full_name: &str,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        let body = serde_json::json!({ "session_secret": session_secret, "full_name": full_name }).to_string();
        self.sign(Draft::post("/users", body.into_bytes()), now, rng)
    }

    /// Any other call: signs the method, the path with its query, and a body of JSON, or none.
    ///
    /// # Errors
    /// [`Error::Method`], [`Error::Path`] or [`Error::BodyNotJson`] for what cannot be sent, [`Error::Core`] when the
    /// token cannot be signed.
    pub fn other<R: CryptoRng>(
        &self,
        method: &str,
        path: &str,
        body: Option<&[u8]>,
        now: UnixTime,
        rng: &mut R,
    ) -> Result<PreparedRequest, Error> {
        self.sign(Draft::to(method, path)?.with_json(body)?, now, rng)
    }

    fn sign<R: CryptoRng>(&self, draft: Draft, now: UnixTime, rng: &mut R) -> Result<PreparedRequest, Error> {
        let claims = |hash, request_id| self.session.claims(hash, request_id, now, self.lifetime);
        draft.sign(rng, claims, |claims, rng| self.session.sign(claims, rng))
    }

    /// An encrypted PIN in the base64 that this session's calls write it in: standard and padded for the digits of an
    /// RSA session, URL-safe and unpadded for everything else.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_protocol::core::{MonotonicNonces, NonceSource, Pin, UnixTime};
    /// use mixin_pin_protocol::{call::Calls, keystore::Keystore};
    ///
    /// # const KEYSTORE: &str = include_str!("../testdata/keystore-dashboard.json");
    /// # let mut rng = UnwrapErr(SysRng);
    /// # let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut rng)?;
    /// # let (now, nonces) = (UnixTime::from_secs(1_700_000_000), MonotonicNonces::new());
    /// let pin = session.pin_key().encrypt(Pin::new("314159")?, nonces.next(now)?, &mut rng);
    /// assert_eq!(Calls::new(&session).encode_pin(&pin), pin.to_url_safe()); // an Ed25519 session's
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    pub fn encode_pin(&self, pin: &EncryptedPin) -> EncodedPin {
        (self.fields(pin.kind()).encode)(pin)
    }

    /// Encrypts a proof, and tells the field that it goes into.
    fn encrypt<R: CryptoRng>(&self, proof: impl Into<Secret>, nonce: Nonce, rng: &mut R) -> (&'static str, EncodedPin) {
        let pin = self.session.pin_key().encrypt(proof, nonce, rng);
        (self.fields(pin.kind()).pin, self.encode_pin(&pin))
    }

    fn fields(&self, kind: SecretKind) -> &'static PinFields {
        PinFields::of(self.session.signer().algorithm(), kind)
    }
}
