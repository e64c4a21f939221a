//! The service as a whole: real binaries, real Kafka, real PostgreSQL.

mod api;
mod api_adjustments;
mod api_explain;
mod api_lookups;
mod api_manners;
mod api_roles;
mod api_schema;
mod bad_input;
mod dead_letters;
mod faults;
mod migrations;
mod proofs;
mod recorded;
mod remade;
mod rereading;
mod scale;
mod startup;
mod traffic;
mod workers;
