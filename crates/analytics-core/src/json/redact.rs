//! Removing fields that must not be stored from valid JSON, whatever the depth.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// The names in `REDACT_FIELDS`: these keys, with their values, leave every payload at every depth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redaction(BTreeSet<String>);

impl Redaction {
    /// Reads a comma list of field names.
    #[must_use]
    pub fn parse(list: &str) -> Self {
        Self(list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    /// The JSON without the named fields; borrowed where there is nothing to remove.
    pub(crate) fn apply<'a>(&self, json: &'a str) -> Cow<'a, str> {
        if self.0.is_empty() { Cow::Borrowed(json) } else { Cow::Owned(self.strip(json)) }
    }

    /// Copies valid JSON token by token, without recursion, leaving out named keys and their values.
    fn strip(&self, json: &str) -> String {
        let mut out = String::with_capacity(json.len());
        // For each open container: is it an object?
        let mut open: Vec<bool> = Vec::new();
        let mut at_key = false;
        let mut rest = json;
        while let Some(byte) = rest.bytes().next() {
            let token = rest.get(..token_length(rest, byte)).unwrap_or(rest);
            rest = rest.get(token.len()..).unwrap_or_default();
            match byte {
                b'{' | b'[' => {
                    open.push(byte == b'{');
                    at_key = byte == b'{';
                }
                b'}' | b']' => {
                    open.pop();
                    // Where the last field left, its comma stays behind.
                    let kept = out.trim_ascii_end().trim_end_matches(',').len();
                    out.truncate(kept);
                }
                b',' => at_key = open.last() == Some(&true),
                b'"' if at_key => {
                    at_key = false;
                    if self.names(token) {
                        rest = skip_value(rest);
                        continue;
                    }
                }
                _ => {}
            }
            out.push_str(token);
        }
        out
    }

    fn names(&self, key: &str) -> bool {
        serde_json::from_str::<String>(key).is_ok_and(|key| self.0.contains(&key))
    }
}

/// Skips `: value` and the comma after it, if there is one.
fn skip_value(mut rest: &str) -> &str {
    let mut depth = 0_usize;
    while let Some(byte) = rest.bytes().next() {
        let after = rest.get(token_length(rest, byte)..).unwrap_or_default();
        match byte {
            b'{' | b'[' => depth += 1,
            // The end of the object that holds the field.
            b'}' | b']' if depth == 0 => return rest,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return after,
            _ => {}
        }
        rest = after;
    }
    rest
}

/// How many bytes the token at the start takes: a whole string, else one byte or, outside
/// strings, one character.
fn token_length(rest: &str, first: u8) -> usize {
    if first != b'"' {
        return rest.chars().next().map_or(1, char::len_utf8);
    }
    let bytes = rest.as_bytes();
    let mut at = 1;
    while let Some(found) = bytes.get(at..).and_then(|tail| memchr::memchr2(b'"', b'\\', tail)) {
        at += found;
        if bytes.get(at) == Some(&b'"') {
            return at + 1;
        }
        at += 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_fields_leave_at_every_depth() {
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
        ] {
            let stripped = redaction.strip(json);
            let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect(text);
            assert_eq!(parse(&stripped), parse(expected), "{json} became {stripped}");
        }
    }

    #[test]
    fn without_names_nothing_is_copied() {
        assert!(matches!(Redaction::default().apply("{}"), Cow::Borrowed(_)));
    }
}
