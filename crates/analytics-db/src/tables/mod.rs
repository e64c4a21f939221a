//! The tables: one file each, with the statements that write and read it. Long statements are in
//! `.sql` files next to the file that uses them.
//!
//! A function that adds to the numbers takes a `CountingLock`: only a transaction that holds it may
//! do so.

pub mod anomalies;
pub(crate) mod arrivals;
pub mod audit_log;
pub mod batches;
pub mod dead_letters;
pub mod directory;
pub(crate) mod event_days;
pub mod event_keys;
pub(crate) mod event_log;
pub mod generations;
pub mod ingest_offsets;
pub mod ingest_topics;
pub mod logged_events;
pub mod maintenance;
pub mod metadata_indexes;
pub(crate) mod metrics;
pub mod months;
pub mod notifications;
pub mod offset_ranges;
pub mod partitions;
pub mod payments;
pub(crate) mod places;
pub(crate) mod product_vendors;
pub(crate) mod ratings;
pub(crate) mod received_ratings;
pub mod reversals;
pub(crate) mod rollups;
mod rows;
pub mod service_settings;
pub mod statements;
pub(crate) mod waiting;

use crate::DbError;
use crate::error::WriteError;

/// Checks that a statement wrote every row that it was given: a trigger or a rule added by an
/// operator can drop rows silently.
pub(crate) fn all_taken(table: &str, rows: usize, given: usize) -> Result<(), WriteError> {
    if rows == given {
        return Ok(());
    }
    let why = format!(
        "{table} stored {rows} of {given} rows: a trigger or rule that is not part of this service drops the others"
    );
    Err(DbError::Unusable(why).into())
}

/// Replaces U+0000, which PostgreSQL cannot store in text.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{FFFD}")
}
