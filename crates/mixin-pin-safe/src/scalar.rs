//! Reads secret scalars from bytes and texts.

use core::fmt;

use curve25519_dalek::Scalar;
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes or a text are not a valid secret scalar.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarError {
    /// It is not 64 hexadecimal digits.
    Hex,
    /// It is not less than the order of the group, so not in canonical form.
    Range,
    /// It is 0.
    Zero,
}

impl fmt::Display for ScalarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hex => "it must be 64 hexadecimal digits, without 0x",
            Self::Range => "the number is not less than the order of the group",
            Self::Zero => "the number is 0",
        })
    }
}

impl core::error::Error for ScalarError {}

/// Reads a canonical scalar other than 0, little-endian.
pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Result<Scalar, ScalarError> {
    let scalar = Scalar::from_canonical_bytes(*bytes).into_option().ok_or(ScalarError::Range)?;
    if scalar == Scalar::ZERO { Err(ScalarError::Zero) } else { Ok(scalar) }
}

/// Reads the same from hexadecimal digits of either case.
pub(crate) fn from_hex(text: &str) -> Result<Scalar, ScalarError> {
    let mut bytes = Zeroizing::new([0; 32]);
    match base16ct::mixed::decode(text, bytes.as_mut()) {
        Ok(decoded) if decoded.len() == 32 => from_bytes(&bytes),
        _ => Err(ScalarError::Hex),
    }
}

/// Reduces 64 bytes, little-endian, and erases them.
pub(crate) fn from_wide(mut bytes: [u8; 64]) -> Scalar {
    let scalar = Scalar::from_bytes_mod_order_wide(&bytes);
    bytes.zeroize();
    scalar
}

/// Two halves of 32 bytes as one wide number.
pub(crate) fn wide(first: &[u8; 32], second: &[u8; 32]) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(first);
    bytes[32..].copy_from_slice(second);
    bytes
}
