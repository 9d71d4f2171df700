//! Raw transactions in hex.

use std::path::Path;

use mixin_pin_safe::{Hash, Transaction};

use super::SafeError;
use crate::error::Error;
use crate::files;

/// The longest text with a raw transaction: twice the kernel's 4 MiB, and what surrounds them.
const MAX_RAW: usize = 9 * 1024 * 1024;

/// The bytes of a raw transaction.
pub(crate) struct RawTransaction(Vec<u8>);

impl RawTransaction {
    /// Reads the argument RAW: hex, or `-` for standard input.
    pub(crate) fn read(raw: &str) -> Result<Self, Error> {
        let of_stdin = if raw == "-" { Some(files::read_text(Path::new("-"), MAX_RAW)?) } else { None };
        // Editors and terminals wrap long lines, and some editors write a byte order mark.
        let is_no_digit = |c: char| c.is_whitespace() || c == '\u{feff}';
        let text = of_stdin.as_deref().unwrap_or(raw).replace(is_no_digit, "");
        if text.is_empty() {
            return Err(SafeError::RawEmpty.into());
        }
        Ok(Self(from_hex(&text).ok_or_else(|| {
            if of_stdin.is_none() && Path::new(raw).is_file() { SafeError::RawFile } else { SafeError::RawHex }
        })?))
    }

    pub(crate) fn decode(&self) -> Result<Transaction<'_>, Error> {
        Transaction::decode(&self.0).map_err(|cause| SafeError::Raw(cause).into())
    }
}

/// Bytes from hex. None for anything else, and for nothing.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    base16ct::mixed::decode_vec(text).ok().filter(|bytes| !bytes.is_empty())
}

/// 32 bytes from hex.
pub(super) fn hex32(text: &str) -> Option<[u8; 32]> {
    text.parse::<Hash>().ok().map(|hash| hash.0)
}
