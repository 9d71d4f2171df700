//! Writes keystores, each in the shape that fits its session.

use base16ct::lower::encode_string;
use mixin_pin_core::token::Signer;
use mixin_pin_core::uuid::Uuid;
use mixin_pin_core::{Ed25519Key, Ed25519PublicKey, Error, PinToken, RsaKey, Session, X25519PublicKey};
use zeroize::Zeroizing;

/// Writes an RSA session as a keystore of the RSA bot's shape.
///
/// # Errors
/// [`Error::RsaKey`] when the key cannot be encoded.
pub fn write_rsa(
    user_id: Uuid,
    session_id: Uuid,
    key: &RsaKey,
    pin_token: &PinToken,
) -> Result<Zeroizing<String>, Error> {
    Ok(object(&[
        ("client_id", &user_id.to_string()),
        ("session_id", &session_id.to_string()),
        ("pin_token", &pin_token.to_base64()),
        ("private_key", &pem_in_json(key)?),
    ]))
}

/// The server's key, as the answer to the registration of an Ed25519 session names it.
///
/// ```
/// use mixin_pin_protocol::core::{Ed25519Key, uuid::Uuid};
/// use mixin_pin_protocol::keystore::{Keystore, KeystoreShape, ServerKey, write_app, write_ed25519};
///
/// # let server = Ed25519Key::from_bytes(&[8; 32])?.public_key();
/// let key = Ed25519Key::from_bytes(&[7; 32])?; // what was registered
/// let server = ServerKey::Ed25519(server); // `server_public_key` of the answer to `POST /users`
/// let (user, session) = (Uuid::from_u128(1), Uuid::from_u128(2));
/// let text = write_ed25519(user, session, &key, &server);
/// assert_eq!(Keystore::parse(text.as_bytes())?.shape(), KeystoreShape::BareUser);
/// let text = write_app(user, session, &key, &server);
/// assert_eq!(Keystore::parse(text.as_bytes())?.shape(), KeystoreShape::Dashboard);
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerKey {
    /// `server_public_key`: Ed25519, in hex.
    Ed25519(Ed25519PublicKey),
    /// `pin_token_base64`: X25519, in base64url.
    X25519(X25519PublicKey),
}

impl ServerKey {
    /// Reads a key as a server's answer has it: hex and DER are of an Ed25519 key, base64 is of an X25519 key.
    ///
    /// # Errors
    /// [`Error::PublicKey`] or [`Error::KeyAgreement`] for anything else.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        // 64 characters of base64 are 48 bytes, and DER is 44.
        match X25519PublicKey::from_base64(text) {
            Ok(key) if text.len() != 64 => Ok(Self::X25519(key)),
            Err(Error::KeyAgreement) => Err(Error::KeyAgreement),
            _ => Ed25519PublicKey::from_text(text).map(Self::Ed25519),
        }
    }

    /// Whether this key and an Ed25519 key agree on the same PIN keys, or have the same bytes.
    pub(super) fn agrees_as(&self, key: &Ed25519PublicKey) -> bool {
        match self {
            // Both signs of a point have the same u-coordinate. This is far quicker than to compute it.
            Self::Ed25519(own) => {
                let y = |key: &Ed25519PublicKey| {
                    let mut bytes = *key.as_bytes();
                    bytes[31] &= 0x7f;
                    bytes
                };
                y(own) == y(key)
            }
            Self::X25519(own) => own.as_bytes() == key.as_bytes() || key.to_x25519().as_ref() == Ok(own),
        }
    }

    /// The key that agrees on PIN keys.
    ///
    /// # Errors
    /// [`Error::KeyAgreement`] for a key of low order.
    pub fn to_x25519(&self) -> Result<X25519PublicKey, Error> {
        match self {
            Self::Ed25519(key) => key.to_x25519(),
            Self::X25519(key) => Ok(key.clone()),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        match self {
            Self::Ed25519(key) => key.as_bytes(),
            Self::X25519(key) => key.as_bytes(),
        }
    }

    /// The key in Edwards form. Of an X25519 key the sign is not known: see [`X25519PublicKey::to_ed25519`].
    pub(super) fn to_ed25519(&self) -> Result<Ed25519PublicKey, Error> {
        match self {
            Self::Ed25519(key) => Ok(key.clone()),
            Self::X25519(key) => key.to_ed25519(),
        }
    }
}

/// Writes an Ed25519 session as a keystore of the bare user's shape.
pub fn write_ed25519(user_id: Uuid, session_id: Uuid, key: &Ed25519Key, server: &ServerKey) -> Zeroizing<String> {
    write_session("user_id", user_id, session_id, key, server)
}

