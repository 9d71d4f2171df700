//! Futures that are dropped, runtimes that stop, and observers that panic: before a request is sent nothing happens, and
//! afterwards the call goes on to its end or stays in the journal.

mod common;

use std::future::poll_fn;
use std::io::Read as _;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use common::{Server, USER, builder, pin, respond};
use mixin_pin_async::core::token::Algorithm;
use mixin_pin_async::core::uuid::Uuid;
use mixin_pin_async::core::{Ed25519Key, Session, SignerError};
use mixin_pin_async::store::{
    AsyncNonceStore, BoxFuture, Durability, LeaseReply, LeaseTerms, MemoryStore, NonceStore, SqliteStore,
};
use mixin_pin_async::{AsyncSigner, Client, Error, Event, Observer, Outcome, OutcomeClass, TransportError};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Notify;

const SECOND: Duration = Duration::from_secs(1);

/// Polls a future a number of times, then drops it. Returns its output if it is ready by then.
async fn polled<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let (mut future, mut polls) = (pin!(future), 0);
    poll_fn(|context| {
        if polls == times {
            return Poll::Ready(None);
        }
        polls += 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

/// Signs with Ed25519 after some time, which other tasks use.
struct Remote(Ed25519Key, Duration);

impl AsyncSigner for Remote {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDsa
    }

    fn sign<'s>(&'s self, message: &'s [u8]) -> BoxFuture<'s, Result<Vec<u8>, SignerError>> {
        Box::pin(async move {
            tokio::time::sleep(self.1).await;
            AsyncSigner::sign(&self.0, message).await
        })
    }
}

/// The session of `builder`, signed for by another signer.
fn with_signer(signer: impl AsyncSigner + 'static) -> mixin_pin_async::ClientBuilder {
    static NEXT: AtomicUsize = AtomicUsize::new(0x5169);
    let server = Ed25519Key::from_bytes(&[2; 32]).unwrap().public_key().to_x25519().unwrap();
    let key = Ed25519Key::from_bytes(&[1; 32]).unwrap();
    let session_id = Uuid::from_u128(NEXT.fetch_add(1, Ordering::SeqCst) as u128);
    let session = Session::ed25519(Uuid::nil(), session_id, key, &server).unwrap();
    Client::builder_with_signer(session.map_signer(|_| signer))
}

fn remote(time: Duration) -> Remote {
    Remote(Ed25519Key::from_bytes(&[1; 32]).unwrap(), time)
}

/// Hears what became of requests.
#[derive(Default)]
struct Ears {
    heard: Mutex<Vec<(Uuid, OutcomeClass)>>,
    ended: Notify,
}

impl Observer for Ears {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Ended { request_id, class, .. } = event {
            self.heard.lock().unwrap().push((*request_id, *class));
            self.ended.notify_one();
        }
    }
}

fn is_free(store: &MemoryStore, session_id: Uuid) -> bool {
    let reply = NonceStore::lease(store, session_id, &LeaseTerms::new(SECOND)).unwrap();
    matches!(reply, LeaseReply::Granted(_))
}

#[tokio::test]
async fn a_future_dropped_before_its_request_is_sent_leaves_nothing() {
    let server = Server::answering("200 OK", USER);
    let store = MemoryStore::new();
    let client = with_signer(remote(SECOND)).base_url(&server.url).store(store.clone()).build().unwrap();
    let session_id = client.session().session_id();
    let pin = pin();
    // It never begins, or it ends while the remote signer works.
    drop(client.verify_pin(&pin));
    let call = client.verify_pin(&pin);
    assert!(tokio::time::timeout(SECOND / 10, call).await.is_err());
    tokio::time::sleep(SECOND / 10).await;
    assert!(NonceStore::pending(&store, session_id).unwrap().is_empty());
    assert!(is_free(&store, session_id));
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
    client.verify_pin(&pin).await.unwrap().done().unwrap();
}

