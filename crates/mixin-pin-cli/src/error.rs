//! Why a command failed, and the exit code that says so.

use std::path::PathBuf;
use std::{fmt, io};

use mixin_pin_http::Unknown;
use mixin_pin_protocol::Error as ProtocolError;
use mixin_pin_protocol::answer::ApiError;

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
    /// The keystore cannot be used.
    Keystore { path: PathBuf, cause: ProtocolError },
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
    /// A call's answer was lost.
    Unknown(Unknown),
    /// The sandbox failed.
    Sandbox(mixin_pin_sandbox::Error),
    /// The answer to a registration lacks what a keystore needs.
    Registration,
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
            | Self::Ciphertext(mixin_pin_core::Error::Open) => 1,
            Self::Http(error) => match error {
                mixin_pin_http::Error::Protocol(error) => match error {
                    ProtocolError::Api(_) => 1,
                    error if error.is_bad_answer() => 4,
                    _ => 2,
                },
                mixin_pin_http::Error::Connect(_)
                | mixin_pin_http::Error::Interrupted(_)
                | mixin_pin_http::Error::AnswerTooLong { .. }
                | mixin_pin_http::Error::Redirect { .. } => 4,
                _ => 2,
            },
            Self::Unknown(_) => 3,
            _ => 2,
        }
    }

    /// A word for scripts.
    pub(crate) fn kind(&self) -> &'static str {
        match (self, self.exit_code()) {
            (Self::Keystore { .. }, _) => "keystore",
            (Self::Usage(_), _) => "usage",
            (Self::Http(_), 1) => "refused",
            (Self::Sandbox(_), _) => "sandbox",
            (_, 1) => "does-not-hold",
            (_, 3) => "unknown",
            (_, 4) => "network",
            _ => "input",
        }
    }

    /// What Mixin answered, where it refused.
    pub(crate) fn api(&self) -> Option<&ApiError> {
        match self {
            Self::Http(mixin_pin_http::Error::Protocol(ProtocolError::Api(error))) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DoesNotHold => f.write_str("what was checked does not hold"),
            Self::Read { path, cause } => write!(f, "{} cannot be read: {cause}", path.display()),
            Self::Write { path, cause } => write!(f, "{} cannot be written: {cause}", path.display()),
            Self::Exists { path } => {
                write!(f, "{} exists and is left alone; name another file", path.display())
            }
            Self::NotText { path } => write!(f, "{} is not UTF-8 text", path.display()),
            Self::Keystore { path, cause } => write!(f, "{}: {cause}", path.display()),
            Self::NoTerminal(cause) => {
                write!(f, "there is no terminal to ask on ({cause}); use --pin-stdin or --spend-key-stdin")
            }
            Self::PinMissing { which } => {
                write!(f, "standard input ended before the {which}; give one a line")?;
                if *which == "new PIN" {
                    f.write_str(": the old one, then the new one, or with --new-user the new one alone")?;
                }
                Ok(())
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
            Self::Unknown(lost) => write!(
                f,
                "nobody here knows what became of request {}: {}. It may have been carried out: look with `mixin-pin \
                 me`, then try `mixin-pin verify` once with the PIN that should hold now",
                lost.request_id, lost.cause
            ),
            Self::Sandbox(cause) => write!(f, "the sandbox failed: {cause}"),
            Self::Registration => f.write_str(
                "the user was registered, but the answer lacks the session id or the server's key: no keystore can \
                 be made of it",
            ),
            Self::Output(cause) => write!(f, "standard output cannot be written: {cause}"),
            #[cfg(unix)]
            Self::Signals(cause) => write!(f, "signals cannot be waited for: {cause}"),
        }
    }
}

impl From<mixin_pin_http::Error> for Error {
    fn from(error: mixin_pin_http::Error) -> Self {
        Self::Http(error)
    }
}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        Self::Input(error)
    }
}

impl From<mixin_pin_core::Error> for Error {
    fn from(error: mixin_pin_core::Error) -> Self {
        Self::Input(error.into())
    }
}

impl From<mixin_pin_sandbox::Error> for Error {
    fn from(error: mixin_pin_sandbox::Error) -> Self {
        Self::Sandbox(error)
    }
}
