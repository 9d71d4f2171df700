//! An async transport on `reqwest`: the protocol prepares a request, the transport sends it, and the protocol reads the
//! answer. Comments mark the rules that `mixin-pin-http` would follow for you.
//!
//! ```sh
//! cargo run -p mixin-pin-book --example async_transport
//! ```

use std::error::Error;
use std::time::{Duration, SystemTime};

use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, MonotonicNonces, Pin, PinKey, Session, SystemRng, UnixTime};
use mixin_pin_protocol::answer::{Answer, User};
use mixin_pin_protocol::call::{Calls, PreparedRequest};
use mixin_pin_sandbox::{Account, Config, Sandbox};
use tokio::sync::Mutex;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One session, one process.
struct AsyncClient {
    http: reqwest::Client,
    url: String,
    session: Session,
    /// Locked from the iterator to the answer: iterators must arrive in order.
    nonces: Mutex<MonotonicNonces>,
}

/// What became of a call that changes something.
enum Outcome<T> {
    Done(T),
    Refused(mixin_pin_protocol::AnswerError),
    /// Sent, without an answer to trust. Do not send it again.
    Unknown(String),
}

impl AsyncClient {
    fn new(url: String, session: Session) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            // A redirection would send the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, url, session, nonces: Mutex::new(MonotonicNonces::new()) })
    }

    async fn verify_pin(&self, pin: &Pin) -> Result<Outcome<User>> {
        let nonces = self.nonces.lock().await;
        let now = UnixTime::try_from(SystemTime::now())?;
        let rng = &mut SystemRng::new()?;
        let request = Calls::new(&self.session, now, rng).nonces(&*nonces).verify_pin(pin)?;
        let request = request.sign(self.session.signer(), rng)?;
        Ok(self.send(request).await)
    }

    /// Takes the request by value, because an encrypted PIN is sent once.
    async fn send(&self, request: PreparedRequest) -> Outcome<User> {
        let (status, request_id, body) = match self.exchange(&request).await {
            Ok(answer) => answer,
            // The request may have been sent.
            Err(error) => return Outcome::Unknown(error.to_string()),
        };
        let answer = Answer { status, request_id: request_id.as_deref(), integrity_token: None, body: &body };
        match answer.read(request.request_id()) {
            Ok(user) => Outcome::Done(user),
            Err(error) if error.is_refusal() => Outcome::Refused(error),
            Err(error) => Outcome::Unknown(error.to_string()),
        }
    }

    async fn exchange(&self, request: &PreparedRequest) -> reqwest::Result<(u16, Option<String>, Vec<u8>)> {
        let method = request.method().parse().unwrap_or(reqwest::Method::POST);
        let mut call = self.http.request(method, format!("{}{}", self.url, request.path()));
        for (name, value) in request.headers() {
            call = call.header(name, value);
        }
        let answer = call.body(request.body().to_vec()).send().await?;
        let id = answer.headers().get("X-Request-Id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        // With a server that you do not trust, limit the length here: `mixin_pin_protocol::answer::MAX_BODY_LEN`.
        Ok((answer.status().as_u16(), id, answer.bytes().await?.to_vec()))
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let sandbox = Sandbox::start(&Config::default())?;
    let client = AsyncClient::new(sandbox.url(), alice(&sandbox)?)?;
    for digits in ["314159", "271828"] {
        match client.verify_pin(&Pin::new(digits)?).await? {
            Outcome::Done(user) => println!("right: {}", user.full_name),
            Outcome::Refused(error) => println!("refused: {error}"),
            Outcome::Unknown(why) => println!("unknown: {why}"),
        }
    }
    Ok(())
}

/// Registers a session in the sandbox. A real program reads its session from a keystore.
fn alice(sandbox: &Sandbox) -> Result<Session> {
    let mut rng = SystemRng::new()?;
    let (key, server) = (Ed25519Key::generate(&mut rng), Ed25519Key::generate(&mut rng));
    let public_key = VerifyingKey::Ed25519(key.public_key());
    let (user_id, session_id) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let session = Session::ed25519(user_id, session_id, key, &server.public_key().to_x25519()?)?;
    sandbox.add_account(&Account {
        user_id,
        session_id,
        full_name: "Alice".to_owned(),
        public_key,
        pin_key: PinKey::from_bytes(session.pin_key().expose())?,
        pin: Some(Pin::new("314159")?),
    })?;
    Ok(session)
}
