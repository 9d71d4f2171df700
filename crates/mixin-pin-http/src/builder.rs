//! Client settings: API address, proxy, time limits.

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
use crate::{Error, SettingsError, address, proxy};

/// Mixin's own API.
pub const DEFAULT_API: &str = "https://api.mixin.one";

/// The time limits of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    /// For a call, after the session is leased.
    pub(crate) call: Duration,
    /// For the wait for a session that another call uses, if one was set.
    wait: Option<Duration>,
    pub(crate) token: Duration,
}

impl Settings {
    /// Bounds of the time that a lease lasts beyond a call: a quarter of the call's time.
    const MARGIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

    fn margin(&self) -> Duration {
        (self.call / 4).clamp(Self::MARGIN.0, Self::MARGIN.1)
    }

    /// The duration of a call's lease.
    pub(crate) fn lease(&self) -> Duration {
        self.call.saturating_add(self.margin())
    }

    /// The wait for a session. By default longer than a lease, which a crashed process may have left.
    pub(crate) fn wait(&self) -> Duration {
        self.wait.unwrap_or_else(|| self.lease().saturating_add(self.margin()))
    }
}

/// The current time.
pub(crate) fn now() -> Result<UnixTime, Error> {
    Ok(UnixTime::try_from(SystemTime::now())?)
}

/// Settings of a [`Client`](crate::Client), an [`OAuthClient`](crate::OAuthClient), or (with `()`) of one exchange of a code.
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
///     .wait(Duration::from_secs(10))
///     .token_lifetime(Duration::from_secs(30))
///     .user_agent("my-bot/1.0")
///     .device_id("9f2c7c0e-3d5b-4f63-8a1b-6f4f0d3f6b1e")
///     .proxy(Some("http://proxy.example:3128"))
///     .build()?;
/// # Ok(()) }
/// ```
pub struct ClientBuilder<S = Session<BoxSigner>> {
    pub(crate) session: S,
    pub(crate) store: Option<Box<dyn NonceStore>>,
    base_url: String,
    connect_timeout: Duration,
    pub(crate) settings: Settings,
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
    pub(crate) fn new(session: S) -> Self {
        Self {
            session,
            store: None,
            base_url: DEFAULT_API.to_owned(),
            connect_timeout: Duration::from_secs(10),
            settings: Settings { call: Duration::from_secs(30), wait: None, token: DEFAULT_LIFETIME },
            user_agent: concat!("mixin-pin/", env!("CARGO_PKG_VERSION")).to_owned(),
            device_id: None,
            proxy: Proxy::FromEnvironment,
            plain_http: false,
        }
    }

    /// The API's address: scheme, host and port, without path, query or fragment. [`DEFAULT_API`] by default.
    #[must_use]
    pub fn base_url(mut self, url: impl Into<String>) -> Self {
        self.base_url = url.into();
        self
    }

    /// Time limit for connecting, including TLS. Ten seconds by default. Like all times here, at most a day.
    #[must_use]
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = no_longer_than_a_day(limit);
        self
    }

    /// Time limit for a call with all its attempts, after the session is leased. Thirty seconds by default.
    #[must_use]
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.settings.call = no_longer_than_a_day(limit);
        self
    }

    /// Time limit for the wait of a PIN call for a session that another call uses, in this process or another.
    ///
    /// The default is ten seconds more than the limit for a call, so it is longer than a lease that a crashed process may
    /// have left. If the store asks for a confirmation of the clock, that may take as long as another call.
    #[must_use]
    pub const fn wait(mut self, limit: Duration) -> Self {
        self.settings.wait = Some(no_longer_than_a_day(limit));
        self
    }

    /// How long tokens are valid. A minute by default.
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

    /// A proxy's URL (`http`, `https`, `socks4`, `socks4a`, `socks5` or `socks5h`), or None for no proxy.
    ///
    /// By default the environment decides, as for curl: `https_proxy` or `http_proxy` by the API's scheme, otherwise
    /// `all_proxy`, in lower or upper case. Empty variables do not count. `no_proxy` lists hosts that are reached directly.
    /// An API on this machine is reached directly, too.
    #[must_use]
    pub fn proxy(mut self, url: Option<&str>) -> Self {
        self.proxy = url.map_or(Proxy::Direct, |url| Proxy::Url(url.to_owned()));
        self
    }

    /// Allows plain HTTP to another machine, such as a sandbox. Plain HTTP to this machine is always allowed.
    ///
    /// # Security
    /// Anyone on the network can read tokens, and use them until they expire.
    #[must_use]
    pub const fn allow_plain_http(mut self, allow: bool) -> Self {
        self.plain_http = allow;
        self
    }

    /// The connection to the API.
    pub(crate) fn transport(&self) -> Result<Transport, SettingsError> {
        let uri = address::parse(&self.base_url).ok_or(SettingsError::BaseUrl)?;
        let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
        let local = is_loopback(host);
        match scheme {
            "https" => {}
            "http" if local || self.plain_http => {}
            "http" => return Err(SettingsError::PlainHttp),
            _ => return Err(SettingsError::BaseUrl),
        }
        if uri.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return Err(SettingsError::BaseUrl);
        }
        for text in [Some(&self.user_agent), self.device_id.as_ref()].into_iter().flatten() {
            if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
                return Err(SettingsError::Header);
            }
        }

        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = ureq::config::Config::builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // Following a redirection would send the token, and possibly a PIN, to another address.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(self.connect_timeout))
            .allow_non_standard_methods(true)
            .user_agent(&self.user_agent);
        let proxy = match &self.proxy {
            Proxy::FromEnvironment if !local => proxy::from_environment(scheme, host, |name| std::env::var_os(name))?,
            Proxy::FromEnvironment | Proxy::Direct => None,
            Proxy::Url(url) => Some(proxy::parse(url, "the proxy that was set")?),
        };
        // Only the parts that were checked, so nothing else in the text can change the target of a path.
        let base_url = format!("{scheme}://{}", uri.authority().map_or("", Authority::as_str));
        Ok(Transport::new(config.proxy(proxy).build(), base_url, self.device_id.clone()))
    }
}

impl<S> fmt::Debug for ClientBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's URL may contain a password.
        f.debug_struct("ClientBuilder").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// `Duration::min` is not a constant function.
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
