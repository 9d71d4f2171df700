//! Points of the curve, as the kernel accepts them: keys, masks, and the first half of signatures.

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::traits::IsIdentity as _;

/// Bytes are not a point that the kernel accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PointError {
    /// Not on the curve, or not the canonical encoding of a point.
    Encoding,
    /// Not of prime order: of small order, as the identity is, or a sum with such a point.
    Order,
}

/// Reads a point in its canonical encoding, without a look at its order.
pub(crate) fn on_curve(bytes: &[u8; 32]) -> Result<EdwardsPoint, PointError> {
    if !is_reduced(bytes) {
        return Err(PointError::Encoding);
    }
    // Only points of small order have an x of 0, and so a second encoding, with the sign of x set.
    CompressedEdwardsY(*bytes).decompress().ok_or(PointError::Encoding)
}

/// Reads a point of prime order in its canonical encoding.
pub(crate) fn point(bytes: &[u8; 32]) -> Result<EdwardsPoint, PointError> {
    let point = on_curve(bytes)?;
    if point.is_identity() || !point.is_torsion_free() { Err(PointError::Order) } else { Ok(point) }
}

/// Whether y is less than the field's prime, 2²⁵⁵ − 19.
fn is_reduced(bytes: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = bytes;
    !(last & 0x7f == 0x7f && middle.iter().all(|byte| *byte == 0xff) && *first >= 0xed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};

    #[test]
    fn only_points_of_prime_order_are_read() {
        let base = ED25519_BASEPOINT_POINT;
        assert_eq!(point(&base.compress().0), Ok(base));
        for torsion in EIGHT_TORSION {
            assert_eq!(point(&torsion.compress().0), Err(PointError::Order));
            let mixed = base + torsion;
            assert_eq!(point(&mixed.compress().0).is_ok(), torsion.is_identity());
            assert_eq!(mixed.is_torsion_free(), torsion.is_identity());
        }
    }

    #[test]
    fn only_the_canonical_encoding_is_read() {
        let mut off = [0; 32];
        off[0] = 2;
        assert_eq!(on_curve(&off), Err(PointError::Encoding));
        // y from p to 2^255 - 1, with both signs.
        for low in 0xed..=0xff {
            for last in [0x7f, 0xff] {
                let mut bytes = [0xff; 32];
                (bytes[0], bytes[31]) = (low, last);
                assert_eq!(on_curve(&bytes), Err(PointError::Encoding), "{low:x}");
            }
        }
        // y = p - 1 is canonical: the point of order 2.
        let mut last = [0xff; 32];
        (last[0], last[31]) = (0xec, 0x7f);
        assert!(on_curve(&last).is_ok());
        // The identity with the sign of x set.
        let mut minus_zero = [0; 32];
        (minus_zero[0], minus_zero[31]) = (1, 0x80);
        assert!(point(&minus_zero).is_err());
        assert_eq!(point(&[0; 32]), Err(PointError::Order), "a point of order 4");
    }
}
