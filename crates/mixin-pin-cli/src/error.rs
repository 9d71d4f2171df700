//! Why a command failed, and the exit code that says so.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

use mixin_pin_http::Unknown;
use mixin_pin_protocol::answer::ApiError;
use mixin_pin_protocol::{AnswerError, CallError, CurlError, Error as ProtocolError, KeystoreError, TokenFault};

use crate::quoted::{ShownPath, without_secrets};
use crate::time::span;
use crate::{environment, explained, files};

/// Why a command failed. No message carries a secret.
#[derive(Debug)]
pub(crate) enum Error {
    /// What was checked does not hold; the report has been printed.
    DoesNotHold,
    /// A file cannot be read.
    Read { path: PathBuf, cause: io::Error },
    /// A file cannot be written.
    Write { path: PathBuf, cause: io::Error },
    /// A file is there already, and is left alone.
    Exists { path: PathBuf },
    /// A file that should be text is not UTF-8.
    NotText { path: PathBuf },
    /// A file is longer than what it should hold can be.
    TooLong { path: PathBuf, limit: usize },
    /// A line of standard input, or at a prompt, is longer than what it should hold can be.
    LineTooLong { which: &'static str, limit: usize },
    /// The keystore cannot be used.
    Keystore { path: PathBuf, cause: KeystoreError },
    /// A locked keystore does not open with this passphrase.
    Passphrase { path: PathBuf },
    /// A locked keystore cannot be opened, whatever the passphrase.
    Unlock { path: PathBuf, cause: age::DecryptError },
    /// A new passphrase was typed differently the second time.
    PassphrasesDiffer,
    /// Nothing was given as the new passphrase.
    PassphraseEmpty,
    /// The keystore is locked already.
    Locked { path: PathBuf },
    /// The keystore is not locked.
    NotLocked { path: PathBuf },
    /// There is no terminal to ask on.
    NoTerminal(io::Error),
    /// Standard input ended before the PIN that is named.
    PinMissing { which: &'static str },
    /// The action after --tip is none.
    Usage(clap::Error),
    /// A body that is to carry a PIN is no JSON object.
    BodyNoObject,
    /// No spend key was given, and the keystore has none that helps.
    SpendKeyMissing { which: &'static str },
    /// The new spend key is the old one.
    SameSpendKey,
    /// A PIN is no PIN.
    Pin { which: &'static str, cause: mixin_pin_core::Error },
    /// The new PIN was typed differently the second time.
    PinsDiffer,
    /// The public key cannot be read.
    PublicKey(mixin_pin_core::Error),
    /// A ciphertext that does not open, or is none.
    Ciphertext(mixin_pin_core::Error),
    /// What was given cannot be worked with.
    Input(ProtocolError),
    /// A call failed.
    Http(mixin_pin_http::Error),
    /// A call's answer was lost, and this command is to be run next.
    Unknown { lost: Unknown, run: Option<String> },
    /// It is still not known what became of an update; the verdict has been printed.
    Unresolved,
    /// The store of iterators failed.
    Store(mixin_pin_store::Error),
    /// Another process uses the session.
    SessionBusy,
    /// The clock is far ahead of the session's last iterator.
    ClockLeap { ahead: Duration },
    /// A session is to be raised far ahead of the clock, and nobody said that this is meant.
    FarAhead { ahead: Duration },
    /// The server does not name its time, to which a session is to be raised.
    NoServerTime,
    /// The sandbox failed.
    Sandbox(mixin_pin_sandbox::Error),
    /// The file with a sandbox's accounts is no list of them.
    Accounts { path: PathBuf, cause: serde_json::Error },
    /// Two of a sandbox's accounts are one user in one session.
    AccountTwice { path: PathBuf },
    /// The answer to a registration lacks what a keystore needs.
    Registration,
    /// There is nothing to say about a code or word.
    NotExplained,
    /// Standard output cannot be written.
    Output(io::Error),
    /// Signals cannot be waited for.
    #[cfg(unix)]
    Signals(io::Error),
}

impl Error {
    /// 1 refused or does not hold, 2 wrong usage or input, 3 unknown, 4 network.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::DoesNotHold
            | Self::Registration
            | Self::Sandbox(_)
            | Self::Ciphertext(mixin_pin_core::Error::Decrypt) => 1,
            Self::Http(error) => match error {
                mixin_pin_http::Error::Protocol(error) => match error {
                    ProtocolError::Answer(AnswerError::Refusal(_)) => 1,
                    ProtocolError::Answer(_) => 4,
                    _ => 2,
                },
                mixin_pin_http::Error::Connect(_)
                | mixin_pin_http::Error::Interrupted(_)
                | mixin_pin_http::Error::Timeout { .. }
                | mixin_pin_http::Error::Store(_)
                | mixin_pin_http::Error::SessionBusy { .. }
                | mixin_pin_http::Error::LeaseLost
                | mixin_pin_http::Error::TimeOver { .. }
                | mixin_pin_http::Error::NoServerTime
                | mixin_pin_http::Error::ClockUnconfirmed(_)
                | mixin_pin_http::Error::AnswerTooLong { .. }
                | mixin_pin_http::Error::Redirect { .. } => 4,
                _ => 2,
            },
            Self::Unknown { .. } | Self::Unresolved => 3,
            Self::Store(
                mixin_pin_store::Error::Url
                | mixin_pin_store::Error::SqliteUri
                | mixin_pin_store::Error::SqliteMemory
                | mixin_pin_store::Error::NoRoomAbove { .. },
            ) => 2,
            Self::Store(_) | Self::SessionBusy | Self::NoServerTime => 4,
            _ => 2,
        }
    }

    /// A word for scripts.
    pub(crate) fn kind(&self) -> &'static str {
        match (self, self.exit_code()) {
            (Self::Keystore { .. } | Self::Unlock { .. } | Self::Locked { .. } | Self::NotLocked { .. }, _) => {
                "keystore"
            }
            (Self::Passphrase { .. } | Self::PassphrasesDiffer | Self::PassphraseEmpty, _) => "passphrase",
            (Self::Usage(_), _) => "usage",
            (Self::Http(_), 1) => "refused",
            (Self::Sandbox(_), _) => "sandbox",
            (Self::Store(_) | Self::Http(mixin_pin_http::Error::Store(_)), _) => "store",
            (Self::SessionBusy | Self::Http(mixin_pin_http::Error::SessionBusy { .. }), _) => "busy",
            (Self::ClockLeap { .. } | Self::Http(mixin_pin_http::Error::Clock { .. }), _) => "clock",
            (_, 1) => "does-not-hold",
            (_, 3) => "unknown",
            (_, 4) => "network",
            _ => "input",
        }
    }

    /// What `explain` says more under.
    pub(crate) fn explained(&self) -> String {
        let code = self.api().map(|api| api.code.as_u32().to_string());
        code.filter(|code| explained::section(code).is_some()).unwrap_or_else(|| self.kind().to_owned())
    }

    /// The error in Mixin's envelope, where one came.
    pub(crate) fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Http(error) => Self::api_of(error),
            Self::Unknown { lost, .. } => Self::api_of(&lost.cause),
            _ => None,
        }
    }

    fn api_of(error: &mixin_pin_http::Error) -> Option<&ApiError> {
        match error {
            mixin_pin_http::Error::Protocol(error) => error.api_error(),
            _ => None,
        }
    }
}

