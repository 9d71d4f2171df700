//! HTTP in and out: takes a request apart for the service, and makes HTTP of its reply.

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

use crate::connections::{self, Ends, Limits};
use crate::reply::{Refusal, Reply};
use crate::service::{Service, is_unsigned};
use crate::{Error, browser};

/// The longest body of a call that nobody signs.
const MAX_UNSIGNED_LEN: usize = 16 << 10;
/// A body up to here is read beside all others.
const SMALL_BODY_LEN: usize = 16 << 10;
/// How many longer ones are in memory at a time, beyond their beginnings.
const LARGE_BODIES: usize = 8;

pub(crate) async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    limits: Limits,
    stopped: oneshot::Receiver<()>,
) -> Result<(), Error> {
    let large_bodies = Arc::new(Semaphore::new(LARGE_BODIES));
    connections::serve(listener, limits, stopped, move |request, ends| {
        answer(service.clone(), large_bodies.clone(), limits.body, request, ends)
    })
    .await;
    Ok(())
}

async fn answer(
    service: Arc<Service>,
    large_bodies: Arc<Semaphore>,
    time: Duration,
    request: Request<Incoming>,
    ends: Ends,
) -> Response<Body> {
    let now = service.now();
    let (parts, body) = request.into_parts();
    let request_id = parts.headers.get("X-Request-Id").cloned();
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    let is_unsigned = is_unsigned(parts.method.as_str(), path);
    // Held until the request is judged.
    let mut large = None;
    let received = async {
        if is_read {
            return receive(body, 0, async || ()).await.map_err(|_| "body_with_get");
        }
        if is_unsigned {
            return receive(body, MAX_UNSIGNED_LEN, async || ()).await;
        }
        // Nobody closes the semaphore.
        receive(body, MAX_BODY_LEN, async || large = large_bodies.acquire().await.ok()).await
    };
    let body = match timeout(time, received).await.unwrap_or(Err("body_too_slow")) {
        Err(reason) => Err(Refusal::new(ErrorCode::BadRequest, reason)),
        Ok(_) if is_unsigned && browser::comes_from_elsewhere(&parts, ends.local) => {
            Err(Refusal::new(ErrorCode::Forbidden, "origin"))
        }
        Ok(body) => Ok(body),
    };
    // Signatures and SQLite take their time: the other requests of this thread move on to another.
    tokio::task::block_in_place(|| {
        let judged = catch_unwind(AssertUnwindSafe(|| {
            if is_read && body.is_ok() && parts.uri.path() == "/" && service.has_status_page() {
                return status(&service, &parts, ends);
            }
            let reply = judge(&service, &parts, path, body, ends);
            respond(reply, request_id.as_ref(), now.as_nanos().unwrap_or_default())
        }));
        // What the panic interrupted was undone with its transaction, unless it was an observer's, told of what is kept.
        judged.unwrap_or_else(|_| respond(Reply::server_trouble(), None, 0))
    })
}

/// Reads a whole body, or says what is wrong with it. A client may send each byte by itself, so that what is kept is copied
/// together at once. `grow` is waited for once more than a small body has come, whatever was announced: who sends nothing
/// takes no place of those who send much.
async fn receive(mut body: Incoming, max: usize, grow: impl AsyncFnOnce()) -> Result<Vec<u8>, &'static str> {
    if body.size_hint().lower() > max as u64 {
        return Err("body_too_long");
    }
    let mut bytes = Vec::new();
    let mut grow = Some(grow);
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        // Trailers have no meaning here.
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

fn judge(service: &Service, parts: &Parts, path: &str, body: Result<Vec<u8>, Refusal>, ends: Ends) -> Reply {
    let (body, refusal) = body.map_or_else(|refusal| (Vec::new(), Some(refusal)), |body| (body, None));
    let request = ReceivedRequest {
        method: parts.method.as_str(),
        path,
        body: &body,
        authorization: text(&parts.headers, "Authorization"),
        request_id: text(&parts.headers, "X-Request-Id"),
    };
    service.answer(&request, refusal, text(&parts.headers, "User-Agent"), ends.peer.ip())
}

/// The page for who looks on, if it is a browser of this machine that was not led here from elsewhere.
fn status(service: &Service, parts: &Parts, ends: Ends) -> Response<Body> {
    const TEXT: &str = "text/plain; charset=utf-8";
    if !browser::names_this_machine(parts, ends.local) {
        let why = "This page answers to localhost and to addresses of this machine only.\n";
        return page(StatusCode::MISDIRECTED_REQUEST, TEXT, why.to_owned());
    }
    if browser::comes_from_elsewhere(parts, ends.local) {
        return page(StatusCode::FORBIDDEN, TEXT, "This page does not answer to other pages.\n".to_owned());
    }
    match service.status_page() {
        Ok(text) => page(StatusCode::OK, "text/html; charset=utf-8", text),
        Err(error) => {
            eprintln!("mixin-pin-sandbox: {error}");
            respond(Reply::server_trouble(), None, 0)
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
    // Names are whatever a client sent.
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// A header's text. One that is there twice is as good as none: nothing says which of them counts.
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
