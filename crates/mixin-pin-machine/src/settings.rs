//! Settings of the connection to the API: address, proxy, headers.

use std::fmt;
use std::time::Duration;

use http::uri::Authority;

use crate::{SettingsError, address, proxy};

/// Mixin's own API.
pub const DEFAULT_API: &str = "https://api.mixin.one";

/// The longest time limit for connecting.
const LONGEST: Duration = Duration::from_secs(86_400);

/// Settings of the connection to the API.
///
/// ```
/// use std::time::Duration;
/// use mixin_pin_machine::ApiSettings;
///
/// let settings = ApiSettings::new()
///     .base_url("https://api.mixin.one")
///     .connect_timeout(Duration::from_secs(5))
///     .user_agent("my-bot/1.0")
///     .device_id("9f2c7c0e-3d5b-4f63-8a1b-6f4f0d3f6b1e")
///     .proxy(Some("http://proxy.example:3128"));
/// assert_eq!(settings.check()?.base_url(), "https://api.mixin.one");
/// # Ok::<(), mixin_pin_machine::SettingsError>(())
/// ```
#[derive(Clone)]
pub struct ApiSettings {
    base_url: String,
    connect_timeout: Duration,
    user_agent: String,
    device_id: Option<String>,
    proxy: Proxy,
    plain_http: bool,
}

#[derive(Clone)]
enum Proxy {
    FromEnvironment,
    Direct,
    Url(String),
}

impl Default for ApiSettings {
    fn default() -> Self {
        Self::new()
    }
}

impl ApiSettings {
    /// Settings for Mixin's API.
    pub fn new() -> Self {
        Self {
            base_url: DEFAULT_API.to_owned(),
            connect_timeout: Duration::from_secs(10),
            user_agent: concat!("mixin-pin/", env!("CARGO_PKG_VERSION")).to_owned(),
            device_id: None,
            proxy: Proxy::FromEnvironment,
            plain_http: false,
        }
    }

    /// The API's address: scheme, host and port, without path, query or fragment. [`DEFAULT_API`] by default.
    #[must_use]
    pub fn base_url(self, url: impl Into<String>) -> Self {
        Self { base_url: url.into(), ..self }
    }

    /// Time limit for connecting, including TLS. Ten seconds by default, at most a day.
    #[must_use]
    pub fn connect_timeout(self, limit: Duration) -> Self {
        Self { connect_timeout: limit.min(LONGEST), ..self }
    }

    /// The header `User-Agent`.
    #[must_use]
    pub fn user_agent(self, text: impl Into<String>) -> Self {
        Self { user_agent: text.into(), ..self }
    }

    /// The header `Mixin-Device-Id`, absent by default.
    #[must_use]
    pub fn device_id(self, id: impl Into<String>) -> Self {
        Self { device_id: Some(id.into()), ..self }
    }

    /// A proxy's URL (`http`, `https`, `socks4`, `socks4a`, `socks5` or `socks5h`), or None for no proxy.
    ///
    /// By default the environment decides, as for curl: `https_proxy` or `http_proxy` by the API's scheme, otherwise
    /// `all_proxy`, in lower or upper case. Empty variables do not count. `no_proxy` lists hosts that are reached
    /// directly. An API on this machine is reached directly, too.
    #[must_use]
    pub fn proxy(self, url: Option<&str>) -> Self {
        Self { proxy: url.map_or(Proxy::Direct, |url| Proxy::Url(url.to_owned())), ..self }
    }

    /// Allows plain HTTP to another machine, such as a sandbox. Plain HTTP to this machine is always allowed.
    ///
    /// # Security
    /// Anyone on the network can read tokens, and use them until they expire.
    #[must_use]
    pub fn allow_plain_http(self, allow: bool) -> Self {
        Self { plain_http: allow, ..self }
    }

    /// Checks the settings, and reads the environment for a proxy.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn check(&self) -> Result<Api, SettingsError> {
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
        let proxy = match &self.proxy {
            Proxy::FromEnvironment if !local => proxy::from_environment(scheme, host, |name| std::env::var_os(name))?,
            Proxy::FromEnvironment | Proxy::Direct => None,
            Proxy::Url(url) => Some(proxy::parse(url, "the proxy that was set")?),
        };
        Ok(Api {
            // Only the parts that were checked, so nothing else in the text can change the target of a path.
            base_url: format!("{scheme}://{}", uri.authority().map_or("", Authority::as_str)),
            connect_timeout: self.connect_timeout,
            user_agent: self.user_agent.clone(),
            device_id: self.device_id.clone(),
            proxy,
        })
    }
}

impl fmt::Debug for ApiSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A proxy's URL may contain a password.
        f.debug_struct("ApiSettings").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// Checked settings, for a transport.
pub struct Api {
    base_url: String,
    connect_timeout: Duration,
    user_agent: String,
    device_id: Option<String>,
    proxy: Option<ProxyUrl>,
}

impl Api {
    /// Scheme, host and port. The URL of a request is this and its path.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Time limit for connecting.
    pub const fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// The header `User-Agent`, in printable ASCII.
    pub fn user_agent(&self) -> &str {
        &self.user_agent
    }

    /// The header `Mixin-Device-Id`, in printable ASCII.
    pub fn device_id(&self) -> Option<&str> {
        self.device_id.as_deref()
    }

    /// The proxy to use.
    pub const fn proxy(&self) -> Option<&ProxyUrl> {
        self.proxy.as_ref()
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// A proxy's URL. It may contain a password, so it is not shown.
#[derive(Clone)]
pub struct ProxyUrl {
    pub(crate) url: String,
    pub(crate) origin: &'static str,
}

impl ProxyUrl {
    /// Scheme, user and password if any, host and port.
    pub fn expose(&self) -> &str {
        &self.url
    }

    /// The error for a proxy that the HTTP library refuses.
    pub const fn refused(&self) -> SettingsError {
        SettingsError::Proxy { origin: self.origin }
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyUrl").field("origin", &self.origin).finish_non_exhaustive()
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
