//! Why a command failed: the message, the exit code, and the word for scripts.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use mixin_pin_core::Error as CoreError;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_http::{Error as HttpError, NextStep, SettingsError, Unknown};
use mixin_pin_protocol::answer::ApiError;
use mixin_pin_protocol::check::OpenedPin;
use mixin_pin_protocol::{AnswerError, CallError, CurlError, Error as ProtocolError, KeystoreError, TokenFault};
use mixin_pin_safe::Refusal;
use mixin_pin_store::Error as StoreError;

use crate::files::with_suffix;
use crate::guided::{Kind, REPLACED, Works};
use crate::journal;
use crate::redact::{PASSPHRASE_VARIABLE, ShownInput, ShownPath, without_secrets};
use crate::safe::SafeError;
use crate::time::{date, seconds, span};

/// Why a command failed. No message contains a secret.
#[derive(Debug)]
pub(crate) enum Error {
    /// A check failed; its report has been printed.
    DoesNotHold,
    /// A file cannot be used.
    File { path: PathBuf, problem: FileProblem },
    /// A keystore cannot be used.
    Keystore { path: PathBuf, problem: KeystoreProblem },
    /// The two answers for a new passphrase differ.
    PassphrasesDiffer,
    /// The new passphrase is empty.
    PassphraseEmpty,
    /// There is no terminal to ask for `which`.
    NoTerminal { which: &'static str, cause: io::Error, stdin_is_keystore: bool },
    /// Two options read standard input.
    StdinTwice { first: &'static str, second: &'static str },
    /// A keystore would be shown on a terminal.
    SecretToTerminal,
    /// A keystore from standard input cannot be replaced.
    StdinInPlace,
    /// A line of standard input or an answer at a prompt is over the limit.
    LineTooLong { which: &'static str, limit: usize },
    /// Standard input ended too early.
    PinMissing { which: &'static str },
    /// A PIN or spend key is malformed.
    Pin { which: &'static str, cause: CoreError },
    /// The two answers for a new PIN differ.
    PinsDiffer,
    /// There is no spend key.
    SpendKeyMissing { which: &'static str },
    /// The user's id is signed, and is not known.
    UserIdMissing,
    /// The new spend key is the installed one.
    SameSpendKey,
    /// The arguments after --tip do not form an action.
    Usage(clap::Error),
    /// A body with a PIN must be a JSON object.
    BodyNoObject,
    /// A public key is malformed.
    PublicKey(CoreError),
    /// An encrypted PIN is malformed or does not decrypt.
    Ciphertext(CoreError),
    /// An encrypted PIN opens, and holds no PIN.
    Opened(OpenedPin),
    /// Other input cannot be used.
    Input(ProtocolError),
    /// A call failed.
    Http(HttpError),
    /// The answer to a call was lost. `run` is the command to run next, `listed_by` the one that lists the call.
    Unknown { lost: Unknown, run: Option<String>, listed_by: Option<String> },
    /// The outcome of an update is still unknown; the verdict has been printed.
    Unresolved,
    /// No call of the session with this id is pending.
    NotPending { request_id: Uuid },
    /// A pending call may still get its answer.
    UnderWay { request_id: Uuid, left: Duration },
    /// The store of iterators failed.
    Store(StoreError),
    /// A store in memory has nothing to show or change.
    MemoryStore,
    /// One of the stores of a move failed.
    MoveStore { which: &'static str, cause: StoreError },
    /// A store of a move is in memory.
    MoveMemory { which: &'static str },
    /// Both stores of a move are the same.
    SameStore,
    /// The database that sessions should be moved from does not exist.
    NoDatabase { path: PathBuf },
    /// The session did not become free in time: for at most this much longer, if that is known.
    SessionBusy { left: Option<Duration> },
    /// Another run of the same guided change is at work.
    OtherRun,
    /// The clock is far ahead of the session's last iterator.
    ClockLeap { ahead: Duration, reset: String },
    /// The new last iterator is far ahead of the clock, without --far-ahead.
    FarAhead { ahead: Duration },
    /// The server does not tell its time.
    NoServerTime,
    /// The sandbox failed.
    Sandbox(mixin_pin_sandbox::Error),
    /// The answer to a registration lacks what a keystore needs.
    Registration,
    /// The answer to a registration was lost.
    RegistrationLost(Unknown),
    /// The error reference has no section for a code or word.
    NotExplained { topics: String },
    /// A change of a key stopped before it was complete.
    Stopped(Box<Stop>),
    /// The answer to a change was lost, and the change was not carried out.
    NotCarriedOut(Box<HttpError>),
    /// A key cannot be changed, or not be used.
    Key(KeyProblem),
    /// A transaction is not explained, checked or signed.
    Safe(Box<SafeError>),
    /// Standard output cannot be written.
    Output(io::Error),
    /// The signal handler cannot be started.
    Signals(io::Error),
}

/// Why a key cannot be changed.
#[derive(Debug)]
pub(crate) enum KeyProblem {
    /// The server accepts neither the old key nor the new one.
    Neither,
    /// As `Neither`, for an app's session.
    NeitherOfApp,
    /// An earlier request of an app's owner may still arrive.
    MayArrive,
    /// An earlier request of an app's owner may still replace the new session.
    MayReplace,
    /// The PIN is a TIP key, and a change takes digits.
    TipKeySet,
    /// There is no PIN, and a change takes one.
    NoPin,
    /// The server accepts the new key and does not show its own.
    NoServerKey,
    /// The server accepts the new key, and agrees on no PIN key with its own.
    WeakServerKey,
    /// The server has changed the key by its answer, and refuses the new one.
    NewRefused,
    /// The app has a key of another change.
    OtherAppKey,
    /// The PIN is a TIP key, and there is no old key that fits it.
    OldMissing,
    /// The PIN is no TIP key, so there is no old one.
    NoTipKeyYet,
    /// The app is registered with another spend key.
    OtherSpendKey,
    /// The app is registered, and the server does not show with which key.
    SpendKeyNotShown,
}

impl fmt::Display for KeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Neither => {
                "the server accepts neither the old key nor the new one: another client may have changed it, or this clock may be \
                 wrong, which mixin-pin doctor shows"
            }
            Self::NeitherOfApp => {
                "the server accepts neither the old key nor the new one: another change may have given the app a session, so \
                 look for its keystore; if it is lost, add --old-refused, which ends the session that the app has now"
            }
            Self::MayArrive => {
                "an earlier request for a session of this app may still arrive; each one ends the session of the one before, so \
                 none is sent until then"
            }
            Self::MayReplace => {
                "an earlier request for a session of this app may still arrive and end the new session; the same command checks \
                 that afterwards"
            }
            Self::TipKeySet => {
                "the PIN is a TIP key, and POST /legacy/users takes six digits; add --by session-secret, which needs no PIN"
            }
            Self::NoPin => {
                "the user has no PIN, and POST /legacy/users takes one; add --by session-secret, which needs none"
            }
            Self::NoServerKey => {
                "the server accepts the new key, and does not show its own key, without which the keystore is not complete"
            }
            Self::WeakServerKey => {
                "the server accepts the new key, and its own key is of low order; a keystore with it cannot be used, so none is \
                 written"
            }
            Self::NewRefused => {
                "the server's answer says that the key was changed, and the server refuses the new key"
            }
            Self::OtherAppKey => {
                "the server shows that the app has another session key, so nothing was sent: another change may have given it, \
                 so look for its keystore; if it is lost, add --old-refused, which ends the session that the app has now"
            }
            Self::OldMissing => {
                "the PIN is a TIP key, and the keystore has no spend key that fits it; give the old key with --old-key"
            }
            Self::NoTipKeyYet => "the user has no TIP key yet; leave out --old-key",
            Self::OtherSpendKey => "the app is registered with another spend key, and no way to replace it is known; give the file with that key",
            Self::SpendKeyNotShown => {
                "the app is registered, and the server does not show with which spend key; keep the file with the key"
            }
        })
    }
}

/// Why a change of a key stopped, and what is known of the keys.
#[derive(Debug)]
pub(crate) struct Stop {
    pub(crate) cause: Error,
    pub(crate) works: Works,
    /// What works, in words.
    pub(crate) said: String,
    /// The file that the next run needs.
    pub(crate) kept: Option<String>,
    /// The command that goes on.
    pub(crate) run: Option<String>,
    /// How long to wait before it.
    pub(crate) wait: Option<Duration>,
    /// Whether the same command cannot succeed.
    pub(crate) is_final: bool,
}

/// Why a file cannot be used.
#[derive(Debug)]
pub(crate) enum FileProblem {
    Read(io::Error),
    Write(io::Error),
    Remove(io::Error),
    /// What is read is not what was written.
    Differs,
    /// Its name may not survive a power cut.
    NotDurable(io::Error),
    /// It is not the file of a change of a session's key.
    Unfinished,
    /// It is the file of another change of a session's key.
    OtherUnfinished {
        kind: Kind,
        is_app: bool,
        user_id: Uuid,
    },
    /// It is of a user whom the other keystore cannot change.
    OtherUser {
        user_id: Uuid,
    },
    /// It is the file of a change of another session of the user.
    OtherSession,
    /// It has another key than the keystore whose key it should have.
    OtherKey {
        keystore: PathBuf,
    },
    /// The TIP key in it cannot be used for an option.
    Key {
        option: &'static str,
        cause: CoreError,
    },
    /// It is not there, and a file with a replaced key has its name.
    KeyReplaced,
    /// A new key in it may be another user's.
    OfOthers,
    /// The file for an option is that of another.
    Shared {
        option: &'static str,
        other: &'static str,
    },
    /// It has the key of another file.
    SameKey {
        other: PathBuf,
    },
    /// It exists and must not be replaced.
    Exists,
    /// The new file of a `keystore lock` that was interrupted.
    LockingLeft,
    /// The old file of a `keystore unlock` that was interrupted.
    UnlockLeft,
    /// A secret would go to a file named `-`.
    Dash,
    /// A secret would be typed on a terminal that shows it.
    Terminal {
        what: &'static str,
    },
    /// It is not UTF-8.
    NotText,
    /// It is longer than `limit` bytes.
    TooLong {
        limit: usize,
    },
    /// It is not a list of a sandbox's accounts.
    Accounts(serde_json::Error),
    /// It is the keystore of an account that is already listed.
    AccountTwice,
    /// Its account has more than one of a PIN, a TIP key and `tip`.
    AccountPins,
    /// The TIP key of its account is no public key.
    AccountTipKey,
    /// Its account has `tip`, and it has no spend key.
    AccountSpendKey,
}

impl FileProblem {
    pub(crate) fn at(self, path: &Path) -> Error {
        Error::File { path: path.to_owned(), problem: self }
    }
}

/// Why a keystore cannot be used.
#[derive(Debug)]
pub(crate) enum KeystoreProblem {
    /// Its content is not a complete keystore.
    Content(KeystoreError),
    /// The passphrase is wrong.
    Passphrase,
    /// It cannot be unlocked with any passphrase.
    Unlock(age::DecryptError),
    /// It is already locked.
    Locked,
    /// It is not locked.
    NotLocked,
    /// Its session has no RSA key.
    NotRsa,
    /// Its session has an RSA key, which replaces no other.
    NotNew,
    /// The server refuses the session of a new keystore. `is_in_the_way` says that a run without it may go on.
    Refused { is_in_the_way: bool },
    /// The server refuses the session that is to be changed.
    OldRefused { is_app: bool },
    /// The server shows another key of its own.
    OtherServerKey,
}

impl KeystoreProblem {
    pub(crate) fn at(self, path: &Path) -> Error {
        Error::Keystore { path: path.to_owned(), problem: self }
    }
}

impl Error {
    /// 1 refused or does not hold, 2 wrong usage or input, 3 unknown outcome, 4 network or store.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Stopped(stop) => stop.cause.exit_code(),
            Self::Safe(error) => error.exit_code(),
            Self::DoesNotHold
            | Self::Key(
                KeyProblem::OtherSpendKey
                | KeyProblem::SpendKeyNotShown
                | KeyProblem::NoServerKey
                | KeyProblem::WeakServerKey
                | KeyProblem::OtherAppKey,
            )
            | Self::Keystore {
                problem:
                    KeystoreProblem::Refused { .. } | KeystoreProblem::OldRefused { .. } | KeystoreProblem::OtherServerKey,
                ..
            }
            | Self::Registration
            | Self::Sandbox(_)
            | Self::Ciphertext(CoreError::Decrypt)
            | Self::Opened(_) => 1,
            Self::Http(error) => match error {
                HttpError::Protocol(error) => match error {
                    ProtocolError::Answer(AnswerError::Refusal(_)) => 1,
                    ProtocolError::Answer(_) => 4,
                    _ => 2,
                },
                HttpError::Store(error) if !error.may_pass() => 2,
                HttpError::Connect(_)
                | HttpError::Interrupted(_)
                | HttpError::Timeout { .. }
                | HttpError::Store(_)
                | HttpError::SessionBusy { .. }
                | HttpError::LeaseLost
                | HttpError::TimeOver { .. }
                | HttpError::NoServerTime
                | HttpError::ClockUnconfirmed(_)
                | HttpError::AnswerTooLong { .. }
                | HttpError::Redirect { .. } => 4,
                _ => 2,
            },
            Self::Unknown { .. }
            | Self::Unresolved
            | Self::RegistrationLost(_)
            | Self::Key(
                KeyProblem::Neither
                | KeyProblem::NeitherOfApp
                | KeyProblem::NewRefused
                | KeyProblem::MayArrive
                | KeyProblem::MayReplace,
            ) => 3,
            Self::Store(error) | Self::MoveStore { cause: error, .. } if !error.may_pass() => 2,
            Self::Store(_)
            | Self::MoveStore { .. }
            | Self::SessionBusy { .. }
            | Self::OtherRun
            | Self::UnderWay { .. }
            | Self::NoServerTime
            | Self::NotCarriedOut(_) => 4,
            _ => 2,
        }
    }

    /// A word for scripts.
    pub(crate) fn kind(&self) -> &'static str {
        match (self, self.exit_code()) {
            (Self::Stopped(stop), _) => stop.cause.kind(),
            (
                Self::Keystore { problem: KeystoreProblem::Passphrase, .. }
                | Self::PassphrasesDiffer
                | Self::PassphraseEmpty,
                _,
            ) => "passphrase",
            (Self::Keystore { .. }, _) => "keystore",
            (Self::Usage(_) | Self::StdinTwice { .. } | Self::StdinInPlace | Self::SecretToTerminal, _) => "usage",
            (Self::Http(_), 1) => "refused",
            (Self::Sandbox(_), _) => "sandbox",
            (
                Self::Store(_)
                | Self::MemoryStore
                | Self::MoveStore { .. }
                | Self::MoveMemory { .. }
                | Self::SameStore
                | Self::NoDatabase { .. }
                | Self::Http(HttpError::Store(_)),
                _,
            ) => "store",
            (
                Self::SessionBusy { .. }
                | Self::OtherRun
                | Self::UnderWay { .. }
                | Self::Http(HttpError::SessionBusy { .. }),
                _,
            ) => "busy",
            (Self::ClockLeap { .. } | Self::Http(HttpError::Clock { .. }), _) => "clock",
            (_, 1) => "does-not-hold",
            (_, 3) => "unknown",
            (_, 4) => "network",
            _ => "input",
        }
    }

