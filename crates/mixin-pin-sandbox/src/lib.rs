//! A local stand-in for Mixin's PIN API, for tests of clients.
//!
//! **In scope:** the sandbox checks tokens, encrypted PINs, iterators, timestamps and the day's tries, and answers as the
//! real service does. It works with any client. The feature `faults` adds a proxy that breaks connections and answers.
//!
//! **Out of scope:** money, messages and everything else that Mixin does. The sandbox makes no claim about undocumented
//! behaviour of the real service. Where that matters, [`Config`] has a setting.
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
//! The sandbox is for tests on one machine. It decrypts nothing before it has verified the token, and shows iterators only
//! of calls that succeeded. `POST /legacy/users` has no token: there it decrypts only for who knows the session's public key. Its database file contains unencrypted private keys, and PINs as keyed hashes. Only the owner can
//! read the file. Anyone who reads it can find the PINs by trying.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod account;
mod browser;
mod connections;
mod database;
mod error;
#[cfg(feature = "faults")]
pub mod faults;
mod observe;
mod pin_hash;
mod reply;
mod server;
mod service;
mod status;
mod system;
mod threads;
mod time;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{fmt, thread};

use mixin_pin_core::UnixTime;
use tokio::sync::{Semaphore, oneshot};
use zeroize::Zeroizing;

pub use account::Account;
pub use error::Error;
pub use observe::{Observation, ObservedPin};

use database::{Capacity, Database};
use service::Service;
use threads::Threads;

/// A year. Longer time limits could overflow the clock.
const MAX_TIME_LIMIT: Duration = Duration::from_secs(365 * 86_400);

/// A clock: the system's, or one that a test controls.
pub type Clock = Arc<dyn Fn() -> UnixTime + Send + Sync>;

/// Called after every request, in the order of their transactions. The next request waits until it returns. If a change
/// could not be stored, as on a full disk, the observation has status 500.
pub type Observer = Arc<dyn Fn(&Observation) + Send + Sync>;

/// Sandbox settings.
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
/// println!("open {} in a browser", sandbox.url());
/// # Ok::<(), mixin_pin_sandbox::Error>(())
/// ```
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct Config {
    /// The address to listen on. Port 0 takes any free port. Default: `127.0.0.1:0`.
    pub listen: SocketAddr,
    /// The database file, which only its owner may be able to read and write. Always a path, never a URI. Default: `None`,
    /// in memory.
    pub database: Option<PathBuf>,
    /// How far the timestamp of a PIN or the `iat` of a token may be from the clock. Default: five minutes.
    pub clock_tolerance: Duration,
    /// How many wrong PINs a user has per day before every PIN call is answered with 429, also one with the right PIN. The
    /// newest 1,000 are remembered, so a greater number is no limit. Default: 5 (developers.mixin.one:
    /// `dapp/guide/pin.md` of 2022; android-app: `AccountRepository.kt`).
    pub tries_a_day: u32,
    /// What a day is for [`tries_a_day`](Self::tries_a_day). Default: [`TryWindow::Growing`].
    pub try_window: TryWindow,
    /// Whether a wrong PIN uses its iterator up. No source says. A PIN that is refused for another reason never does.
    /// Default: `true`.
    pub wrong_pin_spends_iterator: bool,
    /// Whether a change of the PIN is refused if the new PIN's iterator is not greater than the old PIN's. The clients encrypt
    /// the old PIN first, except for `modifyPin` of `mixin-node-sdk` 3.1.16 (npm), whose two iterators are mostly equal.
    /// Default: `false`.
    pub old_pin_first: bool,
    /// Whether a token is good once, also for reads: "cannot be reused" (developers.mixin.one:
    /// `app/guide/generate-jwt-token.md`). A token is known by its session and its `jti`. Default: `true`.
    pub refuse_repeated_requests: bool,
    /// Whether `X-Request-Id` must be the token's `jti`. Mixin's own clients send requests without one, or with another one: the
    /// official Go client sends two different ids (bot-api-go-client: `request.go`, `auth.go`), and the API guide's own
    /// request has none (developers.mixin.one: `api/guide.md`). Default: `false`.
    pub require_request_id: bool,
    /// Whether `POST /legacy/users` gives the session a new id. The client takes the id from the answer (bot-api-go-client:
    /// `legacy_user.go`); no source says whether it is the old one. Default: `false`.
    pub upgrade_changes_session: bool,
    /// Whether `POST /legacy/users` answers again when the session has the new key already. No source says. Default: `true`.
    pub answer_repeated_upgrades: bool,
    /// Default: the system's clock.
    pub clock: Clock,
    /// Called after every request. Default: `None`.
    pub observer: Option<Observer>,
    /// Whether `GET /` is a page for browsers that lists accounts and recent calls. The page answers only to `localhost` and
    /// addresses of this machine. Default: `false`.
    pub status_page: bool,
    /// How many connections may be open. When one more waits, idle connections are closed at once and busy ones after their
    /// request. Default: 256.
    pub max_connections: usize,
    /// How long a request's head may take, and how long a connection may be idle. Default: 20 seconds.
    pub head_time: Duration,
    /// How long a request's body may take, and how long its answer. Default: 20 seconds each.
    pub body_time: Duration,
}

