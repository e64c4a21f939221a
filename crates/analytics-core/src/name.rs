//! Names of products and vendors, as people read them. They are hostile input: text that may hide
//! or reorder what is around it on a page is cleaned, and what is left is never markup.

use std::fmt;
use std::sync::Arc;

/// Greatest length of a name, in characters after cleaning: the columns are `varchar(255)`.
pub const MAX_NAME_CHARS: usize = 255;

/// A name: 1 to 255 characters in one line, of which at least one is visible.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// The reason why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing visible is left after cleaning.
    #[error("has no visible characters")]
    Invisible,
    /// Too long after cleaning.
    #[error("has {actual} characters, at most {MAX_NAME_CHARS} are allowed")]
    TooLong {
        /// Characters found.
        actual: usize,
    },
}

impl Name {
    /// Cleans a text and accepts it as a name. White space of any kind, line breaks too, becomes
    /// single spaces. Control characters, characters that change the direction of the text around
    /// them, and invisible ones are removed, except the joiners that scripts and emoji need.
    ///
    /// # Errors
    /// [`InvalidName`] if nothing visible is left, or too much.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let mut clean = String::with_capacity(text.len().min(4 * MAX_NAME_CHARS));
        let (mut length, mut is_visible, mut is_parted) = (0_usize, false, false);
        for c in text.chars() {
            if c.is_whitespace() {
                is_parted = length > 0;
            } else if !is_removed(c) {
                for c in is_parted.then_some(' ').into_iter().chain([c]) {
                    length += 1;
                    // The rest is only counted.
                    if length <= MAX_NAME_CHARS {
                        clean.push(c);
                    }
                }
                is_parted = false;
                is_visible |= !is_joiner(c);
            }
        }
        match length {
            _ if !is_visible => Err(InvalidName::Invisible),
            actual if actual > MAX_NAME_CHARS => Err(InvalidName::TooLong { actual }),
            _ => Ok(Self(clean.into())),
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a character has no place in a name: controls, overrides of direction, and what shows
/// nothing.
fn is_removed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Invisible: soft hyphen, fillers, zero width space, word joiner, byte order mark.
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{200b}'
            | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            // Direction: marks, embeddings, overrides, isolates.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Annotations and tags, and what is no character.
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e00ff}' | '\u{fffe}' | '\u{ffff}')
}

/// Whether a character only joins or varies others: zero width (non-)joiner, variation selectors.
const fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_of_what_hides_or_reorders_text() {
        for (text, name) in [
            ("Oak table", "Oak table"),
            ("  Oak \t\r\n table\u{a0}\u{2028}XL ", "Oak table XL"),
            ("Oak\u{0}\u{7}\u{1b}[31m table\u{7f}\u{9b}", "Oak[31m table"),
            ("\u{202e}gnp.elbat\u{202c}", "gnp.elbat"),
            ("\u{2066}a\u{2069}\u{200e}b\u{200f}\u{61c}", "ab"),
            ("\u{feff}O\u{200b}a\u{ad}k\u{2060}", "Oak"),
            ("Oak \u{e0041}\u{e007f}table", "Oak table"),
            ("شال حرير", "شال حرير"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("👩\u{200d}🔬 lamp ❤\u{fe0f}", "👩\u{200d}🔬 lamp ❤\u{fe0f}"),
            // Markup and formulas are text; whoever shows a name escapes it, and CSV defuses it.
            ("<script>alert(1)</script>", "<script>alert(1)</script>"),
            ("=HYPERLINK(\"http://x\")", "=HYPERLINK(\"http://x\")"),
            ("1984", "1984"),
        ] {
            assert_eq!(Name::parse(text).map(|name| name.to_string()).as_deref(), Ok(name), "{text:?}");
        }
    }

    #[test]
    fn a_name_has_something_visible_and_at_most_255_characters() {
        for nothing in ["", " \n", "\u{200b}\u{feff}", "\u{202e}", "\u{200d}\u{fe0f}", "\u{3164}"] {
            assert_eq!(Name::parse(nothing), Err(InvalidName::Invisible), "{nothing:?}");
        }
        assert!(Name::parse(&"ä".repeat(255)).is_ok());
        assert!(Name::parse(&format!("  {}\u{202e} ", "x".repeat(255))).is_ok(), "counted after cleaning");
        assert_eq!(Name::parse(&"x".repeat(256)), Err(InvalidName::TooLong { actual: 256 }));
        assert_eq!(Name::parse(&"a ".repeat(5_000_000)), Err(InvalidName::TooLong { actual: 9_999_999 }));
    }
}
