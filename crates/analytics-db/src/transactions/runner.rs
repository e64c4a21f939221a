//! Runs every transaction that writes: with a name, time limits, several attempts, and an observer
//! that is called when it ends.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use diesel::Connection as _;
use diesel::connection::SimpleConnection;
use diesel::result::{DatabaseErrorKind, Error};

use crate::error::{DEADLOCK, LOCK_TIMEOUT, WriteError};
use crate::{Connection, DbError};

/// Maximum time of a statement, in seconds. A batch that needs longer has to be smaller.
pub const STATEMENT_SECONDS: u64 = 60;

/// Maximum number of attempts of a transaction that conflicts with others.
const ATTEMPTS: u32 = 3;

/// A transaction that has ended.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// Its name.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// How often it was repeated because it conflicted with another transaction.
    pub repeated: u32,
    /// How long it took, including all attempts.
    pub took: Duration,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was committed.
    Committed,
    /// It was rolled back on purpose.
    RolledBack,
    /// It failed, and was rolled back.
    Failed,
}

impl Outcome {
    /// Returns the value used as a metric label.
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

/// Registers a function that is called whenever a transaction of this process ends. Only the first
/// call has an effect.
pub fn observe(observer: impl Fn(Finished) + Send + Sync + 'static) {
    let _is_set = OBSERVER.set(Box::new(observer));
}

/// An error of a transaction. Some are resolved by trying again.
pub(crate) trait Failure: From<Error> + From<DbError> {
    /// Returns the database error that it contains, if it does.
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

/// Runs a transaction with a name, and with limits that keep a frozen process from blocking others.
/// The limits are set for this transaction only, so that they also apply behind a pooler. After a
/// deadlock or a serialization failure the transaction is tried again.
///
/// # Errors
/// Those of `work`; then nothing is changed.
pub(crate) fn run<T, E: Failure>(
    connection: &mut Connection,
    name: &'static str,
    work: impl FnMut(&mut Connection) -> Result<T, E>,
) -> Result<T, E> {
    attempt(connection, name, ATTEMPTS, work)
}

/// Like [`run`], but without further attempts: for callers that try again themselves as long as
/// their work is wanted.
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

/// While the server waits for its client to read an answer, no time limit of the server applies but that of
/// TCP: a process that froze then loses its connection by it.
fn limit(connection: &mut Connection) -> Result<(), DbError> {
    Ok(connection.batch_execute(&format!(
        "SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL statement_timeout = '{STATEMENT_SECONDS}s'; \
         SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL client_connection_check_interval = '5s'; \
         SET LOCAL tcp_user_timeout = '10s'"
    ))?)
}

/// Returns whether this transaction failed because of a deadlock or a serialization failure. A
/// deadlock is recognised by its English message only; with a server in another language it is an
/// ordinary error.
fn is_in_the_way<E: Failure>(error: &E) -> bool {
    match error.database() {
        Some(DbError::Statement(Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _))) => true,
        Some(DbError::Statement(Error::DatabaseError(_, info))) => info.message() == DEADLOCK,
        _ => false,
    }
}
