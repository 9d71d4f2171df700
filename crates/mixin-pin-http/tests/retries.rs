//! Waiting for a session, repeating calls, giving up, and checking the clock.

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::{Server, USER, builder, pin, read_request, respond};
use mixin_pin_core::UnixTime;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_http::store::MemoryStore;
use mixin_pin_http::{ApiSettings, Client, Error, Outcome};
use mixin_pin_protocol::call::LogQuery;
use mixin_pin_protocol::{AnswerError, Error as ProtocolError};
use mixin_pin_store::{LeaseReply, LeaseTerms, NonceStore, PendingCall};

const DAY: Duration = Duration::from_secs(86_400);

/// What may pass: a broken connection, pages of a gateway, of a portal and of a proxy, and a server that asks to wait.
const FAILURES: [&str; 6] = [
    "",
    "200 OK",
    "502 Bad Gateway",
    "504 Gateway Timeout",
    "429 Too Many Requests\r\nRetry-After: 0",
    "503 Service Unavailable\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT",
];

/// A server that fails this many times, then answers.
fn failing(times: usize, failure: &'static str) -> Server {
    let left = AtomicUsize::new(times);
    Server::start(move |stream, id| {
        let is_failing = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        let (head, body) = if is_failing { (failure, "<html>") } else { ("200 OK", USER) };
        // An empty head stands for a broken connection.
        if !head.is_empty() {
            respond(stream, &format!("{head}\r\nX-Request-Id: {id}"), body);
        }
    })
}

#[test]
fn reads_are_repeated_after_the_server_or_the_connection_failed() {
    for failure in FAILURES {
        let server = failing(2, failure);
        assert!(server.client().me().unwrap().has_pin, "{failure:?}");
        assert_eq!(server.requests.load(Ordering::SeqCst), 3);
        let server = failing(9, failure);
        server.client().pin_logs(&LogQuery::wrong_pins()).unwrap_err();
        assert_eq!(server.requests.load(Ordering::SeqCst), 4, "no further attempt");
    }
}

#[test]
fn pin_calls_that_may_have_been_sent_are_not_repeated() {
    for failure in FAILURES {
        let server = failing(1, failure);
        assert!(matches!(server.client().verify_pin(&pin()).unwrap(), Outcome::Unknown(_)), "{failure:?}");
        assert_eq!(server.requests.load(Ordering::SeqCst), 1);
    }
}

#[test]
fn a_page_that_says_that_the_request_is_at_fault_is_not_asked_for_again() {
    for failure in ["403 Forbidden", "404 Not Found"] {
        let server = failing(1, failure);
        server.client().me().unwrap_err();
        assert_eq!(server.requests.load(Ordering::SeqCst), 1, "{failure}");
    }
}

#[test]
fn a_page_that_names_a_date_says_how_long_to_wait() {
    let page =
        "503 Service Unavailable\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:54:37 GMT";
    let error = failing(1, page).client().me().unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(300)));
    assert!(error.to_string().ends_with("is out of service (HTTP 503); wait 5 minutes, as it asks"), "{error}");
    // A PIN call may have been carried out all the same.
    let Outcome::Unknown(lost) = failing(1, page).client().verify_pin(&pin()).unwrap() else { panic!("done") };
    assert_eq!(lost.cause.retry_after(), Some(Duration::from_secs(300)));
}

#[test]
fn the_client_waits_for_retry_after_unless_the_call_ends_first() {
    let limited = "429 Too Many Requests\r\nRetry-After: 1";
    let server = failing(1, limited);
    let begun = Instant::now();
    server.client().me().unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));

    let server = failing(1, "429 Too Many Requests\r\nRetry-After: 60");
    let client = builder().base_url(&server.url).timeout(Duration::from_secs(5)).build().unwrap();
    let begun = Instant::now();
    let error = client.me().unwrap_err();
    let limited = AnswerError::TryLater { status: 429, retry_after: Some(Duration::from_secs(60)) };
    assert!(matches!(&error, Error::Protocol(ProtocolError::Answer(error)) if *error == limited), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(4) && server.requests.load(Ordering::SeqCst) == 1);
}

#[test]
fn without_a_connection_a_pin_call_is_encrypted_again_and_sent_once() {
    // A proxy that refuses the first tunnel and answers the second itself.
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let server = thread::spawn(move || {
        let connect = |answer: &str| {
            let (mut stream, _) = proxy.accept().unwrap();
            let mut head = String::new();
            let mut lines = BufReader::new(stream.try_clone().unwrap());
            while !head.ends_with("\r\n\r\n") {
                assert!(lines.read_line(&mut head).unwrap() > 0);
            }
            assert!(head.starts_with("CONNECT "), "{head}");
            write!(stream, "HTTP/1.1 {answer}\r\n\r\n").unwrap();
            stream
        };
        drop(connect("503 Service Unavailable"));
        let mut stream = connect("200 OK");
        let id = read_request(&mut stream);
        respond(&mut stream, &format!("200 OK\r\nX-Request-Id: {id}"), USER);
        proxy.set_nonblocking(true).unwrap();
        proxy.accept().is_err()
    });
    let client = builder().api(ApiSettings::new().base_url("http://127.0.0.1:9").proxy(Some(&url))).build().unwrap();
    client.verify_pin(&pin()).unwrap().done().unwrap();
    assert!(server.join().unwrap(), "nothing else was sent");
}

