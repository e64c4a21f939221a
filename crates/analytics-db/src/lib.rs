//! The PostgreSQL schema and every SQL statement of the service.
//!
//! `write` is the one transaction that counts a batch; its modules stand in the order of its
//! statements. `logged` reads events back, and `audit` counts them again. `read` is what the API asks. The rest is what processes need before either.

pub mod connection;
pub mod error;
pub mod locks;
pub mod migrations;
pub mod partitions;
pub mod service_settings;

mod schema;

pub mod write;

pub mod offsets;

pub mod topics;

pub mod dead_letters;

pub mod logged;

pub mod audit;

pub mod read;

use chrono::{DateTime, Utc};
use diesel::sql_types::Timestamptz;
use diesel::{QueryableByName, RunQueryDsl, sql_query};

pub use connection::{Connection, DatabaseUrl};
pub use error::DbError;

/// The time of the current transaction, by the database's clock.
pub(crate) fn now(connection: &mut Connection) -> Result<DateTime<Utc>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Timestamptz)]
        now: DateTime<Utc>,
    }
    Ok(sql_query("SELECT now() AS now").get_result::<Row>(connection)?.now)
}
