//! HTTP: reads requests for the service, and writes its replies.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use mixin_pin_protocol::answer::{ErrorCode, MAX_BODY_LEN};
use mixin_pin_protocol::check::ReceivedRequest;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::browser;
use crate::connections::{self, Addresses, Limits};
use crate::reply::{Refusal, Reply};
use crate::service::{Service, is_unsigned};

/// The longest body of an unsigned call, in bytes.
const MAX_UNSIGNED_LEN: usize = 16 << 10;
/// Bodies up to this length, in bytes, are read without limit of their number.
const SMALL_BODY_LEN: usize = 16 << 10;
/// How many longer bodies are read at a time beyond that length.
const LARGE_BODIES: usize = 8;

pub(crate) async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    limits: Limits,
    stopped: oneshot::Receiver<()>,
) {
    let large_bodies = Arc::new(Semaphore::new(LARGE_BODIES));
    connections::serve(listener, limits, stopped, move |request, addresses| {
        answer(service.clone(), large_bodies.clone(), limits.body, request, addresses)
    })
    .await;
}

async fn answer(
    service: Arc<Service>,
    large_bodies: Arc<Semaphore>,
    time: Duration,
    request: Request<Incoming>,
    addresses: Addresses,
) -> Response<Body> {
    let now = service.now();
    let (parts, body) = request.into_parts();
    let request_id = parts.headers.get("X-Request-Id").cloned();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let is_get = matches!(parts.method, Method::GET | Method::HEAD);
    let is_unsigned = is_unsigned(parts.method.as_str(), path);
    // Kept until the request is answered.
    let mut large = None;
    let received = async {
        if is_get {
            return receive(body, 0, async || ()).await.map_err(|_| "body_with_get");
        }
        if is_unsigned {
            return receive(body, MAX_UNSIGNED_LEN, async || ()).await;
        }
        // The semaphore is never closed.
        receive(body, MAX_BODY_LEN, async || large = large_bodies.acquire().await.ok()).await
    };
    let body = match timeout(time, received).await.unwrap_or(Err("body_too_slow")) {
        Err(reason) => Err(Refusal::new(ErrorCode::BadRequest, reason)),
        Ok(_) if is_unsigned && browser::is_cross_origin(&parts, addresses.local) => {
            Err(Refusal::new(ErrorCode::Forbidden, "origin"))
        }
        Ok(body) => Ok(body),
    };
    // Signatures and SQLite block: other requests move to another thread.
    tokio::task::block_in_place(|| {
        let response = catch_unwind(AssertUnwindSafe(|| {
            if is_get && body.is_ok() && parts.uri.path() == "/" && service.has_status_page() {
                return status_page(&service, &parts, addresses);
            }
            let reply = reply(&service, &parts, path, body, addresses);
            respond(reply, request_id.as_ref(), now.as_nanos().unwrap_or_default())
        }));
        // A panic rolls back the transaction. If the observer panicked, the transaction is committed already.
        response.unwrap_or_else(|_| respond(Reply::internal_error(), None, 0))
    })
}

/// Reads a whole body, or returns the reason to refuse it. Each frame is copied at once, because a client may send single
/// bytes. Waits for `grow` when more than a small body has arrived. The announced length does not count: a client that
/// announces a large body and sends nothing takes no place.
async fn receive(mut body: Incoming, max: usize, grow: impl AsyncFnOnce()) -> Result<Vec<u8>, &'static str> {
    if body.size_hint().lower() > max as u64 {
        return Err("body_too_long");
    }
    let mut bytes = Vec::new();
    let mut grow = Some(grow);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        // Trailers are ignored.
        let Ok(data) = frame.map_err(|_| "body_incomplete")?.into_data() else { continue };
        if data.len() > max - bytes.len() {
            return Err("body_too_long");
        }
        if bytes.len() + data.len() > SMALL_BODY_LEN
            && let Some(grow) = grow.take()
        {
            grow().await;
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn reply(service: &Service, parts: &Parts, path: &str, body: Result<Vec<u8>, Refusal>, addresses: Addresses) -> Reply {
    let (body, refusal) = body.map_or_else(|refusal| (Vec::new(), Some(refusal)), |body| (body, None));
    let request = ReceivedRequest {
        method: parts.method.as_str(),
        path,
        body: &body,
        authorization: text(&parts.headers, "Authorization"),
        request_id: text(&parts.headers, "X-Request-Id"),
    };
    service.answer(&request, refusal, text(&parts.headers, "User-Agent"), addresses.peer.ip())
}

/// The status page, for browsers of this machine that no other page sent here.
fn status_page(service: &Service, parts: &Parts, addresses: Addresses) -> Response<Body> {
    const TEXT: &str = "text/plain; charset=utf-8";
    if !browser::names_this_machine(parts, addresses.local) {
        let why = "Open this page as localhost or by an address of this machine.\n";
        return page(StatusCode::MISDIRECTED_REQUEST, TEXT, why.to_owned());
    }
    if browser::is_cross_origin(parts, addresses.local) {
        return page(StatusCode::FORBIDDEN, TEXT, "Other web pages cannot read this page.\n".to_owned());
    }
    match service.status_page() {
        Ok(text) => page(StatusCode::OK, "text/html; charset=utf-8", text),
        Err(error) => {
            eprintln!("mixin-pin-sandbox: {error}");
            respond(Reply::internal_error(), None, 0)
        }
    }
}

fn page(status: StatusCode, content_type: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("Cross-Origin-Resource-Policy", HeaderValue::from_static("same-origin"));
    // The page shows text from clients.
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// A header's text. A header that is sent twice counts as missing: nothing says which one is meant.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

fn respond(reply: Reply, request_id: Option<&HeaderValue>, server_time: u64) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("X-Server-Time", HeaderValue::from(server_time));
    if let Some(request_id) = request_id {
        headers.insert("X-Request-Id", request_id.clone());
    }
    if let Some(token) = reply.integrity_token.and_then(|token| HeaderValue::from_str(&token).ok()) {
        headers.insert("X-Integrity-Token", token);
    }
    response
}
