//! Tests of the rules of counting as a whole, from records to numbers, without a database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod ledger;
mod properties;
mod recorded;
