//! The advisory locks of the service, and guards that hold them.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;

use crate::connection::{DatabaseUrl, connect, end};
use crate::error::{LOCK_TIMEOUT, WriteError};
use crate::sql::{row, statement};
use crate::{Connection, DbError};

/// Work that only one session at a time may do. The lock numbers are arbitrary and must never
/// change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i64)]
pub enum Lock {
    /// Adding to the numbers: one transaction at a time does. Ingest logs without it.
    Counting = 0x636f_756e_7469_6e67,
    /// Changing the schema.
    Migration = 0x616e_616c_7974_6963,
    /// Creating indexes on quiet partitions.
    Indexing = 0x6578_696e_6465_7865,
    /// Which generation of identities is the newest. Every batch shares it.
    Generations = 0x6765_6e65_7261_7469,
    /// Auditing: several audits would read the same records.
    Audit = 0x6175_6469_7400_0001,
    /// Storing anomalies: two runs would both store what neither has found stored.
    Anomalies = 0x616e_6f6d_616c_6965,
    /// Queueing what verify found: two runs would both tell it.
    Notifications = 0x6e6f_7469_6679_0001,
    /// Delivering alerts: two jobs would deliver each twice.
    Alerts = 0x6e6f_7469_6679_0002,
    /// Delivering the weeks of sellers, which alerts do not wait for.
    Weeks = 0x6e6f_7469_6679_0003,
    /// Repairing numbers. Held from before the snapshot until the commit: two concurrent repairs
    /// would both add what is missing.
    Repair = 0x7265_7061_6972_0001,
}

impl Lock {
    /// Waits for the lock, and holds it until the end of the transaction.
    pub(crate) fn take(self, connection: &mut Connection) -> Result<(), DbError> {
        statement("SELECT pg_advisory_xact_lock($1)").value(self as i64).execute(connection)?;
        Ok(())
    }

    /// Waits until nobody has the lock alone, and shares it until the end of the transaction.
    pub(crate) fn share(self, connection: &mut Connection) -> Result<(), DbError> {
        statement("SELECT pg_advisory_xact_lock_shared($1)").value(self as i64).execute(connection)?;
        Ok(())
    }

    /// Takes the lock until the end of the transaction, if it is free. Returns whether it was.
    fn take_if_free(self, connection: &mut Connection) -> Result<bool, DbError> {
        row! {
            struct Row {
                free: bool,
            }
        }
        let row: Row =
            statement("SELECT pg_try_advisory_xact_lock($1) AS free").value(self as i64).get_result(connection)?;
        Ok(row.free)
    }
}

/// How long a job or an adjustment waits for the counting lock before it gives up and lets others go first.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(30);

/// A token that shows that the transaction holds the counting lock, from here to its end. Only one
/// transaction at a time adds to the numbers, so two of them never wait for each other's rows.
#[derive(Debug)]
pub(crate) struct CountingLock(());

impl CountingLock {
    /// Takes the counting lock if it is free. Returns `None` if another transaction holds it.
    pub(crate) fn take_if_free(connection: &mut Connection) -> Result<Option<Self>, DbError> {
        Ok(Lock::Counting.take_if_free(connection)?.then_some(Self(())))
    }

    /// Waits for the counting lock, at most [`QUEUE_TIMEOUT`].
    pub(crate) fn take(connection: &mut Connection) -> Result<Self, WriteError> {
        Self::take_within(connection, QUEUE_TIMEOUT)
    }

    /// Waits for the counting lock, at most this long. After that it is [`WriteError::Busy`], which is
    /// not a failure of the database: other writers make progress meanwhile.
    pub(crate) fn take_within(connection: &mut Connection, time: Duration) -> Result<Self, WriteError> {
        let (lock, began) = (Lock::Counting as i64, Instant::now());
        // One message, so that it is one round trip.
        let taken = connection.batch_execute(&format!(
            "SET LOCAL lock_timeout = {}; SELECT pg_advisory_xact_lock({lock}); SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'",
            time.as_millis()
        ));
        taken.map(|()| Self(())).map_err(|error| match error.into() {
            // A statement that fails so late was ended by that timeout.
            DbError::Statement(_) if began.elapsed() > time.mul_f64(0.8) => WriteError::Busy,
            error => WriteError::Database(error),
        })
    }
}

/// Holds an advisory lock until it is dropped. The lock belongs to a transaction on a connection of
/// its own: a session's lock would stay behind in a pooler.
pub struct Guard {
    connection: Connection,
}

impl Guard {
    /// Waits for the lock, without a time limit.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn wait(url: &DatabaseUrl, lock: Lock) -> Result<Self, DbError> {
        let mut guard = Self::open(url)?;
        lock.take(&mut guard.connection)?;
        guard.check()?;
        Ok(guard)
    }

    /// Takes the lock if it is free. Returns `None` if another session holds it.
    ///
    /// # Errors
    /// [`DbError`].
    pub fn at_once(url: &DatabaseUrl, lock: Lock) -> Result<Option<Self>, DbError> {
        let mut guard = Self::open(url)?;
        let is_taken = lock.take_if_free(&mut guard.connection)?;
        guard.check()?;
        Ok(is_taken.then_some(guard))
    }

    /// Begins the transaction. If this process disappears without closing the connection, the
    /// server ends the transaction soon, by TCP keepalives. While idle, the transaction has no
    /// snapshot and so blocks nothing.
    fn open(url: &DatabaseUrl) -> Result<Self, DbError> {
        let mut connection = connect(url, "analytics-guard")?;
        connection.batch_execute(
            "BEGIN; SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0; \
             SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL tcp_keepalives_idle = 5; \
             SET LOCAL tcp_keepalives_interval = 3; SET LOCAL tcp_keepalives_count = 3",
        )?;
        Ok(Self { connection })
    }

    /// Checks that the lock was not lost together with its connection. This also ends the previous
    /// statement, whose snapshot would otherwise last until the next statement and block the
    /// creation of an index.
    ///
    /// # Errors
    /// [`DbError`] if it was lost.
    pub fn check(&mut self) -> Result<(), DbError> {
        Ok(self.connection.batch_execute("SELECT 1")?)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        end(&mut self.connection);
    }
}
