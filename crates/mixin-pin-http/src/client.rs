//! The client: one session, its iterators, and the calls that it makes.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use mixin_pin_core::tip::{TipAction, TipKey};
use mixin_pin_core::token::{Signer, VerifyingKey};
use mixin_pin_core::{MonotonicNonces, Nonce, NonceSource, Pin, Secret, Session, SystemRng, UnixTime};
use mixin_pin_protocol::answer::{LogEntry, User};
use mixin_pin_protocol::call::{Calls, LogQuery, PreparedRequest};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::builder::{ClientBuilder, UserSession, now};
use crate::lane::Lane;
use crate::transport::{Received, Transport};
use crate::{Error, Outcome};

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;
pub(crate) type BoxSigner = Box<dyn Signer + Send + Sync>;
pub(crate) type BoxNonces = Box<dyn NonceSource<Error = BoxError> + Send + Sync>;

/// A blocking client for one session.
///
/// Cheap to share behind an `Arc`. Its connections are kept alive; within a process, the PIN calls of one session
/// wait for each other, whichever client makes them.
pub struct Client {
    session: Session<BoxSigner>,
    nonces: BoxNonces,
    transport: Transport,
    token_lifetime: Duration,
    lane: Lane,
}

impl Client {
    /// A client for Mixin's own API, with iterators kept in memory.
    ///
    /// # Errors
    /// None with these settings; see [`ClientBuilder::build`].
    pub fn new<S: Signer + Send + Sync + 'static>(session: Session<S>) -> Result<Self, Error> {
        Self::builder(session).build()
    }

    /// A client with other settings.
    pub fn builder<S: Signer + Send + Sync + 'static>(session: Session<S>) -> ClientBuilder {
        ClientBuilder::new(UserSession {
            session: session.map_signer(|signer| Box::new(signer) as BoxSigner),
            nonces: Box::new(Erased(MonotonicNonces::new())),
        })
    }

    /// The session that this client speaks for.
    pub const fn session(&self) -> &Session<BoxSigner> {
        &self.session
    }

    /// Sets the PIN of a user that has none: `POST /pin/update`.
    ///
    /// # Errors
    /// [`Error::Protocol`] when Mixin refuses, another when the call was never sent.
    pub fn create_pin(&self, pin: &Pin) -> Result<Outcome<User>, Error> {
        self.pin_call(|calls, nonce, now, rng| Ok(calls.create_pin(pin, nonce(now)?, now, rng)?))
    }

    /// Changes the PIN: `POST /pin/update`.
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn change_pin(&self, old: &Pin, new: &Pin) -> Result<Outcome<User>, Error> {
        self.pin_call(|calls, nonce, now, rng| {
            let nonces = [nonce(now)?, nonce(now)?];
            Ok(calls.change_pin(old, new, nonces, now, rng)?)
        })
    }

    /// Creates the PIN, or changes it where there is an old one.
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
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn verify_pin(&self, pin: &Pin) -> Result<Outcome<User>, Error> {
        self.pin_call(|calls, nonce, now, rng| Ok(calls.verify_pin(pin, nonce(now)?, now, rng)?))
    }

    /// Installs a user's first TIP key, in the place of the digits where there are any: `POST /pin/update`. There is no
    /// way back to digits.
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn install_tip(&self, old: Option<&Pin>, key: &TipKey) -> Result<Outcome<User>, Error> {
        self.pin_call(|calls, nonce, now, rng| {
            Ok(match old {
                None => calls.create_tip(key, nonce(now)?, now, rng)?,
                Some(old) => calls.change_to_tip(old, key, [nonce(now)?, nonce(now)?], now, rng)?,
            })
        })
    }

    /// Changes one TIP key for another: `POST /pin/update`. `old_counter` is the `tip_counter` of [`Client::me`].
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn change_tip(&self, old: &TipKey, old_counter: u64, new: &TipKey) -> Result<Outcome<User>, Error> {
        self.pin_call(|calls, nonce, now, rng| {
            let nonces = [nonce(now)?, nonce(now)?];
            Ok(calls.change_tip(old, old_counter, new, nonces, now, rng)?)
        })
    }

    /// Proves the TIP key: `POST /pin/verify`.
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn verify_tip(&self, key: &TipKey) -> Result<Outcome<User>, Error> {
        self.pin_call(|calls, nonce, now, rng| Ok(calls.verify_tip(key, nonce(now)?, now, rng)?))
    }

    /// Makes any other call that carries a PIN, a [`Pin`] or what [`TipKey::secret`] made of an action, and returns its
    /// `data`.
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn call_with_pin<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Map<String, Value>,
        proof: impl Into<Secret>,
    ) -> Result<Outcome<T>, Error> {
        self.pin_call(|calls, nonce, now, rng| Ok(calls.with_pin(method, path, body, proof, nonce(now)?, now, rng)?))
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
    /// match client.call_with_tip::<serde_json::Value>("POST", &path, Default::default(), key, &action)? {
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
        body: Map<String, Value>,
        key: &TipKey,
        action: &TipAction<'_>,
    ) -> Result<Outcome<T>, Error> {
        self.pin_call(|calls, nonce, now, rng| {
            Ok(calls.with_tip(method, path, body, (key, action), nonce(now)?, now, rng)?)
        })
    }

    /// Registers the user with the safe under `safe_key`, approved by the installed TIP key: `POST /safe/users`.
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn register_safe(&self, tip_key: &TipKey, safe_key: &TipKey) -> Result<Outcome<User>, Error> {
        self.pin_call(|calls, nonce, now, rng| Ok(calls.register_safe(tip_key, safe_key, nonce(now)?, now, rng)?))
    }

    /// Reads the user: `GET /me`.
    ///
    /// # Errors
    /// [`Error::Protocol`] when Mixin refuses or answers strangely, another when there was no answer.
    pub fn me(&self) -> Result<User, Error> {
        self.read(|calls, now, rng| calls.me(now, rng))
    }

    /// Reads the log, such as the failed attempts at the PIN: `GET /logs`.
    ///
    /// # Errors
    /// As [`Client::me`].
    pub fn pin_logs(&self, query: &LogQuery) -> Result<Vec<LogEntry>, Error> {
        self.read(|calls, now, rng| calls.logs(query, now, rng))
    }

    /// Registers a user with a session of its own under this app's session: `POST /users`.
    ///
    /// # Errors
    /// As [`Client::create_pin`].
    pub fn register(&self, session_key: &VerifyingKey, full_name: &str) -> Result<Outcome<User>, Error> {
        let secret = session_key.to_session_secret()?;
        let (now, mut rng) = (now()?, SystemRng::new()?);
        let request = self.calls().register(&secret, full_name, now, &mut rng)?;
        Outcome::settle(request.request_id(), self.transport.send(&request))
    }

    /// Makes any other call, with a body of JSON or none, and returns its `data`.
    ///
    /// Whatever is not a `GET` waits for the session's PIN calls, since its body may carry a PIN.
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
        if method == "GET" {
            return self.read(|calls, now, rng| calls.other(method, path, body, now, rng)).map(Outcome::Done);
        }
        self.pin_call(|calls, _, now, rng| Ok(calls.other(method, path, body, now, rng)?))
    }

    /// Makes a call that changes nothing, so that every failure is an error.
    fn read<T, F>(&self, prepare: F) -> Result<T, Error>
    where
        T: DeserializeOwned,
        F: FnOnce(Calls<'_, BoxSigner>, UnixTime, &mut SystemRng) -> Result<PreparedRequest, mixin_pin_protocol::Error>,
    {
        let (now, mut rng) = (now()?, SystemRng::new()?);
        self.transport.send(&prepare(self.calls(), now, &mut rng)?)
    }

    /// Holds the session's lane from the first iterator to the answer, so that iterators arrive in order.
    fn pin_call<T, F>(&self, prepare: F) -> Result<Outcome<T>, Error>
    where
        T: DeserializeOwned,
        F: FnOnce(
            Calls<'_, BoxSigner>,
            &dyn Fn(UnixTime) -> Result<Nonce, Error>,
            UnixTime,
            &mut SystemRng,
        ) -> Result<PreparedRequest, Error>,
    {
        let _held = self.lane.enter();
        let (now, mut rng) = (now()?, SystemRng::new()?);
        let nonce = |now| self.nonces.next(now).map_err(Error::Nonce);
        let request = prepare(self.calls(), &nonce, now, &mut rng)?;
        Outcome::settle(request.request_id(), self.transport.send(&request))
    }

    pub(crate) fn exchange(&self, request: &PreparedRequest) -> Result<Received, Error> {
        let _held = self.lane.enter();
        self.transport.exchange(request)
    }

    fn calls(&self) -> Calls<'_, BoxSigner> {
        Calls::new(&self.session).lifetime(self.token_lifetime)
    }
}

impl ClientBuilder<UserSession> {
    /// Where iterators come from; in memory by default, which is right while one process alone uses the session.
    #[must_use]
    pub fn nonces<N>(mut self, nonces: N) -> Self
    where
        N: NonceSource + Send + Sync + 'static,
        N::Error: Into<BoxError>,
    {
        self.speaker.nonces = Box::new(Erased(nonces));
        self
    }

    /// Makes the client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::BaseUrl`], [`Error::PlainHttp`], [`Error::Proxy`] or [`Error::Header`] for settings that cannot be
    /// used.
    pub fn build(self) -> Result<Client, Error> {
        let (UserSession { session, nonces }, transport, token_lifetime) = self.into_parts()?;
        Ok(Client { lane: Lane::of(session.session_id()), session, nonces, transport, token_lifetime })
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("session", &self.session).finish_non_exhaustive()
    }
}

/// A nonce source whose error is boxed, so that clients of all sources are of one type.
struct Erased<N>(N);

impl<N: NonceSource> NonceSource for Erased<N>
where
    N::Error: Into<BoxError>,
{
    type Error = BoxError;

    fn reserve(&self, now: UnixTime) -> Result<u64, BoxError> {
        self.0.reserve(now).map_err(Into::into)
    }
}