const CLOCK_LEADS: &str =
    "ahead of the session's last iterator; set it right, or if it is right, run: mixin-pin store reset";
const ITERATOR_LEADS: &str = "ahead of the clock: every other client of the session would have to be above it for ever; \
                              set the clock right, or if all this is meant, add --far-ahead";

/// Another store helps where the store is what fails, and not the session.
const fn other_store(cause: &mixin_pin_store::Error) -> &'static str {
    match cause {
        mixin_pin_store::Error::InUse
        | mixin_pin_store::Error::IteratorAhead { .. }
        | mixin_pin_store::Error::NoRoomAbove { .. } => "",
        _ => "; --store names another store of iterators",
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoesNotHold => f.write_str("what was checked does not hold"),
            Self::Read { path, cause } => unusable(f, path, "read", cause),
            Self::Write { path, cause } => unusable(f, path, "written", cause),
            Self::Exists { path } => {
                write!(f, "{} exists and is left alone; name another file", ShownPath(path))
            }
            Self::NotText { path } => write!(f, "{} is not UTF-8 text", ShownPath(path)),
            Self::TooLong { path, limit } => write!(
                f,
                "{} is longer than {}, and nothing that belongs here is; is it the right one?",
                ShownPath(path),
                files::size(*limit)
            ),
            Self::LineTooLong { which, limit } => {
                write!(f, "the {which} is longer than {limit} characters, and none is; give one a line")
            }
            Self::Keystore { path, cause } => write!(f, "{}: {cause}", ShownPath(path)),
            Self::Passphrase { path } => {
                write!(f, "the passphrase does not open {}; nothing was sent", ShownPath(path))
            }
            Self::Unlock { path, cause } => write!(
                f,
                "{} is locked, and not by a passphrase that this command can use: {cause}; try age or rage",
                ShownPath(path)
            ),
            Self::PassphrasesDiffer => {
                f.write_str("the new passphrase was typed differently the second time; the file is as it was")
            }
            Self::PassphraseEmpty => f.write_str("the new passphrase is empty; the file is as it was"),
            Self::Locked { path } => {
                write!(f, "{} is locked already; for another passphrase ", ShownPath(path))?;
                match ShownPath(path).as_word() {
                    Some(path) => write!(f, "run: mixin-pin keystore unlock {path}"),
                    None => f.write_str("unlock it first"),
                }
            }
            Self::NotLocked { path } => write!(f, "{} is not locked; it can be used as it is", ShownPath(path)),
            Self::NoTerminal(cause) => write!(
                f,
                "there is no terminal to ask on ({cause}); use --pin-stdin or --spend-key-stdin, and for the passphrase \
                 of a locked keystore name a file with it in {}",
                environment::PASSPHRASE_FILE
            ),
            Self::PinMissing { which } => {
                let more = match *which {
                    "new PIN" => ": the old one, then the new one, or with --new-user the new one alone",
                    _ => "",
                };
                write!(f, "standard input ended before the {which}; give one a line{more}")
            }
            Self::Usage(error) => f.write_str(error.render().to_string().trim_end().trim_start_matches("error: ")),
            Self::BodyNoObject => f.write_str("the body must be a JSON object, for the PIN to stand in"),
            Self::SpendKeyMissing { which } => {
                write!(f, "there is no {which}: the keystore holds none that fits; give it with --spend-key-stdin")
            }
            Self::SameSpendKey => f.write_str(
                "the new spend key is the one that is installed; where the keystore holds the old key, give the new \
                 one alone",
            ),
            Self::Pin { which, cause } => write!(f, "the {which} cannot be used: {cause}"),
            Self::PinsDiffer => f.write_str("the new PIN was typed differently the second time; nothing was sent"),
            Self::PublicKey(cause) => write!(
                f,
                "the public key cannot be used: {cause}; give base64 SPKI, PEM, or Ed25519 in base64url or hex"
            ),
            Self::Ciphertext(cause) => cause.fmt(f),
            Self::Input(cause) => cause.fmt(f),
            Self::Http(cause) => cause.fmt(f),
            Self::Unknown { lost, run } => unknown(f, lost, run.as_deref()),
            Self::Unresolved => f.write_str("it is still not known what became of the update"),
            // Its path is what was given.
            Self::Store(cause) => write!(f, "{}{}", without_secrets(&cause.to_string()), other_store(cause)),
            Self::SessionBusy => f.write_str("another process uses the session; try again, or wait longer with --wait"),
            Self::ClockLeap { ahead } => write!(f, "the clock is {} {CLOCK_LEADS}", span(*ahead)),
            Self::FarAhead { ahead } => write!(f, "that iterator is {} {ITERATOR_LEADS}", span(*ahead)),
            Self::NoServerTime => f.write_str("the server does not name its time; name the iterator with --to"),
            Self::Sandbox(cause) => write!(f, "the sandbox failed: {cause}"),
            // Where, not what: the file may hold PINs.
            Self::Accounts { path, cause } => write!(
                f,
                "{} is not a list of accounts: see line {}, column {}; mixin-pin help sandbox shows one",
                ShownPath(path),
                cause.line(),
                cause.column()
            ),
            Self::AccountTwice { path } => {
                write!(f, "the session of {} is listed already; give each account its own", ShownPath(path))
            }
            Self::Registration => f.write_str(
                "the user was registered, but the answer lacks the session id or the server's key: no keystore can \
                 be made of it",
            ),
            Self::NotExplained => not_explained(f),
            Self::Output(cause) => write!(f, "standard output cannot be written: {cause}"),
            #[cfg(unix)]
            Self::Signals(cause) => write!(f, "signals cannot be waited for: {cause}"),
        }
    }
}

