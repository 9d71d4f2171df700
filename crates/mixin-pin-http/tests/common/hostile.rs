//! Generated answers, valid or not, and what a client must make of each. The tests of both clients include this file.
//!
//! Environment variables: `MIXIN_PIN_CASES` is the number of answers, and `MIXIN_PIN_SEED` seeds the generator.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use mixin_pin_machine::{Error, Outcome};
use mixin_pin_protocol::Error as ProtocolError;
use mixin_pin_protocol::answer::User;
use mixin_pin_test_memory::peak_of_thread;
use serde_json::{Map, Value};

use crate::common::USER;

/// The most memory, in bytes, that the client may use.
const MAX_MEMORY: usize = 32 << 20;

/// Time limit for a call.
pub const TIMEOUT: Duration = Duration::from_millis(400);

pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// The parts of a sent answer that decide how the client must classify it.
struct Sent {
    /// The values of `X-Request-Id`.
    ids: Vec<String>,
    /// The body without its framing.
    body: Vec<u8>,
    asked_id: String,
}

fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}

fn bytes(rng: &mut Rng, len: usize) -> Vec<u8> {
    std::iter::repeat_with(|| rng.u8(..)).take(len).collect()
}

/// A body that Mixin might send, one that resembles it, or any bytes.
fn body(rng: &mut Rng) -> Vec<u8> {
    const REFUSAL: &str = r#"{"error":{"status":202,"code":20119,"description":"PIN incorrect.","extra":{"left":4}}}"#;
    const LOGS: &str = r#"{"data":[{"log_id":"1","code":"PIN_INCORRECT"}]}"#;
    const TROUBLE: &str = r#"{"error":{"status":500,"code":7000,"description":"Internal Server Error."}}"#;
    const MEAN: [&str; 12] = [
        "{}",
        r#"{"data":{}}"#,
        "[0,[202,20119]]",
        r#"{"error":{"code":4294967296}}"#,
        r#"{"error":{"code":-1},"data":{}}"#,
        r#"{"data":null,"error":null}"#,
        r#"{"data":{"user_id":"06aed1e3-bd77-4a59-991a-5bb5ae6fbb09"},"data":{}}"#,
        r#"{"data":{"user_id":"06aed1e3-bd77-4a59-991a-5bb5ae6fbb09","tip_counter":1e999}}"#,
        "\u{feff}{}",
        "null",
        "\"\\ud800\"",
        "",
    ];
    let whole = pick(rng, &[USER, REFUSAL, LOGS, TROUBLE]).as_bytes().to_vec();
    match rng.u32(..100) {
        0..30 => whole,
        30..42 => whole[..rng.usize(..whole.len())].to_vec(),
        42..65 => {
            let mut body = whole;
            for _ in 0..rng.usize(1..6) {
                let at = rng.usize(..body.len());
                match rng.u32(..4) {
                    0 => body[at] = rng.u8(..),
                    1 => body[at] ^= 1 << rng.u32(..8),
                    2 => body.insert(at, pick(rng, b"{}[]\",:0e-\\")),
                    _ => {
                        let part = body[at..].to_vec();
                        body.splice(at..at, part);
                    }
                }
            }
            body
        }
        65..80 => pick(rng, &MEAN).as_bytes().to_vec(),
        80..90 => {
            let len = rng.usize(..200);
            bytes(rng, len)
        }
        90..98 => b"<!doctype html><title>Sign in to the hotel</title>".to_vec(),
        98 => pick(rng, &["[", "{\"a\":", "9", " ", "\\"]).repeat(rng.usize(1..5000)).into_bytes(),
        _ => {
            // The longest body that the client reads, with the content that needs the most memory.
            let (unit, fit) =
                pick(rng, &[("0,", 1 << 19), ("[],", 1 << 18), ("\"\",", 1 << 18), ("\"\":{},", 1 << 17)]);
            let list = unit.repeat(fit - 100);
            let list = list.trim_end_matches(',');
            if unit.contains(':') { format!("{{\"data\":{{{list}}}}}") } else { format!("{{\"data\":[{list}]}}") }
                .into_bytes()
        }
    }
}

