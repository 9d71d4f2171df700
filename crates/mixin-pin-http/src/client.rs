//! The client: a session, its store, and its calls.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mixin_pin_core::tip::{TipAction, TipKey};
use mixin_pin_core::token::{Signer, VerifyingKey};
use mixin_pin_core::{Pin, Secret, Session, SystemRng, UnixTime};
use mixin_pin_protocol::answer::{ErrorCode, LogEntry, User};
use mixin_pin_protocol::call::{Calls, LogQuery, PreparedRequest, UnsignedRequest};
use mixin_pin_protocol::{AnswerError, CallError, Error as ProtocolError};
use mixin_pin_store::{Lease, LeaseReply, LeaseTerms, MemoryStore, NonceStore};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::builder::{ClientBuilder, Settings, now};
use crate::probe::{ClockOffset, Probe};
use crate::queue::Queue;
use crate::retry::{Attempts, Deadline};
use crate::signer::{self, BoxSigner};
use crate::transport::{Received, Transport};
use crate::{Error, NextStep, Outcome, SettingsError};

/// The accepted distance between the clock and the server's.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);
/// Further attempts for a call that only reads, and for a PIN call without a connection.
const READ_RETRIES: u32 = 3;
const CONNECT_RETRIES: u32 = 2;
/// Further leases for a call, if this process stalls until its lease ends.
const LEASE_RETRIES: u32 = 3;

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
    pub(crate) session: Session<BoxSigner>,
    store: Box<dyn NonceStore>,
    transport: Transport,
    settings: Settings,
    queue: Arc<Queue>,
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

    /// The session of this client.
    pub const fn session(&self) -> &Session<BoxSigner> {
        &self.session
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
        self.pin_call(NextStep::ResolveUpdate, |mut calls| calls.create_pin(pin))
    }

    /// Changes the PIN: `POST /pin/update`.
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn change_pin(&self, old: &Pin, new: &Pin) -> Result<Outcome<User>, Error> {
        self.pin_call(NextStep::ResolveUpdate, |mut calls| calls.change_pin(old, new))
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
        self.pin_call(NextStep::VerifyAgain, |mut calls| calls.verify_pin(pin))
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
    pub fn install_tip(&self, old: Option<&Pin>, key: &TipKey) -> Result<Outcome<User>, Error> {
        self.pin_call(NextStep::ResolveUpdate, |mut calls| match old {
            None => calls.create_tip(key),
            Some(old) => calls.change_to_tip(old, key),
        })
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
    pub fn change_tip(&self, old: &TipKey, old_counter: u64, new: &TipKey) -> Result<Outcome<User>, Error> {
        self.pin_call(NextStep::ResolveUpdate, |mut calls| calls.change_tip(old, old_counter, new))
    }

    /// Verifies the TIP key: `POST /pin/verify`.
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn verify_tip(&self, key: &TipKey) -> Result<Outcome<User>, Error> {
        self.pin_call(NextStep::VerifyAgain, |mut calls| calls.verify_tip(key))
    }

    /// Makes any other call with a PIN, and returns its `data`. The PIN is a [`Pin`], or the result of [`TipKey::secret`] for an
    /// action.
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
        let pin = pin.into();
        self.pin_call(NextStep::CheckFirst, |mut calls| calls.with_pin(method, path, body, &pin))
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
        key: &TipKey,
        action: &TipAction<'_>,
    ) -> Result<Outcome<T>, Error> {
        self.pin_call(NextStep::CheckFirst, |mut calls| calls.with_tip(method, path, body, key, action))
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
    pub fn register_safe(&self, tip_key: &TipKey, safe_key: &TipKey) -> Result<Outcome<User>, Error> {
        self.pin_call(NextStep::CheckFirst, |mut calls| calls.register_safe(tip_key, safe_key))
    }

    /// Reads the user: `GET /me`.
    ///
    /// # Errors
    /// [`Error::Protocol`] if Mixin refuses or its answer is not valid, another error if there is no answer.
    pub fn me(&self) -> Result<User, Error> {
        self.me_with_time().map(|(user, _)| user)
    }

    /// The user, and the server's time if the answer names it.
    pub(crate) fn me_with_time(&self) -> Result<(User, Option<UnixTime>), Error> {
        self.read_with_time(|mut calls| calls.me())
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
        let (asked_at, mut rng) = (now()?, SystemRng::new()?);
        let deadline = Deadline::new(self.settings.call);
        let request = self.calls(asked_at, &mut rng).me()?.sign(self.session.signer(), &mut rng)?;
        let received = self.transport.exchange(&request, &deadline)?;
        let answered_at = now()?;
        let user = received.answer().read(request.request_id()).map_err(Error::from);
        // Only Mixin's own answers count, refusals included.
        let is_mixins = user.as_ref().err().is_none_or(Error::is_refusal);
        let clock = match received.server_time.filter(|_| is_mixins) {
            Some(server) => Some(ClockOffset::new(server, asked_at, answered_at)?),
            None => None,
        };
        Ok(Probe { user, clock })
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
        self.read(|mut calls| calls.logs(query))
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
        let secret = session_key.to_session_secret()?;
        let (now, mut rng) = (now()?, SystemRng::new()?);
        let deadline = Deadline::new(self.settings.call);
        let request = self.calls(now, &mut rng).register(&secret, full_name)?.sign(self.session.signer(), &mut rng)?;
        Outcome::settle(&request, NextStep::CheckFirst, self.transport.send(&request, &deadline))
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
        let body = body.map(Value::to_string);
        let body = body.as_deref().map(str::as_bytes);
        if matches!(method, "GET" | "HEAD") {
            return self.read(|mut calls| calls.other(method, path, body)).map(Outcome::Done);
        }
        self.pin_call(NextStep::CheckFirst, |mut calls| calls.other(method, path, body))
    }

    /// Makes a call that changes nothing. It is repeated if the server or the connection fails.
    fn read<T, F>(&self, prepare: F) -> Result<T, Error>
    where
        T: DeserializeOwned,
        F: Fn(Calls<'_>) -> Result<UnsignedRequest, CallError>,
    {
        self.read_with_time(prepare).map(|(answer, _)| answer)
    }

    /// Like `read`. Also returns the server's time if the answer names it.
    fn read_with_time<T, F>(&self, prepare: F) -> Result<(T, Option<UnixTime>), Error>
    where
        T: DeserializeOwned,
        F: Fn(Calls<'_>) -> Result<UnsignedRequest, CallError>,
    {
        let mut rng = SystemRng::new()?;
        let mut attempts = Attempts::new(self.settings.call, READ_RETRIES);
        loop {
            let request = prepare(self.calls(now()?, &mut rng))?.sign(self.session.signer(), &mut rng)?;
            let received = self.transport.exchange(&request, attempts.deadline());
            let limits = received.as_ref().map(|received| (received.status == 429, received.retry_after));
            let (is_limited, retry_after) = limits.unwrap_or_default();
            let read = |received: Received| Ok((received.answer().read(request.request_id())?, received.server_time));
            match received.and_then(read) {
                Err(error) if (is_limited || is_transient(&error)) && attempts.wait(retry_after, &mut rng) => {}
                result => return result,
            }
        }
    }

    /// Leases the session from the first iterator to the answer, so iterators arrive in order. If no connection was made,
    /// nothing was sent. Then the PIN is encrypted again with new iterators, and the call is repeated.
    fn pin_call<T, F>(&self, next: NextStep, prepare: F) -> Result<Outcome<T>, Error>
    where
        T: DeserializeOwned,
        F: Fn(Calls<'_, &dyn Lease>) -> Result<UnsignedRequest, CallError>,
    {
        let mut rng = SystemRng::new()?;
        let mut retries = LEASE_RETRIES;
        loop {
            let outcome = self.with_lease(|lease| {
                let prepare = |rng: &mut SystemRng| match prepare(self.calls(now()?, rng).nonces(&lease)) {
                    Err(CallError::Nonce(_)) if lease.remaining() == Duration::ZERO => Err(Error::LeaseLost),
                    result => Ok(result?.sign(self.session.signer(), rng)?),
                };
                let mut attempts = Attempts::new(self.settings.call, CONNECT_RETRIES);
                loop {
                    let request = prepare(&mut rng)?;
                    // Checked after signing, which may take long.
                    if lease.remaining() < attempts.deadline().for_sending()? {
                        return Err(Error::LeaseLost);
                    }
                    match self.transport.send(&request, attempts.deadline()) {
                        Err(Error::Connect(_)) if attempts.wait(None, &mut rng) => {}
                        result => return Outcome::settle(&request, next, result),
                    }
                }
            });
            match outcome {
                // This process stalled before it sent anything.
                Err(Error::LeaseLost) if retries > 0 => retries -= 1,
                outcome => return outcome,
            }
        }
    }

    /// Runs `work` while the session is leased.
    fn with_lease<T>(&self, work: impl FnOnce(&dyn Lease) -> Result<T, Error>) -> Result<T, Error> {
        let begun = Instant::now();
        let busy = || Error::SessionBusy { waited: begun.elapsed() };
        let wait = self.settings.wait();
        let _turn = self.queue.turn(wait).ok_or_else(busy)?;
        let mut terms = LeaseTerms::new(self.settings.lease());
        loop {
            terms = terms.wait(wait.saturating_sub(begun.elapsed()));
            match self.store.lease(self.session.session_id(), &terms).map_err(Error::Store)? {
                LeaseReply::Granted(lease) => return work(&*lease),
                LeaseReply::Busy => return Err(busy()),
                LeaseReply::ClockUnconfirmed { .. } => {
                    self.confirm_clock()?;
                    terms = terms.with_confirmed_clock();
                }
            }
        }
    }

    /// Compares the clock with the server's. Only Mixin's own answer with the server's time confirms the clock.
    fn confirm_clock(&self) -> Result<(), Error> {
        let clock = self.probe().and_then(|probe| match probe.user {
            Err(error) if !error.is_refusal() => Err(error),
            _ => probe.clock.ok_or(Error::NoServerTime),
        });
        let offset = clock.map_err(|error| Error::ClockUnconfirmed(Box::new(error)))?;
        if offset.distance() > CLOCK_TOLERANCE { Err(Error::Clock { offset }) } else { Ok(()) }
    }

    pub(crate) fn exchange(&self, request: &PreparedRequest) -> Result<Received, Error> {
        let wait = self.settings.wait();
        let _turn = self.queue.turn(wait).ok_or(Error::SessionBusy { waited: wait })?;
        self.transport.exchange(request, &Deadline::new(self.settings.call))
    }

    pub(crate) const fn token_lifetime(&self) -> Duration {
        self.settings.token
    }

    fn calls<'c>(&'c self, now: UnixTime, rng: &'c mut SystemRng) -> Calls<'c> {
        Calls::new(&self.session, now, rng).lifetime(self.settings.token)
    }
}

impl ClientBuilder {
    /// The store of iterators and leases. The default is in memory, for a session that only one process uses.
    /// `mixin-pin-store` has stores for several processes or machines.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::Session;
    /// use mixin_pin_http::store::MemoryStore;
    /// use mixin_pin_http::{Client, Error};
    ///
    /// # fn client(session: Session) -> Result<(), Error> {
    /// let store = MemoryStore::new(); // or `SqliteStore::open_default()?`, for several processes
    /// let client = Client::builder(session).store(store).build()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn store(mut self, store: impl NonceStore + 'static) -> Self {
        self.store = Some(Box::new(store));
        self
    }

    /// Builds the client. Sends nothing.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn build(self) -> Result<Client, SettingsError> {
        let transport = self.transport()?;
        let Self { session, store, settings, .. } = self;
        let store = store.unwrap_or_else(|| Box::new(MemoryStore::shared()));
        Ok(Client { queue: Queue::of(session.session_id()), session, store, transport, settings })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Whether a call that only reads may succeed if it is repeated.
fn is_transient(error: &Error) -> bool {
    match error {
        Error::Connect(_) | Error::Interrupted(_) => true,
        Error::Protocol(ProtocolError::Answer(error)) => match error {
            AnswerError::Server { .. } => true,
            AnswerError::Refusal(error) => error.code == ErrorCode::TooManyRequests,
            AnswerError::Failure(error) => {
                matches!(error.code, ErrorCode::Server(_) | ErrorCode::TooManyRequests)
                    || (500..600).contains(&error.code.as_u32())
            }
            _ => false,
        },
        _ => false,
    }
}
