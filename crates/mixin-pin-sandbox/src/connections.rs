//! Connections: how many there are at a time, how long each may take, and how all of them end.
//!
//! One over the number, or one that the system has no file for, waits in the system's queue. Idle ones make room for it at
//! once, all others within the time limits, so that nobody is locked out for longer.

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

/// The longest head. A token of 90 days under 4096 bits has two kilobytes.
const MAX_HEAD_LEN: usize = 32 << 10;
/// How long calls may go on after the sandbox is told to stop.
const LAST_CALLS: Duration = Duration::from_secs(1);
/// Before a system that has no more files is asked for one again.
const PAUSE: Duration = Duration::from_millis(100);

/// How many connections wait in the system's queue, where the system grants as many; one more is not even let connect.
const QUEUE: u32 = 4096;

/// How many connections there may be, and how long each part of a request may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    /// Also between two requests.
    pub(crate) head: Duration,
    pub(crate) body: Duration,
}

impl Limits {
    /// From one head to the next: head, body, and as long again for the client to take the answer.
    fn cycle(&self) -> Duration {
        self.head.saturating_add(self.body).saturating_add(self.body)
    }
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

/// Listens, with room for those who wait: the queue that is usual holds fewer than a small crowd. To be called where the
/// runtime is entered.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As the standard library does: a restart need not wait for the connections of the sandbox before to be forgotten.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}

/// Answers requests until told to stop.
pub(crate) async fn serve<A, F>(listener: TcpListener, limits: Limits, mut stopped: oneshot::Receiver<()>, answer: A)
where
    A: Fn(Request<Incoming>, Ends) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(limits.connections));
    let (hurry, _) = watch::channel(());
    let mut open = JoinSet::new();
    loop {
        // A sender that is gone without a word means stop, too.
        let (stream, ends) = tokio::select! {
            _ = &mut stopped => break,
            accepted = accept(&listener, &hurry) => accepted,
        };
        while open.try_join_next().is_some() {}
        if slots.available_permits() == 0 {
            hurry.send_replace(());
        }
        let slot = tokio::select! {
            _ = &mut stopped => break,
            slot = slots.clone().acquire_owned() => slot,
        };
        // Nobody closes the semaphore.
        let Ok(slot) = slot else { break };
        open.spawn(connection(stream, ends, limits, hurry.subscribe(), answer.clone(), slot));
    }
    drop((listener, hurry));
    // What still runs after that is cut off with the set.
    let _ = timeout(LAST_CALLS, async { while open.join_next().await.is_some() {} }).await;
}

async fn accept(listener: &TcpListener, hurry: &watch::Sender<()>) -> (TcpStream, Ends) {
    loop {
        match listener.accept().await {
            // A client that is gone already has no address any more.
            Ok((stream, peer)) => {
                if let Ok(local) = stream.local_addr() {
                    return (stream, Ends { local, peer });
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            // The system has no more files until a connection ends.
            Err(_) => {
                hurry.send_replace(());
                sleep(PAUSE).await;
            }
        }
    }
}

async fn connection<A, F>(
    stream: TcpStream,
    ends: Ends,
    limits: Limits,
    mut hurry: watch::Receiver<()>,
    answer: A,
    _slot: OwnedSemaphorePermit,
) where
    A: Fn(Request<Incoming>, Ends) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let (heads, mut head) = watch::channel(());
    let service = service_fn(move |request| {
        heads.send_replace(());
        let response = answer(request, ends);
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
            // How a connection ended is its client's affair.
            _ = &mut connection => return,
            _ = hurry.changed() => break,
            next = timeout(limits.cycle(), head.changed()) => {
                if next.is_err() {
                    return;
                }
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    // A client that does not take its answer is cut off.
    let _ = timeout(limits.cycle(), connection).await;
}
