//! Text to bytes: base64 and hex, for keys, tokens and ciphertexts.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT_PADDING: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT_PADDING);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT_PADDING);

/// Decodes public data in either base64 alphabet, padded or not, into the front of `out`.
///
/// None for anything else, and for more bytes than `out` has.
pub(crate) fn decode_public<'o>(text: &str, out: &'o mut [u8]) -> Option<&'o [u8]> {
    let engine = if text.bytes().any(|c| matches!(c, b'-' | b'_')) { &URL_SAFE } else { &STANDARD };
    let len = engine.decode_slice(text, out).ok()?;
    out.get(..len)
}

/// Decodes a secret in hex or in either base64 alphabet, padded or not, without a table or a branch on its value.
///
/// Text whose length is in `hex_lens` is read as hex. Callers choose lengths that base64 of their keys does not have.
#[cfg(feature = "ed25519")]
pub(crate) fn decode_secret<'o>(text: &str, hex_lens: &[usize], out: &'o mut [u8]) -> Option<&'o [u8]> {
    use base64ct::{Base64Unpadded, Base64UrlUnpadded, Encoding};

    if hex_lens.contains(&text.len()) {
        return base16ct::mixed::decode(text, out).ok();
    }
    let bare = text.trim_end_matches('=');
    // Padding fills the text up to a multiple of four, or is absent.
    if bare.len() != text.len() && !text.len().is_multiple_of(4) {
        return None;
    }
    let url_safe = text.bytes().fold(false, |found, c| found | matches!(c, b'-' | b'_'));
    if url_safe { Base64UrlUnpadded::decode(bare, out).ok() } else { Base64Unpadded::decode(bare, out).ok() }
}
