//! JSON files: their values, each with its name for errors.

use std::fmt;
use std::path::Path;
use std::slice;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroizing;

use super::{SafeError, place};
use crate::error::Error;

/// A JSON value. Texts are borrowed, because a secret may be among them. Only one with escapes is copied.
pub(super) enum Json<'t> {
    Null,
    /// A number from 0.
    Number(u64),
    Text(&'t str),
    Escaped(Zeroizing<String>),
    List(Vec<Self>),
    /// The fields with their names, no name twice.
    Object(Vec<(Self, Self)>),
    /// Anything that no file needs.
    Other,
}

impl<'t> Json<'t> {
    pub(super) fn read(path: &Path, text: &'t [u8]) -> Result<Self, Error> {
        // A byte order mark, which some editors write.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        serde_json::from_slice(text).map_err(|cause| SafeError::Json { path: path.to_owned(), cause }.into())
    }

    fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Escaped(text) => Some(text),
            _ => None,
        }
    }
}

impl<'t> Deserialize<'t> for Json<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'t> Visitor<'t> for AnyValue {
    type Value = Json<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Json<'t>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json<'t>, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'t>, E> {
        Ok(Json::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json<'t>, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json<'t>, E> {
        Ok(Json::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<Json<'t>, E> {
        Ok(Json::Text(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'t>, E> {
        Ok(Json::Escaped(Zeroizing::new(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Json<'t>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'t>>(self, mut object: A) -> Result<Json<'t>, A::Error> {
        let mut fields: Vec<(Json<'t>, Json<'t>)> = Vec::new();
        while let Some(field) = object.next_entry()? {
            fields.push(field);
        }
        fields.sort_unstable_by(|(one, _), (other, _)| one.as_text().cmp(&other.as_text()));
        if fields.windows(2).any(|pair| pair[0].0.as_text() == pair[1].0.as_text()) {
            return Err(A::Error::custom(REPEATED));
        }
        Ok(Json::Object(fields))
    }
}

const REPEATED: &str = "repeated field";

/// What is wrong with a text that cannot be read, without any of it.
pub(super) fn problem(cause: &serde_json::Error) -> &'static str {
    let text = cause.to_string();
    // These texts are JSON.
    let known = [
        (REPEATED, "an object has a field twice; keep one of them"),
        ("recursion limit", "values are nested too deeply"),
        ("number out of range", "a number is too large"),
        ("lone leading surrogate", "a text is not Unicode"),
        ("unexpected end of hex escape", "a text is not Unicode"),
    ];
    match known.into_iter().find(|(start, _)| text.starts_with(start)) {
        Some((_, problem)) => problem,
        None if cause.is_eof() => "the text ends too early; copy it whole",
        None => "not JSON; mixin-pin help safe shows what it must be",
    }
}

/// A value of a file. Its name is empty for the whole file.
pub(super) struct Node<'j> {
    path: &'j Path,
    name: String,
    value: &'j Json<'j>,
}

impl<'j> Node<'j> {
    pub(super) const fn new(path: &'j Path, value: &'j Json<'j>) -> Self {
        Self { path, name: String::new(), value }
    }

    pub(super) fn fails(&self, problem: impl Into<String>) -> Error {
        place(self.path, &*self.name).fails(problem)
    }

    /// A failure of one of its fields.
    pub(super) fn field_fails(&self, field: &str, problem: impl Into<String>) -> Error {
        place(self.path, self.name_of(field)).fails(problem)
    }

    fn name_of(&self, field: &str) -> String {
        match self.name.as_str() {
            "" => field.to_owned(),
            name if name.starts_with("item ") => format!("{name}, {field}"),
            name => format!("{name}.{field}"),
        }
    }

    pub(super) const fn is_object(&self) -> bool {
        matches!(self.value, Json::Object(_))
    }

    pub(super) fn is_empty_text(&self) -> bool {
        self.value.as_text() == Some("")
    }

    /// A field that may be missing. One that is null is.
    pub(super) fn get(&self, field: &str) -> Option<Self> {
        let Json::Object(fields) = self.value else { return None };
        let (_, value) = fields.iter().find(|(name, _)| name.as_text() == Some(field))?;
        (!matches!(value, Json::Null)).then(|| Self { path: self.path, name: self.name_of(field), value })
    }

    /// A field that is needed. `expected` says what it must be.
    pub(super) fn needed(&self, field: &str, expected: &str) -> Result<Self, Error> {
        self.get(field).ok_or_else(|| self.field_fails(field, format!("it is missing; {expected}")))
    }

    /// Fails for a field with another name.
    pub(super) fn has_only(&self, known: &[&str]) -> Result<(), Error> {
        let Json::Object(fields) = self.value else {
            return Err(self.fails("it must be an object, in { and }; mixin-pin help safe shows one"));
        };
        if fields.iter().all(|(name, _)| name.as_text().is_some_and(|name| known.contains(&name))) {
            return Ok(());
        }
        Err(self.fails(format!("unknown field; the known ones are {}", known.join(", "))))
    }

    pub(super) fn text(&self, expected: &str) -> Result<&'j str, Error> {
        self.value.as_text().ok_or_else(|| self.fails(expected))
    }

    pub(super) fn number<N: TryFrom<u64>>(&self, expected: &str) -> Result<N, Error> {
        match self.value {
            Json::Number(number) => N::try_from(*number).map_err(|_| self.fails(expected)),
            _ => Err(self.fails(expected)),
        }
    }

    pub(super) fn list(&self, expected: &str) -> Result<Items<'j>, Error> {
        let Json::List(values) = self.value else { return Err(self.fails(expected)) };
        Ok(Items { path: self.path, name: self.name.clone(), values })
    }

    /// The items of a list, of one item, or of an answer of the API, which has either as its data.
    pub(super) fn items(&self) -> Result<Items<'j>, Error> {
        if self.get("error").is_some() {
            return Err(self.fails("it is an error answer of the server; ask again"));
        }
        let value = self.get("data").map_or(self.value, |data| data.value);
        let values = match value {
            Json::List(values) => values,
            Json::Object(_) | Json::Text(_) | Json::Escaped(_) => slice::from_ref(value),
            _ => return Err(self.fails("it must be a list, in [ and ]; mixin-pin help safe says of what")),
        };
        Ok(Items { path: self.path, name: self.name.clone(), values })
    }
}

/// The values of a list.
pub(super) struct Items<'j> {
    path: &'j Path,
    name: String,
    values: &'j [Json<'j>],
}

impl<'j> Items<'j> {
    pub(super) const fn len(&self) -> usize {
        self.values.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Node<'j>> {
        self.values.iter().enumerate().map(|(index, value)| {
            let name = if self.name.is_empty() { format!("item {index}") } else { format!("{}[{index}]", self.name) };
            Node { path: self.path, name, value }
        })
    }
}