#[tokio::test]
async fn a_call_whose_future_is_dropped_after_sending_goes_on_to_its_end() {
    for (answers, expected, entries) in [(true, OutcomeClass::Done, 0), (false, OutcomeClass::Unknown, 1)] {
        let (arrived, mut arrival) = tokio::sync::mpsc::channel(1);
        let (answer, may_answer) = mpsc::channel::<()>();
        let server = Server::start(move |stream, id| {
            arrived.blocking_send(()).unwrap();
            may_answer.recv().unwrap();
            if answers {
                respond(stream, &format!("200 OK\r\nX-Request-Id: {id}"), USER);
            }
        });
        let (store, ears) = (MemoryStore::new(), Arc::<Ears>::default());
        let client = builder().base_url(&server.url).store(store.clone()).observer(ears.clone()).wait(SECOND);
        let client = client.build().unwrap();
        let session_id = client.session().session_id();
        let pin = pin();
        tokio::select! {
            outcome = client.verify_pin(&pin) => panic!("{outcome:?}"),
            _ = arrival.recv() => {}
        }
        let pending = NonceStore::pending(&store, session_id).unwrap();
        assert_eq!(pending.len(), 1);
        assert!(pending[0].under_way_for.is_some());
        // Another client of the session waits for its turn.
        assert!(!is_free(&store, session_id));
        answer.send(()).unwrap();
        ears.ended.notified().await;
        assert_eq!(*ears.heard.lock().unwrap(), [(pending[0].request_id, expected)]);
        if answers {
            answer.send(()).unwrap();
            let next = client.verify_pin(&pin);
            let (next, _) = tokio::join!(next, arrival.recv());
            assert!(next.unwrap().done().is_some());
        }
        tokio::time::sleep(SECOND / 10).await;
        let pending = NonceStore::pending(&store, session_id).unwrap();
        assert_eq!(pending.len(), entries);
        assert!(pending.iter().all(|call| call.under_way_for.is_none()) && is_free(&store, session_id));
    }
}

#[tokio::test]
async fn at_every_poll_a_dropped_future_was_either_not_sent_or_is_heard() {
    let server = Server::answering("200 OK", USER);
    let (store, ears) = (MemoryStore::new(), Arc::<Ears>::default());
    let client = with_signer(remote(Duration::from_millis(1)));
    let client = client.base_url(&server.url).store(store.clone()).observer(ears.clone()).build().unwrap();
    let mut times = 0;
    loop {
        let before = server.requests.load(Ordering::SeqCst);
        let heard = ears.heard.lock().unwrap().len();
        let result = polled(times, client.verify_pin(&pin())).await;
        // The lane is free once a call that was sent has ended.
        tokio::time::sleep(SECOND / 20).await;
        let sent = server.requests.load(Ordering::SeqCst) - before;
        let new: Vec<_> = ears.heard.lock().unwrap()[heard..].to_vec();
        assert_eq!(new.len(), sent, "after {times} polls");
        assert!(new.iter().all(|(_, class)| *class == OutcomeClass::Done));
        assert!(NonceStore::pending(&store, client.session().session_id()).unwrap().is_empty());
        assert!(is_free(&store, client.session().session_id()));
        if let Some(result) = result {
            assert!(result.unwrap().done().is_some());
            break;
        }
        times += 1;
    }
    assert!(times >= 3, "a call takes several polls: {times}");
}

/// Answers nothing, and tells when a request has arrived.
fn silent() -> (Server, tokio::sync::mpsc::Receiver<()>) {
    let (arrived, arrival) = tokio::sync::mpsc::channel(1);
    let server = Server::start(move |stream, _| {
        arrived.blocking_send(()).unwrap();
        // Waits until the client closes the connection.
        let _ = stream.read(&mut [0; 1]);
    });
    (server, arrival)
}

#[test]
fn a_runtime_that_stops_leaves_the_call_in_the_journal() {
    let (server, mut arrival) = silent();
    let (store, ears) = (MemoryStore::new(), Arc::<Ears>::default());
    let client = builder().base_url(&server.url).store(store.clone()).observer(ears.clone()).build().unwrap();
    let session_id = client.session().session_id();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let pin = pin();
        tokio::select! {
            outcome = client.verify_pin(&pin) => panic!("{outcome:?}"),
            _ = arrival.recv() => {}
        }
    });
    drop(runtime);
    let pending = NonceStore::pending(&store, session_id).unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!(*ears.heard.lock().unwrap(), [(pending[0].request_id, OutcomeClass::Unknown)]);
    // The client is as good as before on another runtime.
    let runtime = Runtime::new().unwrap();
    assert_eq!(runtime.block_on(client.pending()).unwrap().len(), 1);
    assert!(runtime.block_on(client.settle(pending[0].request_id)).unwrap());
}

/// Wakes a thread that blocks on a future outside of the runtime.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on_elsewhere<F: Future>(runtime: &Handle, future: F) -> F::Output {
    let (_within, mut future) = (runtime.enter(), pin!(future));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park_timeout(SECOND / 100),
        }
    }
}

