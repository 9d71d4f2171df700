//! The client: one session, its iterators, and the calls that it makes.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mixin_pin_core::tip::{TipAction, TipKey};
use mixin_pin_core::token::{Signer, VerifyingKey};
use mixin_pin_core::{Pin, Secret, Session, SystemRng, UnixTime};
use mixin_pin_protocol::answer::{ErrorCode, LogEntry, User};
use mixin_pin_protocol::call::{Calls, LogQuery, PreparedRequest};
use mixin_pin_protocol::{AnswerError, CallError, Error as ProtocolError};
use mixin_pin_store::{Lease, LeaseReply, LeaseTerms, MemoryStore, NonceStore};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::builder::{ClientBuilder, Settings, UserSession, now};
use crate::lane::Lane;
use crate::probe::{ClockOffset, Probe};
use crate::retry::{Attempts, Deadline};
use crate::signer::{self, BoxSigner};
use crate::transport::{Received, Transport};
use crate::{Error, NextStep, Outcome};

/// How far the clock may be from the server's.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);
/// Further attempts at a call that only reads, and at a PIN call that was never connected.
const READ_RETRIES: u32 = 3;
const CONNECT_RETRIES: u32 = 2;

/// How often a session is held anew because this process stalled until its hold had ended.
const STALLS: u32 = 3;

/// A blocking client for one session.
///
/// Cheap to share behind an `Arc`. Its connections are kept alive. The PIN calls of one session wait for each other:
/// within a process whichever client makes them, and beyond it where the clients share a store.
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
    lane: Arc<Lane>,
}

impl Client {
    /// A client for Mixin's own API, with iterators kept in memory: right while this process alone uses the session.
    ///
    /// # Errors
    /// None with these settings; see [`ClientBuilder::build`].
    pub fn new(session: Session) -> Result<Self, Error> {
        Self::builder(session).build()
    }

    /// A client with other settings. With the feature `accel` a faster library signs with the session's key.
    pub fn builder(session: Session) -> ClientBuilder {
        Self::builder_with_signer(session.map_signer(signer::fastest))
    }

