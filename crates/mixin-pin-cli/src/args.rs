//! The command line. It carries no secret: PINs come from a prompt or from standard input.

mod action;
mod help;
mod safe;
mod session;
mod shared;
mod stdin;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use mixin_pin_core::uuid::Uuid;
use mixin_pin_http::DEFAULT_API;
use mixin_pin_protocol::keystore::OutputShape;

use crate::redact::{API_VARIABLE, KEYSTORE_VARIABLE};

pub(crate) use action::{ActArgs, ActionLine, SignedAction};
pub(crate) use safe::{
    EvidenceArgs, SafeAddressArgs, SafeCheckArgs, SafeCommand, SafeExplainArgs, SafeSignArgs, SafeVerifyArgs,
    SpendKeyArgs,
};
pub(crate) use session::{
    AppCommand, AppRegisterArgs, SessionCommand, SessionRotateArgs, SessionUpgradeArgs, TipChangeArgs, UpgradeBy,
};
use shared::{A_DAY, database, id, move_store, rfc3339};
pub(crate) use shared::{
    ApiArgs, ClientArgs, MoveStore, NoVariable, NotAName, NotAnId, PinSource, SessionArgs, StoreArgs, TipSource,
};

pub(crate) const NEW_USER: &str = "--new-user";
pub(crate) const EXPIRES_AT: &str = "--expires-at";

