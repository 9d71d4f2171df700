//! The text of addresses: a prefix, and the content with a checksum in base58.

use core::fmt;

use sha3::{Digest, Sha3_256};

use super::AddressError;

const CHECKSUM: usize = 4;

/// First four bytes of SHA3-256 of prefix and content.
fn checksum(prefix: &str, content: &[u8]) -> [u8; CHECKSUM] {
    let hash = Sha3_256::new_with_prefix(prefix).chain_update(content).finalize();
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&hash[..CHECKSUM]);
    checksum
}

/// Reads the content into the buffer, which also needs space for the checksum.
pub(super) fn read<'b>(text: &str, prefix: &str, buffer: &'b mut [u8]) -> Result<&'b [u8], AddressError> {
    let encoded = text.strip_prefix(prefix).ok_or(AddressError::Prefix)?;
    let len = bs58::decode(encoded).onto(&mut *buffer).map_err(|error| match error {
        bs58::decode::Error::BufferTooSmall => AddressError::Length,
        _ => AddressError::Base58,
    })?;
    let (content, found) = buffer[..len].split_last_chunk::<CHECKSUM>().ok_or(AddressError::Length)?;
    if *found != checksum(prefix, content) {
        return Err(AddressError::Checksum);
    }
    Ok(content)
}

/// Writes the text of the content that stands at the start of the buffer, which has space for the checksum.
pub(super) fn write(
    f: &mut fmt::Formatter<'_>,
    prefix: &str,
    buffer: &mut [u8],
    len: usize,
    text: &mut [u8],
) -> fmt::Result {
    let checksum = checksum(prefix, &buffer[..len]);
    buffer[len..len + CHECKSUM].copy_from_slice(&checksum);
    let written = bs58::encode(&buffer[..len + CHECKSUM]).onto(&mut *text).map_err(|_| fmt::Error)?;
    f.write_str(prefix)?;
    f.write_str(core::str::from_utf8(&text[..written]).map_err(|_| fmt::Error)?)
}

/// The characters that base58 needs for so many bytes, checksum included: log 256 / log 58 is less than 1.4.
pub(super) const fn text_len(content: usize) -> usize {
    (content + CHECKSUM) * 7 / 5 + 1
}

pub(super) const fn with_checksum(content: usize) -> usize {
    content + CHECKSUM
}
