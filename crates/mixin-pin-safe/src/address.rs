//! Addresses: one owner of keys (`XIN…`), or a group of users or of owners of keys (`MIX…`).

mod mix;
mod text;
mod xin;

use core::fmt;

pub use mix::{Members, MixAddress};
pub use xin::XinAddress;

/// A text or a list of members is not an address.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressError {
    /// It does not begin with `XIN` or `MIX`, whichever is expected.
    Prefix,
    /// What follows is not base58.
    Base58,
    /// It is too short or too long.
    Length,
    /// The checksum is wrong: something was mistyped or cut.
    Checksum,
    /// The version of a group's address is not 2.
    Version,
    /// The threshold is 0, greater than the number of users, or for owners of keys greater than 64.
    Threshold,
    /// There is no member, there are more than 64, or another number than the address says.
    Members,
    /// A key is not a point of prime order, so it is no owner's public key.
    Key {
        /// The member, from 0.
        member: u8,
    },
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix => f.write_str("the address must begin with MIX or XIN"),
            Self::Base58 => f.write_str("the address has a character that base58 does not have"),
            Self::Length => f.write_str("the address is too short or too long; copy all of it"),
            Self::Checksum => f.write_str("the checksum of the address is wrong; copy it again"),
            Self::Version => f.write_str("the version of the address is not 2"),
            Self::Threshold => f.write_str(
                "the threshold must be at least 1, and at most the number of users, or 64 for owners of keys",
            ),
            Self::Members => f.write_str("a group has 1 to 64 members, as many as its address says"),
            Self::Key { member } => {
                write!(f, "a key of member {member} is not a point of prime order; do not pay to this address")
            }
        }
    }
}

impl core::error::Error for AddressError {}
