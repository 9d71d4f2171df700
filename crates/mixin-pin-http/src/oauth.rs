//! The client of an app that acts for a user, and the exchange of an OAuth code for its session.

use std::fmt;

use mixin_pin_core::token::Signer;
use mixin_pin_core::{OAuthSession, SessionKey, SystemRng, UnixTime};
use mixin_pin_protocol::answer::User;
use mixin_pin_protocol::call::PreparedRequest;
use mixin_pin_protocol::oauth::{CodeExchange, Grant, OAuthCalls};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::builder::{ClientBuilder, Settings, now};
use crate::retry::Deadline;
use crate::signer::{self, BoxSigner};
use crate::transport::Transport;
use crate::{Error, NextStep, Outcome, SettingsError};

/// A blocking client for one OAuth session. It makes no PIN calls. It rejects answers that the server did not sign.
///
/// ```no_run
/// use mixin_pin_http::OAuthClient;
/// use mixin_pin_http::core::{CodeVerifier, Ed25519Key, SystemRng, uuid::Uuid};
/// use mixin_pin_http::protocol::oauth::CodeExchange;
///
/// # fn main() -> Result<(), mixin_pin_http::Error> {
/// # let (app_id, code, verifier) = (Uuid::nil(), "", CodeVerifier::generate(&mut SystemRng::new()?));
/// let key = Ed25519Key::generate(&mut SystemRng::new()?);
/// let public_key = key.public_key();
/// let exchange = CodeExchange { app_id, code, verifier: &verifier, client_secret: None, public_key: &public_key };
/// let grant = OAuthClient::exchange().send(&exchange)?.done().expect("if this is lost, the user approves again");
/// // Save `grant.to_keystore(app_id, &key)`: the code cannot be exchanged again.
/// let client = OAuthClient::builder(grant.into_session(app_id, key)?).build()?;
/// println!("acting for {} within {}", client.me()?.full_name, client.session().scope());
/// let friends = client.call::<serde_json::Value>("GET", "/friends", None)?.done();
/// # Ok(()) }
/// ```
pub struct OAuthClient {
    session: OAuthSession<BoxSigner>,
    transport: Transport,
    settings: Settings,
}

impl OAuthClient {
    /// A client with other settings. With the feature `accel` a faster library signs with the session's key.
    pub fn builder(session: OAuthSession) -> ClientBuilder<OAuthSession<BoxSigner>> {
        Self::builder_with_signer(session.map_signer(|key| signer::fastest(SessionKey::Ed25519(key))))
    }

    /// A client with a signer of your own, such as a key in hardware.
    pub fn builder_with_signer<S: Signer + Send + Sync + 'static>(
        session: OAuthSession<S>,
    ) -> ClientBuilder<OAuthSession<BoxSigner>> {
        ClientBuilder::new(session.map_signer(|signer| Box::new(signer) as BoxSigner))
    }

    /// Settings for [`ClientBuilder::send`], which exchanges a code.
    pub fn exchange() -> ClientBuilder<()> {
        ClientBuilder::new(())
    }

    /// The session of this client.
    pub const fn session(&self) -> &OAuthSession<BoxSigner> {
        &self.session
    }

    /// Reads the user who granted access, as far as the scope allows: `GET /me`.
    ///
    /// # Errors
    /// [`Error::Protocol`] if Mixin refuses or the answer is not signed correctly, another error if there is no answer.
    pub fn me(&self) -> Result<User, Error> {
        let (now, mut rng) = (now()?, SystemRng::new()?);
        let deadline = Deadline::new(self.settings.call);
        let request = self.calls(now, &mut rng).me()?.sign(self.session.signer(), &mut rng)?;
        self.send(&request, &deadline)
    }

    /// Makes any other call within the scope, with an optional JSON body, and returns its `data`.
    ///
    /// # Errors
    /// As [`OAuthClient::me`]. A body with a field for a PIN is refused. A `GET` changes nothing, so all its failures are
    /// errors.
    pub fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Outcome<T>, Error> {
        let body = body.map(Value::to_string);
        let (now, mut rng) = (now()?, SystemRng::new()?);
        let deadline = Deadline::new(self.settings.call);
        let request = self.calls(now, &mut rng).other(method, path, body.as_deref().map(str::as_bytes))?;
        let request = request.sign(self.session.signer(), &mut rng)?;
        let result = self.send(&request, &deadline);
        if request.is_read() {
            result.map(Outcome::Done)
        } else {
            Outcome::settle(&request, NextStep::CheckFirst, result)
        }
    }

    fn calls<'c>(&'c self, now: UnixTime, rng: &'c mut SystemRng) -> OAuthCalls<'c, BoxSigner> {
        OAuthCalls::new(&self.session, now, rng).lifetime(self.settings.token)
    }

    fn send<T: DeserializeOwned>(&self, request: &PreparedRequest, deadline: &Deadline) -> Result<T, Error> {
        let received = self.transport.exchange(request, deadline)?;
        Ok(received.answer().read_signed(request, self.session.server_key())?)
    }
}

impl fmt::Debug for OAuthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthClient").field("session", &self.session).finish_non_exhaustive()
    }
}

impl ClientBuilder<OAuthSession<BoxSigner>> {
    /// Builds the client. Sends nothing.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn build(self) -> Result<OAuthClient, SettingsError> {
        Ok(OAuthClient { transport: self.transport()?, settings: self.settings, session: self.session })
    }
}

impl ClientBuilder<()> {
    /// Exchanges a code for a grant: `POST /oauth/token`.
    ///
    /// A code can be exchanged once. After [`Outcome::Unknown`] the user must approve again.
    ///
    /// # Errors
    /// [`Error::Protocol`] if Mixin refuses, another error if the request was not sent.
    pub fn send(self, exchange: &CodeExchange<'_>) -> Result<Outcome<Grant>, Error> {
        let transport = self.transport()?;
        let request = exchange.prepare(&mut SystemRng::new()?);
        let result = transport.send(&request, &Deadline::new(self.settings.call));
        Outcome::settle(&request, NextStep::CheckFirst, result)
    }
}
