//! End-to-end tests of ingest with real workers, a real Kafka and a real PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod audit;
mod bad_input;
mod dead_letter_bound;
mod faults;
mod lost_records;
mod names;
mod namespaces;
mod oauth;
mod operators;
mod payments;
mod recorded;
mod remade;
mod rereading;
mod reversals;
mod scale;
mod slow_database;
mod start_positions;
mod workers;
