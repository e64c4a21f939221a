//! Rejections of records that cannot be counted. Each becomes a dead letter with a reason and a
//! detail.

use std::fmt;

use crate::identity::IdentityKey;

/// The reason why a record was rejected. The variants are in the order of checking: if a record has
/// several faults, the one that comes first in this list is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// No payload, or nothing but white space.
    Empty,
    /// Longer than `MAX_RECORD_BYTES`.
    TooLarge,
    /// Not JSON, or not UTF-8.
    NotJson,
    /// JSON, but the record or its payload is not an object.
    NotAnObject,
    /// JSON that PostgreSQL cannot store: it contains NUL, a lone surrogate, or a number or nesting
    /// that exceeds the limits.
    Unstorable,
    /// A field that the family requires is absent, null or blank.
    MissingField,
    /// An id is neither a string nor an integer, or is too long.
    InvalidIdentifier,
    /// An amount, quantity or currency is not valid.
    InvalidAmount,
    /// The stars are not an integer from 1 to 5.
    InvalidRating,
    /// A name is not text, shows nothing, or is too long.
    InvalidName,
    /// A time is not in an accepted format, or is out of range.
    InvalidTimestamp,
    /// The same event was already counted with other content.
    IdentityConflict,
}

impl Reason {
    /// All reasons, in the order of checking.
    pub const ALL: [Self; 12] = [
        Self::Empty,
        Self::TooLarge,
        Self::NotJson,
        Self::NotAnObject,
        Self::Unstorable,
        Self::MissingField,
        Self::InvalidIdentifier,
        Self::InvalidAmount,
        Self::InvalidRating,
        Self::InvalidName,
        Self::InvalidTimestamp,
        Self::IdentityConflict,
    ];

    /// Returns the reason that has this code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// Returns the code that identifies the reason in the database, in metrics and in filters.
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
            Self::InvalidName => "invalid_name",
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

/// The rejection of a record: the reason, and a message for the person who has to repair the
/// record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The reason.
    pub reason: Reason,
    /// A message that names the field and says what is wrong with it.
    pub detail: String,
    /// The identity of the order that the record is about, if its order id could be read.
    pub order: Option<IdentityKey>,
    /// The field whose value the detail quotes, if it quotes one.
    quoted: Option<&'static str>,
}

impl Rejection {
    /// Creates a rejection.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), order: None, quoted: None }
    }

    /// Says which order the record is about.
    #[must_use]
    pub fn about(self, order: Option<IdentityKey>) -> Self {
        Self { order, ..self }
    }

    /// Marks the detail as quoting the value of this field.
    pub(crate) fn quoting(self, field: &'static str) -> Self {
        Self { quoted: Some(field), ..self }
    }

    /// Puts the name of a part of the record in front of the detail.
    pub(crate) fn within(self, part: impl fmt::Display) -> Self {
        Self { detail: format!("{part}: {}", self.detail), ..self }
    }

    /// Removes the quoted value from the detail, if the field is redacted.
    pub(crate) fn without_value(self, is_redacted: impl Fn(&str) -> bool) -> Self {
        match self.quoted {
            Some(field) if is_redacted(field) => {
                // The text before the field's name is the name of the part of the record.
                let part = self.detail.find(field).and_then(|at| self.detail.get(..at)).unwrap_or_default();
                Self::new(self.reason, format!("{part}{field} cannot be used; its value is redacted")).about(self.order)
            }
            _ => self,
        }
    }
}

/// Collects the faults of one record while its fields are read, and keeps the one to report: the
/// first in the order of [`Reason`], and among those of the same reason the first that was found.
#[derive(Debug, Default)]
pub(crate) struct Faults(Option<Rejection>);

impl Faults {
    /// Returns the value, or adds the fault and returns `None`.
    pub(crate) fn keep<T>(&mut self, read: Result<T, Rejection>) -> Option<T> {
        read.map_err(|rejection| self.add(rejection)).ok()
    }

    /// The same as `keep` for a field that may be absent.
    pub(crate) fn keep_optional<T>(&mut self, read: Result<Option<T>, Rejection>) -> Option<T> {
        self.keep(read).flatten()
    }

    pub(crate) fn add(&mut self, rejection: Rejection) {
        if self.0.as_ref().is_none_or(|kept| rejection.reason < kept.reason) {
            self.0 = Some(rejection);
        }
    }

    /// Returns the values of the record after all of them have been read, or the fault to report.
    pub(crate) fn finish<T>(self, values: Option<T>) -> Result<T, Rejection> {
        match (self.0, values) {
            (None, Some(values)) => Ok(values),
            (Some(rejection), _) => Err(rejection),
            // Unreachable: a required value is missing only if its fault was added. If this is ever
            // wrong, a dead letter at least loses nothing.
            (None, None) => Err(Rejection::new(Reason::MissingField, "a required field is missing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_in_the_order_of_checking_is_reported() {
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
