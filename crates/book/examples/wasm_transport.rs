//! A transport for a browser: it uses no clock, socket or thread. In WebAssembly `Host` is the page's `fetch`, `Date.now`
//! and `crypto.getRandomValues`. Here a stand-in sends each request to a sandbox.
//!
//! ```sh
//! cargo run -p mixin-pin-book --example wasm_transport
//! ```

use std::cell::Cell;
use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use mixin_pin_core::rand_core::CryptoRng;
use mixin_pin_core::{MonotonicNonces, NonceSource, Session, SystemRng, UnixTime};
use mixin_pin_protocol::answer::{Answer, User};
use mixin_pin_protocol::call::{Calls, PreparedRequest};
use mixin_pin_protocol::keystore::Keystore;
use mixin_pin_sandbox::{Config, Sandbox};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The host's functions. They need not be `Send`.
trait Host {
    /// Sends a request once and returns status, `X-Request-Id` and body.
    async fn fetch(&self, request: &PreparedRequest) -> Result<(u16, Option<String>, Vec<u8>)>;
    /// `Date.now()`: milliseconds since 1970.
    fn now_ms(&self) -> u64;
    /// `crypto.getRandomValues`.
    fn randomness(&self) -> Result<impl CryptoRng>;
}

struct Wallet<H> {
    session: Session,
    /// One page is one thread. Several tabs need a nonce store, as several processes do.
    nonces: MonotonicNonces,
    host: H,
}

impl<H: Host> Wallet<H> {
    async fn me(&self) -> Result<User> {
        let now = self.now()?;
        let rng = &mut self.host.randomness()?;
        let request = Calls::new(&self.session, now, rng).me()?.sign(self.session.signer(), rng)?;
        let (status, id, body) = self.host.fetch(&request).await?;
        let answer =
            Answer { status, request_id: id.as_deref(), integrity_token: None, retry_after: None, body: &body };
        Ok(answer.read(request.request_id())?)
    }

    fn now(&self) -> Result<UnixTime> {
        let ms = self.host.now_ms();
        Ok(UnixTime::from_nanos(ms.checked_mul(1_000_000).ok_or("a date beyond 2554")?))
    }
}

/// The stand-in for a browser.
struct Native {
    url: String,
    http: reqwest::Client,
    fetches: Cell<u32>,
}

impl Host for Native {
    async fn fetch(&self, request: &PreparedRequest) -> Result<(u16, Option<String>, Vec<u8>)> {
        self.fetches.set(self.fetches.get() + 1);
        let mut call = self.http.request(request.method().parse()?, format!("{}{}", self.url, request.path()));
        for (name, value) in request.headers() {
            call = call.header(name, value);
        }
        let answer = call.body(request.body().to_vec()).send().await?;
        let id = answer.headers().get("X-Request-Id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        Ok((answer.status().as_u16(), id, answer.bytes().await?.to_vec()))
    }

    fn now_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
    }

    fn randomness(&self) -> Result<impl CryptoRng> {
        Ok(SystemRng::new()?)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let sandbox = Sandbox::start(&Config::default())?;
    let session = Keystore::parse(sandbox.app_keystore().as_bytes())?.into_session(&mut SystemRng::new()?)?;
    let host = Native { url: sandbox.url(), http: reqwest::Client::new(), fetches: Cell::new(0) };
    let wallet = Wallet { session, nonces: MonotonicNonces::new(), host };
    let user = wallet.me().await?;
    println!("{} by {} fetch", user.full_name, wallet.host.fetches.get());

    // A PIN call also needs an iterator.
    let nonce = wallet.nonces.next(wallet.now()?)?;
    println!("the next encrypted PIN has the iterator {}", nonce.iterator());
    Ok(())
}
