//! EME-OAEP decoding (RFC 8017, section 7.1.2, step 3) with SHA-256 for both hash and MGF1.
//!
//! The time is the same for every fault. A caller who could tell a first byte that is not zero from another fault could
//! decrypt messages with it (Manger, 2001). The `rsa` crate's decoding does not check that byte.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::Error;

const HASH_LEN: usize = 32;

/// Decodes the message in `encoded`, which is as long as the modulus and is unmasked in place.
pub(super) fn decode(encoded: &mut [u8], label: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (first, rest) = encoded.split_first_mut().ok_or(Error::PinToken)?;
    let (seed, block) = rest.split_at_mut_checked(HASH_LEN).ok_or(Error::PinToken)?;
    if block.len() <= HASH_LEN {
        return Err(Error::PinToken);
    }
    mask(seed, block);
    mask(block, seed);

    let (label_hash, padded) = block.split_at(HASH_LEN);
    let mut good = first.ct_eq(&0) & label_hash.ct_eq(&Sha256::digest(label));
    // Zeros, a one, and then the message.
    let (mut in_padding, mut start) = (Choice::from(1), 0_u32);
    for (at, byte) in (1..).zip(padded) {
        let is_one = byte.ct_eq(&1);
        start.conditional_assign(&at, in_padding & is_one);
        good &= !in_padding | is_one | byte.ct_eq(&0);
        in_padding &= !is_one;
    }
    if !bool::from(good & !in_padding) {
        return Err(Error::PinToken);
    }
    let message = usize::try_from(start).ok().and_then(|start| padded.get(start..)).ok_or(Error::PinToken)?;
    Ok(Zeroizing::new(message.to_vec()))
}

/// Masks bytes with MGF1 of a seed.
fn mask(bytes: &mut [u8], seed: &[u8]) {
    for (counter, chunk) in (0_u32..).zip(bytes.chunks_mut(HASH_LEN)) {
        let mask = Sha256::new_with_prefix(seed).chain_update(counter.to_be_bytes()).finalize();
        for (byte, mask) in chunk.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; HASH_LEN] = [9; HASH_LEN];

    /// Encodes a first byte, then a block of hash, padding and message.
    fn encode(first: u8, label_hash: &[u8], padded: &[u8]) -> Vec<u8> {
        let mut block = [label_hash, padded].concat();
        mask(&mut block, &SEED);
        let mut seed = SEED;
        mask(&mut seed, &block);
        [&[first], &seed[..], &block].concat()
    }

    #[test]
    fn only_valid_encodings_are_decoded() {
        let hash = Sha256::digest(b"label");
        let decoded = |first, padded: &[u8]| decode(&mut encode(first, &hash, padded), b"label");
        assert_eq!(decoded(0, b"\0\0\x01message").unwrap()[..], *b"message");
        assert_eq!(decoded(0, b"\x01\x01\0").unwrap()[..], *b"\x01\0");
        assert_eq!(decoded(0, b"\0\x01").unwrap()[..], *b"");
        for (first, padded) in [
            (1, &b"\0\0\x01message"[..]),
            (0x80, b"\0\0\x01message"),
            (0, b"\0\x02\x01message"),
            (0, b"\x02\0\x01message"),
            (0, b"\0\0\0"),
            (0, b""),
        ] {
            assert_eq!(decoded(first, padded).unwrap_err(), Error::PinToken, "{first} {padded:?}");
        }
        let good = encode(0, &hash, b"\x01message");
        assert!(decode(&mut good.clone(), b"label").is_ok());
        for label in [&b""[..], b"Label", b"label\0"] {
            assert_eq!(decode(&mut good.clone(), label).unwrap_err(), Error::PinToken);
        }
        for len in 0..=HASH_LEN * 2 {
            assert_eq!(decode(&mut good[..len].to_vec(), b"label").unwrap_err(), Error::PinToken, "{len}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            // A change of the message's last bytes is not detected, but changes the message.
            let seen = decode(&mut bad, b"label").is_ok_and(|message| message[..] == *b"message");
            assert!(!seen, "{at}");
        }
    }
}