#[test]
fn a_call_waits_for_a_session_in_use_up_to_its_limit() {
    let server = Server::answering("200 OK", USER);
    let store = MemoryStore::new();
    let wait = Duration::from_millis(500);
    let client = builder().base_url(&server.url).store(store.clone()).wait(wait).build().unwrap();
    let session_id = client.session().session_id();
    let lease = |duration| match store.lease(session_id, &LeaseTerms::new(duration)).unwrap() {
        LeaseReply::Granted(lease) => lease,
        other => panic!("{other:?}"),
    };
    let other_call = lease(DAY);
    let begun = Instant::now();
    let error = client.verify_pin(&pin()).unwrap_err();
    assert!(matches!(error, Error::SessionBusy { .. }) && error.nothing_changed(), "{error:?}");
    assert!(begun.elapsed() >= wait);
    assert_eq!(server.requests.load(Ordering::SeqCst), 0);
    assert!(client.me().is_ok(), "reads do not wait");
    drop(other_call);
    client.verify_pin(&pin()).unwrap().done().unwrap();
    // A crashed caller's lease ends by itself.
    std::mem::forget(lease(Duration::from_millis(30)));
    client.verify_pin(&pin()).unwrap().done().unwrap();
}

#[test]
fn threads_of_one_session_wait_for_each_other_up_to_the_limit() {
    let (arrived, arrival) = mpsc::channel();
    let (answer, may_answer) = mpsc::channel();
    let server = Server::start(move |stream, id| {
        arrived.send(()).unwrap();
        may_answer.recv().unwrap();
        respond(stream, &format!("200 OK\r\nX-Request-Id: {id}"), USER);
    });
    let client = builder().base_url(&server.url).wait(Duration::from_millis(50)).build().unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(|| client.verify_pin(&pin()));
        arrival.recv().unwrap();
        assert!(matches!(client.verify_pin(&pin()), Err(Error::SessionBusy { .. })));
        answer.send(()).unwrap();
        assert!(first.join().unwrap().unwrap().done().is_some());
    });
}

/// A store that asks for a confirmation of the clock.
struct Doubting {
    ahead: Option<Duration>,
    was_confirmed: Arc<AtomicBool>,
    store: MemoryStore,
}

impl NonceStore for Doubting {
    fn lease(&self, session_id: Uuid, terms: &LeaseTerms<'_>) -> Result<LeaseReply, mixin_pin_store::Error> {
        if !terms.clock_is_confirmed() {
            return Ok(LeaseReply::ClockUnconfirmed { ahead: self.ahead });
        }
        self.was_confirmed.store(true, Ordering::SeqCst);
        self.store.lease(session_id, terms)
    }

    fn pending(&self, session_id: Uuid) -> Result<Vec<PendingCall>, mixin_pin_store::Error> {
        self.store.pending(session_id)
    }

    fn settle(&self, session_id: Uuid, request_id: Uuid) -> Result<bool, mixin_pin_store::Error> {
        self.store.settle(session_id, request_id)
    }
}

/// Answers every request. Its clock is this many nanoseconds ahead. With None it does not tell the time.
fn server_with_clock(later: Option<i128>) -> Server {
    Server::start(move |stream, id| {
        let now = UnixTime::try_from(SystemTime::now()).unwrap().as_nanos().unwrap();
        let time = later.map_or_else(String::new, |later| format!("\r\nX-Server-Time: {}", i128::from(now) + later));
        respond(stream, &format!("200 OK\r\nX-Request-Id: {id}{time}"), USER);
    })
}

fn client_of_doubting_store(server: &Server, ahead: Option<Duration>) -> (Client, Arc<AtomicBool>) {
    let was_confirmed = Arc::new(AtomicBool::new(false));
    let store = Doubting { ahead, was_confirmed: was_confirmed.clone(), store: MemoryStore::new() };
    (builder().base_url(&server.url).store(store).build().unwrap(), was_confirmed)
}

#[test]
fn an_unconfirmed_clock_is_compared_with_the_servers() {
    const HOUR: i128 = 3_600_000_000_000;
    for (later, ahead, is_right) in [
        (Some(0), None, true),
        (Some(0), Some(DAY * 400), true),
        (Some(HOUR), None, false),
        (Some(-HOUR), Some(DAY * 400), false),
        // Without the server's time the clock is not confirmed.
        (None, None, false),
        (None, Some(DAY * 400), false),
    ] {
        let server = server_with_clock(later);
        let (client, was_confirmed) = client_of_doubting_store(&server, ahead);
        let result = client.verify_pin(&pin());
        let requests = server.requests.load(Ordering::SeqCst);
        if is_right {
            result.unwrap().done().unwrap();
            assert_eq!(requests, 2);
        } else {
            let error = result.unwrap_err();
            let is_named = match later {
                None => matches!(&error, Error::ClockUnconfirmed(cause) if matches!(**cause, Error::NoServerTime)),
                Some(_) => matches!(error, Error::Clock { .. }),
            };
            assert!(is_named && error.nothing_changed(), "{error:?}");
            assert_eq!(requests, 1, "no PIN was sent");
        }
        assert_eq!(was_confirmed.load(Ordering::SeqCst), is_right);
    }
}