    /// The API's error, if the server answered with one.
    pub(crate) fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Http(error) => Self::api_of(error),
            Self::Unknown { lost, .. } => Self::api_of(&lost.cause),
            Self::Stopped(stop) => stop.cause.api(),
            _ => None,
        }
    }

    /// Why a transaction is refused, if that is the reason.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Safe(error) => match &**error {
                SafeError::Refused(refusal) => Some(refusal),
                _ => None,
            },
            _ => None,
        }
    }

    /// How long to wait before the next call: a server asks for it, or an earlier request may still arrive or get its answer.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Http(error) => error.retry_after(),
            Self::Unknown { lost, .. } => lost.cause.retry_after(),
            Self::NotCarriedOut(cause) => cause.retry_after(),
            // It is reported in whole seconds.
            Self::UnderWay { left, .. } => Some(Duration::from_secs(left.as_secs().saturating_add(1))),
            Self::Stopped(stop) => stop.wait.or_else(|| stop.cause.retry_after()),
            _ => None,
        }
    }

    fn api_of(error: &HttpError) -> Option<&ApiError> {
        match error {
            HttpError::Protocol(error) => error.api_error(),
            HttpError::ClockUnconfirmed(error) => Self::api_of(error),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    #[allow(clippy::too_many_lines, reason = "an arm for each error")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoesNotHold => f.write_str("what was checked does not hold"),
            Self::File { path, problem } => problem.fmt_at(path, f),
            Self::Keystore { path, problem } => problem.fmt_at(path, f),
            Self::PassphrasesDiffer => {
                f.write_str("the new passphrase was typed differently the second time; the file is unchanged")
            }
            Self::PassphraseEmpty => f.write_str("the new passphrase is empty; the file is unchanged"),
            Self::NoTerminal { which, cause, stdin_is_keystore } => no_terminal(f, which, cause, *stdin_is_keystore),
            Self::StdinTwice { first, second } => write!(
                f,
                "{first} and {second} would both read standard input; give one of them in another way"
            ),
            Self::SecretToTerminal => f.write_str("a keystore is not shown on a terminal; name a new file with --out"),
            Self::StdinInPlace => f.write_str("standard input cannot be replaced; name a new file with --out"),
            Self::LineTooLong { which, limit } => {
                write!(f, "the {which} is longer than {limit} characters, the limit; give one a line")
            }
            Self::PinMissing { which } => {
                let more = match *which {
                    "new PIN" => ": the old one, then the new one, or with --new-user only the new one",
                    _ => "",
                };
                write!(f, "standard input ended before the {which}; give one a line{more}")
            }
            Self::Pin { which, cause } => write!(f, "the {which} cannot be used: {cause}"),
            Self::PinsDiffer => f.write_str("the new PIN was typed differently the second time; nothing was sent"),
            Self::SpendKeyMissing { which } => {
                write!(f, "there is no {which}: no keystore with one that fits was given; give it with --spend-key-stdin")
            }
            Self::UserIdMissing => f.write_str("the action is signed with the user's id; give --user-id or --keystore"),
            Self::SameSpendKey => f.write_str(
                "the new spend key is the installed one; if the keystore has the old key, give only the new one",
            ),
            Self::Usage(error) => f.write_str(error.render().to_string().trim_end().trim_start_matches("error: ")),
            Self::BodyNoObject => f.write_str("the body must be a JSON object, because the PIN becomes a field of it"),
            Self::PublicKey(cause) => write!(
                f,
                "the public key cannot be used: {cause}; give base64 SPKI, PEM, or Ed25519 in base64url or hex"
            ),
            Self::Ciphertext(cause) => cause.fmt(f),
            Self::Opened(opened) => write!(f, "the encrypted PIN {opened}"),
            Self::Input(cause) => cause.fmt(f),
            // Within this command there is no other call.
            Self::Http(HttpError::SessionBusy { .. }) => Self::SessionBusy { left: None }.fmt(f),
            // After a call that changes something, a failure would be an unknown outcome.
            Self::Http(cause) => http(f, cause, !cause.nothing_changed() && self.exit_code() != 1),
            Self::Unknown { lost, run, listed_by } => unknown(f, lost, run.as_deref(), listed_by.is_some()),
            Self::Unresolved => f.write_str("the outcome of the update is still unknown"),
            Self::NotPending { request_id } => {
                write!(f, "no call {request_id} of this session is pending; mixin-pin pending lists those that are")
            }
            Self::UnderWay { request_id, left } => write!(
                f,
                "call {request_id} is under way, for at most {} more; wait until its process has ended, then run this \
                 again",
                seconds(*left)
            ),
            Self::Store(cause) => {
                store(f, cause)?;
                match cause {
                    // The first three are about the session, and another store does not help. For a server the message says
                    // what to do, and to go on with another store would be wrong.
                    StoreError::InUse
                    | StoreError::IteratorAhead { .. }
                    | StoreError::NoRoomAbove { .. }
                    | StoreError::Redis(_)
                    | StoreError::Postgres(_) => Ok(()),
                    StoreError::Unsettled => f.write_str("; mixin-pin pending lists them"),
                    _ => f.write_str("; --store names another store of iterators"),
                }
            }
            Self::MemoryStore => f.write_str("a store in memory ends with its command; --store names another store"),
            Self::MoveStore { which, cause } => {
                write!(f, "{which}: ")?;
                store(f, cause)
            }
            Self::MoveMemory { which } => {
                write!(f, "{which}: a store in memory ends with its command; name a store that lasts")
            }
            Self::SameStore => f.write_str("FROM and TO are the same store, so nothing was moved; name two stores"),
            Self::NoDatabase { path } => write!(f, "FROM: there is no database {}; check the path", ShownPath(path)),
            Self::SessionBusy { left } => {
                busy(f)?;
                if let Some(left) = left {
                    write!(f, ", for at most {} more", seconds(*left))?;
                }
                f.write_str("; nothing was sent; try again, or wait longer with --wait")?;
                f.write_str(if left.is_none() { "; mixin-pin store show tells how long" } else { "" })
            }
            Self::OtherRun => f.write_str(
                "another run of this change is at work, and this one sent nothing; wait until the other has ended, then run this \
                 again",
            ),
            Self::ClockLeap { ahead, reset } => write!(
                f,
                "the clock is {} ahead of the session's last iterator; set it right, or if it is right, run: {reset}",
                span(*ahead)
            ),
            Self::FarAhead { ahead } => write!(
                f,
                "that iterator is {} ahead of the clock: every other client of the session must stay above it from \
                 then on; set the clock right, or if you mean it, add --far-ahead",
                span(*ahead)
            ),
            Self::NoServerTime => f.write_str("the server does not tell its time; give the iterator with --to"),
            Self::Sandbox(cause) => write!(f, "the sandbox failed: {cause}"),
            Self::Registration => f.write_str(
                "the user was registered, but the answer lacks the session id or the server's key, so no keystore can be \
                 made of it",
            ),
            Self::RegistrationLost(lost) => write!(
                f,
                "the answer to the registration was lost, so a user without a keystore may be left: {}; register another user",
                lost.cause
            ),
            Self::NotExplained { topics } => write!(f, "nothing is known about this; give a code of Mixin's lists, a reason of the sandbox, or one of: {topics}"),
            Self::Stopped(stop) => stop.fmt(f),
            Self::NotCarriedOut(cause) => {
                write!(f, "the answer was lost, and the change was not carried out and will not be: {cause}")
            }
            Self::Key(problem) => problem.fmt(f),
            Self::Safe(error) => error.fmt(f),
            Self::Output(cause) => write!(f, "standard output cannot be written: {cause}"),
            Self::Signals(cause) => write!(f, "signals cannot be handled: {cause}"),
        }
    }
}

