//! Hostile clients against one sandbox: it keeps running, answers an honest user throughout, and limits its memory.
//!
//! Environment variables: `MIXIN_PIN_CASES` is the number of malformed requests, and ten times the number of sessions.
//! `MIXIN_PIN_SEED` seeds the generator.

mod common;

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use common::{Kind, app, client, now, register, rng, sandbox, signed};
use fastrand::Rng;
use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{Ed25519Key, MonotonicNonces, Pin, Session, X25519PublicKey};
use mixin_pin_http::{Client, Error, Outcome};
use mixin_pin_protocol::call::{Calls, PreparedRequest};
use mixin_pin_sandbox::Sandbox;
use mixin_pin_test_memory::{Memory, peak_of_process};
use serde_json::json;

/// The most memory, in bytes, that the sandbox and the clients of this test may use.
const MAX_MEMORY: usize = 32 << 20;
const SLOW_CLIENTS: usize = 200;

#[global_allocator]
static MEMORY: Memory = Memory;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

fn pin() -> Pin {
    Pin::new("314159").unwrap()
}

fn connect(sandbox: &Sandbox) -> TcpStream {
    let stream = TcpStream::connect(sandbox.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

/// The bytes of a request.
fn wire(request: &PreparedRequest) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\nHost: sandbox\r\n", request.method(), request.path());
    for (name, value) in request.headers() {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "Content-Length: {}\r\n\r\n", request.body().len());
    [head.as_bytes(), request.body()].concat()
}

/// A damaged request, or random bytes.
fn malformed(rng: &mut Rng, request: &[u8]) -> Vec<u8> {
    let mut bytes = request.to_vec();
    match rng.u32(..8) {
        0 => bytes.truncate(rng.usize(..bytes.len())),
        1 => {
            let len = rng.usize(..300);
            bytes = std::iter::repeat_with(|| rng.u8(..)).take(len).collect();
        }
        2 => {
            let number = rng.usize(1..200);
            bytes.splice(0..0, format!("GET / HTTP/1.1\r\n{}", "X-Y: z\r\n".repeat(number)).into_bytes());
        }
        3 => bytes.splice(0..0, b"POST ".repeat(rng.usize(1..2000))).for_each(drop),
        _ => {
            for _ in 0..rng.usize(1..8) {
                let at = rng.usize(..bytes.len());
                match rng.u32(..3) {
                    0 => bytes[at] = rng.u8(..),
                    1 => bytes[at] ^= 1 << rng.u32(..8),
                    _ => drop(bytes.remove(at)),
                }
            }
        }
    }
    bytes
}

/// Verifies the PIN. The sandbox may close the idle connection at the moment the client uses it: the result is then unknown,
/// and the client verifies again.
fn verify(honest: &Client) {
    for _ in 0..3 {
        match honest.verify_pin(&pin()).unwrap() {
            Outcome::Done(user) => return assert!(user.has_pin),
            Outcome::Unknown(lost) => assert!(matches!(*lost.cause, Error::Interrupted(_)), "{lost:?}"),
        }
    }
    panic!("three calls were cut off");
}

#[test]
fn the_sandbox_survives_hostile_clients() {
    let cases = setting("MIXIN_PIN_CASES", 3_000);
    let mut generator = Rng::with_seed(setting("MIXIN_PIN_SEED", 7) as u64);
    let sandbox = sandbox();
    let honest = client(&sandbox, register(&sandbox, Kind::Ed25519));
    honest.create_pin(&pin()).unwrap().done().unwrap();
    // The attacker has a session, so parts of its requests are valid.
    let attacker = register(&sandbox, Kind::Ed25519);
    let nonces = MonotonicNonces::new();

    let mut slow_clients: Vec<TcpStream> = (0..SLOW_CLIENTS).map(|_| connect(&sandbox)).collect();
    let slow = b"POST /pin/verify HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 1000\r\nX-Slow: ";
    for byte in slow {
        for stream in &mut slow_clients {
            stream.write_all(&[*byte]).unwrap();
        }
    }
    // Half of them continue to the body.
    for stream in slow_clients.iter_mut().step_by(2) {
        stream.write_all(b"x\r\n\r\n{").unwrap();
    }
    verify(&honest);

    let mut answers = 0;
    for case in 0..cases {
        let request = signed(&attacker, Calls::new(&attacker, now(), &mut rng()).nonces(&nonces).verify_pin(&pin()));
        let mut stream = connect(&sandbox);
        // The sandbox may close the connection before all is written.
        let _ = stream.write_all(&malformed(&mut generator, &wire(&request)));
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answers += usize::from(answer.starts_with(b"HTTP/1.1 "));
        if case % 500 == 0 {
            verify(&honest);
        }
    }
    assert!(answers > cases / 4, "{answers} of {cases} were answered");

    for _ in 0..20 {
        let mut stream = connect(&sandbox);
        stream.write_all(b"POST /pin/verify HTTP/1.1\r\nHost: sandbox\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        let chunk = [b"4000\r\n".as_slice(), &[b' '; 0x4000], b"\r\n"].concat();
        let sent = (0..4096).take_while(|_| stream.write_all(&chunk).is_ok()).count();
        assert!(sent < 4096, "64 MiB of an endless body were accepted");
    }
    verify(&honest);

    // The beginnings of more large bodies than are read at a time.
    let request = b"POST /pin/verify HTTP/1.1\r\nHost: sandbox\r\nContent-Length: 1000000\r\n\r\n";
    let large: Vec<TcpStream> = (0..SLOW_CLIENTS)
        .map(|_| {
            let mut stream = connect(&sandbox);
            stream.write_all(&[request.as_slice(), &vec![b' '; 90_000]].concat()).unwrap();
            stream
        })
        .collect();
    verify(&honest);
    drop(large);

    // Bodies in chunks of single bytes.
    let bytes: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = connect(&sandbox);
            stream
                .write_all(b"POST /pin/verify HTTP/1.1\r\nHost: sandbox\r\nTransfer-Encoding: chunked\r\n\r\n")
                .unwrap();
            stream.write_all(&b"1\r\n \r\n".repeat(1 << 19)).unwrap();
            stream
        })
        .collect();
    verify(&honest);
    drop(bytes);

    let app = app(&sandbox);
    let app_id = app.session().user_id();
    for (times, len) in [(300, 1 << 20), (3_000, 128)] {
        let challenge = "x".repeat(len);
        let body = json!({ "client_id": app_id, "scope": "x ".repeat(len), "code_challenge": challenge }).to_string();
        let request = format!(
            "POST /sandbox/authorizations HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        for _ in 0..times {
            let mut stream = connect(&sandbox);
            let _ = stream.write_all(request.as_bytes());
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    verify(&honest);

    for _ in 0..cases / 10 {
        let key = Ed25519Key::generate(&mut rng());
        let user = app.register(&VerifyingKey::Ed25519(key.public_key()), "One of many").unwrap().done().unwrap();
        let server = X25519PublicKey::from_base64(&user.pin_token_base64).unwrap();
        let session = Session::ed25519(user.user_id, user.session_id.unwrap(), key, &server).unwrap();
        client(&sandbox, session).me().unwrap();
    }
    verify(&honest);

    drop(slow_clients);
    let peak = peak_of_process();
    println!(
        "{cases} malformed requests, {SLOW_CLIENTS} slow clients, 20 endless bodies, 3300 unsigned calls, {} sessions; {} KiB at most",
        cases / 10,
        peak >> 10
    );
    assert!(peak < MAX_MEMORY, "{peak} bytes were in use");
    sandbox.stop().unwrap();
}