/// Create, change, verify and inspect Mixin PINs.
#[derive(Parser)]
#[command(name = "mixin-pin", version, after_help = help::EXIT_CODES)]
pub(crate) struct Cli {
    /// Print JSON, for failures too.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Show the life of a PIN against a sandbox, request by request.
    #[command(after_help = help::DEMO)]
    Demo(DemoArgs),
    /// Check a captured request: its hash, signature, lifetime and encrypted PINs.
    #[command(after_help = help::INSPECT)]
    Inspect(InspectArgs),
    /// Print an encrypted PIN. It can be used once.
    #[command(after_help = help::ENCRYPT)]
    Encrypt(PinArgs),
    /// Show the content of an encrypted PIN of this session.
    #[command(after_help = help::DECRYPT)]
    Decrypt(DecryptArgs),
    /// Print a signed token for one request.
    #[command(after_help = help::TOKEN)]
    Token(TokenArgs),
    /// Create or change the PIN.
    #[command(after_help = help::UPDATE)]
    Update(UpdateArgs),
    /// Verify the PIN. A wrong one costs one of the day's tries.
    #[command(after_help = help::VERIFY)]
    Verify(VerifyArgs),
    /// Show the user.
    #[command(after_help = help::ME)]
    Me(ClientArgs),
    /// Show the failed attempts at the PIN.
    #[command(after_help = help::LOGS)]
    Logs(LogsArgs),
    /// Carry out an action, such as a transfer, and print the data of the answer. The PIN permits it.
    #[command(after_help = help::ACT)]
    Act(ActArgs),
    /// Make any other call, and print the data of its answer.
    #[command(after_help = help::CALL)]
    Call(CallArgs),
    /// Find out what became of a change of the PIN, or of a session's key, whose answer was lost (exit code 3).
    ///
    /// Without --new-user, --expires-at, --tip and --old-tip, which describe the update, the journal in the store tells which one
    /// it was. If the journal has none, nothing is asked and nothing is sent.
    #[command(after_help = help::RESOLVE)]
    Resolve(ResolveArgs),
    /// List the calls whose outcome is unknown, and those that are under way.
    #[command(after_help = help::PENDING)]
    Pending(PendingArgs),
    /// Show or create the store of iterators, forget a session, raise its last iterator, or move sessions to another store.
    #[command(subcommand, after_help = help::STORE)]
    Store(StoreCommand),
    /// Give a session another key.
    #[command(subcommand, after_help = help::SESSION)]
    Session(SessionCommand),
    /// Register an app with the safe.
    #[command(subcommand, after_help = help::APP)]
    App(AppCommand),
    /// Make TIP keys, sign with them, and change the TIP PIN.
    #[command(subcommand, after_help = help::TIP)]
    Tip(TipCommand),
    /// Explain, check and sign transactions of Mixin's Safe, which move money.
    #[command(subcommand, after_help = help::SAFE)]
    Safe(SafeCommand),
    /// Make, check, convert, lock or unlock a keystore file.
    #[command(subcommand, after_help = help::KEYSTORE)]
    Keystore(KeystoreCommand),
    /// Check everything that a PIN call needs: keystore, store, server, clock and session.
    #[command(after_help = help::DOCTOR)]
    Doctor(ClientArgs),
    /// Explain a code of Mixin's or a word of error.kind: what it means, what it cost, and what to do.
    #[command(after_help = help::EXPLAIN)]
    Explain(ExplainArgs),
    /// Print a completion script for a shell.
    #[command(after_help = help::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Write manual pages.
    #[command(after_help = help::MAN)]
    Man(ManArgs),
    /// Run a local server that checks everything as Mixin's does.
    #[command(after_help = help::SANDBOX)]
    Sandbox(SandboxArgs),
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
    /// The kind of session to show.
    #[arg(long, value_enum, default_value = "all")]
    pub(crate) session: DemoSession,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum TryWindow {
    /// The last 24 hours. A PIN call that gets 429 counts, too, so it lengthens the lock.
    Growing,
    /// The last 24 hours.
    Rolling,
    /// The UTC day.
    UtcDay,
}

#[derive(Args)]
pub(crate) struct InspectArgs {
    /// A text that contains a curl command; - for standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "token", conflicts_with_all = ["token", "method", "path", "body"])]
    pub(crate) curl: Option<PathBuf>,
    /// The token alone.
    #[arg(long, requires = "method", requires = "path")]
    pub(crate) token: Option<String>,
    /// The request's method, such as GET.
    #[arg(long, requires = "token")]
    pub(crate) method: Option<String>,
    /// The request's path and query.
    #[arg(long, requires = "token")]
    pub(crate) path: Option<String>,
    /// The request's body; - for standard input.
    #[arg(long, value_name = "FILE", requires = "token")]
    pub(crate) body: Option<PathBuf>,
    /// The session's public key: base64 SPKI, PEM, Ed25519 in base64url or hex, or a file with one of these.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) public_key: Option<String>,
    /// The session's keystore; - for standard input. Its PIN key decrypts the PINs, and its public key checks the signature.
    #[arg(long, value_name = "FILE")]
    pub(crate) keystore: Option<PathBuf>,
    /// The user's TIP public key, in base64 or hex, which checks the TIP signatures. By default that of the keystore's
    /// spend key.
    #[arg(long, value_name = "KEY", requires = "keystore", allow_hyphen_values = true)]
    pub(crate) tip_key: Option<String>,
    /// Check as of this time, in Unix seconds, instead of now.
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
    /// Show the PIN itself too.
    #[arg(long)]
    pub(crate) reveal: bool,
    /// The encrypted PIN, in base64. Put -- before it, because it may begin with a hyphen.
    #[arg(allow_hyphen_values = true)]
    pub(crate) ciphertext: String,
}

#[derive(Args)]
pub(crate) struct TokenArgs {
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    /// The request's method, such as GET.
    #[arg(long)]
    pub(crate) method: String,
    /// The request's path and query, exactly as they will be sent.
    #[arg(long)]
    pub(crate) path: String,
    /// The request's body, exactly as it will be sent; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) body: Option<PathBuf>,
    /// The request's id; a random one by default.
    #[arg(long, value_name = "UUID", value_parser = id)]
    pub(crate) request_id: Option<Uuid>,
    /// How long the token is valid.
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
    /// Create the PIN of a user who has none. Without this option the command asks for the old PIN, then for the new one.
    ///
    /// With a TIP key, the command installs the user's first one, or replaces the old one. Standard input has the old PIN or
    /// key first, if there is one, then the new key. An old key that is the keystore's spend key need not be given.
    #[arg(long)]
    pub(crate) new_user: bool,
}

impl UpdateArgs {
    /// The flag that tells `resolve` about an update for a new user.
    pub(crate) const fn new_user_flag(&self) -> &'static [&'static str] {
        if self.new_user { &[NEW_USER] } else { &[] }
    }
}

#[derive(Args)]
pub(crate) struct ResolveArgs {
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    #[command(flatten)]
    pub(crate) source: PinSource,
    #[command(flatten)]
    pub(crate) tip: TipSource,
    /// The lost update was to create the PIN.
    #[arg(long)]
    pub(crate) new_user: bool,
    /// When the lost request's token expires, in Unix seconds, as the failed update said. After that the server does not
    /// carry the request out. If the journal names a later time, that one counts.
    #[arg(long, value_name = "UNIX", requires = "new_user")]
    pub(crate) expires_at: Option<u64>,
    /// The old PIN was a TIP key too: the keystore's spend key, or else the first one given.
    #[arg(long, conflicts_with = "new_user")]
    pub(crate) old_tip: bool,
    /// After a change of the session's key: the new keystore, or its unfinished file. The server is asked with both keys. For an
    /// app whose owner made the change, --keystore is the owner's.
    #[arg(long, value_name = "FILE")]
    pub(crate) new_keystore: Option<PathBuf>,
}

