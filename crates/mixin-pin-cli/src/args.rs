//! What the command line may say. No secret is among it: PINs come from a prompt or from standard input.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_http::DEFAULT_API;

use crate::action::Action;
use crate::quoted::ShownPath;
use crate::{environment, help};

/// Create, change, prove and inspect Mixin PINs.
#[derive(Parser)]
#[command(name = "mixin-pin", version, after_help = help::EXIT_CODES)]
pub(crate) struct Cli {
    /// Print JSON, also for failures.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the main job against a sandbox of its own, request by request.
    #[command(after_help = help::DEMO)]
    Demo(DemoArgs),
    /// Judge a captured request: its hash, signature, lifetime and encrypted PINs.
    #[command(after_help = help::INSPECT)]
    Inspect(InspectArgs),
    /// Print an encrypted PIN. It can be used once.
    #[command(after_help = help::ENCRYPT)]
    Encrypt(PinArgs),
    /// Show what is in an encrypted PIN of this session.
    #[command(after_help = help::DECRYPT)]
    Decrypt(DecryptArgs),
    /// Print a signed token for one request.
    #[command(after_help = help::TOKEN)]
    Token(TokenArgs),
    /// Create the PIN, or change it.
    #[command(after_help = help::UPDATE)]
    Update(UpdateArgs),
    /// Prove the PIN. A wrong one costs one of the day's tries.
    #[command(after_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// Show the user.
    #[command(after_help = help::ME)]
    Me(ClientArgs),
    /// Show the failed attempts at the PIN.
    #[command(after_help = help::LOGS)]
    Logs(LogsArgs),
    /// Make any other call: its answer's data is printed.
    #[command(after_help = help::CALL)]
    Call(CallArgs),
    /// Find out what became of an update whose answer was lost (exit code 3).
    #[command(after_help = help::RESOLVE)]
    Resolve(ResolveArgs),
    /// Show what the store of iterators knows, forget a session, or raise its last iterator.
    #[command(subcommand, after_help = help::STORE)]
    Store(StoreCommand),
    /// Make TIP keys, and sign with them.
    #[command(subcommand, after_help = help::TIP)]
    Tip(TipCommand),
    /// Make, check, lock or unlock a keystore file.
    #[command(subcommand, after_help = help::KEYSTORE)]
    Keystore(KeystoreCommand),
    /// Look at all that a PIN call needs: keystore, store, server, clock and session.
    #[command(after_help = help::DOCTOR)]
    Doctor(ClientArgs),
    /// Say what a code of Mixin's or a word under error.kind means, what it cost, and what to do.
    #[command(after_help = help::EXPLAIN)]
    Explain(ExplainArgs),
    /// Print a script that completes this command's words, for a shell to read.
    #[command(after_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Write manual pages.
    #[command(after_help = help::MAN)]
    Man(ManArgs),
    /// Run a local server that checks everything as Mixin's would.
    #[command(after_help = help::SANDBOX)]
    Sandbox(SandboxArgs),
}

/// No call and no wait is longer, in seconds.
const A_DAY: u64 = 86_400;

/// Which session to speak for.
#[derive(Args)]
pub(crate) struct SessionArgs {
    /// The keystore file.
    #[arg(long, value_name = "FILE", env = environment::KEYSTORE, hide_env_values = true)]
    pub(crate) keystore: PathBuf,
}

/// Where PINs come from.
#[derive(Args)]
pub(crate) struct PinSource {
    /// Read PINs from standard input, one a line, instead of a prompt.
    #[arg(long)]
    pub(crate) pin_stdin: bool,
}

/// Which TIP key to prove the user with, in the digits' place.
#[derive(Args)]
pub(crate) struct TipSource {
    /// Use the TIP key: the keystore's spend key, unless --spend-key-stdin gives another.
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
}

/// Where calls go.
#[derive(Args)]
pub(crate) struct ApiArgs {
    /// The API's address.
    #[arg(long = "api", value_name = "URL", env = environment::API, hide_env_values = true, default_value = DEFAULT_API)]
    pub(crate) url: String,
    /// How long a call may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=A_DAY))]
    pub(crate) timeout: u64,
}

/// A store's URL. A missing database is made, so its name must not be a secret: names are shown.
fn store(url: &str) -> Result<String, NoName> {
    match url.strip_prefix("sqlite:") {
        Some(path) => database(path).map(|_| url.to_owned()),
        None => Ok(url.to_owned()),
    }
}

