//! The address of one owner of two keys.

use core::fmt;
use core::str::FromStr;

use curve25519_dalek::EdwardsPoint;
use curve25519_dalek::traits::Identity as _;

use super::{AddressError, text};
use crate::point::{on_curve, point};

const PREFIX: &str = "XIN";

/// The address of one owner of a view key and a spend key.
///
/// Both keys are points of prime order, which the constructors check.
///
/// ```
/// use mixin_pin_safe::{AddressError, XinAddress};
///
/// let text = "XIN8AJMgQUD11jZYN9ggbQDqkmozrha3zPEZxEkKxVFBufZpEVMtrR6PjtmgtNAH6jrg8dTUQFb9waqqw9euU7Ea8AC6DEu8";
/// assert_eq!(text.parse::<XinAddress>()?.to_string(), text);
/// assert_eq!(text.replace("Eu8", "Eu7").parse::<XinAddress>(), Err(AddressError::Checksum));
/// # Ok::<(), AddressError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct XinAddress([u8; Self::LEN]);

impl XinAddress {
    /// Spend key and view key, without the checksum.
    pub(super) const LEN: usize = 64;

    /// An address from the public spend key and the public view key.
    ///
    /// # Errors
    /// [`AddressError::Key`] if one of them is not a point of prime order.
    pub fn new(spend: &[u8; 32], view: &[u8; 32]) -> Result<Self, AddressError> {
        let mut keys = [0; Self::LEN];
        keys[..32].copy_from_slice(spend);
        keys[32..].copy_from_slice(view);
        Self::from_keys(&keys, 0)
    }

    /// Checks both keys of a member.
    pub(super) fn from_keys(keys: &[u8; Self::LEN], member: u8) -> Result<Self, AddressError> {
        let address = Self(*keys);
        for key in [address.spend(), address.view()] {
            point(key).map_err(|_| AddressError::Key { member })?;
        }
        Ok(address)
    }

    /// Keys that were checked before.
    pub(super) const fn from_checked(keys: [u8; Self::LEN]) -> Self {
        Self(keys)
    }

    pub(super) const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Spend key and view key.
    pub(crate) fn points(&self) -> (EdwardsPoint, EdwardsPoint) {
        // The constructors refuse what is no point.
        let point = |key| on_curve(key).unwrap_or(EdwardsPoint::identity());
        (point(self.spend()), point(self.view()))
    }

    /// The public spend key.
    pub fn spend(&self) -> &[u8; 32] {
        &self.0.as_chunks().0[0]
    }

    /// The public view key.
    pub fn view(&self) -> &[u8; 32] {
        &self.0.as_chunks().0[1]
    }
}

impl FromStr for XinAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let mut buffer = [0; text::with_checksum(Self::LEN)];
        let content = text::read(text, PREFIX, &mut buffer)?;
        Self::from_keys(content.try_into().map_err(|_| AddressError::Length)?, 0)
    }
}

impl fmt::Display for XinAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; text::with_checksum(Self::LEN)];
        buffer[..Self::LEN].copy_from_slice(&self.0);
        text::write(f, PREFIX, &mut buffer, Self::LEN, &mut [0; text::text_len(Self::LEN)])
    }
}

impl fmt::Debug for XinAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XinAddress({self})")
    }
}
