//! Sends one prepared request to the server, once and within limits, and reads its answer.

use std::cell::Cell;
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use mixin_pin_core::UnixTime;
use mixin_pin_protocol::answer::{Answer, MAX_BODY_LEN};
use mixin_pin_protocol::call::PreparedRequest;
use serde::de::DeserializeOwned;
use ureq::config::Config;
use ureq::http::{Request, Response, Uri};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport as Connection,
};
use ureq::{AsSendBody, Body};

use crate::retry::Deadline;
use crate::{Error, SettingsError, TransportError};

#[derive(Debug)]
pub(crate) struct Transport {
    agent: ureq::Agent,
    base_url: String,
    device_id: Option<String>,
}

impl Transport {
    pub(crate) fn new(config: Config, base_url: String, device_id: Option<String>) -> Self {
        let connector = WatchedConnector(DefaultConnector::new());
        let resolver = WatchedResolver(DefaultResolver::default());
        Self { agent: ureq::Agent::with_parts(config, connector, resolver), base_url, device_id }
    }

    /// Sends a request and parses its answer.
    pub(crate) fn send<T: DeserializeOwned>(
        &self,
        prepared: &PreparedRequest,
        deadline: &Deadline,
    ) -> Result<T, Error> {
        let received = self.exchange(prepared, deadline)?;
        Ok(received.answer().read(prepared.request_id())?)
    }

    /// Sends a request and returns its answer unparsed.
    pub(crate) fn exchange(&self, prepared: &PreparedRequest, deadline: &Deadline) -> Result<Received, Error> {
        // Checked after signing. Once sending begins, it is unknown what arrived.
        let limit = deadline.for_sending()?;
        let mut request = ureq::http::Request::builder().method(prepared.method()).uri(format!(
            "{}{}",
            self.base_url,
            prepared.path()
        ));
        for (name, value) in prepared.headers() {
            request = request.header(name, value);
        }
        if let Some(device_id) = &self.device_id {
            request = request.header("Mixin-Device-Id", device_id);
        }

        CONNECTING.set(Connecting::NotTried);
        let result = if prepared.body().is_empty() && prepared.is_read() {
            self.run(request.body(()), limit)?
        } else {
            self.run(request.body(prepared.body()), limit)?
        };
        let mut response = result.map_err(|error| classify(error, limit))?;

        let status = response.status().as_u16();
        if response.status().is_redirection() {
            return Err(Error::Redirect { status });
        }
        // A header that is not text counts as present, but matches nothing.
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap_or("?").to_owned());
        let (request_id, integrity_token) = (header("X-Request-Id"), header("X-Integrity-Token"));
        let retry_after = header("Retry-After").and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let server_time = header("X-Server-Time").and_then(|text| text.trim().parse().ok()).map(UnixTime::from_nanos);
        let body = read_body(response.body_mut(), limit)?;
        Ok(Received { status, retry_after, server_time, request_id, integrity_token, body })
    }

    fn run<B: AsSendBody>(
        &self,
        request: Result<Request<B>, ureq::http::Error>,
        limit: Duration,
    ) -> Result<Result<Response<Body>, ureq::Error>, Error> {
        let request = request.map_err(|_| SettingsError::Header)?;
        Ok(self.agent.run(self.agent.configure_request(request).timeout_global(Some(limit)).build()))
    }
}

/// An answer before parsing.
pub(crate) struct Received {
    pub(crate) status: u16,
    /// `Retry-After`, if it is in seconds.
    pub(crate) retry_after: Option<Duration>,
    /// The server's time, if the answer names it.
    pub(crate) server_time: Option<UnixTime>,
    request_id: Option<String>,
    integrity_token: Option<String>,
    body: Vec<u8>,
}

impl Received {
    pub(crate) fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            request_id: self.request_id.as_deref(),
            integrity_token: self.integrity_token.as_deref(),
            body: &self.body,
        }
    }
}

fn read_body(body: &mut Body, limit: Duration) -> Result<Vec<u8>, Error> {
    let too_long = Error::AnswerTooLong { limit: MAX_BODY_LEN };
    if body.content_length().is_some_and(|len| len > MAX_BODY_LEN as u64) {
        return Err(too_long);
    }
    let mut bytes = Vec::new();
    body.as_reader()
        .take(MAX_BODY_LEN as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| interrupted(error.into(), limit))?;
    if bytes.len() > MAX_BODY_LEN { Err(too_long) } else { Ok(bytes) }
}

/// Tells whether anything may have been sent. `ureq`'s errors do not: an I/O error may come from connecting or from sending.
fn classify(error: ureq::Error, limit: Duration) -> Error {
    if CONNECTING.get() == Connecting::Failed {
        Error::Connect(TransportError::new(error))
    } else {
        interrupted(error, limit)
    }
}

fn interrupted(error: ureq::Error, limit: Duration) -> Error {
    match error {
        ureq::Error::Timeout(_) => Error::Timeout { limit },
        error => Error::Interrupted(TransportError::new(error)),
    }
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
