//! Tests of the statements and transactions against a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod anomalies;
mod as_of;
mod batches;
mod folds;
mod generations;
// The record generator of the decoder's fuzz tests.
#[path = "../../../analytics-core/tests/fuzz/generate.rs"]
mod generate;
mod hostile;
#[path = "../../../analytics-core/tests/fuzz/hostile_values.rs"]
mod hostile_values;
mod limits;
mod lists;
mod metadata;
mod names;
mod orders;
mod partition_moves;
mod partitions;
mod rollups;
mod time_limits;
mod transaction;
