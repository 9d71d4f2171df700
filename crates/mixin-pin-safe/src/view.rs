//! Views: the scalars that the signer adds to a spend key, one for each input.

use core::fmt;

use curve25519_dalek::Scalar;
use zeroize::{Zeroize as _, ZeroizeOnDrop};

use crate::scalar::{self, ScalarError};

/// The view x of an input. The sum of x and the spend key is the private key of one key of the spent output.
///
/// The server gives one for each input, in `views` of the answer to `POST /safe/transaction/requests`.
///
/// # Security
/// Zeroized on drop, neither cloned nor printed. A view of 0 is refused: with it the spend key itself would sign, and such
/// a signature could serve another purpose. A wrong view is an error before anything is signed.
///
/// # Example
///
/// ```
/// use mixin_pin_safe::{ScalarError, View};
///
/// let view = View::from_hex("0164ba23d5aa1953132bc0bf5d12d0af7e66de2ba8773701ef135e015f24bb0b")?;
/// assert_eq!(View::from_bytes(&[0; 32]).unwrap_err(), ScalarError::Zero);
/// assert_eq!(View::from_bytes(&[0xff; 32]).unwrap_err(), ScalarError::Range);
/// # Ok::<(), ScalarError>(())
/// ```
pub struct View(Scalar);

impl View {
    /// A view from a canonical scalar, little-endian.
    ///
    /// # Errors
    /// [`ScalarError`] for 0 and for what is not less than the order of the group.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, ScalarError> {
        scalar::from_bytes(bytes).map(Self)
    }

    /// The same from 64 hexadecimal digits, as the server writes it.
    ///
    /// # Errors
    /// [`ScalarError`] for anything else.
    pub fn from_hex(text: &str) -> Result<Self, ScalarError> {
        scalar::from_hex(text).map(Self)
    }

    /// The scalar, little-endian, for a device that adds it to its own.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(crate) const fn scalar(&self) -> &Scalar {
        &self.0
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for View {}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").finish_non_exhaustive()
    }
}
