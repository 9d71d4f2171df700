//! A server that closes its connections at the worst moments, and counts what it receives: no request is sent twice, and a
//! request is reported as not sent only if no byte of it arrived.
//!
//! `hyper-util` sends a request over another connection if the first one was closed before it took the request. It does not
//! tell, so this test looks from the server.

mod common;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{USER, builder, pin};
use mixin_pin_async::core::uuid::Uuid;
use mixin_pin_async::{ApiSettings, Error, Event, Observer, Outcome, OutcomeClass, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

const CALLS: usize = 3_000;

/// What the server received.
#[derive(Default)]
struct Received {
    /// How often a request began to arrive, by its id.
    begun: Mutex<HashMap<Uuid, usize>>,
    /// The bodies of the requests that arrived whole.
    bodies: Mutex<Vec<String>>,
}

/// When a connection is closed, and how.
#[derive(Debug, Clone, Copy)]
enum Close {
    /// Before the next request, if it comes later than this.
    After(Duration),
    /// When this many bytes of the next request have arrived. They contain its id.
    InRequest(usize),
    /// When the next request has arrived.
    AfterRequest,
    /// In the answer to the next request.
    InAnswer,
}

fn moment() -> Close {
    match fastrand::u8(0..10) {
        0..5 => Close::After(Duration::from_micros(fastrand::u64(0..2_000))),
        5 => Close::After(Duration::ZERO),
        6 => Close::InRequest(fastrand::usize(130..400)),
        7 => Close::AfterRequest,
        8 => Close::InAnswer,
        _ => Close::After(Duration::from_secs(1)),
    }
}

/// Reads a request. Returns None if the connection is to be closed.
async fn request(stream: &mut TcpStream, received: &Received, close: Close) -> Option<Uuid> {
    let limit = if let Close::After(limit) = close { limit } else { Duration::from_secs(10) };
    let most = if let Close::InRequest(most) = close { most } else { 8_192 };
    let (mut bytes, mut piece) = (Vec::new(), vec![0; most]);
    loop {
        let read = stream.read(&mut piece);
        let count = if bytes.is_empty() {
            tokio::time::timeout(limit, read).await.ok()?.ok().filter(|count| *count > 0)?
        } else {
            read.await.ok().filter(|count| *count > 0)?
        };
        let is_first = bytes.is_empty();
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let header = |wanted: &str| {
            let mut headers = text.lines().filter_map(|line| line.split_once(": "));
            headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned()).unwrap()
        };
        let id = header("x-request-id").parse().unwrap();
        if is_first {
            *received.begun.lock().unwrap().entry(id).or_default() += 1;
        }
        if let Close::InRequest(_) = close {
            return None;
        }
        let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
        if body.len() == header("content-length").parse::<usize>().unwrap() {
            received.bodies.lock().unwrap().push(body.to_owned());
            return Some(id);
        }
    }
}

async fn serve(mut stream: TcpStream, received: Arc<Received>) {
    if fastrand::bool() {
        stream.set_zero_linger().unwrap();
    }
    loop {
        let close = moment();
        let Some(id) = request(&mut stream, &received, close).await else { return };
        let answer = format!("HTTP/1.1 200 OK\r\nX-Request-Id: {id}\r\nContent-Length: {}\r\n\r\n{USER}", USER.len());
        let len = match close {
            Close::AfterRequest => return,
            Close::InAnswer => fastrand::usize(1..answer.len()),
            _ => answer.len(),
        };
        // The client may have gone.
        if stream.write_all(&answer.as_bytes()[..len]).await.is_err() || len < answer.len() {
            return;
        }
    }
}

/// The ids of the requests that ended in this class.
#[derive(Default)]
struct Ended(Mutex<Vec<(Uuid, OutcomeClass)>>);

impl Observer for Ended {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Ended { request_id, class, .. } = event {
            self.0.lock().unwrap().push((*request_id, *class));
        }
    }
}

/// A running server, on a runtime of its own beside the client's.
struct Stage {
    url: String,
    received: Arc<Received>,
    ended: Arc<Ended>,
    runtime: Runtime,
    accepting: JoinHandle<()>,
}

