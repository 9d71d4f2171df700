//! What can be wrong with a keystore.

use std::fmt;

use crate::keystore::{FileFormat, Holding, KeystoreShape, Name, OutputShape};

/// Why a keystore cannot be used. Names the field at fault, never its value.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeystoreError {
    /// The keystore is neither UTF-8 nor UTF-16 text.
    NotText,
    /// The keystore is UTF-32 text.
    Utf32,
    /// The file is something else than JSON with a keystore's fields.
    Format(FileFormat),
    /// The keystore is one of several values in a JSON object.
    Nested {
        /// Where it is.
        name: Name,
        /// What the value is, if it is not an object.
        format: Option<FileFormat>,
        /// Whether there are more of them.
        has_others: bool,
    },
    /// The keystore is not a JSON object, for another reason.
    NotJson {
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault.
        column: usize,
    },
    /// The keystore has no private key under any known name.
    NoKey,
    /// A field that this kind of keystore needs is absent or empty.
    Missing {
        /// The kind of keystore.
        shape: KeystoreShape,
        /// The field, or the fields of which one is needed.
        field: &'static str,
    },
    /// A field is not text.
    NotString {
        /// The field.
        field: &'static str,
    },
    /// A field is neither true nor false.
    NotFlag {
        /// The field.
        field: &'static str,
    },
    /// A field is not a UUID.
    NotUuid {
        /// The field.
        field: &'static str,
    },
    /// The value of a field cannot be used.
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        cause: mixin_pin_core::Error,
    },
    /// A field holds something else than its key.
    Holds {
        /// The field.
        field: &'static str,
        /// What it holds.
        holding: Holding,
    },
    /// A field ends before the private key in it does.
    CutShort {
        /// The field.
        field: &'static str,
        /// Bytes that are there.
        len: usize,
        /// Bytes that the key has.
        needed: usize,
    },
    /// A key or a token that is neither hex nor base64.
    NotEncoded {
        /// The field.
        field: &'static str,
    },
    /// A key in hex with an odd number of digits.
    OddHex {
        /// The field.
        field: &'static str,
        /// Its number of digits.
        digits: usize,
    },
    /// A private key of a wrong length.
    KeyLength {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// A server's key of a wrong length.
    ServerKeyLength {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
    },
    /// A PIN token of another length than the RSA key.
    PinTokenLength {
        /// The field.
        field: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The key's length in bytes.
        needed: usize,
    },
    /// A field is there under two spellings of its name, with two values.
    Spellings {
        /// The field.
        field: &'static str,
    },
    /// The user's id and the session's are exchanged: the PIN token unwraps only that way.
    IdsExchanged,
    /// An OAuth keystore without the server's key was given where answers must be verified.
    NoServerKey,
    /// The shape cannot hold this session.
    CannotHold {
        /// The shape.
        shape: OutputShape,
        /// What it cannot hold, and what to choose instead.
        what: &'static str,
    },
    /// Two fields name different users.
    Conflict {
        /// One field.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// An OAuth keystore was given where a user's own session is needed.
    OAuth,
    /// A user's own keystore was given where an OAuth authorization is needed.
    NotOAuth,
    /// The algorithm of a remote signer is not one that Mixin has.
    Algorithm,
    /// A keystore for a remote signer was given where the private key is needed.
    RemoteSigner,
    /// A keystore with a private key was given where a remote signer's is needed.
    NotRemote,
    /// The file has the new key of a session change that has not been completed.
    Unfinished,
}

impl fmt::Display for KeystoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText => f.write_str("the keystore is not UTF-8 text; save it as UTF-8, or give the right file"),
            Self::Utf32 => f.write_str("the keystore is UTF-32 text; save it as UTF-8"),
            Self::Format(format) => write!(f, "the keystore {format}"),
            Self::Nested { name, format: None, has_others: true } => write!(
                f,
                "several keystores are inside this file, one of them under {name}; write the one that you need, from {{ to }}, \
                 to a file of its own"
            ),
            Self::Nested { name, format: Some(format), has_others: true } => {
                write!(f, "several keystores are inside this file, one of them under {name}, where it {format}")
            }
            Self::Nested { name, format: None, has_others: false } => write!(
                f,
                "the keystore is inside this file, under {name}; write that object, from {{ to }}, to a file of its own"
            ),
            Self::Nested { name, format: Some(format), has_others: false } => {
                write!(f, "the keystore is inside this file, under {name}, where it {format}")
            }
            Self::NotJson { line, column } => {
                write!(f, "the keystore is not a JSON object: see line {line}, column {column}")
            }
            Self::NoKey => f.write_str(
                "the keystore has no private key, neither session_private_key nor private_key; use the whole file as it was \
                 created",
            ),
            Self::Missing { shape, field } => {
                write!(f, "the keystore is {shape} and lacks {field}; use the whole file as it was created")
            }
            Self::NotString { field } => write!(f, "the keystore's {field} must be text, in quotes"),
            Self::NotFlag { field } => write!(f, "the keystore's {field} must be true or false"),
            Self::NotUuid { field } => write!(f, "the keystore's {field} must be a UUID; copy it whole"),
            Self::Field { field, cause } => write!(f, "the keystore's {field} cannot be used: {cause}"),
            Self::Holds { field, holding } => write!(f, "the keystore's {field} {holding}"),
            Self::CutShort { field, len, needed } => {
                write!(f, "the keystore's {field} has {len} of {needed} bytes; copy it whole")
            }
            Self::NotEncoded { field } => write!(f, "the keystore's {field} is neither hex nor base64; copy it whole"),
            Self::OddHex { field, digits } => {
                write!(f, "the keystore's {field} has {digits} hex digits, an odd number; copy it whole")
            }
            Self::KeyLength { field, len } => {
                write!(f, "the keystore's {field} has {len} bytes; an Ed25519 private key has 32 or 64; copy it whole")
            }
            Self::ServerKeyLength { field, len } => write!(
                f,
                "the keystore's {field} has {len} bytes; with an Ed25519 private key, the server's key has 32; use the file \
                 as it was created"
            ),
            Self::PinTokenLength { field, len, needed } => write!(
                f,
                "the keystore's {field} has {len} bytes; with this RSA private key, the PIN token has {needed}; use the \
                 file as it was created"
            ),
            Self::Spellings { field } => {
                write!(f, "the keystore has {field} in two spellings with two values; remove the wrong one")
            }
            Self::IdsExchanged => f.write_str(
                "the keystore's user id and session id are exchanged: its PIN token belongs to a session that has the user's \
                 id; exchange the two",
            ),
            Self::NoServerKey => f.write_str(
                "the OAuth keystore lacks ed25519, the server's key, so answers cannot be verified; exchange a new code, or \
                 add the key from the answer to the exchange",
            ),
            Self::CannotHold { shape, what } => {
                write!(f, "the {shape} shape cannot hold {what}")
            }
            Self::Conflict { first, second } => {
                write!(f, "the keystore names two users: {first} and {second} differ; use the file as it was created")
            }
            Self::OAuth => f.write_str(
                "an OAuth keystore acts for another user and has no PIN; use a keystore of your own session",
            ),
            Self::NotOAuth => f.write_str(
                "this keystore is of a user's own session, not of an OAuth authorization; use the keystore that the \
                 code exchange returned",
            ),
            Self::Algorithm => f.write_str("the keystore's algorithm must be EdDSA or RS512"),
            Self::RemoteSigner => f.write_str(
                "the keystore is for a remote signer and has no private key; use a program that calls this signer, or \
                 the session's whole keystore",
            ),
            Self::NotRemote => f.write_str(
                "this keystore is not for a remote signer; use it with its own private key, or have a keystore for the \
                 signer written from it",
            ),
            Self::Unfinished => f.write_str(
                "the file is not a keystore yet: it has the new key of a session change that is not complete; run that change \
                 again",
            ),
        }
    }
}

// The text of `Field` includes its cause, so `source` does not repeat it.
impl std::error::Error for KeystoreError {}
