//! Real Kafka and PostgreSQL for tests, the service's real binaries, and the traffic generator.
//!
//! `scripts/test` starts one PostgreSQL and one Kafka and names them in `TEST_DATABASE_URL` and
//! `TEST_KAFKA_BROKER`; every test makes its own database and its own topics there. A test that
//! needs to hurt a server starts one of its own.

pub mod broker;
pub mod client;
pub mod database;
pub mod kafka;
pub mod pooler;
pub mod process;
pub mod proxy;
pub mod recorded;
pub mod service;
pub mod tally;
pub mod traffic;
pub mod wait;
