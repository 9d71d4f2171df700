//! Amounts of money: whole numbers of units of 10⁻⁸, written as decimals.

use core::fmt;
use core::str::FromStr;

use crypto_bigint::{CheckedAdd, CheckedSub, Limb, NonZero, U256};

/// Digits after the point.
const DECIMALS: usize = 8;
/// 10⁸, which a limb of 32 bits holds, too.
const UNIT: NonZero<Limb> = NonZero::<Limb>::new_unwrap(Limb::from_u32(100_000_000));

/// An amount of an asset, from 0 to 2²⁵⁶ − 1 units of 10⁻⁸.
///
/// The kernel's largest amount, the capacity of an asset, has 223 bits.
///
/// ```
/// use mixin_pin_safe::Amount;
///
/// let amount: Amount = "1.50".parse()?;
/// assert_eq!(amount, Amount::from_units(150_000_000));
/// assert_eq!(amount.to_string(), "1.5");
/// assert!("0.000000001".parse::<Amount>().is_err(), "nothing is rounded");
/// # Ok::<(), mixin_pin_safe::AmountError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(U256);

/// A text is not an amount.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmountError {
    /// It is not digits, optionally with a point and more digits.
    Format,
    /// It has more than eight digits after the point.
    Decimals,
    /// It is greater than 2²⁵⁶ − 1 units.
    Range,
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "an amount must be digits, optionally with a point and more digits",
            Self::Decimals => "an amount has at most 8 digits after the point",
            Self::Range => "the amount is too large",
        })
    }
}

impl core::error::Error for AmountError {}

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(U256::ZERO);

    /// An amount from units of 10⁻⁸.
    pub const fn from_units(units: u128) -> Self {
        Self(U256::from_u128(units))
    }

    /// Reads a big-endian number of units. `None` if it has more than 256 bits.
    pub fn from_be_bytes(bytes: &[u8]) -> Option<Self> {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let significant = &bytes[zeros..];
        let mut whole = [0; 32];
        let start = whole.len().checked_sub(significant.len())?;
        whole[start..].copy_from_slice(significant);
        Some(Self(U256::from_be_slice(&whole)))
    }

    /// The number of units of 10⁻⁸. `None` if it has more than 128 bits.
    pub fn to_units(self) -> Option<u128> {
        let bytes = self.to_be_bytes();
        let (high, low) = bytes.split_first_chunk::<16>()?;
        (*high == [0; 16]).then_some(u128::from_be_bytes(*low.first_chunk()?))
    }

    /// The number of units, big-endian.
    pub fn to_be_bytes(self) -> [u8; 32] {
        self.0.to_be_bytes().into()
    }

    /// Whether it is 0.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }

    /// The sum, unless it is too large.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(&other.0).into_option().map(Self)
    }

    /// The difference, unless `other` is greater.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(&other.0).into_option().map(Self)
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    /// Reads a decimal. Superfluous zeros are allowed.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(AmountError::Format);
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > DECIMALS {
            return Err(AmountError::Decimals);
        }
        let padding = core::iter::repeat_n(b'0', DECIMALS - fraction.len());
        let mut units = U256::ZERO;
        for digit in whole.bytes().chain(fraction.bytes()).chain(padding) {
            units = units
                .checked_mul(&U256::from_u8(10))
                .into_option()
                .and_then(|tens| tens.checked_add(&U256::from_u8(digit - b'0')).into_option())
                .ok_or(AmountError::Range)?;
        }
        Ok(Self(units))
    }
}

/// The shortest decimal: without zeros at the end of the fraction.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 256 bits are 78 digits: ten groups of eight.
        let mut groups = [0; 10];
        let mut rest = self.0;
        for group in &mut groups {
            let (quotient, remainder) = rest.div_rem_limb(UNIT);
            (rest, *group) = (quotient, remainder.0);
        }
        let [fraction, whole @ ..] = groups;
        let last = whole.iter().rposition(|group| *group != 0).unwrap_or(0);
        write!(f, "{}", whole[last])?;
        for group in whole[..last].iter().rev() {
            write!(f, "{group:08}")?;
        }
        let (mut fraction, mut width) = (fraction, DECIMALS);
        if fraction == 0 {
            return Ok(());
        }
        while fraction % 10 == 0 {
            (fraction, width) = (fraction / 10, width - 1);
        }
        write!(f, ".{fraction:0width$}")
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Amount({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn decimals_of_any_size_come_back() {
        for text in [
            "0",
            "1",
            "0.00000001",
            "70000000.00000002",
            "90071992.54740993",
            "100000000",
            "10000000000000000.1",
            "115792089237316195423570985008687907853269984665640564039457.58400791",
            "1157920892373161954235709850086879078532699846656405640394575840079131.29639935",
        ] {
            assert_eq!(text.parse::<Amount>().unwrap().to_string(), text);
        }
        assert_eq!(
            "1157920892373161954235709850086879078532699846656405640394575840079131.29639936".parse::<Amount>(),
            Err(AmountError::Range)
        );
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", " 1", "1.5.0", "٣"] {
            assert_eq!(text.parse::<Amount>(), Err(AmountError::Format), "{text}");
        }
        assert_eq!("0.000000001".parse::<Amount>(), Err(AmountError::Decimals));
        for units in [0, 1, u128::MAX] {
            assert_eq!(Amount::from_units(units).to_units(), Some(units));
        }
        let next = Amount::from_units(u128::MAX).checked_add(Amount::from_units(1)).unwrap();
        assert_eq!(next.to_units(), None);
        assert_eq!("01.500000000".parse::<Amount>(), Ok(Amount::from_units(150_000_000)));
    }
}
