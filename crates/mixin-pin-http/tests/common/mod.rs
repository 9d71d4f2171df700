//! Servers for the tests, and clients for them.
#![allow(dead_code, reason = "each test file uses a part")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Pin, Session};
use mixin_pin_http::{Client, ClientBuilder, Error, Outcome};

pub fn pin() -> Pin {
    Pin::new("314159").unwrap()
}

pub fn builder() -> ClientBuilder {
    // Each test has its own session, so no test waits for another.
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let key = Ed25519Key::from_bytes(&[1; 32]).unwrap();
    let server = Ed25519Key::from_bytes(&[2; 32]).unwrap().public_key().to_x25519().unwrap();
    let session_id = Uuid::from_u128(NEXT.fetch_add(1, Ordering::SeqCst) as u128);
    Client::builder(Session::ed25519(Uuid::nil(), session_id, key, &server).unwrap())
}

/// A server on a free port that answers each request by `behave` and counts the requests.
pub struct Server {
    pub url: String,
    pub requests: Arc<AtomicUsize>,
}

impl Server {
    pub fn start(behave: impl Fn(&mut TcpStream, &str) + Send + 'static) -> Self {
        Self::seeing(move |stream, id, _| behave(stream, id))
    }

    /// Like `start`, for a server that also looks at the request.
    pub fn seeing(behave: impl Fn(&mut TcpStream, &str, &str) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let (pieces, id) = read_pieces(&mut stream);
                counter.fetch_add(1, Ordering::SeqCst);
                behave(&mut stream, &id, &String::from_utf8_lossy(&pieces.concat()));
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        Self { url, requests }
    }

    /// Answers every request with this status and body, and with the id of the request.
    pub fn answering(status: &'static str, body: impl Into<String>) -> Self {
        let body = body.into();
        Self::start(move |stream, id| respond(stream, &format!("{status}\r\nX-Request-Id: {id}"), &body))
    }

    pub fn client(&self) -> Client {
        builder().base_url(&self.url).build().unwrap()
    }

    /// Verifies a PIN and returns why the outcome is unknown. Exactly one request must have been sent.
    pub fn lost(&self) -> Error {
        self.lost_by(&self.client())
    }

    pub fn lost_by(&self, client: &Client) -> Error {
        match client.verify_pin(&pin()).unwrap() {
            Outcome::Unknown(lost) => {
                assert_eq!(self.requests.load(Ordering::SeqCst), 1, "sent exactly once");
                assert!(!lost.request_id.is_nil());
                *lost.cause
            }
            Outcome::Done(user) => panic!("{user:?}"),
        }
    }
}

/// Answers with this head (the status, and further headers on the lines after it) and this body. Announces that the
/// connection closes. Otherwise the client could send its next request over it before it is closed.
pub fn respond(stream: &mut TcpStream, head: &str, body: &str) {
    let len = body.len();
    write!(stream, "HTTP/1.1 {head}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}").unwrap();
}

/// Reads a request to its end and returns its id.
pub fn read_request(stream: &mut TcpStream) -> String {
    read_pieces(stream).1
}

/// Reads a request to its end and returns the pieces in which it arrived, and its id.
pub fn read_pieces(stream: &mut TcpStream) -> (Vec<Vec<u8>>, String) {
    let (mut pieces, mut buffer) = (Vec::<Vec<u8>>::new(), vec![0; 1 << 20]);
    loop {
        let bytes = pieces.concat();
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = |wanted: &str| {
                head.lines()
                    .filter_map(|line| line.split_once(": "))
                    .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                    .map(|(_, value)| value.to_owned())
            };
            let len = header("content-length").map_or(0, |len| len.parse().unwrap());
            if body.len() >= len {
                let id = header("x-request-id").unwrap_or_default();
                return (pieces, id);
            }
        }
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the request ended early");
        pieces.push(buffer[..count].to_vec());
    }
}

pub const USER: &str = r#"{"data":{"user_id":"06aed1e3-bd77-4a59-991a-5bb5ae6fbb09","has_pin":true}}"#;