#[test]
fn without_an_answer_to_confirm_the_clock_no_pin_is_sent() {
    let (client, _) = client_of_doubting_store(&Server::start(|_, _| ()), None);
    let error = client.verify_pin(&pin()).unwrap_err();
    assert!(matches!(error, Error::ClockUnconfirmed(_)) && error.nothing_changed(), "{error:?}");
}

#[test]
fn only_mixins_own_answer_confirms_a_clock() {
    let now = || UnixTime::try_from(SystemTime::now()).unwrap().as_nanos().unwrap();
    let page = "<html>Welcome to the hotel</html>";
    // A captive portal's page, with or without a time; a cached answer; a server error; and a refusal, which confirms.
    for (head, body, is_confirmed) in [
        ("403 Forbidden\r\nX-Request-Id: ID", page, false),
        ("403 Forbidden\r\nX-Request-Id: ID\r\nX-Server-Time: NOW", page, false),
        ("200 OK\r\nX-Server-Time: NOW", USER, false),
        ("200 OK\r\nX-Request-Id: 06aed1e3-bd77-4a59-991a-5bb5ae6fbb09\r\nX-Server-Time: NOW", USER, false),
        ("200 OK\r\nX-Request-Id: ID\r\nX-Server-Time: soon", USER, false),
        ("200 OK\r\nX-Request-Id: ID\r\nX-Server-Time: NOW", r#"{"error":{"code":504}}"#, false),
        ("202 Accepted\r\nX-Request-Id: ID\r\nX-Server-Time: NOW", r#"{"error":{"code":401}}"#, true),
        ("200 OK\r\nX-Request-Id: ID\r\nX-Server-Time: NOW", USER, true),
    ] {
        let server = Server::start(move |stream, id| {
            respond(stream, &head.replace("ID", id).replace("NOW", &now().to_string()), body);
        });
        let (client, was_confirmed) = client_of_doubting_store(&server, None);
        let result = client.verify_pin(&pin());
        assert_eq!(was_confirmed.load(Ordering::SeqCst), is_confirmed, "{head}: {result:?}");
        if !is_confirmed {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::ClockUnconfirmed(_)) && error.nothing_changed(), "{error:?}");
            assert_eq!(server.requests.load(Ordering::SeqCst), 1, "no PIN was sent");
        }
    }
}

#[test]
fn a_probe_takes_the_time_from_mixins_own_answers_only() {
    let now = || UnixTime::try_from(SystemTime::now()).unwrap().as_nanos().unwrap();
    let probe = |head: &'static str, body: &'static str| {
        let server = Server::start(move |stream, id| {
            respond(stream, &format!("{head}\r\nX-Request-Id: {id}\r\nX-Server-Time: {}", now()), body);
        });
        server.client().probe().unwrap()
    };
    assert!(probe("200 OK", USER).clock.is_some());
    let refused = probe("202 Accepted", r#"{"error":{"code":401}}"#);
    assert!(refused.clock.is_some() && refused.user.is_err());
    assert!(probe("403 Forbidden", "<html>Welcome to the hotel</html>").clock.is_none());
    assert!(probe("502 Bad Gateway", r#"{"error":{"code":502}}"#).clock.is_none());
}

/// A store whose first leases end at once, as if the caller stalled.
struct Stalling {
    left: AtomicUsize,
    store: MemoryStore,
}

impl NonceStore for Stalling {
    fn lease(&self, session_id: Uuid, terms: &LeaseTerms<'_>) -> Result<LeaseReply, mixin_pin_store::Error> {
        let stalls = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        self.store.lease(session_id, &if stalls { LeaseTerms::new(Duration::ZERO) } else { *terms })
    }

    fn pending(&self, session_id: Uuid) -> Result<Vec<PendingCall>, mixin_pin_store::Error> {
        self.store.pending(session_id)
    }

    fn settle(&self, session_id: Uuid, request_id: Uuid) -> Result<bool, mixin_pin_store::Error> {
        self.store.settle(session_id, request_id)
    }
}

#[test]
fn a_session_is_leased_again_a_few_times_if_the_lease_ends_before_sending() {
    let server = Server::answering("200 OK", USER);
    let client = |stalls| {
        let store = Stalling { left: AtomicUsize::new(stalls), store: MemoryStore::new() };
        builder().base_url(&server.url).store(store).build().unwrap()
    };
    client(3).verify_pin(&pin()).unwrap().done().unwrap();
    assert_eq!(server.requests.load(Ordering::SeqCst), 1);
    let error = client(9).verify_pin(&pin()).unwrap_err();
    assert!(matches!(error, Error::LeaseLost) && error.nothing_changed(), "{error:?}");
    assert_eq!(server.requests.load(Ordering::SeqCst), 1, "nothing was sent");
}
