//! What becomes of a record that cannot be counted: one dead letter, with a reason and a sentence.

use std::fmt;

use crate::json::Redaction;

/// Why a record was refused. The variants stand in the order in which they are checked:
/// of several faults in one record the first in this list is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No payload, or nothing but white space.
    Empty,
    /// Longer than `MAX_RECORD_BYTES`.
    TooLarge,
    /// Not JSON, or not UTF-8.
    NotJson,
    /// JSON, but the record or its payload is no object.
    NotAnObject,
    /// JSON that PostgreSQL cannot hold: NUL, a lone surrogate, a number or a nesting past its
    /// limits.
    Unstorable,
    /// A field that the family needs is absent, null or blank.
    MissingField,
    /// An id that is neither a string nor an integer, or too long.
    InvalidIdentifier,
    /// An amount, quantity or currency that no money can have.
    InvalidAmount,
    /// Stars that are no integer from 1 to 5.
    InvalidRating,
    /// A time that cannot be read, or is out of range.
    InvalidTimestamp,
    /// The same event as one already counted, but with other content.
    IdentityConflict,
}

impl Reason {
    /// Every reason, in the order of checking.
    pub const ALL: [Self; 11] = [
        Self::Empty,
        Self::TooLarge,
        Self::NotJson,
        Self::NotAnObject,
        Self::Unstorable,
        Self::MissingField,
        Self::InvalidIdentifier,
        Self::InvalidAmount,
        Self::InvalidRating,
        Self::InvalidTimestamp,
        Self::IdentityConflict,
    ];

    /// The reason of a code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// The code under which it is stored, counted and filtered.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLarge => "too_large",
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::Unstorable => "unstorable",
            Self::MissingField => "missing_field",
            Self::InvalidIdentifier => "invalid_identifier",
            Self::InvalidAmount => "invalid_amount",
            Self::InvalidRating => "invalid_rating",
            Self::InvalidTimestamp => "invalid_timestamp",
            Self::IdentityConflict => "identity_conflict",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A refused record: the reason, and a sentence for the person who has to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Which rule refused it.
    pub reason: Reason,
    /// Names the field and what is wrong with it.
    pub detail: String,
    /// The field whose value the detail quotes, if it quotes one.
    quoted: Option<&'static str>,
}

impl Rejection {
    /// A rejection for `reason` with its sentence.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), quoted: None }
    }

    /// The same; its detail quotes the value of this field.
    pub(crate) fn quoting(self, field: &'static str) -> Self {
        Self { quoted: Some(field), ..self }
    }

    /// The same about a part of the record.
    pub(crate) fn within(self, part: impl fmt::Display) -> Self {
        Self { detail: format!("{part}: {}", self.detail), ..self }
    }

    /// The same without the value that it quotes, if that must not be stored.
    pub(crate) fn redacted(self, redaction: &Redaction) -> Self {
        match self.quoted {
            Some(field) if redaction.names(field) => {
                // What comes before the field's name is the part of the record.
                let part = self.detail.find(field).and_then(|at| self.detail.get(..at)).unwrap_or_default();
                Self::new(self.reason, format!("{part}{field} cannot be used; its value is redacted"))
            }
            _ => self,
        }
    }
}

/// Collects the faults of one record while its fields are read, and keeps the one to name:
/// the first in [`Reason`]'s order, and of several of one reason the first that was met.
#[derive(Debug, Default)]
pub(crate) struct Faults(Option<Rejection>);

impl Faults {
    /// Passes a good value on and keeps a fault.
    pub(crate) fn keep<T>(&mut self, read: Result<T, Rejection>) -> Option<T> {
        read.map_err(|rejection| self.add(rejection)).ok()
    }

    /// The same for a field that may be absent.
    pub(crate) fn keep_optional<T>(&mut self, read: Result<Option<T>, Rejection>) -> Option<T> {
        self.keep(read).flatten()
    }

    pub(crate) fn add(&mut self, rejection: Rejection) {
        if self.0.as_ref().is_none_or(|kept| rejection.reason < kept.reason) {
            self.0 = Some(rejection);
        }
    }

    /// The record's values, now that all of them have been read, or the fault to name.
    pub(crate) fn finish<T>(self, values: Option<T>) -> Result<T, Rejection> {
        match (self.0, values) {
            (None, Some(values)) => Ok(values),
            (Some(rejection), _) => Err(rejection),
            // Unreachable: a needed value is absent only where its fault was kept. A dead
            // letter is the answer that loses nothing if this is ever wrong.
            (None, None) => Err(Rejection::new(Reason::MissingField, "a needed field is absent")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_in_the_order_of_checking_is_named() {
        let mut faults = Faults::default();
        faults.add(Rejection::new(Reason::InvalidTimestamp, "time"));
        faults.add(Rejection::new(Reason::MissingField, "first"));
        faults.add(Rejection::new(Reason::MissingField, "second"));
        faults.add(Rejection::new(Reason::InvalidAmount, "amount"));
        assert_eq!(faults.finish(Some(())), Err(Rejection::new(Reason::MissingField, "first")));
    }

    #[test]
    fn the_list_of_reasons_is_in_the_order_of_checking() {
        assert!(Reason::ALL.is_sorted());
    }
}
