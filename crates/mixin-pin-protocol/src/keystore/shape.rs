//! The kinds of keystores.

use std::fmt;

/// The kind of a keystore, recognized by its fields.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeystoreShape {
    /// A bot of 2018 to 2020: `client_id`, `session_id`, `pin_token`, `private_key` as PEM.
    RsaBot,
    /// A bot of 2020 to 2023: `client_id`, `session_id`, `pin_token`, `private_key` as base64url.
    Ed25519Bot,
    /// A bot of today, from the developers' dashboard: `app_id`, `session_private_key`, `server_public_key`.
    Dashboard,
    /// A user without an app: `user_id`, `session_private_key`, `server_public_key`.
    BareUser,
    /// An authorization by another user: `client_id`, `authorization_id`, `scope`, `private_key`, `ed25519`.
    OAuth,
    /// A session whose private key is in a device or at a service: `user_id`, `session_id`, `pin_key`, `algorithm`.
    RemoteSigner,
}

impl KeystoreShape {
    /// A short name, for scripts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RsaBot => "rsa-bot",
            Self::Ed25519Bot => "ed25519-bot",
            Self::Dashboard => "dashboard",
            Self::BareUser => "bare-user",
            Self::OAuth => "oauth",
            Self::RemoteSigner => "remote-signer",
        }
    }
}

impl fmt::Display for KeystoreShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RsaBot => "that of an RSA bot",
            Self::Ed25519Bot => "that of an Ed25519 bot",
            Self::Dashboard => "one of the developers' dashboard",
            Self::BareUser => "that of a user",
            Self::OAuth => "an OAuth authorization",
            Self::RemoteSigner => "one for a remote signer",
        })
    }
}
