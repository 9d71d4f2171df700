//! Shows untrusted text on a terminal: escapes characters that could move, hide or reorder the text around it.

use std::fmt::{self, Write as _};

/// Displays untrusted text, such as a name, a description or a captured header.
///
/// Line ends, control characters, bidirectional marks and characters of zero width are shown as escapes like `\n` or
/// `\u{202e}`. All other text is unchanged. Width and alignment of the format are respected.
///
/// ```
/// use mixin_pin_protocol::Shown;
///
/// let name = "Me\n\u{1b}[2J\u{202e}HOLDS";
/// assert_eq!(Shown(name).to_string(), r"Me\n\u{1b}[2J\u{202e}HOLDS");
/// assert_eq!(format!("{:<6}|{:>6}", Shown("Zoë"), Shown("\t")), r"Zoë   |    \t");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown<'t>(pub &'t str);

impl Shown<'_> {
    /// Whether a character is shown as an escape.
    pub fn escapes(c: char) -> bool {
        // Unicode's control and format characters, line and paragraph separators, and default-ignorable characters.
        c.is_control()
            || matches!(c,
                '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
                | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}'
                | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}')
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.contains(Self::escapes) {
            return f.pad(self.0);
        }
        let mut text = String::new();
        for c in self.0.chars() {
            if Self::escapes(c) {
                write!(text, "{}", c.escape_default())?;
            } else {
                text.push(c);
            }
        }
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_text_unescapes_to_the_original() {
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            let shown = Shown(&text).to_string();
            assert!(!shown.contains(Shown::escapes), "{shown:?}");
            assert!(shown == text || shown == c.escape_default().to_string(), "{shown:?}");
        }
    }

    #[test]
    fn unprintable_characters_of_the_standard_library_are_escaped() {
        for c in ('\0'..='\u{a0}').chain('\u{2000}'..='\u{206f}') {
            // After a letter, because a combining mark at the beginning would be escaped.
            let is_printable = format!("a{c}").escape_debug().count() == 2 || matches!(c, '"' | '\'' | '\\');
            let is_blank = c.is_whitespace() && !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
            assert_eq!(Shown::escapes(c), !is_printable && !is_blank, "{c:?}");
        }
    }
}
