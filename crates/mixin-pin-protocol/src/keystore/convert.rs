//! Writes a keystore that was read in the shape that another client reads.

use std::fmt;

use mixin_pin_core::Ed25519Key;
use mixin_pin_core::uuid::Uuid;
use zeroize::Zeroizing;

use super::write::{ServerKey, hex_seed, in_json, object, object_with, pem_in_json, server_field};
use super::{Keys, Keystore, KeystoreShape, SpendKey};
use crate::KeystoreError;

/// A shape of keystore that clients read.
///
/// | shape | read by | source |
/// |---|---|---|
/// | dashboard | the official Go client, Mixin's tools | MixinNetwork/bot-api-go-client: `safe.go` |
/// | bot | fox-one's Go client; its OAuth keystore, too | fox-one/mixin-sdk-go: `keystore.go`, `oauth_ed25519.go` |
/// | user | the official Go client's command | MixinNetwork/bot-api-go-client: `cli/main.go` |
/// | node | the official Node client 7.5.5; its OAuth keystore, too | MixinNetwork/bot-api-nodejs-client: `src/client/types/keystore.ts` |
/// | ruby | mixin_bot | baizhiheizi/mixin_bot: `lib/mixin_bot/configuration.rb` |
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputShape {
    /// `app_id`, `session_id`, `session_private_key` and `server_public_key` in hex, and `spend_private_key`.
    Dashboard,
    /// `client_id`, `session_id`, `private_key` and `pin_token` in PEM or base64, `spend_key` and `is_spend_private_sum`.
    Bot,
    /// `user_id`, `session_id`, `session_private_key` and `server_public_key` in hex, `spend_private_key` and
    /// `is_spend_private_sum`.
    User,
    /// As the dashboard's, without a place for the spend key.
    Node,
    /// As the dashboard's, with the spend key in `spend_key`. RSA keys are PEM in `session_private_key`.
    Ruby,
}

impl OutputShape {
    /// Every shape.
    pub const ALL: [Self; 5] = [Self::Dashboard, Self::Bot, Self::User, Self::Node, Self::Ruby];

    /// A short name, for scripts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dashboard => "dashboard",
            Self::Bot => "bot",
            Self::User => "user",
            Self::Node => "node",
            Self::Ruby => "ruby",
        }
    }

    /// The field for the spend key. A scalar has one only where the client can tell it from a seed.
    const fn spend_field(self, is_scalar: bool) -> Option<&'static str> {
        match self {
            Self::User => Some("spend_private_key"),
            // Tells both apart by the public key (mixinnet/key.go, ParseKeyWithPub).
            Self::Bot => Some("spend_key"),
            Self::Dashboard if !is_scalar => Some("spend_private_key"),
            Self::Ruby if !is_scalar => Some("spend_key"),
            Self::Dashboard | Self::Ruby | Self::Node => None,
        }
    }
}

impl fmt::Display for OutputShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A keystore as it was written in another shape.
///
/// # Security
/// The text has the private key. It is zeroized on drop, and `Debug` does not show it.
#[non_exhaustive]
pub struct Written {
    /// The JSON text.
    pub text: Zeroizing<String>,
    /// The names of the secrets of the keystore that the text does not have.
    pub left_out: Vec<&'static str>,
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").field("left_out", &self.left_out).finish_non_exhaustive()
    }
}

