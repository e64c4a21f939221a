//! Runs the binary `analytics-jobs` as an operator does, with real Kafka and PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod anomalies;
mod anomalies_in_files;
mod attribution_and_adjustments;
mod audit_log;
mod bi;
mod check_event;
mod dead_letters;
mod maintain;
mod migrations;
mod notifications;
mod parts;
mod proofs;
mod receiver;
mod roles;
mod statement_closing;
mod statement_proofs;
mod statement_rates;
mod statements;
mod weekly;
mod zones;
