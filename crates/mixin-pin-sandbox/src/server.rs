//! HTTP in and out: takes a request apart for the service, and makes HTTP of its reply.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::get;
use mixin_pin_protocol::answer::{ErrorCode, MAX_BODY_LEN};
use mixin_pin_protocol::check::ReceivedRequest;
use tokio::sync::oneshot;

use crate::Error;
use crate::reply::{Refusal, Reply};
use crate::service::Service;

pub(crate) async fn serve(
    listener: std::net::TcpListener,
    service: Arc<Service>,
    stopped: oneshot::Receiver<()>,
) -> Result<(), Error> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::Listen)?;
    let app = Router::new().route("/", get(status).fallback(handle)).fallback(handle).with_state(service);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async {
            // A sender that is gone without a word means stop, too.
            let _ = stopped.await;
        })
        .await
        .map_err(Error::Serve)
}

/// The page for who looks on. Without one, `/` is a path like any other.
async fn status(state: State<Arc<Service>>, peer: ConnectInfo<SocketAddr>, request: Request) -> Response<Body> {
    match tokio::task::block_in_place(|| state.0.status_page()) {
        Ok(Some(page)) => html(page),
        Ok(None) => handle(state, peer, request).await,
        Err(error) => {
            eprintln!("mixin-pin-sandbox: {error}");
            respond(Reply::server_trouble(), None, 0)
        }
    }
}

fn html(page: String) -> Response<Body> {
    let mut response = Response::new(Body::from(page));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // Names are whatever a client sent.
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

async fn handle(
    State(service): State<Arc<Service>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response<Body> {
    let now = service.now();
    let (parts, body) = request.into_parts();
    let request_id = parts.headers.get("X-Request-Id").cloned();
    let reply = match to_bytes(body, MAX_BODY_LEN).await {
        Err(_) => Refusal::new(ErrorCode::BadRequest, "body_too_long").into(),
        Ok(body) => {
            // Signatures and SQLite take their time: the other requests of this thread move on to another.
            tokio::task::block_in_place(|| {
                let judged = catch_unwind(AssertUnwindSafe(|| judge(&service, &parts, &body, peer)));
                // What the panic interrupted was undone with its transaction.
                judged.unwrap_or_else(|_| Reply::server_trouble())
            })
        }
    };
    respond(reply, request_id, now.as_nanos().unwrap_or_default())
}

fn judge(service: &Service, parts: &axum::http::request::Parts, body: &Bytes, peer: SocketAddr) -> Reply {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let request = ReceivedRequest {
        method: parts.method.as_str(),
        path,
        body,
        authorization: text(&parts.headers, "Authorization"),
        request_id: text(&parts.headers, "X-Request-Id"),
    };
    service.answer(&request, text(&parts.headers, "User-Agent"), peer.ip())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn respond(reply: Reply, request_id: Option<HeaderValue>, server_time: u64) -> Response<Body> {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert("X-Server-Time", HeaderValue::from(server_time));
    if let Some(request_id) = request_id {
        headers.insert("X-Request-Id", request_id);
    }
    if let Some(token) = reply.integrity_token.and_then(|token| HeaderValue::from_str(&token).ok()) {
        headers.insert("X-Integrity-Token", token);
    }
    response
}