fn unknown(f: &mut fmt::Formatter<'_>, lost: &Unknown, run: Option<&str>) -> fmt::Result {
    let what = if matches!(&*lost.cause, mixin_pin_http::Error::Protocol(ProtocolError::Answer(error)) if error.is_refusal())
    {
        "was refused, but that may be the answer to a copy of it that somebody on the way made, and the first copy may have \
         been carried out"
    } else {
        "may have been carried out"
    };
    write!(f, "request {} {what}: {}; {}", lost.request_id, lost.cause, lost.next)?;
    match (run, lost.expires_at) {
        (Some(run), _) => write!(f, ". Run: {run}"),
        // Without it nobody could tell later when the request can no longer arrive.
        (None, Some(at)) => write!(f, ". Its token expires at {} (Unix seconds)", at.secs()),
        (None, None) => Ok(()),
    }
}

fn not_explained(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("nothing is known about this; give one of: ")?;
    for (at, name) in explained::names().enumerate() {
        write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
    }
    Ok(())
}

/// What is wrong with a file. What cannot be meant as a name is told as what it looks like.
fn unusable(f: &mut fmt::Formatter<'_>, path: &Path, done: &str, cause: &io::Error) -> fmt::Result {
    let shown = ShownPath(path);
    if shown.is_hidden() {
        write!(f, "{shown}: give the name of a file ({cause})")
    } else {
        write!(f, "{shown} cannot be {done}: {cause}")
    }
}

