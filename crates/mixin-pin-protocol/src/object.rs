//! Structs that deserialize from JSON objects only, and fields that may be null.

use serde::{Deserialize, Deserializer};

/// Reads `null` as the default, as if the field were absent.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Implements `Deserialize` for structs that derive it with `#[serde(remote = "Self")]`.
///
/// Serde's derived implementation also accepts an array as a struct. `[202,20119]` would then count as a refusal, although
/// Mixin never sends one like that.
macro_rules! read_from_objects_only {
    ($($name:ident),+) => { $(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Object;

                impl<'de> serde::de::Visitor<'de> for Object {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<$name, A::Error> {
                        $name::deserialize(serde::de::value::MapAccessDeserializer::new(map))
                    }
                }

                deserializer.deserialize_map(Object)
            }
        }
    )+ };
}

pub(crate) use read_from_objects_only;