impl FileProblem {
    #[allow(clippy::too_many_lines, reason = "an arm for each problem")]
    fn fmt_at(&self, path: &Path, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = ShownInput(path);
        match self {
            // It was probably not meant as a name.
            Self::Read(cause) | Self::Write(cause) | Self::Remove(cause) if ShownPath(path).is_hidden() => {
                write!(f, "{shown}: give the name of a file ({cause})")
            }
            Self::Read(cause) => write!(f, "{shown} cannot be read: {cause}"),
            Self::Write(cause) => write!(f, "{shown} cannot be written: {cause}"),
            Self::Remove(cause) => write!(f, "{shown} cannot be removed: {cause}"),
            Self::Differs => write!(
                f,
                "{shown} does not contain what was written to it; check the disk, or name a file on another disk"
            ),
            Self::NotDurable(cause) => write!(
                f,
                "the name of {shown} may not survive a power cut (the folder: {cause}), and no key is sent before it is safe: \
                 name a file in another folder"
            ),
            Self::Unfinished => write!(
                f,
                "{shown} is not the file of an unfinished change; move it away, or name another file with --out"
            ),
            Self::OtherUnfinished { kind, is_app, user_id } => write!(
                f,
                "{shown} belongs to an unfinished {} of user {user_id}{}; complete that one first, or name another file \
                 with --out; to give it up, remove the file when mixin-pin resolve says that the old keystore works",
                kind.as_str(),
                match (kind, is_app) {
                    (Kind::Upgrade, _) => "",
                    (Kind::Rotate, true) => ", with --owner",
                    (Kind::Rotate, false) => ", without --owner",
                }
            ),
            Self::OtherUser { user_id } => write!(
                f,
                "{shown} is of another user, {user_id}; name the new keystore of the same user, or of an app of this user"
            ),
            Self::OtherSession => {
                write!(f, "{shown} belongs to a change of another session of the user; name that one with --keystore")
            }
            Self::OtherKey { keystore } => write!(
                f,
                "{shown} has another key than {}, and may be the only copy of it; mixin-pin resolve with --new-keystore says of \
                 each whether it works; move the other one away",
                ShownInput(keystore)
            ),
            Self::Key { option, cause: CoreError::TipKeyMismatch } => {
                write!(f, "{shown}, given as {option}, is not the user's TIP key; give the file with that key")
            }
            Self::Key { option, cause } => {
                write!(f, "{shown} cannot be used as {option}: {cause}; give a file with the key alone")
            }
            Self::KeyReplaced => write!(
                f,
                "{shown} is missing, and {} shows that its key was replaced, so no new key is written there; name another file, or \
                 exchange --new-key and --old-key",
                ShownInput(&with_suffix(path, REPLACED))
            ),
            Self::OfOthers => write!(
                f,
                "{shown} belongs to another user, or others can write it, so another user may know its key; name a new file, for \
                 which a key is made, or a file that only you can write"
            ),
            Self::Shared { option, other } => {
                write!(f, "{shown} cannot be used as {option}: it is the file of {other}, too; name another file")
            }
            Self::SameKey { other } => write!(
                f,
                "{shown} has the same key as {}; name a file with another key, or a new file, for which a key is made",
                ShownInput(other)
            ),
            Self::Exists => write!(f, "{shown} exists and is not replaced; name another file"),
            Self::LockingLeft => write!(f, "{shown} is left over from an interrupted lock; remove it, and try again"),
            Self::UnlockLeft => write!(
                f,
                "{shown} may be the locked keystore of an unlock that was interrupted; if the keystore is complete, remove it, \
                 otherwise move it back there"
            ),
            Self::Dash => f.write_str("a secret is not written to a file named -; name another file"),
            Self::Terminal { what } => {
                write!(f, "standard input is a terminal, which would show the {what}; pipe it in, or name its file")
            }
            Self::NotText => write!(f, "{shown} is not UTF-8 text"),
            Self::TooLong { limit } => {
                write!(f, "{shown} is longer than {}, the limit for such files; is it the right one?", size(*limit))
            }
            // Only the position: the file may contain PINs.
            Self::Accounts(cause) => write!(
                f,
                "{shown} is not a list of accounts: see line {}, column {}; mixin-pin help sandbox shows one",
                cause.line(),
                cause.column()
            ),
            Self::AccountTwice => write!(f, "the session of {shown} is listed already; give each account its own"),
            Self::AccountPins => {
                write!(f, "the account of {shown} has more than one of pin, tip_key and tip; give one of them")
            }
            Self::AccountTipKey => {
                write!(
                    f,
                    "the tip_key of the account of {shown} is not an Ed25519 public key; give it in hex or base64"
                )
            }
            Self::AccountSpendKey => {
                write!(
                    f,
                    "the account of {shown} has tip, and the keystore has no spend key; give the public key as tip_key"
                )
            }
        }
    }
}

