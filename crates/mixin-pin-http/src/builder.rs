//! Settings, from which a client is made: where the API is, how to get there, and within which settings.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mixin_pin_core::{Session, UnixTime};
use mixin_pin_protocol::call::DEFAULT_LIFETIME;
use mixin_pin_store::NonceStore;
use ureq::http::uri::Authority;
use ureq::tls::TlsConfig;

use crate::retry::LONGEST;
use crate::signer::BoxSigner;
use crate::transport::Transport;
use crate::{Error, address, proxy};

/// Mixin's own API.
pub const DEFAULT_API: &str = "https://api.mixin.one";

/// What a [`Client`](crate::Client) speaks for: a session, and where its iterators are kept.
///
/// ```
/// use mixin_pin_http::{ClientBuilder, UserSession};
///
/// /// What this program sets for every client of a user's.
/// fn settings(builder: ClientBuilder<UserSession>) -> ClientBuilder<UserSession> {
///     builder.user_agent("my-bot/1.0")
/// }
/// ```
pub struct UserSession {
    pub(crate) session: Session<BoxSigner>,
    pub(crate) store: Box<dyn NonceStore>,
}

/// What holds for every call: how long it may take, how long its token lives, where its randomness comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// A call, once its session is held.
    pub(crate) call: Duration,
    /// The wait for a session that another call uses, where one was set.
    wait: Option<Duration>,
    pub(crate) token: Duration,
}

impl Settings {
    /// What a lease has beyond the time of the call, for what comes before and after: a quarter of it, within these bounds.
    const MARGIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

    fn margin(&self) -> Duration {
        (self.call / 4).clamp(Self::MARGIN.0, Self::MARGIN.1)
    }

    /// How long a call holds its session at most.
    pub(crate) fn lease(&self) -> Duration {
        self.call.saturating_add(self.margin())
    }

    /// How long to wait for a session: by default longer than a lease like this one, which a crashed holder may have left.
    pub(crate) fn wait(&self) -> Duration {
        self.wait.unwrap_or_else(|| self.lease().saturating_add(self.margin()))
    }
}

/// The clock, read where a call begins.
pub(crate) fn now() -> Result<UnixTime, Error> {
    Ok(UnixTime::try_from(SystemTime::now())?)
}

/// Settings of a [`Client`](crate::Client), an [`OAuthClient`](crate::OAuthClient), or of one exchange.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_http::Client;
/// use mixin_pin_http::core::{Ed25519Key, Session, SystemRng, uuid::Uuid};
///
/// # fn main() -> Result<(), mixin_pin_http::Error> {
/// # let mut rng = SystemRng::new()?;
/// # let server = Ed25519Key::generate(&mut rng).public_key().to_x25519()?;
/// # let key = Ed25519Key::generate(&mut rng);
/// # let session = Session::ed25519(Uuid::nil(), Uuid::nil(), key, &server)?;
/// let client = Client::builder(session)
///     .base_url("https://api.mixin.one")
///     .connect_timeout(Duration::from_secs(5))
///     .timeout(Duration::from_secs(20))
///     .wait(Duration::from_secs(10)) // for a session that another call uses
///     .token_lifetime(Duration::from_secs(30))
///     .user_agent("my-bot/1.0")
///     .device_id("9f2c7c0e-3d5b-4f63-8a1b-6f4f0d3f6b1e")
///     .proxy(Some("http://proxy.example:3128"))
///     .build()?;
/// # Ok(()) }
/// ```
pub struct ClientBuilder<S = UserSession> {
    pub(crate) issuer: S,
    base_url: String,
    connect_timeout: Duration,
    settings: Settings,
    user_agent: String,
    device_id: Option<String>,
    proxy: Proxy,
    plain_http: bool,
}

enum Proxy {
    FromEnvironment,
    Direct,
    Url(String),
}

impl<S> ClientBuilder<S> {
    pub(crate) fn new(issuer: S) -> Self {
        Self {
            issuer,
            base_url: DEFAULT_API.to_owned(),
            connect_timeout: Duration::from_secs(10),
            settings: Settings { call: Duration::from_secs(30), wait: None, token: DEFAULT_LIFETIME },
            user_agent: concat!("mixin-pin/", env!("CARGO_PKG_VERSION")).to_owned(),
            device_id: None,
            proxy: Proxy::FromEnvironment,
            plain_http: false,
        }
    }