/// Writes an app's session as a keystore of the dashboard's shape.
pub fn write_app(app_id: Uuid, session_id: Uuid, key: &Ed25519Key, server: &ServerKey) -> Zeroizing<String> {
    write_session("app_id", app_id, session_id, key, server)
}

/// Writes an authorization as a keystore of the OAuth shape.
pub fn write_oauth(
    app_id: Uuid,
    authorization_id: Uuid,
    scope: &str,
    key: &Ed25519Key,
    server: &Ed25519PublicKey,
) -> Zeroizing<String> {
    object(&[
        ("client_id", &app_id.to_string()),
        ("authorization_id", &authorization_id.to_string()),
        ("scope", &in_json(scope)),
        ("private_key", &key.to_base64_url()),
        ("ed25519", &server.to_base64_url()),
    ])
}

/// Writes a session as a keystore for a remote signer: with the PIN key, without the private key.
///
/// ```
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_protocol::keystore::{Keystore, write_remote};
///
/// # const KEYSTORE: &str = include_str!("../../testdata/keystore-dashboard.json");
/// let session = Keystore::parse(KEYSTORE.as_bytes())?.into_session(&mut UnwrapErr(SysRng))?; // the whole keystore
/// let text = write_remote(&session); // for the program that the signer serves
/// let remote = Keystore::parse(text.as_bytes())?.into_remote_session()?;
/// assert_eq!(remote.pin_key().expose(), session.pin_key().expose());
/// # Ok::<(), mixin_pin_protocol::Error>(())
/// ```
///
/// # Security
/// The PIN key decrypts the session's captured PINs. Protect the file as you protect a private key.
pub fn write_remote<S: Signer>(session: &Session<S>) -> Zeroizing<String> {
    object(&[
        ("user_id", &session.user_id().to_string()),
        ("session_id", &session.session_id().to_string()),
        ("algorithm", session.signer().algorithm().as_str()),
        ("pin_key", &Zeroizing::new(encode_string(session.pin_key().expose()))),
    ])
}

fn write_session(
    id_field: &str,
    user_id: Uuid,
    session_id: Uuid,
    key: &Ed25519Key,
    server: &ServerKey,
) -> Zeroizing<String> {
    let (server_field, server) = server_field(server);
    object(&[
        (id_field, &user_id.to_string()),
        ("session_id", &session_id.to_string()),
        ("session_private_key", &hex_seed(key)),
        (server_field, &server),
    ])
}

/// The server's key as this kind of it is usually written.
pub(super) fn server_field(server: &ServerKey) -> (&'static str, String) {
    match server {
        ServerKey::Ed25519(key) => ("server_public_key", encode_string(key.as_bytes())),
        ServerKey::X25519(key) => ("pin_token_base64", key.to_base64_url()),
    }
}

pub(super) fn hex_seed(key: &Ed25519Key) -> Zeroizing<String> {
    Zeroizing::new(encode_string(key.expose_seed()))
}

/// PKCS#1 PEM for a JSON string. Line ends are the only characters of it that JSON must escape.
pub(super) fn pem_in_json(key: &RsaKey) -> Result<Zeroizing<String>, Error> {
    let pem = key.to_pkcs1_pem()?;
    let mut text = Zeroizing::new(String::with_capacity(2 * pem.len()));
    for line in pem.lines() {
        text.push_str(line);
        text.push_str("\\n");
    }
    Ok(text)
}

/// Any public text for a JSON string.
pub(super) fn in_json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// A JSON object of strings, which need no escape.
pub(super) fn object(fields: &[(&str, &str)]) -> Zeroizing<String> {
    object_with(fields, "")
}

/// Likewise, with further text before its end.
pub(super) fn object_with(fields: &[(&str, &str)], more: &str) -> Zeroizing<String> {
    const AROUND: usize = "  \"\": \"\",\n".len();
    // Large enough never to grow, because growing would leave copies of the secrets in memory.
    let len = fields.iter().map(|(name, value)| AROUND + name.len() + value.len()).sum::<usize>()
        + more.len()
        + "{\n\n}\n".len();
    let mut text = Zeroizing::new(String::with_capacity(len));
    text.push('{');
    for (at, (name, value)) in fields.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        for part in [comma, "\n  \"", *name, "\": \"", *value, "\""] {
            text.push_str(part);
        }
    }
    text.push_str(more);
    text.push_str("\n}\n");
    text
}
