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
    let pem = key.to_pkcs1_pem()?;
    // Line ends are the only characters of PEM that JSON must escape.
    let pem = Zeroizing::new(pem.replace('\n', "\\n"));
    Ok(Zeroizing::new(format!(
        "{{\n  \"client_id\": \"{user_id}\",\n  \"session_id\": \"{session_id}\",\n  \"pin_token\": \"{}\",\n  \
         \"private_key\": \"{}\"\n}}\n",
        pin_token.to_base64(),
        *pem,
    )))
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
#[derive(Debug, Clone)]
pub enum ServerKey {
    /// `server_public_key`: Ed25519, in hex.
    Ed25519(Ed25519PublicKey),
    /// `pin_token_base64`: X25519, in base64url.
    X25519(X25519PublicKey),
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
    // The scope is caller's text, so it is escaped.
    Zeroizing::new(format!(
        "{{\n  \"client_id\": \"{app_id}\",\n  \"authorization_id\": \"{authorization_id}\",\n  \"scope\": \
         {},\n  \"private_key\": \"{}\",\n  \"ed25519\": \"{}\"\n}}\n",
        serde_json::Value::from(scope),
        *key.to_base64_url(),
        server.to_base64_url(),
    ))
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
    let head = format!(
        "{{\n  \"user_id\": \"{}\",\n  \"session_id\": \"{}\",\n  \"algorithm\": \"{}\",\n  \"pin_key\": \"",
        session.user_id(),
        session.session_id(),
        session.signer().algorithm(),
    );
    let pin_key = Zeroizing::new(encode_string(session.pin_key().expose()));
    let tail = "\"\n}\n";
    // Large enough never to grow, because growing would leave a copy of the key in memory.
    let mut text = Zeroizing::new(String::with_capacity(head.len() + pin_key.len() + tail.len()));
    for part in [&head, pin_key.as_str(), tail] {
        text.push_str(part);
    }
    text
}

fn write_session(
    id_field: &str,
    user_id: Uuid,
    session_id: Uuid,
    key: &Ed25519Key,
    server: &ServerKey,
) -> Zeroizing<String> {
    let (server_field, server) = match server {
        ServerKey::Ed25519(key) => ("server_public_key", encode_string(key.as_bytes())),
        ServerKey::X25519(key) => ("pin_token_base64", key.to_base64_url()),
    };
    Zeroizing::new(format!(
        "{{\n  \"{id_field}\": \"{user_id}\",\n  \"session_id\": \"{session_id}\",\n  \
         \"session_private_key\": \"{}\",\n  \"{server_field}\": \"{server}\"\n}}\n",
        *Zeroizing::new(encode_string(key.expose_seed())),
    ))
}
