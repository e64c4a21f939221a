//! A simple JSON reader, based on `serde_json` only, with which the decoder is compared.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Greatest depth of nesting that the reader supports.
const DEEPEST: usize = 500;

/// A JSON value, with numbers as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Array(Vec<Tree>),
    /// The fields in the order of the text, including repeated keys.
    Object(Vec<(String, Tree)>),
}

/// The fields of an object, with values as texts.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// The reason why a text cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoTree {
    /// The text is not JSON.
    Syntax,
    /// The text is JSON that contains half a surrogate pair.
    Surrogate,
    /// The text is JSON that is nested too deep for this reader.
    Deep,
}

impl Tree {
    pub(crate) fn of(text: &str) -> Result<Self, NoTree> {
        serde_json::from_str::<IgnoredAny>(text).map_err(|_| NoTree::Syntax)?;
        let raw: &RawValue = serde_json::from_str(text).expect("valid JSON");
        Self::value(raw.get(), 0)
    }

    fn value(text: &str, depth: usize) -> Result<Self, NoTree> {
        if depth > DEEPEST {
            return Err(NoTree::Deep);
        }
        Ok(match text.as_bytes()[0] {
            b'n' => Self::Null,
            b't' | b'f' => Self::Bool(text == "true"),
            b'"' => Self::Text(serde_json::from_str(text).map_err(|_| NoTree::Surrogate)?),
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).expect("an array");
                Self::Array(items.into_iter().map(|item| Self::value(item.get(), depth + 1)).collect::<Result<_, _>>()?)
            }
            b'{' => {
                // The only possible failure is half a surrogate pair in a key.
                let Fields(fields) = serde_json::from_str(text).map_err(|_| NoTree::Surrogate)?;
                let fields = fields.into_iter().map(|(key, value)| Ok((key, Self::value(value.get(), depth + 1)?)));
                Self::Object(fields.collect::<Result<_, _>>()?)
            }
            _ => Self::Number(text.to_owned()),
        })
    }

    /// Removes these keys at every depth.
    pub(crate) fn without(self, keys: &[&str]) -> Self {
        match self {
            Self::Array(items) => Self::Array(items.into_iter().map(|item| item.without(keys)).collect()),
            Self::Object(fields) => Self::Object(
                fields
                    .into_iter()
                    .filter(|(key, _)| !keys.contains(&key.as_str()))
                    .map(|(key, value)| (key, value.without(keys)))
                    .collect(),
            ),
            other => other,
        }
    }

    /// Whether PostgreSQL can store it. Checks all values of repeated keys.
    fn storable(&self) -> bool {
        match self {
            Self::Null | Self::Bool(_) => true,
            Self::Number(number) => fits_numeric(number),
            Self::Text(text) => !text.contains('\0'),
            Self::Array(items) => items.iter().all(Self::storable),
            Self::Object(fields) => fields.iter().all(|(key, value)| !key.contains('\0') && value.storable()),
        }
    }

    /// Whether PostgreSQL can store this text; `None` if this reader cannot tell.
    pub(crate) fn storable_text(text: &str) -> Option<bool> {
        match Self::of(text) {
            Ok(tree) => Some(tree.storable()),
            Err(NoTree::Surrogate) => Some(false),
            Err(NoTree::Deep | NoTree::Syntax) => None,
        }
    }
}

/// Whether PostgreSQL's `numeric` can hold the number, by the digits before and after the decimal
/// point.
fn fits_numeric(number: &str) -> bool {
    let number = number.strip_prefix('-').unwrap_or(number);
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let Ok(exponent) = exponent.parse::<i128>() else { return false };
    if exponent.abs() >= 1_073_741_823 {
        return false;
    }
    let after_point = (fraction.len() as i128 - exponent).max(0);
    let digits = format!("{whole}{fraction}");
    let first = digits.bytes().position(|digit| digit != b'0');
    let before_point = first.map_or(0, |first| whole.len() as i128 + exponent - first as i128);
    after_point <= 16_383 && before_point <= 131_072
}
