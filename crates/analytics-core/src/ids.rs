//! Ids of products, vendors, users, orders and ratings: opaque strings, trimmed, case-sensitive.

use std::fmt;
use std::sync::Arc;

/// Greatest length, in characters and percent-encoded, of an id that is part of metric types. With
/// it the longest type of every metric fits `varchar(100)`.
pub const MAX_ENCODED_CHARS: usize = 64;

/// Greatest length, in characters, of an id that is stored but never part of a metric type:
/// `event_logs.user_id` is `varchar(255)`.
pub const MAX_PLAIN_CHARS: usize = 255;

/// The reason why a string is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing is left after trimming.
    #[error("is blank")]
    Blank,
    /// Too long; counted in characters, percent-encoded if the id is part of metric types.
    #[error("has {actual} characters, at most {max} are allowed")]
    TooLong {
        /// Characters found.
        actual: usize,
        /// Characters allowed.
        max: usize,
    },
}

fn check(text: &str, chars: usize, max: usize) -> Result<Arc<str>, InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Blank);
    }
    if chars > max {
        return Err(InvalidId::TooLong { actual: chars, max });
    }
    Ok(Arc::from(text))
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $chars:expr, $max:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Trims a string and accepts it as an id.
            ///
            /// # Errors
            /// [`InvalidId`] if it is blank or too long.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                let text = text.trim();
                check(text, $chars(text), $max).map(Self)
            }

            /// Returns the id as producers write it, without white space around it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn plain_chars(text: &str) -> usize {
    text.chars().count()
}

fn encoded_chars(text: &str) -> usize {
    text.chars().map(|c| if matches!(c, '%' | ':') { 3 } else { 1 }).sum()
}

identifier!(/** A product; part of metric types. */ ProductId, encoded_chars, MAX_ENCODED_CHARS);
identifier!(/** A seller; part of metric types. */ VendorId, encoded_chars, MAX_ENCODED_CHARS);
identifier!(/** A user: buyer, visitor or new account. */ UserId, plain_chars, MAX_PLAIN_CHARS);
identifier!(/** An order. */ OrderId, plain_chars, MAX_PLAIN_CHARS);
identifier!(/** A rating; it is published again when it is edited. */ RatingId, plain_chars, MAX_PLAIN_CHARS);
identifier!(/** A refund of an order. */ RefundId, plain_chars, MAX_PLAIN_CHARS);

/// Displays an id as it is written in metric types: `%` and `:` percent-encoded, the rest
/// unchanged.
pub struct Encoded<'a>(pub &'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['%', ':']) {
            let (before, special) = rest.split_at(at);
            f.write_str(before)?;
            f.write_str(if special.starts_with('%') { "%25" } else { "%3A" })?;
            rest = special.get(1..).unwrap_or_default();
        }
        f.write_str(rest)
    }
}

/// Decodes an encoded id; `None` if it contains a `:`, or a `%` that does not begin `%25` or `%3A`.
#[must_use]
pub fn decode_encoded(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', ':']) {
        let (before, special) = rest.split_at(at);
        plain.push_str(before);
        plain.push(match special.get(..3) {
            Some("%25") => '%',
            Some("%3A") => ':',
            _ => return None,
        });
        rest = special.get(3..).unwrap_or_default();
    }
    plain.push_str(rest);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_trimmed_and_keep_their_case() {
        assert_eq!(ProductId::parse("  P-1\t").unwrap().as_str(), "P-1");
    }

    #[test]
    fn the_limit_counts_characters_of_the_encoded_form() {
        assert!(ProductId::parse(&"ä".repeat(64)).is_ok());
        assert!(ProductId::parse(&"x".repeat(65)).is_err());
        assert!(ProductId::parse(&":".repeat(21)).is_ok());
        assert_eq!(ProductId::parse(&":".repeat(22)), Err(InvalidId::TooLong { actual: 66, max: 64 }));
        assert!(UserId::parse(&"u".repeat(255)).is_ok());
        assert!(UserId::parse(&"u".repeat(256)).is_err());
        assert_eq!(UserId::parse(" \n"), Err(InvalidId::Blank));
    }

    #[test]
    fn encoding_and_decoding_are_inverse() {
        for (plain, encoded) in [
            ("50%off", "50%25off"),
            ("urn:seller:7", "urn%3Aseller%3A7"),
            ("%3A", "%253A"),
            ("a/b c", "a/b c"),
            (":", "%3A"),
        ] {
            assert_eq!(Encoded(plain).to_string(), encoded);
            assert_eq!(decode_encoded(encoded).as_deref(), Some(plain));
        }
        for not_encoded in ["50%off", "a:b", "%", "%2"] {
            assert_eq!(decode_encoded(not_encoded), None);
        }
    }
}
