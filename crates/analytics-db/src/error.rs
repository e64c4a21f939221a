//! What can go wrong with the database, by what to do about it.

use diesel::result::{DatabaseErrorKind, Error};

/// A failure of the database. None of them is ever the fault of a record: see
/// [`WriteError`] for that.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection, or it broke. Try again.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// A statement failed on a living connection: a timeout, a deadlock, a full disk. Try again.
    #[error("a statement failed: {0}")]
    Statement(Error),
    /// Others held the counting lock for too long. Try again.
    #[error("other writers were counting all the time")]
    Busy,
    /// The database is not one that this version can work with. Trying again does not help.
    #[error("{0}")]
    Unusable(String),
}

impl DbError {
    /// Whether trying again later may help: the database is away, slow, full, or busy with somebody else's work.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Busy => true,
            // Of a statement that is wrong in itself the server tells where; of time limits, locks and full disks
            // it does not. Its words are in its own language.
            Self::Statement(Error::DatabaseError(DatabaseErrorKind::Unknown, info)) => {
                info.statement_position().is_none()
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

/// How long a lock is waited for that somebody else has: longer than anybody needs it who is well.
pub(crate) const LOCK_TIMEOUT: &str = "5s";

/// Why a batch was not written. In every case nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else moved an offset of the batch: drop it and start from what is stored.
    #[error("another worker owns a partition of the batch, or its offset was set")]
    Fenced,
    /// An event's id is in the log already: write again with [`Reread::Possible`](crate::batch::Reread::Possible).
    #[error("events of the batch are in the log already")]
    AlreadyLogged,
    /// Others were counting all the time: write again.
    #[error("other writers were counting all the time")]
    Busy,
    /// A sum does not fit PostgreSQL's `bigint`: some record of the batch is refused.
    #[error("a sum is past the limits of bigint")]
    Refused,
    /// The database failed: try again.
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        match error {
            // Not an index that an operator added: that is theirs to take away.
            Error::DatabaseError(DatabaseErrorKind::UniqueViolation, info)
                if info.table_name().is_some_and(|table| table.starts_with("event_logs"))
                    && info.constraint_name().is_some_and(|name| name.ends_with("_pkey")) =>
            {
                Self::AlreadyLogged
            }
            error => Self::Database(error.into()),
        }
    }
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
