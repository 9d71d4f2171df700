//! Amounts of money in canonical decimal form.

use core::fmt;

use crate::Error;

/// An amount: digits, optionally a point and more digits, without sign, exponent or superfluous zeros.
///
/// Zeros at the end of the fraction are removed, and the point with them if no digit is left after it. Any other text that
/// is not canonical is refused, because the signed text must be the text that is sent.
///
/// ```
/// use mixin_pin_core::tip::Amount;
///
/// assert_eq!(Amount::new("1.50")?.to_string(), "1.5"); // send this text, too
/// assert_eq!(Amount::new("10.00")?.to_string(), "10");
/// for text in ["", "-1", "+1", "1e3", ".5", "5.", "01", "1,5", " 1", "1.5.0"] {
///     assert!(Amount::new(text).is_err(), "{text}");
/// }
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Amount<'t>(&'t str);

impl<'t> Amount<'t> {
    /// Reads an amount.
    ///
    /// # Errors
    /// [`Error::Amount`] for anything but a plain decimal.
    pub fn new(text: &'t str) -> Result<Self, Error> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (text, None),
        };
        let padded = whole.len() > 1 && whole.starts_with('0');
        if !digits(whole) || padded || !fraction.is_none_or(digits) {
            return Err(Error::Amount);
        }
        Ok(Self(match fraction {
            Some(_) => text.trim_end_matches('0').trim_end_matches('.'),
            None => text,
        }))
    }

    /// The canonical form, which is signed and sent.
    pub const fn as_str(self) -> &'t str {
        self.0
    }
}

impl fmt::Display for Amount<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// An [`Amount`] that owns its text.
///
/// ```
/// use mixin_pin_core::tip::AmountBuf;
///
/// let amount: AmountBuf = "1.50".parse()?;
/// assert_eq!(amount.as_amount().as_str(), "1.5");
/// # Ok::<(), mixin_pin_core::Error>(())
/// ```
#[cfg(feature = "alloc")]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AmountBuf(alloc::string::String);

#[cfg(feature = "alloc")]
impl AmountBuf {
    /// Reads an amount, as [`Amount::new`] does.
    ///
    /// # Errors
    /// [`Error::Amount`] for anything but a plain decimal.
    pub fn new(text: &str) -> Result<Self, Error> {
        Amount::new(text).map(Self::from)
    }

    /// The amount.
    pub fn as_amount(&self) -> Amount<'_> {
        Amount(&self.0)
    }
}

#[cfg(feature = "alloc")]
impl From<Amount<'_>> for AmountBuf {
    fn from(amount: Amount<'_>) -> Self {
        Self(amount.0.into())
    }
}

#[cfg(feature = "alloc")]
impl core::str::FromStr for AmountBuf {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::new(text)
    }
}

#[cfg(feature = "alloc")]
impl fmt::Display for AmountBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn superfluous_zeros_are_removed() {
        for (text, canonical) in [
            ("0", "0"),
            ("0.0", "0"),
            ("0.10", "0.1"),
            ("100", "100"),
            ("100.0", "100"),
            ("1.05", "1.05"),
            ("0.00000001", "0.00000001"),
        ] {
            assert_eq!(Amount::new(text).unwrap().as_str(), canonical);
        }
        for text in ["00", "1.", ".", "٣", "1 ", "1_000", "0x1", "NaN", "1.-5"] {
            assert_eq!(Amount::new(text), Err(Error::Amount), "{text}");
        }
    }
}
