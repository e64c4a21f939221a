//! Reads ids from JSON values.

use std::borrow::Cow;

use crate::excerpt::excerpt;
use crate::json::Value;
use crate::rejection::{Reason, Rejection};

/// Returns the text of an id: a trimmed string, or an integer as written.
pub(crate) fn text<'a>(name: &'static str, value: Value<'a>) -> Result<Cow<'a, str>, Rejection> {
    let wrong = |what: &str| invalid(name, format!("must be a string or an integer, got {what}"));
    match value {
        Value::Text(Cow::Borrowed(text)) => Ok(Cow::Borrowed(text.trim())),
        Value::Text(Cow::Owned(text)) => Ok(Cow::Owned(text.trim().to_owned())),
        Value::Number(number) if number.bytes().all(|b| b.is_ascii_digit() || b == b'-') => Ok(Cow::Borrowed(number)),
        Value::Number(number) => Err(wrong(&format!("the number {}", excerpt(number))).quoting(name)),
        other => Err(wrong(kind(&other))),
    }
}

/// Returns what kind of value this is, for messages.
pub(crate) const fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::Text(_) => "a string",
        Value::Number(_) => "a number",
        Value::Bool => "a boolean",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
        Value::Null => "null",
    }
}

/// Creates the rejection for an invalid id in the field `name`.
pub(crate) fn invalid(name: &str, why: impl std::fmt::Display) -> Rejection {
    Rejection::new(Reason::InvalidIdentifier, format!("{name} {why}"))
}
