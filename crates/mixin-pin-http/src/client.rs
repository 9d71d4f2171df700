//! The client: a session, its store, and its calls.

use std::fmt;
use std::sync::Arc;

use mixin_pin_core::tip::{TipAction, TipSigner};
use mixin_pin_core::token::{Algorithm, Signer, VerifyingKey};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Pin, Secret, Session, UnixTime};
use mixin_pin_machine::{Call, Ended, Error, Outcome, Probe, Rules, SettingsError};
use mixin_pin_protocol::action::Action;
use mixin_pin_protocol::answer::{LogEntry, User};
use mixin_pin_protocol::call::{LogQuery, Salts};
use mixin_pin_store::{Lease, MemoryStore, NonceStore, PendingCall};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::builder::ClientBuilder;
use crate::driver::{Outside, Tips, drive};
use crate::lane::Lane;
use crate::resolve::Credential;
use crate::signer::{self, BoxSigner};
use crate::transport::Transport;

/// A blocking client for one session.
///
/// Share it behind an `Arc`: it keeps its connections open. The PIN calls of one session take turns, within a process and,
/// if clients share a store, between processes and machines.
///
/// ```no_run
/// use mixin_pin_http::core::{Pin, SystemRng};
/// use mixin_pin_http::protocol::keystore::Keystore;
/// use mixin_pin_http::{Client, Outcome};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let session = Keystore::parse(&std::fs::read("keystore.json")?)?.into_session(&mut SystemRng::new()?)?;
/// let client = Client::new(session)?;
/// if !client.me()?.has_pin {
///     match client.create_pin(&Pin::new("314159")?)? {
///         Outcome::Done(user) => println!("{} has a PIN", user.full_name),
///         Outcome::Unknown(lost) => println!("no answer: {}", lost.next),
///     }
/// }
/// # Ok(()) }
/// ```
pub struct Client {
    pub(crate) rules: Rules,
    pub(crate) signer: BoxSigner,
    pub(crate) store: Box<dyn NonceStore>,
    pub(crate) transport: Transport,
    pub(crate) lane: Arc<Lane>,
}

impl Client {
    /// A client for Mixin's API, with iterators in memory. Use it only if no other process uses the session.
    ///
    /// # Errors
    /// A proxy in the environment that cannot be used.
    pub fn new(session: Session) -> Result<Self, SettingsError> {
        Self::builder(session).build()
    }

    /// A client with other settings. With the feature `accel` a faster library signs with the session's key.
    pub fn builder(session: Session) -> ClientBuilder {
        Self::builder_with_signer(session.map_signer(signer::fastest))
    }

