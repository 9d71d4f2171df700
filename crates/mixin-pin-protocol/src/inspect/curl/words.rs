//! The words of a command, as a POSIX shell splits it, with bash's `$'…'`.

use std::iter::Peekable;
use std::str::Chars;

use crate::CurlError;

/// The arguments of the first command that starts with `curl`.
///
/// # Errors
/// [`CurlError`] if the text has no `curl` command, or if its words depend on a shell, such as on a variable.
pub(super) fn arguments(text: &str) -> Result<Vec<String>, CurlError> {
    // Converted to a shell's line ends. All else between quotes stays unchanged.
    let text = text.replace("\r\n", "\n");
    let mut rest = text.as_str();
    loop {
        let line = rest.trim_start();
        let line = line.strip_prefix("$ ").unwrap_or(line);
        if let Some(arguments) = line.strip_prefix("curl").filter(|rest| rest.starts_with([' ', '\t'])) {
            return Splitter { chars: arguments.chars().peekable(), words: Vec::new(), word: None }.split();
        }
        rest = rest.split_once('\n').ok_or(CurlError::Missing)?.1;
    }
}

struct Splitter<'t> {
    chars: Peekable<Chars<'t>>,
    words: Vec<String>,
    /// The bytes of the word so far. None between words.
    word: Option<Vec<u8>>,
}

