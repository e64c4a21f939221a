//! Shortens values for messages, and decides which values a message may show.

/// Greatest number of characters of a value that are quoted in a message.
const ROOM: usize = 40;

/// Returns a value, cut to 40 characters and `…` if it is longer.
#[must_use]
pub(crate) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(ROOM) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Returns the value of a setting if it is certainly not a secret that was entered in the wrong
/// place: at most 16 characters that are either lowercase letters and `-_./=`, or digits and `-+.`.
#[must_use]
pub fn harmless(value: &str) -> Option<&str> {
    let word = value.bytes().all(|b| b.is_ascii_lowercase() || b"-_./=".contains(&b));
    let number = value.bytes().all(|b| b.is_ascii_digit() || b"-+.".contains(&b));
    (value.len() <= 16 && (word || number)).then_some(value)
}

/// Returns the end of a message about the value of a setting: `, got "soon"` if the value may be
/// shown, otherwise nothing.
pub(crate) fn got(value: &str) -> String {
    harmless(value).map(|value| format!(", got {value:?}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_that_cannot_be_secrets_are_shown() {
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
