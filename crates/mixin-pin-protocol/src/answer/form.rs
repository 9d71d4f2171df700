//! Reads an answer's JSON, and names the place that does not fit.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, Expected, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde_json::Value;

use crate::ShapeFault;

/// Reads a value that is called `name`. A list may come as its only entry, or as `null` if it is empty: Go, in which
/// Mixin's server is written, writes an empty slice so (golang/go: src/encoding/json/encode.go).
pub(super) fn read<T: DeserializeOwned>(value: &Value, name: &str) -> Result<T, ShapeFault> {
    // serde_json's own reader knows types that the other one does not. The other one only says where this one failed.
    T::deserialize(value)
        .or_else(|_| T::deserialize(Reader { value, is_whole: true }))
        .map_err(|misfit| misfit.at(name))
}

/// What does not fit, and its path, innermost field first.
#[derive(Debug)]
struct Misfit {
    way: Vec<String>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Missing,
    /// A value of this kind.
    Found(&'static str),
    /// A value of the right kind that cannot be used.
    Value,
}

impl Misfit {
    const fn new(kind: Kind) -> Self {
        Self { way: Vec::new(), kind }
    }

    fn within(mut self, step: String) -> Self {
        self.way.push(step);
        self
    }

    fn at(self, name: &str) -> ShapeFault {
        let field = self.way.iter().rev().fold(name.to_owned(), |field, step| field + step);
        let field = field.trim_start_matches('.').to_owned();
        match self.kind {
            Kind::Missing => ShapeFault::Missing { field },
            Kind::Found(found) => ShapeFault::Kind { field, found },
            Kind::Value => ShapeFault::Value { field },
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value does not fit")
    }
}

impl std::error::Error for Misfit {}

/// Ignores the value itself, because no error may show it.
impl Error for Misfit {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::new(Kind::Value)
    }

    fn invalid_type(unexpected: Unexpected<'_>, _: &dyn Expected) -> Self {
        Self::new(match unexpected {
            Unexpected::Unit | Unexpected::Option => Kind::Found("null"),
            Unexpected::Bool(_) => Kind::Found("true or false"),
            Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => Kind::Found("a number"),
            Unexpected::Str(_) | Unexpected::Char(_) | Unexpected::Bytes(_) => Kind::Found("text"),
            Unexpected::Seq => Kind::Found("a list"),
            Unexpected::Map => Kind::Found("an object"),
            _ => Kind::Value,
        })
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(Kind::Missing).within(format!(".{field}"))
    }
}

#[derive(Clone, Copy)]
struct Reader<'v> {
    value: &'v Value,
    /// Whether it is the whole value, not a part of it.
    is_whole: bool,
}

impl<'v> Reader<'v> {
    const fn part(value: &'v Value) -> Self {
        Self { value, is_whole: false }
    }
}

impl<'de> Deserializer<'de> for Reader<'de> {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(number), _, _) => visitor.visit_u64(number),
                (_, Some(number), _) => visitor.visit_i64(number),
                (_, _, Some(number)) => visitor.visit_f64(number),
                (None, None, None) => Err(Misfit::new(Kind::Value)),
            },
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(values) => visitor.visit_seq(Items(values.iter().enumerate())),
            Value::Object(fields) => visitor.visit_map(Fields { fields: fields.into_iter(), last: None }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let alone = match self.value {
            Value::Null => &[],
            value @ Value::Object(_) => std::slice::from_ref(value),
            _ => return self.deserialize_any(visitor),
        };
        if self.is_whole { visitor.visit_seq(Items(alone.iter().enumerate())) } else { self.deserialize_any(visitor) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.value.deserialize_enum(name, variants, visitor).map_err(Misfit::custom)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Items<'v>(std::iter::Enumerate<std::slice::Iter<'v, Value>>);

impl<'v> SeqAccess<'v> for Items<'v> {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        let Some((place, value)) = self.0.next() else { return Ok(None) };
        seed.deserialize(Reader::part(value)).map(Some).map_err(|misfit| misfit.within(format!("[{place}]")))
    }
}

struct Fields<'v> {
    fields: serde_json::map::Iter<'v>,
    last: Option<(&'v String, &'v Value)>,
}

impl<'v> MapAccess<'v> for Fields<'v> {
    type Error = Misfit;

    fn next_key_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        self.last = self.fields.next();
        self.last.map(|(key, _)| seed.deserialize(BorrowedStrDeserializer::new(key))).transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'v>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let (key, value) = self.last.take().ok_or_else(|| Misfit::new(Kind::Value))?;
        seed.deserialize(Reader::part(value)).map_err(|misfit| misfit.within(step(key)))
    }
}

/// The path to a field. A key that is not an ordinary name comes from outside, and is not shown.
fn step(key: &str) -> String {
    let is_name = key.len() <= 32
        && key.starts_with(|c: char| c.is_ascii_lowercase())
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if is_name { format!(".{key}") } else { ".…".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    enum Size {
        Small,
        Of(u8),
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Whole(Vec<Part>);

    #[derive(Debug, Deserialize, PartialEq)]
    struct Part {
        size: Size,
        names: Option<BTreeMap<String, (u8, bool)>>,
    }

    fn fault<T: DeserializeOwned + fmt::Debug>(value: &Value) -> String {
        read::<T>(value, "data").unwrap_err().to_string()
    }

    #[test]
    fn the_place_of_the_fault_is_named_and_its_value_is_not() {
        let part = |size: Value, names: Value| json!([{"size": "Small"}, {"size": size, "names": names, "new": "x"}]);
        for (value, expected) in [
            (part(json!("secret"), json!(null)), "its data[1].size has an unexpected value"),
            (part(json!({"Of": 256}), json!(null)), "its data[1].size has an unexpected value"),
            (part(json!(null), json!(null)), "its data[1].size has an unexpected value"),
            (part(json!("Small"), json!([])), "its data[1].names is a list"),
            (part(json!({"Of": 1}), json!({"ok": [1, true], "at": "secret"})), "its data[1].names.at is text"),
            (part(json!("Small"), json!({"Secret 7": [1, "secret"]})), "its data[1].names.…[1] is text"),
            (part(json!("Small"), json!({"a": [1]})), "its data[1].names.a has an unexpected value"),
            (json!([{}]), "it lacks data[0].size"),
            (json!("secret"), "its data is text"),
            (json!(7), "its data is a number"),
        ] {
            assert_eq!(fault::<Whole>(&value), expected, "{value}");
        }
        for (value, expected) in [(json!(-7), "a number"), (json!(0.5), "a number"), (json!(true), "true or false")] {
            assert_eq!(fault::<String>(&value), format!("its data is {expected}"));
        }
    }

    #[test]
    fn only_a_whole_answer_may_be_an_entry_instead_of_a_list() {
        let one = json!({"size": "Small", "names": {"a": [1, true]}});
        let names = Some(BTreeMap::from([("a".to_owned(), (1, true))]));
        assert_eq!(read::<Whole>(&one, "data"), Ok(Whole(vec![Part { size: Size::Small, names }])));
        assert_eq!(read::<Whole>(&Value::Null, "data"), Ok(Whole(vec![])));
        assert_eq!(read::<Vec<Vec<u8>>>(&json!([[1]]), "data"), Ok(vec![vec![1]]));
        assert_eq!(fault::<Vec<Vec<u8>>>(&json!([null])), "its data[0] is null");
        assert_eq!(fault::<Vec<Vec<u8>>>(&json!([{}])), "its data[0] is an object");
        assert_eq!(fault::<(u8, u8)>(&json!({"a": 1})), "its data is an object");
    }
}
