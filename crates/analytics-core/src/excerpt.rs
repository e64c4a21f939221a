//! As much of somebody else's text as a message has room for, and may show.

/// How many characters of a value a sentence has room for.
const ROOM: usize = 40;

/// The beginning of a value that may be of any length.
#[must_use]
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(ROOM) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The value of a setting, if it is certain to be no secret that was put into the wrong place: a short
/// word in small letters, or a number.
#[must_use]
pub fn harmless(value: &str) -> Option<&str> {
    let word = value.bytes().all(|b| b.is_ascii_lowercase() || b"-_./=".contains(&b));
    let number = value.bytes().all(|b| b.is_ascii_digit() || b"-+.".contains(&b));
    (value.len() <= 16 && (word || number)).then_some(value)
}

/// The end of a sentence about a value of a setting: `, got "soon"` where it can be shown.
pub(crate) fn got(value: &str) -> String {
    harmless(value).map(|value| format!(", got {value:?}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_no_secret_is_shown() {
        for value in ["soon", "0", "-1", "read-write", "order.created"] {
            assert_eq!(harmless(value), Some(value));
        }
        for value in ["hunter2", "Secret", "correct horse", "a-word-that-is-too-long", "postgresql://u@h/d", "p@ss"] {
            assert_eq!(harmless(value), None);
        }
    }

    #[test]
    fn excerpts_end_between_characters() {
        assert_eq!(excerpt("short"), "short");
        assert_eq!(excerpt(&"é".repeat(41)), format!("{}…", "é".repeat(40)));
    }
}
