//! The PostgreSQL schema and every SQL statement of the service.
//!
//! Four rooms, each of which uses only those before it: `tables` (one file per table, with its
//! statements), `transactions` (what happens together), `read` (what people ask) and `verify` (counting
//! again from the log). What they share comes first: connections, errors, locks, the schema, batches.

pub mod connection;
pub mod error;
pub mod locks;
pub mod migrations;
#[cfg(feature = "mutants")]
mod mutant;
mod raw_json;
mod schema;

pub mod batch;

pub mod tables;

pub mod transactions;

pub mod read;

pub mod verify;

use chrono::{DateTime, Utc};
use diesel::sql_types::Timestamptz;
use diesel::{QueryableByName, RunQueryDsl, sql_query};

pub use connection::{Connection, DatabaseUrl};
pub use error::DbError;
pub use raw_json::RawJson;

/// The time of the current transaction, by the database's clock.
pub(crate) fn now(connection: &mut Connection) -> Result<DateTime<Utc>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Timestamptz)]
        now: DateTime<Utc>,
    }
    Ok(sql_query("SELECT now() AS now").get_result::<Row>(connection)?.now)
}
