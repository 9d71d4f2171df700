//! Shared by the tests: a sandbox, an app, users of each kind, and requests made by hand.
#![allow(dead_code, reason = "each test file uses a part")]

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use mixin_pin_core::token::{Signer, VerifyingKey};
use mixin_pin_core::{Ed25519Key, NonceSource, PinToken, RsaKey, Session, SystemRng, UnixTime, X25519PublicKey};
use mixin_pin_http::{Client, Error, Outcome, Unknown};
use mixin_pin_protocol::answer::{ApiError, User};
use mixin_pin_protocol::call::{Calls, PreparedRequest, UnsignedRequest};
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_protocol::{AnswerError, CallError, Error as ProtocolError};
use mixin_pin_sandbox::{Config, Sandbox};
use serde_json::Value;

/// Throw-away keys: generating one for each test would take seconds.
const RSA_1024: &str = include_str!("../../testdata/rsa-1024.pem");
const RSA_2048: &str = include_str!("../../testdata/rsa-2048.pem");

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Rsa1024,
    Rsa2048,
    Ed25519,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Rsa1024, Self::Rsa2048, Self::Ed25519];
}

pub fn rng() -> SystemRng {
    SystemRng::new().unwrap()
}

pub fn now() -> UnixTime {
    SystemTime::now().try_into().unwrap()
}

/// The request, signed with the session's key.
pub fn signed<S: Signer>(session: &Session<S>, request: Result<UnsignedRequest, CallError>) -> PreparedRequest {
    request.unwrap().sign(session.signer(), &mut rng()).unwrap()
}

/// A nonce source with one iterator, reserved before the call is prepared.
pub struct Given(pub u64);

impl NonceSource for Given {
    type Error = mixin_pin_core::Error;

    fn reserve(&self, _: UnixTime) -> Result<u64, Self::Error> {
        Ok(self.0)
    }
}

pub fn sandbox() -> Sandbox {
    Sandbox::start(&Config::default()).unwrap()
}

pub fn client(sandbox: &Sandbox, session: Session) -> Client {
    Client::builder(session).base_url(sandbox.url()).build().unwrap()
}

pub fn app(sandbox: &Sandbox) -> Client {
    let keystore = Keystore::parse(sandbox.app_keystore().as_bytes()).unwrap();
    client(sandbox, keystore.into_session(&mut rng()).unwrap())
}

/// The private key of RSA users of a kind.
pub fn pem(kind: Kind) -> &'static str {
    if matches!(kind, Kind::Rsa1024) { RSA_1024 } else { RSA_2048 }
}

/// Registers a user through the app.
pub fn register(sandbox: &Sandbox, kind: Kind) -> Session {
    let rng = &mut rng();
    match kind {
        Kind::Rsa1024 | Kind::Rsa2048 => {
            let key = RsaKey::from_pem(pem(kind)).unwrap();
            let user = registered(sandbox, &VerifyingKey::Rsa(key.public_key()));
            let pin_token = PinToken::from_base64(&user.pin_token).unwrap();
            Session::rsa(user.user_id, user.session_id.unwrap(), key, &pin_token, rng).unwrap()
        }
        Kind::Ed25519 => {
            let key = Ed25519Key::generate(rng);
            let user = registered(sandbox, &VerifyingKey::Ed25519(key.public_key()));
            let server = X25519PublicKey::from_base64(&user.pin_token_base64).unwrap();
            Session::ed25519(user.user_id, user.session_id.unwrap(), key, &server).unwrap()
        }
    }
}

/// Registers an Ed25519 user of a sandbox whose clock shows another time than the system's.
pub fn registered_at(sandbox: &Sandbox, time: UnixTime) -> Session {
    let app = Keystore::parse(sandbox.app_keystore().as_bytes()).unwrap().into_session(&mut rng()).unwrap();
    let key = Ed25519Key::generate(&mut rng());
    let secret = VerifyingKey::Ed25519(key.public_key()).to_session_secret().unwrap();
    let registration = signed(&app, Calls::new(&app, time, &mut rng()).register(&secret, "A User"));
    let user = &send(sandbox, &registration)["data"];
    let server = X25519PublicKey::from_base64(user["pin_token_base64"].as_str().unwrap()).unwrap();
    let id = |field: &str| user[field].as_str().unwrap().parse().unwrap();
    Session::ed25519(id("user_id"), id("session_id"), key, &server).unwrap()
}

fn registered(sandbox: &Sandbox, key: &VerifyingKey) -> User {
    app(sandbox).register(key, "A User").unwrap().done().unwrap()
}

/// The error that the sandbox answered with.
pub fn refusal<T: std::fmt::Debug>(result: Result<Outcome<T>, Error>) -> ApiError {
    match result {
        Err(Error::Protocol(ProtocolError::Answer(AnswerError::Refusal(error)))) => *error,
        // The refusal of a spent iterator may answer a copy of the request, so the client calls the result unknown.
        Ok(Outcome::Unknown(Unknown { cause, .. })) => match *cause {
            Error::Protocol(ProtocolError::Answer(AnswerError::Refusal(error))) if error.may_answer_a_copy() => *error,
            other => panic!("expected a refusal, got {other:?}"),
        },
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Code and reason of a refusal.
pub fn reason<T: std::fmt::Debug>(result: Result<Outcome<T>, Error>) -> (u32, String) {
    let error = refusal(result);
    let extra = error.extra.unwrap_or_default();
    (error.code.as_u32(), extra["reason"].as_str().unwrap_or_default().to_owned())
}

/// Sends a prepared request unchanged, any number of times.
pub fn send(sandbox: &Sandbox, request: &PreparedRequest) -> Value {
    let headers: Vec<(&str, &str)> = request.headers().collect();
    send_parts(sandbox, request.method(), request.path(), &headers, request.body())
}

pub fn send_parts(sandbox: &Sandbox, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Value {
    let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", sandbox.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let agent: ureq::Agent = ureq::config::Config::builder().proxy(None).http_status_as_error(false).build().into();
    let mut response = if method == "GET" {
        agent.run(request.body(()).unwrap()).unwrap()
    } else {
        agent.run(request.body(body).unwrap()).unwrap()
    };
    let text = response.body_mut().read_to_string().unwrap();
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

/// Sends raw bytes, and reads until the sandbox closes the connection.
pub fn raw(sandbox: &Sandbox, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(sandbox.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Sends a request with exactly these headers.
pub fn ask(sandbox: &Sandbox, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if !body.is_empty() {
        let _ = write!(head, "Content-Length: {}\r\n", body.len());
    }
    raw(sandbox, format!("{head}\r\n{body}").as_bytes())
}

pub fn get(sandbox: &Sandbox, path: &str, headers: &[(&str, &str)]) -> String {
    ask(sandbox, "GET", path, headers, "")
}

/// Code and reason of an answer. The code is 0 if it is not a refusal.
pub fn verdict(answer: &Value) -> (u64, &str) {
    let error = &answer["error"];
    (error["code"].as_u64().unwrap_or(0), error["extra"]["reason"].as_str().unwrap_or(""))
}

/// A clock that moves only when the test advances it.
#[derive(Clone)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub fn new(time: UnixTime) -> Self {
        Self(Arc::new(AtomicU64::new(time.secs())))
    }

    pub fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.0.load(Ordering::SeqCst))
    }

    pub fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub fn config(&self) -> Config {
        let clock = self.clone();
        Config { clock: Arc::new(move || clock.now()), ..Config::default() }
    }
}
