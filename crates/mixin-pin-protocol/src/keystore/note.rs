//! Remarks about a keystore that was read.

use std::fmt;

/// A remark about a keystore that could be read. A plain, usual keystore has none.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeystoreNote {
    /// The server's key is in a form that is unusual for its field and may be read in two ways.
    ServerKey {
        /// The field.
        field: &'static str,
        /// How it was read.
        read_as: ServerKeyKind,
    },
    /// The server's key is not one that is made from a private key. A character of it may be wrong.
    ///
    /// Fifteen in sixteen wrong keys are found so.
    ServerKeyOrder {
        /// The field.
        field: &'static str,
    },
    /// Two fields hold different values of what should be one.
    Differ {
        /// The field that was used.
        used: &'static str,
        /// The field that was not.
        other: &'static str,
    },
    /// A field is there twice with two values. The last one was used, as most JSON readers do.
    Repeated {
        /// The field.
        field: &'static str,
    },
    /// User and session have the same id.
    SameIds,
    /// The PEM of a private key is damaged. It was read all the same; other programs may refuse it.
    PemRepaired {
        /// The field.
        field: &'static str,
    },
    /// An OAuth keystore without the server's key. It signs requests, but cannot verify the answers.
    NoServerKey,
}

impl KeystoreNote {
    /// Whether the keystore may mean something else than what was read.
    pub const fn is_doubtful(self) -> bool {
        match self {
            Self::ServerKey { .. }
            | Self::ServerKeyOrder { .. }
            | Self::Differ { .. }
            | Self::Repeated { .. }
            | Self::SameIds => true,
            Self::PemRepaired { .. } | Self::NoServerKey => false,
        }
    }
}

impl fmt::Display for KeystoreNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerKey { field, read_as } => write!(
                f,
                "{field} is in an unusual form and was read as an {read_as} key; if that is wrong, the server cannot read \
                 the PINs"
            ),
            Self::ServerKeyOrder { field } => {
                write!(
                    f,
                    "{field} is no key that was made from a private key; compare it with its source: a character may be wrong"
                )
            }
            Self::Differ { used, other } => write!(f, "{used} and {other} differ; {used} was used"),
            Self::Repeated { field } => {
                write!(f, "{field} is there twice with two values, and the last was used; remove the wrong one")
            }
            Self::SameIds => f.write_str("the user and the session have the same id; compare both with their source"),
            Self::PemRepaired { field } => {
                write!(f, "the PEM in {field} is damaged; it was read all the same, but other programs may refuse it")
            }
            Self::NoServerKey => f.write_str(
                "the keystore lacks ed25519, the server's key; it signs requests, but the answers cannot be verified",
            ),
        }
    }
}

/// The kind of a server's key.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKeyKind {
    /// A point of the Edwards curve. Its u-coordinate is the X25519 key.
    Ed25519,
    /// The u-coordinate itself.
    X25519,
}

impl fmt::Display for ServerKeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519",
            Self::X25519 => "X25519",
        })
    }
}
