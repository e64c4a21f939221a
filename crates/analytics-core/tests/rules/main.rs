//! The rules of counting as a whole: records in, numbers out, without a database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod ledger;
mod properties;
mod recorded;
