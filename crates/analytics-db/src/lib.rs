//! The PostgreSQL schema and every SQL statement of the service.
//!
//! `write` is the one transaction that counts a batch; its modules stand in the order of its
//! statements. `logged` reads events back, and `audit` counts them again. `read` is what the API asks. The rest is what processes need before either.

pub mod connection;
pub mod error;
pub mod migrations;
pub mod partitions;
pub mod service_settings;

mod schema;

pub mod write;

pub mod offsets;

pub mod logged;

pub mod audit;

pub mod read;

pub use connection::{Connection, Pool};
pub use error::DbError;