impl KeystoreProblem {
    fn fmt_at(&self, path: &Path, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = ShownInput(path);
        match self {
            Self::Content(cause) => write!(f, "{shown}: {cause}"),
            Self::Passphrase => write!(f, "the passphrase does not unlock {shown}; nothing was sent"),
            Self::Unlock(cause) => {
                write!(f, "{shown} is locked, and this command cannot unlock it: {cause}; try age or rage")
            }
            Self::Locked => {
                write!(f, "{shown} is locked already; for another passphrase ")?;
                match ShownPath(path).as_word() {
                    Some(path) => write!(f, "run: mixin-pin keystore unlock {path}"),
                    None => f.write_str("unlock it first"),
                }
            }
            Self::NotLocked => write!(f, "{shown} is not locked; it can be used as it is"),
            Self::NotRsa => write!(
                f,
                "the session of {shown} has no RSA key, so there is nothing to upgrade; mixin-pin session rotate gives it another key"
            ),
            Self::NotNew => write!(
                f,
                "{shown} has an RSA key, and a new keystore has an Ed25519 key; give that one as --new-keystore"
            ),
            Self::Refused { is_in_the_way: true } => {
                write!(f, "the server refuses the session of {shown}; move the file away before you go on")
            }
            Self::Refused { is_in_the_way: false } => write!(
                f,
                "the server refuses the session of {shown}: another change may have replaced its key; look for the keystore of \
                 that change"
            ),
            Self::OldRefused { is_app } => {
                write!(
                    f,
                    "the server refuses the session of {shown}, so nothing was sent: another change may have replaced its key; \
                     look for the keystore of that change"
                )?;
                f.write_str(if *is_app {
                    "; if it is lost, add --old-refused, which ends the session that the app has now"
                } else {
                    ", or check the clock with mixin-pin doctor"
                })
            }
            Self::OtherServerKey => write!(
                f,
                "{shown} has another server's key than the server shows; use no PIN with it before you know why"
            ),
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cause, said, kept, run, wait, is_final, works: _ } = self;
        write!(f, "{cause}; {said}")?;
        if let Some(kept) = kept {
            write!(f, "; {kept} stays, because the next run needs its key")?;
        }
        if *is_final {
            return Ok(());
        }
        f.write_str(". To go on, ")?;
        if let Some(wait) = wait {
            write!(f, "wait {}, then ", seconds(*wait))?;
        }
        match run {
            Some(run) => write!(f, "run: {run}"),
            None => f.write_str("run the same command again"),
        }
    }
}