#[test]
fn a_caller_that_outlives_the_runtime_hears_that_the_outcome_is_unknown() {
    let (server, mut arrival) = silent();
    let store = MemoryStore::new();
    let client = builder().base_url(&server.url).store(store.clone()).build().unwrap();
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    let outcome = thread::scope(|scope| {
        let caller = scope.spawn(|| block_on_elsewhere(&handle, client.verify_pin(&pin())));
        arrival.blocking_recv().unwrap();
        runtime.shutdown_timeout(SECOND);
        caller.join().unwrap()
    });
    let Ok(Outcome::Unknown(lost)) = outcome else { panic!("{outcome:?}") };
    let pending = NonceStore::pending(&store, client.session().session_id()).unwrap();
    assert_eq!(pending.iter().map(|call| call.request_id).collect::<Vec<_>>(), [lost.request_id]);
    let Error::Interrupted(cause) = *lost.cause else { panic!("{lost:?}") };
    assert_eq!(TransportError::to_string(&cause), "the runtime stopped during the call");
}

#[test]
fn without_a_runtime_nothing_is_sent() {
    let server = Server::answering("200 OK", USER);
    let client = server.client();
    let waker = Waker::noop();
    let Poll::Ready(result) = pin!(client.verify_pin(&pin())).poll(&mut Context::from_waker(waker)) else { panic!() };
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Store(_)) && error.nothing_changed(), "{error:?}");
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
}

/// Panics when a request has ended.
struct Panicking;

impl Observer for Panicking {
    fn observe(&self, event: &Event<'_>) {
        assert!(!matches!(event, Event::Ended { .. }), "an observer panics");
    }
}

#[tokio::test]
async fn a_panic_reaches_the_caller_and_leaves_the_call_in_the_journal() {
    let server = Server::start(|_, _| ());
    let store = MemoryStore::new();
    let client = builder().base_url(&server.url).store(store.clone()).observer(Arc::new(Panicking)).build().unwrap();
    let client = Arc::new(client);
    let session_id = client.session().session_id();
    let call = tokio::spawn(async move { client.verify_pin(&pin()).await });
    let panic = call.await.unwrap_err().into_panic();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"an observer panics"));
    assert_eq!(NonceStore::pending(&store, session_id).unwrap().len(), 1);
    assert!(is_free(&store, session_id));
}

#[tokio::test]
async fn a_remote_signer_slower_than_the_call_sends_nothing() {
    let server = Server::answering("200 OK", USER);
    let store = MemoryStore::new();
    let client = with_signer(remote(SECOND / 2)).base_url(&server.url).store(store.clone()).timeout(SECOND / 5);
    let client = client.build().unwrap();
    for result in [client.verify_pin(&pin()).await.map(drop), client.me().await.map(drop)] {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::TimeOver { .. }) && error.nothing_changed(), "{error:?}");
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
    assert!(NonceStore::pending(&store, client.session().session_id()).unwrap().is_empty());
}

/// A signer out of reach.
struct Unplugged;

impl AsyncSigner for Unplugged {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDsa
    }

    fn sign<'s>(&'s self, _: &'s [u8]) -> BoxFuture<'s, Result<Vec<u8>, SignerError>> {
        Box::pin(async { Err(SignerError::with_cause("the device is unplugged")) })
    }
}

#[tokio::test]
async fn the_error_of_a_remote_signer_keeps_its_cause() {
    let server = Server::answering("200 OK", USER);
    let store = MemoryStore::new();
    let client = with_signer(Unplugged).base_url(&server.url).store(store.clone()).build().unwrap();
    let error = client.verify_pin(&pin()).await.unwrap_err();
    let Error::Signer(signer) = &error else { panic!("{error:?}") };
    assert_eq!(std::error::Error::source(signer).unwrap().to_string(), "the device is unplugged");
    assert!(error.nothing_changed());
    // When the error is there, the session is free and the journal is empty.
    assert!(NonceStore::pending(&store, client.session().session_id()).unwrap().is_empty());
    assert!(is_free(&store, client.session().session_id()));
}

/// The threads of this process, where the system tells: on Linux.
fn threads() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    Some(status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap().trim().parse().unwrap())
}

