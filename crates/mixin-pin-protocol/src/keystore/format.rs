//! Names the format of a file that is not a keystore in JSON, and finds a keystore within another JSON value.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::error::Category;
use serde_json::value::RawValue;

use super::fields::Fields;
use super::text::unescape;
use crate::KeystoreError;

/// What a file is instead of a keystore in JSON.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Nothing, or blanks only.
    Empty,
    /// JSON that ends in the middle.
    CutOff,
    /// JSON with something after its end.
    MoreAfterEnd,
    /// JSON with comments.
    Comments,
    /// JSON with a comma after the last field.
    TrailingComma,
    /// JSON with single quotes, as some programs print objects.
    SingleQuotes,
    /// JSON with typographic quotes, as word processors put them.
    CurlyQuotes,
    /// JSON whose field names have no quotes.
    UnquotedNames,
    /// A JSON list.
    List,
    /// A JSON string that contains JSON.
    JsonString,
    /// Base64 of JSON.
    Base64,
    /// TOML.
    Toml,
    /// YAML.
    Yaml,
    /// Environment variables.
    Environment,
    /// INI.
    Ini,
    /// Program code, such as JavaScript.
    Code,
    /// A web page.
    Html,
    /// XML.
    Xml,
    /// PEM: a key or a certificate alone.
    Pem,
    /// A file encrypted with age.
    Age,
    /// A message of `OpenPGP`.
    Pgp,
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, advice) = match self {
            Self::Empty => ("is empty", "use the whole file as it was created"),
            Self::CutOff => ("ends in the middle", "copy it whole"),
            Self::MoreAfterEnd => ("has something after its closing }", "keep one object, from { to }"),
            Self::Comments => ("has comments, which JSON does not allow", "remove them"),
            Self::TrailingComma => ("has a comma after the last field, which JSON does not allow", "remove it"),
            Self::SingleQuotes => ("has single quotes, which JSON does not allow", "replace them by double quotes"),
            Self::CurlyQuotes => ("has typographic quotes, which JSON does not allow", "replace them by plain ones"),
            Self::UnquotedNames => ("has names without quotes, which JSON does not allow", "put them in double quotes"),
            Self::List => ("is in a JSON list", "write the entry that you need, from { to }, to a file of its own"),
            Self::JsonString => ("is inside a JSON string", "unpack the string, for example with: jq -r ."),
            Self::Base64 => ("is base64", "decode it, for example with: base64 -d"),
            Self::Toml => ("is TOML, not JSON", AS_JSON),
            Self::Yaml => ("is YAML, not JSON", AS_JSON),
            Self::Environment => ("is a list of environment variables, not JSON", AS_JSON),
            Self::Ini => ("is an INI file, not JSON", AS_JSON),
            Self::Code => ("is program code, not JSON", AS_JSON),
            Self::Html => ("is a web page", "download the keystore itself"),
            Self::Xml => ("is XML, not JSON", AS_JSON),
            Self::Pem => ("is a key or a certificate in PEM", "use the JSON file that has the ids, too"),
            Self::Age => ("is encrypted with age", "decrypt it first"),
            Self::Pgp => ("is an OpenPGP message", "open it first, for example with: gpg -d FILE"),
        };
        write!(f, "{name}; {advice}")
    }
}

const AS_JSON: &str = r#"write its fields as a JSON object: {"app_id": "…", "session_id": "…", …}"#;

/// Refuses JSON that is not an object. The parser's own error would quote a string or a number, and leave it in memory.
pub(super) fn check_object(text: &str) -> Result<(), KeystoreError> {
    let trimmed = text.trim_start();
    if trimmed.starts_with('{') {
        return Ok(());
    }
    let line = 1 + text[..text.len() - trimmed.len()].matches('\n').count();
    Err(match serde_json::from_str::<&RawValue>(text) {
        Ok(_) => recognize(text.trim()).map_or(KeystoreError::NotJson { line, column: 1 }, KeystoreError::Format),
        Err(error) => explain(text, &error),
    })
}

