//! Signers that may be awaited, such as a KMS, an HSM or an agent. Keys in memory are signers, too.

use mixin_pin_core::tip::{TIP_SIGNATURE_LEN, TipSigner};
use mixin_pin_core::token::{Algorithm, Signer};
use mixin_pin_core::{Ed25519PublicKey, SessionKey, SignerError, SystemRng};
use mixin_pin_store::BoxFuture;

pub(crate) type BoxSigner = Box<dyn AsyncSigner>;

/// The key of a session, which signs its tokens.
///
/// Every [`Signer`] that is `Send` and `Sync` is one: it signs at once, on the caller's thread. With both traits in
/// scope, write `AsyncSigner::sign(&signer, message)`. A call keeps its session leased while it waits for a signer. If
/// that takes too long, it ends with [`Error::TimeOver`](crate::Error::TimeOver), and nothing was sent.
///
/// ```no_run
/// use mixin_pin_async::core::token::Algorithm;
/// use mixin_pin_async::core::{Session, SignerError};
/// use mixin_pin_async::protocol::keystore::Keystore;
/// use mixin_pin_async::store::BoxFuture;
/// use mixin_pin_async::{AsyncSigner, Client};
///
/// /// A key that never leaves a key management service.
/// struct Kms {
///     key_id: String,
///     http: reqwest::Client,
/// }
///
/// impl Kms {
///     async fn ask(&self, message: &[u8]) -> reqwest::Result<Vec<u8>> {
///         let url = format!("https://kms.example/keys/{}/sign", self.key_id);
///         let answer = self.http.post(url).body(message.to_vec()).send().await?.error_for_status()?;
///         Ok(answer.bytes().await?.to_vec())
///     }
/// }
///
/// impl AsyncSigner for Kms {
///     fn algorithm(&self) -> Algorithm {
///         Algorithm::EdDsa
///     }
///
///     fn sign<'s>(&'s self, message: &'s [u8]) -> BoxFuture<'s, Result<Vec<u8>, SignerError>> {
///         Box::pin(async move { self.ask(message).await.map_err(SignerError::with_cause) })
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Ids and PIN key, but no private key.
/// let session: Session<Algorithm> = Keystore::parse(&std::fs::read("keystore.json")?)?.into_remote_session()?;
/// let kms = Kms { key_id: "bot-1".to_owned(), http: reqwest::Client::new() };
/// let client = Client::builder_with_signer(session.map_signer(|_| kms)).build()?;
/// # Ok(()) }
/// ```
pub trait AsyncSigner: Send + Sync {
    /// The algorithm of its signatures.
    fn algorithm(&self) -> Algorithm;

    /// Signs a message: 64 bytes for Ed25519 (RFC 8032), as many as the modulus has for RS512 (PKCS#1 v1.5, SHA-512).
    ///
    /// The future may be dropped at any moment. Then nothing was sent.
    ///
    /// # Errors
    /// Any failure. The call then returns [`Error::Signer`](crate::Error::Signer) with its cause.
    fn sign<'s>(&'s self, message: &'s [u8]) -> BoxFuture<'s, Result<Vec<u8>, SignerError>>;
}

impl<S: Signer + Send + Sync> AsyncSigner for S {
    fn algorithm(&self) -> Algorithm {
        Signer::algorithm(self)
    }

    fn sign<'s>(&'s self, message: &'s [u8]) -> BoxFuture<'s, Result<Vec<u8>, SignerError>> {
        Box::pin(async move {
            let mut rng = SystemRng::new().map_err(SignerError::with_cause)?;
            let mut signature = vec![0; self.signature_len()];
            Signer::sign(self, message, &mut rng, &mut signature)?;
            Ok(signature)
        })
    }
}

/// A TIP key, which approves calls. Every [`TipSigner`] that is `Send` and `Sync` is one, such as a
/// [`TipKey`](mixin_pin_core::tip::TipKey): it signs at once.
pub trait AsyncTipSigner: Send + Sync {
    /// Its public key.
    fn public_key(&self) -> &Ed25519PublicKey;

    /// Signs a message with Ed25519.
    ///
    /// # Errors
    /// As [`AsyncSigner::sign`].
    fn sign<'s>(&'s self, message: &'s [u8]) -> BoxFuture<'s, Result<[u8; TIP_SIGNATURE_LEN], SignerError>>;
}

impl<K: TipSigner + Send + Sync> AsyncTipSigner for K {
    fn public_key(&self) -> &Ed25519PublicKey {
        TipSigner::public_key(self)
    }

    fn sign<'s>(&'s self, message: &'s [u8]) -> BoxFuture<'s, Result<[u8; TIP_SIGNATURE_LEN], SignerError>> {
        Box::pin(async move { TipSigner::sign(self, message) })
    }
}

/// With the feature `accel`, a faster library signs with the key.
#[cfg(feature = "accel")]
pub(crate) fn fastest(key: SessionKey) -> mixin_pin_accel::FastKey {
    key.into()
}

/// Without the feature `accel`, the core signs with the key.
#[cfg(not(feature = "accel"))]
pub(crate) const fn fastest(key: SessionKey) -> SessionKey {
    key
}
