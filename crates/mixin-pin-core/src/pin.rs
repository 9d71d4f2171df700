//! Six-digit PINs.

use core::fmt;

use subtle::{Choice, ConstantTimeEq};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::Error;

/// A six-digit PIN.
///
/// # Security
/// Zeroized on drop, compared in constant time, and never printed: `Debug` is redacted, and there is no `Display` or
/// `Clone`. Only [`Pin::expose`] gives the digits.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Pin([u8; Self::LEN]);

impl Pin {
    /// Length in bytes: one for each digit.
    pub const LEN: usize = 6;

    /// Reads a PIN from text or bytes. Pass a reference: a `String` that is given away is freed without being erased.
    ///
    /// ```
    /// use mixin_pin_core::{Error, Pin};
    ///
    /// assert!(Pin::new("314159").is_ok());
    /// assert_eq!(Pin::new("31415").unwrap_err(), Error::PinFormat);
    /// assert_eq!(Pin::new("٣١٤١٥٩").unwrap_err(), Error::PinFormat); // digits, but not ASCII ones
    /// ```
    ///
    /// # Errors
    /// [`Error::PinFormat`] unless there are exactly six ASCII digits. Blanks are not trimmed.
    pub fn new(digits: impl AsRef<[u8]>) -> Result<Self, Error> {
        Ok(Self(*checked(digits.as_ref())?))
    }

    pub(crate) const fn duplicate(&self) -> Self {
        Self(self.0)
    }

    /// The six digits, to encrypt or store them.
    pub const fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// Six ASCII digits, checked in time that does not depend on them.
fn checked(digits: &[u8]) -> Result<&[u8; Pin::LEN], Error> {
    let digits: &[u8; Pin::LEN] = digits.try_into().map_err(|_| Error::PinFormat)?;
    if bool::from(are_digits(digits)) { Ok(digits) } else { Err(Error::PinFormat) }
}

/// Whether all bytes are ASCII digits, in time that does not depend on them.
pub(crate) fn are_digits(bytes: &[u8]) -> Choice {
    // The subtraction goes below zero unless the byte is from '0' to '9'.
    let borrows = |byte: &u8| 9_u16.wrapping_sub(u16::from(byte.wrapping_sub(b'0')));
    let bad = bytes.iter().fold(0, |bad, byte| bad | borrows(byte));
    (bad >> 15).ct_eq(&0)
}

impl ConstantTimeEq for Pin {
    fn ct_eq(&self, other: &Self) -> Choice {
        self.0.ct_eq(&other.0)
    }
}

impl PartialEq for Pin {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for Pin {}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pin").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_six_ascii_digits_are_a_pin() {
        assert_eq!(Pin::new("000000").unwrap().expose(), b"000000");
        assert_eq!(Pin::new("999999").unwrap().expose(), b"999999");
        for bad in ["", "12345", "1234567", "12345a", " 12345", "12345\n", "/23456", "12345:", "١٢٣", "-12345"] {
            assert_eq!(Pin::new(bad).unwrap_err(), Error::PinFormat, "{bad:?}");
        }
    }

    #[test]
    fn comparison_sees_every_digit() {
        let pin = Pin::new("123456").unwrap();
        assert_eq!(pin, Pin::new("123456").unwrap());
        for other in ["023456", "103456", "120456", "123056", "123406", "123450"] {
            assert_ne!(pin, Pin::new(other).unwrap());
        }
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn debug_shows_no_digit() {
        let text = alloc::format!("{:?}", Pin::new("271828").unwrap());
        assert_eq!(text, "Pin(..)");
    }
}
