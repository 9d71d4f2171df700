//! Connections: their number, the time limits of each, and how they end.
//!
//! Connections over the limit wait in the system's queue, as do those for which the system has no file descriptor.
//! Idle connections then close at once, and busy ones within their time limits.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::system;

/// The longest head, in bytes. A 90-day token signed with a 4096-bit key has 2 KiB.
const MAX_HEAD_LEN: usize = 32 << 10;
/// How long calls may take to finish after the sandbox is told to stop.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);
/// The wait before accepting again when the system has no file descriptors left.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);
/// How many connections may wait in the system's queue. The system may allow fewer, and refuses those beyond.
const BACKLOG: u32 = 4096;

/// The number of connections, and the time limit of each part of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    /// Also the time between two requests.
    pub(crate) head: Duration,
    pub(crate) body: Duration,
}

impl Limits {
    /// The longest time from one head to the next: head, body, and as long as the body for the answer.
    fn request(&self) -> Duration {
        self.head.saturating_add(self.body).saturating_add(self.body)
    }
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

/// Listens with a long queue, because the usual one is too short. Must be called inside the runtime.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    system::reuse_address(&socket)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Answers requests until told to stop.
pub(crate) async fn serve<A, F>(listener: TcpListener, limits: Limits, mut stopped: oneshot::Receiver<()>, answer: A)
where
    A: Fn(Request<Incoming>, Addresses) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(limits.connections));
    // Tells all open connections to close as soon as they can.
    let (drain, _) = watch::channel(());
    let mut open = JoinSet::new();
    loop {
        // A dropped sender means stop, too.
        let (stream, addresses) = tokio::select! {
            _ = &mut stopped => break,
            accepted = accept(&listener, &drain) => accepted,
        };
        while open.try_join_next().is_some() {}
        if slots.available_permits() == 0 {
            drain.send_replace(());
        }
        let slot = tokio::select! {
            _ = &mut stopped => break,
            slot = slots.clone().acquire_owned() => slot,
        };
        // The semaphore is never closed.
        let Ok(slot) = slot else { break };
        open.spawn(connection(stream, addresses, limits, drain.subscribe(), answer.clone(), slot));
    }
    drop((listener, drain));
    // Dropping the set cuts off what still runs.
    let _ = timeout(SHUTDOWN_TIMEOUT, async { while open.join_next().await.is_some() {} }).await;
}

async fn accept(listener: &TcpListener, drain: &watch::Sender<()>) -> (TcpStream, Addresses) {
    loop {
        match listener.accept().await {
            // If the client has disconnected already, the stream has no local address.
            Ok((stream, peer)) => {
                if let Ok(local) = stream.local_addr() {
                    return (stream, Addresses { local, peer });
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            // The system has no file descriptors left until a connection ends.
            Err(_) => {
                drain.send_replace(());
                sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn connection<A, F>(
    stream: TcpStream,
    addresses: Addresses,
    limits: Limits,
    mut drain: watch::Receiver<()>,
    answer: A,
    _slot: OwnedSemaphorePermit,
) where
    A: Fn(Request<Incoming>, Addresses) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (heads, mut head) = watch::channel(());
    let service = service_fn(move |request| {
        heads.send_replace(());
        let response = answer(request, addresses);
        async { Ok::<_, Infallible>(response.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(MAX_HEAD_LEN)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    loop {
        tokio::select! {
            biased;
            // The client sees how the connection ended.
            _ = &mut connection => return,
            _ = drain.changed() => break,
            next = timeout(limits.request(), head.changed()) => {
                if next.is_err() {
                    return;
                }
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    // A client that does not read its answer is cut off.
    let _ = timeout(limits.request(), connection).await;
}
