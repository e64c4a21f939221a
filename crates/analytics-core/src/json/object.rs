//! JSON objects read one level deep: their keys, and their values as slices of the text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A JSON object, read one level deep.
#[derive(Debug, Clone)]
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Returns the value of a key, or the last value if the key is repeated. `None` if the key is
    /// absent, and also for null and blank text, which are treated as absent everywhere.
    pub(crate) fn get(&self, key: &str) -> Option<Value<'a>> {
        let (_, raw) = self.0.iter().rev().find(|(name, _)| name == key)?;
        Some(Value::of(raw)).filter(|value| !value.is_blank())
    }

    /// Returns the first of several names that has a value, with that value.
    pub(crate) fn first(&self, names: &[&'static str]) -> Option<(&'static str, Value<'a>)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }
}

/// A JSON value of which only the outermost kind is known.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Null,
    Bool,
    /// The number as written.
    Number(&'a str),
    /// The string without escapes.
    Text(Cow<'a, str>),
    /// The text of the array.
    Array(&'a str),
    /// The text of the object.
    Object(&'a str),
}

impl<'a> Value<'a> {
    fn of(raw: &'a RawValue) -> Self {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'{') => Self::Object(text),
            Some(b'[') => Self::Array(text),
            Some(b'"') => serde_json::from_str(text).map_or(Self::Null, |Borrowed(text)| Self::Text(text)),
            Some(b't' | b'f') => Self::Bool,
            Some(b'n') | None => Self::Null,
            Some(_) => Self::Number(text),
        }
    }

    fn is_blank(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.trim().is_empty(),
            _ => false,
        }
    }

    /// Returns the items of an array, read one level deep; `None` for other kinds.
    pub(crate) fn items(&self) -> Option<Vec<Value<'a>>> {
        let Self::Array(text) = self else { return None };
        let raw: Vec<&'a RawValue> = serde_json::from_str(text).ok()?;
        Some(raw.into_iter().map(Self::of).collect())
    }

    /// Reads the value as an object; `None` for other kinds.
    pub(crate) fn object(&self) -> Option<Object<'a>> {
        let Self::Object(text) = self else { return None };
        serde_json::from_str(text).ok()
    }
}

/// A string that is borrowed from the text unless it contains escapes.
struct Borrowed<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Borrowed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Borrowed<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Borrowed(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Level;
        impl<'de> Visitor<'de> for Level {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::with_capacity(8);
                while let Some((Borrowed(key), value)) = map.next_entry::<Borrowed<'de>, &'de RawValue>()? {
                    entries.push((key, value));
                }
                Ok(Object(entries))
            }
        }
        deserializer.deserialize_map(Level)
    }
}