    /// A client with a signer of your own, such as a key in hardware.
    pub fn builder_with_signer<S: Signer + Send + Sync + 'static>(session: Session<S>) -> ClientBuilder {
        ClientBuilder::new(session.map_signer(|signer| Box::new(signer) as BoxSigner))
    }

    /// The session of this client. In place of its signer it has the algorithm.
    pub const fn session(&self) -> &Session<Algorithm> {
        self.rules.session()
    }

    /// Sets the PIN of a user that has none: `POST /pin/update`.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::Pin;
    /// use mixin_pin_http::protocol::{AnswerError, Error as ProtocolError};
    /// use mixin_pin_http::{Client, Error, Outcome};
    ///
    /// # fn create(client: &Client) -> Result<(), Error> {
    /// match client.create_pin(&Pin::new("314159")?) {
    ///     Ok(Outcome::Done(user)) => println!("{} has a PIN", user.full_name),
    ///     Ok(Outcome::Unknown(lost)) => println!("it may be set: {}", lost.next), // see `resolve_update`
    ///     Err(Error::Protocol(ProtocolError::Answer(AnswerError::Refusal(refusal)))) => println!("nothing changed: {}", refusal.advice()),
    ///     Err(error) => return Err(error), // nothing was sent
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Protocol`] if Mixin refuses, another error if the call was not sent.
    pub fn create_pin(&self, pin: &Pin) -> Result<Outcome<User>, Error> {
        self.change(self.rules.create_pin(pin), Tips::default())
    }

    /// Changes the PIN: `POST /pin/update`.
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn change_pin(&self, old: &Pin, new: &Pin) -> Result<Outcome<User>, Error> {
        self.change(self.rules.change_pin(old, new), Tips::default())
    }

    /// Creates the PIN, or changes it if there is an old one.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::Pin;
    /// use mixin_pin_http::{Client, Error};
    ///
    /// # fn update(client: &Client) -> Result<(), Error> {
    /// let (old, new) = (Pin::new("314159")?, Pin::new("271828")?);
    /// let old = client.me()?.has_pin.then_some(&old);
    /// let user = client.update_pin(old, &new)?.done(); // None: use `resolve_update`
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn update_pin(&self, old: Option<&Pin>, new: &Pin) -> Result<Outcome<User>, Error> {
        match old {
            None => self.create_pin(new),
            Some(old) => self.change_pin(old, new),
        }
    }

    /// Verifies the PIN: `POST /pin/verify`. A wrong PIN costs one of the day's tries.
    ///
    /// Mixin may answer without data. Then `user_id` and `has_pin` are all that is known of the user.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::Pin;
    /// use mixin_pin_http::protocol::answer::{ErrorCode, Reason};
    /// use mixin_pin_http::{Client, Error};
    ///
    /// /// None if unknown. Verify again: that changes nothing, but a wrong PIN costs a try each time.
    /// fn is_right(client: &Client, pin: &Pin) -> Result<Option<bool>, Error> {
    ///     match client.verify_pin(pin) {
    ///         Ok(outcome) => Ok(outcome.done().map(|_| true)),
    ///         Err(Error::Protocol(error)) if error.reason() == Some(Reason::Pin) => Ok(Some(false)),
    ///         // A refusal without a reason may be about the iterator.
    ///         Err(Error::Protocol(error)) if error.api_error().is_some_and(|e| e.code == ErrorCode::PinIncorrect) => Ok(None),
    ///         Err(error) => Err(error),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn verify_pin(&self, pin: &Pin) -> Result<Outcome<User>, Error> {
        self.change(self.rules.verify_pin(pin), Tips::default())
    }

    /// Installs a user's first TIP key: `POST /pin/update`. It replaces the six-digit PIN if there is one. There is no way back
    /// to digits.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::{Pin, tip::TipKey};
    /// use mixin_pin_http::{Client, Error};
    ///
    /// # fn install(client: &Client, digits: &Pin, seed: &[u8; 32]) -> Result<(), Error> {
    /// let key = TipKey::from_seed(seed); // save it first: from now on it is the only credential
    /// if client.install_tip(Some(digits), &key)?.done().is_some() {
    ///     let user = client.verify_tip(&key)?.done(); // None: verify again
    /// } else {
    ///     println!("it may be installed"); // see `resolve_update`
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn install_tip(&self, old: Option<&Pin>, key: &dyn TipSigner) -> Result<Outcome<User>, Error> {
        self.change(self.rules.install_tip(old, key.public_key()), Tips::default())
    }

    /// Replaces the TIP key: `POST /pin/update`. `old_counter` is the `tip_counter` of [`Client::me`].
    ///
    /// ```no_run
    /// use mixin_pin_http::core::tip::TipKey;
    /// use mixin_pin_http::{Client, Error};
    ///
    /// # fn change(client: &Client, old: &TipKey, new: &TipKey) -> Result<(), Error> {
    /// let counter = client.me()?.tip_counter;
    /// let user = client.change_tip(old, counter, new)?.done(); // None: use `resolve_update`
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn change_tip(
        &self,
        old: &dyn TipSigner,
        old_counter: u64,
        new: &dyn TipSigner,
    ) -> Result<Outcome<User>, Error> {
        self.change(self.rules.change_tip(old.public_key(), old_counter, new.public_key()), Tips::of(old))
    }

    /// Like [`Client::change_tip`], for a user of the safe whose wallet has salts.
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn change_tip_with_salts(
        &self,
        old: &dyn TipSigner,
        old_counter: u64,
        new: &dyn TipSigner,
        salts: &Salts,
    ) -> Result<Outcome<User>, Error> {
        let call = self.rules.change_tip_with_salts(old.public_key(), old_counter, new.public_key(), salts);
        self.change(call, Tips::of(old))
    }

    /// Verifies the TIP key: `POST /pin/verify`.
    ///
    /// Without data in the answer, as in `verify_pin`, the user has neither key nor counter.
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn verify_tip(&self, key: &dyn TipSigner) -> Result<Outcome<User>, Error> {
        self.change(self.rules.verify_tip(key.public_key()), Tips::of(key))
    }

    /// Carries out an action, and returns the `data` of the answer. A six-digit PIN or a TIP key permits it.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::{tip::TipKey, uuid::Uuid};
    /// use mixin_pin_http::protocol::action::Action;
    /// use mixin_pin_http::{Client, Error, Outcome};
    /// use serde_json::Value;
    ///
    /// # fn remove(client: &Client, key: &TipKey, address_id: Uuid) -> Result<(), Error> {
    /// let action = Action::RemoveAddress { address_id };
    /// match client.act::<Value>(key, &action)? {
    ///     Outcome::Done(_) => println!("removed"),
    ///     Outcome::Unknown(lost) => println!("check whether it is still there: {}", lost.cause),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn act<'k, T: DeserializeOwned>(
        &self,
        credential: impl Into<Credential<'k>>,
        action: &Action,
    ) -> Result<Outcome<T>, Error> {
        match credential.into() {
            Credential::Digits(pin) => self.change(self.rules.act_with_pin(pin, action), Tips::default()),
            Credential::Tip(key) => self.change(self.rules.act(key.public_key(), action), Tips::of(key)),
        }
    }

    /// Makes any other call with a PIN, and returns its `data`. The PIN is a [`Pin`], or the result of
    /// [`TipKey::secret`](mixin_pin_core::tip::TipKey::secret) for an action.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::Pin;
    /// use mixin_pin_http::{Client, Error, Outcome};
    /// use serde_json::{Map, Value};
    ///
    /// # fn remove(client: &Client, pin: &Pin, address_id: &str) -> Result<(), Error> {
    /// let path = format!("/addresses/{address_id}/delete");
    /// match client.call_with_pin::<Value>("POST", &path, &Map::new(), pin)? {
    ///     Outcome::Done(_) => println!("removed"),
    ///     Outcome::Unknown(lost) => println!("check whether it is still there: {}", lost.cause),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn call_with_pin<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &Map<String, Value>,
        pin: impl Into<Secret>,
    ) -> Result<Outcome<T>, Error> {
        self.change(self.rules.with_pin(method, path, body, pin.into()), Tips::default())
    }

    /// Makes any other call with a TIP signature of its action, and returns its `data`. If path and body ask for another
    /// action, the call is refused before anything is sent.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::tip::{TipAction, TipKey};
    /// use mixin_pin_http::core::uuid::Uuid;
    /// use mixin_pin_http::{Client, Outcome};
    ///
    /// # fn remove(client: &Client, key: &TipKey, address_id: Uuid) -> Result<(), mixin_pin_http::Error> {
    /// let path = format!("/addresses/{address_id}/delete");
    /// let action = TipAction::RemoveAddress { address_id };
    /// match client.call_with_tip::<serde_json::Value>("POST", &path, &Default::default(), key, &action)? {
    ///     Outcome::Done(_) => println!("removed"),
    ///     Outcome::Unknown(lost) => println!("check whether it is still there: {}", lost.cause),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn call_with_tip<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: &Map<String, Value>,
        key: &dyn TipSigner,
        action: &TipAction<'_>,
    ) -> Result<Outcome<T>, Error> {
        self.change(self.rules.with_tip(method, path, body, key.public_key(), action), Tips::of(key))
    }

    /// Registers the user with Mixin Safe under `safe_key`: `POST /safe/users`. The installed TIP key approves.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::tip::TipKey;
    /// use mixin_pin_http::{Client, Error};
    ///
    /// # fn register(client: &Client, tip_key: &TipKey) -> Result<(), Error> {
    /// // One key may serve for both.
    /// let user = client.register_safe(tip_key, tip_key)?.done(); // None: check whether it is registered
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn register_safe(&self, tip_key: &dyn TipSigner, safe_key: &dyn TipSigner) -> Result<Outcome<User>, Error> {
        let call = self.rules.register_safe(tip_key.public_key(), safe_key.public_key());
        self.change(call, Tips { pin: Some(tip_key), safe: Some(safe_key) })
    }

    /// Reads the user: `GET /me`.
    ///
    /// # Errors
    /// [`Error::Protocol`] if Mixin refuses or its answer is not valid, another error if there is no answer.
    pub fn me(&self) -> Result<User, Error> {
        self.read(self.rules.me())
    }

    /// Reads the user (`GET /me`) and compares the clocks: a check before any PIN is sent.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use mixin_pin_http::{Client, Error, Probe};
    ///
    /// # fn probe(client: &Client) -> Result<(), Error> {
    /// let probe: Probe = client.probe()?;
    /// if let Some(clock) = probe.clock.filter(|clock| clock.distance() > Duration::from_secs(60)) {
    ///     println!("set the clock right: it is {clock}");
    /// }
    /// match probe.user {
    ///     Ok(user) => println!("this is {}", user.full_name),
    ///     Err(refusal) => println!("{refusal}"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// If there is no answer. A refusal is in [`Probe::user`].
    pub fn probe(&self) -> Result<Probe, Error> {
        Probe::new(self.make(self.rules.probe(), Tips::default())?)
    }

    /// Reads the log, for example of wrong PINs: `GET /logs`.
    ///
    /// ```no_run
    /// use mixin_pin_http::protocol::call::LogQuery;
    /// use mixin_pin_http::{Client, Error};
    ///
    /// # fn logs(client: &Client) -> Result<(), Error> {
    /// for entry in client.pin_logs(&LogQuery::wrong_pins())? {
    ///     println!("{} {} from {}", entry.created_at, entry.code, entry.ip_address);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::me`].
    pub fn pin_logs(&self, query: &LogQuery) -> Result<Vec<LogEntry>, Error> {
        self.read(self.rules.logs(query))
    }

    /// Registers a user of this app with a new session: `POST /users`.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::token::VerifyingKey;
    /// use mixin_pin_http::core::{Ed25519Key, SystemRng};
    /// use mixin_pin_http::{Client, Error};
    ///
    /// # fn register(app: &Client) -> Result<(), Error> {
    /// let key = Ed25519Key::generate(&mut SystemRng::new()?); // save it before the call
    /// let user = app.register(&VerifyingKey::Ed25519(key.public_key()), "Alice")?.done();
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn register(&self, session_key: &VerifyingKey, full_name: &str) -> Result<Outcome<User>, Error> {
        self.change(self.rules.register(session_key.to_session_secret()?, full_name), Tips::default())
    }

    /// Makes any other call, with an optional JSON body, and returns its `data`.
    ///
    /// A call that is not a `GET` takes turns with the session's PIN calls, because its body may contain a PIN.
    ///
    /// ```no_run
    /// use mixin_pin_http::{Client, Error};
    /// use serde_json::{Value, json};
    ///
    /// # fn call(client: &Client) -> Result<(), Error> {
    /// let assets = client.call::<Value>("GET", "/safe/assets/fetch", None)?.done().unwrap_or_default();
    /// let body = json!({ "full_name": "Alice" });
    /// let user = client.call::<Value>("POST", "/me", Some(&body))?.done(); // None: check whether it was changed
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::create_pin`]. A `GET` changes nothing, so all its failures are errors.
    pub fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Outcome<T>, Error> {
        self.change(self.rules.other(method, path, body.map(|body| body.to_string().into_bytes())), Tips::default())
    }

    /// The calls of this session whose outcome is unknown, or that are under way, from the journal in its store.
    ///
    /// After a crash it tells what was under way. [`Client::resolve_update`] settles a PIN change.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn pending(&self) -> Result<Vec<PendingCall>, Error> {
        self.store.pending(self.session().session_id()).map_err(Error::Store)
    }

    /// Removes a call from the journal, after you have found out what became of it. Returns whether it was there.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn settle(&self, request_id: Uuid) -> Result<bool, Error> {
        self.store.settle(self.session().session_id(), request_id).map_err(Error::Store)
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, call: Call<'_, T, Box<dyn Lease>>) -> Result<T, Error> {
        self.read_with_time(call).map(|(answer, _)| answer)
    }

    /// Like `read`. Also returns the server's time if the answer names it.
    pub(crate) fn read_with_time<T: DeserializeOwned>(
        &self,
        call: Call<'_, T, Box<dyn Lease>>,
    ) -> Result<(T, Option<UnixTime>), Error> {
        let ended = self.make(call, Tips::default())?;
        Ok((ended.result?.read()?, ended.server_time))
    }

    pub(crate) fn change<T: DeserializeOwned>(
        &self,
        call: Call<'_, T, Box<dyn Lease>>,
        tips: Tips<'_>,
    ) -> Result<Outcome<T>, Error> {
        self.make(call, tips)?.result
    }

    fn make<T: DeserializeOwned>(
        &self,
        call: Call<'_, T, Box<dyn Lease>>,
        tips: Tips<'_>,
    ) -> Result<Ended<T, Box<dyn Lease>>, Error> {
        let outside = Outside { signer: Some(&*self.signer), tips, store: Some(&*self.store), lane: Some(&self.lane) };
        drive(call, &self.transport, &outside)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl ClientBuilder {
    /// Builds the client. Sends nothing.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn build(self) -> Result<Client, SettingsError> {
        let transport = self.connect()?;
        let Self { session, store, limits, observer, .. } = self;
        let algorithm = session.signer().algorithm();
        let (session, signer) = session.replace_signer(algorithm);
        let store = store.unwrap_or_else(|| Box::new(MemoryStore::shared()));
        let lane = Lane::of(session.session_id());
        Ok(Client { rules: Rules::new(session, limits, observer), signer, store, transport, lane })
    }
}