impl From<mixin_pin_http::Error> for Error {
    fn from(error: mixin_pin_http::Error) -> Self {
        Self::Http(error)
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

impl From<mixin_pin_core::Error> for Error {
    fn from(error: mixin_pin_core::Error) -> Self {
        Self::Input(error.into())
    }
}

impl From<mixin_pin_store::Error> for Error {
    fn from(error: mixin_pin_store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<mixin_pin_sandbox::Error> for Error {
    fn from(error: mixin_pin_sandbox::Error) -> Self {
        Self::Sandbox(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each error says, kept word by word beside all others, with its exit code and its word for scripts.
    #[test]
    fn every_error_says_what_it_said() {
        let path = || PathBuf::from("keystore.json");
        let cause = || io::Error::other("as the system says");
        let errors = [
            Error::DoesNotHold,
            Error::Read { path: path(), cause: cause() },
            Error::Write { path: path(), cause: cause() },
            Error::Exists { path: path() },
            Error::NotText { path: path() },
            Error::TooLong { path: path(), limit: files::MAX_KEYSTORE },
            Error::LineTooLong { which: "new PIN", limit: 160 },
            Error::Keystore { path: path(), cause: KeystoreError::NoKey },
            Error::Passphrase { path: path() },
            Error::Unlock { path: path(), cause: age::DecryptError::NoMatchingKeys },
            Error::PassphrasesDiffer,
            Error::PassphraseEmpty,
            Error::Locked { path: path() },
            Error::NotLocked { path: path() },
            Error::NoTerminal(cause()),
            Error::PinMissing { which: "PIN" },
            Error::PinMissing { which: "new PIN" },
            Error::BodyNoObject,
            Error::SpendKeyMissing { which: "spend key" },
            Error::SameSpendKey,
            Error::Pin { which: "new PIN", cause: mixin_pin_core::Error::PinFormat },
            Error::PinsDiffer,
            Error::PublicKey(mixin_pin_core::Error::PublicKey),
            Error::Ciphertext(mixin_pin_core::Error::Decrypt),
            CurlError::Missing.into(),
            Error::Http(mixin_pin_http::Error::LeaseLost),
            Error::Unresolved,
            Error::Store(mixin_pin_store::Error::Url),
            Error::SessionBusy,
            Error::Store(mixin_pin_store::Error::InUse),
            Error::ClockLeap { ahead: Duration::from_secs(400 * 86_400) },
            Error::FarAhead { ahead: Duration::from_secs(400 * 86_400 + 3_600) },
            Error::NoServerTime,
            Error::Sandbox(mixin_pin_sandbox::Error::DatabaseContent),
            Error::AccountTwice { path: path() },
            Error::Registration,
            Error::NotExplained,
            Error::Output(cause()),
        ];
        assert!(errors.iter().all(|error| explained::section(&error.explained()).is_some()));
        let said: Vec<_> =
            errors.iter().map(|error| format!("{} {}: {error}", error.exit_code(), error.kind())).collect();
        let said = said.join("\n") + "\n";
        assert_eq!(said, include_str!("../testdata/errors.txt"));
    }
}
