//! An async transport of your own, here on `reqwest`: the protocol prepares a request, you carry it, the protocol reads the
//! answer. What `mixin-pin-http` sees to beside that is yours then, and marked below.
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
    /// Held from the iterator to the answer: iterators must arrive in the order in which they were given out.
    nonces: Mutex<MonotonicNonces>,
}

/// What became of a call that changes something.
enum Outcome<T> {
    Done(T),
    Refused(mixin_pin_protocol::AnswerError),
    /// Sent, and no answer that can be believed: never to be sent again blindly.
    Unknown(String),
}

impl AsyncClient {
    fn new(url: String, session: Session) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            // A redirection would carry the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, url, session, nonces: Mutex::new(MonotonicNonces::new()) })
    }

    async fn verify_pin(&self, pin: &Pin) -> Result<Outcome<User>> {
        let nonces = self.nonces.lock().await;
        let now = UnixTime::try_from(SystemTime::now())?;
        let request = Calls::new(&self.session, now, &mut SystemRng::new()?).nonces(&*nonces).verify_pin(pin)?;
        Ok(self.send(request).await)
    }

    /// Takes the request by value: an encrypted PIN is sent once.
    async fn send(&self, request: PreparedRequest) -> Outcome<User> {
        let (status, request_id, body) = match self.exchange(&request).await {
            Ok(answer) => answer,
            // Whether anything was sent is not known here, so nothing is taken for certain.
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
        // A limit on the length, `mixin_pin_protocol::answer::MAX_BODY_LEN`, belongs here where the server is not trusted.
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
            Outcome::Unknown(why) => println!("nobody knows: {why}"),
        }
    }
    Ok(())
}

/// A session that the sandbox knows, as a keystore would hold one.
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
