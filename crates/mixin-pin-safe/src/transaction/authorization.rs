//! The signatures of a transaction.

use core::iter::FusedIterator;

use crate::Field;
use crate::error::{DecodeError, DecodeProblem};
use crate::wire::{AGGREGATE, AGGREGATE_PREFIX, Reader, limit};

/// What authorizes a transaction.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authorization<'a> {
    /// Signatures, one by one. None if the transaction is not signed.
    Signatures(Signatures<'a>),
    /// One signature of several keys, which no client of the Safe makes.
    Aggregate(Aggregate<'a>),
}

/// Signatures in maps. Map number i has the signatures of input i.
///
/// The number of maps may differ from the number of inputs, and maps may be empty: the kernel decodes both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signatures<'a> {
    maps: u16,
    bytes: &'a [u8],
}

/// One signature of an input, alone. Nothing says yet that it is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DetachedSignature {
    /// The input.
    pub input: u16,
    /// The position of the signer's key among the keys of the output that the input spends.
    pub signer: u16,
    /// R and s, as Ed25519 has them.
    pub signature: [u8; 64],
}

/// One signature of several keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aggregate<'a> {
    /// The signature.
    pub signature: &'a [u8; 64],
    signers: SignerList<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SignerList<'a> {
    /// Bit i % 8 of byte i / 8 stands for signer i.
    Bitmap(&'a [u8]),
    Indices(&'a [[u8; 2]]),
}

impl<'a> Authorization<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        if reader.rest().starts_with(&AGGREGATE.to_be_bytes()) {
            return Aggregate::read(reader).map(Self::Aggregate);
        }
        let maps = reader.count(Field::Authorization)?;
        let bytes = reader.rest();
        for map in 0..maps {
            let field = Field::Signatures(map);
            let mut last = None;
            for _ in 0..reader.u16(field)? {
                let signature = signature(reader, map)?;
                if last.is_some_and(|last| last >= signature.signer) {
                    return Err(DecodeError::new(field, DecodeProblem::Order));
                }
                last = Some(signature.signer);
            }
        }
        let bytes = &bytes[..bytes.len() - reader.rest().len()];
        Ok(Self::Signatures(Signatures { maps, bytes }))
    }
}

fn signature(reader: &mut Reader<'_>, input: u16) -> Result<DetachedSignature, DecodeError> {
    let field = Field::Signatures(input);
    Ok(DetachedSignature { input, signer: reader.u16(field)?, signature: *reader.array(field)? })
}

impl<'a> Signatures<'a> {
    /// The signatures, ascending by input and signer.
    pub const fn iter(&self) -> SignaturesIter<'a> {
        SignaturesIter { reader: Reader::new(self.bytes), next_map: 0, maps: self.maps, left: 0 }
    }

    /// The number of maps.
    pub const fn maps(&self) -> u16 {
        self.maps
    }

    /// Whether there is no signature.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a> IntoIterator for Signatures<'a> {
    type Item = DetachedSignature;
    type IntoIter = SignaturesIter<'a>;

    fn into_iter(self) -> SignaturesIter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for &Signatures<'a> {
    type Item = DetachedSignature;
    type IntoIter = SignaturesIter<'a>;

    fn into_iter(self) -> SignaturesIter<'a> {
        self.iter()
    }
}

/// Signatures, ascending by input and signer.
#[derive(Debug, Clone)]
pub struct SignaturesIter<'a> {
    reader: Reader<'a>,
    next_map: u16,
    maps: u16,
    /// Signatures left in the map before `next_map`.
    left: u16,
}

impl Iterator for SignaturesIter<'_> {
    type Item = DetachedSignature;

    fn next(&mut self) -> Option<DetachedSignature> {
        while self.left == 0 {
            if self.next_map == self.maps {
                return None;
            }
            self.left = self.reader.u16(Field::Signatures(self.next_map)).ok()?;
            self.next_map += 1;
        }
        self.left -= 1;
        signature(&mut self.reader, self.next_map - 1).ok()
    }
}

impl FusedIterator for SignaturesIter<'_> {}

impl<'a> Aggregate<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let error = |problem| DecodeError::new(Field::Authorization, problem);
        reader.expect(AGGREGATE.to_be_bytes(), Field::Authorization)?;
        reader.expect(AGGREGATE_PREFIX, Field::Authorization)?;
        let signature = reader.array(Field::Authorization)?;
        let [form] = *reader.array(Field::Authorization)?;
        let signers = match form {
            0 => SignerList::Bitmap(reader.bytes(Field::Authorization)?),
            1 => {
                let count = reader.u16(Field::Authorization)?;
                SignerList::Indices(reader.take(usize::from(count) * 2, Field::Authorization)?.as_chunks().0)
            }
            _ => return Err(error(DecodeProblem::Value)),
        };
        let (count, greatest) = match signers {
            SignerList::Bitmap(bits) => {
                let count = bits.iter().map(|byte| byte.count_ones()).sum::<u32>();
                if bits.last() == Some(&0) {
                    return Err(error(DecodeProblem::Form));
                }
                // Bits beyond 65,535 are no index, and all 65,536 signers are one too many.
                if bits.len() > 8192 || count > limit::SIGNERS {
                    return Err(error(DecodeProblem::Limit { most: limit::SIGNERS }));
                }
                (count as usize, bits.len().checked_sub(1))
            }
            SignerList::Indices(indices) => {
                if !indices.is_sorted_by(|one, next| one < next) {
                    return Err(error(DecodeProblem::Order));
                }
                (indices.len(), indices.last().map(|last| usize::from(u16::from_be_bytes(*last) / 8)))
            }
        };
        // The kernel writes indices exactly if they are shorter than a bitmap, apart from their numbers.
        let indices = greatest.is_some_and(|byte| byte + 1 > count * 2);
        if indices != matches!(signers, SignerList::Indices(_)) {
            return Err(error(DecodeProblem::Form));
        }
        Ok(Self { signature, signers })
    }

    /// The positions of the signers' keys among the keys of all inputs, ascending.
    pub fn signers(&self) -> impl Iterator<Item = u16> + Clone + use<'a> {
        let (bitmap, indices): (&[u8], &[[u8; 2]]) = match self.signers {
            SignerList::Bitmap(bits) => (bits, &[]),
            SignerList::Indices(indices) => (&[], indices),
        };
        let of_byte =
            |(start, byte): (u16, &'a u8)| (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| start + bit);
        let from_bitmap = (0..=u16::MAX).step_by(8).zip(bitmap).flat_map(of_byte);
        from_bitmap.chain(indices.iter().map(|index| u16::from_be_bytes(*index)))
    }
}
