//! What can be wrong with a keystore.

use std::fmt;

use crate::keystore::KeystoreShape;

/// Why a keystore cannot be used. Names the field at fault, never its value.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeystoreError {
    /// The keystore is not UTF-8 text.
    NotText,
    /// The keystore is not a JSON object.
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
}

impl fmt::Display for KeystoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText => f.write_str("the keystore is not UTF-8 text; is it the right file?"),
            Self::NotJson { line, column } => {
                write!(f, "the keystore is not a JSON object: see line {line}, column {column}")
            }
            Self::NoKey => f.write_str("the keystore has no private key: expected session_private_key or private_key"),
            Self::Missing { shape, field } => {
                write!(f, "the keystore is {shape} and lacks {field}; use the whole file as it was created")
            }
            Self::NotString { field } => write!(f, "the keystore's {field} must be text, in quotes"),
            Self::NotUuid { field } => write!(f, "the keystore's {field} must be a UUID; copy it whole"),
            Self::Field { field, cause } => write!(f, "the keystore's {field} cannot be used: {cause}"),
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
        }
    }
}

// The text of `Field` includes its cause, so `source` does not repeat it.
impl std::error::Error for KeystoreError {}
