//! Every advisory lock of the service, and the right to do something that nobody else does meanwhile.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;

use crate::connection::{DatabaseUrl, connect, end};
use crate::error::{LOCK_TIMEOUT, WriteError};
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// What is done by one at a time. The numbers are arbitrary, and fixed for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub enum Lock {
    /// Adding to metrics: no two writers can wait for each other's rows.
    Counting = 0x636f_756e_7469_6e67,
    /// Changing the schema.
    Migration = 0x616e_616c_7974_6963,
    /// Making indexes on quiet partitions.
    Indexing = 0x6578_696e_6465_7865,
    /// Repairing numbers, from before the snapshot to the commit: two repairs at once would both add what
    /// is missing.
    Repair = 0x7265_7061_6972_0001,
}

impl Lock {
    /// Waits for the lock, and holds it until the end of the transaction.
    pub(crate) fn take(self, connection: &mut Connection) -> Result<(), DbError> {
        statement("SELECT pg_advisory_xact_lock($1)").value(self as i64).execute(connection)?;
        Ok(())
    }
}

/// How long a writer stands in the queue for the counting lock before it lets others pass.
const QUEUE_TIMEOUT: &str = "30s";
/// What fails later than this failed by that timeout.
const IN_THE_QUEUE: Duration = Duration::from_secs(25);

/// The right to add to the numbers, which a transaction has from here to its end. No two add at once, so
/// neither can wait for the other's rows.
#[derive(Debug)]
pub(crate) struct CountingLock(());

impl CountingLock {
    /// Waits for the right. The queue moves on: waiting in it is no failure.
    pub(crate) fn take(connection: &mut Connection) -> Result<Self, WriteError> {
        let (lock, began) = (Lock::Counting as i64, Instant::now());
        // One message: one round trip.
        let taken = connection.batch_execute(&format!(
            "SET LOCAL lock_timeout = '{QUEUE_TIMEOUT}'; SELECT pg_advisory_xact_lock({lock}); \
             SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"
        ));
        taken.map(|()| Self(())).map_err(|error| match error.into() {
            DbError::Statement(_) if began.elapsed() > IN_THE_QUEUE => WriteError::Busy,
            error => WriteError::Database(error),
        })
    }
}

/// The right to do something alone, for as long as this lives. It is a lock of a transaction on a
/// connection of its own: a lock of a session would stay behind in a pooler.
pub struct Guard {
    connection: Connection,
}

impl Guard {
    /// Waits for the right.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn wait(url: &DatabaseUrl, lock: Lock) -> Result<Self, DbError> {
        let mut guard = Self::open(url)?;
        lock.take(&mut guard.connection)?;
        guard.check()?;
        Ok(guard)
    }

    /// The right, if nobody has it.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn at_once(url: &DatabaseUrl, lock: Lock) -> Result<Option<Self>, DbError> {
        row! {
            struct Row {
                free: bool,
            }
        }
        let mut guard = Self::open(url)?;
        let row: Row = statement("SELECT pg_try_advisory_xact_lock($1) AS free")
            .value(lock as i64)
            .get_result(&mut guard.connection)?;
        guard.check()?;
        Ok(row.free.then_some(guard))
    }

    /// Begins the transaction, which the server ends soon after its client is gone without a word. At rest it
    /// has no snapshot and so holds nothing up.
    fn open(url: &DatabaseUrl) -> Result<Self, DbError> {
        let mut connection = connect(url, "analytics-guard")?;
        connection.batch_execute(
            "BEGIN; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; \
             SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL tcp_keepalives_idle = 5; \
             SET LOCAL tcp_keepalives_interval = 3; SET LOCAL tcp_keepalives_count = 3",
        )?;
        Ok(Self { connection })
    }

    /// Checks that the right was not lost with its connection. It also ends the statement before, whose
    /// snapshot would stay until the next one, and hold up whoever makes an index.
    ///
    /// # Errors
    /// [`DbError`] where it was.
    pub fn check(&mut self) -> Result<(), DbError> {
        Ok(self.connection.batch_execute("SELECT 1")?)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        end(&mut self.connection);
    }
}
