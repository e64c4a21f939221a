//! Reads JSON objects from bytes, and checks that PostgreSQL can store every part of them.
//!
//! No tree is built: an object is read one level deep, its values remain slices of the record, and
//! only the fields that a family uses are parsed further.

mod object;
mod redact;
mod storable;

pub(crate) use object::{Object, Value};
pub use redact::Redaction;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::IgnoredAny;

use crate::rejection::{Reason, Rejection};

/// The UTF-8 byte-order mark, which some producers write before the JSON.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes base64 text, ignoring white space around it.
pub(crate) fn from_base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    BASE64.decode(text.trim().as_bytes())
}

fn to_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Reads the bytes of a record or of an embedded payload as text, without a leading byte-order
/// mark.
///
/// # Errors
/// `empty` where there is nothing but white space, `not_json` for bytes that are not UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Rejection> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(Rejection::new(Reason::Empty, "the record has no content"));
    }
    std::str::from_utf8(bytes)
        .map_err(|error| Rejection::new(Reason::NotJson, format!("the record is not UTF-8: {error}")))
}

/// Reads a JSON object that PostgreSQL can store as `jsonb`.
///
/// # Errors
/// `not_json`, `not_an_object` or `unstorable`, checked in this order.
pub(crate) fn object(text: &str) -> Result<Object<'_>, Rejection> {
    // The first parse also fails on some valid JSON (a lone surrogate in a key). A second, lenient
    // parse tells such text from text that is not JSON.
    let object = match serde_json::from_str::<Object<'_>>(text) {
        Ok(object) => object,
        Err(error) => {
            if let Err(syntax) = serde_json::from_str::<IgnoredAny>(text) {
                return Err(Rejection::new(Reason::NotJson, format!("the record is not JSON: {syntax}")));
            }
            if !text.trim_ascii_start().starts_with('{') {
                return Err(Rejection::new(Reason::NotAnObject, "the record must be a JSON object"));
            }
            return Err(Rejection::new(Reason::Unstorable, format!("a key cannot be stored: {error}")));
        }
    };
    storable::check(text).map_err(|fault| Rejection::new(Reason::Unstorable, fault.to_string()))?;
    Ok(object)
}

/// Checks that a text is a JSON object that PostgreSQL can store as `jsonb`, by the same check as
/// for the payloads of records.
///
/// # Errors
/// A message that says what is wrong with the text.
pub fn storable_object(text: &str) -> Result<(), String> {
    object(text).map(drop).map_err(|rejection| match rejection.reason {
        Reason::Unstorable => rejection.detail,
        _ => "must be a JSON object".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(bytes: &[u8]) -> Option<Reason> {
        text(bytes).and_then(object).err().map(|rejection| rejection.reason)
    }

    #[test]
    fn each_kind_of_unreadable_record_has_its_reason() {
        for (bytes, expected) in [
            (&b""[..], Some(Reason::Empty)),
            (b" \n\t ", Some(Reason::Empty)),
            (b"\xEF\xBB\xBF", Some(Reason::Empty)),
            (b"\xff\xfe", Some(Reason::NotJson)),
            (b"not json", Some(Reason::NotJson)),
            (b"{\"a\":1", Some(Reason::NotJson)),
            (b"{\"a\":1} x", Some(Reason::NotJson)),
            (b"{\"a\":01}", Some(Reason::NotJson)),
            (b"{\"a\":NaN}", Some(Reason::NotJson)),
            (b"{\"a\":\"\t\"}", Some(Reason::NotJson)),
            (b"[1,2,3]", Some(Reason::NotAnObject)),
            (b"null", Some(Reason::NotAnObject)),
            (b"\"\\ud800\"", Some(Reason::NotAnObject)),
            (b"{\"a\":\"\\u0000\"}", Some(Reason::Unstorable)),
            (b"{\"\\ud800\":1}", Some(Reason::Unstorable)),
            (b"{\"a\":\"\\udc00\\ud800\"}", Some(Reason::Unstorable)),
            (b"{\"a\":1e200000}", Some(Reason::Unstorable)),
            (b"{\"a\":1e200000", Some(Reason::NotJson)),
            (b"{\"a\":1e400}", None),
            (b"\xEF\xBB\xBF {\"a\":\"\\ud83d\\ude00\"} ", None),
            (b"{\"a\":\"\\\\u0000\"}", None),
        ] {
            assert_eq!(reason(bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn nesting_is_checked_without_recursion() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(reason(nested(5_000).as_bytes()), None);
        assert_eq!(reason(nested(500_000).as_bytes()), Some(Reason::Unstorable));
        assert_eq!(reason(format!("{{\"a\":{}", "[".repeat(500_000)).as_bytes()), Some(Reason::NotJson));
    }

    #[test]
    fn the_last_value_of_a_repeated_key_wins() {
        let object = object("{\"a\":1,\"\\u0061\":2}").unwrap();
        assert!(matches!(object.get("a"), Some(Value::Number("2"))));
    }
}
