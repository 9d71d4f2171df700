//! Arguments that several subcommands share.

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fmt};

use clap::Args;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_http::DEFAULT_API;

use crate::redact::{API_VARIABLE, ENV_PREFIX, KEYSTORE_VARIABLE, STORE_VARIABLE, ShownPath};

/// The longest timeout and wait, in seconds.
pub(super) const A_DAY: u64 = 86_400;

/// The session of a call.
#[derive(Args)]
pub(crate) struct SessionArgs {
    /// The keystore file; - for standard input.
    #[arg(long, value_name = "FILE", env = KEYSTORE_VARIABLE, hide_env_values = true)]
    pub(crate) keystore: PathBuf,
}

/// Where PINs come from.
#[derive(Args)]
pub(crate) struct PinSource {
    /// Read PINs from standard input, one a line, instead of a prompt.
    #[arg(long)]
    pub(crate) pin_stdin: bool,
}

/// Which TIP key to use instead of digits.
#[derive(Args)]
pub(crate) struct TipSource {
    /// Use the TIP key: the keystore's spend key, or the one from --spend-key-stdin.
    #[arg(long)]
    pub(crate) tip: bool,
    /// Read spend keys from standard input, one a line, in hex or base64.
    #[arg(long)]
    pub(crate) spend_key_stdin: bool,
}

impl TipSource {
    pub(crate) const fn is_wanted(&self) -> bool {
        self.tip || self.spend_key_stdin
    }

    /// The flag that makes another command take the key from the same place.
    pub(crate) const fn flag(&self) -> &'static [&'static str] {
        if self.spend_key_stdin { &["--spend-key-stdin"] } else { &["--tip"] }
    }
}

/// Where calls go.
#[derive(Args)]
pub(crate) struct ApiArgs {
    /// The API's address.
    #[arg(long = "api", value_name = "URL", env = API_VARIABLE, hide_env_values = true, default_value = DEFAULT_API)]
    pub(crate) url: String,
    /// How long a call may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=A_DAY))]
    pub(crate) timeout: u64,
}

/// The store of iterators, which keeps two processes from using the same iterator.
#[derive(Args)]
pub(crate) struct StoreArgs {
    /// Keep iterators here instead of in this user's own database: sqlite:FILE, a Redis URL (redis:, rediss:,
    /// redis+sentinel:, rediss+sentinel:, redis-cluster:, rediss-cluster:), a PostgreSQL URL (postgres:), or memory: for a
    /// session that nothing else uses. Put a URL with a password into the environment, because other users can see the
    /// command line. PostgreSQL's password may also be in PGPASSWORD or in the pass file.
    #[arg(long, value_name = "URL", env = STORE_VARIABLE, hide_env_values = true, value_parser = store_url)]
    pub(crate) store: Option<String>,
    /// How long to wait while another process uses the session or locks the store, while a server pauses after a restart or a
    /// failover, or while the store does not answer (at least a second). The default is longer than a call may take, and so
    /// longer than a crashed process can keep the session. Only with this option does the command also wait for a server that
    /// cannot be reached when it starts, as during a failover.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=A_DAY))]
    pub(crate) wait: Option<u64>,
}

impl StoreArgs {
    /// The longest wait that was asked for.
    pub(crate) fn max_wait(&self) -> Option<Duration> {
        self.wait.map(Duration::from_secs)
    }
}

/// The session, the API and the store of a call.
#[derive(Args)]
pub(crate) struct ClientArgs {
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Parses a store's URL. A missing database is created and its name is shown, so the name must not be a secret.
fn store_url(url: &str) -> Result<String, NotAName> {
    match url.strip_prefix("sqlite:") {
        // A server's URL with the wrong scheme. It would become the name of a new database, with any password in it.
        Some(path) if path.strip_prefix("//").is_some_and(is_host) => Err(NotAName("sqlite:// with a host".to_owned())),
        Some(path) => database(path).map(|_| url.to_owned()),
        None => Ok(url.to_owned()),
    }
}

/// Whether a URL's part behind `//` begins with a host. On Windows it may be a shared folder.
fn is_host(rest: &str) -> bool {
    let host = rest.split('/').next().unwrap_or_default();
    host.contains('@') || (cfg!(unix) && !host.is_empty())
}

/// A store that `store move` names. None is this user's own database.
#[derive(Clone)]
pub(crate) struct MoveStore(pub(crate) Option<String>);

/// Parses a store's name for `store move`.
pub(super) fn move_store(name: &str) -> Result<MoveStore, Box<dyn std::error::Error + Send + Sync>> {
    Ok(MoveStore(match name.strip_prefix(ENV_PREFIX) {
        Some(variable) => Some(store_url(&env::var(variable).map_err(|_| NoVariable)?)?),
        None if name == "default" => None,
        None => Some(store_url(name)?),
    }))
}

/// An environment variable that is not set, or is not UTF-8.
#[derive(Debug)]
pub(crate) struct NoVariable;

impl fmt::Display for NoVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("after env: give the name of an environment variable with the URL; there is none of this name")
    }
}

impl std::error::Error for NoVariable {}

/// Parses the id of a session, a request or anything else of Mixin's.
pub(super) fn id(text: &str) -> Result<Uuid, NotAnId> {
    text.parse().map_err(|_| NotAnId)
}

/// A value in place of an id.
#[derive(Debug)]
pub(crate) struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id is a UUID, such as 6d0e4f6e-9b0e-4f9b-8e0f-3c110b1f7f6e; copy it whole")
    }
}

impl std::error::Error for NotAnId {}

/// Checks that a time is in RFC 3339, as Mixin has it.
pub(super) fn rfc3339(time: &str) -> Result<String, jiff::Error> {
    time.parse::<jiff::Timestamp>().map(|_| time.to_owned())
}

/// Parses the file name of a database.
pub(super) fn database(path: &str) -> Result<PathBuf, NotAName> {
    let path = PathBuf::from(path);
    if ShownPath(&path).is_hidden() { Err(NotAName(ShownPath(&path).to_string())) } else { Ok(path) }
}

/// A value that may be a secret instead of a file name. Shown by length and kind.
#[derive(Debug)]
pub(crate) struct NotAName(String);

impl fmt::Display for NotAName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: give the name of a file", self.0)
    }
}

impl std::error::Error for NotAName {}