/// What a day is for [`Config::tries_a_day`]. Sources conflict.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TryWindow {
    /// The last 24 hours, as the apps count (android-app: `AccountRepository.kt`; ios-app:
    /// `PINVerificationFailureHandler`). A PIN call that is answered with 429 counts as a further try, so it
    /// lengthens the lock (developers.mixin.one: `dapp/guide/pin.md` of 2022).
    Growing,
    /// The last 24 hours. A PIN call that is answered with 429 does not count.
    Rolling,
    /// The UTC day. No source has it; the lock ends for all users at once, which suits some tests.
    UtcDay,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            database: None,
            clock_tolerance: Duration::from_secs(300),
            tries_a_day: 5,
            try_window: TryWindow::Growing,
            wrong_pin_spends_iterator: true,
            old_pin_first: false,
            refuse_repeated_requests: true,
            require_request_id: false,
            upgrade_changes_session: false,
            answer_repeated_upgrades: true,
            // A system clock before 1970 reads as 1970.
            clock: Arc::new(|| UnixTime::try_from(SystemTime::now()).unwrap_or(UnixTime::from_secs(0))),
            observer: None,
            status_page: false,
            max_connections: 256,
            // Longer than usual clients keep an idle connection, so they do not write to one that is being closed.
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
            .field("try_window", &self.try_window)
            .field("wrong_pin_spends_iterator", &self.wrong_pin_spends_iterator)
            .field("old_pin_first", &self.old_pin_first)
            .field("refuse_repeated_requests", &self.refuse_repeated_requests)
            .field("require_request_id", &self.require_request_id)
            .field("upgrade_changes_session", &self.upgrade_changes_session)
            .field("answer_repeated_upgrades", &self.answer_repeated_upgrades)
            .field("status_page", &self.status_page)
            .field("max_connections", &self.max_connections)
            .field("head_time", &self.head_time)
            .field("body_time", &self.body_time)
            .finish_non_exhaustive()
    }
}

/// A running sandbox. It stops when it is dropped.
pub struct Sandbox {
    address: SocketAddr,
    service: Arc<Service>,
    app_keystore: Zeroizing<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Sandbox {
    /// Opens the database, creates the app if it is new, and starts to listen on its own threads.
    ///
    /// # Errors
    /// [`Error::Listen`] if the address is not available, [`Error::Runtime`] if the threads cannot be started, and the
    /// `Database…` errors if the database cannot be used.
    pub fn start(config: &Config) -> Result<Self, Error> {
        let database = Database::open(config.database.as_deref(), Capacity::default())?;
        let service = Arc::new(Service::new(database, config)?);
        let app_keystore = service.app_keystore()?;
        let threads = Threads::start().map_err(Error::Runtime)?;
        let listener = {
            let _entered = threads.enter();
            connections::listen(config.listen).map_err(Error::Listen)?
        };
        let address = listener.local_addr().map_err(Error::Listen)?;
        let limits = connections::Limits {
            connections: config.max_connections.clamp(1, Semaphore::MAX_PERMITS),
            head: config.head_time.min(MAX_TIME_LIMIT),
            body: config.body_time.min(MAX_TIME_LIMIT),
        };
        let (stop, stopped) = oneshot::channel();
        let served = service.clone();
        let thread = thread::Builder::new()
            .name("mixin-pin-sandbox".to_owned())
            .spawn(move || {
                let Some(runtime) = threads.into_inner() else { return };
                runtime.block_on(server::serve(listener, served, limits, stopped));
                // Cuts off lingering connections.
                runtime.shutdown_timeout(Duration::from_secs(1));
            })
            .map_err(Error::Runtime)?;
        Ok(Self { address, service, app_keystore, stop: Some(stop), thread: Some(thread) })
    }

    /// The address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The API URL for a client.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The keystore of the app that can register users: JSON as from Mixin's dashboard, with the private key. If the app of an
    /// earlier run has another session key by now, or none, this is the keystore of a new app.
    pub fn app_keystore(&self) -> &str {
        &self.app_keystore
    }

    /// Adds a user with keys of your own. A client can then use the keystore that it has, and tests can start with the same
    /// users each time. An account that the database already has, as after a restart, stays unchanged.
    ///
    /// # Errors
    /// [`Error::AccountExists`] if a different account has one of the ids, [`Error::UsersFull`] if there are 20,000 users
    /// already, and the `Database…` errors if the database cannot be used.
    pub fn add_account(&self, account: &Account) -> Result<(), Error> {
        self.add_accounts([account])
    }

    /// Adds users as [`add_account`](Self::add_account) does, all or none. The database is written once, so this is the
    /// quicker way for many.
    ///
    /// # Errors
    /// As [`add_account`](Self::add_account).
    pub fn add_accounts<'a>(&self, accounts: impl IntoIterator<Item = &'a Account>) -> Result<(), Error> {
        self.service.add_accounts(accounts)
    }

    /// Stops listening, finishes the current calls, closes every connection and the database. Takes at most two seconds,
    /// whatever clients have open.
    ///
    /// # Errors
    /// [`Error::Panicked`] if the server's thread panicked.
    pub fn stop(mut self) -> Result<(), Error> {
        self.shut_down()
    }

    fn shut_down(&mut self) -> Result<(), Error> {
        if let Some(stop) = self.stop.take() {
            // Fails if the server has already ended.
            let _ = stop.send(());
        }
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| Error::Panicked),
            None => Ok(()),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // `stop` reports errors.
        let _ = self.shut_down();
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Runs the README's examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
