//! The client of an app that acts for a user, and the exchange of an OAuth code for its session.

use std::fmt;

use mixin_pin_core::tip::TipSigner;
use mixin_pin_core::token::{Algorithm, Signer};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519PublicKey, OAuthSession, SessionKey};
use mixin_pin_machine::{Call, Error, OAuthRules, Outcome, SettingsError, exchange_code};
use mixin_pin_protocol::answer::{App, AppRegistration, NewSession, User, UserSession};
use mixin_pin_protocol::oauth::{CodeExchange, Grant};
use mixin_pin_store::Lease;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::builder::ClientBuilder;
use crate::driver::{Outside, Tips, drive};
use crate::signer::{self, BoxSigner};
use crate::transport::Transport;

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
    rules: OAuthRules,
    signer: BoxSigner,
    transport: Transport,
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

    /// The session of this client. In place of its signer it has the algorithm.
    pub const fn session(&self) -> &OAuthSession<Algorithm> {
        self.rules.session()
    }

    /// Reads the user who granted access, as far as the scope allows: `GET /me`.
    ///
    /// # Errors
    /// [`Error::Protocol`] if Mixin refuses or the answer is not signed correctly, another error if there is no answer.
    pub fn me(&self) -> Result<User, Error> {
        self.read(self.rules.me())
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
        self.make(self.rules.other(method, path, body.map(|body| body.to_string().into_bytes())), Tips::default())
    }

    /// Gives an app of the user a new session: `POST /safe/apps/:id/session`. Save the new private key before.
    ///
    /// If the answer is lost, ask with either key: see [`Client::resolve_session`](crate::Client::resolve_session). No
    /// journal has it.
    ///
    /// # Errors
    /// As [`OAuthClient::me`]. A refusal with 401 is [`Outcome::Unknown`], because it may be about a copy of the request.
    pub fn replace_app_session(&self, app_id: Uuid, new_key: &Ed25519PublicKey) -> Result<Outcome<NewSession>, Error> {
        self.make(self.rules.replace_app_session(app_id, new_key), Tips::default())
    }

    /// Registers an app of the user with the safe: `POST /safe/apps/:id/register`. No source shows how to replace the
    /// key afterwards. [`App::has_safe`] tells what became of a lost call.
    ///
    /// # Errors
    /// As [`OAuthClient::me`].
    pub fn register_app(&self, app_id: Uuid, spend_key: &dyn TipSigner) -> Result<Outcome<AppRegistration>, Error> {
        let tips = Tips { pin: None, safe: Some(spend_key) };
        self.make(self.rules.register_app(app_id, spend_key.public_key()), tips)
    }

    /// Reads an app: `GET /apps/:id`.
    ///
    /// # Errors
    /// As [`OAuthClient::me`].
    pub fn app(&self, app_id: Uuid) -> Result<App, Error> {
        self.read(self.rules.app(app_id))
    }

    /// Lists the sessions of these users: `POST /sessions/fetch`.
    ///
    /// # Errors
    /// As [`OAuthClient::me`].
    pub fn sessions(&self, user_ids: &[Uuid]) -> Result<Vec<UserSession>, Error> {
        self.read(self.rules.sessions(user_ids))
    }

    fn read<T: DeserializeOwned>(&self, call: Call<'_, T, Box<dyn Lease>>) -> Result<T, Error> {
        self.make(call, Tips::default())?.read()
    }

    fn make<T: DeserializeOwned>(
        &self,
        call: Call<'_, T, Box<dyn Lease>>,
        tips: Tips<'_>,
    ) -> Result<Outcome<T>, Error> {
        let outside = Outside { tips, ..Outside::unleased(Some(&*self.signer)) };
        drive(call, &self.transport, &outside)?.result
    }
}

impl fmt::Debug for OAuthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthClient").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl ClientBuilder<OAuthSession<BoxSigner>> {
    /// Builds the client. Sends nothing.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn build(self) -> Result<OAuthClient, SettingsError> {
        let transport = self.connect()?;
        let algorithm = self.session.signer().algorithm();
        let (session, signer) = self.session.replace_signer(algorithm);
        Ok(OAuthClient { rules: OAuthRules::new(session, self.limits, self.observer), signer, transport })
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
        let call = exchange_code(exchange, self.limits);
        drive(call, &self.connect()?, &Outside::unleased(None))?.result
    }
}
