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
mod anomalies;
mod as_of;
mod business_metrics;
mod clients;
mod dashboard;
mod embedding;
mod every_answer;
mod explain;
mod freshness;
mod gateway;
mod http;
mod links;
mod live;
mod logged_plans;
mod lookups;
mod names;
mod panels;
mod payments;
mod plans;
mod protection;
mod reads;
mod reconcile;
mod replica;
mod reversals;
mod roles;
mod schema;
mod series;
mod spreadsheets;
mod statements;
mod streams;
mod tokens;
mod usage;
