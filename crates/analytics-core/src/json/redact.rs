//! Removes fields that must not be stored from JSON, at every depth.

use std::borrow::Cow;
use std::collections::BTreeSet;

use json_event_parser::{JsonEvent, LowLevelJsonSerializer, SliceJsonParser};

use super::{from_base64, to_base64};

/// The names in `REDACT_FIELDS`: these keys and their values are removed from every payload, at
/// every depth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redaction(BTreeSet<String>);

/// The field of a structured CloudEvent whose string may contain JSON encoded as base64.
const DATA_BASE64: &str = "data_base64";

impl Redaction {
    /// Reads a comma-separated list of field names.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        Self(list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    /// Whether fields of this name must not be stored.
    #[must_use]
    pub fn names(&self, field: &str) -> bool {
        self.0.contains(field)
    }

    /// Returns the JSON without the named fields; borrowed if there is nothing to remove. The text
    /// must have passed [`super::object`]: text that cannot be parsed results in an empty object,
    /// so that no redacted field is let through.
    pub(crate) fn apply<'a>(&self, json: &'a str) -> Cow<'a, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(json);
        }
        match self.strip(json.as_bytes()) {
            Some(Stripped::Nothing) => Cow::Borrowed(json),
            Some(Stripped::To(rest)) => Cow::Owned(String::from_utf8(rest).unwrap_or_else(|_| "{}".into())),
            None => Cow::Borrowed("{}"),
        }
    }

    /// Returns the bytes of a whole record without the named fields, to be stored in a dead letter.
    /// Bytes that are not JSON are returned unchanged. `None` for JSON that cannot be parsed to its
    /// end (half a surrogate pair): nothing of it can be stored.
    #[must_use]
    pub fn record<'a>(&self, bytes: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        if self.0.is_empty() || !is_json(bytes) {
            return Some(Cow::Borrowed(bytes));
        }
        Some(match self.strip(bytes)? {
            Stripped::Nothing => Cow::Borrowed(bytes),
            Stripped::To(rest) => Cow::Owned(rest),
        })
    }

    /// Copies JSON token by token, leaving out the named keys and their values. `None` if it cannot
    /// be parsed.
    fn strip(&self, json: &[u8]) -> Option<Stripped> {
        let mut parser = SliceJsonParser::new(json);
        let mut out = Vec::with_capacity(json.len());
        let mut writer = LowLevelJsonSerializer::new();
        let (mut depth, mut changed, mut at_data) = (0_usize, false, false);
        loop {
            let mut event = parser.parse_next().ok()?;
            match &event {
                JsonEvent::Eof => return Some(if changed { Stripped::To(out) } else { Stripped::Nothing }),
                JsonEvent::ObjectKey(key) if self.names(key) => {
                    skip_value(&mut parser)?;
                    changed = true;
                    continue;
                }
                JsonEvent::ObjectKey(key) => at_data = depth == 1 && key == DATA_BASE64,
                JsonEvent::String(text) if std::mem::take(&mut at_data) => {
                    if let Some(inner) = self.strip_base64(text) {
                        event = JsonEvent::String(inner.into());
                        changed = true;
                    }
                }
                JsonEvent::StartObject | JsonEvent::StartArray => depth += 1,
                JsonEvent::EndObject | JsonEvent::EndArray => depth = depth.saturating_sub(1),
                _ => at_data = false,
            }
            writer.serialize_event(event, &mut out).ok()?;
        }
    }

    /// Returns base64 text of JSON, encoded again without the named fields; `None` if it can be
    /// kept unchanged. The result is empty if the JSON cannot be parsed to its end.
    fn strip_base64(&self, text: &str) -> Option<String> {
        let inner = from_base64(text).ok().filter(|inner| is_json(inner))?;
        match self.strip(&inner) {
            Some(Stripped::Nothing) => None,
            Some(Stripped::To(rest)) => Some(to_base64(&rest)),
            None => Some(String::new()),
        }
    }
}

/// The result of removing fields.
enum Stripped {
    /// Nothing had to be removed.
    Nothing,
    /// The JSON that is left.
    To(Vec<u8>),
}

fn is_json(bytes: &[u8]) -> bool {
    super::text(bytes).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
}