/// The file of a database.
fn database(path: &str) -> Result<PathBuf, NoName> {
    let path = PathBuf::from(path);
    if ShownPath(&path).is_hidden() { Err(NoName(ShownPath(&path).to_string())) } else { Ok(path) }
}

/// What was given for a file's name, told by its length and kind.
#[derive(Debug)]
struct NoName(String);

impl fmt::Display for NoName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: give the name of a file", self.0)
    }
}

impl std::error::Error for NoName {}

/// Where iterators are kept, so that no two processes use one.
#[derive(Args)]
pub(crate) struct StoreArgs {
    /// Keep iterators here instead of in this user's own database: sqlite:FILE, a URL of Redis (redis: or rediss:), or
    /// memory: for a session that nothing else uses. A URL with a password belongs into the environment, for others can see
    /// the command line.
    #[arg(long, value_name = "URL", env = environment::STORE, hide_env_values = true, value_parser = store)]
    pub(crate) store: Option<String>,
    /// How long to wait while another process uses the session; by default longer than a call may take, and so than one
    /// that crashed can have it.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=A_DAY))]
    pub(crate) wait: Option<u64>,
}

/// Who calls, and where.
#[derive(Args)]
pub(crate) struct ClientArgs {
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SessionKind {
    Rsa1024,
    Rsa2048,
    Ed25519,
}

impl SessionKind {
    pub(crate) const ALL: [Self; 3] = [Self::Rsa1024, Self::Rsa2048, Self::Ed25519];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Rsa1024 => "rsa1024",
            Self::Rsa2048 => "rsa2048",
            Self::Ed25519 => "ed25519",
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum DemoSession {
    Rsa1024,
    Rsa2048,
    Ed25519,
    All,
}

#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Which kind of session to show.
    #[arg(long, value_enum, default_value = "all")]
    pub(crate) session: DemoSession,
}

#[derive(Args)]
pub(crate) struct InspectArgs {
    /// A text with a curl command in it; - for standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "token", conflicts_with_all = ["token", "method", "path", "body"])]
    pub(crate) curl: Option<PathBuf>,
    /// The token by itself.
    #[arg(long, requires = "method", requires = "path")]
    pub(crate) token: Option<String>,
    /// The request's method, as GET.
    #[arg(long, requires = "token")]
    pub(crate) method: Option<String>,
    /// The request's path with its query.
    #[arg(long, requires = "token")]
    pub(crate) path: Option<String>,
    /// The request's body; - for standard input.
    #[arg(long, value_name = "FILE", requires = "token")]
    pub(crate) body: Option<PathBuf>,
    /// The session's public key: base64 SPKI, Ed25519 in base64url or hex, PEM, or a file with one of these.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) public_key: Option<String>,
    /// The keystore of the session: its PIN key opens the encrypted PINs, and its public key checks the signature.
    #[arg(long, value_name = "FILE")]
    pub(crate) keystore: Option<PathBuf>,
    /// The user's TIP public key, in base64 or hex, which checks the signatures inside; that of the keystore's spend
    /// key by default.
    #[arg(long, value_name = "KEY", requires = "keystore", allow_hyphen_values = true)]
    pub(crate) tip_key: Option<String>,
    /// Judge as at this time, in Unix seconds, instead of now.
    #[arg(long, value_name = "UNIX")]
    pub(crate) at: Option<u64>,
}

#[derive(Args)]
pub(crate) struct PinArgs {
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    #[command(flatten)]
    pub(crate) source: PinSource,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args)]
pub(crate) struct DecryptArgs {
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    /// Show the PIN itself, too.
    #[arg(long)]
    pub(crate) reveal: bool,
    /// The encrypted PIN, in base64. Put -- before it, for it may begin with a hyphen.
    #[arg(allow_hyphen_values = true)]
    pub(crate) ciphertext: String,
}

#[derive(Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    /// The request's method, as GET.
    #[arg(long)]
    pub(crate) method: String,
    /// The request's path with its query, exactly as it will be sent.
    #[arg(long)]
    pub(crate) path: String,
    /// The request's body, exactly as it will be sent; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) body: Option<PathBuf>,
    /// The request's id; a random one by default.
    #[arg(long, value_name = "UUID")]
    pub(crate) request_id: Option<Uuid>,
    /// How long the token is good.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) ttl: u64,
}

