//! One registered session: its ids, its signing key, and the PIN key that it shares with the server.

#[cfg(feature = "ed25519")]
pub(crate) mod ed25519;
#[cfg(all(feature = "ed25519", feature = "alloc"))]
pub(crate) mod oauth;
#[cfg(feature = "rsa")]
pub(crate) mod rsa;

use core::fmt;
use core::time::Duration;

use rand_core::CryptoRng;
use uuid::Uuid;

use crate::token::{Algorithm, Claims, RequestHash, Signer};
use crate::{Error, PinKey, SignerError, UnixTime};

/// A session's private key, in pure Rust.
///
/// A key in a faster library or in hardware implements [`Signer`] itself. Pass it to [`Session::from_parts`].
#[non_exhaustive]
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "boxing would need an allocator")]
pub enum SessionKey {
    /// RSA of 1024 to 4096 bits, which signs RS512.
    #[cfg(feature = "rsa")]
    Rsa(crate::RsaKey),
    /// Ed25519, which signs EdDSA.
    #[cfg(feature = "ed25519")]
    Ed25519(crate::Ed25519Key),
}

// Without `rsa` and `ed25519` the enum has no variant, so nothing uses the arguments.
#[cfg_attr(not(any(feature = "rsa", feature = "ed25519")), allow(unused_variables))]
impl Signer for SessionKey {
    fn algorithm(&self) -> Algorithm {
        match *self {
            #[cfg(feature = "rsa")]
            Self::Rsa(ref key) => key.algorithm(),
            #[cfg(feature = "ed25519")]
            Self::Ed25519(ref key) => key.algorithm(),
        }
    }

    fn signature_len(&self) -> usize {
        match *self {
            #[cfg(feature = "rsa")]
            Self::Rsa(ref key) => key.signature_len(),
            #[cfg(feature = "ed25519")]
            Self::Ed25519(ref key) => key.signature_len(),
        }
    }

    fn sign(&self, message: &[u8], rng: &mut dyn CryptoRng, signature: &mut [u8]) -> Result<(), SignerError> {
        match *self {
            #[cfg(feature = "rsa")]
            Self::Rsa(ref key) => key.sign(message, rng, signature),
            #[cfg(feature = "ed25519")]
            Self::Ed25519(ref key) => key.sign(message, rng, signature),
        }
    }
}

/// A user's or a bot's session. It is made once and used for every call.
///
#[cfg_attr(all(feature = "ed25519", feature = "alloc"), doc = "```")]
#[cfg_attr(not(all(feature = "ed25519", feature = "alloc")), doc = "```ignore")]
/// use core::time::Duration;
/// use getrandom::{SysRng, rand_core::UnwrapErr};
/// use mixin_pin_core::{Ed25519Key, Session, UnixTime, X25519PublicKey, token::RequestHash, uuid::Uuid};
///
/// // A throw-away keystore from the tests of Mixin's Dart client.
/// let key = "5B_ceKifPn-egAHE7v2TRjiTqbvZnq43Hp03ag5nhUPXdqBb54EYQ_XA_3bCeyZZQqnWKEIXRamCQVtJiiefKA";
/// let key = Ed25519Key::from_text(key)?;
/// let server = X25519PublicKey::from_base64("PgZHafXZXPBtJA4dKFf0kO4IHPOZouJJFSkr3zkn8Ws")?;
/// let session = Session::ed25519(Uuid::from_u128(1), Uuid::from_u128(2), key, &server)?;
///
/// let hash = RequestHash::of("GET", "/me", b"");
/// let now = UnixTime::from_secs(1_700_000_000);
/// let claims = session.claims(hash, Uuid::from_u128(3), now, Duration::from_secs(60))?;
/// let token = session.sign(&claims, &mut UnwrapErr(SysRng))?;
/// assert!(token.as_str().starts_with("eyJ"));
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
///
/// # Security
/// The private key and the PIN key are zeroized on drop. `Debug` shows only the ids and the algorithm.
pub struct Session<S = SessionKey> {
    user_id: Uuid,
    session_id: Uuid,
    signer: S,
    pin_key: PinKey,
}

impl Session {
    /// An RSA session, whose PIN key is unwrapped from the PIN token.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_core::{PinKey, PinToken, RsaKey, Session, uuid::Uuid};
    ///
    /// # const PEM: &str = include_str!("../testdata/rsa-2048-pkcs8.pem");
    /// # let (mut rng, session_id) = (UnwrapErr(SysRng), Uuid::from_u128(2));
    /// # let key = RsaKey::from_pem(PEM)?;
    /// # let keystore_pin_token =
    /// #     key.public_key().wrap_pin_key(&PinKey::generate(&mut rng), session_id, &mut rng)?.to_base64();
    /// let key = RsaKey::from_pem(PEM)?; // `private_key` of a keystore
    /// let pin_token = PinToken::from_base64(&keystore_pin_token)?; // its `pin_token`
    /// let session = Session::rsa(Uuid::from_u128(1), session_id, key, &pin_token, &mut rng)?;
    /// assert_eq!(session.session_id(), session_id);
    /// # Ok::<(), mixin_pin_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::PinToken`] if key, session id and PIN token do not belong together.
    ///
    /// # Security
    /// `rng` blinds the RSA operation.
    #[cfg(feature = "rsa")]
    pub fn rsa(
        user_id: Uuid,
        session_id: Uuid,
        key: crate::RsaKey,
        pin_token: &crate::PinToken,
        rng: &mut dyn CryptoRng,
    ) -> Result<Self, Error> {
        let pin_key = key.unwrap_pin_key(pin_token, session_id, rng)?;
        Ok(Self::from_parts(user_id, session_id, SessionKey::Rsa(key), pin_key))
    }

