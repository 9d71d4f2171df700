//! Unescapes JSON strings that may be secret, without leaving copies in memory.
//!
//! The JSON parser unescapes into its own buffer, which is not erased. So the parser returns the raw string, and this
//! module unescapes it.

use zeroize::Zeroizing;

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
    fn every_string_is_read_back() {
        proptest::proptest!(|(text: String)| {
            let read = unescape(&serde_json::to_string(&text).unwrap()).unwrap();
            proptest::prop_assert_eq!(&*read, &text);
        });
    }
}
