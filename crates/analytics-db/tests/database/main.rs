//! The one transaction against a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod batches;
mod limits;
mod lists;
mod partitions;
mod transaction;