/// Skips the value after a key.
fn skip_value(parser: &mut SliceJsonParser<'_>) -> Option<()> {
    let mut depth = 0_usize;
    loop {
        match parser.parse_next().ok()? {
            JsonEvent::StartObject | JsonEvent::StartArray => depth += 1,
            JsonEvent::EndObject | JsonEvent::EndArray => depth = depth.checked_sub(1)?,
            JsonEvent::Eof => return None,
            _ => {}
        }
        if depth == 0 {
            return Some(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> serde_json::Value {
        serde_json::from_str(text).expect(text)
    }

    #[test]
    fn named_fields_are_removed_at_every_depth_and_in_every_order() {
        let redaction = Redaction::parse("email, phone");
        for (json, expected) in [
            (r#"{"email":"a@b"}"#, r#"{}"#),
            (r#"{"a":1,"email":"a@b"}"#, r#"{"a":1}"#),
            (r#"{"email":{"x":[1,{"y":"}"}]},"a":1}"#, r#"{"a":1}"#),
            (r#"{"u":[{"phone":1,"b":2},{"b":3,"phone":[1,2]}]}"#, r#"{"u":[{"b":2},{"b":3}]}"#),
            (r#"{"e\u006dail":1,"x":"email"}"#, r#"{"x":"email"}"#),
            (r#"{"a":["email","phone"]}"#, r#"{"a":["email","phone"]}"#),
            (r#"{ "a" : 1 , "email" : 2 , "b" : 3 }"#, r#"{ "a" : 1 ,  "b" : 3 }"#),
            (r#"{"emails":"é\"","Email":1}"#, r#"{"emails":"é\"","Email":1}"#),
            (r#"{"userId":"u","email":"a","phone":"b"}"#, r#"{"userId":"u"}"#),
            (r#"{"email":"a","email":"b","phone":"c","phone":{}}"#, r#"{}"#),
            (r#"{"u":{"email":{"phone":1},"phone":[],"email":2,"k":{"phone":"1","email":null}}}"#, r#"{"u":{"k":{}}}"#),
            (r#"{"email":[[[]]],"phone":1e400,"x":1e400}"#, r#"{"x":1}"#),
        ] {
            let stripped = redaction.apply(json).replace("1e400", "1");
            assert_eq!(parse(&stripped), parse(expected), "{json} became {stripped}");
        }
    }

    #[test]
    fn nothing_is_copied_if_nothing_is_removed() {
        assert!(matches!(Redaction::default().apply("{}"), Cow::Borrowed(_)));
        assert!(matches!(Redaction::parse("email").apply(r#"{ "a" : 1 }"#), Cow::Borrowed(r#"{ "a" : 1 }"#)));
    }

    #[test]
    fn a_record_that_is_not_json_is_kept_unchanged() {
        let redaction = Redaction::parse("email");
        let kept = |bytes: &[u8]| redaction.record(bytes).map(|kept| String::from_utf8_lossy(&kept).into_owned());
        for (bytes, expected) in [
            (&b"{\"email\":\"a\""[..], Some("{\"email\":\"a\"")),
            (b"\xEF\xBB\xBF{\"email\":\"a\",\"n\":1}", Some("{\"n\":1}")),
            (b"[{\"email\":\"a\"},1.50]", Some("[{},1.50]")),
            (b"{\"email\":\"a\",\"x\":\"\\ud800\"}", None),
            (b"", Some("")),
        ] {
            assert_eq!(kept(bytes).as_deref(), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn the_encoded_data_of_a_cloud_event_is_redacted() {
        let redaction = Redaction::parse("email");
        let record = |data: &str| format!(r#"{{"specversion":"1.0","data_base64":"{}"}}"#, to_base64(data.as_bytes()));
        let kept = |record: &str| String::from_utf8(redaction.record(record.as_bytes()).unwrap().into_owned()).unwrap();
        assert_eq!(kept(&record(r#"{"email":"a","n":1}"#)), record(r#"{"n":1}"#));
        assert_eq!(kept(&record("text")), record("text"));
        let lone = record(r#"{"email":"\ud800"}"#);
        assert_eq!(kept(&lone), r#"{"specversion":"1.0","data_base64":""}"#);
    }
}
