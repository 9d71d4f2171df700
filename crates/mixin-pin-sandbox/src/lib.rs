//! A local stand-in for Mixin's PIN API that checks everything.
//!
//! **In scope:** tokens, encrypted PINs, iterators, timestamps and the day's tries, judged by the checking halves of
//! [`mixin_pin_core`] and [`mixin_pin_protocol`] and answered as the real service answers. Anyone's client can be
//! pointed at it. With the feature `faults`, a proxy in front of it that breaks connections and answers as networks do.
//!
//! **Out of scope, for good:** money, messages and everything else that Mixin does; and any claim about what the real
//! service does where nothing documents it. Those points are settings of [`Config`].
//!
//! # Example
//!
//! ```
//! use mixin_pin_sandbox::{Config, Sandbox};
//!
//! let sandbox = Sandbox::start(&Config::default())?;
//! println!("point your client at {}", sandbox.url());
//! println!("{} bytes of keystore", sandbox.app_keystore().len());
//! sandbox.stop()?;
//! # Ok::<(), mixin_pin_sandbox::Error>(())
//! ```
//!
//! # Security
//! It decrypts nothing before a token holds, and tells the iterators of calls that were carried out only.
//!
//! For tests on this machine. Its database holds private keys in the clear and PINs as keyed hashes, in a file that only
//! its owner can read; whoever reads all of it can find the PINs by trying.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod browser;
mod calendar;
mod connections;
mod error;
#[cfg(feature = "faults")]
pub mod faults;
mod observe;
mod pin_hash;
mod reply;
mod server;
mod service;
mod status;
mod store;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fmt, thread};

use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Pin, PinKey, UnixTime};
use tokio::sync::{Semaphore, oneshot};
use zeroize::Zeroizing;

pub use error::Error;
pub use observe::{Observation, ObservedPin};

use service::Service;
use store::{Room, Store};

/// A year: a time limit that no clock can add to now would end every connection.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// A clock: the system's, or one that a test sets.
pub type Clock = Arc<dyn Fn() -> UnixTime + Send + Sync>;

/// Told of every request once it is judged and what it changed is kept, in the order in which requests were judged. The next
/// request waits for it. A request whose change could not be kept, as on a disk that is full, is told with status 500.
pub type Observer = Arc<dyn Fn(&Observation) + Send + Sync>;

/// How a sandbox behaves. What Mixin does not document is a setting here.
///
/// ```
/// use std::sync::Arc;
/// use mixin_pin_core::UnixTime;
/// use mixin_pin_sandbox::{Config, Sandbox};
///
/// let config = Config {
///     tries_a_day: 2,
///     clock: Arc::new(|| UnixTime::from_secs(1_700_000_000)),
///     status_page: true,
///     ..Config::default()
/// };
/// let sandbox = Sandbox::start(&config)?;
/// println!("look at {}", sandbox.url());
/// # Ok::<(), mixin_pin_sandbox::Error>(())
/// ```
#[derive(Clone)]
pub struct Config {
    /// Where to listen; port 0 takes any free one. `127.0.0.1:0` by default.
    pub listen: SocketAddr,
    /// The database file, which its owner alone may be able to read and write; in memory by default. It is a path and no
    /// URI, whatever it looks like.
    pub database: Option<PathBuf>,
    /// How far a block's timestamp, or a token's `iat`, may be from the clock; five minutes by default.
    pub clock_tolerance: Duration,
    /// Wrong PINs a day before every PIN call is answered 429; five by default.
    pub tries_a_day: u32,
    /// Whether a call that changes something is refused when its request id was seen before; so by default.
    pub refuse_repeated_requests: bool,
    /// The clock; the system's by default.
    pub clock: Clock,
    /// Who is told of every request; nobody by default.
    pub observer: Option<Observer>,
    /// Whether `GET /` is a page for browsers that lists accounts, calls and verdicts; not so by default. It answers to
    /// `localhost` and addresses of this machine only.
    pub status_page: bool,
    /// How many connections may be open; 256 by default. One more waits until another ends: an idle one at once, all
    /// others within their time.
    pub max_connections: usize,
    /// How long a request's head may take, and how long a connection may be idle; 20 seconds by default.
    pub head_time: Duration,
    /// How long a request's body may take, and then its answer; 20 seconds each by default.
    pub body_time: Duration,
}

