//! The service as a whole: real binaries, real Kafka, real PostgreSQL.

mod api;
mod api_adjustments;
mod api_clients;
mod api_explain;
mod api_lookups;
mod api_manners;
mod api_replica;
mod api_roles;
mod api_schema;
mod bad_input;
mod dead_letters;
mod faults;
mod frozen;
mod migrations;
mod pooled;
mod proofs;
mod recorded;
mod remade;
mod rereading;
mod scale;
mod secrets;
mod start_positions;
mod startup;
mod traffic;
mod workers;
mod zones;
