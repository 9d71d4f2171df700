//! Sends one prepared request to the server, once and within limits, and reads its answer.

use std::cell::Cell;
use std::fmt;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_machine::{ApiSettings, Received, Reply, SettingsError, TransportError};
use mixin_pin_protocol::answer::MAX_BODY_LEN;
use mixin_pin_protocol::call::PreparedRequest;
use ureq::config::Config;
use ureq::http::{Request, Response, Uri};
use ureq::tls::TlsConfig;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport as Connection,
};
use ureq::{AsSendBody, Body};

/// A connection to the API that any number of clients share: address, proxy, TLS, and a pool of open connections.
///
/// Clones are cheap and share their connections.
///
/// ```
/// use mixin_pin_http::{ApiSettings, Transport};
///
/// let transport = Transport::new(&ApiSettings::new().user_agent("my-bot/1.0"))?;
/// // Client::builder(session).transport(transport.clone())
/// # Ok::<(), mixin_pin_http::SettingsError>(())
/// ```
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    agent: ureq::Agent,
    base_url: String,
    device_id: Option<String>,
}

impl Transport {
    /// Builds a transport. Sends nothing.
    ///
    /// # Errors
    /// Settings that cannot be used, or a proxy in the environment that cannot be used.
    pub fn new(settings: &ApiSettings) -> Result<Self, SettingsError> {
        let api = settings.check()?;
        let proxy = match api.proxy() {
            Some(proxy) => Some(ureq::Proxy::new(proxy.expose()).map_err(|_| proxy.refused())?),
            None => None,
        };
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = Config::builder()
            .tls_config(tls)
            .http_status_as_error(false)
            // Following a redirection would send the token, and possibly a PIN, to another address.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(api.connect_timeout()))
            .allow_non_standard_methods(true)
            .user_agent(api.user_agent())
            .proxy(proxy)
            .build();
        let connector = WatchedConnector(DefaultConnector::new());
        let agent = ureq::Agent::with_parts(config, connector, WatchedResolver(DefaultResolver::default()));
        let (base_url, device_id) = (api.base_url().to_owned(), api.device_id().map(str::to_owned));
        Ok(Self(Arc::new(Inner { agent, base_url, device_id })))
    }

    /// Sends a request once, within this limit.
    pub(crate) fn exchange(&self, prepared: &PreparedRequest, limit: Duration) -> Reply {
        let url = format!("{}{}", self.0.base_url, prepared.path());
        let mut request = Request::builder().method(prepared.method()).uri(url);
        for (name, value) in prepared.headers() {
            request = request.header(name, value);
        }
        if let Some(device_id) = &self.0.device_id {
            request = request.header("Mixin-Device-Id", device_id);
        }
        CONNECTING.set(Connecting::NotTried);
        let result = if prepared.body().is_empty() && prepared.is_read() {
            self.run(request.body(()), limit)
        } else {
            self.run(request.body(prepared.body()), limit)
        };
        match result {
            Ok(response) => receive(response),
            Err(error) => classify(error),
        }
    }

    fn run<B: AsSendBody>(
        &self,
        request: Result<Request<B>, ureq::http::Error>,
        limit: Duration,
    ) -> Result<Response<Body>, ureq::Error> {
        let agent = &self.0.agent;
        // The parts were checked, so the library does not refuse them. If it did, nothing would be sent.
        let request = request.inspect_err(|_| CONNECTING.set(Connecting::Failed))?;
        agent.run(agent.configure_request(request).timeout_global(Some(limit)).build())
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The agent's settings may contain a proxy's password.
        f.debug_struct("Transport").field("base_url", &self.0.base_url).finish_non_exhaustive()
    }
}

fn receive(mut response: Response<Body>) -> Reply {
    let too_long = |body: &Body| body.content_length().is_some_and(|len| len > MAX_BODY_LEN as u64);
    if too_long(response.body()) {
        return Reply::TooLong;
    }
    let mut bytes = Vec::new();
    // A redirection is never followed, and its body does not matter.
    if !response.status().is_redirection() {
        let read = response.body_mut().as_reader().take(MAX_BODY_LEN as u64 + 1).read_to_end(&mut bytes);
        match read {
            Err(error) => return interrupted(error.into()),
            Ok(len) if len > MAX_BODY_LEN => return Reply::TooLong,
            Ok(_) => {}
        }
    }
    let headers = response.headers();
    let header = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
    Reply::Answer(Received::new(response.status().as_u16(), header, bytes))
}

/// Tells whether anything may have been sent. `ureq`'s errors do not: an I/O error may come from connecting or from sending.
fn classify(error: ureq::Error) -> Reply {
    if CONNECTING.get() == Connecting::Failed { Reply::NotSent(wrap(error)) } else { interrupted(error) }
}

fn interrupted(error: ureq::Error) -> Reply {
    match error {
        ureq::Error::Timeout(_) => Reply::TimedOut,
        error => Reply::Lost(wrap(error)),
    }
}

fn wrap(error: ureq::Error) -> TransportError {
    let is_timeout = matches!(error, ureq::Error::Timeout(_));
    TransportError::new(error, is_timeout)
}

/// The state of the connection for this thread's current request. `NotTried` includes a pooled connection: any failure on it
/// may come after sending.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Connecting {
    NotTried,
    Failed,
    Made,
}

thread_local! {
    // `ureq` connects on the thread that sends.
    static CONNECTING: Cell<Connecting> = const { Cell::new(Connecting::NotTried) };
}

/// Records whether a connection was made, including TLS.
#[derive(Debug)]
struct WatchedConnector(DefaultConnector);

impl Connector for WatchedConnector {
    type Out = Box<dyn Connection>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<()>) -> Result<Option<Self::Out>, ureq::Error> {
        let result = self.0.connect(details, chained);
        // Set last, because the connection to a proxy passes here first, inside this call.
        CONNECTING.set(if result.is_ok() { Connecting::Made } else { Connecting::Failed });
        result
    }
}

/// Records whether the host name was found: `ureq` resolves it before it uses its pool. IP literals skip DNS and its thread.
#[derive(Debug)]
struct WatchedResolver(DefaultResolver);

impl Resolver for WatchedResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        if let Some(address) = address(uri) {
            let mut found = self.empty();
            found.push(address);
            return Ok(found);
        }
        let result = self.0.resolve(uri, config, timeout);
        if result.is_err() {
            CONNECTING.set(Connecting::Failed);
        }
        result
    }
}

/// The address in a URL, unless it has a host name.
fn address(uri: &Uri) -> Option<SocketAddr> {
    DefaultResolver::host_and_port(uri.scheme()?, uri.authority()?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_host_names_are_distinguished() {
        let found = |url: &str| address(&url.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(found("http://127.0.0.1:8080/me").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(found("https://[::1]/me").as_deref(), Some("[::1]:443"));
        assert_eq!(found("https://api.mixin.one/me"), None);
        assert_eq!(found("http://localhost:80/"), None);
    }
}