impl ResolveArgs {
    /// Whether an option describes the lost update. Those that only bring its PINs do not.
    pub(crate) const fn describe_a_change(&self) -> bool {
        self.new_user || self.expires_at.is_some() || self.old_tip || self.tip.tip
    }
}

#[derive(Args)]
pub(crate) struct PendingArgs {
    /// The keystore of the session; - for standard input. Without it the calls of all sessions in the store are listed.
    #[arg(long, value_name = "FILE", env = KEYSTORE_VARIABLE, hide_env_values = true)]
    pub(crate) keystore: Option<PathBuf>,
    /// Remove this call from the list, after you have found out whether it was carried out. A call under way stays.
    #[arg(long, value_name = "REQUEST_ID", value_parser = id, requires = "keystore")]
    pub(crate) settled: Option<Uuid>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The API's address, for the commands to run next.
    #[arg(long = "api", value_name = "URL", env = API_VARIABLE, hide_env_values = true, default_value = DEFAULT_API)]
    pub(crate) api: String,
}

#[derive(Subcommand)]
pub(crate) enum StoreCommand {
    /// List the sessions, their last iterators, which ones are in use, and how many of their calls are pending.
    Show(StoreShowArgs),
    /// Forget a session. Its next iterator then comes from the clock. Use this for a session that was renewed, or whose
    /// iterators came from a wrong clock. While calls of it are pending, it is not forgotten.
    Reset(StoreResetArgs),
    /// Raise a session's last iterator, after another client has used greater ones.
    ///
    /// Without this, the server refuses every PIN call from here with 20119, as if the PIN were wrong. The last iterator is
    /// never lowered, and cannot be raised while the session is in use. A raised iterator is accepted at any distance ahead
    /// of the clock.
    ///
    /// This cannot be undone: after the next call, every client of the session must stay above that iterator, even one that
    /// uses only its clock. If the iterator is ahead of the clock, such a client is refused until the clock has passed it,
    /// possibly for ever. Near the greatest number, no client can use the session again.
    Raise(StoreRaiseArgs),
    /// Create what the store needs before its first use: the tables of a PostgreSQL database. Other stores need nothing.
    Create(StoreCreateArgs),
    /// Move sessions from one store to another.
    ///
    /// For each session, the command waits until no call uses it in FROM. It raises the session in TO above every iterator that
    /// FROM has given out. Then it forgets the session in FROM. A session that is in use or has pending calls stays in FROM, and
    /// the command names it. After an interruption, run the same command again.
    ///
    /// First stop every program that uses FROM, or switch it to TO. After the move FROM does not know the session. A program
    /// that still uses FROM takes iterators from its clock, and does not wait for the programs that use TO.
    Move(StoreMoveArgs),
}

#[derive(Args)]
pub(crate) struct StoreCreateArgs {
    /// Print the SQL statements for a PostgreSQL database instead, and change nothing.
    #[arg(long)]
    pub(crate) print: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args)]
pub(crate) struct StoreMoveArgs {
    /// The store that has the sessions: a URL as for --store, `default` for this user's own database, or env:NAME for the URL
    /// in the environment variable NAME. Use env:NAME for a URL with a password, because other users can see the command
    /// line.
    #[arg(value_name = "FROM", value_parser = move_store)]
    pub(crate) from: MoveStore,
    /// The store that gets the sessions, named in the same way.
    #[arg(value_name = "TO", value_parser = move_store)]
    pub(crate) to: MoveStore,
    /// The sessions to move. By default all that FROM has.
    #[arg(value_name = "SESSION", value_parser = id)]
    pub(crate) sessions: Vec<Uuid>,
    /// How long to wait for each session that is in use, and for a store that another process locks or that does not answer.
    /// Only with this option does the command also wait for a server that cannot be reached when it starts.
    /// The default is longer than a call may take, than a killed run of this command keeps a session, and than a server pauses
    /// after a restart or a failover.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=A_DAY))]
    pub(crate) wait: Option<u64>,
}

#[derive(Args)]
pub(crate) struct StoreShowArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args)]
pub(crate) struct StoreResetArgs {
    /// The session.
    #[arg(value_parser = id)]
    pub(crate) session_id: Uuid,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args)]
