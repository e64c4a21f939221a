//! Connections and read-only transactions. Nothing is ever set on a session: limits and planner
//! settings belong to each transaction, so that they also apply behind a pooler that shares
//! sessions.

mod password;
mod url;

use std::time::Duration;

use diesel::Connection as _;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;

use crate::error::DbError;

pub use url::{DatabaseUrl, InvalidUrl};

/// A connection to PostgreSQL.
pub type Connection = PgConnection;

/// Opens a connection. `application` is the name shown in `pg_stat_activity`.
///
/// # Errors
/// [`DbError::Unreachable`].
pub fn connect(url: &DatabaseUrl, application: &str) -> Result<Connection, DbError> {
    Ok(PgConnection::establish(&url.with_password()?.for_client(application))?)
}

/// How the statements of a transaction are planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plans {
    /// For the values of each execution: how frequent a value is decides how its rows are found.
    ForValues,
    /// Once, for all values: every row is found by its key.
    Once,
}

/// Which data a read-only transaction sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// One snapshot for all statements.
    OneMoment,
    /// What is committed when each statement begins.
    EachStatement,
}

/// A read-only transaction.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Which data it sees.
    pub view: View,
    /// How its statements are planned.
    pub plans: Plans,
    /// Maximum time of a statement. Several statements that make up one list share it.
    pub statement_timeout: Duration,
}

impl Reading {
    /// Begins the transaction. The caller ends it with [`end`].
    ///
    /// # Errors
    /// [`DbError`]; then no transaction is open.
    pub fn begin(self, connection: &mut Connection) -> Result<(), DbError> {
        let isolation = match self.view {
            View::OneMoment => "REPEATABLE READ",
            View::EachStatement => "READ COMMITTED",
        };
        let plans = match self.plans {
            Plans::ForValues => "force_custom_plan",
            Plans::Once => "force_generic_plan",
        };
        let timeout = self.statement_timeout.as_millis();
        // One message, so that it is one round trip.
        let begun = connection.batch_execute(&format!(
            "BEGIN ISOLATION LEVEL {isolation} READ ONLY; SET LOCAL statement_timeout = '{timeout}ms'; \
             SET LOCAL analytics.time_limit = '{timeout}'; SET LOCAL idle_in_transaction_session_timeout = '15s'; SET LOCAL plan_cache_mode = {plans}"
        ));
        begun.inspect_err(|_| end(connection)).map_err(Into::into)
    }

    /// Runs `read` in such a transaction.
    ///
    /// # Errors
    /// Those of `read`, and [`DbError`] if the transaction cannot be begun.
    pub fn run<T, E: From<DbError>>(
        self,
        connection: &mut Connection,
        read: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        self.begin(connection)?;
        let done = read(connection);
        end(connection);
        done
    }
}

/// Limits the following statements to what is left of the transaction's time. A caller that waits
/// for several statements waits for all of them together; without this they could continue for
/// several times the limit after the caller has gone.
pub(crate) fn take_the_rest(connection: &mut Connection) -> Result<(), DbError> {
    Ok(connection.batch_execute(
        "SELECT set_config('statement_timeout', greatest(1, limited.millis - past.millis)::text, true) \
         FROM (SELECT nullif(current_setting('analytics.time_limit', true), '')::bigint) AS limited (millis), \
              (SELECT (extract(epoch FROM clock_timestamp() - now()) * 1000)::bigint) AS past (millis) \
         WHERE limited.millis IS NOT NULL",
    )?)
}

/// Reads in one snapshot that may take long. The caller may disappear, which the limits that are left detect.
///
/// # Errors
/// Those of `part` and of the transaction.
pub(crate) fn long_snapshot<T, E: From<diesel::result::Error>>(
    connection: &mut Connection,
    part: impl FnOnce(&mut Connection) -> Result<T, E>,
) -> Result<T, E> {
    connection.build_transaction().repeatable_read().run(|connection| {
        connection.batch_execute(
            "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '60s'; \
             SET LOCAL client_connection_check_interval = '5s'",
        )?;
        part(connection)
    })
}

/// Tests whether the connection works.
///
/// # Errors
/// [`DbError`] if it does not.
pub fn test(connection: &mut Connection) -> Result<(), DbError> {
    Ok(connection.batch_execute("SELECT 1")?)
}

/// Ends a read-only transaction with ROLLBACK: it changed nothing. If the connection is broken,
/// there is nothing to end.
pub fn end(connection: &mut Connection) {
    if let Err(error) = connection.batch_execute("ROLLBACK") {
        log::debug!("could not end a read-only transaction, its connection is broken: {error}");
    }
}