impl Stage {
    async fn new() -> Self {
        let (received, ended) = (Arc::<Received>::default(), Arc::<Ended>::default());
        let runtime = Runtime::new().unwrap();
        let listener = runtime.spawn(TcpListener::bind("127.0.0.1:0")).await.unwrap().unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let record = received.clone();
        let accepting = runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Some connections are closed before they take a request.
                if fastrand::u8(0..20) > 0 {
                    tokio::spawn(serve(stream, record.clone()));
                }
            }
        });
        Self { url, received, ended, runtime, accepting }
    }

    /// Checks what arrived. Returns how many requests began to arrive, and how many were not sent.
    fn check(self) -> (usize, usize) {
        let (begun, ended) = (self.received.begun.lock().unwrap(), self.ended.0.lock().unwrap());
        let twice: Vec<_> = begun.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "sent more than once: {twice:?}");
        let mut bodies = self.received.bodies.lock().unwrap().clone();
        let arrived = bodies.len();
        bodies.sort_unstable();
        bodies.dedup();
        assert_eq!(bodies.len(), arrived, "an encrypted PIN was in two requests");
        let not_sent: Vec<_> = ended.iter().filter(|(_, class)| *class == OutcomeClass::NotSent).collect();
        for (id, _) in &not_sent {
            assert!(!begun.contains_key(id), "{id} arrived, although it was not sent");
        }
        self.runtime.shutdown_background();
        (begun.len(), not_sent.len())
    }
}

#[tokio::test]
async fn a_request_that_may_have_left_is_never_sent_again() {
    let mut stage = Stage::new().await;
    let client = builder().base_url(&stage.url).observer(stage.ended.clone()).build().unwrap();
    let (mut done, mut unknown) = (0, 0);
    for _ in 0..CALLS {
        match client.verify_pin(&pin()).await {
            Ok(Outcome::Done(_)) => done += 1,
            Ok(Outcome::Unknown(_)) => unknown += 1,
            // Three connections were closed before they took the request.
            Err(error) => assert!(matches!(error, Error::Connect(_)), "{error:?}"),
        }
        if fastrand::bool() {
            tokio::time::sleep(Duration::from_micros(fastrand::u64(0..2_000))).await;
        }
    }
    // Now nothing listens. A request may still go over an open connection.
    stage.accepting.abort();
    assert!((&mut stage.accepting).await.unwrap_err().is_cancelled());
    let mut failed = 0;
    while failed < 20 {
        match client.verify_pin(&pin()).await {
            Ok(_) => {}
            Err(error) => {
                assert!(error.nothing_changed(), "{error:?}");
                failed += 1;
            }
        }
    }
    let (begun, not_sent) = stage.check();
    println!("{done} done, {unknown} unknown, {not_sent} not sent; {begun} began to arrive");
    assert!(unknown > CALLS / 20 && done > CALLS / 3 && begun > CALLS * 2 / 3, "{done} {unknown} {begun}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_whose_time_ends_while_it_leaves_is_sent_or_not() {
    let stage = Stage::new().await;
    let transport = Transport::new(&ApiSettings::new().base_url(&stage.url)).unwrap();
    let clients: Vec<_> = (1..=20)
        .map(|number| {
            let client = builder().transport(transport.clone()).observer(stage.ended.clone());
            client.timeout(Duration::from_micros(100 * number)).build().unwrap()
        })
        .collect();
    let (mut done, mut unknown) = (0, 0);
    for _ in 0..CALLS {
        match clients[fastrand::usize(..clients.len())].verify_pin(&pin()).await {
            Ok(Outcome::Done(_)) => done += 1,
            Ok(Outcome::Unknown(_)) => unknown += 1,
            Err(error) => assert!(error.nothing_changed(), "{error:?}"),
        }
    }
    // What was sent arrives.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (begun, not_sent) = stage.check();
    println!("{done} done, {unknown} unknown, {not_sent} not sent; {begun} began to arrive");
    assert!(done > 0 && unknown > 0 && not_sent > 0, "{done} {unknown} {not_sent}");
}