/// A store's error, in this command's words.
/// A store gives the same answer in both cases.
fn busy(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("the session is in use, or its store pauses after a restart or a failover")
}

fn store(f: &mut fmt::Formatter<'_>, cause: &StoreError) -> fmt::Result {
    match cause {
        StoreError::NotBuilt { feature } => write!(
            f,
            "this mixin-pin was built without the feature {feature}, which that store needs; install it with: cargo install \
             --path crates/mixin-pin-cli --features {feature}"
        ),
        StoreError::InUse => {
            busy(f)?;
            f.write_str("; try again later")
        }
        // The message may contain the path that was given.
        cause => f.write_str(&without_secrets(&cause.to_string())),
    }
}

fn no_terminal(f: &mut fmt::Formatter<'_>, which: &str, cause: &io::Error, stdin_is_keystore: bool) -> fmt::Result {
    write!(f, "there is no terminal to ask for the {which} ({cause}); ")?;
    if which.contains("passphrase") {
        return write!(f, "set {PASSPHRASE_VARIABLE} to a file that has it");
    }
    if which == "confirmation" {
        return f.write_str(
            "nothing was signed; run this at a terminal, or add --yes if all inputs and receivers are proven; what users receive \
             cannot be proven",
        );
    }
    f.write_str(if which.contains("key") { "add --spend-key-stdin" } else { "add --pin-stdin" })?;
    f.write_str(if stdin_is_keystore {
        ", and give the keystore as a file: standard input is one of the two"
    } else {
        ""
    })
}