    /// The API's address, [`DEFAULT_API`] by default: scheme, host and port, with no path, query or fragment.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// How long connecting may take, TLS included; ten seconds by default. Like every time here it counts as a day where it
    /// is longer.
    #[must_use]
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = no_longer_than_a_day(limit);
        self
    }

    /// How long a whole call may take, with every further attempt, once its session is held; thirty seconds by default.
    #[must_use]
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.settings.call = no_longer_than_a_day(limit);
        self
    }

    /// How long a PIN call waits for a session that another call uses, in this process or another; by default ten seconds
    /// longer than a call may take, and so longer than the lease that a crashed process may have left. Where the store
    /// wants the clock confirmed, asking the server may take as long as a call besides.
    #[must_use]
    pub const fn wait(mut self, limit: Duration) -> Self {
        self.settings.wait = Some(no_longer_than_a_day(limit));
        self
    }

    /// How long tokens are good; a minute by default.
    #[must_use]
    pub const fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.token = no_longer_than_a_day(lifetime);
        self
    }

    /// The header `User-Agent`.
    #[must_use]
    pub fn user_agent(mut self, text: impl Into<String>) -> Self {
        self.user_agent = text.into();
        self
    }

    /// The header `Mixin-Device-Id`, absent by default.
    #[must_use]
    pub fn device_id(mut self, id: impl Into<String>) -> Self {
        self.device_id = Some(id.into());
        self
    }

    /// A proxy's URL (`http`, `https`, `socks4`, `socks4a`, `socks5` or `socks5h`), or None for no proxy at all.
    ///
    /// By default the environment decides as it does for curl: `https_proxy` or `http_proxy` by the API's scheme, else
    /// `all_proxy`, each in small letters or capitals and not empty; `no_proxy` lists the hosts that are reached without one. An API on this machine is always reached without one.
    #[must_use]
    pub fn proxy(mut self, url: Option<&str>) -> Self {
        self.proxy = url.map_or(Proxy::Direct, |url| Proxy::Url(url.to_owned()));
        self
    }

    /// Allows plain HTTP to another machine. To this machine it is always allowed.
    ///
    /// ```
    /// use mixin_pin_http::{Error, OAuthClient};
    ///
    /// let exchange = || OAuthClient::exchange().base_url("http://192.0.2.1:8080"); // a sandbox on another machine
    /// # use mixin_pin_http::core::{CodeVerifier, Ed25519Key, SystemRng, uuid::Uuid};
    /// # use mixin_pin_http::protocol::oauth::CodeExchange;
    /// # let mut rng = SystemRng::new()?;
    /// # let (verifier, public_key) = (CodeVerifier::generate(&mut rng), Ed25519Key::generate(&mut rng).public_key());
    /// # let code =
    /// #     CodeExchange { app_id: Uuid::nil(), code: "", verifier: &verifier, client_secret: None, public_key: &public_key };
    /// assert!(matches!(exchange().send(&code), Err(Error::PlainHttp)));
    /// let allowed = exchange().allow_plain_http(true);
    /// # drop(allowed);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Security
    /// Whoever is on the way can read tokens, and use them while they last.
    #[must_use]
    pub const fn allow_plain_http(mut self, allow: bool) -> Self {
        self.plain_http = allow;
        self
    }

    /// The issuer, the way to the API, and what holds for every call.
    pub(crate) fn into_parts(self) -> Result<(S, Transport, Settings), Error> {
        let uri = address::parse(&self.base_url).ok_or(Error::BaseUrl)?;
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        let local = is_loopback(host);
        match scheme {
            "https" => {}
            "http" if local || self.plain_http => {}
            "http" => return Err(Error::PlainHttp),
            _ => return Err(Error::BaseUrl),
        }
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(Error::BaseUrl);
        }
        for text in [Some(&self.user_agent), self.device_id.as_ref()].into_iter().flatten() {
            if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                return Err(Error::Header);
            }
        }

        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = ureq::config::Config::builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // A redirection would carry the token, and perhaps a PIN, to another address.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(self.connect_timeout))
            .allow_non_standard_methods(true)
            .user_agent(self.user_agent);
        let proxy = match &self.proxy {
            Proxy::FromEnvironment if !local => proxy::from_environment(scheme, host, |name| std::env::var_os(name))?,
            Proxy::FromEnvironment | Proxy::Direct => None,
            Proxy::Url(url) => Some(proxy::parse(url, "the proxy that was set")?),
        };
        // From the parts that were looked at, so that nothing else of the text can change where a path goes.
        let base_url = format!("{scheme}://{}", uri.authority().map_or("", Authority::as_str));
        let transport = Transport::new(config.proxy(proxy).build(), base_url, self.device_id);
        Ok((self.issuer, transport, self.settings))
    }
}

impl<S> fmt::Debug for ClientBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's URL may hold a password.
        f.debug_struct("ClientBuilder").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// `Duration::min` is not for constants.
const fn no_longer_than_a_day(limit: Duration) -> Duration {
    if limit.as_secs() < LONGEST.as_secs() { limit } else { LONGEST }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_wait_outlasts_the_lease_that_a_crashed_process_left() {
        for limit in [Duration::from_millis(1), Duration::from_secs(30), LONGEST] {
            let settings = ClientBuilder::new(()).timeout(limit).settings;
            assert!(settings.wait() > settings.lease() && settings.lease() > limit, "{limit:?}");
        }
        let set = ClientBuilder::new(()).wait(Duration::from_secs(1)).settings;
        assert_eq!(set.wait(), Duration::from_secs(1));
    }
}
