//! Registers a user: makes a session key and the keystore from the server's answer.

use mixin_pin_core::token::VerifyingKey;
use mixin_pin_core::{Ed25519Key, PinToken, RsaKey, SystemRng};
use mixin_pin_http::Client;
use mixin_pin_protocol::answer::User;
use mixin_pin_protocol::keystore::{ServerKey, write_ed25519, write_rsa};
use zeroize::Zeroizing;

use crate::args::SessionKind;
use crate::error::Error;
use crate::outcome::send_known;
use crate::output::Progress;

/// A new private key for a session.
#[allow(clippy::large_enum_variant, reason = "only one exists at a time")]
pub(crate) enum NewKey {
    Rsa(RsaKey),
    Ed25519(Ed25519Key),
}

impl NewKey {
    pub(crate) fn generate(kind: SessionKind) -> Result<Self, Error> {
        let mut rng = SystemRng::new()?;
        Ok(match kind {
            SessionKind::Rsa1024 => Self::Rsa(RsaKey::generate(&mut rng, 1024)?),
            SessionKind::Rsa2048 => Self::Rsa(RsaKey::generate(&mut rng, 2048)?),
            SessionKind::Ed25519 => Self::Ed25519(Ed25519Key::generate(&mut rng)),
        })
    }

    pub(crate) fn public_key(&self) -> VerifyingKey {
        match self {
            Self::Rsa(key) => VerifyingKey::Rsa(key.public_key()),
            Self::Ed25519(key) => VerifyingKey::Ed25519(key.public_key()),
        }
    }

    /// The keystore of the user that was registered with this key.
    pub(crate) fn keystore(&self, user: &User) -> Result<Zeroizing<String>, Error> {
        let session_id = user.session_id.ok_or(Error::Registration)?;
        match self {
            Self::Rsa(key) => {
                let pin_token = PinToken::from_base64(&user.pin_token).map_err(|_| Error::Registration)?;
                Ok(write_rsa(user.user_id, session_id, key, &pin_token)?)
            }
            Self::Ed25519(key) => {
                let server = ServerKey::from_text(&user.server_public_key)
                    .or_else(|_| ServerKey::from_text(&user.pin_token_base64))
                    .map_err(|_| Error::Registration)?;
                Ok(write_ed25519(user.user_id, session_id, key, &server))
            }
        }
    }
}

/// Registers a user under the app's session. Returns the user and the text of its keystore.
pub(crate) fn register(app: &Client, kind: SessionKind, name: &str) -> Result<(User, Zeroizing<String>), Error> {
    let key = {
        let _progress = Progress::new("making a key");
        NewKey::generate(kind)?
    };
    let user = send_known(|| app.register(&key.public_key(), name)).map_err(|error| match error {
        Error::Unknown { lost, .. } => Error::RegistrationLost(lost),
        error => error,
    })?;
    let text = key.keystore(&user)?;
    Ok((user, text))
}