fn http(f: &mut fmt::Formatter<'_>, cause: &HttpError, is_failed_read: bool) -> fmt::Result {
    if let HttpError::Settings(SettingsError::PlainHttp) = cause {
        // The command has no option that allows it.
        return f.write_str("plain HTTP to another machine would expose every token; use https");
    }
    write!(f, "{cause}")?;
    // In rustls' words, the first bytes were no TLS.
    if matches!(cause, HttpError::Connect(error) if error.to_string().contains("InvalidContentType")) {
        f.write_str(
            "; the server does not speak TLS: for a sandbox on this machine, write http:// in place of https://",
        )?;
    }
    f.write_str(if is_failed_read { "; nothing changed, because the call only reads" } else { "" })
}

fn unknown(f: &mut fmt::Formatter<'_>, lost: &Unknown, run: Option<&str>, is_listed: bool) -> fmt::Result {
    let what = if matches!(&*lost.cause, HttpError::Protocol(ProtocolError::Answer(error)) if error.is_refusal()) {
        "was refused, but the refusal may answer a copy of it that a proxy sent, and the first copy may have been carried out"
    } else {
        "may have been carried out"
    };
    let step = journal::step(lost.next, lost.expires_at);
    write!(f, "request {} {what}: {}; {step}", lost.request_id, lost.cause)?;
    if is_listed {
        f.write_str("; mixin-pin pending lists it")?;
    }
    match (run, lost.expires_at) {
        (Some(run), _) if is_listed && lost.next == NextStep::VerifyAgain => write!(f, ". To remove it, run: {run}"),
        (Some(run), _) => write!(f, ". Run: {run}"),
        // The step says when.
        (None, _) if matches!(lost.next, NextStep::CheckFirst | NextStep::AskBothKeys) => Ok(()),
        // From then on the request can no longer be carried out.
        (None, Some(at)) => write!(f, ". Its token expires at {}", date(at)),
        (None, None) => Ok(()),
    }
}