impl Keystore {
    /// Writes the keystore in the shape that another client reads. Reading it gives the same session again.
    ///
    /// The spend key is written if `with_spend_key` is true and the shape has a place for it. A PIN and a client secret are
    /// never written.
    ///
    /// An X25519 key of the server is written as an Ed25519 key where the shape needs one. Its sign is then unknown, which
    /// makes no difference to the PIN key.
    ///
    /// ```
    /// use mixin_pin_protocol::keystore::{Keystore, KeystoreShape, OutputShape};
    ///
    /// # const TEXT: &str = include_str!("../../testdata/keystore-ed25519-bot.json");
    /// let keystore = Keystore::parse(TEXT.as_bytes())?; // a bot's file
    /// let written = keystore.write(OutputShape::Node, false)?; // for Node
    /// let again = Keystore::parse(written.text.as_bytes())?;
    /// assert_eq!((again.shape(), again.public_key()), (KeystoreShape::Dashboard, keystore.public_key()));
    /// # Ok::<(), mixin_pin_protocol::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`KeystoreError::CannotHold`] for a session that the shape's clients cannot use, [`KeystoreError::Field`] for a spend
    /// key that is asked for and damaged.
    pub fn write(&self, shape: OutputShape, with_spend_key: bool) -> Result<Written, KeystoreError> {
        let cannot_hold = |what| Err(KeystoreError::CannotHold { shape, what });
        let (user_id, session_id) = (self.user_id.to_string(), self.session_id.to_string());
        let (secret, public, scope);
        let fields: Vec<(&str, &str)> = match (shape, &self.keys) {
            (_, Keys::Remote { .. }) => {
                return cannot_hold("a session without its private key; use the session's whole keystore");
            }
            (OutputShape::Bot, Keys::Rsa { key, pin_token, .. }) => {
                (secret, public) = (self.pem(key)?, pin_token.to_base64());
                vec![
                    ("client_id", &user_id),
                    ("session_id", &session_id),
                    ("pin_token", &public),
                    ("private_key", &secret),
                ]
            }
            (OutputShape::Ruby, Keys::Rsa { key, pin_token, .. }) => {
                (secret, public) = (self.pem(key)?, url_safe(&pin_token.to_base64()));
                if is_misread_by_ruby(&public) {
                    return cannot_hold("this PIN token, which mixin_bot does not decode; choose bot");
                }
                vec![
                    ("app_id", &user_id),
                    ("session_id", &session_id),
                    ("session_private_key", &secret),
                    ("server_public_key", &public),
                ]
            }
            (_, Keys::Rsa { .. }) => return cannot_hold("an RSA session; choose bot or ruby"),
            (OutputShape::Bot, Keys::OAuth { key, scope: granted, server }) => {
                let Some(server) = server else {
                    return cannot_hold("an authorization without the server's key; choose node");
                };
                (secret, public, scope) = (key.to_base64_url(), server.to_base64_url(), in_json(granted));
                vec![
                    ("client_id", &user_id),
                    ("authorization_id", &session_id),
                    ("scope", &scope),
                    ("private_key", &secret),
                    ("ed25519", &public),
                ]
            }
            (OutputShape::Node, Keys::OAuth { key, scope: granted, .. }) => {
                (secret, scope) = (hex_seed(key), in_json(granted));
                vec![
                    ("app_id", &user_id),
                    ("authorization_id", &session_id),
                    ("scope", &scope),
                    ("session_private_key", &secret),
                ]
            }
            (_, Keys::OAuth { .. }) => return cannot_hold("an OAuth authorization; choose bot or node"),
            (OutputShape::Bot, Keys::Ed25519 { key, server, .. }) => {
                (secret, public) = (key.to_base64_url(), server.to_base64_url());
                vec![
                    ("client_id", &user_id),
                    ("session_id", &session_id),
                    ("pin_token", &public),
                    ("private_key", &secret),
                ]
            }
            (_, Keys::Ed25519 { key, named, .. }) => {
                let field;
                secret = hex_seed(key);
                (field, public) = match (named.to_ed25519(), shape) {
                    (Ok(key), _) => server_field(&ServerKey::Ed25519(key)),
                    (Err(_), OutputShape::Node) => server_field(named),
                    (Err(_), _) => {
                        return cannot_hold(
                            "this server's key, which is no point of the Edwards curve; choose bot or node",
                        );
                    }
                };
                let id_field = if shape == OutputShape::User { "user_id" } else { "app_id" };
                vec![
                    (id_field, &user_id),
                    ("session_id", &session_id),
                    ("session_private_key", &secret),
                    (field, &public),
                ]
            }
        };
        self.written(shape, fields, self.spend_key.as_ref().filter(|_| with_spend_key))
    }

