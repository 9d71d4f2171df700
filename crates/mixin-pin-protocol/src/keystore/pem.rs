//! PEM that was damaged on its way: finds the base64 of a key in it.
//!
//! Line ends may be blanks, missing, or written as `\n`; lines may be indented; dashes, header or footer may be lost.

use zeroize::Zeroizing;

use super::text::{Text, is_blank};

/// What a PEM header says that the block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// PKCS#1 or PKCS#8, unencrypted.
    Key,
    Encrypted,
    PublicKey,
    Certificate,
    /// A private key in OpenSSH's format, which has no DER.
    OpenSshKey,
    /// A private key of a kind that Mixin does not use.
    OtherKey,
}

/// Labels without their blanks. Of two that begin alike, the longer is first.
const LABELS: [(&str, Label); 10] = [
    ("RSAPRIVATEKEY", Label::Key),
    ("PRIVATEKEY", Label::Key),
    ("ENCRYPTEDPRIVATEKEY", Label::Encrypted),
    ("RSAPUBLICKEY", Label::PublicKey),
    ("PUBLICKEY", Label::PublicKey),
    ("CERTIFICATEREQUEST", Label::Certificate),
    ("CERTIFICATE", Label::Certificate),
    ("ECPRIVATEKEY", Label::OtherKey),
    ("DSAPRIVATEKEY", Label::OtherKey),
    ("OPENSSHPRIVATEKEY", Label::OpenSshKey),
];

/// A block of PEM: its label, and the base64 in it without blanks.
pub(super) struct Block {
    pub(super) label: Label,
    pub(super) base64: Zeroizing<String>,
}

/// Whether a text has marks of PEM.
pub(super) fn has_marks(text: &str) -> bool {
    text.contains("BEGIN") || text.contains("-----")
}

/// The first private key in damaged PEM, or the first block if there is no private key.
pub(super) fn find(text: &str) -> Option<Block> {
    let text = with_line_ends(text);
    let mut headers = text.match_indices("BEGIN").filter_map(|(at, begin)| header(&text[at + begin.len()..]));
    let first = headers.next();
    let is_private = |(label, _): &(Label, &str)| matches!(label, Label::Key | Label::Encrypted);
    if let Some((label, rest)) = first.into_iter().chain(headers).find(is_private).or(first) {
        return block(label, rest);
    }
    // Without a header, the key is what precedes the footer.
    let before = &text[..footer(&text)?];
    Some(Block { label: Label::Key, base64: base64_of(before.trim_end_matches(is_dash))? })
}

/// The label of a header that continues with this text, and what follows it.
fn header(text: &str) -> Option<(Label, &str)> {
    LABELS.into_iter().find_map(|(name, label)| Some((label, after_letters(text, name)?)))
}

fn block(label: Label, text: &str) -> Option<Block> {
    let rest = text.trim_start_matches(|c: char| is_dash(c) || is_blank(c));
    // RFC 1421, section 4.6: headers name the encryption.
    if rest.starts_with("Proc-Type") {
        return Some(Block { label: Label::Encrypted, base64: Zeroizing::default() });
    }
    let body = rest.split(is_dash).next()?;
    // The footer may have lost its dashes, too.
    let body = &body[..footer(body).unwrap_or(body.len())];
    Some(Block { label, base64: base64_of(body)? })
}

/// Dashes, also those that word processors put in their place.
fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// Where the words of a footer begin.
fn footer(text: &str) -> Option<usize> {
    text.match_indices("END").map(|(at, _)| at).find(|at| header(&text[at + 3..]).is_some())
}

/// The text after these letters, which may have blanks between them.
fn after_letters<'t>(text: &'t str, letters: &str) -> Option<&'t str> {
    letters.chars().try_fold(text, |rest, letter| rest.trim_start_matches(is_blank).strip_prefix(letter))
}

/// The base64 in a text that has nothing else but blanks.
pub(super) fn base64_of(text: &str) -> Option<Zeroizing<String>> {
    let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
    for c in text.chars().filter(|c| !is_blank(*c)) {
        if !(c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=')) {
            return None;
        }
        base64.push(c);
    }
    Some(base64)
}

/// The text with the line ends that are written as `\n`, `\r` or `\t` turned into blanks.
fn with_line_ends(text: &str) -> Text<'_> {
    if !text.contains('\\') {
        return Text::Same(text);
    }
    let mut changed = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let written = ["\\r", "\\n", "\\t"].into_iter().find_map(|end| rest.strip_prefix(end));
        // Twice escaped, the backslash is there twice.
        changed.push(if written.is_some() || c == '\\' { ' ' } else { c });
        rest = written.unwrap_or(&rest[c.len_utf8()..]);
    }
    Text::Changed(changed)
}
