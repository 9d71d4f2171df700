//! OAuth sessions: an app acts for a user within granted scopes, without the user's PIN.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64ct::Encoding as _;
use rand_core::CryptoRng;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::encoding::decode_secret;
use crate::token::{Claims, Issuer, RequestHash, Signer, Token, VerifyingKey};
use crate::{Ed25519Key, Ed25519PublicKey, Error, UnixTime};

/// An authorization that a user granted to an app, with the app's key and the server's key.
///
/// It has no PIN key. Calls with a PIN need the user's own session. `V` is the server's key, or `()` if it is not known.
///
/// ```
/// use core::time::Duration;
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_core::{Ed25519Key, OAuthSession, UnixTime, token::RequestHash, uuid::Uuid};
///
/// let mut rng = UnwrapErr(SysRng);
/// let server = Ed25519Key::generate(&mut rng).public_key(); // `ed25519` in the answer to `POST /oauth/token`
/// let key = Ed25519Key::generate(&mut rng);
/// let (app, authorization) = (Uuid::from_u128(1), Uuid::from_u128(2));
/// let session = OAuthSession::new(app, authorization, "PROFILE:READ", key, server)?;
///
/// let (hash, now) = (RequestHash::of("GET", "/me", b""), UnixTime::from_secs(1_700_000_000));
/// let claims = session.claims(hash, Uuid::from_u128(3), now, Duration::from_secs(60))?;
/// assert!(session.sign(&claims, &mut rng)?.as_str().starts_with("eyJ"));
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
///
/// # Security
/// The private key is zeroized on drop. `Debug` shows only the ids and the scope.
pub struct OAuthSession<S = Ed25519Key, V = VerifyingKey> {
    app_id: Uuid,
    authorization_id: Uuid,
    scope: String,
    signer: S,
    server_key: V,
}

impl<S> OAuthSession<S> {
    /// A session for an authorization. `scope` lists what was granted, separated by blanks. `server_key` signs the answers.
    ///
    /// # Errors
    /// [`Error::Scope`] for characters that a scope must not have (RFC 6749, section 3.3).
    pub fn new(
        app_id: Uuid,
        authorization_id: Uuid,
        scope: &str,
        signer: S,
        server_key: Ed25519PublicKey,
    ) -> Result<Self, Error> {
        let session = OAuthSession::without_server_key(app_id, authorization_id, scope, signer)?;
        Ok(session.with_server_key(server_key))
    }

    /// The server's key, which signs the answers to this session.
    pub const fn server_key(&self) -> &VerifyingKey {
        &self.server_key
    }
}

impl<S> OAuthSession<S, ()> {
    /// A session whose server's key is not known. It signs requests, but cannot verify the answers.
    ///
    /// # Errors
    /// [`Error::Scope`] as in [`OAuthSession::new`].
    pub fn without_server_key(app_id: Uuid, authorization_id: Uuid, scope: &str, signer: S) -> Result<Self, Error> {
        crate::token::check_scope(scope)?;
        Ok(Self { app_id, authorization_id, scope: scope.to_owned(), signer, server_key: () })
    }

    /// The same session with the server's key.
    pub fn with_server_key(self, server_key: Ed25519PublicKey) -> OAuthSession<S> {
        let Self { app_id, authorization_id, scope, signer, server_key: () } = self;
        OAuthSession { app_id, authorization_id, scope, signer, server_key: VerifyingKey::Ed25519(server_key) }
    }
}

impl<S, V> OAuthSession<S, V> {
    /// The app (`iss`).
    pub const fn app_id(&self) -> Uuid {
        self.app_id
    }

    /// The authorization (`aid`).
    pub const fn authorization_id(&self) -> Uuid {
        self.authorization_id
    }

    /// The granted scopes (`scp`), separated by blanks.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The same session with another signer for the same key.
    pub fn map_signer<T>(self, map: impl FnOnce(S) -> T) -> OAuthSession<T, V> {
        let (session, signer) = self.replace_signer(());
        session.replace_signer(map(signer)).0
    }

