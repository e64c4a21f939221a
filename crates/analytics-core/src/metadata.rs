//! Fields of events' payloads, as queries name them: paths such as `source` or `utm.campaign`, and
//! conditions on their values.
//!
//! A value is compared by its text: that of a string without quotes, of a number as PostgreSQL
//! writes it (`1e3` is `1000`, `1.50` stays `1.50`), of a boolean `true` or `false`, of an object or
//! an array its JSON. So the number 5 and the string "5" are equal. An absent field and JSON null
//! have no value.

use std::fmt;

/// Greatest length of a path, in characters.
pub const MAX_PATH_CHARS: usize = 100;
/// Greatest number of fields in a path.
pub const MAX_DEPTH: usize = 8;
/// Greatest length of a value that is compared or counted, in characters.
pub const MAX_VALUE_CHARS: usize = 100;
/// The prefix of paths in parameters.
const PREFIX: &str = "metadata.";

/// A path to a field: names separated by dots. A number selects an item of an array.
///
/// Names consist of characters that mean nothing in SQL, so a path can be part of a statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MetadataPath(String);

/// Why a text is not a path, a condition or a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetadata {
    /// The parameter does not begin with `metadata.`.
    #[error("must begin with metadata. and a path, as in metadata.source")]
    NotMetadata,
    /// A name is empty, or has a character that names cannot have.
    #[error(
        "must be a path of names separated by dots, each of letters, digits, and the characters _ - $ @ and :, \
         as in utm.campaign"
    )]
    Name,
    /// Too long.
    #[error("must be a path of at most {MAX_PATH_CHARS} characters")]
    TooLong,
    /// Too many names.
    #[error("must be a path of at most {MAX_DEPTH} names")]
    TooDeep,
    /// A condition without `=`.
    #[error("must be a path and a value, as in metadata.source=search")]
    NoValue,
    /// A value that cannot be compared.
    #[error("must have a value of at most {MAX_VALUE_CHARS} characters, without NUL")]
    Value,
    /// A value in quotes that is not a JSON string.
    #[error("must have a value that is a JSON string if it begins with a quote, as in metadata.source=\"null\"")]
    Quoted,
}

impl MetadataPath {
    /// Parses a path such as `utm.campaign`.
    ///
    /// # Errors
    /// [`InvalidMetadata`], which says what it must be.
    pub fn parse(text: &str) -> Result<Self, InvalidMetadata> {
        let is_name = |name: &str| !name.is_empty() && name.chars().all(is_allowed);
        if text.chars().count() > MAX_PATH_CHARS {
            return Err(InvalidMetadata::TooLong);
        }
        if !text.split('.').all(is_name) {
            return Err(InvalidMetadata::Name);
        }
        if text.split('.').count() > MAX_DEPTH {
            return Err(InvalidMetadata::TooDeep);
        }
        Ok(Self(text.to_owned()))
    }

    /// Parses a path with its prefix, as in `metadata.source`.
    ///
    /// # Errors
    /// [`InvalidMetadata`].
    pub fn parse_parameter(text: &str) -> Result<Self, InvalidMetadata> {
        Self::parse(text.strip_prefix(PREFIX).ok_or(InvalidMetadata::NotMetadata)?)
    }

    /// Returns the path, with dots between its names.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns its names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }
}

const fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$' | '@' | ':')
}

impl fmt::Display for MetadataPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A condition: the field has this value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The field.
    pub path: MetadataPath,
    /// Its value, as text; `None`: it has none.
    pub value: Option<String>,
}

impl Condition {
    /// Parses a condition such as `metadata.source=search`. `null` is no value; a value that begins
    /// with a quote is a JSON string, as in `metadata.source="null"`.
    ///
    /// # Errors
    /// [`InvalidMetadata`].
    pub fn parse(text: &str) -> Result<Self, InvalidMetadata> {
        let (path, value) = text.split_once('=').ok_or(InvalidMetadata::NoValue)?;
        let path = MetadataPath::parse_parameter(path)?;
        let value = match value {
            "null" => None,
            quoted if quoted.starts_with('"') => {
                Some(serde_json::from_str(quoted).map_err(|_| InvalidMetadata::Quoted)?)
            }
            text => Some(text.to_owned()),
        };
        let is_comparable = |value: &String| value.chars().count() <= MAX_VALUE_CHARS && !value.contains('\0');
        if !value.as_ref().is_none_or(is_comparable) {
            return Err(InvalidMetadata::Value);
        }
        Ok(Self { path, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_a_path_and_a_value() {
        for (text, path, value) in [
            ("metadata.source=search", "source", Some("search")),
            ("metadata.utm.campaign=a=b&c", "utm.campaign", Some("a=b&c")),
            ("metadata.items.0.price=5", "items.0.price", Some("5")),
            ("metadata.a=", "a", Some("")),
            ("metadata.a=null", "a", None),
            ("metadata.a=\"null\"", "a", Some("null")),
            ("metadata.a=\"\\\"x\\u00e9\"", "a", Some("\"x\u{e9}")),
            ("metadata.a='; DROP TABLE event_logs; --", "a", Some("'; DROP TABLE event_logs; --")),
            ("metadata.$x-y_z@1:2=true", "$x-y_z@1:2", Some("true")),
        ] {
            let expected = Condition { path: MetadataPath(path.into()), value: value.map(str::to_owned) };
            assert_eq!(Condition::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn hostile_conditions_are_refused() {
        let (deep, long) = (["a"; 9].join("."), "a".repeat(101));
        for (text, expected) in [
            ("", InvalidMetadata::NoValue),
            ("metadata.source", InvalidMetadata::NoValue),
            ("source=search", InvalidMetadata::NotMetadata),
            ("metadata=search", InvalidMetadata::NotMetadata),
            ("metadata.=search", InvalidMetadata::Name),
            ("metadata.a..b=1", InvalidMetadata::Name),
            ("metadata.a.=1", InvalidMetadata::Name),
            ("metadata.a'b=1", InvalidMetadata::Name),
            ("metadata.a}b=1", InvalidMetadata::Name),
            ("metadata.a\"b=1", InvalidMetadata::Name),
            ("metadata.a\\b=1", InvalidMetadata::Name),
            ("metadata.a b=1", InvalidMetadata::Name),
            ("metadata.a,b=1", InvalidMetadata::Name),
            ("metadata.\u{e9}=1", InvalidMetadata::Name),
            ("metadata.a\0=1", InvalidMetadata::Name),
            ("metadata.a=\0", InvalidMetadata::Value),
            ("metadata.a=\"\\u0000\"", InvalidMetadata::Value),
            ("metadata.a=\"open", InvalidMetadata::Quoted),
            (&format!("metadata.{deep}=1"), InvalidMetadata::TooDeep),
            (&format!("metadata.{long}=1"), InvalidMetadata::TooLong),
            (&format!("metadata.a={long}"), InvalidMetadata::Value),
        ] {
            assert_eq!(Condition::parse(text), Err(expected), "{text:?}");
        }
    }
}