/// Writes one answer. The connection ends after it.
fn answer(stream: &mut TcpStream, asked_id: &str, rng: &mut Rng) -> Sent {
    let mut body = body(rng);
    let mut head = match rng.u32(..20) {
        0 => "HTTP/9.9 200 OK\r\n".to_owned(),
        1 => "HTTP/1.1\r\n".to_owned(),
        2 => format!("HTTP/1.1 {} \r\n", rng.u32(..)),
        3 => "HTTP/1.1 100 Continue\r\n\r\n".repeat(rng.usize(1..30)) + "HTTP/1.1 200 OK\r\n",
        4 => format!("HTTP/1.1 {} Moved\r\nLocation: http://127.0.0.1:1/\r\n", pick(rng, &[301, 302, 307, 308])),
        5 => String::from_utf8_lossy(&bytes(rng, 30)).into_owned(),
        _ => format!("HTTP/1.1 {} It\r\n", pick(rng, &[200, 202, 200, 202, 400, 401, 403, 429, 500, 502, 503])),
    };
    let mut ids = Vec::new();
    match rng.u32(..20) {
        0 => {}
        1 => ids.push("00000000-0000-0000-0000-000000000000".to_owned()),
        2 => ids.push("not an id".to_owned()),
        3 => ids.extend([asked_id.to_owned(), "00000000-0000-0000-0000-000000000000".to_owned()]),
        4 => ids.push(asked_id[1..].to_owned()),
        _ => ids.push(asked_id.to_owned()),
    }
    for id in &ids {
        let _ = write!(head, "X-Request-Id: {id}\r\n");
    }
    match rng.u32(..30) {
        0 => head.push_str("Retry-After: 99999999999999999999\r\nX-Server-Time: -1\r\n"),
        1 => head.push_str("No colon\r\n"),
        2 => {
            for number in 0..rng.u32(1..300) {
                let _ = write!(head, "X-{number}: x\r\n");
            }
        }
        3 => {
            let _ = write!(head, "X-Long: {}\r\n", "x".repeat(rng.usize(..100_000)));
        }
        4 => head.push_str("X-Integrity-Token: a.b.c\r\nContent-Encoding: gzip\r\n"),
        _ => {}
    }
    let mut framed = body.clone();
    match rng.u32(..20) {
        0 => {
            // The body extends to the end of the connection.
        }
        1 => {
            let _ = write!(head, "Content-Length: {}\r\n", pick(rng, &["-1", "18446744073709551616", "x", "", "1, 2"]));
        }
        2 => {
            let _ = write!(head, "Content-Length: {}\r\n", body.len() + rng.usize(1..100));
        }
        3 => {
            let len = rng.usize(..=body.len());
            let _ = write!(head, "Content-Length: {len}\r\n");
            body.truncate(len);
        }
        4..7 => {
            head.push_str("Transfer-Encoding: chunked\r\n");
            framed.clear();
            for chunk in body.chunks(rng.usize(1..2000)) {
                framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                framed.extend_from_slice(chunk);
                framed.extend_from_slice(b"\r\n");
            }
            framed.extend_from_slice(pick::<&[u8]>(
                rng,
                &[b"0\r\n\r\n", b"", b"0\r\n", b"ffffffffffffffffff\r\n", b"-1\r\n", b"\r\n"],
            ));
        }
        7 => {
            let _ = write!(head, "Content-Length: {0}\r\nContent-Length: {0}\r\n", body.len());
        }
        _ => {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
    }
    head.push_str("\r\n");
    // The client may close the connection early, which is not a failure.
    let _ = stream.write_all(head.as_bytes());
    match rng.u32(..1000) {
        0 => {
            // An endless body, until the client closes the connection.
            let junk = [b' '; 1 << 14];
            while stream.write_all(&junk).is_ok() {}
        }
        1 => {
            for byte in framed.iter().take(20) {
                let _ = stream.write_all(&[*byte]);
                thread::sleep(Duration::from_millis(10));
            }
            // Waits until the client closes the connection.
            stream.set_read_timeout(Some(2 * TIMEOUT)).unwrap();
            let _ = stream.read(&mut [0]);
        }
        _ => {
            let _ = stream.write_all(&framed);
        }
    }
    Sent { ids, body, asked_id: asked_id.to_owned() }
}

/// Reads a request, and returns its id and its body.
fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = |wanted: &str| {
                let mut headers = head.lines().filter_map(|line| line.split_once(": "));
                headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.to_owned())
            };
            if body.len() >= header("content-length").map_or(0, |len| len.parse().unwrap()) {
                return Some((header("x-request-id")?, body.to_owned()));
            }
        }
        match stream.read(&mut buffer) {
            Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
    }
}

