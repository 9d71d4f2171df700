//! What a token's `sig` claim covers: SHA-256 of method, path with query, and body, joined.

use core::fmt;

use sha2::{Digest, Sha256};

/// The SHA-256 hash of one request.
///
/// ```
/// use mixin_pin_core::token::RequestHash;
///
/// let hash = RequestHash::of("GET", "/me", b"");
/// assert_eq!(hash.to_string(), "5e6b58ffa10b3bc51724ff0bbd2afb91c4771ee340f5d685340dfa4c854bafba");
/// assert_eq!(RequestHash::from_hex(&hash.to_string()), Some(hash));
/// // A body may lie in pieces:
/// let hash = RequestHash::of_parts("POST", "/pin/verify", [&b"{"[..], b"}"]);
/// assert_eq!(hash, RequestHash::of("POST", "/pin/verify", b"{}"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestHash([u8; Self::LEN]);

impl RequestHash {
    /// 32 bytes.
    pub const LEN: usize = 32;

    /// Hashes a request: the method in capitals, the path with its query exactly as sent, the body's exact bytes.
    pub fn of(method: &str, path: &str, body: &[u8]) -> Self {
        Self::of_parts(method, path, [body])
    }

    /// Hashes a request whose body lies in several pieces.
    pub fn of_parts<'p>(method: &str, path: &str, body: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let mut hash = Sha256::new_with_prefix(method);
        hash.update(path);
        for part in body {
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The hash's bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Lowercase hex, for whoever writes it on.
    pub(crate) fn with_hex(&self, write: impl FnOnce(&str) -> fmt::Result) -> fmt::Result {
        let mut text = [0; Self::LEN * 2];
        write(base16ct::lower::encode_str(&self.0, &mut text).map_err(|_| fmt::Error)?)
    }

    /// Reads the 64 hex digits of a `sig` claim; None for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; Self::LEN];
        (base16ct::mixed::decode(text, &mut bytes).ok()?.len() == Self::LEN).then_some(Self(bytes))
    }
}

/// Lowercase hex, as the `sig` claim has it.
impl fmt::Display for RequestHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_hex(|text| f.write_str(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hash_like_the_whole() {
        let whole = RequestHash::of("POST", "/pin/verify", b"{\"pin\":\"x\"}");
        let pieces: [&[u8]; 3] = [b"{\"pin\"", b"", b":\"x\"}"];
        assert_eq!(RequestHash::of_parts("POST", "/pin/verify", pieces), whole);
    }

    #[test]
    fn hex_is_read_back() {
        let hash = RequestHash::of("GET", "/", b"");
        assert_eq!(RequestHash::from_hex("8"), None);
        assert_eq!(RequestHash::from_hex(&"g".repeat(64)), None);
        assert_eq!(RequestHash::from_hex(&"00".repeat(31)), None);
        assert_eq!(RequestHash::from_hex(&"00".repeat(33)), None);
        assert_ne!(RequestHash::from_hex(&"00".repeat(32)), Some(hash));
    }
}