#[derive(Args)]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    #[command(flatten)]
    pub(crate) source: PinSource,
    #[command(flatten)]
    pub(crate) tip: TipSource,
    /// The user has no PIN yet: create it. Without this the old PIN is asked for first, then the new one.
    ///
    /// With a TIP key, the user's first is installed, in the place of digits or of nothing, or another takes its place.
    /// From standard input come the old one first, where there is one, then the new key. Where the old one is the
    /// keystore's spend key, it need not be given.
    #[arg(long)]
    pub(crate) new_user: bool,
}

#[derive(Args)]
pub(crate) struct ResolveArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    #[command(flatten)]
    pub(crate) source: PinSource,
    #[command(flatten)]
    pub(crate) tip: TipSource,
    /// The update was to create the PIN.
    #[arg(long)]
    pub(crate) new_user: bool,
    /// When the lost request's token expires, in Unix seconds, as the failed update said: from then on the server does not
    /// carry it out.
    #[arg(long, value_name = "UNIX", requires = "new_user")]
    pub(crate) expires_at: Option<u64>,
    /// The old PIN was a TIP key, too: the keystore's spend key, or else the first that is given.
    #[arg(long, conflicts_with = "new_user")]
    pub(crate) old_tip: bool,
}

#[derive(Subcommand)]
pub(crate) enum StoreCommand {
    /// List the sessions, their last iterators, and which are in use.
    Show(StoreShowArgs),
    /// Forget a session: its next iterator comes from the clock alone. For a session that was renewed, or whose iterators
    /// ran ahead of a clock that was wrong.
    Reset(StoreResetArgs),
    /// Raise a session's last iterator, where another client of it has used greater ones.
    ///
    /// The server then refuses every call here with 20119, as if the PIN were wrong. The last iterator is never lowered, and
    /// not raised while the session is in use. What was raised is remembered, and followed however far ahead of the clock it
    /// is.
    ///
    /// There is no way back: once a call was made, every client of the session has to be above that iterator, also those
    /// that go by their clock alone. Where it is ahead of the clock they are refused until the clock has come so far, which
    /// may be never. Near the greatest number the session is lost to all.
    Raise(StoreRaiseArgs),
}

#[derive(Args)]
pub(crate) struct StoreShowArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args)]
pub(crate) struct StoreResetArgs {
    /// The session.
    pub(crate) session_id: Uuid,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args)]
#[command(group(clap::ArgGroup::new("target").required(true)))]
pub(crate) struct StoreRaiseArgs {
    /// The session.
    pub(crate) session_id: Uuid,
    /// The iterator to raise it to: at least the greatest that any client has used. Clients without a store mostly use the
    /// nanoseconds since 1970.
    #[arg(long, value_name = "ITERATOR", group = "target")]
    pub(crate) to: Option<u64>,
    /// Raise it to the server's time, which a call tells that costs no try: above clients that go by a clock that is right.
    #[arg(long, group = "target", requires = "keystore")]
    pub(crate) to_server_time: bool,
    /// The keystore to ask the server with.
    #[arg(long, value_name = "FILE", env = environment::KEYSTORE, hide_env_values = true)]
    pub(crate) keystore: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
    /// Raise it more than a day ahead of the clock, too. Every other client of the session then has to follow it for ever.
    #[arg(long)]
    pub(crate) far_ahead: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    #[command(flatten)]
    pub(crate) source: PinSource,
    #[command(flatten)]
    pub(crate) tip: TipSource,
}

#[derive(Args)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    /// How many entries, 1 to 100.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) limit: u8,
    /// Only entries before this time, in RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub(crate) offset: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum TipCommand {
    /// Make a key and write its seed, in hex, to a file; the public key is shown.
    NewKey(TipNewKeyArgs),
    /// Print the signature for an action, and what it is over.
    Sign(TipSignArgs),
}

