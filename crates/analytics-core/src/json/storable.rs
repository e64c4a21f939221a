//! Finds what PostgreSQL's `jsonb` cannot store, in text that is known to be valid JSON.
//!
//! The limits are those of PostgreSQL 15 with its default `max_stack_depth` of 2 MB; the tests of
//! `analytics-db` compare the numbers with a real server. If a server with a smaller stack refuses
//! a record nevertheless, the writer isolates that record, and it becomes the same dead letter.

use json_event_parser::{JsonEvent, SliceJsonParser};

use super::storable::Fault::{LoneSurrogate, Nul, Number, TooDeep};

/// Greatest depth of nesting that is accepted. PostgreSQL's own limit was measured between 13,090
/// and 14,543.
pub(crate) const MAX_DEPTH: usize = 10_000;

/// Greatest number of digits before the decimal point of a `numeric`.
const MAX_WHOLE_DIGITS: i64 = 131_072;
/// Greatest number of digits after the decimal point of a `numeric`.
const MAX_FRACTION_DIGITS: i64 = 16_383;
/// Exponents whose absolute value is this or more are refused, whatever the digits.
const EXPONENT_BELOW: u64 = 1_073_741_823;

/// The reason why valid JSON cannot be stored.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a string contains the character U+0000, which PostgreSQL cannot store")]
    Nul,
    #[error("a string contains half of a surrogate pair, which is not a character")]
    LoneSurrogate,
    #[error("the number {0} exceeds the limits of PostgreSQL's numeric type")]
    Number(String),
    #[error("the JSON is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// Checks valid JSON for anything that cannot be stored, without recursion.
pub(super) fn check(json: &str) -> Result<(), Fault> {
    if is_plain(json) {
        return Ok(());
    }
    let mut parser = SliceJsonParser::new(json.as_bytes());
    let mut depth = 0_usize;
    loop {
        match parser.parse_next() {
            Ok(JsonEvent::String(text) | JsonEvent::ObjectKey(text)) if text.contains('\0') => return Err(Nul),
            Ok(JsonEvent::Number(number)) if !fits_numeric(&number) => {
                return Err(Number(number.chars().take(40).collect()));
            }
            Ok(JsonEvent::StartObject | JsonEvent::StartArray) => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(TooDeep);
                }
            }
            Ok(JsonEvent::EndObject | JsonEvent::EndArray) => depth = depth.saturating_sub(1),
            Ok(JsonEvent::Eof) => return Ok(()),
            Ok(_) => {}
            // The syntax was checked before, by a parser that does not check surrogates.
            Err(_) => return Err(LoneSurrogate),
        }
    }
}

/// Whether the text can be accepted without parsing, as most texts can: it is too short to be
/// nested too deep or to contain a number with too many digits, it has no exponents (`e` or `E`
/// after a digit), and it has no `\u` escape, the only one that can encode NUL or a surrogate.
fn is_plain(json: &str) -> bool {
    let bytes = json.as_bytes();
    let is_exponent = |pair: &[u8]| matches!(pair, [b'0'..=b'9', b'e' | b'E']);
    bytes.len() < MAX_DEPTH
        && !bytes.windows(2).any(is_exponent)
        && !memchr::memchr_iter(b'\\', bytes).any(|at| bytes.get(at + 1) == Some(&b'u'))
}

fn fits_numeric(number: &str) -> bool {
    let unsigned = number.trim_start_matches('-');
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let Ok(exponent) = exponent.parse::<i64>() else { return false };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
    let leading_zeros = whole.bytes().chain(fraction.bytes()).take_while(|b| *b == b'0').count();
    let zero = leading_zeros == whole.len() + fraction.len();
    let whole_digits = length(whole).saturating_sub(i64::try_from(leading_zeros).unwrap_or(i64::MAX));
    exponent.unsigned_abs() < EXPONENT_BELOW
        && length(fraction).saturating_sub(exponent) <= MAX_FRACTION_DIGITS
        && (zero || whole_digits.saturating_add(exponent) <= MAX_WHOLE_DIGITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_up_to_the_limits_of_numeric_are_storable() {
        for (number, storable) in [
            ("1e400", true),
            ("1e131071", true),
            ("1e131072", false),
            ("-123e131069", true),
            ("123e131070", false),
            ("0.0001e131075", true),
            ("0.0001e131076", false),
            ("1e-16383", true),
            ("1e-16384", false),
            ("1.5e-16382", true),
            ("1.5e-16383", false),
            ("0e200000", true),
            ("0e-20000", false),
            ("0e1073741822", true),
            ("0e1073741823", false),
            ("1e99999999999999999999", false),
            ("1e9223372036854775807", false),
            ("1e-9223372036854775807", false),
            ("1e-9223372036854775808", false),
            ("1e-9223372036854775809", false),
            ("-0", true),
        ] {
            assert_eq!(check(&format!("[{number}]")).is_ok(), storable, "{number}");
        }
        assert!(check(&"9".repeat(131_072)).is_ok());
        assert!(check(&"9".repeat(131_073)).is_err());
    }

    #[test]
    fn only_real_escapes_count() {
        assert_eq!(check(r#"{"a\\":"\\u0000","b":"\"\u0041"}"#), Ok(()));
        assert_eq!(check(r#"{"a":"\\\u0000"}"#), Err(Nul));
        assert_eq!(check(r#"{"\u0000":1}"#), Err(Nul));
        assert_eq!(check(r#"["\uD83D\uDE00"]"#), Ok(()));
        for lone in [r#"["\uD83Dx"]"#, r#"["\uD83D\n"]"#, r#"["\uDE00"]"#, r#"{"\uD83D":1}"#, r#"["\uD83D\uD83D"]"#] {
            assert_eq!(check(lone), Err(LoneSurrogate), "{lone}");
        }
    }
}