/// A user with a session from elsewhere, whom a sandbox is to know: see [`Sandbox::add_account`].
#[derive(Debug)]
pub struct Account {
    /// The user's id.
    pub user_id: Uuid,
    /// The session's id.
    pub session_id: Uuid,
    /// The user's name.
    pub full_name: String,
    /// The key that the session signs with.
    pub public_key: VerifyingKey,
    /// The key that the session encrypts PINs under.
    pub pin_key: PinKey,
    /// The PIN, where one is set.
    pub pin: Option<Pin>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            database: None,
            clock_tolerance: Duration::from_secs(300),
            tries_a_day: 5,
            refuse_repeated_requests: true,
            // A system clock before 1970 is no clock to test with: it reads as 1970.
            clock: Arc::new(|| UnixTime::try_from(SystemTime::now()).unwrap_or(UnixTime::from_secs(0))),
            observer: None,
            status_page: false,
            max_connections: 256,
            // Longer than the clients in use keep an idle connection, so that none writes to one that is just closed.
            head_time: Duration::from_secs(20),
            body_time: Duration::from_secs(20),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("database", &self.database)
            .field("clock_tolerance", &self.clock_tolerance)
            .field("tries_a_day", &self.tries_a_day)
            .field("refuse_repeated_requests", &self.refuse_repeated_requests)
            .field("status_page", &self.status_page)
            .field("max_connections", &self.max_connections)
            .field("head_time", &self.head_time)
            .field("body_time", &self.body_time)
            .finish_non_exhaustive()
    }
}

/// A running sandbox. It stops when dropped.
pub struct Sandbox {
    address: SocketAddr,
    service: Arc<Service>,
    app_keystore: Zeroizing<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<Result<(), Error>>>,
}

impl Sandbox {
    /// Opens the database, makes an app's session where there is none yet, and listens, on threads of its own.
    ///
    /// # Errors
    /// [`Error::Listen`] when the address cannot be had, [`Error::Database`] and its kin when the database cannot be
    /// used.
    pub fn start(config: &Config) -> Result<Self, Error> {
        let store = Store::open(config.database.as_deref(), Room::default())?;
        let service = Arc::new(Service::new(store, config)?);
        let app_keystore = service.app_keystore()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(Error::Runtime)?;
        let listener = {
            let _entered = runtime.enter();
            connections::listen(config.listen).map_err(Error::Listen)?
        };
        let address = listener.local_addr().map_err(Error::Listen)?;
        let limits = connections::Limits {
            connections: config.max_connections.clamp(1, Semaphore::MAX_PERMITS),
            head: config.head_time.min(LONGEST),
            body: config.body_time.min(LONGEST),
        };
        let (stop, stopped) = oneshot::channel();
        let served = service.clone();
        let thread = thread::Builder::new()
            .name("mixin-pin-sandbox".to_owned())
            .spawn(move || {
                let result = runtime.block_on(server::serve(listener, served, limits, stopped));
                // Connections that linger are cut rather than waited for.
                runtime.shutdown_timeout(Duration::from_secs(1));
                result
            })
            .map_err(Error::Runtime)?;
        Ok(Self { address, service, app_keystore, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The API address for a client.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The keystore of the app whose session may register users: JSON of the dashboard's shape, private key included.
    pub fn app_keystore(&self) -> &str {
        &self.app_keystore
    }

    /// Takes in a user with a session from elsewhere, so that a client can be tried with the keystore that it has, and
    /// tests can begin with the same users each time. One that it has already, after a restart on the same database, is left
    /// as it is.
    ///
    /// ```
    /// use mixin_pin_core::{Ed25519Key, Pin, PinKey, SystemRng, token::VerifyingKey, uuid::Uuid};
    /// use mixin_pin_sandbox::{Account, Config, Sandbox};
    ///
    /// let sandbox = Sandbox::start(&Config::default())?;
    /// let mut rng = SystemRng::new()?;
    /// sandbox.add_account(&Account {
    ///     user_id: Uuid::from_u128(1),
    ///     session_id: Uuid::from_u128(2),
    ///     full_name: "Alice".to_owned(),
    ///     public_key: VerifyingKey::Ed25519(Ed25519Key::generate(&mut rng).public_key()),
    ///     pin_key: PinKey::generate(&mut rng),
    ///     pin: Some(Pin::new("314159")?),
    /// })?;
    /// # Ok::<(), mixin_pin_sandbox::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::AccountExists`] when it knows another user or session by one of the ids, [`Error::UsersFull`] when it has
    /// 20,000 users, [`Error::Database`] and its kin when the database cannot be used.
    pub fn add_account(&self, account: &Account) -> Result<(), Error> {
        self.service.add_account(account)
    }

    /// Stops listening, answers what it is judging, cuts every connection and closes the database. That takes two
    /// seconds at most, whatever clients have open.
    ///
    /// # Errors
    /// Whatever the server ended with.
    pub fn stop(mut self) -> Result<(), Error> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<(), Error> {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone when the server has ended by itself: then the thread says why.
            let _ = stop.send(());
        }
        match self.thread.take() {
            Some(thread) => thread.join().unwrap_or(Err(Error::Panicked)),
            None => Ok(()),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // `stop` is for those who want to know how it ended.
        let _ = self.shut_down();
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The README's examples run, too.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