#[command(group(clap::ArgGroup::new("target").required(true)))]
pub(crate) struct StoreRaiseArgs {
    /// The session.
    #[arg(value_parser = id)]
    pub(crate) session_id: Uuid,
    /// The new last iterator: at least the greatest that any client has used. Clients without a store mostly use the
    /// nanoseconds since 1970.
    #[arg(long, value_name = "ITERATOR", group = "target")]
    pub(crate) to: Option<u64>,
    /// Use the server's time, in nanoseconds: above clients that use a correct clock. Asking for it costs no try.
    #[arg(long, group = "target", requires = "keystore")]
    pub(crate) to_server_time: bool,
    /// The keystore for the call that asks the server; - for standard input.
    #[arg(long, value_name = "FILE", env = KEYSTORE_VARIABLE, hide_env_values = true)]
    pub(crate) keystore: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
    /// Allow more than a day ahead of the clock. Every other client of the session must then stay above it for ever.
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
    /// The number of entries, 1 to 100.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) limit: u8,
    /// Only entries before this time, in RFC 3339.
    #[arg(long, value_name = "TIME", value_parser = rfc3339)]
    pub(crate) offset: Option<String>,
}

#[derive(Subcommand)]
pub(crate) enum TipCommand {
    /// Make a key, write its seed to a file in hex, and print the public key.
    NewKey(TipNewKeyArgs),
    /// Print the signature of an action.
    Sign(TipSignArgs),
    /// Replace the PIN of six digits, or the old TIP key, by a TIP key.
    ///
    /// The new key is in its file before anything is sent. If the command is interrupted, the same command goes on.
    Change(TipChangeArgs),
}

#[derive(Args)]
pub(crate) struct TipSignArgs {
    /// The keystore whose spend key signs; - for standard input.
    #[arg(long, value_name = "FILE", env = KEYSTORE_VARIABLE, hide_env_values = true)]
    pub(crate) keystore: Option<PathBuf>,
    /// Read the spend key from standard input, in hex or base64.
    #[arg(long)]
    pub(crate) spend_key_stdin: bool,
    /// The public key of the spend key. It shows whether the spend key is a seed or a scalar.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    pub(crate) public_key: Option<String>,
    /// The user's id, for an action that is signed with it. By default it is the keystore's.
    #[arg(long, value_name = "UUID", value_parser = id)]
    pub(crate) user_id: Option<Uuid>,
    #[command(subcommand)]
    pub(crate) action: SignedAction,
}

impl TipSignArgs {
    /// The keystore, if its spend key or its user's id is used.
    pub(crate) fn keystore_to_read(&self) -> Option<&Path> {
        let is_read = !self.spend_key_stdin || (self.user_id.is_none() && self.action.needs_user_id());
        self.keystore.as_deref().filter(|_| is_read)
    }
}

#[derive(Args)]
pub(crate) struct CallArgs {
    /// The method, such as GET or POST.
    pub(crate) method: String,
    /// The path and query.
    pub(crate) path: String,
    #[command(flatten)]
    pub(crate) client: ClientArgs,
    #[command(flatten)]
    pub(crate) source: PinSource,
    /// A file with the body, in JSON; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) body: Option<PathBuf>,
    /// Put the encrypted PIN into the body.
    #[arg(long, conflicts_with_all = ["tip", "spend_key_stdin"])]
    pub(crate) with_pin: bool,
    /// Read the spend key for --tip from standard input, instead of the keystore.
    #[arg(long, requires = "tip", conflicts_with = "pin_stdin")]
    pub(crate) spend_key_stdin: bool,
    /// Put the encrypted TIP signature of this action into the body. Give the action with its options as for `tip sign`, at
    /// the end of the line.
    #[arg(long, value_name = "ACTION", num_args = 1.., allow_hyphen_values = true)]
    pub(crate) tip: Option<Vec<String>>,
}