/// A limit in words.
fn size(limit: usize) -> String {
    const KIB: usize = 1024;
    const MIB: usize = 1024 * KIB;
    if limit.is_multiple_of(MIB) { format!("{} MiB", limit / MIB) } else { format!("{} KiB", limit / KIB) }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl From<SettingsError> for Error {
    fn from(error: SettingsError) -> Self {
        Self::Http(error.into())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<mixin_pin_sandbox::Error> for Error {
    fn from(error: mixin_pin_sandbox::Error) -> Self {
        Self::Sandbox(error)
    }
}

impl From<CoreError> for Error {
    fn from(error: CoreError) -> Self {
        Self::Input(error.into())
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        Self::Input(error.into())
    }
}

impl From<KeystoreError> for Error {
    fn from(error: KeystoreError) -> Self {
        Self::Input(error.into())
    }
}

impl From<CurlError> for Error {
    fn from(error: CurlError) -> Self {
        Self::Input(error.into())
    }
}

impl From<TokenFault> for Error {
    fn from(fault: TokenFault) -> Self {
        Self::Input(fault.into())
    }
}

#[cfg(test)]
mod tests {
    use mixin_pin_core::PinKey;
    use mixin_pin_safe::{AddressError, Amount, MergeError, ProofError, SignError, Transaction, VerifyError};

    use super::*;
    use crate::commands::explain;
    use crate::guided::Names;

    fn stopped(works: Works, kept: Option<&str>, run: Option<&str>) -> Error {
        let names = Names { old: "old.json".to_owned(), new: "new.json".to_owned() };
        let (said, kept) = (names.works(works), kept.map(str::to_owned));
        Error::Stopped(Box::new(Stop {
            cause: Error::Key(KeyProblem::Neither),
            works,
            said,
            kept,
            run: run.map(str::to_owned),
            wait: (works == Works::OldSoFar).then_some(Duration::from_secs(7)),
            is_final: works == Works::Unchanged,
        }))
    }

    fn of_key_files() -> [Error; 6] {
        let path = Path::new("keystore.json");
        [
            FileProblem::Key { option: "--old-key", cause: CoreError::TipKeyMismatch }.at(path),
            FileProblem::Key { option: "--spend-key", cause: CoreError::Ed25519Key }.at(path),
            FileProblem::KeyReplaced.at(Path::new("spend.key")),
            FileProblem::OfOthers.at(path),
            FileProblem::Shared { option: "--tip-key", other: "--out" }.at(path),
            FileProblem::SameKey { other: "spend.key".into() }.at(path),
        ]
    }

    fn of_safe() -> Vec<Error> {
        let path = || PathBuf::from("keystore.json");
        let json = |text| serde_json::from_str::<bool>(text).unwrap_err();
        let decode = || Transaction::decode(&[]).unwrap_err();
        let field = || SafeError::Field {
            path: path(),
            field: "own[1]".to_owned(),
            problem: AddressError::Checksum.to_string(),
        };
        let errors = [
            SafeError::RawHex,
            SafeError::RawEmpty,
            SafeError::RawFile,
            SafeError::Raw(decode()),
            SafeError::Address(AddressError::Prefix),
            SafeError::Json { path: path(), cause: json("x") },
            field(),
            SafeError::Proof { path: path(), input: 1, cause: ProofError::Index },
            SafeError::SpentMissing { path: path(), input: 1 },
            SafeError::ViewCount { path: path(), views: 1, inputs: 2 },
            SafeError::OtherViews { path: path() },
            SafeError::TraceKey { path: path() },
            SafeError::RemoteSigner { path: path() },
            SafeError::YesUnproven { output: None, are_users: false },
            SafeError::YesUnproven { output: Some(1), are_users: false },
            SafeError::YesUnproven { output: Some(1), are_users: true },
            SafeError::Declined,
            SafeError::Refused(Refusal::Expired),
            SafeError::Refused(Refusal::TooMuch { leaves: Amount::ZERO, most: Amount::ZERO }),
            SafeError::Sign { input: 1, cause: SignError::NotAmongKeys },
            SafeError::Merge(MergeError::Signature { input: 1, signer: 2, cause: VerifyError::Invalid }),
        ];
        let mut errors: Vec<Error> = errors.into_iter().map(Error::from).collect();
        let cause = io::Error::other("as the system says");
        errors.push(Error::NoTerminal { which: "confirmation", cause, stdin_is_keystore: false });
        errors
    }

    /// Pins each message, with its exit code and its word for scripts.
    #[test]
    #[allow(clippy::too_many_lines, reason = "a line for each message")]
    fn error_messages_are_unchanged() {
        let path = Path::new("keystore.json");
        let cause = || io::Error::other("as the system says");
        let days = Duration::from_secs(400 * 86_400);
        let errors = [
            Error::DoesNotHold,
            FileProblem::Read(cause()).at(path),
            FileProblem::Write(cause()).at(path),
            FileProblem::Remove(cause()).at(path),
            FileProblem::Differs.at(path),
            FileProblem::NotDurable(cause()).at(path),
            FileProblem::Unfinished.at(Path::new("new.json.unfinished")),
            FileProblem::OtherUnfinished { kind: Kind::Upgrade, is_app: false, user_id: Uuid::from_u128(7) }
                .at(Path::new("new.json.unfinished")),
            FileProblem::OtherUser { user_id: Uuid::from_u128(7) }.at(path),
            FileProblem::OtherSession.at(path),
            FileProblem::OtherKey { keystore: "newest.json".into() }.at(Path::new("newest.json.unfinished")),
            FileProblem::Exists.at(path),
            FileProblem::LockingLeft.at(Path::new("keystore.json.locking")),
            FileProblem::UnlockLeft.at(Path::new("keystore.json.before-unlock")),
            FileProblem::Dash.at(path),
            FileProblem::Terminal { what: "keystore" }.at(path),
            FileProblem::NotText.at(path),
            FileProblem::NotText.at(Path::new("-")),
            FileProblem::TooLong { limit: 64 * 1024 }.at(path),
            FileProblem::AccountTwice.at(path),
            FileProblem::AccountPins.at(path),
            FileProblem::AccountTipKey.at(path),
            FileProblem::AccountSpendKey.at(path),
            KeystoreProblem::Content(KeystoreError::NoKey).at(path),
            KeystoreProblem::Passphrase.at(path),
            KeystoreProblem::Unlock(age::DecryptError::NoMatchingKeys).at(path),
            KeystoreProblem::Locked.at(path),
            KeystoreProblem::NotLocked.at(path),
            KeystoreProblem::NotRsa.at(path),
            KeystoreProblem::NotNew.at(path),
            KeystoreProblem::Refused { is_in_the_way: true }.at(path),
            KeystoreProblem::Refused { is_in_the_way: false }.at(path),
            KeystoreProblem::OldRefused { is_app: false }.at(path),
            KeystoreProblem::OldRefused { is_app: true }.at(path),
            KeystoreProblem::OtherServerKey.at(path),
            Error::PassphrasesDiffer,
            Error::PassphraseEmpty,
            Error::NoTerminal { which: "old PIN", cause: cause(), stdin_is_keystore: false },
            Error::NoTerminal { which: "new spend key", cause: cause(), stdin_is_keystore: false },
            Error::NoTerminal { which: "passphrase", cause: cause(), stdin_is_keystore: true },
            Error::NoTerminal { which: "PIN", cause: cause(), stdin_is_keystore: true },
            Error::StdinTwice { first: "--keystore -", second: "--pin-stdin" },
            Error::StdinInPlace,
            Error::SecretToTerminal,
            Error::LineTooLong { which: "new PIN", limit: 160 },
            Error::PinMissing { which: "PIN" },
            Error::PinMissing { which: "new PIN" },
            Error::Pin { which: "new PIN", cause: CoreError::PinFormat },
            Error::PinsDiffer,
            Error::SpendKeyMissing { which: "spend key" },
            Error::UserIdMissing,
            Error::SameSpendKey,
            Error::BodyNoObject,
            Error::PublicKey(CoreError::PublicKey),
            Error::Ciphertext(CoreError::Decrypt),
            Error::Opened(
                OpenedPin::read(
                    &PinKey::from_bytes(&[7; 32]).unwrap(),
                    "AAAAAAAAAAAAAAAAAAAAAJJIr7zq8NR2NC6mz1VUQj9grlwM3p0YAQJBfjMDsf7E",
                )
                .unwrap(),
            ),
            CurlError::Missing.into(),
            Error::Http(HttpError::LeaseLost),
            Error::Http(AnswerError::Server { status: 502 }.into()),
            Error::Http(HttpError::Settings(SettingsError::PlainHttp)),
            Error::Http(HttpError::SessionBusy { waited: Duration::from_secs(1) }),
            Error::Unresolved,
            Error::NotPending { request_id: Uuid::from_u128(7) },
            Error::UnderWay { request_id: Uuid::from_u128(7), left: Duration::from_millis(1_500) },
            Error::Store(StoreError::Url),
            Error::Store(StoreError::InUse),
            Error::Store(StoreError::Unsettled),
            Error::Store(StoreError::NotBuilt { feature: "postgres" }),
            Error::MemoryStore,
            Error::MoveStore { which: "FROM", cause: mixin_pin_store::RedisError::Refused.into() },
            Error::MoveMemory { which: "TO" },
            Error::SameStore,
            Error::NoDatabase { path: "/data/iterators.db".into() },
            Error::SessionBusy { left: Some(Duration::from_millis(21_200)) },
            Error::OtherRun,
            Error::ClockLeap {
                ahead: days,
                reset: "mixin-pin store reset 00000000-0000-0000-0000-000000000007".to_owned(),
            },
            Error::FarAhead { ahead: days + Duration::from_secs(3_600) },
            Error::NoServerTime,
            Error::Sandbox(mixin_pin_sandbox::Error::DatabaseContent),
            Error::Registration,
            Error::NotExplained { topics: explain::words().collect::<Vec<_>>().join(", ") },
            Error::NotCarriedOut(Box::new(AnswerError::Server { status: 502 }.into())),
            Error::Key(KeyProblem::Neither),
            Error::Key(KeyProblem::NeitherOfApp),
            Error::Key(KeyProblem::MayArrive),
            Error::Key(KeyProblem::MayReplace),
            Error::Key(KeyProblem::TipKeySet),
            Error::Key(KeyProblem::NoPin),
            Error::Key(KeyProblem::NoServerKey),
            Error::Key(KeyProblem::WeakServerKey),
            Error::Key(KeyProblem::NewRefused),
            Error::Key(KeyProblem::OtherAppKey),
            Error::Key(KeyProblem::OldMissing),
            Error::Key(KeyProblem::NoTipKeyYet),
            Error::Key(KeyProblem::OtherSpendKey),
            Error::Key(KeyProblem::SpendKeyNotShown),
            stopped(Works::Old, Some("new.json.unfinished"), Some("mixin-pin session upgrade --keystore old.json")),
            stopped(Works::OldSoFar, Some("new.json.unfinished"), None),
            stopped(Works::New, None, None),
            stopped(Works::Neither, None, None),
            stopped(Works::Unchanged, None, None),
            stopped(Works::Unknown, None, None),
            Error::Output(cause()),
            Error::Signals(cause()),
        ];
        let errors: Vec<_> = errors.into_iter().chain(of_key_files()).chain(of_safe()).collect();
        assert!(errors.iter().all(|error| explain::section(&explain::topic_of(error)).is_some()));
        let said: Vec<_> =
            errors.iter().map(|error| format!("{} {}: {error}", error.exit_code(), error.kind())).collect();
        assert_eq!(said.join("\n") + "\n", include_str!("../testdata/errors.txt"));
    }
}
