//! What PostgreSQL's `jsonb` cannot hold, found in text that is known to be valid JSON.
//!
//! The limits are those of PostgreSQL 15 with its stock `max_stack_depth` of 2 MB; the tests of
//! `analytics-db` hold the numbers against a real server. What a server with a smaller stack
//! refuses all the same is found by the writer and becomes the same dead letter.

use super::storable::Fault::{LoneSurrogate, Nul, Number, TooDeep};

/// Levels of nesting that are accepted. PostgreSQL itself gave up between 13,090 and 14,543.
pub(crate) const MAX_DEPTH: usize = 10_000;

/// `numeric` holds up to this many digits before the point ...
const MAX_WHOLE_DIGITS: i64 = 131_072;
/// ... and this many after it.
const MAX_FRACTION_DIGITS: i64 = 16_383;
/// Exponents of this size and more are refused whatever the digits.
const EXPONENT_BELOW: i64 = 1_073_741_823;

/// Why valid JSON cannot be stored.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("a string holds the character U+0000, which PostgreSQL cannot store")]
    Nul,
    #[error("a string holds half of a surrogate pair, which is no character")]
    LoneSurrogate,
    #[error("the number {0} is past the limits of PostgreSQL's numeric")]
    Number(String),
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
}

/// Looks through valid JSON for what cannot be stored, in one pass and without recursion.
pub(super) fn check(json: &str) -> Result<(), Fault> {
    let mut rest = json.as_bytes();
    let mut depth = 0_usize;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'"' => string(after)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(TooDeep);
                }
                after
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                after
            }
            b'-' | b'0'..=b'9' => number(rest)?,
            _ => after,
        };
    }
    Ok(())
}

/// Checks a string whose opening quote is behind us, and returns what follows its closing one.
fn string(mut rest: &[u8]) -> Result<&[u8], Fault> {
    loop {
        let Some(at) = memchr::memchr2(b'"', b'\\', rest) else { return Ok(&[]) };
        let (found, after) = rest.get(at..).and_then(<[u8]>::split_first).unwrap_or((&b'"', &[]));
        if *found == b'"' {
            return Ok(after);
        }
        rest = match after.split_first() {
            Some((b'u', digits)) => match (code_unit(digits), digits.get(4..).unwrap_or_default()) {
                (0, _) => return Err(Nul),
                (0xD800..=0xDBFF, after) => match after.strip_prefix(b"\\u") {
                    Some(low) if (0xDC00..=0xDFFF).contains(&code_unit(low)) => low.get(4..).unwrap_or_default(),
                    _ => return Err(LoneSurrogate),
                },
                (0xDC00..=0xDFFF, _) => return Err(LoneSurrogate),
                (_, after) => after,
            },
            Some((_, after)) => after,
            None => &[],
        };
    }
}

/// The four hexadecimal digits of a `\u` escape; valid JSON has them.
fn code_unit(digits: &[u8]) -> u32 {
    let digits = digits.get(..4).and_then(|digits| std::str::from_utf8(digits).ok());
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(u32::MAX)
}

/// Checks a number and returns what follows it.
fn number(rest: &[u8]) -> Result<&[u8], Fault> {
    let length = rest.iter().take_while(|b| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count();
    let (number, after) = rest.split_at(length);
    // The usual number is short and has no exponent: nothing to check.
    if length < 1000 && !number.iter().any(|b| matches!(b, b'e' | b'E')) {
        return Ok(after);
    }
    let number = std::str::from_utf8(number).unwrap_or_default();
    if fits_numeric(number) { Ok(after) } else { Err(Number(number.chars().take(40).collect())) }
}

fn fits_numeric(number: &str) -> bool {
    let unsigned = number.trim_start_matches('-');
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let Ok(exponent) = exponent.parse::<i64>() else { return false };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
    let leading_zeros = whole.bytes().chain(fraction.bytes()).take_while(|b| *b == b'0').count();
    let zero = leading_zeros == whole.len() + fraction.len();
    let whole_digits = length(whole) - i64::try_from(leading_zeros).unwrap_or(i64::MAX);
    exponent.abs() < EXPONENT_BELOW
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
        assert_eq!(check(r#"["\uD83D\uDE00"]"#), Ok(()));
        assert_eq!(check(r#"["\uD83Dx"]"#), Err(LoneSurrogate));
        assert_eq!(check(r#"["\uD83D\n"]"#), Err(LoneSurrogate));
    }
}