    /// The same session with another signer, and the former signer.
    pub fn replace_signer<T>(self, other: T) -> (OAuthSession<T, V>, S) {
        let Self { app_id, authorization_id, scope, signer, server_key } = self;
        (OAuthSession { app_id, authorization_id, scope, signer: other, server_key }, signer)
    }

    /// The claims of a token for one request, as [`Session::claims`](crate::Session::claims) makes them.
    ///
    /// # Errors
    /// [`Error::Expiry`] if the lifetime is below a second or ends out of range.
    pub fn claims(
        &self,
        request_hash: RequestHash,
        request_id: Uuid,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Claims<'_>, Error> {
        let (app_id, authorization_id, scope) = (self.app_id, self.authorization_id, &self.scope);
        Claims::issue(Issuer::OAuth { app_id, authorization_id, scope }, request_id, request_hash, now, lifetime)
    }

    /// The key that signs this session's requests.
    pub const fn signer(&self) -> &S {
        &self.signer
    }
}

impl<S: Signer, V> OAuthSession<S, V> {
    /// Signs claims with the session's key.
    ///
    /// # Errors
    /// [`Error::Signer`] if the key or its device fails. To keep the cause, sign in two steps: [`Claims::unsigned`].
    pub fn sign(&self, claims: &Claims<'_>, rng: &mut dyn CryptoRng) -> Result<Token, Error> {
        claims.sign(&self.signer, rng)
    }
}

impl<S, V> fmt::Debug for OAuthSession<S, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthSession")
            .field("app_id", &self.app_id)
            .field("authorization_id", &self.authorization_id)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// The code verifier of RFC 7636, which binds a request for an authorization to its exchange.
///
/// Mixin's challenge is SHA-256 of the verifier's 32 bytes, not of its text as in RFC 7636, section 4.2.
///
/// ```
/// use mixin_pin_core::CodeVerifier;
///
/// let verifier = CodeVerifier::from_text("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")?;
/// assert_eq!(verifier.challenge(), "Yw3NKWbEM2aRElRIu7JbT_QSpJxzLbLIq8G4WBvXEN0");
/// assert_eq!(*verifier.to_text(), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
///
/// # Security
/// Zeroized on drop, neither cloned nor printed.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct CodeVerifier([u8; 32]);

impl CodeVerifier {
    /// Generates a verifier.
    pub fn generate(rng: &mut dyn CryptoRng) -> Self {
        let mut verifier = Self([0; 32]);
        rng.fill_bytes(&mut verifier.0);
        verifier
    }

    /// Reads the text of [`CodeVerifier::to_text`].
    ///
    /// # Errors
    /// [`Error::CodeVerifier`] for anything but base64 of 32 bytes.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        let mut verifier = Self([0; 32]);
        match decode_secret(text, &[], &mut verifier.0).map(<[u8]>::len) {
            Some(32) => Ok(verifier),
            _ => Err(Error::CodeVerifier),
        }
    }

    /// Unpadded base64url. Store it, and send it as `code_verifier` when you exchange the code.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(base64ct::Base64UrlUnpadded::encode_string(&self.0))
    }

    /// The `code_challenge` to send with the request for the authorization.
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.0))
    }
}

impl fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodeVerifier").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_verifier_is_read_back() {
        let verifier = CodeVerifier([7; 32]);
        let again = CodeVerifier::from_text(&verifier.to_text()).unwrap();
        assert_eq!(again.challenge(), verifier.challenge());
        for text in ["", "AAAA", "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc", "!"] {
            assert_eq!(CodeVerifier::from_text(text).unwrap_err(), Error::CodeVerifier, "{text}");
        }
    }

    #[test]
    fn neither_key_nor_verifier_is_shown() {
        let key = Ed25519Key::from_bytes(&[9; 32]).unwrap();
        let server = key.public_key();
        let session = OAuthSession::new(Uuid::from_u128(1), Uuid::from_u128(2), "PHONE:READ", key, server).unwrap();
        assert_eq!(
            format!("{session:?} {:?}", CodeVerifier([7; 32])),
            "OAuthSession { app_id: 00000000-0000-0000-0000-000000000001, authorization_id: \
             00000000-0000-0000-0000-000000000002, scope: \"PHONE:READ\", .. } CodeVerifier { .. }"
        );
    }
}