#[derive(Args)]
pub(crate) struct TipNewKeyArgs {
    /// Where to write the seed. An existing file is never replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Subcommand)]
pub(crate) enum KeystoreCommand {
    /// Make a key, register a user with it by an app's session, and write the keystore.
    New(KeystoreNewArgs),
    /// Show what a keystore is and whether it is complete. Nothing secret is shown.
    Check(KeystoreCheckArgs),
    /// Write a keystore in the shape that another client reads.
    ///
    /// Reading the new file gives the same session. A PIN and a client secret are never written. The command names what it
    /// leaves out.
    #[command(after_help = help::CONVERT)]
    Convert(KeystoreConvertArgs),
    /// Lock a keystore under a passphrase, in place or into another file.
    #[command(after_help = help::LOCK)]
    Lock(KeystoreLockArgs),
    /// Unlock a keystore, in place or into another file. It then needs no passphrase.
    #[command(after_help = help::UNLOCK)]
    Unlock(KeystoreLockArgs),
}

#[derive(Args)]
pub(crate) struct KeystoreNewArgs {
    /// The kind of key to make.
    #[arg(long, value_enum)]
    pub(crate) kind: SessionKind,
    /// The keystore of the app that registers the user; - for standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) app_keystore: PathBuf,
    /// The user's name.
    #[arg(long)]
    pub(crate) name: String,
    /// Where to write the keystore. An existing file is never replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Lock the keystore under a passphrase at once. It is never written unlocked.
    #[arg(long)]
    pub(crate) lock: bool,
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

#[derive(Args)]
pub(crate) struct KeystoreCheckArgs {
    /// The keystore file; - for standard input.
    pub(crate) file: PathBuf,
}

/// The shape of a keystore to write.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Shape {
    /// For the official Go client: as the developers' dashboard writes it.
    Dashboard,
    /// For fox-one's Go client: a bot's keystore.
    Bot,
    /// For the official Go client's command: a user's keystore.
    User,
    /// For the official Node client.
    Node,
    /// For Ruby's `mixin_bot`.
    Ruby,
}

impl From<Shape> for OutputShape {
    fn from(shape: Shape) -> Self {
        match shape {
            Shape::Dashboard => Self::Dashboard,
            Shape::Bot => Self::Bot,
            Shape::User => Self::User,
            Shape::Node => Self::Node,
            Shape::Ruby => Self::Ruby,
        }
    }
}

#[derive(Args)]
pub(crate) struct KeystoreConvertArgs {
    /// The keystore file; - for standard input.
    pub(crate) file: PathBuf,
    /// The shape to write.
    #[arg(long, value_enum)]
    pub(crate) shape: Shape,
    /// Where to write it. An existing file is never replaced. Without this option it goes to standard output, unless that
    /// is a terminal.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Write the spend key too, if the shape has a place for it.
    #[arg(long)]
    pub(crate) with_spend_key: bool,
    /// Lock the result under a passphrase. It is never written unlocked.
    #[arg(long, requires = "out")]
    pub(crate) lock: bool,
}

#[derive(Args)]
pub(crate) struct KeystoreLockArgs {
    /// The keystore file; - for standard input.
    pub(crate) file: PathBuf,
    /// Write to this file instead, and keep the keystore as it is. An existing file is never replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// A code, such as 20119, or a word, such as unknown.
    #[arg(value_name = "CODE")]
    pub(crate) what: String,
}

#[derive(Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Args)]
pub(crate) struct ManArgs {
    /// The folder for the pages; it is created if it does not exist.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
}

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct SandboxArgs {
    /// Where to listen; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Keep the data in this file, across restarts.
    #[arg(long, value_name = "FILE", value_parser = database)]
    pub(crate) db: Option<PathBuf>,
    /// Where to write the keystore of the app that may register users. By default a temporary file.
    #[arg(long, value_name = "FILE")]
    pub(crate) app_keystore_out: Option<PathBuf>,
    /// Register a user at the start, and write the user's keystore to this file. An existing file is never replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) user_keystore_out: Option<PathBuf>,
    /// How far the timestamp in an encrypted PIN may be from the clock.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub(crate) clock_tolerance: u64,
    /// How many wrong PINs a day are allowed. After that every PIN call gets 429.
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub(crate) tries: u32,
    /// What a day is for --tries.
    #[arg(long, value_enum, value_name = "WINDOW", default_value = "growing")]
    pub(crate) try_window: TryWindow,
    /// Keep the iterator of a wrong PIN unused.
    #[arg(long)]
    pub(crate) keep_iterators: bool,
    /// Refuse a change of the PIN whose new PIN has no greater iterator than the old one.
    #[arg(long)]
    pub(crate) old_pin_first: bool,
    /// Know these users from the start: a JSON list of objects with a keystore (relative to this file's folder), the user's
    /// full name and, if one is set, the PIN or the TIP public key, or tip for the keystore's spend key; for an app, its owner. A client with such
    /// a keystore is served as by Mixin.
    #[arg(long, value_name = "FILE")]
    pub(crate) accounts: Option<PathBuf>,
    /// Append each request and its result to this file, as a line of JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Accept a token that was used before.
    #[arg(long)]
    pub(crate) allow_repeats: bool,
    /// Refuse a request whose X-Request-Id is absent or not its token's jti. Clients of Mixin's own send such requests.
    #[arg(long)]
    pub(crate) require_request_id: bool,
    /// Give a session that POST /legacy/users upgrades a new id.
    #[arg(long)]
    pub(crate) upgrade_changes_session: bool,
    /// Refuse POST /legacy/users when the session has the new key already.
    #[arg(long)]
    pub(crate) refuse_repeated_upgrades: bool,
}