    /// Writes the keystore of the same user's next session, which has another key: as the dashboard's shape for an app, as a
    /// user's shape otherwise.
    ///
    /// The spend key is written too, because it does not change with the session. Only the user's shape has a place for a
    /// spend key that is a scalar, so an app with one gets that shape. A PIN and a client secret are never written.
    ///
    /// # Errors
    /// [`KeystoreError::Field`] for a damaged spend key.
    pub fn write_next(
        &self,
        is_app: bool,
        session_id: Uuid,
        key: &Ed25519Key,
        server: &ServerKey,
    ) -> Result<Written, KeystoreError> {
        let is_scalar = self.spend_key.as_ref().is_some_and(SpendKey::is_scalar);
        let shape = if is_app && !is_scalar { OutputShape::Dashboard } else { OutputShape::User };
        let id_field = if shape == OutputShape::User { "user_id" } else { "app_id" };
        let (user_id, session_id, secret) = (self.user_id.to_string(), session_id.to_string(), hex_seed(key));
        // The official Go client reads Edwards form only.
        let (field, public) = server_field(&server.to_ed25519().map_or_else(|_| server.clone(), ServerKey::Ed25519));
        let fields = vec![
            (id_field, &*user_id),
            ("session_id", &session_id),
            ("session_private_key", &secret),
            (field, &public),
        ];
        self.written(shape, fields, self.spend_key.as_ref())
    }

    /// The text of these fields and of the spend key, if the shape has a place for it.
    fn written(
        &self,
        shape: OutputShape,
        fields: Vec<(&str, &str)>,
        spend_key: Option<&SpendKey>,
    ) -> Result<Written, KeystoreError> {
        let mut left_out = self.further_secrets.clone();
        let hex;
        // It gets a shorter lifetime, that of the key in hex.
        let mut fields: Vec<(&str, &str)> = fields;
        if let Some((key, field)) = spend_key.and_then(|key| Some((key, shape.spend_field(key.is_scalar())?))) {
            hex = key
                .to_hex()
                .ok_or(KeystoreError::Field { field: key.field(), cause: mixin_pin_core::Error::Ed25519Key })?;
            fields.push((field, &hex));
            left_out.retain(|name| *name != key.field());
            let more = if key.is_scalar() { ",\n  \"is_spend_private_sum\": true" } else { "" };
            return Ok(Written { text: object_with(&fields, more), left_out });
        }
        Ok(Written { text: object(&fields), left_out })
    }

    fn pem(&self, key: &mixin_pin_core::RsaKey) -> Result<Zeroizing<String>, KeystoreError> {
        pem_in_json(key).map_err(|cause| KeystoreError::Field { field: self.key_field, cause })
    }

    /// Whether the keystore is an OAuth authorization without the server's key: see
    /// [`Keystore::into_oauth_signer`].
    pub fn lacks_server_key(&self) -> bool {
        self.shape == KeystoreShape::OAuth && matches!(self.keys, Keys::OAuth { server: None, .. })
    }
}

/// Base64url of base64, because `mixin_bot` decodes no other alphabet.
fn url_safe(base64: &str) -> String {
    base64.replace('+', "-").replace('/', "_")
}

/// Whether `mixin_bot` takes a text for the key itself (`lib/mixin_bot/utils/decoder.rb`, `decode_key`).
fn is_misread_by_ruby(text: &str) -> bool {
    let mut run = 0;
    let has_six_digits = text.bytes().any(|c| {
        run = if c.is_ascii_digit() { run + 1 } else { 0 };
        run == 6
    });
    has_six_digits || text.len().is_multiple_of(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_digits_and_lengths_of_32_are_misread() {
        for text in ["a123456", "000000==", &"a".repeat(32), &"-".repeat(512)] {
            assert!(is_misread_by_ruby(text), "{text}");
        }
        for text in ["12345a67890b", &"a".repeat(344), &"a".repeat(172)] {
            assert!(!is_misread_by_ruby(text), "{text}");
        }
    }
}
