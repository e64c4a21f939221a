//! The PostgreSQL schema and every SQL statement of the service.
//!
//! It has five parts, each of which uses only those before it: `tables` (one file per table, with
//! its statements), `transactions` (what is committed together), `read` (the queries of the API),
//! `verify` (recounting from the event log) and `closing` (statements of months that are over). Before them come the modules that they share:
//! connections, errors, locks, the schema, batches.

pub mod connection;
pub mod error;
pub mod locks;
pub mod migrations;
#[cfg(feature = "mutants")]
mod mutant;
mod raw_json;
mod resting;
pub mod roles;
mod schema;
mod sql;
pub mod usable;

pub mod batch;

pub mod tables;

pub mod transactions;

pub mod read;

pub mod verify;

pub mod closing;

use crate::sql::{row, statement};
use chrono::{DateTime, Utc};

pub use connection::{Connection, DatabaseUrl};
pub use error::DbError;
pub use raw_json::RawJson;

/// Returns the time of the database's clock, which is the only clock used for stored times.
pub(crate) fn now(connection: &mut Connection) -> Result<DateTime<Utc>, DbError> {
    row! {
        struct Row {
            now: DateTime<Utc>,
        }
    }
    Ok(statement("SELECT clock_timestamp() AS now").get_result::<Row>(connection)?.now)
}