/// A server that sends generated answers, and how the client took them.
pub struct Answers {
    pub url: String,
    sent: mpsc::Receiver<Sent>,
    done: u64,
    refused: u64,
    unknown: u64,
}

impl Answers {
    pub fn start() -> Self {
        let seed = setting("MIXIN_PIN_SEED", 7);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sent_to, sent) = mpsc::channel::<Sent>();
        thread::spawn(move || {
            let (mut rng, mut bodies) = (Rng::with_seed(seed), HashSet::new());
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let Some((id, body)) = request(&mut stream) else { continue };
                assert!(bodies.insert(body), "an encrypted PIN came twice");
                let answered = answer(&mut stream, &id, &mut rng);
                // Closed before the next request, or the client could send that one over this connection.
                drop(stream);
                if sent_to.send(answered).is_err() {
                    break;
                }
            }
        });
        Self { url, sent, done: 0, refused: 0, unknown: 0 }
    }

    /// Checks the result of a call against the answer that was sent to it.
    #[track_caller]
    pub fn check(&mut self, case: u64, result: Result<Outcome<User>, Error>) {
        let sent = self
            .sent
            .recv_timeout(Duration::from_secs(30))
            .unwrap_or_else(|_| panic!("case {case}: the server received no request, {result:?}"));
        let value =
            || serde_json::Deserializer::from_slice(&sent.body).into_iter::<Value>().next().and_then(Result::ok);
        let is_named = || sent.ids.first() == Some(&sent.asked_id);
        match result {
            Ok(Outcome::Done(user)) => {
                self.done += 1;
                assert!(
                    is_named(),
                    "case {case}: ids {:?}, asked {}, body {}",
                    sent.ids,
                    sent.asked_id,
                    String::from_utf8_lossy(&sent.body)
                );
                let value = value().unwrap_or_else(|| panic!("case {case}: no JSON"));
                let data = value.get("data").unwrap_or(&Value::Null);
                if data.is_null() || data.as_object().is_some_and(Map::is_empty) {
                    // A verification may be answered by nothing. Its user is the session's.
                    assert!(
                        value.get("error").is_none_or(Value::is_null) && user.user_id.is_nil(),
                        "case {case}: {value}"
                    );
                } else {
                    let id = data["user_id"].as_str().unwrap_or_else(|| panic!("case {case}: {value}"));
                    assert_eq!(id.parse(), Ok(user.user_id), "case {case}");
                }
            }
            Ok(Outcome::Unknown(lost)) => {
                self.unknown += 1;
                assert!(!lost.cause.nothing_changed(), "case {case}: {:?}", lost.cause);
            }
            Err(error) => {
                self.refused += 1;
                assert!(
                    is_named(),
                    "case {case}: {error:?}, ids {:?}, body {}",
                    sent.ids,
                    String::from_utf8_lossy(&sent.body)
                );
                assert!(
                    matches!(&error, Error::Protocol(ProtocolError::Answer(error)) if error.is_refusal()),
                    "case {case}: {error:?}"
                );
                let code = value().and_then(|value| value["error"]["code"].as_u64());
                assert!(code.is_some_and(|code| code != 500 && code != 7000), "case {case}: {error:?}");
            }
        }
    }

    /// Checks that all kinds of answers were met, and how much memory this thread used.
    #[track_caller]
    pub fn finish(self, cases: u64) {
        let Self { done, refused, unknown, .. } = self;
        let peak = peak_of_thread();
        println!("{cases} answers: {done} done, {refused} refused, {unknown} unknown; {} KiB at most", peak >> 10);
        assert!(done > 0 && refused > 0 && unknown > 0, "the generator makes all kinds");
        assert!(peak < MAX_MEMORY, "{peak} bytes were in use");
    }
}