/// What is wrong with a text that the JSON parser refuses.
pub(super) fn explain(text: &str, error: &serde_json::Error) -> KeystoreError {
    // serde_json's messages may quote secret values, so only the position is kept.
    let position = KeystoreError::NotJson {
        line: error.line(),
        column: if error.classify() == Category::Data { 1 } else { error.column() },
    };
    let format = recognize(text.trim()).or_else(|| (error.classify() == Category::Eof).then_some(FileFormat::CutOff));
    format.map_or(position, KeystoreError::Format)
}

fn recognize(text: &str) -> Option<FileFormat> {
    let is_json = || serde_json::from_str::<&RawValue>(text).is_ok();
    let starts = |starts: &[&str]| starts.iter().any(|start| text.starts_with(start));
    if text.is_empty() {
        return Some(FileFormat::Empty);
    }
    if starts(&["age-encryption.org/", "-----BEGIN AGE ENCRYPTED FILE-----"]) {
        return Some(FileFormat::Age);
    }
    if starts(&["-----BEGIN PGP MESSAGE-----"]) {
        return Some(FileFormat::Pgp);
    }
    if starts(&["-----BEGIN ", "Bag Attributes"]) {
        return Some(FileFormat::Pem);
    }
    if starts(&["<?php"]) {
        return Some(FileFormat::Code);
    }
    if starts(&["<"]) {
        let is_html = ["<!doctype html", "<html"].iter().any(|tag| has_ignoring_case(text, tag));
        return Some(if is_html { FileFormat::Html } else { FileFormat::Xml });
    }
    if text.starts_with('[') && is_json() {
        return Some(FileFormat::List);
    }
    if text.starts_with('"') && unescape(text).is_some_and(|inside| inside.trim_start().starts_with('{')) && is_json() {
        return Some(FileFormat::JsonString);
    }
    // `{"` and `{` with a blank after it, in base64.
    if starts(&["ey", "ew"]) && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"+/-_=\r\n".contains(&c)) {
        return Some(FileFormat::Base64);
    }
    let code = ["export default", "module.exports", "exports.", "const ", "let ", "var ", "import ", "'use strict'"];
    if starts(&code) {
        return Some(FileFormat::Code);
    }
    if text.starts_with('{') && first_value(text).is_some() && !is_json() {
        return Some(FileFormat::MoreAfterEnd);
    }
    if text.starts_with(['{', '[']) || text.starts_with("//") || text.starts_with("/*") {
        return deviation(text).or_else(|| of_lines(text));
    }
    of_lines(text).or_else(|| if text.starts_with('#') { deviation(text) } else { None })
}

/// The JSON value that a text begins with.
fn first_value(text: &str) -> Option<&RawValue> {
    serde_json::Deserializer::from_str(text).into_iter().next()?.ok()
}