impl Splitter<'_> {
    fn split(mut self) -> Result<Vec<String>, CurlError> {
        while let Some(c) = self.chars.next() {
            match c {
                '\n' | '|' | ';' => break,
                '&' if self.word.is_none() || self.chars.peek().is_none_or(|next| next.is_whitespace()) => break,
                '#' if self.word.is_none() => break,
                c if c.is_whitespace() => self.end_word()?,
                // cmd's quoting looks like this: ^" … ^".
                '^' if self.chars.peek().is_none_or(|next| matches!(next, '"' | '\n')) => {
                    return Err(CurlError::WindowsQuotes);
                }
                '\\' => match self.chars.next().ok_or(CurlError::Quotes)? {
                    '\n' => {}
                    c => self.push(c),
                },
                '\'' => self.single_quoted()?,
                '"' => self.double_quoted()?,
                '$' if self.chars.peek() == Some(&'\'') => self.ansi_quoted()?,
                '$' if self.chars.peek() == Some(&'"') => {}
                '$' | '`' => self.dollar(c)?,
                c => self.push(c),
            }
        }
        self.end_word()?;
        Ok(self.words)
    }

    fn push(&mut self, c: char) {
        self.bytes().extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// The word, which begins here at the latest.
    fn bytes(&mut self) -> &mut Vec<u8> {
        self.word.get_or_insert_default()
    }

    fn end_word(&mut self) -> Result<(), CurlError> {
        if let Some(word) = self.word.take() {
            self.words.push(String::from_utf8(word).map_err(|_| CurlError::Body)?);
        }
        Ok(())
    }

    fn single_quoted(&mut self) -> Result<(), CurlError> {
        self.bytes();
        loop {
            match self.chars.next().ok_or(CurlError::Quotes)? {
                '\'' => return Ok(()),
                c => self.push(c),
            }
        }
    }

    fn double_quoted(&mut self) -> Result<(), CurlError> {
        self.bytes();
        loop {
            match self.chars.next().ok_or(CurlError::Quotes)? {
                '"' => return Ok(()),
                '\\' => match self.chars.next().ok_or(CurlError::Quotes)? {
                    '\n' => {}
                    c @ ('$' | '`' | '"' | '\\') => self.push(c),
                    c => {
                        self.push('\\');
                        self.push(c);
                    }
                },
                c @ ('$' | '`') => self.dollar(c)?,
                c => self.push(c),
            }
        }
    }

    /// A `$` or backtick that a shell would expand; any other `$` is itself.
    fn dollar(&mut self, c: char) -> Result<(), CurlError> {
        let is_expanded = |next: &char| next.is_ascii_alphanumeric() || matches!(next, '_' | '{' | '(');
        if c == '$' && !self.chars.peek().is_some_and(is_expanded) {
            self.push(c);
            return Ok(());
        }
        let is_name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let name: String = self.chars.clone().skip_while(|c| *c == '{').take_while(is_name).collect();
        Err(CurlError::Variable { name: if c == '$' { name } else { String::new() } })
    }

    /// `$'…'`, with C's escapes.
    fn ansi_quoted(&mut self) -> Result<(), CurlError> {
        self.chars.next();
        self.bytes();
        loop {
            match self.chars.next().ok_or(CurlError::Quotes)? {
                '\'' => return Ok(()),
                '\\' => self.ansi_escape()?,
                c => self.push(c),
            }
        }
    }

    fn ansi_escape(&mut self) -> Result<(), CurlError> {
        let c = self.chars.next().ok_or(CurlError::Quotes)?;
        match c {
            'a' => self.push('\u{7}'),
            'b' => self.push('\u{8}'),
            'e' | 'E' => self.push('\u{1b}'),
            'f' => self.push('\u{c}'),
            'n' => self.push('\n'),
            'r' => self.push('\r'),
            't' => self.push('\t'),
            'v' => self.push('\u{b}'),
            '\\' | '\'' | '"' | '?' => self.push(c),
            'x' | 'u' | 'U' | '0'..='7' => return self.ansi_number(c),
            c => {
                self.push('\\');
                self.push(c);
            }
        }
        Ok(())
    }

    /// `\nnn` and `\xHH` are a byte, `\uHHHH` and `\UHHHHHHHH` a character.
    fn ansi_number(&mut self, kind: char) -> Result<(), CurlError> {
        let (radix, longest) = match kind {
            'x' => (16, 2),
            'u' => (16, 4),
            'U' => (16, 8),
            _ => (8, 2),
        };
        let mut value = kind.to_digit(8).unwrap_or(0);
        let mut digits = 0;
        while digits < longest
            && let Some(digit) = self.chars.peek().and_then(|c| c.to_digit(radix))
        {
            // At most eight hexadecimal digits fit.
            value = value.wrapping_mul(radix).wrapping_add(digit);
            self.chars.next();
            digits += 1;
        }
        match kind {
            'x' | 'u' | 'U' if digits == 0 => {
                self.push('\\');
                self.push(kind);
            }
            'u' | 'U' => self.push(char::from_u32(value).ok_or(CurlError::Body)?),
            // As bash, which keeps the lowest eight bits.
            _ => self.bytes().push(value.to_le_bytes()[0]),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_splits_them() {
        for (text, words) in [
            ("curl a  b\tc\nd", &["a", "b", "c"][..]),
            ("see:\n  $ curl \\\n a \\\n  b\n", &["a", "b"]),
            (r#"curl 'a b'"c \"d\" \e $ $'"f\ g"#, &["a bc \"d\" \\e $ $'f g"]),
            ("curl '' \"\"", &["", ""]),
            (r"curl $'a\'b\n\t\x41\101\u00e9\U1F600\\\q' $'\xc3\xa9'", &["a'b\n\tAA\u{e9}\u{1f600}\\\\q", "\u{e9}"]),
            ("curl a | jq .", &["a"]),
            ("curl a; echo b", &["a"]),
            ("curl a?b=1&c=2 d & e", &["a?b=1&c=2", "d"]),
            ("curl a#b # c", &["a#b"]),
        ] {
            assert_eq!(arguments(text).unwrap(), words, "{text}");
        }
    }

    #[test]
    fn what_only_a_shell_knows_is_named() {
        let variable = |name: &str| CurlError::Variable { name: name.to_owned() };
        for (text, expected) in [
            ("wget a", CurlError::Missing),
            ("curly a", CurlError::Missing),
            ("curl 'a", CurlError::Quotes),
            ("curl \"a", CurlError::Quotes),
            ("curl $'a\\", CurlError::Quotes),
            ("curl a \\", CurlError::Quotes),
            ("curl -H \"Authorization: Bearer $TOKEN\"", variable("TOKEN")),
            ("curl https://x/${a_1}/y", variable("a_1")),
            ("curl \"$(cat token)\"", variable("")),
            ("curl `cat token`", variable("")),
            ("curl $'\\xff'", CurlError::Body),
            ("curl $'\\ud800'", CurlError::Body),
            ("curl ^\"https://x^\" ^\n  -H a", CurlError::WindowsQuotes),
            ("curl \"https://x\" ^\n  -H a", CurlError::WindowsQuotes),
        ] {
            assert_eq!(arguments(text), Err(expected), "{text}");
        }
        assert_eq!(arguments("curl '$TOKEN' \\$A a^b").unwrap(), ["$TOKEN", "$A", "a^b"]);
    }
}
