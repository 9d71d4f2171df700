//! Settings of a client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_core::Session;
use mixin_pin_machine::{ApiSettings, Limits, Observer, SettingsError};
use mixin_pin_store::NonceStore;

use crate::Transport;
use crate::signer::BoxSigner;

/// Settings of a [`Client`](crate::Client), an [`OAuthClient`](crate::OAuthClient), or (with `()`) of one exchange of a
/// code.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_http::Client;
/// use mixin_pin_http::core::{Ed25519Key, Session, SystemRng, uuid::Uuid};
/// use mixin_pin_http::store::MemoryStore;
///
/// # fn main() -> Result<(), mixin_pin_http::Error> {
/// # let mut rng = SystemRng::new()?;
/// # let server = Ed25519Key::generate(&mut rng).public_key().to_x25519()?;
/// # let key = Ed25519Key::generate(&mut rng);
/// # let session = Session::ed25519(Uuid::nil(), Uuid::nil(), key, &server)?;
/// let client = Client::builder(session)
///     .base_url("https://api.mixin.one")
///     .store(MemoryStore::new()) // or `SqliteStore::open_default()?`, for several processes
///     .timeout(Duration::from_secs(20))
///     .wait(Duration::from_secs(10))
///     .token_lifetime(Duration::from_secs(30))
///     .build()?;
/// # Ok(()) }
/// ```
pub struct ClientBuilder<S = Session<BoxSigner>> {
    pub(crate) session: S,
    pub(crate) store: Option<Box<dyn NonceStore>>,
    api: ApiSettings,
    transport: Option<Transport>,
    pub(crate) limits: Limits,
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

impl<S> ClientBuilder<S> {
    pub(crate) fn new(session: S) -> Self {
        Self {
            session,
            store: None,
            api: ApiSettings::new(),
            transport: None,
            limits: Limits::default(),
            observer: None,
        }
    }

    /// The API's address: scheme, host and port. Mixin's own by default. See [`ApiSettings::base_url`].
    #[must_use]
    pub fn base_url(self, url: impl Into<String>) -> Self {
        Self { api: self.api.base_url(url), ..self }
    }

    /// All settings of the connection: address, proxy, headers.
    #[must_use]
    pub fn api(self, settings: ApiSettings) -> Self {
        Self { api: settings, ..self }
    }

    /// A transport that other clients use too. It replaces [`ClientBuilder::api`].
    #[must_use]
    pub fn transport(self, transport: Transport) -> Self {
        Self { transport: Some(transport), ..self }
    }

    /// Time limit for a call with all its attempts, after the session is leased. Thirty seconds by default. Like all
    /// times here, at most a day.
    #[must_use]
    pub fn timeout(self, limit: Duration) -> Self {
        Self { limits: self.limits.call(limit), ..self }
    }

    /// Time limit for the wait of a PIN call for a session that another call uses, in this process or another.
    ///
    /// The default is ten seconds more than the limit for a call, so it is longer than a lease that a crashed process
    /// may have left. If the store asks for a confirmation of the clock, that may take as long as another call.
    #[must_use]
    pub fn wait(self, limit: Duration) -> Self {
        Self { limits: self.limits.wait(limit), ..self }
    }

    /// How long tokens are valid. A minute by default.
    #[must_use]
    pub fn token_lifetime(self, lifetime: Duration) -> Self {
        Self { limits: self.limits.token(lifetime), ..self }
    }

    /// Hears what happens during calls.
    #[must_use]
    pub fn observer(self, observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..self }
    }

    pub(crate) fn connect(&self) -> Result<Transport, SettingsError> {
        self.transport.clone().map_or_else(|| Transport::new(&self.api), Ok)
    }
}

impl ClientBuilder {
    /// The store of iterators, leases and pending calls. The default is in memory, for a session that only one process
    /// uses.
    #[must_use]
    pub fn store(self, store: impl NonceStore + 'static) -> Self {
        Self { store: Some(Box::new(store)), ..self }
    }
}

impl<S> fmt::Debug for ClientBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("api", &self.api).finish_non_exhaustive()
    }
}
