//! Assets, as the kernel names them.

use core::fmt;
use core::str::FromStr;

use mixin_pin_core::uuid::Uuid;
use sha3::{Digest, Sha3_256};

use crate::hash::{HexError, from_hex};

/// The kernel's id of an asset: SHA3-256 of the text of the asset's UUID.
///
/// ```
/// use mixin_pin_safe::{AssetId, mixin_pin_core::uuid::uuid};
///
/// let xin = AssetId::from_uuid(uuid!("c94ac88f-4671-3976-b60a-09064f1811e8"));
/// assert_eq!(xin, AssetId::XIN);
/// assert_eq!(xin.to_string().parse(), Ok(xin));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AssetId(pub [u8; 32]);

impl AssetId {
    /// XIN, which also pays for storage.
    pub const XIN: Self = Self([
        0xa9, 0x9c, 0x2e, 0x0e, 0x2b, 0x1d, 0xa4, 0xd6, 0x48, 0x75, 0x5e, 0xf1, 0x9b, 0xd9, 0x51, 0x39, 0xac, 0xbb,
        0xe6, 0x56, 0x4c, 0xfb, 0x06, 0xde, 0xc7, 0xcd, 0x34, 0x93, 0x1c, 0xa7, 0x2c, 0xdc,
    ]);

    /// The id of the asset that Mixin's API names by this UUID.
    pub fn from_uuid(uuid: Uuid) -> Self {
        let mut buffer = Uuid::encode_buffer();
        Self(Sha3_256::digest(uuid.hyphenated().encode_lower(&mut buffer)).into())
    }
}

/// Hexadecimal, as the API writes it.
impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::hash::hex(&self.0, f)
    }
}

/// Reads hexadecimal digits of either case.
impl FromStr for AssetId {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        from_hex(text).map(Self)
    }
}

impl fmt::Debug for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AssetId({self})")
    }
}