fn has_ignoring_case(text: &str, part: &str) -> bool {
    text.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

/// The first thing in almost-JSON that JSON does not allow.
fn deviation(text: &str) -> Option<FileFormat> {
    let mut rest = text;
    let mut last = ' ';
    while let Some(c) = rest.chars().next() {
        let after = &rest[c.len_utf8()..];
        rest = after;
        match c {
            '"' => rest = after_string(after)?,
            '\'' => return Some(FileFormat::SingleQuotes),
            '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{2018}' | '\u{2019}' => return Some(FileFormat::CurlyQuotes),
            '/' if after.starts_with(['/', '*']) => return Some(FileFormat::Comments),
            '#' => return Some(FileFormat::Comments),
            '}' | ']' if last == ',' => return Some(FileFormat::TrailingComma),
            c if matches!(last, '{' | ',')
                && is_of_name(c)
                && after.trim_start_matches(is_of_name).trim_start().starts_with(':') =>
            {
                return Some(FileFormat::UnquotedNames);
            }
            _ => {}
        }
        if !c.is_whitespace() {
            last = c;
        }
    }
    None
}

/// The text after a string whose opening quote has been read.
fn after_string(mut text: &str) -> Option<&str> {
    loop {
        let (at, c) = text.char_indices().find(|(_, c)| matches!(c, '"' | '\\'))?;
        text = &text[at + 1..];
        if c == '"' {
            return Some(text);
        }
        text = &text[text.chars().next()?.len_utf8()..];
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '$')
}

/// Formats with one setting in a line, told by the first setting.
fn of_lines(text: &str) -> Option<FileFormat> {
    let mut has_section = false;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with(['#', ';']) || line.starts_with("//") {
            continue;
        }
        if line == "---" || line.starts_with("- ") {
            return Some(FileFormat::Yaml);
        }
        if line.starts_with('[') && line.ends_with(']') {
            has_section = true;
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start_matches(['"', '\'']);
        let value = line.trim_start_matches(is_of_name);
        if value.len() == line.len() {
            return None;
        }
        let value = value.trim_start_matches(['"', '\'']);
        if value == ":" || value.starts_with(": ") {
            return Some(FileFormat::Yaml);
        }
        let is_spaced = value.starts_with([' ', '\t']);
        let value = value.trim_start().strip_prefix('=')?.trim_start();
        return Some(match value.chars().next() {
            Some('{' | '(' | '[') => FileFormat::Code,
            Some('"' | '\'') if is_spaced || has_section => FileFormat::Toml,
            _ if is_spaced || has_section => FileFormat::Ini,
            _ => FileFormat::Environment,
        });
    }
    None
}

/// Finds a keystore inside a JSON object that is not a keystore itself.
pub(super) fn nested(text: &str) -> Option<KeystoreError> {
    let mut places = find(text, DEPTH).into_iter();
    let first = places.next()?;
    let (name, format) = (Name::new(&first.path.join(".")), first.format);
    Some(KeystoreError::Nested { name, format, has_others: places.next().is_some() })
}

/// How deep a keystore is looked for.
const DEPTH: usize = 4;

struct Place {
    path: Vec<String>,
    format: Option<FileFormat>,
}

fn find(object: &str, depth: usize) -> Vec<Place> {
    let Some(depth) = depth.checked_sub(1) else { return Vec::new() };
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(object).unwrap_or_default();
    let named = |(name, value): (String, &RawValue)| {
        let mut places = find_in(value.get(), depth);
        for place in &mut places {
            place.path.insert(0, name.clone());
        }
        places
    };
    members.into_iter().flat_map(named).collect()
}

fn find_in(value: &str, depth: usize) -> Vec<Place> {
    let found = |format| vec![Place { path: Vec::new(), format }];
    let is_inside = || unescape(value).is_some_and(|text| is_keystore(&text));
    match value.as_bytes().first() {
        Some(b'{') if is_keystore(value) => found(None),
        Some(b'{') => find(value, depth),
        Some(b'[') => {
            let entries: Vec<&RawValue> = serde_json::from_str(value).unwrap_or_default();
            let has_keystore = entries.iter().any(|entry| is_keystore(entry.get()));
            if has_keystore { found(Some(FileFormat::List)) } else { Vec::new() }
        }
        Some(b'"') if value.contains('{') && is_inside() => found(Some(FileFormat::JsonString)),
        _ => Vec::new(),
    }
}

fn is_keystore(text: &str) -> bool {
    serde_json::from_str(text).is_ok_and(|fields: Fields| fields.has_key())
}

/// A name from a file that may be shown: it cannot be a secret or change the text around it.
///
/// It has up to 40 letters in words that `_`, `-` or `.` separate, and up to three digits at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(Option<String>);

impl Name {
    /// A name, which is kept only if it may be shown.
    pub fn new(name: &str) -> Self {
        let words = name.trim_end_matches(|c: char| c.is_ascii_digit());
        let is_harmless = (1..=40).contains(&words.len())
            && name.len() - words.len() <= 3
            && words.bytes().all(|c| c.is_ascii_alphabetic() || matches!(c, b'_' | b'-' | b'.'));
        Self(is_harmless.then(|| name.to_owned()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("another name"))
    }
}
