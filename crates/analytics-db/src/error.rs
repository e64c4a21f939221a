//! Errors of the database, classified by what the caller should do.

use diesel::result::{DatabaseErrorKind, Error};

/// A failure of the database. A record is never the cause; failures that records may cause are in
/// [`WriteError`].
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection could be opened, or it broke. Try again.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// A statement failed on a working connection: a timeout, a deadlock, a full disk. Try again.
    #[error("a statement failed: {0}")]
    Statement(Error),
    /// The counting lock was not free for too long. Try again.
    #[error("the counting lock was held by other writers for too long")]
    Busy,
    /// The database has no schema or no settings yet, or an older schema than this version needs. Wait
    /// until it is migrated.
    #[error("{0}")]
    NotMigrated(String),
    /// This version cannot work with the database. Trying again does not help.
    #[error("{0}")]
    Unusable(String),
}

/// What PostgreSQL says, in English, of two transactions that wait for each other.
pub(crate) const DEADLOCK: &str = "deadlock detected";
/// What it says of a statement that came into the way of others. While it is analysed, as when a migration holds a table,
/// these have a position.
pub(crate) const IN_THE_WAY: [&str; 3] =
    [DEADLOCK, "canceling statement due to lock timeout", "canceling statement due to statement timeout"];

impl DbError {
    /// Returns whether trying again later may help: the database is unreachable, slow, full, busy
    /// with other work, or not migrated yet.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Busy | Self::NotMigrated(_) => true,
            // For a statement that is itself wrong, the server reports the position of the error;
            // for time limits, locks and full disks it mostly does not. Its messages may be in any
            // language.
            Self::Statement(Error::DatabaseError(DatabaseErrorKind::Unknown, info)) => {
                info.statement_position().is_none() || IN_THE_WAY.contains(&info.message())
            }
            Self::Statement(Error::DatabaseError(kind, _)) => {
                matches!(kind, DatabaseErrorKind::SerializationFailure | DatabaseErrorKind::ReadOnlyTransaction)
            }
            Self::Statement(error) => matches!(error, Error::RollbackErrorOnCommit { .. }),
            Self::Unusable(_) => false,
        }
    }
}

impl From<Error> for DbError {
    fn from(error: Error) -> Self {
        match error {
            Error::DatabaseError(
                DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
                info,
            ) => Self::Unreachable(info.message().trim().to_owned()),
            Error::BrokenTransactionManager => Self::Unreachable("the connection broke in a transaction".into()),
            error => Self::Statement(error),
        }
    }
}

impl From<diesel::ConnectionError> for DbError {
    fn from(error: diesel::ConnectionError) -> Self {
        Self::Unreachable(error.to_string().trim().to_owned())
    }
}

/// How long a transaction waits for a lock that another one holds: longer than any healthy
/// transaction holds one. The counting lock has a timeout of its own.
pub(crate) const LOCK_TIMEOUT: &str = "5s";

/// Why a batch was not written. Nothing of it was committed in any of these cases.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A stored offset is not where the batch expects it: drop the batch and start from the stored
    /// offset.
    #[error(
        "a stored offset is not where the batch expects it: another worker owns the partition, or the offset was set"
    )]
    Fenced,
    /// The id of an event is in the log already: write again with
    /// [`Reread::Possible`](crate::batch::Reread::Possible).
    #[error("events of the batch are in the log already")]
    AlreadyLogged,
    /// The counting lock was not free for too long: write again.
    #[error("the counting lock was held by other writers for too long")]
    Busy,
    /// An adjustment starts from, or needs, a number that does not fit PostgreSQL's `bigint`.
    #[error("a sum exceeds the range of bigint")]
    Refused,
    /// The database failed. Try again if that [may help](DbError::is_temporary).
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        match error {
            // Only the primary keys of the log. A unique index that an operator added is the
            // operator's to drop.
            Error::DatabaseError(DatabaseErrorKind::UniqueViolation, info)
                if info.table_name().is_some_and(|table| table.starts_with("event_logs"))
                    && info.constraint_name().is_some_and(is_primary_key) =>
            {
                Self::AlreadyLogged
            }
            error => Self::Database(error.into()),
        }
    }
}

/// Whether a constraint has the name that PostgreSQL gives to primary keys. If that is taken, it adds a number.
fn is_primary_key(name: &str) -> bool {
    name.trim_end_matches(|end: char| end.is_ascii_digit()).ends_with("_pkey")
}

impl From<WriteError> for DbError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Database(error) => error,
            WriteError::Busy => Self::Busy,
            WriteError::Fenced | WriteError::AlreadyLogged | WriteError::Refused => Self::Unusable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primary_keys_are_known_by_their_names() {
        for (name, expected) in [
            ("event_logs_2026_11_01_pkey", true),
            ("event_logs_default_pkey1", true),
            ("event_logs_rest_pkey12", true),
            ("theirs", false),
            ("event_logs_pkey_of_theirs", false),
        ] {
            assert_eq!(is_primary_key(name), expected, "{name}");
        }
    }
}
