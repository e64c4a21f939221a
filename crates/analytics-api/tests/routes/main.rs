//! Tests of the API as a real process, with real Kafka and PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss
)]

mod adjustments;
mod clients;
mod every_answer;
mod explain;
mod freshness;
mod http;
mod lookups;
mod names;
mod panels;
mod reads;
mod replica;
mod roles;
mod schema;
mod series;
mod tokens;
