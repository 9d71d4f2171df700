//! What a token's `sig` claim covers: SHA-256 of method, path with query, and body, joined.

use core::fmt;

use sha2::{Digest, Sha256};

const LEN: usize = 32;

/// The SHA-256 hash of one request.
///
/// ```
/// use mixin_pin_core::token::RequestHash;
///
/// let hash = RequestHash::of("GET", "/me", b"");
/// assert_eq!(hash.to_string(), "5e6b58ffa10b3bc51724ff0bbd2afb91c4771ee340f5d685340dfa4c854bafba");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestHash([u8; LEN]);

impl RequestHash {
    /// Hashes a request: the method in capitals, the path with its query exactly as sent, the body's exact bytes.
    pub fn of(method: &str, path: &str, body: &[u8]) -> Self {
        Self(Sha256::new_with_prefix(method).chain_update(path).chain_update(body).finalize().into())
    }

    /// Reads the 64 hex digits of a `sig` claim. None for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; LEN];
        (base16ct::mixed::decode(text, &mut bytes).ok()?.len() == LEN).then_some(Self(bytes))
    }
}

/// Lowercase hex, as the `sig` claim has it.
impl fmt::Display for RequestHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; LEN * 2];
        f.write_str(base16ct::lower::encode_str(&self.0, &mut text).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
