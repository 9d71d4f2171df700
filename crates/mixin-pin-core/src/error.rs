//! The errors of this crate.

use core::fmt;

/// The error of this crate's functions.
///
/// No variant contains secret data, so errors may be logged. A server should not tell clients which error it met while
/// it decrypted a PIN.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// A PIN must be exactly six ASCII digits.
    PinFormat,
    /// An encrypted PIN must be base64 of 48, 80 or 112 bytes.
    EncryptedPinFormat,
    /// Decryption failed. The error does not tell why, so no caller can become a padding oracle.
    Decrypt,
    /// A PIN key must be 32 bytes, as text in hex or base64url.
    PinKeyLength,
    /// The PIN token does not unwrap under this key and session id.
    PinToken,
    /// The source has given out its last 64-bit iterator.
    IteratorExhausted,
    /// A time before 1970, or one whose nanoseconds do not fit 64 bits.
    Time,
    /// A token's lifetime below a second, or an expiry beyond a signed 64-bit number of seconds.
    Expiry,
    /// A scope must be printable ASCII without quotes and backslashes.
    Scope,
    /// A code verifier must be 32 bytes in base64url.
    CodeVerifier,
    /// The text is not PEM of an RSA private key.
    RsaPem,
    /// An unusable RSA key: damaged, with more than two primes, or with an unusual exponent.
    RsaKey,
    /// An RSA modulus outside 1024 to 4096 bits.
    RsaKeySize {
        /// The length of the modulus, in bits.
        bits: usize,
    },
    /// An Ed25519 private key must be 32 or 64 bytes, in hex or base64url.
    Ed25519Key,
    /// The second half of a 64-byte Ed25519 key is not the public key of the first half.
    Ed25519KeyMismatch,
    /// A TIP key that gives another public key than expected, both as a seed and as a raw scalar.
    TipKeyMismatch,
    /// An amount must be a plain decimal, without sign, exponent or leading zeros.
    Amount,
    /// The data are not a public key of the expected kind.
    PublicKey,
    /// The peer's key is of low order, so the shared key would be known to others.
    KeyAgreement,
    /// A token must be a compact JWS: three base64url parts with dots between them.
    TokenFormat,
    /// The signature is not valid.
    Signature,
    /// A signer failed, or its signature has a length that the algorithm does not have. [`SignerError`] has the cause.
    Signer,
    /// The buffer is too small for the result.
    BufferTooSmall {
        /// The length that the result needs, in bytes.
        needed: usize,
    },
    /// The operating system gave no randomness.
    Randomness,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::PinFormat => "a PIN must be exactly six digits from 0 to 9",
            Self::EncryptedPinFormat => {
                "an encrypted PIN must be base64 of 48, 80 or 112 bytes; check that it was copied whole"
            }
            Self::Decrypt => {
                "the encrypted PIN did not decrypt; check that it was made for this session and has not changed since"
            }
            Self::PinKeyLength => "a PIN key must be 32 bytes; as text, in hex or base64url",
            Self::PinToken => {
                "the PIN token did not unwrap; check that private key, session id and PIN token belong together"
            }
            Self::IteratorExhausted => "this session has no iterator left; register a new session",
            Self::Time => "the time must lie between 1970 and 2554; check the clock of this machine",
            Self::Expiry => "a token must live at least a second and expire within a signed 64-bit number of seconds",
            Self::Scope => "a scope must be printable ASCII without quotes and backslashes, such as PROFILE:READ",
            Self::CodeVerifier => {
                "a code verifier must be 32 bytes in unpadded base64url; pass the one that was made for this authorization"
            }
            Self::RsaPem => {
                "the RSA key must be unencrypted PEM, headed RSA PRIVATE KEY (PKCS#1) or PRIVATE KEY (PKCS#8)"
            }
            Self::RsaKey => "the RSA key is damaged or of a kind that Mixin does not use; copy the key again",
            Self::RsaKeySize { bits } => {
                return write!(f, "the RSA key has {bits} bits; a session's key must have 1024 to 4096");
            }
            Self::Ed25519Key => "an Ed25519 private key must be 32 or 64 bytes, written in hex or base64url",
            Self::Ed25519KeyMismatch => {
                "the two halves of the Ed25519 private key do not belong together; copy the key again"
            }
            Self::TipKeyMismatch => {
                "the TIP key does not belong to the expected public key, either as a seed or as a raw scalar"
            }
            Self::Amount => "an amount must be a plain decimal such as 1.5, without sign, exponent or leading zeros",
            Self::PublicKey => "this is not a public key of the expected kind",
            Self::KeyAgreement => "the server's key is of low order; do not use this session",
            Self::TokenFormat => "a token must be three base64url parts without padding, separated by dots",
            Self::Signature => "the token's signature is not valid for this key",
            Self::Signer => "the signer failed; check the key or the device behind it",
            Self::BufferTooSmall { needed } => {
                return write!(f, "the buffer is too small; it needs {needed} bytes");
            }
            Self::Randomness => "the operating system gave no randomness",
        };
        f.write_str(text)
    }
}

impl core::error::Error for Error {}

/// Why a [`Signer`](crate::token::Signer) made no signature: a key, a device or a service failed.
///
/// ```
/// # #[cfg(feature = "alloc")] {
/// use core::error::Error as _;
/// use mixin_pin_core::SignerError;
///
/// let error = SignerError::with_cause("the token is locked");
/// assert_eq!(error.source().unwrap().to_string(), "the token is locked");
/// assert_eq!(error.to_string(), SignerError::new().to_string());
/// # }
/// ```
///
/// # Security
/// The cause is the signer's own error. Its text is not checked for secrets.
#[non_exhaustive]
#[derive(Debug, Default)]
pub struct SignerError {
    #[cfg(feature = "alloc")]
    cause: Option<alloc::boxed::Box<dyn core::error::Error + Send + Sync>>,
}

impl SignerError {
    /// An error without a cause.
    pub const fn new() -> Self {
        Self {
            #[cfg(feature = "alloc")]
            cause: None,
        }
    }

    /// An error with its cause, such as a device's or a service's error.
    #[cfg(feature = "alloc")]
    pub fn with_cause(cause: impl Into<alloc::boxed::Box<dyn core::error::Error + Send + Sync>>) -> Self {
        Self { cause: Some(cause.into()) }
    }
}

impl fmt::Display for SignerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Error::Signer.fmt(f)
    }
}

impl core::error::Error for SignerError {
    #[cfg(feature = "alloc")]
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| &**cause as _)
    }
}
