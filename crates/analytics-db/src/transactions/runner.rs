//! The one way to run a transaction that writes: with a name, limits, attempts, and somebody who is
//! told how it went.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use diesel::Connection as _;
use diesel::connection::SimpleConnection;
use diesel::result::{DatabaseErrorKind, Error};

use crate::error::{LOCK_TIMEOUT, WriteError};
use crate::{Connection, DbError};

/// How long a statement may take, in seconds. A batch that needs longer has to be smaller.
pub const STATEMENT_SECONDS: u64 = 60;

/// How often a transaction is tried that another one got in the way of.
const ATTEMPTS: u32 = 3;

/// A transaction that is over.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// Its name.
    pub name: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// How often it was tried again, because another transaction got in the way.
    pub repeated: u32,
    /// How long it took, with all attempts.
    pub took: Duration,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was committed.
    Committed,
    /// It was taken back on purpose.
    RolledBack,
    /// It failed, and nothing of it was kept.
    Failed,
}

impl Outcome {
    /// As a label of a metric.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Committed => "committed",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
        }
    }
}

static OBSERVER: OnceLock<Box<dyn Fn(Finished) + Send + Sync>> = OnceLock::new();

/// Has every transaction of this process told when it is over. Only the first call counts.
pub fn observe(observer: impl Fn(Finished) + Send + Sync + 'static) {
    let _is_set = OBSERVER.set(Box::new(observer));
}

/// An error of a transaction, which may be one that trying again mends.
pub(crate) trait Failure: From<Error> + From<DbError> {
    /// The database's part in it.
    fn database(&self) -> Option<&DbError>;
}

impl Failure for DbError {
    fn database(&self) -> Option<&DbError> {
        Some(self)
    }
}

impl Failure for WriteError {
    fn database(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) => Some(error),
            Self::Fenced | Self::AlreadyLogged | Self::Busy | Self::Refused => None,
        }
    }
}

/// Runs a transaction under a name, with limits that let no frozen process block the others. They
/// are set for the one transaction only, so that they hold through a pooler too. Where it gets into
/// a deadlock with another one it is tried again.
///
/// # Errors
/// Those of `work`; nothing is changed then.
pub(crate) fn run<T, E: Failure>(
    connection: &mut Connection,
    name: &'static str,
    work: impl FnMut(&mut Connection) -> Result<T, E>,
) -> Result<T, E> {
    attempt(connection, name, ATTEMPTS, work)
}

/// The same without trying again: for those who do that themselves, as long as their work is
/// wanted.
pub(crate) fn run_once<T, E: Failure>(
    connection: &mut Connection,
    name: &'static str,
    work: impl FnMut(&mut Connection) -> Result<T, E>,
) -> Result<T, E> {
    attempt(connection, name, 1, work)
}

fn attempt<T, E: Failure>(
    connection: &mut Connection,
    name: &'static str,
    attempts: u32,
    mut work: impl FnMut(&mut Connection) -> Result<T, E>,
) -> Result<T, E> {
    let began = Instant::now();
    let mut attempt = 1;
    let done = loop {
        let done = connection.transaction(|connection| {
            limit(connection)?;
            work(connection)
        });
        match done {
            Err(error) if attempt < attempts && is_in_the_way(&error) => attempt += 1,
            done => break done,
        }
    };
    if let Some(observer) = OBSERVER.get() {
        let outcome = match done.as_ref().map_err(Failure::database) {
            Ok(_) => Outcome::Committed,
            Err(Some(DbError::Statement(Error::RollbackTransaction))) => Outcome::RolledBack,
            Err(_) => Outcome::Failed,
        };
        observer(Finished { name, outcome, repeated: attempt - 1, took: began.elapsed() });
    }
    done
}

fn limit(connection: &mut Connection) -> Result<(), DbError> {
    Ok(connection.batch_execute(&format!(
        "SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'; \
         SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL client_connection_check_interval = '5s'"
    ))?)
}

/// Whether a deadlock, or a conflict between snapshots, was resolved at this transaction's expense.
/// Where the server speaks another language than English, a deadlock is an error like others.
fn is_in_the_way<E: Failure>(error: &E) -> bool {
    match error.database() {
        Some(DbError::Statement(Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _))) => true,
        Some(DbError::Statement(Error::DatabaseError(_, info))) => info.message() == "deadlock detected",
        _ => false,
    }
}
