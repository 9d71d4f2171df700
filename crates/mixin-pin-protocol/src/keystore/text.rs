//! Texts that may be secret: unescapes and cleans them without leaving copies in memory.
//!
//! The JSON parser unescapes into its own buffer, which is not erased. So the parser returns the raw string, and this
//! module unescapes it.

use std::fmt;
use std::ops::Deref;

use zeroize::Zeroizing;

/// A text as it was, or an erasable copy that differs from it.
pub(super) enum Text<'t> {
    Same(&'t str),
    Changed(Zeroizing<String>),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Same(text) => text,
            Self::Changed(text) => text,
        }
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text").finish_non_exhaustive()
    }
}

/// A value of hex, base64 or an id as it is meant: without blanks and line ends, also those written as `\n`, without quotes
/// around it, and without `0x` before hex.
pub(super) fn clean(text: &str) -> Text<'_> {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '"' | '\'');
    let cleaned = if text.chars().all(is_plain) { Text::Same(text) } else { Text::Changed(without_blanks(text)) };
    let hex = cleaned.strip_prefix("0x").or_else(|| cleaned.strip_prefix("0X"));
    // An id, keys of 32 and 64 bytes. Base64 of keys has other lengths.
    match hex.filter(|hex| matches!(hex.len(), 32 | 64 | 128)) {
        Some(_) => match cleaned {
            Text::Same(text) => Text::Same(&text[2..]),
            Text::Changed(text) => Text::Changed(Zeroizing::new(text[2..].to_owned())),
        },
        None => cleaned,
    }
}

fn without_blanks(text: &str) -> Zeroizing<String> {
    let mut rest = text.trim_matches(|c: char| is_blank(c) || matches!(c, '"' | '\''));
    let mut bare = Zeroizing::new(String::with_capacity(rest.len()));
    while let Some(c) = rest.chars().next() {
        let written = ["\\r", "\\n", "\\t"].into_iter().find_map(|end| rest.strip_prefix(end));
        rest = written.unwrap_or(&rest[c.len_utf8()..]);
        if written.is_none() && !is_blank(c) {
            bare.push(c);
        }
    }
    bare
}

/// Whether a character is a blank, a line end, or has no width.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// The text of a JSON string. Returns None if it is not a string, or has half of a surrogate pair.
pub(super) fn unescape(quoted: &str) -> Option<Zeroizing<String>> {
    let inside = quoted.strip_prefix('"')?.strip_suffix('"')?;
    // An escape is longer than its character, so this never grows and leaves no copies.
    let mut text = Zeroizing::new(String::with_capacity(inside.len()));
    let mut rest = inside;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let kind = escape.chars().next()?;
        rest = &escape[kind.len_utf8()..];
        text.push(match kind {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => code_point(&mut rest)?,
            itself => itself,
        });
    }
    text.push_str(rest);
    Some(text)
}

/// The character of a numeric escape, or of two that make a surrogate pair. The first `\u` has been read.
fn code_point(rest: &mut &str) -> Option<char> {
    let first = unit(rest)?;
    if !(0xd800..0xdc00).contains(&first) {
        return char::from_u32(first.into());
    }
    *rest = rest.strip_prefix("\\u")?;
    let second = unit(rest)?;
    char::decode_utf16([first, second]).next()?.ok()
}

fn unit(rest: &mut &str) -> Option<u16> {
    let (digits, after) = rest.split_at_checked(4)?;
    *rest = after;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_unescape_as_in_the_json_parser() {
        let strings = [
            r#""""#,
            r#""plain""#,
            r#""-----BEGIN\nAB\/C=\r\n\t\"\\""#,
            r#""\u0041\u00e9\u20AC\ud83d\ude00é😀""#,
            r#""\b\f\\\\n""#,
            r#""\ud800""#,
            r#""\ud800\u0041""#,
            r#""\ud800x""#,
            r#""\udc00""#,
        ];
        for quoted in strings {
            let expected = serde_json::from_str::<String>(quoted).ok();
            assert_eq!(unescape(quoted).map(|text| text.to_string()), expected, "{quoted}");
        }
        for no_string in ["", "\"", "7", "null", "[\"a\"]"] {
            assert!(unescape(no_string).is_none(), "{no_string}");
        }
    }

    #[test]
    fn a_value_is_cleaned_of_what_copying_adds() {
        let hex = "ab".repeat(32);
        let wrapped = format!("{}\\n{}\n", &hex[..40], &hex[40..]);
        for text in [
            hex.clone(),
            format!("0x{hex}"),
            format!(" 0X{hex}\r\n"),
            format!("\"{hex}\""),
            format!("' {hex} '"),
            format!("\u{feff}{}\u{a0}\u{200b}{}", &hex[..7], &hex[7..]),
            wrapped,
        ] {
            assert_eq!(&*clean(&text), hex, "{text:?}");
        }
        // Too short or too long for hex of a key, so these characters belong to the value.
        for text in ["0xabcd", "0x", "", "a\\b"] {
            assert_eq!(&*clean(text), text);
        }
        assert_eq!(&*clean("0x671de99fb82a4ae2a61c7e1254997e2e"), "671de99fb82a4ae2a61c7e1254997e2e");
    }

    #[test]
    fn every_string_is_read_back() {
        proptest::proptest!(|(text: String)| {
            let read = unescape(&serde_json::to_string(&text).unwrap()).unwrap();
            proptest::prop_assert_eq!(&*read, &text);
        });
    }
}
