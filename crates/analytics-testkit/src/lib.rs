//! Runs real Kafka, real PostgreSQL and the service's real binaries for tests; generates traffic.
//!
//! `scripts/test` starts one PostgreSQL server and one Kafka broker and sets `TEST_DATABASE_URL`
//! and `TEST_KAFKA_BROKER` to their addresses. Every test creates its own database and its own
//! topics there. A test that stops, crashes or freezes a server starts a server of its own.

pub mod broker;
pub mod client;
pub mod database;
pub mod kafka;
pub mod names;
pub mod oidc;
pub mod pooler;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod recorded;
pub mod roles;
pub mod service;
pub mod tally;
pub mod traffic;
pub mod wait;
