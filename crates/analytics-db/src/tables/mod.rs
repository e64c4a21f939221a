//! The tables: one file each, with the statements that write and read it. Long statements are files
//! beside the one that uses them.
//!
//! A function that adds to the numbers takes the `CountingLock`: only a
//! transaction that holds it may.

pub mod batches;
pub mod dead_letters;
pub(crate) mod event_days;
pub mod event_keys;
pub(crate) mod event_log;
pub mod ingest_offsets;
pub mod ingest_topics;
pub mod logged_events;
pub(crate) mod metrics;
pub mod partitions;
pub(crate) mod product_vendors;
pub(crate) mod ratings;
pub(crate) mod rollups;
mod rows;
pub mod service_settings;

use crate::DbError;
use crate::error::WriteError;

/// Checks that a table took every row that it was given: a trigger or a rule that an operator added
/// can drop some without a word.
pub(crate) fn all_taken(table: &str, rows: usize, given: usize) -> Result<(), WriteError> {
    if rows == given {
        return Ok(());
    }
    let why = format!("{table} took {rows} of {given} rows: a trigger that is not this service's drops some");
    Err(DbError::Unusable(why).into())
}