/// Answers each request on a thread of its own, after this time.
fn slow(time: Duration) -> Server {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = requests.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, counter) = (stream.unwrap(), counter.clone());
            thread::spawn(move || {
                let id = common::read_request(&mut stream);
                counter.fetch_add(1, Ordering::SeqCst);
                thread::sleep(time);
                respond(&mut stream, &format!("200 OK\r\nX-Request-Id: {id}"), USER);
            });
        }
    });
    Server { url, requests }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_calls_hold_no_thread_and_do_not_delay_other_sessions() {
    // The server has one more for the one connection, and the client may have one for names.
    call_beside_waiters("memory, one session", MemoryStore::new(), 1, 3).await;
    call_beside_waiters("memory, eight sessions", MemoryStore::new(), 8, 10).await;
    let folder = tempfile::tempdir().unwrap();
    // Otherwise this measures the disk.
    let store = SqliteStore::open(&folder.path().join("iterators.db")).unwrap().durability(Durability::Crash);
    call_beside_waiters("SQLite, one session", store.clone(), 1, 3).await;
    call_beside_waiters("SQLite, eight sessions", store, 8, 10).await;
}

/// Makes calls of one session beside 512 calls of others, which all wait but one each.
async fn call_beside_waiters(
    name: &str,
    store: impl AsyncNonceStore + Clone + 'static,
    sessions: usize,
    more_threads: usize,
) {
    const WAITERS: usize = 512;
    const ROUNDS: usize = 3;
    let (busy, quick) = (slow(SECOND), slow(Duration::ZERO));
    let waiting = || builder().base_url(&busy.url).store(store.clone()).wait(SECOND * 60).build().unwrap();
    let others: Vec<Arc<Client>> = (0..sessions).map(|_| Arc::new(waiting())).collect();
    let client = builder().base_url(&quick.url).store(store.clone()).build().unwrap();
    // A new session in a database asks for a confirmed clock.
    for known in others.iter().map(AsRef::as_ref).chain([&client]) {
        let terms = LeaseTerms::new(SECOND).with_confirmed_clock();
        let reply = AsyncNonceStore::lease(&store, known.session().session_id(), terms).await.unwrap();
        let LeaseReply::Granted(lease) = reply else { panic!("the session is free") };
        lease.release().await;
    }
    client.verify_pin(&pin()).await.unwrap().done().unwrap();
    let (before, begun) = (threads(), Instant::now());
    let waiters: Vec<_> = (0..WAITERS)
        .map(|number| {
            let other = others[number % sessions].clone();
            tokio::spawn(async move { other.verify_pin(&pin()).await })
        })
        .collect();
    tokio::time::sleep(SECOND / 10).await;
    let more = threads().zip(before).map(|(now, before)| now.saturating_sub(before));
    assert!(more.is_none_or(|more| more <= more_threads), "{name}: {more:?} more threads");
    // A busy machine delays calls without any waiters, too. So one round of three counts.
    let mut longest = Vec::new();
    while longest.len() < ROUNDS && longest.last().is_none_or(|longest| *longest >= SECOND / 10) {
        let mut times = Vec::new();
        for _ in 0..21 {
            let begun = Instant::now();
            client.verify_pin(&pin()).await.unwrap().done().unwrap();
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        println!("{name}: beside {WAITERS} waiting calls: median {:?}, longest {:?}", times[10], times[20]);
        longest.push(times[20]);
    }
    assert!(longest.iter().any(|longest| *longest < SECOND / 10), "{name}: {longest:?}");
    assert!(waiters.iter().filter(|waiter| !waiter.is_finished()).count() > WAITERS / 2, "{name}: they still wait");
    // All but the last leave the queue, so the last is the next.
    for waiter in &waiters[..WAITERS - 1] {
        waiter.abort();
    }
    let left = Instant::now();
    let last = waiters.into_iter().next_back().unwrap().await.unwrap();
    last.unwrap().done().unwrap();
    assert!(left.elapsed() < SECOND * 4, "{name}: {:?}", left.elapsed());
    // One a second in each session, as the server answers.
    let most = sessions * (1 + usize::try_from(begun.elapsed().as_secs()).unwrap());
    let sent = busy.requests.load(Ordering::SeqCst);
    assert!(sent <= most, "{name}: {sent} requests, at most {most}");
}

#[test]
fn futures_can_be_sent_to_another_thread() {
    fn is_send<F: Future + Send>(_: F) {}
    let client = builder().build().unwrap();
    let (pin, key) = (pin(), mixin_pin_async::core::tip::TipKey::from_seed(&[7; 32]));
    is_send(client.change_pin(&pin, &pin));
    is_send(client.install_tip(Some(&pin), &key));
    is_send(client.verify_tip(&key));
    is_send(client.me());
    is_send(client.call_with_pin::<serde_json::Value>("POST", "/x", &serde_json::Map::new(), &pin));
    is_send(async {
        let plan = client.resolve_update(Some((&pin).into()), mixin_pin_async::Credential::Tip(&key), None).await?;
        plan.settle().await
    });
}
