//! The bytes of a file as text: UTF-8 and UTF-16, with a byte-order mark or without.

use zeroize::Zeroizing;

use super::text::Text;
use crate::KeystoreError;

/// Decodes a file.
///
/// Without a mark, the zeros around the first character tell the encoding, because JSON begins with an ASCII character
/// (RFC 4627, section 3).
pub(super) fn decode(bytes: &[u8]) -> Result<Text<'_>, KeystoreError> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [1..=255, 0, 0, 0, ..] | [0, 0, 0, 1..=255, ..] => {
            Err(KeystoreError::Utf32)
        }
        [0xff, 0xfe, rest @ ..] => utf_16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf_16(rest, u16::from_be_bytes),
        [1..=255, 0, ..] => utf_16(bytes, u16::from_le_bytes),
        [0, 1..=255, ..] => utf_16(bytes, u16::from_be_bytes),
        _ => {
            let text = std::str::from_utf8(bytes).map_err(|_| KeystoreError::NotText)?;
            Ok(Text::Same(text.strip_prefix('\u{feff}').unwrap_or(text)))
        }
    }
}

fn utf_16(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16) -> Result<Text<'static>, KeystoreError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(KeystoreError::NotText);
    }
    // A unit has at most three bytes in UTF-8. So the text never grows, which would leave copies in memory.
    let mut text = Zeroizing::new(String::with_capacity(pairs.len() * 3));
    for c in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        text.push(c.map_err(|_| KeystoreError::NotText)?);
    }
    Ok(Text::Changed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "{\"name\": \"Zoë 😀\"}";

    #[test]
    fn every_encoding_gives_the_same_text() {
        let le: Vec<u8> = TEXT.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = TEXT.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = |mark: &[u8], text: &[u8]| [mark, text].concat();
        for bytes in [
            TEXT.as_bytes().to_vec(),
            marked(b"\xef\xbb\xbf", TEXT.as_bytes()),
            marked(b"\xff\xfe", &le),
            marked(b"\xfe\xff", &be),
            le.clone(),
            be.clone(),
        ] {
            assert_eq!(&*decode(&bytes).unwrap(), TEXT, "{bytes:?}");
        }
        for cut in [&le[..le.len() - 1], &be[..be.len() - 1], b"\xff\xfe\x00\xd8", b"\xff", b"{\xff}"] {
            assert_eq!(decode(cut).unwrap_err(), KeystoreError::NotText, "{cut:?}");
        }
    }

    #[test]
    fn utf_32_is_named() {
        let le: Vec<u8> = TEXT.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        let be: Vec<u8> = TEXT.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
        for bytes in [[b"\xff\xfe\0\0", &le[..]].concat(), [b"\0\0\xfe\xff", &be[..]].concat(), le, be] {
            assert_eq!(decode(&bytes).unwrap_err(), KeystoreError::Utf32);
        }
    }
}