    /// An Ed25519 session, whose PIN key is agreed with the server's X25519 key.
    ///
    /// # Errors
    /// [`Error::KeyAgreement`] for a server key of low order.
    #[cfg(feature = "ed25519")]
    pub fn ed25519(
        user_id: Uuid,
        session_id: Uuid,
        key: crate::Ed25519Key,
        server: &crate::X25519PublicKey,
    ) -> Result<Self, Error> {
        let pin_key = key.agree(server)?;
        Ok(Self::from_parts(user_id, session_id, SessionKey::Ed25519(key), pin_key))
    }
}

#[cfg(all(feature = "rsa", feature = "ed25519"))]
impl Session {
    /// Computes the PIN key from a PIN token of this session, such as the `pin_token` in an answer to `GET /me`.
    ///
    /// Compare it with [`Session::pin_key`] by [`PinKey::is_same`] to learn whether the server has the same key. The token
    /// of an RSA session is unwrapped, that of an Ed25519 session is read as [`crate::X25519PublicKey::from_text`] does.
    ///
    /// ```
    /// use getrandom::{SysRng, rand_core::UnwrapErr};
    /// use mixin_pin_core::{Ed25519Key, Session, uuid::Uuid};
    ///
    /// let mut rng = UnwrapErr(SysRng);
    /// let [ours, server, other] = [(); 3].map(|()| Ed25519Key::generate(&mut rng));
    /// let [server, other] = [server, other].map(|key| key.public_key().to_x25519());
    /// let session = Session::ed25519(Uuid::from_u128(1), Uuid::from_u128(2), ours, &server.clone()?)?;
    /// let token = server?.to_base64_url(); // what the server shows
    /// assert!(session.unwrap_pin_token(&token, &mut rng)?.is_same(session.pin_key()));
    /// assert!(!session.unwrap_pin_token(&other?.to_base64_url(), &mut rng)?.is_same(session.pin_key()));
    /// # Ok::<(), mixin_pin_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::PinToken`] for an RSA token that does not unwrap, [`Error::PublicKey`] or [`Error::KeyAgreement`] for a
    /// token that is no X25519 key.
    ///
    /// # Security
    /// `rng` blinds the RSA operation.
    pub fn unwrap_pin_token(&self, pin_token: &str, rng: &mut dyn CryptoRng) -> Result<PinKey, Error> {
        match &self.signer {
            SessionKey::Rsa(key) => key.unwrap_pin_key(&crate::PinToken::from_base64(pin_token)?, self.session_id, rng),
            SessionKey::Ed25519(key) => key.agree(&crate::X25519PublicKey::from_text(pin_token)?),
        }
    }
}

impl<S> Session<S> {
    /// A session with any signer and a known PIN key.
    pub const fn from_parts(user_id: Uuid, session_id: Uuid, signer: S, pin_key: PinKey) -> Self {
        Self { user_id, session_id, signer, pin_key }
    }

    /// The user, or the bot's `app_id` (`client_id`).
    pub const fn user_id(&self) -> Uuid {
        self.user_id
    }

    /// The session's id, which is also the label of an RSA PIN token.
    pub const fn session_id(&self) -> Uuid {
        self.session_id
    }

    /// The key that encrypts this session's PINs.
    pub const fn pin_key(&self) -> &PinKey {
        &self.pin_key
    }

    /// The key that signs this session's requests.
    pub const fn signer(&self) -> &S {
        &self.signer
    }

    /// The same session with another signer for the same key, for example a faster one.
    pub fn map_signer<T>(self, map: impl FnOnce(S) -> T) -> Session<T> {
        let (session, signer) = self.replace_signer(());
        session.replace_signer(map(signer)).0
    }

    /// The same session with another signer, and the former signer.
    pub fn replace_signer<T>(self, signer: T) -> (Session<T>, S) {
        (Session::from_parts(self.user_id, self.session_id, signer, self.pin_key), self.signer)
    }

    /// The claims of a token for one request.
    ///
    /// Send `request_id` as `X-Request-Id`, too. The token is valid from `now` for `lifetime` in whole seconds.
    ///
    /// # Errors
    /// [`Error::Expiry`] if the lifetime is below a second or ends out of range.
    pub fn claims(
        &self,
        request_hash: RequestHash,
        request_id: Uuid,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<Claims<'static>, Error> {
        Claims::new(self.user_id, self.session_id, request_id, request_hash, now, lifetime)
    }
}

impl<S: Signer> Session<S> {
    /// Signs claims with the session's key.
    ///
    /// # Errors
    /// [`Error::Signer`] if the key or its device fails. To keep the cause, sign in two steps: [`Claims::unsigned`].
    #[cfg(feature = "alloc")]
    pub fn sign(&self, claims: &Claims<'_>, rng: &mut dyn CryptoRng) -> Result<crate::token::Token, Error> {
        claims.sign(&self.signer, rng)
    }
}

impl<S> Session<S> {
    fn debug(&self, algorithm: Algorithm, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user_id", &self.user_id)
            .field("session_id", &self.session_id)
            .field("algorithm", &algorithm)
            .finish_non_exhaustive()
    }
}

impl<S: Signer> fmt::Debug for Session<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.debug(self.signer.algorithm(), f)
    }
}

/// For a session whose signing key is elsewhere.
impl fmt::Debug for Session<Algorithm> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.debug(self.signer, f)
    }
}
