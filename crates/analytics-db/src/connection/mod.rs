//! Connections, and transactions that only read. Nothing is ever set on a session: limits and plans go
//! with each transaction, so that they hold through a pooler that shares sessions, and end with it.

mod url;

use std::time::Duration;

use diesel::Connection as _;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;

use crate::error::DbError;

pub use url::{DatabaseUrl, InvalidUrl};

/// One connection.
pub type Connection = PgConnection;

/// Opens one connection. `application` is what `pg_stat_activity` shows.
///
/// # Errors
/// [`DbError::Unreachable`].
pub fn connect(url: &DatabaseUrl, application: &str) -> Result<Connection, DbError> {
    Ok(PgConnection::establish(&url.for_client(application))?)
}

/// How the statements of a transaction are planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plans {
    /// For the values that are asked for: how often something occurs decides how it is found.
    ForValues,
    /// Once, for whatever values: everything is found by its key.
    Once,
}

/// What a transaction that only reads sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// One moment, whatever is committed meanwhile.
    OneMoment,
    /// With each statement what is committed by then.
    EachStatement,
}

/// A transaction that only reads.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// What it sees.
    pub view: View,
    /// How its statements are planned.
    pub plans: Plans,
    /// How long a statement may take; several that make up one list take no longer together.
    pub statement_timeout: Duration,
}

impl Reading {
    /// Begins it. The caller ends it with [`end`].
    ///
    /// # Errors
    /// [`DbError`]; no transaction is open then.
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
        // One message: one round trip.
        let begun = connection.batch_execute(&format!(
            "BEGIN ISOLATION LEVEL {isolation} READ ONLY; SET LOCAL statement_timeout = '{timeout}ms'; \
             SET LOCAL analytics.time_limit = '{timeout}'; SET LOCAL idle_in_transaction_session_timeout = '15s'; SET LOCAL plan_cache_mode = {plans}"
        ));
        begun.inspect_err(|_| end(connection)).map_err(Into::into)
    }

    /// Reads in such a transaction.
    ///
    /// # Errors
    /// Those of `read`, and [`DbError`] where the transaction cannot be begun.
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

/// Gives the statements that follow what is left of the transaction's time. Whoever waits for several statements
/// waits for all of them, and has gone by then: they must not go on for that many times as long.
pub(crate) fn take_the_rest(connection: &mut Connection) -> Result<(), DbError> {
    Ok(connection.batch_execute(
        "SELECT set_config('statement_timeout', greatest(1, limited.millis - past.millis)::text, true) \
         FROM (SELECT nullif(current_setting('analytics.time_limit', true), '')::bigint) AS limited (millis), \
              (SELECT (extract(epoch FROM clock_timestamp() - now()) * 1000)::bigint) AS past (millis) \
         WHERE limited.millis IS NOT NULL",
    )?)
}

/// Asks whether the connection works.
///
/// # Errors
/// [`DbError`] where it does not.
pub fn test(connection: &mut Connection) -> Result<(), DbError> {
    Ok(connection.batch_execute("SELECT 1")?)
}

/// Ends a transaction that only read: nothing is kept, and nothing is lost. Where the connection broke
/// there is nothing to end.
pub fn end(connection: &mut Connection) {
    if let Err(error) = connection.batch_execute("ROLLBACK") {
        log::debug!("a transaction ended with its connection: {error}");
    }
}