#[derive(Args)]
pub(crate) struct TipSignArgs {
    /// The keystore whose spend key signs.
    #[arg(long, value_name = "FILE", env = environment::KEYSTORE, hide_env_values = true)]
    pub(crate) keystore: Option<PathBuf>,
    /// Read the spend key from standard input, in hex or base64.
    #[arg(long)]
    pub(crate) spend_key_stdin: bool,
    /// The public key that the spend key must have, which tells a seed from a raw scalar.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) public_key: Option<String>,
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Args)]
pub(crate) struct CallArgs {
    /// GET, POST, ….
    pub(crate) method: String,
    /// The path with its query.
    pub(crate) path: String,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    #[command(flatten)]
    pub(crate) source: PinSource,
    /// The body, in JSON; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) body: Option<PathBuf>,
    /// Put the encrypted PIN into the body.
    #[arg(long, conflicts_with_all = ["tip", "spend_key_stdin"])]
    pub(crate) with_pin: bool,
    /// Read the spend key for --tip from standard input; the keystore's by default.
    #[arg(long, requires = "tip", conflicts_with = "pin_stdin")]
    pub(crate) spend_key_stdin: bool,
    /// Put the encrypted TIP signature of this action into the body: the action and its options, as after `tip sign`,
    /// last on the line.
    #[arg(long, value_name = "ACTION", num_args = 1.., allow_hyphen_values = true)]
    pub(crate) tip: Option<Vec<String>>,
}

#[derive(Args)]
pub(crate) struct TipNewKeyArgs {
    /// Where to write the seed. An existing file is never touched.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Subcommand)]
pub(crate) enum KeystoreCommand {
    /// Make a key, register a user with it under an app's session, and write the keystore.
    New(KeystoreNewArgs),
    /// Tell what a keystore is and whether it is complete; nothing secret is shown.
    Check(KeystoreCheckArgs),
    /// Lock a keystore under a passphrase, in its place or in another file.
    #[command(after_help = help::LOCK)]
    Lock(KeystoreLockArgs),
    /// Make a locked keystore one that needs no passphrase, in its place or in another file.
    #[command(after_help = help::UNLOCK)]
    Unlock(KeystoreLockArgs),
}

#[derive(Args)]
pub(crate) struct KeystoreNewArgs {
    /// Which key to make.
    #[arg(long, value_enum)]
    pub(crate) kind: SessionKind,
    /// The keystore of the app that registers the user.
    #[arg(long, value_name = "FILE")]
    pub(crate) app_keystore: PathBuf,
    /// The user's name.
    #[arg(long)]
    pub(crate) name: String,
    /// Where to write the keystore. An existing file is never touched.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Lock it under a passphrase at once, so that it never stands on the disk as it is.
    #[arg(long)]
    pub(crate) lock: bool,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Args)]
pub(crate) struct KeystoreCheckArgs {
    /// The keystore file.
    pub(crate) file: PathBuf,
}

#[derive(Args)]
pub(crate) struct KeystoreLockArgs {
    /// The keystore file.
    pub(crate) file: PathBuf,
    /// Write to this file instead, and leave the keystore as it is. An existing file is never touched.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// The code, such as 20119, or the word, such as unknown.
    #[arg(value_name = "CODE")]
    pub(crate) what: String,
}

#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that reads it.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Args)]
pub(crate) struct ManArgs {
    /// The folder to write them into; it is made where it is missing.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
}

#[derive(Args)]
pub(crate) struct SandboxArgs {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Keep everything in this file, over restarts.
    #[arg(long, value_name = "FILE", value_parser = database)]
    pub(crate) db: Option<PathBuf>,
    /// Where to write the keystore of the app that may register users; a temporary file by default.
    #[arg(long, value_name = "FILE")]
    pub(crate) app_keystore_out: Option<PathBuf>,
    /// Register a user at once, and write the user's keystore to this file. An existing file is never touched.
    #[arg(long, value_name = "FILE")]
    pub(crate) user_keystore_out: Option<PathBuf>,
    /// How far an encrypted PIN's timestamp may be from the clock.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) clock_tolerance: u64,
    /// Wrong PINs a day before every PIN call is answered 429.
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub(crate) tries: u32,
    /// Know these users from the start: a JSON list of objects that name a keystore, from this file's folder, the user's
    /// full name, and the PIN where one is set. Whoever has such a keystore is served as Mixin would.
    #[arg(long, value_name = "FILE")]
    pub(crate) accounts: Option<PathBuf>,
    /// Append each request and its verdict to this file, as a line of JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Do not refuse a request id that was seen before.
    #[arg(long)]
    pub(crate) allow_repeats: bool,
}
