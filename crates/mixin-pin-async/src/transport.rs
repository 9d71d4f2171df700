//! Sends one prepared request to the server, once and within limits, and reads its answer.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mixin_pin_machine::{ApiSettings, ProxyUrl, Received, Reply, SettingsError, TransportError};
use mixin_pin_protocol::answer::MAX_BODY_LEN;
use mixin_pin_protocol::call::PreparedRequest;
use reqwest::header::HeaderValue;
use reqwest::{Body, Client, Method, Proxy, Request, Response, Url, redirect, retry};
use rustls::{ClientConfig, RootCertStore};

use crate::body::Parcel;

/// How long a connection stays open without a request. Most servers close it later. A request that is sent while the
/// server closes may be lost.
const POOL_IDLE: Duration = Duration::from_secs(15);

/// A connection to the API that any number of clients share: address, proxy, TLS, and a pool of open connections.
///
/// Clones are cheap and share their connections. An HTTP proxy is asked for a tunnel. It gets the requests themselves
/// only if the API's address is plain HTTP, such as a sandbox's.
///
/// ```
/// use mixin_pin_async::{ApiSettings, Transport};
///
/// let transport = Transport::new(&ApiSettings::new().user_agent("my-bot/1.0"))?;
/// // Client::builder(session).transport(transport.clone())
/// # Ok::<(), mixin_pin_async::SettingsError>(())
/// ```
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    http: Client,
    base_url: String,
    device_id: Option<String>,
}

impl Transport {
    /// Builds a transport. Sends nothing, and needs no runtime.
    ///
    /// # Errors
    /// Settings that cannot be used, or a proxy in the environment that cannot be used.
    pub fn new(settings: &ApiSettings) -> Result<Self, SettingsError> {
        let api = settings.check()?;
        let mut builder = Client::builder()
            // Everything else would send the token, and possibly a PIN, to another address or a second time.
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            // An HTTP/2 server can refuse a stream after its request was sent, and a library may then repeat it. HTTP/1
            // has no such refusal.
            .http1_only()
            .referer(false)
            // Another crate may turn on these features of `reqwest`.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .no_hickory_dns()
            .connect_timeout(api.connect_timeout())
            .pool_idle_timeout(POOL_IDLE)
            .user_agent(api.user_agent())
            .tls_backend_preconfigured(tls())
            // The settings have read the environment.
            .no_proxy();
        if let Some(proxy) = api.proxy() {
            builder = builder.proxy(to_proxy(proxy)?);
        }
        // Only the TLS settings, which are complete, and the headers, which were checked, could be refused.
        let http = builder.build().map_err(|_| SettingsError::Header)?;
        let (base_url, device_id) = (api.base_url().to_owned(), api.device_id().map(str::to_owned));
        Ok(Self(Arc::new(Inner { http, base_url, device_id })))
    }

    /// Sends a request once, within this limit.
    pub(crate) async fn exchange(&self, prepared: &PreparedRequest, limit: Duration) -> Reply {
        // The machine checked the parts, so this does not fail. If it did, nothing would be sent.
        let mut request = match self.request(prepared, limit) {
            Ok(request) => request,
            Err(error) => return Reply::NotSent(TransportError::new(error, false)),
        };
        let parcel = (!prepared.body().is_empty()).then(|| Parcel::new(prepared.body().to_vec()));
        if !prepared.is_read() || parcel.is_some() {
            *request.body_mut() = Some(parcel.clone().map_or_else(|| Vec::new().into(), Body::wrap));
        }
        let error = match self.0.http.execute(request).await {
            Ok(response) => return receive(response).await,
            Err(error) => error,
        };
        let is_unsent = match parcel {
            Some(parcel) => parcel.revoke(),
            // The connector failed, at the name, the connection, the proxy's tunnel or TLS. A connection gets the
            // request only after that.
            None => error.is_connect(),
        };
        if is_unsent {
            let is_timeout = error.is_timeout();
            return Reply::NotSent(TransportError::new(Failure(error.without_url()), is_timeout));
        }
        interrupted(error)
    }

    fn request(&self, prepared: &PreparedRequest, limit: Duration) -> Result<Request, Box<dyn StdError + Send + Sync>> {
        let url: Url = format!("{}{}", self.0.base_url, prepared.path()).parse()?;
        // The token signs the path as it is.
        let is_exact = match url.query() {
            None => prepared.path() == url.path(),
            Some(query) => prepared.path().split_once('?') == Some((url.path(), query)),
        };
        if !is_exact {
            return Err("this path would be changed on its way".into());
        }
        let mut request = Request::new(Method::from_bytes(prepared.method().as_bytes())?, url);
        let headers = request.headers_mut();
        for (name, value) in prepared.headers() {
            let mut value = HeaderValue::from_str(value)?;
            value.set_sensitive(name == "Authorization");
            headers.insert(name, value);
        }
        if let Some(device_id) = &self.0.device_id {
            headers.insert("Mixin-Device-Id", HeaderValue::from_str(device_id)?);
        }
        *request.timeout_mut() = Some(limit);
        Ok(request)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The client's settings may contain a proxy's password.
        f.debug_struct("Transport").field("base_url", &self.0.base_url).finish_non_exhaustive()
    }
}

/// TLS 1.2 and 1.3 with Mozilla's roots, as in the blocking client.
fn tls() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs supports both versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn to_proxy(proxy: &ProxyUrl) -> Result<Proxy, SettingsError> {
    let url = match proxy.expose().strip_prefix("socks://") {
        Some(rest) => format!("socks5://{rest}"),
        None => proxy.expose().to_owned(),
    };
    Proxy::all(url).map_err(|_| proxy.refused())
}

async fn receive(mut response: Response) -> Reply {
    if response.content_length().is_some_and(|len| len > MAX_BODY_LEN as u64) {
        return Reply::TooLong;
    }
    let mut body = Vec::new();
    // A redirection is never followed, and its body does not matter.
    while !response.status().is_redirection() {
        match response.chunk().await {
            Err(error) => return interrupted(error),
            Ok(Some(piece)) if piece.len() > MAX_BODY_LEN - body.len() => return Reply::TooLong,
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) => break,
        }
    }
    let headers = response.headers();
    let header = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
    Reply::Answer(Received::new(response.status().as_u16(), header, body))
}

fn interrupted(error: reqwest::Error) -> Reply {
    if error.is_timeout() {
        Reply::TimedOut
    } else {
        Reply::Lost(TransportError::new(Failure(error.without_url()), false))
    }
}

/// An error with its causes, which its own text does not name. It has no URL: a query may contain secrets.
#[derive(Debug)]
struct Failure(reqwest::Error);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl StdError for Failure {}
