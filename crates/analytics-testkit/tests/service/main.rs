//! The service as a whole: real binaries, real Kafka, real PostgreSQL.

mod api;
mod bad_input;
mod faults;
mod migrations;
mod recorded;
mod rereading;
mod scale;
mod startup;
mod traffic;
mod workers;