    /// A client whose requests this signer signs, such as a key in hardware.
    pub fn builder_with_signer<S: Signer + Send + Sync + 'static>(session: Session<S>) -> ClientBuilder {
        ClientBuilder::new(UserSession {
            session: session.map_signer(|signer| Box::new(signer) as BoxSigner),
            store: Box::new(MemoryStore::shared()),
        })
    }

    /// The session that this client speaks for.
    ///
    /// ```no_run
    /// use mixin_pin_http::Client;
    ///
    /// fn name(client: &Client) -> String {
    ///     format!("the bot {}", client.session().user_id())
    /// }
    /// ```
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
    /// [`Error::Protocol`] when Mixin refuses, another when the call was never sent.
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

    /// Creates the PIN, or changes it where there is an old one.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::Pin;
    /// use mixin_pin_http::{Client, Error};
    ///
    /// # fn update(client: &Client) -> Result<(), Error> {
    /// let (old, new) = (Pin::new("314159")?, Pin::new("271828")?);
    /// let old = client.me()?.has_pin.then_some(&old);
    /// let user = client.update_pin(old, &new)?.done(); // None: find out by `resolve_update`
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

    /// Proves the PIN: `POST /pin/verify`. A wrong one costs one of the day's tries.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::Pin;
    /// use mixin_pin_http::protocol::answer::{ErrorCode, Reason};
    /// use mixin_pin_http::{Client, Error};
    ///
    /// /// None where it is not known: prove once more, which changes nothing, though a wrong PIN costs a try each time.
    /// fn is_right(client: &Client, pin: &Pin) -> Result<Option<bool>, Error> {
    ///     match client.verify_pin(pin) {
    ///         Ok(outcome) => Ok(outcome.done().map(|_| true)),
    ///         Err(Error::Protocol(error)) if error.reason() == Some(Reason::Pin) => Ok(Some(false)),
    ///         // Without a reason it may be the iterator that was refused.
    ///         Err(Error::Protocol(error)) if error.api_error().is_some_and(|e| e.code == ErrorCode::PinIncorrect) => Ok(None),
    ///         Err(error) => Err(error),
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn verify_pin(&self, pin: &Pin) -> Result<Outcome<User>, Error> {
        self.pin_call(NextStep::ProveAgain, |mut calls| calls.verify_pin(pin))
    }

    /// Installs a user's first TIP key, in the place of the digits where there are any: `POST /pin/update`. There is no
    /// way back to digits.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::{Pin, tip::TipKey};
    /// use mixin_pin_http::{Client, Error};
    ///
    /// # fn install(client: &Client, digits: &Pin, seed: &[u8; 32]) -> Result<(), Error> {
    /// let key = TipKey::from_seed(seed); // kept somewhere already: from here on nothing else proves the user
    /// if client.install_tip(Some(digits), &key)?.done().is_some() {
    ///     let user = client.verify_tip(&key)?.done(); // None: prove once more
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

    /// Changes one TIP key for another: `POST /pin/update`. `old_counter` is the `tip_counter` of [`Client::me`].
    ///
    /// ```no_run
    /// use mixin_pin_http::core::tip::TipKey;
    /// use mixin_pin_http::{Client, Error};
    ///
    /// # fn change(client: &Client, old: &TipKey, new: &TipKey) -> Result<(), Error> {
    /// let counter = client.me()?.tip_counter;
    /// let user = client.change_tip(old, counter, new)?.done(); // None: find out by `resolve_update`
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn change_tip(&self, old: &TipKey, old_counter: u64, new: &TipKey) -> Result<Outcome<User>, Error> {
        self.pin_call(NextStep::ResolveUpdate, |mut calls| calls.change_tip(old, old_counter, new))
    }

    /// Proves the TIP key: `POST /pin/verify`.
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn verify_tip(&self, key: &TipKey) -> Result<Outcome<User>, Error> {
        self.pin_call(NextStep::ProveAgain, |mut calls| calls.verify_tip(key))
    }

    /// Makes any other call that carries a PIN, a [`Pin`] or what [`TipKey::secret`] made of an action, and returns its
    /// `data`.
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
    ///     Outcome::Unknown(lost) => println!("look whether it is still there: {}", lost.cause),
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
        proof: impl Into<Secret>,
    ) -> Result<Outcome<T>, Error> {
        let proof = proof.into();
        self.pin_call(NextStep::LookFirst, |mut calls| calls.with_pin(method, path, body, &proof))
    }

    /// Makes any other call that carries a TIP signature of the action that path and body ask for, and returns its
    /// `data`. An action that is another than they ask for is refused before anything is sent.
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
    ///     Outcome::Unknown(lost) => println!("look whether it is still there: {}", lost.cause),
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
        self.pin_call(NextStep::LookFirst, |mut calls| calls.with_tip(method, path, body, key, action))
    }

    /// Registers the user with the safe under `safe_key`, approved by the installed TIP key: `POST /safe/users`.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::tip::TipKey;
    /// use mixin_pin_http::{Client, Error};
    ///
    /// # fn register(client: &Client, tip_key: &TipKey) -> Result<(), Error> {
    /// // The PIN's key and the safe's may be one.
    /// let user = client.register_safe(tip_key, tip_key)?.done(); // None: look whether it is registered
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn register_safe(&self, tip_key: &TipKey, safe_key: &TipKey) -> Result<Outcome<User>, Error> {
        self.pin_call(NextStep::LookFirst, |mut calls| calls.register_safe(tip_key, safe_key))
    }

    /// Reads the user: `GET /me`.
    ///
    /// # Errors
    /// [`Error::Protocol`] when Mixin refuses or answers strangely, another when there was no answer.
    pub fn me(&self) -> Result<User, Error> {
        self.me_with_time().map(|(user, _)| user)
    }

    /// The user, and the server's time at the answer, where it names it.
    pub(crate) fn me_with_time(&self) -> Result<(User, Option<UnixTime>), Error> {
        self.read_with_time(|mut calls| calls.me())
    }

    /// Asks the server once who this is, `GET /me`, and compares clocks: for a check that all is well before any PIN is sent.
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
    /// Any error when there was no answer. A refusal is in [`Probe::user`].
    pub fn probe(&self) -> Result<Probe, Error> {
        let (asked_at, mut rng) = (now()?, SystemRng::new()?);
        let deadline = Deadline::new(self.settings.call);
        let request = self.calls(asked_at, &mut rng).me()?;
        let received = self.transport.exchange(&request, &deadline)?;
        let answered_at = now()?;
        let user = received.answer().read(request.request_id()).map_err(Error::from);
        // Only an answer of Mixin's, be it a refusal, tells its time.
        let is_mixins = user.as_ref().err().is_none_or(Error::is_refusal);
        let clock = match received.server_time.filter(|_| is_mixins) {
            Some(server) => Some(ClockOffset::new(server, asked_at, answered_at)?),
            None => None,
        };
        Ok(Probe { user, clock })
    }

    /// Reads the log, such as the failed attempts at the PIN: `GET /logs`.
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

    /// Registers a user with a session of its own under this app's session: `POST /users`.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::token::VerifyingKey;
    /// use mixin_pin_http::core::{Ed25519Key, SystemRng};
    /// use mixin_pin_http::{Client, Error};
    ///
    /// # fn register(app: &Client) -> Result<(), Error> {
    /// let key = Ed25519Key::generate(&mut SystemRng::new()?); // to be kept before it is registered
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
        let request = self.calls(now, &mut rng).register(&secret, full_name)?;
        Outcome::settle(&request, NextStep::LookFirst, self.transport.send(&request, &deadline))
    }

    /// Makes any other call, with a body of JSON or none, and returns its `data`.
    ///
    /// Whatever is not a `GET` waits for the session's PIN calls, since its body may carry a PIN.
    ///
    /// ```no_run
    /// use mixin_pin_http::{Client, Error};
    /// use serde_json::{Value, json};
    ///
    /// # fn call(client: &Client) -> Result<(), Error> {
    /// let assets = client.call::<Value>("GET", "/safe/assets/fetch", None)?.done().unwrap_or_default();
    /// let body = json!({ "full_name": "Alice" });
    /// let user = client.call::<Value>("POST", "/me", Some(&body))?.done(); // None: look whether it was changed
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::create_pin`]; for a `GET` every failure is an error, for it changes nothing.
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
        self.pin_call(NextStep::LookFirst, |mut calls| calls.other(method, path, body))
    }

    /// Makes a call that changes nothing, so that every failure is an error, and that is made anew where the server or the
    /// way to it fails.
    fn read<T, F>(&self, prepare: F) -> Result<T, Error>
    where
        T: DeserializeOwned,
        F: Fn(Calls<'_, BoxSigner>) -> Result<PreparedRequest, CallError>,
    {
        self.read_with_time(prepare).map(|(answer, _)| answer)
    }

    /// The same, and the server's time at the answer, where it names it.
    fn read_with_time<T, F>(&self, prepare: F) -> Result<(T, Option<UnixTime>), Error>
    where
        T: DeserializeOwned,
        F: Fn(Calls<'_, BoxSigner>) -> Result<PreparedRequest, CallError>,
    {
        let mut rng = SystemRng::new()?;
        let mut attempts = Attempts::new(self.settings.call, READ_RETRIES);
        loop {
            let request = prepare(self.calls(now()?, &mut rng))?;
            let received = self.transport.exchange(&request, attempts.deadline());
            let limits = received.as_ref().map(|received| (received.status == 429, received.retry_after));
            let (is_limited, retry_after) = limits.unwrap_or_default();
            let read = |received: Received| Ok((received.answer().read(request.request_id())?, received.server_time));
            match received.and_then(read) {
                Err(error) if (is_limited || is_passing(&error)) && attempts.wait(retry_after, &mut rng) => {}
                result => return result,
            }
        }
    }

    /// Holds the session from the first iterator to the answer, so that iterators arrive in order. Where no connection
    /// was made, nothing was sent: the call is encrypted afresh and tried again.
    fn pin_call<T, F>(&self, next: NextStep, prepare: F) -> Result<Outcome<T>, Error>
    where
        T: DeserializeOwned,
        F: Fn(Calls<'_, BoxSigner, &dyn Lease>) -> Result<PreparedRequest, CallError>,
    {
        let mut rng = SystemRng::new()?;
        let mut left = STALLS;
        loop {
            let outcome = self.hold(|held| {
                let prepare = |rng: &mut SystemRng| match prepare(self.calls(now()?, rng).nonces(&held)) {
                    Err(CallError::Nonce(_)) if held.remaining() == Duration::ZERO => Err(Error::LeaseLost),
                    result => Ok(result?),
                };
                let mut attempts = Attempts::new(self.settings.call, CONNECT_RETRIES);
                loop {
                    let request = prepare(&mut rng)?;
                    // Looked at after the signing, which may take long.
                    if held.remaining() < attempts.deadline().for_sending()? {
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
                Err(Error::LeaseLost) if left > 0 => left -= 1,
                outcome => return outcome,
            }
        }
    }

    /// Does something while the session is held.
    fn hold<T>(&self, work: impl FnOnce(&dyn Lease) -> Result<T, Error>) -> Result<T, Error> {
        let begun = Instant::now();
        let busy = || Error::SessionBusy { waited: begun.elapsed() };
        let wait = self.settings.wait();
        let _lane = self.lane.enter(wait).ok_or_else(busy)?;
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

    /// Asks the server whether the clock is right. Only an answer of Mixin's that names the server's time confirms it.
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
        let _lane = self.lane.enter(wait).ok_or(Error::SessionBusy { waited: wait })?;
        self.transport.exchange(request, &Deadline::new(self.settings.call))
    }

    pub(crate) const fn token_lifetime(&self) -> Duration {
        self.settings.token
    }

    fn calls<'c>(&'c self, now: UnixTime, rng: &'c mut SystemRng) -> Calls<'c, BoxSigner> {
        Calls::new(&self.session, now, rng).lifetime(self.settings.token)
    }
}

impl ClientBuilder<UserSession> {
    /// Where iterators are kept and sessions held: in memory by default, which is right while one process alone uses the
    /// session. `mixin-pin-store` has others.
    ///
    /// ```no_run
    /// use mixin_pin_http::core::Session;
    /// use mixin_pin_http::store::MemoryStore;
    /// use mixin_pin_http::{Client, Error};
    ///
    /// # fn client(session: Session) -> Result<(), Error> {
    /// let store = MemoryStore::new(); // or `SqliteStore::open_default()?`, for the processes of this machine
    /// let client = Client::builder(session).store(store).build()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn store(mut self, store: impl NonceStore + 'static) -> Self {
        self.issuer.store = Box::new(store);
        self
    }

    /// Makes the client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::BaseUrl`], [`Error::PlainHttp`], [`Error::Proxy`] or [`Error::Header`] for settings that cannot be
    /// used.
    pub fn build(self) -> Result<Client, Error> {
        let (UserSession { session, store }, transport, settings) = self.into_parts()?;
        Ok(Client { lane: Lane::of(session.session_id()), session, store, transport, settings })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("session", &self.session).finish_non_exhaustive()
    }
}

/// Whether a failure of a call that only reads may pass by itself.
fn is_passing(error: &Error) -> bool {
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
