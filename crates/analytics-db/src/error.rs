//! What can go wrong with the database, by what to do about it.

use diesel::result::{DatabaseErrorKind, Error};

/// A failure of the database. None of them is ever the fault of a record: see
/// [`crate::write::WriteError`] for that.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// No connection, or it broke. Try again.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// A statement failed on a living connection: a timeout, a deadlock, a full disk. Try again.
    #[error("a statement failed: {0}")]
    Statement(Error),
    /// The database is not one that this version can work with. Trying again does not help.
    #[error("{0}")]
    Unusable(String),
}

impl From<Error> for DbError {
    fn from(error: Error) -> Self {
        match error {
            Error::DatabaseError(DatabaseErrorKind::ClosedConnection, info) => {
                Self::Unreachable(info.message().trim().to_owned())
            }
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
